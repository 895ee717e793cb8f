/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/record_state.c: manifest, freshness, announcement.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/records.h"

/* -- manifest -- */

static void test_manifest__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    struct manifest got;
    assert_int_equal(yzi_manifest_write(&sample_manifest, &body), 0);
    assert_int_equal(yzi_manifest_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.instance, "CN");
    assert_int_equal(got.version, 42);
    assert_int_equal(got.issued_at, SAMPLE_TIME + 4);
    assert_int_equal(got.root_version, 3);
    assert_int_equal(got.tree_size, 167);
    assert_true(yzi_digest_eq(&got.root_hash, &sample_manifest.root_hash));
    assert_int_equal(got.chunks_n, 2);
    assert_true(yzi_digest_eq(&got.chunks[1].digest, &sample_manifest.chunks[1].digest));
    assert_int_equal(got.chunks[1].bytes, 4321);
    assert_int_equal(got.chunks[1].records, 17);
}

SPOIL(manifest_instance, Manifest, w->instance = bin("CN/GOV"))
SPOIL(manifest_version_0, Manifest, w->version = 0)
SPOIL(manifest_issued_0, Manifest, w->issued_at = 0)
SPOIL(manifest_root_version_0, Manifest, w->root_version = 0)
SPOIL(manifest_size_more, Manifest, w->tree_size++)
SPOIL(manifest_size_less, Manifest, w->tree_size--)
SPOIL(manifest_size_wraps, Manifest, w->tree_size += UINT64_C(1) << 32)
SPOIL(manifest_hash_short, Manifest, w->root_hash.len = 31)
SPOIL(manifest_hash_long, Manifest, w->root_hash = bin_n('h', 33))
SPOIL(manifest_empty, Manifest, w->n_chunks = 0; w->tree_size = 0)
SPOIL(manifest_chunk_twice, Manifest, w->chunks[0]->digest = w->chunks[1]->digest)
SPOIL(manifest_chunk_short, Manifest, w->chunks[0]->digest.len = 20)
SPOIL(manifest_chunk_0_bytes, Manifest, w->chunks[0]->bytes = 0)
SPOIL(manifest_chunk_too_big, Manifest, w->chunks[0]->bytes = YZ_CHUNK_MAX + 1)
SPOIL(manifest_chunk_full, Manifest, w->chunks[0]->bytes = YZ_CHUNK_MAX)
SPOIL(manifest_chunk_0_records, Manifest, w->tree_size -= w->chunks[1]->records;
      w->chunks[1]->records = 0)
SPOIL(manifest_many_chunks, Manifest,
      yz_record_repeat(&w->chunks, &w->n_chunks, YZ_MANIFEST_CHUNKS_MAX + 1))

static void test_manifest__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"an instance of two segments", manifest_instance, YZ_EMALFORMED},
        {"version 0", manifest_version_0, YZ_EMALFORMED},
        {"issued at 0", manifest_issued_0, YZ_EMALFORMED},
        {"root version 0", manifest_root_version_0, YZ_EMALFORMED},
        {"fewer records than the tree", manifest_size_more, YZ_EMALFORMED},
        {"more records than the tree", manifest_size_less, YZ_EMALFORMED},
        {"2^32 records more", manifest_size_wraps, YZ_EMALFORMED},
        {"a short root hash", manifest_hash_short, YZ_EMALFORMED},
        {"a long root hash", manifest_hash_long, YZ_EMALFORMED},
        {"no chunk", manifest_empty, YZ_EMALFORMED},
        {"a chunk twice", manifest_chunk_twice, YZ_EMALFORMED},
        {"a short digest", manifest_chunk_short, YZ_EMALFORMED},
        {"an empty chunk", manifest_chunk_0_bytes, YZ_EMALFORMED},
        {"a chunk too big", manifest_chunk_too_big, YZ_EMALFORMED},
        {"a full chunk", manifest_chunk_full, 0},
        {"a chunk without records", manifest_chunk_0_records, YZ_EMALFORMED},
        {"too many chunks", manifest_many_chunks, YZ_ELIMIT},
    };
    yz_record_refuses(RECORD_MANIFEST, faults, COUNT(faults));
}

static void test_manifest__holds_as_many_chunks_as_its_limit(void **state)
{
    (void)state;
    struct manifest_chunk *chunks = calloc(YZ_MANIFEST_CHUNKS_MAX, sizeof *chunks);
    assert_non_null(chunks);
    struct manifest in = sample_manifest, got;
    in.chunks = chunks;
    in.chunks_n = YZ_MANIFEST_CHUNKS_MAX;
    in.tree_size = 0;
    for (uint32_t i = 0; i < YZ_MANIFEST_CHUNKS_MAX; i++) {
        yzi_store_u32(chunks[i].digest.b, i);
        chunks[i].bytes = YZ_CHUNK_MAX;
        chunks[i].records = UINT32_MAX;
        in.tree_size += UINT32_MAX;
    }
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 20);
    assert_int_equal(yzi_manifest_write(&in, &body), 0);
    assert_int_equal(yzi_manifest_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_int_equal(got.chunks_n, YZ_MANIFEST_CHUNKS_MAX);
    free(chunks);
}

/* -- freshness -- */

static void test_freshness__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 10);
    struct freshness got;
    assert_int_equal(yzi_freshness_write(&sample_freshness, &body), 0);
    assert_int_equal(yzi_freshness_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.instance, "CN");
    assert_int_equal(got.directory_version, 42);
    assert_true(yzi_digest_eq(&got.root_hash, &sample_freshness.root_hash));
    assert_int_equal(got.time, SAMPLE_TIME + 60000);
}

SPOIL(freshness_instance, Freshness, w->instance = bin("@CN"))
SPOIL(freshness_version_0, Freshness, w->directory_version = 0)
SPOIL(freshness_time_0, Freshness, w->time = 0)
SPOIL(freshness_hash_short, Freshness, w->root_hash.len = 0)

static void test_freshness__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"an instance like a node", freshness_instance, YZ_EMALFORMED},
        {"version 0", freshness_version_0, YZ_EMALFORMED},
        {"time 0", freshness_time_0, YZ_EMALFORMED},
        {"no hash", freshness_hash_short, YZ_EMALFORMED},
    };
    yz_record_refuses(RECORD_FRESHNESS, faults, COUNT(faults));
}

/* -- announcement -- */

static void test_announcement__says_what_was_written(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, 1 << 10);
    struct announcement got;
    assert_int_equal(yzi_announcement_write(&sample_announcement, &body), 0);
    assert_int_equal(yzi_announcement_parse(yzi_bytes_buf(&body), &a, &got), 0);
    assert_view(got.node.v, "CN/GOV/MCA/@a1");
    assert_memory_equal(got.epoch_key, sample_announcement.epoch_key, 32);
    assert_int_equal(got.sequence, 12);
    assert_int_equal(got.not_before, SAMPLE_TIME);
    assert_int_equal(got.not_after, SAMPLE_TIME + 90000000);
    assert_int_equal(got.suite, SUITE_1);
}

static uint8_t zero_key[32];
SPOIL(announcement_of_broker, Announcement, w->node = bin("CN/@b1"))
SPOIL(announcement_of_member, Announcement, w->node = bin("CN/GOV/MCA"))
SPOIL(announcement_key_short, Announcement, w->epoch_key.len = 31)
SPOIL(announcement_key_zero, Announcement, w->epoch_key.data = zero_key)
SPOIL(announcement_backward, Announcement, w->not_after = w->not_before - 1)
SPOIL(announcement_empty, Announcement, w->not_after = w->not_before)
SPOIL(announcement_endless, Announcement, w->not_after = 0)
SPOIL(announcement_suite_0, Announcement, w->suite = 0)
SPOIL(announcement_suite_2, Announcement, w->suite = 2)

static void test_announcement__refuses_what_breaks_its_invariants(void **state)
{
    (void)state;
    static const struct record_fault faults[] = {
        {"of a broker", announcement_of_broker, YZ_EMALFORMED},
        {"of a member", announcement_of_member, YZ_EMALFORMED},
        {"a short key", announcement_key_short, YZ_EMALFORMED},
        {"a zero key", announcement_key_zero, YZ_EMALFORMED},
        {"ends before it begins", announcement_backward, YZ_EMALFORMED},
        {"an empty validity", announcement_empty, YZ_EMALFORMED},
        {"no end", announcement_endless, YZ_EMALFORMED},
        {"suite 0", announcement_suite_0, YZ_EVERSION},
        {"suite 2", announcement_suite_2, YZ_EVERSION},
    };
    yz_record_refuses(RECORD_ANNOUNCEMENT, faults, COUNT(faults));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest__says_what_was_written),
        cmocka_unit_test(test_manifest__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_manifest__holds_as_many_chunks_as_its_limit),
        cmocka_unit_test(test_freshness__says_what_was_written),
        cmocka_unit_test(test_freshness__refuses_what_breaks_its_invariants),
        cmocka_unit_test(test_announcement__says_what_was_written),
        cmocka_unit_test(test_announcement__refuses_what_breaks_its_invariants),
    };
    return cmocka_run_group_tests_name("record_state", tests, NULL, NULL);
}
