/* SPDX-License-Identifier: Apache-2.0
 *
 * The home: what is written where, and reading it all back. Every file but the memory is verified
 * again when it is read, as if a peer had sent it; the memory and the list of root statements are
 * what that is verified against, and are ours alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "keys/trust_internal.h"

static const char *const names[TRUST_FILES_N] = {
    [TRUST_FILE_ANCHOR] = "anchor",           [TRUST_FILE_ROOTS] = "roots",
    [TRUST_FILE_BUNDLE] = "directory.bundle", [TRUST_FILE_STATEMENTS] = "statements",
    [TRUST_FILE_FRESHNESS] = "freshness",     [TRUST_FILE_MEMORY] = "memory",
    [TRUST_FILE_LOCK] = "trust.lock",
};

static const size_t limits[TRUST_FILES_N] = {
    [TRUST_FILE_ANCHOR] = 2u * YZ_RECORD_MAX, /* armoured */
    [TRUST_FILE_ROOTS] = TRUST_ROOTS_MAX,
    [TRUST_FILE_BUNDLE] = TRUST_BUNDLE_MAX,
    [TRUST_FILE_STATEMENTS] = TRUST_STATEMENTS_MAX,
    [TRUST_FILE_FRESHNESS] = YZ_RECORD_MAX,
    [TRUST_FILE_MEMORY] = 4096,
};

int yzi_trust_files_init(struct trust *t, const struct trust_options *o, yz_error *err)
{
    YZ_TRY(yzi_dir_make(o->dir, 0700, err));
    for (int i = 0; i < TRUST_FILES_N; i++) {
        YZ_TRY(yzi_path_join(o->dir, names[i], &t->files[i]));
    }
    if (o->anchor) {
        YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(o->anchor), &t->given_anchor));
    }
    yzi_buf_init(&t->roots, TRUST_ROOTS_MAX);
    yzi_buf_init(&t->freshness, YZ_RECORD_MAX);
    return 0;
}

void yzi_trust_files_fini(struct trust *t)
{
    for (int i = 0; i < TRUST_FILES_N; i++) {
        free(t->files[i]);
    }
    free(t->given_anchor);
    yzi_buf_fini(&t->roots);
    yzi_buf_fini(&t->freshness);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

int yzi_trust_files_lock(struct trust *t, int *out_fd, yz_error *err)
{
    const char *path = t->files[TRUST_FILE_LOCK];
    YZ_AUTO(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd < 0 ? -1 : flock(fd, LOCK_EX);
    while (fd >= 0 && rc != 0 && errno == EINTR) {
        rc = flock(fd, LOCK_EX);
    }
    if (rc != 0) {
        int code = errno;
        return yzi_fail(err, yzi_err_from_errno(code), "cannot lock %s: %s", path, strerror(code));
    }
    *out_fd = fd;
    fd = -1;
    return 0;
}

int yzi_trust_file_read(const struct trust *t, enum trust_file f, yz_buf *out, bool *out_found,
                        yz_error *err)
{
    yzi_buf_init(out, limits[f]);
    int rc = yzi_file_read(t->files[f], out, err);
    *out_found = rc == 0;
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

int yzi_trust_file_write(const struct trust *t, enum trust_file f, yz_bytes content, yz_error *err)
{
    return yzi_file_write(t->files[f], content, 0600, err);
}

int yzi_trust_corrupt(const struct trust *t, enum trust_file f, int rc, yz_error *err)
{
    if (rc == YZ_ENOMEM) {
        return rc;
    }
    char detail[sizeof err->text];
    snprintf(detail, sizeof detail, "%s", err && err->text[0] ? err->text : yz_err_words(rc));
    return yzi_fail(err, YZ_ECORRUPT, "%s: %s", t->files[f], detail);
}

/* -- memory -- */

/* The one form it has. */
static int memory_text(const struct trust_memory *m, yz_buf *out)
{
    char hex[65];
    YZ_TRY(yzi_hex_encode(yzi_bytes_digest(&m->manifest), hex, sizeof hex));
    return yzi_buf_printf(out, "yizhan-memory v1\ndirectory: %llu %s\nfreshness: %llu\n",
                          (unsigned long long)m->version, hex, (unsigned long long)m->freshness);
}

static int memory_parse(yz_bytes text, struct trust_memory *out)
{
    YZ_AUTO(yzi_free_ptr) char *s = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf again = {0};
    unsigned long long version, freshness;
    char hex[65];
    struct trust_memory m = {0};
    YZ_TRY(yzi_bytes_dup_str(text, &s));
    int n = sscanf(s, "yizhan-memory v1 directory: %20llu %64s freshness: %20llu", &version, hex,
                   &freshness);
    YZ_ENSURE(n == 3 && yzi_hex_decode(yzi_bytes_str(hex), m.manifest.b, 32) == 0, YZ_EMALFORMED);
    m.version = version;
    m.freshness = freshness;
    yzi_buf_init(&again, limits[TRUST_FILE_MEMORY]);
    YZ_TRY(memory_text(&m, &again));
    YZ_ENSURE(yzi_bytes_eq(yzi_bytes_buf(&again), text), YZ_EMALFORMED);
    *out = m;
    return 0;
}

int yzi_trust_memory_read(const struct trust *t, struct trust_memory *out, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {0};
    bool found;
    YZ_TRY(yzi_trust_file_read(t, TRUST_FILE_MEMORY, &text, &found, err));
    if (!found) {
        *out = (struct trust_memory){0};
        return 0;
    }
    int rc = memory_parse(yzi_bytes_buf(&text), out);
    if (rc < 0) {
        yzi_fail(err, rc, "this is no memory of ours");
        return yzi_trust_corrupt(t, TRUST_FILE_MEMORY, rc, err);
    }
    return 0;
}

int yzi_trust_memory_write(const struct trust *t, const struct trust_memory *m, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, limits[TRUST_FILE_MEMORY]);
    YZ_TRY(memory_text(m, &text));
    return yzi_trust_file_write(t, TRUST_FILE_MEMORY, yzi_bytes_buf(&text), err);
}

/* -- root statements -- */

struct root_view {
    yz_bytes raw, body;
    yz_bytes instance;
    uint64_t version;
};

/* Views of the record; the statement's lists are not kept. */
static int root_view(yz_bytes raw, struct root_view *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * raw.n);
    struct record r;
    struct root_statement s;
    YZ_TRY(yzi_record_parse(raw, &r));
    YZ_ENSURE(r.kind == RECORD_ROOT, YZ_EMALFORMED);
    YZ_TRY(yzi_root_statement_parse(r.body, &arena, &s));
    *out = (struct root_view){raw, r.body, s.instance, s.version};
    return 0;
}

/* The root statement trusted of that version; all zero when there is none. */
static int root_of_version(const struct trust *t, uint64_t version, struct root_view *out)
{
    yz_reader reader = yzi_reader(yzi_bytes_buf(&t->roots));
    struct record r;
    *out = (struct root_view){0};
    while (reader.left) {
        struct root_view v;
        YZ_TRY(yzi_record_next(&reader, &r));
        YZ_TRY(root_view(r.raw, &v));
        if (v.version == version) {
            *out = v;
            return 0;
        }
    }
    return 0;
}

yz_bytes yzi_trust_root_for(const struct trust *t, yz_bytes record)
{
    struct root_view v;
    struct root_view same = {0};
    bool is_known = root_view(record, &v) == 0 && root_of_version(t, v.version, &same) == 0;
    return is_known && same.raw.n ? same.raw : t->root;
}

int yzi_trust_root_add(struct trust *t, yz_bytes record)
{
    size_t before = t->roots.n;
    YZ_TRY(yzi_buf_put(&t->roots, record));
    t->root = yzi_bytes(t->roots.p + before, record.n);
    return 0;
}

/* The kept list: each its own anchor, of one instance, versions rising. */
static int load_roots(struct trust *t, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file = {0};
    bool found;
    struct root_view v = {0};
    YZ_TRY(yzi_trust_file_read(t, TRUST_FILE_ROOTS, &file, &found, err));
    yz_reader reader = yzi_reader(yzi_bytes_buf(&file));
    while (reader.left) {
        struct record r;
        struct root_view was = v;
        int rc = yzi_record_next(&reader, &r);
        rc = rc < 0 ? rc : yzi_directory_check_anchor(r.raw, err);
        rc = rc < 0 ? rc : root_view(r.raw, &v);
        if (rc < 0) {
            return yzi_trust_corrupt(t, TRUST_FILE_ROOTS, rc, err);
        }
        if (was.raw.n && (v.version <= was.version || !yzi_bytes_eq(v.instance, was.instance))) {
            yzi_fail(err, YZ_ECORRUPT, "root statement %llu does not follow the one before it",
                     (unsigned long long)v.version);
            return yzi_trust_corrupt(t, TRUST_FILE_ROOTS, YZ_ECORRUPT, err);
        }
        YZ_TRY(yzi_trust_root_add(t, r.raw));
    }
    return 0;
}

/* -- anchor -- */

static int read_anchor(const struct trust *t, const char **out_path, yz_buf *out_raw, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, limits[TRUST_FILE_ANCHOR]);
    const char *path = t->given_anchor && yzi_file_exists(t->given_anchor)
                           ? t->given_anchor
                           : t->files[TRUST_FILE_ANCHOR];
    int rc = yzi_file_read(path, &text, err);
    *out_path = path;
    if (rc == YZ_ENOTFOUND) {
        return 0;
    }
    YZ_TRY(rc);
    rc = yzi_record_dearmour(yzi_bytes_buf(&text), out_raw);
    if (rc < 0) {
        return rc == YZ_ENOMEM
                   ? rc
                   : yzi_fail(err, YZ_ECORRUPT, "%s: this is no armoured root statement", path);
    }
    rc = yzi_directory_check_anchor(yzi_bytes_buf(out_raw), err);
    if (rc < 0) {
        yzi_error_prefix(err, "%s", path);
        return rc == YZ_ENOMEM ? rc : YZ_ECORRUPT;
    }
    return 0;
}

/* An anchor and what was learnt from one: the anchor may be any of the statements followed, one
 * that the first of them authorises, or a newer one, which somebody compared out of band and which
 * is followed from then on. Anything else is a mix-up nobody may pass over. */
static int reconcile_anchor(struct trust *t, yz_bytes anchor, const char *path, yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena = {0};
    struct root_view a, newest, first, same;
    struct record r;
    struct root_statement s;
    if (t->root.n == 0) {
        return yzi_trust_root_add(t, anchor);
    }
    yz_reader reader = yzi_reader(yzi_bytes_buf(&t->roots));
    YZ_TRY(yzi_record_next(&reader, &r));
    YZ_TRY(root_view(anchor, &a));
    YZ_TRY(root_view(t->root, &newest));
    YZ_TRY(root_view(r.raw, &first));
    YZ_TRY(root_of_version(t, a.version, &same));
    if (yzi_bytes_eq(a.instance, newest.instance)) {
        if (same.raw.n && yzi_bytes_eq(same.body, a.body)) {
            return 0;
        }
        if (a.version > newest.version) {
            return yzi_trust_root_add(t, anchor);
        }
        yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * anchor.n);
        int rc = !same.raw.n && a.version > first.version
                     ? yzi_dir_authorise_root(first.raw, anchor, &arena, &s, NULL)
                     : YZ_ECORRUPT;
        if (rc == 0 || rc == YZ_ENOMEM) {
            return rc;
        }
    }
    return yzi_fail(err, YZ_ECORRUPT, "%s: root statement %llu of %.*s contradicts %s", path,
                    (unsigned long long)a.version, YZ_V(a.instance), t->files[TRUST_FILE_ROOTS]);
}

static int load_anchor(struct trust *t, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf raw;
    const char *path;
    yzi_buf_init(&raw, YZ_RECORD_MAX);
    YZ_TRY(read_anchor(t, &path, &raw, err));
    return raw.n ? reconcile_anchor(t, yzi_bytes_buf(&raw), path, err) : 0;
}

/* -- directory -- */

static int parse_bundle(struct trust *t, yz_bytes bundle, yz_bytes *chunks,
                        const struct directory **out, yz_error *err)
{
    yz_bytes manifest;
    struct record root;
    size_t n = YZ_MANIFEST_CHUNKS_MAX;
    int rc = yzi_directory_bundle_parse(bundle, &manifest, chunks, &n);
    if (rc < 0) {
        return yzi_fail(err, rc, "this is no directory bundle");
    }
    YZ_TRY(yzi_dir_root_of_chunk(chunks[0], &root, err));
    yz_bytes trusted = yzi_trust_root_for(t, root.raw);
    if (!trusted.n) {
        return yzi_fail(err, YZ_ENOTFOUND, "there is a directory, but no anchor to it");
    }
    return yzi_directory_verify(trusted, manifest, chunks, n, out, err);
}

/* Not below what the memory has seen. */
static int check_memory(const struct trust *t, const struct directory *d, yz_error *err)
{
    yz_digest digest;
    yzi_trust_manifest_digest(d, &digest);
    uint64_t version = yzi_directory_version(d);
    if (version < t->memory.version) {
        return yzi_fail(err, YZ_EROLLBACK, "version %llu is older than %llu, which was seen",
                        (unsigned long long)version, (unsigned long long)t->memory.version);
    }
    if (version == t->memory.version && !yzi_digest_eq(&digest, &t->memory.manifest)) {
        return yzi_fail(err, YZ_EROLLBACK, "this is not the version %llu that was seen",
                        (unsigned long long)version);
    }
    return 0;
}

static int load_directory(struct trust *t, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file = {0};
    YZ_AUTO(yzi_free_ptr) yz_bytes *chunks = NULL;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = NULL;
    bool found;
    YZ_TRY(yzi_trust_file_read(t, TRUST_FILE_BUNDLE, &file, &found, err));
    if (!found) {
        return 0;
    }
    YZ_TRY(yzi_alloc(YZ_MANIFEST_CHUNKS_MAX, sizeof *chunks, &chunks));
    int rc = parse_bundle(t, yzi_bytes_buf(&file), chunks, &d, err);
    rc = rc < 0 ? rc : check_memory(t, d, err);
    if (rc < 0) {
        return yzi_trust_corrupt(t, TRUST_FILE_BUNDLE, rc, err);
    }
    struct root_view newest;
    YZ_TRY(root_view(t->root, &newest));
    if (yzi_directory_root(d)->version > newest.version) {
        YZ_TRY(yzi_trust_root_add(t, yzi_directory_root_record(d)));
    }
    t->memory.version = yzi_directory_version(d);
    yzi_trust_manifest_digest(d, &t->memory.manifest);
    t->directory = YZ_TAKE(d);
    return 0;
}

static int load_statements(struct trust *t, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file = {0};
    bool found;
    YZ_TRY(yzi_trust_file_read(t, TRUST_FILE_STATEMENTS, &file, &found, err));
    if (!t->directory) {
        return 0; /* they are taken up with the directory that will come */
    }
    crypto_hash_sha256(t->statements.b, file.p, file.n);
    int rc = yzi_trust_keep_sets(t, yzi_bytes_buf(&file), &t->directory, err);
    return rc < 0 ? yzi_trust_corrupt(t, TRUST_FILE_STATEMENTS, rc, err) : 0;
}

static int load_freshness(struct trust *t, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf file = {0};
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct record r;
    struct freshness f;
    bool found;
    yzi_arena_init(&arena, DIR_ARENA_FIXED);
    YZ_TRY(yzi_trust_file_read(t, TRUST_FILE_FRESHNESS, &file, &found, err));
    if (!found || !t->directory) {
        return 0;
    }
    int rc = yzi_record_parse(yzi_bytes_buf(&file), &r);
    rc = rc < 0 || r.kind == RECORD_FRESHNESS ? rc : YZ_EMALFORMED;
    rc = rc < 0 ? rc : yzi_freshness_parse(r.body, &arena, &f);
    if (rc == 0 && f.directory_version != yzi_directory_version(t->directory)) {
        return 0; /* of the version before, which a crash or another process left behind */
    }
    rc = rc < 0 ? rc : yzi_trust_check_freshness(t->directory, &r, &f, err);
    if (rc < 0) {
        return yzi_trust_corrupt(t, TRUST_FILE_FRESHNESS, rc, err);
    }
    t->memory.freshness = f.time > t->memory.freshness ? f.time : t->memory.freshness;
    return yzi_buf_put(&t->freshness, r.raw);
}

int yzi_trust_load(struct trust *t, yz_error *err)
{
    YZ_AUTO(close_fd) int fd = -1;
    YZ_TRY(yzi_trust_files_lock(t, &fd, err));
    YZ_TRY(yzi_trust_memory_read(t, &t->memory, err));
    YZ_TRY(load_roots(t, err));
    YZ_TRY(load_anchor(t, err));
    YZ_TRY(load_directory(t, err));
    YZ_TRY(load_statements(t, err));
    return load_freshness(t, err);
}
