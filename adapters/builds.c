/* SPDX-License-Identifier: Apache-2.0
 *
 * The store builds (adapters/dataset/index_build.c); here is whose turn it is, and what is told.
 */
#include "adapters/builds.h"

#include "adapters/events.h"

void yzi_builds_add(struct builds *b, struct store *s)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->stores[i] == s) {
            return;
        }
    }
    YZ_ASSERT(b->n < BUILDS_MAX);
    b->stores[b->n++] = yzi_store_ref(s);
}

void yzi_builds_remove(struct builds *b, const struct store *s)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->stores[i] == s) {
            struct store *gone = b->stores[i];
            b->stores[i] = b->stores[--b->n];
            yzi_store_close(gone);
            return;
        }
    }
}

void yzi_builds_fini(struct builds *b)
{
    while (b->n > 0) {
        yzi_store_close(b->stores[--b->n]);
    }
}

bool yzi_builds_step(struct builds *b)
{
    if (b->n == 0) {
        return false;
    }
    struct store *s = b->stores[b->n - 1];
    struct log_field fields[] = {log_str("dataset", yzi_store_dataset(s)->name), {0}};
    yz_error err = {0};
    bool more = false;
    uint64_t before = yzi_store_to_build(s);
    int rc = yzi_store_build_step(s, &more, &err);
    if (rc < 0) {
        yzi_log_error(&ADAPTER_INDEX_FAILED, &err, fields);
    } else if (before > yzi_store_to_build(s)) {
        yzi_log(&ADAPTER_INDEX_BUILT, fields);
    }
    if (!more) {
        yzi_builds_remove(b, s);
    }
    return b->n > 0;
}
