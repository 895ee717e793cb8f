/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way to spoil every field of a protobuf message, generated from its schema: a field that is
 * added to a schema is spoilt like all others without a word here. The message is taken apart where
 * the bytes are, so that what comes out is what a hostile writer could send, well-formed or not;
 * the lengths of the messages around a field are made right again.
 */
#ifndef YZ_TESTS_HOSTILE_SPOIL_H
#define YZ_TESTS_HOSTILE_SPOIL_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

#define SITES_MAX 96u
#define SITE_DEPTH_MAX 4u

struct span {
    size_t at, value, end; /* where tag, value and what follows begin */
};
/* One field where it stands in a message, or where it could stand. */
struct site {
    char path[96]; /* "slots[1].wrapped_key" */
    const ProtobufCFieldDescriptor *field;
    bool absent; /* not there: the span is empty, at the end of the message it belongs to */
    struct span span;
    unsigned depth;
    struct span up[SITE_DEPTH_MAX]; /* the messages it lies in, outermost first */
    const ProtobufCMessageDescriptor *in;
};
struct sites {
    yz_bytes message;
    struct site site[SITES_MAX];
    size_t n;
};
/* All fields of a message of this type, nested ones too. The message is well-formed. */
void sites_of(const ProtobufCMessageDescriptor *type, yz_bytes message, struct sites *out);
const struct site *sites_find(const struct sites *s, const char *path); /* NULL */

enum spoiling {
    SPOIL_FLIP,     /* a bit of the value */
    SPOIL_CUT,      /* the value's last byte gone; a number: 0 */
    SPOIL_GROW,     /* the value one byte longer; a number: one more */
    SPOIL_EMPTY,    /* no bytes; a number: the largest */
    SPOIL_REPEAT,   /* the field twice */
    SPOIL_REMOVE,   /* the field not at all */
    SPOIL_SWAP,     /* the field of another valid message */
    SPOIL_WIRETYPE, /* bytes as a number, a number as bytes */
    SPOIL_WIDE,     /* the tag one byte longer than it need be */
    SPOIL_UNKNOWN,  /* a field that no schema has, behind it */
    SPOIL_MOVE,     /* to the end of its message: the order of fields says nothing */
    SPOIL_ADD,      /* an optional field that was not there */
    SPOILINGS
};
const char *spoil_name(enum spoiling s);

/* What the schema alone says of the result. */
enum shape {
    SHAPE_SAME,   /* the same bytes: nothing was spoilt */
    SHAPE_BROKEN, /* no reader may accept it */
    SHAPE_OTHER   /* for the field's rules to say */
};
/* Append the spoilt message. `bit` picks the bit of a flip (any number). `donor` (may be NULL) is
 * another message of the type. SHAPE_SAME: it does not apply here, and nothing was appended. */
enum shape spoil(const struct sites *s, const struct site *site, enum spoiling how, uint32_t bit,
                 const struct sites *donor, yz_buf *out);
/* Bits of the site's value. */
uint32_t spoil_bits(const struct site *site);

#endif
