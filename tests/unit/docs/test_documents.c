/* SPDX-License-Identifier: Apache-2.0
 *
 * The documents of operators against the tables of the code: every event, metric and configuration
 * key stands in docs/operations.md with its level, type, default and range, every key in its
 * conf(5), and the document names no event or metric that the code does not have. The checker is
 * itself tested on damaged copies of the document.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/config.h"
#include "adapters/events.h"
#include "base/config_tree.h"
#include "base/file.h"
#include "broker/config.h"
#include "broker/events.h"
#include "broker/metrics.h"
#include "client/config.h"
#include "proto/status.h"

#define DOCUMENT_MAX (1024u * 1024u)
#define COLUMNS 4u
#define METRIC "yizhan_broker_"

/* -- documents and their tables -- */

static char *load(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", YZ_DOCS_DIR, name);
    yz_buf text;
    yzi_buf_init(&text, DOCUMENT_MAX);
    yz_error err = {0};
    if (yzi_file_read(path, &text, &err) < 0 || yzi_buf_put_u8(&text, 0) < 0) {
        fail_msg("%s", err.text);
    }
    return (char *)text.p; /* as a buffer without its head: freed by free() */
}

/* The text of the section under this heading line, up to the next heading; caller frees. */
static char *section(const char *document, const char *heading)
{
    char line[128];
    snprintf(line, sizeof line, "\n%s\n", heading);
    const char *from = strstr(document, line);
    if (!from) {
        return strdup("");
    }
    from += strlen(line);
    const char *to = strstr(from, "\n#");
    return to ? strndup(from, (size_t)(to - from) + 1) : strdup(from);
}

struct row {
    char cell[COLUMNS][256]; /* without blanks and backquotes around */
};

static void copy_cell(const char *from, size_t n, char out[256])
{
    while (n && (*from == ' ' || *from == '`')) {
        from++;
        n--;
    }
    while (n && (from[n - 1] == ' ' || from[n - 1] == '`')) {
        n--;
    }
    snprintf(out, 256, "%.*s", (int)n, from);
}

/* The next row of a table at or after *at; false at the end. Head and rule are rows, too. */
static bool next_row(const char **at, struct row *out)
{
    while (**at) {
        const char *line = *at;
        size_t n = strcspn(line, "\n");
        *at = line + n + (line[n] == '\n');
        if (line[0] != '|') {
            continue;
        }
        *out = (struct row){0};
        const char *p = line + 1;
        for (unsigned i = 0; i < COLUMNS && p < line + n; i++) {
            size_t width = strcspn(p, "|\n");
            copy_cell(p, width, out->cell[i]);
            p += width + 1;
        }
        return true;
    }
    return false;
}

static bool find_row(const char *text, const char *first, struct row *out)
{
    while (next_row(&text, out)) {
        if (strcmp(out->cell[0], first) == 0) {
            return true;
        }
    }
    return false;
}

/* -- checks: each returns how many faults it found, and prints them -- */

static bool quiet; /* faults are wanted */
static unsigned fault(const char *fmt, ...) YZ_PRINTF(1, 2);
static unsigned fault(const char *fmt, ...)
{
    if (!quiet) {
        va_list args;
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fputc('\n', stderr);
    }
    return 1;
}

struct named_event {
    const char *name;
    enum log_level level;
};
static const char *const levels[] = {"debug", "info", "warn", "error"};
#define EVENT(name, text, level) {text, level},
static const struct named_event broker_events[] = {BROKER_EVENTS(EVENT){NULL, LOG_LEVEL_DEBUG}};
static const struct named_event adapter_events[] = {ADAPTER_EVENTS(EVENT){NULL, LOG_LEVEL_DEBUG}};

static unsigned check_events(const char *document, const char *heading,
                             const struct named_event *events)
{
    char *text = section(document, heading);
    unsigned faults = 0;
    struct row row;
    for (const struct named_event *e = events; e->name; e++) {
        if (!find_row(text, e->name, &row)) {
            faults += fault("%s: no row for event %s", heading, e->name);
        } else if (strcmp(row.cell[1], levels[e->level]) != 0) {
            faults += fault("%s: %s is of level %s, not %s", heading, e->name, levels[e->level],
                            row.cell[1]);
        } else if (!row.cell[2][0] || !row.cell[3][0]) {
            faults += fault("%s: %s says not when, or not what to do", heading, e->name);
        }
    }
    const char *at = text;
    for (unsigned n = 0; next_row(&at, &row); n++) {
        const struct named_event *e = events;
        while (e->name && strcmp(e->name, row.cell[0]) != 0) {
            e++;
        }
        if (n >= 2 && !e->name) {
            faults += fault("%s: there is no event %s", heading, row.cell[0]);
        }
    }
    free(text);
    return faults;
}

struct named_metric {
    const char *name, *type;
};
#define COUNTER(name, text, help) {METRIC text, "counter"},
#define GAUGE(name, text, help) {METRIC text, "gauge"},
static const struct named_metric metrics[] = {
    BROKER_COUNTERS(COUNTER) BROKER_GAUGES(GAUGE){METRIC "outcomes_total", "counter"},
    {NULL, NULL}};

static unsigned check_metrics(const char *document)
{
    char *text = section(document, "## Metrics");
    unsigned faults = 0;
    struct row row;
    for (const struct named_metric *m = metrics; m->name; m++) {
        if (!find_row(text, m->name, &row)) {
            faults += fault("Metrics: no row for %s", m->name);
        } else if (strcmp(row.cell[1], m->type) != 0 || !row.cell[2][0]) {
            faults += fault("Metrics: %s is a %s", m->name, m->type);
        }
    }
    const char *at = text;
    for (unsigned n = 0; next_row(&at, &row); n++) {
        const struct named_metric *m = metrics;
        while (m->name && strcmp(m->name, row.cell[0]) != 0) {
            m++;
        }
        if (n >= 2 && !m->name) {
            faults += fault("Metrics: there is no metric %s", row.cell[0]);
        }
    }
    free(text);
    return faults;
}

static bool is_amount(const struct config_field *f)
{
    return f->type == CONFIG_U64 || f->type == CONFIG_SIZE || f->type == CONFIG_DURATION;
}

/* What the document gives as default; "" where there is none to compare (a default that is not a
 * constant, or none). */
static const char *default_of(const struct config_field *f)
{
    return f->required ? "required" : f->dflt ? f->dflt : "";
}

/* `keys` and `limits` are the two sections; an amount's row has its range as well. */
static unsigned check_keys(const char *keys, const char *limits, const char *prefix,
                           const struct config_field *fields)
{
    unsigned faults = 0;
    for (const struct config_field *f = fields; f->key; f++) {
        char name[128], range[80];
        snprintf(name, sizeof name, "%s%s", prefix, f->key);
        struct row row;
        bool in_limits = find_row(limits, name, &row);
        if (f->type != CONFIG_MAP && !in_limits && !find_row(keys, name, &row)) {
            faults += fault("no row for the key %s", name);
        } else if (f->type != CONFIG_MAP && default_of(f)[0] &&
                   strcmp(default_of(f), row.cell[1]) != 0) {
            faults += fault("%s: the default is '%s', not '%s'", name, default_of(f), row.cell[1]);
        }
        if (is_amount(f) && in_limits) {
            yzi_config_range_print(f, range);
            if (strcmp(range, row.cell[2]) != 0) {
                faults += fault("%s: the range is '%s', not '%s'", name, range, row.cell[2]);
            }
        }
        if (f->fields) {
            strncat(name, ".", sizeof name - strlen(name) - 1);
            faults += check_keys(keys, limits, name, f->fields);
        }
    }
    return faults;
}

static unsigned check_daemon_keys(const char *document, const char *daemon,
                                  const struct config_field *fields)
{
    char heading[64];
    snprintf(heading, sizeof heading, "### %s keys", daemon);
    char *keys = section(document, heading);
    snprintf(heading, sizeof heading, "### %s limits", daemon);
    char *limits = section(document, heading);
    unsigned faults = check_keys(keys, limits, "", fields);
    free(keys);
    free(limits);
    return faults;
}

/* In roff: a line that sets the key in bold and, before the next entry, "required" or "default: X",
 * for an amount with its range. */
static bool page_has(const char *page, const struct config_field *f)
{
    char bold[80], quoted[80], range[80] = "", expected[256] = "";
    snprintf(bold, sizeof bold, "\n.B %s\n", f->key);
    snprintf(quoted, sizeof quoted, "\n.BR %s \"", f->key);
    if (is_amount(f)) {
        yzi_config_range_print(f, range);
    }
    if (f->required) {
        snprintf(expected, sizeof expected, "(required)");
    } else if (default_of(f)[0]) {
        snprintf(expected, sizeof expected, "default: %s%s%s", default_of(f), range[0] ? "; " : "",
                 range);
    }
    for (const char *at = page; at; at = strchr(at + 1, '\n')) {
        if (strncmp(at, bold, strlen(bold)) != 0 && strncmp(at, quoted, strlen(quoted)) != 0) {
            continue;
        }
        const char *end = strstr(at, "\n.TP");
        const char *found = strstr(at, expected);
        if (found && (!end || found < end)) {
            return true;
        }
    }
    return false;
}

static unsigned check_page(const char *page, const struct config_field *fields)
{
    unsigned faults = 0;
    for (const struct config_field *f = fields; f->key; f++) {
        if (!page_has(page, f)) {
            faults += fault("no entry for the key %s, or not with its default and range", f->key);
        }
        if (f->fields) {
            faults += check_page(page, f->fields);
        }
    }
    return faults;
}

/* -- the documents as they are -- */

static void test_operations__names_every_event(void **state)
{
    (void)state;
    char *document = load("operations.md");
    assert_int_equal(check_events(document, "### Broker events", broker_events), 0);
    assert_int_equal(check_events(document, "### Adapter events", adapter_events), 0);
    free(document);
}

static void test_operations__names_every_metric(void **state)
{
    (void)state;
    char *document = load("operations.md");
    assert_int_equal(check_metrics(document), 0);
    free(document);
}

static void test_operations__names_every_outcome(void **state)
{
    (void)state;
    char *document = load("operations.md");
    char *text = section(document, "### Outcomes");
    for (unsigned i = 1; i <= OUTCOME_STALE_DIRECTORY; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "`%s`", yzi_outcome_status_name(i));
        if (!strstr(text, quoted)) {
            fail_msg("Outcomes: %s is missing", quoted);
        }
    }
    free(text);
    free(document);
}

static void test_operations__names_every_configuration_key(void **state)
{
    (void)state;
    char *document = load("operations.md");
    assert_int_equal(check_daemon_keys(document, "Broker", yzi_broker_config_fields), 0);
    assert_int_equal(check_daemon_keys(document, "Adapter", yzi_adapter_config_fields), 0);
    free(document);
}

static void test_pages__name_every_configuration_key(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const struct config_field *fields;
    } pages[] = {
        {"man/yz-brokerd.conf.5", yzi_broker_config_fields},
        {"man/yz-adapterd.conf.5", yzi_adapter_config_fields},
        {"man/yizhan-client.conf.5", yzi_client_config_fields},
    };
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        char *page = load(pages[i].file);
        unsigned faults = check_page(page, pages[i].fields);
        if (faults) {
            fail_msg("%s: %u faults", pages[i].file, faults);
        }
        free(page);
    }
}

/* What --dump-config prints is what the examples in the document are parsed to: they are right. */
static char *example(const char *document, const char *after)
{
    const char *from = strstr(document, after);
    from = from ? strstr(from, "```yaml\n") : NULL;
    const char *to = from ? strstr(from + 8, "\n```") : NULL;
    return to ? strndup(from + 8, (size_t)(to - from) - 8 + 1) : NULL;
}

static void test_operations__has_examples_that_parse(void **state)
{
    (void)state;
    char *document = load("operations.md");
    static const struct {
        const char *after;
        const struct config_field *fields;
    } examples[] = {{"**Broker**", yzi_broker_config_fields},
                    {"**Adapter**", yzi_adapter_config_fields},
                    {"**Client**", yzi_client_config_fields}};
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        union {
            struct broker_config broker;
            struct adapter_config adapter;
            struct client_config client;
        } target = {0};
        struct arena arena;
        yzi_arena_init(&arena, DOCUMENT_MAX);
        yz_error err = {0};
        char *text = example(document, examples[i].after);
        assert_non_null(text);
        if (yzi_config_parse(yzi_bytes_str(text), examples[i].after, NULL, examples[i].fields,
                             &arena, &target, &err) < 0) {
            fail_msg("%s", err.text);
        }
        yzi_arena_fini(&arena);
        free(text);
    }
    free(document);
}

/* -- the checker itself, on damaged documents -- */

/* A copy with the first `what` replaced. */
static char *damaged(const char *document, const char *what, const char *by)
{
    const char *at = strstr(document, what);
    assert_non_null(at);
    size_t n = strlen(document) + strlen(by) + 1;
    char *out = malloc(n);
    assert_non_null(out);
    snprintf(out, n, "%.*s%s%s", (int)(at - document), document, by, at + strlen(what));
    return out;
}

static unsigned count_faults(const char *document)
{
    return check_events(document, "### Broker events", broker_events) +
           check_events(document, "### Adapter events", adapter_events) + check_metrics(document) +
           check_daemon_keys(document, "Broker", yzi_broker_config_fields) +
           check_daemon_keys(document, "Adapter", yzi_adapter_config_fields);
}

/* How many more faults the damage makes. */
static unsigned faults_with(const char *document, const char *what, const char *by)
{
    char *copy = damaged(document, what, by);
    quiet = true;
    unsigned faults = count_faults(copy) - count_faults(document);
    quiet = false;
    free(copy);
    return faults;
}

static void test_checker__sees_what_is_missing_or_false(void **state)
{
    (void)state;
    char *document = load("operations.md");
    /* a missing row, and a row of nothing */
    assert_int_equal(faults_with(document, "| `peer.cut-off` |", "| `peer.gone` |"), 2);
    assert_int_equal(faults_with(document, "\n| `import.done` |", "\n`import.done` |"), 1);
    assert_int_equal(
        faults_with(document, "| `freshness.failed` | error", "| `freshness.failed` | warn"), 1);
    assert_int_equal(
        faults_with(document, "| `yizhan_broker_offers` |", "| `yizhan_broker_offer` |"), 2);
    assert_int_equal(faults_with(document, "| `yizhan_broker_ready` | gauge",
                                 "| `yizhan_broker_ready` | counter"),
                     1);
    assert_int_equal(faults_with(document, "| `limits.remembered` |", "| `limits.remember` |"), 1);
    assert_int_equal(faults_with(document, "| `limits.queue` | 1024", "| `limits.queue` | 512"), 1);
    assert_int_equal(faults_with(document, "| 64KiB to 1TiB", "| 64KiB to 2TiB"), 1);
    assert_true(faults_with(document, "### Adapter keys", "### Keys") >= 10);
    assert_true(faults_with(document, "## Metrics", "## Figures") >= 20);
    free(document);
}

static unsigned page_faults_with(const char *page, const char *what, const char *by)
{
    char *copy = damaged(page, what, by);
    quiet = true;
    unsigned faults =
        check_page(copy, yzi_broker_config_fields) - check_page(page, yzi_broker_config_fields);
    quiet = false;
    free(copy);
    return faults;
}

static void test_checker__sees_what_a_page_lacks(void **state)
{
    (void)state;
    char *page = load("man/yz-brokerd.conf.5");
    assert_int_equal(page_faults_with(page, ".BR remembered \"", ".BR remember \""), 1);
    assert_int_equal(page_faults_with(page, "default: 1024", "default: 1023"), 1);
    assert_int_equal(page_faults_with(page, "; 64KiB to 1TiB", "; 64KiB to 2TiB"), 1);
    assert_int_equal(page_faults_with(page, ".BR node \" (required)", ".BR node \" (default: x)"),
                     1);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations__names_every_event),
        cmocka_unit_test(test_operations__names_every_metric),
        cmocka_unit_test(test_operations__names_every_outcome),
        cmocka_unit_test(test_operations__names_every_configuration_key),
        cmocka_unit_test(test_operations__has_examples_that_parse),
        cmocka_unit_test(test_pages__name_every_configuration_key),
        cmocka_unit_test(test_checker__sees_what_is_missing_or_false),
        cmocka_unit_test(test_checker__sees_what_a_page_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
