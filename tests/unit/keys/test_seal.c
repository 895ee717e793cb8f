/* SPDX-License-Identifier: Apache-2.0
 *
 * keys/seal.c: both directions against a second implementation, against every single change of what
 * is sealed and of what it is bound to, and the cache of pair keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keys/seal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fixed_key.h"
#include "tests/support/vectors.h"

static struct key_pair consumer, adapter, stranger; /* KEY_SEALING */
static struct seal_pair pair;
static struct seal_context context;
static const uint8_t content_key[32] = {1, 2, 3};
static const yz_node_id recipient = {{(const uint8_t *)"CN/GOV/MCA/@a1", 14}};

static yz_node_id node(const char *s)
{
    return (yz_node_id){yzi_bytes_str(s)};
}

static yz_service_id service(const char *s)
{
    return (yz_service_id){yzi_bytes_str(s)};
}

static int set_up(void **state)
{
    (void)state;
    consumer = yz_numbered_key(KEY_SEALING, 0x11);
    adapter = yz_numbered_key(KEY_SEALING, 0x22);
    stranger = yz_numbered_key(KEY_SEALING, 0x33);
    pair = (struct seal_pair){
        .suite = SUITE_1,
        .consumer = node("CN/GOV/HOUSING/@c1"),
        .adapter = recipient,
        .announcement = {{7}},
    };
    memcpy(pair.consumer_epoch, consumer.public_key, 32);
    memcpy(pair.adapter_epoch, adapter.public_key, 32);
    context = (struct seal_context){
        .kind = FRAME_REQUEST,
        .suite = SUITE_1,
        .message_id = {{9}},
        .sender = node("CN/GOV/HOUSING/@c1"),
        .service = service("CN/GOV/MCA/civil/marriage/v1"),
        .expires_at = 1732279230000,
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    yzi_key_pair_fini(&consumer);
    yzi_key_pair_fini(&adapter);
    yzi_key_pair_fini(&stranger);
    return 0;
}

static void assert_bytes(yz_bytes got, yz_bytes want)
{
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
}

/* -- vectors -- */

static struct vectors *load(void)
{
    struct vectors *v = calloc(1, sizeof *v);
    assert_non_null(v);
    yz_vectors_load(v, "sealing.txt");
    return v;
}

static struct seal_context documented_context(const struct vectors *v)
{
    struct seal_context c = {
        .kind = FRAME_REQUEST,
        .suite = SUITE_1,
        .sender = {yz_vector(v, "consumer.node")},
        .service = {yz_vector(v, "service")},
        .expires_at = yzi_load_u64(yz_vector(v, "expires.at").p),
    };
    memcpy(c.message_id.b, yz_vector(v, "message.id").p, 16);
    return c;
}

static void test_pair_key__is_the_documented_one_at_both_ends(void **state)
{
    (void)state;
    struct vectors *v = load();
    YZ_AUTO(yzi_key_pair_fini)
    struct key_pair c = yz_fixed_key(KEY_SEALING, yz_vector(v, "consumer.secret").p);
    YZ_AUTO(yzi_key_pair_fini)
    struct key_pair a = yz_fixed_key(KEY_SEALING, yz_vector(v, "adapter.secret").p);
    assert_bytes(yzi_bytes(c.public_key, 32), yz_vector(v, "consumer.epoch"));
    assert_bytes(yzi_bytes(a.public_key, 32), yz_vector(v, "adapter.epoch"));
    struct seal_pair p = {
        .suite = SUITE_1,
        .consumer = {yz_vector(v, "consumer.node")},
        .adapter = {yz_vector(v, "adapter.node")},
    };
    memcpy(p.consumer_epoch, c.public_key, 32);
    memcpy(p.adapter_epoch, a.public_key, 32);
    memcpy(p.announcement.b, yz_vector(v, "announcement").p, 32);
    for (int d = SEAL_REQUEST; d <= SEAL_RESPONSE; d++) {
        yz_bytes want = yz_vector(v, d == SEAL_REQUEST ? "pair.request.key" : "pair.response.key");
        uint8_t key[32];
        assert_int_equal(yzi_seal_pair_key(&c, &p, (enum seal_direction)d, key), 0);
        assert_bytes(yzi_bytes(key, 32), want);
        memset(key, 0, sizeof key);
        assert_int_equal(yzi_seal_pair_key(&a, &p, (enum seal_direction)d, key), 0);
        assert_bytes(yzi_bytes(key, 32), want);
    }
    free(v);
}

static void test_wrap__has_the_documented_bytes(void **state)
{
    (void)state;
    struct vectors *v = load();
    const struct seal_context c = documented_context(v);
    const uint8_t *key = yz_vector(v, "pair.request.key").p;
    yz_node_id to = {yz_vector(v, "adapter.node")};
    uint8_t wrapped[YZ_WRAPPED_KEY_BYTES], opened[32];
    assert_int_equal(yzi_wrap_key_with_nonce(key, &c, to, yz_vector(v, "content.key").p,
                                             yz_vector(v, "wrap.nonce").p, wrapped),
                     0);
    assert_bytes(yzi_bytes(wrapped, sizeof wrapped), yz_vector(v, "wrap"));
    assert_int_equal(yzi_unwrap_key(key, &c, to, yz_vector(v, "wrap"), opened), 0);
    assert_bytes(yzi_bytes(opened, 32), yz_vector(v, "content.key"));
    free(v);
}

static void test_payload__has_the_documented_bytes(void **state)
{
    (void)state;
    struct vectors *v = load();
    const struct seal_context c = documented_context(v);
    const uint8_t *key = yz_vector(v, "content.key").p;
    YZ_AUTO(yzi_buf_fini) yz_buf sealed = {0}, opened = {0};
    yzi_buf_init(&sealed, 1024);
    yzi_buf_init(&opened, 1024);
    assert_int_equal(yzi_seal_payload(key, &c, yz_vector(v, "payload.plain"), &sealed), 0);
    assert_bytes(yzi_bytes_buf(&sealed), yz_vector(v, "payload"));
    assert_int_equal(yzi_open_payload(key, &c, yz_vector(v, "payload"), &opened), 0);
    assert_bytes(yzi_bytes_buf(&opened), yz_vector(v, "payload.plain"));
    free(v);
}

/* -- pair keys -- */

static void test_pair_key__depends_on_everything_it_is_bound_to(void **state)
{
    (void)state;
    struct seal_pair p[6];
    uint8_t keys[7][32];
    for (unsigned i = 0; i < 6; i++) {
        p[i] = pair;
    }
    p[0].consumer = node("CN/GOV/HOUSING/@c2");
    p[1].adapter = node("CN/GOV/MCA/@a2");
    p[2].announcement.b[31] ^= 1;
    /* the same bytes, cut elsewhere between the two ids */
    p[3].consumer = node("CN/GOV/HOUSING/@c1C");
    p[3].adapter = node("N/GOV/MCA/@a1");
    memcpy(p[4].adapter_epoch, stranger.public_key, 32);
    assert_int_equal(yzi_seal_pair_key(&consumer, &pair, SEAL_REQUEST, keys[5]), 0);
    assert_int_equal(yzi_seal_pair_key(&consumer, &pair, SEAL_RESPONSE, keys[6]), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(yzi_seal_pair_key(&consumer, &p[i], SEAL_REQUEST, keys[i]), 0);
    }
    for (unsigned i = 0; i < 7; i++) {
        for (unsigned j = 0; j < i; j++) {
            assert_memory_not_equal(keys[i], keys[j], 32);
        }
    }
    /* roles do not turn round: the consumer's key as the adapter's is another pair */
    p[5].consumer = pair.adapter;
    p[5].adapter = pair.consumer;
    memcpy(p[5].consumer_epoch, pair.adapter_epoch, 32);
    memcpy(p[5].adapter_epoch, pair.consumer_epoch, 32);
    assert_int_equal(yzi_seal_pair_key(&consumer, &p[5], SEAL_RESPONSE, keys[0]), 0);
    assert_memory_not_equal(keys[0], keys[5], 32);
    assert_memory_not_equal(keys[0], keys[6], 32);
}

static void test_pair_key__refuses_points_of_small_order(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct seal_cache *cache;
    assert_int_equal(yzi_seal_cache_new(2, &cache), 0);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        for (unsigned high = 0; high < 2; high++) {
            struct seal_pair p = pair;
            uint8_t key[32] = {0};
            const uint8_t *cached = NULL;
            assert_int_equal(yzi_hex_decode(yzi_bytes_str(points[i]), p.adapter_epoch, 32), 0);
            p.adapter_epoch[31] |= (uint8_t)(high << 7); /* X25519 ignores this bit */
            assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, key), YZ_ESIGNATURE);
            assert_true(yzi_bytes_is_zero(yzi_bytes(key, 32)));
            assert_int_equal(yzi_seal_cache_get(cache, &consumer, &p, SEAL_REQUEST, 1, &cached),
                             YZ_ESIGNATURE);
            assert_null(cached);
            assert_int_equal(yzi_seal_cache_count(cache), 0);
        }
    }
    yzi_seal_cache_free(cache);
}

static void test_pair_key__is_made_by_one_of_its_two_ends(void **state)
{
    (void)state;
    uint8_t key[32];
    char longest[YZ_ID_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[YZ_ID_MAX + 1] = '\0';
    assert_int_equal(yzi_seal_pair_key(&stranger, &pair, SEAL_REQUEST, key), YZ_EINVAL);
    YZ_AUTO(yzi_key_pair_fini) struct key_pair transport = yz_numbered_key(KEY_TRANSPORT, 0x11);
    assert_int_equal(yzi_seal_pair_key(&transport, &pair, SEAL_REQUEST, key), YZ_EINVAL);
    struct seal_pair p = pair;
    memcpy(p.adapter_epoch, p.consumer_epoch, 32);
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, key), YZ_EINVAL);
    for (int d = -1; d <= 4; d++) {
        int want = d == SEAL_REQUEST || d == SEAL_RESPONSE ? 0 : YZ_EINVAL;
        assert_int_equal(yzi_seal_pair_key(&consumer, &pair, (enum seal_direction)d, key), want);
    }
    p = pair;
    p.suite = 2;
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, key), YZ_EVERSION);
    p = pair;
    p.adapter = node("");
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, key), YZ_EINVAL);
    p.adapter = node(longest);
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, key), YZ_EINVAL);
    p.adapter = p.consumer = node(longest + 1);
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, key), 0);
}

/* -- what everything sealed is bound to -- */

#define CONTEXTS 8u

/* Contexts that each differ from `context` in one thing. */
static void other_contexts(struct seal_context out[CONTEXTS])
{
    for (unsigned i = 0; i < CONTEXTS; i++) {
        out[i] = context;
    }
    out[0].kind = FRAME_RESPONSE;
    out[1].message_id.b[15] ^= 1;
    out[2].sender = node("CN/GOV/HOUSING/@c2");
    out[3].service = service("CN/GOV/MCA/civil/marriage/v2");
    out[4].expires_at++;
    out[5].expires_at ^= UINT64_C(1) << 63;
    /* the same bytes, cut elsewhere between the two ids */
    out[6].sender = node("CN/GOV/HOUSING/@c1C");
    out[6].service = service("N/GOV/MCA/civil/marriage/v1");
    out[7].sender = node("CN/GOV/HOUSING/@c");
}

static void test_payload__refuses_every_flipped_bit_and_truncation(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf sealed = {0}, opened = {0};
    yzi_buf_init(&sealed, 4096);
    yzi_buf_init(&opened, 4096);
    yz_bytes plain = yzi_bytes_str("what nobody else may read");
    assert_int_equal(yzi_seal_payload(content_key, &context, plain, &sealed), 0);
    assert_int_equal(sealed.n, plain.n + YZ_SEAL_TAG);
    assert_int_equal(yzi_buf_put_str(&opened, "kept"), 0);
    for (size_t bit = 0; bit < sealed.n * 8; bit++) {
        sealed.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(yzi_open_payload(content_key, &context, yzi_bytes_buf(&sealed), &opened),
                         YZ_ESIGNATURE);
        assert_int_equal(opened.n, 4);
        sealed.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t n = 0; n < sealed.n; n++) {
        assert_int_equal(yzi_open_payload(content_key, &context, yzi_bytes(sealed.p, n), &opened),
                         YZ_ESIGNATURE);
    }
    uint8_t wrong[32];
    for (unsigned bit = 0; bit < 256; bit++) {
        memcpy(wrong, content_key, 32);
        wrong[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(yzi_open_payload(wrong, &context, yzi_bytes_buf(&sealed), &opened),
                         YZ_ESIGNATURE);
    }
    assert_int_equal(yzi_open_payload(content_key, &context, yzi_bytes_buf(&sealed), &opened), 0);
    assert_bytes(yzi_bytes(opened.p, 4), yzi_bytes_str("kept"));
    assert_bytes(yzi_bytes(opened.p + 4, opened.n - 4), plain);
}

static void test_payload__is_bound_to_its_message(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf sealed = {0}, opened = {0};
    yzi_buf_init(&sealed, 4096);
    yzi_buf_init(&opened, 4096);
    struct seal_context others[CONTEXTS];
    other_contexts(others);
    assert_int_equal(yzi_seal_payload(content_key, &context, yzi_bytes_str("x"), &sealed), 0);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        assert_int_equal(yzi_open_payload(content_key, &others[i], yzi_bytes_buf(&sealed), &opened),
                         YZ_ESIGNATURE);
    }
    assert_int_equal(opened.n, 0);
}

static void test_payload__may_be_empty_and_must_fit(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf sealed = {0}, opened = {0};
    yzi_buf_init(&sealed, 20);
    yzi_buf_init(&opened, 3);
    assert_int_equal(yzi_seal_payload(content_key, &context, yzi_bytes(NULL, 0), &sealed), 0);
    assert_int_equal(sealed.n, YZ_SEAL_TAG);
    assert_int_equal(yzi_open_payload(content_key, &context, yzi_bytes_buf(&sealed), &opened), 0);
    assert_int_equal(opened.n, 0);
    assert_int_equal(yzi_seal_payload(content_key, &context, yzi_bytes_str("x"), &sealed),
                     YZ_ELIMIT);
    assert_int_equal(sealed.n, YZ_SEAL_TAG);
    yzi_buf_clear(&sealed);
    assert_int_equal(yzi_seal_payload(content_key, &context, yzi_bytes_str("four"), &sealed), 0);
    assert_int_equal(yzi_open_payload(content_key, &context, yzi_bytes_buf(&sealed), &opened),
                     YZ_ELIMIT);
}

static void test_wrap__refuses_every_flipped_bit_and_other_length(void **state)
{
    (void)state;
    uint8_t pair_key[32] = {5}, wrapped[YZ_WRAPPED_KEY_BYTES + 1] = {0}, opened[32] = {0};
    yz_bytes whole = yzi_bytes(wrapped, YZ_WRAPPED_KEY_BYTES);
    assert_int_equal(yzi_wrap_key(pair_key, &context, recipient, content_key, wrapped), 0);
    for (size_t bit = 0; bit < whole.n * 8; bit++) {
        wrapped[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(yzi_unwrap_key(pair_key, &context, recipient, whole, opened),
                         YZ_ESIGNATURE);
        wrapped[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t n = 0; n <= sizeof wrapped; n++) {
        if (n != whole.n) {
            assert_int_equal(
                yzi_unwrap_key(pair_key, &context, recipient, yzi_bytes(wrapped, n), opened),
                YZ_ESIGNATURE);
        }
    }
    pair_key[31] ^= 0x80;
    assert_int_equal(yzi_unwrap_key(pair_key, &context, recipient, whole, opened), YZ_ESIGNATURE);
    pair_key[31] ^= 0x80;
    assert_true(yzi_bytes_is_zero(yzi_bytes(opened, 32))); /* written only on success */
    assert_int_equal(yzi_unwrap_key(pair_key, &context, recipient, whole, opened), 0);
    assert_memory_equal(opened, content_key, 32);
}

static void test_wrap__is_bound_to_its_message_and_recipient(void **state)
{
    (void)state;
    const uint8_t pair_key[32] = {5};
    uint8_t wrapped[YZ_WRAPPED_KEY_BYTES], opened[32];
    yz_bytes whole = yzi_bytes(wrapped, sizeof wrapped);
    struct seal_context others[CONTEXTS];
    other_contexts(others);
    assert_int_equal(yzi_wrap_key(pair_key, &context, recipient, content_key, wrapped), 0);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        assert_int_equal(yzi_unwrap_key(pair_key, &others[i], recipient, whole, opened),
                         YZ_ESIGNATURE);
    }
    assert_int_equal(yzi_unwrap_key(pair_key, &context, node("CN/GOV/MCA/@a2"), whole, opened),
                     YZ_ESIGNATURE);
    /* a wrap is no payload, though both are sealed under a key the attacker may make coincide */
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    yzi_buf_init(&out, 256);
    static const uint8_t zero[24];
    assert_int_equal(
        yzi_wrap_key_with_nonce(pair_key, &context, recipient, content_key, zero, wrapped), 0);
    assert_int_equal(yzi_open_payload(pair_key, &context, yzi_bytes(wrapped + 24, 48), &out),
                     YZ_ESIGNATURE);
}

static void test_wrap__never_repeats_a_nonce(void **state)
{
    (void)state;
    const uint8_t pair_key[32] = {5};
    uint8_t a[YZ_WRAPPED_KEY_BYTES], b[YZ_WRAPPED_KEY_BYTES];
    assert_int_equal(yzi_wrap_key(pair_key, &context, recipient, content_key, a), 0);
    assert_int_equal(yzi_wrap_key(pair_key, &context, recipient, content_key, b), 0);
    assert_memory_not_equal(a, b, 24);
    assert_memory_not_equal(a + 24, b + 24, 32);
}

static void test_sealing__refuses_contexts_it_does_not_know(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf out = {0};
    yzi_buf_init(&out, 256);
    const uint8_t pair_key[32] = {5};
    uint8_t wrapped[YZ_WRAPPED_KEY_BYTES] = {0}, opened[32];
    struct {
        struct seal_context c;
        int want;
    } bad[4] = {
        {context, YZ_EVERSION}, {context, YZ_EINVAL}, {context, YZ_EINVAL}, {context, YZ_EINVAL}};
    bad[0].c.suite = 2;
    bad[1].c.kind = FRAME_OUTCOME;
    bad[2].c.sender = node("");
    bad[3].c.service = service("");
    for (unsigned i = 0; i < 4; i++) {
        yz_bytes whole = yzi_bytes(wrapped, sizeof wrapped);
        assert_int_equal(yzi_seal_payload(content_key, &bad[i].c, whole, &out), bad[i].want);
        assert_int_equal(yzi_open_payload(content_key, &bad[i].c, whole, &out), bad[i].want);
        assert_int_equal(yzi_wrap_key(pair_key, &bad[i].c, recipient, content_key, wrapped),
                         bad[i].want);
        assert_int_equal(yzi_unwrap_key(pair_key, &bad[i].c, recipient, whole, opened),
                         bad[i].want);
    }
    assert_int_equal(yzi_wrap_key(pair_key, &context, node(""), content_key, wrapped), YZ_EINVAL);
    assert_int_equal(out.n, 0);
}

/* -- the cache -- */

/* The pair whose announcement starts with n. */
static struct seal_pair numbered(uint8_t n)
{
    struct seal_pair p = pair;
    p.announcement.b[0] = n;
    return p;
}

static const uint8_t *get(struct seal_cache *c, uint8_t n, uint64_t expires_at)
{
    const struct seal_pair p = numbered(n);
    const uint8_t *key;
    assert_int_equal(yzi_seal_cache_get(c, &consumer, &p, SEAL_REQUEST, expires_at, &key), 0);
    return key;
}

/* Whether the key was there (in a cache with room); checks in either case that it is right. */
static bool is_cached(struct seal_cache *c, uint8_t n)
{
    size_t before = yzi_seal_cache_count(c);
    const struct seal_pair p = numbered(n);
    const uint8_t *key, *slot = get(c, n, UINT64_MAX);
    bool cached = yzi_seal_cache_count(c) == before;
    uint8_t want[32];
    assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, want), 0);
    assert_memory_equal(slot, want, 32);
    assert_int_equal(yzi_seal_cache_get(c, &consumer, &p, SEAL_REQUEST, 0, &key), 0);
    assert_ptr_equal(key, slot);
    return cached;
}

static void test_cache__gives_the_pair_key_of_either_direction(void **state)
{
    (void)state;
    struct seal_cache *c;
    assert_int_equal(yzi_seal_cache_new(4, &c), 0);
    for (int d = SEAL_REQUEST; d <= SEAL_RESPONSE; d++) {
        uint8_t want[32];
        const uint8_t *mine, *theirs;
        assert_int_equal(yzi_seal_pair_key(&consumer, &pair, (enum seal_direction)d, want), 0);
        assert_int_equal(yzi_seal_cache_get(c, &consumer, &pair, (enum seal_direction)d, 10, &mine),
                         0);
        assert_memory_equal(mine, want, 32);
        assert_int_equal(
            yzi_seal_cache_get(c, &adapter, &pair, (enum seal_direction)d, 10, &theirs), 0);
        assert_ptr_equal(mine, theirs);
    }
    assert_int_equal(yzi_seal_cache_count(c), 2);
    const uint8_t *key = NULL;
    assert_int_equal(yzi_seal_cache_get(c, &stranger, &pair, SEAL_REQUEST, 10, &key), YZ_EINVAL);
    assert_null(key); /* though the key is there */
    yzi_seal_cache_free(c);
    yzi_seal_cache_free(NULL);
    assert_int_equal(yzi_seal_cache_new(0, &c), YZ_EINVAL);
}

static void test_cache__drops_the_least_recently_used(void **state)
{
    (void)state;
    struct seal_cache *c;
    assert_int_equal(yzi_seal_cache_new(3, &c), 0);
    get(c, 1, 10); /* which ones are left shows in what expires */
    get(c, 2, 20);
    get(c, 3, 30);
    get(c, 1, 99); /* the first bound counts; the least recently used is now 2 */
    get(c, 4, 40);
    assert_int_equal(yzi_seal_cache_count(c), 3);
    yzi_seal_cache_expire(c, 10); /* 1 was kept, and is over */
    assert_int_equal(yzi_seal_cache_count(c), 2);
    yzi_seal_cache_expire(c, 29); /* 2 had gone */
    assert_int_equal(yzi_seal_cache_count(c), 2);
    yzi_seal_cache_expire(c, 30);
    assert_int_equal(yzi_seal_cache_count(c), 1);
    assert_true(is_cached(c, 4));
    assert_false(is_cached(c, 2));
    yzi_seal_cache_free(c);
}

static void test_cache__holds_one(void **state)
{
    (void)state;
    struct seal_cache *c;
    assert_int_equal(yzi_seal_cache_new(1, &c), 0);
    for (unsigned i = 0; i < 20; i++) {
        const struct seal_pair p = numbered((uint8_t)(i % 3));
        uint8_t want[32];
        assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, want), 0);
        assert_memory_equal(get(c, (uint8_t)(i % 3), 5), want, 32);
        assert_int_equal(yzi_seal_cache_count(c), 1);
    }
    yzi_seal_cache_free(c);
}

static void test_cache__wipes_what_is_over(void **state)
{
    (void)state;
    struct seal_cache *c;
    assert_int_equal(yzi_seal_cache_new(8, &c), 0);
    const uint8_t *slots[8];
    for (uint8_t n = 0; n < 8; n++) {
        slots[n] = get(c, n, 100u + n);
    }
    yzi_seal_cache_expire(c, 99);
    assert_int_equal(yzi_seal_cache_count(c), 8);
    yzi_seal_cache_expire(c, 103);
    assert_int_equal(yzi_seal_cache_count(c), 4);
    for (uint8_t n = 0; n < 8; n++) { /* the slab stays readable */
        assert_int_equal(yzi_bytes_is_zero(yzi_bytes(slots[n], 32)), n < 4);
    }
    for (uint8_t n = 4; n < 8; n++) {
        assert_ptr_equal(get(c, n, 0), slots[n]);
    }
    yzi_seal_cache_expire(c, UINT64_MAX);
    assert_int_equal(yzi_seal_cache_count(c), 0);
    yzi_seal_cache_free(c);
}

/* A busy cache against the plain derivation, with random use and expiry. */
static void test_cache__is_always_right(void **state)
{
    (void)state;
    struct seal_cache *c;
    uint8_t want[32][32], choice[2000];
    const uint8_t seed[randombytes_SEEDBYTES] = {1};
    randombytes_buf_deterministic(choice, sizeof choice, seed);
    for (uint8_t n = 0; n < 32; n++) {
        const struct seal_pair p = numbered(n);
        assert_int_equal(yzi_seal_pair_key(&consumer, &p, SEAL_REQUEST, want[n]), 0);
    }
    assert_int_equal(yzi_seal_cache_new(7, &c), 0);
    for (size_t i = 0; i < sizeof choice; i++) {
        uint8_t n = choice[i] & 31;
        assert_memory_equal(get(c, n, i + (choice[i] >> 5)), want[n], 32);
        assert_in_range(yzi_seal_cache_count(c), 1, 7);
        if (i % 5 == 0) {
            yzi_seal_cache_expire(c, i);
        }
    }
    yzi_seal_cache_free(c);
}

static int use_cache(void *ctx)
{
    (void)ctx;
    struct seal_cache *c = NULL;
    const uint8_t *key;
    int rc = yzi_seal_cache_new(2, &c);
    for (uint8_t n = 0; n < 4 && rc == 0; n++) {
        const struct seal_pair p = numbered(n);
        rc = yzi_seal_cache_get(c, &consumer, &p, SEAL_REQUEST, 1, &key);
    }
    yzi_seal_cache_free(c);
    return rc;
}

static void test_cache__survives_want_of_memory(void **state)
{
    (void)state;
    assert_true(yz_alloc_fail_each(use_cache, NULL) > 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_key__is_the_documented_one_at_both_ends),
        cmocka_unit_test(test_wrap__has_the_documented_bytes),
        cmocka_unit_test(test_payload__has_the_documented_bytes),
        cmocka_unit_test(test_pair_key__depends_on_everything_it_is_bound_to),
        cmocka_unit_test(test_pair_key__refuses_points_of_small_order),
        cmocka_unit_test(test_pair_key__is_made_by_one_of_its_two_ends),
        cmocka_unit_test(test_payload__refuses_every_flipped_bit_and_truncation),
        cmocka_unit_test(test_payload__is_bound_to_its_message),
        cmocka_unit_test(test_payload__may_be_empty_and_must_fit),
        cmocka_unit_test(test_wrap__refuses_every_flipped_bit_and_other_length),
        cmocka_unit_test(test_wrap__is_bound_to_its_message_and_recipient),
        cmocka_unit_test(test_wrap__never_repeats_a_nonce),
        cmocka_unit_test(test_sealing__refuses_contexts_it_does_not_know),
        cmocka_unit_test(test_cache__gives_the_pair_key_of_either_direction),
        cmocka_unit_test(test_cache__drops_the_least_recently_used),
        cmocka_unit_test(test_cache__holds_one),
        cmocka_unit_test(test_cache__wipes_what_is_over),
        cmocka_unit_test(test_cache__is_always_right),
        cmocka_unit_test(test_cache__survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
