/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of keys/trust*.c share: the standard world, a home with its anchor, and handing
 * things over in one line each.
 */
#ifndef YZ_TESTS_KEYS_TRUST_FIXTURE_H
#define YZ_TESTS_KEYS_TRUST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/trust.h"
#include "tests/support/world.h"

#define MINUTE 60000u
#define HOUR (60u * MINUTE)

/* -- fixture -- */

static struct world *w;
static char *home;
static char *state_dir, *anchor_path;
static struct trust *t;
static yz_error last;
static struct arena arena;

static inline int try_open(void)
{
    const struct trust_options o = {
        .anchor = anchor_path, .dir = state_dir, .clock = &w->clock.clock};
    last = (yz_error){0};
    return yzi_trust_open(&o, &t, &last);
}

static inline void open_home(void)
{
    int rc = try_open();
    if (rc < 0) {
        fail_msg("%s: %s", yz_err_name(rc), last.text);
    }
}

static inline void close_home(void)
{
    yzi_trust_close(t);
    t = NULL;
}

static inline void reopen(void)
{
    close_home();
    open_home();
}

static inline int setup(void **state)
{
    (void)state;
    w = yz_world_standard();
    home = yz_world_tmpdir();
    yz_world_write_anchor(w, home);
    yzi_arena_init(&arena, 1u << 20);
    return yzi_path_join(home, "state", &state_dir) ||
           yzi_path_join(home, "anchor.yzr", &anchor_path);
}

static inline int teardown(void **state)
{
    (void)state;
    close_home();
    yzi_arena_fini(&arena);
    yz_world_rmdir(home);
    yz_world_free(w);
    free(home);
    free(state_dir);
    free(anchor_path);
    return 0;
}

/* -- helpers -- */

static inline uint64_t version(void)
{
    const struct directory *d = yzi_trust_directory(t);
    uint64_t v = d ? yzi_directory_version(d) : 0;
    yzi_directory_unref(d);
    return v;
}

static inline int put_bundle(void)
{
    last = (yz_error){0};
    return yzi_trust_put_bundle(t, yzi_bytes_buf(&w->bundle), &last);
}

static inline int put_freshness(uint64_t time)
{
    YZ_AUTO(yzi_buf_fini) yz_buf f;
    yz_world_buf(&f);
    yz_world_put_freshness(w, time, &f);
    last = (yz_error){0};
    return yzi_trust_put_freshness(t, yzi_bytes_buf(&f), &last);
}

static inline int put_set(struct world_member *m)
{
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    yz_world_put_set(m, &set);
    last = (yz_error){0};
    return yzi_trust_put_member_set(t, yzi_bytes_buf(&set), &last);
}

static inline uint64_t set_version(const char *member)
{
    yz_member_id id;
    assert_int_equal(yzi_member_id_parse(yzi_bytes_str(member), &id), 0);
    const struct directory *d = yzi_trust_directory(t);
    assert_non_null(d);
    uint64_t v = yzi_directory_member_set(d, id)->version;
    yzi_directory_unref(d);
    return v;
}

static inline void assert_says(const char *words)
{
    if (!strstr(last.text, words)) {
        fail_msg("\"%s\" does not say \"%s\"", last.text, words);
    }
}

static inline int offer_record(const yz_buf *manifest, size_t *out_n)
{
    yz_digest *missing;
    yzi_arena_clear(&arena);
    last = (yz_error){0};
    return yzi_trust_offer_manifest(t, yzi_bytes_buf(manifest), &arena, &missing, out_n, &last);
}

static inline int offer(size_t *out_n)
{
    return offer_record(&w->parts.manifest, out_n);
}

static inline size_t missing(void)
{
    yz_digest *list;
    size_t n;
    yzi_arena_clear(&arena);
    assert_int_equal(yzi_trust_missing(t, &arena, &list, &n), 0);
    return n;
}

/* Hand over all chunks of the world's newest version, as often as it takes. */
static inline void feed(void)
{
    size_t left;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < w->parts.chunks_n; i++) {
            int rc = yzi_trust_put_chunk(t, yzi_bytes_buf(&w->parts.chunks[i]), &left);
            assert_true(rc == 0 || rc == YZ_ENOTFOUND);
        }
    }
    assert_int_equal(missing(), 0);
}

static inline char *state_path(const char *name)
{
    char *path;
    assert_int_equal(yzi_path_join(state_dir, name, &path), 0);
    return path;
}

static inline void read_state(const char *name, yz_buf *out)
{
    YZ_AUTO(yzi_free_ptr) char *path = state_path(name);
    yz_world_buf(out);
    assert_int_equal(yzi_file_read(path, out, NULL), 0);
}

static inline void remove_state(const char *name)
{
    YZ_AUTO(yzi_free_ptr) char *path = state_path(name);
    assert_int_equal(unlink(path), 0);
}

#endif
