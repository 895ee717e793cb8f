/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes are signed together: what is said in one step of the front costs one signature, however
 * many requests are refused, and what one connection gets of it leaves in bundles, because each
 * ZeroMQ message costs its own. Saying `busy` must stay much cheaper than serving, or a flood of
 * requests would be answered at the expense of those that could be served.
 */
#include "broker/broker.h"

#define BUNDLED_MAX 64u /* a queue that is full loses one bundle, so not too large */

struct outcome_entry {
    struct connection_id to;
    enum outcome_status status;
    size_t at, n; /* of its header in `headers` */
};

struct outcomes {
    struct outcome_entry entries[BROKER_OUTCOMES_MAX];
    size_t n;
    yz_buf headers;
    yz_buf blocks[BROKER_OUTCOMES_MAX];
};

int yzi_broker_outcomes_new(struct outcomes **out)
{
    struct outcomes *o;
    YZ_TRY(yzi_alloc(1, sizeof *o, &o));
    yzi_buf_init(&o->headers, (size_t)BROKER_OUTCOMES_MAX * YZ_HEADER_MAX);
    for (size_t i = 0; i < BROKER_OUTCOMES_MAX; i++) {
        yzi_buf_init(&o->blocks[i], YZ_BLOCK_MAX);
    }
    *out = o;
    return YZ_OK;
}

void yzi_broker_outcomes_free(struct outcomes *o)
{
    if (!o) {
        return;
    }
    yzi_buf_fini(&o->headers);
    for (size_t i = 0; i < BROKER_OUTCOMES_MAX; i++) {
        yzi_buf_fini(&o->blocks[i]);
    }
    free(o);
}

static void failed(int rc)
{
    yzi_log(&EV_OUTCOME_FAILED, (struct log_field[]){log_str("error", yz_err_name(rc)), {0}});
}

static yz_bytes header_of(const struct outcomes *o, size_t i)
{
    return yzi_bytes(o->headers.p + o->entries[i].at, o->entries[i].n);
}

static int sign_all(struct broker *b, struct outcomes *o)
{
    yz_bytes headers[BROKER_OUTCOMES_MAX];
    for (size_t i = 0; i < o->n; i++) {
        headers[i] = header_of(o, i);
        yzi_buf_clear(&o->blocks[i]);
    }
    return yzi_sign_batch(&b->signing, FRAME_OUTCOME, headers, o->n, o->blocks);
}

/* Those of one connection one after the other, as they were said. */
static int by_connection(const void *a, const void *b)
{
    const struct outcome_entry *x = a, *y = b;
    int order = memcmp(&x->to, &y->to, sizeof x->to);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static bool same_connection(const struct outcome_entry *a, const struct outcome_entry *b)
{
    return yzi_bytes_eq(yzi_connection_bytes(&a->to), yzi_connection_bytes(&b->to));
}

/* The outcomes from `first` on that go to its connection, in one message. Returns the one after. */
static size_t send_bundle(struct broker *b, const struct outcomes *o, size_t first)
{
    size_t i = first;
    yzi_buf_clear(&b->out);
    for (;
         i < o->n && i - first < BUNDLED_MAX && same_connection(&o->entries[first], &o->entries[i]);
         i++) {
        int rc = yzi_frame_write(FRAME_OUTCOME, header_of(o, i), yzi_bytes_buf(&o->blocks[i]),
                                 (yz_bytes){0}, (yz_bytes){0}, &b->out);
        if (rc < 0) {
            failed(rc);
        } else {
            yzi_metric_add(&b->metrics.outcomes[o->entries[i].status], 1);
        }
    }
    if (b->out.n) {
        yzi_broker_send(b, &o->entries[first].to, yzi_bytes_buf(&b->out));
    }
    return i;
}

void yzi_broker_outcomes_flush(struct broker *b)
{
    struct outcomes *o = b->outcomes;
    if (o->n == 0) {
        return;
    }
    qsort(o->entries, o->n, sizeof o->entries[0], by_connection);
    int rc = sign_all(b, o);
    if (rc < 0) {
        failed(rc);
    }
    for (size_t i = 0; rc == YZ_OK && i < o->n;) {
        i = send_bundle(b, o, i);
    }
    o->n = 0;
    yzi_buf_clear(&o->headers);
}

static struct outcome_header header_for(const struct broker *b, const yz_uuid *message_id,
                                        const yz_digest *digest, const struct outcome_words *w)
{
    return (struct outcome_header){
        .message_id = *message_id,
        .request_digest = *digest,
        .node = b->node,
        .status = w->status,
        .reason = w->reason,
        .rule = w->rule,
        .directory_version = b->directory ? yzi_directory_version(b->directory) : 0,
        .retry_after_ms = w->retry_after_ms,
        .issued_at = b->wall,
    };
}

int yzi_broker_outcome_write(struct broker *b, const yz_uuid *message_id, const yz_digest *digest,
                             const struct outcome_words *w)
{
    struct outcome_header h = header_for(b, message_id, digest, w);
    YZ_AUTO(yzi_buf_fini) yz_buf header;
    YZ_AUTO(yzi_buf_fini) yz_buf block;
    yzi_buf_init(&header, YZ_HEADER_MAX);
    yzi_buf_init(&block, YZ_BLOCK_MAX);
    YZ_TRY(yzi_outcome_header_write(&h, &header));
    YZ_TRY(yzi_sign_message(&b->signing, FRAME_OUTCOME, yzi_bytes_buf(&header), &block));
    yzi_buf_clear(&b->out);
    return yzi_frame_write(FRAME_OUTCOME, yzi_bytes_buf(&header), yzi_bytes_buf(&block),
                           (yz_bytes){0}, (yz_bytes){0}, &b->out);
}

void yzi_broker_outcome(struct broker *b, const struct connection_id *to, const yz_uuid *message_id,
                        const yz_digest *digest, const struct outcome_words *w)
{
    struct outcomes *o = b->outcomes;
    struct outcome_header h = header_for(b, message_id, digest, w);
    size_t at = o->headers.n;
    int rc = yzi_outcome_header_write(&h, &o->headers);
    if (rc < 0) {
        failed(rc);
        return;
    }
    o->entries[o->n++] =
        (struct outcome_entry){.to = *to, .status = w->status, .at = at, .n = o->headers.n - at};
    if (o->n == BROKER_OUTCOMES_MAX) {
        yzi_broker_outcomes_flush(b);
    }
}
