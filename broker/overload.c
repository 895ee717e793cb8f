/* SPDX-License-Identifier: Apache-2.0
 *
 * Refusing must not cost those who are answered. Where the front has a processor to itself it does
 * not: it refuses in time that nobody needs. Where it shares one with adapters, the log's writer or
 * libzmq, a front that always has something to refuse takes its full share of it, and what is
 * answered gets less. Whether it shares one the system tells: it took the processor from us while
 * we had work (an involuntary context switch). Then the front rests after some refusals and reads
 * no requests meanwhile, so that libzmq and then TCP make their senders wait. Answers must not wait
 * with them: it rests only where adapters have endpoints of their own.
 */
#include <sys/resource.h>

#include "broker/broker.h"

#define REFUSALS_AT_ONCE 64u /* one bundle */
#define REFUSALS_FEW 16u     /* are no flood */
#define REST_PER_REFUSAL_US 250u

uint64_t yzi_broker_preemptions(void)
{
    struct rusage u;
    return getrusage(RUSAGE_THREAD, &u) == 0 ? (uint64_t)u.ru_nivcsw : 0;
}

/* Processor time is no part of the world that `clock` stands for. */
static uint64_t now_ms(void)
{
    return yzi_mono_ms(&yzi_clock_system);
}

bool yzi_broker_refused_enough(const struct broker *b)
{
    return b->overload.refused >= REFUSALS_AT_ONCE;
}

void yzi_broker_rest(struct broker *b)
{
    struct overload *o = &b->overload;
    unsigned refused = o->refused;
    o->refused = 0;
    if (refused < REFUSALS_FEW) {
        return;
    }
    uint64_t before = o->preemptions;
    o->preemptions = o->preempted();
    bool apart = yzi_server_endpoint(b->server, b->shared_endpoints) != NULL;
    if (o->preemptions != before && apart) {
        o->rests_until = now_ms() + refused * REST_PER_REFUSAL_US / 1000;
        yzi_metric_add(&b->metrics.rests, 1);
    }
}

uint64_t yzi_broker_rests_ms(const struct broker *b)
{
    uint64_t now = now_ms();
    return now < b->overload.rests_until ? b->overload.rests_until - now : 0;
}
