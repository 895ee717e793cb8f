/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection's half of a session: hello and welcome, heartbeats, silence, and who gets which
 * frame. What a broker may send is one table; the rest is a complaint.
 *
 *   down ──connected──▶ greeting ──welcome of the broker meant──▶ up
 *     ◀── lost, refused, silent, goodbye, another broker, no welcome in time ──
 */
#include "net/session.h"

#include <string.h>

#include "net/session_internal.h"

#define BEAT_ADAPTER_MS 2000u
#define BEAT_CLIENT_MS 30000u
#define BEAT_LEAST_MS 250u   /* a broker that asks for more often is not obeyed */
#define BEAT_MOST_MS 300000u /* nor is one that wants not to be missed for longer */
#define BEATS_MISSED 3u
#define WELCOME_MS 10000u /* for the welcome to follow the hello */
#define HELD_RETRY_MS 10u
#define MESSAGES_PER_STEP 64u
#define ALARMS_PER_MINUTE 20u
#define MINUTE_MS 60000u
#define FAREWELL_MS 200u /* for the goodbye to leave */
#define JUDGE_MS                                                                                   \
    1000u /* how long a look at the directory holds: some revocations are dated ahead */

#define REASON_UNREACHABLE "the broker cannot be reached"
#define REASON_LOST "the connection to the broker was lost"
#define REASON_REFUSED "the broker does not know this key"
#define REASON_SILENT "the broker has fallen silent"
#define REASON_NO_WELCOME "the broker does not welcome this node"
#define REASON_OTHER "this is another broker than the one meant"
/* What the system may queue of requests: what a broker has no time to read waits here where it can
 * be counted, and is refused while it is new. */
#define REQUESTS_AHEAD (128 * 1024)
#define REASON_BYE "the broker said goodbye"
#define REASON_ADAPTERS_ONLY "that endpoint of the broker is for adapters only"
#define REASON_FORKED "the broker signed two histories of its log"
#define REASON_REVOKED "the broker, or its key, is revoked"

static uint64_t now_ms(const struct session *s)
{
    return yzi_mono_ms(s->o.link.clock);
}

static uint32_t own_beat(const struct session *s)
{
    if (s->o.heartbeat_ms) {
        return s->o.heartbeat_ms;
    }
    return s->o.role == ROLE_ADAPTER ? BEAT_ADAPTER_MS : BEAT_CLIENT_MS;
}

/* -- telling the owner -- */

void yzi_session_alarm(struct session *s, int code, const char *what, const yz_error *err)
{
    uint64_t now = now_ms(s);
    yz_error e = {.code = code};
    if (now >= s->alarms_until) {
        unsigned left_out = s->alarms_left_out;
        s->alarms = s->alarms_left_out = 0;
        s->alarms_until = now + MINUTE_MS;
        if (left_out && s->o.handler.alarm) {
            yzi_fail(&e, YZ_EBUSY, "%u more alarms about this broker were left out", left_out);
            s->o.handler.alarm(s->o.handler.ctx, s, &e);
        }
    }
    if (s->alarms >= ALARMS_PER_MINUTE) {
        s->alarms_left_out++;
        return;
    }
    s->alarms++;
    yzi_fail(&e, code, "%s: %s", what, err && err->text[0] ? err->text : yz_err_words(code));
    if (s->o.handler.alarm) {
        s->o.handler.alarm(s->o.handler.ctx, s, &e);
    }
}

/* Once per connection: the broker does not keep to the protocol. */
static void complain(struct session *s, int code, const char *kind)
{
    if (!s->complained) {
        s->complained = true;
        yz_error e = {0};
        yzi_fail(&e, code, "%s (%s)", kind, yz_err_words(code));
        yzi_session_alarm(s, code, "the broker does not keep to the protocol", &e);
    }
}

static void go_down(struct session *s, const char *reason)
{
    bool was_up = s->state == SESSION_UP;
    s->state = SESSION_DOWN;
    yzi_message_fini(&s->held);
    yzi_follow_reset(s);
    yzi_log_reset(s);
    bool news = was_up || !s->down_reason || strcmp(s->down_reason, reason) != 0;
    s->down_reason = reason;
    if (news && s->o.handler.down) {
        s->o.handler.down(s->o.handler.ctx, s, reason);
    }
}

static void give_up(struct session *s, const char *reason)
{
    yzi_link_abandon(s->link);
    go_down(s, reason);
}

/* A stolen broker is told nothing more, and nothing it says counts, although the connection stands
 * and its key is the one pinned. That the directory does not list it is no reason: ours may be the
 * older one, and its the one to fetch. */
static bool is_revoked(struct session *s)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    uint64_t mono = now_ms(s), wall = yzi_wall_ms(s->o.link.clock);
    if (d != s->judged_by || mono - s->judged_at >= JUDGE_MS) {
        s->revoked = d && (yzi_directory_node_revoked(d, s->o.broker, wall) ||
                           yzi_directory_key_revoked(d, s->o.link.server_key, wall));
        s->judged_by = d;
        s->judged_at = mono;
    }
    return s->revoked;
}

/* Why nothing is said to this broker any more; NULL when it may be used. */
static const char *shunned(struct session *s)
{
    return is_revoked(s) ? REASON_REVOKED : yzi_log_is_broken(s) ? REASON_FORKED : NULL;
}

/* -- sending -- */

uint32_t yzi_session_token(struct session *s)
{
    if (++s->last_token == 0) {
        s->last_token = 1;
    }
    return s->last_token;
}

int yzi_session_send_out(struct session *s)
{
    YZ_ENSURE(s->out.n <= s->message_max, YZ_ETOOBIG);
    return yzi_link_send(s->link, yzi_bytes_buf(&s->out));
}

static uint64_t directory_version(const struct session *s)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    return d ? yzi_directory_version(d) : 0;
}

static int send_hello(struct session *s)
{
    uint8_t seen[YZ_SEEN_BYTES];
    struct hello h = {.node = s->o.node,
                      .role = s->o.role,
                      .checkpoint = yzi_log_hello(s, seen),
                      .directory_version = directory_version(s),
                      .software = yzi_bytes_str("yizhan " YZ_VERSION),
                      .boot = s->boot};
    yzi_buf_clear(&s->out);
    YZ_TRY(yzi_hello_write(&h, &s->out));
    return yzi_session_send_out(s);
}

static void send_heartbeat(struct session *s)
{
    struct heartbeat h = {.directory_version = directory_version(s),
                          .time = yzi_wall_ms(s->o.link.clock)};
    yzi_buf_clear(&s->out);
    int rc = yzi_heartbeat_write(&h, &s->out);
    if (rc == YZ_OK) {
        rc = yzi_session_send_out(s);
    }
    yz_ignore(rc, "a queue that is full has enough to say for this node");
    s->beat_at = now_ms(s) + s->beat_ms;
}

int yzi_session_takes(struct session *s, size_t bytes)
{
    YZ_ENSURE(s->state == SESSION_UP && !shunned(s), YZ_EUNAVAILABLE);
    YZ_ENSURE(bytes <= s->message_max, YZ_ETOOBIG);
    return YZ_OK;
}

int yzi_session_send(struct session *s, yz_bytes frame)
{
    YZ_TRY(yzi_session_takes(s, frame.n));
    return yzi_link_send(s->link, frame);
}

int yzi_session_ask(struct session *s, enum fetch_what what, yz_bytes name, uint32_t *out_token)
{
    struct fetch f = {.token = yzi_session_token(s), .what = what, .name = name};
    yzi_buf_clear(&s->out);
    YZ_TRY(yzi_fetch_write(&f, &s->out));
    YZ_TRY(yzi_session_send_out(s));
    *out_token = f.token;
    return YZ_OK;
}

int yzi_session_fetch(struct session *s, enum fetch_what what, yz_bytes name, uint32_t *out_token)
{
    YZ_ENSURE(what == FETCH_SERVICE || what == FETCH_OFFER || what == FETCH_CATALOGUE ||
                  what == FETCH_CONSISTENCY || what == FETCH_RECEIPT,
              YZ_EINVAL);
    YZ_ENSURE(s->state == SESSION_UP, YZ_EUNAVAILABLE);
    return yzi_session_ask(s, what, name, out_token);
}

int yzi_session_ask_sign(struct session *s)
{
    uint32_t token;
    YZ_ENSURE(s->state == SESSION_UP, YZ_EUNAVAILABLE);
    return yzi_session_ask(s, FETCH_FRESHNESS, (yz_bytes){0}, &token);
}

int yzi_session_put(struct session *s, yz_bytes records, uint32_t *out_token)
{
    YZ_ENSURE(s->state == SESSION_UP, YZ_EUNAVAILABLE);
    uint32_t token = yzi_session_token(s);
    yzi_buf_clear(&s->out);
    YZ_TRY(yzi_put_write(token, records, &s->out));
    YZ_TRY(yzi_session_send_out(s));
    *out_token = token;
    return YZ_OK;
}

/* -- receiving -- */

static uint32_t bounded_beat(uint32_t ms)
{
    return ms < BEAT_LEAST_MS ? BEAT_LEAST_MS : ms > BEAT_MOST_MS ? BEAT_MOST_MS : ms;
}

static void check_clock(struct session *s, uint64_t broker_time)
{
    uint64_t now = yzi_wall_ms(s->o.link.clock);
    uint64_t apart = now > broker_time ? now - broker_time : broker_time - now;
    if (apart > YZ_SKEW_MS) {
        yz_error e = {0};
        yzi_fail(&e, YZ_EEXPIRED, "they are %llu s apart", (unsigned long long)(apart / 1000));
        yzi_session_alarm(s, YZ_EEXPIRED, "this clock or the broker's is wrong", &e);
    }
}

static int on_welcome(struct session *s, const struct frame *f, struct message *m)
{
    (void)m;
    struct welcome w;
    YZ_TRY(yzi_welcome_parse(f->header, &w));
    if (s->state == SESSION_UP) {
        return YZ_EMALFORMED; /* one per hello */
    }
    if (!yzi_bytes_eq(w.node.v, s->o.broker.v)) {
        yz_error e = {0};
        yzi_fail(&e, YZ_EDENIED, "meant %.*s, found %.*s", (int)s->o.broker.v.n,
                 (const char *)s->o.broker.v.p, (int)w.node.v.n, (const char *)w.node.v.p);
        yzi_session_alarm(s, YZ_EDENIED, REASON_OTHER, &e);
        give_up(s, REASON_OTHER);
        return YZ_OK;
    }
    uint32_t broker_beat = bounded_beat(w.heartbeat_ms);
    s->beat_ms = own_beat(s) < broker_beat ? own_beat(s) : broker_beat;
    s->silence_ms = BEATS_MISSED * broker_beat;
    s->message_max = w.message_max < YZ_MESSAGE_MAX ? w.message_max : YZ_MESSAGE_MAX;
    s->beat_at = now_ms(s) + s->beat_ms;
    s->state = SESSION_UP;
    s->down_reason = NULL;
    check_clock(s, w.time);
    if (s->o.handler.up) {
        s->o.handler.up(s->o.handler.ctx, s, &w);
    }
    yzi_follow_begin(s);
    yzi_follow_heard_version(s, w.directory_version);
    return YZ_OK;
}

static int on_heartbeat(struct session *s, const struct frame *f, struct message *m)
{
    (void)m;
    struct heartbeat h;
    YZ_TRY(yzi_heartbeat_parse(f->header, &h));
    yzi_follow_heard_version(s, h.directory_version);
    return YZ_OK;
}

static int on_object(struct session *s, const struct frame *f, struct message *m)
{
    (void)m;
    struct object o;
    YZ_TRY(yzi_object_parse(f->header, &o));
    if (!yzi_follow_object(s, &o, f->payload) && !yzi_log_object(s, &o, f->payload) &&
        s->o.handler.object) {
        s->o.handler.object(s->o.handler.ctx, s, &o, f->payload);
    }
    return YZ_OK;
}

static int on_put_result(struct session *s, const struct frame *f, struct message *m)
{
    (void)m;
    struct put_result r;
    YZ_TRY(yzi_put_result_parse(f->header, &r));
    if (!yzi_follow_put_result(s, &r) && s->o.handler.put_result) {
        s->o.handler.put_result(s->o.handler.ctx, s, &r);
    }
    return YZ_OK;
}

static int on_fetch(struct session *s, const struct frame *f, struct message *m)
{
    int rc = yzi_follow_serve(s, f->header);
    if (rc == YZ_EAGAIN) { /* nothing more is read until there is room for the answer */
        yzi_message_move(&s->held, m);
        s->held_until = now_ms(s) + HELD_RETRY_MS;
        return YZ_OK;
    }
    return rc;
}

static int on_bye(struct session *s, const struct frame *f, struct message *m)
{
    (void)m;
    yz_bytes reason;
    YZ_TRY(yzi_bye_parse(f->header, &reason));
    give_up(s, yzi_bytes_eq_str(reason, YZ_BYE_ADAPTERS_ONLY) ? REASON_ADAPTERS_ONLY : REASON_BYE);
    return YZ_OK;
}

static int on_exchange(struct session *s, const struct frame *f, struct message *m)
{
    if (s->o.handler.frame) {
        s->o.handler.frame(s->o.handler.ctx, s, f, m);
    }
    return YZ_OK;
}

/* What a broker may send; before the welcome nothing else counts. */
static const struct {
    enum frame_kind kind;
    bool before_welcome;
    int (*handle)(struct session *s, const struct frame *f, struct message *m);
} kinds[] = {
    {FRAME_REQUEST, false, on_exchange},
    {FRAME_RESPONSE, false, on_exchange},
    {FRAME_OUTCOME, false, on_exchange},
    {FRAME_WELCOME, true, on_welcome},
    {FRAME_HEARTBEAT, false, on_heartbeat},
    {FRAME_FETCH, false, on_fetch},
    {FRAME_OBJECT, false, on_object},
    {FRAME_PUT_RESULT, false, on_put_result},
    {FRAME_REJECT, false, on_exchange},
    {FRAME_RECEIPT, false, on_exchange},
    {FRAME_BYE, true, on_bye},
};

static void receive(struct session *s, struct message *m)
{
    s->heard_at = now_ms(s);
    struct frame f;
    int rc = yzi_frame_parse(m->bytes, YZ_MESSAGE_MAX, &f);
    if (rc < 0) {
        return; /* next_message took it off a bundle: it parses */
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind != f.kind) {
            continue;
        }
        if (s->state == SESSION_UP || kinds[i].before_welcome) {
            rc = kinds[i].handle(s, &f, m);
        }
        if (rc < 0) {
            complain(s, rc, yzi_frame_kind_name(f.kind));
        }
        return;
    }
    complain(s, YZ_EMALFORMED, yzi_frame_kind_name(f.kind));
}

/* Answer the fetch that found no room; true when messages may be read again. */
static bool answer_held(struct session *s)
{
    if (!s->held.live) {
        return true;
    }
    if (now_ms(s) < s->held_until) {
        return false;
    }
    struct frame f;
    int rc = yzi_frame_parse(s->held.bytes, YZ_MESSAGE_MAX, &f);
    if (rc == YZ_OK) {
        rc = yzi_follow_serve(s, f.header);
    }
    if (rc == YZ_EAGAIN) {
        s->held_until = now_ms(s) + HELD_RETRY_MS;
        return false;
    }
    yzi_message_fini(&s->held);
    return true;
}

/* The next message: what is left of a bundle, then what the link has. */
static int next_message(struct session *s, struct message *out)
{
    for (;;) {
        if (s->incoming.whole.live) {
            int rc = yzi_bundle_next(&s->incoming, YZ_MESSAGE_MAX, out);
            if (rc == YZ_OK) {
                return YZ_OK;
            }
            yzi_bundle_fini(&s->incoming);
            if (rc != YZ_EAGAIN) {
                complain(s, rc, "what is no message");
            }
        }
        struct message whole = {0};
        YZ_TRY(yzi_link_recv(s->link, &whole));
        yzi_bundle_init(&s->incoming, &whole);
    }
}

static bool receive_some(struct session *s)
{
    for (unsigned i = 0; i < MESSAGES_PER_STEP; i++) {
        if (!answer_held(s)) {
            return false;
        }
        struct message m = {0};
        if (next_message(s, &m) < 0) {
            return false;
        }
        /* the last words of a lost connection are still heard, if it had been up */
        if (s->state != SESSION_DOWN) {
            receive(s, &m);
        }
        yzi_message_fini(&m);
    }
    return true;
}

/* -- the connection -- */

static void on_connected(struct session *s)
{
    const char *why = shunned(s);
    if (why) {
        give_up(s, why);
        return;
    }
    s->state = SESSION_GREETING;
    s->complained = false;
    s->heard_at = now_ms(s);
    s->silence_ms = WELCOME_MS;
    s->message_max = YZ_MESSAGE_MAX;
    yzi_follow_reset(s);
    yzi_log_reset(s);
    if (send_hello(s) < 0) {
        give_up(s, REASON_LOST);
    }
}

static void handle_events(struct session *s)
{
    for (;;) {
        switch (yzi_link_next_event(s->link)) {
        case LINK_CONNECTED:
            on_connected(s);
            break;
        case LINK_REFUSED:
            go_down(s, REASON_REFUSED);
            break;
        case LINK_DISCONNECTED:
            if (s->state != SESSION_DOWN) {
                while (receive_some(s)) { /* its last words; bounded by what libzmq holds */
                }
            }
            if (s->state != SESSION_DOWN) {
                go_down(s, REASON_LOST);
            } else if (!s->down_reason) {
                go_down(s, REASON_UNREACHABLE);
            }
            break;
        case LINK_NOTHING:
        default:
            return;
        }
    }
}

static void run_timers(struct session *s)
{
    yzi_link_step(s->link);
    if (s->state == SESSION_DOWN) {
        return;
    }
    uint64_t now = now_ms(s);
    if (now - s->heard_at >= s->silence_ms) {
        give_up(s, s->state == SESSION_UP ? REASON_SILENT : REASON_NO_WELCOME);
        return;
    }
    if (s->state == SESSION_UP) {
        if (now >= s->beat_at) {
            send_heartbeat(s);
        }
        yzi_follow_step(s);
        yzi_log_step(s);
    }
}

int yzi_session_step(struct session *s, bool *out_more)
{
    const char *why = s->state != SESSION_DOWN ? shunned(s) : NULL;
    if (why) {
        give_up(s, why);
    }
    handle_events(s);
    bool more = receive_some(s); /* before the timers: what waits to be read breaks the silence */
    run_timers(s);
    handle_events(s);
    if (out_more) {
        *out_more = more;
    }
    return YZ_OK;
}

/* -- life -- */

int yzi_session_new(const struct session_options *o, struct session **out, yz_error *err)
{
    YZ_ENSURE(o->trust && o->link.clock && o->node.v.n && o->broker.v.n, YZ_EINVAL);
    YZ_ENSURE(o->role == ROLE_ADAPTER || o->role == ROLE_CLIENT, YZ_EINVAL);
    struct session *s;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    s->o = *o;
    s->o.link.send_buffer = o->role == ROLE_CLIENT ? REQUESTS_AHEAD : 0;
    s->boot = yzi_uuid_v7(yzi_wall_ms(o->link.clock));
    yzi_buf_init(&s->out, YZ_MESSAGE_MAX);
    yzi_follow_reset(s);
    int rc = yzi_log_open(s, err);
    rc = rc ? rc : yzi_link_new(&s->o.link, &s->link, err);
    if (rc < 0) {
        yzi_session_close(s);
        return rc;
    }
    *out = s;
    return YZ_OK;
}

void yzi_session_close(struct session *s)
{
    if (!s) {
        return;
    }
    if (s->state == SESSION_UP) {
        yzi_buf_clear(&s->out);
        if (yzi_bye_write(yzi_bytes_str("closing"), &s->out) == YZ_OK &&
            yzi_session_send_out(s) == YZ_OK) {
            yzi_link_set_linger(s->link, FAREWELL_MS);
        }
    }
    yzi_link_close(s->link);
    yzi_message_fini(&s->held);
    yzi_bundle_fini(&s->incoming);
    yzi_buf_fini(&s->out);
    free(s);
}

bool yzi_session_is_up(const struct session *s)
{
    return s->state == SESSION_UP;
}

yz_node_id yzi_session_broker(const struct session *s)
{
    return s->o.broker;
}

uint64_t yzi_session_heard_at(const struct session *s)
{
    return s->heard_at;
}

void yzi_session_poll_entries(struct session *s, struct poll_entry out[LINK_POLL_ENTRIES])
{
    yzi_link_poll_entries(s->link, out);
    if (s->held.live) {
        out[0] = (struct poll_entry){.fd = -1};
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t yzi_session_deadline(const struct session *s)
{
    uint64_t at = yzi_link_deadline(s->link);
    if (s->state != SESSION_DOWN) {
        at = least(at, s->heard_at + s->silence_ms);
    }
    if (s->state == SESSION_UP) {
        at = least(at, least(s->beat_at, least(yzi_follow_deadline(s), yzi_log_deadline(s))));
    }
    return s->held.live ? least(at, s->held_until) : at;
}
