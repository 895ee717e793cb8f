/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptions of requests, read into what is decided on. From a file a fault names its place, from
 * the command line it is a wrong use of it; from a kept exchange there are none, the request was
 * made.
 */
#include "cli/described.h"

#include "cli/kept.h"
#include "cli/where.h"

/* -- parts of a query -- */

static int names_of(struct cli *c, const struct config_list *from, yz_bytes **out, size_t *out_n)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), from->n, sizeof **out, out));
    for (size_t i = 0; i < from->n; i++) {
        (*out)[i] = yzi_bytes_str(from->items[i]);
    }
    *out_n = from->n;
    return YZ_OK;
}

static int values_of(struct cli *c, const char *const *words, size_t n, struct query_value **out)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) {
        (*out)[i] = (struct query_value){.null = words[i] == NULL, .v = yzi_bytes_str(words[i])};
    }
    return YZ_OK;
}

static int read_keys(struct cli *c, const struct described *d, struct query *q)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), d->keys.n, sizeof *q->keys, &q->keys));
    for (size_t i = 0; i < d->keys.n; i++) {
        const char **words;
        size_t n;
        YZ_TRY(yzi_cli_words(c, d->keys.items[i], &words, &n));
        YZ_TRY(values_of(c, words, n, &q->keys[i].parts));
        q->keys[i].parts_n = n;
    }
    q->keys_n = d->keys.n;
    return YZ_OK;
}

static int read_where(struct cli *c, const struct described *d, struct query *q)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), d->where.n, sizeof *q->filter, &q->filter));
    for (size_t i = 0; i < d->where.n; i++) {
        struct cli_where w;
        struct query_condition *to = &q->filter[i];
        YZ_TRY(yzi_cli_where(c, d->where.items[i], &w));
        *to = (struct query_condition){yzi_bytes_str(w.field), w.op, NULL, w.values_n};
        YZ_TRY(values_of(c, w.values, w.values_n, &to->values));
    }
    q->filter_n = d->where.n;
    return YZ_OK;
}

static int read_order(struct cli *c, const struct described *d, struct query *q)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), d->order.n, sizeof *q->order, &q->order));
    for (size_t i = 0; i < d->order.n; i++) {
        bool descending = d->order.items[i][0] == '-';
        q->order[i] =
            (struct query_order){yzi_bytes_str(d->order.items[i] + descending), descending};
    }
    q->order_n = d->order.n;
    return YZ_OK;
}

/* "name" or "name=value". */
static int read_predicates(struct cli *c, const struct described *d, struct query *q)
{
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), d->predicates.n, sizeof *q->predicates, &q->predicates));
    for (size_t i = 0; i < d->predicates.n; i++) {
        const char *text = d->predicates.items[i], *value = strchr(text, '=');
        struct query_predicate *to = &q->predicates[i];
        to->name = yzi_bytes(text, value ? (size_t)(value - text) : strlen(text));
        if (value) {
            value++;
            YZ_TRY(values_of(c, &value, 1, &to->values));
            to->values_n = 1;
        }
    }
    q->predicates_n = d->predicates.n;
    return YZ_OK;
}

/* Left out, it is what the rest is of. */
static int read_operation(struct cli *c, const struct described *d, struct query *q)
{
    unsigned operation = d->predicates.n           ? QUERY_MATCH
                         : d->where.n + d->order.n ? QUERY_FIND
                                                   : QUERY_GET;
    if (d->operation && yzi_operation_parse(d->operation, &operation) < 0) {
        return yzi_cli_usage(c,
                             "operation '%s' is none of get, find, count, match, insert, put and "
                             "delete",
                             d->operation);
    }
    q->operation = (enum query_operation)operation;
    return YZ_OK;
}

static int read_query(struct cli *c, const struct described *d, struct query *q)
{
    YZ_TRY(read_operation(c, d, q));
    YZ_TRY(names_of(c, &d->fields, &q->fields, &q->fields_n));
    YZ_TRY(read_keys(c, d, q));
    YZ_TRY(read_where(c, d, q));
    YZ_TRY(read_order(c, d, q));
    YZ_TRY(read_predicates(c, d, q));
    if (q->keys_n > YZ_QUERY_KEYS_MAX || q->filter_n > YZ_QUERY_CONDITIONS_MAX ||
        q->order_n > YZ_QUERY_ORDER_MAX || q->predicates_n > YZ_QUERY_CONDITIONS_MAX ||
        q->fields_n > YZ_QUERY_FIELDS_MAX) {
        return yzi_cli_usage(c, "that is not a query: a list is too long");
    }
    return YZ_OK;
}

/* -- the whole -- */

static int read_all(struct cli *c, const struct described *d, struct asked *out)
{
    struct access_question *q = &out->question;
    if (!d->service || !d->consumer) {
        return yzi_cli_usage(c, "%s is needed: %s", d->service ? "the consumer" : "the service",
                             d->service ? "who asks?" : "what is asked?");
    }
    YZ_TRY(yzi_cli_service_id(c, d->service, &q->service));
    YZ_TRY(yzi_cli_subsystem_id(c, d->consumer, &q->consumer));
    q->purpose = yzi_bytes_str(d->purpose);
    q->evidenced = d->evidenced;
    q->now = yzi_home_now();
    YZ_TRY(d->at ? yzi_cli_time(c, "at", d->at, &q->now) : YZ_OK);
    YZ_TRY(read_query(c, d, &out->query));
    q->query = &out->query;
    return YZ_OK;
}

int yzi_described_read(struct cli *c, const struct described *d, const char *file,
                       struct asked *out)
{
    *out = (struct asked){0};
    int rc = read_all(c, d, out);
    if (rc == YZ_EINVAL && file) {
        yz_error e = *yzi_cli_error(c);
        return yzi_config_fault(yzi_cli_error(c), file, d->place, "%s", e.text);
    }
    return rc;
}

/* -- given -- */

static struct config_list list_of(struct cli *c, const char *option)
{
    struct config_list l;
    l.items = (const char **)(uintptr_t)yzi_cli_options(c, option, &l.n);
    return l;
}

static int from_options(struct cli *c, struct asked *out)
{
    const struct described d = {.service = yzi_cli_option(c, "service"),
                                .consumer = yzi_cli_option(c, "consumer"),
                                .operation = yzi_cli_option(c, "operation"),
                                .purpose = yzi_cli_option(c, "purpose"),
                                .at = yzi_cli_option(c, "at"),
                                .fields = list_of(c, "field"),
                                .keys = list_of(c, "key"),
                                .where = list_of(c, "where"),
                                .order = list_of(c, "order"),
                                .predicates = list_of(c, "predicate"),
                                .evidenced = !yzi_cli_flag(c, "unevidenced")};
    return yzi_described_read(c, &d, NULL, out);
}

struct request_file {
    unsigned first; /* no field with a place is the first */
    struct described request;
};
static const struct config_field request_fields[] = {DESCRIBED_FIELDS(struct request_file, request),
                                                     {0}};

static int from_file(struct cli *c, const char *file, struct asked *out)
{
    struct request_file f = {0};
    YZ_TRY(yzi_config_load(file, request_fields, yzi_cli_arena(c), &f, yzi_cli_error(c)));
    return yzi_described_read(c, &f.request, file, out);
}

struct search {
    struct cli *c;
    yz_uuid id;
    struct asked *out;
    bool found;
};

static int dup(struct cli *c, yz_bytes v, yz_bytes *out)
{
    return yzi_arena_dup(yzi_cli_arena(c), v, out);
}

static int note_outcome(struct cli *c, const struct kept_read *e, const struct kept_contents *k,
                        struct kept_origin *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 512};
    yz_bytes copy;
    if (!k->has_answer) {
        YZ_TRY(yzi_buf_put_str(&text, yzi_cli_kept_status(e)));
    } else {
        YZ_TRY(yzi_buf_printf(&text, "%s%s%.*s", yzi_answer_code_name(k->answer.code),
                              k->answer.reason.n ? ": " : "", CLI_V(k->answer.reason)));
    }
    YZ_TRY(yzi_buf_put_u8(&text, 0));
    YZ_TRY(dup(c, yzi_bytes_buf(&text), &copy));
    out->outcome = (const char *)copy.p;
    out->at = e->x->at;
    out->policy_version = e->is_response ? e->response.policy_version : 0;
    return YZ_OK;
}

/* What is parsed views into the record, so it is parsed once more from a copy that stays. */
static int take_query(struct search *s, const struct kept_read *e)
{
    struct kept_contents k = {0};
    struct request_head head;
    YZ_AUTO(yzi_buf_wipe) yz_buf text = {.max = YZ_PLAIN_MAX};
    yz_bytes copy;
    int rc = yzi_cli_kept_open(e, &k);
    if (rc == YZ_OK && (!k.has_request || !k.request.has_query)) {
        rc = yzi_fail(yzi_cli_error(s->c), YZ_ENOTFOUND,
                      "the content of the request was not kept, or is no query");
    }
    rc = rc < 0 ? rc : yzi_request_head_write(&k.request, &text);
    rc = rc < 0 ? rc : dup(s->c, yzi_bytes_buf(&text), &copy);
    rc = rc < 0 ? rc : yzi_request_head_parse(copy, yzi_cli_arena(s->c), &head);
    rc = rc < 0 ? rc : note_outcome(s->c, e, &k, &s->out->kept);
    yzi_cli_kept_contents_fini(&k);
    YZ_TRY(rc);
    s->out->query = head.query;
    return YZ_OK;
}

static int take(struct search *s, const struct kept_read *e)
{
    struct access_question *q = &s->out->question;
    YZ_TRY(take_query(s, e));
    YZ_TRY(dup(s->c, e->request.consumer.v, &q->consumer.v));
    YZ_TRY(dup(s->c, e->request.service.v, &q->service.v));
    YZ_TRY(dup(s->c, e->request.purpose, &q->purpose));
    s->found = true;
    return YZ_OK;
}

static int look(void *ctx, const struct kept_record *r)
{
    struct search *s = ctx;
    struct kept_read e;
    if (r->is_receipt || yzi_cli_kept_read(&r->exchange, &e) < 0 ||
        !yzi_uuid_eq(&e.request.message_id, &s->id)) {
        return YZ_OK;
    }
    return take(s, &e);
}

static int from_kept(struct cli *c, const char *exchange, struct asked *out)
{
    struct search s = {.c = c, .out = out};
    const char *at = yzi_cli_option(c, "at"), *dir;
    *out = (struct asked){.kept.exchange = exchange};
    if (!exchange || yzi_uuid_parse(exchange, &s.id) < 0) {
        return yzi_cli_usage(c, "--kept needs --exchange with a message id: yz evidence kept lists "
                                "them");
    }
    YZ_TRY(yzi_home_path(c, yzi_cli_option(c, "kept"), "kept", &dir));
    YZ_TRY(yzi_kept_each(dir, NULL, NULL, look, &s, NULL, yzi_cli_error(c)));
    if (!s.found) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "%s: no exchange %s is kept there", dir,
                        exchange);
    }
    out->question.query = &out->query;
    out->question.evidenced = !yzi_cli_flag(c, "unevidenced");
    out->question.now = yzi_home_now();
    return at ? yzi_cli_time(c, "at", at, &out->question.now) : YZ_OK;
}

static int refuse_beside(struct cli *c, const char *source, const char *const *options)
{
    for (; *options; options++) {
        if (yzi_cli_flag(c, *options)) {
            return yzi_cli_usage(c, "--%s does not go with --%s, which has the request", *options,
                                 source);
        }
    }
    return YZ_OK;
}

int yzi_described_by(struct cli *c, const char *source)
{
    static const char *const own[] = {"service", "consumer", "operation", "field",   "key",
                                      "where",   "order",    "predicate", "purpose", NULL};
    static const char *const when[] = {"at", "unevidenced", NULL};
    static const char *const sources[] = {"request", "kept", "exchange", NULL};
    YZ_TRY(refuse_beside(c, source, own));
    if (strcmp(source, "kept") == 0) { /* which may be asked about as of another time */
        return YZ_OK;
    }
    YZ_TRY(refuse_beside(c, source, when));
    return strcmp(source, "cases") == 0 ? refuse_beside(c, source, sources) : YZ_OK;
}

int yzi_described_given(struct cli *c, struct asked *out)
{
    const char *file = yzi_cli_option(c, "request"), *exchange = yzi_cli_option(c, "exchange");
    bool kept = yzi_cli_flag(c, "kept");
    YZ_TRY(file || kept ? yzi_described_by(c, file ? "request" : "kept") : YZ_OK);
    if ((file && kept) || (exchange && !kept)) {
        return yzi_cli_usage(c, exchange && !kept ? "--exchange goes with --kept"
                                                  : "one of --request and --kept");
    }
    return file   ? from_file(c, file, out)
           : kept ? from_kept(c, exchange, out)
                  : from_options(c, out);
}
