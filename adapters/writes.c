/* SPDX-License-Identifier: Apache-2.0
 *
 * Three databases: `writes` by message id and hash of the node (whose name may be longer than a
 * key); `writes-until` by time, to give entries up in order; `writes-meta` with the time of the
 * last one given up. An entry is
 *     version u8 = 1 | state u8 (1 begun, 2 answered) | until u64 | request digest 32 | frame
 */
#include "adapters/writes.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

#include "adapters/share.h"
#include "proto/limits.h"

#define ENTRY_VERSION 1u
#define STATE_BEGAN 1u
#define STATE_ANSWERED 2u
#define HOLDER_BYTES 32u
#define KEY_BYTES (sizeof(yz_uuid) + HOLDER_BYTES)
#define UNTIL_BYTES (8u + KEY_BYTES)
#define ENTRY_FIXED (1u + 1u + 8u + 32u)
#define EXPIRE_AT_ONCE 256u

struct writes {
    struct db_env *env;
    db_handle entries, until, meta;
    _Atomic uint64_t given_up; /* until of the last entry given up */
    pthread_mutex_t lock;      /* guards shares */
    struct shares shares;      /* by hash of the node */
};

static void holder_of(yz_node_id node, uint8_t out[HOLDER_BYTES])
{
    int rc = crypto_generichash(out, HOLDER_BYTES, node.v.p, node.v.n, NULL, 0);
    YZ_ASSERT(rc == 0); /* lengths are right, nothing else can fail */
}

static yz_bytes key_of(const struct write_entry *e, uint8_t space[KEY_BYTES])
{
    memcpy(space, e->id.b, sizeof e->id.b);
    holder_of(e->node, space + sizeof e->id.b);
    return yzi_bytes(space, KEY_BYTES);
}

/* -- entries -- */

struct stored {
    uint8_t state;
    uint64_t until;
    yz_digest digest;
    yz_bytes frame;
};

static int decode(yz_bytes v, struct stored *out)
{
    yz_reader r = yzi_reader(v);
    uint8_t version;
    yz_bytes digest;
    YZ_ENSURE(v.n >= ENTRY_FIXED, YZ_ECORRUPT);
    YZ_TRY(yzi_read_u8(&r, &version));
    YZ_TRY(yzi_read_u8(&r, &out->state));
    YZ_TRY(yzi_read_u64(&r, &out->until));
    YZ_TRY(yzi_read_bytes(&r, sizeof out->digest.b, &digest));
    YZ_ENSURE(version == ENTRY_VERSION, YZ_ECORRUPT);
    YZ_ENSURE(out->state == STATE_BEGAN || out->state == STATE_ANSWERED, YZ_ECORRUPT);
    memcpy(out->digest.b, digest.p, sizeof out->digest.b);
    out->frame = yzi_bytes(r.p, r.left);
    return YZ_OK;
}

static int put(struct writes *w, struct db_txn *t, const struct write_entry *e, uint8_t state,
               unsigned flags)
{
    uint8_t key[KEY_BYTES], *p;
    YZ_TRY(yzi_db_put_reserve(t, w->entries, key_of(e, key), ENTRY_FIXED + e->frame.n, flags, &p));
    p[0] = ENTRY_VERSION;
    p[1] = state;
    yzi_store_u64(p + 2, e->until);
    memcpy(p + 10, e->digest.b, sizeof e->digest.b);
    if (e->frame.n) {
        memcpy(p + ENTRY_FIXED, e->frame.p, e->frame.n);
    }
    return YZ_OK;
}

/* -- opening -- */

static int count_entries(struct writes *w, struct db_txn *t)
{
    struct db_cursor *c;
    YZ_TRY(yzi_db_cursor_open(t, w->entries, &c));
    yz_bytes key, value;
    int rc;
    while ((rc = yzi_db_cursor_move(c, DB_NEXT, &key, &value)) == YZ_OK) {
        struct stored s;
        rc = key.n == KEY_BYTES ? decode(value, &s) : YZ_ECORRUPT;
        if (rc == YZ_OK) {
            rc = yzi_shares_note(&w->shares, yzi_bytes(key.p + sizeof(yz_uuid), HOLDER_BYTES), 1);
        }
        if (rc < 0) {
            break;
        }
    }
    yzi_db_cursor_close(&c);
    return rc == YZ_ENOTFOUND ? YZ_OK : rc;
}

static yz_bytes given_up_key(void)
{
    return yzi_bytes_str("given-up");
}

static int load(struct writes *w)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(w->env, &t));
    yz_bytes v;
    int rc = yzi_db_get(t, w->meta, given_up_key(), &v);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    YZ_ENSURE(rc == YZ_ENOTFOUND || v.n == 8, YZ_ECORRUPT);
    atomic_store(&w->given_up, rc == YZ_OK ? yzi_load_u64(v.p) : 0);
    return count_entries(w, t);
}

static int open_all(struct writes *w, struct state *state)
{
    YZ_TRY(yzi_state_database(state, "writes", DB_PLAIN, &w->entries));
    YZ_TRY(yzi_state_database(state, "writes-until", DB_PLAIN, &w->until));
    YZ_TRY(yzi_state_database(state, "writes-meta", DB_PLAIN, &w->meta));
    return load(w);
}

int yzi_writes_open(const struct writes_options *o, struct writes **out, yz_error *err)
{
    struct writes *w;
    YZ_TRY(yzi_alloc(1, sizeof *w, &w));
    w->env = yzi_state_env(o->state);
    yzi_shares_init(&w->shares, o->entries_max, o->entries_each_max);
    if (pthread_mutex_init(&w->lock, NULL) != 0) {
        free(w);
        return YZ_ENOMEM;
    }
    int rc = open_all(w, o->state);
    if (rc < 0) {
        yzi_writes_close(w);
        return yzi_fail(err, rc, "the memory of writes cannot be read (%s)", yz_err_words(rc));
    }
    *out = w;
    return YZ_OK;
}

void yzi_writes_close(struct writes *w)
{
    if (w) {
        yzi_shares_fini(&w->shares);
        pthread_mutex_destroy(&w->lock);
        free(w);
    }
}

/* -- places -- */

size_t yzi_writes_count(struct writes *w)
{
    pthread_mutex_lock(&w->lock);
    size_t n = w->shares.total;
    pthread_mutex_unlock(&w->lock);
    return n;
}

int yzi_writes_reserve(struct writes *w, yz_node_id node, bool *own)
{
    uint8_t holder[HOLDER_BYTES];
    holder_of(node, holder);
    pthread_mutex_lock(&w->lock);
    int rc = yzi_shares_take(&w->shares, yzi_bytes(holder, sizeof holder), 1, own);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static void give(struct writes *w, const uint8_t holder[HOLDER_BYTES])
{
    pthread_mutex_lock(&w->lock);
    yzi_shares_give(&w->shares, yzi_bytes(holder, HOLDER_BYTES), 1);
    pthread_mutex_unlock(&w->lock);
}

void yzi_writes_release(struct writes *w, yz_node_id node)
{
    uint8_t holder[HOLDER_BYTES];
    holder_of(node, holder);
    give(w, holder);
}

/* -- looking -- */

int yzi_writes_look(struct writes *w, const struct write_entry *e, yz_buf *frame,
                    enum write_verdict *out)
{
    uint8_t key[KEY_BYTES];
    struct stored s;
    yz_bytes v;
    /* Asked first: an entry is in sight until the transaction that gives it up is committed, and
     * given_up rises only after that. */
    uint64_t given_up = atomic_load(&w->given_up);
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(w->env, &t));
    int rc = yzi_db_get(t, w->entries, key_of(e, key), &v);
    if (rc == YZ_ENOTFOUND) {
        *out = e->until <= given_up ? WRITE_FORGOTTEN : WRITE_NEW;
        return YZ_OK;
    }
    YZ_TRY(rc);
    YZ_TRY(decode(v, &s));
    if (!yzi_digest_eq(&s.digest, &e->digest)) {
        *out = WRITE_CONFLICT;
        return YZ_OK;
    }
    YZ_TRY(yzi_buf_put(frame, s.frame));
    *out = s.state == STATE_BEGAN ? WRITE_BEGAN : WRITE_ANSWERED;
    return YZ_OK;
}

/* -- giving up -- */

struct given_up {
    uint8_t holders[EXPIRE_AT_ONCE][HOLDER_BYTES];
    size_t n;
    uint64_t until; /* of the last */
};

static int give_up_first(struct writes *w, struct db_txn *t, struct db_cursor *c, uint64_t now,
                         struct given_up *g)
{
    yz_bytes key;
    uint8_t entry[KEY_BYTES];
    YZ_TRY(yzi_db_cursor_move(c, DB_FIRST, &key, NULL));
    YZ_ENSURE(key.n == UNTIL_BYTES, YZ_ECORRUPT);
    uint64_t until = yzi_load_u64(key.p);
    YZ_ENSURE(until < now, YZ_ENOTFOUND);
    memcpy(entry, key.p + 8, sizeof entry);
    YZ_TRY(yzi_db_cursor_del(c));
    YZ_TRY(yzi_db_del(t, w->entries, yzi_bytes(entry, sizeof entry), NULL));
    memcpy(g->holders[g->n++], entry + sizeof(yz_uuid), HOLDER_BYTES);
    g->until = until;
    return YZ_OK;
}

/* What is over at `now`, in the transaction; not everything at once. */
static int give_up(struct writes *w, struct db_txn *t, uint64_t now, struct given_up *g)
{
    struct db_cursor *c;
    YZ_TRY(yzi_db_cursor_open(t, w->until, &c));
    int rc = YZ_OK;
    while (rc == YZ_OK && g->n < EXPIRE_AT_ONCE) {
        rc = give_up_first(w, t, c, now, g);
    }
    yzi_db_cursor_close(&c);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    if (g->n == 0 || g->until <= atomic_load(&w->given_up)) {
        return YZ_OK;
    }
    uint8_t b[8];
    yzi_store_u64(b, g->until);
    return yzi_db_put(t, w->meta, given_up_key(), yzi_bytes(b, sizeof b), DB_PUT_ANY);
}

/* The transaction is committed: they are gone. */
static void was_given_up(struct writes *w, const struct given_up *g)
{
    if (g->n > 0 && g->until > atomic_load(&w->given_up)) {
        atomic_store(&w->given_up, g->until);
    }
    for (size_t i = 0; i < g->n; i++) {
        give(w, g->holders[i]);
    }
}

/* -- writing -- */

static int begin_one(struct writes *w, struct db_txn *t, struct write_entry *e)
{
    uint8_t until[UNTIL_BYTES];
    e->rc = put(w, t, e, STATE_BEGAN, DB_PUT_NEW);
    if (e->rc == YZ_EEXIST) {
        return YZ_OK;
    }
    YZ_TRY(e->rc);
    yzi_store_u64(until, e->until);
    (void)key_of(e, until + 8);
    e->rc = yzi_db_put(t, w->until, yzi_bytes(until, sizeof until), yzi_bytes_str("-"), DB_PUT_ANY);
    return e->rc;
}

int yzi_writes_begin(struct writes *w, struct write_entry *entries, size_t n, uint64_t now)
{
    struct given_up gone = {.n = 0};
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_write(w->env, &t));
    YZ_TRY(give_up(w, t, now, &gone));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(begin_one(w, t, &entries[i]));
    }
    YZ_TRY(yzi_db_commit(&t));
    was_given_up(w, &gone);
    return YZ_OK;
}

int yzi_writes_answer(struct writes *w, const struct write_entry *entries, size_t n)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_write(w->env, &t));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(put(w, t, &entries[i], STATE_ANSWERED, DB_PUT_ANY));
    }
    return yzi_db_commit(&t);
}

static int find_due(struct writes *w, uint64_t now, bool *due)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    struct db_cursor *c;
    yz_bytes key;
    YZ_TRY(yzi_db_begin_read(w->env, &t));
    YZ_TRY(yzi_db_cursor_open(t, w->until, &c));
    int rc = yzi_db_cursor_move(c, DB_FIRST, &key, NULL);
    *due = rc == YZ_OK && key.n == UNTIL_BYTES && yzi_load_u64(key.p) < now;
    yzi_db_cursor_close(&c);
    return rc == YZ_ENOTFOUND ? YZ_OK : rc;
}

int yzi_writes_expire(struct writes *w, uint64_t now)
{
    bool due;
    YZ_TRY(find_due(w, now, &due));
    while (due) { /* each round makes progress or fails */
        YZ_TRY(yzi_writes_begin(w, NULL, 0, now));
        YZ_TRY(find_due(w, now, &due));
    }
    return YZ_OK;
}
