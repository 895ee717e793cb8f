/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_plain_parse, yzi_plain_write, yzi_plain_commitment, yzi_request_head_parse,
 * yzi_request_head_write, yzi_answer_head_parse, yzi_answer_head_write, yzi_row_next, yzi_row_put,
 * yzi_rows_check, yzi_query_body_check, yzi_prescan, yzi_unpack.
 *
 * The input is a plaintext with whatever its type says inside; also a request head, an answer head
 * and rows, each alone.
 */
#include "proto/payload.h"
#include "proto/payload.pb-c.h"
#include "tests/fuzz/agree.h"

#define ARENA_MAX (32u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_refusal(int rc)
{
    YZ_ASSERT(yz_err_class(rc) == YZ_CLASS_PROTOCOL || rc == YZ_ELIMIT);
}

/* As many values as it says, and nothing else. */
static void check_body(yz_bytes body, const struct query *q)
{
    uint64_t values = 0;
    yz_reader r = yzi_reader(body);
    struct query_value v;
    while (yzi_row_next(&r, &v) == 0) {
        values++;
    }
    bool right = r.left == 0 && values == (uint64_t)q->rows * q->fields_n;
    YZ_ASSERT((yzi_query_body_check(body, q) == 0) == right);
}

static void check_request(yz_bytes in, yz_bytes body)
{
    YZ_AUTO(yzi_arena_fini) struct arena a;
    YZ_AUTO(yzi_buf_fini) yz_buf once = {.max = YZ_PLAIN_MAX}, twice = {.max = YZ_PLAIN_MAX};
    struct request_head h;
    yzi_arena_init(&a, ARENA_MAX);
    int rc = yzi_request_head_parse(in, &a, &h);
    if (rc < 0) {
        is_refusal(rc);
        return;
    }
    if (h.has_query) {
        check_body(body, &h.query);
    }
    YZ_ASSERT(yzi_request_head_write(&h, &once) == 0);
    yz_fuzz_agree(&yizhan__wire__request_head__descriptor, in, yzi_bytes_buf(&once));
    YZ_ASSERT(yzi_request_head_parse(yzi_bytes_buf(&once), &a, &h) == 0);
    YZ_ASSERT(yzi_request_head_write(&h, &twice) == 0);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&once), yzi_bytes_buf(&twice)));
}

static void check_rows(yz_bytes body, const struct answer_head *h)
{
    uint64_t values = 0;
    yz_reader r = yzi_reader(body);
    struct query_value v;
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = YZ_PLAIN_MAX};
    while (yzi_row_next(&r, &v) == 0) {
        YZ_ASSERT(yzi_row_put(&again, &v) == 0);
        values++;
    }
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&again), yzi_bytes(body.p, body.n - r.left)));
    bool right = r.left == 0 && values == (uint64_t)h->rows * h->fields_n &&
                 (h->rows == 0 || h->fields_n > 0);
    YZ_ASSERT((yzi_rows_check(body, h) == 0) == right);
}

static void check_answer(yz_bytes in, yz_bytes body)
{
    YZ_AUTO(yzi_arena_fini) struct arena a;
    YZ_AUTO(yzi_buf_fini) yz_buf once = {.max = YZ_PLAIN_MAX}, twice = {.max = YZ_PLAIN_MAX};
    struct answer_head h;
    yzi_arena_init(&a, ARENA_MAX);
    int rc = yzi_answer_head_parse(in, &a, &h);
    if (rc < 0) {
        is_refusal(rc);
        return;
    }
    check_rows(body, &h);
    YZ_ASSERT(yzi_answer_head_write(&h, &once) == 0);
    yz_fuzz_agree(&yizhan__wire__answer_head__descriptor, in, yzi_bytes_buf(&once));
    YZ_ASSERT(yzi_answer_head_parse(yzi_bytes_buf(&once), &a, &h) == 0);
    YZ_ASSERT(yzi_answer_head_write(&h, &twice) == 0);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&once), yzi_bytes_buf(&twice)));
}

static void check_plain(yz_bytes in)
{
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = YZ_PLAIN_MAX};
    struct plain p;
    yz_digest commitment;
    int rc = yzi_plain_parse(in, &p);
    if (rc < 0) {
        YZ_ASSERT(rc == YZ_EMALFORMED);
        return;
    }
    YZ_ASSERT(yzi_plain_write(p.type, p.head, p.body, &again) == 0);
    YZ_ASSERT(again.n == in.n);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes(again.p + YZ_SALT_BYTES, again.n - YZ_SALT_BYTES),
                           yzi_bytes(in.p + YZ_SALT_BYTES, in.n - YZ_SALT_BYTES)));
    yzi_plain_commitment(&p, &commitment);
    if (p.type == PLAIN_QUERY || p.type == PLAIN_HTTP) {
        check_request(p.head, p.body);
    } else {
        check_answer(p.head, p.body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_bytes in = yzi_bytes(data, size);
    struct answer_head shape = {.rows = (uint32_t)(size % 5), .fields_n = 2};
    check_plain(in);
    check_request(in, (yz_bytes){0});
    check_answer(in, (yz_bytes){0});
    check_rows(in, &shape);
    return 0;
}
