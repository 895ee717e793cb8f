/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of the data sets held, as one piece of work for the writer thread: the link thread says
 * what is to be done, the writer does it between two other pieces of work, the link thread takes
 * what came of it into its table (datasets.c). Each item stands for itself: one that is refused
 * keeps no other from being done.
 */
#ifndef YZ_ADAPTERS_RELOAD_H
#define YZ_ADAPTERS_RELOAD_H

#include "adapters/builds.h"

#define ADAPTER_DATASETS_MAX 64u

enum reload_kind {
    RELOAD_OPEN = 1, /* a data set that was not held */
    RELOAD_REDEFINE, /* one that is: by this definition, which may be the one in force */
    RELOAD_CLOSE     /* one that is held no longer: nothing more is built for it */
};
struct reload_item {
    enum reload_kind kind;
    const struct dataset *dataset; /* reference; NULL to close */
    char *dir, *keys_dir;          /* to open; owned */
    struct store *store;           /* reference; NULL until opened */
    /* what came of it */
    bool changed;
    const char
        *other_form; /* a field of `dataset` whose values are normalised further now, or NULL */
    int rc;
    yz_error err;
};
struct reload {
    yz_secret *storage_key; /* borrowed, and after the start the writer's alone */
    const struct clock *clock;
    size_t n;
    struct reload_item items[2 * ADAPTER_DATASETS_MAX];
};
/* Writer thread. */
void yzi_reload_run(struct reload *r, struct builds *b);
void yzi_reload_free(struct reload *r); /* NULL is allowed */

#endif
