/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that insert, put and delete: rows, and what belongs to which operation.
 */
#include "client/request.h"

int yz_request_add_row(yz_request *request, const yz_value *values, size_t n)
{
    YZ_ENSURE(request && values && n > 0 && n <= YZ_QUERY_FIELDS_MAX, YZ_EINVAL);
    YZ_ENSURE(request->rows_n == 0 || request->columns_n == n, YZ_EINVAL);
    for (size_t i = 0; i < n; i++) {
        YZ_ENSURE(values[i].n <= YZ_VALUE_MAX && (values[i].p || values[i].n == 0), YZ_EINVAL);
    }
    YZ_ENSURE(request->rows_n < YZ_QUERY_ROWS_MAX, YZ_ELIMIT);
    size_t before = request->rows.n;
    for (size_t i = 0; i < n; i++) {
        struct query_value v = {.null = !values[i].p, .v = yzi_bytes(values[i].p, values[i].n)};
        int rc = yzi_row_put(&request->rows, &v);
        if (rc < 0) {
            request->rows.n = before;
            return rc;
        }
    }
    request->columns_n = n;
    request->rows_n++;
    return YZ_OK;
}

/* -- for the engine -- */

bool yzi_request_writes(const yz_request *r)
{
    return r->operation && yzi_operation_writes(r->operation);
}

int yzi_request_check_write(const yz_request *r, yz_error *err)
{
    bool rows = yzi_operation_brings_rows(r->operation);
    if (r->conditions_n || r->order_n || r->cursor.n || r->limit || r->predicates_n) {
        return yzi_fail(
            err, YZ_EINVAL,
            "what changes records has no conditions, questions, order, limit or cursor");
    }
    if (rows && (r->rows_n == 0 || r->keys_n)) {
        return yzi_fail(err, YZ_EINVAL,
                        "an insert or a put has rows (yz_request_add_row), and no "
                        "keys");
    }
    if (rows && r->columns_n != r->fields_n) {
        return yzi_fail(err, YZ_EINVAL, "the rows have %zu values, and %zu fields are named",
                        r->columns_n, r->fields_n);
    }
    if (!rows && (r->keys_n == 0 || r->rows_n || r->fields_n)) {
        return yzi_fail(err, YZ_EINVAL, "a delete has keys, and neither fields nor rows");
    }
    return YZ_OK;
}
