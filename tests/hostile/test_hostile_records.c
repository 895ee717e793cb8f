/* SPDX-License-Identifier: Apache-2.0
 *
 * Link messages and records from hostile peers against the real broker. Nothing on the link is
 * signed, so what may come of a spoilt message is bounded by what the sender may say at all; the
 * broker is the same afterwards and an honest exchange goes through. Of a record not a bit can be
 * changed, and no other key's signature, older version or second text of a version is taken.
 */
#include "tests/hostile/siege.h"

#include "base/table.h"
#include "proto/link.pb-c.h"
#include "proto/record.pb-c.h"

#define OK(call) assert_int_equal((call), YZ_OK)

/* -- link messages -- */

struct link_case {
    const char *name;
    enum frame_kind kind;
    const ProtobufCMessageDescriptor *type;
    void (*write)(struct siege *s, yz_buf *out);
};

static void write_hello(struct siege *s, yz_buf *out)
{
    struct hello h = {.node = s->a1->node->node,
                      .role = ROLE_ADAPTER,
                      .directory_version = s->r->w->version,
                      .software = yzi_bytes_str("siege"),
                      .boot = yzi_uuid_v7(WORLD_TIME)};
    OK(yzi_hello_write(&h, out));
}

static void write_heartbeat(struct siege *s, yz_buf *out)
{
    struct heartbeat h = {s->r->w->version, 3, yz_world_now(s->r->w)};
    OK(yzi_heartbeat_write(&h, out));
}

static void write_fetch(struct siege *s, yz_buf *out)
{
    (void)s;
    struct fetch f = {.token = 5, .what = FETCH_SERVICE, .name = yzi_bytes_str(WORLD_SERVICE)};
    OK(yzi_fetch_write(&f, out));
}

static void write_object(struct siege *s, yz_buf *out)
{
    struct object o = {.token = 1, .what = FETCH_MANIFEST, .found = true};
    OK(yzi_object_write(&o, yzi_bytes_buf(&s->r->w->parts.manifest), out));
}

static void write_put(struct siege *s, yz_buf *out)
{
    OK(yzi_put_write(6, yzi_bytes_buf(&yz_world_epoch(s->r->w, s->a1->node)->record), out));
}

static void write_welcome(struct siege *s, yz_buf *out)
{
    struct welcome w = {.node = yz_world_node(s->r->w, "CN/@b2")->node,
                        .directory_version = 1,
                        .heartbeat_ms = 1000,
                        .message_max = 100000,
                        .time = yz_world_now(s->r->w),
                        .software = yzi_bytes_str("siege")};
    OK(yzi_welcome_write(&w, out));
}

static void write_put_result(struct siege *s, yz_buf *out)
{
    (void)s;
    struct put_result r = {.token = 6, .code = -1, .text = yzi_bytes_str("no")};
    OK(yzi_put_result_write(&r, out));
}

static const struct link_case link_cases[] = {
    {"hello", FRAME_HELLO, &yizhan__wire__hello__descriptor, write_hello},
    {"heartbeat", FRAME_HEARTBEAT, &yizhan__wire__heartbeat__descriptor, write_heartbeat},
    {"fetch", FRAME_FETCH, &yizhan__wire__fetch__descriptor, write_fetch},
    {"object", FRAME_OBJECT, &yizhan__wire__object__descriptor, write_object},
    {"put", FRAME_PUT, &yizhan__wire__put__descriptor, write_put},
    {"welcome", FRAME_WELCOME, &yizhan__wire__welcome__descriptor, write_welcome},
    {"put-result", FRAME_PUT_RESULT, &yizhan__wire__put_result__descriptor, write_put_result},
};

/* Send one and see that nothing came of it but, maybe, its being counted as bad. */
static void throw_link_message(struct siege *s, const struct link_case *c, const struct frame *f,
                               yz_bytes header, bool must_be_bad)
{
    struct broker_state before, now;
    YZ_AUTO(yzi_buf_fini) yz_buf raw;
    yz_world_buf(&raw);
    OK(yzi_frame_write(c->kind, header, (yz_bytes){0}, f->payload, (yz_bytes){0}, &raw));
    siege_look(s, &before);
    s->tries++;
    puppet_send(s->a1, yzi_bytes_buf(&raw));
    assert_true(puppet_is_heard(s->a1));
    siege_look(s, &now);
    bool is_bad = siege_counter(&now, "messages_bad") > siege_counter(&before, "messages_bad");
    if (must_be_bad && !is_bad) {
        fail_msg("%s: taken", s->last);
    }
    siege_compare(s, &before, is_bad ? "messages_bad" : "", 0, s->last);
}

static void spoil_link_message(struct siege *s, const struct link_case *c, const struct frame *f,
                               const struct sites *sites, const struct site *site,
                               enum spoiling how, uint32_t bit)
{
    YZ_AUTO(yzi_buf_fini) yz_buf header;
    yz_world_buf(&header);
    enum shape shape = spoil(sites, site, how, bit, NULL, &header);
    if (shape != SHAPE_SAME && header.n > 0) { /* without a header it is no frame */
        snprintf(s->last, sizeof s->last, "%s %s %s (bit %u)", c->name, site->path, spoil_name(how),
                 bit);
        throw_link_message(s, c, f, yzi_bytes_buf(&header), shape == SHAPE_BROKEN);
    }
}

static void spoil_link_case(struct siege *s, const struct link_case *c)
{
    YZ_AUTO(yzi_buf_fini) yz_buf genuine;
    struct frame f;
    struct sites sites;
    yz_world_buf(&genuine);
    c->write(s, &genuine);
    OK(yzi_frame_parse(yzi_bytes_buf(&genuine), YZ_MESSAGE_MAX, &f));
    sites_of(c->type, f.header, &sites);
    for (size_t i = 0; i < sites.n; i++) {
        const struct site *site = &sites.site[i];
        bool is_number = site->field->type != PROTOBUF_C_TYPE_BYTES;
        uint32_t bits = site->absent ? 0 : is_number ? 64 : spoil_bits(site);
        for (uint32_t bit = 0; bit < bits; bit += 3) {
            spoil_link_message(s, c, &f, &sites, site, SPOIL_FLIP, bit);
        }
        for (enum spoiling how = SPOIL_CUT; how < SPOILINGS; how++) {
            spoil_link_message(s, c, &f, &sites, site, how, 0);
        }
    }
}

static void every_field_of_every_link_message(void **state)
{
    struct siege *s = *state;
    for (size_t i = 0; i < COUNT_OF(link_cases); i++) {
        spoil_link_case(s, &link_cases[i]);
        struct world_message q = siege_request(s);
        siege_honest(s, &q);
        yz_world_message_fini(&q);
    }
}

/* -- records: not a bit -- */

static void put_record(struct siege *s, yz_bytes raw, bool is_good, const char *what)
{
    struct broker_state before;
    struct put_result result;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    siege_look(s, &before);
    s->tries++;
    snprintf(s->last, sizeof s->last, "%s", what);
    OK(yzi_put_write(9, raw, &out));
    puppet_send(s->a1, yzi_bytes_buf(&out));
    OK(yzi_put_result_parse(puppet_expect(s->a1, FRAME_PUT_RESULT)->header, &result));
    if ((result.code == YZ_OK) != is_good) {
        fail_msg("%s: %s", what, yz_err_name(result.code));
    }
    if (!is_good) {
        siege_compare(s, &before, "", 0, what);
    }
}

/* A second and more later, so that what a node may bring at a time is not what refuses it. */
static void let_time_pass(struct siege *s)
{
    for (unsigned i = 0; i < 8; i++) {
        rig_advance(s->r, 4000);
        puppet_heartbeat(s->a1, s->r->w->version);
        puppet_heartbeat(s->w1, s->r->w->version);
        assert_true(puppet_is_heard(s->a1));
    }
    s->time_passed = true;
}

static void spoil_record(struct siege *s, yz_bytes genuine, const char *name)
{
    uint8_t raw[4096];
    char what[100];
    assert_true(genuine.n < sizeof raw);
    memcpy(raw, genuine.p, genuine.n);
    for (size_t i = 0; i < genuine.n; i++) {
        raw[i] ^= (uint8_t)(1u << i % 8);
        snprintf(what, sizeof what, "%s with byte %zu of %zu flipped", name, i, genuine.n);
        put_record(s, yzi_bytes(raw, genuine.n), false, what);
        raw[i] ^= (uint8_t)(1u << i % 8);
        if (i % 32 == 31) {
            let_time_pass(s);
        }
    }
    for (size_t cut = 1; cut < genuine.n; cut += 11) {
        put_record(s, yzi_bytes(raw, cut), false, "a record that is cut");
    }
}

static void make_offer(struct siege *s, uint64_t version, const char *field, yz_buf *out)
{
    const char *const fields[] = {field, NULL};
    yz_world_simple_offer(s->r->w, WORLD_SERVICE, WORLD_CONSUMER, version, fields, out, NULL);
}

static void no_bit_of_an_offer(void **state)
{
    struct siege *s = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    yz_world_buf(&offer);
    make_offer(s, 2, "status", &offer);
    spoil_record(s, yzi_bytes_buf(&offer), "an offer");
    put_record(s, yzi_bytes_buf(&offer), true, "the genuine offer");
}

static void no_bit_of_a_member_set(void **state)
{
    struct siege *s = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    struct world_member *m = yz_world_member(s->r->w, "CN/GOV/MCA");
    yz_world_change(m);
    yz_world_put_set(m, &set);
    spoil_record(s, yzi_bytes_buf(&set), "a member set");
    put_record(s, yzi_bytes_buf(&set), true, "the genuine member set");
}

static void no_bit_of_an_announcement(void **state)
{
    struct siege *s = *state;
    struct world *w = s->r->w;
    yz_digest held = *yzi_broker_announcement(s->r->b, s->a1->node->node);
    rig_advance(s->r, 1);
    yzi_epochs_free(s->a1->node->epochs);
    s->a1->node->epochs = NULL;
    yz_bytes fresh = yzi_bytes_buf(&yz_world_epoch(w, s->a1->node)->record);
    spoil_record(s, fresh, "an announcement");
    assert_true(yzi_digest_eq(&held, yzi_broker_announcement(s->r->b, s->a1->node->node)));
    put_record(s, fresh, true, "the genuine announcement");
    assert_false(yzi_digest_eq(&held, yzi_broker_announcement(s->r->b, s->a1->node->node)));
}

static void no_bit_of_a_freshness(void **state)
{
    struct siege *s = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf freshness;
    yz_world_buf(&freshness);
    yz_world_put_freshness(s->r->w, yz_world_now(s->r->w) + 20000, &freshness);
    yz_bytes before = yzi_trust_freshness(s->r->b->trust);
    uint8_t held[512];
    assert_true(before.n < sizeof held);
    memcpy(held, before.p, before.n);
    uint8_t raw[512];
    memcpy(raw, freshness.p, freshness.n);
    for (size_t i = 0; i < freshness.n; i++) {
        raw[i] ^= (uint8_t)(1u << i % 8);
        put_record(s, yzi_bytes(raw, freshness.n), false, "a freshness with a byte flipped");
        raw[i] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(yzi_bytes_eq(yzi_trust_freshness(s->r->b->trust), yzi_bytes(held, before.n)));
}

/* -- records: whose, and which version -- */

/* The record's body signed with another key, as if that were of the right use. */
static void resign(yz_bytes raw, struct key_pair *key, yz_buf *out)
{
    struct record r;
    OK(yzi_record_parse(raw, &r));
    enum key_use use = key->use;
    key->use = yzi_sign_rule_record(r.kind)->use;
    yzi_buf_clear(out);
    OK(yzi_record_sign(r.kind, r.body, &key, 1, out));
    key->use = use;
}

static void refuse_other_signers(struct siege *s, yz_bytes genuine, const char *what)
{
    struct world *w = s->r->w;
    struct world_member *mca = yz_world_member(w, "CN/GOV/MCA");
    struct world_member *hb = yz_world_member(w, "CN/GOV/HB");
    struct key_pair *const all[] = {&mca->key,
                                    &mca->owner,
                                    &hb->key,
                                    &hb->owner,
                                    &s->a1->node->signing,
                                    &s->w1->node->signing,
                                    &yz_world_node(w, "CN/GOV/MCA/@a2")->signing,
                                    &yz_world_node(w, "CN/@b1")->signing,
                                    &yz_world_node(w, "CN/@b1")->log,
                                    &w->operators[0],
                                    &w->roots[0],
                                    &w->freshness};
    YZ_AUTO(yzi_buf_fini) yz_buf again;
    yz_world_buf(&again);
    unsigned right = 0;
    for (unsigned i = 0; i < COUNT_OF(all); i++) {
        resign(genuine, all[i], &again);
        if (yzi_bytes_eq(yzi_bytes_buf(&again), genuine)) {
            right++; /* Ed25519 says the same twice: this is whose it is */
        } else {
            put_record(s, yzi_bytes_buf(&again), false, what);
        }
    }
    assert_int_equal(right, 1);
    put_record(s, genuine, true, what);
}

static void by_whose_key(void **state)
{
    struct siege *s = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf offer, set;
    yz_world_buf(&offer);
    yz_world_buf(&set);
    make_offer(s, 2, "status", &offer);
    refuse_other_signers(s, yzi_bytes_buf(&offer), "an offer signed by another");
    struct world_member *m = yz_world_member(s->r->w, "CN/GOV/MCA");
    yz_world_change(m);
    yz_world_put_set(m, &set);
    refuse_other_signers(s, yzi_bytes_buf(&set), "a member set signed by another");
    rig_advance(s->r, 1);
    yzi_epochs_free(s->a1->node->epochs);
    s->a1->node->epochs = NULL;
    refuse_other_signers(s, yzi_bytes_buf(&yz_world_epoch(s->r->w, s->a1->node)->record),
                         "an announcement signed by another");
}

static void another_adapter_s_announcement(void **state)
{
    struct siege *s = *state;
    struct world_node *a2 = yz_world_node(s->r->w, "CN/GOV/MCA/@a2");
    put_record(s, yzi_bytes_buf(&yz_world_epoch(s->r->w, a2)->record), false,
               "a2's genuine announcement, from a1");
}

static void older_versions_and_two_of_one(void **state)
{
    struct siege *s = *state;
    struct world_member *m = yz_world_member(s->r->w, "CN/GOV/MCA");
    YZ_AUTO(yzi_buf_fini) yz_buf older, newer, twin, set, old_set, twin_set;
    yz_buf *all[] = {&older, &newer, &twin, &set, &old_set, &twin_set};
    for (unsigned i = 0; i < COUNT_OF(all); i++) {
        yz_world_buf(all[i]);
    }
    make_offer(s, 2, "status", &older);
    make_offer(s, 3, "status", &newer);
    make_offer(s, 3, "person_id", &twin);
    put_record(s, yzi_bytes_buf(&newer), true, "version 3");
    put_record(s, yzi_bytes_buf(&older), false, "version 2 after 3");
    put_record(s, yzi_bytes_buf(&twin), false, "another version 3");
    put_record(s, yzi_bytes_buf(&newer), true, "version 3 again");
    yz_world_change(m);
    yz_world_put_set(m, &old_set);
    yz_world_change(m);
    yz_world_put_set(m, &set);
    yz_world_add_subsystem(m, "tax");
    m->set_version--; /* adding counted */
    yz_world_put_set(m, &twin_set);
    put_record(s, yzi_bytes_buf(&set), true, "the newer set");
    put_record(s, yzi_bytes_buf(&old_set), false, "an older set");
    put_record(s, yzi_bytes_buf(&twin_set), false, "another set of the same version");
    put_record(s, yzi_bytes_buf(&set), true, "the newer set again");
}

static void a_newer_set_of_the_member_brings_its_node_and_takes_it(void **state)
{
    struct siege *s = *state;
    struct world_member *hb = yz_world_member(s->r->w, "CN/GOV/HB");
    YZ_AUTO(yzi_buf_fini) yz_buf set;
    yz_world_buf(&set);
    s->w1->node->gone = true;
    yz_world_change(hb);
    yz_world_put_set(hb, &set);
    put_record(s, yzi_bytes_buf(&set), true, "the set without w1");
    puppet_expect_cut(s->w1); /* its valid key is no more */
    assert_int_equal(puppet_count(s->a1, FRAME_REQUEST), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, siege_set_up, siege_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_field_of_every_link_message),
        TEST(no_bit_of_an_offer),
        TEST(no_bit_of_a_member_set),
        TEST(no_bit_of_an_announcement),
        TEST(no_bit_of_a_freshness),
        TEST(by_whose_key),
        TEST(another_adapter_s_announcement),
        TEST(older_versions_and_two_of_one),
        TEST(a_newer_set_of_the_member_brings_its_node_and_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
