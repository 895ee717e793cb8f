/* SPDX-License-Identifier: Apache-2.0
 *
 * Offers and terms: verified together, kept together, replaced together.
 */
#include "adapters/policy.h"

#include <dirent.h>
#include <sodium.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/table.h"

#define TERMS_ARENA_MAX (8u * 1024u * 1024u)
#define NAME_SHOWN_MAX 150u

struct policies {
    char *dir;
    struct table by_subsystem; /* -> struct policy, one reference each */
    /* What an owner said since, which this adapter was not given: -> struct held_offer, likewise */
    struct table newer;
};

void yzi_policy_ref(struct policy *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
}

void yzi_policy_unref(struct policy *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (p->offer) {
        yzi_offer_unref(p->offer);
    }
    yzi_buf_fini(&p->terms_record);
    yzi_arena_fini(&p->arena);
    free(p);
}

static void drop(void *value)
{
    yzi_policy_unref(value);
}

static void drop_offer(void *value)
{
    yzi_offer_unref(value);
}

static void unref_policy(struct policy **p)
{
    yzi_policy_unref(*p);
}

int yzi_policies_open(const char *dir, struct policies **out, yz_error *err)
{
    YZ_TRY(yzi_dir_make(dir, 0700, err));
    struct policies *p;
    YZ_TRY(yzi_alloc(1, sizeof *p, &p));
    p->dir = strdup(dir);
    if (!p->dir) {
        free(p);
        return YZ_ENOMEM;
    }
    *out = p;
    return YZ_OK;
}

void yzi_policies_close(struct policies *p)
{
    if (p) {
        yzi_table_fini(&p->by_subsystem, drop);
        yzi_table_fini(&p->newer, drop_offer);
        free(p->dir);
        free(p);
    }
}

static struct policy *held_of(const struct policies *p, yz_subsystem_id subsystem)
{
    return yzi_table_get(&p->by_subsystem, subsystem.v);
}

static bool is_outdated(const struct policies *book, const struct policy *p)
{
    const struct held_offer *newer = yzi_table_get(&book->newer, p->offer->offer.subsystem.v);
    return newer && newer->offer.version > p->offer->offer.version;
}

struct policy *yzi_policies_get(const struct policies *p, yz_subsystem_id subsystem)
{
    struct policy *held = held_of(p, subsystem);
    return held && !is_outdated(p, held) ? held : NULL;
}

/* -- verifying -- */

static int open_terms(struct policy *p, yz_bytes record, yz_error *err)
{
    yzi_arena_init(&p->arena, TERMS_ARENA_MAX);
    yzi_buf_init(&p->terms_record, YZ_RECORD_MAX);
    YZ_TRY(yzi_buf_put(&p->terms_record, record));
    struct record r;
    int rc = yzi_record_parse(yzi_bytes_buf(&p->terms_record), &r);
    if (rc < 0 || r.kind != RECORD_TERMS) {
        return yzi_fail(err, YZ_EMALFORMED, "the terms are not a terms record");
    }
    yz_digest digest;
    yzi_record_digest(r.raw, &digest);
    if (!yzi_digest_eq(&digest, &p->offer->offer.terms_digest)) {
        return yzi_fail(err, YZ_ESIGNATURE, "the terms are not the ones the offer's owner signed");
    }
    rc = yzi_terms_parse(r.body, &p->arena, &p->terms);
    if (rc < 0) {
        return yzi_fail(err, rc, "the terms do not parse");
    }
    if (!yzi_bytes_eq(p->terms.subsystem.v, p->offer->offer.subsystem.v) ||
        p->terms.version != p->offer->offer.version) {
        return yzi_fail(err, YZ_ESIGNATURE, "the terms are for another subsystem or version");
    }
    return YZ_OK;
}

static int open_policy(const struct directory *d, const struct directory_node *self, yz_bytes offer,
                       yz_bytes terms, uint64_t now, struct policy **out, yz_error *err)
{
    YZ_AUTO(unref_policy) struct policy *p = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *p, &p));
    atomic_init(&p->references, 1);
    YZ_TRY(yzi_offer_open(offer, d, now, &p->offer, err));
    if (!yzi_directory_speaks_for(self, p->offer->offer.subsystem)) {
        return yzi_fail(err, YZ_EDENIED, "this adapter does not serve the subsystem %.*s",
                        (int)p->offer->offer.subsystem.v.n,
                        (const char *)p->offer->offer.subsystem.v.p);
    }
    YZ_TRY(open_terms(p, terms, err));
    *out = YZ_TAKE(p);
    return YZ_OK;
}

/* That it may follow the one in force, and what is known to be in force elsewhere. */
static int check_order(const struct policies *book, const struct policy *p,
                       const struct directory *d, uint64_t now, yz_error *err)
{
    const struct policy *held = held_of(book, p->offer->offer.subsystem);
    YZ_TRY(yzi_offer_may_follow(p->offer, held ? held->offer : NULL, d, now, err));
    const struct held_offer *newer = yzi_table_get(&book->newer, p->offer->offer.subsystem.v);
    int rc = yzi_offer_may_follow(p->offer, newer, d, now, err);
    return rc == YZ_EEXIST ? YZ_OK : rc; /* it is the one that was lacking */
}

/* -- files -- */

/* dir/<subsystem with '/' as '+'>.policy: '+' is in no canonical identifier. An id too long for a
 * file's name is cut, and its digest says whose it is. */
static int file_of(const struct policies *book, yz_bytes subsystem, char **out)
{
    char name[NAME_SHOWN_MAX + 2 * sizeof(yz_digest) + 16];
    size_t n = subsystem.n <= NAME_SHOWN_MAX ? subsystem.n : NAME_SHOWN_MAX;
    for (size_t i = 0; i < n; i++) {
        name[i] = subsystem.p[i] == '/' ? '+' : (char)subsystem.p[i];
    }
    char hex[2 * sizeof(yz_digest) + 1] = "";
    if (n < subsystem.n) {
        yz_digest digest;
        crypto_generichash(digest.b, sizeof digest.b, subsystem.p, subsystem.n, NULL, 0);
        sodium_bin2hex(hex, sizeof hex, digest.b, sizeof digest.b);
    }
    snprintf(name + n, sizeof name - n, "%s%s.policy", hex[0] ? "+" : "", hex);
    return yzi_path_join(book->dir, name, out);
}

/* Offer and terms are one file, so that they are switched together. */
static int keep(const struct policies *book, const struct policy *p, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(file_of(book, p->offer->offer.subsystem.v, &path));
    YZ_AUTO(yzi_buf_fini) yz_buf both;
    yzi_buf_init(&both, 2u * YZ_RECORD_MAX);
    YZ_TRY(yzi_buf_put(&both, p->offer->raw));
    YZ_TRY(yzi_buf_put(&both, yzi_bytes_buf(&p->terms_record)));
    return yzi_file_write(path, yzi_bytes_buf(&both), 0600, err);
}

static int install(struct policies *book, struct policy **p)
{
    void *old = NULL;
    YZ_TRY(yzi_table_set(&book->by_subsystem, (*p)->offer->offer.subsystem.v, *p, &old));
    *p = NULL;
    yzi_policy_unref(old);
    return YZ_OK;
}

int yzi_policies_put(struct policies *book, const struct directory *d,
                     const struct directory_node *self, yz_bytes offer, yz_bytes terms,
                     uint64_t now, yz_error *err)
{
    YZ_AUTO(unref_policy) struct policy *p = NULL;
    YZ_TRY(open_policy(d, self, offer, terms, now, &p, err));
    YZ_TRY(check_order(book, p, d, now, err));
    YZ_TRY(keep(book, p, err));
    return install(book, &p);
}

static int load_one(struct policies *book, const struct directory *d,
                    const struct directory_node *self, const char *path, uint64_t now,
                    yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf both;
    yzi_buf_init(&both, 2u * YZ_RECORD_MAX);
    YZ_TRY(yzi_file_read(path, &both, err));
    yz_reader r = yzi_reader(yzi_bytes_buf(&both));
    struct record offer, terms;
    YZ_TRY(yzi_record_next(&r, &offer));
    YZ_TRY(yzi_record_next(&r, &terms));
    YZ_TRY(yzi_read_end(&r));
    YZ_AUTO(unref_policy) struct policy *p = NULL;
    YZ_TRY(open_policy(d, self, offer.raw, terms.raw, now, &p, err));
    int rc = check_order(book, p, d, now, err);
    if (rc == YZ_EEXIST) {
        return YZ_OK;
    }
    YZ_TRY(rc);
    return install(book, &p);
}

static bool is_policy_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".policy") == 0;
}

int yzi_policies_load(struct policies *book, const struct directory *d,
                      const struct directory_node *self, uint64_t now, yz_error *err)
{
    DIR *dir = opendir(book->dir);
    if (!dir) {
        return yzi_fail(err, YZ_EIO, "%s: cannot be read", book->dir);
    }
    int result = YZ_OK;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        YZ_AUTO(yzi_free_ptr) char *path = NULL;
        yz_error one = {0};
        if (!is_policy_file(e->d_name) || yzi_path_join(book->dir, e->d_name, &path) < 0) {
            continue;
        }
        int rc = load_one(book, d, self, path, now, &one);
        if (rc < 0) {
            result = yzi_fail(err, YZ_ECORRUPT, "%s: %s; publish the offer again", path,
                              one.text[0] ? one.text : yz_err_words(rc));
        }
    }
    closedir(dir);
    return result;
}

int yzi_policies_heard(struct policies *book, const struct directory *d, yz_bytes offer,
                       uint64_t now, char subsystem[YZ_ID_MAX + 1])
{
    const struct held_offer *fresh = NULL;
    void *old = NULL;
    YZ_TRY(yzi_offer_open(offer, d, now, &fresh, NULL));
    const struct policy *held = held_of(book, fresh->offer.subsystem);
    yz_bytes id = fresh->offer.subsystem.v;
    memcpy(subsystem, id.p, id.n);
    subsystem[id.n] = '\0';
    const struct held_offer *newer = yzi_table_get(&book->newer, fresh->offer.subsystem.v);
    int rc = held ? yzi_offer_may_follow(fresh, held->offer, d, now, NULL) : YZ_ENOTFOUND;
    rc = rc < 0 ? rc : yzi_offer_may_follow(fresh, newer, d, now, NULL);
    if (rc == YZ_OK && fresh->offer.version > held->offer->offer.version) {
        rc = yzi_table_set(&book->newer, fresh->offer.subsystem.v, (void *)(uintptr_t)fresh, &old);
        fresh = rc == YZ_OK ? NULL : fresh;
    } else {
        rc = YZ_EEXIST;
    }
    yzi_offer_unref(old);
    yzi_offer_unref(fresh);
    return rc;
}

/* Nobody stands by them any more: they bind nobody. */
static void forget_newer(struct policies *book, const struct directory *d, uint64_t now)
{
    struct table_item *next;
    for (struct table_item *i = yzi_table_first(&book->newer); i; i = next) {
        next = yzi_table_next(i);
        struct held_offer *o = yzi_table_value(i);
        int rc = yzi_offer_stands(o, d, now);
        if (rc < 0 && rc != YZ_EEXPIRED) {
            yzi_table_remove(&book->newer, yzi_table_key(i));
            yzi_offer_unref(o);
        }
    }
}

size_t yzi_policies_recheck(struct policies *book, const struct directory *d,
                            const struct directory_node *self, uint64_t now)
{
    size_t withdrawn = 0;
    struct table_item *next;
    forget_newer(book, d, now);
    for (struct table_item *i = yzi_table_first(&book->by_subsystem); i; i = next) {
        next = yzi_table_next(i);
        struct policy *p = yzi_table_value(i);
        if (yzi_offer_stands(p->offer, d, now) < 0 ||
            !yzi_directory_speaks_for(self, p->offer->offer.subsystem)) {
            yzi_table_remove(&book->by_subsystem, yzi_table_key(i));
            yzi_policy_unref(p);
            withdrawn++;
        }
    }
    return withdrawn;
}

int yzi_policies_each(const struct policies *book, int (*visit)(void *ctx, yz_subsystem_id id),
                      void *ctx)
{
    for (struct table_item *i = yzi_table_first(&book->by_subsystem); i; i = yzi_table_next(i)) {
        const struct policy *p = yzi_table_value(i);
        YZ_TRY(visit(ctx, p->offer->offer.subsystem));
    }
    return YZ_OK;
}

int yzi_policies_offers(const struct policies *book, size_t *at, unsigned most, yz_buf *out)
{
    size_t n = 0;
    for (struct table_item *i = yzi_table_first(&book->by_subsystem); i;
         i = yzi_table_next(i), n++) {
        const struct policy *p = yzi_table_value(i);
        if (n < *at || is_outdated(book, p)) {
            continue;
        }
        if (most == 0 || p->offer->raw.n > out->max - out->n) {
            *at = n;
            return YZ_OK;
        }
        YZ_TRY(yzi_buf_put(out, p->offer->raw));
        most--;
    }
    *at = 0;
    return YZ_OK;
}
