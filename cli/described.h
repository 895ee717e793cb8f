/* SPDX-License-Identifier: Apache-2.0
 *
 * A request that is described and not made: on the command line, in a file, or by an exchange that
 * was kept; and what the owner's policy says to it. It is decided by the adapter's own function
 * (adapters/access/grant.h), on the offer and terms in the member's home.
 */
#ifndef YZ_CLI_DESCRIBED_H
#define YZ_CLI_DESCRIBED_H

#include "adapters/access/grant.h"
#include "cli/offer.h"

/* -- the description, as texts -- */

struct described {
    const char *service, *consumer, *operation, *purpose, *at; /* NULL: not given */
    struct config_list fields, keys, where, order,
        predicates; /* written as for yz call and query */
    bool evidenced;
    struct config_place place;
};
/* The keys of a description in a file, YAML or JSON, for a table of struct `type` that has a struct
 * described `member`. */
#define DESCRIBED_AT(type, member, field) offsetof(type, member) + offsetof(struct described, field)
#define DESCRIBED_FIELDS(type, member)                                                             \
    {"service",                                                                                    \
     CONFIG_TEXT,                                                                                  \
     DESCRIBED_AT(type, member, service),                                                          \
     .min = 1,                                                                                     \
     .help = "INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE/VERSION.",                                     \
     .place_offset = DESCRIBED_AT(type, member, place)},                                           \
        {"consumer", CONFIG_TEXT, DESCRIBED_AT(type, member, consumer), .min = 1,                  \
         .help = "Who asks, INSTANCE/CLASS/CODE/SUBSYSTEM."},                                      \
        {"operation", CONFIG_TEXT, DESCRIBED_AT(type, member, operation), .min = 1,                \
         .help = "get, find, count, match, insert, put or delete; left out: what the rest says."}, \
        {"fields", CONFIG_LIST, DESCRIBED_AT(type, member, fields),                                \
         .help = "Fields to be read, or brought by a write; none: all that are readable."},        \
        {"keys", CONFIG_LIST, DESCRIBED_AT(type, member, keys),                                    \
         .help = "Records; the parts of a compound key separated by commas."},                     \
        {"where", CONFIG_LIST, DESCRIBED_AT(type, member, where),                                  \
         .help = "Conditions, as for yz query: field=value."},                                     \
        {"order", CONFIG_LIST, DESCRIBED_AT(type, member, order),                                  \
         .help = "Fields to order by; -field: descending."},                                       \
        {"predicates", CONFIG_LIST, DESCRIBED_AT(type, member, predicates),                        \
         .help = "Yes/no questions, by their names in the grant: name or name=value."},            \
        {"purpose", CONFIG_TEXT, DESCRIBED_AT(type, member, purpose),                              \
         .help = "The code of the purpose."},                                                      \
        {"at", CONFIG_TEXT, DESCRIBED_AT(type, member, at), .min = 1,                              \
         .help = "As of when: 2027-01-01, 2027-01-01T08:00:00Z; left out: now."},                  \
    {                                                                                              \
        "evidenced", CONFIG_BOOL, DESCRIBED_AT(type, member, evidenced),                           \
            .dflt = "true", .help = "The broker proved that the request is in its log."            \
    }

/* The options that describe a request: service to evidenced, of the verbs explain and test. */
#define DESCRIBED_OPTIONS                                                                          \
    {"service", "ID", "The service, INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE/VERSION", false, false}, \
        {"consumer", "SUBSYSTEM", "Who asks, INSTANCE/CLASS/CODE/SUBSYSTEM", false, false},        \
        {"operation", "OPERATION",                                                                 \
         "get, find, count, match, insert, put or delete; by default what the rest says", false,   \
         false},                                                                                   \
        {"field", "FIELD", "A field to be read, or brought by an insert or a put", false, true},   \
        {"key", "KEY", "A record; a compound key's parts separated by commas", false, true},       \
        {"where", "CONDITION", "As for yz query", false, true},                                    \
        {"order", "FIELD", "As for yz query", false, true},                                        \
        {"predicate", "NAME[=VALUE]", "A yes/no question, by its name in the grant", false, true}, \
        {"purpose", "CODE", "Why it is asked", false, false},                                      \
        {"at", "TIME", "As of when, 2027-01-01 (default: now)", false, false},                     \
        {"unevidenced", NULL, "As if no broker proved that it was asked", false, false},           \
        {"request", "FILE", "The request in a file, YAML or JSON, instead of options", false,      \
         false},                                                                                   \
        {"kept", "DIR", "Or a request that was kept: the home of the adapter or client", false,    \
         false},                                                                                   \
    {                                                                                              \
        "exchange", "MESSAGE-ID", "With --kept: which (yz evidence kept lists them)", false, false \
    }

/* A kept exchange that the request is taken from. */
struct kept_origin {
    const char *exchange; /* NULL: not from one */
    uint64_t at, policy_version;
    const char *outcome; /* what was said then: "ok", "denied: purpose" */
};
/* The request, read; everything in the invocation's arena. */
struct asked {
    struct access_question question; /* its query is `query` */
    struct query query;
    struct kept_origin kept;
};
/* Of a description: `file` names where it stands, NULL: the command line. YZ_EINVAL with usage
 * words, YZ_ECONFIG with "file:line:col: sentence". */
YZ_MUST_USE int yzi_described_read(struct cli *c, const struct described *d, const char *file,
                                   struct asked *out);
/* YZ_EINVAL with usage words: an option beside --`source` (request, kept, cases) would be ignored.
 */
YZ_MUST_USE int yzi_described_by(struct cli *c, const char *source);
/* Of --request, --kept with --exchange, or the other options. */
YZ_MUST_USE int yzi_described_given(struct cli *c, struct asked *out);

/* -- the policy -- */

#define POLICY_DEFINITIONS_MAX 64u
struct policy_home {
    struct cli *c;
    const char *home;
    struct member_set set;
    bool has_purposes; /* the home has the instance's list */
    struct purpose_list purposes;
    struct home_offer *offers; /* that were loaded */
    size_t offers_n;
    struct dataset *definitions[POLICY_DEFINITIONS_MAX];
    const char *definition_files[POLICY_DEFINITIONS_MAX];
    size_t definitions_n;
};
/* The member's home of --home and the definitions of --definition. */
YZ_MUST_USE int yzi_policy_open(struct cli *c, struct policy_home *out);
void yzi_policy_close(struct policy_home *p);
/* Load one more definition. */
YZ_MUST_USE int yzi_policy_define(struct policy_home *p, const char *file);

struct policy_of {
    const struct policy_home *home;
    const struct home_offer *offer;
    const struct offered_service *service;
    const struct dataset *dataset;
};
/* What a service answers from. YZ_ENOTFOUND: not offered; YZ_EINVAL: its definition was not given,
 * or is not the one that was published. */
YZ_MUST_USE int yzi_policy_of(struct policy_home *p, yz_service_id service, struct policy_of *out);

/* What the policy says, and what one grant of it says for itself (index into offer.grants). */
void yzi_policy_decide(const struct policy_of *p, const struct asked *a,
                       struct access_decision *out);
void yzi_policy_decide_one(const struct policy_of *p, const struct asked *a, size_t grant,
                           struct access_decision *out);
/* Why that grant's clause said no, appended: "'statistics' is none of marriage, tax". */
YZ_MUST_USE int yzi_policy_why(const struct policy_of *p, const struct asked *a,
                               const struct coarse_grant *grant, const struct access_decision *d,
                               yz_buf *out);

#endif
