/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening every sealed value of a record, and keeping all of them: what is stored may be changed
 * before the record is told about.
 */
#include "adapters/dataset/record_read.h"

#define KEPT_MAX ((size_t)DATASET_FIELDS_MAX * YZ_VALUE_MAX)

void yzi_plain_init(struct plain_record *r)
{
    *r = (struct plain_record){0};
    yzi_buf_init(&r->kept, KEPT_MAX);
    yzi_buf_init(&r->one, YZ_VALUE_MAX + 64u);
}

void yzi_plain_fini(struct plain_record *r)
{
    yzi_buf_wipe(&r->kept);
    yzi_buf_wipe(&r->one);
}

int yzi_plain_read(const struct row_layout *l, yz_bytes key, const struct stored_row *stored,
                   struct plain_record *out)
{
    size_t end[DATASET_FIELDS_MAX], start = 0;
    const struct dataset *d = l->dataset;
    YZ_TRY(yzi_row_split(l, stored, out->values));
    yzi_buf_clear(&out->kept);
    YZ_TRY(yzi_buf_reserve(&out->kept, 1)); /* views of empty values need a pointer, too */
    for (unsigned i = 0; i < d->fields_n; i++) {
        struct query_value *v = &out->values[i];
        if (yzi_field_is_sealed(&d->fields[i]) && !v->null) {
            YZ_TRY(yzi_row_open(l, key, i, v->v, &out->one, v));
        }
        YZ_TRY(v->null ? 0 : yzi_buf_put(&out->kept, v->v));
        end[i] = out->kept.n;
    }
    for (size_t i = 0; i < d->fields_n; i++) { /* views only now: the buffer no longer moves */
        if (!out->values[i].null) {
            out->values[i].v = yzi_bytes(out->kept.p + start, end[i] - start);
        }
        start = end[i];
    }
    return 0;
}
