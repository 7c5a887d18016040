#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes hybrid-key-v1.json with Python's standard library alone.

Run: python3 hybrid_key_v1.py > hybrid-key-v1.json
"""

import hashlib
import hmac
import json


def encode(label, parts):
    """The label and each part behind its length, eight bytes little-endian."""
    pieces = [("consilium/v1/" + label).encode(), *parts]
    return b"".join(len(piece).to_bytes(8, "little") + piece for piece in pieces)


def hkdf(salt, secret, info):
    """RFC 5869, for one block of output."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def main():
    salt, agreed, encapsulated = (bytes(range(start, start + 32)) for start in (0, 64, 128))
    ciphertext = hashlib.shake_256(b"ciphertext").digest(1088)
    cases = []
    for parts in [[b"alder", b"birch", ciphertext], [b"birch", b"alder", ciphertext]]:
        key = hkdf(salt, agreed + encapsulated, encode("hybrid-deal-key", parts))
        cases.append({"salt": salt.hex(), "agreed": agreed.hex(), "encapsulated": encapsulated.hex(),
                      "label": "hybrid-deal-key", "parts": [part.hex() for part in parts], "key": key.hex()})
    print(json.dumps(cases, indent=2))


main()
