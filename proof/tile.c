/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of tiles and bundles, and nodes out of them. Only rows at levels that are multiples of 8
 * are stored; the seven between two of them are hashed from the row below when they are asked for.
 */
#include "proof/tile.h"

#include <inttypes.h>

#include "base/text.h"

#define ROWS 8u /* levels of the tree in a tile */

/* -- names -- */

static bool is_name(const struct tile_name *t)
{
    return t->level <= (t->entries ? 0 : TILE_LEVEL_MAX) && t->width >= 1 &&
           t->width <= TILE_HASHES;
}

/* The index in groups of three digits, all but the last with an x before it. */
static int write_index(uint64_t index, char *out, size_t cap)
{
    unsigned groups[7];
    unsigned n = 0;
    do {
        groups[n++] = (unsigned)(index % 1000);
        index /= 1000;
    } while (index > 0);
    int at = 0;
    while (n > 0) {
        n--;
        at += snprintf(out + at, cap - (size_t)at, n > 0 ? "x%03u/" : "%03u", groups[n]);
    }
    return at;
}

void yzi_tile_path(const struct tile_name *t, char out[TILE_PATH_MAX])
{
    YZ_ASSERT(is_name(t));
    int n = t->entries ? snprintf(out, TILE_PATH_MAX, "tile/entries/")
                       : snprintf(out, TILE_PATH_MAX, "tile/%u/", t->level);
    n += write_index(t->index, out + n, TILE_PATH_MAX - (size_t)n);
    if (t->width < TILE_HASHES) {
        n += snprintf(out + n, TILE_PATH_MAX - (size_t)n, ".p/%u", t->width);
    }
    YZ_ASSERT(n > 0 && (unsigned)n < TILE_PATH_MAX);
}

/* The part up to the next slash, or the rest. */
static yz_bytes next_part(yz_bytes *rest)
{
    const uint8_t *slash = rest->n ? memchr(rest->p, '/', rest->n) : NULL;
    yz_bytes part = yzi_bytes(rest->p, slash ? (size_t)(slash - rest->p) : rest->n);
    size_t used = part.n + (slash ? 1 : 0);
    *rest = yzi_bytes(rest->n ? rest->p + used : rest->p, rest->n - used);
    return part;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Groups of three digits; what writes them decides afterwards whether it was the one form. */
static int read_index(yz_bytes *rest, uint64_t *out, bool *out_partial)
{
    uint64_t index = 0;
    for (;;) {
        yz_bytes part = next_part(rest);
        bool more = part.n == 4 && part.p[0] == 'x';
        *out_partial = part.n == 5 && part.p[3] == '.' && part.p[4] == 'p';
        const uint8_t *p = part.p + (more ? 1 : 0);
        YZ_ENSURE(more || part.n == 3 || *out_partial, YZ_EMALFORMED);
        YZ_ENSURE(is_digit(p[0]) && is_digit(p[1]) && is_digit(p[2]), YZ_EMALFORMED);
        unsigned group = (p[0] - '0') * 100u + (p[1] - '0') * 10u + (p[2] - '0');
        YZ_ENSURE(index <= (UINT64_MAX - group) / 1000, YZ_EMALFORMED);
        index = index * 1000 + group;
        if (!more) {
            *out = index;
            return 0;
        }
    }
}

int yzi_tile_path_parse(yz_bytes path, struct tile_name *out)
{
    struct tile_name t = {.width = TILE_HASHES};
    char again[TILE_PATH_MAX];
    yz_bytes rest = path, level;
    uint64_t number;
    bool partial;
    YZ_ENSURE(yzi_bytes_eq_str(next_part(&rest), "tile"), YZ_EMALFORMED);
    level = next_part(&rest);
    t.entries = yzi_bytes_eq_str(level, "entries");
    if (!t.entries) {
        YZ_ENSURE(yzi_u64_parse(level, TILE_LEVEL_MAX, &number) == 0, YZ_EMALFORMED);
        t.level = (unsigned)number;
    }
    YZ_TRY(read_index(&rest, &t.index, &partial));
    if (partial) {
        YZ_ENSURE(yzi_u64_parse(rest, TILE_HASHES - 1, &number) == 0 && number > 0, YZ_EMALFORMED);
        t.width = (unsigned)number;
    }
    yzi_tile_path(&t, again); /* one name, one path: no needless groups, nothing behind */
    YZ_ENSURE(yzi_bytes_eq_str(path, again), YZ_EMALFORMED);
    *out = t;
    return 0;
}

/* -- which there are -- */

uint64_t yzi_tile_hashes(uint64_t size, unsigned level)
{
    return level <= TILE_LEVEL_MAX ? size >> (ROWS * level) : 0;
}

unsigned yzi_tile_width(uint64_t size, unsigned level, uint64_t index)
{
    uint64_t hashes = yzi_tile_hashes(size, level);
    uint64_t full = hashes / TILE_HASHES;
    return index < full ? TILE_HASHES : index == full ? (unsigned)(hashes % TILE_HASHES) : 0;
}

/* From the tile that `old` left partial, or would have begun, to the last of `size`. */
static int each_of_level(uint64_t old, uint64_t size, struct tile_name t,
                         int (*visit)(void *ctx, const struct tile_name *t), void *ctx)
{
    uint64_t before = yzi_tile_hashes(old, t.level), now = yzi_tile_hashes(size, t.level);
    if (before == now) {
        return 0;
    }
    for (t.index = before / TILE_HASHES; t.index <= now / TILE_HASHES; t.index++) {
        t.width = yzi_tile_width(size, t.level, t.index);
        if (t.width > 0) {
            int rc = visit(ctx, &t);
            if (rc) {
                return rc;
            }
        }
    }
    return 0;
}

int yzi_tiles_each(uint64_t old, uint64_t size, int (*visit)(void *ctx, const struct tile_name *t),
                   void *ctx)
{
    YZ_ENSURE(old <= size, YZ_EINVAL);
    int rc = each_of_level(old, size, (struct tile_name){.entries = true}, visit, ctx);
    for (unsigned level = 0; rc == 0 && level <= TILE_LEVEL_MAX; level++) {
        rc = each_of_level(old, size, (struct tile_name){.level = level}, visit, ctx);
    }
    return rc;
}

/* -- out of tiles -- */

void yzi_tile_bytes_root(yz_bytes hashes, yz_digest *out)
{
    struct merkle_frontier f = {0};
    YZ_ASSERT(hashes.n > 0 && hashes.n % sizeof(yz_digest) == 0 && hashes.n <= TILE_BYTES);
    for (size_t i = 0; i < hashes.n; i += sizeof(yz_digest)) {
        yz_digest h;
        memcpy(h.b, hashes.p + i, sizeof h.b);
        YZ_ASSERT(yzi_frontier_append(&f, &h, NULL, NULL) == 0);
    }
    yzi_frontier_root(&f, out);
}

static int read_tile(const struct tile_source *s, struct tile_name *t, yz_bytes *out)
{
    int rc = s->read(s->ctx, t, out);
    if (rc == YZ_ENOTFOUND && t->width < TILE_HASHES) {
        t->width = TILE_HASHES; /* partial ones may go once the full one is there */
        rc = s->read(s->ctx, t, out);
    }
    YZ_TRY(rc);
    return out->n == t->width * sizeof(yz_digest) ? 0 : YZ_ECORRUPT;
}

int yzi_tile_node_hash(void *source, unsigned level, uint64_t index, yz_digest *out)
{
    const struct tile_source *s = source;
    unsigned row = level % ROWS;
    uint64_t first; /* of the stored hashes below this node */
    struct tile_name t = {.level = level / ROWS};
    yz_bytes hashes;
    YZ_ENSURE(t.level <= TILE_LEVEL_MAX && index < UINT64_MAX >> row, YZ_ENOTFOUND);
    first = index << row;
    YZ_ENSURE(first + (UINT64_C(1) << row) <= yzi_tile_hashes(s->size, t.level), YZ_ENOTFOUND);
    t.index = first / TILE_HASHES;
    t.width = yzi_tile_width(s->size, t.level, t.index);
    YZ_TRY(read_tile(s, &t, &hashes));
    size_t from = (size_t)(first % TILE_HASHES) * sizeof(yz_digest);
    yzi_tile_bytes_root(yzi_bytes(hashes.p + from, sizeof(yz_digest) << row), out);
    return 0;
}

/* -- bundles -- */

int yzi_entries_next(yz_reader *bundle, yz_bytes *out_entry)
{
    yz_reader r = *bundle;
    uint16_t n;
    YZ_TRY(yzi_read_u16(&r, &n));
    YZ_TRY(yzi_read_bytes(&r, n, out_entry));
    *bundle = r;
    return 0;
}

int yzi_entries_put(yz_bytes entry, yz_buf *out)
{
    YZ_ENSURE(entry.n <= UINT16_MAX, YZ_EINVAL);
    YZ_TRY(yzi_buf_reserve(out, 2 + entry.n));
    YZ_TRY(yzi_buf_put_u16(out, (uint16_t)entry.n));
    return yzi_buf_put(out, entry);
}
