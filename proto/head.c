/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared parts of payload heads. The limits here are YZ_ELIMIT, as the contracts of proto/payload.h
 * have no other word for "too much".
 */
#include "proto/head.h"

#include "proto/check.h"

const struct prescan_rules yzi_head_rules = {.depth = 5, .elements = YZ_HEAD_ELEMENTS_MAX};

static int as_limit(int rc)
{
    return rc == YZ_ETOOBIG ? YZ_ELIMIT : rc;
}

int yzi_head_list(struct arena *a, size_t n, size_t max, size_t size, void *out_list)
{
    YZ_ENSURE(n <= max, YZ_ELIMIT);
    *(void **)out_list = NULL;
    return n == 0 ? 0 : yzi_arena_new(a, n, size, out_list);
}

int yzi_head_check_text(yz_bytes b, size_t max)
{
    return as_limit(yzi_check_optional(b, max, yzi_check_text));
}

int yzi_head_check_name(yz_bytes b)
{
    return as_limit(yzi_check_text(b, YZ_NAME_MAX));
}

int yzi_head_check_cursor(yz_bytes b)
{
    return b.n <= YZ_CURSOR_MAX ? 0 : YZ_ELIMIT;
}

/* -- HTTP headers -- */

static bool is_tchar(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
        return true;
    }
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

int yzi_http_check_token(yz_bytes b, size_t max)
{
    YZ_ENSURE(b.n > 0, YZ_EMALFORMED);
    YZ_ENSURE(b.n <= max, YZ_ELIMIT);
    for (size_t i = 0; i < b.n; i++) {
        YZ_ENSURE(is_tchar(b.p[i]), YZ_EMALFORMED);
    }
    return 0;
}

/* RFC 9110 §5.5: no control characters but tab, so that no header can smuggle another. */
static int check_value(yz_bytes b)
{
    YZ_ENSURE(b.n <= YZ_HTTP_VALUE_MAX, YZ_ELIMIT);
    for (size_t i = 0; i < b.n; i++) {
        YZ_ENSURE((b.p[i] >= 0x20 && b.p[i] != 0x7f) || b.p[i] == '\t', YZ_EMALFORMED);
    }
    return 0;
}

int yzi_http_headers_check(const struct http_header *h, size_t n)
{
    YZ_ENSURE(n <= YZ_HTTP_HEADERS_MAX, YZ_ELIMIT);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_http_check_token(h[i].name, YZ_HTTP_NAME_MAX));
        YZ_TRY(check_value(h[i].value));
    }
    return 0;
}

int yzi_http_headers_take(Yizhan__Wire__Header *const *wire, size_t n, struct arena *a,
                          struct http_header **out, size_t *out_n)
{
    struct http_header *list;
    YZ_TRY(YZ_HEAD_LIST(a, n, YZ_HTTP_HEADERS_MAX, &list));
    for (size_t i = 0; i < n; i++) {
        list[i] = (struct http_header){yzi_view(wire[i]->name), yzi_view(wire[i]->value)};
    }
    *out = list;
    *out_n = n;
    return 0;
}

int yzi_http_headers_give(const struct http_header *h, size_t n, struct arena *a,
                          Yizhan__Wire__Header ***out)
{
    Yizhan__Wire__Header **list, *items;
    YZ_TRY(YZ_HEAD_LIST(a, n, YZ_HTTP_HEADERS_MAX, &list));
    YZ_TRY(YZ_HEAD_LIST(a, n, YZ_HTTP_HEADERS_MAX, &items));
    for (size_t i = 0; i < n; i++) {
        yizhan__wire__header__init(&items[i]);
        items[i].name = yzi_bin(h[i].name);
        items[i].value = yzi_bin(h[i].value);
        list[i] = &items[i];
    }
    *out = list;
    return 0;
}
