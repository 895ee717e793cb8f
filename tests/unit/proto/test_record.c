/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/record.c: frame and armour; and what holds for the bodies of all kinds alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/text.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/records.h"

static void sample(enum record_kind kind, yz_buf *out)
{
    yzi_buf_init(out, YZ_RECORD_MAX);
    assert_int_equal(yz_record_sample(kind, out), 0);
}

static void signed_sample(enum record_kind kind, yz_buf *out)
{
    yzi_buf_init(out, YZ_RECORD_MAX);
    assert_int_equal(yz_record_sample_signed(kind, out), 0);
}

/* -- frame -- */

static void test_record__keeps_what_was_written(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf raw, body;
        signed_sample(kind, &raw);
        sample(kind, &body);
        struct record r;
        assert_int_equal(yzi_record_parse(yzi_bytes_buf(&raw), &r), 0);
        assert_int_equal(r.kind, kind);
        assert_true(yzi_bytes_eq(r.body, yzi_bytes_buf(&body)));
        assert_true(r.raw.p == raw.p && r.raw.n == raw.n);
        assert_int_equal(r.signatures_n, 2);
        assert_int_equal(r.signatures[1].key.n, 32);
        assert_int_equal(r.signatures[1].key.p[0], 0xf2);
        assert_int_equal(r.signatures[1].signature.n, 64);
        assert_int_equal(r.signatures[1].signature.p[63], 0x5b);
    }
}

static void test_record__has_the_documented_layout(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, 1000);
    assert_int_equal(yzi_record_write(RECORD_OFFER, yzi_bytes_str("body"), NULL, 0, &out), 0);
    assert_int_equal(out.n, 14);
    assert_memory_equal(out.p,
                        "YR\x01\x09\0\0\0\x04"
                        "body\0\0",
                        14);
    yz_digest digest, want;
    yzi_record_digest(yzi_bytes_buf(&out), &digest);
    crypto_hash_sha256(want.b, out.p, out.n);
    assert_true(yzi_digest_eq(&digest, &want));
}

static void test_record__refuses_every_truncation_and_trailing_bytes(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf raw;
    signed_sample(RECORD_FRESHNESS, &raw);
    struct record r;
    for (size_t n = 0; n < raw.n; n++) {
        assert_int_equal(yzi_record_parse(yzi_bytes(raw.p, n), &r), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_buf_put_u8(&raw, 0), 0);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&raw), &r), YZ_EMALFORMED);
}

static void test_record__refuses_a_foreign_frame(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf raw;
    signed_sample(RECORD_FRESHNESS, &raw);
    static const struct {
        size_t at;
        uint8_t value;
        int want;
    } cases[] = {
        {0, 'y', YZ_EMALFORMED}, {1, 'Z', YZ_EMALFORMED}, {2, 0, YZ_EVERSION},
        {2, 2, YZ_EVERSION},     {3, 0, YZ_EMALFORMED},   {3, KIND_LAST + 1, YZ_EMALFORMED},
        {3, 255, YZ_EMALFORMED}, {4, 1, YZ_ETOOBIG},      {5, 4, YZ_ETOOBIG},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct record r;
        uint8_t was = raw.p[cases[i].at];
        raw.p[cases[i].at] = cases[i].value;
        assert_int_equal(yzi_record_parse(yzi_bytes_buf(&raw), &r), cases[i].want);
        raw.p[cases[i].at] = was;
    }
}

static void test_record__counts_signatures_by_distinct_keys(void **state)
{
    (void)state;
    uint8_t keys[YZ_RECORD_SIGNATURES_MAX + 1][32], signature[64] = {0};
    struct record_signature s[YZ_RECORD_SIGNATURES_MAX + 1];
    for (unsigned i = 0; i < COUNT(s); i++) {
        memset(keys[i], (int)i + 1, 32);
        s[i].key = yzi_bytes(keys[i], 32);
        s[i].signature = yzi_bytes(signature, 64);
    }
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, YZ_RECORD_MAX);
    yz_bytes body = yzi_bytes_str("b");
    struct record r;
    assert_int_equal(yzi_record_write(RECORD_ROOT, body, s, COUNT(s), &out), YZ_ELIMIT);
    assert_int_equal(yzi_record_write(RECORD_ROOT, body, s, YZ_RECORD_SIGNATURES_MAX, &out), 0);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), 0);
    assert_int_equal(r.signatures_n, YZ_RECORD_SIGNATURES_MAX);
    memcpy(out.p + 8 + 1 + 2 + 5 * 96, keys[2], 32); /* signature 5 by the key of signature 2 */
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), YZ_EMALFORMED);
    out.p[8 + 1 + 1] = YZ_RECORD_SIGNATURES_MAX + 1;
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), YZ_ELIMIT);
    yzi_buf_clear(&out);
    memcpy(keys[1], keys[0], 32);
    assert_int_equal(yzi_record_write(RECORD_ROOT, body, s, 2, &out), YZ_EINVAL);
    s[0].signature.n = 63;
    assert_int_equal(yzi_record_write(RECORD_ROOT, body, s, 1, &out), YZ_EINVAL);
    assert_int_equal(out.n, 0);
}

static void test_record__writes_nothing_beyond_the_limits(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, YZ_RECORD_MAX);
    assert_non_null(big);
    uint8_t key[32] = {1}, signature[64] = {0};
    struct record_signature s = {yzi_bytes(key, 32), yzi_bytes(signature, 64)};
    struct record r;
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, 2 * YZ_RECORD_MAX);
    size_t most = YZ_RECORD_MAX - 10;
    assert_int_equal(yzi_record_write(RECORD_OFFER, yzi_bytes(big, most), &s, 1, &out), YZ_ETOOBIG);
    assert_int_equal(yzi_record_write(RECORD_OFFER, yzi_bytes(big, most + 1), NULL, 0, &out),
                     YZ_ETOOBIG);
    assert_int_equal(yzi_record_write(RECORD_OFFER, yzi_bytes(big, most), NULL, 0, &out), 0);
    assert_int_equal(out.n, YZ_RECORD_MAX);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), 0);
    /* a signature more, and the whole is beyond the limit although the body is not */
    out.p[out.n - 1] = 1;
    assert_int_equal(yzi_buf_put(&out, s.key), 0);
    assert_int_equal(yzi_buf_put(&out, s.signature), 0);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&out), &r), YZ_ETOOBIG);
    yzi_buf_fini(&out);
    yzi_buf_init(&out, 13);
    assert_int_equal(yzi_record_write(RECORD_OFFER, yzi_bytes(big, 4), NULL, 0, &out), YZ_ELIMIT);
    assert_int_equal(out.n, 0);
    assert_int_equal(
        yzi_record_write((enum record_kind)(KIND_LAST + 1), yzi_bytes(big, 1), NULL, 0, &out),
        YZ_EINVAL);
    free(big);
}

static void test_record__comes_off_a_concatenation_one_by_one(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf all;
    yzi_buf_init(&all, 11 * YZ_RECORD_MAX);
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        assert_int_equal(yz_record_sample_signed(kind, &all), 0);
    }
    yz_reader r = yzi_reader(yzi_bytes_buf(&all));
    struct record record;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        assert_int_equal(yzi_record_next(&r, &record), 0);
        assert_int_equal(record.kind, kind);
    }
    assert_int_equal(yzi_read_end(&r), 0);
    size_t last = record.raw.n;
    r = yzi_reader(yzi_bytes(all.p, all.n - 1));
    for (enum record_kind kind = KIND_FIRST; kind < KIND_LAST; kind++) {
        assert_int_equal(yzi_record_next(&r, &record), 0);
    }
    assert_int_equal(yzi_record_next(&r, &record), YZ_EMALFORMED);
    assert_int_equal(r.left, last - 1); /* nothing was consumed */
    assert_int_equal(record.kind, KIND_LAST - 1);
}

static void test_record__names_its_kinds(void **state)
{
    (void)state;
    assert_string_equal(yzi_record_kind_name(RECORD_ROOT), "root");
    assert_string_equal(yzi_record_kind_name(RECORD_MEMBER_SET), "member-set");
    assert_string_equal(yzi_record_kind_name(RECORD_NODE_REQUEST), "node-request");
    assert_string_equal(yzi_record_kind_name(RECORD_PURPOSES), "purposes");
    assert_string_equal(yzi_record_kind_name(0), "?");
    assert_string_equal(yzi_record_kind_name(KIND_LAST + 1), "?");
    assert_string_equal(yzi_record_kind_name(UINT32_MAX), "?");
}

/* -- armour -- */

static void test_armour__returns_the_same_bytes(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf raw, text, back;
        signed_sample(kind, &raw);
        yzi_buf_init(&text, 1 << 20);
        yzi_buf_init(&back, YZ_RECORD_MAX);
        assert_int_equal(yzi_record_armour(yzi_bytes_buf(&raw), &text), 0);
        assert_int_equal(yzi_record_dearmour(yzi_bytes_buf(&text), &back), 0);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&back), yzi_bytes_buf(&raw)));
        yzi_buf_clear(&back);
        assert_int_equal(text.p[text.n - 1], '\n');
        assert_int_equal(yzi_record_dearmour(yzi_bytes(text.p, text.n - 1), &back), 0);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&back), yzi_bytes_buf(&raw)));
    }
}

static void test_armour__is_the_documented_text(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf raw, text;
    yzi_buf_init(&raw, 1000);
    yzi_buf_init(&text, 1000);
    yz_bytes body = yzi_bytes_str("a body of forty bytes and a little more.");
    assert_int_equal(yzi_record_write(RECORD_MEMBER_SET, body, NULL, 0, &raw), 0);
    assert_int_equal(yzi_record_armour(yzi_bytes_buf(&raw), &text), 0);
    assert_true(yzi_bytes_eq_str(
        yzi_bytes_buf(&text), "-----BEGIN YIZHAN MEMBER SET-----\n"
                              "WVIBAwAAAChhIGJvZHkgb2YgZm9ydHkgYnl0ZXMgYW5kIGEgbGl0dGxlIG1vcmUu\n"
                              "AAA=\n"
                              "-----END YIZHAN MEMBER SET-----\n"));
}

static void test_armour__accepts_only_its_own_text(void **state)
{
    (void)state;
    static const char head[] = "-----BEGIN YIZHAN OFFER-----\n",
                      tail[] = "-----END YIZHAN OFFER-----";
    static const char *const cases[] = {
        "",
        "\n",
        "-----BEGIN YIZHAN OFFER-----",
        "-----BEGIN YIZHAN OFFER-----\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAA=\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN TERMS-----\n",
        "-----BEGIN YIZHAN TERMS-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN TERMS-----\n",
        "-----BEGIN YIZHAN PARCEL-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN PARCEL-----\n",
        "-----BEGIN YIZHAN ?-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN ?-----\n",
        "-----BEGIN YIZHAN offer-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN offer-----\n",
        " -----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\r\nWVIBCQAAAAFiAAA=\r\n-----END YIZHAN OFFER-----\r\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN OFFER-----\n\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAA=\n-----END YIZHAN OFFER-----x",
        "-----BEGIN YIZHAN OFFER-----\n\nWVIBCQAAAAFiAAA=\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAA=\n\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIB\nCQAAAAFiAAA=\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAA\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFiAAB=\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\nWVIBCQAAAAFi\n-----END YIZHAN OFFER-----\n",
        "-----BEGIN YIZHAN OFFER-----\n WVIBCQAAAAFiAAA=\n-----END YIZHAN OFFER-----\n",
    };
    YZ_AUTO(yzi_buf_fini) yz_buf text, out;
    yzi_buf_init(&text, 1000);
    yzi_buf_init(&out, 1000);
    assert_int_equal(yzi_buf_printf(&text, "%sWVIBCQAAAAFiAAA=\n%s", head, tail), 0);
    assert_int_equal(yzi_record_dearmour(yzi_bytes_buf(&text), &out), 0);
    assert_int_equal(out.n, 11);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(yzi_record_dearmour(yzi_bytes_str(cases[i]), &out), YZ_EMALFORMED);
        assert_int_equal(out.n, 11);
    }
    for (size_t n = 0; n < text.n; n++) {
        assert_int_equal(yzi_record_dearmour(yzi_bytes(text.p, n), &out), YZ_EMALFORMED);
    }
}

static void test_armour__refuses_lines_of_another_length(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf raw, text, bad, out;
    signed_sample(RECORD_OFFER, &raw);
    yzi_buf_init(&text, 1 << 20);
    yzi_buf_init(&bad, 1 << 20);
    yzi_buf_init(&out, 1 << 20);
    assert_int_equal(yzi_record_armour(yzi_bytes_buf(&raw), &text), 0);
    size_t first = strlen("-----BEGIN YIZHAN OFFER-----\n");
    /* two lines joined; then one cut in two */
    assert_int_equal(yzi_buf_put(&bad, yzi_bytes(text.p, first + 64)), 0);
    assert_int_equal(yzi_buf_put(&bad, yzi_bytes(text.p + first + 65, text.n - first - 65)), 0);
    assert_int_equal(yzi_record_dearmour(yzi_bytes_buf(&bad), &out), YZ_EMALFORMED);
    yzi_buf_clear(&bad);
    assert_int_equal(yzi_buf_put(&bad, yzi_bytes(text.p, first + 32)), 0);
    assert_int_equal(yzi_buf_put_str(&bad, "\n"), 0);
    assert_int_equal(yzi_buf_put(&bad, yzi_bytes(text.p + first + 32, text.n - first - 32)), 0);
    assert_int_equal(yzi_record_dearmour(yzi_bytes_buf(&bad), &out), YZ_EMALFORMED);
    yzi_buf_fini(&out);
    yzi_buf_init(&out, raw.n - 1);
    assert_int_equal(yzi_record_dearmour(yzi_bytes_buf(&text), &out), YZ_ELIMIT);
    yzi_buf_fini(&text);
    yzi_buf_init(&text, 100);
    assert_int_equal(yzi_record_armour(yzi_bytes_buf(&raw), &text), YZ_ELIMIT);
    assert_int_equal(text.n, 0);
    assert_int_equal(yzi_record_armour(yzi_bytes(raw.p, raw.n - 1), &text), YZ_EMALFORMED);
}

/* -- vectors: written by tests/data/vectors/records.py, which shares no code with proto/ -- */

static void read_vector(const char *name, yz_buf *out)
{
    char path[512];
    snprintf(path, sizeof path, "%s/vectors/records/%s.txt", YZ_TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t part[4096];
    yzi_buf_init(out, 1 << 20);
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) {
        assert_int_equal(yzi_buf_put(out, yzi_bytes(part, n)), 0);
    }
    fclose(f);
}

static void test_vectors__are_what_is_written_and_read(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf digests;
    read_vector("digests", &digests);
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf want, raw, text, back;
        const char *name = yzi_record_kind_name(kind);
        read_vector(name, &want);
        signed_sample(kind, &raw);
        yzi_buf_init(&text, 1 << 20);
        assert_int_equal(yzi_record_armour(yzi_bytes_buf(&raw), &text), 0);
        if (!yzi_bytes_eq(yzi_bytes_buf(&text), yzi_bytes_buf(&want))) {
            fail_msg("%s is not what its vector says", name);
        }
        yzi_buf_init(&back, YZ_RECORD_MAX);
        assert_int_equal(yzi_record_dearmour(yzi_bytes_buf(&want), &back), 0);
        struct record r;
        assert_int_equal(yzi_record_parse(yzi_bytes_buf(&back), &r), 0);
        assert_int_equal(r.kind, kind);
        assert_int_equal(yzi_record_body_check(r.kind, r.body), 0);
        yz_digest digest;
        char hex[65], line[128];
        yzi_record_digest(r.raw, &digest);
        assert_int_equal(yzi_hex_encode(yzi_bytes_digest(&digest), hex, sizeof hex), 0);
        snprintf(line, sizeof line, "\n%s %s\n", name, hex);
        assert_non_null(memmem(digests.p, digests.n, line, strlen(line)));
    }
}

/* -- bodies of all kinds -- */

static void test_bodies__are_rewritten_to_the_same_bytes(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf body, again;
        sample(kind, &body);
        yzi_buf_init(&again, YZ_RECORD_MAX);
        assert_int_equal(yz_record_rewrite(kind, yzi_bytes_buf(&body), &again), 0);
        assert_true(yzi_bytes_eq(yzi_bytes_buf(&body), yzi_bytes_buf(&again)));
    }
}

/* A cut between two fields can leave a smaller message that is whole; everywhere else it cannot. */
static void test_bodies__refuse_truncation(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf body;
        sample(kind, &body);
        size_t whole = 0, fields = 0;
        yz_reader r = yzi_reader(yzi_bytes_buf(&body));
        for (size_t n = 0; n < body.n; n++) {
            size_t at = (size_t)(r.p - body.p);
            int rc = yzi_record_body_check(kind, yzi_bytes(body.p, n));
            if (at == n) {
                struct wire_field f;
                assert_int_equal(yzi_wire_next(&r, &f), 0);
                fields++;
                whole += rc == 0;
                yz_record_fuzz_body(kind, yzi_bytes(body.p, n));
            } else {
                assert_int_equal(rc, YZ_EMALFORMED);
            }
        }
        assert_true(fields > 2 && whole < fields);
    }
}

static void test_bodies__refuse_unknown_and_repeated_fields(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        const ProtobufCMessageDescriptor *type = yz_record_type(kind);
        YZ_AUTO(yzi_buf_fini) yz_buf body, bad;
        sample(kind, &body);
        yzi_buf_init(&bad, YZ_RECORD_MAX);
        assert_int_equal(yzi_buf_put(&bad, yzi_bytes_buf(&body)), 0);
        assert_int_equal(yzi_buf_put(&bad, yzi_bytes("\xf8\x01\x01", 3)), 0); /* field 31: 1 */
        assert_int_equal(yzi_record_body_check(kind, yzi_bytes_buf(&bad)), YZ_EMALFORMED);
        for (yz_reader r = yzi_reader(yzi_bytes_buf(&body)); r.left;) {
            const uint8_t *from = r.p;
            struct wire_field f;
            assert_int_equal(yzi_wire_next(&r, &f), 0);
            const ProtobufCFieldDescriptor *d =
                protobuf_c_message_descriptor_get_field(type, f.number);
            if (d->label == PROTOBUF_C_LABEL_REPEATED) {
                continue;
            }
            yzi_buf_clear(&bad);
            assert_int_equal(yzi_buf_put(&bad, yzi_bytes_buf(&body)), 0);
            assert_int_equal(yzi_buf_put(&bad, yzi_bytes(from, (size_t)(r.p - from))), 0);
            assert_int_equal(yzi_record_body_check(kind, yzi_bytes_buf(&bad)), YZ_EMALFORMED);
        }
    }
}

/* Each list item a second time, each required field left out. */
static void test_bodies__refuse_duplicates_in_every_list_and_missing_fields(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        const ProtobufCMessageDescriptor *type = yz_record_type(kind);
        YZ_AUTO(yzi_buf_fini) yz_buf body, bad;
        sample(kind, &body);
        yzi_buf_init(&bad, YZ_RECORD_MAX);
        for (yz_reader r = yzi_reader(yzi_bytes_buf(&body)); r.left;) {
            size_t from = body.n - r.left;
            struct wire_field f;
            assert_int_equal(yzi_wire_next(&r, &f), 0);
            size_t to = body.n - r.left;
            const ProtobufCFieldDescriptor *d =
                protobuf_c_message_descriptor_get_field(type, f.number);
            bool twice = d->label == PROTOBUF_C_LABEL_REPEATED;
            if (!twice && d->label != PROTOBUF_C_LABEL_REQUIRED) {
                continue;
            }
            yzi_buf_clear(&bad);
            assert_int_equal(yzi_buf_put(&bad, yzi_bytes(body.p, twice ? to : from)), 0);
            from = twice ? from : to;
            assert_int_equal(yzi_buf_put(&bad, yzi_bytes(body.p + from, body.n - from)), 0);
            assert_int_equal(yzi_record_body_check(kind, yzi_bytes_buf(&bad)), YZ_EMALFORMED);
        }
    }
}

static void test_bodies__survive_every_byte_mutation(void **state)
{
    (void)state;
    static const uint8_t flips[] = {0x01, 0x08, 0x80, 0xff};
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf body;
        sample(kind, &body);
        for (size_t i = 0; i < body.n * COUNT(flips); i++) {
            body.p[i / COUNT(flips)] ^= flips[i % COUNT(flips)];
            yz_record_fuzz_body(kind, yzi_bytes_buf(&body));
            body.p[i / COUNT(flips)] ^= flips[i % COUNT(flips)];
        }
    }
}

static void test_bodies__refuse_more_than_a_record_holds(void **state)
{
    (void)state;
    uint8_t *big = calloc(1, YZ_RECORD_MAX);
    assert_non_null(big);
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        assert_int_equal(yzi_record_body_check(kind, yzi_bytes(big, YZ_RECORD_MAX - 9)),
                         YZ_ETOOBIG);
        assert_int_equal(yzi_record_body_check(kind, yzi_bytes(big, YZ_RECORD_MAX - 10)),
                         YZ_EMALFORMED);
        assert_int_equal(yzi_record_body_check(kind, (yz_bytes){0}), YZ_EMALFORMED);
    }
    free(big);
}

static void test_bodies__point_into_the_record(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    sample(RECORD_OFFER, &body);
    struct arena a;
    struct offer offer;
    yzi_arena_init(&a, 1 << 20);
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &a, &offer), 0);
    const uint8_t *end = body.p + body.n;
    assert_true(offer.subsystem.v.p >= body.p && offer.subsystem.v.p < end);
    assert_true(offer.grants[1].service.p >= body.p && offer.grants[1].service.p < end);
    yzi_arena_fini(&a);
    yzi_arena_init(&a, 100); /* the caller's limit holds */
    struct offer untouched = {.version = 77};
    assert_int_equal(yzi_offer_parse(yzi_bytes_buf(&body), &a, &untouched), YZ_ELIMIT);
    assert_int_equal(untouched.version, 77);
    yzi_arena_fini(&a);
}

static int write_and_check(void *ctx)
{
    const enum record_kind *kind = ctx;
    YZ_AUTO(yzi_buf_fini) yz_buf body = {.max = YZ_RECORD_MAX};
    YZ_AUTO(yzi_buf_fini) yz_buf again = {.max = YZ_RECORD_MAX};
    YZ_TRY(yz_record_sample(*kind, &body));
    return yz_record_rewrite(*kind, yzi_bytes_buf(&body), &again);
}

static void test_bodies__report_when_memory_ends(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        assert_true(yz_alloc_fail_each(write_and_check, &kind) >= 3);
    }
}

static void test_bodies__leave_a_full_buffer_alone(void **state)
{
    (void)state;
    for (enum record_kind kind = KIND_FIRST; kind <= KIND_LAST; kind++) {
        YZ_AUTO(yzi_buf_fini) yz_buf out;
        yzi_buf_init(&out, 20);
        assert_int_equal(yzi_buf_put_str(&out, "kept"), 0);
        assert_int_equal(yz_record_sample(kind, &out), YZ_ELIMIT);
        assert_int_equal(out.n, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record__keeps_what_was_written),
        cmocka_unit_test(test_record__has_the_documented_layout),
        cmocka_unit_test(test_record__refuses_every_truncation_and_trailing_bytes),
        cmocka_unit_test(test_record__refuses_a_foreign_frame),
        cmocka_unit_test(test_record__counts_signatures_by_distinct_keys),
        cmocka_unit_test(test_record__writes_nothing_beyond_the_limits),
        cmocka_unit_test(test_record__comes_off_a_concatenation_one_by_one),
        cmocka_unit_test(test_record__names_its_kinds),
        cmocka_unit_test(test_armour__returns_the_same_bytes),
        cmocka_unit_test(test_armour__is_the_documented_text),
        cmocka_unit_test(test_armour__accepts_only_its_own_text),
        cmocka_unit_test(test_armour__refuses_lines_of_another_length),
        cmocka_unit_test(test_vectors__are_what_is_written_and_read),
        cmocka_unit_test(test_bodies__are_rewritten_to_the_same_bytes),
        cmocka_unit_test(test_bodies__refuse_truncation),
        cmocka_unit_test(test_bodies__refuse_unknown_and_repeated_fields),
        cmocka_unit_test(test_bodies__refuse_duplicates_in_every_list_and_missing_fields),
        cmocka_unit_test(test_bodies__survive_every_byte_mutation),
        cmocka_unit_test(test_bodies__refuse_more_than_a_record_holds),
        cmocka_unit_test(test_bodies__point_into_the_record),
        cmocka_unit_test(test_bodies__report_when_memory_ends),
        cmocka_unit_test(test_bodies__leave_a_full_buffer_alone),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
