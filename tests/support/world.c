/* SPDX-License-Identifier: Apache-2.0
 *
 * The instance of a test: who is there, and the records that say so.
 */
#include "tests/support/world.h"

#include <ftw.h>
#include <sodium.h>
#include <unistd.h>

#include "base/file.h"

#define OK(call) YZ_ASSERT((call) == 0)
#define BUF_MAX (256u * 1024u * 1024u)
#define LIST_MAX 64u

struct world_revocation {
    struct world_revocation *next;
    struct revocation revocation;
    char name[128];
};

/* -- making -- */

static void *make(size_t size)
{
    void *p = calloc(1, size);
    YZ_ASSERT(p);
    return p;
}

void yz_world_buf(yz_buf *b)
{
    yzi_buf_init(b, BUF_MAX);
}

uint64_t yz_world_now(const struct world *w)
{
    return yzi_wall_ms(&w->clock.clock);
}

void yz_world_new_key(enum key_use use, struct key_pair *k)
{
    yzi_key_pair_fini(k);
    OK(yzi_key_pair_generate(use, k));
}

struct world *yz_world_new(const char *instance)
{
    struct world *w = make(sizeof *w);
    yzi_secret_require_lock(false);
    yzi_manual_clock_init(&w->clock, WORLD_TIME);
    w->instance = instance;
    w->root_threshold = w->operator_threshold = 2;
    w->root_changed = true;
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        yz_world_new_key(KEY_ROOT, &w->roots[i]);
        yz_world_new_key(KEY_OPERATOR, &w->operators[i]);
    }
    yz_world_new_key(KEY_FRESHNESS, &w->freshness);
    yz_world_buf(&w->anchor);
    yz_world_buf(&w->root);
    yz_world_buf(&w->bundle);
    return w;
}

struct world *yz_world_standard(void)
{
    struct world *w = yz_world_new("CN");
    yz_world_add_broker(w, "b1");
    yz_world_add_broker(w, "b2");
    struct world_member *mca = yz_world_add_member(w, "GOV/MCA");
    yz_world_add_subsystem(mca, "civil");
    yz_world_add_node(mca, "a1", ROLE_ADAPTER, "civil");
    yz_world_add_node(mca, "a2", ROLE_ADAPTER, "civil");
    struct world_member *hb = yz_world_add_member(w, "GOV/HB");
    yz_world_add_subsystem(hb, "window");
    yz_world_add_node(hb, "w1", ROLE_CLIENT, "window");
    yz_world_add_node(hb, "w2", ROLE_CLIENT, "window");
    yz_world_publish(w);
    return w;
}

static void free_nodes(struct world_node *n)
{
    while (n) {
        struct world_node *next = n->next;
        yzi_epochs_free(n->epochs);
        yzi_key_pair_fini(&n->signing);
        yzi_key_pair_fini(&n->transport);
        yzi_key_pair_fini(&n->log);
        yzi_key_pair_fini(&n->epoch);
        free(n);
        n = next;
    }
}

static void free_records(struct world *w)
{
    for (size_t i = 0; i < w->records_n; i++) {
        yzi_buf_fini(&w->records[i]);
    }
    free(w->records);
    w->records = NULL;
    w->records_n = 0;
}

void yz_world_free(struct world *w)
{
    if (!w) {
        return;
    }
    free_nodes(w->brokers);
    for (struct world_member *m = w->members, *next; m; m = next) {
        next = m->next;
        free_nodes(m->nodes);
        yzi_key_pair_fini(&m->key);
        yzi_key_pair_fini(&m->second);
        yzi_key_pair_fini(&m->owner);
        free(m);
    }
    for (struct world_revocation *r = w->revocations, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        yzi_key_pair_fini(&w->roots[i]);
        yzi_key_pair_fini(&w->operators[i]);
    }
    yzi_key_pair_fini(&w->freshness);
    free_records(w);
    yzi_directory_parts_fini(&w->parts);
    yzi_directory_unref(w->directory);
    yzi_buf_fini(&w->anchor);
    yzi_buf_fini(&w->root);
    yzi_buf_fini(&w->bundle);
    free(w);
}

static struct world_node *new_node(enum node_role role)
{
    struct world_node *n = make(sizeof *n);
    n->role = role;
    yz_world_new_key(KEY_SIGNING, &n->signing);
    yz_world_new_key(KEY_TRANSPORT, &n->transport);
    return n;
}

static void name_node(struct world_node *n, const char *of, const char *code)
{
    int len = snprintf(n->id, sizeof n->id, "%s/@%s", of, code);
    YZ_ASSERT(len > 0 && (size_t)len < sizeof n->id);
    OK(yzi_node_id_parse(yzi_bytes_str(n->id), &n->node));
}

struct world_node *yz_world_add_broker(struct world *w, const char *code)
{
    struct world_node *n = new_node(ROLE_BROKER);
    name_node(n, w->instance, code);
    yz_world_new_key(KEY_LOG, &n->log);
    snprintf(n->address, sizeof n->address, "tcp://127.0.0.1:7100");
    n->next = w->brokers;
    w->brokers = n;
    w->root_changed = true;
    return n;
}

struct world_member *yz_world_add_member(struct world *w, const char *class_and_code)
{
    struct world_member *m = make(sizeof *m);
    int len = snprintf(m->id, sizeof m->id, "%s/%s", w->instance, class_and_code);
    YZ_ASSERT(len > 0 && (size_t)len < sizeof m->id);
    OK(yzi_member_id_parse(yzi_bytes_str(m->id), &m->member));
    yz_world_new_key(KEY_MEMBER, &m->key);
    yz_world_new_key(KEY_OWNER, &m->owner);
    m->world = w;
    m->set_version = 1;
    m->next = w->members;
    w->members = m;
    return m;
}

void yz_world_change(struct world_member *m)
{
    m->set_version++;
}

void yz_world_add_subsystem(struct world_member *m, const char *code)
{
    YZ_ASSERT(m->codes_n < WORLD_CODES_MAX);
    m->codes[m->codes_n++] = code;
    yz_world_change(m);
}

/* The member's own string for a code among others. */
static const char *member_code(const struct world_member *m, const char *code, size_t n)
{
    for (size_t i = 0; i < m->codes_n; i++) {
        if (strlen(m->codes[i]) == n && strncmp(m->codes[i], code, n) == 0) {
            return m->codes[i];
        }
    }
    YZ_ASSERT(!"a code of the member");
    return NULL;
}

struct world_node *yz_world_add_node(struct world_member *m, const char *code, enum node_role role,
                                     const char *codes)
{
    struct world_node *n = new_node(role);
    name_node(n, m->id, code);
    n->member = m;
    for (const char *at = codes; *at;) {
        size_t len = strcspn(at, " ");
        YZ_ASSERT(n->codes_n < WORLD_CODES_MAX);
        n->codes[n->codes_n++] = member_code(m, at, len);
        at += len + strspn(at + len, " ");
    }
    if (role == ROLE_CLIENT) {
        yz_world_new_key(KEY_SEALING, &n->epoch);
    }
    n->next = m->nodes;
    m->nodes = n;
    yz_world_change(m);
    return n;
}

struct world_member *yz_world_member(struct world *w, const char *id)
{
    struct world_member *m = w->members;
    while (m && strcmp(m->id, id) != 0) {
        m = m->next;
    }
    YZ_ASSERT(m);
    return m;
}

struct world_node *yz_world_node(struct world *w, const char *id)
{
    for (struct world_node *n = w->brokers; n; n = n->next) {
        if (strcmp(n->id, id) == 0) {
            return n;
        }
    }
    for (struct world_member *m = w->members; m; m = m->next) {
        for (struct world_node *n = m->nodes; n; n = n->next) {
            if (strcmp(n->id, id) == 0) {
                return n;
            }
        }
    }
    YZ_ASSERT(!"a node of that id");
    return NULL;
}

static struct world_revocation *add_revocation(struct world *w, const char *name, uint64_t at)
{
    struct world_revocation *r = make(sizeof *r);
    snprintf(r->name, sizeof r->name, "%s", name);
    r->revocation.at = at;
    r->next = w->revocations;
    w->revocations = r;
    return r;
}

void yz_world_revoke_node(struct world *w, const char *id, uint64_t at)
{
    struct world_revocation *r = add_revocation(w, id, at);
    r->revocation.node = yzi_bytes_str(r->name);
}

void yz_world_revoke_member(struct world *w, const char *id, uint64_t at)
{
    struct world_revocation *r = add_revocation(w, id, at);
    r->revocation.member = yzi_bytes_str(r->name);
}

void yz_world_revoke_key(struct world *w, const uint8_t key[32], uint64_t at)
{
    struct world_revocation *r = add_revocation(w, "", at);
    r->revocation.has_key = true;
    memcpy(r->revocation.key, key, 32);
}

/* -- records -- */

static struct key_list one_key(const struct key_pair *k, uint64_t not_before, uint64_t not_after,
                               struct key_validity *room)
{
    *room = (struct key_validity){.not_before = not_before, .not_after = not_after};
    memcpy(room->key, k->public_key, 32);
    return (struct key_list){room, 1};
}

static void sign(enum record_kind kind, const yz_buf *body, struct key_pair *const *keys,
                 unsigned n, yz_buf *out)
{
    OK(yzi_record_sign(kind, yzi_bytes_buf(body), keys, n, out));
}

static size_t root_brokers(const struct world *w, struct root_broker *out,
                           struct key_validity (*keys)[3])
{
    size_t n = 0;
    for (const struct world_node *b = w->brokers; b; b = b->next) {
        if (b->gone) {
            continue;
        }
        YZ_ASSERT(n < LIST_MAX);
        out[n].node = b->node;
        out[n].transport = one_key(&b->transport, b->not_before, b->not_after, &keys[n][0]);
        out[n].signing = one_key(&b->signing, b->not_before, b->not_after, &keys[n][1]);
        out[n].log = one_key(&b->log, b->not_before, b->not_after, &keys[n][2]);
        n++;
    }
    return n;
}

void yz_world_put_root(struct world *w, struct key_pair *const *keys, unsigned n, yz_buf *out)
{
    struct root_broker brokers[LIST_MAX];
    struct key_validity broker_keys[LIST_MAX][3];
    uint8_t roots[WORLD_KEYS][32], operators[WORLD_KEYS][32];
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        memcpy(roots[i], w->roots[i].public_key, 32);
        memcpy(operators[i], w->operators[i].public_key, 32);
    }
    struct root_statement s = {
        .instance = yzi_bytes_str(w->instance),
        .version = w->root_version,
        .issued_at = yz_world_now(w),
        .root_keys = roots,
        .root_keys_n = WORLD_KEYS,
        .root_threshold = w->root_threshold,
        .operator_keys = operators,
        .operator_keys_n = WORLD_KEYS,
        .operator_threshold = w->operator_threshold,
        .brokers = brokers,
        .brokers_n = root_brokers(w, brokers, broker_keys),
    };
    memcpy(s.freshness_key, w->freshness.public_key, 32);
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_root_statement_write(&s, &body));
    sign(RECORD_ROOT, &body, keys, n, out);
}

void yz_world_put_member(struct world_member *m, yz_buf *out)
{
    struct key_validity keys[2];
    struct member_record r = {
        .member = m->member,
        .name = yzi_bytes_str(m->id),
        .keys = one_key(&m->key, 0, m->key_not_after, &keys[0]),
    };
    if (m->second.secret.n) {
        (void)one_key(&m->second, 0, 0, &keys[1]);
        r.keys.n = 2;
    }
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_member_record_write(&r, &body));
    sign(RECORD_MEMBER, &body, NULL, 0, out);
}

struct set_room {
    struct node_record nodes[LIST_MAX];
    struct key_validity keys[LIST_MAX][2], owner;
    struct subsystem_record subsystems[YZ_SUBSYSTEMS_MAX];
    char padding[YZ_SUBSYSTEMS_MAX][32];
    yz_bytes codes[LIST_MAX][WORLD_CODES_MAX];
};

static size_t set_nodes(const struct world_member *m, struct set_room *room)
{
    size_t n = 0;
    for (const struct world_node *node = m->nodes; node; node = node->next) {
        if (node->gone) {
            continue;
        }
        YZ_ASSERT(n < LIST_MAX);
        for (size_t i = 0; i < node->codes_n; i++) {
            room->codes[n][i] = yzi_bytes_str(node->codes[i]);
        }
        struct key_validity *keys = room->keys[n];
        room->nodes[n] = (struct node_record){
            .node = node->node,
            .role = node->role,
            .signing = one_key(&node->signing, node->not_before, node->not_after, &keys[0]),
            .transport = one_key(&node->transport, node->not_before, node->not_after, &keys[1]),
            .subsystems = {room->codes[n], node->codes_n},
        };
        n++;
    }
    return n;
}

/* The subsystems of the member; how many. */
static size_t set_subsystems(const struct world_member *m, struct set_room *room)
{
    static const char name[YZ_LABEL_MAX + 1] =
        "0123456789012345678901234567890123456789012345678901234567890123"
        "0123456789012345678901234567890123456789012345678901234567890123"
        "0123456789012345678901234567890123456789012345678901234567890123"
        "0123456789012345678901234567890123456789012345678901234567890123";
    size_t n = m->codes_n;
    YZ_ASSERT(m->padding <= YZ_SUBSYSTEMS_MAX - n);
    for (size_t i = 0; i < n; i++) {
        room->subsystems[i].code = yzi_bytes_str(m->codes[i]);
    }
    for (size_t i = 0; i < m->padding; i++, n++) {
        snprintf(room->padding[i], sizeof room->padding[i], "padding%zu", i);
        room->subsystems[n] = (struct subsystem_record){.code = yzi_bytes_str(room->padding[i]),
                                                        .name = yzi_bytes_str(name)};
    }
    return n;
}

void yz_world_put_set_by(struct world_member *m, struct key_pair *key, yz_buf *out)
{
    struct set_room *room = make(sizeof *room);
    struct member_set s = {
        .member = m->member,
        .version = m->set_version,
        .issued_at = WORLD_TIME,
        .owner_keys = one_key(&m->owner, 0, m->owner_not_after, &room->owner),
        .subsystems = room->subsystems,
        .subsystems_n = set_subsystems(m, room),
        .nodes = room->nodes,
        .nodes_n = set_nodes(m, room),
    };
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_member_set_write(&s, &body));
    sign(RECORD_MEMBER_SET, &body, &key, 1, out);
    free(room);
}

void yz_world_put_set(struct world_member *m, yz_buf *out)
{
    yz_world_put_set_by(m, &m->key, out);
}

static void put_broker(const struct world_node *b, yz_buf *out)
{
    struct key_validity key;
    one_key(&b->transport, b->not_before, b->not_after, &key);
    struct endpoint endpoint = {.address = yzi_bytes_str(b->address), .transport = key};
    struct broker_record r = {
        .node = b->node,
        .name = yzi_bytes_str(b->id),
        .endpoints = &endpoint,
        .endpoints_n = 1,
    };
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_broker_record_write(&r, &body));
    sign(RECORD_BROKER, &body, NULL, 0, out);
}

static void put_revocation(const struct revocation *r, yz_buf *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_revocation_write(r, &body));
    sign(RECORD_REVOCATION, &body, NULL, 0, out);
}

void yz_world_put_freshness(struct world *w, uint64_t time, yz_buf *out)
{
    struct freshness f = {
        .instance = yzi_bytes_str(w->instance),
        .directory_version = w->version,
        .root_hash = *yzi_directory_root_hash(w->directory),
        .time = time,
    };
    struct key_pair *key = &w->freshness;
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_freshness_write(&f, &body));
    sign(RECORD_FRESHNESS, &body, &key, 1, out);
}

static struct world_member *owner_of(struct world *w, yz_subsystem_id subsystem)
{
    for (struct world_member *m = w->members; m; m = m->next) {
        if (yzi_bytes_eq(m->member.v, yzi_subsystem_member(subsystem).v)) {
            return m;
        }
    }
    YZ_ASSERT(!"a member with that subsystem");
    return NULL;
}

void yz_world_put_offer(struct world *w, const struct offer *offer, yz_buf *out)
{
    struct key_pair *key = &owner_of(w, offer->subsystem)->owner;
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_offer_write(offer, &body));
    sign(RECORD_OFFER, &body, &key, 1, out);
}

static size_t adapters_of(const struct world_member *m, const char *code, yz_bytes *out)
{
    size_t n = 0;
    for (const struct world_node *node = m->nodes; node; node = node->next) {
        for (size_t i = 0; i < node->codes_n; i++) {
            if (node->role == ROLE_ADAPTER && !node->gone && strcmp(node->codes[i], code) == 0) {
                YZ_ASSERT(n < YZ_SERVICE_ADAPTERS_MAX);
                out[n++] = node->node.v;
            }
        }
    }
    return n;
}

static void put_terms(yz_subsystem_id subsystem, uint64_t version, const struct fine_grant *grant,
                      yz_buf *out)
{
    struct fine_grant g = *grant;
    struct terms t = {.subsystem = subsystem, .version = version, .grants = &g, .grants_n = 1};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_terms_write(&t, &body));
    sign(RECORD_TERMS, &body, NULL, 0, out);
}

void yz_world_simple_offer(struct world *w, const char *service, const char *consumer,
                           uint64_t version, const char *const *fields, yz_buf *out_offer,
                           yz_buf *out_terms)
{
    struct grant_field readable[LIST_MAX] = {0};
    yz_bytes names[LIST_MAX];
    size_t n = 0;
    for (; fields && fields[n]; n++) {
        YZ_ASSERT(n < LIST_MAX);
        readable[n].name = names[n] = yzi_bytes_str(fields[n]);
    }
    const struct fine_grant g = {
        .id = yzi_bytes_str("g1"),
        .operations = 1u << QUERY_GET | 1u << QUERY_FIND | 1u << QUERY_COUNT | 1u << QUERY_MATCH |
                      1u << QUERY_INSERT | 1u << QUERY_PUT | 1u << QUERY_DELETE,
        .readable = readable,
        .readable_n = n,
        .filterable = {names, n},
        .sortable = {names, n},
        .writable = {names, n},
    };
    yz_world_grant_offer(w, service, consumer, version, &g, out_offer, out_terms);
}

void yz_world_grant_offer(struct world *w, const char *service, const char *consumer,
                          uint64_t version, const struct fine_grant *grant, yz_buf *out_offer,
                          yz_buf *out_terms)
{
    yz_service_id id;
    OK(yzi_service_id_parse(yzi_bytes_str(service), &id));
    yz_subsystem_id subsystem = yzi_service_subsystem(id);
    struct world_member *m = owner_of(w, subsystem);
    yz_bytes code = yzi_subsystem_code(subsystem), adapters[YZ_SERVICE_ADAPTERS_MAX];
    const char *own = member_code(m, (const char *)code.p, code.n);
    struct offered_service s = {
        .code = yzi_service_code(id),
        .version = yzi_service_version(id),
        .mode = w->offers_write ? SERVICE_WRITE : SERVICE_READ,
        .adapters = {adapters, adapters_of(m, own, adapters)},
    };
    struct coarse_grant g = {
        .id = grant->id,
        .consumer = {yzi_bytes_str(consumer)},
        .service = yzi_service_local(id),
    };
    struct offer o = {
        .subsystem = subsystem,
        .version = version,
        .issued_at = WORLD_TIME,
        .services = &s,
        .services_n = 1,
        .grants = &g,
        .grants_n = 1,
    };
    YZ_AUTO(yzi_buf_fini) yz_buf terms;
    yz_world_buf(&terms);
    put_terms(subsystem, version, grant, &terms);
    yzi_record_digest(yzi_bytes_buf(&terms), &o.terms_digest);
    yz_world_put_offer(w, &o, out_offer);
    if (out_terms) {
        OK(yzi_buf_put(out_terms, yzi_bytes_buf(&terms)));
    }
}

/* -- publishing -- */

static yz_buf *next_record(struct world *w)
{
    w->records = realloc(w->records, (w->records_n + 1) * sizeof *w->records);
    YZ_ASSERT(w->records);
    yz_buf *b = &w->records[w->records_n++];
    yz_world_buf(b);
    return b;
}

static void renew_root(struct world *w)
{
    if (!w->root_changed) {
        return;
    }
    struct key_pair *keys[WORLD_KEYS];
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        keys[i] = &w->roots[i];
    }
    w->root_version++;
    yzi_buf_clear(&w->root);
    yz_world_put_root(w, keys, w->root_threshold, &w->root);
    if (w->anchor.n == 0) {
        OK(yzi_buf_put(&w->anchor, yzi_bytes_buf(&w->root)));
    }
    w->root_changed = false;
}

void yz_world_put_purposes(const char *instance, const char *const *codes, yz_buf *out)
{
    struct text_entry title = {yzi_bytes_str("en"), yzi_bytes_str("A purpose")};
    struct purpose_entry purposes[LIST_MAX];
    struct purpose_list l = {
        .instance = yzi_bytes_str(instance), .issued_at = WORLD_TIME, .purposes = purposes};
    for (; codes[l.purposes_n]; l.purposes_n++) {
        YZ_ASSERT(l.purposes_n < LIST_MAX);
        purposes[l.purposes_n] = (struct purpose_entry){.code = yzi_bytes_str(codes[l.purposes_n]),
                                                        .titles = {&title, 1}};
    }
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&body);
    OK(yzi_purpose_list_write(&l, &body));
    sign(RECORD_PURPOSES, &body, NULL, 0, out);
}

static void collect(struct world *w)
{
    free_records(w);
    OK(yzi_buf_put(next_record(w), yzi_bytes_buf(&w->root)));
    for (const struct world_revocation *r = w->revocations; r; r = r->next) {
        put_revocation(&r->revocation, next_record(w));
    }
    for (struct world_member *m = w->members; m; m = m->next) {
        if (!m->gone) {
            yz_world_put_set(m, next_record(w));
            yz_world_put_member(m, next_record(w));
        }
    }
    for (const struct world_node *b = w->brokers; b; b = b->next) {
        if (!b->gone) {
            put_broker(b, next_record(w));
        }
    }
    if (w->purposes) {
        yz_world_put_purposes(w->instance, w->purposes, next_record(w));
    }
}

static void fail_loudly(int rc, const yz_error *err)
{
    if (rc < 0) {
        fprintf(stderr, "world: %s: %s\n", yz_err_name(rc), err->text);
        abort();
    }
}

static void make_directory(struct world *w)
{
    yz_bytes *chunks = make(w->parts.chunks_n * sizeof *chunks);
    for (size_t i = 0; i < w->parts.chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&w->parts.chunks[i]);
    }
    const struct directory *d;
    yz_error err;
    fail_loudly(yzi_directory_verify(yzi_bytes_buf(&w->root), yzi_bytes_buf(&w->parts.manifest),
                                     chunks, w->parts.chunks_n, &d, &err),
                &err);
    yzi_directory_unref(w->directory);
    w->directory = d;
    free(chunks);
}

void yz_world_publish(struct world *w)
{
    renew_root(w);
    collect(w);
    yz_bytes *records = make(w->records_n * sizeof *records);
    for (size_t i = 0; i < w->records_n; i++) {
        records[i] = yzi_bytes_buf(&w->records[i]);
    }
    struct key_pair *operators[WORLD_KEYS];
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        operators[i] = &w->operators[i];
    }
    yzi_directory_parts_fini(&w->parts);
    yz_error err;
    fail_loudly(yzi_directory_assemble(records, w->records_n, ++w->version, yz_world_now(w),
                                       operators, w->operator_threshold, &w->parts, &err),
                &err);
    free(records);
    yzi_buf_clear(&w->bundle);
    OK(yzi_directory_bundle_write(&w->parts, &w->bundle));
    make_directory(w);
}

/* -- files -- */

char *yz_world_tmpdir(void)
{
    const char *base = getenv("TMPDIR");
    char *path;
    YZ_ASSERT(asprintf(&path, "%s/yz-test-XXXXXX", base ? base : "/tmp") > 0);
    YZ_ASSERT(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void yz_world_rmdir(const char *path)
{
    YZ_ASSERT(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

void yz_world_write_file(const char *dir, const char *name, yz_bytes content)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    OK(yzi_path_join(dir, name, &path));
    OK(yzi_file_write(path, content, 0600, NULL));
}

void yz_world_write_key(const char *dir, const char *name, struct key_pair *k)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    yz_world_buf(&text);
    OK(yzi_keyfile_format(k, &text));
    yz_world_write_file(dir, name, yzi_bytes_buf(&text));
}

void yz_world_write_anchor(struct world *w, const char *dir)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_world_buf(&text);
    OK(yzi_record_armour(yzi_bytes_buf(&w->anchor), &text));
    yz_world_write_file(dir, "anchor.yzr", yzi_bytes_buf(&text));
}
