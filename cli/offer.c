/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading, signing and handing on offers with their terms. The new terms are written under another
 * name first, then the offer, whose replacement is the moment of change; then the terms get their
 * name. Whatever is found later, the terms are the file that the offer's digest names.
 */
#include "cli/offer.h"

#include "base/file.h"
#include "cli/group.h"

static int offer_path(struct cli *c, const char *home, yz_bytes code, const char *suffix,
                      const char **out)
{
    const char *dir, *name;
    YZ_TRY(yzi_home_path(c, home, "offers", &dir));
    YZ_TRY(yzi_home_file_name(c, "", code, suffix, &name));
    return yzi_home_path(c, dir, name, out);
}

/* -- loading -- */

/* The terms in this file, if they are those the offer names. */
static int read_terms(struct cli *c, struct home_offer *o, const char *suffix, bool *out_found)
{
    const char *path;
    struct record r;
    yz_digest digest;
    *out_found = false;
    YZ_TRY(offer_path(c, o->home, o->code, suffix, &path));
    if (!yzi_file_exists(path)) {
        return YZ_OK;
    }
    YZ_TRY(yzi_home_read(c, path, RECORD_TERMS, &r));
    yzi_record_digest(r.raw, &digest);
    if (!yzi_digest_eq(&digest, &o->offer.terms_digest)) {
        return YZ_OK;
    }
    int rc = yzi_terms_parse(r.body, yzi_cli_arena(c), &o->terms);
    if (rc < 0) {
        return yzi_home_bad_body(c, rc, path, "terms record");
    }
    o->terms_raw = r.raw;
    *out_found = true;
    return YZ_OK;
}

static int read_offer(struct cli *c, const struct member_set *set, const char *path,
                      struct home_offer *o)
{
    struct record r;
    YZ_TRY(yzi_home_read(c, path, RECORD_OFFER, &r));
    int rc = yzi_record_verify_one(&r, &set->owner_keys, yzi_home_now());
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc, "%s: not signed by an owner key of the member set",
                        path);
    }
    rc = yzi_offer_parse(r.body, yzi_cli_arena(c), &o->offer);
    if (rc < 0) {
        return yzi_home_bad_body(c, rc, path, "offer");
    }
    o->offer_raw = r.raw;
    return YZ_OK;
}

static int subsystem_id(struct cli *c, const struct member_set *set, yz_bytes code,
                        yz_subsystem_id *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_bytes copy;
    yzi_buf_init(&text, YZ_ID_MAX);
    YZ_TRY(yzi_buf_printf(&text, "%.*s/%.*s", CLI_V(set->member.v), CLI_V(code)));
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&text), &copy));
    return yzi_subsystem_id_parse(copy, out);
}

int yzi_home_offer_load(struct cli *c, const char *home, const struct member_set *set,
                        yz_bytes code, struct home_offer *out)
{
    const char *path;
    bool found;
    yz_subsystem_id id;
    struct home_offer o = {.home = home, .code = code};
    if (!yzi_home_subsystem(set, code)) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                        "%.*s has no subsystem '%.*s'; add it with `yz subsystem add --home %s "
                        "%.*s`",
                        CLI_V(set->member.v), CLI_V(code), home, CLI_V(code));
    }
    YZ_TRY(subsystem_id(c, set, code, &id));
    o.offer.subsystem = o.terms.subsystem = id;
    YZ_TRY(offer_path(c, home, code, ".offer.yzr", &path));
    if (yzi_file_exists(path)) {
        YZ_TRY(read_offer(c, set, path, &o));
        YZ_TRY(read_terms(c, &o, ".terms.yzr", &found));
        YZ_TRY(found ? YZ_OK : read_terms(c, &o, ".terms.new.yzr", &found));
        if (!found || !yzi_bytes_eq(o.offer.subsystem.v, id.v)) {
            return yzi_fail(yzi_cli_error(c), YZ_ECORRUPT,
                            "%s: the terms that this offer names are not beside it, or it is "
                            "another subsystem's",
                            path);
        }
        o.exists = true;
    }
    *out = o;
    return YZ_OK;
}

/* -- signing -- */

static int write_terms(struct cli *c, struct home_offer *o)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    int rc = yzi_terms_write(&o->terms, &body);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc, "the terms cannot be written (%s)", yz_err_words(rc));
    }
    YZ_TRY(yzi_home_sign(c, RECORD_TERMS, yzi_bytes_buf(&body), NULL, 0, &o->terms_raw));
    yzi_record_digest(o->terms_raw, &o->offer.terms_digest);
    return YZ_OK;
}

static int write_offer(struct cli *c, struct home_offer *o)
{
    YZ_AUTO(yzi_key_pair_fini) struct key_pair key = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_home_key(c, o->home, "owner", KEY_OWNER, &key));
    int rc = yzi_offer_write(&o->offer, &body);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc,
                        "the offer with this change would break a rule of offers (%s)",
                        yz_err_words(rc));
    }
    struct key_pair *signer = &key;
    return yzi_home_sign(c, RECORD_OFFER, yzi_bytes_buf(&body), &signer, 1, &o->offer_raw);
}

static int put_files(struct cli *c, const struct home_offer *o)
{
    const char *dir, *offer, *terms, *fresh;
    YZ_TRY(yzi_home_path(c, o->home, "offers", &dir));
    YZ_TRY(yzi_dir_make(dir, 0700, yzi_cli_error(c)));
    YZ_TRY(offer_path(c, o->home, o->code, ".offer.yzr", &offer));
    YZ_TRY(offer_path(c, o->home, o->code, ".terms.yzr", &terms));
    YZ_TRY(offer_path(c, o->home, o->code, ".terms.new.yzr", &fresh));
    YZ_TRY(yzi_home_write(c, fresh, o->terms_raw));
    YZ_TRY(yzi_home_write(c, offer, o->offer_raw));
    YZ_TRY(yzi_home_write(c, terms, o->terms_raw));
    yz_ignore(remove(fresh), "the same terms twice do no harm");
    return YZ_OK;
}

/* Terms an interrupted change left under their other name get their place before that name is
 * written again. */
static int settle(struct cli *c, const struct home_offer *o)
{
    const char *terms;
    if (!o->exists) {
        return YZ_OK;
    }
    YZ_TRY(offer_path(c, o->home, o->code, ".terms.yzr", &terms));
    return yzi_home_write(c, terms, o->terms_raw);
}

int yzi_home_offer_sign(struct cli *c, struct home_offer *o)
{
    YZ_TRY(settle(c, o));
    yzi_home_groups_tidy(&o->offer);
    o->offer.version++;
    o->terms.version = o->offer.version;
    o->offer.issued_at = yzi_home_now();
    YZ_TRY(write_terms(c, o));
    YZ_TRY(write_offer(c, o));
    YZ_TRY(put_files(c, o));
    o->exists = true;
    return YZ_OK;
}

int yzi_home_offer_push(struct cli *c, const struct home_offer *o)
{
    YZ_AUTO(yzi_buf_fini) yz_buf both;
    yzi_buf_init(&both, 2 * YZ_RECORD_MAX);
    YZ_TRY(yzi_buf_put(&both, o->offer_raw));
    YZ_TRY(yzi_buf_put(&both, o->terms_raw));
    return yzi_home_send_all(c, "records.put", yzi_bytes_buf(&both));
}

/* -- looking up -- */

struct offered_service *yzi_home_offer_service(const struct home_offer *o, yz_bytes local)
{
    for (size_t i = 0; i < o->offer.services_n; i++) {
        struct offered_service *s = &o->offer.services[i];
        size_t n = s->code.n;
        if (local.n == n + 1 + s->version.n && local.p[n] == '/' &&
            yzi_bytes_eq(yzi_bytes(local.p, n), s->code) &&
            yzi_bytes_eq(yzi_bytes(local.p + n + 1, s->version.n), s->version)) {
            return s;
        }
    }
    return NULL;
}

struct catalogue_entry *yzi_home_offer_entry(const struct home_offer *o, yz_bytes data_set)
{
    for (size_t i = 0; i < o->offer.catalogue_n; i++) {
        if (yzi_bytes_eq(o->offer.catalogue[i].data_set, data_set)) {
            return &o->offer.catalogue[i];
        }
    }
    return NULL;
}

static struct unlisted_fields *unlisted_of(const struct home_offer *o, yz_bytes data_set)
{
    for (size_t i = 0; i < o->terms.unlisted_n; i++) {
        if (yzi_bytes_eq(o->terms.unlisted[i].data_set, data_set)) {
            return &o->terms.unlisted[i];
        }
    }
    return NULL;
}

static void drop_unlisted(struct home_offer *o, yz_bytes data_set)
{
    struct terms *t = &o->terms;
    struct unlisted_fields *u = unlisted_of(o, data_set);
    if (u) {
        memmove(u, u + 1, (t->unlisted_n - (size_t)(u - t->unlisted) - 1) * sizeof *u);
        t->unlisted_n--;
    }
}

int yzi_home_offer_describe(struct cli *c, struct home_offer *o, const struct dataset *definition)
{
    struct unlisted_fields unlisted;
    struct offer *f = &o->offer;
    struct terms *t = &o->terms;
    yz_bytes name = yzi_bytes_str(definition->name);
    struct catalogue_entry *e = yzi_home_offer_entry(o, name);
    if (!e) {
        YZ_TRY(yzi_cli_extend(c, &f->catalogue, f->catalogue_n, sizeof *f->catalogue));
        e = &f->catalogue[f->catalogue_n++];
    }
    YZ_TRY(yzi_dataset_catalogue(definition, yzi_cli_arena(c), e, &unlisted));
    drop_unlisted(o, name);
    if (unlisted.elements_n) {
        YZ_TRY(yzi_cli_extend(c, &t->unlisted, t->unlisted_n, sizeof *t->unlisted));
        t->unlisted[t->unlisted_n++] = unlisted;
    }
    return YZ_OK;
}

void yzi_home_offer_forget(struct home_offer *o, yz_bytes data_set)
{
    struct offer *f = &o->offer;
    for (size_t i = 0; i < f->services_n; i++) {
        if (yzi_bytes_eq(f->services[i].data_set, data_set)) {
            return;
        }
    }
    struct catalogue_entry *e = yzi_home_offer_entry(o, data_set);
    if (e) {
        memmove(e, e + 1, (f->catalogue_n - (size_t)(e - f->catalogue) - 1) * sizeof *e);
        f->catalogue_n--;
    }
    drop_unlisted(o, data_set);
}

int yzi_home_offer_fields(struct cli *c, const struct home_offer *o, yz_bytes data_set,
                          const struct catalogue_entry **out)
{
    struct catalogue_entry *all;
    const struct catalogue_entry *e = yzi_home_offer_entry(o, data_set);
    const struct unlisted_fields *u = unlisted_of(o, data_set);
    *out = e;
    if (!e || !u) {
        return YZ_OK;
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 1, sizeof *all, &all));
    *all = *e;
    all->elements_n = e->elements_n + u->elements_n;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), all->elements_n, sizeof *all->elements, &all->elements));
    for (size_t i = 0; i < all->elements_n; i++) {
        all->elements[i] = i < e->elements_n ? e->elements[i] : u->elements[i - e->elements_n];
    }
    *out = all;
    return YZ_OK;
}

struct fine_grant *yzi_home_offer_fine(const struct home_offer *o, yz_bytes grant)
{
    for (size_t i = 0; i < o->terms.grants_n; i++) {
        if (yzi_bytes_eq(o->terms.grants[i].id, grant)) {
            return &o->terms.grants[i];
        }
    }
    return NULL;
}

bool yzi_home_entry_has(const struct catalogue_entry *e, yz_bytes field)
{
    for (size_t i = 0; i < e->elements_n; i++) {
        if (yzi_bytes_eq(e->elements[i].field, field)) {
            return true;
        }
    }
    return false;
}
