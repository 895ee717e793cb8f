/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration text to tree, and the entry points. The only caller of libfyaml.
 *
 * The library's event stream is used, not its document tree: aliases, anchors and tags are refused
 * where they stand (so there is no expansion to bound), depth and size are bounded by us, and the
 * tree is ours. Its diagnostics go to a sink and into our one sentence; it never prints. It ends
 * its input at a NUL and drops raw control characters silently [0.7.12], so both are refused here
 * before it sees them.
 */
#include "base/config.h"

#include <libfyaml.h>
#include <unistd.h>

#include "base/config_tree.h"
#include "base/file.h"
#include "base/text.h"

/* Memory for trees and images of one load: far above what CONFIG_BYTES_MAX of text can need. */
#define SCRATCH_MAX ((size_t)64 << 20)

struct reader {
    const char *name;
    struct arena *scratch;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_event *event;   /* the current one, owned; NULL at the end */
    struct config_place last; /* where the last thing that has a place stood */
    size_t nodes;
    yz_error *err;
};

int yzi_config_fault(yz_error *err, const char *name, struct config_place at, const char *fmt, ...)
{
    char sentence[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    if (at.line == 0) { /* a default: it stands in no line */
        return yzi_fail(err, YZ_ECONFIG, "%s: %s", name, sentence);
    }
    return yzi_fail(err, YZ_ECONFIG, "%s:%d:%d: %s", name, at.line, at.col, sentence);
}

const char *yzi_config_show(yz_bytes text, char out[CONFIG_SHOWN])
{
    const size_t room = CONFIG_SHOWN - sizeof "...";
    size_t n = text.n <= room ? text.n : yzi_utf8_cut(text, room);
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
    }
    memcpy(out + n, n < text.n ? "..." : "", n < text.n ? sizeof "..." : 1);
    return out;
}

/* ---- the bytes, before the library sees them ---- */

/* The place of byte i; columns count characters, as the library does. */
static struct config_place place_of(yz_bytes text, size_t i)
{
    struct config_place at = {1, 1};
    for (size_t k = 0; k < i; k++) {
        if (text.p[k] == '\n') {
            at.line++;
            at.col = 1;
        } else if ((text.p[k] & 0xc0) != 0x80) {
            at.col++;
        }
    }
    return at;
}

/* Where the first character that is not well-formed UTF-8 begins. */
static size_t first_ill_formed(yz_bytes text)
{
    size_t i = 0;
    while (i < text.n) {
        size_t n = 1;
        while (text.p[i] >= 0x80 && n < 4 && i + n < text.n && (text.p[i + n] & 0xc0) == 0x80) {
            n++;
        }
        if (!yzi_utf8_is_valid(yzi_bytes(text.p + i, n))) {
            break;
        }
        i += n;
    }
    return i;
}

static int check_bytes(yz_bytes text, const char *name, yz_error *err)
{
    if (text.n > CONFIG_BYTES_MAX) {
        return yzi_config_fault(err, name, (struct config_place){1, 1},
                                "the file is larger than 1 MiB; split it or remove what is not "
                                "configuration");
    }
    if (!yzi_utf8_is_valid(text)) {
        return yzi_config_fault(err, name, place_of(text, first_ill_formed(text)),
                                "this byte is not UTF-8; save the file in UTF-8");
    }
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
            return yzi_config_fault(err, name, place_of(text, i),
                                    "a control character (0x%02x) stands here; remove it, or write "
                                    "\"\\x%02x\" in double quotes",
                                    c, c);
        }
    }
    return YZ_OK;
}

/* ---- the library ---- */

static void discard_output(struct fy_diag *diag, void *user, const char *buf, size_t len)
{
    (void)diag;
    (void)user;
    (void)buf;
    (void)len;
}

static void reader_fini(struct reader *r)
{
    if (r->event) {
        fy_parser_event_free(r->parser, r->event);
    }
    if (r->parser) {
        fy_parser_destroy(r->parser);
    }
    if (r->diag) {
        fy_diag_destroy(r->diag);
    }
}

static int reader_init(struct reader *r, yz_bytes text)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL; /* it would be stderr */
    diag_cfg.output_fn = discard_output;
    diag_cfg.colorize = false;
    r->diag = fy_diag_create(&diag_cfg);
    YZ_ENSURE(r->diag, YZ_ENOMEM);
    fy_diag_set_collect_errors(r->diag, true);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_1_2,
        .diag = r->diag,
    };
    r->parser = fy_parser_create(&cfg);
    YZ_ENSURE(r->parser, YZ_ENOMEM);
    YZ_ENSURE(fy_parser_set_string(r->parser, (const char *)text.p, text.n) == 0, YZ_ENOMEM);
    return YZ_OK;
}

/* The library's own finding, in our form. */
static int reader_fault(struct reader *r)
{
    void *iter = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(r->diag, &iter);
    if (!e || !e->msg) { /* it stopped without a finding, as at `|0` */
        return yzi_config_fault(r->err, r->name, r->last,
                                "not valid YAML after this; correct what follows");
    }
    struct config_place at = {e->line, e->column};
    return yzi_config_fault(r->err, r->name, at.line > 0 ? at : r->last,
                            "not valid YAML: %s; correct the quoting, brackets or indentation here",
                            e->msg);
}

/* The text ended where more was due and the library did not say so. */
static int cut_off(struct reader *r)
{
    return yzi_config_fault(r->err, r->name, r->last,
                            "the text ends in the middle of this; complete it");
}

static int advance(struct reader *r)
{
    if (r->event) {
        fy_parser_event_free(r->parser, r->event);
    }
    r->event = fy_parser_parse(r->parser);
    if (!r->event && fy_parser_get_stream_error(r->parser)) {
        return reader_fault(r);
    }
    return YZ_OK;
}

/* The token's place, or that of the last token which had one (an absent value has none). `back` is
 * how far the library's mark lies behind the first character: 1 after a quote, & or *. */
static struct config_place place_of_token(struct reader *r, struct fy_token *token, int back)
{
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark) {
        int col = mark->column + 1 - back;
        r->last = (struct config_place){mark->line + 1, col > 0 ? col : 1};
    }
    return r->last;
}

static struct config_place place_of_value(struct reader *r, struct fy_token *token)
{
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
    bool quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    return place_of_token(r, token, quoted ? 1 : 0);
}

/* Where the current list or map begins. */
static struct config_place place_of_container(struct reader *r)
{
    const struct fy_event *e = r->event;
    return place_of_token(r,
                          e->type == FYET_MAPPING_START ? e->mapping_start.mapping_start
                                                        : e->sequence_start.sequence_start,
                          0);
}

/* ---- the tree ---- */

static int refuse_extras(struct reader *r, struct fy_token *anchor, struct fy_token *tag)
{
    if (anchor) {
        return yzi_config_fault(r->err, r->name, place_of_token(r, anchor, 1),
                                "anchors (&) are not used here; write the value out where it is "
                                "needed");
    }
    if (tag) {
        return yzi_config_fault(r->err, r->name, place_of_token(r, tag, 0),
                                "tags (!) are not used here; remove it, the key decides the type");
    }
    return YZ_OK;
}

static int new_node(struct reader *r, enum config_node_kind kind, struct fy_token *token,
                    struct config_node **out)
{
    struct config_place at = place_of_value(r, token);
    if (++r->nodes > CONFIG_NODES_MAX) {
        return yzi_config_fault(r->err, r->name, at, "more than %u values; split the file",
                                CONFIG_NODES_MAX);
    }
    struct config_node *node;
    YZ_TRY(yzi_arena_new(r->scratch, 1, sizeof *node, &node));
    node->kind = kind;
    node->at = at;
    *out = node;
    return YZ_OK;
}

static bool is_null_word(yz_bytes text)
{
    return text.n == 0 || yzi_bytes_eq_str(text, "~") || yzi_bytes_eq_str(text, "null") ||
           yzi_bytes_eq_str(text, "Null") || yzi_bytes_eq_str(text, "NULL");
}

static int build_scalar(struct reader *r, struct config_node **out)
{
    struct fy_token *token = r->event->scalar.value;
    YZ_TRY(refuse_extras(r, r->event->scalar.anchor, r->event->scalar.tag));
    struct config_node *node;
    YZ_TRY(new_node(r, CONFIG_NODE_SCALAR, token, &node));
    size_t n = 0;
    const char *text = token ? fy_token_get_text(token, &n) : "";
    YZ_ENSURE(text, YZ_ENOMEM);
    char *copy;
    YZ_TRY(yzi_arena_new(r->scratch, n + 1, 1, &copy));
    memcpy(copy, text, n);
    node->text = yzi_bytes(copy, n);
    node->plain = !token || fy_token_scalar_style(token) == FYSS_PLAIN;
    if (node->plain && is_null_word(node->text)) {
        node->kind = CONFIG_NODE_NULL;
    }
    YZ_TRY(advance(r));
    *out = node;
    return YZ_OK;
}

static int build(struct reader *r, unsigned depth, struct config_node **out);

static int build_sequence(struct reader *r, unsigned depth, struct config_node **out)
{
    YZ_TRY(refuse_extras(r, r->event->sequence_start.anchor, r->event->sequence_start.tag));
    struct config_node *node;
    YZ_TRY(new_node(r, CONFIG_NODE_SEQUENCE, r->event->sequence_start.sequence_start, &node));
    YZ_TRY(advance(r));
    const struct config_node **tail = &node->first;
    while (r->event && r->event->type != FYET_SEQUENCE_END) {
        struct config_node *item;
        YZ_TRY(build(r, depth + 1, &item));
        *tail = item;
        tail = &item->next;
        node->n++;
    }
    if (!r->event) {
        return cut_off(r);
    }
    YZ_TRY(advance(r));
    *out = node;
    return YZ_OK;
}

/* By key, then by place. */
static int compare_pairs(const void *a, const void *b)
{
    const struct config_node *x = *(const struct config_node *const *)a;
    const struct config_node *y = *(const struct config_node *const *)b;
    int d = yzi_bytes_cmp(x->key->text, y->key->text);
    if (d == 0) {
        d = x->key->at.line - y->key->at.line;
    }
    return d != 0 ? d : x->key->at.col - y->key->at.col;
}

static int refuse_duplicates(struct reader *r, const struct config_node *map)
{
    if (map->n < 2) {
        return YZ_OK;
    }
    const struct config_node **pairs;
    YZ_TRY(yzi_arena_new(r->scratch, map->n, sizeof *pairs, &pairs));
    size_t n = 0;
    for (const struct config_node *p = map->first; p; p = p->next) {
        pairs[n++] = p;
    }
    qsort(pairs, n, sizeof *pairs, compare_pairs);
    for (size_t i = 1; i < n; i++) {
        const struct config_node *one = pairs[i - 1]->key, *two = pairs[i]->key;
        if (yzi_bytes_eq(one->text, two->text)) {
            char key[CONFIG_SHOWN];
            return yzi_config_fault(r->err, r->name, two->at,
                                    "the key '%s' stands already in line %d; keep one of them",
                                    yzi_config_show(two->text, key), one->at.line);
        }
    }
    return YZ_OK;
}

static int build_pair(struct reader *r, unsigned depth, struct config_node **out)
{
    struct config_node *key = NULL, *value = NULL;
    if (r->event->type == FYET_MAPPING_START || r->event->type == FYET_SEQUENCE_START) {
        return yzi_config_fault(r->err, r->name, place_of_container(r),
                                "a key must be a word, not a list or a map; write `key: value`");
    }
    YZ_TRY(build(r, depth, &key));
    YZ_TRY(build(r, depth, &value));
    if (key->kind == CONFIG_NODE_NULL) { /* which has no place of its own */
        return yzi_config_fault(r->err, r->name, value->at,
                                "this value has no key; write `key: value`");
    }
    if (memchr(key->text.p, 0, key->text.n)) {
        return yzi_config_fault(r->err, r->name, key->at, "the key contains \\0; remove it");
    }
    value->key = key;
    *out = value;
    return YZ_OK;
}

static int build_mapping(struct reader *r, unsigned depth, struct config_node **out)
{
    YZ_TRY(refuse_extras(r, r->event->mapping_start.anchor, r->event->mapping_start.tag));
    struct config_node *node;
    YZ_TRY(new_node(r, CONFIG_NODE_MAPPING, r->event->mapping_start.mapping_start, &node));
    YZ_TRY(advance(r));
    const struct config_node **tail = &node->first;
    while (r->event && r->event->type != FYET_MAPPING_END) {
        struct config_node *value = NULL;
        YZ_TRY(build_pair(r, depth + 1, &value));
        *tail = value;
        tail = &value->next;
        node->n++;
    }
    if (!r->event) {
        return cut_off(r);
    }
    YZ_TRY(refuse_duplicates(r, node));
    YZ_TRY(advance(r));
    *out = node;
    return YZ_OK;
}

/* Build the node whose first event is the current one; afterwards the current event is the one
 * behind it. */
static int build(struct reader *r, unsigned depth, struct config_node **out)
{
    if (!r->event) {
        return cut_off(r);
    }
    enum fy_event_type type = r->event->type;
    if (type == FYET_SCALAR) {
        return build_scalar(r, out);
    }
    if (type == FYET_ALIAS) {
        return yzi_config_fault(r->err, r->name, place_of_token(r, r->event->alias.anchor, 1),
                                "aliases (*) are not used here; write the value out, or quote it "
                                "if the star is part of it");
    }
    if (type != FYET_MAPPING_START && type != FYET_SEQUENCE_START) {
        return cut_off(r);
    }
    if (depth >= CONFIG_DEPTH_MAX) {
        return yzi_config_fault(r->err, r->name, place_of_container(r),
                                "nested deeper than %u levels; flatten it", CONFIG_DEPTH_MAX);
    }
    return type == FYET_MAPPING_START ? build_mapping(r, depth, out)
                                      : build_sequence(r, depth, out);
}

static int build_document(struct reader *r, const struct config_node **out)
{
    struct config_node *root = NULL;
    YZ_TRY(advance(r));
    while (r->event) {
        enum fy_event_type type = r->event->type;
        if (type == FYET_STREAM_START || type == FYET_STREAM_END || type == FYET_DOCUMENT_END) {
            YZ_TRY(advance(r));
        } else if (type == FYET_DOCUMENT_START) {
            if (root) {
                return yzi_config_fault(
                    r->err, r->name, place_of_token(r, r->event->document_start.document_start, 0),
                    "a second document begins here; one file holds one, remove the `---`");
            }
            YZ_TRY(advance(r));
            YZ_TRY(build(r, 0, &root));
        } else {
            return cut_off(r);
        }
    }
    if (!root) { /* nothing but comments: everything at its default */
        YZ_TRY(new_node(r, CONFIG_NODE_MAPPING, NULL, &root));
    }
    *out = root;
    return YZ_OK;
}

int yzi_config_tree(yz_bytes text, const char *name, struct arena *scratch,
                    const struct config_node **out, yz_error *err)
{
    YZ_TRY(check_bytes(text, name, err));
    if (text.n == 0) {
        text = yzi_bytes("\n", 1); /* the library wants bytes */
    }
    YZ_AUTO(reader_fini)
    struct reader r = {.name = name, .scratch = scratch, .last = {1, 1}, .err = err};
    YZ_TRY(reader_init(&r, text));
    return build_document(&r, out);
}

/* ---- entry points ---- */

/* Paths in a dump must mean the same to whoever reads it, so they are made absolute. */
static int absolute_dir(const char *dir, char **out)
{
    if (!dir || dir[0] == '/') {
        *out = dir ? strdup(dir) : NULL;
        return !dir || *out ? YZ_OK : YZ_ENOMEM;
    }
    YZ_AUTO(yzi_free_ptr) char *cwd = getcwd(NULL, 0);
    YZ_ENSURE(cwd, YZ_EIO);
    if (strcmp(dir, ".") == 0 || dir[0] == 0) {
        *out = YZ_TAKE(cwd);
        return YZ_OK;
    }
    return yzi_path_join(cwd, dir, out);
}

static int parse_text(yz_bytes text, struct config_job *job, const struct config_field *fields,
                      void *target)
{
    const struct config_node *root;
    YZ_TRY(yzi_config_tree(text, job->name, job->scratch, &root, job->err));
    return yzi_config_fill(job, root, fields, target);
}

int yzi_config_parse(yz_bytes text, const char *name, const char *base_dir,
                     const struct config_field *fields, struct arena *arena, void *target,
                     yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    int rc = absolute_dir(base_dir, &dir);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: cannot tell the current folder", name);
    }
    YZ_AUTO(yzi_arena_fini) struct arena scratch = {0};
    yzi_arena_init(&scratch, SCRATCH_MAX);
    struct config_job job = {
        .name = name, .base_dir = dir, .arena = arena, .scratch = &scratch, .err = err};
    rc = parse_text(text, &job, fields, target);
    if (rc == YZ_ENOMEM) {
        return yzi_fail(err, rc, "%s: not enough memory", name);
    }
    if (rc == YZ_EINVAL) {
        return yzi_fail(err, rc, "%s: the table of keys contradicts itself", name);
    }
    if (rc == YZ_ELIMIT) {
        return yzi_fail(err, rc, "%s: the values need more than the %zu bytes allowed for them",
                        name, arena->max);
    }
    return rc;
}

int yzi_config_load(const char *path, const struct config_field *fields, struct arena *arena,
                    void *target, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {0};
    yzi_buf_init(&text, CONFIG_BYTES_MAX);
    int rc = yzi_file_read(path, &text, err);
    if (rc == YZ_ETOOBIG) {
        return yzi_config_fault(err, path, (struct config_place){1, 1},
                                "the file is larger than 1 MiB; split it or remove what is not "
                                "configuration");
    }
    YZ_TRY(rc);
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    rc = yzi_path_dir(path, &dir);
    if (rc < 0) {
        return yzi_fail(err, rc, "%s: not enough memory", path);
    }
    return yzi_config_parse(yzi_bytes_buf(&text), path, dir, fields, arena, target, err);
}

int yzi_config_default_path(struct arena *arena, const char *dir, const char *name,
                            const char **inout)
{
    if (*inout) {
        return YZ_OK;
    }
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(dir, name, &path));
    yz_bytes copy;
    YZ_TRY(yzi_arena_dup(arena, yzi_bytes(path, strlen(path) + 1), &copy));
    *inout = (const char *)copy.p;
    return YZ_OK;
}
