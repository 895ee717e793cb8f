/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of indexes, and the building of those a definition gains over records that are there.
 *
 * Each index has a database "index:NAME", and under the same name in the meta database its
 * description: state u8 ‖ cut u8 ‖ unique u8 ‖ fields u8 ‖ stored position u16 of each ‖ key of the
 * last record that is in it. A description that is not the definition's any more means building
 * anew. `cut` says that entries may be cut, under this definition or one before, so that the index
 * gives no order. The build walks the records in the order of their keys, a bounded piece per
 * transaction; a write to a record it has passed keeps the index itself, one to a record before it
 * leaves that to the build. So the index is right at every commit for the records up to `done`.
 */
#include "adapters/dataset/store_impl.h"

#define PREFIX "index:"
#define NAME_MAX_WITH_PREFIX (sizeof PREFIX + YZ_NAME_MAX)
#define DESCRIPTION_HEAD 4u
#define DESCRIPTION_MAX (DESCRIPTION_HEAD + 2u * DATASET_KEY_MAX + YZ_DB_KEY_MAX)
#define ENTRY_SCRATCH_MAX ((size_t)DATASET_KEY_MAX * (2u * YZ_VALUE_MAX + 8u))
/* One transaction of the build: what others wait for at most, and the memory it may take. */
#define STEP_RECORDS 4096u
#define STEP_BYTES (8u * 1024u * 1024u)

static void database_name(const char *index, char out[NAME_MAX_WITH_PREFIX])
{
    snprintf(out, NAME_MAX_WITH_PREFIX, PREFIX "%s", index);
}

/* -- opening the databases -- */

static bool is_defined(const struct dataset *d, yz_bytes name)
{
    for (size_t i = 0; i < d->indexes_n; i++) {
        if (yzi_bytes_eq_str(name, d->indexes[i].name)) {
            return true;
        }
    }
    return false;
}

static int find_leftovers(struct generation *g, struct index_leftovers *left)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    yz_bytes prefix = yzi_bytes_str(PREFIX), key = prefix;
    YZ_TRY(yzi_db_begin_read(g->env, &t));
    YZ_TRY(yzi_db_cursor_open(t, g->meta, &c));
    int rc = yzi_db_cursor_move(c, DB_SEEK, &key, NULL);
    for (; rc == 0; rc = yzi_db_cursor_move(c, DB_NEXT, &key, NULL)) {
        if (key.n < prefix.n || memcmp(key.p, prefix.p, prefix.n) != 0) {
            return 0;
        }
        yz_bytes name = yzi_bytes(key.p + prefix.n, key.n - prefix.n);
        if (!is_defined(g->layout.dataset, name)) {
            YZ_ENSURE(left->n < 2 * DATASET_INDEXES_MAX && name.n <= YZ_NAME_MAX, YZ_ECORRUPT);
            memcpy(left->name[left->n], name.p, name.n);
            left->name[left->n++][name.n] = '\0';
        }
    }
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

int yzi_indexes_open(struct generation *g, struct index_leftovers *left)
{
    const struct dataset *d = g->layout.dataset;
    char name[NAME_MAX_WITH_PREFIX];
    for (size_t i = 0; i < d->indexes_n; i++) {
        database_name(d->indexes[i].name, name);
        int rc = yzi_db_handle(g->env, name, DB_DUP_SORT, &g->indexes[i].db);
        YZ_ENSURE(rc == 0 || (rc == YZ_ENOTFOUND && g->read_only), rc);
    }
    if (g->read_only) {
        return 0;
    }
    YZ_TRY(find_leftovers(g, left));
    for (size_t i = 0; i < left->n; i++) {
        database_name(left->name[i], name);
        YZ_TRY(yzi_db_handle(g->env, name, DB_DUP_SORT, &left->db[i]));
    }
    return 0;
}

/* -- descriptions -- */

static int describe(const struct generation *g, size_t i, enum index_state state, yz_bytes done,
                    yz_buf *out)
{
    const struct dataset_index *x = &g->layout.dataset->indexes[i];
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)state));
    YZ_TRY(yzi_buf_put_u8(out, atomic_load(&g->indexes[i].cut)));
    YZ_TRY(yzi_buf_put_u8(out, x->unique));
    YZ_TRY(yzi_buf_put_u8(out, (uint8_t)x->fields_n));
    for (size_t k = 0; k < x->fields_n; k++) {
        YZ_TRY(yzi_buf_put_u16(out, (uint16_t)g->layout.position[x->fields[k]]));
    }
    return yzi_buf_put(out, done);
}

int yzi_index_put_state(struct generation *g, struct db_txn *t, size_t i, enum index_state state,
                        yz_bytes done)
{
    char name[NAME_MAX_WITH_PREFIX];
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    yzi_buf_init(&b, DESCRIPTION_MAX);
    YZ_TRY(describe(g, i, state, done, &b));
    database_name(g->layout.dataset->indexes[i].name, name);
    return yzi_db_put(t, g->meta, yzi_bytes_str(name), yzi_bytes_buf(&b), DB_PUT_ANY);
}

/* Whether the stored description is of this index, whatever its state. */
static bool is_same(const struct generation *g, size_t i, yz_bytes stored)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    yzi_buf_init(&b, DESCRIPTION_MAX);
    return describe(g, i, INDEX_READY, (yz_bytes){0}, &b) == 0 && stored.n >= b.n &&
           memcmp(stored.p + 2, b.p + 2, b.n - 2) == 0;
}

static bool may_cut(const struct generation *g, size_t i)
{
    const struct dataset *d = g->layout.dataset;
    return yzi_index_entry_max(d, &d->indexes[i]) > INDEX_WHOLE_MAX;
}

/* What a former definition let be cut stays so. */
static int adopt_stored(struct generation *g, struct db_txn *t, size_t i, yz_bytes stored,
                        bool *changed)
{
    struct index *x = &g->indexes[i];
    size_t head = DESCRIPTION_HEAD + 2 * g->layout.dataset->indexes[i].fields_n;
    yzi_buf_clear(&x->done);
    YZ_ENSURE(stored.n >= head && stored.p[0] >= INDEX_BUILDING && stored.p[0] <= INDEX_BROKEN,
              YZ_ECORRUPT);
    YZ_TRY(yzi_buf_put(&x->done, yzi_bytes(stored.p + head, stored.n - head)));
    atomic_store(&x->state, stored.p[0]);
    atomic_store(&x->cut, stored.p[1] || may_cut(g, i));
    if (g->read_only || stored.p[1] == atomic_load(&x->cut)) {
        return 0;
    }
    *changed = true;
    return yzi_index_put_state(g, t, i, (enum index_state)stored.p[0], yzi_bytes_buf(&x->done));
}

static int start_anew(struct generation *g, struct db_txn *t, size_t i)
{
    struct index *x = &g->indexes[i];
    uint64_t records;
    YZ_TRY(yzi_db_count(t, g->records, &records));
    YZ_TRY(yzi_db_clear(t, x->db));
    enum index_state state = records == 0 ? INDEX_READY : INDEX_BUILDING;
    yzi_buf_clear(&x->done);
    atomic_store(&x->state, state);
    atomic_store(&x->cut, may_cut(g, i));
    return yzi_index_put_state(g, t, i, state, (yz_bytes){0});
}

static int adopt_index(struct generation *g, struct db_txn *t, size_t i, bool *changed)
{
    char name[NAME_MAX_WITH_PREFIX];
    yz_bytes stored;
    database_name(g->layout.dataset->indexes[i].name, name);
    int rc = yzi_db_get(t, g->meta, yzi_bytes_str(name), &stored);
    bool same = rc == 0 && stored.n > 0 && is_same(g, i, stored);
    YZ_ENSURE(rc == 0 || rc == YZ_ENOTFOUND, rc);
    if (same && (g->read_only || stored.p[0] != INDEX_BROKEN)) {
        return adopt_stored(g, t, i, stored, changed);
    }
    if (g->read_only) {
        return 0; /* INDEX_ABSENT */
    }
    *changed = true;
    return start_anew(g, t, i);
}

int yzi_indexes_adopt(struct generation *g, struct db_txn *t, const struct index_leftovers *left,
                      bool *changed)
{
    for (size_t i = 0; i < g->layout.dataset->indexes_n; i++) {
        YZ_TRY(adopt_index(g, t, i, changed));
    }
    for (size_t i = 0; i < left->n; i++) {
        char name[NAME_MAX_WITH_PREFIX];
        database_name(left->name[i], name);
        YZ_TRY(yzi_db_clear(t, left->db[i]));
        YZ_TRY(yzi_db_del(t, g->meta, yzi_bytes_str(name), NULL));
        *changed = true;
    }
    return 0;
}

bool yzi_index_covers(const struct index *x, yz_bytes key)
{
    int state = atomic_load(&x->state);
    return state == INDEX_READY || (state == INDEX_BUILDING && x->done.n > 0 &&
                                    yzi_bytes_cmp(key, yzi_bytes_buf(&x->done)) <= 0);
}

/* -- building -- */

struct build {
    struct generation *g;
    size_t i;
    struct db_txn *txn;
    struct query_value split[DATASET_FIELDS_MAX];
    yz_buf plain, entry, done; /* plain and entry wiped */
    size_t bytes;
};

static int add_record(struct build *b, yz_bytes key, yz_bytes stored)
{
    const struct dataset_index *index = &b->g->layout.dataset->indexes[b->i];
    db_handle db = b->g->indexes[b->i].db;
    struct stored_row row;
    bool has_null;
    yz_bytes other;
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(yzi_row_split(&b->g->layout, &row, b->split));
    YZ_TRY(yzi_index_entry_of_row(&b->g->layout, key, b->split, index, &b->plain, &b->entry,
                                  &has_null));
    yz_bytes entry = yzi_bytes_buf(&b->entry);
    if (index->unique && !has_null) {
        int rc = yzi_db_get(b->txn, db, entry, &other);
        YZ_ENSURE(rc != 0, YZ_EEXIST);
        YZ_ENSURE(rc == YZ_ENOTFOUND, rc);
    }
    b->bytes += entry.n + key.n;
    if (entry.n == YZ_DB_KEY_MAX) { /* a value from when the definition allowed longer ones */
        atomic_store(&b->g->indexes[b->i].cut, true);
    }
    return yzi_db_put(b->txn, db, entry, key, DB_PUT_ANY);
}

/* A piece from behind `done`; YZ_ENOTFOUND when there was nothing left. The record's key is copied
 * before it is used: a put may move what the cursor shows. */
static int add_piece(struct build *b)
{
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    YZ_TRY(yzi_db_cursor_open(b->txn, b->g->records, &c));
    yz_bytes key = yzi_bytes_buf(&b->done), stored;
    int rc = yzi_db_cursor_move(c, DB_SEEK, &key, &stored);
    if (rc == 0 && b->done.n && yzi_bytes_eq(key, yzi_bytes_buf(&b->done))) {
        rc = yzi_db_cursor_move(c, DB_NEXT, &key, &stored);
    }
    for (unsigned n = 0; rc == 0 && n < STEP_RECORDS && b->bytes < STEP_BYTES; n++) {
        yzi_buf_clear(&b->done);
        YZ_TRY(yzi_buf_put(&b->done, key));
        YZ_TRY(add_record(b, yzi_bytes_buf(&b->done), stored));
        rc = yzi_db_cursor_move(c, DB_NEXT, &key, &stored);
    }
    return rc;
}

static int end_piece(struct build *b, int rc, enum index_state *state)
{
    *state = rc == 0 ? INDEX_BUILDING : rc == YZ_ENOTFOUND ? INDEX_READY : INDEX_BROKEN;
    YZ_ENSURE(rc == 0 || rc == YZ_ENOTFOUND || rc == YZ_EEXIST, rc);
    if (*state != INDEX_BUILDING) {
        yzi_buf_clear(&b->done);
    }
    YZ_TRY(yzi_index_put_state(b->g, b->txn, b->i, *state, yzi_bytes_buf(&b->done)));
    return yzi_db_commit(&b->txn);
}

static int build_piece(struct build *b, enum index_state *state)
{
    struct index *x = &b->g->indexes[b->i];
    YZ_TRY(yzi_buf_put(&b->done, yzi_bytes_buf(&x->done)));
    YZ_TRY(yzi_buf_reserve(&b->done, 1)); /* a view of nothing needs a pointer, too */
    YZ_TRY(yzi_db_begin_write(b->g->env, &b->txn));
    int rc = add_piece(b);
    if (rc == YZ_EEXIST) { /* what this transaction added is of no use */
        yzi_db_abort(&b->txn);
        YZ_TRY(yzi_db_begin_write(b->g->env, &b->txn));
    }
    YZ_TRY(end_piece(b, rc, state));
    yzi_buf_clear(&x->done);
    YZ_TRY(yzi_buf_put(&x->done, yzi_bytes_buf(&b->done)));
    atomic_store(&x->state, *state);
    return 0;
}

static int build_index_piece(struct generation *g, size_t i, enum index_state *state)
{
    YZ_AUTO(yzi_free_ptr) struct build *b = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *b, &b));
    b->g = g;
    b->i = i;
    yzi_buf_init(&b->plain, YZ_VALUE_MAX + 64u);
    yzi_buf_init(&b->entry, ENTRY_SCRATCH_MAX);
    yzi_buf_init(&b->done, YZ_DB_KEY_MAX);
    int rc = build_piece(b, state);
    yzi_db_abort(&b->txn);
    yzi_buf_wipe(&b->plain);
    yzi_buf_wipe(&b->entry);
    yzi_buf_fini(&b->done);
    return rc;
}

static int next_to_build(const struct generation *g)
{
    for (size_t i = 0; i < g->layout.dataset->indexes_n; i++) {
        if (atomic_load(&g->indexes[i].state) == INDEX_BUILDING) {
            return (int)i;
        }
    }
    return -1;
}

unsigned yzi_store_to_build(struct store *s)
{
    YZ_AUTO(yzi_generation_unpin) struct generation *g = yzi_generation_pin(s);
    unsigned n = 0;
    for (size_t i = 0; i < g->layout.dataset->indexes_n; i++) {
        n += atomic_load(&g->indexes[i].state) == INDEX_BUILDING;
    }
    return n;
}

int yzi_store_build_step(struct store *s, bool *more, yz_error *err)
{
    *more = false;
    if (s->read_only) {
        return 0;
    }
    YZ_TRY(yzi_generation_settle(s, err));
    YZ_AUTO(yzi_generation_unpin) struct generation *g = yzi_generation_pin(s);
    int i = next_to_build(g);
    if (i < 0) {
        return 0;
    }
    enum index_state state = INDEX_BUILDING;
    int rc = build_index_piece(g, (size_t)i, &state);
    const char *name = s->dataset->indexes[i].name;
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: the index '%s' could not be built (%s)", s->dir, name,
                        yz_err_words(rc));
    }
    *more = next_to_build(g) >= 0;
    if (state == INDEX_BROKEN) {
        return yzi_fail(err, YZ_EEXIST,
                        "%s: the index '%s' is unique, and two records have the same values; "
                        "correct them and reload (`yz data check` with the definition and the file "
                        "they came from names their lines), or make the index one that is not "
                        "unique",
                        s->dir, name);
    }
    return 0;
}
