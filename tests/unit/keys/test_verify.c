/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/verify.c: each rung of the ladder with the one fault it is there for, their order, and the
 * edges of time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "keys/verify.h"
#include "proto/payload.h"
#include "tests/support/world.h"

#define NOW WORLD_TIME

static struct world *w;
static struct judge judge;

static int setup(void **state)
{
    (void)state;
    w = yz_world_standard();
    judge = (struct judge){.directory = w->directory, .now = NOW, .skew_ms = YZ_SKEW_MS};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    yz_world_free(w);
    return 0;
}

/* -- helpers -- */

static void publish(void)
{
    yz_world_publish(w);
    judge.directory = w->directory;
}

static struct directory_node peer_of(const char *id)
{
    struct directory_node n;
    assert_int_equal(yzi_directory_node(judge.directory, yz_world_node(w, id)->node, NOW, &n, NULL),
                     0);
    return n;
}

static void assert_verdict(struct verdict v, enum outcome_status status, const char *reason)
{
    if (status != v.status || (reason && (!v.reason || strcmp(reason, v.reason) != 0))) {
        fail_msg("%s/%s instead of %s/%s", yzi_outcome_status_name(v.status),
                 v.reason ? v.reason : "-", yzi_outcome_status_name(status), reason ? reason : "-");
    }
}

/* Admit and then verify, as everybody does. */
static struct verdict climb(const struct frame *f, const struct directory_node *peer)
{
    struct verified_request r;
    struct verdict v = yzi_request_admit(&judge, f, peer, &r);
    return v.status ? v : yzi_request_verify(&judge, NULL, &r);
}

/* The verdict on a request made so. */
static struct verdict climb_with(const struct world_request *q)
{
    struct world_message m;
    yz_world_request(w, q, &m);
    struct verdict v = climb(&m.frame, NULL);
    yz_world_message_fini(&m);
    return v;
}

static yz_subsystem_id consumer_id(const char *s)
{
    yz_subsystem_id id;
    assert_int_equal(yzi_subsystem_id_parse(yzi_bytes_str(s), &id), 0);
    return id;
}

/* -- requests -- */

static void test_request__good_ones_pass_and_open(void **state)
{
    (void)state;
    struct world_message m;
    struct verified_request r;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    struct plain plain;
    yz_world_buf(&text);
    yz_world_request(w, &(struct world_request){.head = yzi_bytes_str("head")}, &m);
    struct directory_node peer = peer_of("CN/GOV/HB/@w1");
    assert_verdict(yzi_request_admit(&judge, &m.frame, &peer, &r), 0, NULL);
    assert_verdict(yzi_request_verify(&judge, NULL, &r), 0, NULL);
    assert_true(yzi_digest_eq(&r.digest, &m.digest));
    assert_true(yzi_bytes_eq_str(r.header.service.v, WORLD_SERVICE));
    assert_true(yzi_bytes_eq(r.consumer_node.node.v, peer.node.v));
    yz_world_open_request(w, yz_world_node(w, "CN/GOV/MCA/@a2"), &m.frame, &text);
    assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&text), &plain), 0);
    assert_true(yzi_bytes_eq_str(plain.head, "head"));
    yz_world_message_fini(&m);
}

static void test_request__malformed_ones_say_where(void **state)
{
    (void)state;
    struct world_message m, out;
    struct verified_request r;
    yz_world_request(w, &(struct world_request){0}, &m);
    struct frame f = m.frame;
    f.kind = FRAME_RESPONSE;
    assert_verdict(yzi_request_admit(&judge, &f, NULL, &r), OUTCOME_MALFORMED, "kind");
    f = m.frame;
    f.header.n--;
    assert_verdict(yzi_request_admit(&judge, &f, NULL, &r), OUTCOME_MALFORMED, "header");
    f = m.frame;
    f.block.n--;
    assert_verdict(climb(&f, NULL), OUTCOME_MALFORMED, "block");
    yz_bytes longer = yzi_bytes(m.frame.payload.p, m.frame.payload.n - 1);
    yz_world_reframe(&m.frame, NULL, &longer, &out);
    assert_verdict(climb(&out.frame, NULL), OUTCOME_MALFORMED, "length");
    yz_world_message_fini(&out);
    ((uint8_t *)m.frame.payload.p)[3] ^= 1;
    assert_verdict(climb(&m.frame, NULL), OUTCOME_MALFORMED, "digest");
    yz_world_message_fini(&m);
}

/* Every bit of header and block is covered by something. */
static void test_request__no_changed_byte_passes(void **state)
{
    (void)state;
    struct world_message m;
    yz_world_request(w, &(struct world_request){0}, &m);
    yz_bytes parts[] = {m.frame.header, m.frame.block, m.frame.payload};
    for (size_t p = 0; p < 3; p++) {
        for (size_t i = 0; i < parts[p].n; i++) {
            ((uint8_t *)parts[p].p)[i] ^= 1;
            struct verdict v = climb(&m.frame, NULL);
            assert_int_not_equal(v.status, 0);
            assert_non_null(v.reason);
            ((uint8_t *)parts[p].p)[i] ^= 1;
        }
    }
    assert_verdict(climb(&m.frame, NULL), 0, NULL);
    yz_world_message_fini(&m);
}

static void in_other_instance(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->service.v = yzi_bytes_str("XX/GOV/MCA/civil/marriage/v1");
}

/* A refusal must be able to name what it refuses. */
static void test_request__refused_can_be_named(void **state)
{
    (void)state;
    struct world_message m;
    struct verified_request r;
    struct directory_node peer = peer_of("CN/GOV/HB/@w2");
    yz_world_request(w, &(struct world_request){0}, &m);
    assert_verdict(yzi_request_admit(&judge, &m.frame, &peer, &r), OUTCOME_WRONG_SENDER, "peer");
    assert_true(yzi_digest_eq(&r.digest, &m.digest));
    assert_int_equal(r.header.directory_version, w->version);
    struct frame f = m.frame;
    f.header.n--;
    yz_digest digest;
    yzi_frame_digest(f.header, f.block, &digest);
    assert_verdict(yzi_request_admit(&judge, &f, NULL, &r), OUTCOME_MALFORMED, "header");
    assert_true(yzi_digest_eq(&r.digest, &digest));
    assert_int_equal(r.header.directory_version, 0);
    yz_world_message_fini(&m);
}

static void test_request__of_another_instance_is_unknown(void **state)
{
    (void)state;
    assert_verdict(climb_with(&(struct world_request){.spoil = in_other_instance}),
                   OUTCOME_UNKNOWN_SERVICE, "instance");
}

static void as_a_stranger(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->node.v = yzi_bytes_str("CN/GOV/HB/@w9");
}

static void as_an_adapter(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->node.v = yzi_bytes_str("CN/GOV/MCA/@a1");
    h->consumer = consumer_id("CN/GOV/MCA/civil");
}

static void for_another_subsystem(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->consumer = consumer_id("CN/GOV/HB/vault");
}

static void test_request__comes_from_a_live_client_for_its_subsystem(void **state)
{
    (void)state;
    assert_verdict(climb_with(&(struct world_request){.spoil = as_a_stranger}),
                   OUTCOME_WRONG_SENDER, "node-unknown");
    assert_verdict(climb_with(&(struct world_request){.spoil = as_an_adapter}),
                   OUTCOME_WRONG_SENDER, "role");
    assert_verdict(climb_with(&(struct world_request){.spoil = for_another_subsystem}),
                   OUTCOME_WRONG_SENDER, "subsystem");
    struct world_message m;
    struct verified_request r;
    struct directory_node peer = peer_of("CN/GOV/HB/@w2");
    yz_world_request(w, &(struct world_request){0}, &m);
    assert_verdict(yzi_request_admit(&judge, &m.frame, &peer, &r), OUTCOME_WRONG_SENDER, "peer");
    yz_world_revoke_node(w, "CN/GOV/HB/@w1", NOW);
    publish();
    assert_verdict(climb(&m.frame, NULL), OUTCOME_WRONG_SENDER, "node-revoked");
    yz_world_message_fini(&m);
}

static void test_request__of_a_member_whose_key_ran_out(void **state)
{
    (void)state;
    yz_world_member(w, "CN/GOV/HB")->key_not_after = NOW;
    publish();
    assert_verdict(climb_with(&(struct world_request){0}), OUTCOME_WRONG_SENDER, "node-expired");
}

static void test_request__keeps_to_its_time(void **state)
{
    (void)state;
    struct world_message m;
    yz_world_request(w, &(struct world_request){.issued_at = NOW, .life_ms = 1000}, &m);
    judge.now = NOW - YZ_SKEW_MS;
    assert_verdict(climb(&m.frame, NULL), 0, NULL);
    judge.now = NOW - YZ_SKEW_MS - 1;
    assert_verdict(climb(&m.frame, NULL), OUTCOME_EXPIRED, "not-yet");
    judge.now = NOW + 1000 + YZ_SKEW_MS;
    assert_verdict(climb(&m.frame, NULL), 0, NULL);
    judge.now = NOW + 1000 + YZ_SKEW_MS + 1;
    assert_verdict(climb(&m.frame, NULL), OUTCOME_EXPIRED, "expired");
    judge.now = UINT64_MAX;
    assert_verdict(climb(&m.frame, NULL), OUTCOME_EXPIRED, "expired");
    judge.now = 0;
    assert_verdict(climb(&m.frame, NULL), OUTCOME_EXPIRED, "not-yet");
    yz_world_message_fini(&m);
}

static void shift_id(struct request_header *h, void *ctx)
{
    h->message_id = yzi_uuid_v7((uint64_t)((int64_t)h->issued_at + *(int *)ctx));
}

static void test_request__has_an_id_of_its_time(void **state)
{
    (void)state;
    int skew = (int)YZ_SKEW_MS;
    int shifts[] = {skew, -skew, skew + 1, -skew - 1};
    for (int i = 0; i < 4; i++) {
        struct world_request q = {.spoil = shift_id, .ctx = &shifts[i]};
        struct world_message m;
        struct verified_request r;
        yz_world_request(w, &q, &m);
        assert_verdict(yzi_request_admit(&judge, &m.frame, NULL, &r), i < 2 ? 0 : OUTCOME_MALFORMED,
                       i < 2 ? NULL : "id-time");
        yz_world_message_fini(&m);
    }
}

static void test_request__is_signed_by_a_key_of_that_node(void **state)
{
    (void)state;
    struct world_node *w1 = yz_world_node(w, "CN/GOV/HB/@w1"),
                      *w2 = yz_world_node(w, "CN/GOV/HB/@w2");
    struct key_pair *others[] = {&w2->signing, &yz_world_node(w, "CN/GOV/MCA/@a1")->signing,
                                 &yz_world_node(w, "CN/@b1")->signing};
    for (size_t i = 0; i < 3; i++) {
        assert_verdict(climb_with(&(struct world_request){.sign_with = others[i]}),
                       OUTCOME_BAD_SIGNATURE, "key");
    }
    /* the right key over other bytes */
    struct world_message a, b, mixed;
    yz_world_request(w, &(struct world_request){0}, &a);
    yz_world_request(w, &(struct world_request){0}, &b);
    yz_world_reframe(&a.frame, &b.frame.block, NULL, &mixed);
    assert_verdict(climb(&mixed.frame, NULL), OUTCOME_BAD_SIGNATURE, "signature");
    yz_world_message_fini(&mixed);
    yz_world_message_fini(&b);
    w1->not_after = NOW + 5;
    yz_world_change(w1->member);
    publish();
    judge.now = NOW + 4;
    assert_verdict(climb(&a.frame, NULL), 0, NULL);
    judge.now = NOW + 5;
    assert_verdict(climb(&a.frame, NULL), OUTCOME_BAD_SIGNATURE, "key-expired");
    judge.now = NOW;
    yz_world_revoke_key(w, w1->signing.public_key, NOW);
    publish();
    assert_verdict(climb(&a.frame, NULL), OUTCOME_BAD_SIGNATURE, "key");
    yz_world_message_fini(&a);
}

/* A remembered root does not outlive the key that signed it. */
static void test_request__of_a_remembered_batch_has_its_key_checked_again(void **state)
{
    (void)state;
    struct world_node *w1 = yz_world_node(w, "CN/GOV/HB/@w1");
    struct world_message m[2], signed_again[2];
    yz_bytes headers[2];
    yz_buf blocks[2];
    struct root_memory memory = {0};
    struct verified_request r;
    for (int i = 0; i < 2; i++) {
        yz_world_request(w, &(struct world_request){0}, &m[i]);
        headers[i] = m[i].frame.header;
        yz_world_buf(&blocks[i]);
    }
    assert_int_equal(yzi_sign_batch(&w1->signing, FRAME_REQUEST, headers, 2, blocks), 0);
    for (int i = 0; i < 2; i++) {
        yz_bytes block = yzi_bytes_buf(&blocks[i]);
        yz_world_reframe(&m[i].frame, &block, NULL, &signed_again[i]);
        assert_verdict(yzi_request_admit(&judge, &signed_again[i].frame, NULL, &r), 0, NULL);
        assert_verdict(yzi_request_verify(&judge, &memory, &r), 0, NULL);
    }
    assert_int_equal(memory.hits, 1);
    yz_world_revoke_key(w, w1->signing.public_key, NOW);
    publish();
    assert_verdict(yzi_request_admit(&judge, &signed_again[1].frame, NULL, &r), 0, NULL);
    assert_verdict(yzi_request_verify(&judge, &memory, &r), OUTCOME_BAD_SIGNATURE, "key");
    for (int i = 0; i < 2; i++) {
        yz_world_message_fini(&m[i]);
        yz_world_message_fini(&signed_again[i]);
        yzi_buf_fini(&blocks[i]);
    }
}

/* What is wrong in several ways is told by its first fault: the order is part of the protocol. */
struct fault {
    void (*spoil)(struct request_header *h);
    enum outcome_status status;
    const char *reason;
};
static void wrong_id(struct request_header *h)
{
    h->message_id = yzi_uuid_v7(h->issued_at + 2 * YZ_SKEW_MS);
}
static void wrong_expiry(struct request_header *h)
{
    h->issued_at -= 2 * YZ_EXPIRY_MAX_MS;
    h->expires_at = h->issued_at + 1;
}
static void wrong_issue(struct request_header *h)
{
    h->issued_at = NOW + 2 * YZ_EXPIRY_MAX_MS; /* nothing is both expired and not yet */
    h->expires_at = h->issued_at + 1;
}
static void wrong_subsystem(struct request_header *h)
{
    for_another_subsystem(h, NULL);
}
static void wrong_role(struct request_header *h)
{
    as_an_adapter(h, NULL);
}
static void wrong_node(struct request_header *h)
{
    as_a_stranger(h, NULL);
    for_another_subsystem(h, NULL); /* of the same member, or it could not even be written */
}
static void wrong_instance(struct request_header *h)
{
    in_other_instance(h, NULL);
}

static const struct fault faults[] = {
    {wrong_id, OUTCOME_MALFORMED, "id-time"},
    {wrong_expiry, OUTCOME_EXPIRED, "expired"},
    {wrong_issue, OUTCOME_EXPIRED, "not-yet"},
    {wrong_subsystem, OUTCOME_WRONG_SENDER, "subsystem"},
    {wrong_role, OUTCOME_WRONG_SENDER, "role"},
    {wrong_node, OUTCOME_WRONG_SENDER, "node-unknown"},
    {wrong_instance, OUTCOME_UNKNOWN_SERVICE, "instance"},
};

static void spoil_up_to(struct request_header *h, void *ctx)
{
    for (int i = 0; i <= *(int *)ctx; i++) {
        faults[i].spoil(h);
    }
}

static void test_request__is_told_its_first_fault(void **state)
{
    (void)state;
    struct key_pair *wrong = &yz_world_node(w, "CN/@b1")->signing;
    for (int i = 0; i < (int)(sizeof faults / sizeof *faults); i++) {
        struct world_request q = {.spoil = spoil_up_to, .ctx = &i, .sign_with = wrong};
        assert_verdict(climb_with(&q), faults[i].status, faults[i].reason);
    }
    struct world_message m;
    yz_world_request(w, &(struct world_request){.sign_with = wrong}, &m);
    ((uint8_t *)m.frame.payload.p)[0] ^= 1;
    m.frame.payload.n--;
    assert_verdict(climb(&m.frame, NULL), OUTCOME_BAD_SIGNATURE, "key");
    yz_world_message_fini(&m);
    yz_world_request(w, &(struct world_request){0}, &m);
    ((uint8_t *)m.frame.payload.p)[0] ^= 1;
    m.frame.payload.n--;
    assert_verdict(climb(&m.frame, NULL), OUTCOME_MALFORMED, "length");
    yz_world_message_fini(&m);
}

/* -- responses -- */

struct exchange {
    struct world_message request;
    struct request_header header;
};

static void exchange_init(struct exchange *x)
{
    yz_world_request(w, &(struct world_request){0}, &x->request);
    assert_int_equal(yzi_request_header_parse(x->request.frame.header, &x->header), 0);
}

static int verify_response(const struct exchange *x, const struct frame *f, const char *peer)
{
    struct verified_response out;
    struct directory_node p;
    if (peer) {
        p = peer_of(peer);
    }
    return yzi_response_verify(&judge, NULL, f, &x->header, &x->request.digest, peer ? &p : NULL,
                               &out);
}

static int respond(const struct exchange *x, const struct world_response *r)
{
    struct world_message m;
    yz_world_response(w, r, &x->request.frame, &m);
    int rc = verify_response(x, &m.frame, NULL);
    yz_world_message_fini(&m);
    return rc;
}

static void test_response__good_ones_pass_and_open(void **state)
{
    (void)state;
    struct exchange x;
    struct world_message m;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    struct plain plain;
    exchange_init(&x);
    for (int i = 0; i < 2; i++) {
        const char *id = i ? "CN/GOV/MCA/@a2" : "CN/GOV/MCA/@a1";
        yz_world_buf(&text);
        struct world_response r = {.adapter = yz_world_node(w, id), .body = yzi_bytes_str("yes")};
        yz_world_response(w, &r, &x.request.frame, &m);
        assert_int_equal(verify_response(&x, &m.frame, id), 0);
        assert_int_equal(verify_response(&x, &m.frame, NULL), 0);
        yz_world_open_response(w, yz_world_node(w, "CN/GOV/HB/@w1"), &x.request.frame, &m.frame,
                               &text);
        assert_int_equal(yzi_plain_parse(yzi_bytes_buf(&text), &plain), 0);
        assert_true(yzi_bytes_eq_str(plain.body, "yes"));
        yz_world_message_fini(&m);
        yzi_buf_fini(&text);
    }
    assert_int_equal(respond(&x, &(struct world_response){.status = RESPONSE_STALE_KEY}), 0);
    yz_world_message_fini(&x.request);
}

static void test_response__no_changed_byte_passes(void **state)
{
    (void)state;
    struct exchange x;
    struct world_message m;
    exchange_init(&x);
    yz_world_response(w, &(struct world_response){0}, &x.request.frame, &m);
    yz_bytes parts[] = {m.frame.header, m.frame.block, m.frame.payload};
    for (size_t p = 0; p < 3; p++) {
        for (size_t i = 0; i < parts[p].n; i++) {
            ((uint8_t *)parts[p].p)[i] ^= 1;
            assert_true(verify_response(&x, &m.frame, NULL) < 0);
            ((uint8_t *)parts[p].p)[i] ^= 1;
        }
    }
    assert_int_equal(verify_response(&x, &m.frame, NULL), 0);
    struct frame f = m.frame;
    f.kind = FRAME_REQUEST;
    assert_int_equal(verify_response(&x, &f, NULL), YZ_EMALFORMED);
    f = m.frame;
    f.payload.n--;
    assert_int_equal(verify_response(&x, &f, NULL), YZ_EMALFORMED);
    yz_world_message_fini(&m);
    yz_world_message_fini(&x.request);
}

static void other_id(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->message_id = yzi_uuid_v7(NOW);
}
static void other_digest(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->request_digest.b[0] ^= 1;
}
static void other_slot(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->slot = 1;
}
static void no_slot(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->slot = 3;
}
static void other_node(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->node.v = yzi_bytes_str("CN/GOV/MCA/@a2");
}
static void from_tomorrow(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->issued_at += YZ_SKEW_MS + 1;
    h->expires_at += YZ_SKEW_MS + 1;
}
static void from_yesterday(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->issued_at = NOW - YZ_SKEW_MS - 10;
    h->expires_at = NOW - YZ_SKEW_MS - 1;
}

static void test_response__answers_this_request_from_its_slot_in_time(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct response_header *h, void *ctx);
        int want;
    } cases[] = {{other_id, YZ_EDENIED},       {other_digest, YZ_EDENIED},
                 {other_slot, YZ_EDENIED},     {no_slot, YZ_EDENIED},
                 {other_node, YZ_EDENIED},     {from_tomorrow, YZ_EEXPIRED},
                 {from_yesterday, YZ_EEXPIRED}};
    struct exchange x, y;
    exchange_init(&x);
    exchange_init(&y);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(respond(&x, &(struct world_response){.spoil = cases[i].spoil}),
                         cases[i].want);
    }
    /* a genuine one to another request, or through another's connection */
    struct world_message m;
    yz_world_response(w, &(struct world_response){0}, &y.request.frame, &m);
    assert_int_equal(verify_response(&x, &m.frame, NULL), YZ_EDENIED);
    assert_int_equal(verify_response(&y, &m.frame, "CN/GOV/MCA/@a2"), YZ_EDENIED);
    assert_int_equal(verify_response(&y, &m.frame, "CN/GOV/MCA/@a1"), 0);
    yz_world_message_fini(&m);
    yz_world_message_fini(&x.request);
    yz_world_message_fini(&y.request);
}

static void test_response__is_signed_by_that_adapter_while_it_lives(void **state)
{
    (void)state;
    struct exchange x;
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1");
    exchange_init(&x);
    struct key_pair *others[] = {&yz_world_node(w, "CN/GOV/MCA/@a2")->signing,
                                 &yz_world_node(w, "CN/@b1")->signing,
                                 &yz_world_node(w, "CN/GOV/HB/@w1")->signing};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(respond(&x, &(struct world_response){.sign_with = others[i]}),
                         YZ_EUNKNOWNKEY);
    }
    struct world_message m;
    yz_world_response(w, &(struct world_response){0}, &x.request.frame, &m);
    a1->not_after = NOW;
    yz_world_change(a1->member);
    publish();
    assert_int_equal(verify_response(&x, &m.frame, NULL), YZ_EEXPIRED);
    a1->not_after = 0;
    a1->codes_n = 0;
    yz_world_change(a1->member);
    publish();
    assert_int_equal(verify_response(&x, &m.frame, NULL), YZ_EDENIED); /* serves that no more */
    yz_world_revoke_node(w, a1->id, NOW);
    publish();
    assert_int_equal(verify_response(&x, &m.frame, NULL), YZ_EUNKNOWNKEY);
    yz_world_message_fini(&m);
    yz_world_message_fini(&x.request);
}

/* A client of the provider's member, put into a slot, is no provider. */
static void test_response__comes_from_an_adapter(void **state)
{
    (void)state;
    struct exchange x;
    struct world_message m;
    exchange_init(&x);
    yz_world_response(w, &(struct world_response){0}, &x.request.frame, &m);
    yz_world_node(w, "CN/GOV/MCA/@a1")->role = ROLE_CLIENT;
    yz_world_change(yz_world_member(w, "CN/GOV/MCA"));
    publish();
    assert_int_equal(verify_response(&x, &m.frame, NULL), YZ_EUNKNOWNKEY);
    yz_world_node(w, "CN/GOV/MCA/@a1")->role = ROLE_ADAPTER;
    yz_world_message_fini(&m);
    yz_world_message_fini(&x.request);
}

/* -- outcomes -- */

static int verify_outcome(const struct exchange *x, const struct frame *f)
{
    struct verified_outcome out;
    return yzi_outcome_verify(&judge, f, &x->header, &x->request.digest, &out);
}

static void test_outcome__comes_from_a_live_broker_that_the_request_names(void **state)
{
    (void)state;
    struct exchange x, y;
    struct world_message m, other;
    struct world_node *b1 = yz_world_node(w, "CN/@b1"), *b3 = yz_world_add_broker(w, "b3");
    publish();
    exchange_init(&x);
    exchange_init(&y);
    yz_world_outcome(w, b1, &x.request.frame, OUTCOME_BUSY, "queue", &m);
    assert_int_equal(verify_outcome(&x, &m.frame), 0);
    assert_int_equal(verify_outcome(&y, &m.frame), YZ_EDENIED);
    yz_world_outcome(w, b3, &x.request.frame, OUTCOME_BUSY, NULL, &other);
    assert_int_equal(verify_outcome(&x, &other.frame), YZ_EDENIED);
    yz_world_message_fini(&other);
    for (size_t p = 0; p < 2; p++) {
        yz_bytes part = p ? m.frame.block : m.frame.header;
        for (size_t i = 0; i < part.n; i++) {
            ((uint8_t *)part.p)[i] ^= 1;
            assert_true(verify_outcome(&x, &m.frame) < 0);
            ((uint8_t *)part.p)[i] ^= 1;
        }
    }
    struct key_pair own = b1->signing;
    b1->signing = yz_world_node(w, "CN/@b2")->signing;
    yz_world_outcome(w, b1, &x.request.frame, OUTCOME_DENIED, NULL, &other);
    assert_int_equal(verify_outcome(&x, &other.frame), YZ_EUNKNOWNKEY);
    b1->signing = own;
    yz_world_message_fini(&other);
    judge.now = NOW - YZ_SKEW_MS - 1;
    assert_int_equal(verify_outcome(&x, &m.frame), YZ_EEXPIRED);
    judge.now = NOW;
    yz_world_revoke_node(w, "CN/@b1", NOW);
    publish();
    assert_int_equal(verify_outcome(&x, &m.frame), YZ_EUNKNOWNKEY);
    assert_int_equal(verify_outcome(&x, &x.request.frame), YZ_EMALFORMED);
    yz_world_message_fini(&m);
    yz_world_message_fini(&x.request);
    yz_world_message_fini(&y.request);
}

/* -- announcements -- */

static int verify_announcement(yz_bytes record)
{
    struct announcement a;
    yz_digest digest;
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, 1u << 16);
    return yzi_announcement_verify(&judge, record, &arena, &a, &digest);
}

static int announce(struct announcement a, struct key_pair *key)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body, record;
    yz_world_buf(&body);
    yz_world_buf(&record);
    int rc = yzi_announcement_write(&a, &body);
    if (rc < 0) {
        return rc;
    }
    assert_int_equal(yzi_record_sign(RECORD_ANNOUNCEMENT, yzi_bytes_buf(&body), &key, 1, &record),
                     0);
    return verify_announcement(yzi_bytes_buf(&record));
}

static void test_announcement__is_the_adapters_and_of_this_day(void **state)
{
    (void)state;
    struct world_node *a1 = yz_world_node(w, "CN/GOV/MCA/@a1");
    const struct epoch *e = yz_world_epoch(w, a1);
    assert_int_equal(verify_announcement(yzi_bytes_buf(&e->record)), 0);
    for (size_t i = 0; i < e->record.n; i++) {
        e->record.p[i] ^= 1;
        assert_true(verify_announcement(yzi_bytes_buf(&e->record)) < 0);
        e->record.p[i] ^= 1;
    }
    assert_int_equal(verify_announcement(yzi_bytes_buf(&w->root)), YZ_EMALFORMED);
    struct announcement a = e->announcement;
    assert_int_equal(announce(a, &a1->signing), 0);
    assert_int_equal(announce(a, &yz_world_node(w, "CN/GOV/MCA/@a2")->signing), YZ_EUNKNOWNKEY);
    a.node = yz_world_node(w, "CN/GOV/HB/@w1")->node;
    assert_int_equal(announce(a, &yz_world_node(w, "CN/GOV/HB/@w1")->signing), YZ_EUNKNOWNKEY);
    a = e->announcement;
    a.not_before = NOW + YZ_SKEW_MS;
    a.not_after = a.not_before + EPOCH_LIFE_MS;
    assert_int_equal(announce(a, &a1->signing), 0);
    a.not_before++;
    assert_int_equal(announce(a, &a1->signing), YZ_EEXPIRED);
    a = e->announcement;
    a.not_after = NOW;
    assert_int_equal(announce(a, &a1->signing), YZ_EEXPIRED);
    a.not_after = NOW + 1;
    assert_int_equal(announce(a, &a1->signing), 0);
    a.not_after = a.not_before + 3 * EPOCH_LIFE_MS; /* a key for ever is no epoch */
    assert_int_equal(announce(a, &a1->signing), YZ_EMALFORMED);
    yz_world_revoke_node(w, a1->id, NOW);
    publish();
    assert_int_equal(verify_announcement(yzi_bytes_buf(&e->record)), YZ_EUNKNOWNKEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_request__good_ones_pass_and_open),
        T(test_request__malformed_ones_say_where),
        T(test_request__no_changed_byte_passes),
        T(test_request__refused_can_be_named),
        T(test_request__of_another_instance_is_unknown),
        T(test_request__comes_from_a_live_client_for_its_subsystem),
        T(test_request__of_a_member_whose_key_ran_out),
        T(test_request__keeps_to_its_time),
        T(test_request__has_an_id_of_its_time),
        T(test_request__is_signed_by_a_key_of_that_node),
        T(test_request__of_a_remembered_batch_has_its_key_checked_again),
        T(test_request__is_told_its_first_fault),
        T(test_response__good_ones_pass_and_open),
        T(test_response__no_changed_byte_passes),
        T(test_response__answers_this_request_from_its_slot_in_time),
        T(test_response__is_signed_by_that_adapter_while_it_lives),
        T(test_response__comes_from_an_adapter),
        T(test_outcome__comes_from_a_live_broker_that_the_request_names),
        T(test_announcement__is_the_adapters_and_of_this_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
