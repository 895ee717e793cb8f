/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence kept|open|bundle: what a client or an adapter keeps of its exchanges in home/kept.
 * Reading needs no daemon and disturbs none: files there are only appended to.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/table.h"
#include "base/text.h"
#include "cli/evidence.h"
#include "cli/kept.h"
#include "client/answer.h"
#include "evidence/bundle.h"

#define OPENED_MAX ((size_t)1 << 30)

static void write_named(struct json *j, const char *key, yz_bytes text)
{
    yzi_json_key(j, key);
    yzi_json_text(j, text);
}

static void write_summary(struct json *j, const struct kept_read *e, bool has_receipt)
{
    char id[YZ_UUID_TEXT], at[32];
    yzi_uuid_format(&e->request.message_id, id);
    yzi_time_format(e->x->at, at);
    yzi_json_key(j, "at");
    yzi_json_str(j, at);
    yzi_json_key(j, "message_id");
    yzi_json_str(j, id);
    yzi_json_key(j, "as");
    yzi_json_str(j, e->x->role == KEPT_CONSUMER ? "consumer" : "provider");
    write_named(j, "node", e->request.node.v);
    write_named(j, "consumer", e->request.consumer.v);
    write_named(j, "service", e->request.service.v);
    write_named(j, "purpose", e->request.purpose);
    write_named(j, "broker", e->x->broker);
    write_named(j, "answered_by", e->is_response ? e->response.node.v : e->outcome.node.v);
    yzi_json_key(j, "status");
    yzi_json_str(j, yzi_cli_kept_status(e));
    yzi_json_key(j, "receipt");
    yzi_json_bool(j, has_receipt);
}

/* -- kept -- */

/* Files are read one after the other, so what is listed is sorted at the end. */
struct line {
    uint64_t at;
    char *text;
};
struct listing {
    struct cli *c;
    struct table receipts; /* digests of requests whose receipt came later */
    struct line *lines;
    size_t n, capacity;
};

static int by_time(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int grow(struct listing *l)
{
    if (l->n < l->capacity) {
        return YZ_OK;
    }
    size_t more = l->capacity ? 2 * l->capacity : 64;
    struct line *lines = reallocarray(l->lines, more, sizeof *lines);
    YZ_ENSURE(lines, YZ_ENOMEM);
    l->lines = lines;
    l->capacity = more;
    return YZ_OK;
}

static void listing_fini(struct listing *l)
{
    yzi_table_fini(&l->receipts, NULL);
    for (size_t i = 0; i < l->n; i++) {
        free(l->lines[i].text);
    }
    free(l->lines);
}

static int write_object(const struct kept_read *e, bool has_receipt, yz_buf *out)
{
    struct json j;
    yzi_json_init(&j, out, false);
    yzi_json_object(&j);
    write_summary(&j, e, has_receipt);
    yzi_json_object_end(&j);
    return yzi_json_end(&j);
}

static int write_line(const struct kept_read *e, bool has_receipt, yz_buf *out)
{
    char id[YZ_UUID_TEXT], at[32];
    yzi_uuid_format(&e->request.message_id, id);
    return yzi_buf_printf(out, "%s  %s  %s  %.*s -> %.*s  %s%s", yzi_cli_time_text(e->x->at, at),
                          id, e->x->role == KEPT_CONSUMER ? "asked   " : "answered",
                          CLI_V(e->request.consumer.v), CLI_V(e->request.service.v),
                          yzi_cli_kept_status(e), has_receipt ? "" : "  (no receipt)");
}

static int note_receipt(void *ctx, const struct kept_record *r)
{
    static int there;
    struct listing *l = ctx;
    if (!r->is_receipt) {
        return YZ_OK;
    }
    int rc = yzi_table_put(&l->receipts, yzi_bytes_digest(&r->request_digest), &there);
    return rc == YZ_EEXIST ? YZ_OK : rc;
}

static int list_one(void *ctx, const struct kept_record *r)
{
    struct listing *l = ctx;
    struct kept_read e;
    if (r->is_receipt) {
        return YZ_OK;
    }
    YZ_TRY(yzi_cli_kept_read(&r->exchange, &e));
    bool has_receipt = r->exchange.receipt.n > 0 ||
                       yzi_table_get(&l->receipts, yzi_bytes_digest(&r->request_digest));
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 16u * YZ_ID_MAX);
    YZ_TRY(yzi_cli_json(l->c) ? write_object(&e, has_receipt, &text)
                              : write_line(&e, has_receipt, &text));
    YZ_TRY(grow(l));
    l->lines[l->n].at = r->exchange.at;
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes_buf(&text), &l->lines[l->n].text));
    l->n++;
    return YZ_OK;
}

static void print_lines(struct listing *l)
{
    bool json = yzi_cli_json(l->c);
    if (l->n) {
        qsort(l->lines, l->n, sizeof *l->lines, by_time);
    }
    yzi_cli_say(l->c, "%s", json ? "[\n" : "");
    for (size_t i = 0; i < l->n; i++) {
        yzi_cli_say(l->c, "%s%s\n", l->lines[i].text, json && i + 1 < l->n ? "," : "");
    }
    yzi_cli_say(l->c, "%s", json ? "]\n" : "");
}

static int list_all(struct listing *l, const char *dir)
{
    struct cli *c = l->c;
    const char *from = yzi_cli_option(c, "from"), *to = yzi_cli_option(c, "to");
    struct kept_summary sum = {0};
    YZ_TRY(yzi_kept_each(dir, from, NULL, note_receipt, l, NULL, yzi_cli_error(c)));
    YZ_TRY(yzi_kept_each(dir, from, to, list_one, l, &sum, yzi_cli_error(c)));
    print_lines(l);
    if (!yzi_cli_json(c)) {
        yzi_cli_say(c, "exchanges: %zu, days: %llu\n", l->n, (unsigned long long)sum.days);
    }
    if (sum.torn) {
        fprintf(stderr, "yz: %u files end within a record: a process died while writing it\n",
                sum.torn);
    }
    return YZ_OK;
}

int yzi_evidence_kept_run(struct cli *c)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    struct listing l = {.c = c};
    YZ_TRY(yzi_cli_kept_dir(c, &dir));
    int rc = list_all(&l, dir);
    listing_fini(&l);
    if (rc == YZ_ECORRUPT) {
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
    }
    return rc;
}

/* -- bundle -- */

static int make_bundle(struct cli *c, yz_buf *out)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    yz_uuid id;
    YZ_TRY(yzi_cli_kept_dir(c, &dir));
    if (yzi_uuid_parse(yzi_cli_arg(c, 0), &id) < 0) {
        return yzi_cli_usage(c, "\"%s\" is no message id: yz evidence kept lists them",
                             yzi_cli_arg(c, 0));
    }
    int rc = yzi_evidence_bundle_make(dir, &id, out, yzi_cli_error(c));
    if (rc == YZ_ECORRUPT) {
        yzi_cli_exit_with(c, EXIT_UNVERIFIED);
    }
    return rc;
}

int yzi_evidence_bundle_run(struct cli *c)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf bundle;
    const char *file = yzi_cli_option(c, "out");
    yzi_buf_init(&bundle, EVIDENCE_BUNDLE_MAX);
    YZ_TRY(make_bundle(c, &bundle));
    YZ_TRY(yzi_file_create(file, yzi_bytes_buf(&bundle), 0600, yzi_cli_error(c)));
    yzi_cli_say(c,
                "%s: the exchange with all that proves it, contents included; whoever has it reads "
                "them. Check it with: yz evidence verify --anchor FILE %s\n",
                file, file);
    return YZ_OK;
}

/* -- open -- */

static void write_values(struct json *j, const char *key, const struct query_value *v, size_t n)
{
    yzi_json_key(j, key);
    yzi_json_array(j);
    for (size_t i = 0; i < n; i++) {
        if (v[i].null) {
            yzi_json_null(j);
        } else if (yzi_utf8_is_valid(v[i].v)) {
            yzi_json_text(j, v[i].v);
        } else {
            yzi_json_hex(j, v[i].v);
        }
    }
    yzi_json_array_end(j);
}

static void write_query(struct json *j, const struct query *q)
{
    yzi_json_key(j, "operation");
    yzi_json_str(j, yzi_operation_name(q->operation));
    yzi_json_key(j, "fields");
    yzi_json_array(j);
    for (size_t i = 0; i < q->fields_n; i++) {
        yzi_json_text(j, q->fields[i]);
    }
    yzi_json_array_end(j);
    yzi_json_key(j, "keys");
    yzi_json_array(j);
    for (size_t i = 0; i < q->keys_n; i++) {
        yzi_json_object(j);
        write_values(j, "parts", q->keys[i].parts, q->keys[i].parts_n);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    yzi_json_key(j, "where");
    yzi_json_array(j);
    for (size_t i = 0; i < q->filter_n; i++) {
        yzi_json_object(j);
        write_named(j, "field", q->filter[i].field);
        yzi_json_key(j, "op");
        yzi_json_str(j, yzi_op_name(q->filter[i].op));
        write_values(j, "values", q->filter[i].values, q->filter[i].values_n);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static int write_request(struct json *j, const struct plain *plain)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct request_head head;
    yzi_arena_init(&arena, YZ_MESSAGE_MAX);
    YZ_TRY(yzi_request_head_parse(plain->head, &arena, &head));
    write_named(j, "user", head.user);
    write_named(j, "issue", head.issue);
    write_named(j, "consent", head.consent);
    if (head.has_query) {
        write_query(j, &head.query);
    } else {
        write_named(j, "method", head.method);
        write_named(j, "path", head.path);
    }
    return j->rc;
}

/* The rows as yz call would show them, a JSON text of its own. */
static int answer_json(const struct kept_read *e, yz_buf *padded, const struct plain *plain,
                       enum yz_evidence evidence, char **out, yz_error *err)
{
    YZ_AUTO(yzi_answer_free_ptr) yz_answer *answer = NULL;
    YZ_TRY(yzi_answer_of_provider(&e->response, plain, padded, &answer, err));
    answer->kept = true;
    answer->evidence = evidence;
    return yz_answer_json(answer, 1, out);
}

static int opened(struct cli *c, yz_bytes kept, const yz_digest *commitment, const char *what,
                  yz_buf *padded, struct plain *out)
{
    if (!kept.n) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "the content of the %s was not kept", what);
    }
    int rc = yzi_evidence_open(kept, commitment, padded, out);
    return rc == YZ_OK || rc == YZ_ENOMEM
               ? rc
               : yzi_evidence_unverified(c, YZ_ESIGNATURE,
                                         "the content kept of the %s is not what was signed: it "
                                         "does not open the commitment in the header",
                                         what);
}

static int open_answer(struct cli *c, const struct kept_read *e, enum yz_evidence evidence)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf padded = {0};
    YZ_AUTO(yzi_free_ptr) char *text = NULL;
    struct plain plain;
    if (!e->is_response) {
        yzi_cli_say(c, "  \"answer\": null\n}\n");
        return YZ_OK;
    }
    YZ_TRY(
        opened(c, e->x->answer_plain, &e->response.content_commitment, "answer", &padded, &plain));
    YZ_TRY(answer_json(e, &padded, &plain, evidence, &text, yzi_cli_error(c)));
    yzi_cli_say(c, "  \"answer\": %s\n}\n", text);
    return YZ_OK;
}

static int open_all(struct cli *c, const struct kept_read *e, enum yz_evidence evidence)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf padded = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf out;
    struct plain plain;
    struct json j;
    yzi_buf_init(&out, OPENED_MAX);
    yzi_json_init(&j, &out, true);
    YZ_TRY(
        opened(c, e->x->request_plain, &e->request.content_commitment, "request", &padded, &plain));
    yzi_json_object(&j);
    write_summary(&j, e, evidence != YZ_EVIDENCE_MISSING);
    yzi_json_key(&j, "request");
    yzi_json_object(&j);
    YZ_TRY(write_request(&j, &plain));
    yzi_json_object_end(&j);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    YZ_ASSERT(out.n > 2);
    yzi_cli_write(c, yzi_bytes(out.p, out.n - 2)); /* the answer goes into the object's end */
    yzi_cli_say(c, ",\n");
    return open_answer(c, e, evidence);
}

/* By the bundle's own root statement: whether it follows from the anchor is for `verify`. */
static enum yz_evidence evidence_of(const struct evidence_bundle *b, yz_bytes bundle)
{
    YZ_AUTO(yzi_buf_fini) yz_buf report;
    const struct evidence_trust trust = {{0}, NULL};
    yzi_buf_init(&report, 1 << 20);
    if (!b->receipt.n) {
        return YZ_EVIDENCE_MISSING;
    }
    return yzi_evidence_bundle_verify(bundle, &trust, &report, NULL) == YZ_OK ? YZ_EVIDENCE_PROVED
                                                                              : YZ_EVIDENCE_FALSE;
}

int yzi_evidence_open_run(struct cli *c)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf bundle;
    struct evidence_bundle b;
    struct kept_read e;
    yzi_buf_init(&bundle, EVIDENCE_BUNDLE_MAX);
    YZ_TRY(make_bundle(c, &bundle));
    YZ_TRY(yzi_evidence_bundle_parse(yzi_bytes_buf(&bundle), &b));
    YZ_TRY(yzi_cli_kept_read(&b.kept.exchange, &e));
    return open_all(c, &e, evidence_of(&b, yzi_bytes_buf(&bundle)));
}

#define HOME                                                                                       \
    {                                                                                              \
        "home", "DIR", "The home of a client or an adapter", true, false                           \
    }
const struct cli_option yzi_evidence_kept_options[] = {
    HOME,
    {"from", "DAY", "The first day, 2026-11-23", false, false},
    {"to", "DAY", "The last day", false, false},
    {0}};
const struct cli_option yzi_evidence_open_options[] = {HOME, {0}};
const struct cli_option yzi_evidence_bundle_options[] = {
    HOME, {"out", "FILE", "Write it there", true, false}, {0}};
