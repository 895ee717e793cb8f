/* SPDX-License-Identifier: Apache-2.0
 *
 * An insert, a put or a delete. Everything the consumer may have got wrong is refused with a reason
 * before the transaction is committed, and with nothing changed. The keys met are remembered, so
 * that the outcome does not depend on the order of two rows about one record.
 */
#include "adapters/dataset/write.h"

#include <sodium.h>

#include "adapters/dataset/record_write.h"
#include "base/table.h"

/* The values of a record in canonical form: at most what a payload or a stored row holds. */
#define TEXT_MAX ((size_t)16 * 1024 * 1024)

struct writing {
    struct store *store;
    const struct store_write *what;
    struct record_writer *writer;
    struct table met; /* keys of the records met */
    uint64_t changed;
    const char **reason;
    char detail[sizeof((struct store_written *)0)->detail];
    yz_buf text;  /* the record's values, one after the other; wiped */
    yz_buf plain; /* an opened value; wiped */
    struct query_value values[DATASET_FIELDS_MAX];
    size_t end[DATASET_FIELDS_MAX];     /* where each value that is not null ends in text */
    unsigned order[DATASET_FIELDS_MAX]; /* the fields in the order of their texts */
    size_t order_n;
};

static int refuse(struct writing *w, const char *reason)
{
    *w->reason = reason;
    return YZ_EINVAL;
}

static const struct row_layout *layout_of(const struct writing *w)
{
    return &yzi_writer_generation(w->writer)->layout;
}

/* -- values: texts first, views when the buffer no longer moves -- */

static void clear_values(struct writing *w)
{
    if (w->text.n) {
        sodium_memzero(w->text.p, w->text.n);
    }
    yzi_buf_clear(&w->text);
    w->order_n = 0;
    for (size_t i = 0; i < w->store->dataset->fields_n; i++) {
        w->values[i] = (struct query_value){.null = true};
    }
}

static void note_text(struct writing *w, unsigned field)
{
    w->values[field].null = false;
    w->end[field] = w->text.n;
    w->order[w->order_n++] = field;
}

static int set_value(struct writing *w, unsigned field, const struct query_value *v)
{
    const struct dataset_field *f = &w->store->dataset->fields[field];
    if (v->null) {
        return 0;
    }
    const char *why = NULL;
    int rc = yzi_field_check_raw(f, v->v, &w->text, &why);
    if (rc == YZ_EDATA) {
        snprintf(w->detail, sizeof w->detail, "a value for %s %s", f->name, why);
        return refuse(w, "bad-value");
    }
    YZ_TRY(rc);
    note_text(w, field);
    return 0;
}

static void make_views(struct writing *w)
{
    size_t start = 0;
    for (size_t i = 0; i < w->order_n; i++) {
        unsigned field = w->order[i];
        w->values[field].v = yzi_bytes(w->text.p + start, w->end[field] - start);
        start = w->end[field];
    }
}

/* -- the record -- */

static int check_key_is_set(struct writing *w)
{
    const struct dataset *d = w->store->dataset;
    for (size_t i = 0; i < d->key_n; i++) {
        if (w->values[d->key[i]].null) {
            return refuse(w, "bad-key");
        }
    }
    return 0;
}

static int seek(struct writing *w)
{
    YZ_TRY(check_key_is_set(w));
    YZ_TRY(yzi_writer_seek(w->writer, w->values));
    yz_bytes key = yzi_writer_target(w->writer)->key;
    if (yzi_table_get(&w->met, key)) {
        return refuse(w, "duplicate-key");
    }
    return yzi_table_put(&w->met, key, w);
}

static bool is_brought(const struct writing *w, unsigned field)
{
    for (size_t i = 0; i < w->what->columns_n; i++) {
        if (w->what->columns[i] == field) {
            return true;
        }
    }
    return false;
}

/* What the record has in the fields that are not brought stays. */
static int keep_field(struct writing *w, unsigned field, const struct query_value *stored)
{
    struct query_value v = *stored;
    if (v.null || is_brought(w, field)) {
        return 0;
    }
    if (yzi_field_is_sealed(&w->store->dataset->fields[field])) {
        YZ_TRY(yzi_row_open(layout_of(w), yzi_writer_target(w->writer)->key, field, v.v, &w->plain,
                            &v));
    }
    if (v.null) {
        return 0;
    }
    YZ_TRY(yzi_buf_put(&w->text, v.v));
    note_text(w, field);
    return 0;
}

static int keep_rest(struct writing *w)
{
    struct query_value stored[DATASET_FIELDS_MAX];
    YZ_TRY(yzi_row_split(layout_of(w), &yzi_writer_target(w->writer)->row, stored));
    for (unsigned i = 0; i < w->store->dataset->fields_n; i++) {
        YZ_TRY(keep_field(w, i, &stored[i]));
    }
    make_views(w);
    return 0;
}

static int check_required(struct writing *w)
{
    const struct dataset *d = w->store->dataset;
    for (size_t i = 0; i < d->fields_n; i++) {
        if (d->fields[i].required && w->values[i].null) {
            return refuse(w, "required");
        }
    }
    return 0;
}

static int put_record(struct writing *w)
{
    YZ_TRY(seek(w));
    if (yzi_writer_target(w->writer)->found) {
        if (w->what->operation == QUERY_INSERT) {
            return refuse(w, "exists");
        }
        YZ_TRY(keep_rest(w));
    }
    YZ_TRY(check_required(w));
    enum write_effect effect;
    int rc = yzi_writer_put(w->writer, w->values, &effect, NULL);
    if (rc == YZ_EEXIST) {
        return refuse(w, "not-unique");
    }
    YZ_TRY(rc);
    w->changed += effect != WRITE_UNCHANGED;
    return 0;
}

/* -- insert and put -- */

static int check_columns(struct writing *w)
{
    const struct store_write *what = w->what;
    bool seen[DATASET_FIELDS_MAX] = {0};
    for (size_t i = 0; i < what->columns_n; i++) {
        YZ_ASSERT(what->columns[i] < w->store->dataset->fields_n);
        if (seen[what->columns[i]]) {
            return refuse(w, "bad-fields");
        }
        seen[what->columns[i]] = true;
    }
    for (size_t i = 0; i < w->store->dataset->key_n; i++) {
        if (!seen[w->store->dataset->key[i]]) {
            return refuse(w, "bad-key");
        }
    }
    return 0;
}

static int put_rows(struct writing *w)
{
    yz_reader r = yzi_reader(w->what->rows);
    for (uint32_t row = 0; row < w->what->rows_n; row++) {
        clear_values(w);
        for (size_t i = 0; i < w->what->columns_n; i++) {
            struct query_value v;
            if (yzi_row_next(&r, &v) < 0) {
                return refuse(w, "malformed");
            }
            YZ_TRY(set_value(w, w->what->columns[i], &v));
        }
        make_views(w);
        YZ_TRY(put_record(w));
    }
    return yzi_read_end(&r) == 0 ? 0 : refuse(w, "malformed");
}

/* -- delete -- */

static int delete_record(struct writing *w, const struct query_key *k)
{
    const struct dataset *d = w->store->dataset;
    if (k->parts_n != d->key_n) {
        return refuse(w, "bad-key");
    }
    clear_values(w);
    for (size_t i = 0; i < k->parts_n; i++) {
        YZ_TRY(set_value(w, d->key[i], &k->parts[i]));
    }
    make_views(w);
    YZ_TRY(seek(w));
    if (!yzi_writer_target(w->writer)->found) {
        return refuse(w, "not-found");
    }
    YZ_TRY(yzi_writer_delete(w->writer));
    w->changed++;
    return 0;
}

static int delete_records(struct writing *w)
{
    if (w->what->keys_n == 0) {
        return refuse(w, "bad-key");
    }
    if (w->what->keys_n > YZ_QUERY_KEYS_MAX) {
        return refuse(w, "too-many-keys");
    }
    for (size_t i = 0; i < w->what->keys_n; i++) {
        YZ_TRY(delete_record(w, &w->what->keys[i]));
    }
    return 0;
}

/* -- the transaction -- */

static int change(struct writing *w)
{
    if (w->what->operation == QUERY_DELETE) {
        return delete_records(w);
    }
    YZ_TRY(check_columns(w));
    return put_rows(w);
}

/* A failed commit: whoever reads now sees the transaction only if its last page was written, which
 * is written after all others; so an unchanged sequence says that nothing came of it. */
static bool is_uncertain(struct store *s, uint64_t before)
{
    uint64_t now;
    return yzi_store_sequence(s, &now) < 0 || now != before;
}

static int run(struct writing *w, struct store_written *out)
{
    YZ_TRY(yzi_writer_begin(w->store, &w->writer));
    uint64_t before = yzi_writer_sequence(w->writer);
    out->sequence = before;
    YZ_TRY(change(w));
    int rc = yzi_writer_commit(w->writer, &out->sequence);
    if (rc < 0) {
        yzi_writer_end(&w->writer);
        out->uncertain = is_uncertain(w->store, before);
        return rc;
    }
    out->changed = w->changed;
    return 0;
}

int yzi_store_write(struct store *s, const struct store_write *what, struct store_written *out,
                    const char **reason)
{
    *out = (struct store_written){0};
    *reason = NULL;
    YZ_ENSURE(yzi_operation_writes(what->operation), YZ_EUNSUPPORTED);
    if (s->read_only) {
        *reason = "read-only";
        return YZ_EINVAL;
    }
    YZ_AUTO(yzi_free_ptr) struct writing *w = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *w, &w));
    w->store = s;
    w->what = what;
    w->reason = reason;
    yzi_buf_init(&w->text, TEXT_MAX);
    yzi_buf_init(&w->plain, YZ_VALUE_MAX + 64u);
    int rc = yzi_buf_reserve(&w->text, 1); /* views of empty values need a pointer, too */
    if (rc == 0) {
        rc = run(w, out);
    }
    memcpy(out->detail, w->detail, sizeof out->detail);
    yzi_writer_end(&w->writer);
    yzi_table_fini(&w->met, NULL);
    yzi_buf_wipe(&w->text);
    yzi_buf_wipe(&w->plain);
    return rc;
}
