/* SPDX-License-Identifier: Apache-2.0
 *
 * While a broker is besieged: a client on a connection of its own that asks all the while, and on
 * each answer looks at the broker's memory.
 */
#ifndef YZ_TESTS_FAULTS_HONEST_H
#define YZ_TESTS_FAULTS_HONEST_H

#include <pthread.h>
#include <stdint.h>

#include "tests/integration/harness.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"
/* AddressSanitizer keeps what is freed for a while: 256 MiB of it, and its red zones. */
#ifdef __SANITIZE_ADDRESS__
#define QUARANTINE_MIB 512
#else
#define QUARANTINE_MIB 0
#endif

struct honest {
    const struct sandbox *sandbox; /* with the areas imported */
    pthread_t thread;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t asked;
    bool stop;
    unsigned right, wrong;
    long rss_most; /* MiB */
    uint32_t slowest_ms;
};
#define HONEST(s)                                                                                  \
    {                                                                                              \
        .sandbox = (s), .lock = PTHREAD_MUTEX_INITIALIZER, .asked = PTHREAD_COND_INITIALIZER       \
    }

/* From the first three calls on. */
void honest_begin(struct honest *h);
void honest_wait(struct honest *h, unsigned more); /* so many calls later */
long honest_rss_most(struct honest *h);
/* Answered throughout, and the broker's memory never more than so much above what it was. */
void honest_end(struct honest *h, const char *what, long rss_before, unsigned growth_mib);

#endif
