#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a log with aics-tlog: signature, quorum of cosignatures, every tile, every entry bundle, proofs.

usage: aics_check.py LOG_FOLDER

The keys are those of the log's own trust.policy. Exit status: 0 good, 1 not good, 2 cannot tell.
"""

import pathlib
import sys

from aics_tlog import FileSystemTileReader, audit_tiles, parse_note, parse_vkey, verify_checkpoint
from aics_tlog import verify_consistency, verify_leaf_inclusion
from aics_tlog.tiles import consistency_proof_from_tiles, inclusion_proof_from_tiles


def main(folder: pathlib.Path) -> int:
    log, witnesses, quorum = read_policy(folder / "trust.policy")
    reader = FileSystemTileReader(folder)
    lines = (folder / "entries.jsonl").read_bytes().split(b"\n")[:-1]

    newest = verified(folder / "checkpoint", log, witnesses, 0)
    if newest is None:
        return 1
    report = audit_tiles(reader, newest.size, newest.root)

    heads, cosigned = [], None
    for note in (folder / "checkpoints").glob("*.note"):
        # Not every head was worth a quorum; each must be the log's.
        head = verified(note, log, witnesses, 0)
        if head is None:
            return 1
        heads.append((head.size, head.root))
        if reaches(note, log, witnesses, quorum) and (cosigned is None or head.size > cosigned.size):
            cosigned = head
    if cosigned is None:
        return failed(f"no head has the {quorum} cosignatures of the quorum")
    heads.sort()
    for size, root in heads:
        if 0 < size < newest.size:
            proof = consistency_proof_from_tiles(reader, size, newest.size)
            if not verify_consistency(size, newest.size, root, newest.root, proof):
                return failed(f"the head of {size} entries is not the beginning of that of {newest.size}")

    for index in range(newest.size):
        proof = inclusion_proof_from_tiles(reader, index, newest.size)
        if not verify_leaf_inclusion(lines[index], index, newest.size, proof, newest.root):
            return failed(f"entry {index} is not in the tree")

    print(
        f"aics-tlog: {newest.size} entries in {report.bundles} bundles, {report.tiles} tiles, {len(heads)} heads, "
        f"{cosigned.size} entries cosigned by {cosigned.cosignature_count}/{len(witnesses)}, root {newest.root.hex()}"
    )
    return 0


def reaches(path: pathlib.Path, log, witnesses, quorum):
    """Whether a head has a quorum; the last entries of a service that stopped wait for the next start."""
    note = parse_note(path.read_bytes())
    return verify_checkpoint(note, log, witnesses, quorum, expected_origin=log.name).ok


def verified(path: pathlib.Path, log, witnesses, quorum):
    result = verify_checkpoint(parse_note(path.read_bytes()), log, witnesses, quorum, expected_origin=log.name)
    if not result.ok:
        failed(f"{path.name}: {result.error or 'too few cosignatures'}")
        return None
    return result


def read_policy(path: pathlib.Path):
    log, witnesses, quorum = None, [], 0
    for line in path.read_text("utf-8").splitlines():
        match line.split():
            case ["log", vkey, *_]:
                log = parse_vkey(vkey)
            case ["witness", _name, vkey, *_]:
                witnesses.append(parse_vkey(vkey))
            case ["group", _name, threshold, *_]:
                quorum = int(threshold)
    if log is None:
        raise ValueError("trust.policy names no log")
    return log, witnesses, quorum


def failed(what: str) -> int:
    print(f"aics-tlog: {what}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(pathlib.Path(sys.argv[1])))
    except (OSError, ValueError) as fault:
        print(f"aics-tlog: {fault}", file=sys.stderr)
        sys.exit(1 if type(fault).__name__ == "TileVerificationError" else 2)
