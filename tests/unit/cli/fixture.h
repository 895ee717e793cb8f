/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of its own for each test, yz command lines run in this process, and what they said. A
 * folder's state can be remembered, to see that a command changed nothing.
 */
#ifndef YZ_TESTS_UNIT_CLI_FIXTURE_H
#define YZ_TESTS_UNIT_CLI_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/cli.h"
#include "proto/record.h"

#define DEFINITION YZ_TEST_DATA "/china-division/areas.yaml"

struct cli_test {
    char dir[200];
    int before; /* the working folder */
};
/* cmocka's setup and teardown: *state is a struct cli_test, and its folder the working folder. */
int yz_cli_setup(void **state);
int yz_cli_teardown(void **state);

/* Run one command line; the words end with NULL. Returns the exit code. */
int yz_cli(const char *const *words);
#define YZ(...) yz_cli((const char *const[]){__VA_ARGS__, NULL})
/* What the last one wrote to standard output and standard error. */
const char *yz_cli_out(void);
const char *yz_cli_err(void);
/* Run it; another exit code fails the test with what it said. */
#define EXPECT(code, ...) yz_cli_expect((code), (const char *const[]){__VA_ARGS__, NULL})
void yz_cli_expect(int code, const char *const *words);
void yz_cli_said(const char *text); /* the last one's standard error has this */

/* SHA-256 over names, modes and contents of everything in the folder, locks left out. */
void yz_cli_snapshot(const char *dir, yz_digest *out);
/* Run it, expect the code, and that the folder is as it was. */
#define REFUSES(dir, code, ...)                                                                    \
    yz_cli_refuses((dir), (code), (const char *const[]){__VA_ARGS__, NULL})
void yz_cli_refuses(const char *dir, int code, const char *const *words);

void yz_cli_read(const char *path, yz_buf *out); /* initialised here; free with yzi_buf_fini */
void yz_cli_write(const char *path, yz_bytes content);
void yz_cli_copy(const char *from, const char *to);
/* The raw record of an armoured file; free with yzi_buf_fini. */
void yz_cli_record(const char *path, yz_buf *out);

/* An instance CN in the working folder: op, broker b1 (CN/@b1), member mca (CN/GOV/MCA) with the
 * subsystem civil and the adapter a1, member hb (CN/GOV/HB) with window and the client w1. */
void yz_cli_world(void);
/* The service civil/areas/v1 of it. */
void yz_cli_service(void);

#endif
