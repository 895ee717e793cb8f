/* SPDX-License-Identifier: Apache-2.0
 *
 * The definition file: first the table (shape, types, ranges), then what only the whole can tell
 * (names that must exist, or must not exist twice; keys that fit; indexes that would give away what
 * encryption hides). Each fault is one "file:line:col: sentence" that says what to do.
 */
#include "adapters/dataset/definition.h"

#include <sodium.h>

#include "adapters/dataset/definition_impl.h"
#include "adapters/dataset/store_impl.h"
#include "base/file.h"
#include "base/text.h"
#include "proto/id.h"

#define DEFINITION_BYTES_MAX (1024u * 1024u)
#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define KEY_TEXT_DEFAULT 200u /* max_length of a text in the key, so that two fit a key */
#define TITLE_MAX 200u
#define DESCRIPTION_MAX 4000u
#define LANGUAGE_MAX 35u /* BCP 47 */

/* -- the table -- */

/* In the order of the enums, which count from 1. */
static const char *const type_names[] = {"text",    "integer", "decimal", "date", "time",
                                         "boolean", "code",    "bytes",   NULL};
static const char *const class_names[] = {"public", "internal", "sensitive", "secret", NULL};
static const char *const sharing_names[] = {"unconditional", "conditional", "withheld", NULL};

static const struct config_field field_table[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_field, name),
     .required = true,
     .min = 1,
     .max = YZ_NAME_MAX,
     .place_offset = offsetof(struct raw_field, place),
     .help = "Name of the field: a letter, then letters, digits and _."},
    {.key = "type",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct raw_field, type),
     .required = true,
     .names = type_names,
     .help = "Type of its values."},
    {.key = "element",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_field, element),
     .min = 1,
     .max = YZ_NAME_MAX,
     .help = "Name of the data element across agencies; by default the field's own name."},
    {.key = "classification",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct raw_field, classification),
     .required = true,
     .names = class_names,
     .help = "sensitive and secret fields are stored encrypted."},
    {.key = "required",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct raw_field, required),
     .dflt = "false",
     .help = "Refuse rows without a value; key fields always are."},
    {.key = "catalogue",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct raw_field, catalogue),
     .dflt = "true",
     .help = "Whether the published catalogue names the field."},
    {.key = "reference",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct raw_field, reference),
     .dflt = "false",
     .help = "The datum is another data set's, to which the field refers."},
    {.key = "max_length",
     .type = CONFIG_U64,
     .offset = offsetof(struct raw_field, max_length),
     .min = 1,
     .max = YZ_VALUE_MAX,
     .place_offset = offsetof(struct raw_field, length_place),
     .help = "Longest value in bytes; for text and bytes."},
    {.key = "codes",
     .type = CONFIG_LIST,
     .offset = offsetof(struct raw_field, codes),
     .max = 10000,
     .place_offset = offsetof(struct raw_field, codes_place),
     .help = "The allowed values of a code."},
    {.key = "csv",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_field, csv),
     .min = 1,
     .max = 1000,
     .place_offset = offsetof(struct raw_field, csv_place),
     .help = "Column name (without a header row: position from 1); by default the field's name."},
    {.key = "json",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_field, json),
     .min = 1,
     .max = 1000,
     .place_offset = offsetof(struct raw_field, json_place),
     .help = "Where the value stands in a JSON record."},
    {.key = "xml",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_field, xml),
     .min = 1,
     .max = 1000,
     .place_offset = offsetof(struct raw_field, xml_place),
     .help = "Where the value stands in an XML record."},
    {.key = "join",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_field, join),
     .min = 1,
     .max = 10,
     .help = "What several values in one place are joined with; without it they are refused."},
    {.key = "normalise",
     .type = CONFIG_LIST,
     .offset = offsetof(struct raw_field, normalise),
     .max = 5,
     .place_offset = offsetof(struct raw_field, normalise_place),
     .help = "Done to a value before it is judged: trim, squeeze, narrow, upper, lower."},
    {.key = "empty",
     .type = CONFIG_LIST,
     .offset = offsetof(struct raw_field, empty),
     .max = 100,
     .help = "What stands for no value, beside the empty text."},
    {.key = "formats",
     .type = CONFIG_LIST,
     .offset = offsetof(struct raw_field, formats),
     .max = 16,
     .place_offset = offsetof(struct raw_field, formats_place),
     .help = "Other forms of a date or time, made of YYYY MM M DD D hh mm ss."},
    {.key = "zone",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_field, zone),
     .min = 1,
     .max = 64, /* longer than any, so that what it has to be is said */
     .place_offset = offsetof(struct raw_field, zone_place),
     .help = "Zone of times that are read by a format."},
    {0},
};

static const struct config_field index_table[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_index, name),
     .required = true,
     .min = 1,
     .max = YZ_NAME_MAX,
     .place_offset = offsetof(struct raw_index, place),
     .help = "Name of the index."},
    {.key = "fields",
     .type = CONFIG_LIST,
     .offset = offsetof(struct raw_index, fields),
     .required = true,
     .min = 1,
     .max = DATASET_KEY_MAX,
     .help = "Its fields, in order."},
    {.key = "unique",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct raw_index, unique),
     .dflt = "false",
     .help = "No two records may have the same values."},
    {0},
};

static const struct config_field table[] = {
    {.key = "dataset",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw, dataset),
     .required = true,
     .min = 1,
     .max = YZ_SEGMENT_MAX,
     .place_offset = offsetof(struct raw, dataset_place),
     .help = "Name of the data set, as services refer to it."},
    {.key = "title",
     .type = CONFIG_ANY_MAP,
     .offset = offsetof(struct raw, titles),
     .required = true,
     .place_offset = offsetof(struct raw, title_place),
     .help = "Title by language."},
    {.key = "description",
     .type = CONFIG_ANY_MAP,
     .offset = offsetof(struct raw, descriptions),
     .place_offset = offsetof(struct raw, description_place),
     .help = "Description by language."},
    {.key = "owner",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw, owner),
     .required = true,
     .min = 1,
     .max = TITLE_MAX,
     .help = "The office that answers for the data."},
    {.key = "update_cycle",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw, update_cycle),
     .max = TITLE_MAX,
     .help = "How often the data change, in words."},
    {.key = "sharing",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct raw, sharing),
     .required = true,
     .names = sharing_names,
     .place_offset = offsetof(struct raw, sharing_place),
     .help = "Whether it is shared."},
    {.key = "legal_basis",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw, legal_basis),
     .max = 1000,
     .help = "Why it is withheld, or under what it is shared; required when withheld."},
    {.key = "key",
     .type = CONFIG_LIST,
     .offset = offsetof(struct raw, key),
     .required = true,
     .min = 1,
     .max = DATASET_KEY_MAX,
     .place_offset = offsetof(struct raw, key_place),
     .help = "The fields that tell records apart, in order."},
    {.key = "fields",
     .type = CONFIG_MAPS,
     .offset = offsetof(struct raw, fields),
     .required = true,
     .min = 1,
     .max = DATASET_FIELDS_MAX,
     .fields = field_table,
     .item_size = sizeof(struct raw_field),
     .help = "The fields of a record."},
    {.key = "indexes",
     .type = CONFIG_MAPS,
     .offset = offsetof(struct raw, indexes),
     .max = DATASET_INDEXES_MAX,
     .fields = index_table,
     .item_size = sizeof(struct raw_index),
     .help = "By what else records are found."},
    {.key = "csv",
     .type = CONFIG_MAP,
     .offset = offsetof(struct raw, csv),
     .fields = yzi_mapping_csv,
     .help = "How CSV files look."},
    {.key = "json",
     .type = CONFIG_MAP,
     .offset = offsetof(struct raw, json),
     .fields = yzi_mapping_json,
     .help = "How JSON files look."},
    {.key = "xml",
     .type = CONFIG_MAP,
     .offset = offsetof(struct raw, xml),
     .fields = yzi_mapping_xml,
     .help = "How XML files look."},
    {0},
};

/* -- building -- */

static bool is_name(const char *s)
{
    for (const char *p = s; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!letter && (p == s || !(*p == '_' || (*p >= '0' && *p <= '9')))) {
            return false;
        }
    }
    return *s != '\0';
}

static bool is_language(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');
        if (!letter && (i == 0 || !(s[i] == '-' || (s[i] >= '0' && s[i] <= '9')))) {
            return false;
        }
    }
    return n >= 2 && n <= LANGUAGE_MAX;
}

static int build_texts(struct builder *b, const struct config_pairs *pairs, size_t max,
                       struct config_place at, struct text_list *out)
{
    YZ_TRY(yzi_arena_new(&b->d->arena, pairs->n, sizeof *out->items, &out->items));
    for (size_t i = 0; i < pairs->n; i++) {
        const char *language = pairs->items[i].key, *text = pairs->items[i].value;
        if (!is_language(language)) {
            return FAULT(b, at,
                         "'%.40s' is not a language tag; write one such as zh, en or zh-Hant",
                         language);
        }
        if (strlen(text) == 0 || strlen(text) > max) {
            return FAULT(b, at, "the text for '%s' must have 1 to %zu bytes", language, max);
        }
        out->items[i] = (struct text_entry){yzi_bytes_str(language), yzi_bytes_str(text)};
    }
    out->n = pairs->n;
    return 0;
}

static int build_head(struct builder *b)
{
    const struct raw *raw = b->raw;
    struct dataset *d = b->d;
    if (yzi_segment_check(yzi_bytes_str(raw->dataset)) < 0) {
        return FAULT(b, raw->dataset_place,
                     "'%s' is not a name of a data set; use letters, digits, - . _ ~ and "
                     "percent-encode the rest",
                     raw->dataset);
    }
    d->name = raw->dataset;
    d->owner = raw->owner;
    d->legal_basis = raw->legal_basis;
    d->update_cycle = raw->update_cycle;
    d->sharing = (enum sharing)(raw->sharing + 1);
    if (d->sharing == SHARING_WITHHELD && (!d->legal_basis || !*d->legal_basis)) {
        return FAULT(b, raw->sharing_place,
                     "a withheld data set needs its legal basis; add `legal_basis:`");
    }
    if (raw->titles.n == 0) {
        return FAULT(b, raw->title_place, "the title is empty; write it as `zh: ...`");
    }
    YZ_TRY(build_texts(b, &raw->titles, TITLE_MAX, raw->title_place, &d->titles));
    return build_texts(b, &raw->descriptions, DESCRIPTION_MAX, raw->description_place,
                       &d->descriptions);
}

static int compare_codes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Checks the codes and sorts them, for yzi_field_canonical to search. */
static int check_codes(struct builder *b, const struct raw_field *f)
{
    bool is_code = f->type + 1 == FIELD_CODE;
    if (is_code && f->codes.n == 0) {
        return FAULT(b, f->place,
                     "the field '%s' is a code without codes; list them under `codes:`", f->name);
    }
    if (!is_code && f->codes.n) {
        return FAULT(b, f->codes_place,
                     "only a code has codes; make '%s' one (`type: code`) or remove them", f->name);
    }
    if (f->codes.n) {
        qsort(f->codes.items, f->codes.n, sizeof *f->codes.items, compare_codes);
    }
    for (size_t i = 0; i < f->codes.n; i++) {
        const char *code = f->codes.items[i];
        if (!*code || strlen(code) > YZ_NAME_MAX) {
            return FAULT(b, f->codes_place, "a code of '%s' is empty or longer than %u bytes",
                         f->name, YZ_NAME_MAX);
        }
        if (i > 0 && strcmp(code, f->codes.items[i - 1]) == 0) {
            return FAULT(b, f->codes_place, "the code '%s' of '%s' stands twice; keep one", code,
                         f->name);
        }
    }
    return 0;
}

static uint64_t longest_code(const struct config_list *codes)
{
    size_t longest = 0;
    for (size_t i = 0; i < codes->n; i++) {
        size_t n = strlen(codes->items[i]);
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* What a value of the type takes at most; texts and bytes take what the definition says. */
static uint64_t type_length(const struct raw_field *f)
{
    switch ((enum field_type)(f->type + 1)) {
    case FIELD_INTEGER:
        return 20;
    case FIELD_DECIMAL:
        return 41; /* sign, a zero, the point, 38 digits */
    case FIELD_DATE:
        return 10;
    case FIELD_TIME:
        return 30;
    case FIELD_BOOLEAN:
        return 5;
    case FIELD_CODE:
        return longest_code(&f->codes);
    case FIELD_TEXT:
    case FIELD_BYTES:
        break;
    }
    return f->max_length ? f->max_length : YZ_VALUE_MAX;
}

static int build_field(struct builder *b, size_t i)
{
    const struct raw_field *f = yzi_builder_field(b, i);
    if (!is_name(f->name)) {
        return FAULT(b, f->place,
                     "'%s' is not a field name; use letters, digits and _, a letter first",
                     f->name);
    }
    int before = yzi_dataset_field(b->d, yzi_bytes_str(f->name));
    if (before >= 0) {
        return FAULT(b, f->place, "the field '%s' stands already in line %d; rename one of them",
                     f->name, b->d->fields[before].place.line);
    }
    enum field_type type = (enum field_type)(f->type + 1);
    if (f->max_length && type != FIELD_TEXT && type != FIELD_BYTES) {
        return FAULT(b, f->length_place,
                     "max_length is for text and bytes; remove it from '%s', which is of type %s",
                     f->name, type_names[f->type]);
    }
    YZ_TRY(check_codes(b, f));
    b->d->fields[b->d->fields_n++] =
        (struct dataset_field){.name = f->name,
                               .element = f->element ? f->element : f->name,
                               .type = type,
                               .classification = (enum classification)(f->classification + 1),
                               .required = f->required,
                               .unlisted = !f->catalogue,
                               .reference = f->reference,
                               .max_length = type_length(f),
                               .codes = f->codes,
                               .csv = f->csv,
                               .json = f->json,
                               .xml = f->xml,
                               .place = f->place};
    if (f->classification + 1 >= CLASS_SENSITIVE) {
        b->d->has_sensitive = true;
    }
    return 0;
}

static int build_fields(struct builder *b)
{
    YZ_TRY(yzi_arena_new(&b->d->arena, b->raw->fields.n, sizeof *b->d->fields, &b->d->fields));
    for (size_t i = 0; i < b->raw->fields.n; i++) {
        YZ_TRY(build_field(b, i));
    }
    return 0;
}

/* -- key and indexes -- */

/* The fields of a key or an index by name; `what` says which for messages. */
static int resolve(struct builder *b, const char *what, const struct config_list *names,
                   struct config_place at, unsigned *out)
{
    for (size_t i = 0; i < names->n; i++) {
        int field = yzi_dataset_field(b->d, yzi_bytes_str(names->items[i]));
        if (field < 0) {
            return FAULT(b, at, "%s names the field '%.64s', which is not defined under `fields:`",
                         what, names->items[i]);
        }
        for (size_t k = 0; k < i; k++) {
            if (out[k] == (unsigned)field) {
                return FAULT(b, at, "%s names the field '%s' twice", what, names->items[i]);
            }
        }
        const struct dataset_field *f = &b->d->fields[field];
        if (yzi_field_is_sealed(f) && (f->type == FIELD_BOOLEAN || f->type == FIELD_CODE)) {
            return FAULT(b, at,
                         "%s names '%s', which is %s and has few different values: equal ones "
                         "could be told apart without the key; remove it from there",
                         what, f->name, yzi_classification_name(f->classification));
        }
        out[i] = (unsigned)field;
    }
    return 0;
}

static int build_key(struct builder *b)
{
    struct dataset *d = b->d;
    YZ_TRY(resolve(b, "the key", &b->raw->key, b->raw->key_place, d->key));
    d->key_n = b->raw->key.n;
    size_t total = 0;
    for (size_t i = 0; i < d->key_n; i++) {
        struct dataset_field *f = &d->fields[d->key[i]];
        f->required = true;
        if (f->type == FIELD_TEXT || f->type == FIELD_BYTES) {
            bool given = yzi_builder_field(b, d->key[i])->max_length != 0;
            f->max_length = given || yzi_field_is_sealed(f) ? f->max_length : KEY_TEXT_DEFAULT;
        }
        total += yzi_key_part_max(f);
    }
    if (total > YZ_DB_KEY_MAX) {
        return FAULT(b, b->raw->key_place,
                     "the key may need %zu bytes, at most %u are possible; give its text and "
                     "bytes fields a smaller max_length",
                     total, YZ_DB_KEY_MAX);
    }
    return 0;
}

static int build_index(struct builder *b, size_t i)
{
    const struct raw_index *raw = (const struct raw_index *)b->raw->indexes.items + i;
    char what[YZ_NAME_MAX + 16];
    if (!is_name(raw->name)) {
        return FAULT(b, raw->place,
                     "'%s' is not a name of an index; use letters, digits and _, a letter first",
                     raw->name);
    }
    for (size_t k = 0; k < i; k++) {
        if (strcmp(b->d->indexes[k].name, raw->name) == 0) {
            return FAULT(b, raw->place, "the index '%s' stands twice; rename one of them",
                         raw->name);
        }
    }
    struct dataset_index *index = &b->d->indexes[i];
    *index =
        (struct dataset_index){.name = raw->name, .fields_n = raw->fields.n, .unique = raw->unique};
    YZ_TRY(yzi_arena_new(&b->d->arena, raw->fields.n, sizeof *index->fields, &index->fields));
    snprintf(what, sizeof what, "the index '%s'", raw->name);
    return resolve(b, what, &raw->fields, raw->place, index->fields);
}

static int build_indexes(struct builder *b)
{
    b->d->indexes_n = b->raw->indexes.n;
    YZ_TRY(yzi_arena_new(&b->d->arena, b->d->indexes_n, sizeof *b->d->indexes, &b->d->indexes));
    for (size_t i = 0; i < b->d->indexes_n; i++) {
        YZ_TRY(build_index(b, i));
    }
    return 0;
}

/* -- entry points -- */

static int build(struct builder *b)
{
    YZ_TRY(build_head(b));
    YZ_TRY(build_fields(b));
    YZ_TRY(build_key(b));
    YZ_TRY(build_indexes(b));
    return yzi_mapping_build(b);
}

static int parse(yz_bytes text, const char *name, struct dataset *d, yz_error *err)
{
    struct raw raw;
    YZ_TRY(yzi_config_parse(text, name, NULL, table, &d->arena, &raw, err));
    crypto_hash_sha256(d->digest.b, text.p, text.n);
    struct builder b = {.raw = &raw, .d = d, .file = name, .err = err};
    int rc = build(&b);
    if (rc == YZ_ENOMEM || rc == YZ_ELIMIT) {
        return yzi_fail(err, rc, "%s: the definition needs too much memory", name);
    }
    return rc;
}

int yzi_dataset_parse(yz_bytes text, const char *name, struct dataset **out, yz_error *err)
{
    struct dataset *d;
    int rc = yzi_alloc(1, sizeof *d, &d);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: not enough memory", name);
    }
    yzi_arena_init(&d->arena, ARENA_MAX);
    atomic_store(&d->refs, 1);
    rc = parse(text, name, d, err);
    if (rc < 0) {
        yzi_dataset_unref(d);
        return rc;
    }
    *out = d;
    return 0;
}

int yzi_dataset_load(const char *path, struct dataset **out, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {0};
    yzi_buf_init(&text, DEFINITION_BYTES_MAX);
    int rc = yzi_file_read(path, &text, err);
    if (rc == YZ_ETOOBIG) {
        return yzi_config_fault(err, path, (struct config_place){1, 1},
                                "the file is larger than 1 MiB, which no definition is");
    }
    YZ_TRY(rc);
    return yzi_dataset_parse(yzi_bytes_buf(&text), path, out, err);
}

/* The count is all that ever changes in one. */
static struct dataset *counted(const struct dataset *d)
{
    return (struct dataset *)(uintptr_t)d;
}

const struct dataset *yzi_dataset_ref(const struct dataset *d)
{
    atomic_fetch_add(&counted(d)->refs, 1);
    return d;
}

void yzi_dataset_unref(const struct dataset *d)
{
    if (d && atomic_fetch_sub(&counted(d)->refs, 1) == 1) {
        yzi_arena_fini(&counted(d)->arena);
        free(counted(d));
    }
}

int yzi_dataset_field(const struct dataset *d, yz_bytes name)
{
    for (size_t i = 0; i < d->fields_n; i++) {
        if (yzi_bytes_eq_str(name, d->fields[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_key(const struct dataset *d, size_t field)
{
    for (size_t i = 0; i < d->key_n; i++) {
        if (d->key[i] == field) {
            return true;
        }
    }
    return false;
}

int yzi_dataset_catalogue(const struct dataset *d, struct arena *arena, struct catalogue_entry *out,
                          struct unlisted_fields *out_unlisted)
{
    struct data_element *elements; /* listed ones from the front, the others from the back */
    size_t listed = 0, left = d->fields_n;
    YZ_TRY(yzi_arena_new(arena, d->fields_n, sizeof *elements, &elements));
    for (size_t i = 0; i < d->fields_n; i++) {
        const struct dataset_field *f = &d->fields[i];
        elements[f->unlisted ? --left : listed++] =
            (struct data_element){.field = yzi_bytes_str(f->name),
                                  .element = yzi_bytes_str(f->element),
                                  .type = f->type,
                                  .classification = f->classification,
                                  .key = is_key(d, i),
                                  .reference = f->reference};
    }
    *out = (struct catalogue_entry){.data_set = yzi_bytes_str(d->name),
                                    .titles = d->titles,
                                    .descriptions = d->descriptions,
                                    .owner = yzi_bytes_str(d->owner),
                                    .sharing = d->sharing,
                                    .legal_basis = yzi_bytes_str(d->legal_basis),
                                    .update_cycle = yzi_bytes_str(d->update_cycle),
                                    .elements = elements,
                                    .elements_n = listed};
    *out_unlisted = (struct unlisted_fields){.data_set = out->data_set,
                                             .elements = elements + listed,
                                             .elements_n = d->fields_n - listed};
    return 0;
}
