/* SPDX-License-Identifier: Apache-2.0
 *
 * Yes/no questions. Values are compared as record keys encode them, which compares numbers exactly;
 * those of sensitive fields too, once they are opened, for here no index has to hold them. Whatever
 * the answers are, every predicate is tried on every value it has.
 */
#include "adapters/dataset/match.h"

#include "adapters/dataset/query_impl.h"
#include "base/clock.h"

#define CODED_MAX (2u * YZ_VALUE_MAX + 8u)
#define ARENA_MAX (16u * 1024u * 1024u)
#define QUESTION_MAX ((size_t)64u * 1024u * 1024u)
#define STEP_DIGITS_MAX 18u

struct match {
    struct store *store;
    const struct match_question *question;
    yz_buf subject; /* u32 length ‖ canonical value, for each part of the key; wiped */
    yz_buf wanted;  /* u32 length ‖ coded value, for each value of each predicate; wiped */
    yz_buf scratch; /* wiped */
    yz_buf key;     /* as records are stored */
    yz_buf opened;  /* a sealed value; wiped */
    struct arena arena;
};

bool yzi_match_orders(enum field_type type)
{
    return type == FIELD_INTEGER || type == FIELD_DECIMAL || type == FIELD_DATE ||
           type == FIELD_TIME || type == FIELD_TEXT;
}

/* -- checking -- */

static int put_sized(yz_buf *out, yz_bytes v)
{
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)v.n));
    return yzi_buf_put(out, v);
}

/* The next of such values; they were put here by us. */
static yz_bytes take_sized(yz_reader *r)
{
    uint32_t n = 0;
    yz_bytes v = {0};
    int rc = yzi_read_u32(r, &n);
    rc = rc == 0 ? yzi_read_bytes(r, n, &v) : rc;
    YZ_ASSERT(rc == 0);
    return v;
}

static int read_key(struct match *m, struct query_fault *fault)
{
    const struct dataset *d = m->question->dataset;
    const struct query_key *k = m->question->key;
    if (k->parts_n != d->key_n) {
        return yzi_query_refuse(fault, "bad-key", "the key has %zu part%s", d->key_n,
                                d->key_n == 1 ? "" : "s");
    }
    for (size_t i = 0; i < k->parts_n; i++) {
        const struct dataset_field *f = &d->fields[d->key[i]];
        const char *why = "is missing";
        yzi_buf_clear(&m->scratch);
        int rc =
            k->parts[i].null ? YZ_EDATA : yzi_field_check_raw(f, k->parts[i].v, &m->scratch, &why);
        if (rc == YZ_EDATA) {
            return yzi_query_refuse(fault, k->parts[i].null ? "bad-key" : "bad-value",
                                    "a value for %s %s", f->name, why);
        }
        YZ_TRY(rc);
        YZ_TRY(put_sized(&m->subject, yzi_bytes_buf(&m->scratch)));
    }
    return 0;
}

/* The value as record keys hold it, appended to `out` behind its length. */
static int code(const struct dataset_field *f, yz_bytes v, yz_buf *scratch, yz_buf *out,
                const char **why)
{
    yzi_buf_clear(scratch);
    YZ_TRY(yzi_field_check_raw(f, v, scratch, why));
    size_t start = out->n;
    YZ_TRY(yzi_buf_put_u32(out, 0));
    YZ_TRY(yzi_key_put_plain(f, yzi_bytes_buf(scratch), out));
    yzi_store_u32(out->p + start, (uint32_t)(out->n - start - 4));
    return 0;
}

static int read_predicate(struct match *m, const struct match_predicate *p,
                          struct query_fault *fault)
{
    YZ_ASSERT(p->field < m->question->dataset->fields_n);
    const struct dataset_field *f = &m->question->dataset->fields[p->field];
    bool equal = p->op == OP_EQ || p->op == OP_IN;
    if (p->op == OP_PREFIX || (!equal && !yzi_match_orders(f->type)) || p->values_n == 0 ||
        (p->op != OP_IN && p->values_n > 1)) {
        return yzi_query_refuse(fault, "bad-query", "%s cannot be asked about like this", f->name);
    }
    for (size_t i = 0; i < p->values_n; i++) {
        const char *why = "is missing";
        int rc =
            p->values[i].null ? YZ_EDATA : code(f, p->values[i].v, &m->scratch, &m->wanted, &why);
        if (rc == YZ_EDATA) {
            return yzi_query_refuse(fault, "bad-value", "a value for %s %s", f->name, why);
        }
        YZ_TRY(rc);
    }
    return 0;
}

static int check(struct match *m, struct query_fault *fault)
{
    const struct match_question *q = m->question;
    if (q->predicates_n == 0 || q->predicates_n > MATCH_PREDICATES_MAX) {
        return yzi_query_refuse(fault, "bad-query", "a match has 1 to %u predicates",
                                MATCH_PREDICATES_MAX);
    }
    YZ_TRY(yzi_buf_reserve(&m->scratch, 1)); /* a view of nothing needs a pointer, too */
    YZ_TRY(read_key(m, fault));
    for (size_t i = 0; i < q->predicates_n; i++) {
        YZ_TRY(read_predicate(m, &q->predicates[i], fault));
    }
    return 0;
}

int yzi_match_open(struct store *s, const struct match_question *question, struct match **out,
                   struct query_fault *fault)
{
    struct match *m;
    YZ_TRY(yzi_alloc(1, sizeof *m, &m));
    m->store = s;
    m->question = question;
    yzi_buf_init(&m->subject, (size_t)DATASET_KEY_MAX * (YZ_VALUE_MAX + 4u));
    yzi_buf_init(&m->wanted, QUESTION_MAX);
    yzi_buf_init(&m->scratch, CODED_MAX);
    yzi_buf_init(&m->key, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    yzi_buf_init(&m->opened, YZ_VALUE_MAX + 64u);
    yzi_arena_init(&m->arena, ARENA_MAX);
    int rc = check(m, fault);
    if (rc < 0) {
        yzi_match_close(m);
        return rc;
    }
    *out = m;
    return 0;
}

void yzi_match_close(struct match *m)
{
    if (m) {
        yzi_buf_wipe(&m->subject);
        yzi_buf_wipe(&m->wanted);
        yzi_buf_wipe(&m->scratch);
        yzi_buf_wipe(&m->key);
        yzi_buf_wipe(&m->opened);
        yzi_arena_fini(&m->arena);
        free(m);
    }
}

yz_bytes yzi_match_subject(const struct match *m)
{
    return yzi_bytes_buf(&m->subject);
}

/* -- asking -- */

/* Of an `in` every value is looked at. */
static enum match_result try_values(const struct match_predicate *p, yz_bytes coded,
                                    yz_reader *wanted)
{
    bool yes = false;
    for (size_t i = 0; i < p->values_n; i++) {
        yes |= yzi_condition_compare(p->op, coded, take_sized(wanted));
    }
    return yes ? MATCH_YES : MATCH_NO;
}

static void skip_values(const struct match_predicate *p, yz_reader *wanted)
{
    for (size_t i = 0; i < p->values_n; i++) {
        (void)take_sized(wanted);
    }
}

static int try_record(struct match *m, const struct row_layout *l, yz_bytes key,
                      const struct query_value split[DATASET_FIELDS_MAX],
                      enum match_result out[MATCH_PREDICATES_MAX])
{
    yz_reader wanted = yzi_reader(yzi_bytes_buf(&m->wanted));
    for (size_t i = 0; i < m->question->predicates_n; i++) {
        const struct match_predicate *p = &m->question->predicates[i];
        const struct dataset_field *f = &l->dataset->fields[p->field];
        struct query_value v = split[p->field];
        if (!v.null && yzi_field_is_sealed(f)) {
            YZ_TRY(yzi_row_open(l, key, p->field, v.v, &m->opened, &v));
        }
        if (v.null) { /* which a sealed value may be inside */
            skip_values(p, &wanted);
            continue;
        }
        yzi_buf_clear(&m->scratch);
        YZ_TRY(yzi_key_put_plain(f, v.v, &m->scratch));
        out[i] = try_values(p, yzi_bytes_buf(&m->scratch), &wanted);
    }
    return 0;
}

static int encode_key(struct match *m, const struct generation *g)
{
    const struct dataset *d = m->question->dataset;
    yz_bytes parts[DATASET_KEY_MAX];
    yz_reader r = yzi_reader(yzi_bytes_buf(&m->subject));
    for (size_t i = 0; i < d->key_n; i++) {
        parts[i] = take_sized(&r);
    }
    return yzi_key_encode(d, g->layout.keys, parts, &m->key);
}

/* In the transaction; YZ_ENOTFOUND: no such record for the view. */
static int look(struct match *m, struct generation *g, struct db_txn *t,
                const struct query_view *view, const struct query_limits *limits,
                enum match_result out[MATCH_PREDICATES_MAX])
{
    const struct row_layout *l = &g->layout;
    struct query_value split[DATASET_FIELDS_MAX];
    struct conditions row_filter;
    struct stored_row row;
    yz_bytes stored, key = yzi_bytes_buf(&m->key);
    bool visible;
    YZ_TRY(yzi_row_filter_read(l->dataset, view, &m->arena, &row_filter));
    YZ_TRY(yzi_db_get(t, g->records, key, &stored));
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(yzi_row_split(l, &row, split));
    YZ_TRY(yzi_conditions_hold(&row_filter, CONDITIONS_ALL, l, key, split, &m->opened, &m->scratch,
                               &visible));
    YZ_ENSURE(visible, YZ_ENOTFOUND);
    YZ_TRY(try_record(m, l, key, split, out));
    return limits->subjects
               ? yzi_row_subject(l, key, split, SUBJECT_GIVEN, &m->opened, limits->subjects)
               : 0;
}

static int ask(struct match *m, struct generation *g, const struct query_view *view,
               const struct query_limits *limits, enum match_result out[MATCH_PREDICATES_MAX],
               uint64_t *sequence)
{
    YZ_AUTO(yzi_db_abort) struct db_txn *t = NULL;
    uint64_t deadline = limits->deadline_mono_ms;
    YZ_ENSURE(deadline == 0 || yzi_mono_ms(&yzi_clock_system) < deadline, YZ_ETIMEOUT);
    YZ_TRY(encode_key(m, g));
    YZ_TRY(yzi_db_begin_read(g->env, &t));
    YZ_TRY(yzi_generation_sequence(g, t, sequence));
    int rc = look(m, g, t, view, limits, out);
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

int yzi_match_ask(struct match *m, const struct query_view *view, const struct query_limits *limits,
                  enum match_result out[MATCH_PREDICATES_MAX], uint64_t *sequence)
{
    enum match_result results[MATCH_PREDICATES_MAX];
    size_t subjects = limits->subjects ? limits->subjects->n : 0;
    for (size_t i = 0; i < MATCH_PREDICATES_MAX; i++) {
        results[i] = MATCH_UNKNOWN;
    }
    struct generation *g = NULL;
    int rc = yzi_generation_pin_by(m->store, m->question->dataset, &g);
    rc = rc == 0 ? ask(m, g, view, limits, results, sequence) : rc;
    yzi_generation_unpin(&g);
    if (rc < 0 && limits->subjects) {
        limits->subjects->n = subjects;
    }
    YZ_TRY(rc);
    memcpy(out, results, m->question->predicates_n * sizeof *out);
    return 0;
}

/* -- values of questions -- */

int yzi_match_compare(const struct dataset_field *f, yz_bytes a, yz_bytes b, int *out)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf scratch = {0};
    YZ_AUTO(yzi_buf_wipe) yz_buf coded = {0};
    const char *why;
    yzi_buf_init(&scratch, YZ_VALUE_MAX);
    yzi_buf_init(&coded, (size_t)2 * (CODED_MAX + 4u));
    YZ_TRY(yzi_buf_reserve(&scratch, 1));
    YZ_TRY(code(f, a, &scratch, &coded, &why));
    YZ_TRY(code(f, b, &scratch, &coded, &why));
    yz_reader r = yzi_reader(yzi_bytes_buf(&coded));
    yz_bytes first = take_sized(&r), second = take_sized(&r);
    *out = yzi_bytes_cmp(first, second);
    return 0;
}

/* A number as digits without its point: 12.50 is 1250 and 2. */
struct number {
    uint8_t digit[64];
    size_t n, fraction;
};

static bool read_number(yz_bytes text, struct number *out)
{
    bool point = false;
    *out = (struct number){.n = 0};
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '.' && !point && out->n) {
            point = true;
        } else if (c >= '0' && c <= '9' && out->n < sizeof out->digit) {
            out->digit[out->n++] = (uint8_t)(c - '0');
            out->fraction += point;
        } else {
            return false;
        }
    }
    return out->n > 0;
}

/* Canonical text has no needless zeros, so that its digits behind the point are those it needs. */
static bool read_step(yz_bytes text, struct number *out, uint64_t *step)
{
    *step = 0;
    if (!read_number(text, out) || out->n > STEP_DIGITS_MAX) {
        return false;
    }
    bool needless = out->digit[0] == 0 && out->n > out->fraction + 1;
    needless |= out->fraction ? out->digit[out->n - 1] == 0 : memchr(text.p, '.', text.n) != NULL;
    for (size_t i = 0; i < out->n; i++) {
        *step = *step * 10 + out->digit[i];
    }
    return !needless && *step > 0;
}

static bool is_numeric(enum field_type type)
{
    return type == FIELD_INTEGER || type == FIELD_DECIMAL;
}

bool yzi_match_is_step(enum field_type type, yz_bytes text)
{
    struct number n;
    uint64_t step;
    return (is_numeric(type) && read_step(text, &n, &step)) ||
           (type == FIELD_DATE &&
            (yzi_bytes_eq_str(text, "year") || yzi_bytes_eq_str(text, "month")));
}

/* Both are brought to whole numbers by as many places as the step has; a value that has more is no
 * multiple. The remainder, digit by digit, stays below ten times the step, which fits. */
static bool is_number_multiple(yz_bytes value, yz_bytes step)
{
    struct number v, s;
    uint64_t by, rest = 0;
    size_t sign = value.n && value.p[0] == '-';
    bool read =
        read_step(step, &s, &by) && read_number(yzi_bytes(value.p + sign, value.n - sign), &v);
    if (!read || v.fraction > s.fraction) {
        return false;
    }
    for (size_t i = 0; i < v.n + s.fraction - v.fraction; i++) {
        rest = (rest * 10 + (i < v.n ? v.digit[i] : 0)) % by;
    }
    return rest == 0;
}

/* YYYY-MM-DD: the first of the year, or of a month. */
static bool is_first_day(yz_bytes date, yz_bytes step)
{
    const char *end = yzi_bytes_eq_str(step, "year") ? "-01-01" : "-01";
    size_t n = strlen(end);
    return date.n >= n && yzi_bytes_eq_str(yzi_bytes(date.p + date.n - n, n), end);
}

int yzi_match_is_multiple(const struct dataset_field *f, yz_bytes value, yz_bytes step, bool *out)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf canonical = {0};
    const char *why;
    yzi_buf_init(&canonical, YZ_VALUE_MAX);
    YZ_ENSURE(yzi_match_is_step(f->type, step), YZ_EDATA);
    YZ_TRY(yzi_field_check_raw(f, value, &canonical, &why));
    *out = is_numeric(f->type) ? is_number_multiple(yzi_bytes_buf(&canonical), step)
                               : is_first_day(yzi_bytes_buf(&canonical), step);
    return 0;
}
