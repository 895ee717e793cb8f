/* SPDX-License-Identifier: Apache-2.0
 *
 * What docs/protocol.md, "Admission", has a broker and an adapter say to a request, written from
 * that document over the world's own lists: not from the directory's code, nor the ladder's. The
 * one thing it takes from the code under test is the parser of the header, which has vectors and a
 * fuzzer of its own.
 */
#ifndef YZ_TESTS_HOSTILE_MODEL_H
#define YZ_TESTS_HOSTILE_MODEL_H

#include "tests/support/world.h"

/* What a hostile sender did about the signature. */
enum signed_how {
    SIGNED_RIGHT,    /* by the key of the node named, over these bytes */
    SIGNED_WRONG,    /* by a key of the node named, over other bytes */
    SIGNED_STRANGER, /* by a key that is not the node's */
    SIGNED_NO_BLOCK  /* the block does not parse */
};

struct model {
    struct world *w;
    const char *peer;    /* at a broker: whose connection it came over; NULL: at an adapter */
    const char *self;    /* the broker's id, or the adapter's */
    const char *adapter; /* at a broker: the one that is connected; NULL: none */
    uint64_t version;    /* of the directory in force */
    bool id_taken;       /* other bytes under this id were accepted before */
    bool full;           /* at a broker: it has no room for what this peer asks */
};
struct expected {
    enum outcome_status status; /* 0: accepted */
    const char *reason;
    bool takes_id; /* it was admitted, whatever became of it then: its id is used up */
    bool silent;   /* nothing names the message, so nobody can be told */
    bool waits;    /* for a directory that does not exist, a second, first */
};
struct expected model_request(const struct model *m, const struct frame *f, enum signed_how how);
/* What is wrong with a signature block that was right until a bit of it was flipped. */
enum signed_how model_block(yz_bytes block_before, yz_bytes block_after);
void expected_text(const struct expected *e, char *out, size_t n);

#endif
