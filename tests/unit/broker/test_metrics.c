/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/metrics: what is written is Prometheus text, every figure once and right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/metrics.h"
#include "proto/status.h"

static struct metrics metrics;

static char *write_all(void)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    char *text;
    yzi_buf_init(&b, 1024u * 1024u);
    assert_int_equal(yzi_metrics_write(&metrics, &b), 0);
    assert_int_equal(yzi_bytes_dup_str(yzi_bytes_buf(&b), &text), 0);
    return text;
}

static void expect_line(const char *text, const char *name, uint64_t value)
{
    char line[200];
    snprintf(line, sizeof line, "\nyizhan_broker_%s %llu\n", name, (unsigned long long)value);
    if (!strstr(text, line)) {
        fail_msg("there is no line%s", line);
    }
}

static void test_metrics__write_every_figure(void **state)
{
    (void)state;
    uint64_t v = 1000;
#define SET(name, text, help) yzi_metric_set(&metrics.name, ++v);
    BROKER_COUNTERS(SET)
    BROKER_GAUGES(SET)
    YZ_AUTO(yzi_free_ptr) char *text = write_all();
    v = 1000;
#define EXPECT(name, metric, help) expect_line(text, metric, ++v);
    BROKER_COUNTERS(EXPECT)
    BROKER_GAUGES(EXPECT)
    yzi_metric_add(&metrics.requests, 5);
    YZ_AUTO(yzi_free_ptr) char *after = write_all();
    expect_line(after, "requests_total", 1006);
}

static void test_metrics__write_outcomes_by_status(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= OUTCOME_STALE_DIRECTORY; i++) {
        yzi_metric_set(&metrics.outcomes[i], 100 + i);
    }
    YZ_AUTO(yzi_free_ptr) char *text = write_all();
    expect_line(text, "outcomes_total{status=\"denied\"}", 101);
    expect_line(text, "outcomes_total{status=\"busy\"}", 103);
    expect_line(text, "outcomes_total{status=\"stale-directory\"}", 113);
    assert_null(strstr(text, "\"?\""));
}

/* name{...} value, # HELP name ..., # TYPE name counter|gauge: TYPE before the samples, each name
 * declared once, counters end in _total. */
static void test_metrics__are_well_formed(void **state)
{
    (void)state;
    YZ_AUTO(yzi_free_ptr) char *text = write_all();
    char last[100] = "";
    char *save = NULL;
    unsigned samples = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char name[100], type[20];
        unsigned long long value;
        if (sscanf(line, "# TYPE %99s %19s", name, type) == 2) {
            assert_string_not_equal(name, last);
            snprintf(last, sizeof last, "%s", name);
            size_t n = strlen(name);
            bool total = n > 6 && strcmp(name + n - 6, "_total") == 0;
            assert_string_equal(type, total ? "counter" : "gauge");
        } else if (line[0] != '#') {
            size_t n = strcspn(line, "{ ");
            assert_int_equal(n, strlen(last));
            assert_memory_equal(line, last, n);
            assert_int_equal(sscanf(strrchr(line, ' '), " %llu", &value), 1);
            samples++;
        } else {
            assert_int_equal(strncmp(line, "# HELP yizhan_broker_", 21), 0);
        }
    }
    assert_true(samples > 30);
}

static void test_metrics__want_of_room_is_an_error(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 1000);
    assert_int_equal(yzi_metrics_write(&metrics, &b), YZ_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics__write_every_figure),
        cmocka_unit_test(test_metrics__write_outcomes_by_status),
        cmocka_unit_test(test_metrics__are_well_formed),
        cmocka_unit_test(test_metrics__want_of_room_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
