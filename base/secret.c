/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets and the slab of pair keys.
 *
 * sodium_malloc takes at least two guard pages and a page of its own per secret, and ignores a
 * failed mlock; so the lock is taken again here, where its result is looked at (locking is
 * idempotent, and sodium_free's munlock undoes it whatever the count).
 */
#include "base/secret.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;
static int sodium_rc;
static atomic_bool lock_required = true;

static void sodium_start(void)
{
    sodium_rc = sodium_init() < 0 ? YZ_EINTERNAL : 0;
}

int yzi_sodium_init(void)
{
    pthread_once(&sodium_once, sodium_start);
    return sodium_rc;
}

void yzi_secret_require_lock(bool required)
{
    lock_required = required;
}

/* n guarded bytes of undefined content, locked if that is required. */
static int guarded_alloc(size_t n, uint8_t **out)
{
    YZ_TRY(yzi_sodium_init());
    uint8_t *p = sodium_malloc(n);
    YZ_ENSURE(p, YZ_ENOMEM);
    if (sodium_mlock(p, n) != 0 && lock_required) {
        sodium_free(p);
        return YZ_ENOMEM;
    }
    *out = p;
    return 0;
}

/* -- one secret -- */

static int secret_new(yz_secret *s, size_t n)
{
    uint8_t *p;
    YZ_TRY(guarded_alloc(n, &p));
    *s = (yz_secret){.p = p, .n = n};
    return 0;
}

/* On memory that sodium_malloc returned this fails only when the kernel has no room for another
 * mapping; going on with a secret that cannot be protected is not an option. */
static void protect(int rc)
{
    YZ_ASSERT(rc == 0);
}

int yzi_secret_random(yz_secret *s, size_t n)
{
    YZ_TRY(secret_new(s, n));
    randombytes_buf(s->p, n);
    protect(sodium_mprotect_noaccess(s->p));
    return 0;
}

int yzi_secret_copy(yz_secret *s, yz_bytes src)
{
    YZ_TRY(secret_new(s, src.n));
    if (src.n) {
        memcpy(s->p, src.p, src.n);
    }
    protect(sodium_mprotect_noaccess(s->p));
    return 0;
}

void yzi_secret_fini(yz_secret *s)
{
    sodium_free(s->p); /* makes it writable, checks the canary, wipes, unlocks; takes NULL */
    *s = (yz_secret){0};
}

void yzi_secret_move(yz_secret *to, yz_secret *from)
{
    YZ_ASSERT(!to->p && from->readers == 0);
    *to = *from;
    *from = (yz_secret){0};
}

const uint8_t *yzi_secret_open(yz_secret *s)
{
    YZ_ASSERT(s->p);
    if (s->readers++ == 0) {
        protect(sodium_mprotect_readonly(s->p));
    }
    return s->p;
}

void yzi_secret_close(yz_secret *s)
{
    YZ_ASSERT(s->p && s->readers > 0);
    if (--s->readers == 0) {
        protect(sodium_mprotect_noaccess(s->p));
    }
}

/* -- slab -- */

/* Free slots are a stack of indexes outside the guarded region, so that an overrun of one key
 * cannot steer the next allocation; `taken` catches a slot released twice. */
struct secret_slab {
    uint8_t *p;
    size_t slot_bytes, slots, n_free;
    uint32_t *free;
    bool *taken;
};

static void free_slab_ptr(struct secret_slab **s)
{
    yzi_secret_slab_free(*s);
}

int yzi_secret_slab_new(size_t slot_bytes, size_t slots, struct secret_slab **out)
{
    YZ_ENSURE(slot_bytes > 0 && slots > 0 && slots <= UINT32_MAX, YZ_EINVAL);
    size_t n;
    YZ_TRY(yzi_size_mul(slot_bytes, slots, &n));
    YZ_AUTO(free_slab_ptr) struct secret_slab *s = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    YZ_TRY(yzi_alloc(slots, sizeof *s->free, &s->free));
    YZ_TRY(yzi_alloc(slots, sizeof *s->taken, &s->taken));
    YZ_TRY(guarded_alloc(n, &s->p));
    sodium_memzero(s->p, n);
    s->slot_bytes = slot_bytes;
    s->slots = slots;
    s->n_free = slots;
    for (size_t i = 0; i < slots; i++) {
        s->free[i] = (uint32_t)(slots - 1 - i); /* the first taken is the first of the region */
    }
    *out = YZ_TAKE(s);
    return 0;
}

void yzi_secret_slab_free(struct secret_slab *s)
{
    if (s) {
        sodium_free(s->p);
        free(s->taken);
        free(s->free);
        free(s);
    }
}

uint8_t *yzi_secret_slab_take(struct secret_slab *s)
{
    if (s->n_free == 0) {
        return NULL;
    }
    uint32_t i = s->free[--s->n_free];
    s->taken[i] = true;
    return s->p + i * s->slot_bytes;
}

void yzi_secret_slab_release(struct secret_slab *s, uint8_t *slot)
{
    if (!slot) {
        return;
    }
    size_t at = (size_t)(slot - s->p);
    size_t i = at / s->slot_bytes;
    YZ_ASSERT(slot >= s->p && at % s->slot_bytes == 0 && i < s->slots && s->taken[i]);
    sodium_memzero(slot, s->slot_bytes);
    s->taken[i] = false;
    s->free[s->n_free++] = (uint32_t)i;
}
