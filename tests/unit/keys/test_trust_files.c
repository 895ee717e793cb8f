/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/trust_files.c: a home that survives everything: being tampered with, another process, want
 * of memory, and a kill at every single write.
 */
#include "tests/unit/keys/trust_fixture.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "tests/support/alloc_fail.h"

/* -- a kill at the n-th rename (linked with --wrap=rename) -- */

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
static int kill_at; /* 1: before the first, 2: after it, 3: before the second ... */

int __wrap_rename(const char *from, const char *to)
{
    if (kill_at > 0 && --kill_at == 0) {
        _exit(9);
    }
    int rc = __real_rename(from, to);
    if (kill_at > 0 && --kill_at == 0) {
        _exit(9);
    }
    return rc;
}

/* -- tampering with the home -- */

/* Every file, every so many bytes. What opens must be what was there: no change of a byte may pass
 * unless it changes nothing. */
static void test_home__says_which_file_was_tampered_with(void **state)
{
    (void)state;
    static const char *const names[] = {"roots", "directory.bundle", "statements", "freshness",
                                        "memory"};
    open_home();
    assert_int_equal(put_bundle(), 0);
    yz_world_member(w, "CN/GOV/MCA")->set_version = 20;
    assert_int_equal(put_set(yz_world_member(w, "CN/GOV/MCA")), 0);
    assert_int_equal(put_freshness(WORLD_TIME), 0);
    close_home();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf file;
        read_state(names[i], &file);
        for (size_t at = 0; at < file.n; at += file.n / 40 + 1) {
            file.p[at] ^= 1;
            yz_world_write_file(state_dir, names[i], yzi_bytes_buf(&file));
            int rc = try_open();
            bool digit = strcmp(names[i], "memory") == 0 && rc == 0;
            if (digit) { /* the memory can be made to remember another time, or less */
                close_home();
            } else {
                assert_int_equal(rc, YZ_ECORRUPT);
                assert_true(strstr(last.text, names[i]) || strcmp(names[i], "memory") == 0);
            }
            file.p[at] ^= 1;
        }
        yz_world_write_file(state_dir, names[i], yzi_bytes(file.p, file.n / 2));
        assert_int_equal(try_open(), YZ_ECORRUPT);
        yz_world_write_file(state_dir, names[i], yzi_bytes_buf(&file));
    }
    open_home();
    assert_int_equal(version(), 1);
    assert_int_equal(set_version("CN/GOV/MCA"), 20);
}

/* -- two processes, one home -- */

static void test_home__is_shared_without_losing_what_another_has_seen(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    YZ_AUTO(yzi_buf_fini) yz_buf second;
    yz_world_buf(&second);
    open_home();
    assert_int_equal(put_bundle(), 0);
    struct trust *a = t;
    open_home(); /* b */
    struct trust *b = t;
    /* a set each */
    t = a;
    mca->set_version = 20;
    assert_int_equal(put_set(mca), 0);
    t = b;
    hb->set_version = 20;
    assert_int_equal(put_set(hb), 0);
    assert_int_equal(set_version("CN/GOV/MCA"), 20); /* and took over the other's */
    /* b runs ahead; a does not write less over it */
    yz_world_publish(w);
    assert_int_equal(yzi_buf_put(&second, yzi_bytes_buf(&w->bundle)), 0);
    yz_world_publish(w);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME + 10), 0);
    t = a;
    assert_int_equal(yzi_trust_put_bundle(t, yzi_bytes_buf(&second), &last), YZ_EROLLBACK);
    assert_int_equal(version(), 1);
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME + 9), YZ_EROLLBACK);
    yzi_trust_close(b);
    reopen();
    assert_int_equal(version(), 3);
    assert_int_equal(set_version("CN/GOV/MCA"), 20);
    assert_int_equal(set_version("CN/GOV/HB"), 20);
}

/* -- memory -- */

struct life {
    yz_buf first, set, freshness, second;
    char dir[256];
};

static int live(const struct life *l)
{
    const struct trust_options o = {.anchor = anchor_path, .dir = l->dir, .clock = &w->clock.clock};
    struct trust *lived = NULL;
    yz_error err;
    int rc = yzi_trust_open(&o, &lived, &err);
    rc = rc ? rc : yzi_trust_put_bundle(lived, yzi_bytes_buf(&l->first), &err);
    rc = rc ? rc : yzi_trust_put_freshness(lived, yzi_bytes_buf(&l->freshness), &err);
    rc = rc ? rc : yzi_trust_put_member_set(lived, yzi_bytes_buf(&l->set), &err);
    rc = rc ? rc : yzi_trust_put_bundle(lived, yzi_bytes_buf(&l->second), &err);
    yzi_trust_close(lived);
    return rc;
}

/* Every seventh allocation of a life fails; what is on disk then opens, and the life goes on. */
static void test_trust__running_out_of_memory_loses_nothing(void **state)
{
    (void)state;
    struct life l;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    yz_world_buf(&l.first);
    yz_world_buf(&l.second);
    yz_world_buf(&l.set);
    yz_world_buf(&l.freshness);
    assert_int_equal(yzi_buf_put(&l.first, yzi_bytes_buf(&w->bundle)), 0);
    yz_world_put_freshness(w, WORLD_TIME, &l.freshness);
    yz_world_publish(w);
    assert_int_equal(yzi_buf_put(&l.second, yzi_bytes_buf(&w->bundle)), 0);
    mca->set_version = 20;
    yz_world_put_set(mca, &l.set);
    size_t runs = 0;
    for (bool done = false; !done; runs++) {
        snprintf(l.dir, sizeof l.dir, "%s/life-%zu", home, runs);
        yz_alloc_fail_start(1 + 7 * runs);
        int rc = live(&l);
        struct alloc_fail_result r = yz_alloc_fail_stop();
        assert_int_equal(r.live, 0);
        /* only what comes after a version is in force may fail without a word */
        assert_true(r.failed ? rc == YZ_ENOMEM || rc == 0 : rc == 0);
        done = !r.failed;
        struct trust *again;
        const struct trust_options o = {
            .anchor = anchor_path, .dir = l.dir, .clock = &w->clock.clock};
        assert_int_equal(yzi_trust_open(&o, &again, &last), 0);
        const struct directory *d = yzi_trust_directory(again);
        if (rc == 0) {
            assert_non_null(d);
            assert_int_equal(yzi_directory_version(d), 2);
            assert_int_equal(yzi_directory_member_set(d, mca->member)->version, 20);
        }
        yzi_directory_unref(d);
        yzi_trust_close(again);
    }
    assert_true(runs > 20);
    yzi_buf_fini(&l.first);
    yzi_buf_fini(&l.second);
    yzi_buf_fini(&l.set);
    yzi_buf_fini(&l.freshness);
}

/* -- killed at any write -- */

/* Do it in a child that is killed at step `at`; whether the child got to the end. */
static bool killed_run(void (*act)(void), int at)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        kill_at = at;
        act();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
    return WEXITSTATUS(status) == 0;
}

static void act_adopt(void)
{
    if (try_open() < 0 || put_bundle() < 0) {
        _exit(1);
    }
}

#define HOME_FILES 5
static const char *const home_files[HOME_FILES] = {"roots", "directory.bundle", "statements",
                                                   "statements", "memory"};

static void save_home(yz_buf saved[HOME_FILES])
{
    for (size_t i = 0; i < HOME_FILES; i++) {
        read_state(home_files[i], &saved[i]);
    }
}

static void restore_home(const yz_buf saved[HOME_FILES])
{
    for (size_t i = 0; i < HOME_FILES; i++) {
        yz_world_write_file(state_dir, home_files[i], yzi_bytes_buf(&saved[i]));
    }
}

/* The new version has a newer root statement, includes one overlay, lacks another, and takes a
 * published set back: everything there is to write. */
static void test_crash__at_any_write_of_an_adoption_leaves_a_whole_home(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB"),
                        *tax = yz_world_add_member(w, "GOV/TAX");
    tax->set_version = 50;
    yz_world_publish(w);
    open_home();
    assert_int_equal(put_bundle(), 0);
    mca->set_version = 20;
    assert_int_equal(put_set(mca), 0);
    hb->set_version = 30;
    assert_int_equal(put_set(hb), 0);
    close_home();
    mca->set_version = 21;
    hb->set_version = 29;
    tax->set_version = 1;
    w->root_changed = true;
    yz_world_publish(w);
    yz_buf saved[HOME_FILES];
    save_home(saved);
    int steps = 0, old = 0;
    for (bool done = false; !done;) {
        restore_home(saved);
        done = killed_run(act_adopt, ++steps);
        open_home();
        assert_true(version() == 2 || version() == 3);
        old += version() == 2;
        assert_in_range(set_version("CN/GOV/MCA"), 20, 21);
        assert_int_equal(set_version("CN/GOV/HB"), 30);
        assert_int_equal(set_version("CN/GOV/TAX"), 50);
        int rc = put_bundle();
        assert_true(rc == 0 || rc == YZ_EEXIST);
        reopen();
        assert_int_equal(version(), 3);
        assert_int_equal(set_version("CN/GOV/MCA"), 21);
        assert_int_equal(set_version("CN/GOV/HB"), 30);
        assert_int_equal(set_version("CN/GOV/TAX"), 50);
        close_home();
    }
    assert_int_equal(steps, 2 * HOME_FILES + 1); /* before and after each: all five were written */
    assert_int_equal(old, 5);                    /* up to the moment the bundle has its name */
    for (size_t i = 0; i < HOME_FILES; i++) {
        yzi_buf_fini(&saved[i]);
    }
}

static uint64_t act_time;

static void act_freshness(void)
{
    if (try_open() < 0 || put_freshness(act_time) < 0) {
        _exit(1);
    }
}

static void test_crash__at_any_write_of_freshness_forgets_nothing_used(void **state)
{
    (void)state;
    open_home();
    assert_int_equal(put_bundle(), 0);
    assert_int_equal(put_freshness(WORLD_TIME + 1), 0);
    close_home();
    for (int steps = 1; steps <= 5; steps++) {
        act_time = WORLD_TIME + 10 * (uint64_t)steps;
        bool done = killed_run(act_freshness, steps);
        assert_int_equal(done, steps == 5);
        open_home();
        uint64_t before = steps == 1 ? WORLD_TIME + 1 : act_time - 10;
        assert_int_equal(put_freshness(before - 1), YZ_EROLLBACK);
        if (steps > 1) { /* the statement has its name: it may have been used */
            assert_int_equal(put_freshness(act_time - 1), YZ_EROLLBACK);
        }
        close_home();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_home__says_which_file_was_tampered_with),
        T(test_home__is_shared_without_losing_what_another_has_seen),
        T(test_trust__running_out_of_memory_loses_nothing),
        T(test_crash__at_any_write_of_an_adoption_leaves_a_whole_home),
        T(test_crash__at_any_write_of_freshness_forgets_nothing_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
