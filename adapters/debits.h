/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable counters of what is allowed only so often: questions about one subject (budgets), calls
 * a day (quotas). A counter is debited before what it allows is done, and what was taken is never
 * given back: after a crash it is at worst too high, never too low. What is counted appears nowhere
 * in clear: a counter's key is a hash that the caller makes.
 *
 * Threads: taking and looking from any thread. Callers at the same time share a commit: the first
 * of them writes for all that wait. It holds the state's write transaction only while it writes, so
 * it may wait for the writer thread's, and that for it, but never for one another.
 */
#ifndef YZ_ADAPTERS_DEBITS_H
#define YZ_ADAPTERS_DEBITS_H

#include "adapters/state.h"

#define DEBIT_KEY_BYTES 32u
#define DEBITS_AT_ONCE_MAX 64u

struct debits;
struct debit {
    uint8_t key[DEBIT_KEY_BYTES]; /* BLAKE2b-256 over what is counted */
    uint32_t limit;               /* how often in all, within the period */
    uint64_t until;               /* Unix ms when the count starts anew; 0: never */
};

/* The state is borrowed until close. YZ_ECORRUPT, YZ_EIO, YZ_EDISKFULL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_debits_open(struct state *state, struct debits **out, yz_error *err);
void yzi_debits_close(struct debits *d); /* NULL is allowed; nobody may be taking */

/* Take one of each, all or none, durably; of a counter named several times that many. YZ_EDENIED:
 * items[*refused] is used up, or may have been: its period is over for us already, because the
 * clock went back. YZ_EINVAL: none or more than DEBITS_AT_ONCE_MAX items, or a period that ended
 * before `now` (Unix ms). After any other failure (YZ_EIO, YZ_EDISKFULL, YZ_ECORRUPT, YZ_ENOMEM)
 * nothing may be answered, and whether they were taken is unknown.
 *
 * A counter starts anew when the time it was last taken with (the later one, where callers differ;
 * never is the latest) is reached, not before. A lowered limit counts what was taken before. */
YZ_MUST_USE int yzi_debits_take(struct debits *d, const struct debit *items, size_t n, uint64_t now,
                                size_t *refused);
/* How often a counter was taken in the period that `now` is in. YZ_ECORRUPT, YZ_EIO, YZ_EBUSY,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_debits_look(struct debits *d, const uint8_t key[DEBIT_KEY_BYTES], uint64_t now,
                                uint32_t *used);

#endif
