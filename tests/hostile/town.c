/* SPDX-License-Identifier: Apache-2.0
 *
 * The town behind town.h. Daemons and client are configured by files, like everybody's, so that a
 * setting added later has its default.
 */
#include "tests/hostile/town.h"

#include <sodium.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "client/engine_internal.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define REAL_WAIT_MS 60000u
#define QUIET_ROUNDS 3u
#define AHEAD_MS (UINT64_C(7) * 24 * 3600 * 1000)

/* A town is being taken down: the test is over, by its end or by cmocka's jump out of it, and what
 * it kept on its stack is another's. There is one town at a time. */
static bool is_over;

static const char *const broker_ids[] = {"CN/@b1", "CN/@b2"};
static const char *const adapter_ids[] = {"CN/GOV/MCA/@a1", "CN/GOV/MCA/@a2"};

static const char definition[] =
    "dataset: marriage\n"
    "title: {en: Marriages}\n"
    "owner: CN/GOV/MCA\n"
    "sharing: unconditional\n"
    "key: [person_id]\n"
    "fields:\n"
    "  - {name: person_id, type: text, classification: internal, required: true}\n"
    "  - {name: status, type: text, classification: internal}\n";

/* -- homes -- */

static void path_in(const struct town *t, const char *folder, const char *name, char out[600])
{
    int n = snprintf(out, 600, "%s/%s%s%s", t->dir, folder, *name ? "/" : "", name);
    assert_true(n > 0 && n < 600);
}

static void make_home(struct town *t, const char *name, struct world_node *n)
{
    char home[600], keys[600], state[600];
    path_in(t, name, "", home);
    path_in(t, name, "keys", keys);
    path_in(t, name, "state", state);
    OK(yzi_dir_make(home, 0700, NULL));
    OK(yzi_dir_make(keys, 0700, NULL));
    yz_world_write_key(keys, "signing.key", &n->signing);
    yz_world_write_key(keys, "transport.key", &n->transport);
    yz_world_write_anchor(t->w, home);
    if (n->role == ROLE_BROKER) {
        yz_world_write_key(keys, "log.key", &n->log);
        yz_world_write_key(keys, "freshness.key", &t->w->freshness);
    } else if (n->role == ROLE_ADAPTER) {
        struct key_pair storage = {0};
        yz_world_new_key(KEY_STORAGE, &storage);
        yz_world_write_key(keys, "storage.key", &storage);
        yzi_key_pair_fini(&storage);
        yz_world_write_file(home, "marriage.yaml", yzi_bytes_str(definition));
    }
}

struct town *town_new(void)
{
    struct town *t;
    is_over = false;
    OK(yzi_alloc(1, sizeof *t, &t));
    yzi_secret_require_lock(false);
    t->w = yz_world_standard();
    /* the store asks the system how late it is: the town's time is never behind that */
    t->w->clock.mono = yzi_mono_ms(&yzi_clock_system) + AHEAD_MS;
    t->dir = yz_world_tmpdir();
    t->client = yz_world_node(t->w, "CN/GOV/HB/@w1");
    t->wake = eventfd(1, EFD_CLOEXEC);
    t->log = memfd_create("log", MFD_CLOEXEC);
    assert_true(t->wake >= 0 && t->log >= 0);
    yzi_log_set_fd(t->log);
    yzi_log_set_level(LOG_LEVEL_WARN);
    OK(yzi_net_new(1, &t->net));
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        make_home(t, i ? "b2" : "b1", yz_world_node(t->w, broker_ids[i]));
        make_home(t, i ? "a2" : "a1", yz_world_node(t->w, adapter_ids[i]));
    }
    make_home(t, "w1", t->client);
    return t;
}

static void free_wire(struct wire *w)
{
    if (!w) {
        return;
    }
    yzi_server_close(w->server);
    yzi_net_free(w->net);
    yz_buf *all[] = {&w->announcement[0], &w->announcement[1], &w->offer, &w->request, &w->answer};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        yzi_buf_fini(all[i]);
    }
    free(w);
}

void town_free(struct town *t)
{
    is_over = true;
    town_stop_client(t);
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        town_stop_adapter(t, i);
        town_stop_broker(t, i);
        free_wire(t->wires[i]);
    }
    yzi_net_free(t->net);
    yzi_log_set_fd(STDERR_FILENO);
    close(t->wake);
    close(t->log);
    yz_world_rmdir(t->dir);
    free(t->dir);
    yz_world_free(t->w);
    free(t);
}

/* -- brokers -- */

void town_start_broker(struct town *t, unsigned i)
{
    char text[600], config[600];
    yz_error err = {0};
    const char *name = i ? "b2" : "b1";
    bool first = !t->endpoints[i][0];
    snprintf(text, sizeof text,
             "node: %s\nlisten: [\"%s\"]\nops: \"\"\nlock_secrets: false\nadmin: admin.sock\n",
             broker_ids[i], first ? "tcp://127.0.0.1:*" : t->endpoints[i]);
    path_in(t, name, "", config);
    yz_world_write_file(config, "broker.yaml", yzi_bytes_str(text));
    path_in(t, name, "broker.yaml", config);
    struct broker_config *c = &t->broker_configs[i];
    if (yzi_broker_config_load(config, c, &err) < 0 ||
        yzi_broker_new(c, &t->w->clock.clock, -1, &t->brokers[i], &err) < 0) {
        fail_msg("%s: %s", name, err.text);
    }
    if (first) {
        snprintf(t->endpoints[i], sizeof t->endpoints[i], "%s",
                 yzi_server_endpoint(t->brokers[i]->server, 0));
        OK(yzi_trust_put_bundle(t->brokers[i]->trust, yzi_bytes_buf(&t->w->bundle), &err));
        yzi_broker_directory_changed(t->brokers[i]);
    }
}

void town_stop_broker(struct town *t, unsigned i)
{
    if (t->brokers[i]) {
        yzi_broker_free(t->brokers[i]);
        yzi_broker_config_fini(&t->broker_configs[i]);
        t->brokers[i] = NULL;
    }
}

/* -- adapters -- */

static size_t put_broker_list(const struct town *t, char *out, size_t n)
{
    size_t used = 0;
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        if (t->endpoints[i][0]) {
            used += (size_t)snprintf(out + used, n - used, "  - {node: %s, endpoint: \"%s\"}\n",
                                     broker_ids[i], t->endpoints[i]);
        }
    }
    return used;
}

static void import_rows(struct adapter *a)
{
    char csv[TOWN_KEYS * 16 + 32];
    size_t n = (size_t)snprintf(csv, sizeof csv, "person_id,status\n");
    for (unsigned k = 0; k < TOWN_KEYS; k++) {
        n += (size_t)snprintf(csv + n, sizeof csv - n, "p%u,s%u\n", k, k);
    }
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_int_equal(write(fd, csv, n), (ssize_t)n);
    struct import_source source = {.fd = fd, .name = "rows.csv", .mode = IMPORT_UPSERT};
    struct import_report report;
    yz_error err = {0};
    if (yzi_store_import(yzi_adapter_store(a, yzi_bytes_str("marriage")), &source, &report, &err) <
        0) {
        fail_msg("%s", err.text);
    }
    close(fd);
}

/* The offer of the marriage service with its data set, and the terms. */
static void make_policy(struct town *t, yz_buf *offer, yz_buf *terms)
{
    static const char *const fields[] = {"person_id", "status", NULL};
    YZ_AUTO(yzi_buf_fini) yz_buf simple;
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yz_world_buf(&simple);
    yzi_arena_init(&arena, 1u << 20);
    yz_world_simple_offer(t->w, WORLD_SERVICE, WORLD_CONSUMER, t->policy_version, fields, &simple,
                          terms);
    struct record r;
    struct offer o;
    OK(yzi_record_parse(yzi_bytes_buf(&simple), &r));
    OK(yzi_offer_parse(r.body, &arena, &o));
    struct catalogue_entry entry = {.data_set = yzi_bytes_str("marriage"),
                                    .owner = yzi_bytes_str("CN/GOV/MCA"),
                                    .sharing = SHARING_UNCONDITIONAL};
    o.catalogue = &entry;
    o.catalogue_n = 1;
    o.services[0].data_set = entry.data_set;
    o.grants[0].strict = t->strict;
    yz_bytes only = yzi_bytes_str(t->only_at);
    if (t->only_at) {
        o.services[0].adapters.items = &only;
        o.services[0].adapters.n = 1;
    }
    yz_world_put_offer(t->w, &o, offer);
}

static void put_policy(struct town *t, struct adapter *a)
{
    YZ_AUTO(yzi_buf_fini) yz_buf offer, terms;
    yz_error err = {0};
    yz_world_buf(&offer);
    yz_world_buf(&terms);
    make_policy(t, &offer, &terms);
    int rc = yzi_policies_put(a->policies, a->directory, &a->self, yzi_bytes_buf(&offer),
                              yzi_bytes_buf(&terms), yz_world_now(t->w), &err);
    if (rc < 0 && rc != YZ_EEXIST) {
        fail_msg("the policy: %s", err.text);
    }
    yzi_adapter_put_everywhere(a, yzi_bytes_buf(&offer));
}

void town_new_policy(struct town *t)
{
    t->policy_version++;
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        if (t->adapters[i]) {
            put_policy(t, t->adapters[i]);
        }
    }
}

void town_start_adapter(struct town *t, unsigned i)
{
    char text[900], config[600];
    yz_error err = {0};
    const char *name = i ? "a2" : "a1";
    size_t n = (size_t)snprintf(text, sizeof text,
                                "node: %s\nadmin: admin.sock\nlock_secrets: false\nworkers: 1\n"
                                "limits: %s\n"
                                "datasets:\n  - {definition: marriage.yaml}\nbrokers:\n",
                                adapter_ids[i], t->limits ? t->limits : "{}");
    (void)put_broker_list(t, text + n, sizeof text - n);
    path_in(t, name, "", config);
    yz_world_write_file(config, "adapter.yaml", yzi_bytes_str(text));
    path_in(t, name, "adapter.yaml", config);
    struct adapter_config *c = &t->adapter_configs[i];
    if (yzi_adapter_config_load(config, c, &err) < 0 ||
        yzi_adapter_new(c, &t->w->clock.clock, -1, &t->adapters[i], &err) < 0) {
        fail_msg("%s: %s", name, err.text);
    }
    struct adapter *a = t->adapters[i];
    if (!a->directory) {
        OK(yzi_trust_put_bundle(a->trust, yzi_bytes_buf(&t->w->bundle), &err));
        yzi_adapter_directory_changed(a);
        import_rows(a);
    }
    t->policy_version += t->policy_version == 0;
    put_policy(t, a);
}

void town_stop_adapter(struct town *t, unsigned i)
{
    if (t->adapters[i]) {
        yzi_adapter_free(t->adapters[i]);
        yzi_adapter_config_fini(&t->adapter_configs[i]);
        t->adapters[i] = NULL;
    }
}

/* -- the client -- */

void town_start_client(struct town *t)
{
    char text[900], home[600], state[600], anchor[600];
    yz_error err = {0};
    path_in(t, "w1", "", home);
    path_in(t, "w1", "state", state);
    path_in(t, "w1", "anchor.yzr", anchor);
    size_t n =
        (size_t)snprintf(text, sizeof text,
                         "node: %s\nsubsystem: %s\nhome: %s\nanchor: %s\n"
                         "lock_secrets: false\nreceipts: report\ntimeout: %us\nbrokers:\n",
                         t->client->id, WORLD_CONSUMER, home, anchor, TOWN_TIMEOUT_MS / 1000);
    (void)put_broker_list(t, text + n, sizeof text - n);
    struct trust_options trust = {.anchor = anchor, .dir = state, .clock = &t->w->clock.clock};
    if (yzi_client_config_parse(yzi_bytes_str(text), "client.yaml", home, &t->client_config, &err) <
            0 ||
        yzi_trust_open(&trust, &t->trust, &err) < 0) {
        fail_msg("the client: %s", err.text);
    }
    struct engine_options o = {.config = &t->client_config,
                               .clock = &t->w->clock.clock,
                               .signing = &t->client->signing,
                               .transport = &t->client->transport,
                               .trust = t->trust,
                               .net = t->net};
    if (yzi_engine_new(&o, &t->engine, &err) < 0) {
        fail_msg("the client: %s", err.text);
    }
}

void town_stop_client(struct town *t)
{
    if (t->engine) {
        yzi_engine_free(t->engine);
        yzi_trust_close(t->trust);
        yzi_client_config_fini(&t->client_config);
        t->engine = NULL;
        t->trust = NULL;
    }
}

/* -- turning -- */

static void step_adapter(struct town *t, unsigned i)
{
    yz_error err = {0};
    if (!t->before_adapter) {
        OK(yzi_adapter_step(t->adapters[i], t->wake, &err));
        return;
    }
    t->before_adapter();
    int rc = yzi_adapter_step(t->adapters[i], t->wake, &err);
    t->after_adapter();
    if (rc < 0) {
        town_stop_adapter(t, i);
    }
}

void town_step(struct town *t)
{
    yz_error err = {0};
    bool more = false;
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        if (t->brokers[i]) {
            OK(yzi_broker_step(t->brokers[i], t->wake, &err));
        }
        if (t->wires[i]) {
            wire_step(t->wires[i]);
        }
    }
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        if (t->adapters[i]) {
            step_adapter(t, i);
        }
    }
    if (t->engine) {
        yzi_engine_step(t->engine, &more);
    }
}

#define ENTRIES_MAX                                                                                \
    (TOWN_PAIR * (2 * SERVER_POLL_ENTRIES + YZ_BROKERS_MAX * LINK_POLL_ENTRIES + 1) +              \
     ENGINE_POLL_ENTRIES)

static size_t all_entries(struct town *t, struct poll_entry *out)
{
    size_t n = 0;
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        n += t->brokers[i] ? yzi_server_poll_entries(t->brokers[i]->server, out + n) : 0;
        n += t->wires[i] ? yzi_server_poll_entries(t->wires[i]->server, out + n) : 0;
        struct adapter *a = t->adapters[i];
        for (unsigned k = 0; a && k < a->upstreams_n; k++) {
            yzi_session_poll_entries(a->upstreams[k].session, out + n);
            n += LINK_POLL_ENTRIES;
        }
        if (a) {
            out[n++] = (struct poll_entry){NULL, yzi_workers_fd(a->workers), false};
        }
    }
    return n + (t->engine ? yzi_engine_poll_entries(t->engine, out + n) : 0);
}

static bool turn(struct town *t, int64_t ms)
{
    struct poll_entry entries[ENTRIES_MAX];
    size_t n = all_entries(t, entries);
    OK(yzi_poll(entries, n, ms));
    bool moved = false;
    for (size_t i = 0; i < n; i++) {
        moved = moved || entries[i].readable;
    }
    town_step(t);
    return moved;
}

void town_begin(struct town *t)
{
    t->real_until = yzi_mono_ms(&yzi_clock_system) + REAL_WAIT_MS;
}

static const char *upstream_text(const struct town *t, unsigned i)
{
    const struct adapter *a = t->adapters[i];
    return !a ? "not there" : a->upstreams[0].up ? "up" : "down";
}

/* What was logged last: often why. */
static void read_last_line(struct town *t, char out[512])
{
    off_t size = lseek(t->log, 0, SEEK_END), from = size > 511 ? size - 511 : 0;
    ssize_t n = pread(t->log, out, 511, from);
    out[n > 0 ? n : 0] = '\0';
    char *end = strrchr(out, '\n');
    *(end ? end : out) = '\0';
    char *line = strrchr(out, '\n');
    memmove(out, line ? line + 1 : out, strlen(line ? line + 1 : out) + 1);
}

/* Fails the test after `until`. */
static void be_patient(struct town *t, uint64_t until)
{
    char line[512];
    if (yzi_mono_ms(&yzi_clock_system) > until) {
        read_last_line(t, line);
        fail_msg(
            "what was waited for did not come: the client is %s, the adapters %s and %s, at %llu; "
            "logged last: %s",
            t->engine && town_client_is_up(t) ? "up" : "down", upstream_text(t, 0),
            upstream_text(t, 1), (unsigned long long)yzi_mono_ms(&t->w->clock.clock), line);
    }
}

static void wait_until(struct town *t, uint64_t until)
{
    be_patient(t, until);
    (void)turn(t, 5);
}

void town_wait(struct town *t)
{
    wait_until(t, t->real_until);
}

/* -- settling -- */

/* The puppet that a session is with; NULL: a real broker. */
static struct wire *wire_of(const struct town *t, const struct session *s)
{
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        if (t->wires[i] && yzi_bytes_eq(t->wires[i]->broker->node.v, yzi_session_broker(s).v)) {
            return t->wires[i];
        }
    }
    return NULL;
}

/* Has it a connection, or is about to, and was not welcomed yet? Not while it backs off. */
static bool is_connecting(struct session *s)
{
    struct poll_entry entries[LINK_POLL_ENTRIES];
    yzi_session_poll_entries(s, entries);
    return !yzi_session_is_up(s) && entries[1].socket; /* the monitor of what is under way */
}

/* All sessions, each with the number its puppet knows it by. */
static void each_session(struct town *t,
                         void (*f)(struct town *t, struct session *s, unsigned peer, void *ctx),
                         void *ctx)
{
    for (unsigned i = 0; t->engine && i < t->engine->peers_n; i++) {
        if (t->engine->peers[i].session) {
            f(t, t->engine->peers[i].session, TOWN_PAIR, ctx);
        }
    }
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        const struct adapter *a = t->adapters[i];
        for (unsigned k = 0; a && k < a->upstreams_n; k++) {
            f(t, a->upstreams[k].session, i, ctx);
        }
    }
}

static void ask(struct town *t, struct session *s, unsigned peer, void *ctx)
{
    struct wire *w = wire_of(t, s);
    (void)ctx;
    if (w && yzi_session_is_up(s)) {
        wire_ask(w, peer);
    }
}

static void look_busy(struct town *t, struct session *s, unsigned peer, void *busy)
{
    const struct wire *w = wire_of(t, s);
    if (w && (is_connecting(s) || (yzi_session_is_up(s) && w->asked[peer]))) {
        *(bool *)busy = true;
    }
}

static bool is_busy(struct town *t)
{
    bool busy = false;
    each_session(t, look_busy, &busy);
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        busy = busy || (t->adapters[i] && t->adapters[i]->jobs_out > 0);
    }
    return busy;
}

static unsigned heard(const struct town *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        n += t->wires[i] ? t->wires[i]->heard : 0;
    }
    return n;
}

static void settle_real_brokers(struct town *t)
{
    for (unsigned quiet = 0; quiet < QUIET_ROUNDS;) {
        quiet = turn(t, 1) ? 0 : quiet + 1;
    }
}

/* A puppet hears nothing but answers to its questions between two of them: then nobody had anything
 * else to say, and will not before time goes on. */
void town_settle(struct town *t)
{
    uint64_t until = yzi_mono_ms(&yzi_clock_system) + REAL_WAIT_MS;
    unsigned before;
    do {
        before = heard(t);
        each_session(t, ask, NULL);
        town_step(t);
        while (is_busy(t)) {
            wait_until(t, until);
        }
    } while (heard(t) != before);
    if (t->brokers[0] || t->brokers[1]) {
        settle_real_brokers(t);
    }
}

void town_tick(struct town *t, uint64_t ms)
{
    be_patient(t, t->real_until);
    town_settle(t);
    yzi_manual_clock_advance(&t->w->clock, ms);
}

void town_advance(struct town *t, uint64_t ms)
{
    yzi_manual_clock_advance(&t->w->clock, ms);
    town_step(t);
}

bool town_is_ready(const struct town *t)
{
    uint64_t version = t->w->version;
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        const struct adapter *a = t->adapters[i];
        for (unsigned k = 0; a && k < a->upstreams_n; k++) {
            if (!a->upstreams[k].up || yzi_directory_version(a->directory) < version) {
                return false;
            }
        }
        const struct broker *b = t->brokers[i];
        for (unsigned k = 0; b && k < TOWN_PAIR; k++) {
            if (t->adapters[k] && !yzi_broker_announcement(b, t->adapters[k]->node)) {
                return false;
            }
        }
        if (b && (yzi_directory_version(b->directory) < version || !yzi_offers_count(b->offers))) {
            return false;
        }
    }
    return true;
}

bool town_client_is_up(const struct town *t)
{
    return yzi_peers_first(t->engine, 0) != NULL;
}

static void note(void *ctx, int rc, yz_answer *answer, const yz_error *err)
{
    struct town_call *c = ctx;
    if (is_over) {
        yz_answer_free(answer);
        return;
    }
    c->ended++;
    c->rc = rc;
    yz_answer_free(c->answer);
    c->answer = answer;
    c->err = err ? *err : (yz_error){0};
}

/* Back-off is by the town's clock: a moment passes with each round. */
void town_wait_ready(struct town *t)
{
    town_begin(t);
    struct town_call probe = {0};
    struct call_order order = {.probe = true,
                               .timeout_ms = 300000,
                               .submitted = yzi_mono_ms(&t->w->clock.clock),
                               .done = note,
                               .ctx = &probe};
    if (t->engine) {
        yzi_engine_submit(t->engine, &order);
    }
    while (!town_is_ready(t) || (t->engine && !probe.ended)) {
        town_wait(t);
        town_tick(t, 50);
    }
    if (probe.ended && probe.rc < 0) {
        fail_msg("the client is not ready: %s", probe.err.text);
    }
}

void town_publish(struct town *t)
{
    yz_error err = {0};
    yz_world_publish(t->w);
    for (unsigned i = 0; i < TOWN_PAIR; i++) {
        if (t->brokers[i]) {
            if (yzi_trust_put_bundle(t->brokers[i]->trust, yzi_bytes_buf(&t->w->bundle), &err) <
                0) {
                fail_msg("%s", err.text);
            }
            yzi_broker_directory_changed(t->brokers[i]);
            return; /* the others hear of it */
        }
    }
}

unsigned town_logged(struct town *t, const char *event)
{
    off_t size = lseek(t->log, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(pread(t->log, text, (size_t)size, 0), size);
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, event)) != NULL; p++) {
        n++;
    }
    free(text);
    return n;
}

/* -- calls -- */

void town_ask(struct town *t, const yz_request *r, struct town_call *out)
{
    *out = (struct town_call){0};
    struct call_order order = {
        .submitted = yzi_mono_ms(&t->w->clock.clock), .done = note, .ctx = out};
    OK(yzi_ask_make(r, &order.ask, NULL));
    yzi_engine_submit(t->engine, &order);
}

void town_call(struct town *t, unsigned key, struct town_call *out)
{
    char text[16];
    yz_request *r;
    snprintf(text, sizeof text, "p%u", key);
    OK(yz_request_new(WORLD_SERVICE, &r));
    OK(yz_request_add_key(r, (const char *const[]){text}, 1));
    town_ask(t, r, out);
    out->key = key;
    yz_request_free(r);
}

void town_run_until_ended(struct town *t, struct town_call *c)
{
    town_begin(t);
    while (!c->ended) {
        town_wait(t);
    }
}

bool town_is_right(const struct town_call *c)
{
    char want[16];
    const void *p;
    size_t n;
    snprintf(want, sizeof want, "s%u", c->key);
    return c->ended == 1 && c->rc == YZ_OK && yz_answer_origin(c->answer) == YZ_ORIGIN_PROVIDER &&
           yz_answer_status(c->answer) == YZ_STATUS_OK && yz_answer_rows(c->answer) == 1 &&
           yz_answer_value(c->answer, 0, 1, &p, &n) == YZ_OK && n == strlen(want) &&
           memcmp(p, want, n) == 0;
}

void town_call_fini(struct town_call *c)
{
    yz_answer_free(c->answer);
    *c = (struct town_call){0};
}

struct engine_counters town_counters(const struct town *t)
{
    struct engine_counters c;
    yzi_engine_counters(t->engine, &c);
    return c;
}
