/* SPDX-License-Identifier: Apache-2.0
 *
 * Match, from request to answer: yes, no and unknown look alike, what is debited when, and what
 * somebody finds out who asks all that is permitted as cleverly as can be: never more than the
 * budget's number of answers can tell apart, and never finer than the steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/access/quota.h"
#include "adapters/dataset/match.h"
#include "base/file.h"
#include "tests/faults/shim_io.h"
#include "tests/unit/adapter/fixture.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define MESSAGE(name) YZ_AUTO(yz_world_message_fini) struct world_message name
#define OPENED(name) YZ_AUTO(opened_fini) struct opened name

#define BUDGET 6u /* of two adapters: three here */
#define SHARE (BUDGET / 2)
#define PEOPLE 64u /* P0 owes 0, P1 1000, ... */
#define THREADS 4u

static const char definition[] =
    "dataset: taxes\n"
    "title: {en: Taxes}\n"
    "owner: CN/GOV/MCA\n"
    "sharing: conditional\n"
    "key: [person]\n"
    "fields:\n"
    "  - {name: person, type: text, classification: sensitive, max_length: 18}\n"
    "  - {name: debt, element: tax-debt, type: decimal, classification: secret}\n"
    "  - {name: arrears, element: tax-debt, type: decimal, classification: secret}\n"
    "  - {name: status, type: code, classification: sensitive, codes: [clear, due]}\n"
    "  - {name: district, type: text, classification: internal}\n"
    "indexes:\n"
    "  - {name: by_district, fields: [district]}\n";

struct taxes {
    struct fixture *f;
    struct dataset *d;
    struct store *s;
    yz_secret key;
    struct state *state;
    struct debits *debits;
    uint64_t version;
};

static void import(struct store *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf csv;
    yzi_buf_init(&csv, 1u << 16);
    OK(yzi_buf_put_str(&csv, "person,debt,arrears,status,district\n"
                             "clear,0,0,clear,north\nnothing,,,,north\nhidden,5,5,due,south\n"));
    for (unsigned i = 0; i < PEOPLE; i++) {
        OK(yzi_buf_printf(&csv, "P%u,%u,%u,%s,north\n", i, i * 1000, i, i ? "due" : "clear"));
    }
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_int_equal(write(fd, csv.p, csv.n), (ssize_t)csv.n);
    struct import_source source = {.fd = fd, .name = "rows.csv", .mode = IMPORT_UPSERT};
    struct import_report report;
    yz_error err = {0};
    if (yzi_store_import(s, &source, &report, &err) < 0) {
        fail_msg("%s", err.text);
    }
    close(fd);
}

static void open_register(struct taxes *t)
{
    static const uint8_t key[32] = {1};
    yz_error err = {0};
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    OK(yzi_path_join(t->f->dir, "taxes", &dir));
    if (yzi_dataset_parse(yzi_bytes_str(definition), "taxes.yaml", &t->d, &err) < 0) {
        fail_msg("%s", err.text);
    }
    OK(yzi_secret_copy(&t->key, yzi_bytes(key, sizeof key)));
    struct store_options o = {.dir = dir, .dataset = t->d, .storage_key = &t->key};
    if (yzi_store_open(&o, &t->s, &err) < 0) {
        fail_msg("%s", err.text);
    }
    import(t->s);
}

static void open_debits(struct taxes *t)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    OK(yzi_path_join(t->f->dir, "state", &dir));
    OK(yzi_state_open(dir, &t->state, NULL));
    OK(yzi_debits_open(t->state, &t->debits, NULL));
    t->f->answering.debits = t->debits;
}

static void close_debits(struct taxes *t)
{
    t->f->answering.debits = NULL;
    yzi_debits_close(t->debits);
    yzi_state_close(t->state);
}

/* What is granted. */
static yz_bytes two_bounds[2], clear[1], north[1];
static struct row_condition only_north[1];
static struct grant_predicate predicates[5];

/* As the next version of the policy: these budgets, under a row filter or none. */
static void publish(struct taxes *t, uint32_t budget, bool filtered)
{
    struct fixture *f = t->f;
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    YZ_AUTO(yzi_buf_fini) yz_buf terms;
    two_bounds[0] = yzi_bytes_str("0");
    two_bounds[1] = yzi_bytes_str("10000");
    clear[0] = yzi_bytes_str("clear");
    north[0] = yzi_bytes_str("north");
    only_north[0] = (struct row_condition){yzi_bytes_str("district"), OP_EQ, {north, 1}};
    predicates[0] = (struct grant_predicate){yzi_bytes_str("owes-more"),
                                             yzi_bytes_str("debt"),
                                             OP_GT,
                                             {0},
                                             yzi_bytes_str("1000"),
                                             budget,
                                             0};
    predicates[1] = (struct grant_predicate){
        yzi_bytes_str("owes"), yzi_bytes_str("debt"), OP_EQ, {0}, {0}, budget, 0};
    predicates[2] = (struct grant_predicate){yzi_bytes_str("in-arrears"),
                                             yzi_bytes_str("arrears"),
                                             OP_GE,
                                             {0},
                                             yzi_bytes_str("1"),
                                             budget,
                                             0};
    predicates[3] = (struct grant_predicate){
        yzi_bytes_str("tax-clear"), yzi_bytes_str("status"), OP_IN, {clear, 1}, {0}, 0, 0};
    predicates[4] = (struct grant_predicate){
        yzi_bytes_str("owes-over"), yzi_bytes_str("debt"), OP_GT, {two_bounds, 2}, {0}, 0, 0};
    const struct fine_grant g = {.id = yzi_bytes_str("g1"),
                                 .operations = 1u << QUERY_MATCH,
                                 .row_filter = only_north,
                                 .row_filter_n = filtered,
                                 .predicates = predicates,
                                 .predicates_n = 5};
    yz_world_buf(&offer);
    yz_world_buf(&terms);
    yz_world_grant_offer(f->w, WORLD_SERVICE, WORLD_CONSUMER, ++t->version, &g, &offer, &terms);
    yz_error err = {0};
    if (yzi_policies_put(f->policies, f->w->directory, &f->self, yzi_bytes_buf(&offer),
                         yzi_bytes_buf(&terms), yz_world_now(f->w), &err) < 0) {
        fail_msg("%s", err.text);
    }
    f->policy = yzi_policies_get(f->policies, (yz_subsystem_id){yzi_bytes_str("CN/GOV/MCA/civil")});
}

static int set_up(void **state)
{
    struct taxes *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->version = 1; /* the fixture's */
    OK(fixture_set_up((void **)&t->f));
    open_register(t);
    open_debits(t);
    publish(t, BUDGET, false);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct taxes *t = *state;
    close_debits(t);
    yzi_store_close(t->s);
    yzi_dataset_unref(t->d);
    yzi_secret_fini(&t->key);
    OK(fixture_tear_down((void **)&t->f));
    free(t);
    return 0;
}

/* -- asking -- */

struct asked {
    const char *name, *value; /* NULL: it brings none */
};

static struct job *new_job(struct taxes *t, const char *person, const struct asked *asked, size_t n,
                           struct world_message *out)
{
    struct query_value key_value = {.v = yzi_bytes_str(person)}, values[MATCH_PREDICATES_MAX];
    struct query_key key = {&key_value, 1};
    struct query_predicate list[MATCH_PREDICATES_MAX];
    for (size_t i = 0; i < n; i++) {
        values[i] = (struct query_value){.v = yzi_bytes_str(asked[i].value)};
        list[i] = (struct query_predicate){yzi_bytes_str(asked[i].name), &values[i],
                                           asked[i].value != NULL};
    }
    struct request_head h = {.has_query = true,
                             .query = {.operation = QUERY_MATCH,
                                       .keys = &key,
                                       .keys_n = 1,
                                       .predicates = list,
                                       .predicates_n = n}};
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    yz_world_buf(&head);
    OK(yzi_request_head_write(&h, &head));
    yz_world_request(t->f->w, &(struct world_request){.head = yzi_bytes_buf(&head)}, out);
    struct job *j = fixture_job(t->f, out);
    yzi_store_close(j->store);
    j->store = yzi_store_ref(t->s);
    return j;
}

/* "yes no unknown", or the reason why not, of up to 15 characters. */
struct said {
    char text[64];
    size_t head, frame; /* bytes */
    uint64_t data_version;
};

static struct said ask(struct taxes *t, const char *person, const struct asked *asked, size_t n)
{
    struct said said = {.text = ""};
    MESSAGE(q);
    OPENED(o);
    struct job *j = new_job(t, person, asked, n, &q);
    yzi_answer(&t->f->answering, j);
    fixture_open(t->f, &q, j, &o);
    assert_int_equal(o.head.rows, 0);
    assert_int_equal(o.head.fields_n, 0);
    assert_int_equal(o.plain.body.n, 0);
    assert_int_equal(o.head.matches_n, o.head.code == ANSWER_OK ? n : 0);
    for (size_t i = 0; i < o.head.matches_n; i++) {
        snprintf(said.text + strlen(said.text), sizeof said.text - strlen(said.text), "%s%s",
                 i ? " " : "", yzi_match_name(o.head.matches[i]));
    }
    if (o.head.code != ANSWER_OK) {
        snprintf(said.text, sizeof said.text, "%.*s", (int)o.head.reason.n,
                 (const char *)o.head.reason.p);
    }
    said.head = o.plain.head.n;
    said.frame = j->answer.n;
    said.data_version = o.response.header.data_version;
    yzi_job_free(j);
    return said;
}

#define ASK(t, person, ...)                                                                        \
    ask(t, person, (const struct asked[]){__VA_ARGS__},                                            \
        sizeof((const struct asked[]){__VA_ARGS__}) / sizeof(struct asked))
#define SAYS(t, want, person, ...) assert_string_equal(ASK(t, person, __VA_ARGS__).text, want)

/* -- answers -- */

static void test_match__is_answered_by_yes_no_and_unknown(void **state)
{
    struct taxes *t = *state;
    SAYS(t, "yes", "clear", {"tax-clear", NULL});
    SAYS(t, "no", "P7", {"tax-clear", NULL});
    SAYS(t, "unknown", "nothing", {"tax-clear", NULL});
    SAYS(t, "unknown", "nobody", {"tax-clear", NULL});
    SAYS(t, "yes no", "P7", {"owes-more", "6000"}, {"owes-over", "10000"});
    SAYS(t, "yes no", "P7", {"owes", "7000.00"}, {"in-arrears", "8"});
}

static void test_match__answers_are_of_one_size(void **state)
{
    struct taxes *t = *state;
    publish(t, 1000, true);
    static const char *const people[] = {"clear", "P7", "nothing", "nobody", "hidden"};
    static const char *const says[] = {"yes no", "no yes", "unknown unknown", "unknown unknown",
                                       "unknown unknown"};
    struct said first = {.frame = 0};
    for (size_t i = 0; i < sizeof people / sizeof *people; i++) {
        struct said s = ASK(t, people[i], {"tax-clear", NULL}, {"owes-more", "0"});
        assert_string_equal(s.text, says[i]);
        first = i ? first : s;
        assert_int_equal(s.head, first.head);
        assert_int_equal(s.frame, first.frame);
        assert_true(s.data_version > 0 && s.data_version == first.data_version);
    }
}

static void test_match__is_unknown_where_the_row_filter_hides(void **state)
{
    struct taxes *t = *state;
    SAYS(t, "no", "hidden", {"tax-clear", NULL});
    publish(t, BUDGET, true);
    SAYS(t, "unknown", "hidden", {"tax-clear", NULL});
    SAYS(t, "yes", "clear", {"tax-clear", NULL});
}

/* -- budgets -- */

static void test_budget__is_used_up_whatever_was_answered(void **state)
{
    struct taxes *t = *state;
    static const char *const people[] = {"P7", "nobody", "nothing"};
    static const char *const says[] = {"yes", "unknown", "unknown"};
    for (size_t i = 0; i < 3; i++) {
        for (unsigned n = 0; n < SHARE; n++) {
            SAYS(t, says[i], people[i], {"owes-more", "0"});
        }
        SAYS(t, "budget", people[i], {"owes-more", "0"});
        SAYS(t, "budget", people[i], {"owes-more", "1000"});
    }
    SAYS(t, "yes", "P8", {"owes-more", "0"}); /* another subject's */
}

static void test_budget__is_one_for_all_questions_about_a_data_element(void **state)
{
    struct taxes *t = *state;
    SAYS(t, "yes", "P7", {"owes-more", "0"});
    SAYS(t, "no", "P7", {"owes", "3"});
    SAYS(t, "yes", "P7", {"in-arrears", "1"});
    SAYS(t, "budget", "P7", {"owes-more", "0"});
    SAYS(t, "budget", "P7", {"owes", "7000"});
    SAYS(t, "budget", "P7", {"in-arrears", "7"});
    SAYS(t, "no yes", "P7", {"tax-clear", NULL}, {"owes-over", "0"}); /* these are not counted */
}

static void test_budget__is_debited_for_every_predicate_or_none(void **state)
{
    struct taxes *t = *state;
    SAYS(t, "yes yes", "P7", {"owes-more", "0"}, {"in-arrears", "1"});
    SAYS(t, "budget", "P7", {"owes-more", "0"}, {"tax-clear", NULL}, {"in-arrears", "1"});
    SAYS(t, "yes", "P7", {"owes-more", "0"}); /* it was left */
    SAYS(t, "budget", "P7", {"owes-more", "0"});
}

static void test_budget__is_not_debited_for_what_is_no_question(void **state)
{
    struct taxes *t = *state;
    for (unsigned i = 0; i < 2 * SHARE; i++) {
        SAYS(t, "bad-value", "P7", {"owes", "much"});
        SAYS(t, "bad-value", "P7", {"owes-more", NULL});
        SAYS(t, "predicate-value", "P7", {"owes-more", "1"});
        SAYS(t, "predicate", "P7", {"owes-more", "0"}, {"is-rich", NULL});
        SAYS(t, "bad-value", "a person with too long a name", {"owes-more", "0"});
    }
    for (unsigned i = 0; i < SHARE; i++) {
        SAYS(t, "yes", "P7", {"owes-more", "0"});
    }
    SAYS(t, "budget", "P7", {"owes-more", "0"});
}

static void test_budget__outlives_a_restart_and_a_new_policy(void **state)
{
    struct taxes *t = *state;
    SAYS(t, "yes", "P7", {"owes-more", "0"});
    close_debits(t);
    open_debits(t);
    SAYS(t, "yes", "P7", {"owes-more", "0"});
    publish(t, BUDGET, true);
    SAYS(t, "yes", "P7", {"owes-more", "0"});
    close_debits(t);
    open_debits(t);
    SAYS(t, "budget", "P7", {"owes-more", "0"});
    publish(t, BUDGET + 2, true); /* the owner gives more */
    SAYS(t, "yes", "P7", {"owes-more", "0"});
    SAYS(t, "budget", "P7", {"owes-more", "0"});
}

static void test_budget__is_shared_out_among_the_adapters_of_a_service(void **state)
{
    struct taxes *t = *state;
    const struct offer *o = &t->f->policy->offer->offer;
    for (uint32_t budget = 2; budget < 20; budget++) {
        uint32_t all = 0;
        for (size_t i = 0; i < o->services[0].adapters.n; i++) {
            yz_node_id node = {o->services[0].adapters.items[i]};
            all += yzi_access_part(o, o->grants[0].service, node, budget);
        }
        assert_int_equal(all, budget);
    }
    assert_int_equal(o->services[0].adapters.n, 2);
}

static void test_budget__without_a_count_is_not_given(void **state)
{
    struct taxes *t = *state;
    t->f->answering.debits = NULL;
    SAYS(t, "unenforceable", "P7", {"owes-more", "0"});
    SAYS(t, "no", "P7", {"tax-clear", NULL}); /* needs none */
    t->f->answering.debits = t->debits;
}

static void test_budget__on_a_full_disk_nothing_is_answered(void **state)
{
    struct taxes *t = *state;
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    OK(yzi_path_join(t->f->dir, "state", &dir));
    struct io_faults *io = io_faults_local();
    io_faults_watch(io, dir, "");
    io_faults_arm(io, IO_CHANGES, 1, IO_ALWAYS, IO_FAIL, ENOSPC);
    struct said said = ASK(t, "P7", {"owes-more", "0"});
    io_faults_disarm(io);
    assert_true(strcmp(said.text, "disk-full") == 0 || strcmp(said.text, "store") == 0);
    SAYS(t, "yes", "P7", {"owes-more", "0"});
}

/* -- many at once -- */

struct crowd {
    struct taxes *t;
    struct answering answering; /* to copy */
    struct job *jobs[THREADS][8];
    _Atomic unsigned answered, refused, other;
    unsigned started;
};

struct one_thread {
    struct crowd *c;
    unsigned number;
};

static void *answer_all(void *arg)
{
    struct one_thread *me = arg;
    struct answering a = me->c->answering;
    if (yzi_answering_init(&a) < 0) {
        return NULL;
    }
    for (unsigned i = 0; i < 8; i++) {
        struct job *j = me->c->jobs[me->number][i];
        yzi_answer(&a, j);
        _Atomic unsigned *n = j->rc < 0                          ? &me->c->other
                              : j->status == RESPONSE_ANSWERED   ? &me->c->answered
                              : strcmp(j->reason, "budget") == 0 ? &me->c->refused
                                                                 : &me->c->other;
        atomic_fetch_add(n, 1);
    }
    yzi_answering_fini(&a);
    return NULL;
}

static void test_budget__is_exact_when_many_ask_at_once(void **state)
{
    struct crowd c = {.t = *state};
    pthread_t threads[THREADS];
    struct one_thread each[THREADS];
    publish(c.t, 22, false); /* eleven here */
    c.answering = (struct answering){.node = c.t->f->answering.node,
                                     .signing = c.t->f->answering.signing,
                                     .clock = c.t->f->answering.clock,
                                     .message_max = 1u << 20,
                                     .limits = c.t->f->answering.limits,
                                     .query_ms = 60000,
                                     .debits = c.t->debits};
    for (unsigned i = 0; i < THREADS * 8; i++) {
        MESSAGE(q);
        c.jobs[i / 8][i % 8] =
            new_job(c.t, "P7", (const struct asked[]){{"owes-more", "0"}}, 1, &q);
        c.jobs[i / 8][i % 8]->deadline_mono += 600000; /* however slow the machine is */
    }
    for (unsigned i = 0; i < THREADS; i++) {
        each[i] = (struct one_thread){&c, i};
        assert_int_equal(pthread_create(&threads[i], NULL, answer_all, &each[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&c.answered), 11);
    assert_int_equal(atomic_load(&c.refused), THREADS * 8 - 11);
    for (unsigned i = 0; i < THREADS * 8; i++) {
        yzi_job_free(c.jobs[i / 8][i % 8]);
    }
}

/* -- the attacker -- */

/* Halving, in the steps that are permitted, until nothing is answered any more: between which
 * values the debt must be, both in thousands, hi excluded. */
static void halve(struct taxes *t, const char *person, unsigned *lo, unsigned *hi,
                  unsigned *questions)
{
    *lo = 0;
    *hi = PEOPLE;
    *questions = 0;
    for (;;) {
        unsigned middle = *lo + (*hi - *lo) / 2;
        char value[16];
        snprintf(value, sizeof value, "%u", (middle - (middle > *lo)) * 1000);
        struct said s = ASK(t, person, {"owes-more", value});
        if (strcmp(s.text, "budget") == 0) {
            return;
        }
        assert_true(++*questions < 100);
        if (strcmp(s.text, "yes") == 0) {
            *lo = middle;
        } else {
            assert_string_equal(s.text, "no");
            *hi = middle;
        }
    }
}

static void test_attacker__who_halves_learns_as_many_bits_as_the_budget_has_questions(void **state)
{
    struct taxes *t = *state;
    bool seen[PEOPLE + 1] = {false};
    unsigned ends = 0;
    for (unsigned i = 0; i < PEOPLE; i++) {
        char person[16];
        unsigned lo, hi, questions;
        snprintf(person, sizeof person, "P%u", i);
        halve(t, person, &lo, &hi, &questions);
        assert_int_equal(questions, SHARE);
        assert_true(lo <= i && i < hi);
        assert_true(hi - lo >= PEOPLE >> SHARE); /* it stays among so many */
        ends += !seen[lo];
        seen[lo] = true;
    }
    assert_true(ends <= 1u << SHARE); /* and no more can be told apart */
}

/* Mixing what there is: each question, whichever it is, is one of few. The attacker takes for each
 * next question what splits those best that are still possible. */
struct guess {
    const char *name;
    char value[16];
};

static bool would_say_yes(const struct guess *g, unsigned debt)
{
    unsigned value = (unsigned)strtoul(g->value, NULL, 10);
    return strcmp(g->name, "owes") == 0        ? debt * 1000 == value
           : strcmp(g->name, "owes-more") == 0 ? debt * 1000 > value
                                               : debt >= value;
}

static struct guess make_guess(unsigned which, unsigned n)
{
    static const char *const names[] = {"owes", "owes-more", "in-arrears"};
    struct guess g = {.name = names[which]};
    snprintf(g.value, sizeof g.value, "%u", which == 2 ? n : n * 1000);
    return g;
}

static unsigned count_yes(const struct guess *g, const bool possible[PEOPLE])
{
    unsigned n = 0;
    for (unsigned i = 0; i < PEOPLE; i++) {
        n += possible[i] && would_say_yes(g, i);
    }
    return n;
}

static struct guess best_guess(const bool possible[PEOPLE], unsigned left)
{
    struct guess best = make_guess(0, 0);
    unsigned best_split = 0;
    for (unsigned i = 0; i < 3 * PEOPLE; i++) {
        struct guess g = make_guess(i % 3, i / 3);
        unsigned yes = count_yes(&g, possible), split = yes < left - yes ? yes : left - yes;
        if (split > best_split) {
            best_split = split;
            best = g;
        }
    }
    return best;
}

static unsigned attack(struct taxes *t, const char *person, bool possible[PEOPLE])
{
    unsigned left = PEOPLE;
    for (unsigned i = 0; i < PEOPLE; i++) {
        possible[i] = true;
    }
    for (;;) {
        struct guess g = best_guess(possible, left);
        struct said s = ask(t, person, &(struct asked){g.name, g.value}, 1);
        if (strcmp(s.text, "budget") == 0) {
            return left;
        }
        for (unsigned i = 0; i < PEOPLE; i++) {
            if (possible[i] && would_say_yes(&g, i) != (strcmp(s.text, "yes") == 0)) {
                possible[i] = false;
                left--;
            }
        }
    }
}

static void test_attacker__who_mixes_all_questions_learns_no_more(void **state)
{
    struct taxes *t = *state;
    unsigned all = 0;
    for (unsigned i = 0; i < PEOPLE; i += 11) {
        char person[16];
        bool possible[PEOPLE];
        snprintf(person, sizeof person, "P%u", i);
        unsigned left = attack(t, person, possible);
        assert_true(possible[i]);
        assert_true(left >= PEOPLE >> SHARE);
        all++;
    }
    assert_true(all > 0);
}

/* Without counting, constants tell between which of them a value is, and steps how many steps: no
 * question there is tells apart two values of one step. */
static void
test_attacker__with_all_the_questions_in_the_world_is_no_finer_than_the_steps(void **state)
{
    struct taxes *t = *state;
    publish(t, 1000000, false);
    for (unsigned n = 0; n < 12; n++) {
        char value[16];
        snprintf(value, sizeof value, "%u", n * 1000);
        struct said a = ASK(t, "P7", {"owes-more", value});
        assert_string_equal(a.text, n < 7 ? "yes" : "no");
        snprintf(value, sizeof value, "%u.5", n * 1000);
        SAYS(t, "predicate-value", "P7", {"owes-more", value});
        snprintf(value, sizeof value, "%u", n * 1000 + 1);
        SAYS(t, "predicate-value", "P7", {"owes-over", value});
    }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_match__is_answered_by_yes_no_and_unknown),
        TEST(test_match__answers_are_of_one_size),
        TEST(test_match__is_unknown_where_the_row_filter_hides),
        TEST(test_budget__is_used_up_whatever_was_answered),
        TEST(test_budget__is_one_for_all_questions_about_a_data_element),
        TEST(test_budget__is_debited_for_every_predicate_or_none),
        TEST(test_budget__is_not_debited_for_what_is_no_question),
        TEST(test_budget__outlives_a_restart_and_a_new_policy),
        TEST(test_budget__is_shared_out_among_the_adapters_of_a_service),
        TEST(test_budget__without_a_count_is_not_given),
        TEST(test_budget__on_a_full_disk_nothing_is_answered),
        TEST(test_budget__is_exact_when_many_ask_at_once),
        TEST(test_attacker__who_halves_learns_as_many_bits_as_the_budget_has_questions),
        TEST(test_attacker__who_mixes_all_questions_learns_no_more),
        TEST(test_attacker__with_all_the_questions_in_the_world_is_no_finer_than_the_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
