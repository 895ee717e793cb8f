/* SPDX-License-Identifier: Apache-2.0
 *
 * The store builds (adapters/dataset/index_build.c); here is whose turn it is, and what is told.
 */
#include "adapters/builds.h"

#include "adapters/events.h"

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
    b->n -= !more;
    return b->n > 0;
}
