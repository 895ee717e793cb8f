#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes frame.txt, block.txt, header.txt, payload.txt, plaintext.txt and link.txt beside it, from
docs/protocol.md alone: it shares no code with proto/, so that the tests compare two readings of
that document. Run it when the protocol changes, and look at the difference."""
import hashlib
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


# Protobuf, as far as the schemas use it.
def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def num(field, value):
    return varint(field << 3) + varint(value)


def raw(field, value):
    if isinstance(value, str):
        value = value.encode()
    return varint(field << 3 | 2) + varint(len(value)) + value


def pattern(first, n):
    return bytes((first + i) & 0xFF for i in range(n))


def uuid(text):
    return bytes.fromhex(text.replace("-", ""))


# The values every vector uses.
MESSAGE_ID = uuid("0193512e-8f00-7abc-8def-0123456789ab")
CONVERSATION_ID = uuid("0193512e-8eff-7000-8000-000000000001")
CLIENT, ADAPTER, BROKER = "CN/GOV/MHR/@desk1", "CN/GOV/MCA/@a1", "CN/@b1"
CONSUMER, SERVICE = "CN/GOV/MHR/registry", "CN/GOV/MCA/civil/marriage/v1"
ISSUED = 1732309509123
TRACE = pattern(0xE0, 25)

# Headers.
checkpoint = (num(1, 1234) + raw(2, pattern(0x10, 32)) + num(3, 1732000000000)
              + raw(4, pattern(0x50, 64)))
broker_1 = raw(1, BROKER) + raw(2, checkpoint)
broker_2 = raw(1, "CN/@b2")
slot_1 = raw(1, ADAPTER) + raw(2, pattern(0x40, 32)) + raw(3, pattern(0x60, 72))
slot_2 = raw(1, "CN/GOV/MCA/@a2") + raw(2, pattern(0x41, 32)) + raw(3, pattern(0x61, 72))

request = (
    num(1, 1) + raw(2, MESSAGE_ID) + raw(3, CONVERSATION_ID) + raw(4, CLIENT) + raw(5, CONSUMER)
    + raw(6, SERVICE) + raw(7, broker_1) + raw(7, broker_2) + num(8, ISSUED)
    + num(9, ISSUED + 30000) + raw(10, "house-registration") + num(11, 42)
    + raw(12, pattern(0x20, 32)) + raw(13, slot_1) + raw(13, slot_2) + num(14, 272)
    + raw(15, pattern(0x80, 32)) + raw(16, pattern(0xA0, 32)) + raw(17, TRACE)
)
request_small = (
    num(1, 1) + raw(2, MESSAGE_ID) + raw(3, CONVERSATION_ID) + raw(4, CLIENT) + raw(5, CONSUMER)
    + raw(6, SERVICE) + raw(7, broker_2) + num(8, ISSUED) + num(9, ISSUED + 30000) + num(11, 42)
    + raw(12, pattern(0x20, 32)) + raw(13, slot_1) + num(14, 272) + raw(15, pattern(0x80, 32))
    + raw(16, pattern(0xA0, 32))
)
response = (
    num(1, 1) + raw(2, MESSAGE_ID) + raw(3, pattern(0x30, 32)) + raw(4, ADAPTER) + num(5, 1)
    + num(6, 1) + num(7, 7) + num(8, 900719925474099) + num(9, ISSUED + 40)
    + num(10, ISSUED + 30040) + num(11, 42) + raw(12, broker_1) + raw(13, pattern(0x60, 72))
    + num(14, 528) + raw(15, pattern(0x80, 32)) + raw(16, pattern(0xA0, 32)) + raw(17, TRACE)
)
stale = (
    num(1, 1) + raw(2, MESSAGE_ID) + raw(3, pattern(0x30, 32)) + raw(4, ADAPTER) + num(5, 0)
    + num(6, 5) + num(7, 7) + num(8, 0) + num(9, ISSUED + 40) + num(10, ISSUED + 30040)
    + num(11, 42) + num(14, 0) + raw(18, pattern(0x00, 150))
)
outcome = (
    raw(1, MESSAGE_ID) + raw(2, pattern(0x30, 32)) + raw(3, BROKER) + num(4, 3)
    + raw(5, "rate") + num(6, 42) + raw(7, "CN/GOV/MCA/civil 7 per-second") + num(8, 1500)
    + num(9, ISSUED + 5)
)
hop = num(1, 29500) + raw(2, pattern(0x01, 40))

# Signature blocks: format 1, path length, reserved, tree size, index, key, signature, path.
def block(size, index, path):
    return (
        struct.pack(">BBHII", 1, len(path), 0, size, index)
        + pattern(0x50, 32) + pattern(0x90, 64) + b"".join(path)
    )


block_single = block(1, 0, [])
block_batch = block(5, 2, [pattern(0xB0, 32), pattern(0xB1, 32), pattern(0xB2, 32)])
block_last = block(5, 4, [pattern(0xB3, 32)])


# Frames.
def frame(kind, header, blk=b"", payload=b"", hops=b""):
    return (
        b"YZ" + struct.pack(">BBHHII", 1, kind, len(header), len(blk), len(payload), len(hops))
        + header + blk + payload + hops
    )


def digest(header, blk):
    return hashlib.sha256(struct.pack(">H", len(header)) + header + blk).digest()


frame_request = frame(1, request_small, block_single, pattern(0x00, 48), num(1, 29500))
frame_outcome = frame(3, outcome, block_batch)


# Payloads.
def value(v):
    return b"" if v is None else raw(1, v)


def key(*parts):
    return b"".join(raw(1, value(p)) for p in parts)


query = (
    num(1, 2) + raw(2, "name") + raw(2, "status") + raw(3, key("310101", "甲"))
    + raw(3, key("310102", None))
    + raw(4, raw(1, "status") + num(2, 2) + raw(3, value("married")) + raw(3, value("divorced")))
    + raw(4, raw(1, "since") + num(2, 4) + raw(3, value("2020-01-01")))
    + raw(5, raw(1, "name")) + raw(5, raw(1, "since") + num(2, 1))
    + num(6, 50) + raw(7, pattern(0xC0, 20)) + raw(8, raw(1, "is-adult") + raw(2, value("")))
)
put = (
    num(1, 6) + raw(2, "id") + raw(2, "name") + num(9, 2)
)
delete = num(1, 7) + raw(3, key("310101", "甲"))
head_put = raw(2, "CASE-2026-17") + raw(4, put)
head_delete = raw(4, delete)
head_query = raw(1, "李四") + raw(2, "CASE-2026-17") + raw(3, "consent/9") + raw(4, query)
http = (
    raw(1, "GET") + raw(2, "/persons/42?fields=name") + raw(3, raw(1, "Accept") + raw(2, "*/*"))
    + raw(3, raw(1, "X-Empty") + raw(2, ""))
)
head_http = raw(5, http)
answer = (
    num(1, 1) + raw(3, "两条记录") + raw(4, raw(1, "name") + num(2, 1) + num(3, 4))
    + raw(4, raw(1, "status") + num(2, 7)) + num(5, 2) + raw(6, pattern(0xC0, 20)) + num(7, 2)
    + raw(8, "g-1")
)
answer_match = num(1, 1) + raw(9, bytes([1, 2, 3]))
answer_http = num(1, 1) + num(10, 404) + raw(11, raw(1, "Content-Type") + raw(2, "text/plain"))


def cell(v):
    return b"\xff\xff\xff\xff" if v is None else struct.pack(">I", len(v)) + v


rows = cell("甲".encode()) + cell(b"married") + cell(b"") + cell(None)


def padme(n):
    n = max(n, 256)
    e = n.bit_length() - 1
    zeros = e - e.bit_length()
    mask = (1 << zeros) - 1
    return (n + mask) & ~mask


def plaintext(kind, head, body):
    inner = struct.pack(">BII", kind, len(head), len(body)) + head + body
    out = pattern(0xD0, 32) + inner
    return out + bytes(padme(len(out)) - len(out)), inner


plain_query, committed_query = plaintext(1, head_query, b"")
plain_put, committed_put = plaintext(1, head_put, rows)
plain_answer, committed_answer = plaintext(3, answer, rows)
plain_http, committed_http = plaintext(2, head_http, bytes(700))


def commitment(inner):
    return hashlib.blake2b(inner, key=pattern(0xD0, 32), digest_size=32).digest()


# Link messages, whole frames.
link = {
    "hello": frame(16, raw(1, ADAPTER) + num(2, 2) + num(3, 42) + raw(4, "yizhan 0.1")
                   + raw(5, pattern(0x70, 16))),
    "hello_seen": frame(16, raw(1, ADAPTER) + num(2, 2) + num(3, 42) + raw(5, pattern(0x70, 16))
                        + raw(6, struct.pack(">QQ", 1732000000000, 1234) + pattern(0x10, 32)
                              + pattern(0x50, 64))),
    "welcome": frame(17, raw(1, BROKER) + num(2, 43) + num(3, 2000) + num(4, 16777216)
                     + num(5, ISSUED) + raw(6, "yizhan 0.1")),
    "heartbeat": frame(18, num(1, 43) + num(2, 5) + num(3, ISSUED)),
    "fetch_chunk": frame(19, num(1, 9) + num(2, 2) + raw(3, pattern(0x00, 32))),
    "fetch_service": frame(19, num(1, 10) + num(2, 4) + raw(3, SERVICE)),
    "fetch_consistency": frame(19, num(1, 11) + num(2, 8)
                               + raw(3, struct.pack(">QQQ", 1732000000000, 1000, 1234))),
    "fetch_receipt": frame(19, num(1, 12) + num(2, 9) + raw(3, MESSAGE_ID + pattern(0x30, 32))),
    "fetch_statements": frame(19, num(1, 13) + num(2, 6) + raw(3, "CN/GOV/MCA")),
    "object": frame(20, num(1, 9) + num(2, 2) + num(3, 1), b"", pattern(0x00, 64)),
    "object_absent": frame(20, num(1, 9) + num(2, 2) + num(3, 0)),
    "put": frame(21, num(1, 3), b"", pattern(0x00, 64)),
    "put_result": frame(22, num(1, 3) + num(2, -44) + raw(3, "older than version 12")),
    "reject": frame(23, raw(1, MESSAGE_ID) + raw(2, pattern(0x30, 32)) + num(3, 3)
                    + raw(4, "queue-full") + num(5, 250)),
    "receipt": frame(25, raw(1, MESSAGE_ID) + raw(2, pattern(0x30, 32)), b"", pattern(0x00, 64)),
    "bye": frame(24, raw(1, "shutdown")),
    "bye_plain": frame(24, b""),
    "admin_request": frame(32, raw(1, "directory.publish")
                           + raw(2, raw(1, "note") + raw(2, "two\nlines"))
                           + raw(2, raw(1, "empty") + raw(2, "")), b"", pattern(0x00, 16)),
    "admin_reply": frame(33, num(1, 1) + num(2, 0) + raw(3, "published")),
}


def write(name, comment, entries):
    with open(os.path.join(HERE, name + ".txt"), "w", encoding="utf-8") as f:
        f.write("".join("# %s\n" % line for line in comment.split("\n")))
        f.write("# Made by messages.py. name = hex.\n")
        for key_, data in entries.items():
            f.write("%s = %s\n" % (key_, data.hex()))


write("header", "Headers (docs/protocol.md, Messages). small: without what is optional.",
      {"request": request, "request_small": request_small, "response": response,
       "response_stale_key": stale, "outcome": outcome, "hop": hop})
write("block", "Signature blocks: alone; leaf 2 of 5; leaf 4 of 5, whose path is shorter.",
      {"single": block_single, "batch": block_batch, "last": block_last})
write("frame", "Frames. The header of `request` is header.txt's request_small, its block block.txt's"
      " single,\nthe payload the bytes 00 01 02 … (48 of them). digest: of its header and block.",
      {"request": frame_request, "outcome": frame_outcome,
       "digest": digest(request_small, block_single)})
write("payload", "Payload heads and rows (docs/protocol.md, Payloads). The values of the query are\n"
      "UTF-8 text; the last row of `rows` is an empty text and a null.",
      {"head_query": head_query, "head_put": head_put, "head_delete": head_delete,
       "head_http": head_http, "answer": answer,
       "answer_match": answer_match, "answer_http": answer_http, "rows": rows})
write("plaintext", "Plaintexts with the salt d0 d1 … ef, padded, and their content commitments.\n"
      "query holds payload.txt's head_query; put its head_put and rows; answer its answer and rows; http its head_http and\n"
      "700 zero bytes of body.",
      {"query": plain_query, "query_commitment": commitment(committed_query),
       "put": plain_put, "put_commitment": commitment(committed_put),
       "answer": plain_answer, "answer_commitment": commitment(committed_answer),
       "http": plain_http, "http_commitment": commitment(committed_http)})
write("link", "Link and administration messages, as whole frames.", link)
