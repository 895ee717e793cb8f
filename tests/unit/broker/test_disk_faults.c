/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker whose disk fails at every call of whole flows, one after the other: a directory is
 * adopted or it is not, and the disk holds one or the other, whole; an offer that cannot be kept is
 * in force all the same, and what was kept of it before is still there for the next start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/file.h"
#include "tests/faults/shim_io.h"
#include "tests/unit/broker/fixture.h"

#define FAULTS_MAX 500u /* a flow that never gets by is a fault of the test */

/* What another process of this home finds on the disk. */
static uint64_t version_on_disk(struct rig *r)
{
    YZ_AUTO(yzi_free_ptr) char *state = NULL;
    YZ_AUTO(yzi_free_ptr) char *anchor = NULL;
    assert_int_equal(yzi_path_join(r->home, "state", &state), YZ_OK);
    assert_int_equal(yzi_path_join(r->home, "anchor.yzr", &anchor), YZ_OK);
    struct trust_options o = {.anchor = anchor, .dir = state, .clock = &r->w->clock.clock};
    struct trust *t = NULL;
    yz_error err = {0};
    if (yzi_trust_open(&o, &t, &err) < 0) {
        fail_msg("what is on the disk does not load: %s", err.text);
    }
    const struct directory *d = yzi_trust_directory(t);
    uint64_t version = d ? yzi_directory_version(d) : 0;
    yzi_directory_unref(d);
    yzi_trust_close(t);
    return version;
}

static void directory_on_a_bad_disk(struct rig *r, enum io_harm harm, int error)
{
    struct io_faults *io = io_faults_local();
    bool hit = true;
    unsigned n = 1;
    for (; hit; n++) {
        assert_true(n < FAULTS_MAX);
        uint64_t before = yzi_directory_version(r->b->directory);
        yz_world_publish(r->w);
        io_faults_arm(io, IO_CHANGES, n, 1, harm, error);
        int rc = yzi_trust_put_bundle(r->b->trust, yzi_bytes_buf(&r->w->bundle), NULL);
        io_faults_disarm(io);
        yzi_broker_directory_changed(r->b);
        hit = io->failed > 0;
        assert_true(hit || rc == YZ_OK);
        assert_int_equal(yzi_directory_version(r->b->directory),
                         rc == YZ_OK ? r->w->version : before);
        uint64_t kept = version_on_disk(r);
        assert_true(kept == r->w->version || (rc < 0 && kept == before));
        if (rc < 0) {
            rig_give_directory(r);
        }
        assert_int_equal(version_on_disk(r), r->w->version);
    }
    assert_true(n > 8); /* more than one file, each made, written, synced and named */
}

static void test_directory__is_adopted_or_not(void **state)
{
    struct rig *r = *state;
    io_faults_watch(io_faults_local(), r->home, "state");
    directory_on_a_bad_disk(r, IO_FAIL, ENOSPC);
    directory_on_a_bad_disk(r, IO_FAIL, EIO);
    directory_on_a_bad_disk(r, IO_SHORT, ENOSPC);
    directory_on_a_bad_disk(r, IO_TORN, ENOSPC);
    directory_on_a_bad_disk(r, IO_LATE, EIO);
}

static void offer_on_a_bad_disk(struct rig *r, enum io_harm harm, uint64_t version)
{
    static const char *const fields[] = {"person_id", "status", NULL};
    struct io_faults *io = io_faults_local();
    bool hit = true;
    rig_offer(r, version++); /* this much is kept */
    for (unsigned n = 1; hit; n++, version++) {
        assert_true(n < FAULTS_MAX);
        YZ_AUTO(yzi_buf_fini) yz_buf offer;
        struct record record;
        yz_world_buf(&offer);
        yz_world_simple_offer(r->w, WORLD_SERVICE, WORLD_CONSUMER, version, fields, &offer, NULL);
        assert_int_equal(yzi_record_parse(yzi_bytes_buf(&offer), &record), YZ_OK);
        io_faults_arm(io, IO_CHANGES, n, 1, harm, ENOSPC);
        assert_int_equal(yzi_broker_take_record(r->b, &record, NULL, NULL), YZ_OK);
        io_faults_disarm(io);
        hit = io->failed > 0;
        rig_stop(r);
        rig_start(r);
        assert_int_equal(yzi_offers_count(r->b->offers), 1); /* the old one or the new one */
    }
}

static void test_offer__what_was_kept_stays(void **state)
{
    struct rig *r = *state;

    rig_offer(r, 1);
    io_faults_watch(io_faults_local(), r->home, "offers");
    offer_on_a_bad_disk(r, IO_FAIL, 100);
    offer_on_a_bad_disk(r, IO_SHORT, 200);
    offer_on_a_bad_disk(r, IO_TORN, 300);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_directory__is_adopted_or_not),
        TEST(test_offer__what_was_kept_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
