/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration tree into the caller's struct, by the table. The values are built in an image of
 * the target and copied over member by member once everything is right, so a fault leaves the
 * target as it was. Defaults are YAML text and take the same way as what a file says.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/config_tree.h"
#include "base/file.h"
#include "base/text.h"

/* A free key must fit the 1,024 characters YAML allows a key on one line, however it is escaped. */
#define FREE_KEY_MAX 255u

struct config_default {
    const struct config_field *field;
    const struct config_node *root;
    struct config_default *next;
};

static int fill_map(struct config_job *job, const struct config_field *fields,
                    const struct config_node *map, void *base);
static int fill_absent(struct config_job *job, const struct config_field *fields, void *base);

/* ---- amounts: numbers, sizes, durations ---- */

struct unit {
    const char *name;
    uint64_t factor;
};
/* Largest first. */
static const struct unit size_units[] = {{"TiB", (uint64_t)1 << 40},
                                         {"GiB", (uint64_t)1 << 30},
                                         {"MiB", (uint64_t)1 << 20},
                                         {"KiB", (uint64_t)1 << 10},
                                         {NULL, 0}};
static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {NULL, 0}};

static int size_parse(yz_bytes text, uint64_t *out)
{
    uint64_t factor = 1;
    size_t digits = 0;
    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9') {
        digits++;
    }
    yz_bytes suffix = yzi_bytes(text.p + digits, text.n - digits);
    if (suffix.n > 0) {
        const struct unit *u = size_units;
        while (u->name && !yzi_bytes_eq_str(suffix, u->name)) {
            u++;
        }
        YZ_ENSURE(u->name, YZ_EINVAL);
        factor = u->factor;
    }
    uint64_t n;
    YZ_TRY(yzi_u64_parse(yzi_bytes(text.p, digits), UINT64_MAX / factor, &n));
    *out = n * factor;
    return YZ_OK;
}

int yzi_config_amount_parse(enum config_type type, yz_bytes text, uint64_t *out)
{
    if (type == CONFIG_SIZE) {
        return size_parse(text, out);
    }
    if (type == CONFIG_DURATION) {
        /* node texts are NUL-terminated; one inside would end it early */
        YZ_ENSURE(strlen((const char *)text.p) == text.n, YZ_EINVAL);
        return yzi_duration_parse((const char *)text.p, out);
    }
    return yzi_u64_parse(text, UINT64_MAX, out);
}

void yzi_config_amount_print(enum config_type type, uint64_t v, char out[32])
{
    const char *name = type == CONFIG_DURATION ? "ms" : "";
    uint64_t factor = 1;
    const struct unit *u = type == CONFIG_SIZE       ? size_units
                           : type == CONFIG_DURATION ? duration_units
                                                     : NULL;
    for (; u && u->name && v > 0; u++) {
        if (v % u->factor == 0) {
            name = u->name;
            factor = u->factor;
            break;
        }
    }
    snprintf(out, 32, "%" PRIu64 "%s", v / factor, name);
}

void yzi_config_range_print(const struct config_field *f, char out[80])
{
    char min[32], max[32];
    yzi_config_amount_print(f->type, f->min, min);
    yzi_config_amount_print(f->type, f->max, max);
    if (f->min == 0 && f->max == 0) {
        out[0] = 0;
    } else if (f->max == 0) {
        snprintf(out, 80, "at least %s", min);
    } else if (f->min == 0) {
        snprintf(out, 80, "at most %s", max);
    } else if (f->min == f->max) {
        snprintf(out, 80, "exactly %s", min);
    } else {
        snprintf(out, 80, "%s to %s", min, max);
    }
}

static bool in_range(const struct config_field *f, uint64_t v)
{
    return v >= f->min && (f->max == 0 || v <= f->max);
}

/* ---- words for what was written ---- */

#define FAULT(job, node, ...) yzi_config_fault((job)->err, (job)->name, (node)->at, __VA_ARGS__)

static const char *type_words(enum config_type type)
{
    static const char *const words[] = {
        [CONFIG_TEXT] = "text",
        [CONFIG_PATH] = "a path",
        [CONFIG_U64] = "a whole number such as 10",
        [CONFIG_SIZE] = "a size such as 16MiB, 256KiB, 1GiB or plain bytes",
        [CONFIG_DURATION] = "a duration with its unit, such as 250ms, 30s, 5m, 24h or 90d",
        [CONFIG_BOOL] = "true or false",
        [CONFIG_ENUM] = "one of the words it knows",
        [CONFIG_LIST] = "a list such as [a, b]",
        [CONFIG_MAP] = "a map of `key: value` lines",
        [CONFIG_MAPS] = "a list of maps, each item beginning with `- `",
        [CONFIG_ANY_MAP] = "a map of `key: value` lines",
    };
    return (size_t)type < sizeof words / sizeof words[0] ? words[type] : "of a known type";
}

static const char *node_words(const struct config_node *node)
{
    switch (node->kind) {
    case CONFIG_NODE_NULL:
        return "nothing";
    case CONFIG_NODE_SCALAR:
        return node->plain ? "a plain value" : "quoted text";
    case CONFIG_NODE_SEQUENCE:
        return "a list";
    case CONFIG_NODE_MAPPING:
        return "a map";
    }
    return "something else";
}

static int wrong_type(struct config_job *job, const char *key, enum config_type wanted,
                      const struct config_node *node)
{
    if (node->kind == CONFIG_NODE_NULL) {
        return FAULT(job, node, "'%s' has no value; write %s, or remove the line", key,
                     type_words(wanted));
    }
    if (node->kind == CONFIG_NODE_SCALAR && node->plain) {
        char shown[CONFIG_SHOWN];
        return FAULT(job, node, "'%s' is '%s'; write %s", key, yzi_config_show(node->text, shown),
                     type_words(wanted));
    }
    return FAULT(job, node, "'%s' is %s; write %s", key, node_words(node), type_words(wanted));
}

/* Edits (insert, delete, replace) that turn a into b; lengths up to WORD. */
#define WORD 48
static unsigned distance(yz_bytes a, yz_bytes b)
{
    unsigned row[WORD + 1];
    if (a.n > WORD || b.n > WORD) {
        return UINT32_MAX;
    }
    for (unsigned j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned best = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b.n];
}

/* Offers a remedy for a word that is not among `words`: the one that is nearly it, or all. */
struct suggestion {
    yz_bytes wrong;
    const char *closest;
    unsigned best;
    char all[200];
};
static void suggest(struct suggestion *s, const char *word)
{
    unsigned d = distance(s->wrong, yzi_bytes_str(word));
    if (!s->closest || d < s->best) {
        s->closest = word;
        s->best = d;
    }
    size_t used = strlen(s->all);
    if (used + strlen(word) + sizeof ", ..." < sizeof s->all) {
        snprintf(s->all + used, sizeof s->all - used, "%s%s", used ? ", " : "", word);
    } else if (used > 0 && s->all[used - 1] != '.') {
        snprintf(s->all + used, sizeof s->all - used, ", ...");
    }
}
static const char *suggestion(const struct suggestion *s, char out[260])
{
    if (s->closest && s->best <= 1 + s->wrong.n / 3 && s->best < strlen(s->closest)) {
        snprintf(out, 260, "did you mean '%s'?", s->closest);
    } else {
        snprintf(out, 260, "write one of: %s", s->all);
    }
    return out;
}

/* ---- single values ---- */

static int copy_text(struct config_job *job, yz_bytes text, const char **out)
{
    char *copy;
    YZ_TRY(yzi_arena_new(job->arena, text.n + 1, 1, &copy));
    memcpy(copy, text.p, text.n);
    *out = copy;
    return YZ_OK;
}

/* A scalar fit to be a C string. A plain or quoted one: the key makes it text, not its look. */
static int check_text(struct config_job *job, const char *key, enum config_type type,
                      const struct config_node *node)
{
    if (node->kind != CONFIG_NODE_SCALAR) {
        return wrong_type(job, key, type, node);
    }
    if (memchr(node->text.p, 0, node->text.n)) {
        return FAULT(job, node, "'%s' contains \\0; remove it", key);
    }
    if (!yzi_utf8_is_valid(node->text)) {
        return FAULT(job, node, "'%s' is not UTF-8 once its escapes are read; correct them", key);
    }
    return YZ_OK;
}

static int fill_text(struct config_job *job, const struct config_field *f,
                     const struct config_node *node, const char **out)
{
    YZ_TRY(check_text(job, f->key, f->type, node));
    if (!in_range(f, node->text.n)) {
        char range[80];
        struct config_field bytes = {.type = CONFIG_U64, .min = f->min, .max = f->max};
        yzi_config_range_print(&bytes, range);
        return FAULT(job, node, "'%s' is %zu bytes long; write %s bytes", f->key, node->text.n,
                     range);
    }
    if (f->type != CONFIG_PATH) {
        return copy_text(job, node->text, out);
    }
    if (node->text.n == 0) {
        return FAULT(job, node, "'%s' is empty; write a path, or remove the line", f->key);
    }
    if (node->text.p[0] == '/' || !job->base_dir) {
        return copy_text(job, node->text, out);
    }
    YZ_AUTO(yzi_free_ptr) char *joined = NULL;
    YZ_TRY(yzi_path_join(job->base_dir, (const char *)node->text.p, &joined));
    return copy_text(job, yzi_bytes_str(joined), out);
}

static int fill_amount(struct config_job *job, const struct config_field *f,
                       const struct config_node *node, uint64_t *out)
{
    if (node->kind != CONFIG_NODE_SCALAR || !node->plain) {
        return wrong_type(job, f->key, f->type, node);
    }
    uint64_t v;
    char range[80], shown[CONFIG_SHOWN];
    int rc = yzi_config_amount_parse(f->type, node->text, &v);
    if (rc == YZ_ELIMIT || (rc == YZ_OK && !in_range(f, v))) {
        yzi_config_range_print(f, range);
        return FAULT(job, node, "'%s' is %s, out of range; write %s", f->key,
                     yzi_config_show(node->text, shown), range[0] ? range : "a smaller value");
    }
    if (rc < 0) {
        return wrong_type(job, f->key, f->type, node);
    }
    *out = v;
    return YZ_OK;
}

static int fill_bool(struct config_job *job, const struct config_field *f,
                     const struct config_node *node, bool *out)
{
    bool scalar = node->kind == CONFIG_NODE_SCALAR && node->plain;
    bool yes = scalar && yzi_bytes_eq_str(node->text, "true");
    if (!yes && !(scalar && yzi_bytes_eq_str(node->text, "false"))) {
        return wrong_type(job, f->key, f->type, node);
    }
    *out = yes;
    return YZ_OK;
}

static int fill_enum(struct config_job *job, const struct config_field *f,
                     const struct config_node *node, int *out)
{
    if (node->kind != CONFIG_NODE_SCALAR) {
        return wrong_type(job, f->key, f->type, node);
    }
    struct suggestion s = {.wrong = node->text};
    for (int i = 0; f->names[i]; i++) {
        if (yzi_bytes_eq_str(node->text, f->names[i])) {
            *out = i;
            return YZ_OK;
        }
        suggest(&s, f->names[i]);
    }
    char shown[CONFIG_SHOWN], remedy[260];
    return FAULT(job, node, "'%s' is '%s', which it does not know; %s", f->key,
                 yzi_config_show(node->text, shown), suggestion(&s, remedy));
}

/* ---- containers: a key with nothing under it is an empty one ---- */

static int check_container(struct config_job *job, const struct config_field *f,
                           const struct config_node *node, enum config_node_kind kind)
{
    if (node->kind != CONFIG_NODE_NULL && node->kind != kind) {
        return wrong_type(job, f->key, f->type, node);
    }
    if (f->type != CONFIG_MAP && !in_range(f, node->n)) {
        char range[80];
        struct config_field items = {.type = CONFIG_U64, .min = f->min, .max = f->max};
        yzi_config_range_print(&items, range);
        return FAULT(job, node, "'%s' has %zu item%s; write %s", f->key, node->n,
                     node->n == 1 ? "" : "s", range);
    }
    return YZ_OK;
}

static int fill_list(struct config_job *job, const struct config_field *f,
                     const struct config_node *node, struct config_list *out)
{
    YZ_TRY(check_container(job, f, node, CONFIG_NODE_SEQUENCE));
    struct config_list list = {.n = node->n};
    if (list.n > 0) {
        YZ_TRY(yzi_arena_new(job->arena, list.n, sizeof *list.items, &list.items));
    }
    size_t i = 0;
    for (const struct config_node *item = node->first; item; item = item->next) {
        YZ_TRY(check_text(job, f->key, CONFIG_TEXT, item));
        YZ_TRY(copy_text(job, item->text, &list.items[i++]));
    }
    *out = list;
    return YZ_OK;
}

static int fill_pairs(struct config_job *job, const struct config_field *f,
                      const struct config_node *node, struct config_pairs *out)
{
    YZ_TRY(check_container(job, f, node, CONFIG_NODE_MAPPING));
    struct config_pairs pairs = {.n = node->n};
    if (pairs.n > 0) {
        YZ_TRY(yzi_arena_new(job->arena, pairs.n, sizeof *pairs.items, &pairs.items));
    }
    size_t i = 0;
    for (const struct config_node *pair = node->first; pair; pair = pair->next) {
        char key[CONFIG_SHOWN];
        yzi_config_show(pair->key->text, key);
        YZ_TRY(check_text(job, f->key, CONFIG_TEXT, pair->key));
        if (pair->key->text.n > FREE_KEY_MAX) {
            return FAULT(job, pair->key, "the key '%s' is %zu bytes long; write at most %u", key,
                         pair->key->text.n, FREE_KEY_MAX);
        }
        YZ_TRY(check_text(job, key, CONFIG_TEXT, pair));
        YZ_TRY(copy_text(job, pair->key->text, &pairs.items[i].key));
        YZ_TRY(copy_text(job, pair->text, &pairs.items[i++].value));
    }
    *out = pairs;
    return YZ_OK;
}

static size_t extent(const struct config_field *fields);

static int fill_maps(struct config_job *job, const struct config_field *f,
                     const struct config_node *node, struct config_maps *out)
{
    YZ_ENSURE(extent(f->fields) <= f->item_size, YZ_EINVAL);
    YZ_TRY(check_container(job, f, node, CONFIG_NODE_SEQUENCE));
    struct config_maps maps = {.n = node->n};
    if (maps.n > 0) {
        YZ_TRY(yzi_arena_new(job->arena, maps.n, f->item_size, &maps.items));
    }
    char *at = maps.items;
    for (const struct config_node *item = node->first; item; item = item->next) {
        if (item->kind != CONFIG_NODE_NULL && item->kind != CONFIG_NODE_MAPPING) {
            return wrong_type(job, f->key, f->type, item);
        }
        YZ_TRY(fill_map(job, f->fields, item, at));
        at += f->item_size;
    }
    *out = maps;
    return YZ_OK;
}

static int fill_value(struct config_job *job, const struct config_field *f,
                      const struct config_node *node, void *base)
{
    void *member = (char *)base + f->offset;
    if (f->place_offset && !job->in_default) {
        *(struct config_place *)(void *)((char *)base + f->place_offset) = node->at;
    }
    switch (f->type) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
        return fill_text(job, f, node, member);
    case CONFIG_U64:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return fill_amount(job, f, node, member);
    case CONFIG_BOOL:
        return fill_bool(job, f, node, member);
    case CONFIG_ENUM:
        return fill_enum(job, f, node, member);
    case CONFIG_LIST:
        return fill_list(job, f, node, member);
    case CONFIG_MAP:
        YZ_TRY(check_container(job, f, node, CONFIG_NODE_MAPPING));
        return fill_map(job, f->fields, node, member);
    case CONFIG_MAPS:
        return fill_maps(job, f, node, member);
    case CONFIG_ANY_MAP:
        return fill_pairs(job, f, node, member);
    }
    return YZ_EINVAL;
}

/* ---- defaults ---- */

/* Each default is parsed once per job, however many items of a list lack the key. */
static int default_tree(struct config_job *job, const struct config_field *f,
                        const struct config_node **out)
{
    for (struct config_default *d = job->defaults; d; d = d->next) {
        if (d->field == f) {
            *out = d->root;
            return YZ_OK;
        }
    }
    const struct config_node *root;
    YZ_TRY(yzi_config_tree(yzi_bytes_str(f->dflt), "default", job->scratch, &root, job->err));
    if (f->dflt[0] == 0) { /* the empty text, as if it were quoted */
        struct config_node *empty;
        YZ_TRY(yzi_arena_new(job->scratch, 1, sizeof *empty, &empty));
        empty->kind = CONFIG_NODE_SCALAR;
        empty->text = yzi_bytes("", 0);
        root = empty;
    }
    struct config_default *d;
    YZ_TRY(yzi_arena_new(job->scratch, 1, sizeof *d, &d));
    *d = (struct config_default){f, root, job->defaults};
    job->defaults = d;
    *out = root;
    return YZ_OK;
}

static int fill_default_tree(struct config_job *job, const struct config_field *f, void *base)
{
    const struct config_node *root;
    YZ_TRY(default_tree(job, f, &root));
    return fill_value(job, f, root, base);
}

/* A default that is wrong is our own bug, whatever the file says. */
static int fill_default(struct config_job *job, const struct config_field *f, void *base)
{
    bool outer = job->in_default;
    job->in_default = true;
    int rc = fill_default_tree(job, f, base);
    job->in_default = outer;
    if (rc == YZ_ECONFIG) {
        return yzi_fail(job->err, YZ_EINTERNAL, "%s: the built-in default of '%s' is wrong: '%s'",
                        job->name, f->key, f->dflt);
    }
    return rc;
}

/* A key that is not in the file. */
static int fill_missing(struct config_job *job, const struct config_field *f, void *base)
{
    if (f->dflt) {
        return fill_default(job, f, base);
    }
    return f->type == CONFIG_MAP ? fill_absent(job, f->fields, (char *)base + f->offset) : YZ_OK;
}

/* A map that is not in the file: its defaults, and nothing is required of it. */
static int fill_absent(struct config_job *job, const struct config_field *fields, void *base)
{
    YZ_ENSURE(fields, YZ_EINVAL);
    for (const struct config_field *f = fields; f->key; f++) {
        YZ_TRY(fill_missing(job, f, base));
    }
    return YZ_OK;
}

/* ---- maps ---- */

static int refuse_unknown(struct config_job *job, const struct config_field *fields,
                          const struct config_node *key)
{
    struct suggestion s = {.wrong = key->text};
    for (const struct config_field *f = fields; f->key; f++) {
        if (yzi_bytes_eq_str(key->text, f->key)) {
            return YZ_OK;
        }
        suggest(&s, f->key);
    }
    char shown[CONFIG_SHOWN], remedy[260];
    return FAULT(job, key, "unknown key '%s'; %s", yzi_config_show(key->text, shown),
                 suggestion(&s, remedy));
}

static const struct config_node *child(const struct config_node *map, const char *key)
{
    const struct config_node *c = map->first;
    while (c && !yzi_bytes_eq_str(c->key->text, key)) {
        c = c->next;
    }
    return c;
}

static int fill_map(struct config_job *job, const struct config_field *fields,
                    const struct config_node *map, void *base)
{
    YZ_ENSURE(fields, YZ_EINVAL);
    for (const struct config_node *c = map->first; c; c = c->next) {
        YZ_TRY(refuse_unknown(job, fields, c->key));
    }
    for (const struct config_field *f = fields; f->key; f++) {
        const struct config_node *value = child(map, f->key);
        if (value) {
            YZ_TRY(fill_value(job, f, value, base));
        } else if (f->required) {
            return FAULT(job, map, "the required key '%s' is missing; add it: %s%s%s", f->key,
                         type_words(f->type), f->help ? ". " : "", f->help ? f->help : "");
        } else {
            YZ_TRY(fill_missing(job, f, base));
        }
    }
    return YZ_OK;
}

/* ---- the image and its target ---- */

static size_t member_size(const struct config_field *f)
{
    switch (f->type) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
        return sizeof(const char *);
    case CONFIG_U64:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return sizeof(uint64_t);
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_ENUM:
        return sizeof(int);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    case CONFIG_MAP:
        return extent(f->fields);
    case CONFIG_MAPS:
        return sizeof(struct config_maps);
    case CONFIG_ANY_MAP:
        return sizeof(struct config_pairs);
    }
    return 0;
}

/* The bytes from the start of the struct to the end of the last member the table names. */
static size_t extent(const struct config_field *fields)
{
    size_t end = 0;
    for (const struct config_field *f = fields; f && f->key; f++) {
        size_t e = f->offset + member_size(f);
        size_t p = f->place_offset ? f->place_offset + sizeof(struct config_place) : 0;
        end = e > end ? e : end;
        end = p > end ? p : end;
    }
    return end;
}

/* Copy what the table names and nothing else. */
static void assign(const struct config_field *fields, const char *image, char *target)
{
    for (const struct config_field *f = fields; f->key; f++) {
        if (f->type == CONFIG_MAP) {
            assign(f->fields, image + f->offset, target + f->offset);
        } else {
            memcpy(target + f->offset, image + f->offset, member_size(f));
        }
        if (f->place_offset) {
            memcpy(target + f->place_offset, image + f->place_offset, sizeof(struct config_place));
        }
    }
}

int yzi_config_fill(struct config_job *job, const struct config_node *root,
                    const struct config_field *fields, void *target)
{
    if (root->kind != CONFIG_NODE_NULL && root->kind != CONFIG_NODE_MAPPING) {
        return FAULT(job, root, "the file is %s; write a map of `key: value` lines",
                     node_words(root));
    }
    char *image;
    YZ_TRY(yzi_arena_new(job->scratch, 1, extent(fields), &image));
    YZ_TRY(fill_map(job, fields, root, image));
    assign(fields, image, target);
    return YZ_OK;
}
