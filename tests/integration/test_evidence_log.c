/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence log of a real broker from the outside: asked with yz, verified and audited with
 * nothing but its files and key, also after the broker was killed, pruned, and began another log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/harness.h"

#define PERSON "990101199109086437"
#define MARRIAGES "CN/GOV/CIVIL/civil/marriages/v1"

static struct sandbox sandbox;
static char admin[400], proof[400], current[400];

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    snprintf(admin, sizeof admin, "%s", in_sandbox(&sandbox, "broker/admin.sock"));
    snprintf(proof, sizeof proof, "%s", in_sandbox(&sandbox, "entry.proof"));
    snprintf(current, sizeof current, "%s", in_sandbox(&sandbox, "broker/log/current"));
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

static void call_once(void)
{
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", PERSON, MARRIAGES);
}

/* A string of the log's status, copied. */
static void status(const char *key, char *out, size_t cap)
{
    char name[64];
    const struct output *o = EXPECT_YZ(0, "evidence", "status", "--admin", admin, "--json");
    snprintf(name, sizeof name, "\"%s\": ", key);
    const char *at = strstr(o->text, name);
    assert_non_null(at);
    at += strlen(name);
    at += *at == '"';
    size_t n = strcspn(at, "\",\n");
    assert_true(n < cap);
    snprintf(out, cap, "%.*s", (int)n, at);
}

static unsigned long long status_number(const char *key)
{
    char text[64];
    status(key, text, sizeof text);
    return strtoull(text, NULL, 10);
}

/* Export this entry and verify it by the key alone. */
static void verify(const char *what, const char *vkey)
{
    EXPECT_YZ(0, "evidence", "export", "--admin", admin, "--out", proof, what);
    EXPECT_YZ(0, "evidence", "verify", "--vkey", vkey, proof);
}

/* Of the last request that is listed. */
static void last_message_id(char out[64])
{
    const struct output *o = EXPECT_YZ(0, "evidence", "list", "--admin", admin, "--count", "1000");
    const char *last = NULL;
    for (const char *at = o->text; (at = strstr(at, "message_id=")) != NULL; at++) {
        last = at + strlen("message_id=");
    }
    assert_non_null(last);
    snprintf(out, 64, "%.36s", last);
}

static void test_log__entries_are_listed_and_proved(void **state)
{
    (void)state;
    char vkey[256], id[64];
    call_once();
    status("vkey", vkey, sizeof vkey);
    const struct output *o = EXPECT_YZ(0, "evidence", "list", "--admin", admin);
    assert_says(o, "opening");
    assert_says(o, "reason=first");
    assert_says(o, "service=" MARRIAGES);
    assert_says(EXPECT_YZ(0, "evidence", "show", "--admin", admin, "0", "--json"), "\"body\": ");
    verify("0", vkey);
    last_message_id(id);
    verify(id, vkey);
    /* another log's key is refused, and what is not there is said not to be */
    vkey[strlen(vkey) - 2] = vkey[strlen(vkey) - 2] == 'A' ? 'B' : 'A';
    assert_int_not_equal(RUN_YZ("evidence", "verify", "--vkey", vkey, proof)->code, 0);
    EXPECT_YZ(1, "evidence", "export", "--admin", admin, "999999");
    EXPECT_YZ(1, "evidence", "export", "--admin", admin, "01890a5d-ac96-774b-bcce-b302099a8057");
    EXPECT_YZ(2, "evidence", "show", "--admin", admin, "first");
}

/* Publishing is a second behind at most. */
static void await_published(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        if (status_number("published") == status_number("size")) {
            return;
        }
    }
    fail_msg("it is never published");
}

static void test_log__pruned_and_followed(void **state)
{
    (void)state;
    char vkey[256], again[256], old[64], path[400];
    call_once();
    status("vkey", vkey, sizeof vkey);
    status("log", old, sizeof old);
    EXPECT_YZ(0, "evidence", "prune", "--admin", admin, "--below", "2");
    call_once(); /* behind the pruning */
    assert_int_equal(status_number("pruned"), 2);
    verify("1", vkey);
    EXPECT_YZ(1, "evidence", "prune", "--admin", admin, "--below", "999999");
    EXPECT_YZ(0, "evidence", "close", "--admin", admin);
    call_once();
    status("vkey", again, sizeof again);
    assert_string_not_equal(vkey, again);
    assert_says(EXPECT_YZ(0, "evidence", "list", "--admin", admin, "--count", "1"),
                "reason=closed");
    EXPECT_YZ(0, "evidence", "export", "--admin", admin, "--log", old, "--out", proof, "0");
    EXPECT_YZ(0, "evidence", "verify", "--vkey", vkey, proof);
    EXPECT_YZ(0, "evidence", "check", "--admin", admin);
    await_published();
    EXPECT_YZ(0, "evidence", "audit", "--vkey", again, current);
    snprintf(path, sizeof path, "%s", in_sandbox(&sandbox, "broker/log/%s", old));
    EXPECT_YZ(0, "evidence", "audit", "--vkey", vkey, path);
}

/* The last one: a broker that is started again listens elsewhere. */
static void test_log__a_killed_broker_goes_on(void **state)
{
    (void)state;
    char vkey[256], again[256], id[64];
    call_once();
    status("vkey", vkey, sizeof vkey);
    unsigned long long size = status_number("size");
    last_message_id(id);
    kill_daemon(sandbox.broker, SIGKILL);
    sandbox.broker = start_again(&sandbox, "broker");
    status("vkey", again, sizeof again);
    assert_string_equal(vkey, again); /* the same log */
    assert_true(status_number("size") >= size);
    verify(id, vkey);
    kill_daemon(sandbox.broker, SIGTERM); /* in good order: everything is published */
    EXPECT_YZ(0, "evidence", "audit", "--vkey", vkey, current);
    sandbox.broker = start_again(&sandbox, "broker");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__entries_are_listed_and_proved),
        cmocka_unit_test(test_log__pruned_and_followed),
        cmocka_unit_test(test_log__a_killed_broker_goes_on),
    };
    return cmocka_run_group_tests(tests, up, down);
}
