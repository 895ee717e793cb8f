/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes, at most once each: marked begun, executed, their answers kept, and only then given.
 * Several that wait are done together, so that the durable marks are shared: one commit for all
 * that begin, one for each that changes a store, one for all answers. What becomes of a crash
 * between any two steps is in decision 0018.
 */
#ifndef YZ_ADAPTERS_EXECUTE_H
#define YZ_ADAPTERS_EXECUTE_H

#include "adapters/answer.h"
#include "adapters/writes.h"

#define EXECUTE_AT_ONCE 64u

struct executing {
    struct answering answering; /* with `executes` set */
    struct writes *writes;      /* borrowed */
    uint64_t skew;              /* ms */
};

/* Until when (Unix ms) the request's id can be accepted. */
uint64_t yzi_request_until(const struct request_header *h, uint64_t skew);
/* What the memory of writes calls the request; without a frame. */
struct write_entry yzi_write_entry(const struct verified_request *r, uint64_t skew);

/* Fill the results of up to EXECUTE_AT_ONCE jobs whose to_write is set. With rc < 0 (YZ_ETIMEOUT:
 * too late; what the marking failed with) a job was not executed; `reason` says why. A job's place
 * in the memory is its own when `begun` is set, and otherwise still to be released. An answer that
 * could not be kept is given all the same; `kept` is then what keeping it failed with. Writer
 * thread only. */
void yzi_execute(struct executing *e, struct job **jobs, size_t n);

#endif
