/* SPDX-License-Identifier: Apache-2.0
 *
 * proto/status: the numbers and names that docs/protocol.md freezes, written out a second time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/status.h"

struct entry {
    unsigned number;
    const char *name;
};
struct table {
    const char *(*name)(unsigned);
    int (*parse)(const char *, unsigned *); /* or NULL */
    struct entry entries[16];               /* ends with a NULL name */
};

static const struct table tables[] = {
    {yzi_frame_kind_name,
     NULL,
     {{1, "request"},
      {2, "response"},
      {3, "outcome"},
      {16, "hello"},
      {17, "welcome"},
      {18, "heartbeat"},
      {19, "fetch"},
      {20, "object"},
      {21, "put"},
      {22, "put-result"},
      {23, "reject"},
      {24, "bye"},
      {25, "receipt"},
      {32, "admin-request"},
      {33, "admin-reply"}}},
    {yzi_response_status_name,
     NULL,
     {{1, "answered"}, {2, "refused"}, {3, "failed"}, {4, "indeterminate"}, {5, "stale-key"}}},
    {yzi_outcome_status_name,
     NULL,
     {{1, "denied"},
      {2, "unknown-service"},
      {3, "busy"},
      {4, "unavailable"},
      {5, "timeout"},
      {6, "expired"},
      {7, "replayed"},
      {8, "id-conflict"},
      {9, "malformed"},
      {10, "bad-signature"},
      {11, "wrong-sender"},
      {12, "too-large"},
      {13, "stale-directory"}}},
    {yzi_answer_code_name,
     NULL,
     {{1, "ok"},
      {2, "denied"},
      {3, "bad-query"},
      {4, "unsupported"},
      {5, "too-large"},
      {6, "failed"}}},
    {yzi_match_name, NULL, {{1, "yes"}, {2, "no"}, {3, "unknown"}}},
    {yzi_role_name, yzi_role_parse, {{1, "broker"}, {2, "adapter"}, {3, "client"}}},
    {yzi_operation_name,
     yzi_operation_parse,
     {{1, "get"},
      {2, "find"},
      {3, "count"},
      {4, "match"},
      {5, "insert"},
      {6, "put"},
      {7, "delete"}}},
    {yzi_op_name,
     yzi_op_parse,
     {{1, "eq"}, {2, "in"}, {3, "prefix"}, {4, "ge"}, {5, "gt"}, {6, "le"}, {7, "lt"}}},
    {yzi_field_type_name,
     yzi_field_type_parse,
     {{1, "text"},
      {2, "integer"},
      {3, "decimal"},
      {4, "date"},
      {5, "time"},
      {6, "boolean"},
      {7, "code"},
      {8, "bytes"}}},
    {yzi_mask_name,
     yzi_mask_parse,
     {{0, "none"}, {1, "hide"}, {2, "last4"}, {3, "year"}, {4, "initial"}, {5, "hash"}}},
    {yzi_classification_name,
     yzi_classification_parse,
     {{1, "public"}, {2, "internal"}, {3, "sensitive"}, {4, "secret"}}},
    {yzi_sharing_name,
     yzi_sharing_parse,
     {{1, "unconditional"}, {2, "conditional"}, {3, "withheld"}}},
    {yzi_mode_name, yzi_mode_parse, {{1, "read"}, {2, "write"}}},
};

static const struct entry *find(const struct table *t, unsigned number)
{
    for (const struct entry *e = t->entries; e->name; e++) {
        if (e->number == number) {
            return e;
        }
    }
    return NULL;
}

static void test_names__are_the_documented_ones_and_no_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        for (unsigned v = 0; v < 300; v++) {
            const struct entry *e = find(&tables[i], v);
            assert_string_equal(tables[i].name(v), e ? e->name : "?");
        }
        assert_string_equal(tables[i].name(UINT32_MAX), "?");
    }
}

static void test_parse__reverses_names_and_takes_nothing_else(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "?", "Text", "broker ", " get", "REA", "nul"};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (!tables[i].parse) {
            continue;
        }
        unsigned v = 77;
        for (const struct entry *e = tables[i].entries; e->name; e++) {
            assert_int_equal(tables[i].parse(e->name, &v), 0);
            assert_int_equal(v, e->number);
        }
        v = 77;
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            assert_int_equal(tables[i].parse(wrong[j], &v), YZ_EINVAL);
        }
        assert_int_equal(tables[i].parse(NULL, &v), YZ_EINVAL);
        assert_int_equal(v, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names__are_the_documented_ones_and_no_others),
        cmocka_unit_test(test_parse__reverses_names_and_takes_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
