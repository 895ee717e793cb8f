#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes records/KIND.txt, an armoured record of each kind, and records/digests.txt, from
docs/protocol.md, "Records", and proto/record.proto alone: a second implementation of the encoding
that shares no code with proto/. The records say what the samples of tests/support/records.c say;
their two signatures are filler bytes, not real ones. The tests only read the files; run this when
the protocol changes, and look at the difference.
"""
import base64
import hashlib
import pathlib
import struct

here = pathlib.Path(__file__).parent / "records"
TIME = 1750000000000


# -- protobuf --

def varint(v):
    out = b""
    while v > 0x7F:
        out += bytes([v & 0x7F | 0x80])
        v >>= 7
    return out + bytes([v])


def message(*fields):
    """Each field is (number, value): int, text, bytes, or a list of those for a repeated one."""
    out = b""
    for number, value in fields:
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, int):
                out += varint(number << 3) + varint(v)
            else:
                v = v.encode() if isinstance(v, str) else v
                out += varint(number << 3 | 2) + varint(len(v)) + v
    return out


def key(n): return bytes([n]) * 32
def valid(n, until=TIME + 86400000): return message((1, key(n)), (2, TIME), (3, until))
def endless(n): return valid(n, 0)
def text(language, words): return message((1, language), (2, words))


# -- bodies --

def root_broker(node, transport, signing, log):
    return message((1, node), (2, transport), (3, [endless(signing)]), (4, [endless(log)]))


def node(name, role, signing, transport, subsystems):
    return message((1, name), (2, role), (3, signing), (4, transport), (5, subsystems))


def element(field, name, kind, classification, *flags):
    """flags: key, reference"""
    return message((1, field), (2, name), (3, kind), (4, classification), *enumerate(flags, 5))


MEMBER, SUBSYSTEM, ADAPTER = "CN/GOV/MCA", "CN/GOV/MCA/civil", "CN/GOV/MCA/@a1"

KINDS = [
    ("root", message(
        (1, "CN"), (2, 3), (3, TIME), (4, [key(1), key(2), key(3)]), (5, 2),
        (6, [key(0x11), key(0x12)]), (7, 1), (8, key(0x21)),
        (9, [root_broker("CN/@b1", [valid(0x31), endless(0x32)], 0x33, 0x34),
             root_broker("CN/@b2", [endless(0x35)], 0x36, 0x37)]))),
    ("member", message(
        (1, MEMBER), (2, "Ministry of Civil Affairs 民政部"), (3, [valid(0x41), endless(0x42)]))),
    ("member-set", message(
        (1, MEMBER), (2, 7), (3, TIME + 1), (4, [endless(0x51)]),
        (5, [message((1, "civil"), (2, "婚姻登记")), message((1, "portal"))]),
        (6, [node(ADAPTER, 2, [endless(0x52)], [endless(0x53)], ["civil"]),
             node("CN/GOV/MCA/@c1", 3, [valid(0x54), endless(0x55)], [endless(0x56)],
                  ["portal", "civil"])]))),
    ("broker", message(
        (1, "CN/@b1"), (2, "第一驿站"),
        (3, [message((1, "tcp://b1.example.gov.cn:7100"), (2, valid(0x31))),
             message((1, "tcp://[2001:db8::1]:7101"), (2, endless(0x32)))]))),
    ("revocation", message((1, ADAPTER), (4, TIME + 2), (5, "disk stolen"))),
    ("manifest", message(
        (1, "CN"), (2, 42), (3, TIME + 4), (4, 3), (5, 167), (6, key(0xB1)),
        (7, [message((1, key(0xA1)), (2, 200000), (3, 150)),
             message((1, key(0xA2)), (2, 4321), (3, 17))]))),
    ("freshness", message((1, "CN"), (2, 42), (3, key(0xB1)), (4, TIME + 60000))),
    ("announcement", message(
        (1, ADAPTER), (2, key(0xE1)), (3, 12), (4, TIME), (5, TIME + 90000000), (6, 1))),
    ("offer", message(
        (1, SUBSYSTEM), (2, 9), (3, TIME + 5),
        (4, [message((1, "marriage"), (2, "v1"), (3, 1), (4, [ADAPTER, "CN/GOV/MCA/@a2"]),
                     (5, [text("en", "Marital status by id number."),
                          text("zh-Hans", "按身份证号\n查询婚姻状况")]),
                     (6, "marriages")),
             message((1, "register"), (2, "v2"), (3, 2), (4, [ADAPTER]))]),
        (5, [message((1, "marriages"), (2, [text("en", "Marriages"), text("zh", "婚姻登记信息")]),
                     (3, [text("en", "Every marriage registered since 1950.")]),
                     (4, "Department of Social Affairs"), (5, 2),
                     (6, "Marriage Registration Regulations, article 17"), (7, "daily"),
                     (8, [element("id_number", "citizen-id", 1, 3, 1, 1),
                          element("status", "婚姻状况", 7, 2)])),
             message((1, "adoptions"), (5, 3), (6, "Civil Code 1110"))]),
        (6, [message((1, "housing-2025"), (2, "CN/GOV/HOUSING/registry"), (3, "marriage/v1"),
                     (4, TIME), (5, TIME + 31536000000), (6, 1)),
             message((1, "tax"), (2, "CN/GOV/TAX/desk"), (3, "register/v2"), (4, 0), (5, 0)),
             message((1, "cities"), (3, "marriage/v1"), (4, 0), (5, 0), (7, "cities"), (8, 2))]),
        (7, key(0xD1)),
        (8, [message((1, "cities"), (2, 2),
                     (3, ["CN/GOV/BJ/desk", "CN/GOV/SH/desk", "CN/GOV/TJ/desk"])),
             message((1, "cities"), (2, 4),
                     (3, ["CN/GOV/BJ/desk", "CN/GOV/CQ/desk", "CN/GOV/SH/desk"])),
             message((1, "courts"), (2, 1))]))),
    ("terms", message(
        (1, SUBSYSTEM), (2, 9),
        (3, [message((1, "housing-2025"), (2, [1, 4]),
                     (3, [message((1, "status")), message((1, "id_number"), (2, 2))]),
                     (4, ["status", "since"]), (5, ["since"]),
                     (6, [message((1, "province"), (2, 2), (3, ["11", "31"])),
                          message((1, "since"), (2, 4), (3, ["2000-01-01"]))]),
                     (7, [message((1, "is-married"), (2, "status"), (3, 1), (4, ["married"])),
                          message((1, "born-before"), (2, "born"), (3, 7), (5, "year"), (6, 3))]),
                     (8, ["house-transfer", "house-loan"]), (9, 5000)),
             message((1, "tax"), (2, [2, 3, 5, 6, 7]), (10, ["status", "since"]))]),
        (4, key(0xC7)),
        (5, [message((1, "marriages"), (2, [element("informant", "informant-name", 1, 4)]))]))),
    ("node-request", message(
        (1, "CN/@b1"), (2, 1), (3, key(0x33)), (4, key(0x31)), (5, key(0x34)),
        (6, ["tcp://127.0.0.1:7100", "tcp://b1.example.gov.cn:7100"]), (8, TIME + 3))),
    ("purposes", message(
        (1, "CN"), (2, TIME + 6),
        (3, [message((1, "house-loan"), (2, [text("en", "Loan for a house")])),
             message((1, "house-transfer"),
                     (2, [text("en", "Transfer of a title"), text("zh", "房屋产权登记")]),
                     (3, "Real Estate Registration Regulations, article 14"))]))),
]


# -- frame and armour --

def record(kind, body):
    signatures = [key(0xF1) + b"\x5a" * 64, key(0xF2) + b"\x5b" * 64]
    return (b"YR" + struct.pack(">BBI", 1, kind, len(body)) + body
            + struct.pack(">H", len(signatures)) + b"".join(signatures))


def armour(name, raw):
    label = "YIZHAN " + name.upper().replace("-", " ")
    lines = base64.b64encode(raw).decode()
    lines = [lines[i:i + 64] for i in range(0, len(lines), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


here.mkdir(exist_ok=True)
digests = ["# SHA-256 of each record here, which is what names it; made by ../records.py."]
for number, (name, body) in enumerate(KINDS, 1):
    raw = record(number, body)
    (here / f"{name}.txt").write_text(armour(name, raw))
    digests.append(f"{name} {hashlib.sha256(raw).hexdigest()}")
(here / "digests.txt").write_text("\n".join(digests) + "\n")
