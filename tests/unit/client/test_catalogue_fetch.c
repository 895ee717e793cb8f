/* SPDX-License-Identifier: Apache-2.0
 *
 * client/catalogue.c: all offers of a broker, page by page, and what becomes of a broker that sends
 * something else.
 */
#include <limits.h>

#include "client/catalogue.h"
#include "tests/unit/client/scene.h"

#define PATIENCE_MS 60000u

static void add_offer(struct scene *sc, const char *service, yz_buf *page)
{
    yz_world_simple_offer(sc->s->w, service, WORLD_CONSUMER, 1, NULL, page, NULL);
}

static yz_buf *add_page(struct scene *sc)
{
    struct puppet *p = &sc->s->b1;
    yz_buf *page = &p->pages[p->pages_n++];
    yz_world_buf(page);
    return page;
}

/* HB's window offers something, too. */
static int set_up(void **state)
{
    int rc = scene_set_up(state);
    struct scene *sc = *state;
    yz_world_add_node(yz_world_member(sc->s->w, "CN/GOV/HB"), "a9", ROLE_ADAPTER, "window");
    yz_world_publish(sc->s->w);
    return rc;
}

static struct catalogue *fetch(struct scene *sc)
{
    struct catalogue *c = NULL;
    yz_error err = {0};
    scene_start(sc);
    if (yzi_catalogue_fetch(sc->config, PATIENCE_MS, &c, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return c;
}

static void refuses(struct scene *sc, int rc, const char *says)
{
    struct catalogue *c = NULL;
    yz_error err = {0};
    scene_start(sc);
    assert_int_equal(yzi_catalogue_fetch(sc->config, PATIENCE_MS, &c, &err), rc);
    assert_null(c);
    if (!strstr(err.text, says)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    }
}

static void test_catalogue__is_put_together_from_pages(void **state)
{
    struct scene *sc = *state;
    add_offer(sc, "CN/GOV/HB/window/x/v1", add_page(sc));
    add_offer(sc, WORLD_SERVICE, add_page(sc));
    sc->s->b1.not_now = 2; /* it is told to ask again, and does */
    struct catalogue *c = fetch(sc);
    assert_int_equal(c->offers_n, 2);
    assert_int_equal(c->refused_n, 0);
    assert_true(yzi_bytes_eq_str(c->offers[0]->offer.subsystem.v, "CN/GOV/HB/window"));
    assert_true(yzi_bytes_eq_str(c->offers[1]->offer.subsystem.v, "CN/GOV/MCA/civil"));
    assert_true(yzi_bytes_eq_str(c->consumer.v, WORLD_CONSUMER));
    assert_string_equal(c->broker, "CN/@b1");
    yzi_catalogue_free(c);
}

/* Each page comes only after it was asked for again, from the only broker there is. */
static void test_catalogue__comes_from_a_broker_that_is_slow(void **state)
{
    struct scene *sc = *state;
    struct catalogue *c = NULL;
    yz_error err = {0};
    add_offer(sc, "CN/GOV/HB/window/x/v1", add_page(sc));
    add_offer(sc, WORLD_SERVICE, add_page(sc));
    sc->s->b1.late_pages = true;
    scene_start(sc);
    if (yzi_catalogue_fetch(sc->config, 8000, &c, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(c->offers_n, 2);
    yzi_catalogue_free(c);
}

/* One that is there, and never done, has its share of the time; then the other one is asked. */
static void test_catalogue__is_not_kept_away_by_a_broker_that_is_never_done(void **state)
{
    struct scene *sc = *state;
    struct catalogue *c = NULL;
    yz_error err = {0};
    sc->s->b1.not_now = UINT_MAX;
    scene_start(sc);
    if (yzi_catalogue_fetch(sc->config, 6000, &c, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(c->broker, "CN/@b2");
    yzi_catalogue_free(c);
}

/* All of it came before the broker's goodbye. */
static void test_catalogue__outlives_the_broker_that_gave_it(void **state)
{
    struct scene *sc = *state;
    struct catalogue *c = NULL;
    yz_error err = {0};
    add_offer(sc, WORLD_SERVICE, add_page(sc));
    sc->s->b1.leaves = true;
    scene_start(sc);
    if (yzi_catalogue_fetch(sc->config, 3000, &c, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(c->offers_n, 1);
    assert_string_equal(c->broker, "CN/@b1");
    yzi_catalogue_free(c);
}

static void test_catalogue__may_be_empty(void **state)
{
    struct catalogue *c = fetch(*state);
    assert_int_equal(c->offers_n, 0);
    assert_non_null(c->directory);
    yzi_catalogue_free(c);
    yzi_catalogue_free(NULL);
}

/* A broker cannot make up an offer, or alter one: it is left out, and told. */
static void test_catalogue__leaves_out_what_does_not_verify_and_says_so(void **state)
{
    struct scene *sc = *state;
    struct world_member *hb = yz_world_member(sc->s->w, "CN/GOV/HB"),
                        *mca = yz_world_member(sc->s->w, "CN/GOV/MCA");
    struct key_pair real = mca->owner;
    yz_buf *page = add_page(sc);
    add_offer(sc, "CN/GOV/HB/window/x/v1", page);
    mca->owner = hb->owner;
    add_offer(sc, WORLD_SERVICE, page);
    mca->owner = real;
    struct catalogue *c = fetch(sc);
    assert_int_equal(c->offers_n, 1);
    assert_true(yzi_bytes_eq_str(c->offers[0]->offer.subsystem.v, "CN/GOV/HB/window"));
    assert_int_equal(c->refused_n, 1);
    assert_true(yzi_bytes_eq_str(c->refused[0].subsystem.v, "CN/GOV/MCA/civil"));
    assert_int_equal(c->refused[0].code, YZ_ESIGNATURE);
    assert_non_null(strstr(c->refused[0].why, "not signed by an owner key"));
    yzi_catalogue_free(c);
}

static void test_catalogue__of_a_broker_that_goes_in_circles_is_none(void **state)
{
    struct scene *sc = *state;
    for (int i = 0; i < 2; i++) {
        add_offer(sc, WORLD_SERVICE, add_page(sc));
    }
    refuses(sc, YZ_ESIGNATURE, "not in the order");
}

static void test_catalogue__of_other_records_is_none(void **state)
{
    struct scene *sc = *state;
    yz_buf *page = add_page(sc);
    assert_int_equal(yzi_buf_put(page, yzi_bytes_buf(&sc->s->w->root)), 0);
    refuses(sc, YZ_ESIGNATURE, "offer 1 of the catalogue is none");
}

static void test_catalogue__without_a_broker_is_unavailable(void **state)
{
    struct scene *sc = *state;
    struct catalogue *c = NULL;
    yz_error err = {0};
    puppet_down(&sc->s->b1);
    assert_int_equal(yzi_catalogue_fetch(sc->config, 50, &c, &err), YZ_EUNAVAILABLE);
    assert_int_equal(yzi_catalogue_fetch("absent.yaml", 50, &c, &err), YZ_ENOTFOUND);
}

/* -- pages -- */

static void test_pages__take_whole_offers_in_order_only(void **state)
{
    struct scene *sc = *state;
    struct catalogue_pages p;
    yz_error err = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf page;
    yz_world_buf(&page);
    add_offer(sc, WORLD_SERVICE, &page);
    yzi_catalogue_pages_init(&p);
    assert_int_equal(yzi_catalogue_pages_take(&p, yzi_bytes_buf(&page), &err), 0);
    assert_false(p.complete);
    assert_string_equal(p.last, "CN/GOV/MCA/civil");
    assert_int_equal(yzi_catalogue_pages_take(&p, (yz_bytes){0}, &err), 0);
    assert_true(p.complete);
    assert_int_equal(p.n, 1);
    assert_true(yzi_bytes_eq(p.offers[0], yzi_bytes_buf(&page)));
    yzi_catalogue_pages_fini(&p);
    for (size_t n = 1; n < page.n; n++) {
        yzi_catalogue_pages_init(&p);
        assert_int_equal(yzi_catalogue_pages_take(&p, yzi_bytes(page.p, n), &err), YZ_EMALFORMED);
        yzi_catalogue_pages_fini(&p);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_catalogue__is_put_together_from_pages),
        T(test_catalogue__comes_from_a_broker_that_is_slow),
        cmocka_unit_test_setup_teardown(
            test_catalogue__is_not_kept_away_by_a_broker_that_is_never_done, scene_set_up_two,
            scene_tear_down),
        T(test_catalogue__outlives_the_broker_that_gave_it),
        T(test_catalogue__may_be_empty),
        T(test_catalogue__leaves_out_what_does_not_verify_and_says_so),
        T(test_catalogue__of_a_broker_that_goes_in_circles_is_none),
        T(test_catalogue__of_other_records_is_none),
        T(test_catalogue__without_a_broker_is_unavailable),
        T(test_pages__take_whole_offers_in_order_only),
    };
    return cmocka_run_group_tests_name("catalogue_fetch", tests, NULL, NULL);
}
