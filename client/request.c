/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests: what to ask, collected and checked call by call, so that a mistake is told where it is
 * made. Texts lie in an arena; lists grow on their own because they are few.
 */
#include "client/request.h"

#include "base/text.h"
#include "client/config.h"
#include "proto/check.h"

#define TEXTS_MAX YZ_PLAIN_MAX /* more than this no message could carry */

int yz_request_new(const char *service, yz_request **out)
{
    YZ_ENSURE(service && out, YZ_EINVAL);
    yz_service_id id;
    size_t n = strnlen(service, YZ_ID_MAX + 1);
    YZ_ENSURE(n <= YZ_ID_MAX && yzi_service_id_parse(yzi_bytes(service, n), &id) == 0, YZ_EINVAL);
    yz_request *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    memcpy(r->service, service, n + 1);
    yzi_arena_init(&r->arena, TEXTS_MAX);
    yzi_buf_init(&r->rows, YZ_PLAIN_MAX - YZ_PLAIN_FIXED);
    *out = r;
    return YZ_OK;
}

void yz_request_free(yz_request *request)
{
    if (request) {
        yzi_arena_fini(&request->arena);
        free(request->keys);
        yzi_buf_wipe(&request->rows);
        free(request);
    }
}

/* -- keys and fields -- */

static int grow_keys(yz_request *r)
{
    if (r->keys_n < r->keys_room) {
        return YZ_OK;
    }
    size_t room = r->keys_room ? r->keys_room * 2 : 4;
    struct query_key *keys = realloc(r->keys, room * sizeof *keys); /* at most 1,024 */
    YZ_ENSURE(keys, YZ_ENOMEM);
    r->keys = keys;
    r->keys_room = room;
    return YZ_OK;
}

static int check_parts(const char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        YZ_ENSURE(parts[i], YZ_EINVAL);
        yz_bytes text = yzi_bytes_str(parts[i]);
        YZ_ENSURE(text.n <= YZ_VALUE_MAX && yzi_utf8_is_valid(text), YZ_EINVAL);
    }
    return YZ_OK;
}

int yz_request_add_key(yz_request *request, const char *const *parts, size_t n)
{
    YZ_ENSURE(request && parts && n > 0 && n <= YZ_QUERY_KEY_PARTS_MAX, YZ_EINVAL);
    YZ_TRY(check_parts(parts, n));
    YZ_ENSURE(request->keys_n < YZ_QUERY_KEYS_MAX, YZ_ELIMIT);
    YZ_TRY(grow_keys(request));
    struct query_value *values;
    YZ_TRY(yzi_arena_new(&request->arena, n, sizeof *values, &values));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_arena_dup(&request->arena, yzi_bytes_str(parts[i]), &values[i].v));
    }
    request->keys[request->keys_n++] = (struct query_key){values, n};
    return YZ_OK;
}

int yz_request_add_field(yz_request *request, const char *field)
{
    YZ_ENSURE(request && field, YZ_EINVAL);
    yz_bytes name = yzi_bytes_str(field);
    YZ_ENSURE(yzi_check_text(name, YZ_NAME_MAX) == 0, YZ_EINVAL);
    for (size_t i = 0; i < request->fields_n; i++) {
        YZ_ENSURE(!yzi_bytes_eq(request->fields[i], name), YZ_EINVAL);
    }
    YZ_ENSURE(request->fields_n < YZ_QUERY_FIELDS_MAX, YZ_ELIMIT);
    YZ_TRY(yzi_arena_dup(&request->arena, name, &request->fields[request->fields_n]));
    request->fields_n++;
    return YZ_OK;
}

/* -- single values -- */

int yz_request_set_purpose(yz_request *request, const char *code)
{
    YZ_ENSURE(request && code, YZ_EINVAL);
    YZ_ENSURE(yzi_check_code(yzi_bytes_str(code), YZ_PURPOSE_MAX) == 0, YZ_EINVAL);
    snprintf(request->purpose, sizeof request->purpose, "%s", code);
    return YZ_OK;
}

static int set_text(struct text *t, const char *value)
{
    YZ_ENSURE(value, YZ_EINVAL);
    YZ_ENSURE(yzi_check_optional(yzi_bytes_str(value), YZ_REFERENCE_MAX, yzi_check_text) == 0,
              YZ_EINVAL);
    snprintf(t->s, sizeof t->s, "%s", value);
    return YZ_OK;
}

int yz_request_set_user(yz_request *request, const char *user)
{
    YZ_ENSURE(request, YZ_EINVAL);
    return set_text(&request->user, user);
}

int yz_request_set_issue(yz_request *request, const char *issue)
{
    YZ_ENSURE(request, YZ_EINVAL);
    return set_text(&request->issue, issue);
}

int yz_request_set_consent(yz_request *request, const char *consent)
{
    YZ_ENSURE(request, YZ_EINVAL);
    return set_text(&request->consent, consent);
}

int yz_request_set_timeout(yz_request *request, uint32_t timeout_ms)
{
    YZ_ENSURE(request, YZ_EINVAL);
    YZ_ENSURE(timeout_ms >= CLIENT_TIMEOUT_MIN_MS && timeout_ms <= CLIENT_TIMEOUT_MAX_MS,
              YZ_EINVAL);
    request->timeout_ms = timeout_ms;
    return YZ_OK;
}

/* -- for the engine -- */

static int copy_texts(const yz_request *r, struct ask *a)
{
    yz_bytes service = yzi_bytes_str(r->service), purpose = yzi_bytes_str(r->purpose);
    yz_bytes node = r->cursor_node;
    yzi_buf_init(&a->texts, sizeof r->service + sizeof r->purpose + YZ_ID_MAX);
    YZ_TRY(yzi_buf_reserve(&a->texts, service.n + purpose.n + node.n));
    YZ_TRY(yzi_buf_put(&a->texts, service));
    YZ_TRY(yzi_buf_put(&a->texts, purpose));
    YZ_TRY(yzi_buf_put(&a->texts, node));
    a->service.v = yzi_bytes(a->texts.p, service.n);
    a->purpose = purpose.n ? yzi_bytes(a->texts.p + service.n, purpose.n) : (yz_bytes){0};
    a->node = node.n ? yzi_bytes(a->texts.p + service.n + purpose.n, node.n) : (yz_bytes){0};
    return YZ_OK;
}

int yzi_ask_make(const yz_request *r, struct ask *out, yz_error *err)
{
    struct request_head h = {
        .user = yzi_bytes_str(r->user.s),
        .issue = yzi_bytes_str(r->issue.s),
        .consent = yzi_bytes_str(r->consent.s),
        .has_query = true,
    };
    struct yz_request copy = *r; /* the head borrows lists that are not to be changed */
    YZ_TRY(yzi_request_query(&copy, &h.query, err));
    YZ_AUTO(yzi_ask_fini)
    struct ask a = {.timeout_ms = r->timeout_ms, .writes = yzi_request_writes(r)};
    yzi_buf_init(&a.head, YZ_PLAIN_MAX - YZ_PLAIN_FIXED);
    yzi_buf_init(&a.body, YZ_PLAIN_MAX - YZ_PLAIN_FIXED);
    YZ_TRY(yzi_buf_put(&a.body, yzi_bytes_buf(&r->rows)));
    int rc = yzi_request_head_write(&h, &a.head);
    if (rc == YZ_ELIMIT || rc == YZ_ETOOBIG) {
        return yzi_fail(err, YZ_ETOOBIG, "the request is larger than a message may be");
    }
    if (rc < 0) {
        return yzi_fail(err, rc, "the request cannot be written (%s)", yz_err_words(rc));
    }
    YZ_TRY(copy_texts(r, &a));
    *out = a;
    a = (struct ask){0};
    return YZ_OK;
}

void yzi_ask_fini(struct ask *a)
{
    yzi_buf_fini(&a->texts);
    yzi_buf_wipe(&a->head);
    yzi_buf_wipe(&a->body);
    *a = (struct ask){0};
}
