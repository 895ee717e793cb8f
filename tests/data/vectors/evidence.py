#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes entry.txt and receipt.txt beside it, from docs/protocol.md ("Evidence", "Receipts") and the
public formats it names, sharing no code and no cryptographic library with the implementation (it
needs the Python package "cryptography"). Run it when the protocol changes, and look at the
difference."""
import base64
import hashlib
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

here = pathlib.Path(__file__).parent
BROKER, LOG, TIME = "CN/@b1", 1732309509123, 1732309510000


def sha256(b): return hashlib.sha256(b).digest()
def u64(n): return struct.pack(">Q", n)
def b64(b): return base64.b64encode(b).decode()
def pattern(first, n): return bytes((first + i) & 0xFF for i in range(n))


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def num(field, value): return varint(field << 3) + varint(value)
def raw(field, value): return varint(field << 3 | 2) + varint(len(value)) + value


# RFC 6962, the recursive definitions.
def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root_of(d):
    if not d:
        return sha256(b"")
    if len(d) == 1:
        return d[0]
    k = split(len(d))
    return sha256(b"\1" + root_of(d[:k]) + root_of(d[k:]))


def path_of(m, d):
    if len(d) == 1:
        return []
    k = split(len(d))
    if m < k:
        return path_of(m, d[:k]) + [root_of(d[k:])]
    return path_of(m - k, d[k:]) + [root_of(d[:k])]


def entry(kind, time, digest):
    return b"yz1" + bytes([kind]) + u64(time) + digest


secret = Ed25519PrivateKey.from_private_bytes(b"\x11" * 32)
public = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
origin = f"yizhan/{BROKER}/{LOG}"
key_id = sha256(origin.encode() + b"\n\x01" + public)[:4]
vkey = f"{origin}+{key_id.hex()}+{b64(bytes([1]) + public)}"


def digest(i): return sha256(b"body %d" % i)
def kind(i): return 1 + i % 3
def time(i): return TIME + i // 2


def checkpoint_text(size, root):
    return f"{origin}\n{size}\n{b64(root)}\n".encode()


def receipt(size, indexes):
    leaves = [sha256(b"\0" + entry(kind(i), time(i), digest(i))) for i in range(size)]
    root = root_of(leaves)
    signature = secret.sign(checkpoint_text(size, root))
    out = bytes([1, len(indexes)]) + u64(LOG) + u64(size) + root + public + signature
    for i in indexes:
        out += bytes([kind(i)]) + u64(i) + u64(time(i))
    paths = [path_of(i, leaves) for i in indexes]
    out += b"".join(paths[0])
    if len(paths) == 2:
        shared = 0
        while shared < min(map(len, paths)) and paths[0][-1 - shared] == paths[1][-1 - shared]:
            shared += 1
        own = paths[1][:len(paths[1]) - shared]
        out += bytes([len(own)]) + b"".join(own)
    proofs = []
    for i, path in zip(indexes, paths):
        note = checkpoint_text(size, root) + b"\n"
        note += f"\u2014 {origin} {b64(key_id + signature)}\n".encode()
        lines = ["c2sp.org/tlog-proof@v1", "extra " + b64(entry(kind(i), time(i), digest(i))),
                 f"index {i}"] + [b64(h) for h in path]
        proofs.append(("\n".join(lines) + "\n\n").encode() + note)
    return out, proofs


def write(name, about, items):
    lines = ["# SPDX-License-Identifier: Apache-2.0", f"# {about}"]
    lines += [f"{k} = " + (f'"{v}"' if isinstance(v, str) else v.hex()) for k, v in items]
    (here / name).write_text("\n".join(lines) + "\n")


signature = pattern(0x50, 64)
counts = raw(4, num(1, 3) + num(2, 1000)) + raw(4, num(1, 10) + num(2, 1))
write("entry.txt", "Entries and their bodies; see evidence.py.", [
    ("entry", entry(2, TIME, pattern(0x20, 32))),
    ("refusals", raw(1, b"CN/GOV/HB/@w1") + num(2, TIME) + num(3, TIME + 999) + counts),
    ("pruning", num(1, 123456)),
    ("first", raw(5, b"first")),
    ("restored", num(1, LOG) + num(2, 77) + raw(3, pattern(0x30, 32)) + raw(4, signature)
     + raw(5, b"restored")),
])
items = [("vkey", vkey)]
for name, size, indexes in (("one", 7, [3]), ("pair", 7, [2, 5]), ("reversed", 7, [6, 1]),
                            ("neighbours", 1000, [998, 999]), ("lone", 1, [0])):
    binary, proofs = receipt(size, indexes)
    items.append((name, binary))
    items += [(f"{name}_proof{i}", p) for i, p in enumerate(proofs)]
write("receipt.txt", "Receipts in binary form, and their entries as tlog-proof text; see evidence.py.",
      items)
