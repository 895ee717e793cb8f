/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_predicate_rules, yzi_predicate_choose, yzi_match_is_step, yzi_match_is_multiple,
 * yzi_match_compare. A grant's predicate and a question's value, both whatever they like: a rule
 * that is kept leaves no question that brings what it may not, values compare in one order, and a
 * value that is permitted is the same one when it is asked with again.
 *
 * Input: field u8, operator u8, budget u8, then three texts, each ended by a NUL or the end: step,
 * constant, value; "-" is none.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "adapters/access/predicate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] =
    "dataset: d\ntitle: {en: D}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, classification: internal}\n"
    "  - {name: whole, type: integer, classification: sensitive}\n"
    "  - {name: amount, type: decimal, classification: secret}\n"
    "  - {name: born, type: date, classification: sensitive}\n"
    "  - {name: seen, type: time, classification: internal}\n"
    "  - {name: married, type: boolean, classification: sensitive}\n"
    "  - {name: status, type: code, classification: sensitive, codes: [clear, due]}\n"
    "  - {name: photo, type: bytes, classification: secret}\n";

static struct dataset *dataset(void)
{
    static struct dataset *d;
    if (!d && yzi_dataset_parse(yzi_bytes_str(yaml), "fuzz", &d, NULL) < 0) {
        abort();
    }
    return d;
}

static yz_bytes take_text(yz_reader *r)
{
    const uint8_t *end = r->left ? memchr(r->p, 0, r->left) : NULL;
    size_t n = end ? (size_t)(end - r->p) : r->left;
    yz_bytes text = yzi_bytes(r->p, n);
    r->p += n + (end != NULL);
    r->left -= n + (end != NULL);
    return yzi_bytes_eq_str(text, "-") ? (yz_bytes){0} : text;
}

static void check_order(const struct dataset_field *f, yz_bytes a, yz_bytes b)
{
    int ab, ba, aa;
    if (yzi_match_compare(f, a, b, &ab) == 0) {
        YZ_ASSERT(yzi_match_compare(f, b, a, &ba) == 0 && (ab < 0) == (ba > 0) &&
                  (ab == 0) == (ba == 0));
        YZ_ASSERT(yzi_match_compare(f, a, a, &aa) == 0 && aa == 0);
    }
}

static void check_step(const struct dataset_field *f, yz_bytes step, yz_bytes value)
{
    bool is = false;
    bool good = yzi_match_is_step(f->type, step);
    int rc = yzi_match_is_multiple(f, value, step, &is);
    YZ_ASSERT(rc == 0 || rc == YZ_EDATA);
    YZ_ASSERT(good || rc == YZ_EDATA);
    if (good && f->type != FIELD_DATE && yzi_match_is_multiple(f, step, step, &is) == 0) {
        YZ_ASSERT(is);
    }
}

static void check_choice(const struct fine_grant *g, const struct query_predicate *asked)
{
    const struct grant_predicate *p = g->predicates;
    struct predicate_choice c, again;
    const char *reason = NULL;
    int rc = yzi_predicate_choose(g, dataset(), asked, &c, &reason);
    YZ_ASSERT(rc == 0 || (reason && (rc == YZ_EDENIED || rc == YZ_EINVAL)));
    if (rc < 0 || p->op == OP_IN) {
        YZ_ASSERT(rc < 0 || asked->values_n == 0);
        return;
    }
    bool is = true;
    const struct dataset_field *f = &dataset()->fields[c.field];
    YZ_ASSERT(p->step.n == 0 || (yzi_match_is_multiple(f, c.with, p->step, &is) == 0 && is));
    YZ_ASSERT(p->constants.n == 0 || yzi_bytes_eq(c.with, p->constants.items[0]));
    YZ_ASSERT(p->constants.n > 0 || p->budget > 0);
    struct query_value v = {.v = c.with};
    struct query_predicate same = {asked->name, &v, 1};
    YZ_ASSERT(yzi_predicate_choose(g, dataset(), &same, &again, &reason) == 0);
    YZ_ASSERT(yzi_bytes_eq(again.with, c.with));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_reader r = yzi_reader(yzi_bytes(data, size));
    uint8_t field, op, budget;
    if (yzi_read_u8(&r, &field) < 0 || yzi_read_u8(&r, &op) < 0 || yzi_read_u8(&r, &budget) < 0) {
        return 0;
    }
    const struct dataset *d = dataset();
    const struct dataset_field *f = &d->fields[field % d->fields_n];
    yz_bytes step = take_text(&r), constant = take_text(&r), value = take_text(&r);
    struct grant_predicate p = {.name = yzi_bytes_str("p"),
                                .field = yzi_bytes_str(f->name),
                                .op = (enum query_op)(OP_EQ + op % 7),
                                .constants = {&constant, constant.p != NULL},
                                .step = step,
                                .budget = budget % 4};
    struct fine_grant g = {.predicates = &p, .predicates_n = 1};
    struct rule_fault fault = {0};
    struct query_value v = {.v = value};
    struct query_predicate asked = {p.name, &v, value.p != NULL};
    check_order(f, constant, value);
    check_step(f, step, value);
    if (yzi_predicate_rules(&g, d, true, &fault)) {
        check_choice(&g, &asked);
    } else {
        YZ_ASSERT(fault.clause && fault.text[0]);
    }
    return 0;
}
