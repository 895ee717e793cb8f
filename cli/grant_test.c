/* SPDX-License-Identifier: Apache-2.0
 *
 * yz grant test: does the policy still say what its owner means? One request, or a file of cases
 * with what is expected of each (docs/grants.md), for an agency's own continuous integration. All
 * cases are tried; each that fails names its place in the file.
 */
#include "cli/grant.h"

#define WHY_MAX (16u * 1024u)

/* -- the file -- */

struct test_case {
    const char *name;
    struct described request;
    const char *expect, *clause, *reason, *grant;
    struct config_list reads;
    struct config_place name_place, expect_place;
};
struct test_file {
    struct config_list definitions;
    const char *service, *consumer; /* for cases that name none */
    struct config_maps cases;
};

#define CASE_AT(field) offsetof(struct test_case, field)
static const struct config_field case_fields[] = {
    {"name", CONFIG_TEXT, CASE_AT(name), .required = true, .min = 1, .max = 300,
     .help = "What it is about, for messages.", .place_offset = CASE_AT(name_place)},
    DESCRIBED_FIELDS(struct test_case, request),
    {"expect", CONFIG_TEXT, CASE_AT(expect), .required = true, .min = 1,
     .help = "allowed or denied.", .place_offset = CASE_AT(expect_place)},
    {"clause", CONFIG_TEXT, CASE_AT(clause), .min = 1, .help = "Denied by which clause."},
    {"reason", CONFIG_TEXT, CASE_AT(reason), .min = 1, .help = "Denied for which reason."},
    {"grant", CONFIG_TEXT, CASE_AT(grant), .min = 1, .help = "By which grant."},
    {"reads", CONFIG_LIST, CASE_AT(reads),
     .help = "Exactly these fields, field or field=mask, in any order."},
    {0}};
static const struct config_field file_fields[] = {
    {"definitions", CONFIG_LIST, offsetof(struct test_file, definitions),
     .help = "Files of definitions, from this file's folder."},
    {"service", CONFIG_TEXT, offsetof(struct test_file, service), .min = 1,
     .help = "For cases that name none."},
    {"consumer", CONFIG_TEXT, offsetof(struct test_file, consumer), .min = 1,
     .help = "For cases that name none."},
    {"cases", CONFIG_MAPS, offsetof(struct test_file, cases), .required = true, .min = 1,
     .fields = case_fields, .item_size = sizeof(struct test_case), .help = "The cases."},
    {0}};

struct testing {
    struct cli *c;
    const char *path;
    struct policy_home policy;
    struct test_file file;
    size_t failed;
    struct json json;
};

#define FAULT(t, at, ...) yzi_config_fault(yzi_cli_error((t)->c), (t)->path, (at), __VA_ARGS__)

/* What is expected of a case can be said wrong, too. */
static int check_case(struct testing *t, const struct test_case *k)
{
    bool denied = strcmp(k->expect, "denied") == 0;
    if (!denied && strcmp(k->expect, "allowed") != 0) {
        return FAULT(t, k->expect_place, "expect: '%s' is neither allowed nor denied", k->expect);
    }
    if (!denied && (k->clause || k->reason)) {
        return FAULT(t, k->expect_place, "%s: clause and reason are for what is denied", k->name);
    }
    if (denied && k->reads.n) {
        return FAULT(t, k->expect_place, "%s: reads is for what is allowed", k->name);
    }
    return YZ_OK;
}

/* -- what came of a case -- */

static bool reads_so(const struct policy_of *p, const struct access_decision *d, const char *item)
{
    const char *mask = strchr(item, '=');
    size_t n = mask ? (size_t)(mask - item) : strlen(item);
    for (size_t i = 0; i < d->projection_n; i++) {
        const char *name = p->dataset->fields[d->projection[i]].name;
        bool plain = d->masks[i] == MASK_NONE;
        if (strlen(name) == n && memcmp(name, item, n) == 0) {
            return mask ? !plain && strcmp(yzi_mask_name(d->masks[i]), mask + 1) == 0 : plain;
        }
    }
    return false;
}

static int put_reads(const struct policy_of *p, const struct access_decision *d, yz_buf *out)
{
    for (size_t i = 0; i < d->projection_n; i++) {
        bool plain = d->masks[i] == MASK_NONE;
        YZ_TRY(yzi_buf_printf(out, "%s%s%s%s", i ? ", " : "",
                              p->dataset->fields[d->projection[i]].name, plain ? "" : "=",
                              plain ? "" : yzi_mask_name(d->masks[i])));
    }
    return YZ_OK;
}

static int compare_reads(const struct test_case *k, const struct policy_of *p,
                         const struct access_decision *d, yz_buf *out)
{
    bool same = k->reads.n == 0 || k->reads.n == d->projection_n;
    for (size_t i = 0; same && i < k->reads.n; i++) {
        same = reads_so(p, d, k->reads.items[i]);
    }
    if (same) {
        return YZ_OK;
    }
    YZ_TRY(yzi_buf_put_str(out, "it reads "));
    return put_reads(p, d, out);
}

static int put_denial(const struct policy_of *p, const struct asked *a,
                      const struct access_decision *d, yz_buf *out)
{
    YZ_TRY(yzi_buf_printf(out, "it is denied: %s, by the clause %s", d->reason, d->clause));
    if (!d->coarse) {
        return YZ_OK;
    }
    YZ_TRY(yzi_buf_printf(out, " of grant %.*s: ", CLI_V(d->grant)));
    return yzi_policy_why(p, a, d->coarse, d, out);
}

/* Appends what is not as expected; nothing when all is. */
static int compare(const struct test_case *k, const struct policy_of *p, const struct asked *a,
                   const struct access_decision *d, yz_buf *out)
{
    bool expects = strcmp(k->expect, "allowed") == 0;
    bool other_grant = k->grant && !yzi_bytes_eq_str(d->grant, k->grant);
    if (d->allowed != expects || (k->clause && strcmp(k->clause, d->clause) != 0) ||
        (k->reason && strcmp(k->reason, d->reason) != 0)) {
        return d->allowed ? yzi_buf_printf(out, "it is allowed by grant %.*s", CLI_V(d->grant))
                          : put_denial(p, a, d, out);
    }
    if (other_grant) {
        return yzi_buf_printf(out, "it is decided by grant %.*s", CLI_V(d->grant));
    }
    return compare_reads(k, p, d, out);
}

static void tell_json(struct testing *t, const struct test_case *k, const struct access_decision *d,
                      yz_bytes what)
{
    struct json *j = &t->json;
    yzi_json_object(j);
    yzi_json_key(j, "name");
    yzi_json_str(j, k->name);
    yzi_json_key(j, "passed");
    yzi_json_bool(j, what.n == 0);
    yzi_json_key(j, "allowed");
    yzi_json_bool(j, d->allowed);
    yzi_json_key(j, "clause");
    yzi_json_str(j, d->clause);
    yzi_json_key(j, "reason");
    yzi_json_str(j, d->reason);
    yzi_json_key(j, "grant");
    yzi_json_text(j, d->grant);
    yzi_json_key(j, "line");
    yzi_json_u64(j, (uint64_t)k->name_place.line);
    yzi_json_key(j, "fault");
    yzi_json_text(j, what);
    yzi_json_object_end(j);
}

static void tell(struct testing *t, const struct test_case *k, const struct access_decision *d,
                 yz_bytes what)
{
    t->failed += what.n > 0;
    if (yzi_cli_json(t->c)) {
        tell_json(t, k, d, what);
    } else if (what.n) {
        yzi_cli_say(t->c, "%s:%d:%d: %s: expected %s%s%s, but %.*s\n", t->path, k->name_place.line,
                    k->name_place.col, k->name, k->expect, k->clause ? " by " : "",
                    k->clause ? k->clause : "", CLI_V(what));
    }
}

static int try_case(struct testing *t, struct test_case *k)
{
    YZ_AUTO(yzi_buf_fini) yz_buf what = {.max = WHY_MAX};
    struct asked a;
    struct policy_of p;
    struct access_decision d;
    k->request.service = k->request.service ? k->request.service : t->file.service;
    k->request.consumer = k->request.consumer ? k->request.consumer : t->file.consumer;
    k->request.place = k->name_place;
    YZ_TRY(check_case(t, k));
    YZ_TRY(yzi_described_read(t->c, &k->request, t->path, &a));
    int rc = yzi_policy_of(&t->policy, a.question.service, &p);
    if (rc == YZ_EINVAL || rc == YZ_ENOTFOUND) {
        yz_error e = *yzi_cli_error(t->c);
        return FAULT(t, k->name_place, "%s", e.text);
    }
    YZ_TRY(rc);
    yzi_policy_decide(&p, &a, &d);
    rc = compare(k, &p, &a, &d, &what);
    YZ_ENSURE(rc == YZ_OK || rc == YZ_ELIMIT, rc); /* a long sentence is cut */
    tell(t, k, &d, yzi_bytes_buf(&what));
    return YZ_OK;
}

/* As it stands there, from the folder of the file. */
static int define(struct testing *t, const char *file)
{
    const char *end = strrchr(t->path, '/');
    char *path;
    if (file[0] == '/' || !end) {
        return yzi_policy_define(&t->policy, file);
    }
    size_t folder = (size_t)(end + 1 - t->path), n = strlen(file) + 1;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(t->c), folder + n, 1, &path));
    memcpy(path, t->path, folder);
    memcpy(path + folder, file, n);
    return yzi_policy_define(&t->policy, path);
}

static int try_all(struct testing *t)
{
    struct test_case *cases = t->file.cases.items;
    for (size_t i = 0; i < t->file.definitions.n; i++) {
        YZ_TRY(define(t, t->file.definitions.items[i]));
    }
    for (size_t i = 0; i < t->file.cases.n; i++) {
        YZ_TRY(try_case(t, &cases[i]));
    }
    return YZ_OK;
}

static int print_json(struct testing *t)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out = {.max = 64u * 1024u * 1024u};
    yzi_json_init(&t->json, &out, true);
    yzi_json_array(&t->json);
    YZ_TRY(try_all(t));
    yzi_json_array_end(&t->json);
    YZ_TRY(yzi_json_end(&t->json));
    yzi_cli_write(t->c, yzi_bytes_buf(&out));
    return YZ_OK;
}

static int test_cases(struct testing *t)
{
    YZ_TRY(yzi_policy_open(t->c, &t->policy));
    YZ_TRY(
        yzi_config_load(t->path, file_fields, yzi_cli_arena(t->c), &t->file, yzi_cli_error(t->c)));
    if (yzi_cli_json(t->c)) {
        YZ_TRY(print_json(t));
    } else {
        YZ_TRY(try_all(t));
        yzi_cli_say(t->c, "cases: %zu, as expected: %zu\n", t->file.cases.n,
                    t->file.cases.n - t->failed);
    }
    if (t->failed) {
        yzi_cli_exit_with(t->c, EXIT_FAILED);
    }
    return YZ_OK;
}

int yzi_grant_test(struct cli *c)
{
    struct testing t = {.c = c, .path = yzi_cli_option(c, "cases")};
    if (!t.path) {
        return yzi_grant_test_one(c);
    }
    YZ_TRY(yzi_described_by(c, "cases"));
    int rc = test_cases(&t);
    yzi_policy_close(&t.policy);
    return rc;
}

#define HOME                                                                                       \
    {"home", "DIR", "The member's home", true, false},                                             \
    {                                                                                              \
        "definition", "FILE", "The definition of the service's data set", false, true              \
    }
const struct cli_option yzi_grant_explain_options[] = {HOME, DESCRIBED_OPTIONS, {0}};
const struct cli_option yzi_grant_test_options[] = {
    HOME,
    DESCRIBED_OPTIONS,
    {"cases", "FILE", "Cases and what is expected of each (docs/grants.md)", false, false},
    {0}};
