/* SPDX-License-Identifier: Apache-2.0
 *
 * Indexes that definitions gained, built piece by piece by the writer thread while nothing else is
 * to be written; answers go on meanwhile. What fails is logged and tried again by the next start or
 * reload.
 */
#ifndef YZ_ADAPTERS_BUILDS_H
#define YZ_ADAPTERS_BUILDS_H

#include "adapters/dataset/store.h"

#define BUILDS_MAX 64u

struct builds {
    struct store *stores[BUILDS_MAX]; /* references; those with nothing left are taken out */
    size_t n;
};
void yzi_builds_add(struct builds *b, struct store *s); /* unless it is in already */
void yzi_builds_remove(struct builds *b, const struct store *s);
void yzi_builds_fini(struct builds *b);
/* Build one piece; false when there is nothing left, or nothing that can be done at once (a change
 * of a definition that a failing disk left open: it is tried again when next called). Writer
 * thread. */
bool yzi_builds_step(struct builds *b);

#endif
