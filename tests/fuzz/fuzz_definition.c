/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_dataset_parse, yzi_dataset_catalogue.
 *
 * A definition is refused with its place in the file, or everything it refers to exists and its
 * keys fit the store.
 *
 * libfyaml 0.7.12 itself loses 4 KiB when it refuses some texts (a quoted key that is never
 * closed): that leak, and only what it allocated, is left out.
 */
#include "adapters/dataset/store_impl.h"

const char *__lsan_default_suppressions(void);
YZ_API const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_dataset(const struct dataset *d)
{
    size_t key = 0;
    YZ_ASSERT(d->fields_n >= 1 && d->fields_n <= DATASET_FIELDS_MAX);
    YZ_ASSERT(d->key_n >= 1 && d->key_n <= DATASET_KEY_MAX);
    YZ_ASSERT(d->titles.n >= 1 && *d->owner);
    YZ_ASSERT(d->sharing != SHARING_WITHHELD || *d->legal_basis);
    for (size_t i = 0; i < d->fields_n; i++) {
        const struct dataset_field *f = &d->fields[i];
        YZ_ASSERT(yzi_dataset_field(d, yzi_bytes_str(f->name)) == (int)i);
        YZ_ASSERT(f->csv && *f->csv && f->element && *f->element);
        YZ_ASSERT(f->max_length >= 1 && f->max_length <= YZ_VALUE_MAX);
        YZ_ASSERT((f->type == FIELD_CODE) == (f->codes.n > 0));
    }
    for (size_t i = 0; i < d->key_n; i++) {
        YZ_ASSERT(d->key[i] < d->fields_n && d->fields[d->key[i]].required);
        key += yzi_key_part_max(&d->fields[d->key[i]]);
    }
    YZ_ASSERT(key <= YZ_DB_KEY_MAX);
    for (size_t i = 0; i < d->indexes_n; i++) {
        for (size_t k = 0; k < d->indexes[i].fields_n; k++) {
            YZ_ASSERT(d->indexes[i].fields[k] < d->fields_n);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dataset *d = NULL;
    yz_error err = {0};
    int rc = yzi_dataset_parse(yzi_bytes(data, size), "d.yaml", &d, &err);
    if (rc < 0) {
        YZ_ASSERT(rc == YZ_ECONFIG && strncmp(err.text, "d.yaml", 6) == 0 && !d);
        return 0;
    }
    check_dataset(d);
    struct arena arena;
    struct catalogue_entry entry;
    struct unlisted_fields unlisted;
    yzi_arena_init(&arena, 1u << 20);
    YZ_ASSERT(yzi_dataset_catalogue(d, &arena, &entry, &unlisted) == 0);
    YZ_ASSERT(entry.elements_n + unlisted.elements_n == d->fields_n);
    yzi_arena_fini(&arena);
    yzi_dataset_unref(d);
    return 0;
}
