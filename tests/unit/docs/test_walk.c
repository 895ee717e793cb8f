/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/evidence.md, "By hand": the commands are taken from the document as they stand there and
 * run, on a receipt that is right, and on receipts that are not. Needs bash, xxd and openssl;
 * without them it is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proof/tlogproof.h"
#include "tests/support/published_log.h"
#include "tests/support/world.h"

#define SIZE 1000u

static char *dir, *script;
static struct published_log published;

static void put(const char *name, yz_bytes content)
{
    yz_world_write_file(dir, name, content);
}

/* The lines of all ```sh blocks, into a file. */
static void extract(void)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 1 << 20}, out = {.max = 1 << 20};
    char path[512];
    bool in = false;
    unsigned blocks = 0;
    snprintf(path, sizeof path, "%s/evidence.md", YZ_DOCS_DIR);
    assert_int_equal(yzi_file_read(path, &text, NULL), 0);
    assert_int_equal(yzi_buf_put_u8(&text, 0), 0);
    for (char *rest = NULL, *line = strtok_r((char *)text.p, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        bool fence = strncmp(line, "```", 3) == 0;
        if (in && !fence) {
            assert_int_equal(yzi_buf_printf(&out, "%s\n", line), 0);
        }
        blocks += fence && strcmp(line, "```sh") == 0;
        in = fence ? strcmp(line, "```sh") == 0 : in;
    }
    assert_int_equal(blocks, 9); /* the steps */
    put("walk.sh", yzi_bytes_buf(&out));
}

static void put_receipt(uint64_t index)
{
    YZ_AUTO(yzi_buf_fini) yz_buf note = {.max = NOTE_MAX}, proof = {.max = TLOGPROOF_MAX};
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    struct merkle_path up;
    uint8_t entry[YZ_ENTRY_BYTES];
    char body[64];
    assert_int_equal(yzi_path_join(published.dir, "checkpoint", &path), 0);
    assert_int_equal(yzi_file_read(path, &note, NULL), 0);
    yzi_entry_write(&published.entries[index], entry);
    assert_int_equal(yzi_nodes_path(index, SIZE, yz_grown_node, &published.tree, &up), 0);
    assert_int_equal(yzi_tlogproof_write(yzi_bytes(entry, sizeof entry), index, &up,
                                         yzi_bytes_buf(&note), &proof),
                     0);
    put("receipt.tlog-proof", yzi_bytes_buf(&proof));
    snprintf(body, sizeof body, "body %llu of 0", (unsigned long long)index);
    put("body", yzi_bytes_str(body));
}

/* Everything as it should be, in a fresh folder. */
static int prepare(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf key = {.max = 4096};
    char *log;
    dir = yz_world_tmpdir();
    assert_int_equal(yzi_path_join(dir, "log", &log), 0);
    assert_int_equal(yzi_path_join(dir, "walk.sh", &script), 0);
    yz_published_init(&published, log, SIZE);
    yz_published_grow(&published, SIZE);
    extract();
    assert_int_equal(yzi_vkey_write(&published.vkey, &key), 0);
    assert_int_equal(yzi_buf_put_str(&key, "\n"), 0);
    put("vkey", yzi_bytes_buf(&key));
    put_receipt(700);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    free((char *)(uintptr_t)published.dir);
    yz_published_fini(&published);
    yz_world_rmdir(dir);
    free(dir);
    free(script);
    return 0;
}

/* What the walk ends with; its last line of output in `said`. */
static int walk(char said[256])
{
    char command[1024], line[256];
    snprintf(command, sizeof command, "cd '%s' && bash walk.sh 2>/dev/null", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    said[0] = '\0';
    while (fgets(line, sizeof line, f)) {
        snprintf(said, 256, "%s", line);
    }
    int status = pclose(f);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void holds(const char *last)
{
    char said[256];
    int rc = walk(said);
    assert_string_equal(said, last);
    assert_int_equal(rc, 0);
}

static void fails(void)
{
    char said[256];
    assert_int_not_equal(walk(said), 0);
}

static void change(const char *name, const char *from, const char *to)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    assert_int_equal(yzi_path_join(dir, name, &path), 0);
    assert_int_equal(yzi_file_read(path, &b, NULL), 0);
    char *at = memmem(b.p, b.n, from, strlen(from));
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    put(name, yzi_bytes_buf(&b));
}

/* One character of base64 behind this word becomes another. */
static void change_behind(const char *name, const char *word, size_t skip)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    assert_int_equal(yzi_path_join(dir, name, &path), 0);
    assert_int_equal(yzi_file_read(path, &b, NULL), 0);
    char *at = memmem(b.p, b.n, word, strlen(word));
    assert_non_null(at);
    at += strlen(word) + skip;
    *at = *at == 'A' ? 'B' : 'A';
    put(name, yzi_bytes_buf(&b));
}

static void test_walk__verifies_a_receipt(void **state)
{
    (void)state;
    static const uint64_t indexes[] = {0, 255, 256, 700, 767, 768, 998, 999};
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        put_receipt(indexes[i]);
        holds("the published log holds the entry\n");
    }
}

static void test_walk__needs_neither_body_nor_log(void **state)
{
    (void)state;
    YZ_AUTO(yzi_free_ptr) char *body = NULL;
    assert_int_equal(yzi_path_join(dir, "body", &body), 0);
    assert_int_equal(unlink(body), 0);
    yz_world_rmdir(published.dir);
    holds("the log yizhan/CN/@b1/1732309509123 holds the entry\n");
}

static void test_walk__refuses_what_was_changed(void **state)
{
    (void)state;
    change_behind("receipt.tlog-proof", "extra ", 30); /* the entry */
    fails();
    put_receipt(700);
    change("receipt.tlog-proof", "index 700\n", "index 701\n");
    fails();
    put_receipt(700);
    change_behind("receipt.tlog-proof", "index 700\n", 10); /* the path */
    fails();
    put_receipt(700);
    change("receipt.tlog-proof", "\n1000\n", "\n1001\n"); /* the checkpoint */
    fails();
    put_receipt(700);
    change_behind("receipt.tlog-proof", "\n1000\n", 10); /* its root */
    fails();
    put_receipt(700);
    change_behind("receipt.tlog-proof", "— yizhan/CN/@b1/1732309509123 ", 20); /* signature */
    fails();
    put_receipt(700);
    put("body", yzi_bytes_str("body 701 of 0"));
    fails();
    put_receipt(700);
    holds("the published log holds the entry\n");
}

static void test_walk__refuses_another_key_and_another_log(void **state)
{
    (void)state;
    change_behind("vkey", "+", 20); /* its id does not fit any more */
    fails();
    YZ_AUTO(yzi_buf_fini) yz_buf key = {.max = 4096};
    struct key_pair other = yz_numbered_key(KEY_LOG, 2);
    struct note_key k;
    assert_int_equal(yzi_note_key(published.vkey.name, NOTE_ED25519, other.public_key, &k), 0);
    assert_int_equal(yzi_vkey_write(&k, &key), 0);
    put("vkey", yzi_bytes_buf(&key));
    fails();
    yzi_buf_clear(&key);
    assert_int_equal(
        yzi_note_key(yzi_bytes_str("yizhan/CN/@b2/7"), NOTE_ED25519, published.key.public_key, &k),
        0);
    assert_int_equal(yzi_vkey_write(&k, &key), 0);
    put("vkey", yzi_bytes_buf(&key));
    fails();
    yzi_key_pair_fini(&other);
}

static void test_walk__refuses_a_published_log_without_it(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    assert_int_equal(yzi_path_join(published.dir, "tile/entries/002", &path), 0);
    assert_int_equal(yzi_file_read(path, &b, NULL), 0);
    b.p[46 * (700 % 256) + 20] ^= 1;
    assert_int_equal(yzi_file_write(path, yzi_bytes_buf(&b), 0644, NULL), 0);
    fails();
}

static bool is_there(const char *program)
{
    char command[100];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
    return system(command) == 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, clean)

int main(void)
{
    if (!is_there("bash") || !is_there("xxd") || !is_there("openssl")) {
        fprintf(stderr, "bash, xxd or openssl is not there\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        TEST(test_walk__verifies_a_receipt),
        TEST(test_walk__needs_neither_body_nor_log),
        TEST(test_walk__refuses_what_was_changed),
        TEST(test_walk__refuses_another_key_and_another_log),
        TEST(test_walk__refuses_a_published_log_without_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
