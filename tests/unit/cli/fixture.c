/* SPDX-License-Identifier: Apache-2.0
 *
 * See fixture.h. Standard output and error go to files while a command runs.
 */
#include "tests/unit/cli/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

#define SAID_MAX (4u * 1024u * 1024u)
#define WORDS_MAX 64u

static char out_text[SAID_MAX], err_text[SAID_MAX];

int yz_cli_setup(void **state)
{
    struct cli_test *t = calloc(1, sizeof *t);
    const char *tmp = getenv("TMPDIR");
    if (!t || yzi_sodium_init() < 0) {
        return -1;
    }
    yzi_secret_require_lock(false);
    snprintf(t->dir, sizeof t->dir, "%s/yz-cli.XXXXXX", tmp ? tmp : "/tmp");
    t->before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->before < 0 || !mkdtemp(t->dir) || chdir(t->dir) != 0) {
        return -1;
    }
    *state = t;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int yz_cli_teardown(void **state)
{
    struct cli_test *t = *state;
    int rc = fchdir(t->before);
    close(t->before);
    rc |= nftw(t->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(t);
    return rc;
}

/* -- running -- */

static int redirect(int fd, const char *path)
{
    int saved = dup(fd), to = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    YZ_ASSERT(saved >= 0 && to >= 0 && dup2(to, fd) == fd);
    close(to);
    return saved;
}

static void restore(int fd, int saved, const char *path, char *text)
{
    YZ_ASSERT(dup2(saved, fd) == fd);
    close(saved);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    YZ_ASSERT(from >= 0);
    ssize_t n = read(from, text, SAID_MAX - 1);
    YZ_ASSERT(n >= 0);
    text[n] = '\0';
    close(from);
    YZ_ASSERT(unlink(path) == 0);
}

int yz_cli(const char *const *words)
{
    char program[] = "yz", *argv[WORDS_MAX] = {program};
    int argc = 1;
    for (; words[argc - 1]; argc++) {
        YZ_ASSERT(argc < (int)WORDS_MAX - 1);
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    fflush(stdout);
    fflush(stderr);
    int out = redirect(STDOUT_FILENO, ".out"), err = redirect(STDERR_FILENO, ".err");
    int code = yzi_cli_run(argc, argv, false);
    fflush(stdout);
    fflush(stderr);
    restore(STDOUT_FILENO, out, ".out", out_text);
    restore(STDERR_FILENO, err, ".err", err_text);
    return code;
}

const char *yz_cli_out(void)
{
    return out_text;
}

const char *yz_cli_err(void)
{
    return err_text;
}

void yz_cli_expect(int code, const char *const *words)
{
    int got = yz_cli(words);
    if (got != code) {
        fail_msg("`yz %s %s`: exit code %d, not %d\n%s%s", words[0], words[1], got, code, out_text,
                 err_text);
    }
    if (code != EXIT_OK && code != EXIT_FAILED) {
        assert_true(err_text[0] != '\0');
    }
}

void yz_cli_said(const char *text)
{
    if (!strstr(err_text, text)) {
        fail_msg("'%s' is not in what was said: %s", text, err_text);
    }
}

/* -- folders -- */

#define FILES_MAX 1024u

static char *files[FILES_MAX]; /* nftw has no place for a context */
static size_t files_n;

static int note_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    if (strcmp(path + at->base, "lock") != 0) {
        YZ_ASSERT(files_n < FILES_MAX);
        files[files_n] = strdup(path);
        YZ_ASSERT(files[files_n++]);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_file(crypto_hash_sha256_state *sum, const char *path)
{
    struct stat st;
    uint8_t mode[4];
    assert_int_equal(lstat(path, &st), 0);
    yzi_store_u32(mode, (uint32_t)st.st_mode);
    crypto_hash_sha256_update(sum, (const uint8_t *)path, strlen(path) + 1);
    crypto_hash_sha256_update(sum, mode, sizeof mode);
    if (S_ISREG(st.st_mode)) {
        yz_buf content;
        yz_cli_read(path, &content);
        crypto_hash_sha256_update(sum, content.p, content.n);
        yzi_buf_fini(&content);
    }
}

void yz_cli_snapshot(const char *dir, yz_digest *out)
{
    crypto_hash_sha256_state sum;
    crypto_hash_sha256_init(&sum);
    files_n = 0;
    if (yzi_file_exists(dir)) {
        assert_int_equal(nftw(dir, note_file, 16, FTW_PHYS), 0);
    }
    qsort(files, files_n, sizeof files[0], by_name); /* readdir's order may change */
    for (size_t i = 0; i < files_n; i++) {
        add_file(&sum, files[i]);
        free(files[i]);
    }
    crypto_hash_sha256_final(&sum, out->b);
}

void yz_cli_refuses(const char *dir, int code, const char *const *words)
{
    yz_digest before, after;
    yz_cli_snapshot(dir, &before);
    yz_cli_expect(code, words);
    yz_cli_snapshot(dir, &after);
    if (!yzi_digest_eq(&before, &after)) {
        fail_msg("`yz %s %s` failed as it should, but changed %s", words[0], words[1], dir);
    }
}

void yz_cli_read(const char *path, yz_buf *out)
{
    yz_error err = {0};
    yzi_buf_init(out, SAID_MAX);
    if (yzi_file_read(path, out, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

void yz_cli_write(const char *path, yz_bytes content)
{
    yz_error err = {0};
    if (yzi_file_write(path, content, 0644, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

void yz_cli_copy(const char *from, const char *to)
{
    yz_buf content;
    yz_cli_read(from, &content);
    yz_cli_write(to, yzi_bytes_buf(&content));
    yzi_buf_fini(&content);
}

void yz_cli_record(const char *path, yz_buf *out)
{
    yz_buf text;
    yz_cli_read(path, &text);
    yzi_buf_init(out, YZ_RECORD_MAX);
    assert_int_equal(yzi_record_dearmour(yzi_bytes_buf(&text), out), 0);
    yzi_buf_fini(&text);
}

/* -- an instance -- */

void yz_cli_world(void)
{
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN");
    EXPECT(0, "broker", "request", "--home", "b1", "--node", "CN/@b1", "--endpoint",
           "tcp://127.0.0.1:7300");
    EXPECT(0, "broker", "admit", "--home", "op", "b1/request.yzr");
    EXPECT(0, "member", "init", "--home", "mca", "--member", "CN/GOV/MCA");
    EXPECT(0, "subsystem", "add", "--home", "mca", "civil", "--name", "婚姻登记");
    EXPECT(0, "node", "request", "--home", "a1", "--node", "CN/GOV/MCA/@a1", "--role", "adapter",
           "--subsystem", "civil");
    EXPECT(0, "node", "admit", "--home", "mca", "a1/request.yzr");
    EXPECT(0, "member", "init", "--home", "hb", "--member", "CN/GOV/HB");
    EXPECT(0, "subsystem", "add", "--home", "hb", "window");
    EXPECT(0, "node", "request", "--home", "w1", "--node", "CN/GOV/HB/@w1", "--role", "client",
           "--subsystem", "window");
    EXPECT(0, "node", "admit", "--home", "hb", "w1/request.yzr", "--days", "30");
    EXPECT(0, "member", "add", "--home", "op", "mca/member-set.yzr", "--name", "民政部");
    EXPECT(0, "member", "add", "--home", "op", "hb/member-set.yzr");
}

void yz_cli_service(void)
{
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "areas/v1", "--definition", DEFINITION, "--adapter", "CN/GOV/MCA/@a1");
}
