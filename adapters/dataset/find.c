/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a plan: walk its ranges of index entries, look at the records they lead to, keep those
 * that meet the conditions the ranges do not stand for.
 *
 * A position, for going on later: mark of the index, 16 bytes ‖ entry length u16 ‖ entry ‖ record
 * key length u16 ‖ record key, of the last record given. Positions are by value, so records that
 * come and go between two pages neither repeat nor hide others; and so are marks (BLAKE2b-128 of
 * the names of the fields), so that a definition that is changed between two pages does not lead to
 * another index.
 */
#include <limits.h>
#include <sodium.h>

#include "adapters/dataset/query_impl.h"
#include "base/clock.h"

#define ENTRIES_DEFAULT 100000u
#define ARENA_MAX (16u * 1024u * 1024u)
#define CODED_MAX (2u * YZ_VALUE_MAX + 8u)
#define MARK_BYTES 16u
#define CLOCK_ENTRIES 64u /* looked at between two looks at the clock */

struct position {
    yz_bytes entry, key; /* for the records by key: both the key */
};

struct finder {
    const struct find_question *question;
    struct generation *generation; /* pinned */
    struct arena arena;
    struct conditions conditions;
    struct plan plan;
    bool resumes;
    struct position resume;
    struct position last; /* of the rows given; in the transaction's map */
    uint64_t tried;       /* conditions to be tried on records, in ranges that are not loose */
    uint64_t all;
    struct regroup regroup; /* when the plan says so */
    uint32_t rows_max;
    uint64_t entries_max;
    struct db_txn *txn;
    yz_buf *rows, *position;
    size_t rows_start, subjects_start;
    yz_buf plain, coded;       /* wiped */
    struct query_value *split; /* of the record looked at, DATASET_FIELDS_MAX of them */
    struct find_result result;
    struct query_fault *fault;
    bool done;
};

/* -- positions -- */

static int mark_of(const struct dataset *d, int index, uint8_t out[MARK_BYTES])
{
    crypto_generichash_state h;
    const unsigned *fields = index == PLAN_KEY ? d->key : d->indexes[index].fields;
    size_t n = index == PLAN_KEY ? d->key_n : d->indexes[index].fields_n;
    uint8_t kind = index == PLAN_KEY;
    YZ_ENSURE(crypto_generichash_init(&h, NULL, 0, MARK_BYTES) == 0, YZ_EINTERNAL);
    crypto_generichash_update(&h, &kind, 1);
    for (size_t i = 0; i < n; i++) {
        const char *name = d->fields[fields[i]].name;
        crypto_generichash_update(&h, (const uint8_t *)name, strlen(name) + 1);
    }
    return crypto_generichash_final(&h, out, MARK_BYTES) == 0 ? 0 : YZ_EINTERNAL;
}

/* The index of a mark; YZ_EMALFORMED: there is none. */
static int find_marked(const struct dataset *d, yz_bytes mark, int *out)
{
    for (int i = PLAN_KEY; i < (int)d->indexes_n; i++) {
        uint8_t own[MARK_BYTES];
        YZ_TRY(mark_of(d, i, own));
        if (yzi_bytes_eq(mark, yzi_bytes(own, sizeof own))) {
            *out = i;
            return 0;
        }
    }
    return YZ_EMALFORMED;
}

static int read_position(struct finder *f, int *force)
{
    yz_reader r = yzi_reader(f->question->resume);
    yz_bytes mark;
    uint16_t n;
    *force = INT_MIN;
    if (r.left == 0) {
        return 0;
    }
    YZ_TRY(yzi_read_bytes(&r, MARK_BYTES, &mark));
    YZ_TRY(yzi_read_u16(&r, &n));
    YZ_TRY(yzi_read_bytes(&r, n, &f->resume.entry));
    YZ_TRY(yzi_read_u16(&r, &n));
    YZ_TRY(yzi_read_bytes(&r, n, &f->resume.key));
    YZ_TRY(yzi_read_end(&r));
    YZ_ENSURE(f->resume.entry.n && f->resume.entry.n <= YZ_DB_KEY_MAX && f->resume.key.n &&
                  f->resume.key.n <= YZ_DB_KEY_MAX,
              YZ_EMALFORMED);
    f->resumes = true;
    return find_marked(f->generation->layout.dataset, mark, force);
}

static int write_position(struct finder *f)
{
    uint8_t mark[MARK_BYTES];
    yz_bytes entry = f->last.entry, key = f->last.key;
    YZ_TRY(mark_of(f->generation->layout.dataset, f->plan.index, mark));
    YZ_TRY(yzi_buf_put(f->position, yzi_bytes(mark, sizeof mark)));
    YZ_TRY(yzi_buf_put_u16(f->position, (uint16_t)entry.n));
    YZ_TRY(yzi_buf_put(f->position, entry));
    YZ_TRY(yzi_buf_put_u16(f->position, (uint16_t)key.n));
    return yzi_buf_put(f->position, key);
}

/* -- one entry -- */

static bool is_late(const struct finder *f)
{
    uint64_t deadline = f->question->limits->deadline_mono_ms;
    return deadline != 0 && f->result.note.entries % CLOCK_ENTRIES == 0 &&
           yzi_mono_ms(&yzi_clock_system) >= deadline;
}

static int find_record(struct finder *f, yz_bytes key, yz_bytes value, yz_bytes *stored)
{
    if (f->plan.index == PLAN_KEY) {
        *stored = value;
        return 0;
    }
    int rc = yzi_db_get(f->txn, f->generation->records, key, stored);
    return rc == YZ_ENOTFOUND ? YZ_ECORRUPT : rc; /* an entry without its record */
}

/* What comes first and what comes later would tell of what is hidden. */
static int refuse_part(struct finder *f)
{
    yz_ignore(yzi_query_refuse(f->fault, "limit",
                               "the grant hides what the records are in the order of, so they are "
                               "given all at once or not at all, and there are more than fit: ask "
                               "for less of them"),
              "it is too large, not wrong");
    return YZ_ETOOBIG;
}

/* The record's fields, and its key for the list of those given. */
static int project(struct finder *f, yz_bytes key)
{
    const struct find_question *q = f->question;
    const struct row_layout *l = &f->generation->layout;
    YZ_TRY(yzi_row_project(l, key, f->split, q->projection, q->projection_n, q->view, &f->plain,
                           f->rows));
    YZ_ENSURE(f->rows->n - f->rows_start <= q->limits->bytes, YZ_ETOOBIG);
    return q->limits->subjects
               ? yzi_row_subject(l, key, f->split, SUBJECT_GIVEN, &f->plain, q->limits->subjects)
               : 0;
}

static bool is_full(const struct finder *f)
{
    return f->question->query->operation == QUERY_FIND && f->result.rows == f->rows_max;
}

/* There is another record, and no room for it. */
static int end_page(struct finder *f)
{
    if (f->plan.regroups) {
        return refuse_part(f);
    }
    f->result.more = f->done = true;
    return 0;
}

static int add_row(struct finder *f, yz_bytes entry, yz_bytes key)
{
    size_t before = f->rows->n;
    if (is_full(f)) {
        return end_page(f);
    }
    int rc = project(f, key);
    if (rc == YZ_ETOOBIG && (f->plan.regroups || f->result.rows > 0)) {
        f->rows->n = before;
        return end_page(f);
    }
    f->fault->reason = rc == YZ_ETOOBIG ? "limit" : f->fault->reason;
    YZ_TRY(rc);
    f->result.rows++;
    f->last = (struct position){entry, key};
    return f->plan.regroups ? yzi_regroup_add(&f->regroup, f->generation->layout.dataset,
                                              f->question->query, f->split, f->rows, before)
                            : 0;
}

static int refuse_entries(struct finder *f)
{
    yz_ignore(yzi_query_refuse(f->fault, "entries",
                               "more than %llu index entries would have to be looked at; ask for "
                               "less, or the owner of the data for an index on more of the fields "
                               "of the filter",
                               (unsigned long long)f->entries_max),
              "it is too large, not wrong");
    return YZ_ETOOBIG;
}

/* A count so small that it tells about whom it counts names them. */
static int add_counted(struct finder *f, yz_bytes key)
{
    yz_buf *subjects = f->question->limits->subjects;
    if (f->result.total > SUBJECT_COUNTED_MAX) {
        subjects->n = f->subjects_start;
        return 0;
    }
    return yzi_row_subject(&f->generation->layout, key, f->split, SUBJECT_COUNTED, &f->plain,
                           subjects);
}

static int look_at(struct finder *f, const struct plan_range *range, yz_bytes entry, yz_bytes key,
                   yz_bytes value)
{
    YZ_ENSURE(!is_late(f), YZ_ETIMEOUT);
    if (f->result.note.entries == f->entries_max) {
        bool full = !f->plan.regroups && f->result.rows == f->rows_max && f->rows_max > 0;
        f->result.more = f->done = full; /* whether there is more the next page tells */
        return full ? 0 : refuse_entries(f);
    }
    f->result.note.entries++;
    uint64_t which = range->loose ? f->all : f->tried;
    bool counts = f->question->query->operation == QUERY_COUNT, holds = true;
    if (which == 0 && is_full(f)) { /* its record need not be read */
        return end_page(f);
    }
    bool names = counts && f->question->limits->subjects && f->result.total <= SUBJECT_COUNTED_MAX;
    if (!counts || which || names) {
        yz_bytes stored;
        struct stored_row row;
        YZ_TRY(find_record(f, key, value, &stored));
        YZ_TRY(yzi_row_decode(stored, &row));
        YZ_TRY(yzi_row_split(&f->generation->layout, &row, f->split));
        YZ_TRY(yzi_conditions_hold(&f->conditions, which, &f->generation->layout, key, f->split,
                                   &f->plain, &f->coded, &holds));
        f->result.note.records++;
    }
    f->result.total += holds;
    if (!holds) {
        return 0;
    }
    return counts ? (names ? add_counted(f, key) : 0) : add_row(f, entry, key);
}

/* -- walking -- */

static bool is_below(const struct plan_range *r, yz_bytes entry)
{
    return yzi_bytes_cmp(entry, r->lo) < 0;
}

static bool is_above(const struct plan_range *r, yz_bytes entry)
{
    return r->has_hi && yzi_bytes_cmp(entry, r->hi) >= 0;
}

static int compare_position(const struct finder *f, yz_bytes entry, yz_bytes key)
{
    int c = yzi_bytes_cmp(entry, f->resume.entry);
    return c ? c : yzi_bytes_cmp(key, f->resume.key);
}

/* To the first pair that is not before the position. */
static int seek_position(struct finder *f, struct db_cursor *c, yz_bytes *entry, yz_bytes *value)
{
    *entry = f->resume.entry;
    *value = f->resume.key;
    return f->plan.index == PLAN_KEY ? yzi_db_cursor_move(c, DB_SEEK, entry, value)
                                     : yzi_db_cursor_seek_pair(c, entry, value);
}

/* Whether the range has to be entered at the position: it is inside. */
static bool resumes_inside(const struct finder *f, const struct plan_range *r)
{
    return f->resumes && !is_below(r, f->resume.entry) && !is_above(r, f->resume.entry);
}

static int enter_forward(struct finder *f, struct db_cursor *c, const struct plan_range *r,
                         yz_bytes *entry, yz_bytes *value)
{
    if (!resumes_inside(f, r)) {
        *entry = r->lo;
        return yzi_db_cursor_move(c, DB_SEEK, entry, value);
    }
    YZ_TRY(seek_position(f, c, entry, value));
    yz_bytes key = f->plan.index == PLAN_KEY ? *entry : *value;
    return compare_position(f, *entry, key) == 0 ? yzi_db_cursor_move(c, DB_NEXT, entry, value) : 0;
}

static int enter_backward(struct finder *f, struct db_cursor *c, const struct plan_range *r,
                          yz_bytes *entry, yz_bytes *value)
{
    int rc = YZ_ENOTFOUND;
    if (resumes_inside(f, r)) {
        rc = seek_position(f, c, entry, value);
    } else if (r->has_hi) {
        *entry = r->hi;
        rc = yzi_db_cursor_move(c, DB_SEEK, entry, value);
    }
    YZ_ENSURE(rc == 0 || rc == YZ_ENOTFOUND, rc);
    return yzi_db_cursor_move(c, rc == 0 ? DB_PREV : DB_LAST, entry, value);
}

/* A range the pages before this one have gone through. */
static bool is_behind(const struct finder *f, const struct plan_range *r)
{
    return f->resumes &&
           (f->plan.backward ? is_below(r, f->resume.entry) : is_above(r, f->resume.entry));
}

static int walk_range(struct finder *f, struct db_cursor *c, const struct plan_range *r)
{
    yz_bytes entry, value;
    bool back = f->plan.backward;
    if (is_behind(f, r)) {
        return 0;
    }
    int rc =
        back ? enter_backward(f, c, r, &entry, &value) : enter_forward(f, c, r, &entry, &value);
    while (rc == 0 && !(back ? is_below(r, entry) : is_above(r, entry))) {
        YZ_TRY(look_at(f, r, entry, f->plan.index == PLAN_KEY ? entry : value, value));
        if (f->done) {
            return 0;
        }
        rc = yzi_db_cursor_move(c, back ? DB_PREV : DB_NEXT, &entry, &value);
    }
    return rc == YZ_ENOTFOUND ? 0 : rc;
}

static int walk(struct finder *f)
{
    struct generation *g = f->generation;
    db_handle db = f->plan.index == PLAN_KEY ? g->records : g->indexes[f->plan.index].db;
    YZ_AUTO(yzi_db_cursor_close) struct db_cursor *c = NULL;
    YZ_TRY(yzi_db_cursor_open(f->txn, db, &c));
    for (size_t i = 0; i < f->plan.ranges_n && !f->done; i++) {
        size_t at = f->plan.backward ? f->plan.ranges_n - 1 - i : i;
        YZ_TRY(walk_range(f, c, &f->plan.ranges[at]));
    }
    return 0;
}

/* Every record there is: the database knows how many. */
static bool is_whole_count(const struct finder *f)
{
    return f->question->query->operation == QUERY_COUNT && f->conditions.n == 0;
}

static int walk_and_sort(struct finder *f)
{
    YZ_TRY(walk(f));
    YZ_TRY(f->plan.regroups ? yzi_regroup_sort(&f->regroup, f->rows, f->rows_start) : 0);
    return f->result.more && f->result.rows > 0 ? write_position(f) : 0;
}

static int read_all(struct finder *f)
{
    struct generation *g = f->generation;
    YZ_TRY(yzi_db_begin_read(g->env, &f->txn));
    YZ_TRY(yzi_generation_sequence(g, f->txn, &f->result.sequence));
    return is_whole_count(f) ? yzi_db_count(f->txn, g->records, &f->result.total)
                             : walk_and_sort(f);
}

/* -- preparing -- */

static int check_form(const struct query *q, struct query_fault *fault)
{
    bool find = q->operation == QUERY_FIND;
    if (!find && q->operation != QUERY_COUNT) {
        return YZ_EUNSUPPORTED;
    }
    if (q->keys_n || q->predicates_n) {
        return yzi_query_refuse(fault, "bad-query", "keys and predicates are not for %s",
                                find ? "find" : "count");
    }
    if (!find && (q->order_n || q->limit || q->fields_n || q->cursor.n)) {
        return yzi_query_refuse(fault, "bad-query",
                                "a count has no fields, no order, no limit and no cursor");
    }
    if (find && q->filter_n == 0 && q->order_n == 0) {
        return yzi_query_refuse(fault, "no-filter",
                                "a find names a condition, or the order to go through all in");
    }
    return 0;
}

static uint64_t bits(size_t n)
{
    return n >= CONDITIONS_MAX ? CONDITIONS_ALL : (UINT64_C(1) << n) - 1;
}

/* What is asked for among the records that there are for the question. */
static int read_conditions(struct finder *f)
{
    const struct query *q = f->question->query;
    struct conditions filter, row_filter;
    YZ_TRY(yzi_conditions_read(f->generation->layout.dataset, q->filter, q->filter_n, &f->arena,
                               &filter, f->fault));
    YZ_TRY(yzi_row_filter_read(f->generation->layout.dataset, f->question->view, &f->arena,
                               &row_filter));
    return yzi_conditions_narrow(&row_filter, &filter, &f->arena, &f->conditions);
}

static int prepare(struct finder *f)
{
    const struct query *q = f->question->query;
    int force;
    YZ_TRY(check_form(q, f->fault));
    if (read_position(f, &force) < 0) {
        return yzi_query_refuse(f->fault, "bad-cursor", "the cursor is not of this query");
    }
    YZ_TRY(read_conditions(f));
    if (is_whole_count(f)) {
        f->plan.index = PLAN_KEY;
        return 0;
    }
    const struct query_view *view = f->question->view;
    YZ_TRY(yzi_plan_choose(f->generation, &f->conditions, q, view ? view->hidden : NULL, force,
                           &f->arena, &f->plan, f->fault));
    f->plan.regroups = f->plan.regroups && q->operation == QUERY_FIND;
    if (f->plan.regroups && f->resumes) { /* no cursor is given for these */
        return yzi_query_refuse(f->fault, "bad-cursor", "the cursor is not of this query");
    }
    f->all = bits(f->conditions.n);
    f->tried = f->all & ~f->plan.served;
    return 0;
}

static void note_plan(struct finder *f)
{
    struct query_plan_note *note = &f->result.note;
    int index = f->plan.index;
    note->index = index == PLAN_KEY ? NULL : f->generation->layout.dataset->indexes[index].name;
    note->served = (unsigned)__builtin_popcountll(f->plan.served);
    note->ranges = (unsigned)f->plan.ranges_n;
    note->backward = f->plan.backward;
    f->result.generation = f->generation->number;
}

static int run(struct finder *f)
{
    int rc = prepare(f);
    YZ_ENSURE(rc != YZ_ELIMIT, YZ_ETOOBIG); /* the arena: more values than any index serves */
    YZ_TRY(rc);
    note_plan(f);
    rc = read_all(f);
    yzi_db_abort(&f->txn);
    return rc;
}

/* Ends what the question began; what a failed one has appended goes. */
static int finish(struct finder *f, int rc, struct find_result *out)
{
    yz_buf *subjects = f->question->limits->subjects;
    yzi_generation_unpin(&f->generation);
    yzi_arena_fini(&f->arena);
    yzi_buf_wipe(&f->plain);
    yzi_buf_wipe(&f->coded);
    yzi_regroup_fini(&f->regroup);
    if (rc == 0) {
        *out = f->result;
        return 0;
    }
    yzi_buf_clear(f->position);
    f->rows->n = f->rows_start;
    if (subjects) {
        subjects->n = f->subjects_start;
    }
    return rc;
}

int yzi_store_find(struct store *s, const struct find_question *question, yz_buf *rows,
                   yz_buf *position, struct find_result *out, struct query_fault *fault)
{
    const struct query_limits *limits = question->limits;
    uint32_t asked = question->query->limit;
    struct query_value split[DATASET_FIELDS_MAX]; /* large: nothing is gained by clearing it */
    struct finder f = {.question = question,
                       .rows_max = asked && asked < limits->rows ? asked : limits->rows,
                       .entries_max = limits->entries ? limits->entries : ENTRIES_DEFAULT,
                       .rows = rows,
                       .rows_start = rows->n,
                       .subjects_start = limits->subjects ? limits->subjects->n : 0,
                       .position = position,
                       .split = split,
                       .fault = fault};
    fault->reason = "failed";
    fault->detail[0] = '\0';
    yzi_buf_clear(position);
    yzi_arena_init(&f.arena, ARENA_MAX);
    yzi_buf_init(&f.plain, YZ_VALUE_MAX + 64u);
    yzi_buf_init(&f.coded, CODED_MAX);
    yzi_regroup_init(&f.regroup);
    int rc = yzi_generation_pin_by(s, question->dataset, &f.generation);
    return finish(&f, rc == 0 ? run(&f) : rc, out);
}
