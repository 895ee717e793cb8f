/* SPDX-License-Identifier: Apache-2.0
 *
 * base/file: limits, durability's visible half, privacy, paths, locks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/alloc_fail.h"

static char root[256]; /* a fresh folder for each test */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/yz-file.XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* root/name, valid until the eighth call from now. */
static const char *at(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void put_file(const char *name, yz_bytes content, mode_t mode)
{
    FILE *f = fopen(at(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content.p, 1, content.n, f), content.n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void assert_content(const char *name, const char *want)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 1 << 20);
    assert_int_equal(yzi_file_read(at(name), &b, NULL), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), want));
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(lstat(at(name), &st), 0);
    return st.st_mode & 07777;
}

/* Files in the test's folder, "." and ".." not counted. */
static int entries(void)
{
    DIR *d = opendir(root);
    assert_non_null(d);
    int n = -2;
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n;
}

/* -- reading -- */

static void test_read__appends_the_whole_file_up_to_the_limit(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4095, 4096, 4097, 100000};
    static uint8_t content[100000];
    for (size_t i = 0; i < sizeof content; i++) {
        content[i] = (uint8_t)(i * 31 >> 3);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        put_file("f", yzi_bytes(content, n), 0644);
        for (size_t spare = 0; spare < 3; spare++) {
            YZ_AUTO(yzi_buf_fini) yz_buf b;
            yzi_buf_init(&b, n + 4 + spare);
            assert_int_equal(yzi_buf_put_str(&b, "kept"), 0);
            assert_int_equal(yzi_file_read(at("f"), &b, NULL), 0);
            assert_int_equal(b.n, n + 4);
            assert_memory_equal(b.p, "kept", 4);
            assert_memory_equal(b.p + 4, content, n);
        }
        if (n) {
            YZ_AUTO(yzi_buf_fini) yz_buf b;
            yz_error err = {0};
            yzi_buf_init(&b, n - 1);
            assert_int_equal(yzi_file_read(at("f"), &b, &err), YZ_ETOOBIG);
            assert_int_equal(err.code, YZ_ETOOBIG);
            assert_non_null(strstr(err.text, at("f")));
            assert_int_equal(b.n, 0);
        }
    }
}

static void test_read__knows_files_whose_size_is_not_known(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 1 << 20);
    assert_int_equal(yzi_file_read("/proc/self/status", &b, NULL), 0); /* its st_size is 0 */
    assert_true(b.n > 100);
    size_t n = b.n;
    yzi_buf_fini(&b);
    yzi_buf_init(&b, n / 2);
    assert_int_equal(yzi_file_read("/proc/self/status", &b, NULL), YZ_ETOOBIG);
    assert_int_equal(b.n, 0);
}

static void test_read__says_what_is_wrong(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yz_error err = {0};
    yzi_buf_init(&b, 100);
    assert_int_equal(yzi_file_read(at("none"), &b, &err), YZ_ENOTFOUND);
    assert_non_null(strstr(err.text, at("none")));
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(yzi_file_read(root, &b, &err), YZ_EIO);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(yzi_file_read(at("fifo"), &b, &err), YZ_EIO); /* and does not wait */
    assert_int_equal(yzi_file_read("/dev/null", &b, NULL), YZ_EIO);
    assert_int_equal(b.n, 0);
}

static void
test_fd__is_read_and_written_from_its_beginning_unless_it_could_make_us_wait(void **state)
{
    (void)state;
    put_file("f", yzi_bytes_str("twelve bytes"), 0644);
    int fd = open(at("f"), O_RDWR | O_CLOEXEC), ends[2];
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 12);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
    assert_int_equal(yzi_file_read_fd(fd, "f", &b, NULL), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "twelve bytes"));
    assert_int_equal(yzi_file_read_fd(fd, "f", &b, NULL), YZ_ETOOBIG);
    assert_int_equal(yzi_file_write_fd(fd, "f", yzi_bytes_str("TWELVE"), NULL), 0);
    yzi_buf_clear(&b);
    assert_int_equal(yzi_file_read_fd(fd, "f", &b, NULL), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "TWELVE bytes"));
    close(fd);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(yzi_file_read_fd(ends[0], "pipe", &b, NULL), YZ_EIO);
    assert_int_equal(yzi_file_write_fd(ends[1], "pipe", yzi_bytes_str("x"), NULL), YZ_EIO);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(yzi_file_read_fd(-1, "none", &b, NULL), YZ_EIO);
}

static void test_private__refuses_what_others_may_touch(void **state)
{
    (void)state;
    for (unsigned bit = 1; bit <= 0400; bit <<= 1) {
        put_file("key", yzi_bytes_str("secret"), 0600 | bit);
        YZ_AUTO(yzi_buf_wipe) yz_buf b;
        yz_error err = {0};
        yzi_buf_init(&b, 100);
        int rc = yzi_file_read_private(at("key"), &b, &err);
        if (bit <= 040) {
            assert_int_equal(rc, YZ_EPERM);
            assert_non_null(strstr(err.text, "chmod 600"));
            assert_non_null(strstr(err.text, at("key")));
            assert_int_equal(b.n, 0);
        } else {
            assert_int_equal(rc, 0);
            assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&b), "secret"));
        }
    }
    YZ_AUTO(yzi_buf_wipe) yz_buf b;
    yzi_buf_init(&b, 100);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(yzi_file_read_private(at("fifo"), &b, NULL), YZ_EPERM);
    assert_int_equal(yzi_file_read_private(at("none"), &b, NULL), YZ_ENOTFOUND);
}

static void test_private__refuses_a_folder_others_may_change(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        bool fine;
    } table[] = {{0700, true}, {0755, true}, {0775, false}, {0702, false}, {01777, true}};
    assert_int_equal(mkdir(at("keys"), 0700), 0);
    put_file("keys/key", yzi_bytes_str("secret"), 0600);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        YZ_AUTO(yzi_buf_wipe) yz_buf b;
        yz_error err = {0};
        yzi_buf_init(&b, 100);
        assert_int_equal(chmod(at("keys"), table[i].mode), 0);
        int rc = yzi_file_read_private(at("keys/key"), &b, &err);
        assert_int_equal(rc, table[i].fine ? YZ_OK : YZ_EPERM);
        if (!table[i].fine) {
            assert_non_null(strstr(err.text, "chmod 700 "));
            assert_int_equal(b.n, 0);
        }
    }
}

/* Needs root to give a file away; without, a file of root's stands in. */
static void test_private__refuses_a_file_of_another_owner(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_wipe) yz_buf b;
    yz_error err = {0};
    yzi_buf_init(&b, 1 << 20);
    const char *path = "/etc/passwd";
    if (geteuid() == 0) {
        put_file("key", yzi_bytes_str("secret"), 0600);
        assert_int_equal(chown(at("key"), 65534, 65534), 0);
        path = at("key");
    }
    assert_int_equal(yzi_file_read_private(path, &b, &err), YZ_EPERM);
    assert_non_null(strstr(err.text, "belongs to uid"));
    assert_int_equal(b.n, 0);
}

/* Whoever owns the folder may rename in it whatever its mode is, and change that. Needs root to
 * give a folder away. */
static void test_private__refuses_a_folder_of_another_owner(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    static const mode_t modes[] = {0700, 0755, 01777};
    assert_int_equal(mkdir(at("theirs"), 0700), 0);
    put_file("theirs/key", yzi_bytes_str("secret"), 0600);
    assert_int_equal(chown(at("theirs"), 65534, 65534), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        YZ_AUTO(yzi_buf_wipe) yz_buf b;
        yz_error err = {0};
        yzi_buf_init(&b, 100);
        assert_int_equal(chmod(at("theirs"), modes[i]), 0);
        assert_int_equal(yzi_file_read_private(at("theirs/key"), &b, &err), YZ_EPERM);
        assert_non_null(strstr(err.text, "belongs to uid 65534"));
        assert_int_equal(b.n, 0);
    }
}

/* -- writing -- */

static void test_write__replaces_the_whole_and_leaves_nothing_beside(void **state)
{
    (void)state;
    assert_int_equal(yzi_file_write(at("f"), yzi_bytes_str("a long first content"), 0644, NULL), 0);
    assert_content("f", "a long first content");
    assert_int_equal(yzi_file_write_cached(at("f"), yzi_bytes_str("cached"), 0600, NULL), 0);
    assert_content("f", "cached");
    assert_int_equal(yzi_file_write(at("f"), yzi_bytes_str("short"), 0600, NULL), 0);
    assert_content("f", "short");
    assert_int_equal(mode_of("f"), 0600);
    assert_int_equal(yzi_file_write(at("f"), (yz_bytes){0}, 0600, NULL), 0);
    assert_content("f", "");
    assert_int_equal(entries(), 1);
}

static void test_write__gives_the_mode_whatever_the_umask(void **state)
{
    (void)state;
    mode_t before = umask(077);
    assert_int_equal(yzi_file_write(at("public"), yzi_bytes_str("x"), 0644, NULL), 0);
    umask(0);
    assert_int_equal(yzi_file_write(at("private"), yzi_bytes_str("x"), 0600, NULL), 0);
    umask(before);
    assert_int_equal(mode_of("public"), 0644);
    assert_int_equal(mode_of("private"), 0600);
}

static void test_write__replaces_a_link_and_not_what_it_points_to(void **state)
{
    (void)state;
    put_file("target", yzi_bytes_str("untouched"), 0644);
    assert_int_equal(symlink(at("target"), at("link")), 0);
    assert_int_equal(yzi_file_write(at("link"), yzi_bytes_str("new"), 0644, NULL), 0);
    assert_content("target", "untouched");
    assert_content("link", "new");
}

static void test_write__failing_leaves_the_old_file_and_nothing_beside(void **state)
{
    (void)state;
    static uint8_t large[100000];
    yz_error err = {0};
    put_file("f", yzi_bytes_str("old"), 0644);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1000; /* the disk fails us half-way */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = yzi_file_write(at("f"), yzi_bytes(large, sizeof large), 0644, &err);
    int cached = yzi_file_write_cached(at("f"), yzi_bytes(large, sizeof large), 0644, NULL);
    int created = yzi_file_create(at("g"), yzi_bytes(large, sizeof large), 0644, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, YZ_ETOOBIG);
    assert_int_equal(cached, YZ_ETOOBIG);
    assert_int_equal(created, YZ_ETOOBIG);
    assert_non_null(strstr(err.text, "File too large"));
    assert_content("f", "old");
    assert_int_equal(entries(), 1);

    assert_int_equal(yzi_file_write(at("no/such/f"), yzi_bytes_str("x"), 0644, &err), YZ_ENOTFOUND);
    assert_true(yzi_file_write(root, yzi_bytes_str("x"), 0644, &err) < 0); /* a folder */
    assert_int_equal(entries(), 1);
}

static void test_create__refuses_what_is_there(void **state)
{
    (void)state;
    yz_error err = {0};
    assert_int_equal(yzi_file_create(at("f"), yzi_bytes_str("first"), 0600, &err), 0);
    assert_int_equal(mode_of("f"), 0600);
    assert_int_equal(yzi_file_create(at("f"), yzi_bytes_str("second"), 0600, &err), YZ_EEXIST);
    assert_non_null(strstr(err.text, at("f")));
    assert_content("f", "first");
    /* Found only by the last step: a link to nothing does not "exist". */
    assert_int_equal(symlink(at("nowhere"), at("dangling")), 0);
    assert_false(yzi_file_exists(at("dangling")));
    assert_int_equal(yzi_file_create(at("dangling"), yzi_bytes_str("x"), 0600, &err), YZ_EEXIST);
    assert_false(yzi_file_exists(at("nowhere")));
    assert_int_equal(entries(), 2);
}

/* -- folders and paths -- */

static void test_dir__is_made_with_its_parents(void **state)
{
    (void)state;
    yz_error err = {0};
    assert_int_equal(yzi_dir_make(at("a/b//c/"), 0700, &err), 0);
    assert_int_equal(mode_of("a"), 0700);
    assert_int_equal(mode_of("a/b/c"), 0700);
    assert_int_equal(yzi_dir_make(at("a/b"), 0700, &err), 0);
    assert_int_equal(yzi_dir_make("/", 0700, &err), 0);
    assert_int_equal(yzi_dir_make(".", 0700, &err), 0);
    put_file("file", yzi_bytes_str("x"), 0644);
    assert_int_equal(yzi_dir_make(at("file"), 0700, &err), YZ_EEXIST);
    assert_non_null(strstr(err.text, at("file")));
    assert_int_equal(yzi_dir_make(at("file/below"), 0700, &err), YZ_EEXIST);
    assert_int_equal(yzi_dir_make("", 0700, &err), YZ_EINVAL);
    assert_true(yzi_file_exists(at("a/b/c")));
    assert_false(yzi_file_exists(at("a/b/d")));
}

static void test_path__joins_and_splits(void **state)
{
    (void)state;
    static const struct {
        const char *dir, *name, *joined;
    } joins[] = {{"a", "b", "a/b"},         {"a/", "b", "a/b"}, {"/", "b", "/b"},
                 {"a", "/b", "/b"},         {"", "b", "b"},     {"a", "", "a/"},
                 {"a/b", "c/d", "a/b/c/d"}, {"", "", ""}};
    for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++) {
        YZ_AUTO(yzi_free_ptr) char *path = NULL;
        assert_int_equal(yzi_path_join(joins[i].dir, joins[i].name, &path), 0);
        assert_string_equal(path, joins[i].joined);
    }
    static const char *const dirs[][2] = {
        {"a/b", "a"}, {"a", "."},    {"/a", "/"},  {"/", "/"},     {"a/b/", "a"}, {"", "."},
        {"//a", "/"}, {"a//b", "a"}, {"./a", "."}, {"../a", ".."}, {"a/", "."},   {"///", "/"}};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        YZ_AUTO(yzi_free_ptr) char *dir = NULL;
        assert_int_equal(yzi_path_dir(dirs[i][0], &dir), 0);
        assert_string_equal(dir, dirs[i][1]);
    }
}

/* -- locks -- */

static void test_lock__is_one_process_s(void **state)
{
    (void)state;
    yz_error err = {0};
    int fd = -1, other = -1;
    assert_int_equal(yzi_file_lock(at("lock"), &fd, &err), 0);
    assert_int_equal(mode_of("lock"), 0600);
    pid_t pid = fork();
    if (pid == 0) {
        int child_fd;
        _exit(-yzi_file_lock(at("lock"), &child_fd, NULL));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), -YZ_EBUSY);
    assert_int_equal(yzi_file_lock(at("lock"), &other, &err), YZ_EBUSY);
    assert_int_equal(other, -1);
    char want[64];
    snprintf(want, sizeof want, "in use by process %d", (int)getpid());
    assert_non_null(strstr(err.text, want));
    close(fd);
    assert_int_equal(yzi_file_lock(at("lock"), &fd, &err), 0);
    close(fd);
    assert_int_equal(yzi_file_lock(at("no/lock"), &fd, &err), YZ_ENOTFOUND);
}

static void test_lock__of_a_process_that_died_is_free(void **state)
{
    (void)state;
    int fd;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(-yzi_file_lock(at("lock"), &fd, NULL)); /* with the lock held */
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(yzi_file_lock(at("lock"), &fd, NULL), 0);
    close(fd);
}

static int use(void *ctx)
{
    (void)ctx;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 100);
    YZ_TRY(yzi_dir_make(at("a/b"), 0700, NULL));
    YZ_TRY(yzi_file_write(at("a/f"), yzi_bytes_str("x"), 0600, NULL));
    unlink(at("a/g"));
    YZ_TRY(yzi_file_create(at("a/g"), yzi_bytes_str("x"), 0600, NULL));
    YZ_TRY(yzi_file_read(at("a/f"), &b, NULL));
    yzi_buf_clear(&b);
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    return yzi_path_join("a", "b", &path);
}

static void test_file__survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(use, NULL) >= 7); /* a run goes on from what the last made */
    yz_error err = {0};
    yz_alloc_fail_start(1);
    int rc = yzi_file_write(at("a/f"), yzi_bytes_str("x"), 0600, &err);
    yz_alloc_fail_stop();
    assert_int_equal(rc, YZ_ENOMEM);
    assert_int_equal(err.code, YZ_ENOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read__appends_the_whole_file_up_to_the_limit),
        TEST(test_read__knows_files_whose_size_is_not_known),
        TEST(test_read__says_what_is_wrong),
        TEST(test_fd__is_read_and_written_from_its_beginning_unless_it_could_make_us_wait),
        TEST(test_private__refuses_what_others_may_touch),
        TEST(test_private__refuses_a_folder_others_may_change),
        TEST(test_private__refuses_a_file_of_another_owner),
        TEST(test_private__refuses_a_folder_of_another_owner),
        TEST(test_write__replaces_the_whole_and_leaves_nothing_beside),
        TEST(test_write__gives_the_mode_whatever_the_umask),
        TEST(test_write__replaces_a_link_and_not_what_it_points_to),
        TEST(test_write__failing_leaves_the_old_file_and_nothing_beside),
        TEST(test_create__refuses_what_is_there),
        TEST(test_dir__is_made_with_its_parents),
        TEST(test_path__joins_and_splits),
        TEST(test_lock__is_one_process_s),
        TEST(test_lock__of_a_process_that_died_is_free),
        TEST(test_file__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
