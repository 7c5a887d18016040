#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes shamir-gf65536-v1.json with Python alone.

Run: python3 shamir_gf65536_v1.py > shamir-gf65536-v1.json
"""

import hashlib
import json

MODULUS = 0x1002B  # x^16 + x^5 + x^3 + x + 1


def multiply(left, right):
    """In GF(2^16): long multiplication, then long division."""
    product = 0
    for bit in range(16):
        product ^= (left << bit) * (right >> bit & 1)
    for bit in range(31, 15, -1):
        product ^= (MODULUS << (bit - 16)) * (product >> bit & 1)
    return product


def words(row):
    """Thirty-two bytes as sixteen little-endian elements."""
    return [int.from_bytes(row[at:at + 2], "little") for at in range(0, 32, 2)]


def share(secret, coefficients, abscissa):
    """One share; the coefficients from the highest power down, evaluated term by term."""
    value, power = words(secret), 1
    for row in reversed(coefficients):
        power = multiply(power, abscissa)
        value = [a ^ multiply(b, power) for a, b in zip(value, words(row))]
    return abscissa.to_bytes(2, "little") + b"".join(element.to_bytes(2, "little") for element in value)


def main():
    secret = bytes(range(32, 64))
    cases = []
    for threshold, shares, shown in [(3, 300, [1, 2, 255, 256, 257, 300]), (251, 500, [1, 256, 500])]:
        coefficients = [hashlib.sha256(b"coefficient %d" % place).digest() for place in range(threshold - 1)]
        cases.append({"threshold": threshold, "shares": shares, "secret": secret.hex(),
                      "coefficients": [row.hex() for row in coefficients],
                      "shown": [share(secret, coefficients, abscissa).hex() for abscissa in shown]})
    print(json.dumps(cases, indent=2))


main()
