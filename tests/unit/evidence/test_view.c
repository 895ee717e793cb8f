/* SPDX-License-Identifier: Apache-2.0
 *
 * evidence/view: what parties see of a broker that keeps one log, forks it, loses it and goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "evidence/view.h"
#include "tests/support/world.h"
#include "tests/unit/evidence/puppet_log.h"

#define BROKER "CN/@b1"
#define LOG UINT64_C(1732309509123)

/* One party, and its clock. */
struct party {
    char *dir;
    struct log_views *views;
    struct log_view *view;
    uint64_t mono;
};

static struct key_pair key, other_key;
static struct puppet_log honest, forked; /* the same up to 100 entries */

static int begin(void **state)
{
    (void)state;
    key = yz_numbered_key(KEY_LOG, 1);
    other_key = yz_numbered_key(KEY_LOG, 2);
    yz_puppet_init(&honest, BROKER, LOG, &key, NULL);
    yz_puppet_init(&forked, BROKER, LOG, &key, NULL);
    yz_puppet_grow(&honest, 100, 0);
    yz_puppet_grow(&forked, 100, 0);
    yz_puppet_grow(&honest, 300, 1);
    yz_puppet_grow(&forked, 300, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    yz_puppet_fini(&honest);
    yz_puppet_fini(&forked);
    yzi_key_pair_fini(&key);
    yzi_key_pair_fini(&other_key);
    return 0;
}

static void open_party(struct party *p)
{
    yz_error err = {0};
    const yz_node_id broker = {yzi_bytes_str(BROKER)};
    assert_int_equal(yzi_views_open(p->dir, &p->views, &err), 0);
    assert_int_equal(yzi_views_of(p->views, broker, &p->view, &err), 0);
}

static struct party party(void)
{
    struct party p = {.dir = yz_world_tmpdir(), .mono = 1000000};
    open_party(&p);
    return p;
}

static void restart(struct party *p)
{
    yzi_views_close(p->views);
    open_party(p);
}

static void gone(struct party *p)
{
    yzi_views_close(p->views);
    yz_world_rmdir(p->dir);
    free(p->dir);
}

static int note_as(struct party *p, const struct puppet_checkpoint *c, const char *from,
                   yz_error *err)
{
    return yzi_view_note(p->view, c->log, c->size, &c->root, c->key, c->signature, from, err);
}

static int note(struct party *p, struct puppet_log *log, uint64_t size, const char *from)
{
    struct puppet_checkpoint c = yz_puppet_sign(log, size);
    return note_as(p, &c, from, NULL);
}

/* Ask and answer until nothing more is asked now; what the last answer came to. */
static int settle(struct party *p, struct puppet_log *log, yz_error *err)
{
    uint8_t name[CONSISTENCY_NAME_BYTES];
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < 50; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf proof = {.max = 1 << 20};
        p->mono += 1000;
        if (!yzi_view_wants(p->view, p->mono, name)) {
            return 0;
        }
        yz_bytes asked = yzi_bytes(name, sizeof name);
        bool found = yz_puppet_prove(log, asked, &proof);
        rc = yzi_view_proved(p->view, asked, found, yzi_bytes_buf(&proof), p->mono, err);
        rc = rc == YZ_ENOTFOUND ? 0 : rc; /* merely told */
    }
    return rc;
}

static uint64_t latest(const struct party *p)
{
    struct checkpoint_ref r = yzi_view_latest(p->view);
    return r.present ? r.size : 0;
}

/* -- one log -- */

static void test_note__the_first_is_believed_and_the_next_proved(void **state)
{
    (void)state;
    struct party p = party();
    uint8_t name[CONSISTENCY_NAME_BYTES];
    assert_int_equal(latest(&p), 0);
    assert_false(yzi_view_wants(p.view, p.mono, name));
    assert_int_equal(note(&p, &honest, 120, "receipt"), 0);
    assert_int_equal(latest(&p), 120);
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    assert_int_equal(latest(&p), 120); /* not before it is proved */
    assert_int_equal(settle(&p, &honest, NULL), 0);
    assert_int_equal(latest(&p), 200);
    assert_int_equal(note(&p, &honest, 150, "CN/GOV/HB/@w2"), 0); /* an older one as well */
    p.mono += 1000;
    assert_true(yzi_view_wants(p.view, p.mono, name));
    assert_true(yzi_load_u64(name) == LOG && yzi_load_u64(name + 8) == 150);
    assert_true(yzi_load_u64(name + 16) == 200);
    assert_int_equal(latest(&p), 200);
    gone(&p);
}

static void test_wants__one_at_a_time_and_one_a_second(void **state)
{
    (void)state;
    struct party p = party();
    uint8_t name[CONSISTENCY_NAME_BYTES], again[CONSISTENCY_NAME_BYTES];
    YZ_AUTO(yzi_buf_fini) yz_buf proof = {.max = 1 << 20};
    assert_int_equal(note(&p, &honest, 120, "receipt"), 0);
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    assert_int_equal(note(&p, &honest, 210, "receipt"), 0);
    assert_true(yzi_view_wants(p.view, p.mono, name));
    for (unsigned ms = 0; ms < 10000; ms += 500) {
        assert_false(yzi_view_wants(p.view, p.mono + ms, again)); /* one is under way */
    }
    assert_true(yzi_view_wants(p.view, p.mono + 10000, again)); /* and was not answered */
    assert_memory_equal(name, again, sizeof name);
    p.mono += 10000;
    yz_bytes asked = yzi_bytes(name, sizeof name);
    assert_true(yz_puppet_prove(&honest, asked, &proof));
    assert_int_equal(yzi_view_proved(p.view, asked, true, yzi_bytes_buf(&proof), p.mono, NULL), 0);
    assert_int_equal(latest(&p), 200);
    /* The same answer once more was not asked for. */
    assert_int_equal(yzi_view_proved(p.view, asked, true, (yz_bytes){0}, p.mono, NULL), 0);
    assert_false(yzi_view_broken(p.view));
    assert_false(yzi_view_wants(p.view, p.mono + 999, again));
    assert_true(yzi_view_wants(p.view, p.mono + 1000, again));
    assert_true(yzi_load_u64(again + 16) == 210);
    gone(&p);
}

static void test_restart__remembers(void **state)
{
    (void)state;
    struct party p = party();
    struct puppet_checkpoint c = yz_puppet_sign(&honest, 200);
    assert_int_equal(note(&p, &honest, 120, "receipt"), 0);
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    restart(&p); /* with a candidate not yet proved */
    assert_int_equal(latest(&p), 120);
    assert_int_equal(settle(&p, &honest, NULL), 0);
    restart(&p);
    struct checkpoint_ref r = yzi_view_latest(p.view);
    assert_true(r.present && r.log == LOG && r.size == 200 && yzi_digest_eq(&r.root, &c.root));
    assert_true(yzi_bytes_eq(r.signature, yzi_bytes(c.signature, 64)));
    gone(&p);
}

/* -- forks -- */

static void test_fork__two_roots_of_one_size_are_seen_at_once(void **state)
{
    (void)state;
    struct party p = party();
    struct puppet_checkpoint c = yz_puppet_sign(&forked, 150);
    yz_error err = {0};
    assert_int_equal(note(&p, &honest, 150, "receipt"), 0);
    assert_int_equal(note_as(&p, &c, "CN/GOV/HB/@w2", &err), YZ_EEQUIVOCATION);
    assert_non_null(strstr(err.text, "CN/@b1 signed two histories"));
    assert_non_null(strstr(err.text, "CN/GOV/HB/@w2"));
    assert_true(yzi_view_broken(p.view));
    gone(&p);
}

static void test_fork__is_seen_when_parties_meet(void **state)
{
    (void)state;
    struct party a = party(), b = party();
    yz_error err = {0};
    /* The broker shows each of them a history of its own, and proves it to them. */
    assert_int_equal(note(&a, &honest, 120, "receipt"), 0);
    assert_int_equal(note(&a, &honest, 180, "receipt"), 0);
    assert_int_equal(settle(&a, &honest, NULL), 0);
    assert_int_equal(note(&b, &forked, 110, "receipt"), 0);
    assert_int_equal(note(&b, &forked, 250, "receipt"), 0);
    assert_int_equal(settle(&b, &forked, NULL), 0);
    /* Then b sees a's header, which carries a's checkpoint, whatever proof the broker makes up. */
    struct checkpoint_ref shown = yzi_view_latest(a.view);
    assert_int_equal(yzi_view_note(b.view, shown.log, shown.size, &shown.root, key.public_key,
                                   shown.signature.p, "CN/GOV/MCA/@a1", &err),
                     0);
    assert_int_equal(settle(&b, &forked, &err), YZ_EEQUIVOCATION);
    assert_non_null(strstr(err.text, "CN/GOV/MCA/@a1"));
    assert_true(yzi_view_broken(b.view));
    assert_false(yzi_view_broken(a.view));
    gone(&a);
    gone(&b);
}

static void test_fork__is_kept_across_restarts_with_both_checkpoints(void **state)
{
    (void)state;
    struct party p = party();
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 1 << 16};
    char *path;
    yz_error err = {0};
    assert_int_equal(note(&p, &honest, 150, "receipt"), 0);
    assert_int_equal(note(&p, &forked, 150, "CN/GOV/HB/@w2"), YZ_EEQUIVOCATION);
    restart(&p);
    assert_true(yzi_view_broken(p.view));
    assert_non_null(strstr(yzi_view_reason(p.view), "signed two histories"));
    assert_int_equal(note(&p, &honest, 160, "receipt"), YZ_EEQUIVOCATION);
    uint8_t name[CONSISTENCY_NAME_BYTES];
    assert_false(yzi_view_wants(p.view, p.mono, name));
    /* Both stand there as anyone can verify them: signed notes. */
    yz_digest digest;
    char hex[65], file[160];
    yzi_entry_digest(yzi_bytes_str(BROKER), &digest);
    assert_int_equal(yzi_hex_encode(yzi_bytes_digest(&digest), hex, sizeof hex), 0);
    snprintf(file, sizeof file, "logs/%s.equivocation", hex);
    assert_int_equal(yzi_path_join(p.dir, file, &path), 0);
    assert_int_equal(yzi_file_read(path, &text, &err), 0);
    assert_int_equal(yzi_buf_put_u8(&text, 0), 0);
    const char *first = strstr((char *)text.p, "\nyizhan/CN/@b1/1732309509123\n150\n");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "\nyizhan/CN/@b1/1732309509123\n150\n"));
    free(path);
    gone(&p);
}

static void test_fork__another_process_hears_of_it(void **state)
{
    (void)state;
    struct party p = party(), q = {.dir = strdup(p.dir), .mono = p.mono};
    uint8_t name[CONSISTENCY_NAME_BYTES];
    open_party(&q);
    assert_int_equal(note(&q, &honest, 150, "receipt"), 0);
    assert_int_equal(note(&p, &honest, 150, "receipt"), 0);
    assert_int_equal(note(&p, &forked, 150, "CN/GOV/HB/@w2"), YZ_EEQUIVOCATION);
    assert_false(yzi_view_broken(q.view));
    assert_false(yzi_view_wants(q.view, q.mono + 1000, name));
    assert_true(yzi_view_broken(q.view));
    yzi_views_close(q.views);
    free(q.dir);
    gone(&p);
}

static void test_fork__between_two_processes_is_seen(void **state)
{
    (void)state;
    struct party p = party(), q = {.dir = strdup(p.dir), .mono = p.mono};
    open_party(&q);
    assert_int_equal(note(&p, &honest, 150, "receipt"), 0);
    assert_int_equal(settle(&p, &honest, NULL), 0); /* kept */
    assert_int_equal(note(&q, &forked, 200, "receipt"), 0);
    assert_int_equal(settle(&q, &forked, NULL), YZ_EEQUIVOCATION);
    assert_true(yzi_view_broken(q.view));
    yzi_views_close(q.views);
    free(q.dir);
    gone(&p);
}

static void test_proved__what_is_no_proof_convicts(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 31, 32, 33, 66 * 32, 4000};
    static uint8_t junk[4000];
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct party p = party();
        uint8_t name[CONSISTENCY_NAME_BYTES];
        assert_int_equal(note(&p, &honest, 120, "receipt"), 0);
        assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
        assert_true(yzi_view_wants(p.view, p.mono, name));
        assert_int_equal(yzi_view_proved(p.view, yzi_bytes(name, sizeof name), true,
                                         yzi_bytes(junk, lengths[i]), p.mono, NULL),
                         YZ_EEQUIVOCATION);
        gone(&p);
    }
}

static void test_refused__is_asked_ever_more_slowly_and_told_once(void **state)
{
    (void)state;
    struct party p = party();
    uint8_t name[CONSISTENCY_NAME_BYTES];
    yz_error err = {0};
    unsigned asked = 0, told = 0;
    assert_int_equal(note(&p, &honest, 120, "receipt"), 0);
    assert_int_equal(note(&p, &honest, 200, "CN/GOV/HB/@w2"), 0);
    for (unsigned s = 0; s < 3600; s++) {
        p.mono += 1000;
        if (yzi_view_wants(p.view, p.mono, name)) {
            int rc = yzi_view_proved(p.view, yzi_bytes(name, sizeof name), false, (yz_bytes){0},
                                     p.mono, &err);
            asked++;
            told += rc == YZ_ENOTFOUND;
            assert_true(rc == 0 || rc == YZ_ENOTFOUND);
        }
    }
    assert_int_equal(told, 1);
    assert_non_null(strstr(err.text, "CN/GOV/HB/@w2"));
    assert_true(asked > 5 && asked < 20);
    assert_false(yzi_view_broken(p.view));
    assert_int_equal(settle(&p, &honest, NULL), 0); /* waits, */
    p.mono += 600000;
    assert_int_equal(settle(&p, &honest, NULL), 0); /* and is proved after all */
    assert_int_equal(latest(&p), 200);
    gone(&p);
}

static void test_candidates__of_others_outlast_our_own(void **state)
{
    (void)state;
    struct party p = party();
    yz_error err = {0};
    assert_int_equal(note(&p, &honest, 120, "receipt"), 0);
    assert_int_equal(note(&p, &forked, 130, "CN/GOV/HB/@w2"), 0);
    for (uint64_t n = 140; n < 240; n++) { /* far more than there is room for */
        assert_int_equal(note(&p, &honest, n, "receipt"), 0);
    }
    assert_int_equal(settle(&p, &honest, &err), YZ_EEQUIVOCATION);
    assert_non_null(strstr(err.text, "130"));
    gone(&p);
}

/* -- a log after a log -- */

static void test_next_log__is_followed_when_it_cites_ours(void **state)
{
    (void)state;
    struct party p = party();
    struct puppet_log next;
    struct puppet_checkpoint ended = yz_puppet_sign(&honest, 200);
    yz_puppet_init(&next, BROKER, LOG + 1000, &key, &ended);
    yz_puppet_grow(&next, 50, 3);
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    assert_int_equal(note(&p, &next, 40, "receipt"), 0);
    assert_int_equal(settle(&p, &next, NULL), 0);
    struct checkpoint_ref r = yzi_view_latest(p.view);
    assert_true(r.log == LOG + 1000 && r.size == 40);
    restart(&p);
    r = yzi_view_latest(p.view);
    assert_true(r.log == LOG + 1000 && r.size == 40);
    /* The log before is held to what was held of it, still. */
    assert_int_equal(note(&p, &honest, 150, "CN/GOV/HB/@w2"), 0);
    assert_int_equal(settle(&p, &honest, NULL), 0);
    assert_int_equal(note(&p, &forked, 160, "CN/GOV/HB/@w2"), 0);
    assert_int_equal(settle(&p, &honest, NULL), YZ_EEQUIVOCATION);
    yz_puppet_fini(&next);
    gone(&p);
}

static void test_next_log__that_cites_less_waits_until_it_cites_more(void **state)
{
    (void)state;
    struct party p = party();
    struct puppet_log next;
    yz_error err = {0};
    struct puppet_checkpoint restored = yz_puppet_sign(&honest, 150);
    struct puppet_checkpoint ours = yz_puppet_sign(&honest, 200);
    yz_puppet_init(&next, BROKER, LOG + 1000, &key, &restored);
    yz_puppet_grow(&next, 50, 3);
    assert_int_equal(note_as(&p, &ours, "receipt", NULL), 0);
    assert_int_equal(note(&p, &next, 40, "receipt"), 0);
    assert_int_equal(settle(&p, &next, NULL), 0);
    assert_true(yzi_view_latest(p.view).log == LOG); /* what we show, so that it learns of it */
    yz_puppet_open(&next, &ours);
    assert_int_equal(note(&p, &next, 51, "receipt"), 0);
    p.mono += 600000;
    assert_int_equal(settle(&p, &next, &err), 0);
    assert_true(yzi_view_latest(p.view).log == LOG + 1000);
    assert_int_equal(latest(&p), 51);
    yz_puppet_fini(&next);
    gone(&p);
}

static void test_next_log__that_cites_another_history_convicts(void **state)
{
    (void)state;
    struct party p = party(), q = party();
    struct puppet_log next;
    struct puppet_checkpoint same = yz_puppet_sign(&forked, 200);
    yz_puppet_init(&next, BROKER, LOG + 1000, &key, &same);
    yz_puppet_grow(&next, 50, 3);
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    assert_int_equal(note(&p, &next, 40, "receipt"), 0);
    assert_int_equal(settle(&p, &next, NULL), YZ_EEQUIVOCATION);
    /* Of another size: followed, and convicted when the two are to be proved one. */
    assert_int_equal(note(&q, &honest, 190, "receipt"), 0);
    assert_int_equal(note(&q, &next, 40, "receipt"), 0);
    assert_int_equal(settle(&q, &next, NULL), 0);
    q.mono += 600000;
    assert_int_equal(settle(&q, &forked, NULL), YZ_EEQUIVOCATION);
    yz_puppet_fini(&next);
    gone(&p);
    gone(&q);
}

static void test_next_log__citing_what_nobody_signed_is_not_followed(void **state)
{
    (void)state;
    struct party p = party();
    struct puppet_log next, first;
    struct puppet_checkpoint made_up = yz_puppet_sign(&honest, 200);
    made_up.signature[5] ^= 1;
    yz_puppet_init(&next, BROKER, LOG + 1000, &key, &made_up);
    yz_puppet_grow(&next, 50, 3);
    yz_puppet_init(&first, BROKER, LOG + 2000, &key, NULL); /* "there was none before" */
    yz_puppet_grow(&first, 50, 3);
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    assert_int_equal(note(&p, &next, 40, "receipt"), 0);
    assert_int_equal(settle(&p, &next, NULL), 0);
    assert_int_equal(note(&p, &first, 40, "receipt"), 0);
    assert_int_equal(settle(&p, &first, NULL), 0);
    assert_true(yzi_view_latest(p.view).log == LOG);
    yz_puppet_fini(&next);
    yz_puppet_fini(&first);
    gone(&p);
}

/* Two logs further on: the chain is walked. */
static void test_next_log__over_one_we_never_saw(void **state)
{
    (void)state;
    struct party p = party();
    struct puppet_log second, third;
    struct puppet_checkpoint a = yz_puppet_sign(&honest, 250);
    yz_puppet_init(&second, BROKER, LOG + 1000, &key, &a);
    yz_puppet_grow(&second, 30, 3);
    struct puppet_checkpoint b = yz_puppet_sign(&second, 30);
    yz_puppet_init(&third, BROKER, LOG + 2000, &key, &b);
    yz_puppet_grow(&third, 20, 4);
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    assert_int_equal(note(&p, &third, 20, "receipt"), 0);
    assert_int_equal(settle(&p, &third, NULL), 0); /* it cites the second */
    p.mono += 600000;
    assert_int_equal(settle(&p, &second, NULL), 0); /* which cites ours */
    assert_true(yzi_view_latest(p.view).log == LOG + 1000);
    p.mono += 600000;
    assert_int_equal(settle(&p, &third, NULL), 0);
    p.mono += 600000;
    assert_int_equal(settle(&p, &third, NULL), 0);
    assert_true(yzi_view_latest(p.view).log == LOG + 2000);
    yz_puppet_fini(&second);
    yz_puppet_fini(&third);
    gone(&p);
}

/* -- files -- */

static void test_file__that_is_damaged_is_named_with_its_line(void **state)
{
    (void)state;
    struct party p = party();
    yz_digest digest;
    char hex[65], file[160];
    yz_error err = {0};
    struct log_view *view;
    const yz_node_id broker = {yzi_bytes_str(BROKER)};
    assert_int_equal(note(&p, &honest, 200, "receipt"), 0);
    yzi_views_close(p.views);
    yzi_entry_digest(yzi_bytes_str(BROKER), &digest);
    assert_int_equal(yzi_hex_encode(yzi_bytes_digest(&digest), hex, sizeof hex), 0);
    snprintf(file, sizeof file, "logs/%s.view", hex);
    yz_world_write_file(p.dir, file,
                        yzi_bytes_str("yizhan-log-view v1\nbroker CN/@b1\nlatest 1 2 3\n"));
    assert_int_equal(yzi_views_open(p.dir, &p.views, &err), 0);
    assert_int_equal(yzi_views_of(p.views, broker, &view, &err), YZ_ECORRUPT);
    assert_non_null(strstr(err.text, ".view:3:"));
    gone(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_note__the_first_is_believed_and_the_next_proved),
        TEST(test_wants__one_at_a_time_and_one_a_second),
        TEST(test_restart__remembers),
        TEST(test_fork__two_roots_of_one_size_are_seen_at_once),
        TEST(test_fork__is_seen_when_parties_meet),
        TEST(test_fork__is_kept_across_restarts_with_both_checkpoints),
        TEST(test_fork__another_process_hears_of_it),
        TEST(test_fork__between_two_processes_is_seen),
        TEST(test_proved__what_is_no_proof_convicts),
        TEST(test_refused__is_asked_ever_more_slowly_and_told_once),
        TEST(test_candidates__of_others_outlast_our_own),
        TEST(test_next_log__is_followed_when_it_cites_ours),
        TEST(test_next_log__that_cites_less_waits_until_it_cites_more),
        TEST(test_next_log__that_cites_another_history_convicts),
        TEST(test_next_log__citing_what_nobody_signed_is_not_followed),
        TEST(test_next_log__over_one_we_never_saw),
        TEST(test_file__that_is_damaged_is_named_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
