/* SPDX-License-Identifier: Apache-2.0
 *
 * The link thread: sessions with brokers, the administration socket, finished work, timers; one
 * poll, everything in turn.
 */
#include <sodium.h>
#include <unistd.h>

#include "adapters/adapter.h"
#include "base/daemon.h"
#include "base/file.h"
#include "base/text.h"

#define SECOND_MS 1000u
#define MINUTE_MS 60000u
#define DAY_MS 86400000u
#define PAIR_KEYS 4096u
#define FAREWELL_MS 200u
/* A broker takes only so much at once from one node, and of that in one message. */
#define STATEMENTS_AT_ONCE 16u
#define OFFER_PUTS_AT_ONCE 15u
#define OFFERS_PER_PUT 64u
#define OFFER_BYTES_PER_PUT (512u * 1024u) /* room for one, whatever its size */

/* -- session callbacks -- */

void yzi_adapter_put_everywhere(struct adapter *a, yz_bytes records)
{
    for (unsigned i = 0; records.n && i < a->upstreams_n; i++) {
        uint32_t token;
        if (a->upstreams[i].up) {
            yz_ignore(yzi_session_put(a->upstreams[i].session, records, &token),
                      "a broker that cannot take it now gets it when it is up again");
        }
    }
}

static bool holds_record(yz_bytes records, yz_bytes raw)
{
    yz_reader r = yzi_reader(records);
    struct record record;
    while (r.left && yzi_record_next(&r, &record) == YZ_OK) {
        if (yzi_bytes_eq(record.raw, raw)) {
            return true;
        }
    }
    return false;
}

/* Member sets newer than the published ones that we did not have before: what one broker was told
 * the others hear through us, brokers having no links among themselves. */
static int pass_on_statements(struct adapter *a, const struct directory *before)
{
    YZ_AUTO(yzi_buf_fini) yz_buf had, has;
    yzi_buf_init(&had, YZ_BUNDLE_BYTES_MAX); /* they are put one by one */
    yzi_buf_init(&has, YZ_BUNDLE_BYTES_MAX);
    if (before) {
        YZ_TRY(yzi_directory_overlays(before, &had));
    }
    YZ_TRY(yzi_directory_overlays(a->directory, &has));
    yz_reader r = yzi_reader(yzi_bytes_buf(&has));
    while (r.left) {
        struct record record;
        YZ_TRY(yzi_record_next(&r, &record));
        if (!holds_record(yzi_bytes_buf(&had), record.raw)) {
            yzi_adapter_put_everywhere(a, record.raw);
        }
    }
    return YZ_OK;
}

/* A broker that was away lacks what the others took meanwhile, and judges our offers by it. Not
 * more than it takes at once from one node; the next publication brings the others. */
static int put_statements(struct adapter *a, struct session *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf all;
    yzi_buf_init(&all, YZ_BUNDLE_BYTES_MAX);
    if (a->directory) {
        YZ_TRY(yzi_directory_overlays(a->directory, &all));
    }
    yz_reader r = yzi_reader(yzi_bytes_buf(&all));
    for (unsigned i = 0; r.left && i < STATEMENTS_AT_ONCE; i++) {
        struct record record;
        uint32_t token;
        YZ_TRY(yzi_record_next(&r, &record));
        YZ_TRY(yzi_session_put(s, record.raw, &token));
    }
    return YZ_OK;
}

/* From where the last time ended: whoever has more than are taken at once goes on with the next
 * word on the directory's freshness, a minute later, and puts each again now and then. */
static int put_offers(struct adapter *a, struct upstream *u)
{
    YZ_AUTO(yzi_buf_fini) yz_buf offers;
    yzi_buf_init(&offers, OFFER_BYTES_PER_PUT);
    size_t at = u->offers_at;
    for (unsigned i = 0; i < OFFER_PUTS_AT_ONCE; i++) {
        uint32_t token;
        yzi_buf_clear(&offers);
        YZ_TRY(yzi_policies_offers(a->policies, &at, OFFERS_PER_PUT, &offers));
        YZ_TRY(offers.n ? yzi_session_put(u->session, yzi_bytes_buf(&offers), &token) : YZ_OK);
        u->offers_at = at;
        if (at == 0) {
            break;
        }
    }
    return YZ_OK;
}

/* What a broker must have before it can route to us: newer member sets, our announcement, then our
 * offers. */
static int put_all(struct adapter *a, struct upstream *u)
{
    YZ_TRY(put_statements(a, u->session));
    struct epoch *epoch;
    YZ_TRY(yzi_epochs_current(a->epochs, &epoch, NULL));
    uint32_t token;
    YZ_TRY(yzi_session_put(u->session, yzi_bytes_buf(&epoch->record), &token));
    u->offers_at = 0;
    return put_offers(a, u);
}

static void on_up(void *ctx, struct session *s, const struct welcome *w)
{
    struct upstream *u = ctx;
    struct adapter *a = u->adapter;
    (void)s;
    (void)w;
    u->up = true;
    yzi_log(&ADAPTER_BROKER_UP, (struct log_field[]){log_bytes("broker", u->broker.v), {0}});
    int rc = put_all(a, u);
    if (rc < 0) {
        yzi_log(&ADAPTER_RECORD_REFUSED,
                (struct log_field[]){log_str("error", yz_err_name(rc)), {0}});
    }
    yzi_receipts_up(a, u);
    a->next_second = a->mono; /* readiness follows at once */
}

static void on_down(void *ctx, struct session *s, const char *reason)
{
    struct upstream *u = ctx;
    (void)s;
    u->up = false;
    yzi_outbox_flush(u->adapter, u); /* nothing of it is for the next connection */
    yzi_receipts_down(u->adapter, u);
    yzi_log(&ADAPTER_BROKER_DOWN,
            (struct log_field[]){log_bytes("broker", u->broker.v), log_str("reason", reason), {0}});
}

static void on_frame(void *ctx, struct session *s, const struct frame *f, struct message *m)
{
    struct upstream *u = ctx;
    (void)s;
    if (f->kind == FRAME_REQUEST) {
        yzi_adapter_on_request(u->adapter, (unsigned)(u - u->adapter->upstreams), m, false);
    } else if (f->kind == FRAME_RECEIPT) {
        yzi_receipts_on_frame(u->adapter, u, f);
    }
}

/* What counts is its owner's signature, not who brings it. */
static void hear_offer(struct upstream *u, yz_bytes payload)
{
    struct adapter *a = u->adapter;
    char subsystem[YZ_ID_MAX + 1] = "";
    if (!a->directory ||
        yzi_policies_heard(a->policies, a->directory, payload, a->wall, subsystem) < 0) {
        return;
    }
    yzi_log(&ADAPTER_POLICY_OUTDATED, (struct log_field[]){log_str("subsystem", subsystem),
                                                           log_bytes("broker", u->broker.v),
                                                           {0}});
}

/* A broker holds an offer that ours may not follow; which of them, it does not say. */
static int ask_for_offer(void *ctx, yz_subsystem_id id)
{
    uint32_t token;
    return yzi_session_fetch(ctx, FETCH_OFFER, id.v, &token);
}

static void on_object(void *ctx, struct session *s, const struct object *o, yz_bytes payload)
{
    struct upstream *u = ctx;
    (void)s;
    if (o->what == FETCH_RECEIPT) {
        yzi_receipts_on_object(u->adapter, u, o, payload);
    } else if (o->what == FETCH_OFFER && o->found) { /* all else the session handles itself */
        hear_offer(u, payload);
    }
}

static void on_put_result(void *ctx, struct session *s, const struct put_result *r)
{
    struct upstream *u = ctx;
    if (r->code == YZ_EROLLBACK) {
        yz_ignore(yzi_policies_each(u->adapter->policies, ask_for_offer, s),
                  "the next connection asks again");
    }
    if (r->code < 0) {
        yzi_log(&ADAPTER_RECORD_REFUSED,
                (struct log_field[]){log_bytes("broker", u->broker.v),
                                     log_str("error", yz_err_name(r->code)),
                                     log_bytes("reason", r->text),
                                     {0}});
    }
}

static void on_trust_changed(void *ctx, struct session *s)
{
    struct upstream *u = ctx;
    (void)s;
    yzi_adapter_directory_changed(u->adapter);
}

static void on_alarm(void *ctx, struct session *s, const yz_error *err)
{
    struct upstream *u = ctx;
    (void)s;
    yzi_log_error(&ADAPTER_ALARM, err, (struct log_field[]){log_bytes("broker", u->broker.v), {0}});
}

/* -- making and ending -- */

static int home_path(const struct adapter *a, const char *name, char **out)
{
    return yzi_path_join(a->config->home, name, out);
}

static int open_trust(struct adapter *a, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(home_path(a, "state", &dir));
    struct trust_options o = {.anchor = a->config->anchor,
                              .dir = dir,
                              .clock = a->clock,
                              .warn_ms = a->config->directory.warn,
                              .stop_ms = a->config->directory.stop};
    return yzi_trust_open(&o, &a->trust, err);
}

static void expire_kept(struct adapter *a)
{
    unsigned days = 0;
    yz_error err = {0};
    if (a->kept && yzi_kept_expire(a->kept, &days, &err) < 0) {
        yzi_log_error(&ADAPTER_KEEP_FAILED, &err, NULL);
    } else if (days) {
        yzi_log(&ADAPTER_KEPT_DESTROYED, (struct log_field[]){log_num("days", days), {0}});
    }
}

static bool any_is_up(const struct adapter *a)
{
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        if (a->upstreams[i].up) {
            return true;
        }
    }
    return false;
}

static void say_ready(struct adapter *a)
{
    if (a->said_ready || !any_is_up(a) || !a->listed) {
        return;
    }
    a->said_ready = true;
    yzi_log(&ADAPTER_READY, NULL);
    yzi_daemon_say(&a->ready_fd, "ready\n");
}

static void renew_epoch(struct adapter *a)
{
    struct epoch *epoch;
    bool is_new = false;
    int rc = yzi_epochs_current(a->epochs, &epoch, &is_new);
    if (rc < 0) {
        yzi_log(&ADAPTER_RECORD_REFUSED,
                (struct log_field[]){log_str("error", yz_err_name(rc)), {0}});
    } else if (is_new) {
        yzi_adapter_put_everywhere(a, yzi_bytes_buf(&epoch->record));
        yzi_log(&ADAPTER_EPOCH_ANNOUNCED, NULL);
    }
}

static int open_kept(struct adapter *a, yz_error *err)
{
    if (a->config->keep.days == 0) {
        return YZ_OK;
    }
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(home_path(a, "kept", &dir));
    struct kept_options o = {
        .dir = dir, .clock = a->clock, .retention_ms = a->config->keep.days * DAY_MS};
    YZ_TRY(yzi_kept_open(&o, &a->kept, err));
    expire_kept(a); /* what came to its end while nobody was here */
    return YZ_OK;
}

/* From the storage key: the cursors given out before a restart are good behind it, those of
 * another adapter are not, and budgets go on counting. */
static int derive_keys(struct adapter *a, struct answering *out)
{
    static const char cursors[crypto_kdf_CONTEXTBYTES] = {'y', 'z', 'c', 'u', 'r', 's', 'o', 'r'};
    static const char budgets[crypto_kdf_CONTEXTBYTES] = {'y', 'z', 'b', 'u', 'd', 'g', 'e', 't'};
    yz_secret *key = &a->storage.secret;
    YZ_ENSURE(key->n == crypto_kdf_KEYBYTES, YZ_EINVAL);
    const uint8_t *from = yzi_secret_open(key);
    int rc = crypto_kdf_derive_from_key(out->cursor_key, sizeof out->cursor_key, 1, cursors, from);
    rc |= crypto_kdf_derive_from_key(out->budget_key, sizeof out->budget_key, 1, budgets, from);
    yzi_secret_close(key);
    return rc == 0 ? YZ_OK : YZ_EINTERNAL;
}

static int start_workers(struct adapter *a)
{
    const struct adapter_limits *limits = &a->config->limits;
    struct workers_options o = {.threads = (unsigned)a->config->workers,
                                .queue = limits->queue,
                                .answering = {.node = a->node,
                                              .signing = &a->signing,
                                              .clock = a->clock,
                                              .kept = a->kept,
                                              .debits = a->debits,
                                              .message_max = limits->message,
                                              .limits = {.rows = (uint32_t)limits->rows,
                                                         .bytes = limits->message,
                                                         .entries = limits->entries},
                                              .query_ms = limits->query_time,
                                              .cursor_ms = limits->cursor_time},
                                .writes = a->writes,
                                .skew = limits->skew};
    for (size_t i = 0; i < a->datasets_n; i++) {
        yzi_builds_add(&o.builds, a->datasets[i].store);
    }
    int rc = derive_keys(a, &o.answering);
    rc = rc == YZ_OK ? yzi_workers_start(&o, &a->workers) : rc;
    yzi_builds_fini(&o.builds);
    sodium_memzero(&o, sizeof o);
    return rc;
}

/* The broker's transport key: from the configuration, or from whatever root statement we trust. */
static int broker_key(const struct adapter *a, const struct adapter_broker *b, uint8_t out[32],
                      yz_error *err)
{
    if (b->key && b->key[0]) {
        return yzi_base64_decode_exactly(yzi_bytes_str(b->key), out, 32) == YZ_OK
                   ? YZ_OK
                   : yzi_fail(err, YZ_ECONFIG,
                              "brokers: the key of %s is not 32 bytes in base64; write what `yz "
                              "directory show` prints",
                              b->node);
    }
    return yzi_trust_broker_key(a->trust, (yz_node_id){yzi_bytes_str(b->node)}, out, err);
}

static int open_session(struct upstream *u, yz_error *err)
{
    struct adapter *a = u->adapter;
    const struct adapter_broker *b = u->config;
    struct session_options o = {.link = {.net = a->net,
                                         .endpoint = b->endpoint,
                                         .transport = &a->transport,
                                         .clock = a->clock,
                                         .message_max = a->config->limits.message + YZ_HOP_MAX},
                                .node = a->node,
                                .role = ROLE_ADAPTER,
                                .broker = u->broker,
                                .trust = a->trust,
                                .views = a->views,
                                .handler = {.up = on_up,
                                            .down = on_down,
                                            .frame = on_frame,
                                            .object = on_object,
                                            .put_result = on_put_result,
                                            .trust_changed = on_trust_changed,
                                            .alarm = on_alarm,
                                            .ctx = u}};
    YZ_TRY(broker_key(a, b, o.link.server_key, err));
    return yzi_session_new(&o, &u->session, err);
}

/* A broker whose key nothing here names yet is waited for: another one, or the administrator, may
 * bring the directory that does. */
static int connect_broker(struct adapter *a, const struct adapter_broker *b, yz_error *err)
{
    struct upstream *u = &a->upstreams[a->upstreams_n];
    *u = (struct upstream){.adapter = a, .config = b};
    yzi_outbox_init(&u->outbox);
    YZ_TRY(yzi_node_id_parse(yzi_bytes_str(b->node), &u->broker));
    yz_error why = {0};
    int rc = open_session(u, &why);
    if (rc == YZ_ENOTFOUND) {
        yzi_log(&ADAPTER_BROKER_DOWN, (struct log_field[]){log_bytes("broker", u->broker.v),
                                                           log_str("reason", why.text),
                                                           {0}});
    } else if (rc < 0) {
        return yzi_fail(err, rc, "%s", why.text);
    }
    a->upstreams_n++;
    return YZ_OK;
}

static void connect_the_keyless(struct adapter *a)
{
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        yz_error ignored;
        if (!a->upstreams[i].session) {
            yz_ignore(open_session(&a->upstreams[i], &ignored), "it is tried again in a second");
        }
    }
}

/* Where the answers to writes are kept, and whatever else must survive a crash. */
static int open_state(struct adapter *a, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(home_path(a, "state/db", &dir));
    YZ_TRY(yzi_state_open(dir, &a->state, err));
    YZ_TRY(yzi_debits_open(a->state, &a->debits, err));
    struct writes_options o = {a->state, a->config->limits.writes,
                               a->config->limits.writes_per_node};
    return yzi_writes_open(&o, &a->writes, err);
}

static int start(struct adapter *a, yz_error *err)
{
    YZ_TRY(yzi_keyfile_load_held(a->config->home, "signing", KEY_SIGNING, &a->signing, err));
    YZ_TRY(yzi_keyfile_load_held(a->config->home, "transport", KEY_TRANSPORT, &a->transport, err));
    YZ_TRY(yzi_keyfile_load_held(a->config->home, "storage", KEY_STORAGE, &a->storage, err));
    YZ_TRY(open_trust(a, err));
    YZ_AUTO(yzi_free_ptr) char *offers = NULL;
    YZ_TRY(home_path(a, "state/offers", &offers));
    YZ_TRY(yzi_policies_open(offers, &a->policies, err));
    YZ_TRY(open_state(a, err));
    YZ_TRY(open_kept(a, err));
    YZ_TRY(yzi_views_open(a->config->home, &a->views, err));
    YZ_TRY(yzi_adapter_open_datasets(a, err));
    YZ_TRY(yzi_epochs_new(a->node, &a->signing, a->clock, &a->epochs));
    YZ_TRY(yzi_seal_cache_new(PAIR_KEYS, &a->pair_keys));
    YZ_TRY(start_workers(a));
    YZ_TRY(yzi_net_new(1, &a->net));
    YZ_TRY(yzi_admin_server_new(a->config->admin, a->clock, yzi_adapter_admin, a, &a->admin, err));
    yzi_adapter_directory_changed(a);
    const struct adapter_broker *b = a->config->brokers.items;
    for (size_t i = 0; i < a->config->brokers.n && i < YZ_BROKERS_MAX; i++) {
        YZ_TRY(connect_broker(a, &b[i], err));
    }
    return YZ_OK;
}

int yzi_adapter_new(const struct adapter_config *config, const struct clock *clock, int ready_fd,
                    struct adapter **out, yz_error *err)
{
    struct adapter *a;
    YZ_TRY(yzi_alloc(1, sizeof *a, &a));
    a->config = config;
    a->clock = clock;
    a->ready_fd = ready_fd;
    a->mono = yzi_mono_ms(clock);
    a->wall = yzi_wall_ms(clock);
    a->next_minute = a->mono + MINUTE_MS;
    yzi_buf_init(&a->out, YZ_MESSAGE_MAX + YZ_HOP_MAX);
    const struct adapter_limits *l = &config->limits;
    yzi_memory_init(&a->memory,
                    &(struct memory_options){l->answers, l->answer_bytes, l->answers_per_node,
                                             l->answer_bytes_per_node});
    int rc = yzi_node_id_parse(yzi_bytes_str(config->node), &a->node);
    if (rc == YZ_OK) {
        rc = start(a, err);
    }
    if (rc < 0) {
        yzi_adapter_free(a);
        return rc;
    }
    *out = a;
    return YZ_OK;
}

void yzi_adapter_free(struct adapter *a)
{
    if (!a) {
        return;
    }
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        yzi_session_close(a->upstreams[i].session);
        yzi_receipts_fini(&a->upstreams[i].receipts);
        yzi_outbox_fini(&a->upstreams[i].outbox);
    }
    yzi_views_close(a->views);
    yzi_adapter_cancel_jobs(a, true); /* the writer is waited for */
    yzi_admin_server_close(a->admin);
    yzi_workers_stop(a->workers);
    yzi_kept_close(a->kept);
    yzi_net_free(a->net);
    for (size_t i = 0; i < a->parked_n; i++) {
        yzi_message_fini(&a->parked[i].message);
    }
    yzi_memory_fini(&a->memory);
    yzi_debits_close(a->debits);
    yzi_writes_close(a->writes);
    yzi_state_close(a->state);
    yzi_seal_cache_free(a->pair_keys);
    yzi_epochs_free(a->epochs);
    yzi_adapter_close_datasets(a);
    yzi_policies_close(a->policies);
    yzi_directory_unref(a->directory);
    yzi_trust_close(a->trust);
    yzi_key_pair_fini(&a->signing);
    yzi_key_pair_fini(&a->transport);
    yzi_key_pair_fini(&a->storage);
    yzi_buf_fini(&a->out);
    free(a);
}

/* -- shared by the other files -- */

struct judge yzi_adapter_judge(const struct adapter *a)
{
    return (struct judge){a->directory, a->wall, a->config->limits.skew};
}

/* Policies whose owner no longer stands by them are withdrawn: the broker may not have heard. */
static void recheck_policies(struct adapter *a)
{
    size_t n = yzi_policies_recheck(a->policies, a->directory, &a->self, a->wall);
    if (n > 0) {
        yzi_log(&ADAPTER_POLICY_WITHDRAWN,
                (struct log_field[]){log_num("count", (int64_t)n),
                                     log_str("reason", "the owner's key or the subsystem is gone"),
                                     {0}});
    }
}

/* What was kept comes into force only with a directory, which may be later than the welcome. */
static void put_offers_everywhere(struct adapter *a)
{
    for (unsigned i = 0; a->listed && i < a->upstreams_n; i++) {
        if (a->upstreams[i].up) {
            yz_ignore(put_offers(a, &a->upstreams[i]), "the next time goes on from there");
        }
    }
}

void yzi_adapter_directory_changed(struct adapter *a)
{
    const struct directory *before = a->directory;
    bool was_listed = a->listed;
    a->directory = yzi_trust_directory(a->trust);
    bool another = a->directory != before; /* else it was confirmed, as it is each minute */
    if (a->directory) {
        yz_ignore(pass_on_statements(a, before), "a broker that lacks one is told when it is up");
    }
    yzi_directory_unref(before);
    a->listed =
        a->directory && yzi_directory_node(a->directory, a->node, a->wall, &a->self, NULL) == YZ_OK;
    if (!a->directory) {
        return;
    }
    if (another || a->listed != was_listed) {
        yzi_log(
            &ADAPTER_DIRECTORY_ADOPTED,
            (struct log_field[]){log_num("version", (int64_t)yzi_directory_version(a->directory)),
                                 log_str("listed", a->listed ? "yes" : "no"),
                                 {0}});
    }
    yz_error err = {0};
    if (a->listed) {
        recheck_policies(a);
    }
    if (a->listed && yzi_policies_load(a->policies, a->directory, &a->self, a->wall, &err) < 0) {
        yzi_log_error(&ADAPTER_POLICY_REFUSED, &err, NULL);
    }
    put_offers_everywhere(a);
    yzi_adapter_unpark(a, true);
    a->next_second = a->mono; /* readiness follows at once */
}

/* -- timers -- */

static void sync_kept(struct adapter *a)
{
    int rc = a->kept ? yzi_kept_sync(a->kept) : YZ_OK;
    if (rc < 0) {
        yzi_log(&ADAPTER_KEEP_FAILED, (struct log_field[]){log_str("error", yz_err_name(rc)), {0}});
    }
}

static void run_timers(struct adapter *a)
{
    yzi_memory_expire(&a->memory, a->mono);
    if (a->mono >= a->next_second) {
        a->next_second = a->mono + SECOND_MS;
        yzi_adapter_unpark(a, false);
        for (unsigned i = 0; i < a->upstreams_n; i++) {
            yzi_receipts_step(a, &a->upstreams[i]);
        }
        connect_the_keyless(a);
        say_ready(a);
        sync_kept(a);
    }
    if (a->mono >= a->next_minute) {
        a->next_minute = a->mono + MINUTE_MS;
        renew_epoch(a);
        if (a->listed) {
            recheck_policies(a); /* keys run out */
        }
        yzi_seal_cache_expire(a->pair_keys, a->wall);
        yzi_workers_tidy(a->workers);
        expire_kept(a);
    }
}

/* -- the step -- */

static void take_finished(struct adapter *a)
{
    for (struct finished *f; (f = yzi_workers_take(a->workers)) != NULL;) {
        if (f->kind == FINISHED_ANSWER) {
            yzi_adapter_on_answer(a, YZ_TAKE(f->job));
        } else if (f->kind == FINISHED_RELOAD) {
            yzi_adapter_on_reload(a, f->reload);
        } else {
            yzi_adapter_on_import(a, f);
        }
        yzi_finished_free(f);
    }
}

static void flush_outboxes(struct adapter *a)
{
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        yzi_outbox_flush(a, &a->upstreams[i]);
    }
}

static uint64_t next_due(const struct adapter *a)
{
    uint64_t due = a->next_second;
    uint64_t admin = yzi_admin_deadline(a->admin);
    due = admin < due ? admin : due;
    due = a->draining && a->drain_until < due ? a->drain_until : due;
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        const struct session *s = a->upstreams[i].session;
        uint64_t session = s ? yzi_session_deadline(s) : UINT64_MAX;
        uint64_t outbox = a->upstreams[i].outbox.retry_at;
        due = session < due ? session : due;
        due = outbox < due ? outbox : due;
    }
    return due;
}

static void read_clock(struct adapter *a)
{
    a->mono = yzi_mono_ms(a->clock);
    a->wall = yzi_wall_ms(a->clock);
}

static int wait(struct adapter *a, int wake_fd, int64_t timeout)
{
    struct poll_entry entries[YZ_BROKERS_MAX * LINK_POLL_ENTRIES + ADMIN_POLL_ENTRIES + 2];
    size_t n = 0;
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        if (a->upstreams[i].session) {
            yzi_session_poll_entries(a->upstreams[i].session, entries + n);
            n += LINK_POLL_ENTRIES;
        }
    }
    n += yzi_admin_poll_entries(a->admin, entries + n);
    entries[n++] = (struct poll_entry){NULL, yzi_workers_fd(a->workers), false};
    if (wake_fd >= 0) {
        entries[n++] = (struct poll_entry){NULL, wake_fd, false};
    }
    return yzi_poll(entries, n, timeout);
}

static bool has_all_sent(const struct adapter *a)
{
    bool is_sent = a->jobs_out == 0 && a->imports_out == 0;
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        is_sent = is_sent && yzi_outbox_is_empty(&a->upstreams[i].outbox);
    }
    return is_sent;
}

/* What was sent last gets a moment to leave before the sessions are closed. */
static void go_on_draining(struct adapter *a)
{
    if (a->all_sent) {
        a->stopped = a->mono >= a->drain_until;
    } else if (has_all_sent(a) || a->mono >= a->drain_until) {
        a->all_sent = true;
        a->drain_until = a->mono + FAREWELL_MS;
    }
}

int yzi_adapter_step(struct adapter *a, int wake_fd, yz_error *err)
{
    read_clock(a);
    uint64_t due = next_due(a);
    int rc = wait(a, wake_fd, due > a->mono ? (int64_t)(due - a->mono) : 0);
    if (rc < 0) {
        return yzi_fail(err, rc, "polling failed");
    }
    read_clock(a);
    take_finished(a);
    flush_outboxes(a); /* not after the requests that wait */
    for (unsigned i = 0; i < a->upstreams_n; i++) {
        struct session *s = a->upstreams[i].session;
        rc = s ? yzi_session_step(s, NULL) : YZ_OK;
        if (rc < 0) {
            return yzi_fail(err, rc, "the session with %.*s failed",
                            (int)a->upstreams[i].broker.v.n,
                            (const char *)a->upstreams[i].broker.v.p);
        }
    }
    yzi_admin_step(a->admin);
    yzi_adapter_cancel_jobs(a, false);
    run_timers(a);
    flush_outboxes(a);
    if (a->draining) {
        go_on_draining(a);
    }
    return YZ_OK;
}

void yzi_adapter_drain(struct adapter *a)
{
    if (!a->draining) {
        a->draining = true;
        a->drain_until = a->mono + a->config->drain;
        a->next_second = a->mono; /* when nothing is under way, it ends at once */
        yzi_log(&ADAPTER_DRAINING,
                (struct log_field[]){log_num("answering", (int64_t)a->jobs_out), {0}});
    }
}
