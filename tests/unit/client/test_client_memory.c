/* SPDX-License-Identifier: Apache-2.0
 *
 * Running out of memory at any point of making a request, a message or an answer is an error that
 * leaks nothing.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "client/answer.h"
#include "client/catalogue.h"
#include "client/seal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world.h"

static int build_request(yz_request **out)
{
    YZ_TRY(yz_request_new(WORLD_SERVICE, out));
    for (unsigned i = 0; i < 9; i++) { /* the list of keys grows twice */
        YZ_TRY(yz_request_add_key(*out, (const char *const[]){"310101", "x"}, 2));
    }
    YZ_TRY(yz_request_add_field(*out, "status"));
    return yz_request_set_user(*out, "official");
}

static int make_ask(void *ctx)
{
    (void)ctx;
    yz_request *r = NULL;
    struct ask ask = {0};
    int rc = build_request(&r);
    if (rc == 0) {
        rc = yzi_ask_make(r, &ask, NULL);
    }
    yz_request_free(r);
    yzi_ask_fini(&ask);
    return rc;
}

static void test_request__survives_running_out_of_memory(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(make_ask, NULL) > 5);
}

/* -- messages -- */

struct sealing {
    struct world *w;
    struct world_node *client;
    struct service service;
    struct ask ask;
};

static int make_message(void *ctx)
{
    struct sealing *s = ctx;
    struct sealer_options o = {
        .node = s->client->node,
        .subsystem.v = yzi_bytes_str(WORLD_CONSUMER),
        .brokers = {yz_world_node(s->w, "CN/@b1")->node},
        .brokers_n = 1,
        .signing = &s->client->signing,
        .clock = &s->w->clock.clock,
        .message_max = YZ_MESSAGE_MAX,
    };
    struct sealer *sealer = NULL;
    struct envelope e = {0};
    yz_uuid conversation = {0};
    int rc = yzi_sealer_new(&o, &sealer);
    if (rc == 0) {
        rc = yzi_envelope_make(sealer, &s->ask, &s->service, 1, 1000, &conversation, &e);
    }
    if (rc == 0) {
        yzi_envelope_fini(sealer, &e);
    }
    yzi_sealer_free(sealer);
    return rc;
}

static void test_message__survives_running_out_of_memory(void **state)
{
    (void)state;
    struct sealing s = {.w = yz_world_standard()};
    s.client = yz_world_node(s.w, "CN/GOV/HB/@w1");
    s.service.mode = SERVICE_READ;
    struct world_node *a1 = yz_world_node(s.w, "CN/GOV/MCA/@a1");
    struct epoch *epoch = yz_world_epoch(s.w, a1);
    struct provider *p = &s.service.providers[s.service.providers_n++];
    memcpy(p->node, a1->node.v.p, a1->node.v.n);
    p->node_n = a1->node.v.n;
    memcpy(p->epoch_key, epoch->key.public_key, 32);
    p->announcement = epoch->digest;
    p->not_before = epoch->announcement.not_before;
    p->not_after = epoch->announcement.not_after;
    yz_request *r = NULL;
    assert_int_equal(build_request(&r), 0);
    assert_int_equal(yzi_ask_make(r, &s.ask, NULL), 0);
    assert_true(yz_alloc_fail_each(make_message, &s) > 8);
    yz_request_free(r);
    yzi_ask_fini(&s.ask);
    yz_world_free(s.w);
}

/* -- services -- */

struct loading {
    struct world *w;
    yz_buf payload;
};

static int load_service(void *ctx)
{
    struct loading *l = ctx;
    struct services services = {0};
    struct service *s;
    yz_service_id id;
    struct judge j = {l->w->directory, yz_world_now(l->w), YZ_SKEW_MS};
    YZ_TRY(yzi_service_id_parse(yzi_bytes_str(WORLD_SERVICE), &id));
    int rc = yzi_services_get(&services, id, &s);
    if (rc == 0) {
        rc = yzi_service_load(s, yzi_bytes_buf(&l->payload), &j, 1, NULL);
    }
    yzi_services_fini(&services);
    return rc;
}

static void test_service__survives_running_out_of_memory(void **state)
{
    (void)state;
    static const char *const fields[] = {"status", NULL};
    struct loading l = {.w = yz_world_standard()};
    yz_world_buf(&l.payload);
    yz_world_simple_offer(l.w, WORLD_SERVICE, WORLD_CONSUMER, 1, fields, &l.payload, NULL);
    struct epoch *e = yz_world_epoch(l.w, yz_world_node(l.w, "CN/GOV/MCA/@a1"));
    assert_int_equal(yzi_buf_put(&l.payload, yzi_bytes_buf(&e->record)), 0);
    assert_true(yz_alloc_fail_each(load_service, &l) > 5);
    yzi_buf_fini(&l.payload);
    yz_world_free(l.w);
}

/* -- the catalogue -- */

/* What this process lacks is not the fault of the broker that sent it. */
static int take_page(void *ctx)
{
    const yz_buf *page = ctx;
    struct catalogue_pages p;
    yz_error err = {0};
    yzi_catalogue_pages_init(&p);
    int rc = yzi_catalogue_pages_take(&p, yzi_bytes_buf(page), &err);
    yzi_catalogue_pages_fini(&p);
    assert_true(rc == 0 || strstr(err.text, "memory"));
    return rc;
}

static void test_catalogue__survives_running_out_of_memory(void **state)
{
    (void)state;
    yz_buf page;
    struct world *w = yz_world_standard();
    yz_world_buf(&page);
    yz_world_simple_offer(w, WORLD_SERVICE, WORLD_CONSUMER, 1, NULL, &page, NULL);
    assert_true(yz_alloc_fail_each(take_page, &page) >= 3);
    yzi_buf_fini(&page);
    yz_world_free(w);
}

/* -- answers -- */

static int read_answer(void *ctx)
{
    const yz_buf *written = ctx;
    YZ_AUTO(yzi_buf_wipe) yz_buf text;
    YZ_AUTO(yzi_answer_free_ptr) yz_answer *a = NULL;
    YZ_AUTO(yzi_free_ptr) char *json = NULL;
    struct plain plain;
    struct response_header h = {.status = RESPONSE_ANSWERED,
                                .node.v = yzi_bytes_str("CN/GOV/MCA/@a1")};
    yzi_buf_init(&text, YZ_PLAIN_MAX);
    YZ_TRY(yzi_buf_put(&text, yzi_bytes_buf(written)));
    YZ_TRY(yzi_plain_parse(yzi_bytes_buf(&text), &plain));
    YZ_TRY(yzi_answer_of_provider(&h, &plain, &text, &a, NULL));
    return yz_answer_json(a, 1, &json);
}

static void test_answer__survives_running_out_of_memory(void **state)
{
    (void)state;
    yz_buf head, body, text;
    yz_world_buf(&head);
    yz_world_buf(&body);
    yz_world_buf(&text);
    struct answer_field f[2] = {{yzi_bytes_str("photo"), FIELD_BYTES, MASK_NONE},
                                {yzi_bytes_str("status"), FIELD_TEXT, MASK_NONE}};
    struct answer_head h = {.code = ANSWER_OK, .fields = f, .fields_n = 2, .rows = 1};
    struct query_value v = {false, yzi_bytes_str("value")};
    assert_int_equal(yzi_answer_head_write(&h, &head), 0);
    assert_int_equal(yzi_row_put(&body, &v), 0);
    assert_int_equal(yzi_row_put(&body, &v), 0);
    assert_int_equal(
        yzi_plain_write(PLAIN_ANSWER, yzi_bytes_buf(&head), yzi_bytes_buf(&body), &text), 0);
    assert_true(yz_alloc_fail_each(read_answer, &text) > 6);
    yzi_buf_fini(&head);
    yzi_buf_fini(&body);
    yzi_buf_fini(&text);
}

static int read_outcome(void *ctx)
{
    (void)ctx;
    struct outcome_header h = {.status = OUTCOME_EXPIRED,
                               .node.v = yzi_bytes_str("CN/@b1"),
                               .reason = yzi_bytes_str("not-yet")};
    yz_answer *a = NULL;
    int rc = yzi_answer_of_broker(&h, &a);
    yz_answer_free(a);
    return rc;
}

static void test_outcome__survives_running_out_of_memory(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(read_outcome, NULL) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request__survives_running_out_of_memory),
        cmocka_unit_test(test_message__survives_running_out_of_memory),
        cmocka_unit_test(test_service__survives_running_out_of_memory),
        cmocka_unit_test(test_catalogue__survives_running_out_of_memory),
        cmocka_unit_test(test_answer__survives_running_out_of_memory),
        cmocka_unit_test(test_outcome__survives_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
