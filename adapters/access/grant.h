/* SPDX-License-Identifier: Apache-2.0
 *
 * May this consumer ask this, and what may it see? The adapter's own decision, from the owner's
 * offer (coarse grants) and terms (fine ones), on nobody else's word. Default deny: what no grant
 * allows is denied, and what a grant says that this version cannot enforce is denied too, never
 * ignored. Pure; any thread.
 */
#ifndef YZ_ACCESS_GRANT_H
#define YZ_ACCESS_GRANT_H

#include "adapters/access/predicate.h"
#include "proto/payload.h"

struct access_question {
    yz_subsystem_id consumer;
    yz_service_id service;
    yz_bytes purpose; /* may be empty */
    const struct query *query;
    uint64_t now;       /* Unix ms */
    bool evidenced;     /* that it was asked is in a broker's log, and proved to be */
    bool purpose_known; /* the instance has such a purpose (yzi_directory_purpose_known) */
};

struct access_decision {
    bool allowed;
    const char *reason; /* when denied: "no-grant", "not-valid-yet", "expired", "operation",
                           "field", "purpose", "unenforceable"; when the query itself is wrong:
                           "unknown-field" (with bad_query set) */
    bool bad_query;
    const char *clause; /* which clause of the grant said no, static; NULL when allowed: "consumer",
                           "service", "not-before", "not-after", "terms", "operation", "readable",
                           "writable", "filterable", "sortable", "predicate", "purpose", "strict",
                           "row-filter", "mask", "quota" */
    yz_bytes grant;     /* id of the grant that decided; empty when none matched */
    yz_bytes field;     /* the field that was refused, when reason is about one */
    /* The two halves of that grant, borrowed from offer and terms; NULL when there is none. */
    const struct coarse_grant *coarse;
    const struct fine_grant *fine;
    unsigned projection[DATASET_FIELDS_MAX];   /* read; with insert and put: brought */
    enum field_mask masks[DATASET_FIELDS_MAX]; /* of what is read, parallel to the projection */
    size_t projection_n;
    struct predicate_choice predicates[MATCH_PREDICATES_MAX]; /* parallel to the question's */
    size_t predicates_n;
};

/* Decide. A grant matches when consumer and service are its own and now is within its validity; of
 * several matching grants the first (in the offer's order) that allows the whole question decides,
 * otherwise the reason of the last one that came furthest is given. An empty q->fields asks for
 * every readable field, in the order of the definition. The key fields of a get need not be
 * readable. The fields an insert or a put brings must be writable, its keys as well. */
void yzi_access_decide(const struct offer *offer, const struct terms *terms,
                       const struct dataset *dataset, const struct access_question *question,
                       struct access_decision *out);

#endif
