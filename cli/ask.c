/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking a service and showing the answer, and who said it.
 */
#include "cli/ask.h"

#include "base/clock.h"
#include "cli/texts.h"
#include "client/request.h"
#include "proto/limits.h"

#define READY_WAIT_MAX_MS 10000u
#define KEY_PARTS_MAX 8u
#define GIVEN_MAX ((size_t)16 * YZ_VALUE_MAX) /* every byte written out */

static void free_answer(yz_answer **a)
{
    yz_answer_free(*a);
}

static void close_client(yz_client **c)
{
    yz_client_close(*c);
}

/* -- the request -- */

static int set_text(struct cli *c, yz_request *r, const char *option,
                    int (*set)(yz_request *, const char *))
{
    const char *value = yzi_cli_option(c, option);
    if (value && set(r, value) < 0) {
        return yzi_cli_usage(c, "--%s '%s' is too long or not UTF-8", option, value);
    }
    return YZ_OK;
}

static int set_timeout(struct cli *c, yz_request *r, uint32_t *out)
{
    const char *text = yzi_cli_option(c, "timeout");
    uint64_t ms = READY_WAIT_MAX_MS;
    if (text) {
        if (yzi_duration_parse(text, &ms) < 0 || ms > UINT32_MAX ||
            yz_request_set_timeout(r, (uint32_t)ms) < 0) {
            return yzi_cli_usage(c, "--timeout '%s' is not a duration from 100ms to 5m", text);
        }
    }
    *out = (uint32_t)ms;
    return YZ_OK;
}

int yzi_cli_request(struct cli *c, yz_request **out)
{
    const char *service = yzi_cli_arg(c, 0);
    YZ_AUTO(yzi_cli_request_free) yz_request *r = NULL;
    int rc = yz_request_new(service, &r);
    if (rc == YZ_EINVAL) {
        return yzi_cli_usage(c,
                             "'%s' is not a service; write "
                             "INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE/VERSION",
                             service);
    }
    YZ_TRY(rc);
    YZ_TRY(set_text(c, r, "purpose", yz_request_set_purpose));
    YZ_TRY(set_text(c, r, "user", yz_request_set_user));
    YZ_TRY(set_text(c, r, "issue", yz_request_set_issue));
    YZ_TRY(set_text(c, r, "consent", yz_request_set_consent));
    *out = YZ_TAKE(r);
    return YZ_OK;
}

int yzi_cli_add_key(struct cli *c, yz_request *r, const char *text)
{
    yz_bytes copy;
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes(text, strlen(text) + 1), &copy));
    char *from = (char *)(uintptr_t)copy.p, *to = from;
    const char *parts[KEY_PARTS_MAX] = {to};
    size_t n = 1;
    for (; *from; from++) {
        if (*from == '\\' && (from[1] == ',' || from[1] == '\\')) {
            *to++ = *++from;
        } else if (*from == ',') {
            *to++ = '\0';
            if (n == KEY_PARTS_MAX) {
                return yzi_cli_usage(c, "--key '%s' has more than %u parts", text, KEY_PARTS_MAX);
            }
            parts[n++] = to;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    int rc = yz_request_add_key(r, parts, n);
    return rc == YZ_EINVAL ? yzi_cli_usage(c, "--key '%s' is not UTF-8 text", text) : rc;
}

/* -- the answer -- */

static int print_json(struct cli *c, const yz_answer *a)
{
    YZ_AUTO(yzi_free_ptr) char *json = NULL;
    YZ_TRY(yz_answer_json(a, 1, &json));
    yzi_cli_write(c, yzi_bytes_str(json));
    return YZ_OK;
}

/* What others wrote may steer a terminal, or end a line to begin one like ours. */
static int say_given(struct cli *c, const char *before, yz_bytes text)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf shown;
    yzi_buf_init(&shown, GIVEN_MAX);
    YZ_TRY(yzi_text_printable(text, false, &shown));
    yzi_cli_say(c, "%s%.*s", before, (int)shown.n, shown.n ? (const char *)shown.p : "");
    return YZ_OK;
}

static int print_record(struct cli *c, const yz_answer *a, size_t row)
{
    for (size_t f = 0; f < yz_answer_fields(a); f++) {
        const void *value;
        size_t n;
        YZ_TRY(yz_answer_value(a, row, f, &value, &n));
        const char *name = yz_answer_field_name(a, f);
        if (!value) {
            yzi_cli_say(c, "  %s: -\n", name);
        } else if (yz_answer_field_type(a, f) == YZ_TYPE_BYTES) {
            yzi_cli_say(c, "  %s: (%zu bytes; --json shows them)\n", name, n);
        } else {
            yzi_cli_say(c, "  %s: ", name);
            YZ_TRY(say_given(c, "", yzi_bytes(value, n)));
            yzi_cli_say(c, "\n");
        }
    }
    return YZ_OK;
}

/* In the order in which they were asked. */
static int print_matches(struct cli *c, const yz_request *r, const yz_answer *a)
{
    size_t n = yz_answer_matches(a);
    if (n != r->predicates_n) {
        return yzi_fail(yzi_cli_error(c), YZ_EMALFORMED,
                        "%zu questions were asked, and %zu answered", r->predicates_n, n);
    }
    for (size_t i = 0; i < n; i++) {
        enum yz_match match;
        YZ_TRY(yz_answer_match(a, i, &match));
        yzi_cli_say(c, "%.*s: %s\n", CLI_V(r->predicates[i].name), yz_match_name(match));
    }
    return YZ_OK;
}

static int print_text(struct cli *c, const yz_request *r, const yz_answer *a)
{
    const char *who = yz_answer_origin(a) == YZ_ORIGIN_PROVIDER ? "provider" : "broker";
    yzi_cli_say(c, "%s (%s %s, %u ms)\n", yz_status_name(yz_answer_status(a)), who,
                yz_answer_node(a), yz_answer_elapsed(a));
    if (yz_answer_reason(a)[0]) {
        YZ_TRY(say_given(c, "reason: ", yzi_bytes_str(yz_answer_reason(a))));
        YZ_TRY(
            say_given(c, yz_answer_detail(a)[0] ? ": " : "", yzi_bytes_str(yz_answer_detail(a))));
        yzi_cli_say(c, "\n");
    }
    if (yz_answer_rule(a)[0]) {
        yzi_cli_say(c, "decided by: %s%s%s\n", yz_answer_rule(a),
                    yz_answer_clause(a)[0] ? ", clause " : "", yz_answer_clause(a));
    }
    for (size_t f = 0; f < yz_answer_fields(a); f++) {
        if (yz_answer_field_mask(a, f)[0]) {
            yzi_cli_say(c, "masked: %s (%s)\n", yz_answer_field_name(a, f),
                        yz_answer_field_mask(a, f));
        }
    }
    uint64_t total;
    if (yz_answer_total(a, &total) == YZ_OK) {
        yzi_cli_say(c, "count: %llu\n", (unsigned long long)total);
    } else if (yz_answer_status(a) == YZ_STATUS_OK && r->predicates_n) {
        YZ_TRY(print_matches(c, r, a));
    } else if (yz_answer_status(a) == YZ_STATUS_OK) {
        yzi_cli_say(c, "records: %zu\n", yz_answer_rows(a));
    }
    for (size_t row = 0; row < yz_answer_rows(a); row++) {
        yzi_cli_say(c, "-\n");
        YZ_TRY(print_record(c, a, row));
    }
    if (yz_answer_cursor(a)[0]) {
        yzi_cli_say(c, "more: --cursor %s\n", yz_answer_cursor(a));
    }
    return YZ_OK;
}

static enum cli_exit exit_of(enum yz_status status)
{
    switch (status) {
    case YZ_STATUS_OK:
        return EXIT_OK;
    case YZ_STATUS_DENIED:
        return EXIT_DENIED;
    case YZ_STATUS_BUSY:
    case YZ_STATUS_UNAVAILABLE:
    case YZ_STATUS_TIMEOUT:
        return EXIT_UNAVAILABLE;
    case YZ_STATUS_INDETERMINATE:
        return EXIT_INDETERMINATE;
    case YZ_STATUS_BAD_QUERY:
    case YZ_STATUS_UNSUPPORTED:
    case YZ_STATUS_TOO_LARGE:
    case YZ_STATUS_FAILED:
    case YZ_STATUS_UNKNOWN_SERVICE:
    case YZ_STATUS_REJECTED:
    default:
        return EXIT_FAILED;
    }
}

int yzi_cli_ask(struct cli *c, yz_request *r)
{
    uint32_t timeout = 0;
    YZ_TRY(set_timeout(c, r, &timeout));
    YZ_AUTO(close_client) yz_client *client = NULL;
    YZ_TRY(yz_client_open(yzi_cli_option(c, "config"), &client, yzi_cli_error(c)));
    uint32_t wait = timeout < READY_WAIT_MAX_MS ? timeout : READY_WAIT_MAX_MS;
    YZ_TRY(yz_client_wait_ready(client, wait, yzi_cli_error(c)));
    YZ_AUTO(free_answer) yz_answer *answer = NULL;
    int rc = yz_call(client, r, &answer, yzi_cli_error(c));
    if (rc == YZ_ETIMEOUT && yzi_request_writes(r)) {
        yzi_cli_exit_with(c, EXIT_INDETERMINATE); /* who tries 4 again would do it twice */
    }
    YZ_TRY(rc);
    yzi_cli_exit_with(c, exit_of(yz_answer_status(answer)));
    return yzi_cli_json(c) ? print_json(c, answer) : print_text(c, r, answer);
}
