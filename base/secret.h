/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: guarded, locked, wiped memory (libsodium), no access between uses. There is no printer
 * and no serialiser. One thread at a time per secret.
 */
#ifndef YZ_BASE_SECRET_H
#define YZ_BASE_SECRET_H

#include "base/bytes.h"

typedef struct {
    uint8_t *p; /* sodium_malloc'd, PROT_NONE between yzi_secret_open and _close */
    size_t n;
    unsigned readers; /* nested opens */
} yz_secret;

/* libsodium initialisation; idempotent, any thread. YZ_EINTERNAL if the library refuses. */
YZ_MUST_USE int yzi_sodium_init(void);

/* When false (the default is true), a failed mlock is tolerated. Set once, before any secret. */
void yzi_secret_require_lock(bool required);

/* Allocate n random bytes / n bytes copied from src. YZ_ENOMEM (also when memory cannot be locked
 * and locking is required). */
YZ_MUST_USE int yzi_secret_random(yz_secret *s, size_t n);
YZ_MUST_USE int yzi_secret_copy(yz_secret *s, yz_bytes src);
/* Wipe and free; accepts a zeroed secret. */
void yzi_secret_fini(yz_secret *s);
/* Move *from into *to (which must be empty); *from becomes empty. */
void yzi_secret_move(yz_secret *to, yz_secret *from);

/* Make readable until the matching close; returns the bytes, valid in between. */
const uint8_t *yzi_secret_open(yz_secret *s);
void yzi_secret_close(yz_secret *s);

/* A slab of many equal small secrets (pair keys): one locked, guarded region that stays readable,
 * because a page flip per message costs more than the message. Slots are wiped when released.
 * Thread: the owner only. */
struct secret_slab;
YZ_MUST_USE int yzi_secret_slab_new(size_t slot_bytes, size_t slots, struct secret_slab **out);
void yzi_secret_slab_free(struct secret_slab *s);
uint8_t *yzi_secret_slab_take(struct secret_slab *s); /* NULL when full */
void yzi_secret_slab_release(struct secret_slab *s, uint8_t *slot);

#endif
