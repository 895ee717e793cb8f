/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways to spoil a protobuf message, and that a parser refuses each of them. Every spoilt message is
 * parsed from a block of exactly its size, so that AddressSanitizer sees a read past its end.
 */
#ifndef YZ_TESTS_UNIT_PROTO_HOSTILE_H
#define YZ_TESTS_UNIT_PROTO_HOSTILE_H

#include "base/bytes.h"

/* Parses and forgets; 0 or an error. */
typedef int (*hostile_parser)(yz_bytes wire);

/* A set of field numbers below 64. */
#define FIELD(n) (UINT64_C(1) << (n))

struct hostile {
    hostile_parser parse;
    uint64_t optional; /* fields that may be missing */
    uint64_t repeated; /* fields that may occur again */
    uint64_t fixed;    /* bytes fields that have one length only */
    bool skips_unknown;
};

/* The message is accepted as it is, and refused (class protocol, or resource when it is too much):
 * cut anywhere but between fields that may be missing; with a field missing, repeated, of another
 * wire type; with a length prefix one off, a fixed field one byte off; with a longer form of a
 * varint, a group, a field 0; with an unknown field unless those are skipped. */
void hostile_check(const struct hostile *h, yz_bytes wire);

/* Parse an exact-size copy. */
int hostile_parse(hostile_parser parse, yz_bytes wire);
/* That, and the code is one of a parser's. */
void hostile_refuse(hostile_parser parse, yz_bytes wire);

/* -- building messages by hand -- out of memory ends the test */
void wire_put(yz_buf *b, yz_bytes v);
void wire_varint(yz_buf *b, uint64_t v);
void wire_num(yz_buf *b, uint32_t field, uint64_t v);
void wire_raw(yz_buf *b, uint32_t field, yz_bytes v);

/* wire with the content of its first `field` replaced (a bytes field stays one). */
void wire_replace(yz_bytes wire, uint32_t field, yz_bytes content, yz_buf *out);
void wire_replace_num(yz_bytes wire, uint32_t field, uint64_t v, yz_buf *out);
void wire_drop(yz_bytes wire, uint32_t field, yz_buf *out); /* all occurrences */

#endif
