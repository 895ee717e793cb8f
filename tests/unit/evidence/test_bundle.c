/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles: made of what consumer or provider kept, they verify against the anchor or the log's key
 * and nothing else; and whatever is changed in one, it is refused or says the same.
 */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "evidence/bundle.h"
#include "proto/payload.h"
#include "tests/support/world_evidence.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define OK(call) assert_int_equal((call), YZ_OK)
#define DAY_MS UINT64_C(86400000)

struct fixture {
    char *dir, kept[300];
    struct world *w;
    struct world_node *b1;
    struct kept *k;
    struct world_message request, response, outcome;
    struct request_header header;
    yz_buf asked, answered; /* plaintexts as sealed */
    yz_buf bundle, report, receipt;
    yz_error err;
};

static void make_messages(struct fixture *f, const struct world_request *q)
{
    static const uint8_t body[] = "two rows of the answer";
    struct world_response r = {.body = yzi_bytes(body, sizeof body)};
    yz_world_request(f->w, q, &f->request);
    OK(yzi_request_header_parse(f->request.frame.header, &f->header));
    yz_world_response(f->w, &r, &f->request.frame, &f->response);
    yz_world_outcome(f->w, f->b1, &f->request.frame, OUTCOME_DENIED, "no-grant", &f->outcome);
    yz_world_open_request(f->w, yz_world_node(f->w, "CN/GOV/MCA/@a1"), &f->request.frame,
                          &f->asked);
    yz_world_open_response(f->w, yz_world_node(f->w, "CN/GOV/HB/@w1"), &f->request.frame,
                           &f->response.frame, &f->answered);
}

static void drop_messages(struct fixture *f)
{
    yz_world_message_fini(&f->request);
    yz_world_message_fini(&f->response);
    yz_world_message_fini(&f->outcome);
    yzi_buf_clear(&f->asked);
    yzi_buf_clear(&f->answered);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    yzi_secret_require_lock(false);
    f->w = yz_world_standard();
    f->b1 = yz_world_node(f->w, "CN/@b1");
    f->dir = yz_world_tmpdir();
    snprintf(f->kept, sizeof f->kept, "%s/kept", f->dir);
    yz_buf *all[] = {&f->asked, &f->answered, &f->bundle, &f->report, &f->receipt};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        yz_world_buf(all[i]);
    }
    struct kept_options o = {
        .dir = f->kept, .clock = &f->w->clock.clock, .retention_ms = 3 * DAY_MS};
    OK(yzi_kept_open(&o, &f->k, NULL));
    make_messages(f, &(struct world_request){.body = yzi_bytes_str("what is asked")});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_kept_close(f->k);
    drop_messages(f);
    yz_buf *all[] = {&f->asked, &f->answered, &f->bundle, &f->report, &f->receipt};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        yzi_buf_fini(all[i]);
    }
    yz_world_rmdir(f->dir);
    free(f->dir);
    yz_world_free(f->w);
    free(f);
    return 0;
}

/* -- keeping -- */

enum {
    WITH_RECEIPT = 1,
    RECEIPT_LATER = 2,
    OF_OUTCOME = 4,
    OTHERS_PLAINTEXT = 8,
    WITH_SUBJECTS = 16
};

static yz_bytes opened(const yz_buf *plain)
{
    struct plain p;
    OK(yzi_plain_parse(yzi_bytes_buf(plain), &p));
    return yzi_plain_opened(&p);
}

static void make_receipt(struct fixture *f, const struct world_message *answer, bool of_outcome)
{
    const struct receipt_claim claims[] = {
        {of_outcome ? ENTRY_OUTCOME : ENTRY_RESPONSE, &answer->digest},
        {ENTRY_REQUEST, &f->request.digest}};
    yzi_buf_clear(&f->receipt);
    yz_world_receipt(f->w, f->b1, claims, 2, &f->receipt);
}

static void keep(struct fixture *f, enum kept_role role, unsigned how)
{
    bool of_outcome = how & OF_OUTCOME;
    const struct world_message *answer = of_outcome ? &f->outcome : &f->response;
    YZ_AUTO(yzi_buf_fini) yz_buf q, a;
    yz_world_buf(&q);
    yz_world_buf(&a);
    OK(yzi_entry_message_write(f->request.frame.header, f->request.frame.block, &q));
    OK(yzi_entry_message_write(answer->frame.header, answer->frame.block, &a));
    make_receipt(f, answer, of_outcome);
    struct kept_exchange x = {
        .role = role,
        .at = yz_world_now(f->w),
        .broker = f->b1->node.v,
        .answer_kind = of_outcome ? FRAME_OUTCOME : FRAME_RESPONSE,
        .request = yzi_bytes_buf(&q),
        .answer = yzi_bytes_buf(&a),
        .request_plain = opened(how & OTHERS_PLAINTEXT ? &f->answered : &f->asked),
        .answer_plain = of_outcome ? (yz_bytes){0} : opened(&f->answered),
        .receipt = how & WITH_RECEIPT ? yzi_bytes_buf(&f->receipt) : (yz_bytes){0},
        .directory = *yzi_directory_root_hash(f->w->directory),
        .has_subjects = how & WITH_SUBJECTS,
        .data_set = yzi_bytes_str("civil"),
        .subjects = yzi_bytes("\2\1\0\0\0\6"
                              "310101",
                              12)};
    const yz_node_id nodes[] = {f->header.node, yz_world_node(f->w, "CN/GOV/MCA/@a1")->node,
                                f->b1->node};
    OK(yzi_kept_exchange(f->k, &x));
    OK(yzi_kept_directory(f->k, f->w->directory, nodes, 3));
    if (how & RECEIPT_LATER) {
        OK(yzi_kept_receipt(f->k, &f->request.digest, f->b1->node.v, yzi_bytes_buf(&f->receipt)));
    }
    OK(yzi_kept_sync(f->k));
}

static void make(struct fixture *f)
{
    yzi_buf_clear(&f->bundle);
    if (yzi_evidence_bundle_make(f->kept, &f->header.message_id, &f->bundle, &f->err) < 0) {
        fail_msg("%s", f->err.text);
    }
    assert_true(yzi_evidence_bundle_is(yzi_bytes_buf(&f->bundle)));
}

/* -- verifying -- */

static int verify(struct fixture *f, yz_bytes bundle, yz_bytes anchor, const uint8_t *log_key)
{
    const struct evidence_trust trust = {anchor, log_key};
    yzi_buf_clear(&f->report);
    f->err = (yz_error){0};
    return yzi_evidence_bundle_verify(bundle, &trust, &f->report, &f->err);
}

static int by_anchor(struct fixture *f)
{
    return verify(f, yzi_bytes_buf(&f->bundle), yzi_bytes_buf(&f->w->anchor), NULL);
}

static void reports(struct fixture *f, const char *text)
{
    if (!memmem(f->report.p, f->report.n, text, strlen(text))) {
        fail_msg("no '%s' in: %.*s", text, (int)f->report.n, (const char *)f->report.p);
    }
}

static void holds(struct fixture *f, bool of_outcome)
{
    make(f);
    if (by_anchor(f) < 0) {
        fail_msg("%s", f->err.text);
    }
    reports(f, "the root statement follows from the anchor");
    reports(f, "the request is signed by CN/GOV/HB/@w1");
    reports(f, of_outcome ? "the outcome is signed by CN/@b1"
                          : "the response is signed by CN/GOV/MCA/@a1");
    reports(f, "the broker's log key signed its root");
    reports(f, "the content kept of the request is what was signed");
    OK(verify(f, yzi_bytes_buf(&f->bundle), (yz_bytes){0}, f->b1->log.public_key));
    reports(f, "no anchor was given");
    OK(verify(f, yzi_bytes_buf(&f->bundle), yzi_bytes_buf(&f->w->anchor), f->b1->log.public_key));
}

static void test_bundle__of_a_consumer(void **state)
{
    keep(*state, KEPT_CONSUMER, WITH_RECEIPT);
    holds(*state, false);
}

static void test_bundle__of_a_provider_whose_receipt_came_later(void **state)
{
    keep(*state, KEPT_PROVIDER, RECEIPT_LATER);
    holds(*state, false);
}

static void test_bundle__of_an_outcome(void **state)
{
    keep(*state, KEPT_CONSUMER, WITH_RECEIPT | OF_OUTCOME);
    holds(*state, true);
}

static void test_bundle__does_not_say_whom_else_it_was_about(void **state)
{
    struct fixture *f = *state;
    keep(f, KEPT_PROVIDER, WITH_RECEIPT | WITH_SUBJECTS);
    holds(f, false);
    assert_null(memmem(f->bundle.p, f->bundle.n, "310101", 6));
}

/* -- what does not hold -- */

static void test_bundle__of_what_was_not_kept(void **state)
{
    struct fixture *f = *state;
    yz_uuid other = yzi_uuid_v7(WORLD_TIME);
    keep(f, KEPT_CONSUMER, WITH_RECEIPT);
    assert_int_equal(yzi_evidence_bundle_make(f->kept, &other, &f->bundle, &f->err), YZ_ENOTFOUND);
    assert_int_equal(f->bundle.n, 0);
}

static void test_bundle__against_another_anchor_or_log_key(void **state)
{
    struct fixture *f = *state;
    struct world *other = yz_world_standard();
    keep(f, KEPT_CONSUMER, WITH_RECEIPT);
    make(f);
    assert_true(verify(f, yzi_bytes_buf(&f->bundle), yzi_bytes_buf(&other->anchor), NULL) < 0);
    assert_int_equal(verify(f, yzi_bytes_buf(&f->bundle), yzi_bytes_buf(&f->w->anchor),
                            yz_world_node(f->w, "CN/@b2")->log.public_key),
                     YZ_EUNKNOWNKEY);
    OK(by_anchor(f));
    yz_world_free(other);
}

static void test_bundle__without_a_receipt(void **state)
{
    keep(*state, KEPT_PROVIDER, 0);
    make(*state);
    assert_int_equal(by_anchor(*state), YZ_ERECEIPT);
}

static void test_bundle__with_another_content(void **state)
{
    keep(*state, KEPT_CONSUMER, WITH_RECEIPT | OTHERS_PLAINTEXT);
    make(*state);
    assert_int_equal(by_anchor(*state), YZ_ESIGNATURE);
}

static void test_bundle__by_a_key_that_was_not_valid_then(void **state)
{
    struct fixture *f = *state;
    struct world_node *w1 = yz_world_node(f->w, "CN/GOV/HB/@w1");
    w1->not_before = yz_world_now(f->w) + DAY_MS;
    yz_world_change(w1->member);
    yz_world_publish(f->w);
    keep(f, KEPT_CONSUMER, WITH_RECEIPT);
    make(f);
    assert_int_equal(by_anchor(f), YZ_EUNKNOWNKEY);
}

/* A broker that the consumer did not ask cannot prove that it was asked. */
static void test_bundle__of_a_broker_the_request_does_not_name(void **state)
{
    struct fixture *f = *state;
    drop_messages(f);
    make_messages(f, &(struct world_request){.brokers = {yz_world_node(f->w, "CN/@b2")}});
    keep(f, KEPT_CONSUMER, WITH_RECEIPT | OF_OUTCOME);
    make(f);
    assert_int_equal(by_anchor(f), YZ_EDENIED);
}

/* -- every byte -- */

static void test_bundle__every_byte_matters_or_claims_nothing(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf said;
    unsigned same = 0;
    yz_world_buf(&said);
    keep(f, KEPT_CONSUMER, WITH_RECEIPT);
    make(f);
    OK(by_anchor(f));
    OK(yzi_buf_put(&said, yzi_bytes_buf(&f->report)));
    for (size_t i = 0; i < f->bundle.n; i++) {
        f->bundle.p[i] ^= 1;
        if (by_anchor(f) == YZ_OK) {
            same++;
            if (!yzi_bytes_eq(yzi_bytes_buf(&said), yzi_bytes_buf(&f->report))) {
                fail_msg("byte %zu changes what is claimed: %.*s", i, (int)f->report.n,
                         (const char *)f->report.p);
            }
        }
        f->bundle.p[i] ^= 1;
    }
    /* role, time, root hash of the directory: unsigned, and nothing is said of them */
    assert_true(same >= 8 + 32 && same <= 1 + 8 + 32);
    print_message("%zu bytes, %u of them claim nothing\n", f->bundle.n, same);
}

static void test_bundle__cut_short(void **state)
{
    struct fixture *f = *state;
    keep(f, KEPT_CONSUMER, WITH_RECEIPT);
    make(f);
    for (size_t n = 0; n < f->bundle.n; n++) {
        assert_true(verify(f, yzi_bytes(f->bundle.p, n), yzi_bytes_buf(&f->w->anchor), NULL) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_bundle__of_a_consumer),
        T(test_bundle__of_a_provider_whose_receipt_came_later),
        T(test_bundle__of_an_outcome),
        T(test_bundle__does_not_say_whom_else_it_was_about),
        T(test_bundle__of_what_was_not_kept),
        T(test_bundle__against_another_anchor_or_log_key),
        T(test_bundle__without_a_receipt),
        T(test_bundle__with_another_content),
        T(test_bundle__by_a_key_that_was_not_valid_then),
        T(test_bundle__of_a_broker_the_request_does_not_name),
        T(test_bundle__every_byte_matters_or_claims_nothing),
        T(test_bundle__cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
