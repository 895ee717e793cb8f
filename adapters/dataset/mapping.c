/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of a definition that says how the files of the agency's own system look: columns and
 * paths, encodings, and what is done to a value before it is judged (docs/definitions.md).
 */
#include "adapters/dataset/definition_impl.h"
#include "adapters/dataset/normalise.h"
#include "base/text.h"

/* -- tables -- */

/* In the order of enum text_encoding, which counts from 1. */
static const char *const encodings[] = {"utf-8", "gb18030", NULL};
static const char *const json_formats[] = {"array", "lines", NULL};

const struct config_field yzi_mapping_csv[] = {
    {.key = "delimiter",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_csv, delimiter),
     .dflt = "','",
     .min = 1,
     .max = 3,
     .place_offset = offsetof(struct raw_csv, delimiter_place),
     .help = "Between columns: a comma, semicolon, vertical bar, or the word tab."},
    {.key = "encoding",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct raw_csv, encoding),
     .dflt = "utf-8",
     .names = encodings,
     .help = "Encoding of the file; gb18030 reads GBK and GB 2312, too."},
    {.key = "header",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct raw_csv, header),
     .dflt = "true",
     .help = "The first row holds the column names."},
    {.key = "ignore",
     .type = CONFIG_LIST,
     .offset = offsetof(struct raw_csv, ignore),
     .max = 768,
     .place_offset = offsetof(struct raw_csv, ignore_place),
     .help = "Columns that no field reads; any other unknown column is refused."},
    {0},
};

const struct config_field yzi_mapping_json[] = {
    {.key = "format",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct raw_json, format),
     .dflt = "array",
     .names = json_formats,
     .help = "One array of records, or a record a line."},
    {.key = "path",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_json, path),
     .max = 1000,
     .place_offset = offsetof(struct raw_json, path_place),
     .help = "Where the array of records stands: names of members, joined by dots."},
    {0},
};

const struct config_field yzi_mapping_xml[] = {
    {.key = "element",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_xml, element),
     .max = 1000,
     .place_offset = offsetof(struct raw_xml, element_place),
     .help = "The element that is a record: its name, or a path to it."},
    {.key = "encoding",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct raw_xml, encoding),
     .dflt = "utf-8",
     .names = encodings,
     .help = "utf-8: as the file itself declares; gb18030: whatever it declares."},
    {.key = "doctype",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct raw_xml, doctype),
     .dflt = "false",
     .help = "Allow a DOCTYPE, with bounded entities; nothing outside the file is read."},
    {0},
};

/* -- CSV -- */

static int build_delimiter(struct builder *b)
{
    const char *s = b->raw->csv.delimiter;
    if (strcmp(s, "tab") == 0) {
        s = "\t";
    }
    if (strlen(s) != 1 || !strchr(",;|\t", *s)) {
        return FAULT(b, b->raw->csv.delimiter_place,
                     "the delimiter must be ',', ';', '|' or the word tab, in quotes");
    }
    b->d->csv.delimiter = *s;
    return 0;
}

static int default_column(struct builder *b, size_t i)
{
    struct dataset_field *f = &b->d->fields[i];
    if (f->csv) {
        return 0;
    }
    if (b->d->csv.header) {
        f->csv = f->name;
        return 0;
    }
    char *position;
    YZ_TRY(yzi_arena_new(&b->d->arena, 24, 1, &position));
    snprintf(position, 24, "%zu", i + 1);
    f->csv = position;
    return 0;
}

/* Without a header, positions must be 1..n, each once. */
static int check_position(struct builder *b, const char *text, struct config_place at)
{
    uint64_t position, columns = b->d->fields_n + b->d->csv.ignore.n;
    if (yzi_u64_parse(yzi_bytes_str(text), columns, &position) < 0 || position == 0) {
        return FAULT(b, at,
                     "without a header row, columns are positions from 1 to %llu (every column is "
                     "read by a field or listed under `ignore:`), not '%.40s'",
                     (unsigned long long)columns, text);
    }
    return 0;
}

static int build_columns(struct builder *b)
{
    struct dataset *d = b->d;
    for (size_t i = 0; i < d->fields_n; i++) {
        struct config_place at = yzi_builder_field(b, i)->csv ? yzi_builder_field(b, i)->csv_place
                                                              : yzi_builder_field(b, i)->place;
        YZ_TRY(default_column(b, i));
        YZ_TRY(d->csv.header ? 0 : check_position(b, d->fields[i].csv, at));
        for (size_t k = 0; k < i; k++) {
            if (strcmp(d->fields[i].csv, d->fields[k].csv) == 0) {
                return FAULT(b, at, "the fields '%s' and '%s' read the same column '%.64s'",
                             d->fields[k].name, d->fields[i].name, d->fields[i].csv);
            }
        }
    }
    return 0;
}

static int build_ignored(struct builder *b)
{
    struct dataset *d = b->d;
    const struct config_list *ignore = &d->csv.ignore;
    struct config_place at = b->raw->csv.ignore_place;
    for (size_t i = 0; i < ignore->n; i++) {
        YZ_TRY(d->csv.header ? 0 : check_position(b, ignore->items[i], at));
        for (size_t k = 0; k < d->fields_n + i; k++) {
            const char *other = k < d->fields_n ? d->fields[k].csv : ignore->items[k - d->fields_n];
            if (strcmp(ignore->items[i], other) == 0) {
                return FAULT(b, at, "the ignored column '%.64s' is %s", ignore->items[i],
                             k < d->fields_n ? "read by a field" : "listed twice");
            }
        }
    }
    return 0;
}

static int build_csv(struct builder *b)
{
    struct dataset *d = b->d;
    YZ_TRY(build_delimiter(b));
    d->csv.header = b->raw->csv.header;
    d->csv.encoding = (enum text_encoding)(b->raw->csv.encoding + 1);
    d->csv.ignore = b->raw->csv.ignore;
    YZ_TRY(build_columns(b));
    return build_ignored(b);
}

/* -- JSON and XML -- */

typedef int path_fn(const char *text, struct arena *arena, struct dataset_path *out,
                    const char **reason);

static int build_path(struct builder *b, path_fn *parse, const char *text, struct config_place at,
                      struct dataset_path *out)
{
    const char *reason = NULL;
    int rc = parse(text, &b->d->arena, out, &reason);
    return rc == YZ_EINVAL ? FAULT(b, at, "the path '%.64s' %s", text, reason) : rc;
}

/* Without a path of its own a field has its name in both formats, which needs no escaping. */
static int build_field_paths(struct builder *b, size_t i)
{
    const struct raw_field *raw = yzi_builder_field(b, i);
    struct dataset_field *f = &b->d->fields[i];
    YZ_TRY(
        build_path(b, yzi_path_json, f->json ? f->json : f->name, raw->json_place, &f->json_path));
    return build_path(b, yzi_path_xml, f->xml ? f->xml : f->name, raw->xml_place, &f->xml_path);
}

static int build_json(struct builder *b)
{
    const struct raw_json *raw = &b->raw->json;
    b->d->json.lines = raw->format == 1;
    if (!raw->path || !*raw->path) {
        return 0;
    }
    if (b->d->json.lines) {
        return FAULT(b, raw->path_place,
                     "with `format: lines` every line is a record and there is no path to them; "
                     "remove one of the two");
    }
    return build_path(b, yzi_path_json, raw->path, raw->path_place, &b->d->json.path);
}

static int build_xml(struct builder *b)
{
    const struct raw_xml *raw = &b->raw->xml;
    b->d->xml.doctype = raw->doctype;
    b->d->xml.encoding = (enum text_encoding)(raw->encoding + 1);
    if (!raw->element || !*raw->element) {
        return 0; /* told when an XML file comes */
    }
    b->d->xml.anchored = raw->element[0] == '/';
    return build_path(b, yzi_path_elements, raw->element + b->d->xml.anchored, raw->element_place,
                      &b->d->xml.element);
}

/* -- normalisation -- */

static int build_steps(struct builder *b, const struct raw_field *raw, struct field_normal *out)
{
    const struct {
        const char *word;
        bool *flag;
    } words[] = {{"trim", &out->trim},
                 {"squeeze", &out->squeeze},
                 {"narrow", &out->narrow},
                 {"upper", &out->upper},
                 {"lower", &out->lower}};
    for (size_t i = 0; i < raw->normalise.n; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            if (strcmp(raw->normalise.items[i], words[k].word) == 0) {
                *words[k].flag = known = true;
            }
        }
        if (!known) {
            return FAULT(b, raw->normalise_place,
                         "'%.40s' is no normalisation; there are trim, squeeze, narrow, upper and "
                         "lower",
                         raw->normalise.items[i]);
        }
    }
    return out->upper && out->lower
               ? FAULT(b, raw->normalise_place, "a field is made upper or lower, not both")
               : 0;
}

/* What normalisation makes of a word of the definition; NULL: the word itself, or nothing. */
static const char *never_met(const struct dataset_field *f, const char *word)
{
    struct dataset_field plain = *f;
    plain.type = FIELD_TEXT; /* letters are changed whatever the type */
    plain.normal.empty.n = 0;
    const char *fault = yzi_normal_fault(&plain, yzi_bytes_str(word), false);
    return fault && !yzi_normal_is_space(yzi_bytes_str(word)) ? fault : NULL;
}

/* Codes and what stands for no value are compared with what normalisation leaves. */
static int check_words(struct builder *b, const struct raw_field *raw,
                       const struct dataset_field *f)
{
    for (size_t i = 0; i < raw->codes.n + raw->empty.n; i++) {
        bool code = i < raw->codes.n;
        const char *word = code ? raw->codes.items[i] : raw->empty.items[i - raw->codes.n];
        const char *fault = never_met(f, word);
        if (fault) {
            return FAULT(b, code ? raw->codes_place : raw->normalise_place,
                         "'%.64s' under `%s:` of '%s' can never be met, because `normalise:` comes "
                         "first: it %s",
                         word, code ? "codes" : "empty", f->name, fault);
        }
    }
    return 0;
}

static int check_formats(struct builder *b, const struct raw_field *raw,
                         const struct dataset_field *f)
{
    if (f->type != FIELD_DATE && f->type != FIELD_TIME) {
        return FAULT(b, raw->formats_place,
                     "formats are for dates and times; remove them from '%s', which is of type %s",
                     f->name, yzi_field_type_name(f->type));
    }
    for (size_t i = 0; i < raw->formats.n; i++) {
        const char *reason = yzi_normal_format_fault(raw->formats.items[i], f->type);
        if (reason) {
            return FAULT(b, raw->formats_place, "the format '%.64s' %s", raw->formats.items[i],
                         reason);
        }
    }
    return f->type == FIELD_TIME && !raw->zone
               ? FAULT(b, raw->formats_place,
                       "a time read by formats has no zone of its own; add `zone:`, such as "
                       "'+08:00'")
               : 0;
}

static bool is_zone(const char *s)
{
    if (strcmp(s, "Z") == 0) {
        return true;
    }
    return strlen(s) == 6 && (*s == '+' || *s == '-') && strspn(s + 1, "0123456789") == 2 &&
           s[3] == ':' && strspn(s + 4, "0123456789") == 2 && strncmp(s + 1, "24", 2) < 0 &&
           s[4] < '6';
}

static int build_normal(struct builder *b, size_t i)
{
    const struct raw_field *raw = yzi_builder_field(b, i);
    struct dataset_field *f = &b->d->fields[i];
    f->join = raw->join;
    f->normal.empty = raw->empty;
    f->normal.formats = raw->formats;
    f->normal.zone = raw->zone;
    YZ_TRY(build_steps(b, raw, &f->normal));
    YZ_TRY(check_words(b, raw, f));
    YZ_TRY(raw->formats.n ? check_formats(b, raw, f) : 0);
    if (raw->zone && (f->type != FIELD_TIME || !raw->formats.n || !is_zone(raw->zone))) {
        return FAULT(b, raw->zone_place,
                     "a zone is 'Z' or like '+08:00', and goes with the formats of a time");
    }
    return 0;
}

int yzi_mapping_build(struct builder *b)
{
    YZ_TRY(build_csv(b));
    YZ_TRY(build_json(b));
    YZ_TRY(build_xml(b));
    for (size_t i = 0; i < b->d->fields_n; i++) {
        YZ_TRY(build_field_paths(b, i));
        YZ_TRY(build_normal(b, i));
    }
    return 0;
}
