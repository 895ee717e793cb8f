/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that find, count and match: conditions, order, pages, questions. What is checked is the
 * form; whether a field exists, may be used and has an index is the provider's to say.
 */
#include "client/request.h"

#include "base/text.h"
#include "proto/check.h"

_Static_assert((int)YZ_GET == QUERY_GET && (int)YZ_FIND == QUERY_FIND &&
                   (int)YZ_COUNT == QUERY_COUNT && (int)YZ_MATCH == QUERY_MATCH &&
                   (int)YZ_INSERT == QUERY_INSERT && (int)YZ_PUT == QUERY_PUT &&
                   (int)YZ_DELETE == QUERY_DELETE && (int)YZ_EQUAL == OP_EQ &&
                   (int)YZ_IN == OP_IN && (int)YZ_PREFIX == OP_PREFIX &&
                   (int)YZ_AT_LEAST == OP_GE && (int)YZ_ABOVE == OP_GT &&
                   (int)YZ_AT_MOST == OP_LE && (int)YZ_BELOW == OP_LT,
               "the public numbers are the wire's");

int yz_request_set_operation(yz_request *request, enum yz_operation operation)
{
    YZ_ENSURE(request && operation >= YZ_GET && operation <= YZ_DELETE, YZ_EINVAL);
    request->operation = (enum query_operation)operation;
    return YZ_OK;
}

/* NULL is no value. */
static int take_values(yz_request *r, const char *const *values, size_t n, struct query_value *out)
{
    for (size_t i = 0; i < n; i++) {
        if (!values[i]) {
            out[i].null = true;
            continue;
        }
        yz_bytes text = yzi_bytes_str(values[i]);
        YZ_ENSURE(text.n <= YZ_VALUE_MAX && yzi_utf8_is_valid(text), YZ_EINVAL);
        YZ_TRY(yzi_arena_dup(&r->arena, text, &out[i].v));
    }
    return YZ_OK;
}

int yz_request_add_condition(yz_request *request, const char *field, enum yz_condition condition,
                             const char *const *values, size_t n)
{
    YZ_ENSURE(request && field && values && n >= 1, YZ_EINVAL);
    YZ_ENSURE(condition >= YZ_EQUAL && condition <= YZ_BELOW, YZ_EINVAL);
    YZ_ENSURE(n == 1 || condition == YZ_IN, YZ_EINVAL);
    YZ_ENSURE(yzi_check_text(yzi_bytes_str(field), YZ_NAME_MAX) == 0, YZ_EINVAL);
    YZ_ENSURE(n <= YZ_QUERY_VALUES_MAX && request->conditions_n < YZ_QUERY_CONDITIONS_MAX,
              YZ_ELIMIT);
    struct query_condition c = {.op = (enum query_op)condition, .values_n = n};
    YZ_TRY(yzi_arena_new(&request->arena, n, sizeof *c.values, &c.values));
    YZ_TRY(take_values(request, values, n, c.values));
    YZ_TRY(yzi_arena_dup(&request->arena, yzi_bytes_str(field), &c.field));
    request->conditions[request->conditions_n++] = c;
    return YZ_OK;
}

int yz_request_add_predicate(yz_request *request, const char *name, const char *const *values,
                             size_t n)
{
    YZ_ENSURE(request && name && n <= 1 && (n == 0 || (values && values[0])), YZ_EINVAL);
    YZ_ENSURE(yzi_check_text(yzi_bytes_str(name), YZ_NAME_MAX) == 0, YZ_EINVAL);
    YZ_ENSURE(request->predicates_n < REQUEST_PREDICATES_MAX, YZ_ELIMIT);
    struct query_predicate p = {.values_n = n};
    YZ_TRY(yzi_arena_new(&request->arena, n, sizeof *p.values, &p.values));
    YZ_TRY(take_values(request, values, n, p.values));
    YZ_TRY(yzi_arena_dup(&request->arena, yzi_bytes_str(name), &p.name));
    request->predicates[request->predicates_n++] = p;
    return YZ_OK;
}

int yz_request_add_order(yz_request *request, const char *field, int descending)
{
    YZ_ENSURE(request && field, YZ_EINVAL);
    yz_bytes name = yzi_bytes_str(field);
    YZ_ENSURE(yzi_check_text(name, YZ_NAME_MAX) == 0, YZ_EINVAL);
    YZ_ENSURE(request->order_n < YZ_QUERY_ORDER_MAX, YZ_ELIMIT);
    struct query_order *o = &request->order[request->order_n];
    YZ_TRY(yzi_arena_dup(&request->arena, name, &o->field));
    o->descending = descending != 0;
    request->order_n++;
    return YZ_OK;
}

int yz_request_set_limit(yz_request *request, uint32_t rows)
{
    YZ_ENSURE(request, YZ_EINVAL);
    request->limit = rows;
    return YZ_OK;
}

/* A cursor as the library gives it out: node length u16 ‖ node ‖ what the adapter gave, in base64.
 */
static int split_cursor(yz_bytes text, yz_bytes *node, yz_bytes *cursor)
{
    yz_reader r = yzi_reader(text);
    uint16_t n;
    YZ_ENSURE(yzi_read_u16(&r, &n) == 0 && n > 0 && n <= YZ_ID_MAX, YZ_EINVAL);
    YZ_ENSURE(yzi_read_bytes(&r, n, node) == 0, YZ_EINVAL);
    YZ_ENSURE(r.left > 0 && r.left <= YZ_CURSOR_MAX, YZ_EINVAL);
    return yzi_read_bytes(&r, r.left, cursor);
}

int yz_request_set_cursor(yz_request *request, const char *cursor)
{
    YZ_ENSURE(request && cursor, YZ_EINVAL);
    YZ_AUTO(yzi_buf_fini) yz_buf bytes = {0};
    yz_bytes node, sealed;
    yzi_buf_init(&bytes, 2 + YZ_ID_MAX + YZ_CURSOR_MAX);
    int rc = yzi_base64_decode(yzi_bytes_str(cursor), &bytes);
    YZ_ENSURE(rc != YZ_EMALFORMED && rc != YZ_ELIMIT, YZ_EINVAL);
    YZ_TRY(rc);
    if (bytes.n == 0) {
        request->cursor = request->cursor_node = (yz_bytes){0};
        return YZ_OK;
    }
    YZ_TRY(split_cursor(yzi_bytes_buf(&bytes), &node, &sealed));
    YZ_TRY(yzi_arena_dup(&request->arena, node, &node));
    YZ_TRY(yzi_arena_dup(&request->arena, sealed, &request->cursor));
    request->cursor_node = node;
    return YZ_OK;
}

/* -- for the engine -- */

static int check_get(const yz_request *r, yz_error *err)
{
    if (r->keys_n == 0) {
        return yzi_fail(err, YZ_EINVAL,
                        "the request names no key: call yz_request_add_key, or make it a find or "
                        "a count (yz_request_set_operation)");
    }
    if (r->conditions_n || r->order_n || r->cursor.n) {
        return yzi_fail(err, YZ_EINVAL, "a get has keys, and no conditions, order or cursor");
    }
    return YZ_OK;
}

static int check_match(const yz_request *r, yz_error *err)
{
    if (r->keys_n != 1 || r->predicates_n == 0) {
        return yzi_fail(err, YZ_EINVAL,
                        "a match has one key and at least one question (yz_request_add_predicate)");
    }
    if (r->conditions_n || r->order_n || r->cursor.n || r->limit || r->fields_n) {
        return yzi_fail(err, YZ_EINVAL,
                        "a match has no fields, conditions, order, limit or cursor");
    }
    return YZ_OK;
}

static int check_parts(const yz_request *r, enum query_operation operation, yz_error *err)
{
    if (yzi_operation_writes(operation)) {
        return yzi_request_check_write(r, err);
    }
    if (r->rows_n) {
        return yzi_fail(err, YZ_EINVAL, "rows are for an insert or a put");
    }
    if (operation == QUERY_MATCH) {
        return check_match(r, err);
    }
    if (r->predicates_n) {
        return yzi_fail(err, YZ_EINVAL, "questions are for a match (yz_request_set_operation)");
    }
    if (operation == QUERY_GET) {
        return check_get(r, err);
    }
    if (r->keys_n) {
        return yzi_fail(err, YZ_EINVAL, "a find or a count has conditions, and no keys");
    }
    if (operation == QUERY_COUNT && (r->order_n || r->cursor.n || r->fields_n || r->limit)) {
        return yzi_fail(err, YZ_EINVAL, "a count has no fields, order, limit or cursor");
    }
    if (operation == QUERY_FIND && r->conditions_n == 0 && r->order_n == 0) {
        return yzi_fail(err, YZ_EINVAL,
                        "a find names a condition, or the order to go through all records in");
    }
    return YZ_OK;
}

int yzi_request_query(yz_request *r, struct query *out, yz_error *err)
{
    enum query_operation operation = r->operation ? r->operation : QUERY_GET;
    YZ_TRY(check_parts(r, operation, err));
    *out = (struct query){.operation = operation,
                          .fields = r->fields,
                          .fields_n = r->fields_n,
                          .keys = r->keys,
                          .keys_n = r->keys_n,
                          .filter = r->conditions,
                          .filter_n = r->conditions_n,
                          .predicates = r->predicates,
                          .predicates_n = r->predicates_n,
                          .order = r->order,
                          .order_n = r->order_n,
                          .limit = r->limit,
                          .cursor = r->cursor,
                          .rows = r->rows_n};
    return YZ_OK;
}
