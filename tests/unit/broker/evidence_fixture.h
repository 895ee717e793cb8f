/* SPDX-License-Identifier: Apache-2.0
 *
 * An evidence log in a temporary folder, with a key and a clock of its own, for tests of
 * broker/evidence/.
 */
#ifndef YZ_TESTS_UNIT_BROKER_EVIDENCE_FIXTURE_H
#define YZ_TESTS_UNIT_BROKER_EVIDENCE_FIXTURE_H

#include "broker/evidence/evidence.h"
#include "broker/evidence/internal.h"
#include "evidence/receipt.h"

struct evidence_fixture {
    char dir[128], store[160], publish[160]; /* below $TMPDIR; removed by the end */
    struct key_pair key;
    struct manual_clock clock;
    struct metrics metrics;
    struct evidence_options options;
    struct evidence *log;
};
void evidence_fixture_init(struct evidence_fixture *f); /* opens nothing */
/* The same where syncing costs nothing, for tests that open hundreds; and in a folder of the
 * caller's. */
void evidence_fixture_init_in_memory(struct evidence_fixture *f);
void evidence_fixture_init_in(struct evidence_fixture *f, const char *parent);
void evidence_fixture_fini(struct evidence_fixture *f); /* closes what is open */
int evidence_fixture_open(struct evidence_fixture *f, yz_error *err);
void evidence_fixture_close(struct evidence_fixture *f);

/* An item with a body of its own, which begins with `number`; of a message when it has an id. */
struct evidence_item *evidence_make(enum entry_type type, uint64_t number, size_t body_n,
                                    struct evidence_item *pair);
/* Append and wait for it; returns the item with the caller's reference. */
struct evidence_item *evidence_log_one(struct evidence_fixture *f, enum entry_type type,
                                       uint64_t number, struct evidence_item *pair);
/* Append n requests and wait for all; they must come back in order and durable. */
void evidence_log_many(struct evidence_fixture *f, uint64_t n);
void evidence_wait_up(struct evidence *e);
/* The next item that is done, waited for. */
struct evidence_item *evidence_take_wait(struct evidence *e);

/* Verify a receipt with nothing but the key: paths and signature. */
bool evidence_receipt_holds(const struct evidence_fixture *f, yz_bytes receipt,
                            struct receipt *out);
/* The whole published log of this number by its files alone: every bundle against every tile
 * against the checkpoint. False says why on stderr. */
bool evidence_published_holds(const struct evidence_fixture *f, uint64_t log, uint64_t *out_size);
void evidence_remove_all(const char *dir);

#endif
