/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/grants.md, "Three examples": the commands are taken from the document as they stand there
 * and run in a sandbox, one block after the other in one shell, and print what the document says.
 * Ids, times and durations are any; a line "..." stands for any lines. Needs bash; without it it is
 * skipped.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/harness.h"

#define BLOCKS_MAX 32u
#define BLOCK_BYTES 16384u
#define SKIPPED 77
#define DOCUMENT_DAY "2026-11-23"

static struct sandbox sandbox;

struct block {
    char commands[BLOCK_BYTES], text[BLOCK_BYTES], output[BLOCK_BYTES];
};
static struct block blocks[BLOCKS_MAX];
static size_t blocks_n;

/* -- the document -- */

static void append(char to[BLOCK_BYTES], const char *line)
{
    size_t n = strlen(to);
    assert_true(n + strlen(line) + 1 < BLOCK_BYTES);
    strcpy(to + n, line);
}

/* ```sh begins a block, ```text behind it is what it prints. */
static void read_document(void)
{
    char line[4096];
    char *into = NULL;
    FILE *f = fopen(YZ_DOCS_DIR "/grants.md", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (into) {
            if (strcmp(line, "```\n") == 0) {
                into = NULL;
            } else {
                append(into, line);
            }
        } else if (strcmp(line, "```sh\n") == 0) {
            assert_true(blocks_n < BLOCKS_MAX);
            into = blocks[blocks_n++].commands;
        } else if (strcmp(line, "```text\n") == 0) {
            assert_true(blocks_n > 0);
            into = blocks[blocks_n - 1].text;
        }
    }
    fclose(f);
}

/* -- running -- */

static void run(void)
{
    char script[512], command[1600], line[4096];
    struct block *b = NULL;
    FILE *f;
    snprintf(script, sizeof script, "%s/walk.sh", sandbox.root);
    f = fopen(script, "w");
    assert_non_null(f);
    fprintf(f, "set -eu -o pipefail\ncd '%s'\nPATH='%s':$PATH\n", sandbox.dir, YZ_BIN_DIR);
    for (size_t i = 0; i < blocks_n; i++) {
        fprintf(f, "echo '@@ block'\n%s", blocks[i].commands);
    }
    fclose(f);
    snprintf(command, sizeof command, "bash '%s' 2>&1", script);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    for (size_t i = 0; fgets(line, sizeof line, p);) {
        if (strcmp(line, "@@ block\n") == 0) {
            assert_true(i < blocks_n);
            b = &blocks[i++];
        } else if (b) {
            append(b->output, line);
        }
    }
    int status = pclose(p);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the walk ended with %d, after:\n%s", status, b ? b->output : "nothing");
    }
}

/* -- comparing -- */

/* Whether `at` has the form: x a hexadecimal digit, 9 a decimal one. */
static bool has_form(const char *at, const char *form)
{
    for (; *form; at++, form++) {
        bool same = *form == 'x'   ? isxdigit((unsigned char)*at) != 0
                    : *form == '9' ? isdigit((unsigned char)*at) != 0
                                   : *at == *form;
        if (!same) {
            return false;
        }
    }
    return true;
}

/* Ids become zeros, the day of `today` that of the document, times of a day midnight, durations
 * nothing. */
static void normalise(char *text, const char *today)
{
    static const char *const forms[] = {"g-xxxxxxxx", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                                        "T99:99:99Z"};
    for (char *at = text; *at; at++) {
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            if (has_form(at, forms[i])) {
                for (size_t k = i == 0 ? 2 : 0; forms[i][k]; k++) {
                    at[k] = isalnum((unsigned char)at[k]) ? '0' : at[k];
                }
            }
        }
        if (strncmp(at, today, strlen(today)) == 0) {
            memcpy(at, DOCUMENT_DAY, strlen(DOCUMENT_DAY));
        }
        size_t digits = strspn(at, "0123456789");
        if (digits && strncmp(at + digits, " ms)", 4) == 0) {
            memmove(at, at + digits, strlen(at + digits) + 1);
        }
    }
}

static void compare(struct block *b, const char *today)
{
    normalise(b->output, today);
    normalise(b->text, DOCUMENT_DAY);
    const char *got = b->output;
    bool skips = false;
    for (char *want = b->text; *want;) {
        size_t n = strcspn(want, "\n") + 1;
        if (strncmp(want, "...\n", n) == 0) {
            skips = true;
        } else {
            while (skips && *got && strncmp(got, want, n) != 0) {
                got += strcspn(got, "\n") + 1;
            }
            if (strncmp(got, want, n) != 0) {
                fail_msg("the document says\n%.*s\nand the commands\n%s\nprint\n%s", (int)n, want,
                         b->commands, b->output);
            }
            got += n;
            skips = false;
        }
        want += n;
    }
    if (*got && !skips) {
        fail_msg("the document does not say\n%s\nwhich is printed by\n%s", got, b->commands);
    }
}

static void test_walk__of_the_grants_prints_what_the_document_says(void **state)
{
    (void)state;
    char today[2][16];
    time_t before = time(NULL);
    struct tm tm;
    strftime(today[0], sizeof today[0], "%Y-%m-%d", gmtime_r(&before, &tm));
    read_document();
    assert_true(blocks_n >= 5);
    run();
    time_t after = time(NULL);
    strftime(today[1], sizeof today[1], "%Y-%m-%d", gmtime_r(&after, &tm));
    for (size_t i = 0; i < blocks_n; i++) {
        normalise(blocks[i].output, today[1]); /* should it have become midnight */
        compare(&blocks[i], today[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk__of_the_grants_prints_what_the_document_says)};
    if (system("bash -c : 2>/dev/null") != 0) {
        return SKIPPED;
    }
    sandbox_up(&sandbox);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sandbox_down(&sandbox);
    return failed;
}
