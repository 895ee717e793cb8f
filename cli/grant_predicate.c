/* SPDX-License-Identifier: Apache-2.0
 *
 * The yes/no questions of a grant, as yz grant add takes them:
 *
 *     --predicate 'NAME FIELD OP [VALUE,...]'   --step NAME=STEP   --budget NAME=N[/DAYSd]
 *
 * What may be asked at all is said by the rules (adapters/access/predicate.h); here is only what an
 * adapter could not know, such as how many of them share a budget.
 */
#include "adapters/access/predicate.h"
#include "adapters/access/quota.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/grant.h"
#include "cli/where.h"
#include "proto/check.h"

#define DAY_MS UINT64_C(86400000)

/* -- predicates -- */

/* The next word of *text, which goes on behind it and its spaces; NULL at the end. */
static const char *take_word(char **text)
{
    char *word = *text;
    if (!*word) {
        return NULL;
    }
    char *end = word + strcspn(word, " ");
    *text = end + strspn(end, " ");
    *end = '\0';
    return word;
}

static int read_constant(struct cli *c, const struct grant_predicate *p,
                         const struct dataset_field *field, const char *text, yz_bytes *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf value;
    const char *why = "";
    struct dataset_field f = *field;
    yzi_buf_init(&value, YZ_VALUE_MAX);
    if (f.type == FIELD_CODE) { /* which there are, only the definition knows */
        f.type = FIELD_TEXT;
    }
    int rc = yzi_field_canonical(&f, yzi_bytes_str(text), &value, &why);
    if (rc == YZ_EDATA) {
        return yzi_cli_usage(c, "--predicate %.*s: '%s' for %s %s", CLI_V(p->name), text, f.name,
                             why);
    }
    YZ_TRY(rc);
    return yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&value), out);
}

static int read_constants(struct cli *c, const struct dataset *d, const char *text,
                          struct grant_predicate *p)
{
    const char **words;
    size_t n;
    const struct dataset_field *f = &d->fields[yzi_dataset_field(d, p->field)];
    YZ_TRY(yzi_cli_words(c, text, &words, &n));
    if (n > YZ_QUERY_KEYS_MAX) {
        return yzi_cli_usage(c, "--predicate %.*s has more than %u constants", CLI_V(p->name),
                             YZ_QUERY_KEYS_MAX);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *p->constants.items, &p->constants.items));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(read_constant(c, p, f, words[i], &p->constants.items[i]));
        for (size_t k = 0; k < i; k++) {
            if (yzi_bytes_eq(p->constants.items[k], p->constants.items[i])) {
                return yzi_cli_usage(c, "--predicate %.*s has the constant %s twice",
                                     CLI_V(p->name), words[i]);
            }
        }
    }
    p->constants.n = n;
    return YZ_OK;
}

static struct grant_predicate *find(const struct fine_grant *fine, yz_bytes name)
{
    for (size_t i = 0; i < fine->predicates_n; i++) {
        if (yzi_bytes_eq(fine->predicates[i].name, name)) {
            return &fine->predicates[i];
        }
    }
    return NULL;
}

static int read_predicate(struct cli *c, const struct dataset *d, const char *text,
                          const struct fine_grant *fine, struct grant_predicate *p)
{
    yz_bytes copy;
    unsigned op = 0;
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes(text, strlen(text) + 1), &copy));
    char *rest = (char *)(uintptr_t)copy.p;
    const char *name = take_word(&rest), *field = take_word(&rest), *word = take_word(&rest);
    if (!word || yzi_op_parse(word, &op) < 0) {
        return yzi_cli_usage(c,
                             "--predicate '%s': write NAME FIELD OP [VALUE,...], with one of eq, "
                             "in, ge, gt, le and lt",
                             text);
    }
    *p = (struct grant_predicate){
        .name = yzi_bytes_str(name), .field = yzi_bytes_str(field), .op = (enum query_op)op};
    if (yzi_check_code(p->name, YZ_NAME_MAX) < 0 || strchr(name, '=') || find(fine, p->name)) {
        return yzi_cli_usage(c,
                             "--predicate '%s': a name is 1 to %u printable ASCII characters "
                             "without space and '=', and each stands once",
                             name, YZ_NAME_MAX);
    }
    if (yzi_dataset_field(d, p->field) < 0) {
        return yzi_cli_usage(c, "--predicate %s: the data set '%s' has no field '%s'", name,
                             d->name, field);
    }
    return *rest ? read_constants(c, d, rest, p) : YZ_OK;
}

/* -- steps and budgets -- */

/* The predicate that NAME=... is for, and what stands behind the sign. */
static int find_named(struct cli *c, const char *option, const char *text,
                      const struct fine_grant *fine, struct grant_predicate **out,
                      const char **value)
{
    const char *at = strchr(text, '=');
    *out = at ? find(fine, yzi_bytes(text, (size_t)(at - text))) : NULL;
    if (!*out) {
        return yzi_cli_usage(c, "--%s '%s': write NAME=..., with the name of a --predicate", option,
                             text);
    }
    *value = at + 1;
    return YZ_OK;
}

static int read_step(struct cli *c, const char *text, const struct fine_grant *fine)
{
    struct grant_predicate *p;
    const char *value;
    YZ_TRY(find_named(c, "step", text, fine, &p, &value));
    if (p->step.n || !*value) {
        return yzi_cli_usage(c, "--step '%s': a predicate has one step, or none", text);
    }
    p->step = yzi_bytes_str(value);
    return yzi_check_code(p->step, YZ_NAME_MAX) == 0
               ? YZ_OK
               : yzi_cli_usage(c, "--step '%s' is no step", text);
}

/* N, or N/30d. */
static bool parse_budget(const char *text, uint32_t *budget, uint32_t *days)
{
    const char *at = strchr(text, '/');
    uint64_t n, ms = 0;
    yz_bytes number = at ? yzi_bytes(text, (size_t)(at - text)) : yzi_bytes_str(text);
    if (yzi_u64_parse(number, UINT32_MAX, &n) < 0 || n == 0 ||
        (at && (yzi_duration_parse(at + 1, &ms) < 0 || ms == 0 || ms % DAY_MS != 0 ||
                ms / DAY_MS > YZ_BUDGET_DAYS_MAX))) {
        return false;
    }
    *budget = (uint32_t)n;
    *days = (uint32_t)(ms / DAY_MS);
    return true;
}

static int read_budget(struct cli *c, const char *text, const struct offer *offer,
                       const struct fine_grant *fine)
{
    struct grant_predicate *p;
    const char *value;
    YZ_TRY(find_named(c, "budget", text, fine, &p, &value));
    if (p->budget || !parse_budget(value, &p->budget, &p->budget_days)) {
        return yzi_cli_usage(c,
                             "--budget '%s': write NAME=N, or NAME=N/30d for a budget that starts "
                             "anew after so many days; once for each predicate",
                             text);
    }
    size_t adapters = yzi_access_adapters(offer);
    if (p->budget < adapters) {
        return yzi_cli_usage(c,
                             "--budget %s: the offer has %zu adapters and each of them counts "
                             "its own part, so it must be at least %zu",
                             text, adapters, adapters);
    }
    return YZ_OK;
}

/* -- the whole -- */

static int check_use(struct cli *c, const struct fine_grant *fine)
{
    bool match = fine->operations & 1u << QUERY_MATCH;
    if (match == (fine->predicates_n > 0)) {
        return YZ_OK;
    }
    return yzi_cli_usage(c, match ? "--operation match needs a --predicate: what may be asked?"
                                  : "--predicate is for --operation match");
}

int yzi_cli_grant_predicates(struct cli *c, const struct dataset *d, const struct offer *offer,
                             struct fine_grant *fine)
{
    size_t n, steps_n, budgets_n;
    const char *const *given = yzi_cli_options(c, "predicate", &n);
    const char *const *steps = yzi_cli_options(c, "step", &steps_n);
    const char *const *budgets = yzi_cli_options(c, "budget", &budgets_n);
    if (n > YZ_PREDICATES_MAX) {
        return yzi_cli_usage(c, "a grant has at most %u predicates", YZ_PREDICATES_MAX);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n, sizeof *fine->predicates, &fine->predicates));
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(read_predicate(c, d, given[i], fine, &fine->predicates[i]));
        fine->predicates_n++;
    }
    for (size_t i = 0; i < steps_n; i++) {
        YZ_TRY(read_step(c, steps[i], fine));
    }
    for (size_t i = 0; i < budgets_n; i++) {
        YZ_TRY(read_budget(c, budgets[i], offer, fine));
    }
    return check_use(c, fine);
}
