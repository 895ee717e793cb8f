/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom an exchange was about, as the adapter keeps it: what was asked for, also when it is not
 * there or was refused; what was given, also when the answer does not have the key; what was
 * changed; and whom a small count counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/dataset/subjects.h"
#include "base/file.h"
#include "evidence/kept.h"
#include "tests/unit/adapter/fixture.h"

#include <sys/mman.h>
#include <unistd.h>

#define OK(call) assert_int_equal((call), YZ_OK)
#define MESSAGE(name) YZ_AUTO(yz_world_message_fini) struct world_message name

struct scene {
    struct fixture *f;
    char *kept;
};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    void *f;
    assert_non_null(s);
    assert_int_equal(fixture_set_up(&f), 0);
    s->f = f;
    OK(yzi_path_join(s->f->dir, "kept", &s->kept));
    struct kept_options o = {
        .dir = s->kept, .clock = &s->f->clock, .retention_ms = UINT64_C(86400000)};
    OK(yzi_kept_open(&o, &s->f->answering.kept, NULL));
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    void *f = s->f;
    yzi_kept_close(s->f->answering.kept);
    free(s->kept);
    free(s);
    return fixture_tear_down(&f);
}

/* -- asking -- */

static void answer(struct scene *s, struct job *j)
{
    j->broker = (yz_node_id){yzi_bytes_str("CN/@b1")};
    yzi_answer(&s->f->answering, j);
    OK(j->rc);
    OK(j->proof_kept);
    yzi_job_free(j);
}

static void get(struct scene *s, const char *const *keys, const char *const *fields)
{
    MESSAGE(q);
    answer(s, fixture_get(s->f, keys, fields, &q));
}

/* A find or count of field = value. */
static void ask(struct scene *s, enum query_operation operation, const char *field,
                enum query_op op, const char *value, const char *also)
{
    MESSAGE(q);
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    struct query_value values[] = {{.v = yzi_bytes_str(value)}, {.v = yzi_bytes_str(also)}};
    struct query_condition c = {yzi_bytes_str(field), op, values, also ? 2 : 1};
    yz_bytes status = yzi_bytes_str("status");
    struct request_head h = {.has_query = true,
                             .query = {.operation = operation,
                                       .fields = &status,
                                       .fields_n = operation == QUERY_FIND,
                                       .filter = &c,
                                       .filter_n = 1}};
    yz_world_buf(&head);
    OK(yzi_request_head_write(&h, &head));
    yz_world_request(s->f->w, &(struct world_request){.head = yzi_bytes_buf(&head)}, &q);
    answer(s, fixture_job(s->f, &q));
}

/* What the grant allows beyond get: everything that these tests ask. */
static void allow(struct scene *s)
{
    static yz_bytes names[2];
    struct fine_grant *g = s->f->policy->terms.grants;
    names[0] = yzi_bytes_str("person_id");
    names[1] = yzi_bytes_str("status");
    g->operations |= 1u << QUERY_FIND | 1u << QUERY_COUNT | 1u << QUERY_PUT | 1u << QUERY_DELETE;
    g->filterable = g->writable = (struct name_list){names, 2};
}

/* -- what was kept -- */

struct last {
    char text[1024];
    bool has_subjects;
    char data_set[64];
};

static int see(void *ctx, const struct kept_record *r)
{
    static const char *const words[] = {"", "asked", "given", "changed", "counted"};
    struct last *l = ctx;
    struct subject s;
    size_t n = 0;
    l->text[0] = '\0';
    l->has_subjects = r->exchange.has_subjects;
    snprintf(l->data_set, sizeof l->data_set, "%.*s", (int)r->exchange.data_set.n,
             (const char *)r->exchange.data_set.p);
    for (yz_reader list = yzi_reader(r->exchange.subjects); list.left;) {
        OK(yzi_subject_next(&list, &s));
        assert_int_equal(s.parts_n, 1);
        n += (size_t)snprintf(l->text + n, sizeof l->text - n, "%s%s %.*s", n ? ", " : "",
                              words[s.how], (int)s.parts[0].v.n, (const char *)s.parts[0].v.p);
    }
    return YZ_OK;
}

/* The last exchange's subjects. */
static void expect(struct scene *s, const char *text)
{
    struct last l = {{0}, false, {0}};
    OK(yzi_kept_each(s->kept, NULL, NULL, see, &l, NULL, NULL));
    assert_true(l.has_subjects);
    assert_string_equal(l.data_set, "marriage");
    assert_string_equal(l.text, text);
}

static void test_subjects__of_a_get_are_asked_and_those_found_are_given(void **state)
{
    struct scene *s = *state;
    static const char *const keys[] = {"p3", "nobody", "p1", NULL};
    get(s, keys, NULL);
    expect(s, "asked p3, asked nobody, asked p1, given p3, given p1");
}

static void test_subjects__are_given_although_the_answer_has_no_key(void **state)
{
    struct scene *s = *state;
    allow(s);
    s->f->policy->terms.grants->readable[0] = s->f->policy->terms.grants->readable[1];
    s->f->policy->terms.grants->readable_n = 1; /* the status alone */
    s->f->policy->terms.grants->sortable.n = 0;
    ask(s, QUERY_FIND, "status", OP_EQ, "married", NULL);
    expect(s, "given p1, given p2");
    ask(s, QUERY_FIND, "status", OP_EQ, "widowed", NULL);
    expect(s, "");
}

static void test_subjects__of_conditions_that_give_the_key_are_asked(void **state)
{
    struct scene *s = *state;
    allow(s);
    ask(s, QUERY_FIND, "person_id", OP_IN, "p9", "p2");
    expect(s, "asked p9, asked p2, given p2");
    ask(s, QUERY_COUNT, "person_id", OP_EQ, "p9", NULL);
    expect(s, "asked p9");
}

static void test_subjects__refused_were_asked_for(void **state)
{
    struct scene *s = *state;
    static const char *const keys[] = {"p1", NULL}, *const fields[] = {"spouse", NULL};
    get(s, keys, fields);
    expect(s, "asked p1");
    allow(s);
    s->f->answering.limits.bytes = 1; /* found, and then too large to be given */
    get(s, keys, NULL);
    expect(s, "asked p1");
    ask(s, QUERY_FIND, "status", OP_EQ, "married", NULL);
    expect(s, "");
}

static void import(struct store *s, const char *csv)
{
    int fd = memfd_create("rows", MFD_CLOEXEC);
    struct import_source source = {.fd = fd, .name = "rows.csv", .mode = IMPORT_UPSERT};
    struct import_report report;
    assert_int_equal(write(fd, csv, strlen(csv)), (ssize_t)strlen(csv));
    OK(yzi_store_import(s, &source, &report, NULL));
    close(fd);
}

static void test_subjects__of_a_small_count_are_named_and_of_a_larger_one_not(void **state)
{
    struct scene *s = *state;
    char csv[1024] = "person_id,status,spouse\n";
    size_t n = strlen(csv);
    allow(s);
    ask(s, QUERY_COUNT, "status", OP_EQ, "married", NULL);
    expect(s, "counted p1, counted p2");
    for (unsigned i = 0; i <= SUBJECT_COUNTED_MAX; i++) {
        n += (size_t)snprintf(csv + n, sizeof csv - n, "m%u,many,\n", i);
    }
    import(s->f->store, csv);
    ask(s, QUERY_COUNT, "status", OP_EQ, "many", NULL);
    expect(s, "");
    import(s->f->store, "person_id,status,spouse\nm0,single,\n"); /* one less is few */
    ask(s, QUERY_COUNT, "status", OP_EQ, "many", NULL);
    expect(s, "counted m1, counted m10, counted m11, counted m12, counted m13, counted m14, "
              "counted m15, counted m16, counted m2, counted m3, counted m4, counted m5, "
              "counted m6, counted m7, counted m8, counted m9");
}

static void write_one(struct scene *s, enum query_operation operation, const char *id)
{
    MESSAGE(q);
    struct job *j = fixture_write(s->f, operation, id, "widowed", &q);
    s->f->answering.executes = true; /* the writer's */
    answer(s, j);
}

static void test_subjects__of_a_write_are_changed_when_it_was_executed(void **state)
{
    struct scene *s = *state;
    s->f->policy->terms.grants->operations = 1u << QUERY_GET;
    write_one(s, QUERY_PUT, "p1");
    expect(s, "asked p1"); /* no grant of it */
    allow(s);
    write_one(s, QUERY_PUT, "p1");
    expect(s, "asked p1, changed p1");
    write_one(s, QUERY_DELETE, "nobody");
    expect(s, "asked nobody");
    write_one(s, QUERY_DELETE, "p2");
    expect(s, "asked p2, changed p2");
}

/* A key of two parts, and conditions on both: how often a value stands there, in whatever spelling,
 * hides nobody, and neither does a longer list beside a shorter one. */
static const char two_parts[] = "dataset: shares\n"
                                "title: {en: S}\n"
                                "owner: o\n"
                                "sharing: conditional\n"
                                "key: [house, part]\n"
                                "fields:\n"
                                "  - {name: house, type: text, classification: internal}\n"
                                "  - {name: part, type: decimal, classification: internal}\n";
#define MANY 40u

static void expect_named(const struct dataset *d, const struct query_condition *filter, size_t n,
                         const char *text)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    struct query q = {
        .operation = QUERY_COUNT, .filter = (struct query_condition *)filter, .filter_n = n};
    struct subject s;
    char said[256] = "";
    size_t at = 0;
    yzi_buf_init(&out, SUBJECTS_MAX);
    OK(yzi_subjects_of_query(d, &q, yzi_bytes_str(""), SUBJECT_ASKED, &out));
    for (yz_reader list = yzi_reader(yzi_bytes_buf(&out)); list.left && at < sizeof said;) {
        OK(yzi_subject_next(&list, &s));
        assert_int_equal(s.parts_n, 2);
        at += (size_t)snprintf(said + at, sizeof said - at, "%s%.*s/%.*s", at ? " " : "",
                               (int)s.parts[0].v.n, (const char *)s.parts[0].v.p,
                               (int)s.parts[1].v.n, (const char *)s.parts[1].v.p);
    }
    assert_string_equal(said, text);
}

static void test_subjects__are_not_hidden_among_repetitions(void **state)
{
    struct dataset *d = NULL;
    struct query_value houses[MANY], parts[MANY], others[MANY];
    char spelt[MANY][MANY + 8], names[MANY][8];
    (void)state;
    OK(yzi_dataset_parse(yzi_bytes_str(two_parts), "t.yaml", &d, NULL));
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(spelt[i], sizeof spelt[i], "1.5%0*u", (int)i + 1, 0u);
        snprintf(names[i], sizeof names[i], "h%u", i);
        houses[i] = (struct query_value){.v = yzi_bytes_str("h1")};
        others[i] = (struct query_value){.v = yzi_bytes_str(names[i])};
        parts[i] = (struct query_value){.v = yzi_bytes_str(spelt[i])};
    }
    const yz_bytes house = yzi_bytes_str("house"), part = yzi_bytes_str("part");
    const struct query_condition repeated[] = {{house, OP_IN, houses, MANY},
                                               {part, OP_IN, parts, MANY}};
    expect_named(d, repeated, 2, "h1/1.5");
    const struct query_condition longer_first[] = {
        {house, OP_IN, others, MANY}, {house, OP_EQ, houses, 1}, {part, OP_EQ, parts, 1}};
    expect_named(d, longer_first, 3, "h1/1.5");
    yzi_dataset_unref(d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_subjects__of_a_get_are_asked_and_those_found_are_given),
        TEST(test_subjects__are_given_although_the_answer_has_no_key),
        TEST(test_subjects__of_conditions_that_give_the_key_are_asked),
        TEST(test_subjects__refused_were_asked_for),
        TEST(test_subjects__are_not_hidden_among_repetitions),
        TEST(test_subjects__of_a_small_count_are_named_and_of_a_larger_one_not),
        TEST(test_subjects__of_a_write_are_changed_when_it_was_executed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
