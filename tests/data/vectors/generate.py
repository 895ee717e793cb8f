#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes signatures.txt and sealing.txt beside it, from docs/protocol.md alone: a second
implementation of what keys/ does, sharing no code and no cryptographic library with it (it needs
the Python package "cryptography"). The tests only read the files; run this when the protocol
changes, and look at the difference.
"""
import hashlib
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

here = pathlib.Path(__file__).parent
VERSION, REQUEST, RESPONSE, ANNOUNCEMENT, SUITE = 1, 1, 2, 8, 1


def u8(v): return struct.pack(">B", v)
def u16(v): return struct.pack(">H", v)
def u32(v): return struct.pack(">I", v)
def u64(v): return struct.pack(">Q", v)
def text(s): return u16(len(s)) + s.encode()
def label(s): return s.encode() + b"\0"
def counting(first, n): return bytes((first + i) & 0xFF for i in range(n))


class Vectors:
    def __init__(self, name, about):
        self.path, self.lines = here / name, [f"# {line}" for line in about.splitlines()]

    def section(self, about):
        self.lines += ["", f"# {about}"]

    def put(self, name, value):
        shown = f'"{value}"' if isinstance(value, str) else value.hex()
        self.lines.append(f"{name} = {shown}")
        return value

    def write(self):
        self.path.write_text("\n".join(self.lines) + "\n")


# -- signatures --

def sha256(b): return hashlib.sha256(b).digest()
def leaf(kind, header): return sha256(b"\0" + u8(VERSION) + u8(kind) + header)
def node(left, right): return sha256(b"\1" + left + right)


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d):
    return d[0] if len(d) == 1 else node(mth(d[:split(len(d))]), mth(d[split(len(d)):]))


def path(m, d):
    if len(d) == 1:
        return []
    k = split(len(d))
    return path(m, d[:k]) + [mth(d[k:])] if m < k else path(m - k, d[k:]) + [mth(d[:k])]


def batch(v, name, context, kind, key, headers):
    public = key.public_key().public_bytes_raw()
    leaves = [leaf(kind, h) for h in headers]
    root = v.put(f"{name}.root", mth(leaves))
    signed = v.put(f"{name}.signed", label(context) + u8(VERSION) + u8(kind) + u32(len(headers)) + root)
    signature = v.put(f"{name}.signature", key.sign(signed))
    for i, header in enumerate(headers):
        p = path(i, leaves)
        v.put(f"{name}.header.{i}", header)
        v.put(f"{name}.leaf.{i}", leaves[i])
        v.put(f"{name}.block.{i}", u8(1) + u8(len(p)) + u16(0) + u32(len(headers)) + u32(i) + public
              + signature + b"".join(p))


def signatures():
    v = Vectors("signatures.txt", "Test vectors of docs/protocol.md, \"Signatures\"; made by generate.py.\n"
                "name = hex, or \"text\". Headers and bodies are bytes to sign, no real ones.")
    v.section("the signing key: its Ed25519 seed")
    seed = v.put("seed", counting(0x00, 32))
    key = Ed25519PrivateKey.from_private_bytes(seed)
    v.put("public", key.public_key().public_bytes_raw())
    v.section("one request alone")
    batch(v, "one", "yizhan/v1 request", REQUEST, key, [b"a header alone"])
    v.section("a batch of three responses")
    batch(v, "batch", "yizhan/v1 response", RESPONSE, key,
          [b"first header", b"second header, longer", b"third"])
    v.section("an announcement record")
    body = v.put("record.body", b"the body of an announcement")
    signed = v.put("record.signed", label("yizhan/v1 announcement") + u8(VERSION) + u8(ANNOUNCEMENT) + body)
    v.put("record", b"YR" + u8(VERSION) + u8(ANNOUNCEMENT) + u32(len(body)) + body + u16(1)
          + key.public_key().public_bytes_raw() + key.sign(signed))
    v.section("a checkpoint: the text of a signed note, signed by the log key of the same seed")
    note = v.put("checkpoint.text", b"log.example/b1\n3\n" + b"A" * 43 + b"=\n")
    v.put("checkpoint.signature", key.sign(note))
    v.write()


# -- sealing --

def rotl(v, n): return ((v << n) | (v >> (32 - n))) & 0xFFFFFFFF


def hchacha20(key, nonce16):
    """draft-irtf-cfrg-xchacha-03, section 2.2"""
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce16))

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] = rotl(s[z] ^ s[x], n)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *s[:4], *s[12:])


def xchacha20poly1305(key, nonce, plaintext, ad):
    sub = hchacha20(key, nonce[:16])
    return ChaCha20Poly1305(sub).encrypt(b"\0" * 4 + nonce[16:], plaintext, ad)


def blake2b(data, key=b""): return hashlib.blake2b(data, digest_size=32, key=key).digest()


def sealing():
    v = Vectors("sealing.txt", "Test vectors of docs/protocol.md, \"Sealing\"; made by generate.py.\n"
                "name = hex, or \"text\".")
    v.section("the epochs of both sides: X25519 scalars, and what they give")
    secrets = {who: v.put(f"{who}.secret", counting(first, 32))
               for who, first in (("consumer", 0x20), ("adapter", 0x40))}
    keys = {who: X25519PrivateKey.from_private_bytes(s) for who, s in secrets.items()}
    publics = {who: v.put(f"{who}.epoch", k.public_key().public_bytes_raw()) for who, k in keys.items()}
    consumer = v.put("consumer.node", "CN/GOV/HOUSING/@c1")
    adapter = v.put("adapter.node", "CN/GOV/MCA/@a1")
    announcement = v.put("announcement", counting(0x60, 32))
    shared = v.put("shared", keys["consumer"].exchange(X25519PublicKey.from_public_bytes(publics["adapter"])))

    v.section("pair keys in both directions")
    pair = {}
    for name, direction in (("request", 1), ("response", 2)):
        bound = v.put(f"pair.{name}.bound",
                      label("yizhan/v1 pair") + u32(SUITE) + u8(direction) + text(consumer) + text(adapter)
                      + publics["consumer"] + publics["adapter"] + announcement)
        pair[name] = v.put(f"pair.{name}.key", blake2b(bound, shared))

    v.section("what a request's payload and wraps are bound to")
    message = v.put("message.id", bytes.fromhex("0193a5f0c0de7abc8def0123456789ab"))
    service = v.put("service", "CN/GOV/MCA/civil/marriage/v1")
    expires = v.put("expires.at", u64(1732279230000))
    context = u8(REQUEST) + u32(SUITE) + message + text(consumer) + text(service) + expires

    v.section("the wrapped content key, under a fixed nonce")
    content = v.put("content.key", counting(0x80, 32))
    nonce = v.put("wrap.nonce", counting(0xA0, 24))
    ad = v.put("wrap.ad", label("yizhan/v1 wrap") + context + text(adapter))
    v.put("wrap", nonce + xchacha20poly1305(pair["request"], nonce, content, ad))

    v.section("the sealed payload")
    plaintext = v.put("payload.plain", counting(0xC0, 100))
    ad = v.put("payload.ad", label("yizhan/v1 payload") + context)
    v.put("payload", xchacha20poly1305(content, b"\0" * 24, plaintext, ad))
    v.write()


def self_test():
    # draft-irtf-cfrg-xchacha-03, section 2.2.1
    got = hchacha20(counting(0, 32), bytes.fromhex("000000090000004a0000000031415927"))
    assert got.hex() == "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"


self_test()
signatures()
sealing()
