/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data explain: how an adapter would serve a find or a count.
 */
#include "cli/data.h"
#include "cli/where.h"
#include "proto/payload.h"

static int read_conditions(struct cli *c, struct query *q)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "where", &n);
    if (n > YZ_QUERY_CONDITIONS_MAX) {
        return yzi_cli_usage(c, "there are more than %u conditions", YZ_QUERY_CONDITIONS_MAX);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *q->filter, &q->filter));
    for (size_t i = 0; i < n; i++) {
        struct cli_where w;
        YZ_TRY(yzi_cli_where(c, given[i], &w));
        struct query_condition *to = &q->filter[q->filter_n++];
        *to = (struct query_condition){yzi_bytes_str(w.field), w.op, NULL, w.values_n};
        YZ_TRY(yzi_arena_new(yzi_cli_arena(c), w.values_n, sizeof *to->values, &to->values));
        for (size_t k = 0; k < w.values_n; k++) {
            to->values[k].null = w.values[k] == NULL;
            to->values[k].v = w.values[k] ? yzi_bytes_str(w.values[k]) : (yz_bytes){0};
        }
    }
    return YZ_OK;
}

static int read_order(struct cli *c, struct query *q)
{
    size_t n;
    const char *const *given = yzi_cli_options(c, "order", &n);
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *q->order, &q->order));
    for (size_t i = 0; i < n; i++) {
        bool descending = given[i][0] == '-';
        q->order[q->order_n++] =
            (struct query_order){yzi_bytes_str(given[i] + descending), descending};
    }
    return YZ_OK;
}

static int write_query(struct cli *c, yz_buf *out)
{
    uint64_t limit;
    struct request_head h = {.has_query = true};
    struct query *q = &h.query;
    q->operation = yzi_cli_flag(c, "count") ? QUERY_COUNT : QUERY_FIND;
    YZ_TRY(yzi_cli_number(c, "limit", 1, UINT32_MAX, 0, &limit));
    q->limit = (uint32_t)limit;
    YZ_TRY(read_conditions(c, q));
    YZ_TRY(read_order(c, q));
    int rc = yzi_request_head_write(&h, out);
    return rc == YZ_EINVAL || rc == YZ_ELIMIT
               ? yzi_cli_usage(c, "that is not a query: a name or a list is wrong or too long")
               : rc;
}

static void print_note(struct cli *c, const json_t *note)
{
    const char *index = json_string_value(json_object_get(note, "index"));
    yzi_cli_say(c, "index: %s%s\n", index ? index : "(the records by key)",
                json_is_true(json_object_get(note, "backward")) ? ", backward" : "");
    yzi_cli_say(c, "conditions: %lld, of which the index serves %lld, in %lld range%s\n",
                (long long)yzi_data_number(note, "conditions"),
                (long long)yzi_data_number(note, "served_by_index"),
                (long long)yzi_data_number(note, "ranges"),
                yzi_data_number(note, "ranges") == 1 ? "" : "s");
    yzi_cli_say(c, "index entries looked at: %lld, records read: %lld, matches: %lld%s\n",
                (long long)yzi_data_number(note, "entries"),
                (long long)yzi_data_number(note, "records_read"),
                (long long)yzi_data_number(note, "matches"),
                json_is_true(json_object_get(note, "more")) ? " on this page, there are more" : "");
}

int yzi_data_explain(struct cli *c)
{
    struct admin_arg args[] = {{yzi_bytes_str("dataset"), yzi_bytes_str(yzi_cli_arg(c, 0))}};
    YZ_AUTO(yzi_buf_fini) yz_buf query;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf answer;
    json_t *note;
    yzi_buf_init(&query, YZ_PLAIN_MAX);
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&answer, ADMIN_MESSAGE_MAX);
    YZ_TRY(write_query(c, &query));
    struct home_call call = {.socket = yzi_cli_option(c, "admin"),
                             .verb = "data.explain",
                             .args = args,
                             .args_n = 1,
                             .payload = yzi_bytes_buf(&query),
                             .fd = -1};
    YZ_TRY(yzi_home_call(c, &call, &text, &answer));
    if (yzi_cli_json(c)) {
        yzi_cli_write(c, yzi_bytes_buf(&answer));
        return YZ_OK;
    }
    YZ_TRY(yzi_data_parse(c, yzi_bytes_buf(&answer), &note));
    print_note(c, note);
    json_decref(note);
    return YZ_OK;
}
