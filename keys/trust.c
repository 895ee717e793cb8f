/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in force, and how it changes: durably first, then for everybody to see. The order of the
 * files, and what a crash between them leaves, is in trust_internal.h.
 */
#include <sodium.h>
#include <unistd.h>

#include "keys/trust_internal.h"

#define WARN_MS (10u * 60u * 1000u)
#define STOP_MS (24u * 3600u * 1000u)

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

/* -- opening -- */

void yzi_trust_close(struct trust *t)
{
    if (!t) {
        return;
    }
    yzi_trust_pending_clear(t);
    yzi_directory_unref(t->directory);
    yzi_trust_files_fini(t);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void close_ptr(struct trust **t)
{
    yzi_trust_close(*t);
}

int yzi_trust_open(const struct trust_options *o, struct trust **out, yz_error *err)
{
    YZ_AUTO(close_ptr) struct trust *t = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *t, &t));
    pthread_mutex_init(&t->lock, NULL); /* the default kind never fails on the platforms we have */
    t->clock = o->clock;
    t->warn_ms = o->warn_ms ? o->warn_ms : WARN_MS;
    t->stop_ms = o->stop_ms ? o->stop_ms : STOP_MS;
    YZ_TRY(yzi_trust_files_init(t, o, err));
    YZ_TRY(yzi_trust_load(t, err));
    *out = YZ_TAKE(t);
    return 0;
}

int yzi_trust_set_anchor(struct trust *t, yz_bytes record, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = -1;
    YZ_AUTO(yzi_buf_fini) yz_buf text = {0};
    struct record r;
    YZ_TRY(yzi_directory_check_anchor(record, err));
    YZ_TRY(yzi_record_parse(record, &r));
    if (t->root.n) {
        struct record known;
        YZ_TRY(yzi_record_parse(yzi_trust_root_for(t, record), &known));
        return yzi_bytes_eq(known.body, r.body)
                   ? 0
                   : yzi_fail(err, YZ_EEXIST, "another anchor is set already");
    }
    yzi_buf_init(&text, 2u * YZ_RECORD_MAX);
    YZ_TRY(yzi_record_armour(record, &text));
    YZ_TRY(yzi_trust_files_lock(t, &fd, err));
    YZ_TRY(yzi_trust_file_write(t, TRUST_FILE_ANCHOR, yzi_bytes_buf(&text), err));
    return yzi_trust_root_add(t, record);
}

/* -- what others ask -- */

const struct directory *yzi_trust_directory(struct trust *t)
{
    pthread_mutex_lock(&t->lock);
    const struct directory *d = t->directory;
    if (d) {
        yzi_directory_ref(d);
    }
    pthread_mutex_unlock(&t->lock);
    return d;
}

enum trust_state yzi_trust_state(struct trust *t, uint64_t *out_age_ms)
{
    uint64_t now = yzi_wall_ms(t->clock);
    pthread_mutex_lock(&t->lock);
    bool none = !t->directory;
    uint64_t fresh = t->memory.freshness;
    uint64_t issued = none ? 0 : yzi_directory_issued_at(t->directory);
    pthread_mutex_unlock(&t->lock);
    /* operators whose clock runs ahead make nothing fresh beforehand */
    uint64_t since = issued > now && issued - now > YZ_SKEW_MS ? 0 : issued;
    since = fresh > since ? fresh : since;
    uint64_t age = now > since ? now - since : 0;
    if (out_age_ms) {
        *out_age_ms = none ? 0 : age;
    }
    if (none) {
        return TRUST_NONE;
    }
    bool clock_is_behind = fresh > now && fresh - now > YZ_SKEW_MS;
    if (clock_is_behind || age > t->stop_ms) {
        return TRUST_EXPIRED;
    }
    return age > t->warn_ms ? TRUST_AGING : TRUST_FRESH;
}

void yzi_trust_expired_text(uint64_t age_ms, char out[TRUST_EXPIRED_TEXT])
{
    if (age_ms == 0) {
        snprintf(out, TRUST_EXPIRED_TEXT,
                 "this node's clock is behind: the directory was confirmed at a time that it has "
                 "not reached yet; set the clock");
    } else {
        snprintf(out, TRUST_EXPIRED_TEXT,
                 "nobody entitled has confirmed the directory for %llu s (or this node's clock is "
                 "wrong)",
                 (unsigned long long)(age_ms / 1000));
    }
}

yz_bytes yzi_trust_freshness(struct trust *t)
{
    return yzi_bytes_buf(&t->freshness);
}

/* The key of the list to use: of several that are valid the one that became valid last, so that a
 * rotation is followed as soon as it begins. */
static const struct key_validity *pick_key(const struct directory *d, const struct key_list *l,
                                           uint64_t now)
{
    const struct key_validity *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const struct key_validity *k = &l->items[i];
        bool revoked = d && yzi_directory_key_revoked(d, k->key, now);
        bool valid = yzi_key_list_has(&(struct key_list){&l->items[i], 1}, k->key, now);
        if (valid && !revoked && (!best || k->not_before > best->not_before)) {
            best = k;
        }
    }
    return best;
}

int yzi_trust_broker_key(struct trust *t, yz_node_id broker, uint8_t out[32], yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct record r;
    struct root_statement root;
    yz_bytes raw = t->directory ? yzi_directory_root_record(t->directory) : t->root;
    yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * raw.n);
    if (!raw.n) {
        return yzi_fail(err, YZ_ENOTFOUND, "there is no anchor that names broker %.*s",
                        YZ_V(broker.v));
    }
    YZ_TRY(yzi_record_parse(raw, &r));
    YZ_TRY(yzi_root_statement_parse(r.body, &arena, &root));
    for (size_t i = 0; i < root.brokers_n; i++) {
        if (!yzi_bytes_eq(root.brokers[i].node.v, broker.v)) {
            continue;
        }
        const struct key_validity *k =
            pick_key(t->directory, &root.brokers[i].transport, yzi_wall_ms(t->clock));
        if (!k) {
            return yzi_fail(err, YZ_ENOTFOUND, "no transport key of broker %.*s is valid now",
                            YZ_V(broker.v));
        }
        memcpy(out, k->key, 32);
        return 0;
    }
    return yzi_fail(err, YZ_ENOTFOUND,
                    "the root statement held here names no broker %.*s: give its key, which yz "
                    "directory show prints, in the configuration",
                    YZ_V(broker.v));
}

uint64_t yzi_trust_conflicts(const struct trust *t)
{
    return t->conflicts;
}

static void put_in_force(struct trust *t, const struct directory *d, const struct trust_memory *m)
{
    pthread_mutex_lock(&t->lock);
    const struct directory *old = t->directory;
    t->directory = d;
    t->memory = *m;
    pthread_mutex_unlock(&t->lock);
    yzi_directory_unref(old);
}

/* -- adopting a version -- */

void yzi_trust_manifest_digest(const struct directory *d, yz_digest *out)
{
    yz_bytes body = d->base->manifest_body;
    crypto_hash_sha256(out->b, body.p, body.n);
}

/* One set over *d, if it belongs there. */
static int keep_set(struct trust *t, yz_bytes record, const struct directory **d, yz_error *err)
{
    const struct directory *next;
    bool conflict = false;
    int rc = yzi_dir_overlay_kept(*d, record, &next, &conflict, err);
    t->conflicts += conflict;
    if (rc == YZ_EEXIST) {
        return 0;
    }
    YZ_TRY(rc);
    yzi_directory_unref(*d);
    *d = next;
    return 0;
}

int yzi_trust_keep_sets(struct trust *t, yz_bytes records, const struct directory **d,
                        yz_error *err)
{
    yz_reader reader = yzi_reader(records);
    while (reader.left) {
        struct record r;
        int rc = yzi_record_next(&reader, &r);
        if (rc < 0) {
            return yzi_fail(err, rc, "a member set cannot be read (%s)", yz_err_words(rc));
        }
        YZ_TRY(keep_set(t, r.raw, d, err));
    }
    return 0;
}

/* What members said in the old version and the new one would take back: an operator publishes what
 * members sign, and cannot make them unsay it. *out_rescued: there was any. */
static int keep_published(struct trust *t, const struct directory *old, const struct directory **d,
                          bool *out_rescued, yz_error *err)
{
    const struct table *members = &old->base->members;
    for (struct table_item *i = yzi_table_first(members); i; i = yzi_table_next(i)) {
        const struct dir_member *was = yzi_table_value(i);
        const struct dir_member *is = yzi_dir_member_of((*d)->base, was->record.member.v);
        if (!was->set || !is || (is->set && is->set->set.version > was->set->set.version) ||
            (is->set && yzi_bytes_eq(is->set->body, was->set->body))) {
            continue;
        }
        size_t before = yzi_directory_overlays_n(*d);
        YZ_TRY(keep_set(t, was->set->raw, d, err));
        *out_rescued = *out_rescued || yzi_directory_overlays_n(*d) > before;
    }
    return 0;
}

static int write_sets(struct trust *t, const struct directory *a, const struct directory *b,
                      yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file;
    yzi_buf_init(&file, TRUST_STATEMENTS_MAX);
    if (a) {
        YZ_TRY(yzi_directory_overlays(a, &file));
    }
    YZ_TRY(yzi_directory_overlays(b, &file));
    YZ_TRY(yzi_trust_file_write(t, TRUST_FILE_STATEMENTS, yzi_bytes_buf(&file), err));
    crypto_hash_sha256(t->statements.b, file.p, file.n);
    return 0;
}

/* Sets that another process of this home took in, laid over *d. */
static int merge_sets(struct trust *t, const struct directory **d, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file = {0};
    yz_digest digest;
    bool found;
    YZ_TRY(yzi_trust_file_read(t, TRUST_FILE_STATEMENTS, &file, &found, err));
    crypto_hash_sha256(digest.b, file.p, file.n);
    if (yzi_digest_eq(&digest, &t->statements)) {
        return 0;
    }
    int rc = yzi_trust_keep_sets(t, yzi_bytes_buf(&file), d, err);
    return rc < 0 ? yzi_trust_corrupt(t, TRUST_FILE_STATEMENTS, rc, err) : 0;
}

/* The higher of what we and another process have seen. */
static int seen(const struct trust *t, struct trust_memory *out, yz_error *err)
{
    struct trust_memory disk;
    YZ_TRY(yzi_trust_memory_read(t, &disk, err));
    *out = t->memory;
    if (disk.version > out->version) {
        out->version = disk.version;
        out->manifest = disk.manifest;
    }
    out->freshness = disk.freshness > out->freshness ? disk.freshness : out->freshness;
    return 0;
}

static int check_seen(const struct directory *d, const struct trust_memory *m, yz_error *err)
{
    unsigned long long version = yzi_directory_version(d);
    yz_digest digest;
    yzi_trust_manifest_digest(d, &digest);
    if (version < m->version) {
        return yzi_fail(err, YZ_EROLLBACK,
                        "directory version %llu is older than %llu, which was seen", version,
                        (unsigned long long)m->version);
    }
    if (version == m->version && !yzi_digest_eq(&digest, &m->manifest)) {
        return yzi_fail(err, YZ_EROLLBACK,
                        "the operators signed two different directories %llu: alarm", version);
    }
    return 0;
}

/* Roots, what would be lost, the bundle, the memory: see trust_internal.h. */
static int persist(struct trust *t, const struct directory *d, bool rescued,
                   const struct trust_memory *m, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf bundle;
    yzi_buf_init(&bundle, TRUST_BUNDLE_MAX);
    YZ_TRY(yzi_directory_bundle(d, &bundle));
    YZ_TRY(yzi_trust_file_write(t, TRUST_FILE_ROOTS, yzi_bytes_buf(&t->roots), err));
    if (rescued) {
        YZ_TRY(write_sets(t, t->directory, d, err));
    }
    YZ_TRY(yzi_trust_file_write(t, TRUST_FILE_BUNDLE, yzi_bytes_buf(&bundle), err));
    return yzi_trust_memory_write(t, m, err);
}

/* The list of root statements as it was, unless keep() was reached. */
struct roots_mark {
    struct trust *t;
    size_t roots_n, newest_at, newest_n;
};

static struct roots_mark mark_roots(struct trust *t)
{
    size_t at = t->root.n ? (size_t)(t->root.p - t->roots.p) : 0;
    return (struct roots_mark){t, t->roots.n, at, t->root.n};
}

static void restore_roots(const struct roots_mark *m)
{
    m->t->roots.n = m->roots_n;
    m->t->root = m->newest_n ? yzi_bytes(m->t->roots.p + m->newest_at, m->newest_n) : (yz_bytes){0};
}

/* Follow the version's root statement when it is newer than the newest trusted. */
static int follow_root(struct trust *t, const struct directory *d)
{
    yz_bytes root = yzi_directory_root_record(d);
    struct record is, newest;
    YZ_TRY(yzi_record_parse(root, &is));
    YZ_TRY(yzi_record_parse(t->root, &newest));
    return yzi_bytes_eq(is.body, newest.body) ? 0 : yzi_trust_root_add(t, root);
}

static int make_durable(struct trust *t, const struct directory **d, struct trust_memory *m,
                        yz_error *err)
{
    bool rescued = false;
    YZ_TRY(seen(t, m, err));
    YZ_TRY(check_seen(*d, m, err));
    if (t->directory) {
        YZ_AUTO(yzi_buf_fini) yz_buf sets;
        yzi_buf_init(&sets, TRUST_STATEMENTS_MAX);
        YZ_TRY(yzi_directory_overlays(t->directory, &sets));
        YZ_TRY(yzi_trust_keep_sets(t, yzi_bytes_buf(&sets), d, err));
        YZ_TRY(keep_published(t, t->directory, d, &rescued, err));
    }
    YZ_TRY(merge_sets(t, d, err));
    m->version = yzi_directory_version(*d);
    yzi_trust_manifest_digest(*d, &m->manifest);
    YZ_TRY(follow_root(t, *d));
    return persist(t, *d, rescued, m, err);
}

/* Takes the reference to d, also on failure. */
static int adopt_directory(struct trust *t, const struct directory *taken, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = -1;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = taken;
    struct trust_memory m;
    YZ_TRY(yzi_trust_files_lock(t, &fd, err));
    struct roots_mark mark = mark_roots(t);
    int rc = make_durable(t, &d, &m, err);
    if (rc < 0) {
        restore_roots(&mark);
        return rc;
    }
    yzi_buf_clear(&t->freshness); /* of the version before; its time stays remembered */
    put_in_force(t, YZ_TAKE(d), &m);
    yz_ignore(write_sets(t, NULL, t->directory, NULL),
              "the file has all that is needed, and what is too much is ignored when it is read");
    return 0;
}

int yzi_trust_adopt(struct trust *t, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) yz_bytes *chunks = NULL;
    const struct directory *d;
    const struct trust_pending *p = &t->pending;
    YZ_ENSURE(p->used || t->probe.used,
              yzi_fail(err, YZ_ENOTFOUND, "there is no directory to adopt"));
    YZ_ENSURE(yzi_trust_pending_complete(t),
              yzi_fail(err, YZ_EAGAIN, "chunks of the directory are missing"));
    YZ_TRY(yzi_alloc(p->manifest.chunks_n, sizeof *chunks, &chunks));
    for (size_t i = 0; i < p->manifest.chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&p->chunks[i]);
    }
    int rc = yzi_dir_verify_after(t->directory, t->root, yzi_bytes_buf(&p->record), chunks,
                                  p->manifest.chunks_n, &d, err);
    rc = rc < 0 ? rc : adopt_directory(t, d, err);
    if (rc == 0 || yz_err_class(rc) == YZ_CLASS_AUTH || yz_err_class(rc) == YZ_CLASS_PROTOCOL) {
        yzi_trust_pending_fini(&t->pending); /* done, or it will never verify */
    }
    return rc;
}

int yzi_trust_put_bundle(struct trust *t, yz_bytes bundle, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) yz_bytes *chunks = NULL;
    yz_bytes manifest;
    size_t n = YZ_MANIFEST_CHUNKS_MAX;
    const struct directory *d;
    if (!t->root.n) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "there is no anchor to judge a directory by");
    }
    YZ_TRY(yzi_alloc(n, sizeof *chunks, &chunks));
    int rc = yzi_directory_bundle_parse(bundle, &manifest, chunks, &n);
    if (rc < 0) {
        return yzi_fail(err, rc, "this is no directory bundle (%s)", yz_err_words(rc));
    }
    YZ_TRY(yzi_dir_verify_after(t->directory, t->root, manifest, chunks, n, &d, err));
    if (t->directory && yzi_bytes_eq(d->base->manifest_body, t->directory->base->manifest_body)) {
        yzi_directory_unref(d);
        return yzi_fail(err, YZ_EEXIST, "directory version %llu is in force",
                        (unsigned long long)yzi_directory_version(t->directory));
    }
    return adopt_directory(t, d, err);
}

/* -- freshness -- */

int yzi_trust_check_freshness(const struct directory *d, const struct record *r,
                              struct freshness *out, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct freshness f;
    yzi_arena_init(&arena, DIR_ARENA_FIXED);
    int rc = r->kind == RECORD_FRESHNESS ? yzi_freshness_parse(r->body, &arena, &f) : YZ_EMALFORMED;
    if (rc < 0) {
        return yzi_fail(err, rc, "the freshness statement cannot be read (%s)", yz_err_words(rc));
    }
    rc = yzi_record_verify(r, (const uint8_t(*)[32]) & d->base->root.freshness_key, 1, 1);
    if (rc < 0) {
        return yzi_fail(err, rc, "the freshness statement is not signed by the freshness key");
    }
    if (!yzi_bytes_eq(f.instance, yzi_directory_instance(d))) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "the freshness statement is of instance %.*s",
                        YZ_V(f.instance));
    }
    uint64_t version = yzi_directory_version(d);
    if (f.directory_version != version) {
        bool newer = f.directory_version > version;
        return yzi_fail(err, newer ? YZ_EAGAIN : YZ_EROLLBACK,
                        "the freshness statement is of directory version %llu, %llu is in force",
                        (unsigned long long)f.directory_version, (unsigned long long)version);
    }
    if (!yzi_digest_eq(&f.root_hash, yzi_directory_root_hash(d))) {
        return yzi_fail(err, YZ_EROLLBACK,
                        "the freshness statement is of another directory %llu: alarm",
                        (unsigned long long)version);
    }
    *out = f;
    return 0;
}

/* What depends on the moment: a statement kept from before its key was revoked stays what it is. */
static int check_now(const struct trust *t, const struct freshness *f, yz_error *err)
{
    uint64_t now = yzi_wall_ms(t->clock);
    if (yzi_directory_key_revoked(t->directory, t->directory->base->root.freshness_key, now)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "the freshness key is revoked");
    }
    if (f->time > now && f->time - now > YZ_SKEW_MS) {
        return yzi_fail(err, YZ_EEXPIRED, "the freshness statement is from the future");
    }
    return 0;
}

static int keep_freshness(struct trust *t, const struct freshness *f, yz_bytes record,
                          yz_error *err)
{
    YZ_AUTO(close_fd) int fd = -1;
    struct trust_memory m;
    YZ_TRY(yzi_trust_files_lock(t, &fd, err));
    YZ_TRY(seen(t, &m, err));
    if (f->time < m.freshness) {
        return yzi_fail(err, YZ_EROLLBACK, "the freshness statement is older than one seen before");
    }
    m.freshness = f->time;
    YZ_TRY(yzi_buf_reserve(&t->freshness, record.n));
    YZ_TRY(yzi_trust_file_write(t, TRUST_FILE_FRESHNESS, record, err));
    YZ_TRY(yzi_trust_memory_write(t, &m, err));
    yzi_buf_clear(&t->freshness);
    YZ_TRY(yzi_buf_put(&t->freshness, record));
    pthread_mutex_lock(&t->lock);
    t->memory.freshness = m.freshness;
    pthread_mutex_unlock(&t->lock);
    return 0;
}

int yzi_trust_put_freshness(struct trust *t, yz_bytes record, yz_error *err)
{
    struct record r;
    struct freshness f;
    if (yzi_bytes_eq(record, yzi_bytes_buf(&t->freshness))) {
        return yzi_fail(err, YZ_EEXIST, "this freshness statement is held");
    }
    if (!t->directory) {
        return yzi_fail(err, YZ_EAGAIN, "there is no directory yet");
    }
    int rc = yzi_record_parse(record, &r);
    if (rc < 0) {
        return yzi_fail(err, rc, "the freshness statement cannot be read (%s)", yz_err_words(rc));
    }
    YZ_TRY(yzi_trust_check_freshness(t->directory, &r, &f, err));
    YZ_TRY(check_now(t, &f, err));
    return keep_freshness(t, &f, record, err);
}

/* -- member sets -- */

int yzi_trust_put_member_set(struct trust *t, yz_bytes record, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = -1;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = NULL;
    if (!t->directory) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "there is no directory yet");
    }
    YZ_TRY(yzi_directory_overlay(t->directory, record, yzi_wall_ms(t->clock), &d, err));
    YZ_TRY(yzi_trust_files_lock(t, &fd, err));
    YZ_TRY(merge_sets(t, &d, err));
    YZ_TRY(write_sets(t, NULL, d, err));
    struct trust_memory m = t->memory;
    put_in_force(t, YZ_TAKE(d), &m);
    return 0;
}
