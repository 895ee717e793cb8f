/* SPDX-License-Identifier: Apache-2.0
 *
 * XML as a source, the only caller of expat. A record is an element; a field is the text of an
 * element under it, or an attribute. The file may bring no DOCTYPE unless the definition allows it;
 * even then nothing outside the file is ever read (there is no network, no other file), what
 * entities expand to is bounded to a small multiple of the file and to the size of a record, and a
 * reference to something that the file does not define is a fault, not an empty text.
 *
 * Fields are found without building a tree: for each field it is known how many steps of its path
 * the open elements match.
 */
#define XML_DTD 1 /* the header then shows what bounds entities; the library has it */
#include <expat.h>
#include <sodium.h>

#include "adapters/dataset/scan.h"
#include "base/text.h"

#define DEPTH_MAX 64u
#define PATH_BYTES_MAX 8192u
#define ENTITY_FACTOR 8.0f               /* bytes out of bytes in, at most, */
#define ENTITY_FREE_BYTES (256u * 1024u) /* once there are so many */
/* expat takes lengths as int */
#define FEED_MAX ((size_t)1 << 20)

struct field_state {
    unsigned matched; /* steps of its path that the open elements match */
    unsigned depth;   /* of the element whose text is collected; 0: none */
    bool found;
    const char *fault;
    yz_buf text;
};

struct xml_scan {
    struct scan *scan;
    const struct dataset *d;
    XML_Parser parser;
    unsigned depth;        /* open elements */
    yz_buf names;          /* of open elements outside records, each with its length behind it */
    unsigned record_depth; /* of the open record; 0: none */
    struct scan_place at;  /* of it */
    uint64_t records;
    size_t record_bytes;
    int rc;             /* what a handler wants returned */
    const char *reason; /* with YZ_EDATA: what is wrong, at the parser's place */
    struct field_state fields[DATASET_FIELDS_MAX];
    struct raw_value values[DATASET_FIELDS_MAX];
    yz_bytes columns[DATASET_FIELDS_MAX];
};

/* -- faults -- */

static void stop(struct xml_scan *x, int rc, const char *reason)
{
    if (x->rc == 0) {
        x->rc = rc;
        x->reason = reason;
        yz_ignore(XML_StopParser(x->parser, XML_FALSE) == XML_STATUS_OK, "it stops anyway");
    }
}

static int fault(struct xml_scan *x, const char *reason)
{
    const struct scan_place at = {.line = XML_GetCurrentLineNumber(x->parser),
                                  .column = XML_GetCurrentColumnNumber(x->parser) + 1};
    YZ_TRY(yzi_scan_fault(x->scan, &at, NULL, reason));
    return YZ_EDATA;
}

/* -- values -- */

static void put_text(struct xml_scan *x, struct field_state *f, yz_bytes v)
{
    x->record_bytes += v.n;
    if (x->record_bytes > SCAN_RECORD_MAX) {
        stop(x, YZ_EDATA, "a record has more than 1 MiB");
        return;
    }
    int rc = yzi_buf_put(&f->text, v);
    if (rc < 0) {
        stop(x, rc, NULL);
    }
}

/* Another value begins at this field's place. */
static void begin_value(struct xml_scan *x, size_t field)
{
    struct field_state *f = &x->fields[field];
    const char *join = x->d->fields[field].join;
    if (f->found && !join) {
        f->fault = "stands more than once (make the path narrower, or give the field `join:`)";
    } else if (f->found) {
        put_text(x, f, yzi_bytes_str(join));
    }
    f->found = true;
}

static const char *attribute(const XML_Char **attributes, yz_bytes name)
{
    for (size_t i = 0; attributes[i]; i += 2) {
        if (yzi_bytes_eq_str(name, attributes[i])) {
            return attributes[i + 1];
        }
    }
    return NULL;
}

static void take_attribute(struct xml_scan *x, size_t field, const struct path_step *step,
                           const XML_Char **attributes)
{
    const char *v = attribute(attributes, step->name);
    if (v) {
        begin_value(x, field);
        put_text(x, &x->fields[field], yzi_bytes_str(v));
    }
}

static bool step_matches(const struct path_step *step, const XML_Char *name,
                         const XML_Char **attributes)
{
    if (step->is_attribute || !yzi_bytes_eq_str(step->name, name)) {
        return false;
    }
    const char *v = step->has_test ? attribute(attributes, step->test) : NULL;
    return !step->has_test || (v && yzi_bytes_eq_str(step->wish, v));
}

/* All steps but perhaps an attribute are matched by the element that begins. */
static void enter_field(struct xml_scan *x, size_t i, const XML_Char **attributes)
{
    const struct dataset_path *path = &x->d->fields[i].xml_path;
    struct field_state *f = &x->fields[i];
    if (f->matched < path->n && path->steps[f->matched].is_attribute) {
        take_attribute(x, i, &path->steps[f->matched], attributes);
    } else if (f->matched == path->n && f->depth == 0) {
        begin_value(x, i);
        f->depth = x->depth;
    }
}

/* -- records -- */

static void begin_record(struct xml_scan *x, const XML_Char **attributes)
{
    x->record_depth = x->depth;
    x->record_bytes = 0;
    x->at =
        (struct scan_place){.line = XML_GetCurrentLineNumber(x->parser), .record = ++x->records};
    for (size_t i = 0; i < x->d->fields_n; i++) {
        struct field_state *f = &x->fields[i];
        f->matched = f->depth = 0;
        f->found = false;
        f->fault = NULL;
        yzi_buf_clear(&f->text);
        enter_field(x, i, attributes);
    }
}

static void end_record(struct xml_scan *x)
{
    x->record_depth = 0;
    for (size_t i = 0; i < x->d->fields_n; i++) {
        struct field_state *f = &x->fields[i];
        x->columns[i] = yzi_bytes_buf(&f->text);
        x->values[i] =
            (struct raw_value){.present = f->found, .v = x->columns[i], .fault = f->fault};
    }
    const struct raw_record r = {
        .at = x->at, .values = x->values, .columns = x->columns, .columns_n = x->d->fields_n};
    int rc = yzi_scan_record(x->scan, &r);
    if (rc < 0) {
        stop(x, rc, NULL);
    }
}

static void begin_in_record(struct xml_scan *x, const XML_Char *name, const XML_Char **attributes)
{
    unsigned level = x->depth - x->record_depth; /* 1: a child of the record */
    for (size_t i = 0; i < x->d->fields_n; i++) {
        const struct dataset_path *path = &x->d->fields[i].xml_path;
        struct field_state *f = &x->fields[i];
        if (f->matched == level - 1 && level <= path->n &&
            step_matches(&path->steps[level - 1], name, attributes)) {
            f->matched = level;
            enter_field(x, i, attributes);
        }
    }
}

static void end_in_record(struct xml_scan *x)
{
    unsigned level = x->depth - x->record_depth;
    for (size_t i = 0; i < x->d->fields_n; i++) {
        struct field_state *f = &x->fields[i];
        f->depth = f->depth == x->depth ? 0 : f->depth;
        f->matched = f->matched == level ? level - 1 : f->matched;
    }
}

/* -- where records are -- */

/* Whether the open elements, whose names end in `names`, are a record. */
static bool is_record(const struct xml_scan *x)
{
    const struct dataset_path *path = &x->d->xml.element;
    if (x->depth < path->n || (x->d->xml.anchored && x->depth != path->n)) {
        return false;
    }
    size_t end = x->names.n;
    for (size_t i = path->n; i > 0; i--) {
        uint16_t n = yzi_load_u16(x->names.p + end - 2);
        if (!yzi_bytes_eq(path->steps[i - 1].name, yzi_bytes(x->names.p + end - 2 - n, n))) {
            return false;
        }
        end -= 2u + n;
    }
    return true;
}

static void push_name(struct xml_scan *x, const XML_Char *name)
{
    yz_bytes v = yzi_bytes_str(name);
    int rc = v.n > UINT16_MAX ? YZ_ELIMIT : yzi_buf_put(&x->names, v);
    rc = rc < 0 ? rc : yzi_buf_put_u16(&x->names, (uint16_t)v.n);
    if (rc < 0) {
        stop(x, rc == YZ_ELIMIT ? YZ_EDATA : rc, "the names of open elements are too long");
    }
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct xml_scan *x = ctx;
    if (x->rc < 0) {
        return;
    }
    if (++x->depth > DEPTH_MAX) {
        stop(x, YZ_EDATA, "nested more than 64 levels deep");
        return;
    }
    if (x->record_depth) {
        begin_in_record(x, name, attributes);
        return;
    }
    push_name(x, name);
    if (x->rc == 0 && is_record(x)) {
        begin_record(x, attributes);
    }
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    struct xml_scan *x = ctx;
    (void)name;
    if (x->rc < 0) {
        return;
    }
    if (x->record_depth && x->depth > x->record_depth) {
        end_in_record(x);
    } else {
        if (x->record_depth) {
            end_record(x);
        }
        x->names.n -= 2u + yzi_load_u16(x->names.p + x->names.n - 2);
    }
    x->depth--;
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int n)
{
    struct xml_scan *x = ctx;
    if (x->rc < 0 || !x->record_depth || n <= 0) {
        return;
    }
    for (size_t i = 0; i < x->d->fields_n; i++) {
        if (x->fields[i].depth) {
            put_text(x, &x->fields[i], yzi_bytes(text, (size_t)n));
        }
    }
}

/* -- what is refused -- */

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int has_internal)
{
    struct xml_scan *x = ctx;
    (void)name;
    (void)system;
    (void)public;
    (void)has_internal;
    if (!x->d->xml.doctype) {
        stop(x, YZ_EDATA,
             "a DOCTYPE stands here; if this feed is known to bring one, write `xml: {doctype: "
             "true}`");
    }
}

static int XMLCALL on_external(XML_Parser parser, const XML_Char *context, const XML_Char *base,
                               const XML_Char *system, const XML_Char *public)
{
    (void)context;
    (void)base;
    (void)system;
    (void)public;
    stop(XML_GetUserData(parser), YZ_EDATA, "an entity stands outside the file, and is never read");
    return XML_STATUS_ERROR;
}

static const char undefined_entity[] = "an entity is used that the file does not define";

static void XMLCALL on_skipped(void *ctx, const XML_Char *name, int is_parameter)
{
    (void)name;
    if (!is_parameter) {
        stop(ctx, YZ_EDATA, undefined_entity);
    }
}

/* What stopped expat, in words of ours for what we know best, in its own for the rest: they never
 * repeat the file. */
static int parser_fault(struct xml_scan *x)
{
    if (x->rc < 0) {
        return x->rc == YZ_EDATA && x->reason ? fault(x, x->reason) : x->rc;
    }
    static const struct {
        enum XML_Error code;
        const char *words;
    } known[] = {
        {XML_ERROR_AMPLIFICATION_LIMIT_BREACH, "its entities expand to too much"},
        {XML_ERROR_UNDEFINED_ENTITY, undefined_entity},
        {XML_ERROR_UNKNOWN_ENCODING,
         "declares an encoding that is not known here (of GB 18030, GBK and GB 2312 write `xml: "
         "{encoding: gb18030}`; convert any other to UTF-8)"},
        {XML_ERROR_INVALID_TOKEN,
         "is not well-formed XML (a & or < that is not written &amp; or &lt;, or bytes that are "
         "not of the encoding which the file declares or `xml: encoding:` says)"},
        {XML_ERROR_UNCLOSED_TOKEN, "is not well-formed XML (the file ends within a tag)"},
        {XML_ERROR_NO_ELEMENTS,
         "is not well-formed XML (the file ends before its outermost element does)"}};
    char text[SCAN_REASON_MAX - 40];
    enum XML_Error code = XML_GetErrorCode(x->parser);
    YZ_ENSURE(code != XML_ERROR_NO_MEMORY, YZ_ENOMEM);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (code == known[i].code) {
            return fault(x, known[i].words);
        }
    }
    snprintf(text, sizeof text, "is not well-formed XML (%s)", XML_ErrorString(code));
    return fault(x, text);
}

/* -- the file -- */

static int feed(struct xml_scan *x, yz_bytes piece, bool last)
{
    do {
        size_t n = piece.n < FEED_MAX ? piece.n : FEED_MAX;
        bool end = last && n == piece.n;
        if (XML_Parse(x->parser, (const char *)piece.p, (int)n, end) != XML_STATUS_OK || x->rc) {
            return parser_fault(x);
        }
        piece = yzi_bytes(piece.p + n, piece.n - n);
    } while (piece.n);
    return 0;
}

static int read_file(struct xml_scan *x)
{
    for (yz_bytes piece = {.n = 1}; piece.n;) {
        YZ_TRY(yzi_scan_piece(x->scan, x->d->xml.encoding, &piece));
        YZ_TRY(feed(x, piece.n ? piece : yzi_bytes("", 0), piece.n == 0));
    }
    return x->records ? 0
                      : fault(x, "the file ends and has no element that `xml: element:` names "
                                 "(with its prefix, if it has one)");
}

static int open_parser(struct xml_scan *x)
{
    x->parser = XML_ParserCreate(x->d->xml.encoding == ENCODING_GB18030 ? "UTF-8" : NULL);
    YZ_ENSURE(x->parser, YZ_ENOMEM);
    uint32_t salt = randombytes_random();
    XML_SetHashSalt(x->parser, salt ? salt : 1);
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    XML_SetParamEntityParsing(x->parser, XML_PARAM_ENTITY_PARSING_NEVER);
    XML_SetExternalEntityRefHandler(x->parser, on_external);
    XML_SetSkippedEntityHandler(x->parser, on_skipped);
    bool bounded =
        XML_SetBillionLaughsAttackProtectionMaximumAmplification(x->parser, ENTITY_FACTOR) &&
        XML_SetBillionLaughsAttackProtectionActivationThreshold(x->parser, ENTITY_FREE_BYTES);
    return bounded ? 0 : YZ_EINTERNAL;
}

static int scan_with(struct xml_scan *x)
{
    const struct scan_place start = {.line = 1};
    if (x->d->xml.element.n == 0) {
        YZ_TRY(yzi_scan_fault(x->scan, &start, NULL,
                              "the definition does not say which element is a record (write `xml: "
                              "{element: …}`)"));
        return YZ_EDATA;
    }
    YZ_TRY(open_parser(x));
    for (size_t i = 0; i < x->d->fields_n; i++) {
        x->columns[i] = yzi_bytes_str(x->d->fields[i].name);
        yzi_buf_init(&x->fields[i].text, SCAN_RECORD_MAX);
        YZ_TRY(yzi_buf_reserve(&x->fields[i].text, 1)); /* views of empty values need a pointer */
    }
    YZ_TRY(yzi_scan_columns(x->scan, x->columns, x->d->fields_n));
    return read_file(x);
}

int yzi_scan_xml(struct scan *s)
{
    YZ_AUTO(yzi_free_ptr) struct xml_scan *x = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *x, &x));
    x->scan = s;
    x->d = yzi_scan_dataset(s);
    yzi_buf_init(&x->names, PATH_BYTES_MAX);
    int rc = scan_with(x);
    if (x->parser) {
        XML_ParserFree(x->parser);
    }
    for (size_t i = 0; i < x->d->fields_n; i++) {
        yzi_buf_wipe(&x->fields[i].text);
    }
    yzi_buf_fini(&x->names);
    return rc;
}
