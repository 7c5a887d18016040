#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a log with pymerkle: do the lines of entries.jsonl have the roots that the log signed?

usage: pymerkle_check.py LOG_FOLDER

Signatures are not looked at (aics_check.py does). Exit status: 0 yes, 1 no, 2 cannot tell.
"""

import base64
import json
import pathlib
import sys

from pymerkle import InmemoryTree, verify_consistency, verify_inclusion


def main(folder: pathlib.Path) -> int:
    lines = (folder / "entries.jsonl").read_bytes().split(b"\n")
    if lines.pop() != b"":
        return failed("entries.jsonl does not end with a line end")
    for place, line in enumerate(lines):
        # The keys are ASCII, so that sorting by code points is sorting by RFC 8785.
        canonical = json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if canonical.encode() != line:
            return failed(f"entry {place} is not in canonical form")

    tree = InmemoryTree(algorithm="sha256")
    for line in lines:
        tree.append_entry(line)

    notes = [folder / "checkpoint", *(folder / "checkpoints").glob("*.note")]
    heads = {}
    for note in notes:
        _origin, size, root = note.read_text("utf-8").split("\n")[:3]
        size, root = int(size), base64.b64decode(root, validate=True)
        if size > len(lines):
            return failed(f"{note.name} says {size} entries, there are {len(lines)}")
        if tree.get_root(size) != root:
            return failed(f"the first {size} entries have root {tree.get_root(size).hex()}, {note.name} says {root.hex()}")
        heads[size] = root

    sizes = sorted(size for size in heads if size > 0)
    for old, new in zip(sizes, sizes[1:]):
        proof = tree.prove_consistency(old, new)
        verify_consistency(heads[old], heads[new], proof)
    if sizes:
        # pymerkle counts leaves from one.
        newest = sizes[-1]
        for index in {1, newest // 2 + 1, newest}:
            verify_inclusion(tree.get_leaf(index), heads[newest], tree.prove_inclusion(index, newest))

    print(f"pymerkle: {len(lines)} entries, {len(heads)} heads, root {tree.get_root().hex()}")
    return 0


def failed(what: str) -> int:
    print(f"pymerkle: {what}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(pathlib.Path(sys.argv[1])))
    except (OSError, ValueError) as fault:
        print(f"pymerkle: {fault}", file=sys.stderr)
        sys.exit(2)
