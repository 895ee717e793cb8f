/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer's half of a reload.
 */
#include "adapters/reload.h"

#include "adapters/dataset/normalise.h"

static int open_store(struct reload *r, struct reload_item *i)
{
    struct store_options o = {.dir = i->dir,
                              .dataset = i->dataset,
                              .storage_key = r->storage_key,
                              .keys_dir = i->keys_dir,
                              .clock = r->clock};
    YZ_TRY(yzi_store_open(&o, &i->store, &i->err));
    i->changed = true;
    return YZ_OK;
}

/* The first field that the new definition normalises further than the former. */
static const char *other_form(const struct dataset *before, const struct dataset *after)
{
    for (unsigned i = 0; i < after->fields_n; i++) {
        int was = yzi_dataset_field(before, yzi_bytes_str(after->fields[i].name));
        if (was >= 0 && yzi_normal_gains(&before->fields[was].normal, &after->fields[i].normal)) {
            return after->fields[i].name;
        }
    }
    return NULL;
}

static int redefine(struct reload_item *i)
{
    const struct dataset *before = yzi_store_ref_dataset(i->store);
    int rc = yzi_store_redefine(i->store, i->dataset, &i->changed, &i->err);
    i->other_form = rc == YZ_OK && i->changed ? other_form(before, i->dataset) : NULL;
    yzi_dataset_unref(before);
    return rc;
}

static void run_item(struct reload *r, struct reload_item *i, struct builds *b)
{
    switch (i->kind) {
    case RELOAD_OPEN:
        i->rc = open_store(r, i);
        break;
    case RELOAD_REDEFINE:
        i->rc = redefine(i);
        break;
    case RELOAD_CLOSE:
    default:
        yzi_builds_remove(b, i->store);
        return;
    }
    if (i->store && (yzi_store_is_unsettled(i->store) || yzi_store_to_build(i->store) > 0)) {
        yzi_builds_add(b, i->store);
    }
}

void yzi_reload_run(struct reload *r, struct builds *b)
{
    for (size_t i = 0; i < r->n; i++) {
        run_item(r, &r->items[i], b);
    }
}

void yzi_reload_free(struct reload *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        yzi_dataset_unref(r->items[i].dataset);
        yzi_store_close(r->items[i].store);
        free(r->items[i].dir);
        free(r->items[i].keys_dir);
    }
    free(r);
}
