/* SPDX-License-Identifier: Apache-2.0
 *
 * Offers. Opening one is where its signature is checked, once; what is remembered is which owner
 * key made it, so that each decision can ask the directory of that moment whether the key still
 * speaks for the subsystem without any public-key work. Services and grants are sorted when an
 * offer is opened, because a decision is made for every message.
 */
#include "keys/offers.h"

#include <stdatomic.h>

#include "base/table.h"

#define OFFER_ARENA_FACTOR 24u
#define OFFER_ARENA_FIXED (1u << 20)

/* What opened offers take of memory, those of a member or of all: also of one that was replaced, as
 * long as somebody refers to it. */
struct account {
    atomic_uint refs;
    atomic_size_t bytes;
    struct account *all; /* of a member's: a reference; of that of all: NULL */
};

/* What a held_offer is inside. */
struct opened {
    struct held_offer held; /* first */
    atomic_uint refs;
    struct account *account; /* a reference, or NULL: counted nowhere */
    size_t bytes;
    struct arena arena;
    yz_bytes body;
    uint8_t (*signers)[32]; /* owner keys, of which one counted when it was opened */
    size_t signers_n;
    const struct offered_service **services; /* by code and version */
    const struct coarse_grant **grants;      /* by consumer, then service; groups' ones first */
    size_t group_grants_n;                   /* of which the consumer is a group, by service */
};

struct offers {
    struct table by_subsystem; /* struct opened */
    struct table by_member;    /* struct account, references; kept: members are the operator's */
    struct account *all;
    size_t bytes_max, bytes_per_member_max; /* 0: no limit */
    struct opened **sorted;                 /* as by_subsystem, by subsystem */
    size_t sorted_n, sorted_cap;
};

static struct opened *opened_of(const struct held_offer *o)
{
    return (struct opened *)o;
}

void yzi_offer_ref(const struct held_offer *o)
{
    atomic_fetch_add_explicit(&opened_of(o)->refs, 1, memory_order_relaxed);
}

/* -- what they take -- */

static int account_new(struct account *all, struct account **out)
{
    struct account *a;
    YZ_TRY(yzi_alloc(1, sizeof *a, &a));
    atomic_init(&a->refs, 1);
    atomic_init(&a->bytes, 0);
    a->all = all;
    if (all) {
        atomic_fetch_add(&all->refs, 1);
    }
    *out = a;
    return 0;
}

static void account_unref(void *p)
{
    struct account *a = p;
    if (a && atomic_fetch_sub(&a->refs, 1) == 1) {
        account_unref(a->all);
        free(a);
    }
}

static void count(struct account *a, struct opened *o)
{
    atomic_fetch_add(&a->refs, 1);
    o->account = a;
    for (; a; a = a->all) {
        atomic_fetch_add(&a->bytes, o->bytes);
    }
}

static void count_no_more(struct opened *o)
{
    for (struct account *a = o->account; a; a = a->all) {
        atomic_fetch_sub(&a->bytes, o->bytes);
    }
    account_unref(o->account);
}

/* Room for `more` in the place of what takes `instead`. */
static bool has_room(struct account *a, size_t more, size_t instead, size_t max)
{
    size_t others = atomic_load(&a->bytes) - instead;
    return max == 0 || (others <= max && more <= max - others);
}

/* Is what stays free for others not too little beside what the member has already? There is room. A
 * version that takes no more than the one it replaces leaves as much as before. */
static bool leaves_room(const struct offers *o, struct account *a, size_t more, size_t instead)
{
    size_t own = atomic_load(&a->bytes) - instead;
    size_t all = atomic_load(&o->all->bytes) - instead;
    return o->bytes_max == 0 || more <= instead ||
           own / YZ_SHARE_OF_FREE <= o->bytes_max - all - more;
}

void yzi_offer_unref(const struct held_offer *ho)
{
    struct opened *o = opened_of(ho);
    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    count_no_more(o);
    yzi_arena_fini(&o->arena);
    free(o);
}

static void opened_unref_ptr(struct opened **o)
{
    yzi_offer_unref(*o ? &(*o)->held : NULL);
}

/* -- order -- */

static int service_order(const struct offered_service *a, yz_bytes code, yz_bytes version)
{
    int c = yzi_bytes_cmp(a->code, code);
    return c ? c : yzi_bytes_cmp(a->version, version);
}

static int service_cmp(const void *a, const void *b)
{
    const struct offered_service *const *x = a, *const *y = b;
    return service_order(*x, (*y)->code, (*y)->version);
}

static int grant_order(const struct coarse_grant *g, yz_bytes consumer, yz_bytes service)
{
    int c = yzi_bytes_cmp(g->consumer.v, consumer);
    return c ? c : yzi_bytes_cmp(g->service, service);
}

static int grant_cmp(const void *a, const void *b)
{
    const struct coarse_grant *const *x = a, *const *y = b;
    int c = grant_order(*x, (*y)->consumer.v, (*y)->service);
    return c ? c
             : yzi_bytes_cmp((*x)->id, (*y)->id); /* so that the choice among several is stable */
}

static int index_offer(struct opened *o)
{
    const struct offer *f = &o->held.offer;
    YZ_TRY(yzi_arena_new(&o->arena, f->services_n, sizeof *o->services, &o->services));
    YZ_TRY(yzi_arena_new(&o->arena, f->grants_n, sizeof *o->grants, &o->grants));
    for (size_t i = 0; i < f->services_n; i++) {
        o->services[i] = &f->services[i];
    }
    for (size_t i = 0; i < f->grants_n; i++) {
        o->grants[i] = &f->grants[i];
    }
    qsort(o->services, f->services_n, sizeof *o->services, service_cmp);
    qsort(o->grants, f->grants_n, sizeof *o->grants, grant_cmp);
    while (o->group_grants_n < f->grants_n && o->grants[o->group_grants_n]->consumer.v.n == 0) {
        o->group_grants_n++;
    }
    return 0;
}

/* -- opening -- */

/* The owner keys that signed, also those whose time is over or has not come; the reason why none of
 * them counts now. */
static int find_signers(struct opened *o, const struct record *r, const struct directory *d,
                        uint64_t now)
{
    int rc = YZ_ESIGNATURE;
    YZ_TRY(yzi_arena_new(&o->arena, r->signatures_n, sizeof *o->signers, &o->signers));
    for (unsigned i = 0; i < r->signatures_n; i++) {
        const uint8_t *key = r->signatures[i].key.p;
        int may = yzi_directory_may_own(d, o->held.offer.subsystem, key, now);
        if (may == 0 || may == YZ_EEXPIRED) {
            memcpy(o->signers[o->signers_n++], key, 32);
            rc = rc == 0 ? 0 : may;
        } else if (yzi_directory_key_revoked(d, key, now) && rc == YZ_ESIGNATURE) {
            rc = YZ_EUNKNOWNKEY;
        }
    }
    return rc;
}

static int check_signers(struct opened *o, const struct record *r, const struct directory *d,
                         uint64_t now, yz_error *err)
{
    yz_subsystem_id id = o->held.offer.subsystem;
    int len = (int)id.v.n;
    const char *name = (const char *)id.v.p;
    if (!yzi_directory_has_subsystem(d, id)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "no member declares subsystem %.*s", len, name);
    }
    int rc = find_signers(o, r, d, now);
    if (rc == YZ_EEXPIRED) {
        return yzi_fail(err, rc, "the owner key that signed the offer of %.*s is not valid now",
                        len, name);
    }
    if (rc == 0) {
        rc = yzi_record_verify(r, (const uint8_t(*)[32])o->signers, o->signers_n, 1);
    }
    return rc < 0 ? yzi_fail(err, rc, "the offer of %.*s is not signed by an owner key of it", len,
                             name)
                  : 0;
}

static int open_copy(struct opened *o, const struct directory *d, uint64_t now, yz_error *err)
{
    struct record r;
    int rc = yzi_record_parse(o->held.raw, &r);
    if (rc == 0 && r.kind != RECORD_OFFER) {
        rc = YZ_EMALFORMED;
    }
    if (rc == 0) {
        rc = yzi_offer_parse(r.body, &o->arena, &o->held.offer);
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "the offer cannot be read (%s)", yz_err_words(rc));
    }
    o->body = r.body;
    yzi_record_digest(o->held.raw, &o->held.digest);
    YZ_TRY(check_signers(o, &r, d, now, err));
    return index_offer(o);
}

static int offer_open(yz_bytes record, const struct directory *d, uint64_t now, struct opened **out,
                      yz_error *err)
{
    YZ_AUTO(opened_unref_ptr) struct opened *o = NULL;
    YZ_ENSURE(record.n <= YZ_RECORD_MAX,
              yzi_fail(err, YZ_ETOOBIG, "the offer is longer than any record"));
    YZ_TRY(yzi_alloc(1, sizeof *o, &o));
    atomic_init(&o->refs, 1);
    yzi_arena_init(&o->arena, OFFER_ARENA_FIXED + OFFER_ARENA_FACTOR * record.n);
    YZ_TRY(yzi_arena_dup(&o->arena, record, &o->held.raw));
    YZ_TRY(open_copy(o, d, now, err));
    o->bytes = sizeof *o + o->arena.used;
    *out = YZ_TAKE(o);
    return 0;
}

int yzi_offer_open(yz_bytes record, const struct directory *d, uint64_t now,
                   const struct held_offer **out, yz_error *err)
{
    struct opened *o;
    YZ_TRY(offer_open(record, d, now, &o, err));
    *out = &o->held;
    return 0;
}

/* -- one after another -- */

int yzi_offer_stands(const struct held_offer *ho, const struct directory *d, uint64_t now)
{
    const struct opened *o = opened_of(ho);
    int rc = YZ_EUNKNOWNKEY;
    for (size_t i = 0; i < o->signers_n; i++) {
        int may = yzi_directory_may_own(d, ho->offer.subsystem, o->signers[i], now);
        if (may == 0) {
            return 0;
        }
        rc = rc == YZ_EEXPIRED ? rc : may;
    }
    return rc;
}

int yzi_offer_may_follow(const struct held_offer *fresh, const struct held_offer *held,
                         const struct directory *d, uint64_t now, yz_error *err)
{
    int rc = held ? yzi_offer_stands(held, d, now) : YZ_EUNKNOWNKEY;
    if (rc != 0 && rc != YZ_EEXPIRED) {
        return 0;
    }
    const struct offer *was = &held->offer, *is = &fresh->offer;
    if (is->version > was->version) {
        return 0;
    }
    int len = (int)is->subsystem.v.n;
    const char *name = (const char *)is->subsystem.v.p;
    unsigned long long version = is->version;
    if (is->version < was->version) {
        return yzi_fail(err, YZ_EROLLBACK, "offer %llu of %.*s is older than the one held", version,
                        len, name);
    }
    if (yzi_bytes_eq(opened_of(fresh)->body, opened_of(held)->body)) {
        return yzi_fail(err, YZ_EEXIST, "offer %llu of %.*s is held", version, len, name);
    }
    return yzi_fail(err, YZ_EROLLBACK, "there are two different offers %llu of %.*s: alarm",
                    version, len, name);
}

/* -- the book -- */

int yzi_offers_new(struct offers **out)
{
    struct offers *o;
    YZ_TRY(yzi_alloc(1, sizeof *o, &o));
    int rc = account_new(NULL, &o->all);
    if (rc < 0) {
        free(o);
        return rc;
    }
    *out = o;
    return 0;
}

void yzi_offers_set_limits(struct offers *o, size_t bytes, size_t bytes_per_member)
{
    o->bytes_max = bytes;
    o->bytes_per_member_max = bytes_per_member;
}

size_t yzi_offers_bytes(const struct offers *o)
{
    return atomic_load(&o->all->bytes);
}

static void drop_opened(void *o)
{
    yzi_offer_unref(o);
}

void yzi_offers_free(struct offers *o)
{
    if (o) {
        yzi_table_fini(&o->by_subsystem, drop_opened);
        yzi_table_fini(&o->by_member, account_unref);
        account_unref(o->all);
        free(o->sorted);
        free(o);
    }
}

/* Where a subsystem stands, or belongs, in the order. */
static size_t place_of(const struct offers *o, yz_bytes subsystem)
{
    size_t low = 0, high = o->sorted_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (yzi_bytes_cmp(o->sorted[mid]->held.offer.subsystem.v, subsystem) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static int make_room(struct offers *o)
{
    if (o->sorted_n < o->sorted_cap) {
        return 0;
    }
    size_t cap = o->sorted_cap ? o->sorted_cap * 2 : 16;
    struct opened **grown = reallocarray(o->sorted, cap, sizeof *grown);
    YZ_ENSURE(grown, YZ_ENOMEM);
    o->sorted = grown;
    o->sorted_cap = cap;
    return 0;
}

/* There is room. */
static void put_sorted(struct offers *o, struct opened *fresh, bool replaces)
{
    size_t i = place_of(o, fresh->held.offer.subsystem.v);
    if (!replaces) {
        memmove(&o->sorted[i + 1], &o->sorted[i], (o->sorted_n - i) * sizeof *o->sorted);
        o->sorted_n++;
    }
    o->sorted[i] = fresh;
}

static int account_of(struct offers *o, yz_member_id member, struct account **out)
{
    struct account *a = yzi_table_get(&o->by_member, member.v);
    if (!a) {
        YZ_TRY(account_new(o->all, &a));
        int rc = yzi_table_put(&o->by_member, member.v, a);
        if (rc < 0) {
            account_unref(a);
            return rc;
        }
    }
    *out = a;
    return 0;
}

/* It goes at once, and what comes for it takes no more: then no limit is in its way, however far
 * beyond it others are. Else nobody could take a grant back while there is no room. */
static bool shrinks(const struct opened *fresh, struct opened *held)
{
    return held && atomic_load(&held->refs) == 1 && fresh->bytes <= held->bytes;
}

/* What a replaced one takes is given back when nobody refers to it any more, not before. It is in
 * nobody's way all the same: what there is beyond a limit is one offer at most, for the next
 * version finds it counted, and is not what that one replaces. */
static int admit(struct offers *o, struct opened *fresh, struct opened *held, yz_error *err)
{
    struct account *a;
    yz_member_id member = yzi_subsystem_member(fresh->held.offer.subsystem);
    size_t instead = held ? held->bytes : 0;
    YZ_TRY(account_of(o, member, &a));
    if (shrinks(fresh, held)) {
        count(a, fresh);
        return 0;
    }
    if (!has_room(a, fresh->bytes, instead, o->bytes_per_member_max)) {
        return yzi_fail(err, YZ_ELIMIT, "the offers of %.*s take more than one member's may",
                        (int)member.v.n, (const char *)member.v.p);
    }
    if (!has_room(o->all, fresh->bytes, instead, o->bytes_max)) {
        return yzi_fail(err, YZ_ELIMIT, "all offers together take more than they may");
    }
    if (!leaves_room(o, a, fresh->bytes, instead)) {
        return yzi_fail(err, YZ_ELIMIT, "the offers of %.*s would leave too little to others",
                        (int)member.v.n, (const char *)member.v.p);
    }
    count(a, fresh);
    return 0;
}

int yzi_offers_put(struct offers *o, yz_bytes record, const struct directory *d, uint64_t now,
                   yz_error *err)
{
    YZ_AUTO(opened_unref_ptr) struct opened *opened = NULL;
    YZ_TRY(offer_open(record, d, now, &opened, err));
    yz_bytes id = opened->held.offer.subsystem.v;
    struct opened *held = yzi_table_get(&o->by_subsystem, id);
    YZ_TRY(yzi_offer_may_follow(&opened->held, held ? &held->held : NULL, d, now, err));
    void *old;
    YZ_TRY(admit(o, opened, held, err));
    YZ_TRY(make_room(o));
    YZ_TRY(yzi_table_set(&o->by_subsystem, id, opened, &old));
    put_sorted(o, YZ_TAKE(opened), old != NULL);
    yzi_offer_unref(old);
    return 0;
}

static const struct opened *get(const struct offers *o, yz_subsystem_id subsystem)
{
    return yzi_table_get(&o->by_subsystem, subsystem.v);
}

const struct held_offer *yzi_offers_get(const struct offers *o, yz_subsystem_id subsystem)
{
    const struct opened *opened = get(o, subsystem);
    return opened ? &opened->held : NULL;
}

int yzi_offers_each(const struct offers *o, int (*visit)(void *ctx, const struct held_offer *offer),
                    void *ctx)
{
    struct table_item *i = yzi_table_first(&o->by_subsystem);
    for (; i; i = yzi_table_next(i)) {
        const struct opened *opened = yzi_table_value(i);
        int rc = visit(ctx, &opened->held);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

void yzi_offers_prune(struct offers *o, const struct directory *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->sorted_n; i++) {
        struct opened *opened = o->sorted[i];
        if (yzi_directory_has_subsystem(d, opened->held.offer.subsystem)) {
            o->sorted[kept++] = opened;
        } else {
            yzi_table_remove(&o->by_subsystem, opened->held.offer.subsystem.v);
            yzi_offer_unref(&opened->held);
        }
    }
    o->sorted_n = kept;
}

int yzi_offers_page(const struct offers *o, yz_bytes after, size_t page, yz_buf *out)
{
    size_t before = out->n, i = place_of(o, after);
    if (i < o->sorted_n && yzi_bytes_eq(o->sorted[i]->held.offer.subsystem.v, after)) {
        i++;
    }
    for (; i < o->sorted_n && out->n - before < page; i++) {
        int rc = yzi_buf_put(out, o->sorted[i]->held.raw);
        if (rc < 0) {
            out->n = before;
            return rc;
        }
    }
    return 0;
}

size_t yzi_offers_count(const struct offers *o)
{
    return yzi_table_count(&o->by_subsystem);
}

/* -- decisions -- */

static const struct offered_service *find_service(const struct opened *o, yz_service_id id)
{
    yz_bytes code = yzi_service_code(id), version = yzi_service_version(id);
    size_t low = 0, high = o->held.offer.services_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = service_order(o->services[mid], code, version);
        if (c == 0) {
            return o->services[mid];
        }
        low = c < 0 ? mid + 1 : low;
        high = c < 0 ? high : mid;
    }
    return NULL;
}

/* The first grant for this consumer and service in order; grants_n when there is none. */
static size_t first_grant(const struct opened *o, yz_bytes consumer, yz_bytes service)
{
    size_t low = 0, high = o->held.offer.grants_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (grant_order(o->grants[mid], consumer, service) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void deny(struct coarse_decision *out, enum outcome_status status, const char *reason)
{
    out->status = status;
    out->reason = reason;
}

/* What came of the grants looked at so far. */
struct weighing {
    uint64_t now;
    bool allowed, to_come;
};

/* Any grant that holds now allows; a strict one among them makes it strict, because which of them
 * the adapter will apply depends on what the broker cannot see. */
static void weigh(struct weighing *w, const struct coarse_grant *g, struct coarse_decision *out)
{
    bool early = w->now < g->not_before;
    bool late = g->not_after != 0 && w->now >= g->not_after;
    if (!early && !late) {
        out->grant = w->allowed ? out->grant : g;
        out->strict = out->strict || g->strict;
        w->allowed = true;
    } else if (!w->allowed && (!out->grant || (early && !w->to_come))) {
        out->grant = g;
        w->to_come = early;
    }
}

static void decide(const struct opened *o, yz_subsystem_id consumer, yz_bytes service, uint64_t now,
                   struct coarse_decision *out)
{
    static const yz_bytes group = {0}; /* where its consumer would stand */
    struct weighing w = {.now = now};
    const struct offer *f = &o->held.offer;
    for (size_t i = first_grant(o, consumer.v, service);
         i < f->grants_n && grant_order(o->grants[i], consumer.v, service) == 0; i++) {
        weigh(&w, o->grants[i], out);
    }
    for (size_t i = first_grant(o, group, service);
         i < o->group_grants_n && grant_order(o->grants[i], group, service) == 0; i++) {
        if (yzi_offer_grant_is_for(f, o->grants[i], consumer)) {
            weigh(&w, o->grants[i], out);
        }
    }
    if (!w.allowed) {
        deny(out, OUTCOME_DENIED,
             !out->grant ? "no-grant" : (w.to_come ? "not-valid-yet" : "expired"));
    }
}

void yzi_offers_may_call(const struct offers *o, const struct directory *d,
                         yz_subsystem_id consumer, yz_service_id service, uint64_t now,
                         struct coarse_decision *out)
{
    *out = (struct coarse_decision){0};
    const struct opened *opened = get(o, yzi_service_subsystem(service));
    if (!opened || yzi_offer_stands(&opened->held, d, now) != 0) {
        deny(out, OUTCOME_UNKNOWN_SERVICE, "no-such-service");
        return;
    }
    out->offer = &opened->held;
    out->service = find_service(opened, service);
    if (!out->service) {
        deny(out, OUTCOME_UNKNOWN_SERVICE, "no-such-service");
        return;
    }
    decide(opened, consumer, yzi_service_local(service), now, out);
}

int yzi_coarse_rule(const struct coarse_decision *c, yz_buf *out)
{
    if (!c->offer) {
        return 0;
    }
    const struct offer *f = &c->offer->offer;
    size_t before = out->n;
    int rc = yzi_buf_printf(out, "%.*s@%llu", (int)f->subsystem.v.n, (const char *)f->subsystem.v.p,
                            (unsigned long long)f->version);
    if (rc == 0 && c->grant) {
        rc = yzi_buf_printf(out, "#%.*s", (int)c->grant->id.n, (const char *)c->grant->id.p);
    }
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}
