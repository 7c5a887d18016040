#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes consilium-v1.json with Python's standard library and the openssl program alone.

Run: python3 consilium_v1.py > consilium-v1.json
"""

import hashlib
import hmac
import json
import subprocess


def encode(label, parts):
    """The label and each part behind its length, eight bytes little-endian."""
    pieces = [("consilium/v1/" + label).encode(), *parts]
    return b"".join(len(piece).to_bytes(8, "little") + piece for piece in pieces)


def hkdf(salt, secret, info, length):
    """RFC 5869."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    output, block, number = b"", b"", 1
    while len(output) < length:
        block = hmac.new(key, block + info + bytes([number]), hashlib.sha256).digest()
        output, number = output + block, number + 1
    return output[:length]


def keystream(key, counter, length):
    """AES-256 in counter mode from a 128-bit counter."""
    command = ["openssl", "enc", "-aes-256-ctr", "-K", key.hex(), "-iv", counter.to_bytes(16, "big").hex()]
    return subprocess.run(command, input=bytes(length), capture_output=True, check=True).stdout


def fields(key44, bits, first_field, count):
    """Fields of a mask stream, as integers."""
    key, nonce = key44[:32], key44[32:]
    assert first_field % 128 == 0
    counter = (int.from_bytes(nonce, "big") << 32) + first_field // 128 * bits
    stream = keystream(key, counter % 2**128, (count * bits + 7) // 8)
    number = int.from_bytes(stream, "little")
    return [number >> (position * bits) & (2**bits - 1) for position in range(count)]


def pack(words, bits):
    """Words as a dense string of bits, least significant first."""
    number = sum(word << (position * bits) for position, word in enumerate(words))
    return number.to_bytes((len(words) * bits + 7) // 8, "little")


def multiply(left, right):
    """In GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    product = 0
    for bit in range(8):
        product ^= (left << bit) * (right >> bit & 1)
    for bit in range(15, 7, -1):
        product ^= (0x11B << (bit - 8)) * (product >> bit & 1)
    return product


def share(secret, coefficients, abscissa):
    """One share; the coefficients from the highest power down."""
    value = bytes(32)
    for row in [*coefficients, secret]:
        value = bytes(multiply(a, abscissa) ^ b for a, b in zip(value, row))
    return bytes([abscissa]) + value


def main():
    salt, secret = bytes(range(32)), bytes(range(32, 64))
    key44 = bytes(range(100, 144))
    wrapping_key44 = bytes(range(32)) + b"\xff" * 12

    hashes = [
        {"label": label, "parts": [part.hex() for part in parts], "digest": hashlib.sha256(encode(label, parts)).hexdigest()}
        for label, parts in [("sum", []), ("model", [b"", b"a", b"bc"]), ("no-model", [bytes(1000)])]
    ]
    keys = [
        {"salt": salt.hex(), "secret": secret.hex(), "label": label, "parts": [part.hex() for part in parts],
         "key": hkdf(salt, secret, encode(label, parts), 44).hex()}
        for label, parts in [("pair-mask", [b"alder", b"birch"]), ("self-mask", [b"alder"])]
    ]
    streams = []
    for bits in [8, 13, 16, 20, 24, 32, 40, 48, 57, 58, 63, 64]:
        for key, first_field, count in [(key44, 0, 5), (key44, 1280, 1001), (wrapping_key44, 2**32 * 128 // 64 // 128 * 128, 300)]:
            words = fields(key, bits, first_field, count)
            streams.append({"key": key.hex(), "bits": bits, "first_field": first_field, "count": count,
                            "packed_sha256": hashlib.sha256(pack(words, bits)).hexdigest()})
    # 2^32 blocks lie behind field 2^33 of 64 bits: this one crosses into the next nonce, which wraps to zero.
    words = fields(wrapping_key44, 64, 2**33 - 128, 300)
    streams.append({"key": wrapping_key44.hex(), "bits": 64, "first_field": 2**33 - 128, "count": 300,
                    "packed_sha256": hashlib.sha256(pack(words, 64)).hexdigest()})
    coefficients = [bytes((start + step * position) % 256 for position in range(32)) for start, step in [(7, 11), (201, 29)]]
    shamir = {"secret": secret.hex(), "coefficients": [row.hex() for row in coefficients],
              "shares": [share(secret, coefficients, abscissa).hex() for abscissa in range(1, 6)]}
    print(json.dumps({"hashes": hashes, "keys": keys, "streams": streams, "shamir": shamir}, indent=2))


main()
