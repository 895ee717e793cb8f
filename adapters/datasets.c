/* SPDX-License-Identifier: Apache-2.0
 *
 * Which data sets the adapter holds. At the start all are opened, or it does not start. A reload
 * (SIGHUP) parses every definition before anything changes; then the writer thread, behind what it
 * has to do before, opens what is new and changes what is held, while answers go on (reload.c).
 * What the configuration names no longer gets no new job; its store is closed with the last that
 * has one. A reload asked for while another is under way follows it.
 */
#include "adapters/adapter.h"
#include "base/file.h"

#define DATA_FOLDER "data"
#define KEYS_FOLDER "keys/data"

struct definitions {
    size_t n;
    const struct dataset *of[ADAPTER_DATASETS_MAX];
};

/* -- definitions -- */

static void free_definitions(struct definitions **d)
{
    for (size_t i = 0; *d && i < (*d)->n; i++) {
        yzi_dataset_unref((*d)->of[i]);
    }
    free(*d);
    *d = NULL;
}

static const struct dataset *find_definition(const struct definitions *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++) {
        if (strcmp(d->of[i]->name, name) == 0) {
            return d->of[i];
        }
    }
    return NULL;
}

static int load_definition(struct definitions *all, const char *path, yz_error *err)
{
    struct dataset *d;
    YZ_TRY(yzi_dataset_load(path, &d, err));
    bool twice = find_definition(all, d->name) != NULL;
    all->of[all->n++] = d;
    return twice ? yzi_fail(err, YZ_ECONFIG, "%s: another definition already names the data set %s",
                            path, d->name)
                 : YZ_OK;
}

static int load_definitions(const struct adapter_config *config, struct definitions **out,
                            yz_error *err)
{
    YZ_AUTO(free_definitions) struct definitions *all = NULL;
    const struct adapter_dataset *d = config->datasets.items;
    YZ_TRY(yzi_alloc(1, sizeof *all, &all));
    for (size_t i = 0; i < config->datasets.n && i < ADAPTER_DATASETS_MAX; i++) {
        YZ_TRY(load_definition(all, d[i].definition, err));
    }
    *out = YZ_TAKE(all);
    return YZ_OK;
}

/* -- the table -- */

static struct held_dataset *find(struct adapter *a, const char *name)
{
    for (size_t i = 0; i < a->datasets_n; i++) {
        if (strcmp(a->datasets[i].name, name) == 0) {
            return &a->datasets[i];
        }
    }
    return NULL;
}

struct store *yzi_adapter_store(const struct adapter *a, yz_bytes dataset)
{
    for (size_t i = 0; i < a->datasets_n; i++) {
        if (yzi_bytes_eq_str(dataset, a->datasets[i].name)) {
            return a->datasets[i].store;
        }
    }
    return NULL;
}

static int hold(struct adapter *a, const char *name, struct store *s)
{
    struct held_dataset *h = &a->datasets[a->datasets_n];
    YZ_ENSURE(a->datasets_n < ADAPTER_DATASETS_MAX, YZ_ELIMIT);
    YZ_TRY(yzi_bytes_dup_str(yzi_bytes_str(name), &h->name));
    h->store = yzi_store_ref(s);
    a->datasets_n++;
    return YZ_OK;
}

static void let_go(struct adapter *a, struct held_dataset *h)
{
    yzi_store_close(h->store);
    free(h->name);
    *h = a->datasets[--a->datasets_n];
}

/* home/below/dataset */
static int folder(const struct adapter *a, const char *below, const char *dataset, char **out)
{
    YZ_AUTO(yzi_free_ptr) char *all = NULL;
    YZ_TRY(yzi_path_join(a->config->home, below, &all));
    return yzi_path_join(all, dataset, out);
}

/* What a rotation that a crash ended left. */
static void log_keys(const char *name, const struct store_state *state)
{
    struct log_field fields[] = {log_str("dataset", name),
                                 log_str("in_force", state->key_id[0] ? state->key_id : "storage"),
                                 log_num("destroyed", state->keys_found),
                                 {0}};
    if (state->keys_found) {
        yzi_log(&ADAPTER_KEY_DESTROYED, fields);
    }
    if (state->key_left) {
        yzi_log(&ADAPTER_KEY_LEFT, fields);
    }
}

static void log_opened(const char *name, struct store *s)
{
    struct store_state state;
    if (yzi_store_state(s, &state) < 0) {
        return; /* whoever reads from it is told */
    }
    log_keys(name, &state);
    if (state.unfinished) {
        yzi_log(&ADAPTER_IMPORT_UNFINISHED,
                (struct log_field[]){log_str("dataset", name),
                                     log_num("sequence", (int64_t)state.sequence),
                                     log_num("removed", state.unfinished),
                                     {0}});
    }
    yzi_log(&ADAPTER_DATASET_OPENED,
            (struct log_field[]){log_str("dataset", name),
                                 log_num("records", (int64_t)state.records),
                                 log_num("generation", (int64_t)state.generation),
                                 log_num("sequence", (int64_t)state.sequence),
                                 log_num("removed", state.removed),
                                 log_num("indexes_to_build", state.indexes_building),
                                 {0}});
}

/* -- at the start -- */

static int open_dataset(struct adapter *a, const struct dataset *d, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_AUTO(yzi_free_ptr) char *keys = NULL;
    YZ_TRY(folder(a, DATA_FOLDER, d->name, &dir));
    YZ_TRY(folder(a, KEYS_FOLDER, d->name, &keys));
    struct store_options o = {.dir = dir,
                              .dataset = d,
                              .storage_key = &a->storage.secret,
                              .keys_dir = keys,
                              .clock = a->clock};
    struct store *s;
    YZ_TRY(yzi_store_open(&o, &s, err));
    int rc = hold(a, d->name, s);
    if (rc == YZ_OK) {
        log_opened(d->name, s);
    }
    yzi_store_close(s);
    return rc;
}

int yzi_adapter_open_datasets(struct adapter *a, yz_error *err)
{
    YZ_AUTO(free_definitions) struct definitions *all = NULL;
    YZ_AUTO(yzi_free_ptr) char *data = NULL;
    YZ_TRY(load_definitions(a->config, &all, err));
    YZ_TRY(yzi_path_join(a->config->home, DATA_FOLDER, &data));
    YZ_TRY(yzi_dir_make(data, 0700, err));
    for (size_t i = 0; i < all->n; i++) {
        YZ_TRY(open_dataset(a, all->of[i], err));
    }
    return YZ_OK;
}

void yzi_adapter_close_datasets(struct adapter *a)
{
    free_definitions(&a->wanted);
    while (a->datasets_n > 0) {
        let_go(a, &a->datasets[a->datasets_n - 1]);
    }
}

/* -- reloading -- */

static int add_item(struct reload *r, enum reload_kind kind, const struct dataset *d,
                    struct store *s, struct reload_item **out)
{
    YZ_ENSURE(r->n < 2 * ADAPTER_DATASETS_MAX, YZ_ELIMIT);
    struct reload_item *i = &r->items[r->n++];
    *i = (struct reload_item){.kind = kind,
                              .dataset = d ? yzi_dataset_ref(d) : NULL,
                              .store = s ? yzi_store_ref(s) : NULL};
    *out = i;
    return YZ_OK;
}

static int plan(struct adapter *a, const struct definitions *wanted, struct reload *r)
{
    struct reload_item *i;
    r->storage_key = &a->storage.secret;
    r->clock = a->clock;
    for (size_t k = 0; k < a->datasets_n; k++) {
        const struct held_dataset *h = &a->datasets[k];
        const struct dataset *d = find_definition(wanted, h->name);
        YZ_TRY(add_item(r, d ? RELOAD_REDEFINE : RELOAD_CLOSE, d, h->store, &i));
    }
    for (size_t k = 0; k < wanted->n; k++) {
        const struct dataset *d = wanted->of[k];
        if (!find(a, d->name)) {
            YZ_TRY(add_item(r, RELOAD_OPEN, d, NULL, &i));
            YZ_TRY(folder(a, DATA_FOLDER, d->name, &i->dir));
            YZ_TRY(folder(a, KEYS_FOLDER, d->name, &i->keys_dir));
        }
    }
    return YZ_OK;
}

static int submit(struct adapter *a, const struct definitions *wanted)
{
    struct reload *r;
    YZ_TRY(yzi_alloc(1, sizeof *r, &r));
    int rc = plan(a, wanted, r);
    rc = rc == YZ_OK ? yzi_workers_reload(a->workers, &r) : rc;
    if (rc < 0) {
        yzi_reload_free(r);
        return rc;
    }
    a->reloading = true;
    return YZ_OK;
}

static int submit_wanted(struct adapter *a, yz_error *err)
{
    YZ_AUTO(free_definitions) struct definitions *wanted = YZ_TAKE(a->wanted);
    int rc = submit(a, wanted);
    return rc < 0
               ? yzi_fail(err, rc, "the definitions cannot be changed now (%s)", yz_err_words(rc))
               : YZ_OK;
}

int yzi_adapter_reload(struct adapter *a, const struct adapter_config *config, yz_error *err)
{
    struct definitions *wanted;
    if (a->draining) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "this adapter is about to end");
    }
    YZ_TRY(load_definitions(config, &wanted, err));
    free_definitions(&a->wanted);
    a->wanted = wanted;
    return a->reloading ? YZ_OK : submit_wanted(a, err);
}

/* -- what came of it -- */

static void log_redefined(const struct reload_item *i)
{
    struct store_state state;
    if (yzi_store_state(i->store, &state) < 0) {
        return;
    }
    yzi_log(&ADAPTER_DATASET_REDEFINED,
            (struct log_field[]){log_str("dataset", i->dataset->name),
                                 log_num("records", (int64_t)state.records),
                                 log_num("indexes_to_build", state.indexes_building),
                                 {0}});
    if (i->other_form && state.records > 0) {
        yzi_log(&ADAPTER_DATASET_OTHER_FORM,
                (struct log_field[]){log_str("dataset", i->dataset->name),
                                     log_str("field", i->other_form),
                                     log_str("remedy", "yz data import --mode replace"),
                                     {0}});
    }
}

static void take_closed(struct adapter *a, const struct store *s)
{
    for (size_t k = 0; k < a->datasets_n; k++) {
        if (a->datasets[k].store == s) {
            yzi_log(&ADAPTER_DATASET_CLOSED,
                    (struct log_field[]){log_str("dataset", a->datasets[k].name), {0}});
            let_go(a, &a->datasets[k]);
            return;
        }
    }
}

static void take_item(struct adapter *a, struct reload_item *i)
{
    if (i->kind == RELOAD_CLOSE) {
        take_closed(a, i->store);
        return;
    }
    if (i->kind == RELOAD_OPEN && i->rc == YZ_OK) {
        i->rc = hold(a, i->dataset->name, i->store);
    }
    if (i->rc < 0) {
        if (i->err.code == 0) {
            yz_ignore(yzi_fail(&i->err, i->rc, "%s", yz_err_words(i->rc)), "it is logged");
        }
        yzi_log_error(&ADAPTER_DATASET_REFUSED, &i->err,
                      (struct log_field[]){log_str("dataset", i->dataset->name), {0}});
    } else if (i->kind == RELOAD_OPEN) {
        log_opened(i->dataset->name, i->store);
    } else if (i->changed) {
        log_redefined(i);
    }
}

void yzi_adapter_on_reload(struct adapter *a, struct reload *r)
{
    int64_t refused = 0;
    for (size_t i = 0; i < r->n; i++) {
        take_item(a, &r->items[i]);
        refused += r->items[i].rc < 0;
    }
    a->reloading = false;
    yzi_log(&ADAPTER_RELOADED, (struct log_field[]){log_num("refused", refused), {0}});
    yz_error err = {0};
    if (a->wanted && submit_wanted(a, &err) < 0) {
        yzi_log_error(&ADAPTER_RELOAD_FAILED, &err, NULL);
    }
}
