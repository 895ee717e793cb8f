/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/id: one form of each identifier, and which kind it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/id.h"

/* Which of the four an identifier is; 0: none. */
enum { MEMBER = 1, SUBSYSTEM = 2, SERVICE = 4, NODE = 8 };

static unsigned kinds_of(yz_bytes v)
{
    yz_member_id m = {0};
    yz_subsystem_id s = {0};
    yz_service_id e = {0};
    yz_node_id n = {0};
    unsigned kinds = 0;
    int rc[4] = {yzi_member_id_parse(v, &m), yzi_subsystem_id_parse(v, &s),
                 yzi_service_id_parse(v, &e), yzi_node_id_parse(v, &n)};
    yz_bytes got[4] = {m.v, s.v, e.v, n.v};
    for (int i = 0; i < 4; i++) {
        if (rc[i] == 0) {
            kinds |= 1u << i;
            assert_ptr_equal(got[i].p, v.p);
            assert_int_equal(got[i].n, v.n);
        } else {
            assert_int_equal(rc[i], YZ_EMALFORMED);
            assert_null(got[i].p); /* written only on success */
        }
    }
    return kinds;
}

static unsigned kinds(const char *text)
{
    /* without its NUL, so that a read past the end is seen */
    size_t n = strlen(text);
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    unsigned k = kinds_of(yzi_bytes(copy, n));
    free(copy);
    return k;
}

static void test_id__says_what_it_names(void **state)
{
    (void)state;
    assert_int_equal(kinds("CN/GOV/MCA"), MEMBER);
    assert_int_equal(kinds("CN/GOV/MCA/civil"), SUBSYSTEM);
    assert_int_equal(kinds("CN/GOV/MCA/civil/marriage/v1"), SERVICE);
    assert_int_equal(kinds("CN/GOV/MCA/@a1"), NODE);
    assert_int_equal(kinds("CN/@b1"), NODE);
    assert_int_equal(kinds("%E6%B0%91/%E6%94%BF/%E5%B1%80"), MEMBER);
    assert_int_equal(kinds("a/b/..."), MEMBER);
    assert_int_equal(kinds("a/b/.c"), MEMBER);
    assert_int_equal(kinds("a/b/%2F"), MEMBER); /* an encoded slash is a character like others */
}

static void test_id__refuses_other_shapes(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "/",
        "CN",
        "CN/GOV",
        "CN/GOV/MCA/civil/marriage",
        "CN/GOV/MCA/civil/marriage/v1/x",
        "CN/GOV/MCA/civil/marriage/v1/x/y/z",
        "//////////////////////////",
        "/GOV/MCA",
        "CN//MCA",
        "CN/GOV/",
        "/CN/GOV/MCA",
        "CN/GOV/MCA/",
        "CN/GOV/@a1",
        "CN/GOV/MCA/civil/@a1",
        "@b1",
        "/@b1",
        "CN/@",
        "CN/@@b1",
        "CN/@b1/",
        "CN/@b1/@b2",
        "CN/@b1/GOV/@a1",
        "@CN/GOV/MCA",
        "CN/b@1/MCA",
        "CN/GOV/MCA/@a1/v1/x",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(kinds(wrong[i]), 0);
    }
}

static void test_segment__has_one_form(void **state)
{
    (void)state;
    static const char *const right[] = {"a", "A-Z", "v1.2", "_", "~", "%E4%BA%BA", "%20", "%25"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_int_equal(yzi_segment_check(yzi_bytes_str(right[i])), 0);
    }
    static const char *const wrong[] = {
        "",          ".",      "..",           "a b",    "%61",
        "%e4%ba%ba", "%",      "%4",           "%GG",    "\xe4\xba\xba",
        "a/b",       "@a",     "a\tb",         "%00",    "a%00b",
        "%0A",       "%1F",    "%7F",          "%C0%80", "%80",
        "%ED%A0%80", "%E4%BA", "%F5%80%80%80", "a+b",    "a:b",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(yzi_segment_check(yzi_bytes_str(wrong[i])), YZ_EMALFORMED);
    }
    assert_int_equal(yzi_segment_check(yzi_bytes("a\0b", 3)), YZ_EMALFORMED);
    for (unsigned c = 0; c < 256; c++) { /* every byte alone: unreserved or refused */
        uint8_t byte = (uint8_t)c;
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '~';
        assert_int_equal(yzi_segment_check(yzi_bytes(&byte, 1)), unreserved ? 0 : YZ_EMALFORMED);
    }
}

static void test_segment__has_at_most_100_bytes_as_encoded(void **state)
{
    (void)state;
    char text[640];
    memset(text, 'a', sizeof text);
    assert_int_equal(yzi_segment_check(yzi_bytes(text, 100)), 0);
    assert_int_equal(yzi_segment_check(yzi_bytes(text, 101)), YZ_EMALFORMED);
    assert_int_equal(yzi_segment_check(yzi_bytes(text, 640)), YZ_EMALFORMED);
    for (size_t i = 0; i + 3 <= 99; i += 3) {
        memcpy(text + i, "%20", 3);
    }
    assert_int_equal(yzi_segment_check(yzi_bytes(text, 100)), 0); /* 33 times, and an 'a' */
    assert_int_equal(yzi_segment_check(yzi_bytes(text, 98)), YZ_EMALFORMED);

    memset(text, 'a', sizeof text);
    for (size_t i = 1; i < 6; i++) {
        text[i * 101 - 1] = '/';
    }
    yz_service_id longest;
    assert_int_equal(yzi_service_id_parse(yzi_bytes(text, 605), &longest), 0);
    assert_int_equal(yzi_service_id_parse(yzi_bytes(text, 606), &longest), YZ_EMALFORMED);
    assert_int_equal(yzi_service_code(longest).n, 100);

    char node[512] = "CN/@";
    memset(node + 4, 'n', 101); /* the '@' does not count */
    yz_node_id n;
    assert_int_equal(yzi_node_id_parse(yzi_bytes(node, 4 + 100), &n), 0);
    assert_int_equal(yzi_node_id_parse(yzi_bytes(node, 4 + 101), &n), YZ_EMALFORMED);
}

static void test_id__refuses_every_truncation_that_is_another_thing(void **state)
{
    (void)state;
    static const char service[] = "CN/GOV/MCA/civil/marriage/v1";
    for (size_t n = 0; n < sizeof service - 1; n++) {
        yz_bytes part = yzi_bytes(service, n);
        /* the same segments, the last one shorter: a member or subsystem; else nothing */
        unsigned slashes = 0;
        for (size_t i = 0; i < n; i++) {
            slashes += service[i] == '/';
        }
        bool empty_end = n == 0 || service[n - 1] == '/';
        unsigned want = empty_end      ? 0
                        : slashes == 2 ? MEMBER
                        : slashes == 3 ? SUBSYSTEM
                        : slashes == 5 ? SERVICE
                                       : 0;
        assert_int_equal(kinds_of(part), want);
    }
}

static bool is(yz_bytes v, const char *s)
{
    return yzi_bytes_eq_str(v, s);
}

static void test_id__gives_its_parts(void **state)
{
    (void)state;
    yz_service_id e;
    assert_int_equal(yzi_service_id_parse(yzi_bytes_str("CN/GOV/MCA/civil/marriage/v1"), &e), 0);
    assert_true(is(yzi_id_instance(e.v), "CN"));
    assert_true(is(yzi_service_subsystem(e).v, "CN/GOV/MCA/civil"));
    assert_true(is(yzi_service_code(e), "marriage"));
    assert_true(is(yzi_service_version(e), "v1"));
    assert_true(is(yzi_service_local(e), "marriage/v1"));
    yz_subsystem_id s = yzi_service_subsystem(e);
    assert_true(is(yzi_subsystem_member(s).v, "CN/GOV/MCA"));
    assert_true(is(yzi_subsystem_code(s), "civil"));
    yz_node_id n;
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str("CN/GOV/MCA/@a1"), &n), 0);
    assert_false(yzi_node_is_broker(n));
    assert_true(is(yzi_node_member(n).v, "CN/GOV/MCA"));
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str("CN/@b1"), &n), 0);
    assert_true(yzi_node_is_broker(n));
    assert_true(is(yzi_node_member(n).v, "CN"));
    assert_true(is(yzi_id_instance(n.v), "CN"));
}

static void test_id__parts_of_nothing_are_nothing(void **state)
{
    (void)state;
    assert_int_equal(yzi_id_instance((yz_bytes){0}).n, 0);
    assert_int_equal(yzi_service_version((yz_service_id){{0}}).n, 0);
    assert_int_equal(yzi_node_member((yz_node_id){{0}}).v.n, 0);
    assert_false(yzi_node_is_broker((yz_node_id){{0}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id__says_what_it_names),
        cmocka_unit_test(test_id__refuses_other_shapes),
        cmocka_unit_test(test_segment__has_one_form),
        cmocka_unit_test(test_segment__has_at_most_100_bytes_as_encoded),
        cmocka_unit_test(test_id__refuses_every_truncation_that_is_another_thing),
        cmocka_unit_test(test_id__gives_its_parts),
        cmocka_unit_test(test_id__parts_of_nothing_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
