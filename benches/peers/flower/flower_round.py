# SPDX-License-Identifier: Apache-2.0
"""One round of Flower's SecAgg+ in this process: its own workflow on the server's side and its own
modifier on the clients', with a function call for a network.

    flower_round.py SILOS PARAMETERS DROPPED

prints one JSON object. Every client is Flower's `secaggplus_mod`, the server is `SecAggWorkflow`, which
is SecAgg+ on the complete graph; the threshold is one half and every other parameter Flower's default
(clipping range 8, quantisation to 22 bits, modulus 2^32). Clients that drop do so when their masked
vector is asked for, as in the paper's costly case. Time is processor time of the whole process.

Flower quantises and dequantises inside the same functions. That is not secure aggregation, so it is
timed as it runs and given on its own, and `seconds` does not hold it.
"""

import importlib
import json
import logging
import sys
import time

import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.common import Code, FitIns, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.compat.common import recorddict_compat as compat
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation import SecAggWorkflow
from flwr.supercore.task_identity import TaskIdentity

# Their packages export functions under the names of these modules.
clients = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")
server = importlib.import_module("flwr.server.workflow.secure_aggregation.secaggplus_workflow")


class Stopwatch:
    """Processor time under a name, added up."""

    def __init__(self):
        self.seconds = {}

    def timed(self, name, function):
        def call(*arguments, **named):
            start = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent = time.process_time() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return call


class Proxy:
    def __init__(self, node_id):
        self.node_id = node_id
        self.cid = str(node_id)


class Everybody:
    """A strategy that selects all clients and returns the sum as Flower's workflow left it."""

    def __init__(self, proxies):
        self.proxies = proxies
        self.aggregated = None

    def configure_fit(self, server_round, parameters, client_manager):
        return [(proxy, FitIns(parameters, {})) for proxy in self.proxies]

    def aggregate_fit(self, server_round, results, failures):
        self.aggregated = results[0][1].parameters
        return None, {}


class Manager:
    def __init__(self, count):
        self.count = count

    def num_available(self):
        return self.count


class FunctionCalls:
    """Flower's grid, where a message is an argument and its reply the result."""

    def __init__(self, vectors, dropped, stopwatch):
        self.vectors = vectors
        self.dropped = dropped
        self.stopwatch = stopwatch
        self.contexts = {
            node: Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})
            for node in vectors
        }

    def send_and_receive(self, messages, *, timeout=None):
        start = time.process_time()
        replies = [self.deliver(message) for message in messages]
        spent = time.process_time() - start
        self.stopwatch.seconds["clients"] = self.stopwatch.seconds.get("clients", 0.0) + spent
        return replies

    def deliver(self, message):
        node = message.metadata.dst_node_id
        stage = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
        if stage == Stage.COLLECT_MASKED_VECTORS and node in self.dropped:
            return Message(Error(code=0, reason="dropped"), reply_to=message)
        # Over a network every client would get a copy of its own; the modifier takes entries out of it.
        content = RecordDict(dict(message.content))
        record = message.content.config_records[RECORD_KEY_CONFIGS]
        content.config_records[RECORD_KEY_CONFIGS] = ConfigRecord(dict(record))
        message = Message(content=content, metadata=message.metadata)
        return clients.secaggplus_mod(message, self.contexts[node], self.train)

    def train(self, message, context):
        start = time.process_time()
        result = FitRes(
            Status(Code.OK, ""), ndarrays_to_parameters([self.vectors[context.node_id]]), 1000, {}
        )
        reply = Message(compat.fitres_to_recorddict(result, keep_input=False), reply_to=message)
        self.stopwatch.seconds["training"] = (
            self.stopwatch.seconds.get("training", 0.0) + time.process_time() - start
        )
        return reply


def main(silos, parameters, dropped):
    logging.getLogger("flwr").setLevel(logging.ERROR)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
    generator = np.random.default_rng(silos * 1_000_003 + parameters)
    nodes = list(range(1, silos + 1))
    vectors = {node: generator.uniform(-1, 1, parameters) for node in nodes}
    gone = set(nodes[:dropped])
    stopwatch = Stopwatch()
    clients.quantize = stopwatch.timed("quantising", clients.quantize)
    clients.parameters_multiply = stopwatch.timed("quantising", clients.parameters_multiply)
    server.dequantize = stopwatch.timed("quantising", server.dequantize)

    strategy = Everybody([Proxy(node) for node in nodes])
    state = RecordDict()
    state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})
    state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(
        ndarrays_to_parameters([np.zeros(parameters)]), keep_input=False
    )
    context = LegacyContext(
        Context(run_id=1, node_id=0, node_config={}, state=state, run_config={}),
        strategy=strategy,
        client_manager=Manager(silos),
    )
    grid = FunctionCalls(vectors, gone, stopwatch)
    workflow = SecAggWorkflow(reconstruction_threshold=0.5)

    start = time.process_time()
    workflow(grid, context)
    total = time.process_time() - start

    survivors = [vectors[node] for node in nodes if node not in gone]
    if strategy.aggregated is None:
        raise SystemExit("Flower's round came to no result")
    mean = parameters_to_ndarrays(strategy.aggregated)[0]
    # Every value is rounded to a multiple of 16/2^22.
    deviation = float(np.abs(mean - np.mean(survivors, axis=0)).max())
    aside = {name: stopwatch.seconds.get(name, 0.0) for name in ("quantising", "training")}
    print(
        json.dumps(
            {
                "silos": silos,
                "parameters": parameters,
                "dropped": dropped,
                "seconds": total - sum(aside.values()),
                "with_quantising": total - aside["training"],
                "clients": stopwatch.seconds["clients"],
                "largest_deviation": deviation,
                "sum_correct": deviation < 16 / 2**22,
            }
        )
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
