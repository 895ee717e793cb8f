/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's brokers: which transport key each has, and the sessions to them.
 *
 * A key in the configuration is pinned. Without one, the directory in force is asked, and before
 * there is any, the anchor; when the directory names another key later, the session is opened anew
 * the next time it is down.
 */
#include "client/engine_internal.h"

#include "base/file.h"

#define ANCHOR_MAX (512u * 1024u)
/* Before a broker that lost is tried with one call; twice as long when it loses again soon. */
#define TRIAL_MIN_MS 1000u
#define TRIAL_MAX_MS 600000u

/* -- keys -- */

static bool first_valid(const struct key_list *l, uint64_t now, uint8_t out[32])
{
    for (size_t i = 0; i < l->n; i++) {
        if (yzi_key_list_has(l, l->items[i].key, now)) {
            memcpy(out, l->items[i].key, 32);
            return true;
        }
    }
    return false;
}

/* The key of the endpoint we are to connect to; else any that is the broker's now. */
static bool key_in_directory(const struct directory *d, yz_node_id node, const char *endpoint,
                             uint64_t now, uint8_t out[32])
{
    struct directory_node n;
    if (!d || yzi_directory_node(d, node, now, &n, NULL) < 0 || n.role != ROLE_BROKER) {
        return false;
    }
    for (size_t i = 0; i < n.broker->endpoints_n; i++) {
        const struct endpoint *e = &n.broker->endpoints[i];
        if (yzi_bytes_eq_str(e->address, endpoint) &&
            yzi_key_list_has(n.transport, e->transport.key, now)) {
            memcpy(out, e->transport.key, 32);
            return true;
        }
    }
    return first_valid(n.transport, now, out);
}

static int read_anchor(const char *path, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ANCHOR_MAX);
    yzi_buf_init(out, ANCHOR_MAX);
    YZ_TRY(yzi_file_read(path, &text, NULL));
    YZ_TRY(yzi_record_dearmour(yzi_bytes_buf(&text), out));
    return yzi_directory_check_anchor(yzi_bytes_buf(out), NULL);
}

static bool key_in_anchor(const char *path, yz_node_id node, uint64_t now, uint8_t out[32])
{
    YZ_AUTO(yzi_buf_fini) yz_buf raw = {0};
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, 4u * 1024u * 1024u);
    struct record record;
    struct root_statement root;
    if (read_anchor(path, &raw) < 0 || yzi_record_parse(yzi_bytes_buf(&raw), &record) < 0 ||
        yzi_root_statement_parse(record.body, &arena, &root) < 0) {
        return false; /* the trust that was opened with it said so already */
    }
    for (size_t i = 0; i < root.brokers_n; i++) {
        if (yzi_bytes_eq(root.brokers[i].node.v, node.v)) {
            return first_valid(&root.brokers[i].transport, now, out);
        }
    }
    return false;
}

static bool find_key(const struct engine *e, unsigned i, uint8_t out[32])
{
    const struct client_config *c = e->o.config;
    uint64_t now = yzi_wall_ms(e->o.clock);
    if (c->peers[i].has_key) {
        memcpy(out, c->peers[i].key, 32);
        return true;
    }
    return key_in_directory(e->directory, c->peers[i].node, c->peers[i].endpoint, now, out) ||
           key_in_anchor(c->anchor, c->peers[i].node, now, out);
}

/* -- sessions -- */

static int open_session(struct peer *p, yz_error *err)
{
    struct engine *e = p->engine;
    const struct client_config *c = e->o.config;
    struct session_options o = {
        .link = {.net = e->o.net,
                 .endpoint = c->peers[p->index].endpoint,
                 .transport = e->o.transport,
                 .clock = e->o.clock,
                 .message_max = c->message},
        .node = c->node_id,
        .role = ROLE_CLIENT,
        .broker = c->peers[p->index].node,
        .trust = e->o.trust,
        .views = e->o.views,
        .handler = yzi_engine_session_handler,
    };
    memcpy(o.link.server_key, p->key, sizeof o.link.server_key);
    o.handler.ctx = p;
    return yzi_session_new(&o, &p->session, err);
}

static int open_peer(struct engine *e, unsigned i, yz_error *err)
{
    struct peer *p = &e->peers[i];
    *p = (struct peer){.engine = e, .index = i};
    snprintf(p->node, sizeof p->node, "%.*s", (int)e->o.config->peers[i].node.v.n,
             (const char *)e->o.config->peers[i].node.v.p);
    snprintf(p->why_down, sizeof p->why_down, "not connected yet");
    if (!find_key(e, i, p->key)) {
        return yzi_fail(
            err, YZ_ECONFIG,
            "brokers: %s has no key, and neither the directory kept in %s nor the "
            "anchor names this broker; write its transport key, which yz directory show "
            "prints",
            p->node, e->o.config->home);
    }
    int rc = open_session(p, err);
    if (rc < 0) {
        yzi_error_prefix(err, "%s", p->node);
    }
    return rc;
}

int yzi_peers_open(struct engine *e, yz_error *err)
{
    for (unsigned i = 0; i < e->o.config->peers_n; i++) {
        YZ_TRY(open_peer(e, i, err));
        e->peers_n = i + 1;
    }
    return YZ_OK;
}

void yzi_peers_close(struct engine *e)
{
    for (unsigned i = 0; i < e->peers_n; i++) {
        if (e->peers[i].session) {
            yzi_session_close(e->peers[i].session);
            e->peers[i].session = NULL;
        }
    }
}

void yzi_peers_rekey(struct engine *e)
{
    for (unsigned i = 0; i < e->peers_n; i++) {
        uint8_t key[32];
        struct peer *p = &e->peers[i];
        if (find_key(e, i, key) && !yzi_bytes_eq(yzi_bytes(key, 32), yzi_bytes(p->key, 32))) {
            memcpy(p->key, key, sizeof p->key);
            p->renew = true;
        }
    }
}

void yzi_peer_give_up(struct peer *p, const char *reason)
{
    if (p->session) {
        yzi_session_close(p->session);
        p->session = NULL;
    }
    snprintf(p->why_down, sizeof p->why_down, "%.199s", reason);
    p->retry_at = yzi_engine_now(p->engine) + RENEW_MS;
    yzi_engine_recheck(p->engine, p->retry_at);
}

void yzi_peers_renew(struct engine *e)
{
    for (unsigned i = 0; i < e->peers_n; i++) {
        struct peer *p = &e->peers[i];
        if (p->session ? !p->renew || p->up : yzi_engine_now(e) < p->retry_at) {
            yzi_engine_recheck(e, p->session ? UINT64_MAX : p->retry_at);
            continue;
        }
        if (p->session) {
            yzi_session_close(p->session);
            p->session = NULL;
        }
        yz_error err = {0};
        if (open_session(p, &err) == YZ_OK) {
            p->renew = false;
        } else {
            yzi_peer_give_up(p, err.text);
        }
    }
}

/* -- choosing -- */

static bool is_doubted(const struct peer *p)
{
    return p->doubted_at && p->session && yzi_session_heard_at(p->session) <= p->doubted_at;
}

static bool goes_before(const struct peer *p, const struct peer *other)
{
    bool doubted = is_doubted(p), other_doubted = is_doubted(other);
    return doubted != other_doubted ? other_doubted : p->lost < other->lost;
}

struct peer *yzi_peers_first(struct engine *e, unsigned except)
{
    struct peer *first = NULL;
    for (unsigned i = 0; i < e->peers_n; i++) {
        struct peer *p = &e->peers[i];
        if (p->up && !(except & (1u << i)) && (!first || goes_before(p, first))) {
            first = p;
        }
    }
    return first;
}

struct peer *yzi_peers_on_trial(struct engine *e)
{
    uint64_t now = yzi_engine_now(e);
    for (unsigned i = 0; i < e->peers_n; i++) {
        struct peer *p = &e->peers[i];
        if (p->up && p->lost && now >= p->trial_at && !is_doubted(p)) {
            p->trial_at = now + p->trial_wait;
            return p;
        }
    }
    return NULL;
}

void yzi_peer_lost(struct peer *p, uint64_t given_at)
{
    uint64_t now = yzi_engine_now(p->engine);
    if (p->lost_at && given_at <= p->lost_at) {
        return; /* that was lost with others, and is known */
    }
    bool soon = p->lost_at && now - p->lost_at < TRIAL_MAX_MS;
    p->trial_wait = soon ? 2 * p->trial_wait : TRIAL_MIN_MS;
    p->trial_wait = p->trial_wait < TRIAL_MAX_MS ? p->trial_wait : TRIAL_MAX_MS;
    p->trial_at = now + p->trial_wait;
    p->lost_at = now;
    p->lost = ++p->engine->losses;
}

/* Once while it is silent: whoever lives answers that. */
void yzi_peers_ask_sign(struct engine *e, unsigned asked, uint64_t since)
{
    for (unsigned i = 0; i < e->peers_n; i++) {
        struct peer *p = &e->peers[i];
        if (!(asked & (1u << i)) || !p->up) {
            continue;
        }
        uint64_t heard_at = yzi_session_heard_at(p->session);
        bool is_asked = p->sign_asked_at > heard_at;
        if (heard_at <= since && !is_asked && yzi_session_ask_sign(p->session) == YZ_OK) {
            p->sign_asked_at = yzi_engine_now(e);
        }
    }
}

bool yzi_peers_doubt(struct engine *e, unsigned asked, uint64_t since)
{
    bool one_lives = false;
    uint64_t lately = since + (yzi_engine_now(e) - since) / 2;
    for (unsigned i = 0; i < e->peers_n; i++) {
        struct peer *p = &e->peers[i];
        if (!(asked & (1u << i)) || !p->up) {
            continue;
        }
        uint64_t heard_at = yzi_session_heard_at(p->session);
        one_lives = one_lives || heard_at > lately;
        p->doubted_at = heard_at <= since ? yzi_engine_now(e) : p->doubted_at;
    }
    return one_lives;
}

void yzi_peers_say_down(const struct engine *e, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; i < e->peers_n && at < n; i++) {
        const struct peer *p = &e->peers[i];
        int wrote = snprintf(out + at, n - at, "%s%s: %s%s%s", i ? "; " : "", p->node,
                             p->up ? "connected" : p->why_down, p->alarm[0] ? "; " : "", p->alarm);
        at += wrote > 0 ? (size_t)wrote : 0;
    }
}
