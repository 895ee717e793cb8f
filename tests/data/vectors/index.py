#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes index.txt: entry keys of indexes, computed from adapters/dataset/store_impl.h and key.c by
this script alone. A line: the fields of one entry, type=value separated by blanks (a value is hex of
its canonical text; "null" for none; sealed:NAME=... for the sealed field NAME of type text), then "->"
and the entry in hex. Lines stand in the order of the entries, where no field is sealed."""
import hashlib
import os
from decimal import Decimal

CUT, WHOLE = 479, 510
KEY = bytes(range(32))  # the subkey for indexes
DATASET = b"vectors"


def decimal(text):
    sign, digits, exponent = Decimal(text).as_tuple()
    while digits and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    if not digits:
        return b"\x01"
    e = len(digits) + exponent  # 0.d1d2d3... times ten to the e
    body = bytes([e + 128]) + bytes(d + 1 for d in digits) + b"\x00"
    return b"\x00" + bytes(b ^ 0xFF for b in body) if sign else b"\x02" + body


def plain(kind, value):
    text = value.decode() if kind not in ("bytes", "text", "code") else ""
    if kind in ("text", "code"):
        return value + b"\x00"
    if kind == "bytes":
        return value.replace(b"\x00", b"\x00\xff") + b"\x00\x00"
    if kind == "integer":
        return (int(text) + 2**63).to_bytes(8, "big")
    if kind == "decimal":
        return decimal(text)
    if kind == "date":
        return value
    if kind == "time":
        return value[:-1] + b"\x00"
    return b"\x01" if text == "true" else b"\x00"


def part(kind, value):
    if kind.startswith("sealed:"):
        name = kind[7:].encode()
        inner = b"\x00" if value is None else b"\x01" + value
        return hashlib.blake2b(DATASET + b"\0" + name + b"\0" + inner, digest_size=32, key=KEY).digest()
    return b"\x00" if value is None else b"\x01" + plain(kind, value)


def entry(fields):
    whole = b"".join(part(k, v) for k, v in fields)
    if len(whole) <= WHOLE:
        return whole
    return whole[:CUT] + hashlib.blake2b(whole, digest_size=32).digest()


def ordered():
    yield [("text", None)]
    yield from ([("text", t)] for t in (b"", b"a", b"a b", b"aa", b"b", b"x" * 508, "京".encode()))


def groups():
    yield list(ordered())
    yield [[("integer", str(n).encode())] for n in (-(2**63), -256, -1, 0, 1, 255, 2**63 - 1)]
    yield [[("decimal", t.encode())] for t in (
        "-99999999999999999999999999999999999999", "-100", "-12.5", "-12", "-1", "-0.5", "-0.05", "0",
        "0.001", "0.05", "0.5", "1", "9.99", "10", "12", "12.5", "100",
        "99999999999999999999999999999999999999")]
    yield [[("date", t)] for t in (b"0001-01-01", b"1999-12-31", b"2000-01-01", b"9999-12-31")]
    yield [[("time", t)] for t in (b"2026-01-01T00:00:00Z", b"2026-01-01T00:00:00.5Z",
                                   b"2026-01-01T00:00:01Z")]
    yield [[("boolean", None)], [("boolean", b"false")], [("boolean", b"true")]]
    yield [[("bytes", b)] for b in (b"", b"\x00", b"\x00\x00", b"\x00\x01", b"\x01", b"\xff")]
    yield [[("text", a), ("integer", n)] for a, n in (
        (None, b"5"), (b"", b"5"), (b"a", None), (b"a", b"-1"), (b"a", b"1"), (b"aa", b"0"))]
    yield [[("sealed:s", None)]]
    yield [[("sealed:s", b"")]]
    yield [[("sealed:s", b"310101198001010011"), ("date", b"2026-01-01")]]
    yield [[("text", b"x" * 509)]]
    yield [[("text", b"y" * 600), ("text", b"z")]]


def main():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "index.txt"), "w") as out:
        out.write("# Made by index.py; tests/unit/dataset/test_index.c reads it.\n")
        for group in groups():
            entries = [entry(f) for f in group]
            assert entries == sorted(entries) or len(group) == 1, group
            for fields, made in zip(group, entries):
                words = [f"{k}={'null' if v is None else v.hex()}" for k, v in fields]
                out.write(" ".join(words) + " -> " + made.hex() + "\n")
            out.write("\n")


main()
