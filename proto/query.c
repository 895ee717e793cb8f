/* SPDX-License-Identifier: Apache-2.0
 *
 * Request heads. What is checked here is the form (limits, numbers, names, how many values an
 * operator takes); whether a field exists or a value is of its type is the provider's to say, with
 * a reason the consumer can read.
 */
#include "proto/head.h"

/* -- invariants, of parser and writer -- */

static int check_values(const struct query_value *v, size_t n, size_t max)
{
    YZ_ENSURE(n <= max, YZ_ELIMIT);
    for (size_t i = 0; i < n; i++) {
        YZ_ENSURE(v[i].v.n <= YZ_VALUE_MAX, YZ_ELIMIT);
        YZ_ENSURE(!v[i].null || v[i].v.n == 0, YZ_EMALFORMED);
    }
    return 0;
}

static int check_condition(const struct query_condition *c)
{
    YZ_TRY(yzi_head_check_name(c->field));
    YZ_ENSURE(c->op >= OP_EQ && c->op <= OP_LT, YZ_EMALFORMED);
    YZ_ENSURE(c->values_n == 1 || (c->op == OP_IN && c->values_n > 1), YZ_EMALFORMED);
    return check_values(c->values, c->values_n, YZ_QUERY_VALUES_MAX);
}

static int check_keys(const struct query_key *keys, size_t n)
{
    YZ_ENSURE(n <= YZ_QUERY_KEYS_MAX, YZ_ELIMIT);
    for (size_t i = 0; i < n; i++) {
        YZ_ENSURE(keys[i].parts_n >= 1, YZ_EMALFORMED);
        YZ_TRY(check_values(keys[i].parts, keys[i].parts_n, YZ_QUERY_KEY_PARTS_MAX));
    }
    return 0;
}

/* Rows come with what brings some, and then their columns have names. */
static int check_rows(const struct query *q)
{
    bool brings = yzi_operation_brings_rows(q->operation);
    YZ_ENSURE(brings == (q->rows > 0), YZ_EMALFORMED);
    YZ_ENSURE(!brings || q->fields_n > 0, YZ_EMALFORMED);
    return q->rows <= YZ_QUERY_ROWS_MAX ? 0 : YZ_ELIMIT;
}

static int check_query(const struct query *q)
{
    YZ_ENSURE(q->operation >= QUERY_GET && q->operation <= QUERY_OPERATION_LAST, YZ_EMALFORMED);
    YZ_TRY(check_rows(q));
    YZ_ENSURE(q->fields_n <= YZ_QUERY_FIELDS_MAX && q->filter_n <= YZ_QUERY_CONDITIONS_MAX &&
                  q->order_n <= YZ_QUERY_ORDER_MAX && q->predicates_n <= YZ_QUERY_CONDITIONS_MAX,
              YZ_ELIMIT);
    for (size_t i = 0; i < q->fields_n; i++) {
        YZ_TRY(yzi_head_check_name(q->fields[i]));
    }
    YZ_TRY(check_keys(q->keys, q->keys_n));
    for (size_t i = 0; i < q->filter_n; i++) {
        YZ_TRY(check_condition(&q->filter[i]));
    }
    for (size_t i = 0; i < q->order_n; i++) {
        YZ_TRY(yzi_head_check_name(q->order[i].field));
    }
    YZ_TRY(yzi_head_check_cursor(q->cursor));
    for (size_t i = 0; i < q->predicates_n; i++) {
        const struct query_predicate *p = &q->predicates[i];
        YZ_TRY(yzi_head_check_name(p->name));
        YZ_TRY(check_values(p->values, p->values_n, YZ_QUERY_VALUES_MAX));
    }
    return 0;
}

/* A request target of RFC 9112 §3.2.1: path and query, visible ASCII, no fragment. */
static int check_path(yz_bytes path)
{
    YZ_ENSURE(path.n > 0 && path.p[0] == '/', YZ_EMALFORMED);
    YZ_ENSURE(path.n <= YZ_HTTP_PATH_MAX, YZ_ELIMIT);
    for (size_t i = 0; i < path.n; i++) {
        YZ_ENSURE(path.p[i] > 0x20 && path.p[i] < 0x7f && path.p[i] != '#', YZ_EMALFORMED);
    }
    return 0;
}

static int check_head(const struct request_head *h)
{
    YZ_TRY(yzi_head_check_text(h->user, YZ_REFERENCE_MAX));
    YZ_TRY(yzi_head_check_text(h->issue, YZ_REFERENCE_MAX));
    YZ_TRY(yzi_head_check_text(h->consent, YZ_REFERENCE_MAX));
    if (h->has_query) {
        return check_query(&h->query);
    }
    YZ_TRY(yzi_http_check_token(h->method, YZ_HTTP_METHOD_MAX));
    YZ_TRY(check_path(h->path));
    return yzi_http_headers_check(h->headers, h->headers_n);
}

/* -- parser -- */

static int take_values(Yizhan__Wire__Value *const *wire, size_t n, struct arena *a,
                       struct query_value **out, size_t *out_n)
{
    struct query_value *list;
    YZ_TRY(YZ_HEAD_LIST(a, n, YZ_QUERY_VALUES_MAX, &list));
    for (size_t i = 0; i < n; i++) {
        list[i].null = !wire[i]->has_v;
        list[i].v = wire[i]->has_v ? yzi_view(wire[i]->v) : (yz_bytes){0};
    }
    *out = list;
    *out_n = n;
    return 0;
}

static int take_fields_and_keys(const Yizhan__Wire__Query *m, struct arena *a, struct query *q)
{
    YZ_TRY(YZ_HEAD_LIST(a, m->n_fields, YZ_QUERY_FIELDS_MAX, &q->fields));
    q->fields_n = m->n_fields;
    for (size_t i = 0; i < m->n_fields; i++) {
        q->fields[i] = yzi_view(m->fields[i]);
    }
    YZ_TRY(YZ_HEAD_LIST(a, m->n_keys, YZ_QUERY_KEYS_MAX, &q->keys));
    q->keys_n = m->n_keys;
    for (size_t i = 0; i < m->n_keys; i++) {
        struct query_key *key = &q->keys[i];
        YZ_TRY(take_values(m->keys[i]->part, m->keys[i]->n_part, a, &key->parts, &key->parts_n));
    }
    return 0;
}

static int take_conditions(const Yizhan__Wire__Query *m, struct arena *a, struct query *q)
{
    YZ_TRY(YZ_HEAD_LIST(a, m->n_filter, YZ_QUERY_CONDITIONS_MAX, &q->filter));
    q->filter_n = m->n_filter;
    for (size_t i = 0; i < m->n_filter; i++) {
        const Yizhan__Wire__Condition *from = m->filter[i];
        struct query_condition *to = &q->filter[i];
        to->field = yzi_view(from->field);
        to->op = (enum query_op)from->op;
        YZ_TRY(take_values(from->values, from->n_values, a, &to->values, &to->values_n));
    }
    YZ_TRY(YZ_HEAD_LIST(a, m->n_predicates, YZ_QUERY_CONDITIONS_MAX, &q->predicates));
    q->predicates_n = m->n_predicates;
    for (size_t i = 0; i < m->n_predicates; i++) {
        const Yizhan__Wire__Predicate *from = m->predicates[i];
        struct query_predicate *to = &q->predicates[i];
        to->name = yzi_view(from->name);
        YZ_TRY(take_values(from->values, from->n_values, a, &to->values, &to->values_n));
    }
    return 0;
}

static int take_query(const Yizhan__Wire__Query *m, struct arena *a, struct query *q)
{
    q->operation = (enum query_operation)m->operation;
    YZ_TRY(take_fields_and_keys(m, a, q));
    YZ_TRY(take_conditions(m, a, q));
    YZ_TRY(YZ_HEAD_LIST(a, m->n_order, YZ_QUERY_ORDER_MAX, &q->order));
    q->order_n = m->n_order;
    for (size_t i = 0; i < m->n_order; i++) {
        q->order[i].field = yzi_view(m->order[i]->field);
        YZ_ENSURE(!m->order[i]->has_descending || m->order[i]->descending, YZ_EMALFORMED);
        q->order[i].descending = m->order[i]->has_descending;
    }
    YZ_TRY(yzi_number_optional(m->has_limit, m->limit, &q->limit));
    YZ_TRY(yzi_number_optional(m->has_rows, m->rows, &q->rows));
    return yzi_view_optional(m->has_cursor, m->cursor, &q->cursor);
}

int yzi_request_head_parse(yz_bytes head, struct arena *arena, struct request_head *out)
{
    struct room room = yzi_room_arena(arena);
    const Yizhan__Wire__RequestHead *m;
    struct request_head h = {0};
    YZ_TRY(yzi_unpack(&yizhan__wire__request_head__descriptor, head, &yzi_head_rules, &room, &m));
    YZ_TRY(yzi_view_optional(m->has_user, m->user, &h.user));
    YZ_TRY(yzi_view_optional(m->has_issue, m->issue, &h.issue));
    YZ_TRY(yzi_view_optional(m->has_consent, m->consent, &h.consent));
    YZ_ENSURE((m->query != NULL) != (m->http != NULL), YZ_EMALFORMED);
    h.has_query = m->query != NULL;
    if (m->query) {
        YZ_TRY(take_query(m->query, arena, &h.query));
    } else {
        h.method = yzi_view(m->http->method);
        h.path = yzi_view(m->http->path);
        YZ_TRY(yzi_http_headers_take(m->http->headers, m->http->n_headers, arena, &h.headers,
                                     &h.headers_n));
    }
    YZ_TRY(check_head(&h));
    *out = h;
    return 0;
}

/* -- writer -- */

static int give_values(const struct query_value *v, size_t n, struct arena *a,
                       Yizhan__Wire__Value ***out, size_t *out_n)
{
    Yizhan__Wire__Value **list, *items;
    YZ_TRY(YZ_HEAD_LIST(a, n, YZ_QUERY_VALUES_MAX, &list));
    YZ_TRY(YZ_HEAD_LIST(a, n, YZ_QUERY_VALUES_MAX, &items));
    for (size_t i = 0; i < n; i++) {
        yizhan__wire__value__init(&items[i]);
        items[i].has_v = !v[i].null;
        items[i].v = yzi_bin(v[i].v);
        list[i] = &items[i];
    }
    *out = list;
    *out_n = n;
    return 0;
}

static int give_fields_and_keys(const struct query *q, struct arena *a, Yizhan__Wire__Query *m)
{
    YZ_TRY(YZ_HEAD_LIST(a, q->fields_n, YZ_QUERY_FIELDS_MAX, &m->fields));
    m->n_fields = q->fields_n;
    for (size_t i = 0; i < q->fields_n; i++) {
        m->fields[i] = yzi_bin(q->fields[i]);
    }
    Yizhan__Wire__Key *keys;
    YZ_TRY(YZ_HEAD_LIST(a, q->keys_n, YZ_QUERY_KEYS_MAX, &m->keys));
    YZ_TRY(YZ_HEAD_LIST(a, q->keys_n, YZ_QUERY_KEYS_MAX, &keys));
    m->n_keys = q->keys_n;
    for (size_t i = 0; i < q->keys_n; i++) {
        yizhan__wire__key__init(&keys[i]);
        YZ_TRY(
            give_values(q->keys[i].parts, q->keys[i].parts_n, a, &keys[i].part, &keys[i].n_part));
        m->keys[i] = &keys[i];
    }
    return 0;
}

static int give_conditions(const struct query *q, struct arena *a, Yizhan__Wire__Query *m)
{
    Yizhan__Wire__Condition *conditions;
    YZ_TRY(YZ_HEAD_LIST(a, q->filter_n, YZ_QUERY_CONDITIONS_MAX, &m->filter));
    YZ_TRY(YZ_HEAD_LIST(a, q->filter_n, YZ_QUERY_CONDITIONS_MAX, &conditions));
    m->n_filter = q->filter_n;
    for (size_t i = 0; i < q->filter_n; i++) {
        const struct query_condition *from = &q->filter[i];
        Yizhan__Wire__Condition *to = &conditions[i];
        yizhan__wire__condition__init(to);
        to->field = yzi_bin(from->field);
        to->op = from->op;
        YZ_TRY(give_values(from->values, from->values_n, a, &to->values, &to->n_values));
        m->filter[i] = to;
    }
    return 0;
}

static int give_predicates(const struct query *q, struct arena *a, Yizhan__Wire__Query *m)
{
    Yizhan__Wire__Predicate *predicates;
    YZ_TRY(YZ_HEAD_LIST(a, q->predicates_n, YZ_QUERY_CONDITIONS_MAX, &m->predicates));
    YZ_TRY(YZ_HEAD_LIST(a, q->predicates_n, YZ_QUERY_CONDITIONS_MAX, &predicates));
    m->n_predicates = q->predicates_n;
    for (size_t i = 0; i < q->predicates_n; i++) {
        const struct query_predicate *from = &q->predicates[i];
        Yizhan__Wire__Predicate *to = &predicates[i];
        yizhan__wire__predicate__init(to);
        to->name = yzi_bin(from->name);
        YZ_TRY(give_values(from->values, from->values_n, a, &to->values, &to->n_values));
        m->predicates[i] = to;
    }
    return 0;
}

static int give_order(const struct query *q, struct arena *a, Yizhan__Wire__Query *m)
{
    Yizhan__Wire__Order *order;
    YZ_TRY(YZ_HEAD_LIST(a, q->order_n, YZ_QUERY_ORDER_MAX, &m->order));
    YZ_TRY(YZ_HEAD_LIST(a, q->order_n, YZ_QUERY_ORDER_MAX, &order));
    m->n_order = q->order_n;
    for (size_t i = 0; i < q->order_n; i++) {
        yizhan__wire__order__init(&order[i]);
        order[i].field = yzi_bin(q->order[i].field);
        order[i].has_descending = q->order[i].descending;
        order[i].descending = q->order[i].descending;
        m->order[i] = &order[i];
    }
    return 0;
}

static int give_query(const struct query *q, struct arena *a, Yizhan__Wire__Query *m)
{
    yizhan__wire__query__init(m);
    m->operation = q->operation;
    YZ_TRY(give_fields_and_keys(q, a, m));
    YZ_TRY(give_conditions(q, a, m));
    YZ_TRY(give_order(q, a, m));
    m->has_limit = q->limit > 0;
    m->limit = q->limit;
    m->has_rows = q->rows > 0;
    m->rows = q->rows;
    m->has_cursor = q->cursor.n > 0;
    m->cursor = yzi_bin(q->cursor);
    return give_predicates(q, a, m);
}

int yzi_request_head_write(const struct request_head *h, yz_buf *out)
{
    YZ_TRY(yzi_as_argument(check_head(h)));
    YZ_AUTO(yzi_arena_fini) struct arena a;
    yzi_arena_init(&a, YZ_HEAD_WRITE_ARENA);
    Yizhan__Wire__Query query;
    Yizhan__Wire__HttpRequest http = YIZHAN__WIRE__HTTP_REQUEST__INIT;
    Yizhan__Wire__RequestHead m = YIZHAN__WIRE__REQUEST_HEAD__INIT;
    m.has_user = h->user.n > 0;
    m.user = yzi_bin(h->user);
    m.has_issue = h->issue.n > 0;
    m.issue = yzi_bin(h->issue);
    m.has_consent = h->consent.n > 0;
    m.consent = yzi_bin(h->consent);
    if (h->has_query) {
        YZ_TRY(give_query(&h->query, &a, &query));
        m.query = &query;
    } else {
        http.method = yzi_bin(h->method);
        http.path = yzi_bin(h->path);
        http.n_headers = h->headers_n;
        YZ_TRY(yzi_http_headers_give(h->headers, h->headers_n, &a, &http.headers));
        m.http = &http;
    }
    return yzi_pack(&m.base, YZ_PLAIN_MAX, out);
}
