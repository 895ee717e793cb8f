/* SPDX-License-Identifier: Apache-2.0
 *
 * Subjects of exchanges as bytes.
 */
#include "proto/subject.h"

static struct query_value cut(const struct query_value *v)
{
    struct query_value to = *v;
    to.v.n = to.v.n < SUBJECT_PART_MAX ? to.v.n : SUBJECT_PART_MAX;
    return to;
}

int yzi_subject_begin(yz_buf *out, enum subject_how how, size_t parts_n)
{
    YZ_ENSURE(parts_n > 0 && parts_n <= YZ_QUERY_KEY_PARTS_MAX, YZ_EINVAL);
    YZ_TRY(yzi_buf_reserve(out, 2));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)how));
    return yzi_buf_put_u8(out, (uint8_t)parts_n);
}

int yzi_subject_part(yz_buf *out, const struct query_value *v)
{
    struct query_value part = cut(v);
    return yzi_row_put(out, &part);
}

int yzi_subject_put(yz_buf *out, const struct subject *s)
{
    size_t before = out->n;
    int rc = yzi_subject_begin(out, s->how, s->parts_n);
    for (size_t i = 0; i < s->parts_n && rc == YZ_OK; i++) {
        rc = yzi_subject_part(out, &s->parts[i]);
    }
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

int yzi_subject_next(yz_reader *r, struct subject *out)
{
    yz_reader at = *r;
    struct subject s = {0};
    uint8_t how, parts;
    YZ_TRY(yzi_read_u8(&at, &how));
    YZ_TRY(yzi_read_u8(&at, &parts));
    YZ_ENSURE(how >= SUBJECT_ASKED && how <= SUBJECT_COUNTED, YZ_EMALFORMED);
    YZ_ENSURE(parts > 0 && parts <= YZ_QUERY_KEY_PARTS_MAX, YZ_EMALFORMED);
    s.how = (enum subject_how)how;
    s.parts_n = parts;
    for (size_t i = 0; i < s.parts_n; i++) {
        YZ_TRY(yzi_row_next(&at, &s.parts[i]));
        YZ_ENSURE(s.parts[i].v.n <= SUBJECT_PART_MAX, YZ_EMALFORMED);
    }
    *r = at;
    *out = s;
    return YZ_OK;
}

int yzi_subjects_check(yz_bytes list)
{
    struct subject s;
    for (yz_reader r = yzi_reader(list); r.left;) {
        YZ_TRY(yzi_subject_next(&r, &s));
    }
    return YZ_OK;
}

bool yzi_subject_is(const struct subject *s, const struct query_value *parts, size_t parts_n)
{
    bool same = s->parts_n == parts_n;
    for (size_t i = 0; same && i < parts_n; i++) {
        struct query_value part = cut(&parts[i]);
        same = s->parts[i].null == part.null && (part.null || yzi_bytes_eq(s->parts[i].v, part.v));
    }
    return same;
}
