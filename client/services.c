/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of services is replaced as a whole, after all of it was verified, so that a call
 * never seals to a mixture of what two brokers said.
 */
#include "client/services.h"

#define ARENA_MAX (64u * 1024u)

static void free_service(void *value)
{
    struct service *s = value;
    if (s->offer) {
        yzi_offer_unref(s->offer);
    }
    free(s);
}

void yzi_services_fini(struct services *s)
{
    yzi_table_fini(&s->by_id, free_service);
    yzi_table_fini(&s->newest, free);
}

struct service *yzi_services_find(const struct services *s, yz_service_id id)
{
    return yzi_table_get(&s->by_id, id.v);
}

static int make_room(struct services *s)
{
    if (yzi_table_count(&s->by_id) < SERVICES_MAX) {
        return YZ_OK;
    }
    for (struct table_item *i = yzi_table_first(&s->by_id); i; i = yzi_table_next(i)) {
        struct service *idle = yzi_table_value(i);
        if (idle->users == 0) {
            (void)yzi_table_remove(&s->by_id, idle->id.v);
            free_service(idle);
            return YZ_OK;
        }
    }
    return YZ_EBUSY;
}

int yzi_services_get(struct services *s, yz_service_id id, struct service **out)
{
    struct service *known = yzi_services_find(s, id);
    if (known) {
        *out = known;
        return YZ_OK;
    }
    YZ_ENSURE(id.v.n <= YZ_ID_MAX, YZ_EINVAL);
    YZ_TRY(make_room(s));
    struct service *fresh;
    YZ_TRY(yzi_alloc(1, sizeof *fresh, &fresh));
    memcpy(fresh->id_bytes, id.v.p, id.v.n);
    fresh->id.v = yzi_bytes(fresh->id_bytes, id.v.n);
    fresh->owner = s;
    fresh->copies = COPIES_FIRST * COPY_PARTS;
    int rc = yzi_table_put(&s->by_id, fresh->id.v, fresh);
    if (rc < 0) {
        free_service(fresh);
        return rc;
    }
    *out = fresh;
    return YZ_OK;
}

void yzi_services_distrust(struct services *s)
{
    for (struct table_item *i = yzi_table_first(&s->by_id); i; i = yzi_table_next(i)) {
        struct service *known = yzi_table_value(i);
        known->stale = true;
    }
}

bool yzi_service_is_fresh(const struct service *s, uint64_t mono)
{
    return s->offer && s->providers_n > 0 && !s->stale && mono - s->loaded_at < SERVICE_FRESH_MS;
}

static const struct offered_service *find_offered(const struct offer *o, yz_service_id id)
{
    for (size_t i = 0; i < o->services_n; i++) {
        if (yzi_bytes_eq(o->services[i].code, yzi_service_code(id)) &&
            yzi_bytes_eq(o->services[i].version, yzi_service_version(id))) {
            return &o->services[i];
        }
    }
    return NULL;
}

static bool hosts(const struct offered_service *o, yz_node_id adapter)
{
    for (size_t i = 0; i < o->adapters.n; i++) {
        if (yzi_bytes_eq(o->adapters.items[i], adapter.v)) {
            return true;
        }
    }
    return false;
}

/* -- announcements -- */

/* The signing key of the node that made the record, which was verified. */
static int find_signer(yz_bytes record, const struct judge *j, yz_node_id id, uint8_t out[32])
{
    struct record r;
    struct directory_node node;
    YZ_TRY(yzi_record_parse(record, &r));
    YZ_TRY(yzi_directory_node(j->directory, id, j->now, &node, NULL));
    for (unsigned i = 0; i < r.signatures_n; i++) {
        if (yzi_directory_may_sign(j->directory, &node, r.signatures[i].key.p, j->now) == 0) {
            memcpy(out, r.signatures[i].key.p, 32);
            return YZ_OK;
        }
    }
    return YZ_EUNKNOWNKEY;
}

static int open_announcement(yz_bytes record, const struct judge *j, struct provider *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, ARENA_MAX);
    struct announcement a;
    yz_digest digest;
    YZ_TRY(yzi_announcement_verify(j, record, &arena, &a, &digest));
    *out = (struct provider){.node_n = a.node.v.n,
                             .announcement = digest,
                             .sequence = a.sequence,
                             .not_before = a.not_before,
                             .not_after = a.not_after};
    memcpy(out->node, a.node.v.p, a.node.v.n); /* a parsed id is at most YZ_ID_MAX long */
    memcpy(out->epoch_key, a.epoch_key, sizeof out->epoch_key);
    return find_signer(record, j, a.node, out->signer);
}

/* Does what the adapter announced still bind it? Not when its time is over, nor when the key that
 * signed it was taken back: else a thief's high sequence could never be surpassed. */
static bool still_counts(const struct provider *p, const struct judge *j)
{
    struct directory_node node;
    return j->now < p->not_after &&
           yzi_directory_node(j->directory, yzi_provider_node(p), j->now, &node, NULL) == YZ_OK &&
           yzi_directory_may_sign(j->directory, &node, p->signer, j->now) == YZ_OK;
}

static bool has_room_for_adapter(struct services *s, const struct judge *j)
{
    if (yzi_table_count(&s->newest) < SERVICE_ADAPTERS_MAX) {
        return true;
    }
    struct table_item *next;
    for (struct table_item *i = yzi_table_first(&s->newest); i; i = next) {
        next = yzi_table_next(i);
        struct provider *p = yzi_table_value(i);
        if (!still_counts(p, j)) {
            (void)yzi_table_remove(&s->newest, yzi_table_key(i));
            free(p);
        }
    }
    return yzi_table_count(&s->newest) < SERVICE_ADAPTERS_MAX;
}

/* Remember it as what its adapter announced last. YZ_EROLLBACK: we know a later one, which is then
 * put in its place. */
static int note_newest(struct services *s, const struct judge *j, struct provider *p)
{
    struct provider *known = yzi_table_get(&s->newest, yzi_provider_node(p).v);
    if (known && known->sequence > p->sequence && still_counts(known, j)) {
        *p = *known;
        return YZ_EROLLBACK;
    }
    if (known) {
        *known = *p;
        return YZ_OK;
    }
    if (!has_room_for_adapter(s, j)) {
        return YZ_OK; /* more adapters than all services could hold */
    }
    YZ_TRY(yzi_alloc(1, sizeof *known, &known));
    *known = *p;
    int rc = yzi_table_put(&s->newest, yzi_provider_node(known).v, known);
    if (rc < 0) {
        free(known);
    }
    return rc;
}

/* -- taking in -- */

struct loaded {
    struct provider providers[YZ_SLOTS_MAX];
    unsigned n;
};

static bool is_listed(const struct loaded *l, const struct provider *p)
{
    for (unsigned i = 0; i < l->n; i++) {
        if (yzi_bytes_eq(yzi_provider_node(&l->providers[i]).v, yzi_provider_node(p).v)) {
            return true;
        }
    }
    return false;
}

static int load_providers(struct services *s, yz_reader *r, const struct offered_service *offered,
                          const struct judge *j, struct loaded *out, yz_error *err)
{
    int trouble = YZ_OK;
    while (r->left && out->n < YZ_SLOTS_MAX) {
        struct record record;
        int rc = yzi_record_next(r, &record);
        if (rc < 0) {
            return yzi_fail(err, rc, "what follows the offer is no announcement");
        }
        struct provider p;
        rc = open_announcement(record.raw, j, &p);
        if (rc == YZ_OK && !hosts(offered, yzi_provider_node(&p))) {
            rc = YZ_EDENIED; /* the owner does not name this adapter */
        }
        if (rc == YZ_OK) {
            rc = note_newest(s, j, &p);
            rc = rc == YZ_EROLLBACK ? YZ_OK : rc; /* the later one is used */
        }
        if (rc < 0) {
            trouble = rc;
        } else if (!is_listed(out, &p)) {
            out->providers[out->n++] = p;
        }
    }
    if (out->n == 0 && trouble < 0) {
        return yzi_fail(err, trouble, "the adapter's announcement does not verify (%s)",
                        yz_err_words(trouble));
    }
    return YZ_OK;
}

static void adopt(struct service *s, const struct held_offer *offer,
                  const struct offered_service *offered, const struct loaded *l, uint64_t mono)
{
    if (s->offer) {
        yzi_offer_unref(s->offer);
    }
    yzi_offer_ref(offer);
    s->offer = offer;
    s->mode = offered->mode;
    memcpy(s->providers, l->providers, l->n * sizeof l->providers[0]);
    s->providers_n = l->n;
    s->loaded_at = mono;
    s->stale = false;
    s->tried = s->silent = 0;
    s->lag_until = 0;
    s->trouble = YZ_OK;
}

static int load_checked(struct service *s, const struct held_offer *offer, yz_reader *rest,
                        const struct judge *j, uint64_t mono, yz_error *err)
{
    int order = yzi_offer_may_follow(offer, s->offer, j->directory, j->now, err);
    if (order != YZ_EEXIST) {
        YZ_TRY(order);
    }
    const struct offered_service *offered = find_offered(&offer->offer, s->id);
    if (!offered || !yzi_bytes_eq(offer->offer.subsystem.v, yzi_service_subsystem(s->id).v)) {
        return yzi_fail(err, YZ_ENOTFOUND, "the owner's offer does not hold this service");
    }
    struct loaded l = {0};
    YZ_TRY(load_providers(s->owner, rest, offered, j, &l, err));
    if (l.n == 0) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "no adapter of the service is connected to it");
    }
    adopt(s, offer, offered, &l, mono);
    return YZ_OK;
}

int yzi_service_load(struct service *s, yz_bytes payload, const struct judge *j, uint64_t mono,
                     yz_error *err)
{
    yz_reader r = yzi_reader(payload);
    struct record record;
    int rc = yzi_record_next(&r, &record);
    if (rc < 0) {
        return yzi_fail(err, rc, "what the broker gave is no offer");
    }
    const struct held_offer *offer;
    yz_error why = {0};
    rc = yzi_offer_open(record.raw, j->directory, j->now, &offer, &why);
    if (rc < 0) {
        return yzi_fail(err, rc, "the owner's offer does not verify: %s",
                        why.text[0] ? why.text : yz_err_words(rc));
    }
    rc = load_checked(s, offer, &r, j, mono, err);
    yzi_offer_unref(offer);
    return rc;
}

int yzi_service_update(struct service *s, yz_bytes announcement, yz_node_id adapter,
                       const struct judge *j)
{
    struct provider p;
    YZ_TRY(open_announcement(announcement, j, &p));
    YZ_ENSURE(yzi_bytes_eq(yzi_provider_node(&p).v, adapter.v), YZ_ESIGNATURE);
    for (unsigned i = 0; i < s->providers_n; i++) {
        struct provider *known = &s->providers[i];
        if (yzi_bytes_eq(yzi_provider_node(known).v, adapter.v)) {
            int rc = note_newest(s->owner, j, &p);
            if (rc == YZ_OK || rc == YZ_EROLLBACK) {
                *known = p;
            }
            return rc;
        }
    }
    return YZ_ENOTFOUND;
}
