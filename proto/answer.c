/* SPDX-License-Identifier: Apache-2.0
 *
 * Answer heads: what an answer consists of, before the rows or the HTTP message that is its body.
 * The form is checked here; whether it fits the question is for the client.
 */
#include "proto/check.h"
#include "proto/head.h"

/* -- invariants, of parser and writer -- */

static int check_fields(const struct answer_field *fields, size_t n)
{
    YZ_ENSURE(n <= YZ_QUERY_FIELDS_MAX, YZ_ELIMIT);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_head_check_name(fields[i].name));
        YZ_ENSURE(fields[i].type >= FIELD_TEXT && fields[i].type <= FIELD_BYTES, YZ_EMALFORMED);
        YZ_ENSURE(fields[i].mask <= MASK_HASH, YZ_EMALFORMED);
        for (size_t j = 0; j < i; j++) {
            YZ_ENSURE(!yzi_bytes_eq(fields[i].name, fields[j].name), YZ_EMALFORMED);
        }
    }
    return 0;
}

static int check_word(yz_bytes b, size_t max)
{
    YZ_ENSURE(b.n <= max, YZ_ELIMIT);
    return yzi_check_optional(b, max, yzi_check_word);
}

/* Headers only with a status, and a status that can end an exchange. */
static int check_http(const struct answer_head *h)
{
    YZ_TRY(yzi_http_headers_check(h->http_headers, h->http_headers_n));
    if (h->http_status == 0) {
        return h->http_headers_n == 0 ? 0 : YZ_EMALFORMED;
    }
    return h->http_status >= 200 && h->http_status <= 599 ? 0 : YZ_EMALFORMED;
}

static int check_head(const struct answer_head *h)
{
    YZ_ENSURE(h->code >= ANSWER_OK && h->code <= ANSWER_FAILED, YZ_EMALFORMED);
    YZ_TRY(check_word(h->reason, YZ_REASON_MAX));
    YZ_TRY(yzi_head_check_text(h->detail, YZ_DETAIL_MAX));
    YZ_TRY(check_fields(h->fields, h->fields_n));
    YZ_ENSURE(h->rows == 0 || h->fields_n > 0, YZ_EMALFORMED);
    YZ_TRY(yzi_head_check_cursor(h->cursor));
    YZ_TRY(check_word(h->grant, YZ_NAME_MAX));
    YZ_TRY(check_word(h->clause, YZ_REASON_MAX));
    YZ_ENSURE(h->matches_n <= YZ_QUERY_CONDITIONS_MAX, YZ_ELIMIT);
    for (size_t i = 0; i < h->matches_n; i++) {
        YZ_ENSURE(h->matches[i] >= MATCH_YES && h->matches[i] <= MATCH_UNKNOWN, YZ_EMALFORMED);
    }
    return check_http(h);
}

/* -- parser -- */

static int take_fields(const Yizhan__Wire__AnswerHead *m, struct arena *a, struct answer_head *h)
{
    YZ_TRY(YZ_HEAD_LIST(a, m->n_fields, YZ_QUERY_FIELDS_MAX, &h->fields));
    h->fields_n = m->n_fields;
    for (size_t i = 0; i < m->n_fields; i++) {
        const Yizhan__Wire__FieldInfo *f = m->fields[i];
        uint32_t mask; /* absent: MASK_NONE */
        YZ_TRY(yzi_number_optional(f->has_mask, f->mask, &mask));
        h->fields[i] = (struct answer_field){
            .name = yzi_view(f->name),
            .type = (enum field_type)f->type,
            .mask = (enum field_mask)mask,
        };
    }
    return 0;
}

static int take_matches(const Yizhan__Wire__AnswerHead *m, struct arena *a, struct answer_head *h)
{
    YZ_TRY(YZ_HEAD_LIST(a, m->n_matches, YZ_QUERY_CONDITIONS_MAX, &h->matches));
    h->matches_n = m->n_matches;
    for (size_t i = 0; i < m->n_matches; i++) {
        h->matches[i] = (enum match_result)m->matches[i];
    }
    return 0;
}

int yzi_answer_head_parse(yz_bytes head, struct arena *arena, struct answer_head *out)
{
    struct room room = yzi_room_arena(arena);
    const Yizhan__Wire__AnswerHead *m;
    YZ_TRY(yzi_unpack(&yizhan__wire__answer_head__descriptor, head, &yzi_head_rules, &room, &m));
    struct answer_head h = {
        .code = (enum answer_code)m->code,
        .has_total = m->has_total,
        .total = m->has_total ? m->total : 0,
    };
    YZ_TRY(yzi_view_optional(m->has_reason, m->reason, &h.reason));
    YZ_TRY(yzi_view_optional(m->has_detail, m->detail, &h.detail));
    YZ_TRY(take_fields(m, arena, &h));
    YZ_TRY(yzi_number_optional(m->has_rows, m->rows, &h.rows));
    YZ_TRY(yzi_number_optional(m->has_http_status, m->http_status, &h.http_status));
    YZ_TRY(yzi_view_optional(m->has_cursor, m->cursor, &h.cursor));
    YZ_TRY(yzi_view_optional(m->has_grant, m->grant, &h.grant));
    YZ_TRY(yzi_view_optional(m->has_clause, m->clause, &h.clause));
    YZ_TRY(take_matches(m, arena, &h));
    YZ_TRY(yzi_http_headers_take(m->http_headers, m->n_http_headers, arena, &h.http_headers,
                                 &h.http_headers_n));
    YZ_TRY(check_head(&h));
    *out = h;
    return 0;
}

/* -- writer -- */

static int give_fields(const struct answer_head *h, struct arena *a, Yizhan__Wire__AnswerHead *m)
{
    Yizhan__Wire__FieldInfo *fields;
    YZ_TRY(YZ_HEAD_LIST(a, h->fields_n, YZ_QUERY_FIELDS_MAX, &m->fields));
    YZ_TRY(YZ_HEAD_LIST(a, h->fields_n, YZ_QUERY_FIELDS_MAX, &fields));
    m->n_fields = h->fields_n;
    for (size_t i = 0; i < h->fields_n; i++) {
        yizhan__wire__field_info__init(&fields[i]);
        fields[i].name = yzi_bin(h->fields[i].name);
        fields[i].type = h->fields[i].type;
        fields[i].has_mask = h->fields[i].mask != MASK_NONE;
        fields[i].mask = h->fields[i].mask;
        m->fields[i] = &fields[i];
    }
    return 0;
}

static int give_matches(const struct answer_head *h, struct arena *a, Yizhan__Wire__AnswerHead *m)
{
    YZ_TRY(YZ_HEAD_LIST(a, h->matches_n, YZ_QUERY_CONDITIONS_MAX, &m->matches));
    m->n_matches = h->matches_n;
    for (size_t i = 0; i < h->matches_n; i++) {
        m->matches[i] = h->matches[i];
    }
    return 0;
}

int yzi_answer_head_write(const struct answer_head *h, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_head(h)));
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, YZ_HEAD_WRITE_ARENA);
    Yizhan__Wire__AnswerHead m = YIZHAN__WIRE__ANSWER_HEAD__INIT;
    m.code = h->code;
    m.has_reason = h->reason.n > 0;
    m.reason = yzi_bin(h->reason);
    m.has_detail = h->detail.n > 0;
    m.detail = yzi_bin(h->detail);
    YZ_TRY(give_fields(h, &a, &m));
    m.has_rows = h->rows > 0;
    m.rows = h->rows;
    m.has_cursor = h->cursor.n > 0;
    m.cursor = yzi_bin(h->cursor);
    m.has_total = h->has_total;
    m.total = h->total;
    m.has_grant = h->grant.n > 0;
    m.grant = yzi_bin(h->grant);
    m.has_clause = h->clause.n > 0;
    m.clause = yzi_bin(h->clause);
    YZ_TRY(give_matches(h, &a, &m));
    m.has_http_status = h->http_status > 0;
    m.http_status = h->http_status;
    m.n_http_headers = h->http_headers_n;
    YZ_TRY(yzi_http_headers_give(h->http_headers, h->http_headers_n, &a, &m.http_headers));
    return yzi_pack(&m.base, YZ_PLAIN_MAX, out);
}
