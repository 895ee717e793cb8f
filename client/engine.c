/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions, time, and the way of a call up to its being sent.
 *
 * Whatever a waiting call waits for sets `dirty` when it changes; the step then looks at each of
 * them again (advance). A call is in exactly one of two lists, and in the table by its message id
 * while a message of it exists. `done` is the last thing that happens to it.
 */
#include "client/engine_internal.h"

/* -- lists -- */

static void list_add(struct call_list *l, struct call *c)
{
    c->prev = l->tail;
    c->next = NULL;
    *(l->tail ? &l->tail->next : &l->head) = c;
    l->tail = c;
    l->n++;
}

static void list_remove(struct call_list *l, struct call *c)
{
    *(c->prev ? &c->prev->next : &l->head) = c->next;
    *(c->next ? &c->next->prev : &l->tail) = c->prev;
    c->prev = c->next = NULL;
    l->n--;
}

static struct call_list *list_of(struct engine *e, const struct call *c)
{
    return c->state == CALL_SENT ? &e->sent : &e->waiting;
}

static void set_state(struct engine *e, struct call *c, enum call_state state)
{
    if (c->state != state) {
        list_remove(list_of(e, c), c);
        c->state = state;
        list_add(list_of(e, c), c);
    }
}

void yzi_engine_recheck(struct engine *e, uint64_t at)
{
    if (at < e->recheck_at) {
        e->recheck_at = at;
    }
}

/* -- the end of a call -- */

static void drop_parked(struct engine *e, struct call *c)
{
    for (unsigned i = 0; i < YZ_BROKERS_MAX; i++) {
        e->parked_bytes -= c->parked[i].bytes.n;
        yzi_message_fini(&c->parked[i]);
    }
    c->parked_until = 0;
}

void yzi_call_set_want(struct engine *e, struct call *c, bool wants_copy)
{
    e->wanting += wants_copy;
    e->wanting -= c->wants_copy;
    c->wants_copy = wants_copy;
}

static void drop_message(struct engine *e, struct call *c)
{
    if (c->made) {
        (void)yzi_table_remove(&e->by_id, yzi_bytes_uuid(&c->envelope.header.message_id));
        e->bytes -= c->envelope.frame.n;
        yzi_envelope_fini(e->sealer, &c->envelope);
        c->made = false;
    }
    drop_parked(e, c);
    yzi_call_set_want(e, c, false);
    c->asked = c->on_budget = 0;
    c->another_at = 0;
}

static void free_call(struct call *c)
{
    yzi_ask_fini(&c->ask);
    yz_answer_free(c->fallback);
    free(c);
}

void yzi_call_finish(struct engine *e, struct call *c, int rc, yz_answer *answer,
                     const yz_error *err)
{
    uint64_t elapsed = yzi_engine_now(e) - c->submitted;
    /* whoever has it yet may pass it on, whatever another broker said of it */
    c->in_doubt = c->in_doubt || (c->ask.writes && c->asked);
    yzi_service_leave(c);
    drop_message(e, c);
    yzi_deadlines_remove(&e->timers, &c->timer);
    list_remove(list_of(e, c), c);
    if (answer && c->in_doubt) {
        yzi_answer_doubt(answer);
    }
    if (answer) {
        answer->elapsed_ms = elapsed < UINT32_MAX ? (uint32_t)elapsed : UINT32_MAX;
    }
    if (c->handle) {
        c->handle->call = NULL; /* `done` may free it */
    }
    c->done(c->ctx, rc, answer, err);
    free_call(c);
}

void yzi_call_fail(struct engine *e, struct call *c, int code, const char *fmt, ...)
{
    yz_error err = {.code = code};
    va_list args;
    va_start(args, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, args);
    va_end(args);
    yzi_call_finish(e, c, code, NULL, &err);
}

void yzi_call_restart(struct engine *e, struct call *c)
{
    drop_message(e, c);
    c->sends = 0;
    c->failed = 0;
    c->in_doubt = false; /* stale-key: the adapter says that it was not executed */
    set_state(e, c, CALL_WAITS);
    e->dirty = true;
}

static uint64_t elapsed_of(const struct engine *e, const struct call *c)
{
    return yzi_engine_now(e) - c->submitted;
}

/* Its time is over: say how far it got. */
static void time_out(struct engine *e, struct call *c)
{
    char down[300];
    const char *because = c->trouble.text[0] ? "; " : "";
    unsigned long long ms = elapsed_of(e, c);
    yzi_copy_not_answered(e, c);
    if (c->fallback) {
        yzi_call_finish(e, c, YZ_OK, YZ_TAKE(c->fallback), NULL);
        return;
    }
    yzi_peers_say_down(e, down, sizeof down);
    if (c->state == CALL_SENT) {
        char id[YZ_UUID_TEXT];
        yzi_uuid_format(&c->envelope.header.message_id, id);
        yzi_call_fail(e, c, YZ_ETIMEOUT,
                      "sent as %s (%u times) and not answered within %llu ms (%s)%s%s", id,
                      c->sends, ms, down, because, c->trouble.text);
    } else if (!yzi_peers_first(e, 0)) {
        yzi_call_fail(e, c, c->probe ? YZ_ETIMEOUT : YZ_EUNAVAILABLE,
                      "not connected to any broker within %llu ms (%s)", ms, down);
    } else if (!e->directory) {
        yzi_call_fail(e, c, c->probe ? YZ_ETIMEOUT : YZ_EUNAVAILABLE,
                      "connected, but no broker gave a directory that verifies within %llu ms (%s)",
                      ms, down);
    } else if (c->service) {
        yzi_call_fail(
            e, c, YZ_ETIMEOUT,
            "asked for the service's offer, and had none that verifies within %llu ms%s%s", ms,
            because, c->trouble.text);
    } else {
        yzi_call_fail(e, c, YZ_ETIMEOUT, "not sent within %llu ms (%s)%s%s", ms, down, because,
                      c->trouble.text);
    }
}

void yzi_call_set_timer(struct engine *e, struct call *c)
{
    uint64_t at = c->deadline;
    if (c->parked_until && c->parked_until < at) {
        at = c->parked_until;
    }
    if (c->another_at && c->another_at < at) {
        at = c->another_at;
    }
    /* it is in the heap since it was submitted, so moving it cannot fail */
    yz_ignore(yzi_deadlines_set(&e->timers, &c->timer, at, c), "moved, not inserted");
}

/* -- sending -- */

/* Leave the broker time to say `timeout` itself, signed, before ours is over. */
static uint32_t life_of(const struct engine *e, const struct call *c)
{
    uint64_t now = yzi_engine_now(e);
    uint64_t left = c->deadline > now ? c->deadline - now : 0;
    uint64_t margin = left / 10 < 500 ? left / 10 : 500;
    return (uint32_t)(left - margin);
}

static bool has_expired(const struct engine *e, const struct call *c)
{
    return yzi_wall_ms(e->o.clock) > c->envelope.header.expires_at;
}

static bool send_to(struct engine *e, struct call *c, struct peer *p)
{
    yz_bytes frame = yzi_bytes_buf(&c->envelope.frame);
    if (p->message_max && frame.n > p->message_max) {
        yzi_fail(&c->trouble, YZ_ETOOBIG, "the message has %zu bytes and %s takes at most %u",
                 frame.n, p->node, p->message_max);
        c->failed |= 1u << p->index;
        return false;
    }
    int rc = yzi_session_send(p->session, frame);
    if (rc < 0) {
        yzi_fail(&c->trouble, rc, "%s: the message could not be handed over (%s)", p->node,
                 yz_err_words(rc));
        if (rc != YZ_EAGAIN && rc != YZ_EUNAVAILABLE) {
            c->failed |= 1u << p->index;
        }
        yzi_engine_recheck(e, yzi_engine_now(e) + RETRY_MS);
        return false;
    }
    c->asked |= 1u << p->index;
    c->sent_at[p->index] = yzi_engine_now(e);
    yzi_copy_watch(e, c);
    e->counters.sent++;
    if (c->sends++ > 0) {
        e->counters.resent++;
    } else {
        yzi_copy_sent(e, c);
    }
    set_state(e, c, CALL_SENT);
    return true;
}

bool yzi_call_send(struct engine *e, struct call *c)
{
    unsigned not_these = c->asked | c->failed;
    struct peer *p;
    if (c->sends >= SENDS_MAX || has_expired(e, c)) {
        return false;
    }
    if (c->sends == 0 && !not_these && (p = yzi_peers_on_trial(e)) != NULL) {
        if (send_to(e, c, p)) {
            return true;
        }
        not_these |= 1u << p->index;
    }
    while ((p = yzi_peers_first(e, not_these)) != NULL) {
        if (send_to(e, c, p)) {
            return true;
        }
        not_these |= 1u << p->index;
    }
    return false;
}

/* Nothing that is up takes it. Final when each that is up said so for good. */
static void send_or_wait(struct engine *e, struct call *c)
{
    if (yzi_call_send(e, c)) {
        return;
    }
    if (!yzi_peers_first(e, c->failed) && yzi_peers_first(e, 0)) {
        yz_error err = c->trouble;
        yzi_call_finish(e, c, err.code, NULL, &err);
    }
}

static int keep_message(struct engine *e, struct call *c)
{
    YZ_ENSURE(e->bytes + c->envelope.frame.n <= ENGINE_BYTES_MAX, YZ_EBUSY);
    YZ_TRY(yzi_table_put(&e->by_id, yzi_bytes_uuid(&c->envelope.header.message_id), c));
    e->bytes += c->envelope.frame.n;
    c->made = true;
    return YZ_OK;
}

static void make_and_send(struct engine *e, struct call *c, struct service *s)
{
    uint32_t life = life_of(e, c);
    if (life < LIFE_MIN_MS) {
        return; /* the timer says the rest */
    }
    for (unsigned i = 0; i < e->peers_n; i++) {
        struct checkpoint_ref seen = {0};
        if (e->peers[i].session) {
            seen = yzi_session_checkpoint(e->peers[i].session);
        }
        yzi_sealer_saw(e->sealer, i, &seen);
    }
    int rc = yzi_envelope_make(e->sealer, &c->ask, s, yzi_directory_version(e->directory), life,
                               &c->conversation, &c->envelope);
    if (rc == YZ_OK) {
        rc = keep_message(e, c);
        if (rc < 0) {
            yzi_envelope_fini(e->sealer, &c->envelope);
        }
    }
    switch (rc) {
    case YZ_OK:
        send_or_wait(e, c);
        return;
    case YZ_EUNAVAILABLE:
        s->stale = true;
        yzi_call_fail(e, c, rc, "%s",
                      c->ask.node.n ? "the adapter that gave the cursor is away; try again later, "
                                      "or ask from the start"
                                    : "no adapter of the service has announced a key that is valid "
                                      "now");
        return;
    case YZ_ETOOBIG:
        yzi_call_fail(e, c, rc, "the request is larger than a message may be");
        return;
    case YZ_EBUSY:
        yzi_call_fail(e, c, rc, "too many bytes are under way");
        return;
    default:
        yzi_call_fail(e, c, rc, "the request could not be sealed and signed (%s)",
                      yz_err_words(rc));
        return;
    }
}

/* -- the way of a call -- */

/* Is there a directory to act by? Calls that cannot be told yes wait; those that can be told no end
 * (true: the call goes on). */
static bool may_act(struct engine *e, struct call *c)
{
    struct peer *p = yzi_peers_first(e, 0);
    if (!p || !e->directory) {
        return false;
    }
    uint64_t age = 0;
    if (yzi_trust_state(e->o.trust, &age) != TRUST_EXPIRED) {
        return true;
    }
    uint64_t now = yzi_engine_now(e);
    if (now - p->up_since < LAG_MS) {
        yzi_engine_recheck(e, p->up_since + LAG_MS); /* freshness is on its way */
        return false;
    }
    char why[TRUST_EXPIRED_TEXT];
    yzi_trust_expired_text(age, why);
    yzi_call_fail(e, c, YZ_EEXPIRED, "%s: no call is made by it", why);
    return false;
}

/* Do what can be done for a waiting call now. It may end. */
static void advance(struct engine *e, struct call *c)
{
    if (!may_act(e, c)) {
        return;
    }
    if (c->probe) {
        yzi_call_finish(e, c, YZ_OK, NULL, NULL);
        return;
    }
    if (c->made) {
        send_or_wait(e, c);
        return;
    }
    struct service *s;
    int rc = yzi_services_get(&e->services, c->ask.service, &s);
    if (rc < 0) {
        yzi_call_fail(e, c, rc, "no room to know another service (%s)", yz_err_words(rc));
        return;
    }
    if (!yzi_service_is_fresh(s, yzi_engine_now(e))) {
        yzi_service_wait(e, c, s);
        return;
    }
    yzi_service_leave(c);
    make_and_send(e, c, s);
}

static void advance_all(struct engine *e)
{
    struct call *next;
    for (struct call *c = e->waiting.head; c; c = next) {
        next = c->next;
        advance(e, c);
    }
}

/* Sent calls whose broker went away: the same bytes again, to it or to another. What a broker said
 * in the meantime is better than waiting for one to come back. */
static void resend_stranded(struct engine *e)
{
    struct call *next;
    e->stranded = false;
    for (struct call *c = e->sent.head; c; c = next) {
        next = c->next;
        if (c->asked || yzi_call_send(e, c)) {
            continue;
        }
        if (c->fallback) {
            yzi_call_finish(e, c, YZ_OK, YZ_TAKE(c->fallback), NULL);
        } else {
            e->stranded = true;
        }
    }
}

void yzi_engine_submit(struct engine *e, struct call_order *order)
{
    yz_error err = {0};
    struct call *c = NULL;
    int rc = YZ_OK;
    if (order->handle && order->handle->cancelled) {
        rc = yzi_fail(&err, YZ_ECANCELLED, "cancelled; nothing was sent");
    } else if (e->waiting.n + e->sent.n >= ENGINE_CALLS_MAX) {
        rc = yzi_fail(&err, YZ_EBUSY, "%u calls are under way", ENGINE_CALLS_MAX);
    } else if ((rc = yzi_alloc(1, sizeof *c, &c)) == YZ_OK) {
        rc = yzi_deadlines_set(&e->timers, &c->timer, UINT64_MAX, c);
    }
    if (rc < 0) {
        if (!err.text[0]) {
            yzi_fail(&err, rc, "out of memory");
        }
        free(c);
        yzi_ask_fini(&order->ask);
        order->done(order->ctx, rc, NULL, &err);
        return;
    }
    c->ask = order->ask;
    order->ask = (struct ask){0};
    c->probe = order->probe;
    c->done = order->done;
    c->ctx = order->ctx;
    c->handle = order->handle;
    if (c->handle) {
        c->handle->call = c;
    }
    c->submitted = order->submitted;
    uint64_t timeout = order->probe        ? order->timeout_ms
                       : c->ask.timeout_ms ? c->ask.timeout_ms
                                           : e->o.config->timeout;
    c->deadline = c->submitted + timeout;
    list_add(&e->waiting, c);
    yzi_call_set_timer(e, c);
    advance(e, c);
}

void yzi_engine_cancel(struct engine *e, struct call_handle *handle)
{
    struct call *c = handle->call;
    if (!c) {
        handle->cancelled = true;
    } else if (c->sends > 0) {
        char id[YZ_UUID_TEXT];
        yzi_uuid_format(&c->envelope.header.message_id, id);
        yzi_call_fail(e, c, YZ_ECANCELLED, "cancelled; it was sent as %s and may be executed", id);
    } else {
        yzi_call_fail(e, c, YZ_ECANCELLED, "cancelled; nothing was sent%s",
                      c->resealed ? " with the adapter's new key" : "");
    }
}

/* -- what sessions say -- */

static void on_up(void *ctx, struct session *session, const struct welcome *w)
{
    (void)session;
    struct peer *p = ctx;
    struct engine *e = p->engine;
    p->up = true;
    p->up_since = yzi_engine_now(e);
    p->doubted_at = p->lost = 0;
    p->message_max = w->message_max;
    e->dirty = true;
}

static void on_down(void *ctx, struct session *session, const char *reason)
{
    (void)session;
    struct peer *p = ctx;
    struct engine *e = p->engine;
    unsigned bit = 1u << p->index;
    p->up = false;
    snprintf(p->why_down, sizeof p->why_down, "%s", reason);
    p->alarm[0] = 0; /* it was about the connection that is gone */
    e->dirty = true;
    e->stranded = true;
    yzi_services_lost(e, p->index);
    for (struct call *c = e->sent.head; c; c = c->next) {
        c->in_doubt = c->in_doubt || (c->ask.writes && c->asked & bit);
        c->asked &= ~bit;
        c->on_budget &= ~bit;
    }
}

static void on_frame(void *ctx, struct session *session, const struct frame *f, struct message *m)
{
    (void)session;
    struct peer *p = ctx;
    yzi_engine_on_frame(p->engine, p, f, m);
}

static void on_object(void *ctx, struct session *session, const struct object *o, yz_bytes payload)
{
    (void)session;
    struct peer *p = ctx;
    if (o->what == FETCH_SERVICE) {
        yzi_services_object(p->engine, p, o, payload);
    } else if (p->engine->on_object) {
        p->engine->on_object(p->engine->on_object_ctx, p, o, payload);
    }
}

static void on_put_result(void *ctx, struct session *session, const struct put_result *r)
{
    (void)ctx;
    (void)session;
    (void)r; /* a client puts nothing of its own */
}

static void on_trust_changed(void *ctx, struct session *session)
{
    (void)session;
    struct peer *p = ctx;
    struct engine *e = p->engine;
    const struct directory *now = yzi_trust_directory(e->o.trust);
    bool other = now != e->directory;
    yzi_directory_unref(e->directory);
    e->directory = now;
    e->dirty = true;
    if (!other) {
        return; /* freshness alone */
    }
    yzi_services_directory_changed(e);
    yzi_peers_rekey(e);
    struct call *next;
    for (struct call *c = e->sent.head; c; c = next) {
        next = c->next;
        yzi_call_unpark(e, c, false);
    }
}

static void on_alarm(void *ctx, struct session *session, const yz_error *err)
{
    (void)session;
    struct peer *p = ctx;
    p->engine->counters.alarms++;
    snprintf(p->alarm, sizeof p->alarm, "%.299s", err->text);
}

const struct session_handler yzi_engine_session_handler = {
    .up = on_up,
    .down = on_down,
    .frame = on_frame,
    .object = on_object,
    .put_result = on_put_result,
    .trust_changed = on_trust_changed,
    .alarm = on_alarm,
};

/* -- time -- */

static void run_timers(struct engine *e, uint64_t now)
{
    struct call *c;
    while ((c = yzi_deadlines_take(&e->timers, now)) != NULL) {
        if (now >= c->deadline) {
            time_out(e, c);
            continue;
        }
        /* taken out of the heap, so this inserts; there is room, for one was just taken */
        yz_ignore(yzi_deadlines_set(&e->timers, &c->timer, c->deadline, c), "room was made");
        if (c->another_at && now >= c->another_at) {
            yzi_copy_due(e, c);
        }
        if (c->parked_until && now >= c->parked_until) {
            yzi_call_unpark(e, c, true);
        }
    }
}

/* -- the engine -- */

int yzi_engine_new(const struct engine_options *o, struct engine **out, yz_error *err)
{
    struct engine *e;
    YZ_TRY(yzi_alloc(1, sizeof *e, &e));
    e->o = *o;
    e->recheck_at = UINT64_MAX;
    e->directory = yzi_trust_directory(o->trust);
    struct sealer_options s = {.node = o->config->node_id,
                               .subsystem = o->config->subsystem_id,
                               .brokers_n = o->config->peers_n,
                               .signing = o->signing,
                               .clock = o->clock,
                               .message_max = o->config->message,
                               .keeps_plain = o->kept != NULL};
    for (unsigned i = 0; i < o->config->peers_n; i++) {
        s.brokers[i] = o->config->peers[i].node;
    }
    int rc = yzi_sealer_new(&s, &e->sealer);
    if (rc < 0) {
        rc = yzi_fail(err, rc,
                      "no memory for sealing keys (%s): raise the limit of locked memory, "
                      "or set lock_secrets: false",
                      yz_err_words(rc));
    } else {
        rc = yzi_peers_open(e, err);
    }
    if (rc < 0) {
        yzi_engine_free(e);
        return rc;
    }
    *out = e;
    return YZ_OK;
}

static void close_calls(struct engine *e, struct call_list *l)
{
    while (l->head) {
        yzi_call_fail(e, l->head, YZ_ECLOSED, "the client was closed");
    }
}

void yzi_engine_free(struct engine *e)
{
    if (!e) {
        return;
    }
    yzi_peers_close(e);
    close_calls(e, &e->waiting);
    close_calls(e, &e->sent);
    yzi_services_fini(&e->services);
    yzi_table_fini(&e->by_id, NULL);
    yzi_deadlines_fini(&e->timers);
    yzi_sealer_free(e->sealer);
    yzi_directory_unref(e->directory);
    free(e);
}

size_t yzi_engine_poll_entries(struct engine *e, struct poll_entry out[ENGINE_POLL_ENTRIES])
{
    size_t n = 0;
    for (unsigned i = 0; i < e->peers_n; i++) {
        if (e->peers[i].session) {
            yzi_session_poll_entries(e->peers[i].session, out + n);
            n += LINK_POLL_ENTRIES;
        }
    }
    return n;
}

uint64_t yzi_engine_deadline(const struct engine *e)
{
    if (e->dirty || (e->copies_back && e->wanting)) {
        return 0;
    }
    uint64_t at = yzi_deadlines_next(&e->timers);
    at = e->recheck_at < at ? e->recheck_at : at;
    for (unsigned i = 0; i < e->peers_n; i++) {
        uint64_t session = e->peers[i].session ? yzi_session_deadline(e->peers[i].session) : at;
        at = session < at ? session : at;
    }
    return at;
}

static void step_peer(struct peer *p, bool *out_more)
{
    int rc = p->session ? yzi_session_step(p->session, out_more) : YZ_OK;
    if (rc < 0) {
        if (p->up) {
            on_down(p, p->session, yz_err_words(rc));
        }
        yzi_peer_give_up(p, yz_err_words(rc));
    }
}

void yzi_engine_step(struct engine *e, bool *out_more)
{
    *out_more = false;
    uint64_t now = yzi_engine_now(e);
    if (now >= e->recheck_at) { /* whoever still wants one says so again below */
        e->recheck_at = UINT64_MAX;
        e->dirty = true;
        yzi_services_expire(e, now);
    }
    yzi_peers_renew(e);
    for (unsigned i = 0; i < e->peers_n; i++) {
        bool more = false;
        step_peer(&e->peers[i], &more);
        *out_more = *out_more || more;
    }
    run_timers(e, yzi_engine_now(e));
    yzi_engine_keep_step(e);
    if (e->dirty) {
        e->dirty = false;
        if (e->stranded) {
            resend_stranded(e);
        }
        advance_all(e);
    }
    yzi_copies_give(e);
}

void yzi_engine_counters(const struct engine *e, struct engine_counters *out)
{
    *out = e->counters;
}

size_t yzi_engine_calls(const struct engine *e)
{
    return e->waiting.n + e->sent.n;
}
