/* SPDX-License-Identifier: Apache-2.0
 *
 * Auditing, tile by tile. Of each 256 entries the bundle is read, its leaves are hashed and
 * compared with the tile; where the two differ the hash that the next level keeps of that tile
 * decides which of the files is the damaged one, and what is right goes on upward, so that one
 * flipped bit is one finding. Of the levels above, the hashes of the tile being filled are kept, 8
 * KiB each, and compared with the file when it is full, or at the end.
 */
#include "evidence/audit.h"

#include <inttypes.h>

#include "evidence/folder.h"

#define LEVELS (TILE_LEVEL_MAX + 1u)
#define PROGRESS_TILES 32u

struct row {
    yz_digest hash[TILE_HASHES];
    unsigned n;
    uint64_t index; /* of the tile */
};

struct audit {
    const struct audit_options *o;
    struct audit_result *r;
    yz_error *err;
    struct log_folder folder;
    struct checkpoint checkpoint;
    struct row up[LEVELS];                             /* of level 1 and above: what was computed */
    yz_digest entries[TILE_HASHES], tile[TILE_HASHES]; /* of the tile at hand: from either file */
    unsigned entries_n, tile_n;                        /* 0: that file is missing or unreadable */
    bool closed;
    bool
        lost; /* of some entries neither file nor hash is left: the levels above cannot be judged */
};

static void found(struct audit *a, const char *fmt, ...) YZ_PRINTF(2, 3);
static void found(struct audit *a, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    YZ_ASSERT(n >= 0);
    if (a->r->findings++ == 0) {
        yzi_fail(a->err, YZ_ESIGNATURE, "%s", text);
    }
    if (a->o->finding) {
        a->o->finding(a->o->ctx, text);
    }
}

/* -- files -- */

static const char *why(int code)
{
    return code == YZ_ENOTFOUND ? "is missing"
           : code == YZ_ETOOBIG ? "is too long"
                                : "cannot be read";
}

/* The file as the checkpoint's size needs it; when the partial one is gone, the beginning of the
 * full one. *out is empty, and that is told, when there is neither. */
static void read_file(struct audit *a, const struct tile_name *t, yz_bytes *out, bool *out_longer)
{
    char path[TILE_PATH_MAX];
    int rc = yzi_log_folder_read(&a->folder, t, out);
    *out_longer = false;
    if (rc == YZ_ENOTFOUND && t->width < TILE_HASHES) {
        struct tile_name full = *t;
        full.width = TILE_HASHES;
        *out_longer = yzi_log_folder_read(&a->folder, &full, out) == 0;
        rc = *out_longer ? 0 : rc;
    }
    if (rc < 0) {
        yzi_tile_path(t, path);
        found(a, "%s %s", path, why(rc));
        *out = (yz_bytes){0};
    } else if (out->n == 0) {
        yzi_tile_path(t, path);
        found(a, "%s is empty", path);
    }
}

static unsigned hashes_of(struct audit *a, struct tile_name t, yz_digest out[TILE_HASHES])
{
    char path[TILE_PATH_MAX];
    yz_bytes bytes;
    size_t want = t.width * sizeof(yz_digest);
    bool longer;
    read_file(a, &t, &bytes, &longer);
    if (bytes.n == 0) {
        return 0;
    }
    if (longer ? bytes.n != TILE_BYTES : bytes.n != want) {
        yzi_tile_path(&t, path);
        found(a, "%s has %zu bytes instead of %zu", path, bytes.n, want);
        return 0;
    }
    memcpy(out, bytes.p, want);
    return t.width;
}

/* -- entries -- */

static void check_entry(struct audit *a, const char *path, uint64_t index, yz_bytes bytes)
{
    struct entry e;
    if (yzi_entry_parse(bytes, &e) < 0) {
        a->r->by_type[0]++;
        found(a, "%s: entry %" PRIu64 " is none of a known type", path, index);
        return;
    }
    a->r->by_type[e.type]++;
    if (index == 0) {
        a->r->first_time = e.time;
    }
    if (e.time < a->r->last_time) {
        found(a, "%s: the time of entry %" PRIu64 " is before that of the one before", path, index);
    } else {
        a->r->last_time = e.time;
    }
    if (index == 0 && e.type != ENTRY_OPENING) {
        found(a, "%s: the log does not begin with an opening entry", path);
    }
    if (a->closed) {
        found(a, "%s: entry %" PRIu64 " comes after the closing one", path, index);
    }
    a->closed = e.type == ENTRY_CLOSING;
}

/* Leaf hashes from a bundle. */
static unsigned leaves_of(struct audit *a, struct tile_name t, yz_digest out[TILE_HASHES])
{
    char path[TILE_PATH_MAX];
    yz_bytes bytes, entry;
    bool longer;
    read_file(a, &t, &bytes, &longer);
    yzi_tile_path(&t, path);
    if (bytes.n == 0) {
        return 0;
    }
    yz_reader r = yzi_reader(bytes);
    for (unsigned i = 0; i < t.width; i++) {
        uint64_t index = t.index * TILE_HASHES + i;
        if (yzi_entries_next(&r, &entry) < 0) {
            found(a, "%s ends within entry %" PRIu64, path, index);
            return 0;
        }
        check_entry(a, path, index, entry);
        yzi_merkle_leaf(entry, &out[i]);
    }
    if (r.left > 0 && !longer) {
        found(a, "%s has %zu bytes behind its last entry", path, r.left);
    }
    return t.width;
}

/* -- which of two is right -- */

static yz_digest root_of(const yz_digest *hashes, unsigned n)
{
    yz_digest out;
    yzi_merkle_root(hashes, n, &out);
    return out;
}

/* The hash the level above keeps of a full tile; false when that cannot be read. */
static bool stored_above(struct audit *a, unsigned level, uint64_t index, yz_digest *out)
{
    struct tile_source source = {yzi_log_folder_read, &a->folder, a->checkpoint.size};
    return yzi_tile_node_hash(&source, 8 * (level + 1), index, out) == 0;
}

static unsigned first_difference(const yz_digest *a, const yz_digest *b, unsigned n)
{
    unsigned i = 0;
    while (i < n && yzi_digest_eq(&a[i], &b[i])) {
        i++;
    }
    return i;
}

/* Entries and tile of level 0 disagree: `above` (a full tile's) says which is right. */
static const yz_digest *judge(struct audit *a, const struct tile_name *t, const yz_digest *above)
{
    char path[TILE_PATH_MAX], bundle[TILE_PATH_MAX];
    struct tile_name b = *t;
    unsigned i = first_difference(a->entries, a->tile, t->width);
    uint64_t index = t->index * TILE_HASHES + i;
    b.entries = true;
    yzi_tile_path(t, path);
    yzi_tile_path(&b, bundle);
    yz_digest from_entries = root_of(a->entries, t->width), from_tile = root_of(a->tile, t->width);
    if (above && yzi_digest_eq(&from_tile, above)) {
        found(a, "%s is damaged: entry %" PRIu64 " is not the one in the tree", bundle, index);
        return a->tile;
    }
    if (above && yzi_digest_eq(&from_entries, above)) {
        found(a, "%s is damaged: its hash of entry %" PRIu64 " is not that of the entry", path,
              index);
        return a->entries;
    }
    found(a, "%s and %s contradict each other in entry %" PRIu64, bundle, path, index);
    return a->entries;
}

/* The 256 leaf hashes, or fewer, that are taken for right; NULL when neither file can be read. */
static const yz_digest *judge_leaves(struct audit *a, const struct tile_name *t)
{
    yz_digest above;
    if (a->entries_n == 0 || a->tile_n == 0) {
        return a->entries_n ? a->entries : a->tile_n ? a->tile : NULL;
    }
    if (first_difference(a->entries, a->tile, t->width) == t->width) {
        return a->entries;
    }
    bool full = t->width == TILE_HASHES;
    return judge(a, t, full && stored_above(a, 0, t->index, &above) ? &above : NULL);
}

/* -- upward -- */

/* The tile of a level above 0 whose hashes were computed, against its file. */
static void check_row(struct audit *a, unsigned level)
{
    struct row *w = &a->up[level];
    struct tile_name t = {.level = level, .index = w->index, .width = w->n};
    char path[TILE_PATH_MAX];
    yz_digest stored[TILE_HASHES];
    if (w->n == 0 || a->lost || hashes_of(a, t, stored) == 0) {
        return;
    }
    unsigned i = first_difference(w->hash, stored, w->n);
    if (i < w->n) {
        yzi_tile_path(&t, path);
        found(a, "%s is damaged: its hash %u is not that of the tile below", path, i);
    }
}

static void rise(struct audit *a, unsigned level, const yz_digest *hash)
{
    yz_digest h = *hash;
    for (; level < LEVELS; level++) {
        struct row *w = &a->up[level];
        w->hash[w->n++] = h;
        if (w->n < TILE_HASHES) {
            return;
        }
        check_row(a, level);
        h = root_of(w->hash, w->n);
        w->n = 0;
        w->index++;
    }
}

/* The root over the last, partial leaves and what stands above. */
static yz_digest whole_root(const struct audit *a, const yz_digest *last, unsigned n)
{
    bool any = n > 0;
    yz_digest root = root_of(last, n);
    for (unsigned level = 1; level < LEVELS; level++) {
        const struct row *w = &a->up[level];
        /* A row's complete subtrees, largest first; folded from the right. */
        for (unsigned left = w->n; left > 0;) {
            unsigned size = left & (~left + 1u);
            yz_digest part = root_of(w->hash + (left - size), size);
            if (any) {
                yzi_merkle_node(&part, &root, &root);
            } else {
                root = part;
            }
            any = true;
            left -= size;
        }
    }
    return root;
}

/* The end: the partial tile at the right edge is judged by the checkpoint's root itself. */
static void finish(struct audit *a, const struct tile_name *t, const yz_digest *last, bool whole)
{
    for (unsigned level = 1; level < LEVELS; level++) {
        check_row(a, level);
    }
    if (!whole) {
        return; /* what is missing was told */
    }
    yz_digest root = whole_root(a, last, t->width);
    if (yzi_digest_eq(&root, &a->checkpoint.root)) {
        return;
    }
    found(a, "the root of the %" PRIu64 " entries is not the checkpoint's", a->checkpoint.size);
}

/* Judges the partial tile before anything is told of it: *out what is right. */
static const yz_digest *judge_last(struct audit *a, const struct tile_name *t)
{
    if (a->entries_n == 0 || a->tile_n == 0 ||
        first_difference(a->entries, a->tile, t->width) == t->width) {
        return judge_leaves(a, t);
    }
    yz_digest by_entries = whole_root(a, a->entries, t->width);
    yz_digest by_tile = whole_root(a, a->tile, t->width), above;
    bool entries_right = yzi_digest_eq(&by_entries, &a->checkpoint.root);
    bool tile_right = yzi_digest_eq(&by_tile, &a->checkpoint.root);
    above = root_of(entries_right ? a->entries : a->tile, t->width);
    return judge(a, t, entries_right || tile_right ? &above : NULL);
}

static void tell_progress(struct audit *a, uint64_t done)
{
    if (a->o->progress) {
        a->o->progress(a->o->ctx, done, a->checkpoint.size);
    }
}

static void walk(struct audit *a)
{
    struct tile_name t = {.width = TILE_HASHES}, bundle;
    const uint64_t size = a->checkpoint.size;
    const yz_digest *last = NULL;
    bool whole = true;
    for (t.index = 0; t.index * TILE_HASHES < size; t.index++) {
        t.width = yzi_tile_width(size, 0, t.index);
        bundle = t;
        bundle.entries = true;
        a->entries_n = leaves_of(a, bundle, a->entries);
        a->tile_n = hashes_of(a, t, a->tile);
        last = t.width < TILE_HASHES ? judge_last(a, &t) : judge_leaves(a, &t);
        whole = whole && last;
        if (t.width == TILE_HASHES) {
            yz_digest h = {{0}};
            if (last) {
                h = root_of(last, TILE_HASHES);
            } else if (!stored_above(a, 0, t.index, &h)) {
                a->lost = true;
                found(a, "entries %" PRIu64 " to %" PRIu64 " are lost", t.index * TILE_HASHES,
                      t.index * TILE_HASHES + TILE_HASHES - 1);
            }
            rise(a, 1, &h);
            last = NULL;
        }
        if (t.index % PROGRESS_TILES == 0) {
            tell_progress(a, t.index * TILE_HASHES);
        }
    }
    t.width = (unsigned)(size % TILE_HASHES);
    finish(a, &t, last, whole);
    tell_progress(a, size);
}

int yzi_audit(const struct audit_options *o, struct audit_result *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) struct audit *a = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = NOTE_MAX};
    YZ_TRY(yzi_alloc(1, sizeof *a, &a));
    *a = (struct audit){.o = o, .r = out, .err = err};
    YZ_TRY(yzi_log_folder_checkpoint(o->dir, o->key, &note, &a->checkpoint, err));
    *out = (struct audit_result){.size = a->checkpoint.size, .root = a->checkpoint.root};
    snprintf(out->origin, sizeof out->origin, "%.*s", (int)a->checkpoint.origin.n,
             (const char *)a->checkpoint.origin.p);
    yzi_log_folder_init(&a->folder, o->dir);
    walk(a);
    yzi_log_folder_fini(&a->folder);
    return out->findings ? YZ_ESIGNATURE : 0;
}
