/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/offers.c: whose offer is believed, which of two wins, and who may call what when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keys/offers.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/world.h"

#define NOW WORLD_TIME

static struct world *w;
static struct offers *book;
static yz_error last;

static int setup(void **state)
{
    (void)state;
    w = yz_world_standard();
    return yzi_offers_new(&book);
}

static int teardown(void **state)
{
    (void)state;
    yzi_offers_free(book);
    yz_world_free(w);
    return 0;
}

/* -- helpers -- */

static yz_subsystem_id subsystem(const char *s)
{
    yz_subsystem_id id;
    assert_int_equal(yzi_subsystem_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

static yz_service_id service(const char *s)
{
    yz_service_id id;
    assert_int_equal(yzi_service_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

#define CIVIL "CN/GOV/MCA/civil"

static int put_record(const yz_buf *record, uint64_t now)
{
    last = (yz_error){0};
    return yzi_offers_put(book, yzi_bytes_buf(record), w->directory, now, &last);
}

/* The marriage service for one consumer, in this version. */
static int put(const char *consumer, uint64_t version)
{
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    yz_world_buf(&offer);
    yz_world_simple_offer(w, WORLD_SERVICE, consumer, version, NULL, &offer, NULL);
    return put_record(&offer, NOW);
}

static struct coarse_decision decide(const char *consumer, const char *name, uint64_t now)
{
    struct coarse_decision c;
    yzi_offers_may_call(book, w->directory, subsystem(consumer), service(name), now, &c);
    return c;
}

static void assert_denied(struct coarse_decision c, enum outcome_status status, const char *reason)
{
    assert_int_equal(c.status, status);
    assert_string_equal(c.reason, reason);
}

static void assert_rule(struct coarse_decision c, const char *want)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yz_world_buf(&text);
    assert_int_equal(yzi_coarse_rule(&c, &text), 0);
    assert_true(yzi_bytes_eq_str(yzi_bytes_buf(&text), want));
}

static void assert_says(const char *words)
{
    if (!strstr(last.text, words)) {
        fail_msg("\"%s\" does not say \"%s\"", last.text, words);
    }
}

/* -- opening -- */

static void test_offer__is_its_owners_and_whole(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    const struct held_offer *o = NULL;
    yz_world_buf(&record);
    yz_world_simple_offer(w, WORLD_SERVICE, WORLD_CONSUMER, 3, NULL, &record, NULL);
    assert_int_equal(yzi_offer_open(yzi_bytes_buf(&record), w->directory, NOW, &o, &last), 0);
    assert_int_equal(o->offer.version, 3);
    assert_true(yzi_bytes_eq(o->raw, yzi_bytes_buf(&record)));
    yz_digest digest;
    yzi_record_digest(yzi_bytes_buf(&record), &digest);
    assert_true(yzi_digest_eq(&o->digest, &digest));
    yzi_offer_ref(o);
    yzi_offer_unref(o);
    yzi_buf_wipe(&record); /* it keeps its own copy */
    assert_true(yzi_bytes_eq_str(o->offer.subsystem.v, CIVIL));
    yzi_offer_unref(o);
    yzi_offer_unref(NULL);
}

static void test_offer__refuses_any_changed_byte(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    yz_world_buf(&record);
    yz_world_simple_offer(w, WORLD_SERVICE, WORLD_CONSUMER, 3, NULL, &record, NULL);
    for (size_t i = 0; i < record.n; i++) {
        record.p[i] ^= 1;
        assert_true(put_record(&record, NOW) < 0);
        record.p[i] ^= 1;
    }
    for (size_t n = 0; n < record.n; n++) {
        assert_int_equal(yzi_offers_put(book, yzi_bytes(record.p, n), w->directory, NOW, &last),
                         YZ_EMALFORMED);
    }
    assert_int_equal(yzi_offers_put(book, yzi_bytes_buf(&w->root), w->directory, NOW, &last),
                     YZ_EMALFORMED);
    assert_int_equal(yzi_offers_count(book), 0);
    assert_int_equal(put_record(&record, NOW), 0);
    assert_int_equal(yzi_offers_count(book), 1);
}

static void test_offer__refuses_every_other_signer(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA"),
                        *hb = yz_world_member(w, "CN/GOV/HB");
    struct key_pair real = mca->owner;
    mca->owner = hb->owner; /* the owner of something else */
    assert_int_equal(put(WORLD_CONSUMER, 1), YZ_ESIGNATURE);
    struct key_pair *others[] = {&mca->key, &yz_world_node(w, "CN/GOV/MCA/@a1")->signing,
                                 &w->operators[0], &w->roots[0]};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        mca->owner = *others[i];
        mca->owner.use = KEY_OWNER; /* whose signer does not care about uses */
        assert_int_equal(put(WORLD_CONSUMER, 1), YZ_ESIGNATURE);
    }
    mca->owner = real;
    assert_int_equal(put(WORLD_CONSUMER, 1), 0);
    yz_world_add_subsystem(mca, "new"); /* not in the directory yet */
    yz_world_add_node(mca, "n", ROLE_ADAPTER, "new");
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    yz_world_buf(&offer);
    yz_world_simple_offer(w, "CN/GOV/MCA/new/x/v1", WORLD_CONSUMER, 1, NULL, &offer, NULL);
    assert_int_equal(put_record(&offer, NOW), YZ_EUNKNOWNKEY);
    assert_says("no member declares");
}

static void test_offer__needs_an_owner_key_valid_now(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    yz_world_buf(&offer);
    mca->owner_not_after = NOW + 10;
    yz_world_change(mca);
    yz_world_publish(w);
    yz_world_simple_offer(w, WORLD_SERVICE, WORLD_CONSUMER, 1, NULL, &offer, NULL);
    assert_int_equal(put_record(&offer, NOW + 10), YZ_EEXPIRED);
    assert_int_equal(put_record(&offer, NOW + 9), 0);
    yz_world_revoke_key(w, mca->owner.public_key, NOW + 5);
    yz_world_publish(w);
    assert_int_equal(put_record(&offer, NOW + 5), YZ_EUNKNOWNKEY);
}

/* -- versions -- */

static void test_book__the_higher_version_wins(void **state)
{
    (void)state;
    assert_int_equal(put(WORLD_CONSUMER, 5), 0);
    assert_int_equal(put(WORLD_CONSUMER, 5), YZ_EEXIST);
    assert_int_equal(put(WORLD_CONSUMER, 4), YZ_EROLLBACK);
    assert_says("older");
    assert_int_equal(put("CN/GOV/HB/other", 5), YZ_EROLLBACK);
    assert_says("alarm");
    assert_int_equal(yzi_offers_get(book, subsystem(CIVIL))->offer.version, 5);
    const struct held_offer *old = yzi_offers_get(book, subsystem(CIVIL));
    yzi_offer_ref(old);
    assert_int_equal(put(WORLD_CONSUMER, 6), 0);
    assert_int_equal(old->offer.version, 5); /* who holds it keeps it */
    yzi_offer_unref(old);
    assert_int_equal(yzi_offers_get(book, subsystem(CIVIL))->offer.version, 6);
    assert_int_equal(yzi_offers_count(book), 1);
    assert_null(yzi_offers_get(book, subsystem("CN/GOV/MCA/other")));
}

/* A thief's offer with the highest number there is, until its key is taken back. */
static void test_book__an_offer_of_a_key_taken_back_need_not_be_surpassed(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    assert_int_equal(put("CN/GOV/HB/thief", UINT64_MAX), 0);
    assert_int_equal(put(WORLD_CONSUMER, 2), YZ_EROLLBACK);
    yz_world_revoke_key(w, mca->owner.public_key, NOW);
    yz_world_new_key(KEY_OWNER, &mca->owner);
    yz_world_change(mca);
    yz_world_publish(w);
    assert_denied(decide("CN/GOV/HB/thief", WORLD_SERVICE, NOW), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
    assert_int_equal(put(WORLD_CONSUMER, 2), 0);
    /* the member alone can do it too, without the operator */
    assert_int_equal(put("CN/GOV/HB/thief", UINT64_MAX), 0);
    yz_world_new_key(KEY_OWNER, &mca->owner);
    yz_world_change(mca);
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    yz_world_put_set(mca, &set);
    const struct directory *d;
    assert_int_equal(yzi_directory_overlay(w->directory, yzi_bytes_buf(&set), NOW, &d, &last), 0);
    yzi_directory_unref(w->directory);
    w->directory = d;
    assert_int_equal(put(WORLD_CONSUMER, 3), 0);
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW).status, 0);
}

/* A key that merely ran out does not free its holder of what was said. */
static void test_book__an_expired_offer_still_has_to_be_surpassed(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    YZ_AUTO(yzi_buf_fini) yz_buf offer, set;
    yz_world_buf(&offer);
    assert_int_equal(put(WORLD_CONSUMER, 5), 0);
    mca->key_not_after = NOW + 10;
    yz_world_publish(w);
    yz_world_buf(&set);
    assert_denied(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 10), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 9).status, 0);
    mca->key_not_after = 0;
    yz_world_publish(w);
    assert_int_equal(put(WORLD_CONSUMER, 4), YZ_EROLLBACK);
}

static int visit(void *ctx, const struct held_offer *o)
{
    *(uint64_t *)ctx += o->offer.version;
    return *(uint64_t *)ctx >= 10 ? 1 : 0;
}

static void test_book__visits_all_until_stopped(void **state)
{
    (void)state;
    struct world_member *hb = yz_world_member(w, "CN/GOV/HB");
    yz_world_add_node(hb, "a1", ROLE_ADAPTER, "window");
    yz_world_publish(w);
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    yz_world_buf(&offer);
    yz_world_simple_offer(w, "CN/GOV/HB/window/x/v1", CIVIL, 3, NULL, &offer, NULL);
    uint64_t sum = 0;
    assert_int_equal(put(WORLD_CONSUMER, 5), 0);
    assert_int_equal(put_record(&offer, NOW), 0);
    assert_int_equal(yzi_offers_each(book, visit, &sum), 0);
    assert_int_equal(sum, 8);
    assert_int_equal(yzi_offers_each(book, visit, &sum), 1);
    assert_int_equal(sum, 13);
}

#define SUBSYSTEMS 7u

/* The subsystems of a page, joined by spaces; how many bytes it has. */
static size_t page(const char *after, size_t size, char names[500])
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    assert_int_equal(yzi_offers_page(book, yzi_bytes_str(after), size, &out), 0);
    names[0] = '\0';
    for (yz_reader r = yzi_reader(yzi_bytes_buf(&out)); r.left;) {
        struct record record;
        struct offer o;
        YZ_AUTO(yzi_arena_fini) struct arena a;
        yzi_arena_init(&a, 1u << 20);
        assert_int_equal(yzi_record_next(&r, &record), 0);
        assert_int_equal(yzi_offer_parse(record.body, &a, &o), 0);
        yz_bytes code = yzi_subsystem_code(o.subsystem);
        snprintf(names + strlen(names), 500 - strlen(names), "%s%.*s", names[0] ? " " : "",
                 (int)code.n, (const char *)code.p);
    }
    return out.n;
}

static void test_book__is_handed_out_in_pages_in_the_order_of_subsystems(void **state)
{
    (void)state;
    static char codes[SUBSYSTEMS][8];
    char names[500];
    struct world_member *hb = yz_world_member(w, "CN/GOV/HB");
    for (unsigned i = 0; i < SUBSYSTEMS; i++) {
        snprintf(codes[i], sizeof codes[i], "s%02u", i * 3 % SUBSYSTEMS);
        yz_world_add_subsystem(hb, codes[i]);
        yz_world_add_node(hb, codes[i], ROLE_ADAPTER, codes[i]);
    }
    yz_world_publish(w);
    assert_int_equal(page("", 1, names), 0);
    for (unsigned i = 0; i < SUBSYSTEMS; i++) { /* in another order than theirs */
        YZ_AUTO(yzi_buf_fini) yz_buf offer;
        char service_id[64];
        yz_world_buf(&offer);
        snprintf(service_id, sizeof service_id, "CN/GOV/HB/%.7s/x/v1", codes[i]);
        yz_world_simple_offer(w, service_id, CIVIL, 1 + i % 2, NULL, &offer, NULL);
        assert_int_equal(put_record(&offer, NOW), 0);
    }
    size_t one = page("", 1, names);
    assert_string_equal(names, "s00");
    assert_true(page("CN/GOV/HB/s03", 2 * one + 1, names) > 2 * one);
    assert_string_equal(names, "s04 s05 s06");
    page("CN/GOV/HB/s035", one, names); /* between two */
    assert_string_equal(names, "s04");
    assert_int_equal(page("CN/GOV/HB/s06", SIZE_MAX, names), 0);
    assert_true(page("", SIZE_MAX, names) >= SUBSYSTEMS * one);
    yz_buf full;
    yzi_buf_init(&full, one + 1);
    assert_int_equal(yzi_offers_page(book, (yz_bytes){0}, 2 * one, &full), YZ_ELIMIT);
    assert_int_equal(full.n, 0);
    yzi_buf_fini(&full);
    /* a newer one stands in its place; who is gone is left out */
    YZ_AUTO(yzi_buf_fini) yz_buf newer;
    yz_world_buf(&newer);
    yz_world_simple_offer(w, "CN/GOV/HB/s00/x/v1", CIVIL, 9, NULL, &newer, NULL);
    assert_int_equal(put_record(&newer, NOW), 0);
    assert_int_equal(yzi_offers_count(book), SUBSYSTEMS);
    yz_world_member(w, "CN/GOV/HB")->gone = true;
    assert_int_equal(put(WORLD_CONSUMER, 1), 0);
    yz_world_publish(w);
    yzi_offers_prune(book, w->directory);
    assert_int_equal(yzi_offers_count(book), 1);
    page("", SIZE_MAX, names);
    assert_string_equal(names, "civil");
}

static void test_book__takes_only_so_much_of_a_member_and_in_all(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf others;
    yz_world_buf(&others);
    yz_world_add_node(yz_world_member(w, "CN/GOV/HB"), "a1", ROLE_ADAPTER, "window");
    yz_world_add_subsystem(yz_world_member(w, "CN/GOV/HB"), "hall");
    yz_world_add_node(yz_world_member(w, "CN/GOV/HB"), "a2", ROLE_ADAPTER, "hall");
    yz_world_publish(w);
    yzi_offers_set_limits(book, 0, 1);
    assert_int_equal(put(WORLD_CONSUMER, 1), YZ_ELIMIT);
    assert_says("more than one member's may");
    assert_int_equal(yzi_offers_bytes(book), 0);
    yzi_offers_set_limits(book, 0, 0);
    assert_int_equal(put(WORLD_CONSUMER, 1), 0);
    size_t one = yzi_offers_bytes(book);
    assert_true(one > 0);
    yzi_offers_set_limits(book, 0, one);
    /* versions that somebody still refers to count */
    const struct held_offer *held = yzi_offers_get(book, subsystem(CIVIL));
    yzi_offer_ref(held);
    assert_int_equal(put(WORLD_CONSUMER, 3), 0);
    assert_int_equal(yzi_offers_bytes(book), 2 * one);
    const struct held_offer *next = yzi_offers_get(book, subsystem(CIVIL));
    yzi_offer_ref(next);
    assert_int_equal(put(WORLD_CONSUMER, 4), YZ_ELIMIT);
    assert_int_equal(yzi_offers_bytes(book), 2 * one);
    yz_world_simple_offer(w, "CN/GOV/HB/window/x/v1", CIVIL, 1, NULL, &others, NULL);
    assert_int_equal(put_record(&others, NOW), 0); /* another member's are its own affair */
    yzi_offer_unref(held);
    yzi_offer_unref(next);
    assert_int_equal(put(WORLD_CONSUMER, 4), 0);
    yzi_offers_set_limits(book, 1, 0);
    YZ_AUTO(yzi_buf_fini) yz_buf hall;
    yz_world_buf(&hall);
    yz_world_simple_offer(w, "CN/GOV/HB/hall/x/v1", CIVIL, 1, NULL, &hall, NULL);
    assert_int_equal(put_record(&hall, NOW), YZ_ELIMIT);
    assert_says("all offers together");
    yzi_offers_set_limits(book, 0, 0);
    held = yzi_offers_get(book, subsystem(CIVIL));
    yzi_offer_ref(held); /* it may outlive the book */
    yzi_offers_free(book);
    book = NULL;
    yzi_offer_unref(held);
    assert_int_equal(yzi_offers_new(&book), 0);
}

/* Subsystems of HB, s00 and on, each with an offer of the version; how many are taken. */
static unsigned put_many(char codes[][8], unsigned n, uint64_t version)
{
    for (unsigned i = 0; i < n; i++) {
        YZ_AUTO(yzi_buf_fini) yz_buf offer;
        char service_id[64];
        yz_world_buf(&offer);
        snprintf(service_id, sizeof service_id, "CN/GOV/HB/%.7s/x/v1", codes[i]);
        yz_world_simple_offer(w, service_id, CIVIL, version, NULL, &offer, NULL);
        if (put_record(&offer, NOW) != 0) {
            return i;
        }
    }
    return n;
}

static void test_book__of_one_member_leaves_room_for_another(void **state)
{
    (void)state;
    enum { MANY = 20 };
    static char codes[MANY][8];
    struct world_member *hb = yz_world_member(w, "CN/GOV/HB");
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(codes[i], sizeof codes[i], "s%02u", i);
        yz_world_add_subsystem(hb, codes[i]);
        yz_world_add_node(hb, codes[i], ROLE_ADAPTER, codes[i]);
    }
    yz_world_publish(w);
    assert_int_equal(put_many(codes, 1, 1), 1);
    size_t one = yzi_offers_bytes(book);
    yzi_offers_set_limits(book, MANY * one, 0);
    assert_int_equal(put_many(codes, MANY, 2), MANY - 2); /* less than 18 sixteenths stay free */
    assert_says("would leave too little to others");
    assert_int_equal(put(WORLD_CONSUMER, 1), 0);
    /* what replaces another is taken all the same, while exchanges go by that, too */
    const struct held_offer *held = yzi_offers_get(book, subsystem("CN/GOV/HB/s03"));
    yzi_offer_ref(held);
    assert_int_equal(put_many(codes, MANY - 2, 3), MANY - 2);
    yzi_offer_unref(held);
    yzi_offers_set_limits(book, 0, 0);
}

/* A newer version is how a grant is taken back. */
static void test_book__that_is_full_takes_a_newer_version_of_what_it_holds(void **state)
{
    (void)state;
    assert_int_equal(put(WORLD_CONSUMER, 1), 0);
    size_t one = yzi_offers_bytes(book);
    yzi_offers_set_limits(book, one, one);
    for (uint64_t version = 2; version < 10; version++) {
        assert_int_equal(put(WORLD_CONSUMER, version), 0);
        assert_int_equal(yzi_offers_bytes(book), one);
    }
    /* while exchanges go by it, too, and they always do */
    const struct held_offer *before = NULL;
    for (uint64_t version = 10; version < 20; version++) {
        const struct held_offer *now = yzi_offers_get(book, subsystem(CIVIL));
        yzi_offer_ref(now);
        if (before) {
            yzi_offer_unref(before);
        }
        before = now;
        assert_int_equal(put(WORLD_CONSUMER, version), 0);
        assert_int_equal(yzi_offers_bytes(book), 2 * one);
    }
    yzi_offer_unref(before);
    /* and when the limit was lowered, or others are beyond it */
    yzi_offers_set_limits(book, one - 1, one - 1);
    assert_int_equal(put(WORLD_CONSUMER, 20), 0);
    assert_int_equal(put("CN/COM/91110000/portal-with-a-longer-name-of-which-it-takes-more", 21),
                     YZ_ELIMIT);
    assert_int_equal(yzi_offers_bytes(book), one);
    yzi_offers_set_limits(book, 0, 0);
}

static int put_two(void *ctx)
{
    const yz_buf *records = ctx;
    struct offers *o = NULL;
    int rc = yzi_offers_new(&o);
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = yzi_offers_put(o, yzi_bytes_buf(&records[i]), w->directory, NOW, NULL);
    }
    yzi_offers_free(o);
    return rc;
}

static void test_book__running_out_of_memory_is_an_error_everywhere(void **state)
{
    (void)state;
    yz_buf records[2];
    for (int i = 0; i < 2; i++) {
        yz_world_buf(&records[i]);
        yz_world_simple_offer(w, WORLD_SERVICE, WORLD_CONSUMER, 1 + (uint64_t)i, NULL, &records[i],
                              NULL);
    }
    assert_int_equal(put_two(records), 0);
    assert_true(yz_alloc_fail_each(put_two, records) > 10);
    yzi_buf_fini(&records[0]);
    yzi_buf_fini(&records[1]);
}

/* -- decisions -- */

static void test_decision__is_no_by_default(void **state)
{
    (void)state;
    assert_denied(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
    assert_rule(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW), "");
    assert_int_equal(put(WORLD_CONSUMER, 7), 0);
    struct coarse_decision c = decide(WORLD_CONSUMER, WORLD_SERVICE, NOW);
    assert_int_equal(c.status, 0);
    assert_null(c.reason);
    assert_false(c.strict);
    assert_int_equal(c.service->mode, SERVICE_READ);
    assert_rule(c, CIVIL "@7#g1");
    assert_denied(decide("CN/GOV/HB/other", WORLD_SERVICE, NOW), OUTCOME_DENIED, "no-grant");
    assert_rule(decide("CN/GOV/HB/other", WORLD_SERVICE, NOW), CIVIL "@7");
    assert_denied(decide("CN/GOV/XX/window", WORLD_SERVICE, NOW), OUTCOME_DENIED, "no-grant");
    assert_denied(decide(WORLD_CONSUMER, CIVIL "/marriage/v2", NOW), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
    assert_denied(decide(WORLD_CONSUMER, CIVIL "/divorce/v1", NOW), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
    assert_denied(decide(WORLD_CONSUMER, "CN/GOV/MCA/x/marriage/v1", NOW), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
}

static struct consumer_group groups[3]; /* of the offer, if groups_n */
static size_t groups_n;

/* An offer of the marriage and divorce services with these grants to the world's consumer. */
static void offer_with(const struct coarse_grant *grants, size_t n, uint64_t version)
{
    yz_bytes adapter = yzi_bytes_str("CN/GOV/MCA/@a1");
    struct offered_service services[] = {
        {.code = yzi_bytes_str("marriage"),
         .version = yzi_bytes_str("v1"),
         .mode = SERVICE_READ,
         .adapters = {&adapter, 1}},
        {.code = yzi_bytes_str("divorce"),
         .version = yzi_bytes_str("v1"),
         .mode = SERVICE_WRITE,
         .adapters = {&adapter, 1}},
        {.code = yzi_bytes_str("birth"),
         .version = yzi_bytes_str("v1"),
         .mode = SERVICE_READ,
         .adapters = {&adapter, 1}},
    };
    struct offer o = {.subsystem = subsystem(CIVIL),
                      .version = version,
                      .issued_at = NOW,
                      .services = services,
                      .services_n = 3,
                      .grants = (struct coarse_grant *)grants,
                      .grants_n = n,
                      .groups = groups,
                      .groups_n = groups_n};
    o.terms_digest.b[0] = 1;
    YZ_AUTO(yzi_buf_fini) yz_buf record;
    yz_world_buf(&record);
    yz_world_put_offer(w, &o, &record);
    int rc = put_record(&record, NOW);
    if (rc < 0) {
        fail_msg("%s", last.text);
    }
}

static struct coarse_grant grant(const char *id, const char *to, uint64_t not_before,
                                 uint64_t not_after, bool strict)
{
    return (struct coarse_grant){.id = yzi_bytes_str(id),
                                 .consumer = subsystem(WORLD_CONSUMER),
                                 .service = yzi_bytes_str(to),
                                 .not_before = not_before,
                                 .not_after = not_after,
                                 .strict = strict};
}

static void test_decision__follows_the_time_of_grants(void **state)
{
    (void)state;
    const struct coarse_grant g[] = {grant("a", "marriage/v1", NOW + 10, NOW + 20, false)};
    offer_with(g, 1, 1);
    assert_denied(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 9), OUTCOME_DENIED, "not-valid-yet");
    assert_rule(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 9), CIVIL "@1#a");
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 10).status, 0);
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 19).status, 0);
    assert_denied(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 20), OUTCOME_DENIED, "expired");
    assert_denied(decide(WORLD_CONSUMER, CIVIL "/divorce/v1", NOW + 10), OUTCOME_DENIED,
                  "no-grant");
}

static void test_decision__of_several_grants_any_allows_and_any_is_strict(void **state)
{
    (void)state;
    const struct coarse_grant g[] = {grant("d", "marriage/v1", NOW + 100, 0, false),
                                     grant("a", "marriage/v1", 0, NOW + 50, false),
                                     grant("c", "marriage/v1", NOW + 10, NOW + 20, true),
                                     grant("b", "divorce/v1", 0, 0, false)};
    offer_with(g, 4, 1);
    struct coarse_decision c = decide(WORLD_CONSUMER, WORLD_SERVICE, NOW);
    assert_int_equal(c.status, 0);
    assert_false(c.strict);
    assert_rule(c, CIVIL "@1#a");
    c = decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 15);
    assert_int_equal(c.status, 0);
    assert_true(c.strict);
    assert_false(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 20).strict);
    c = decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 60);
    assert_denied(c, OUTCOME_DENIED, "not-valid-yet"); /* one ran out, one is to come */
    assert_rule(c, CIVIL "@1#d");
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 100).status, 0);
    c = decide(WORLD_CONSUMER, CIVIL "/divorce/v1", NOW + 60);
    assert_int_equal(c.status, 0);
    assert_int_equal(c.service->mode, SERVICE_WRITE);
    assert_denied(decide(WORLD_CONSUMER, CIVIL "/birth/v1", NOW), OUTCOME_DENIED, "no-grant");
}

static struct coarse_grant group_grant(const char *id, const char *code, uint64_t version,
                                       const char *to, bool strict)
{
    struct coarse_grant g = grant(id, to, 0, 0, strict);
    g.consumer.v = (yz_bytes){0};
    g.group_code = yzi_bytes_str(code);
    g.group_version = version;
    return g;
}

static void test_decision__of_a_grant_to_a_group_is_for_the_members_it_is_pinned_to(void **state)
{
    (void)state;
    yz_bytes one[] = {yzi_bytes_str("CN/GOV/HB/attic"), yzi_bytes_str(WORLD_CONSUMER)};
    yz_bytes two[] = {yzi_bytes_str("CN/GOV/HB/tax"), yzi_bytes_str(WORLD_CONSUMER)};
    groups[0] =
        (struct consumer_group){.code = yzi_bytes_str("houses"), .version = 1, .members = {one, 2}};
    groups[1] =
        (struct consumer_group){.code = yzi_bytes_str("houses"), .version = 2, .members = {two, 2}};
    groups_n = 2;
    const struct coarse_grant g[] = {group_grant("m", "houses", 1, "marriage/v1", false),
                                     group_grant("d", "houses", 2, "divorce/v1", true),
                                     grant("own", "marriage/v1", NOW + 50, 0, false)};
    offer_with(g, 3, 1);
    groups_n = 0;
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW).status, 0);
    assert_rule(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW), CIVIL "@1#m");
    assert_rule(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 50), CIVIL "@1#own");
    /* it joined later: nothing until the grant is pinned to that version */
    assert_denied(decide("CN/GOV/HB/tax", WORLD_SERVICE, NOW), OUTCOME_DENIED, "no-grant");
    assert_rule(decide("CN/GOV/HB/tax", WORLD_SERVICE, NOW), CIVIL "@1");
    struct coarse_decision c = decide("CN/GOV/HB/tax", CIVIL "/divorce/v1", NOW);
    assert_int_equal(c.status, 0);
    assert_true(c.strict);
    /* it left later: at once nothing any more */
    assert_denied(decide("CN/GOV/HB/attic", WORLD_SERVICE, NOW), OUTCOME_DENIED, "no-grant");
    assert_denied(decide("CN/GOV/HB/attic", CIVIL "/divorce/v1", NOW), OUTCOME_DENIED, "no-grant");
    assert_denied(decide(WORLD_CONSUMER, CIVIL "/birth/v1", NOW), OUTCOME_DENIED, "no-grant");
}

/* The owner's key is asked for at each decision, not only when the offer came. */
static void test_decision__counts_an_offer_only_while_its_owner_key_counts(void **state)
{
    (void)state;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    assert_int_equal(put(WORLD_CONSUMER, 1), 0);
    yz_world_revoke_key(w, mca->owner.public_key, NOW + 5);
    yz_world_publish(w);
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 4).status, 0);
    assert_denied(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 5), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
}

static void test_decision__counts_no_offer_of_a_revoked_member(void **state)
{
    (void)state;
    assert_int_equal(put(WORLD_CONSUMER, 1), 0);
    yz_world_revoke_member(w, "CN/GOV/MCA", NOW + 5);
    yz_world_publish(w);
    assert_int_equal(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 4).status, 0);
    assert_denied(decide(WORLD_CONSUMER, WORLD_SERVICE, NOW + 5), OUTCOME_UNKNOWN_SERVICE,
                  "no-such-service");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_offer__is_its_owners_and_whole),
        T(test_offer__refuses_any_changed_byte),
        T(test_offer__refuses_every_other_signer),
        T(test_offer__needs_an_owner_key_valid_now),
        T(test_book__the_higher_version_wins),
        T(test_book__an_offer_of_a_key_taken_back_need_not_be_surpassed),
        T(test_book__an_expired_offer_still_has_to_be_surpassed),
        T(test_book__visits_all_until_stopped),
        T(test_book__is_handed_out_in_pages_in_the_order_of_subsystems),
        T(test_book__takes_only_so_much_of_a_member_and_in_all),
        T(test_book__of_one_member_leaves_room_for_another),
        T(test_book__that_is_full_takes_a_newer_version_of_what_it_holds),
        T(test_book__running_out_of_memory_is_an_error_everywhere),
        T(test_decision__is_no_by_default),
        T(test_decision__follows_the_time_of_grants),
        T(test_decision__of_several_grants_any_allows_and_any_is_strict),
        T(test_decision__of_a_grant_to_a_group_is_for_the_members_it_is_pinned_to),
        T(test_decision__counts_an_offer_only_while_its_owner_key_counts),
        T(test_decision__counts_no_offer_of_a_revoked_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
