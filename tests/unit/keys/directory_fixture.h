/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of keys/directory*.c share: the standard world, and verifying, assembling and
 * refusing in one line each.
 */
#ifndef YZ_TESTS_KEYS_DIRECTORY_FIXTURE_H
#define YZ_TESTS_KEYS_DIRECTORY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/world.h"

#define NOW WORLD_TIME

static struct world *w;

static inline int setup(void **state)
{
    (void)state;
    w = yz_world_standard();
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    yz_world_free(w);
    return 0;
}

/* -- helpers -- */

static inline yz_node_id node_id(const char *s)
{
    yz_node_id id;
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

static inline yz_subsystem_id subsystem_id(const char *s)
{
    yz_subsystem_id id;
    assert_int_equal(yzi_subsystem_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

static inline yz_member_id member_id(const char *s)
{
    yz_member_id id;
    assert_int_equal(yzi_member_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

static inline int find(const struct directory *d, const char *id, uint64_t now)
{
    struct directory_node n;
    return yzi_directory_node(d, node_id(id), now, &n, NULL);
}

static yz_error last;

/* Verify parts against a root, as a node that trusts it. */
static inline int verify_parts(yz_bytes root, const struct directory_parts *p)
{
    yz_bytes chunks[64];
    assert_true(p->chunks_n <= 64);
    for (size_t i = 0; i < p->chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&p->chunks[i]);
    }
    const struct directory *d = NULL;
    last = (yz_error){0};
    int rc =
        yzi_directory_verify(root, yzi_bytes_buf(&p->manifest), chunks, p->chunks_n, &d, &last);
    yzi_directory_unref(d);
    if (rc < 0) {
        assert_int_equal(last.code, rc);
        assert_true(last.text[0] != '\0');
    }
    return rc;
}

static inline void assert_says(const char *words)
{
    if (!strstr(last.text, words)) {
        fail_msg("\"%s\" does not say \"%s\"", last.text, words);
    }
}

static struct key_pair *operators[WORLD_KEYS], *roots[WORLD_KEYS];

static inline void fill_keys(void)
{
    for (unsigned i = 0; i < WORLD_KEYS; i++) {
        operators[i] = &w->operators[i];
        roots[i] = &w->roots[i];
    }
}

/* Assemble the world's records as they are, perhaps with more; a code and words in `last`. */
static inline int assemble(const yz_bytes *more, size_t more_n, unsigned operators_n,
                           struct directory_parts *out)
{
    yz_bytes records[64];
    size_t n = 0;
    fill_keys();
    assert_true(w->records_n + more_n <= 64);
    for (size_t i = 0; i < w->records_n; i++) {
        records[n++] = yzi_bytes_buf(&w->records[i]);
    }
    for (size_t i = 0; i < more_n; i++) {
        records[n++] = more[i];
    }
    last = (yz_error){0};
    return yzi_directory_assemble(records, n, w->version + 1, NOW, operators, operators_n, out,
                                  &last);
}

static inline int assemble_refuses(const yz_bytes *more, size_t more_n)
{
    struct directory_parts p = {0};
    int rc = assemble(more, more_n, 2, &p);
    assert_null(p.chunks);
    return rc;
}

/* Take record i of the world out of it. */
static inline void drop_record(size_t i)
{
    yzi_buf_fini(&w->records[i]);
    w->records[i] = w->records[--w->records_n];
}

static inline enum record_kind kind_of(const yz_buf *b)
{
    struct record r;
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(b), &r), 0);
    return r.kind;
}

static inline size_t record_of(enum record_kind kind)
{
    for (size_t i = 0; i < w->records_n; i++) {
        if (kind_of(&w->records[i]) == kind) {
            return i;
        }
    }
    fail_msg("no record of kind %d", kind);
    return 0;
}

/* Re-sign a manifest after changing it: an operator who lies. */
static inline void lie(struct directory_parts *p, void (*change)(struct manifest *m))
{
    struct record r;
    struct manifest m;
    YZ_AUTO(yzi_arena_fini) struct arena a;
    YZ_AUTO(yzi_buf_fini) yz_buf body, record;
    yz_world_buf(&body);
    yz_world_buf(&record);
    yzi_arena_init(&a, 1u << 20);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&p->manifest), &r), 0);
    assert_int_equal(yzi_manifest_parse(r.body, &a, &m), 0);
    change(&m);
    fill_keys();
    assert_int_equal(yzi_manifest_write(&m, &body), 0);
    assert_int_equal(yzi_record_sign(RECORD_MANIFEST, yzi_bytes_buf(&body), operators, 2, &record),
                     0);
    yzi_buf_clear(&p->manifest);
    assert_int_equal(yzi_buf_put(&p->manifest, yzi_bytes_buf(&record)), 0);
}

#endif
