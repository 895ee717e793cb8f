/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data accesses on exchanges made for it: of an older version, whose subjects only the request
 * tells; with masks, other records and verdicts; kept by a consumer; and with a content that is not
 * what was signed.
 */
#include "evidence/kept.h"
#include "tests/support/world.h"
#include "tests/unit/cli/fixture.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define DAY_MS UINT64_C(86400000)
#define ACCESSES(code, subject, ...)                                                               \
    EXPECT(code, "data", "accesses", "--home", ".", "--subject", subject, __VA_ARGS__)

static struct world *w;
static struct kept *k;

static int set_up(void **state)
{
    int rc = yz_cli_setup(state);
    yzi_secret_require_lock(false);
    w = yz_world_standard();
    struct kept_options o = {.dir = "kept", .clock = &w->clock.clock, .retention_ms = 3 * DAY_MS};
    OK(yzi_kept_open(&o, &k, NULL));
    return rc;
}

static int tear_down(void **state)
{
    yzi_kept_close(k);
    yz_world_free(w);
    return yz_cli_teardown(state);
}

/* -- exchanges -- */

struct exchange {
    struct request_head asked;
    struct answer_head answered;
    enum kept_role role;                  /* 0: provider */
    const char *data_set, *given, *other; /* data_set NULL: as an older version kept it */
    bool spoilt;                          /* the request's content is another's */
};

static void write_message(const struct world_message *m, yz_buf *out)
{
    OK(yzi_entry_message_write(m->frame.header, m->frame.block, out));
}

static void put_subject(yz_buf *list, enum subject_how how, const char *key)
{
    struct subject s = {how, {{.v = yzi_bytes_str(key)}}, 1};
    OK(key ? yzi_subject_put(list, &s) : YZ_OK);
}

static yz_bytes opened(const yz_buf *padded)
{
    struct plain p;
    OK(yzi_plain_parse(yzi_bytes_buf(padded), &p));
    return yzi_plain_opened(&p);
}

static void keep(const struct exchange *x)
{
    struct world_message request, response;
    YZ_AUTO(yzi_buf_fini) yz_buf q = {.max = 1 << 20}, a = {.max = 1 << 20};
    YZ_AUTO(yzi_buf_fini) yz_buf head = {.max = 1 << 20}, reply = {.max = 1 << 20};
    YZ_AUTO(yzi_buf_fini) yz_buf asked = {.max = 1 << 20}, answered = {.max = 1 << 20};
    YZ_AUTO(yzi_buf_fini) yz_buf list = {.max = SUBJECTS_MAX};
    OK(yzi_request_head_write(&x->asked, &head));
    OK(yzi_answer_head_write(&x->answered, &reply));
    yz_world_request(w, &(struct world_request){.head = yzi_bytes_buf(&head)}, &request);
    yz_world_response(w, &(struct world_response){.head = yzi_bytes_buf(&reply)}, &request.frame,
                      &response);
    yz_world_open_request(w, yz_world_node(w, "CN/GOV/MCA/@a1"), &request.frame, &asked);
    yz_world_open_response(w, yz_world_node(w, "CN/GOV/HB/@w1"), &request.frame, &response.frame,
                           &answered);
    write_message(&request, &q);
    write_message(&response, &a);
    put_subject(&list, SUBJECT_GIVEN, x->given);
    put_subject(&list, SUBJECT_GIVEN, x->other);
    struct kept_exchange e = {.role = x->role ? x->role : KEPT_PROVIDER,
                              .at = yz_world_now(w),
                              .broker = yzi_bytes_str("CN/@b1"),
                              .answer_kind = FRAME_RESPONSE,
                              .request = yzi_bytes_buf(&q),
                              .answer = yzi_bytes_buf(&a),
                              .request_plain = opened(x->spoilt ? &answered : &asked),
                              .answer_plain = opened(&answered),
                              .directory = *yzi_directory_root_hash(w->directory),
                              .has_subjects = x->data_set != NULL,
                              .data_set = yzi_bytes_str(x->data_set),
                              .subjects = yzi_bytes_buf(&list)};
    OK(yzi_kept_exchange(k, &e));
    yz_world_message_fini(&request);
    yz_world_message_fini(&response);
}

static struct query_value parts[] = {{.v = {(const uint8_t *)"+7", 2}}};
static struct query_key key = {parts, 1};

/* A get of the key "+7", as it was written. */
static struct exchange get(void)
{
    return (struct exchange){
        .asked = {.has_query = true, .query = {.operation = QUERY_GET, .keys = &key, .keys_n = 1}},
        .answered = {.code = ANSWER_OK, .grant = yzi_bytes_str("g-1")}};
}

static void prints(const char *text)
{
    if (!strstr(yz_cli_out(), text)) {
        fail_msg("\"%s\" is not in:\n%s", text, yz_cli_out());
    }
}

static void test_accesses__of_an_older_version_are_what_the_request_names(void **state)
{
    (void)state;
    struct exchange x = get();
    keep(&x);
    ACCESSES(0, "+7", "--set", "numbers");
    prints("Accesses to the record +7 of the data set numbers: 1\n");
    prints("1 exchange of that time was kept by an older version, which did not note whom an "
           "answer was about");
    ACCESSES(0, "7", "--set", "numbers");
    prints("numbers: 0\n");
    yz_cli_write("numbers.yaml",
                 yzi_bytes_str("dataset: numbers\ntitle: {en: Numbers}\nowner: x\n"
                               "sharing: unconditional\nkey: [n]\nfields:\n"
                               "  - {name: n, type: integer, classification: public}\n"));
    ACCESSES(0, "+07", "--set", "numbers"); /* no number, but a text it might be */
    prints("numbers: 0\n");
    ACCESSES(0, "7", "--definition", "numbers.yaml"); /* both in one form */
    prints("numbers: 1\n");
    ACCESSES(2, "seven", "--definition", "numbers.yaml");
    yz_cli_said("'seven' is not an integer (n)");
    ACCESSES(2, "7", "--definition", "numbers.yaml", "--set", "words");
    yz_cli_said("numbers.yaml defines the data set numbers");
}

static void test_accesses__say_what_was_shown_of_it_and_of_how_many_others(void **state)
{
    (void)state;
    struct answer_field fields[] = {{yzi_bytes_str("name"), FIELD_TEXT, MASK_INITIAL},
                                    {yzi_bytes_str("born"), FIELD_DATE, MASK_YEAR},
                                    {yzi_bytes_str("id"), FIELD_TEXT, MASK_HASH},
                                    {yzi_bytes_str("tel"), FIELD_TEXT, MASK_LAST4},
                                    {yzi_bytes_str("debt"), FIELD_TEXT, MASK_HIDE},
                                    {yzi_bytes_str("town"), FIELD_TEXT, MASK_NONE}};
    struct exchange x = get();
    x.asked.query = (struct query){.operation = QUERY_FIND};
    x.asked.user = yzi_bytes_str("desk 4");
    x.answered.fields = fields;
    x.answered.fields_n = 6;
    x.data_set = "people";
    x.given = "p1";
    x.other = "p2";
    keep(&x);
    ACCESSES(0, "p1", "--set", "people");
    prints("searched for records by other conditions");
    prints("the official \"desk 4\"");
    prints("name (only its first character), born (only its year), id (only a pseudonym of it), "
           "tel (only its last four characters), debt (its name only, not its value), town.\n");
    prints("The same answer gave those of 1 other record.\n");
    ACCESSES(0, "p1", "--json");
    prints("{\"name\":\"born\",\"mask\":\"year\"}");
    prints("\"other_records\":1");
    ACCESSES(0, "p1", "--set", "numbers");
    prints("numbers: 0\n");
}

static void test_accesses__say_what_was_asked_and_told(void **state)
{
    (void)state;
    struct query_value limit = {.v = yzi_bytes_str("10000")};
    struct query_predicate asked[] = {{yzi_bytes_str("owes"), &limit, 1},
                                      {yzi_bytes_str("clear"), NULL, 0}};
    enum match_result told[] = {MATCH_NO, MATCH_UNKNOWN};
    struct exchange x = get();
    x.asked.query.operation = QUERY_MATCH;
    x.asked.query.predicates = asked;
    x.asked.query.predicates_n = 2;
    x.answered.matches = told;
    x.answered.matches_n = 2;
    keep(&x);
    ACCESSES(0, "+7", "--set", "people");
    prints("asked yes/no questions about this record");
    prints("It was answered: owes 10000: no; clear: unknown.\n");
    ACCESSES(0, "+7", "--json");
    prints("\"damaged\": [],\n  \"accesses\": [\n    {");
    prints("}\n  ]\n}\n");
    prints("{\"predicate\":\"owes\",\"values\":[\"10000\"],\"verdict\":\"no\"}");
}

static void test_accesses__are_not_what_a_consumer_kept(void **state)
{
    (void)state;
    struct exchange x = get();
    x.role = KEPT_CONSUMER;
    keep(&x);
    ACCESSES(0, "+7", "--set", "people");
    prints("people: 0\n");
    yz_cli_said("kept here is only what was asked from here");
}

static void test_accesses__name_a_content_that_was_not_signed(void **state)
{
    (void)state;
    struct exchange good = get(), bad = get();
    bad.spoilt = true;
    keep(&good);
    keep(&bad);
    ACCESSES(5, "+7", "--set", "people");
    prints("people: 1\n");
    yz_cli_said("what is kept is damaged in 1 place");
    yz_cli_said("the content is not what was signed");
    ACCESSES(5, "+7", "--json");
    prints("the content is not what was signed\"");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_accesses__of_an_older_version_are_what_the_request_names),
        TEST(test_accesses__say_what_was_shown_of_it_and_of_how_many_others),
        TEST(test_accesses__say_what_was_asked_and_told),
        TEST(test_accesses__are_not_what_a_consumer_kept),
        TEST(test_accesses__name_a_content_that_was_not_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
