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

/* What a step did to the store, which was by this definition and had as many indexes to build. */
static void tell(struct store *s, const struct dataset *was, unsigned before)
{
    struct log_field fields[] = {log_str("dataset", was->name), {0}};
    unsigned left = yzi_store_to_build(s);
    if (yzi_store_dataset(s) != was) {
        yzi_log(&ADAPTER_DATASET_REDEFINED,
                (struct log_field[]){fields[0], log_num("indexes_to_build", (int64_t)left), {0}});
    } else if (before > left) {
        yzi_log(&ADAPTER_INDEX_BUILT, fields);
    }
}

/* The others before it, and it not at once: the disk fails. */
static void put_back(struct builds *b)
{
    struct store *failing = b->stores[b->n - 1];
    b->stores[b->n - 1] = b->stores[0];
    b->stores[0] = failing;
}

bool yzi_builds_step(struct builds *b)
{
    if (b->n == 0) {
        return false;
    }
    struct store *s = b->stores[b->n - 1];
    const struct dataset *was = yzi_store_ref_dataset(s);
    yz_error err = {0};
    bool more = false;
    unsigned before = yzi_store_to_build(s);
    int rc = yzi_store_build_step(s, &more, &err);
    if (rc < 0) {
        yzi_log_error(yzi_store_is_unsettled(s) ? &ADAPTER_DATASET_REFUSED : &ADAPTER_INDEX_FAILED,
                      &err, (struct log_field[]){log_str("dataset", was->name), {0}});
    } else {
        tell(s, was, before);
    }
    yzi_dataset_unref(was);
    if (yzi_store_is_unsettled(s)) {
        put_back(b);
        return false;
    }
    if (!more) {
        yzi_builds_remove(b, s);
    }
    return b->n > 0;
}
