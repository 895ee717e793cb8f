/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence log from outside: what is appended comes back durable, with receipts that hold, is
 * published, and is there again after a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <sodium.h>

#include "base/file.h"
#include "base/text.h"
#include "evidence/view.h"
#include "tests/unit/broker/evidence_fixture.h"

static struct evidence_fixture f;

static int setup(void **state)
{
    (void)state;
    evidence_fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    evidence_fixture_fini(&f);
    return 0;
}

static void open_log(void)
{
    yz_error err = {0};
    if (evidence_fixture_open(&f, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static struct evidence_status status(void)
{
    struct evidence_status s;
    yzi_evidence_status(f.log, &s);
    return s;
}

/* Wait until the writer has done what was asked of it: appends behind it do no harm. */
static uint64_t settle(uint64_t number)
{
    struct evidence_item *i = evidence_log_one(&f, ENTRY_REQUEST, number, NULL);
    assert_int_equal(i->rc, YZ_OK);
    uint64_t index = i->index;
    yzi_evidence_item_unref(i);
    return index;
}

static void test_evidence__a_lone_append(void **state)
{
    (void)state;
    struct receipt r;
    open_log();
    struct evidence_item *i = evidence_log_one(&f, ENTRY_REQUEST, 1, NULL);
    assert_int_equal(i->rc, YZ_OK);
    assert_int_equal(i->index, 1); /* behind the opening entry */
    assert_true(evidence_receipt_holds(&f, yzi_bytes_buf(&i->receipt), &r));
    assert_int_equal(r.entries_n, 1);
    assert_int_equal(r.size, 2);
    yzi_evidence_item_unref(i);
    assert_int_equal(status().size, 2);
}

/* The leaf of an entry, and that its path leads to the root. */
static void check_entry(const struct receipt *r, unsigned k, const struct evidence_item *i)
{
    uint8_t bytes[YZ_ENTRY_BYTES];
    yz_digest leaf, root;
    const struct receipt_entry *e = &r->entries[k];
    assert_int_equal(e->index, i->index);
    yzi_entry_write(&(struct entry){e->type, e->time, i->digest}, bytes);
    yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), &leaf);
    assert_int_equal(
        yzi_merkle_root_from_path(&leaf, e->index, r->size, e->path.hash, e->path.n, &root), 0);
    assert_memory_equal(&root, &r->root, sizeof root);
}

static void test_evidence__a_pair_has_one_receipt(void **state)
{
    (void)state;
    struct receipt r;
    open_log();
    evidence_log_many(&f, 700); /* so that pairs lie in tiles of their own */
    struct evidence_item *q = evidence_log_one(&f, ENTRY_REQUEST, 1, NULL);
    evidence_log_many(&f, 17000); /* more than the tiles in memory */
    struct evidence_item *a = evidence_log_one(&f, ENTRY_RESPONSE, 2, q);
    assert_int_equal(a->rc, YZ_OK);
    assert_true(evidence_receipt_holds(&f, yzi_bytes_buf(&a->receipt), &r));
    assert_int_equal(r.entries_n, 2);
    check_entry(&r, 0, q);
    check_entry(&r, 1, a);
    YZ_AUTO(yzi_buf_fini) yz_buf again;
    yzi_buf_init(&again, RECEIPT_BYTES_MAX);
    assert_int_equal(yzi_evidence_receipt(f.log, &a->message_id, &a->digest, &again), YZ_OK);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&again), yzi_bytes_buf(&a->receipt)));
    assert_int_equal(yzi_evidence_receipt(f.log, &a->message_id, &q->digest, &again), YZ_OK);
    yz_uuid other = yzi_uuid_v7(5);
    assert_int_equal(yzi_evidence_receipt(f.log, &other, &a->digest, &again), YZ_ENOTFOUND);
    yzi_evidence_item_unref(q);
    yzi_evidence_item_unref(a);
}

static void test_evidence__goes_on_after_a_restart(void **state)
{
    (void)state;
    open_log();
    evidence_log_many(&f, 1000);
    struct evidence_status before = status();
    evidence_fixture_close(&f);
    open_log();
    struct evidence_status after = status();
    assert_int_equal(after.log, before.log);
    assert_int_equal(after.size, 1001);
    assert_memory_equal(&after.checkpoint.root, &before.checkpoint.root, 32);
    assert_memory_equal(after.signature, before.signature, 64);
    assert_int_equal(settle(1), 1001);
}

static void test_evidence__is_published(void **state)
{
    (void)state;
    uint64_t size;
    static const uint64_t steps[] = {1, 254, 1, 1, 511, 20000, 46000, 5};
    open_log();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        evidence_log_many(&f, steps[i]);
        assert_int_equal(yzi_evidence_publish(f.log), YZ_OK);
        assert_true(evidence_published_holds(&f, status().log, &size));
        assert_int_equal(size, status().size);
        assert_int_equal(status().published, size);
    }
}

static void test_evidence__closing_publishes(void **state)
{
    (void)state;
    uint64_t size, log;
    open_log();
    log = status().log;
    evidence_log_many(&f, 300);
    evidence_fixture_close(&f);
    assert_true(evidence_published_holds(&f, log, &size));
    assert_int_equal(size, 301);
}

static void test_evidence__time_does_not_fall(void **state)
{
    (void)state;
    uint64_t size;
    open_log();
    settle(1);
    yzi_manual_clock_set_wall(&f.clock, UINT64_C(1890000000000));
    settle(2);
    yzi_manual_clock_set_wall(&f.clock, UINT64_C(1000));
    struct evidence_item *i = evidence_log_one(&f, ENTRY_REQUEST, 3, NULL);
    assert_int_equal(i->time, UINT64_C(1890000000000));
    yzi_evidence_item_unref(i);
    uint64_t log = status().log;
    evidence_fixture_close(&f);
    open_log(); /* also across a restart */
    i = evidence_log_one(&f, ENTRY_REQUEST, 4, NULL);
    assert_int_equal(i->time, UINT64_C(1890000000000));
    yzi_evidence_item_unref(i);
    evidence_fixture_close(&f);
    assert_true(evidence_published_holds(&f, log, &size)); /* looks at the times, too */
}

static void test_evidence__a_full_queue(void **state)
{
    (void)state;
    f.options.queue_items = 4;
    f.options.queue_bytes = 1000;
    open_log();
    struct evidence_item *items[5];
    for (unsigned i = 0; i < 5; i++) {
        items[i] = evidence_make(ENTRY_REQUEST, i, 92, NULL);
        assert_int_equal(yzi_evidence_append(f.log, items[i]), i < 4 ? YZ_OK : YZ_EBUSY);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct evidence_item *back = evidence_take_wait(f.log);
        assert_ptr_equal(back, items[i]);
        yzi_evidence_item_unref(back);
    }
    assert_int_equal(yzi_evidence_append(f.log, items[4]), YZ_OK); /* taking makes room */
    struct evidence_item *large = evidence_make(ENTRY_REQUEST, 9, 901, NULL);
    assert_int_equal(yzi_evidence_append(f.log, large), YZ_EBUSY);
    yzi_evidence_item_unref(large);
    yzi_evidence_item_unref(evidence_take_wait(f.log));
    for (unsigned i = 0; i < 5; i++) {
        yzi_evidence_item_unref(items[i]);
    }
}

static void test_evidence__consistency(void **state)
{
    (void)state;
    yz_digest roots[3];
    uint64_t sizes[3];
    open_log();
    for (unsigned i = 0; i < 3; i++) {
        evidence_log_many(&f, i == 0 ? 3 : 400);
        roots[i] = status().checkpoint.root;
        sizes[i] = status().size;
    }
    uint64_t log = status().log;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = i; k < 3; k++) {
            YZ_AUTO(yzi_buf_fini) yz_buf proof;
            yzi_buf_init(&proof, 4096);
            assert_int_equal(yzi_evidence_consistency(f.log, log, sizes[i], sizes[k], &proof),
                             YZ_OK);
            assert_int_equal(yzi_merkle_check_consistency(sizes[i], &roots[i], sizes[k], &roots[k],
                                                          (const yz_digest *)proof.p, proof.n / 32),
                             YZ_OK);
        }
    }
    YZ_AUTO(yzi_buf_fini) yz_buf none;
    yzi_buf_init(&none, 4096);
    assert_int_equal(yzi_evidence_consistency(f.log, log, 1, sizes[2] + 1, &none), YZ_ENOTFOUND);
    assert_int_equal(yzi_evidence_consistency(f.log, log + 1, 1, 2, &none), YZ_ENOTFOUND);
    assert_int_equal(yzi_evidence_consistency(f.log, log - 1, 1, 2, &none), YZ_ENOTFOUND);
}

static int see(void *ctx, uint64_t index, yz_bytes entry, yz_bytes body)
{
    struct entry e;
    uint64_t *counts = ctx;
    assert_int_equal(yzi_entry_parse(entry, &e), YZ_OK);
    counts[0]++;
    counts[1] += body.n == 0;
    counts[2] += e.type == ENTRY_PRUNING;
    (void)index;
    return 0;
}

static void test_evidence__pruning(void **state)
{
    (void)state;
    uint64_t counts[3] = {0};
    struct receipt r;
    open_log();
    struct evidence_item *i = evidence_log_one(&f, ENTRY_REQUEST, 1, NULL);
    evidence_log_many(&f, 3000);
    assert_int_equal(yzi_evidence_prune(f.log, 4000), YZ_EINVAL);
    assert_int_equal(yzi_evidence_prune(f.log, 2500), YZ_OK);
    settle(2);
    assert_int_equal(yzi_evidence_each(f.log, 0, UINT64_MAX, see, counts), YZ_OK);
    assert_int_equal(counts[0], 3004);
    assert_int_equal(counts[1], 2500);
    assert_int_equal(counts[2], 1);
    assert_int_equal(status().pruned, 2500);
    /* what is pruned is still provable */
    YZ_AUTO(yzi_buf_fini) yz_buf again;
    yzi_buf_init(&again, RECEIPT_BYTES_MAX);
    assert_int_equal(yzi_evidence_receipt(f.log, &i->message_id, &i->digest, &again), YZ_OK);
    assert_true(evidence_receipt_holds(&f, yzi_bytes_buf(&again), &r));
    check_entry(&r, 0, i);
    yzi_evidence_item_unref(i);
}

static void test_evidence__retention(void **state)
{
    (void)state;
    f.options.retention_ms = 60000;
    open_log();
    evidence_log_many(&f, 100);
    yzi_manual_clock_advance(&f.clock, 59000);
    settle(1);
    assert_int_equal(status().pruned, 0);
    yzi_manual_clock_advance(&f.clock, 61000);
    settle(2); /* after this commit the retention is looked at */
    settle(3);
    assert_int_equal(status().pruned, 102);
}

/* -- which log -- */

static void read_body(uint64_t index, struct log_end *out, yz_buf *keep);

struct one_body {
    yz_buf *out;
    struct entry entry;
};

static int keep_body(void *ctx, uint64_t index, yz_bytes entry, yz_bytes body)
{
    struct one_body *b = ctx;
    (void)index;
    assert_int_equal(yzi_entry_parse(entry, &b->entry), YZ_OK);
    assert_int_equal(yzi_buf_put(b->out, body), YZ_OK);
    return 1;
}

static void read_body(uint64_t index, struct log_end *out, yz_buf *keep)
{
    struct one_body b = {.out = keep};
    yzi_buf_init(keep, 1024);
    assert_int_equal(yzi_evidence_each(f.log, index, 1, keep_body, &b), YZ_OK);
    assert_true(b.entry.type == ENTRY_OPENING || b.entry.type == ENTRY_CLOSING);
    assert_int_equal(yzi_log_end_parse(yzi_bytes_buf(keep), out), YZ_OK);
}

static void check_opening(const char *reason, uint64_t log, uint64_t size)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    struct log_end end;
    read_body(0, &end, &body);
    assert_true(yzi_bytes_eq_str(end.reason, reason));
    assert_int_equal(end.log, log);
    assert_int_equal(end.size, size);
    if (log) {
        yzi_buf_init(&text, 1024);
        assert_int_equal(yzi_checkpoint_text(f.options.node, log, size, &end.root, &text), YZ_OK);
        assert_int_equal(
            crypto_sign_verify_detached(end.signature.p, text.p, text.n, f.key.public_key), 0);
    }
}

static void test_evidence__rotation(void **state)
{
    (void)state;
    uint64_t size;
    open_log();
    check_opening("first", 0, 0);
    evidence_log_many(&f, 600);
    struct evidence_status before = status();
    assert_int_equal(yzi_evidence_rotate(f.log), YZ_OK);
    settle(1);
    struct evidence_status after = status();
    assert_true(after.log > before.log);
    check_opening("closed", before.log, before.size + 1); /* the closing entry included */
    assert_int_equal(yzi_evidence_publish(f.log), YZ_OK);
    assert_true(evidence_published_holds(&f, after.log, &size));
    evidence_fixture_close(&f);
    assert_true(evidence_published_holds(&f, before.log, &size));
    assert_int_equal(size, before.size + 1);
    open_log(); /* and it is the newer one that is continued */
    assert_int_equal(status().log, after.log);
    YZ_AUTO(yzi_buf_fini) yz_buf proof;
    yzi_buf_init(&proof, 4096);
    assert_int_equal(yzi_evidence_consistency(f.log, before.log, 5, before.size, &proof), YZ_OK);
}

/* What another party makes of it: it notes the checkpoint and asks until nothing is open. */
static void follow(struct log_view *v, const struct evidence_status *s, uint64_t *mono)
{
    uint8_t name[CONSISTENCY_NAME_BYTES];
    assert_int_equal(yzi_view_note(v, s->checkpoint.log, s->checkpoint.size, &s->checkpoint.root,
                                   f.key.public_key, s->signature, "receipt", NULL),
                     YZ_OK);
    while (yzi_view_wants(v, *mono += 1000, name)) {
        YZ_AUTO(yzi_buf_fini) yz_buf proof;
        yzi_buf_init(&proof, 1 << 20);
        int rc = yzi_evidence_consistency(f.log, yzi_load_u64(name), yzi_load_u64(name + 8),
                                          yzi_load_u64(name + 16), &proof);
        assert_int_equal(yzi_view_proved(v, yzi_bytes(name, sizeof name), rc == YZ_OK,
                                         yzi_bytes_buf(&proof), *mono, NULL),
                         YZ_OK);
    }
}

static void test_evidence__others_follow_it_from_log_to_log(void **state)
{
    (void)state;
    struct log_views *views;
    struct log_view *v;
    uint64_t mono = 1000000;
    open_log();
    assert_int_equal(yzi_views_open(f.dir, &views, NULL), YZ_OK);
    assert_int_equal(yzi_views_of(views, f.options.node, &v, NULL), YZ_OK);
    evidence_log_many(&f, 300);
    struct evidence_status at = status();
    follow(v, &at, &mono);
    evidence_log_many(&f, 300);
    at = status();
    follow(v, &at, &mono);
    assert_true(yzi_view_latest(v).size == at.size);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(yzi_evidence_rotate(f.log), YZ_OK);
        settle(1);
        evidence_log_many(&f, 20);
        /* That its bodies are let go of does not take away how the log began. */
        assert_int_equal(yzi_evidence_prune(f.log, status().size), YZ_OK);
        evidence_log_many(&f, 1);
        at = status();
        follow(v, &at, &mono);
        assert_true(yzi_view_latest(v).log == at.log && yzi_view_latest(v).size == at.size);
    }
    assert_false(yzi_view_broken(v));
    yzi_views_close(views);
}

/* Copy a folder of files, as a restore does. */
static void copy_store(const char *from, const char *to)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
    assert_int_equal(system(command), 0);
}

static void test_evidence__a_restored_copy_is_not_continued(void **state)
{
    (void)state;
    char copy[200];
    snprintf(copy, sizeof copy, "%s/copy", f.dir);
    f.options.publish = NULL; /* nothing else tells */
    open_log();
    evidence_log_many(&f, 50);
    struct evidence_status before = status();
    evidence_fixture_close(&f);
    copy_store(f.store, copy);
    copy_store(copy, f.store);
    open_log();
    assert_true(status().log > before.log);
    check_opening("restored", before.log, before.size);
}

static void test_evidence__published_more_than_there_is(void **state)
{
    (void)state;
    char copy[200], data[300], old[300];
    open_log();
    evidence_log_many(&f, 50);
    struct evidence_status before = status();
    evidence_fixture_close(&f);
    snprintf(copy, sizeof copy, "%s/copy", f.dir);
    copy_store(f.store, copy);
    open_log();
    evidence_log_many(&f, 50);
    struct evidence_status newer = status();
    evidence_fixture_close(&f);
    /* the old content in the same file, so that only what is published tells */
    snprintf(data, sizeof data, "%s/%" PRIu64 "/data.mdb", f.store, before.log);
    snprintf(old, sizeof old, "%s/%" PRIu64 "/data.mdb", copy, before.log);
    char command[700];
    snprintf(command, sizeof command, "cat '%s' > '%s'", old, data);
    assert_int_equal(system(command), 0);
    open_log();
    assert_true(status().log > before.log);
    check_opening("restored", newer.log, newer.size);
}

static void test_evidence__shown(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    struct evidence_status first, now;
    uint8_t signature[64];
    open_log();
    evidence_log_many(&f, 50);
    first = status();
    first.checkpoint.signature = yzi_bytes(first.signature, 64);
    assert_int_equal(yzi_evidence_shown(f.log, &first.checkpoint), YZ_EEXIST);
    evidence_log_many(&f, 300);
    assert_int_equal(yzi_evidence_shown(f.log, &first.checkpoint), YZ_EEXIST); /* on our tree */
    struct checkpoint_ref ahead = first.checkpoint;
    ahead.size = 1000;
    yzi_buf_init(&text, 1024);
    assert_int_equal(yzi_checkpoint_text(f.options.node, ahead.log, ahead.size, &ahead.root, &text),
                     YZ_OK);
    const uint8_t *secret = yzi_key_pair_open(&f.key);
    crypto_sign_detached(signature, NULL, text.p, text.n, secret);
    yzi_key_pair_close(&f.key);
    ahead.signature = yzi_bytes(signature, 64);
    assert_int_equal(yzi_evidence_shown(f.log, &ahead), YZ_OK);
    settle(1);
    now = status();
    assert_true(now.log > first.log);
    check_opening("peer", first.log, 1000);
    assert_int_equal(yzi_evidence_shown(f.log, &ahead), YZ_EEXIST);
    /* the earlier log, further on: another opening entry */
    ahead.size = 2000;
    assert_int_equal(yzi_evidence_shown(f.log, &ahead), YZ_OK);
    uint64_t index = settle(2);
    assert_int_equal(status().log, now.log);
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    struct log_end end;
    read_body(index - 1, &end, &body);
    assert_int_equal(end.size, 2000);
    assert_int_equal(yzi_evidence_shown(f.log, &ahead), YZ_EEXIST);
}

static void test_evidence__another_history_of_the_same_size(void **state)
{
    (void)state;
    open_log();
    evidence_log_many(&f, 50);
    struct evidence_status first = status();
    struct checkpoint_ref fork = first.checkpoint;
    fork.signature = yzi_bytes(first.signature, 64);
    fork.root.b[0] ^= 1;
    evidence_log_many(&f, 300);
    assert_int_equal(yzi_evidence_shown(f.log, &fork), YZ_OK);
    settle(1);
    assert_true(status().log > first.log);
}

static void test_evidence__another_key(void **state)
{
    (void)state;
    open_log();
    evidence_log_many(&f, 50);
    struct evidence_status first = status();
    evidence_fixture_close(&f);
    struct key_pair was = f.key;
    assert_int_equal(yzi_key_pair_generate(KEY_LOG, &f.key), YZ_OK);
    yzi_key_pair_hold(&f.key);
    open_log();
    assert_true(status().log > first.log);
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    struct log_end end;
    read_body(0, &end, &body);
    assert_true(yzi_bytes_eq_str(end.reason, "key"));
    assert_int_equal(end.size, first.size);
    yzi_key_pair_release(&was);
    yzi_key_pair_fini(&was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_evidence__a_lone_append, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__a_pair_has_one_receipt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__goes_on_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__is_published, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__closing_publishes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__time_does_not_fall, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__a_full_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__consistency, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__others_follow_it_from_log_to_log, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_evidence__pruning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__retention, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__a_restored_copy_is_not_continued, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_evidence__published_more_than_there_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_evidence__shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence__another_history_of_the_same_size, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_evidence__another_key, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
