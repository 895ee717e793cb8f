/* SPDX-License-Identifier: Apache-2.0
 *
 * Databases: `entries` (index -> entry), `bodies` (index -> body), `hashes` (level and number ->
 * hash), `ids` (message id ‖ type -> indexes, eight bytes big-endian so that they sort), `head`
 * (one key). Entries, bodies and hashes have integer keys and are written in their order, which
 * fills LMDB's pages to the end. Of `hashes` the lowest level sorts last, because it is the one
 * that grows.
 */
#include "broker/evidence/store.h"

#include <sodium.h>

#define DATABASES 5u
#define READERS 64u
#define HEAD_VERSION 1u
#define HEAD_BYTES (1u + 5u * 8u + 32u + 1u + 32u + 32u + 8u + 32u + 64u + 32u)
#define ID_KEY_BYTES 17u
#define PROBE_BYTES ((size_t)256 << 10)

struct store {
    struct db_env *env;
    db_handle entries, bodies, hashes, ids, head;
    char *path;
};

static yz_bytes number_key(const uint64_t *n)
{
    return yzi_bytes(n, sizeof *n);
}

/* A key that must be there: if it is not, the store is damaged. */
static int must_have(int rc)
{
    return rc == YZ_ENOTFOUND ? YZ_ECORRUPT : rc;
}

/* -- opening -- */

static int open_handles(struct store *s)
{
    YZ_TRY(yzi_db_handle(s->env, "entries", DB_INTEGER_KEY, &s->entries));
    YZ_TRY(yzi_db_handle(s->env, "bodies", DB_INTEGER_KEY, &s->bodies));
    YZ_TRY(yzi_db_handle(s->env, "hashes", DB_INTEGER_KEY, &s->hashes));
    YZ_TRY(yzi_db_handle(s->env, "ids", DB_DUP_SORT | DB_DUP_FIXED, &s->ids));
    return yzi_db_handle(s->env, "head", DB_PLAIN, &s->head);
}

static void store_drop(struct store **s)
{
    yzi_ledger_close(*s);
}

int yzi_ledger_open(const char *path, bool create, struct store **out, yz_error *err)
{
    YZ_AUTO(store_drop) struct store *s = NULL;
    if (yzi_alloc(1, sizeof *s, &s) < 0 || yzi_bytes_dup_str(yzi_bytes_str(path), &s->path) < 0) {
        return yzi_fail(err, YZ_ENOMEM, "%s: not enough memory", path);
    }
    struct db_options o = {
        .path = path, .databases = DATABASES, .readers = READERS, .read_only = !create};
    YZ_TRY(yzi_db_open(&o, &s->env, err));
    int rc = open_handles(s);
    if (rc < 0) {
        return yzi_fail(err, rc == YZ_ENOTFOUND || rc == YZ_EINVAL ? YZ_ECORRUPT : rc,
                        "%s: cannot open the evidence store's tables (%s)", path, yz_err_words(rc));
    }
    *out = YZ_TAKE(s);
    return YZ_OK;
}

void yzi_ledger_close(struct store *s)
{
    if (s) {
        yzi_db_close(s->env);
        free(s->path);
        free(s);
    }
}

const char *yzi_ledger_path(const struct store *s)
{
    return s->path;
}

int yzi_ledger_identify(struct store *s, struct store_head *head)
{
    struct db_file f;
    YZ_TRY(yzi_db_file(s->env, &f));
    head->inode = f.inode;
    head->born = f.born;
    return YZ_OK;
}

int yzi_ledger_is_original(struct store *s, const struct store_head *head, bool *out)
{
    struct store_head now;
    YZ_TRY(yzi_ledger_identify(s, &now));
    *out = now.inode == head->inode && now.born == head->born;
    return YZ_OK;
}

int yzi_ledger_bytes(struct store *s, uint64_t *out)
{
    struct db_file f;
    YZ_TRY(yzi_db_file(s->env, &f));
    *out = f.bytes;
    return YZ_OK;
}

/* -- the head -- */

static void head_write(const struct store_head *h, uint8_t out[HEAD_BYTES])
{
    uint8_t *p = out;
    const uint64_t numbers[] = {h->log, h->size, h->time, h->pruned, h->swept};
    *p++ = HEAD_VERSION;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++, p += 8) {
        yzi_store_u64(p, numbers[i]);
    }
    memcpy(p, h->root.b, 32), p += 32;
    *p++ = (uint8_t)h->state;
    memcpy(p, h->key, 32), p += 32;
    yzi_store_u64(p, h->cited_log), p += 8;
    yzi_store_u64(p, h->cited_size), p += 8;
    yzi_store_u64(p, h->inode), p += 8;
    yzi_store_u64(p, h->born), p += 8;
    yzi_store_u64(p, h->signed_size), p += 8;
    memcpy(p, h->signed_root.b, 32), p += 32;
    memcpy(p, h->signature, 64), p += 64;
    crypto_hash_sha256(p, out, (unsigned long long)(p - out));
    YZ_ASSERT(p + 32 == out + HEAD_BYTES);
}

static int head_read(yz_bytes b, struct store_head *h)
{
    uint8_t sum[32], version, state;
    YZ_ENSURE(b.n == HEAD_BYTES, YZ_ECORRUPT);
    crypto_hash_sha256(sum, b.p, HEAD_BYTES - 32);
    YZ_ENSURE(memcmp(sum, b.p + HEAD_BYTES - 32, 32) == 0, YZ_ECORRUPT);
    yz_reader r = yzi_reader(b);
    YZ_TRY(yzi_read_u8(&r, &version));
    YZ_ENSURE(version == HEAD_VERSION, YZ_EVERSION);
    YZ_TRY(yzi_read_u64(&r, &h->log));
    YZ_TRY(yzi_read_u64(&r, &h->size));
    YZ_TRY(yzi_read_u64(&r, &h->time));
    YZ_TRY(yzi_read_u64(&r, &h->pruned));
    YZ_TRY(yzi_read_u64(&r, &h->swept));
    YZ_TRY(yzi_read_into(&r, h->root.b, 32));
    YZ_TRY(yzi_read_u8(&r, &state));
    h->state = state;
    YZ_TRY(yzi_read_into(&r, h->key, 32));
    YZ_TRY(yzi_read_u64(&r, &h->cited_log));
    YZ_TRY(yzi_read_u64(&r, &h->cited_size));
    YZ_TRY(yzi_read_u64(&r, &h->inode));
    YZ_TRY(yzi_read_u64(&r, &h->born));
    YZ_TRY(yzi_read_u64(&r, &h->signed_size));
    YZ_TRY(yzi_read_into(&r, h->signed_root.b, 32));
    return yzi_read_into(&r, h->signature, 64);
}

static const char head_key[] = "head", probe_key[] = "probe";

int yzi_ledger_head(struct store *s, struct db_txn *t, struct store_head *out, yz_error *err)
{
    yz_bytes v;
    int rc = yzi_db_get(t, s->head, yzi_bytes_str(head_key), &v);
    if (rc == YZ_ENOTFOUND) {
        *out = (struct store_head){0};
        return YZ_OK;
    }
    rc = rc < 0 ? rc : head_read(v, out);
    if (rc == YZ_ECORRUPT) {
        return yzi_fail(err, rc, "%s: the log's head is damaged; restore it from a backup",
                        s->path);
    }
    return rc < 0
               ? yzi_fail(err, rc, "%s: cannot read the log's head (%s)", s->path, yz_err_words(rc))
               : YZ_OK;
}

int yzi_ledger_put_head(struct store *s, struct db_txn *t, const struct store_head *head)
{
    uint8_t bytes[HEAD_BYTES];
    head_write(head, bytes);
    return yzi_db_put(t, s->head, yzi_bytes_str(head_key), yzi_bytes(bytes, sizeof bytes),
                      DB_PUT_ANY);
}

/* -- reading -- */

int yzi_ledger_read(struct store *s, struct db_txn **out)
{
    return yzi_db_begin_read(s->env, out);
}

int yzi_ledger_entry(struct store *s, struct db_txn *t, uint64_t index, uint8_t out[YZ_ENTRY_BYTES])
{
    yz_bytes v;
    YZ_TRY(must_have(yzi_db_get(t, s->entries, number_key(&index), &v)));
    YZ_ENSURE(v.n == YZ_ENTRY_BYTES, YZ_ECORRUPT);
    memcpy(out, v.p, v.n);
    return YZ_OK;
}

int yzi_ledger_body(struct store *s, struct db_txn *t, uint64_t index, yz_bytes *out)
{
    return yzi_db_get(t, s->bodies, number_key(&index), out);
}

/* Levels are those of tiles: a hash of level l stands for 256^l leaves. */
static uint64_t hash_key(unsigned level, uint64_t number)
{
    return (uint64_t)(TILE_LEVELS - level) << 56 | number;
}

int yzi_ledger_hash(struct store *s, struct db_txn *t, unsigned level, uint64_t number,
                    yz_digest *out)
{
    yz_bytes v;
    uint64_t key = hash_key(level + 1, number);
    YZ_TRY(must_have(yzi_db_get(t, s->hashes, number_key(&key), &v)));
    YZ_ENSURE(v.n == sizeof out->b, YZ_ECORRUPT);
    memcpy(out->b, v.p, v.n);
    return YZ_OK;
}

/* One value of the row: a leaf's hash, or a stored one. */
static int row_value(unsigned level, yz_bytes v, yz_digest *out)
{
    if (level == 0) {
        YZ_ENSURE(v.n == YZ_ENTRY_BYTES, YZ_ECORRUPT);
        yzi_merkle_leaf(v, out);
        return YZ_OK;
    }
    YZ_ENSURE(v.n == sizeof out->b, YZ_ECORRUPT);
    memcpy(out->b, v.p, v.n);
    return YZ_OK;
}

int yzi_ledger_fill(struct store *s, struct db_txn *t, struct tile *tile, unsigned width)
{
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    unsigned level = tile->level;
    uint64_t at = (tile->number << TILE_BITS) + tile->width;
    at = level == 0 ? at : hash_key(level, at);
    YZ_TRY(yzi_db_cursor_open(t, level == 0 ? s->entries : s->hashes, &c));
    yz_bytes key = number_key(&at), v;
    enum db_move move = DB_SEEK;
    for (; tile->width < width; at++, move = DB_NEXT) {
        yz_digest hash;
        uint64_t found;
        YZ_TRY(must_have(yzi_db_cursor_move(c, move, &key, &v)));
        memcpy(&found, key.p, sizeof found); /* the table's keys are of that size */
        YZ_ENSURE(found == at, YZ_ECORRUPT);
        YZ_TRY(row_value(level, v, &hash));
        yzi_tile_add(tile, &hash);
    }
    return YZ_OK;
}

int yzi_ledger_entries(struct store *s, struct db_txn *t, uint64_t from, unsigned n, uint8_t *out)
{
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    YZ_TRY(yzi_db_cursor_open(t, s->entries, &c));
    yz_bytes key = number_key(&from), v;
    enum db_move move = DB_SEEK;
    for (unsigned i = 0; i < n; i++, move = DB_NEXT, out += YZ_ENTRY_BYTES) {
        uint64_t found;
        YZ_TRY(must_have(yzi_db_cursor_move(c, move, &key, &v)));
        memcpy(&found, key.p, sizeof found);
        YZ_ENSURE(found == from + i && v.n == YZ_ENTRY_BYTES, YZ_ECORRUPT);
        memcpy(out, v.p, v.n);
    }
    return YZ_OK;
}

static void id_key(const yz_uuid *id, enum entry_type type, uint8_t out[ID_KEY_BYTES])
{
    memcpy(out, id->b, sizeof id->b);
    out[sizeof id->b] = (uint8_t)type;
}

/* The values are sorted: the newest stand last. */
int yzi_ledger_find(struct store *s, struct db_txn *t, const yz_uuid *id, enum entry_type type,
                    bool (*visit)(void *ctx, uint64_t index), void *ctx)
{
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    uint64_t found[STORE_SAME_MAX];
    uint8_t wanted[ID_KEY_BYTES];
    size_t n = 0;
    id_key(id, type, wanted);
    YZ_TRY(yzi_db_cursor_open(t, s->ids, &c));
    yz_bytes key = yzi_bytes(wanted, sizeof wanted), v;
    int rc = yzi_db_cursor_move(c, DB_SEEK, &key, &v);
    YZ_ENSURE(rc < 0 || yzi_bytes_eq(key, yzi_bytes(wanted, sizeof wanted)), YZ_ENOTFOUND);
    for (; rc == YZ_OK; rc = yzi_db_cursor_move(c, DB_NEXT_DUP, &key, &v)) {
        YZ_ENSURE(v.n == sizeof(uint64_t), YZ_ECORRUPT);
        found[n++ % STORE_SAME_MAX] = yzi_load_u64(v.p);
    }
    YZ_ENSURE(rc == YZ_ENOTFOUND, rc);
    for (size_t k = 0; k < n && k < STORE_SAME_MAX; k++) {
        if (visit(ctx, found[(n - 1 - k) % STORE_SAME_MAX])) {
            return YZ_OK;
        }
    }
    return YZ_ENOTFOUND;
}

int yzi_ledger_first_since(struct store *s, struct db_txn *t, uint64_t size, uint64_t time,
                           uint64_t *out)
{
    uint64_t low = 0, high = size;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        uint8_t bytes[YZ_ENTRY_BYTES];
        struct entry e;
        YZ_TRY(yzi_ledger_entry(s, t, middle, bytes));
        YZ_ENSURE(yzi_entry_parse(yzi_bytes(bytes, sizeof bytes), &e) == YZ_OK, YZ_ECORRUPT);
        if (e.time < time) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *out = low;
    return YZ_OK;
}

/* -- writing -- */

int yzi_ledger_write(struct store *s, struct db_txn **out)
{
    return yzi_db_begin_write(s->env, out);
}

/* An append that is not one says that the store holds more than its head. */
static int appended(int rc)
{
    return rc == YZ_EINVAL ? YZ_ECORRUPT : rc;
}

int yzi_ledger_add(struct store *s, struct db_txn *t, uint64_t index,
                   const uint8_t entry[YZ_ENTRY_BYTES], yz_bytes body, const yz_uuid *id,
                   enum entry_type type)
{
    yz_bytes key = number_key(&index);
    YZ_TRY(
        appended(yzi_db_put(t, s->entries, key, yzi_bytes(entry, YZ_ENTRY_BYTES), DB_PUT_APPEND)));
    YZ_TRY(appended(yzi_db_put(t, s->bodies, key, body, DB_PUT_APPEND)));
    static const yz_uuid none; /* openings are found by their type alone */
    id = !id && type == ENTRY_OPENING ? &none : id;
    if (!id) {
        return YZ_OK;
    }
    uint8_t name[ID_KEY_BYTES], value[8];
    id_key(id, type, name);
    yzi_store_u64(value, index);
    return yzi_db_put(t, s->ids, yzi_bytes(name, sizeof name), yzi_bytes(value, sizeof value),
                      DB_PUT_ANY);
}

int yzi_ledger_add_hash(struct store *s, struct db_txn *t, unsigned level, uint64_t number,
                        const yz_digest *hash)
{
    uint64_t key = hash_key(level + 1, number);
    return yzi_db_put(t, s->hashes, number_key(&key), yzi_bytes_digest(hash), DB_PUT_ANY);
}

int yzi_ledger_sweep(struct store *s, struct db_txn *t, struct store_head *head, uint64_t most)
{
    uint8_t entry[YZ_ENTRY_BYTES];
    for (; most > 0 && head->swept < head->pruned; most--, head->swept++) {
        YZ_TRY(yzi_ledger_entry(s, t, head->swept, entry));
        if (entry[3] == ENTRY_OPENING) {
            continue; /* how the log began is asked for as long as there is anyone */
        }
        int rc = yzi_db_del(t, s->bodies, number_key(&head->swept), NULL);
        YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    }
    return YZ_OK;
}

int yzi_ledger_probe(struct store *s)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    uint8_t *room;
    YZ_TRY(yzi_ledger_write(s, &t));
    YZ_TRY(
        yzi_db_put_reserve(t, s->head, yzi_bytes_str(probe_key), PROBE_BYTES, DB_PUT_ANY, &room));
    memset(room, 0, PROBE_BYTES);
    YZ_TRY(yzi_db_commit(&t));
    YZ_TRY(yzi_ledger_write(s, &t));
    YZ_TRY(yzi_db_del(t, s->head, yzi_bytes_str(probe_key), NULL));
    return yzi_db_commit(&t);
}

/* -- the tree within a transaction -- */

static int tree_node(void *ctx, unsigned level, uint64_t number, yz_digest *out)
{
    struct store_tree *t = ctx;
    unsigned tiles = level / TILE_BITS, row = level % TILE_BITS;
    uint64_t wanted = number >> (TILE_BITS - row);
    uint64_t there = (t->size >> (tiles * TILE_BITS)) - (wanted << TILE_BITS);
    if (t->tile.level != tiles || t->tile.number != wanted || t->tile.width == 0) {
        yzi_tile_init(&t->tile, tiles, wanted);
        int rc = yzi_ledger_fill(t->store, t->txn, &t->tile,
                                 there < TILE_WIDTH ? (unsigned)there : TILE_WIDTH);
        if (rc < 0) {
            t->tile.width = 0;
            return rc;
        }
    }
    *out = *yzi_tile_node(&t->tile, row, (unsigned)(number & ((TILE_WIDTH >> row) - 1)));
    return YZ_OK;
}

void yzi_ledger_tree(struct store_tree *t, struct store *s, struct db_txn *txn, uint64_t size,
                     struct tree_source *out)
{
    t->store = s;
    t->txn = txn;
    t->size = size;
    yzi_tile_init(&t->tile, 0, 0);
    out->node = tree_node;
    out->ctx = t;
}
