/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages from one of two adapters of a service, whichever gave the first; and 10,000 queries while a
 * real adapter's register is replaced again and again: each answer is of one state, none is lost.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yizhan/client.h>

#include "tests/integration/consumer.h"
#include "tests/integration/second_adapter.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)
#define CALLERS 8u
#define QUERIES 10000u
#define CITIES 50u
#define OF_CITY 4u

static struct sandbox sandbox;
static yz_client *client;
static pid_t adapters[2];

/* State n: every record's name is it. */
static void import_state(const char *adapter, unsigned n)
{
    char path[400];
    snprintf(path, sizeof path, "%s", HERE("state.csv"));
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("code,name,cityCode,provinceCode\n", f);
    for (unsigned i = 0; i < CITIES * OF_CITY; i++) {
        fprintf(f, "%u,s%u,%04u,11\n", 100000 + i, n, i % CITIES);
    }
    assert_int_equal(fclose(f), 0);
    EXPECT_YZ(0, "data", "import", "--admin", HERE("%s/admin.sock", adapter), "--mode", "replace",
              "areas", path);
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    adapters[0] = adapter_pid(&sandbox, "statistics");
    EXPECT_YZ(0, "grant", "add", "--home", HERE("statistics/member"), "--admin",
              HERE("statistics/admin.sock"), "--service", AREAS, "--consumer",
              "CN/GOV/WINDOW/window", "--operation", "find", "--filter", "city", "--sort", "code");
    import_state("statistics", 0);
    client = open_consumer(sandbox.client);
    return 0;
}

static int down(void **state)
{
    (void)state;
    yz_client_close(client);
    sandbox_down(&sandbox);
    return 0;
}

/* -- replaced under load -- */

struct caller {
    pthread_t thread;
    unsigned number, answered, failed, mixed;
    uint64_t states; /* a bit for each that was seen */
    yz_error err;
};

static yz_request *make_request(unsigned i)
{
    yz_request *r = NULL;
    char text[16];
    if (yz_request_new(AREAS, &r) < 0) {
        return NULL;
    }
    int rc = yz_request_add_field(r, "name");
    snprintf(text, sizeof text, "%04u", i % CITIES);
    const char *city[] = {text};
    for (unsigned k = 0; rc == 0 && i % 2 && k < OF_CITY; k++) {
        char code[16];
        snprintf(code, sizeof code, "%u", 100000 + (i + k) % (CITIES * OF_CITY));
        rc = yz_request_add_key(r, (const char *const[]){code}, 1);
    }
    if (rc == 0 && i % 2 == 0) {
        rc = yz_request_set_operation(r, YZ_FIND);
        rc = rc == 0 ? yz_request_add_condition(r, "city", YZ_EQUAL, city, 1) : rc;
    }
    if (rc < 0) {
        yz_request_free(r);
        return NULL;
    }
    return r;
}

/* All that were asked for, and all of one state. */
static bool is_one_state(const yz_answer *a, uint64_t *states)
{
    char first[16] = "", text[16];
    for (size_t row = 0; row < OF_CITY; row++) {
        const void *value;
        size_t n;
        if (yz_answer_rows(a) != OF_CITY || yz_answer_value(a, row, 0, &value, &n) < 0 || n < 2 ||
            n >= sizeof text) {
            return false;
        }
        memcpy(text, value, n);
        text[n] = '\0';
        memcpy(first, row ? first : text, sizeof first);
        if (strcmp(first, text) != 0) {
            return false;
        }
    }
    *states |= UINT64_C(1) << (strtoul(first + 1, NULL, 10) % 64);
    return true;
}

static void *ask(void *ctx)
{
    struct caller *me = ctx;
    for (unsigned i = 0; i < QUERIES / CALLERS; i++) {
        yz_request *r = make_request(me->number + i);
        yz_answer *a = NULL;
        bool answered =
            r && yz_call(client, r, &a, &me->err) == 0 && yz_answer_status(a) == YZ_STATUS_OK;
        me->answered += answered;
        me->failed += !answered;
        me->mixed += answered && !is_one_state(a, &me->states);
        yz_answer_free(a);
        yz_request_free(r);
    }
    return NULL;
}

static void test_replace__ten_thousand_queries_meanwhile(void **state)
{
    (void)state;
    static struct caller callers[CALLERS];
    static _Atomic unsigned left;
    atomic_store(&left, CALLERS);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.number = i};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, ask, &callers[i]), 0);
    }
    unsigned replaced = 0;
    for (unsigned i = 0; i < CALLERS; i++) {
        do { /* until this one is done, at least once for each */
            import_state("statistics", ++replaced);
        } while (pthread_tryjoin_np(callers[i].thread, NULL) != 0);
    }
    struct caller all = {0};
    for (unsigned i = 0; i < CALLERS; i++) {
        all.answered += callers[i].answered;
        all.failed += callers[i].failed;
        all.mixed += callers[i].mixed;
        all.states |= callers[i].states;
    }
    print_message("%u answered, %u failed, %u mixed or wrong; %u replacements\n", all.answered,
                  all.failed, all.mixed, replaced);
    assert_int_equal(all.answered, QUERIES);
    assert_int_equal(all.failed + all.mixed, 0);
    assert_true(__builtin_popcountll(all.states) > 1); /* while they went on */
}

/* -- two adapters -- */

static void add_adapter(void)
{
    adapters[1] =
        second_adapter_up(&sandbox, &(struct second_adapter){"statistics", "CN/GOV/STATS/@a2",
                                                             "divisions", "areas.yaml"});
    import_state("statistics", 1);
    import_state("statistics2", 2);
    EXPECT_YZ(0, "service", "publish", "--home", HERE("statistics/member"), "--subsystem",
              "divisions", "--service", "areas/v1", "--definition", HERE("statistics/areas.yaml"),
              "--adapter", "CN/GOV/STATS/@a1", "--adapter", "CN/GOV/STATS/@a2", "--admin",
              HERE("statistics/admin.sock"), "--admin", HERE("statistics2/admin.sock"));
}

/* A page of two records of one city; which adapter it is from, by the state it holds. */
static unsigned page(const char *city, const char *cursor, char more[2000])
{
    const struct output *o = cursor ? EXPECT_YZ(0, "query", "--config", sandbox.client, "--where",
                                                city, "--limit", "2", "--cursor", cursor, AREAS)
                                    : EXPECT_YZ(0, "query", "--config", sandbox.client, "--where",
                                                city, "--limit", "2", AREAS);
    const char *name = strstr(o->text, "name: s");
    unsigned from;
    assert_non_null(name);
    assert_int_equal(sscanf(name, "name: s%u", &from), 1);
    const char *at = strstr(o->text, "more: --cursor ");
    more[0] = '\0';
    if (at) {
        assert_int_equal(sscanf(at, "more: --cursor %1999s", more), 1);
    }
    return from;
}

static void test_pages__come_from_the_adapter_that_gave_the_first(void **state)
{
    (void)state;
    char more[2000], end[2000], city[32];
    add_adapter();
    for (unsigned i = 0; i < 12; i++) {
        snprintf(city, sizeof city, "city=%04u", i);
        unsigned from = page(city, NULL, more);
        assert_true(from == 1 || from == 2);
        assert_int_equal(page(city, more, end), from);
        assert_string_equal(end, "");
    }
}

static void test_pages__say_that_the_adapter_is_away_and_go_on_when_it_is_back(void **state)
{
    (void)state;
    static const char *const folders[] = {"statistics", "statistics2"};
    char more[2000], end[2000];
    unsigned from = page("city=0007", NULL, more);
    kill_daemon(adapters[from - 1], SIGKILL);
    const struct output *o = RUN_YZ("query", "--config", sandbox.client, "--where", "city=0007",
                                    "--limit", "2", "--cursor", more, AREAS);
    assert_int_not_equal(o->code, 0); /* the broker says so, or knows no key of it any more */
    assert_true(strstr(o->text, "no-live-adapter") ||
                strstr(o->text, "the adapter that gave the cursor is away"));
    assert_int_equal(page("city=0007", NULL, end), 3 - from); /* from the start, by the other */
    adapters[from - 1] = start_again(&sandbox, folders[from - 1]);
    assert_int_equal(page("city=0007", more, end), from);
    assert_string_equal(end, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace__ten_thousand_queries_meanwhile),
        cmocka_unit_test(test_pages__come_from_the_adapter_that_gave_the_first),
        cmocka_unit_test(test_pages__say_that_the_adapter_is_away_and_go_on_when_it_is_back),
    };
    return cmocka_run_group_tests(tests, up, down);
}
