/* SPDX-License-Identifier: Apache-2.0
 *
 * A pair lies as key length u16 ‖ value length u16 ‖ key ‖ value. Pairs are gathered in one block
 * of memory with their offsets; a full block is sorted and written out as a run. Runs are merged in
 * one pass, each read through its share of the memory, by a heap of the runs' next pairs.
 */
#include "adapters/dataset/sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

#define HEAD_BYTES 4u
#define PAIR_MAX (HEAD_BYTES + 2u * 65535u)
#define RUNS_MAX 4096u
#define MEMORY_MIN (256u * 1024u)

struct run {
    uint64_t at, end;    /* in the file: what was not read yet */
    uint8_t *piece;      /* NULL: the run is the block in memory */
    size_t from, filled; /* in the piece */
};

struct sorter {
    int fd;
    uint64_t written;
    uint8_t *block; /* pairs from the front */
    size_t memory, used;
    uint32_t *offsets;
    size_t offsets_n, offsets_room, taken;
    struct run *runs;
    size_t runs_n;
    size_t heap[RUNS_MAX], heap_n;
    size_t piece_bytes, largest; /* of a pair */
    bool merging;
};

/* -- pairs -- */

static size_t pair_size(const uint8_t *p)
{
    return HEAD_BYTES + yzi_load_u16(p) + yzi_load_u16(p + 2);
}

static yz_bytes pair_key(const uint8_t *p)
{
    return yzi_bytes(p + HEAD_BYTES, yzi_load_u16(p));
}

static yz_bytes pair_value(const uint8_t *p)
{
    return yzi_bytes(p + HEAD_BYTES + yzi_load_u16(p), yzi_load_u16(p + 2));
}

static int compare_pairs(const uint8_t *a, const uint8_t *b)
{
    int c = yzi_bytes_cmp(pair_key(a), pair_key(b));
    return c ? c : yzi_bytes_cmp(pair_value(a), pair_value(b));
}

static int compare_offsets(const void *a, const void *b, void *block)
{
    const uint8_t *bytes = block;
    return compare_pairs(bytes + *(const uint32_t *)a, bytes + *(const uint32_t *)b);
}

/* -- gathering -- */

int yzi_sorter_file(const char *dir, int *out)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    *out = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*out >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) {
        return *out >= 0 ? 0 : yzi_err_from_errno(errno);
    }
    YZ_TRY(yzi_path_join(dir, SORTER_FILE, &path));
    *out = open(path, O_CREAT | O_TRUNC | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
    YZ_ENSURE(*out >= 0 && unlink(path) == 0, yzi_err_from_errno(errno));
    return 0;
}

int yzi_sorter_new(const char *dir, size_t memory, struct sorter **out)
{
    struct sorter *s;
    YZ_ENSURE(memory >= MEMORY_MIN && memory <= UINT32_MAX, YZ_EINVAL);
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    s->memory = memory;
    int rc = yzi_sorter_file(dir, &s->fd);
    rc = rc == 0 ? yzi_alloc(memory, 1, &s->block) : rc;
    if (rc < 0) {
        yzi_sorter_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void yzi_sorter_free(struct sorter *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->runs_n; i++) {
        free(s->runs[i].piece);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    free(s->runs);
    free(s->offsets);
    free(s->block);
    free(s);
}

static int write_all(struct sorter *s, const uint8_t *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(s->fd, p + done, n - done, (off_t)(s->written + done));
        YZ_ENSURE(w > 0 || (w < 0 && errno == EINTR), w == 0 ? YZ_EIO : yzi_err_from_errno(errno));
        done += w > 0 ? (size_t)w : 0;
    }
    s->written += n;
    return 0;
}

static void sort_block(struct sorter *s)
{
    if (s->offsets_n) {
        qsort_r(s->offsets, s->offsets_n, sizeof *s->offsets, compare_offsets, s->block);
    }
}

/* The block's pairs in order, through a piece of memory as large as a pair may be and more. */
static int write_sorted(struct sorter *s, uint8_t *piece, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < s->offsets_n; i++) {
        const uint8_t *p = s->block + s->offsets[i];
        size_t size = pair_size(p);
        if (n + size > room) {
            YZ_TRY(write_all(s, piece, n));
            n = 0;
        }
        memcpy(piece + n, p, size);
        n += size;
    }
    return write_all(s, piece, n);
}

static int write_run(struct sorter *s)
{
    YZ_AUTO(yzi_free_ptr) uint8_t *piece = NULL;
    struct run *runs;
    uint64_t from = s->written;
    YZ_ENSURE(s->runs_n < RUNS_MAX - 1, YZ_ELIMIT);
    YZ_TRY(yzi_alloc(2 * PAIR_MAX, 1, &piece));
    sort_block(s);
    YZ_TRY(write_sorted(s, piece, (size_t)2 * PAIR_MAX));
    runs = realloc(s->runs, (s->runs_n + 1) * sizeof *runs);
    YZ_ENSURE(runs, YZ_ENOMEM);
    s->runs = runs;
    s->runs[s->runs_n++] = (struct run){.at = from, .end = s->written};
    s->used = s->offsets_n = 0;
    return 0;
}

static int add_offset(struct sorter *s)
{
    if (s->offsets_n == s->offsets_room) {
        size_t room = s->offsets_room ? 2 * s->offsets_room : 4096;
        uint32_t *offsets = realloc(s->offsets, room * sizeof *offsets);
        YZ_ENSURE(offsets, YZ_ENOMEM);
        s->offsets = offsets;
        s->offsets_room = room;
    }
    s->offsets[s->offsets_n++] = (uint32_t)s->used;
    return 0;
}

int yzi_sorter_add(struct sorter *s, yz_bytes key, yz_bytes value)
{
    YZ_ENSURE(!s->merging, YZ_EINVAL);
    YZ_ENSURE(key.n <= UINT16_MAX && value.n <= UINT16_MAX, YZ_ELIMIT);
    size_t size = HEAD_BYTES + key.n + value.n;
    YZ_ENSURE(size < s->memory / 4, YZ_ELIMIT);
    /* offsets are part of the memory */
    if (s->used + size + (s->offsets_n + 1) * sizeof *s->offsets > s->memory) {
        YZ_TRY(write_run(s));
    }
    YZ_TRY(add_offset(s));
    s->largest = size > s->largest ? size : s->largest;
    uint8_t *p = s->block + s->used;
    yzi_store_u16(p, (uint16_t)key.n);
    yzi_store_u16(p + 2, (uint16_t)value.n);
    memcpy(p + HEAD_BYTES, key.p, key.n);
    if (value.n) {
        memcpy(p + HEAD_BYTES + key.n, value.p, value.n);
    }
    s->used += size;
    return 0;
}

/* -- merging -- */

/* Make the whole next pair of a run stand in its piece, unless the run is at its end. */
static int fill(struct sorter *s, struct run *r)
{
    size_t left = r->filled - r->from;
    if (left >= HEAD_BYTES && left >= pair_size(r->piece + r->from)) {
        return 0;
    }
    memmove(r->piece, r->piece + r->from, left);
    r->from = 0;
    r->filled = left;
    while (r->filled < s->piece_bytes && r->at < r->end) {
        size_t want = s->piece_bytes - r->filled;
        want = r->end - r->at < want ? (size_t)(r->end - r->at) : want;
        ssize_t n = pread(s->fd, r->piece + r->filled, want, (off_t)r->at);
        YZ_ENSURE(n > 0 || (n < 0 && errno == EINTR), n == 0 ? YZ_EIO : yzi_err_from_errno(errno));
        r->filled += n > 0 ? (size_t)n : 0;
        r->at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static const uint8_t *head_of(const struct sorter *s, size_t run)
{
    return s->runs[run].piece + s->runs[run].from;
}

static void sift_down(struct sorter *s, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < s->heap_n; k++) {
            if (compare_pairs(head_of(s, s->heap[k]), head_of(s, s->heap[least])) < 0) {
                least = k;
            }
        }
        if (least == i) {
            return;
        }
        size_t t = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = t;
        i = least;
    }
}

static int begin_merging(struct sorter *s)
{
    s->merging = true;
    if (s->runs_n == 0) {
        sort_block(s);
        return 0;
    }
    YZ_TRY(s->offsets_n ? write_run(s) : 0);
    free(s->block);
    free(s->offsets);
    s->block = NULL;
    s->offsets = NULL;
    size_t share = s->memory / s->runs_n, least = s->largest;
    s->piece_bytes = share < least ? least : share;
    for (size_t i = 0; i < s->runs_n; i++) {
        YZ_TRY(yzi_alloc(s->piece_bytes, 1, &s->runs[i].piece));
        YZ_TRY(fill(s, &s->runs[i]));
        s->heap[s->heap_n++] = i; /* no run is empty */
    }
    for (size_t i = s->heap_n; i-- > 0;) {
        sift_down(s, i);
    }
    return 0;
}

static int next_in_memory(struct sorter *s, yz_bytes *key, yz_bytes *value)
{
    YZ_ENSURE(s->taken < s->offsets_n, YZ_ENOTFOUND);
    const uint8_t *p = s->block + s->offsets[s->taken++];
    *key = pair_key(p);
    *value = pair_value(p);
    return 0;
}

/* Past the pair given last, which stands at the top of the heap. */
static int advance(struct sorter *s)
{
    struct run *r = &s->runs[s->heap[0]];
    r->from += pair_size(r->piece + r->from);
    YZ_TRY(fill(s, r));
    if (r->from == r->filled) {
        s->heap[0] = s->heap[--s->heap_n];
    }
    sift_down(s, 0);
    return 0;
}

int yzi_sorter_next(struct sorter *s, yz_bytes *key, yz_bytes *value)
{
    if (!s->merging) {
        YZ_TRY(begin_merging(s));
    } else if (s->runs_n && s->heap_n) {
        YZ_TRY(advance(s));
    }
    if (s->runs_n == 0) {
        return next_in_memory(s, key, value);
    }
    YZ_ENSURE(s->heap_n > 0, YZ_ENOTFOUND);
    const uint8_t *p = head_of(s, s->heap[0]);
    *key = pair_key(p);
    *value = pair_value(p);
    return 0;
}
