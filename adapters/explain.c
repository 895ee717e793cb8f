/* SPDX-License-Identifier: Apache-2.0
 *
 * data.explain: run a find or count for the owner of the data and tell how it was served, without
 * its rows. Only over the administration socket: which indexes there are, and how many entries a
 * question meets, is more than a consumer is told. It runs on the link thread, bounded in entries
 * as any query and shorter in time.
 */
#include "adapters/adapter.h"
#include "adapters/dataset/find.h"
#include "base/json.h"

#define ARENA_MAX (8u * 1024u * 1024u)
#define ROWS_BYTES (1u << 20)
#define POSITION_MAX 2048u
#define EXPLAIN_MS 500u
#define REPLY_MAX (64u * 1024u)

static void put_u64(struct json *j, const char *key, uint64_t v)
{
    yzi_json_key(j, key);
    yzi_json_u64(j, v);
}

static void put_str(struct json *j, const char *key, const char *v)
{
    yzi_json_key(j, key);
    yzi_json_str(j, v);
}

static int write_note(const struct query *q, const struct find_result *r, yz_buf *out)
{
    const struct query_plan_note *note = &r->note;
    struct json j;
    yzi_json_init(&j, out, true);
    yzi_json_object(&j);
    put_str(&j, "index", note->index);
    put_u64(&j, "conditions", q->filter_n);
    put_u64(&j, "served_by_index", note->served);
    put_u64(&j, "ranges", note->ranges);
    yzi_json_key(&j, "backward");
    yzi_json_bool(&j, note->backward);
    put_u64(&j, "entries", note->entries);
    put_u64(&j, "records_read", note->records);
    put_u64(&j, "matches", r->total);
    yzi_json_key(&j, "more");
    yzi_json_bool(&j, r->more);
    yzi_json_object_end(&j);
    return yzi_json_end(&j);
}

static void unref(const struct dataset **d)
{
    yzi_dataset_unref(*d);
}

static int run(struct adapter *a, struct store *s, const struct query *q, yz_buf *out,
               yz_error *err)
{
    const struct adapter_limits *limits = &a->config->limits;
    struct query_limits bounds = {.rows = (uint32_t)limits->rows,
                                  .bytes = ROWS_BYTES,
                                  .entries = limits->entries,
                                  .deadline_mono_ms = yzi_mono_ms(a->clock) + EXPLAIN_MS};
    static const unsigned key_only[] = {0};
    YZ_AUTO(unref) const struct dataset *d = yzi_store_ref_dataset(s);
    struct find_question question = {d,       q,   key_only, q->operation == QUERY_FIND,
                                     &bounds, {0}, NULL};
    struct find_result result;
    struct query_fault fault = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf rows = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf position = {0};
    yzi_buf_init(&rows, 2 * ROWS_BYTES);
    yzi_buf_init(&position, POSITION_MAX);
    int rc = yzi_store_find(s, &question, &rows, &position, &result, &fault);
    if (rc == YZ_EINVAL || rc == YZ_ETOOBIG) {
        return yzi_fail(err, rc, "%s: %s", fault.reason, fault.detail);
    }
    if (rc == YZ_ETIMEOUT) {
        return yzi_fail(err, rc, "it takes longer than %u ms", EXPLAIN_MS);
    }
    return rc < 0 ? yzi_fail(err, rc, "%s", yz_err_words(rc)) : write_note(q, &result, out);
}

static int explain(struct adapter *a, const struct admin_request *q, yz_bytes payload, yz_buf *out,
                   yz_error *err)
{
    yz_bytes name = yzi_admin_arg(q, "dataset");
    struct store *s = yzi_adapter_store(a, name);
    if (!s) {
        return yzi_fail(err, YZ_ENOTFOUND, "this adapter holds no data set '%.*s'", (int)name.n,
                        (const char *)name.p);
    }
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct request_head head;
    yzi_arena_init(&arena, ARENA_MAX);
    int rc = yzi_request_head_parse(payload, &arena, &head);
    if (rc < 0 || !head.has_query || head.query.cursor.n) {
        return yzi_fail(err, YZ_EMALFORMED, "the payload is not a query without a cursor");
    }
    return run(a, s, &head.query, out, err);
}

void yzi_adapter_explain(struct adapter *a, struct admin_call *call, const struct admin_request *q,
                         yz_bytes payload)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_error err = {0};
    yzi_buf_init(&out, REPLY_MAX);
    int rc = explain(a, q, payload, &out, &err);
    yzi_admin_reply(call, true, rc, rc < 0 ? yzi_bytes_str(err.text) : (yz_bytes){0},
                    rc < 0 ? (yz_bytes){0} : yzi_bytes_buf(&out));
}
