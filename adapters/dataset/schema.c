/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a definition fits what a generation holds.
 *
 * The meta database holds the format version, which key it is under and a check value of that, the
 * definition's digest, the schema (data set, fields with type and sealing in stored order, key),
 * the counters, and the state of each index (index.c). What a new definition may change: everything
 * that is not in the schema (titles, codes, lengths, columns, whether a field is required), the
 * indexes, which are then built or dropped, and it may add fields, which are null in the rows
 * already there until they are imported again. Anything else would make stored bytes mean something
 * they were not written as, and is refused. An empty store takes any definition.
 */
#include <sodium.h>

#include "adapters/dataset/store_impl.h"

#define FORMAT_VERSION 2u
#define META_FORMAT "format"
#define META_CHECK "key-check"
#define META_KEY "key"             /* its id; none: the adapter's storage key */
#define META_KEY_SINCE "key-since" /* Unix ms */
#define META_DIGEST "definition"
#define META_SCHEMA "schema"
#define SCHEMA_MAX (64u * 1024u)

static yz_bytes meta_key(const char *name)
{
    return yzi_bytes_str(name);
}

/* -- counters -- */

int yzi_store_meta_get(struct db_txn *t, db_handle meta, const char *name, uint64_t *out)
{
    yz_bytes v;
    int rc = yzi_db_get(t, meta, meta_key(name), &v);
    if (rc == YZ_ENOTFOUND) {
        *out = 0;
        return 0;
    }
    YZ_TRY(rc);
    YZ_ENSURE(v.n == 8, YZ_ECORRUPT);
    *out = yzi_load_u64(v.p);
    return 0;
}

int yzi_store_meta_put(struct db_txn *t, db_handle meta, const char *name, uint64_t v)
{
    uint8_t b[8];
    yzi_store_u64(b, v);
    return yzi_db_put(t, meta, meta_key(name), yzi_bytes(b, sizeof b), DB_PUT_ANY);
}

/* A generation that nothing sensitive was written to yet says from now on what it is under. */
static int bind_key(struct generation *g, struct db_txn *t, yz_error *err, bool *changed)
{
    YZ_TRY(g->keys ? 0 : yzi_key_set_first(g->store, &g->keys, err));
    if (g->read_only) {
        return 0;
    }
    *changed = true;
    YZ_TRY(yzi_db_put(t, g->meta, meta_key(META_CHECK),
                      yzi_bytes(g->keys->check, STORE_SUBKEY_BYTES), DB_PUT_ANY));
    if (!g->keys->id[0]) {
        return 0;
    }
    YZ_TRY(yzi_db_put(t, g->meta, meta_key(META_KEY), yzi_bytes_str(g->keys->id), DB_PUT_ANY));
    return yzi_store_meta_put(t, g->meta, META_KEY_SINCE, g->keys->since);
}

static int load_key(struct generation *g, struct db_txn *t, yz_error *err)
{
    yz_bytes id = {0};
    int rc = yzi_db_get(t, g->meta, meta_key(META_KEY), &id);
    YZ_ENSURE(rc == 0 || rc == YZ_ENOTFOUND, rc);
    YZ_TRY(yzi_key_set_load(g->store, id, &g->keys, err));
    return yzi_store_meta_get(t, g->meta, META_KEY_SINCE, &g->keys->since);
}

static int check_key_set(struct generation *g, struct db_txn *t, const char *dir, yz_error *err,
                         bool *changed)
{
    yz_bytes stored;
    int rc = yzi_db_get(t, g->meta, meta_key(META_CHECK), &stored);
    if (rc == YZ_ENOTFOUND) {
        return bind_key(g, t, err, changed);
    }
    YZ_TRY(rc);
    YZ_TRY(g->keys ? 0 : load_key(g, t, err));
    if (stored.n != STORE_SUBKEY_BYTES ||
        sodium_memcmp(stored.p, g->keys->check, STORE_SUBKEY_BYTES) != 0) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: the storage key is not the one this store was made with; restore "
                        "that key, or import into a new store folder",
                        dir);
    }
    return 0;
}

/* What the rows of the generation are read and written with. */
static int adopt_key(struct generation *g, struct db_txn *t, const char *dir, yz_error *err,
                     bool *changed)
{
    if (!g->layout.dataset->has_sensitive) {
        return 0;
    }
    YZ_TRY(check_key_set(g, t, dir, err, changed));
    g->layout.keys = &g->keys->keys;
    return 0;
}

/* -- schema -- */

/* name, type u8, sealed u8 */
static int put_schema_field(yz_buf *b, const struct dataset_field *f)
{
    YZ_TRY(yzi_buf_put_u8(b, (uint8_t)strlen(f->name)));
    YZ_TRY(yzi_buf_put_str(b, f->name));
    YZ_TRY(yzi_buf_put_u8(b, (uint8_t)f->type));
    return yzi_buf_put_u8(b, yzi_field_is_sealed(f));
}

static int encode_schema(const struct generation *g, yz_buf *b)
{
    const struct dataset *d = g->layout.dataset;
    YZ_TRY(yzi_buf_put_u8(b, (uint8_t)strlen(d->name)));
    YZ_TRY(yzi_buf_put_str(b, d->name));
    YZ_TRY(yzi_buf_put_u16(b, (uint16_t)g->layout.fields_n));
    for (size_t i = 0; i < g->layout.fields_n; i++) {
        YZ_TRY(put_schema_field(b, &d->fields[g->layout.field[i]]));
    }
    YZ_TRY(yzi_buf_put_u8(b, (uint8_t)d->key_n));
    for (size_t i = 0; i < d->key_n; i++) {
        YZ_TRY(yzi_buf_put_u16(b, (uint16_t)g->layout.position[d->key[i]]));
    }
    return 0;
}

struct schema_field {
    yz_bytes name;
    uint8_t type, sealed;
};
struct schema {
    yz_bytes dataset;
    struct schema_field fields[DATASET_FIELDS_MAX];
    uint16_t fields_n;
    uint16_t key[DATASET_KEY_MAX];
    uint8_t key_n;
};

static int read_name(yz_reader *r, yz_bytes *out)
{
    uint8_t n;
    YZ_TRY(yzi_read_u8(r, &n));
    return yzi_read_bytes(r, n, out);
}

static int decode_schema(yz_bytes stored, struct schema *out)
{
    yz_reader r = yzi_reader(stored);
    YZ_TRY(read_name(&r, &out->dataset));
    YZ_TRY(yzi_read_u16(&r, &out->fields_n));
    YZ_ENSURE(out->fields_n <= DATASET_FIELDS_MAX, YZ_ECORRUPT);
    for (size_t i = 0; i < out->fields_n; i++) {
        struct schema_field *f = &out->fields[i];
        YZ_TRY(read_name(&r, &f->name));
        YZ_TRY(yzi_read_u8(&r, &f->type));
        YZ_TRY(yzi_read_u8(&r, &f->sealed));
    }
    YZ_TRY(yzi_read_u8(&r, &out->key_n));
    YZ_ENSURE(out->key_n <= DATASET_KEY_MAX, YZ_ECORRUPT);
    for (size_t i = 0; i < out->key_n; i++) {
        YZ_TRY(yzi_read_u16(&r, &out->key[i]));
        YZ_ENSURE(out->key[i] < out->fields_n, YZ_ECORRUPT);
    }
    return yzi_read_end(&r);
}

#define REMEDY "; take the former definition, or import everything into a new store folder"

static int check_field(const struct dataset *d, const struct schema_field *f, int at,
                       const char *dir, yz_error *err)
{
    int n = (int)f->name.n;
    const char *name = (const char *)f->name.p;
    if (at < 0) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: the stored field '%.*s' is not in the definition of '%s'" REMEDY, dir,
                        n, name, d->name);
    }
    if ((uint8_t)d->fields[at].type != f->type) {
        return yzi_fail(
            err, YZ_ECONFIG, "%s: the field '%.*s' is stored as %s, the definition says %s" REMEDY,
            dir, n, name, yzi_field_type_name(f->type), yzi_field_type_name(d->fields[at].type));
    }
    if (yzi_field_is_sealed(&d->fields[at]) != (f->sealed != 0)) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: the field '%.*s' is stored %s, its classification now asks for the "
                        "contrary" REMEDY,
                        dir, n, name, f->sealed ? "encrypted" : "in the clear");
    }
    return 0;
}

static int check_key(const struct generation *g, const struct schema *old, const char *dir,
                     yz_error *err)
{
    const struct dataset *d = g->layout.dataset;
    bool same = old->key_n == d->key_n;
    for (size_t i = 0; same && i < d->key_n; i++) {
        same = g->layout.field[old->key[i]] == d->key[i];
    }
    return same ? 0
                : yzi_fail(err, YZ_ECONFIG,
                           "%s: the records are stored under another key than the definition of "
                           "'%s' names" REMEDY,
                           dir, d->name);
}

static void add_position(struct row_layout *l, unsigned field)
{
    l->position[field] = (unsigned)l->fields_n;
    l->field[l->fields_n++] = field;
}

/* The stored order: the fields stored already, then those the definition adds. */
static int adopt_schema(struct generation *g, const struct schema *old, const char *dir,
                        yz_error *err)
{
    const struct dataset *d = g->layout.dataset;
    bool stored[DATASET_FIELDS_MAX] = {0};
    if (!yzi_bytes_eq_str(old->dataset, d->name)) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: holds the data set '%.*s', not '%s'; give each data set its own "
                        "store folder",
                        dir, (int)old->dataset.n, (const char *)old->dataset.p, d->name);
    }
    for (size_t i = 0; i < old->fields_n; i++) {
        int at = yzi_dataset_field(d, old->fields[i].name);
        YZ_TRY(check_field(d, &old->fields[i], at, dir, err));
        YZ_ENSURE(!stored[at], YZ_ECORRUPT);
        stored[at] = true;
        add_position(&g->layout, (unsigned)at);
    }
    YZ_TRY(check_key(g, old, dir, err));
    for (unsigned i = 0; i < d->fields_n; i++) {
        if (!stored[i]) {
            add_position(&g->layout, i);
        }
    }
    return 0;
}

static int read_schema(struct generation *g, struct db_txn *t, const char *dir, yz_error *err)
{
    uint64_t records, sequence;
    YZ_TRY(yzi_db_count(t, g->records, &records));
    YZ_TRY(yzi_store_meta_get(t, g->meta, META_SEQUENCE, &sequence));
    yz_bytes stored;
    int rc = yzi_db_get(t, g->meta, meta_key(META_SCHEMA), &stored);
    if (rc == YZ_ENOTFOUND) {
        YZ_ENSURE(records == 0 && sequence == 0, YZ_ECORRUPT);
    }
    if (rc == YZ_ENOTFOUND || (rc == 0 && records == 0 && sequence == 0)) {
        for (unsigned i = 0; i < g->layout.dataset->fields_n; i++) {
            add_position(&g->layout, i);
        }
        return 0;
    }
    YZ_TRY(rc);
    YZ_AUTO(yzi_free_ptr) struct schema *old = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *old, &old));
    YZ_ENSURE(decode_schema(stored, old) == 0, YZ_ECORRUPT);
    return adopt_schema(g, old, dir, err);
}

/* Write a meta value unless it is there already; *changed is set when it was written. */
static int keep_meta(struct generation *g, struct db_txn *t, const char *name, yz_bytes v,
                     bool *changed)
{
    yz_bytes stored;
    int rc = yzi_db_get(t, g->meta, meta_key(name), &stored);
    if (rc == 0 && yzi_bytes_eq(stored, v)) {
        return 0;
    }
    YZ_ENSURE(rc == 0 || rc == YZ_ENOTFOUND, rc);
    *changed = true;
    return yzi_db_put(t, g->meta, meta_key(name), v, DB_PUT_ANY);
}

static int write_schema(struct generation *g, struct db_txn *t, bool *changed)
{
    YZ_AUTO(yzi_buf_fini) yz_buf schema = {0};
    yzi_buf_init(&schema, SCHEMA_MAX);
    YZ_TRY(encode_schema(g, &schema));
    YZ_TRY(keep_meta(g, t, META_SCHEMA, yzi_bytes_buf(&schema), changed));
    return keep_meta(g, t, META_DIGEST, yzi_bytes_digest(&g->layout.dataset->digest), changed);
}

static int check_format(struct generation *g, struct db_txn *t, const char *dir, yz_error *err,
                        bool *changed)
{
    uint64_t format;
    YZ_TRY(yzi_store_meta_get(t, g->meta, META_FORMAT, &format));
    if (format == 0) {
        *changed = true;
        return g->read_only ? 0 : yzi_store_meta_put(t, g->meta, META_FORMAT, FORMAT_VERSION);
    }
    if (format != FORMAT_VERSION) {
        return yzi_fail(err, YZ_ECONFIG,
                        "%s: the store has format %llu, this version knows %u; import everything "
                        "into a new store folder",
                        dir, (unsigned long long)format, FORMAT_VERSION);
    }
    return 0;
}

/* Everything that is checked and, in a writable store, brought up to date in one transaction. A
 * store that is up to date is not written to. */
static int check_meta(struct generation *g, struct db_txn *t, const struct index_leftovers *left,
                      const char *dir, yz_error *err, bool *changed)
{
    YZ_TRY(check_format(g, t, dir, err, changed));
    YZ_TRY(adopt_key(g, t, dir, err, changed));
    YZ_TRY(read_schema(g, t, dir, err));
    YZ_TRY(yzi_indexes_adopt(g, t, left, changed));
    return g->read_only ? 0 : write_schema(g, t, changed);
}

int yzi_schema_adopt(struct generation *g, const char *dir, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) struct index_leftovers *left = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *left, &left));
    YZ_TRY(yzi_indexes_open(g, left));
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(g->read_only ? yzi_db_begin_read(g->env, &t) : yzi_db_begin_write(g->env, &t));
    bool changed = false;
    YZ_TRY(check_meta(g, t, left, dir, err, &changed));
    YZ_ENSURE(!g->read_only && changed, 0);
    if (g->former) { /* who sees this commit must not read it as before; or one that failed before
                        it, with an unknown outcome */
        uint64_t none = UINT64_MAX;
        atomic_compare_exchange_strong(&g->former->superseded, &none, yzi_db_txn_id(t));
    }
    return yzi_db_commit(&t);
}
