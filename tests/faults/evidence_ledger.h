/* SPDX-License-Identifier: Apache-2.0
 *
 * What an evidence log told, remembered, so that it can be held to it: no acknowledged entry is
 * lost, no index used twice, no two signed checkpoints of one size disagree, and in the end each of
 * them is on the tree that is published. One for the program; breaches fail the cmocka test that
 * runs.
 */
#ifndef YZ_TESTS_FAULTS_EVIDENCE_LEDGER_H
#define YZ_TESTS_FAULTS_EVIDENCE_LEDGER_H

#include "tests/unit/broker/evidence_fixture.h"

#define LEDGER_BODY 200u /* bodies of entries are made by evidence_make with this size */

/* An acknowledged entry with the checkpoint of its receipt, or (number 0) a state. */
struct told {
    uint64_t log, index, number, size;
    yz_digest root;
    uint8_t signature[64];
};
void ledger_told(const struct evidence_item *i, struct told *out); /* one that is durable */
void ledger_told_state(const struct evidence_fixture *f, struct told *out);

void ledger_hear(const struct evidence_fixture *f, const struct told *t);
void ledger_hear_item(const struct evidence_fixture *f, const struct evidence_item *i);
void ledger_hear_state(const struct evidence_fixture *f);

struct ledger_counts {
    size_t logs;
    uint64_t entries, checkpoints;
};
struct ledger_counts ledger_counts(void);
/* Open the log (nothing is open), publish, close in good order; then all that was told must be
 * there. The ledger is empty afterwards. */
void ledger_check_and_free(struct evidence_fixture *f);

#endif
