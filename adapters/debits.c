/* SPDX-License-Identifier: Apache-2.0
 *
 * Three databases: `debits` by key; `debits-until` by time, to give counters up in order;
 * `debits-meta` with the time of the last one given up. A counter is
 *     version u8 = 1 | used u32 | until u64
 *
 * Counters whose period is over are given up a few at a time in the commits of others. One that was
 * given up is not new again when the clock goes back: of a period that ended no later than the last
 * one given up, nothing is left.
 *
 * The lock guards the queue only. Who finds nobody writing takes the whole queue and writes it in
 * one transaction; the others wait until they are done or nobody writes.
 */
#include "adapters/debits.h"

#include <pthread.h>

#define COUNTER_VERSION 1u
#define COUNTER_BYTES (1u + 4u + 8u)
#define UNTIL_BYTES (8u + DEBIT_KEY_BYTES)
#define GIVE_UP_AT_ONCE 64u

/* Somebody who waits for the commit; on its own stack. */
struct taker {
    const struct debit *items;
    size_t n, refused;
    uint64_t now;
    int rc;
    bool done;
    struct taker *next;
};

struct debits {
    struct db_env *env;
    db_handle counters, until, meta;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    bool writing;
    struct taker *first, **last; /* who waits and is not being written for */
};

/* -- counters -- */

struct counter {
    uint32_t used;
    uint64_t until; /* 0: never */
};

static int decode(yz_bytes v, struct counter *out)
{
    yz_reader r = yzi_reader(v);
    uint8_t version;
    YZ_ENSURE(v.n == COUNTER_BYTES, YZ_ECORRUPT);
    YZ_TRY(yzi_read_u8(&r, &version));
    YZ_TRY(yzi_read_u32(&r, &out->used));
    YZ_TRY(yzi_read_u64(&r, &out->until));
    return version == COUNTER_VERSION ? YZ_OK : YZ_ECORRUPT;
}

/* YZ_ENOTFOUND: nothing was taken, or the counter was given up. */
static int read_counter(struct debits *d, struct db_txn *t, const uint8_t key[DEBIT_KEY_BYTES],
                        struct counter *out)
{
    yz_bytes v;
    YZ_TRY(yzi_db_get(t, d->counters, yzi_bytes(key, DEBIT_KEY_BYTES), &v));
    return decode(v, out);
}

static bool is_over(const struct counter *c, uint64_t now)
{
    return c->until != 0 && c->until <= now;
}

static yz_bytes until_key(uint64_t until, const uint8_t key[DEBIT_KEY_BYTES],
                          uint8_t space[UNTIL_BYTES])
{
    yzi_store_u64(space, until);
    memcpy(space + 8, key, DEBIT_KEY_BYTES);
    return yzi_bytes(space, UNTIL_BYTES);
}

static int write_counter(struct debits *d, struct db_txn *t, const uint8_t key[DEBIT_KEY_BYTES],
                         const struct counter *c, const struct counter *before /* or NULL */)
{
    uint8_t value[COUNTER_BYTES], space[UNTIL_BYTES];
    value[0] = COUNTER_VERSION;
    yzi_store_u32(value + 1, c->used);
    yzi_store_u64(value + 5, c->until);
    bool moves = !before || before->until != c->until;
    if (moves && before && before->until) {
        int rc = yzi_db_del(t, d->until, until_key(before->until, key, space), NULL);
        YZ_TRY(rc == YZ_ENOTFOUND ? YZ_ECORRUPT : rc);
    }
    if (moves && c->until) {
        YZ_TRY(yzi_db_put(t, d->until, until_key(c->until, key, space), yzi_bytes_str("-"),
                          DB_PUT_ANY));
    }
    return yzi_db_put(t, d->counters, yzi_bytes(key, DEBIT_KEY_BYTES),
                      yzi_bytes(value, sizeof value), DB_PUT_ANY);
}

/* Until when the last counter that was given up was good; 0: none was. */
static int read_given_up(struct debits *d, struct db_txn *t, uint64_t *out)
{
    yz_bytes v;
    int rc = yzi_db_get(t, d->meta, yzi_bytes_str("given-up"), &v);
    if (rc == YZ_ENOTFOUND) {
        *out = 0;
        return YZ_OK;
    }
    YZ_TRY(rc);
    YZ_ENSURE(v.n == 8, YZ_ECORRUPT);
    *out = yzi_load_u64(v.p);
    return YZ_OK;
}

static int write_given_up(struct debits *d, struct db_txn *t, uint64_t until)
{
    uint8_t b[8];
    yzi_store_u64(b, until);
    return yzi_db_put(t, d->meta, yzi_bytes_str("given-up"), yzi_bytes(b, sizeof b), DB_PUT_ANY);
}

/* -- opening -- */

static int check_readable(struct debits *d)
{
    uint64_t given_up;
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_read(d->env, &t));
    return read_given_up(d, t, &given_up);
}

static int open_all(struct debits *d, struct state *state)
{
    YZ_TRY(yzi_state_database(state, "debits", DB_PLAIN, &d->counters));
    YZ_TRY(yzi_state_database(state, "debits-until", DB_PLAIN, &d->until));
    YZ_TRY(yzi_state_database(state, "debits-meta", DB_PLAIN, &d->meta));
    return check_readable(d);
}

int yzi_debits_open(struct state *state, struct debits **out, yz_error *err)
{
    struct debits *d;
    YZ_TRY(yzi_alloc(1, sizeof *d, &d));
    d->env = yzi_state_env(state);
    d->last = &d->first;
    if (pthread_mutex_init(&d->lock, NULL) != 0) {
        free(d);
        return YZ_ENOMEM;
    }
    if (pthread_cond_init(&d->changed, NULL) != 0) {
        pthread_mutex_destroy(&d->lock);
        free(d);
        return YZ_ENOMEM;
    }
    int rc = open_all(d, state);
    if (rc < 0) {
        yzi_debits_close(d);
        return yzi_fail(err, rc, "the counters of questions cannot be read (%s)", yz_err_words(rc));
    }
    *out = d;
    return YZ_OK;
}

void yzi_debits_close(struct debits *d)
{
    if (d) {
        YZ_ASSERT(!d->writing && !d->first);
        pthread_cond_destroy(&d->changed);
        pthread_mutex_destroy(&d->lock);
        free(d);
    }
}

/* -- giving up -- */

static int give_up_first(struct debits *d, struct db_txn *t, struct db_cursor *c, uint64_t now,
                         uint64_t *last)
{
    yz_bytes key;
    uint8_t counter[DEBIT_KEY_BYTES];
    YZ_TRY(yzi_db_cursor_move(c, DB_FIRST, &key, NULL));
    YZ_ENSURE(key.n == UNTIL_BYTES, YZ_ECORRUPT);
    uint64_t until = yzi_load_u64(key.p);
    YZ_ENSURE(until <= now, YZ_ENOTFOUND);
    memcpy(counter, key.p + 8, sizeof counter);
    YZ_TRY(yzi_db_cursor_del(c));
    int rc = yzi_db_del(t, d->counters, yzi_bytes(counter, sizeof counter), NULL);
    YZ_TRY(rc == YZ_ENOTFOUND ? YZ_ECORRUPT : rc);
    *last = until;
    return YZ_OK;
}

/* What is over at `now`, in the transaction; not everything at once. */
static int give_up(struct debits *d, struct db_txn *t, uint64_t now)
{
    struct db_cursor *c;
    uint64_t before, last = 0;
    YZ_TRY(read_given_up(d, t, &before));
    YZ_TRY(yzi_db_cursor_open(t, d->until, &c));
    int rc = YZ_OK;
    for (unsigned i = 0; rc == YZ_OK && i < GIVE_UP_AT_ONCE; i++) {
        rc = give_up_first(d, t, c, now, &last);
    }
    yzi_db_cursor_close(&c);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    return last > before ? write_given_up(d, t, last) : YZ_OK;
}

/* -- taking -- */

static uint64_t later(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) {
        return 0;
    }
    return a > b ? a : b;
}

/* How often items[i] is named before it. */
static uint32_t named_before(const struct taker *who, size_t i)
{
    uint32_t n = 0;
    for (size_t k = 0; k < i; k++) {
        n += yzi_bytes_eq(yzi_bytes(who->items[k].key, DEBIT_KEY_BYTES),
                          yzi_bytes(who->items[i].key, DEBIT_KEY_BYTES));
    }
    return n;
}

static int check_one(struct debits *d, struct db_txn *t, const struct taker *who, size_t i)
{
    const struct debit *item = &who->items[i];
    struct counter c;
    int rc = read_counter(d, t, item->key, &c);
    if (rc == YZ_ENOTFOUND) {
        uint64_t given_up;
        YZ_TRY(read_given_up(d, t, &given_up));
        YZ_ENSURE(item->until == 0 || item->until > given_up, YZ_EDENIED);
        c.used = 0;
    } else {
        YZ_TRY(rc);
        c.used = is_over(&c, who->now) ? 0 : c.used;
    }
    return (uint64_t)c.used + named_before(who, i) < item->limit ? YZ_OK : YZ_EDENIED;
}

/* All of them are to be had. */
static int take_one(struct debits *d, struct db_txn *t, const struct debit *item, uint64_t now)
{
    struct counter before, c = {1, item->until};
    int rc = read_counter(d, t, item->key, &before);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    if (rc == YZ_OK && !is_over(&before, now)) {
        c = (struct counter){before.used + 1, later(before.until, item->until)};
    }
    return write_counter(d, t, item->key, &c, rc == YZ_OK ? &before : NULL);
}

/* YZ_OK also when it is refused, with the reason in who->rc; a failure is everybody's. */
static int take_all(struct debits *d, struct db_txn *t, struct taker *who)
{
    for (size_t i = 0; i < who->n; i++) {
        who->rc = check_one(d, t, who, i);
        if (who->rc < 0) {
            who->refused = i;
            return who->rc == YZ_EDENIED ? YZ_OK : who->rc;
        }
    }
    for (size_t i = 0; i < who->n; i++) {
        YZ_TRY(take_one(d, t, &who->items[i], who->now));
    }
    return YZ_OK;
}

/* Without a change there is nothing to commit. */
static int write_for(struct debits *d, struct taker *takers)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    YZ_TRY(yzi_db_begin_write(d->env, &t));
    bool taken = false;
    for (struct taker *who = takers; who; who = who->next) {
        YZ_TRY(take_all(d, t, who));
        taken = taken || who->rc == YZ_OK;
    }
    if (!taken) {
        return YZ_OK;
    }
    YZ_TRY(give_up(d, t, takers->now));
    return yzi_db_commit(&t);
}

/* The lock is held, and nobody writes. */
static void lead(struct debits *d)
{
    struct taker *takers = d->first;
    d->first = NULL;
    d->last = &d->first;
    d->writing = true;
    pthread_mutex_unlock(&d->lock);
    int rc = write_for(d, takers);
    pthread_mutex_lock(&d->lock);
    for (struct taker *who = takers, *next; who; who = next) {
        next = who->next; /* it may be gone once it is done, but not before the lock is released */
        who->rc = rc < 0 ? rc : who->rc;
        who->done = true;
    }
    d->writing = false;
    pthread_cond_broadcast(&d->changed);
}

static bool is_takeable(const struct debit *items, size_t n, uint64_t now)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].until != 0 && items[i].until <= now) {
            return false;
        }
    }
    return n > 0 && n <= DEBITS_AT_ONCE_MAX;
}

int yzi_debits_take(struct debits *d, const struct debit *items, size_t n, uint64_t now,
                    size_t *refused)
{
    YZ_ENSURE(is_takeable(items, n, now), YZ_EINVAL);
    struct taker me = {.items = items, .n = n, .now = now};
    pthread_mutex_lock(&d->lock);
    *d->last = &me;
    d->last = &me.next;
    while (!me.done) {
        if (d->writing) {
            pthread_cond_wait(&d->changed, &d->lock);
        } else {
            lead(d);
        }
    }
    pthread_mutex_unlock(&d->lock);
    if (me.rc == YZ_EDENIED && refused) {
        *refused = me.refused;
    }
    return me.rc;
}

int yzi_debits_look(struct debits *d, const uint8_t key[DEBIT_KEY_BYTES], uint64_t now,
                    uint32_t *used)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    struct counter c;
    YZ_TRY(yzi_db_begin_read(d->env, &t));
    int rc = read_counter(d, t, key, &c);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ENOTFOUND, rc);
    *used = rc == YZ_OK && !is_over(&c, now) ? c.used : 0;
    return YZ_OK;
}
