/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipts owed by a broker, without the broker: what proves an answer, what does not, what is only
 * doubted, how much is owed at most, and no memory at any point. What needs a connection (asking,
 * alarms) is in tests/hostile/test_puppet_receipts.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "adapters/adapter.h"
#include "base/log.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world_evidence.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define FAULTS_MAX 200u

struct fixture {
    struct world *w;
    struct adapter a;
    struct upstream u;
    struct world_node *b1, *b2;
    struct world_message request, response;
};

static void answer(struct fixture *f, const struct world_message *request,
                   struct world_message *out)
{
    yz_world_response(f->w, &(struct world_response){0}, &request->frame, out);
}

static int set_up(void **state)
{
    struct fixture *f;
    OK(yzi_alloc(1, sizeof *f, &f));
    yzi_secret_require_lock(false);
    yzi_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    f->w = yz_world_standard();
    f->b1 = yz_world_node(f->w, "CN/@b1");
    f->b2 = yz_world_node(f->w, "CN/@b2");
    f->a.directory = f->w->directory;
    f->a.wall = yz_world_now(f->w);
    f->a.mono = 1000000;
    f->u = (struct upstream){.adapter = &f->a, .broker = f->b1->node};
    yz_world_request(f->w, &(struct world_request){0}, &f->request);
    answer(f, &f->request, &f->response);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_receipts_fini(&f->u.receipts);
    yz_world_message_fini(&f->request);
    yz_world_message_fini(&f->response);
    yz_world_free(f->w);
    yzi_log_set_fd(STDERR_FILENO);
    free(f);
    return 0;
}

static bool expect(struct fixture *f, const struct world_message *response)
{
    bool is_new;
    return yzi_receipts_expect(&f->a, &f->u, yzi_bytes_buf(&response->raw), &is_new);
}

static void make(struct fixture *f, struct world_node *broker, const yz_digest *request,
                 const yz_digest *response, yz_buf *out)
{
    const struct receipt_claim claims[] = {{ENTRY_RESPONSE, response}, {ENTRY_REQUEST, request}};
    yz_world_receipt(f->w, broker, claims, 2, out);
}

/* It comes, as if for the request of this digest. */
static void bring(struct fixture *f, const yz_digest *request, yz_bytes receipt)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    struct receipt_for of = {yzi_uuid_v7(WORLD_TIME), *request};
    struct frame frame;
    OK(yzi_receipt_for_write(&of, receipt, &out));
    OK(yzi_frame_parse(yzi_bytes_buf(&out), YZ_MESSAGE_MAX, &frame));
    yzi_receipts_on_frame(&f->a, &f->u, &frame);
}

static void prove(struct fixture *f, const struct world_message *response)
{
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    yz_world_buf(&receipt);
    make(f, f->b1, &f->request.digest, &response->digest, &receipt);
    bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
}

static size_t owed(const struct fixture *f)
{
    return yzi_table_count(&f->u.receipts.owed);
}

static void test_receipts__proves_and_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct receipts *r = &f->u.receipts;
    assert_true(expect(f, &f->response));
    assert_true(expect(f, &f->response)); /* sent again: owed once */
    assert_int_equal(owed(f), 1);
    prove(f, &f->response);
    assert_int_equal(owed(f), 0);
    assert_int_equal(r->proved, 1);
    prove(f, &f->response); /* twice */
    assert_true(r->proved == 1 && r->missed == 0 && yzi_receipts_serve(r));
}

static void test_receipts__of_several_answers_to_one_request(void **state)
{
    struct fixture *f = *state;
    struct world_message m[RECEIPT_ANSWERS_MAX + 1];
    for (unsigned i = 0; i <= RECEIPT_ANSWERS_MAX; i++) {
        answer(f, &f->request, &m[i]); /* sealed anew, so another one */
        assert_int_equal(expect(f, &m[i]), i < RECEIPT_ANSWERS_MAX);
    }
    assert_int_equal(owed(f), 1);
    static const unsigned order[] = {1, 0, 3, 2};
    for (unsigned i = 0; i < RECEIPT_ANSWERS_MAX; i++) {
        assert_int_equal(owed(f), 1);
        prove(f, &m[order[i]]);
        assert_int_equal(f->u.receipts.proved, i + 1);
    }
    assert_int_equal(owed(f), 0);
    assert_true(yzi_receipts_serve(&f->u.receipts));
    for (unsigned i = 0; i <= RECEIPT_ANSWERS_MAX; i++) {
        yz_world_message_fini(&m[i]);
    }
}

static void test_receipts__not_sent_is_not_owed(void **state)
{
    struct fixture *f = *state;
    struct world_message second;
    bool is_new = false;
    yz_bytes first = yzi_bytes_buf(&f->response.raw);
    answer(f, &f->request, &second);
    assert_true(yzi_receipts_expect(&f->a, &f->u, first, &is_new) && is_new);
    assert_true(yzi_receipts_expect(&f->a, &f->u, first, &is_new) && !is_new);
    assert_true(yzi_receipts_expect(&f->a, &f->u, yzi_bytes_buf(&second.raw), &is_new) && is_new);
    yzi_receipts_not_sent(&f->a, &f->u, first);
    assert_int_equal(owed(f), 1);
    prove(f, &second);
    assert_int_equal(f->u.receipts.proved, 1);
    assert_int_equal(owed(f), 0);
    yz_world_message_fini(&second);
}

static void test_receipts__false_ones(void **state)
{
    struct fixture *f = *state;
    struct receipts *r = &f->u.receipts;
    struct world_message other, other_answer;
    yz_world_request(f->w, &(struct world_request){0}, &other);
    answer(f, &other, &other_answer);
    const yz_digest *pairs[][2] = {
        {&other.digest, &other_answer.digest},      /* another exchange's */
        {&f->request.digest, &other_answer.digest}, /* another answer's */
        {&other.digest, &f->response.digest},       /* another request's */
        {&f->response.digest, &f->request.digest},  /* the two changed round */
        {&f->request.digest, &f->request.digest},
    };
    assert_true(expect(f, &f->response));
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf receipt;
        yz_world_buf(&receipt);
        make(f, f->b1, pairs[i][0], pairs[i][1], &receipt);
        r->is_false = false;
        bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
        assert_true(r->is_false && r->proved == 0 && owed(f) == 1);
    }
    prove(f, &f->response); /* too late: the broker stays mistrusted */
    assert_true(owed(f) == 0 && !yzi_receipts_serve(r) && !yzi_receipts_may_owe(r, 0));
    yz_world_message_fini(&other);
    yz_world_message_fini(&other_answer);
}

/* Half a receipt: of the request only, of the answer only. */
static void test_receipts__of_half_an_exchange(void **state)
{
    struct fixture *f = *state;
    struct receipts *r = &f->u.receipts;
    const struct receipt_claim halves[] = {{ENTRY_RESPONSE, &f->response.digest},
                                           {ENTRY_REQUEST, &f->request.digest}};
    assert_true(expect(f, &f->response));
    for (unsigned i = 0; i < 2; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf receipt;
        yz_world_buf(&receipt);
        yz_world_receipt(f->w, f->b1, &halves[i], 1, &receipt);
        r->is_false = false;
        bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
        assert_true(r->is_false && owed(f) == 1);
    }
}

static void test_receipts__every_byte_matters(void **state)
{
    struct fixture *f = *state;
    struct receipts *r = &f->u.receipts;
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    yz_world_buf(&receipt);
    make(f, f->b1, &f->request.digest, &f->response.digest, &receipt);
    assert_true(expect(f, &f->response));
    for (size_t i = 0; i < receipt.n; i++) {
        receipt.p[i] ^= 1;
        r->is_false = false;
        bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
        if (!r->is_false) { /* a key nobody knows: perhaps tomorrow */
            bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
        }
        assert_true(r->is_false && r->proved == 0 && owed(f) == 1);
        receipt.p[i] ^= 1;
        if (i > 0) {
            bring(f, &f->request.digest, yzi_bytes(receipt.p, i)); /* and cut short there */
        }
        assert_true(r->proved == 0 && owed(f) == 1);
    }
    bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
    assert_true(r->proved == 1 && owed(f) == 0);
}

/* Another broker's key is no key of this one: doubted once, because its directory may be on the
 * way, then false. */
static void test_receipts__by_another_brokers_key(void **state)
{
    struct fixture *f = *state;
    struct receipts *r = &f->u.receipts;
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    yz_world_buf(&receipt);
    make(f, f->b2, &f->request.digest, &f->response.digest, &receipt);
    assert_true(expect(f, &f->response));
    bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
    assert_true(!r->is_false && owed(f) == 1);
    bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
    assert_true(r->is_false && owed(f) == 1 && r->proved == 0);
}

/* The broker has a new log key, and the directory that lists it comes after the receipt. */
static void test_receipts__by_a_key_that_is_listed_a_moment_later(void **state)
{
    struct fixture *f = *state;
    struct receipts *r = &f->u.receipts;
    YZ_AUTO(yzi_buf_fini) yz_buf receipt;
    yz_world_buf(&receipt);
    const struct directory *before = f->w->directory;
    yzi_directory_ref(before);
    f->a.directory = before;
    yz_world_new_key(KEY_LOG, &f->b1->log);
    f->w->root_changed = true;
    yz_world_publish(f->w);
    make(f, f->b1, &f->request.digest, &f->response.digest, &receipt);
    assert_true(expect(f, &f->response));
    bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
    assert_true(yzi_receipts_serve(r) && owed(f) == 1);
    f->a.directory = f->w->directory;
    bring(f, &f->request.digest, yzi_bytes_buf(&receipt));
    assert_true(yzi_receipts_serve(r) && owed(f) == 0 && r->proved == 1);
    yzi_directory_unref(before);
}

static void test_receipts__without_a_directory_nothing_is_judged(void **state)
{
    struct fixture *f = *state;
    assert_true(expect(f, &f->response));
    f->a.directory = NULL;
    prove(f, &f->response);
    assert_true(yzi_receipts_serve(&f->u.receipts) && owed(f) == 1);
    f->a.directory = f->w->directory;
    prove(f, &f->response);
    assert_int_equal(owed(f), 0);
}

/* The answer to this request digest, whatever was signed. */
static void redirect(struct world_message *m, const yz_digest *from, uint64_t to)
{
    uint8_t *at = memmem(m->raw.p, m->raw.n, from->b, sizeof from->b);
    assert_non_null(at);
    yzi_store_u64(at, to);
}

static void test_receipts__are_bounded(void **state)
{
    struct fixture *f = *state;
    struct world_message m;
    yz_digest last = f->request.digest;
    answer(f, &f->request, &m);
    for (uint64_t i = 0; i < RECEIPTS_OWED_MAX; i++) {
        assert_true(yzi_receipts_may_owe(&f->u.receipts, 0));
        assert_false(yzi_receipts_may_owe(&f->u.receipts, RECEIPTS_OWED_MAX - i));
        redirect(&m, &last, i);
        yzi_store_u64(last.b, i);
        assert_true(expect(f, &m));
    }
    assert_true(expect(f, &m)); /* that one is owed already */
    assert_false(yzi_receipts_may_owe(&f->u.receipts, 0));
    assert_false(expect(f, &f->response));
    assert_int_equal(owed(f), RECEIPTS_OWED_MAX);
    yz_world_message_fini(&m);
}

static void test_receipts__what_is_no_answer_is_not_expected(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    assert_false(yzi_receipts_expect(&f->a, &f->u, yzi_bytes_buf(&f->request.raw), &is_new));
    assert_false(yzi_receipts_expect(&f->a, &f->u, yzi_bytes_str("YZ"), &is_new));
    assert_int_equal(owed(f), 0);
}

/* One exchange's life with the n-th allocation failing; true when there was an n-th. */
static bool live(struct fixture *f, size_t nth, unsigned *unowed, unsigned *unproved)
{
    struct receipts *r = &f->u.receipts;
    YZ_AUTO(yzi_buf_fini) yz_buf receipt, out;
    yz_world_buf(&receipt);
    yz_world_buf(&out);
    make(f, f->b1, &f->request.digest, &f->response.digest, &receipt);
    struct receipt_for of = {yzi_uuid_v7(WORLD_TIME), f->request.digest};
    struct frame frame;
    OK(yzi_receipt_for_write(&of, yzi_bytes_buf(&receipt), &out));
    OK(yzi_frame_parse(yzi_bytes_buf(&out), YZ_MESSAGE_MAX, &frame));
    yz_alloc_fail_start(nth);
    bool expected = expect(f, &f->response);
    yzi_receipts_on_frame(&f->a, &f->u, &frame);
    f->a.mono += RECEIPT_ASK_MS;
    yzi_receipts_step(&f->a, &f->u);
    struct alloc_fail_result result = yz_alloc_fail_stop();
    assert_true(yzi_receipts_serve(r)); /* no memory is nobody's falsehood */
    assert_true(result.failed || (expected && r->proved == 1));
    assert_int_equal(owed(f), expected && r->proved == 0);
    *unowed += !expected;
    *unproved += expected && r->proved == 0;
    prove(f, &f->response); /* with memory it is as if nothing had been */
    assert_int_equal(owed(f), 0);
    assert_int_equal(r->proved, expected);
    return result.failed;
}

static void test_receipts__without_memory(void **state)
{
    struct fixture *f = *state;
    unsigned unowed = 0, unproved = 0;
    for (size_t nth = 1; live(f, nth, &unowed, &unproved); nth++) {
        assert_true(nth < FAULTS_MAX);
        yzi_receipts_fini(&f->u.receipts);
        f->u.receipts = (struct receipts){0};
    }
    assert_true(unowed >= 2 && unproved >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_receipts__proves_and_is_forgotten),
        T(test_receipts__of_several_answers_to_one_request),
        T(test_receipts__not_sent_is_not_owed),
        T(test_receipts__false_ones),
        T(test_receipts__of_half_an_exchange),
        T(test_receipts__every_byte_matters),
        T(test_receipts__by_another_brokers_key),
        T(test_receipts__by_a_key_that_is_listed_a_moment_later),
        T(test_receipts__without_a_directory_nothing_is_judged),
        T(test_receipts__are_bounded),
        T(test_receipts__what_is_no_answer_is_not_expected),
        T(test_receipts__without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
