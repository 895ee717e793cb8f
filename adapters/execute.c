/* SPDX-License-Identifier: Apache-2.0
 *
 * The three steps of a write.
 */
#include "adapters/execute.h"

uint64_t yzi_request_until(const struct request_header *h, uint64_t skew)
{
    return h->expires_at < UINT64_MAX - skew ? h->expires_at + skew : UINT64_MAX;
}

struct write_entry yzi_write_entry(const struct verified_request *r, uint64_t skew)
{
    return (struct write_entry){.node = r->header.node,
                                .id = r->header.message_id,
                                .digest = r->digest,
                                .until = yzi_request_until(&r->header, skew)};
}

static void not_executed(struct job *j, int rc, const char *reason)
{
    j->rc = rc;
    j->reason = reason;
}

/* Mark those that are still of use; the ones that may be executed have `begun` set afterwards. */
static void begin_all(struct executing *e, struct job **jobs, size_t n)
{
    struct write_entry entries[EXECUTE_AT_ONCE];
    struct job *chosen[EXECUTE_AT_ONCE];
    size_t count = 0;
    uint64_t now = yzi_mono_ms(e->answering.clock);
    for (size_t i = 0; i < n; i++) {
        if (now >= jobs[i]->deadline_mono) {
            not_executed(jobs[i], YZ_ETIMEOUT, "deadline");
            continue;
        }
        entries[count] = yzi_write_entry(&jobs[i]->request, e->skew);
        entries[count].frame = yzi_bytes_buf(&jobs[i]->pending);
        chosen[count++] = jobs[i];
    }
    int rc = count ? yzi_writes_begin(e->writes, entries, count, yzi_wall_ms(e->answering.clock))
                   : YZ_OK;
    for (size_t i = 0; i < count; i++) {
        int own = rc < 0 ? rc : entries[i].rc;
        chosen[i]->begun = own == YZ_OK;
        if (own < 0) {
            not_executed(chosen[i], own, own == YZ_EEXIST ? "known" : "state");
        }
    }
}

static void keep_answers(struct executing *e, struct job **jobs, size_t n)
{
    struct write_entry entries[EXECUTE_AT_ONCE];
    for (size_t i = 0; i < n; i++) {
        entries[i] = yzi_write_entry(&jobs[i]->request, e->skew);
        entries[i].frame = yzi_bytes_buf(&jobs[i]->answer);
    }
    int rc = n ? yzi_writes_answer(e->writes, entries, n) : YZ_OK;
    for (size_t i = 0; i < n; i++) {
        jobs[i]->kept = rc;
    }
}

void yzi_execute(struct executing *e, struct job **jobs, size_t n)
{
    struct job *begun[EXECUTE_AT_ONCE];
    size_t begun_n = 0;
    YZ_ASSERT(n <= EXECUTE_AT_ONCE);
    begin_all(e, jobs, n);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i]->begun) {
            yzi_answer(&e->answering, jobs[i]);
            begun[begun_n++] = jobs[i];
        }
    }
    keep_answers(e, begun, begun_n);
}
