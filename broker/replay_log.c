/* SPDX-License-Identifier: Apache-2.0
 *
 * state/replay/<16 hex digits>.ids, counted up. A segment is left for the next when it is full or a
 * minute old, so that what has run out can be given back as whole files.
 */
#include "broker/replay_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"

#define SEGMENT_SLOTS 65536u
#define SEGMENT_MS 60000u
#define CHECKED 56u
#define VERSION 1u
#define SEGMENTS_MAX 65536u
static const char magic[8] = {'y', 'z', 'r', 'e', 'p', 'l', 'a', 'y'};

struct segment {
    uint64_t number;
    uint64_t until; /* of its last id to run out */
};

struct replay_log {
    char *dir;
    uint8_t key[REPLAY_KEY_BYTES];
    struct segment *segments; /* those before the current one, by number */
    size_t segments_n;
    struct segment current;
    int fd; /* of the current one; -1: none yet */
    size_t slots;
    uint64_t begun;
};

/* -- slots -- */

static void check_of(const uint8_t slot[REPLAY_SLOT], const uint8_t key[REPLAY_KEY_BYTES],
                     uint8_t out[8])
{
    uint8_t hash[16];
    crypto_generichash(hash, sizeof hash, slot, CHECKED, key, REPLAY_KEY_BYTES);
    memcpy(out, hash, 8);
}

static void seal_slot(uint8_t slot[REPLAY_SLOT], const uint8_t key[REPLAY_KEY_BYTES])
{
    check_of(slot, key, slot + CHECKED);
}

static bool checks(const uint8_t *slot, const uint8_t key[REPLAY_KEY_BYTES])
{
    uint8_t expected[8];
    check_of(slot, key, expected);
    return yzi_bytes_eq(yzi_bytes(slot + CHECKED, 8), yzi_bytes(expected, 8));
}

static void write_first(uint8_t slot[REPLAY_SLOT], const uint8_t key[REPLAY_KEY_BYTES])
{
    memset(slot, 0, REPLAY_SLOT);
    memcpy(slot, magic, sizeof magic);
    yzi_store_u32(slot + 8, VERSION);
    memcpy(slot + 16, key, REPLAY_KEY_BYTES);
    seal_slot(slot, key);
}

static void write_slot(uint8_t slot[REPLAY_SLOT], const struct replay_record *r,
                       const uint8_t key[REPLAY_KEY_BYTES])
{
    memcpy(slot, r->key, 16);
    memcpy(slot + 16, r->digest, 24);
    yzi_store_u64(slot + 40, r->until);
    yzi_store_u64(slot + 48, r->node);
    seal_slot(slot, key);
}

int yzi_replay_segment_key(yz_bytes segment, uint8_t out[REPLAY_KEY_BYTES])
{
    uint8_t expected[REPLAY_SLOT];
    YZ_ENSURE(segment.n >= REPLAY_SLOT, YZ_EMALFORMED);
    write_first(expected, segment.p + 16);
    YZ_ENSURE(yzi_bytes_eq(yzi_bytes(segment.p, REPLAY_SLOT), yzi_bytes(expected, REPLAY_SLOT)),
              YZ_EMALFORMED);
    memcpy(out, segment.p + 16, REPLAY_KEY_BYTES);
    return YZ_OK;
}

int yzi_replay_segment_load(yz_bytes segment, struct replay *r, uint64_t now, size_t *out_damaged,
                            uint64_t *out_until)
{
    uint8_t key[REPLAY_KEY_BYTES];
    uint64_t until = 0;
    YZ_TRY(yzi_replay_segment_key(segment, key));
    size_t damaged = segment.n % REPLAY_SLOT != 0;
    for (size_t at = REPLAY_SLOT; segment.n - at >= REPLAY_SLOT; at += REPLAY_SLOT) {
        const uint8_t *slot = segment.p + at;
        if (!checks(slot, key)) {
            damaged++;
            continue;
        }
        struct replay_record record = {.until = yzi_load_u64(slot + 40),
                                       .node = yzi_load_u64(slot + 48)};
        memcpy(record.key, slot, 16);
        memcpy(record.digest, slot + 16, 24);
        YZ_TRY(yzi_replay_restore(r, &record, now));
        until = record.until > until ? record.until : until;
    }
    *out_damaged = damaged;
    *out_until = until;
    return YZ_OK;
}

/* -- files -- */

static int path_of(const struct replay_log *l, uint64_t number, char **out)
{
    char name[32];
    snprintf(name, sizeof name, "%016llx.ids", (unsigned long long)number);
    return yzi_path_join(l->dir, name, out);
}

static bool is_segment(const char *name, uint64_t *out)
{
    unsigned long long number;
    int n = 0;
    if (sscanf(name, "%16llx.ids%n", &number, &n) != 1 || n != 20 || name[n] != '\0') {
        return false;
    }
    *out = number;
    return true;
}

static int by_number(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int list_segments(struct replay_log *l, yz_error *err)
{
    YZ_TRY(yzi_alloc(SEGMENTS_MAX, sizeof *l->segments, &l->segments));
    DIR *d = opendir(l->dir);
    if (!d) {
        return yzi_fail(err, YZ_EIO, "cannot read %s", l->dir);
    }
    for (struct dirent *e; (e = readdir(d)) != NULL && l->segments_n < SEGMENTS_MAX;) {
        if (is_segment(e->d_name, &l->segments[l->segments_n].number)) {
            l->segments[l->segments_n++].until = UINT64_MAX;
        }
    }
    closedir(d);
    qsort(l->segments, l->segments_n, sizeof *l->segments, by_number);
    l->current.number = l->segments_n ? l->segments[l->segments_n - 1].number + 1 : 1;
    return YZ_OK;
}

static int read_segment(const struct replay_log *l, const struct segment *s, yz_buf *out,
                        yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(path_of(l, s->number, &path));
    yzi_buf_init(out, (size_t)REPLAY_SLOT * SEGMENT_SLOTS);
    return yzi_file_read(path, out, err);
}

/* The newest that is whole says the key; the older ones have the same. */
static int take_key(struct replay_log *l)
{
    for (size_t i = l->segments_n; i > 0; i--) {
        YZ_AUTO(yzi_buf_fini) yz_buf content = {0};
        yz_error ignored;
        int rc = read_segment(l, &l->segments[i - 1], &content, &ignored);
        if (rc == YZ_ENOMEM) {
            return rc;
        }
        if (rc == YZ_OK && yzi_replay_segment_key(yzi_bytes_buf(&content), l->key) == YZ_OK) {
            return YZ_OK;
        }
    }
    randombytes_buf(l->key, sizeof l->key);
    return YZ_OK;
}

int yzi_replay_log_open(const char *dir, struct replay_log **out, yz_error *err)
{
    struct replay_log *l;
    YZ_TRY(yzi_sodium_init());
    YZ_TRY(yzi_alloc(1, sizeof *l, &l));
    l->fd = -1;
    int rc = yzi_bytes_dup_str(yzi_bytes_str(dir), &l->dir);
    rc = rc < 0 ? rc : yzi_dir_make(dir, 0700, err);
    rc = rc < 0 ? rc : list_segments(l, err);
    rc = rc < 0 ? rc : take_key(l);
    if (rc < 0) {
        yzi_replay_log_close(l);
        return rc;
    }
    *out = l;
    return YZ_OK;
}

void yzi_replay_log_close(struct replay_log *l)
{
    if (!l) {
        return;
    }
    if (l->fd >= 0) {
        close(l->fd);
    }
    free(l->segments);
    free(l->dir);
    free(l);
}

const uint8_t *yzi_replay_log_key(const struct replay_log *l)
{
    return l->key;
}

static void remove_file(const struct replay_log *l, uint64_t number)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    if (path_of(l, number, &path) == YZ_OK) {
        unlink(path); /* if it stays, the next start removes it */
    }
}

/* Those of which all has run out go. */
static void drop_the_old(struct replay_log *l, uint64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->segments_n; i++) {
        if (l->segments[i].until < now) {
            remove_file(l, l->segments[i].number);
        } else {
            l->segments[kept++] = l->segments[i];
        }
    }
    l->segments_n = kept;
}

/* A segment of another key, from before somebody took the rest away, says nothing to us. */
static int load_one(const struct replay_log *l, yz_bytes content, struct replay *r, uint64_t now,
                    size_t *out_damaged, uint64_t *out_until)
{
    uint8_t key[REPLAY_KEY_BYTES];
    YZ_TRY(yzi_replay_segment_key(content, key));
    YZ_ENSURE(yzi_bytes_eq(yzi_bytes(key, sizeof key), yzi_bytes(l->key, sizeof l->key)),
              YZ_EMALFORMED);
    return yzi_replay_segment_load(content, r, now, out_damaged, out_until);
}

int yzi_replay_log_load(struct replay_log *l, struct replay *r, uint64_t now, size_t *out_damaged,
                        yz_error *err)
{
    size_t damaged = 0;
    for (size_t i = 0; i < l->segments_n; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf content = {0};
        struct segment *s = &l->segments[i];
        size_t bad = 1;
        int rc = read_segment(l, s, &content, err);
        if (rc == YZ_OK) {
            rc = load_one(l, yzi_bytes_buf(&content), r, now, &bad, &s->until);
        }
        if (rc == YZ_EMALFORMED || rc == YZ_ETOOBIG) {
            s->until = 0; /* torn before its first slot, or not ours: nothing of it can be used */
        } else if (rc < 0) {
            return rc;
        }
        damaged += bad;
    }
    drop_the_old(l, now);
    *out_damaged = damaged;
    return YZ_OK;
}

/* -- appending -- */

/* All or nothing: what a failed write left behind is cut off. */
static int write_whole(struct replay_log *l, const uint8_t slot[REPLAY_SLOT])
{
    ssize_t n;
    do {
        n = write(l->fd, slot, REPLAY_SLOT);
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)REPLAY_SLOT) {
        l->slots++;
        return YZ_OK;
    }
    int code = n >= 0 || errno == ENOSPC || errno == EDQUOT ? YZ_EDISKFULL : YZ_EIO;
    if (n > 0 && ftruncate(l->fd, (off_t)(l->slots * REPLAY_SLOT)) < 0) {
        l->slots = SEGMENT_SLOTS; /* its end is not to be trusted: the next goes elsewhere */
    }
    return code;
}

static void leave_segment(struct replay_log *l)
{
    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
        l->segments[l->segments_n++] = l->current;
        l->current = (struct segment){.number = l->current.number + 1};
    }
}

static int begin_segment(struct replay_log *l, uint64_t now)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    uint8_t first[REPLAY_SLOT];
    drop_the_old(l, now);
    YZ_ENSURE(l->segments_n < SEGMENTS_MAX, YZ_EDISKFULL);
    YZ_TRY(path_of(l, l->current.number, &path));
    l->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->fd < 0) {
        return errno == ENOSPC || errno == EDQUOT ? YZ_EDISKFULL : YZ_EIO;
    }
    l->slots = 0;
    l->begun = now;
    write_first(first, l->key);
    int rc = write_whole(l, first);
    if (rc < 0) {
        close(l->fd);
        l->fd = -1;
        unlink(path);
        l->current.number++; /* should it stay, it is no obstacle */
    }
    return rc;
}

int yzi_replay_log_append(struct replay_log *l, const struct replay_record *record, uint64_t now)
{
    uint8_t slot[REPLAY_SLOT];
    bool old = now - l->begun > SEGMENT_MS; /* also when the clock was set back */
    if (l->fd >= 0 && (old || l->slots >= SEGMENT_SLOTS)) {
        leave_segment(l);
    }
    if (l->fd < 0) {
        YZ_TRY(begin_segment(l, now));
    }
    write_slot(slot, record, l->key);
    YZ_TRY(write_whole(l, slot));
    l->current.until = record->until > l->current.until ? record->until : l->current.until;
    return YZ_OK;
}
