/* SPDX-License-Identifier: Apache-2.0
 *
 * What the front has to do with the evidence log (broker/evidence/): commit before deliver. A
 * request is appended when it is admitted; one that writes, or whose grant is strict, goes to its
 * adapter only when that entry is durable. An answer or outcome is appended and held, and leaves
 * with the receipt of both entries when the log hands its item back. Refusals that never became
 * exchanges are counted per node and second and logged as one entry, so that nobody can fill the
 * disk with them.
 *
 * An item's ctx is its exchange, and NULL from the moment the exchange is freed.
 */
#include "broker/broker.h"

#define BODY_MAX (2u + YZ_HEADER_MAX + YZ_BLOCK_MAX)
#define WORDS_ROOM (1024u * 1024u) /* in a consumer's queue, kept free of answers */
#define RETRY_AFTER_FULL_MS 1000u  /* for such a queue to have room */

/* -- appending -- */

static int message_item(struct exchange *x, enum entry_type type, const struct frame *f,
                        struct evidence_item **out)
{
    yz_digest digest;
    yzi_frame_digest(f->header, f->block, &digest);
    struct evidence_item *item;
    YZ_TRY(yzi_evidence_item_new(type, &digest, &item));
    yzi_buf_init(&item->body, BODY_MAX);
    int rc = yzi_entry_message_write(f->header, f->block, &item->body);
    if (rc < 0) {
        yzi_evidence_item_unref(item);
        return rc;
    }
    item->message_id = x->request.header.message_id;
    item->ctx = x;
    *out = item;
    return YZ_OK;
}

/* On YZ_OK *item is appended; otherwise it is gone, and *item NULL. */
static int append(struct broker *b, struct evidence_item **item)
{
    int rc = yzi_evidence_append(b->evidence, *item);
    if (rc < 0) {
        yzi_evidence_item_unref(*item);
        *item = NULL;
    }
    return rc;
}

int yzi_broker_log_request(struct broker *b, struct exchange *x)
{
    YZ_TRY(message_item(x, ENTRY_REQUEST, &x->request.frame, &x->logged));
    x->logged->wants_receipt = x->waits_for_log;
    return append(b, &x->logged);
}

/* What is held. */
static int log_answer(struct broker *b, struct exchange *x, enum entry_type type)
{
    struct frame f;
    YZ_TRY(yzi_frame_parse(yzi_bytes_buf(&x->held), YZ_MESSAGE_MAX, &f));
    YZ_TRY(message_item(x, type, &f, &x->answer));
    x->answer->wants_receipt = true;
    if (x->logged) {
        yzi_evidence_item_ref(x->logged);
        x->answer->pair = x->logged;
    }
    return append(b, &x->answer);
}

int yzi_broker_hold(struct broker *b, struct exchange *x, enum entry_type type, yz_bytes frame)
{
    struct frame f;
    YZ_TRY(yzi_frame_parse(frame, YZ_MESSAGE_MAX, &f));
    yzi_buf_fini(&x->held);
    yzi_buf_init(&x->held, YZ_MESSAGE_MAX);
    YZ_TRY(yzi_frame_write(f.kind, f.header, f.block, f.payload, (yz_bytes){0}, &x->held));
    YZ_TRY(yzi_exchange_hold(&b->exchanges, x));
    YZ_TRY(log_answer(b, x, type));
    yzi_deadlines_remove(&b->exchanges.timers, &x->timer); /* the log answers for it now */
    if (!x->tracked) {
        x->asker = NULL; /* it does not count there, so may be forgotten meanwhile */
    }
    return YZ_OK;
}

/* -- delivering -- */

/* The held message with the receipt in its hop. */
static int write_with_receipt(struct broker *b, const struct exchange *x)
{
    struct frame f;
    struct hop hop = {.receipt = yzi_bytes_buf(&x->answer->receipt)};
    YZ_AUTO(yzi_buf_fini) yz_buf hop_bytes;
    yzi_buf_init(&hop_bytes, YZ_HOP_MAX);
    YZ_TRY(yzi_frame_parse(yzi_bytes_buf(&x->held), YZ_MESSAGE_MAX, &f));
    YZ_TRY(yzi_hop_write(&hop, &hop_bytes));
    yzi_buf_clear(&b->out);
    return yzi_frame_write(f.kind, f.header, f.block, f.payload, yzi_bytes_buf(&hop_bytes),
                           &b->out);
}

/* The adapter learns that what it answered is in the log; one that is not here asks when it is. */
static void send_receipt_to_adapter(struct broker *b, const struct exchange *x)
{
    struct connection *k = yzi_connection_find(&b->connections, &x->adapter);
    struct receipt_for of = {x->request.header.message_id, x->request.digest};
    yzi_buf_clear(&b->out);
    if (k && yzi_receipt_for_write(&of, yzi_bytes_buf(&x->answer->receipt), &b->out) == YZ_OK) {
        yzi_broker_send(b, &k->id, yzi_bytes_buf(&b->out));
    }
}

/* Nothing is to be done about a consumer that is gone. YZ_EAGAIN: its queue has no room for the
 * answer, or would have none beside it for the words that say so of others. YZ_ENOMEM. */
static int give_to_consumer(struct broker *b, const struct exchange *x)
{
    bool is_response = x->answer->type == ENTRY_RESPONSE;
    YZ_ENSURE(yzi_broker_consumer_is_live(b, x), YZ_OK);
    if (is_response && !yzi_server_has_room(b->server, &x->consumer, x->held.n + WORDS_ROOM)) {
        yzi_metric_add(&b->metrics.messages_dropped, 1);
        return YZ_EAGAIN;
    }
    YZ_TRY(write_with_receipt(b, x));
    int rc = yzi_broker_give(b, &x->consumer, yzi_bytes_buf(&b->out));
    yzi_metric_add(&b->metrics.responses, is_response && rc == YZ_OK);
    return rc == YZ_ECLOSED ? YZ_OK : rc;
}

/* Ends it. What the consumer cannot be given it is told of: it would wait in vain. Asked again, the
 * adapter gives the same. */
static void deliver(struct broker *b, struct exchange *x)
{
    const struct outcome_words w = {.status = OUTCOME_BUSY,
                                    .reason = yzi_bytes_str(YZ_REASON_CONSUMER_QUEUE),
                                    .retry_after_ms = RETRY_AFTER_FULL_MS};
    int rc = give_to_consumer(b, x);
    if (x->answer->type == ENTRY_RESPONSE) {
        send_receipt_to_adapter(b, x);
    }
    if (rc < 0 && x->answer->type == ENTRY_RESPONSE) {
        yzi_broker_finish_unlogged(b, x, &w);
    } else {
        yzi_broker_end(b, x);
    }
}

/* The log failed: what became of the entry is not known, so nothing may leave that would need it.
 */
static void give_up(struct broker *b, struct exchange *x)
{
    const struct outcome_words w = {.status = OUTCOME_UNAVAILABLE,
                                    .reason = yzi_bytes_str("evidence-log")};
    yzi_broker_finish_unlogged(b, x, &w);
}

static void on_request_logged(struct broker *b, struct exchange *x, int rc)
{
    if (rc < 0) {
        give_up(b, x);
    } else if (x->waits_for_log && !x->answer) {
        yzi_broker_forward(b, x, &(struct outcome_words){0});
    }
}

static void drop_item(struct evidence_item **item)
{
    (*item)->ctx = NULL;
    yzi_evidence_item_unref(*item);
    *item = NULL;
}

/* The log was closed between request and answer, so no receipt shows both: they become entries of
 * the new one, both. */
static int log_again(struct broker *b, struct exchange *x)
{
    enum entry_type type = x->answer->type;
    drop_item(&x->answer);
    drop_item(&x->logged);
    YZ_TRY(yzi_broker_log_request(b, x));
    return log_answer(b, x, type);
}

static void on_answer_logged(struct broker *b, struct exchange *x, int rc)
{
    bool apart = rc == YZ_OK && x->logged && x->logged->log != x->answer->log;
    if (apart) {
        rc = log_again(b, x);
    }
    if (rc < 0) {
        give_up(b, x);
    }
    if (rc < 0 || apart) {
        return;
    }
    deliver(b, x);
}

/* Counted again. It may have become an entry after all: then it is told twice, which is better than
 * never. */
static void count_again(struct broker *b, const struct evidence_item *item)
{
    struct refusals r;
    if (yzi_refusals_parse(yzi_bytes_buf(&item->body), &r) < 0) {
        return;
    }
    struct node_load *load = yzi_connections_load(&b->connections, r.node.v);
    for (unsigned i = 0; load && i < r.counts_n; i++) {
        load->refused_from =
            load->refused_n && load->refused_from < r.from ? load->refused_from : r.from;
        load->refused_until = load->refused_until > r.until ? load->refused_until : r.until;
        load->refused_n += r.counts[i].count;
        load->refused[r.counts[i].status] += r.counts[i].count;
    }
}

/* What is logged beside exchanges and has failed is logged again when the log is up. */
static void log_later(struct broker *b, const struct evidence_item *item)
{
    if (item->type == ENTRY_REFUSALS) {
        count_again(b, item);
    } else if (item->type == ENTRY_DIRECTORY || item->type == ENTRY_REVOCATION) {
        yzi_directory_unref(b->logged_directory);
        b->logged_directory = NULL;
    }
}

void yzi_broker_take_logged(struct broker *b)
{
    struct evidence_item *item;
    while ((item = yzi_evidence_take(b->evidence)) != NULL) {
        struct exchange *x = item->ctx;
        if (x && item == x->logged) {
            on_request_logged(b, x, item->rc);
        } else if (x && item == x->answer) {
            on_answer_logged(b, x, item->rc);
        } else if (!x && item->rc < 0) {
            log_later(b, item);
        }
        yzi_evidence_item_unref(item);
    }
}

/* -- what is logged beside exchanges -- */

void yzi_broker_count_refusal(struct node_load *load, enum outcome_status status, uint64_t wall)
{
    if (!load->refused_n++) {
        load->refused_from = wall;
    }
    load->refused_until = wall;
    load->refused[status < NODE_REFUSALS ? status : 0]++;
}

static int append_body(struct broker *b, enum entry_type type, yz_bytes body)
{
    yz_digest digest;
    yzi_entry_digest(body, &digest);
    struct evidence_item *item;
    YZ_TRY(yzi_evidence_item_new(type, &digest, &item));
    yzi_buf_init(&item->body, body.n);
    int rc = yzi_buf_put(&item->body, body);
    if (rc < 0) {
        yzi_evidence_item_unref(item);
        return rc;
    }
    YZ_TRY(append(b, &item));
    yzi_evidence_item_unref(item); /* nobody waits for it */
    return YZ_OK;
}

/* One node's refusals of the last second. What the log does not take now stays counted. */
static int append_refusals(struct broker *b, yz_bytes node, struct node_load *load)
{
    struct refusals r = {.node = {node}, .from = load->refused_from, .until = load->refused_until};
    for (unsigned i = 1; i < NODE_REFUSALS; i++) {
        if (load->refused[i]) {
            r.counts[r.counts_n].status = (enum outcome_status)i;
            r.counts[r.counts_n++].count = load->refused[i];
        }
    }
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_HEADER_MAX);
    YZ_TRY(yzi_refusals_write(&r, &body));
    YZ_TRY(append_body(b, ENTRY_REFUSALS, yzi_bytes_buf(&body)));
    load->refused_n = 0;
    memset(load->refused, 0, sizeof load->refused);
    return YZ_OK;
}

static void log_refusals(struct broker *b)
{
    for (struct table_item *i = yzi_table_first(&b->connections.loads); i; i = yzi_table_next(i)) {
        struct node_load *load = yzi_table_value(i);
        if (load->refused_n && append_refusals(b, yzi_table_key(i), load) < 0) {
            return; /* in the next second */
        }
    }
}

struct revocations {
    struct broker *b;
    const struct directory *before; /* what it lists is logged already; NULL: nothing is */
};

static int find_record(void *ctx, const struct record *r)
{
    return yzi_bytes_eq(*(yz_bytes *)ctx, r->raw) ? 1 : 0;
}

static int log_revocation(void *ctx, const struct record *r)
{
    struct revocations *v = ctx;
    yz_bytes raw = r->raw;
    if (r->kind != RECORD_REVOCATION ||
        (v->before && yzi_directory_each(v->before, find_record, &raw) == 1)) {
        return YZ_OK;
    }
    return append_body(v->b, ENTRY_REVOCATION, raw);
}

/* The directory in force is in the log, with the revocations that are new in it. When the log takes
 * no more it is tried again in the next second, from the start: an entry twice harms nobody. */
static void log_directory(struct broker *b)
{
    const struct directory *d = b->directory;
    if (!d ||
        (b->logged_directory &&
         yzi_directory_version(d) == yzi_directory_version(b->logged_directory) &&
         yzi_digest_eq(yzi_directory_root_hash(d), yzi_directory_root_hash(b->logged_directory)))) {
        return;
    }
    struct revocations v = {b, b->logged_directory};
    if (append_body(b, ENTRY_DIRECTORY, yzi_directory_manifest(d)) < 0 ||
        yzi_directory_each(d, log_revocation, &v) < 0) {
        return;
    }
    yzi_directory_unref(b->logged_directory);
    yzi_directory_ref(d);
    b->logged_directory = d;
}

void yzi_broker_log_step(struct broker *b)
{
    if (!yzi_evidence_up(b->evidence)) {
        return;
    }
    log_directory(b);
    log_refusals(b);
}

/* -- what peers say of our log -- */

bool yzi_broker_shown(struct broker *b, const struct checkpoint_ref *ref)
{
    struct evidence_status now;
    if (!ref->present || !b->directory) {
        return true;
    }
    yzi_evidence_status(b->evidence, &now);
    if (ref->log == now.log && ref->size < now.size) {
        return true; /* whether it is our history is for the peer to ask */
    }
    if (yzi_checkpoint_ref_verify(&b->shown, b->directory, b->node, b->wall, ref, NULL) < 0) {
        return false; /* not our word */
    }
    int rc = yzi_evidence_shown(b->evidence, ref);
    if (rc == YZ_OK) {
        yzi_log(&EV_LOG_BEHIND, (struct log_field[]){log_num("log", (int64_t)ref->log),
                                                     log_num("shown", (int64_t)ref->size),
                                                     log_num("held", (int64_t)now.size),
                                                     {0}});
    }
    return true;
}
