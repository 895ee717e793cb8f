/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes back: found by its message id, held until our directory is as new as its sender's,
 * verified (keys/verify.h), opened, and only then told. A message that does not verify tells
 * nothing and ends nothing as long as another broker may still bring the true one.
 */
#include "client/engine_internal.h"

/* -- what does not verify -- */

static void bad_answer(struct engine *e, struct call *c, struct peer *p, int code,
                       const char *sentence)
{
    e->counters.rejected++;
    c->asked &= ~(1u << p->index);
    c->failed |= 1u << p->index;
    c->in_doubt = c->in_doubt || c->ask.writes;
    yzi_fail(&c->trouble, code, "the answer that came through %s does not count: %s", p->node,
             sentence);
    if (c->asked || yzi_call_send(e, c)) {
        return;
    }
    yz_error err = c->trouble;
    if (c->fallback) { /* a broker's word that does verify */
        yzi_call_finish(e, c, YZ_OK, YZ_TAKE(c->fallback), NULL);
    } else {
        yzi_call_finish(e, c, code, NULL, &err);
    }
}

static void unverified(struct engine *e, struct call *c, struct peer *p, const char *what, int rc)
{
    static const struct {
        int rc;
        const char *why;
    } words[] = {
        {YZ_ESIGNATURE, "its signature or the digest of its payload is wrong"},
        {YZ_EUNKNOWNKEY, "no live record lists the node or key that signed it"},
        {YZ_EDENIED, "it belongs to another request, or is by a node the request does not name"},
        {YZ_EEXPIRED, "it, or the key that signed it, is not valid now"},
    };
    const char *why = "it is not in the format";
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        why = words[i].rc == rc ? words[i].why : why;
    }
    char sentence[200];
    snprintf(sentence, sizeof sentence, "a %s that does not verify: %s", what, why);
    bad_answer(e, c, p, rc == YZ_ENOMEM ? rc : YZ_ESIGNATURE, sentence);
}

/* -- evidence -- */

/* Does the hop prove that request and answer are in the broker's log? *why says what is wrong when
 * it does not. */
static enum yz_evidence evidence_of(struct engine *e, struct call *c, struct peer *p,
                                    const struct frame *f, enum entry_type type,
                                    const yz_digest *digest, yz_error *why)
{
    struct hop hop;
    struct receipt r;
    int rc = yzi_hop_parse(f->hop, &hop);
    if (rc == YZ_OK && hop.receipt.n == 0) {
        yzi_fail(why, YZ_ERECEIPT, "it came without a receipt of the broker's log");
        return YZ_EVIDENCE_MISSING;
    }
    rc = rc < 0 ? rc : yzi_receipt_parse(hop.receipt, &r);
    if (rc == YZ_OK) {
        const struct receipt_claim claims[] = {{type, digest},
                                               {ENTRY_REQUEST, &c->envelope.digest}};
        rc = yzi_receipt_verify(&p->checkpoints, e->directory, (yz_node_id){yzi_bytes_str(p->node)},
                                yzi_wall_ms(e->o.clock), &r, claims, 2);
    }
    if (rc == YZ_OK && p->session) {
        rc = yzi_session_saw_receipt(p->session, &r); /* equivocation: two logs prove nothing */
    }
    if (rc == YZ_OK) {
        return YZ_EVIDENCE_PROVED;
    }
    yzi_fail(why, YZ_ERECEIPT,
             "its receipt is false: it does not prove that request and answer are in the broker's "
             "log (%s)",
             yz_err_words(rc));
    return YZ_EVIDENCE_FALSE;
}

/* -- responses -- */

/* The adapter no longer has the key it was sealed to, and says which it has: seal once more. */
static void on_stale_key(struct engine *e, struct call *c, struct peer *p,
                         const struct response_header *h)
{
    struct service *s = yzi_services_find(&e->services, c->envelope.header.service);
    if (c->resealed) {
        if (s) {
            s->stale = true; /* the next call asks who has which key */
        }
        yzi_call_fail(e, c, YZ_ESTALEKEY,
                      "the adapter changed its sealing key twice during the call");
        return;
    }
    struct judge j = yzi_engine_judge(e);
    int rc = s ? yzi_service_update(s, h->announcement, h->node, &j) : YZ_OK;
    if (rc == YZ_EROLLBACK || rc == YZ_ENOTFOUND) {
        /* somebody else learned more in the meantime, or the broker orders others now */
        s->stale = rc == YZ_ENOTFOUND;
        rc = YZ_OK;
    }
    if (rc < 0) {
        unverified(e, c, p, "stale-key response", rc);
        return;
    }
    c->resealed = true;
    e->counters.resealed++;
    yzi_call_restart(e, c);
}

static void take_response(struct engine *e, struct call *c, struct peer *p,
                          const struct verified_response *r)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    yzi_buf_init(&text, YZ_PLAIN_MAX);
    struct plain plain;
    yz_error err = {0};
    yz_answer *answer = NULL;
    enum yz_evidence evidence = evidence_of(e, c, p, &r->frame, ENTRY_RESPONSE, &r->digest, &err);
    if (evidence != YZ_EVIDENCE_PROVED && e->o.config->receipts == RECEIPTS_REQUIRE) {
        bad_answer(e, c, p, YZ_ERECEIPT, err.text);
        return;
    }
    int rc = yzi_envelope_open(e->sealer, &c->envelope, &r->header, r->frame.payload, &text, &plain,
                               &err);
    if (rc == YZ_OK) {
        rc = yzi_answer_of_provider(&r->header, &plain, &text, &answer, &err);
    }
    if (rc < 0) {
        bool ours = rc == YZ_ENOMEM || rc == YZ_EMALFORMED;
        bad_answer(e, c, p, ours ? rc : YZ_ESIGNATURE, err.text[0] ? err.text : yz_err_words(rc));
        return;
    }
    answer->evidence = evidence;
    struct plain opened; /* the answer has taken the buffer */
    answer->kept = yzi_plain_parse(yzi_bytes_buf(&answer->plain), &opened) == YZ_OK &&
                   yzi_engine_keep(e, c, p, &r->frame, &opened, r->header.node);
    yzi_copy_answered(e, c, p);
    yzi_call_finish(e, c, YZ_OK, answer, NULL);
}

/* What the adapter saw of our brokers' logs, as the consumer's own headers say what we saw. */
static void see_log(struct engine *e, const struct response_header *h)
{
    char from[YZ_ID_MAX + 1];
    snprintf(from, sizeof from, "%.*s", (int)h->node.v.n, (const char *)h->node.v.p);
    for (unsigned i = 0; h->has_broker && i < e->peers_n; i++) {
        struct peer *p = &e->peers[i];
        if (p->session && yzi_bytes_eq_str(h->broker.node.v, p->node)) {
            yz_ignore(yzi_session_saw(p->session, &h->broker.checkpoint, from),
                      "what is no word of the broker's changes nothing; a conviction is an alarm");
        }
    }
}

static void judge_response(struct engine *e, struct call *c, struct peer *p, const struct frame *f)
{
    struct judge j = yzi_engine_judge(e);
    struct verified_response r;
    int rc =
        yzi_response_verify(&j, &p->roots, f, &c->envelope.header, &c->envelope.digest, NULL, &r);
    if (rc < 0) {
        unverified(e, c, p, "response", rc);
    } else if (r.header.status == RESPONSE_STALE_KEY) {
        on_stale_key(e, c, p, &r.header);
    } else {
        see_log(e, &r.header);
        take_response(e, c, p, &r);
    }
}

/* -- outcomes -- */

/* Said about this broker and its connections rather than about the request: another may do better.
 * Of a write that was passed on and not answered, too: the adapter may be there, and tell it what
 * became of the very same bytes. */
static bool is_local(const struct outcome_header *h, const struct call *c)
{
    return h->status == OUTCOME_UNAVAILABLE || h->status == OUTCOME_STALE_DIRECTORY ||
           (h->status == OUTCOME_TIMEOUT && c->ask.writes) ||
           (h->status == OUTCOME_BUSY && yzi_bytes_eq_str(h->reason, YZ_REASON_CONSUMER_QUEUE));
}

static void judge_outcome(struct engine *e, struct call *c, struct peer *p, const struct frame *f)
{
    struct judge j = yzi_engine_judge(e);
    struct verified_outcome o;
    int rc = yzi_outcome_verify(&j, f, &c->envelope.header, &c->envelope.digest, &o);
    if (rc == YZ_OK && !yzi_bytes_eq_str(o.header.node.v, p->node)) {
        rc = YZ_EDENIED; /* another broker's word is not this one's to bring */
    }
    if (rc < 0) {
        unverified(e, c, p, "broker's outcome", rc);
        return;
    }
    yz_answer *answer;
    rc = yzi_answer_of_broker(&o.header, &answer);
    if (rc < 0) {
        yzi_call_fail(e, c, rc, "no memory for the answer");
        return;
    }
    answer->evidence = evidence_of(e, c, p, f, ENTRY_OUTCOME, &o.digest, NULL);
    struct service *s = yzi_services_find(&e->services, c->envelope.header.service);
    bool local = is_local(&o.header, c);
    if (s && o.header.status != OUTCOME_BUSY &&
        (local || o.header.status == OUTCOME_UNKNOWN_SERVICE)) {
        s->stale = true; /* what we knew led here */
    }
    c->asked &= ~(1u << p->index);
    c->failed |= 1u << p->index;
    c->in_doubt = c->in_doubt || (c->ask.writes && o.header.status == OUTCOME_TIMEOUT);
    if (c->asked || (local && yzi_call_send(e, c))) { /* another may do better */
        yz_answer_free(c->fallback);
        c->fallback = answer;
        return;
    }
    answer->kept = yzi_engine_keep(e, c, p, f, NULL, o.header.node);
    yzi_call_finish(e, c, YZ_OK, answer, NULL);
}

/* -- finding the call -- */

static void judge(struct engine *e, struct call *c, struct peer *p, const struct frame *f)
{
    uint64_t age = 0;
    if (yzi_trust_state(e->o.trust, &age) == TRUST_EXPIRED) {
        char why[TRUST_EXPIRED_TEXT];
        yzi_trust_expired_text(age, why);
        yzi_call_fail(e, c, YZ_EEXPIRED, "an answer came, and cannot be judged: %s", why);
    } else if (f->kind == FRAME_RESPONSE) {
        judge_response(e, c, p, f);
    } else {
        judge_outcome(e, c, p, f);
    }
}

struct returned {
    yz_uuid message_id;
    uint64_t directory_version;
};

static bool peek(const struct frame *f, struct returned *out)
{
    if (f->kind == FRAME_RESPONSE) {
        struct response_header h;
        if (yzi_response_header_parse(f->header, &h) == YZ_OK) {
            *out = (struct returned){h.message_id, h.directory_version};
            return true;
        }
    } else if (f->kind == FRAME_OUTCOME) {
        struct outcome_header h;
        if (yzi_outcome_header_parse(f->header, &h) == YZ_OK) {
            *out = (struct returned){h.message_id, h.directory_version};
            return true;
        }
    }
    return false;
}

/* The sender knows a newer directory than we do: it is on its way to us. False when there is no
 * room: nothing of the message is verified yet, and whoever brings it can bring one for each call.
 */
static bool park(struct engine *e, struct call *c, struct peer *p, struct message *m)
{
    struct message *parked = &c->parked[p->index];
    size_t others = e->parked_bytes - parked->bytes.n;
    if (m->bytes.n > ENGINE_PARKED_MAX - others) {
        return false;
    }
    yzi_message_fini(parked);
    yzi_message_move(parked, m);
    e->parked_bytes = others + parked->bytes.n;
    e->counters.waited++;
    if (c->parked_until == 0) {
        c->parked_until = yzi_engine_now(e) + LAG_MS;
        yzi_call_set_timer(e, c);
    }
    return true;
}

void yzi_engine_on_frame(struct engine *e, struct peer *p, const struct frame *f, struct message *m)
{
    struct returned r;
    if (!peek(f, &r)) {
        e->counters.rejected++;
        return;
    }
    struct call *c = yzi_table_get(&e->by_id, yzi_bytes_uuid(&r.message_id));
    if (!c) {
        e->counters.late++;
        return;
    }
    if (!(c->asked & (1u << p->index))) {
        e->counters.unasked++;
        return;
    }
    if (r.directory_version <= yzi_directory_version(e->directory) || !park(e, c, p, m)) {
        judge(e, c, p, f);
    }
}

/* Judge the parked answer of one peer, if there is one and it need not wait. False when the call
 * may have ended. */
static bool unpark_one(struct engine *e, struct call *c, unsigned peer, bool now)
{
    struct frame f;
    struct returned r;
    if (!c->parked[peer].live ||
        yzi_frame_parse(c->parked[peer].bytes, e->o.config->message, &f) < 0 || !peek(&f, &r) ||
        (!now && r.directory_version > yzi_directory_version(e->directory))) {
        return true;
    }
    YZ_AUTO(yzi_message_fini) struct message m = {0};
    yzi_message_move(&m, &c->parked[peer]);
    e->parked_bytes -= m.bytes.n;
    if (yzi_frame_parse(m.bytes, e->o.config->message, &f) < 0) { /* it has moved */
        return true;
    }
    judge(e, c, &e->peers[peer], &f);
    return false;
}

void yzi_call_unpark(struct engine *e, struct call *c, bool now)
{
    if (!c->parked_until) {
        return;
    }
    yz_uuid id = c->envelope.header.message_id;
    for (unsigned i = 0; i < e->peers_n; i++) {
        if (!unpark_one(e, c, i, now) && yzi_table_get(&e->by_id, yzi_bytes_uuid(&id)) != c) {
            return; /* it ended, or goes on with another message */
        }
    }
    bool left = false;
    for (unsigned i = 0; i < e->peers_n; i++) {
        left = left || c->parked[i].live;
    }
    if (!left) {
        c->parked_until = 0;
        yzi_call_set_timer(e, c);
    }
}
