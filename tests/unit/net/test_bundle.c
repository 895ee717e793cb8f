/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles taken apart: one message passes through, several come one by one, and whatever follows a
 * fault is not used.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "net/bundle.h"
#include "proto/link.h"

#define MAX 65536u

static void put_heartbeat(yz_buf *out, uint64_t version)
{
    struct heartbeat h = {.directory_version = version, .time = 1};
    assert_int_equal(yzi_heartbeat_write(&h, out), YZ_OK);
}

static uint64_t version_of(const struct message *m)
{
    struct frame f;
    struct heartbeat h;
    assert_int_equal(yzi_frame_parse(m->bytes, MAX, &f), YZ_OK);
    assert_int_equal(yzi_heartbeat_parse(f.header, &h), YZ_OK);
    return h.directory_version;
}

static void start(struct bundle *b, yz_bytes bytes)
{
    struct message m = {0};
    assert_int_equal(yzi_message_copy(&m, bytes), YZ_OK);
    yzi_bundle_init(b, &m);
    assert_false(m.live);
}

static void expect_versions(yz_bytes bytes, uint64_t first, unsigned n, int end)
{
    struct bundle b;
    start(&b, bytes);
    for (unsigned i = 0; i < n; i++) {
        struct message m = {0};
        assert_int_equal(yzi_bundle_next(&b, MAX, &m), YZ_OK);
        assert_int_equal(version_of(&m), first + i);
        yzi_message_fini(&m);
    }
    struct message m = {0};
    assert_int_equal(yzi_bundle_next(&b, MAX, &m), end);
    assert_false(m.live);
    yzi_bundle_fini(&b);
}

static void test_bundle__one_message_passes_through(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf buf;
    yzi_buf_init(&buf, MAX);
    put_heartbeat(&buf, 7);
    expect_versions(yzi_bytes_buf(&buf), 7, 1, YZ_EAGAIN);
}

static void test_bundle__several_come_in_order(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf buf;
    yzi_buf_init(&buf, MAX);
    for (unsigned i = 0; i < 50; i++) {
        put_heartbeat(&buf, 100 + i);
    }
    expect_versions(yzi_bytes_buf(&buf), 100, 50, YZ_EAGAIN);
}

static void test_bundle__a_fault_ends_it_wherever_it_is_cut(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf buf;
    yzi_buf_init(&buf, MAX);
    put_heartbeat(&buf, 1);
    size_t one = buf.n;
    put_heartbeat(&buf, 2);
    for (size_t n = 0; n < one; n++) {
        expect_versions(yzi_bytes(buf.p, n), 1, 0, YZ_EMALFORMED);
    }
    for (size_t n = one + 1; n < buf.n; n++) {
        expect_versions(yzi_bytes(buf.p, n), 1, 1, YZ_EMALFORMED);
    }
}

static void test_bundle__more_than_the_limit_is_refused(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf buf;
    yzi_buf_init(&buf, 1024u * 1024u);
    for (unsigned i = 0; i <= YZ_BUNDLE_MAX; i++) {
        put_heartbeat(&buf, 1 + i);
    }
    expect_versions(yzi_bytes_buf(&buf), 1, YZ_BUNDLE_MAX, YZ_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bundle__one_message_passes_through),
        cmocka_unit_test(test_bundle__several_come_in_order),
        cmocka_unit_test(test_bundle__a_fault_ends_it_wherever_it_is_cut),
        cmocka_unit_test(test_bundle__more_than_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
