/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing records for the agency's own eyes.
 */
#include "adapters/dataset/export.h"

#include <errno.h>
#include <unistd.h>

#include "adapters/dataset/normalise.h"
#include "adapters/dataset/record_read.h"
#include "adapters/dataset/rejects.h"
#include "base/text.h"

#define FLUSH_AT (64u * 1024u)
#define ROWS_BETWEEN 8192u /* looks at whether it was cancelled, and tells progress */
/* A record written out: its values once more as escapes or base64 at most. */
#define OUT_MAX ((size_t)128 * 1024 * 1024)
#define BASE64_MAX (2u * YZ_VALUE_MAX)

static bool is_shown(const struct dataset_field *f, bool sensitive)
{
    return sensitive || !yzi_field_is_sealed(f);
}

static int write_out(int fd, yz_buf *out)
{
    for (size_t done = 0; done < out->n;) {
        ssize_t n = write(fd, out->p + done, out->n - done);
        if (n < 0 && errno != EINTR) {
            return yzi_err_from_errno(errno);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    yzi_buf_clear(out);
    return 0;
}

/* -- values -- */

void yzi_json_value(struct json *j, const struct dataset_field *f, const struct query_value *v,
                    yz_buf *scratch)
{
    if (v->null) {
        yzi_json_null(j);
    } else if (f->type == FIELD_INTEGER || f->type == FIELD_DECIMAL) {
        yzi_json_number(j, v->v);
    } else if (f->type == FIELD_BOOLEAN) {
        yzi_json_bool(j, yzi_bytes_eq_str(v->v, "true"));
    } else if (f->type == FIELD_BYTES) {
        yzi_buf_clear(scratch);
        j->rc = j->rc ? j->rc : yzi_base64_encode(v->v, scratch);
        yzi_json_text(j, yzi_bytes_buf(scratch));
    } else {
        yzi_json_text(j, v->v);
    }
}

static void json_record(struct json *j, const struct dataset *d, const struct query_value *values,
                        bool sensitive, yz_buf *scratch)
{
    yzi_json_object(j);
    for (size_t i = 0; i < d->fields_n; i++) {
        if (is_shown(&d->fields[i], sensitive)) {
            yzi_json_key(j, d->fields[i].name);
            yzi_json_value(j, &d->fields[i], &values[i], scratch);
        }
    }
    yzi_json_object_end(j);
}

/* -- exports -- */

struct exporter {
    const struct export_options *o;
    const struct dataset *d;
    struct generation *g;
    uint64_t rows, total;
    struct plain_record record;
    yz_buf out, scratch; /* wiped */
};

static int put_csv(struct exporter *e, const struct query_value *values /* NULL: the head */)
{
    bool first = true;
    for (size_t i = 0; i < e->d->fields_n; i++) {
        const struct dataset_field *f = &e->d->fields[i];
        yz_bytes v = values ? values[i].v : yzi_bytes_str(f->name);
        if (!is_shown(f, e->o->sensitive)) {
            continue;
        }
        if (values && f->type == FIELD_BYTES && !values[i].null) {
            yzi_buf_clear(&e->scratch);
            YZ_TRY(yzi_base64_encode(v, &e->scratch));
            v = yzi_bytes_buf(&e->scratch);
        }
        YZ_TRY(yzi_csv_put(&e->out, values && values[i].null ? (yz_bytes){0} : v, ',', first));
        first = false;
    }
    return yzi_buf_put_str(&e->out, "\n");
}

static int put_json(struct exporter *e)
{
    bool array = e->o->format == FORMAT_JSON;
    struct json j;
    YZ_TRY(array ? yzi_buf_put_str(&e->out, e->rows ? ",\n" : "\n") : 0);
    yzi_json_init(&j, &e->out, false);
    json_record(&j, e->d, e->record.values, e->o->sensitive, &e->scratch);
    YZ_TRY(yzi_json_end(&j));
    return array ? 0 : yzi_buf_put_str(&e->out, "\n");
}

static int put_record(struct exporter *e, yz_bytes key, yz_bytes stored)
{
    struct stored_row row;
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(yzi_plain_read(&e->g->layout, key, &row, &e->record));
    YZ_TRY(e->o->format == FORMAT_CSV ? put_csv(e, e->record.values) : put_json(e));
    e->rows++;
    YZ_TRY(e->out.n >= FLUSH_AT ? write_out(e->o->fd, &e->out) : 0);
    if (e->rows % ROWS_BETWEEN == 0) {
        YZ_ENSURE(!e->o->cancel || !atomic_load(e->o->cancel), YZ_ECANCELLED);
        if (e->o->progress) {
            const struct work_progress at = {PHASE_EXPORT, e->rows, e->rows, e->total};
            e->o->progress(e->o->ctx, &at);
        }
    }
    return 0;
}

static int export_all(struct exporter *e)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    yz_bytes key, stored;
    YZ_TRY(yzi_db_begin_read(e->g->env, &t));
    YZ_TRY(yzi_db_count(t, e->g->records, &e->total));
    YZ_TRY(yzi_db_cursor_open(t, e->g->records, &c));
    YZ_TRY(e->o->format == FORMAT_CSV ? put_csv(e, NULL) : 0);
    YZ_TRY(e->o->format == FORMAT_JSON ? yzi_buf_put_str(&e->out, "[") : 0);
    int rc;
    while ((rc = yzi_db_cursor_move(c, DB_NEXT, &key, &stored)) == 0) {
        YZ_TRY(put_record(e, key, stored));
    }
    YZ_ENSURE(rc == YZ_ENOTFOUND, rc);
    YZ_TRY(e->o->format == FORMAT_JSON ? yzi_buf_put_str(&e->out, "\n]\n") : 0);
    return write_out(e->o->fd, &e->out);
}

int yzi_store_export(struct store *s, const struct export_options *o, uint64_t *out_rows,
                     yz_error *err)
{
    if (o->format == FORMAT_XML) {
        return yzi_fail(err, YZ_EUNSUPPORTED, "records are exported as csv, json or jsonl");
    }
    YZ_AUTO(yzi_free_ptr) struct exporter *e = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *e, &e));
    e->o = o;
    e->g = yzi_generation_pin(s);
    e->d = e->g->layout.dataset;
    yzi_plain_init(&e->record);
    yzi_buf_init(&e->out, OUT_MAX);
    yzi_buf_init(&e->scratch, BASE64_MAX);
    int rc = export_all(e);
    yzi_generation_unpin(&e->g);
    yzi_plain_fini(&e->record);
    yzi_buf_wipe(&e->out);
    yzi_buf_wipe(&e->scratch);
    if (rc < 0) {
        return yzi_fail(err, rc, "the export of '%s' stopped after %llu records (%s)",
                        s->dataset->name, (unsigned long long)e->rows, yz_err_words(rc));
    }
    *out_rows = e->rows;
    return 0;
}

/* -- one record -- */

static int key_of(const struct generation *g, const yz_bytes *key, size_t n, yz_buf *canonical,
                  yz_buf *out, yz_error *err)
{
    const struct dataset *d = g->layout.dataset;
    yz_bytes parts[DATASET_KEY_MAX];
    size_t end[DATASET_KEY_MAX], start = 0;
    if (n != d->key_n) {
        return yzi_fail(err, YZ_EINVAL, "a key of '%s' has %zu part%s, not %zu", d->name, d->key_n,
                        d->key_n == 1 ? "" : "s", n);
    }
    for (size_t i = 0; i < n; i++) {
        const char *reason = NULL;
        int rc = yzi_field_canonical(&d->fields[d->key[i]], key[i], canonical, &reason);
        if (rc == YZ_EDATA) {
            return yzi_fail(err, YZ_EINVAL, "%s: %s", d->fields[d->key[i]].name, reason);
        }
        YZ_TRY(rc);
        end[i] = canonical->n;
    }
    for (size_t i = 0; i < n; i++) {
        parts[i] = yzi_bytes(canonical->p + start, end[i] - start);
        start = end[i];
    }
    return yzi_key_encode(d, g->layout.keys, parts, out);
}

/* The owner may look for a record from before the definition normalised its key, so that such a key
 * is no fault until nothing is found. */
static int say_not_found(const struct dataset *d, const yz_bytes *key, size_t key_n, yz_error *err)
{
    for (size_t i = 0; i < key_n; i++) {
        const struct dataset_field *f = &d->fields[d->key[i]];
        const char *fault = yzi_normal_fault(f, key[i], false);
        if (fault) {
            return yzi_fail(err, YZ_ENOTFOUND, "no record has this key: %s %s", f->name, fault);
        }
    }
    return yzi_fail(err, YZ_ENOTFOUND, "no record has this key");
}

static int show(struct generation *g, yz_bytes key, bool sensitive, struct plain_record *record,
                struct json *out)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_AUTO(yzi_buf_wipe) yz_buf scratch = {0};
    yz_bytes stored;
    struct stored_row row;
    yzi_buf_init(&scratch, BASE64_MAX);
    YZ_TRY(yzi_db_begin_read(g->env, &t));
    YZ_TRY(yzi_db_get(t, g->records, key, &stored));
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(yzi_plain_read(&g->layout, key, &row, record));
    yzi_json_object(out);
    yzi_json_key(out, "sequence");
    yzi_json_u64(out, row.sequence);
    yzi_json_key(out, "record");
    json_record(out, g->layout.dataset, record->values, sensitive, &scratch);
    yzi_json_object_end(out);
    return 0;
}

static void fini_plain(struct plain_record **r)
{
    if (*r) {
        yzi_plain_fini(*r);
        free(*r);
    }
}

int yzi_store_show(struct store *s, const yz_bytes *key, size_t key_n, bool sensitive,
                   struct json *out, yz_error *err)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf canonical = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf encoded = {0};
    YZ_AUTO(fini_plain) struct plain_record *record = NULL;
    yzi_buf_init(&canonical, (size_t)DATASET_KEY_MAX * YZ_VALUE_MAX);
    yzi_buf_init(&encoded, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    YZ_TRY(yzi_buf_reserve(&canonical, 1)); /* views of empty values need a pointer, too */
    YZ_AUTO(yzi_generation_unpin) struct generation *g = yzi_generation_pin(s);
    YZ_TRY(key_of(g, key, key_n, &canonical, &encoded, err));
    YZ_TRY(yzi_alloc(1, sizeof *record, &record));
    yzi_plain_init(record);
    int rc = show(g, yzi_bytes_buf(&encoded), sensitive, record, out);
    return rc == YZ_ENOTFOUND ? say_not_found(g->layout.dataset, key, key_n, err) : rc;
}

/* -- changes -- */

void yzi_change_writer_init(struct change_writer *w, int fd, const struct dataset *d, bool json,
                            bool sensitive)
{
    *w = (struct change_writer){.fd = fd, .dataset = d, .json = json, .sensitive = sensitive};
    yzi_buf_init(&w->out, OUT_MAX);
}

void yzi_change_writer_fini(struct change_writer *w)
{
    yzi_buf_wipe(&w->out);
}

int yzi_change_writer_flush(struct change_writer *w)
{
    return write_out(w->fd, &w->out);
}

static bool is_equal(const struct query_value *a, const struct query_value *b)
{
    return a->null == b->null && (a->null || yzi_bytes_eq(a->v, b->v));
}

static void put_field(struct change_writer *w, struct json *j, size_t i,
                      const struct import_change *c, yz_buf *scratch)
{
    const struct dataset_field *f = &w->dataset->fields[i];
    yzi_json_object(j);
    yzi_json_key(j, "field");
    yzi_json_str(j, f->name);
    if (!is_shown(f, w->sensitive)) {
        yzi_json_key(j, "hidden");
        yzi_json_bool(j, true);
    } else {
        if (c->before) {
            yzi_json_key(j, "before");
            yzi_json_value(j, f, &c->before[i], scratch);
        }
        if (c->after) {
            yzi_json_key(j, "after");
            yzi_json_value(j, f, &c->after[i], scratch);
        }
    }
    yzi_json_object_end(j);
}

static void put_key(struct change_writer *w, struct json *j, const struct query_value *values,
                    yz_buf *scratch)
{
    yzi_json_key(j, "key");
    yzi_json_array(j);
    for (size_t i = 0; i < w->dataset->key_n; i++) {
        unsigned field = w->dataset->key[i];
        if (is_shown(&w->dataset->fields[field], w->sensitive)) {
            yzi_json_value(j, &w->dataset->fields[field], &values[field], scratch);
        } else {
            yzi_json_null(j);
        }
    }
    yzi_json_array_end(j);
}

/* What a person wants to see of it: for a change what differs, otherwise what there is. */
static bool is_told(const struct import_change *c, size_t i)
{
    if (c->before && c->after) {
        return !is_equal(&c->before[i], &c->after[i]);
    }
    return !(c->before ? c->before : c->after)[i].null;
}

/* A value for people, on one line whatever it holds. */
static int put_plain(struct change_writer *w, size_t i, const struct query_value *v,
                     yz_buf *scratch)
{
    yz_bytes text = v->v;
    if (v->null) {
        return yzi_buf_put_str(&w->out, "-");
    }
    if (w->dataset->fields[i].type == FIELD_BYTES) {
        yzi_buf_clear(scratch);
        YZ_TRY(yzi_base64_encode(text, scratch));
        text = yzi_bytes_buf(scratch);
    }
    for (size_t k = 0; k < text.n; k++) {
        bool c1 = text.p[k] == 0xc2 && k + 1 < text.n && text.p[k + 1] < 0xa0;
        bool control = text.p[k] < 0x20 || text.p[k] == 0x7f || c1;
        YZ_TRY(yzi_buf_put_u8(&w->out, control ? '?' : text.p[k]));
        k += c1;
    }
    return 0;
}

static int put_plain_field(struct change_writer *w, size_t i, const struct import_change *c,
                           yz_buf *scratch)
{
    const struct dataset_field *f = &w->dataset->fields[i];
    bool both = c->before && c->after;
    YZ_TRY(yzi_buf_put_str(&w->out, f->name));
    if (!is_shown(f, w->sensitive)) {
        return yzi_buf_put_str(&w->out, " (not shown: --sensitive)");
    }
    YZ_TRY(yzi_buf_put_str(&w->out, both ? ": " : "="));
    YZ_TRY(put_plain(w, i, c->before ? &c->before[i] : &c->after[i], scratch));
    YZ_TRY(both ? yzi_buf_put_str(&w->out, " -> ") : 0);
    return both ? put_plain(w, i, &c->after[i], scratch) : 0;
}

static int put_plain_change(struct change_writer *w, const struct import_change *c, yz_buf *scratch)
{
    const struct query_value *values = c->after ? c->after : c->before;
    const char *between = ": ";
    YZ_TRY(yzi_buf_put_u8(&w->out, " +~-"[c->kind]));
    for (size_t i = 0; i < w->dataset->key_n; i++) {
        unsigned field = w->dataset->key[i];
        YZ_TRY(yzi_buf_put_u8(&w->out, ' '));
        YZ_TRY(is_shown(&w->dataset->fields[field], w->sensitive)
                   ? put_plain(w, field, &values[field], scratch)
                   : yzi_buf_put_str(&w->out, "(not shown: --sensitive)"));
    }
    for (size_t i = 0; i < w->dataset->fields_n; i++) {
        bool in_key = false;
        for (size_t k = 0; k < w->dataset->key_n; k++) {
            in_key = in_key || w->dataset->key[k] == i;
        }
        if (!in_key && is_told(c, i)) {
            YZ_TRY(yzi_buf_put_str(&w->out, between));
            YZ_TRY(put_plain_field(w, i, c, scratch));
            between = ", ";
        }
    }
    return yzi_buf_put_str(&w->out, "\n");
}

static int put_json_change(struct change_writer *w, const struct import_change *c, yz_buf *scratch)
{
    static const char *const kinds[] = {
        [CHANGE_ADDED] = "added", [CHANGE_CHANGED] = "changed", [CHANGE_REMOVED] = "removed"};
    struct json j;
    yzi_json_init(&j, &w->out, false);
    yzi_json_object(&j);
    yzi_json_key(&j, "change");
    yzi_json_str(&j, kinds[c->kind]);
    put_key(w, &j, c->after ? c->after : c->before, scratch);
    yzi_json_key(&j, "fields");
    yzi_json_array(&j);
    for (size_t i = 0; i < w->dataset->fields_n; i++) {
        if (is_told(c, i)) {
            put_field(w, &j, i, c, scratch);
        }
    }
    yzi_json_array_end(&j);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    return yzi_buf_put_str(&w->out, "\n");
}

int yzi_change_write(struct change_writer *w, const struct import_change *c)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf scratch = {0};
    if (!c) { /* the import begins again */
        yzi_buf_clear(&w->out);
        YZ_ENSURE(ftruncate(w->fd, 0) == 0 && lseek(w->fd, 0, SEEK_SET) == 0, YZ_EIO);
        return 0;
    }
    yzi_buf_init(&scratch, BASE64_MAX);
    YZ_TRY(w->json ? put_json_change(w, c, &scratch) : put_plain_change(w, c, &scratch));
    return w->out.n >= FLUSH_AT ? write_out(w->fd, &w->out) : 0;
}
