/* SPDX-License-Identifier: Apache-2.0
 *
 * What the agency itself looks at: its records as CSV or JSON in canonical form, one record with
 * its sequence, and what an import changed or would change. Values of fields classified sensitive
 * or secret are left out unless they are asked for.
 */
#ifndef YZ_DATASET_EXPORT_H
#define YZ_DATASET_EXPORT_H

#include "adapters/dataset/store.h"
#include "base/json.h"

struct export_options {
    int fd;                    /* written to from where it stands; the caller's */
    enum import_format format; /* FORMAT_CSV, FORMAT_JSON (an array), FORMAT_JSONL */
    bool sensitive;
    const _Atomic bool *cancel; /* or NULL */
    work_progress_fn *progress; /* or NULL */
    void *ctx;
};
/* All records in the order of their keys, as one moment saw them, under the names of their fields;
 * what is null is empty (CSV) or null. YZ_EUNSUPPORTED (format), YZ_ECANCELLED, YZ_EDISKFULL,
 * YZ_EIO, YZ_ECORRUPT, YZ_ENOMEM. Any thread; long ones on the writer's, because a reader that
 * lasts makes the file grow under writes. */
YZ_MUST_USE int yzi_store_export(struct store *s, const struct export_options *o,
                                 uint64_t *out_rows, yz_error *err);

/* One record by the texts of its key, as a JSON object: sequence, record. YZ_EINVAL (not a key of
 * this data set; err says), YZ_ENOTFOUND. Any thread. */
YZ_MUST_USE int yzi_store_show(struct store *s, const yz_bytes *key, size_t key_n, bool sensitive,
                               struct json *out, yz_error *err);

/* Changes of an import, for import_source.change; values of sensitive fields only when asked for.
 * JSON: an object a line with change (added, changed, removed), key (values, null where not to be
 * shown) and fields (field, before, after; hidden: true instead of both). For people: a line "+
 * key: field=value, ...", "~ key: field: before -> after, ..." or "- key: ...". */
struct change_writer {
    int fd; /* a regular file: it begins again when the import does */
    const struct dataset *dataset;
    bool json, sensitive;
    yz_buf out; /* wiped */
};
void yzi_change_writer_init(struct change_writer *w, int fd, const struct dataset *d, bool json,
                            bool sensitive);
YZ_MUST_USE int yzi_change_write(struct change_writer *w, const struct import_change *c);
YZ_MUST_USE int yzi_change_writer_flush(struct change_writer *w);
void yzi_change_writer_fini(struct change_writer *w);

/* A value in the JSON of its type: integers and decimals as exact numbers, bytes as base64. */
void yzi_json_value(struct json *j, const struct dataset_field *f, const struct query_value *v,
                    yz_buf *scratch);

#endif
