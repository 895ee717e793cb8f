/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the adapter share: the standard world, a data set of marriages with a few rows,
 * the policy that grants it to the window, and jobs made of the world's requests as admission makes
 * them.
 */
#ifndef YZ_TESTS_ADAPTER_FIXTURE_H
#define YZ_TESTS_ADAPTER_FIXTURE_H

#include "adapters/answer.h"
#include "adapters/policy.h"
#include "tests/support/world.h"

struct fixture {
    struct clock clock; /* the world's wall, the system's monotonic time: the store looks at that */
    struct world *w;
    char *dir;
    struct dataset *dataset;
    struct store *store;
    struct world_node *a1;
    struct directory_node self; /* a1 in the directory */
    struct policies *policies;
    struct policy *policy; /* borrowed from policies */
    struct answering answering;
};

int fixture_set_up(void **state); /* cmocka's: state is the fixture */
int fixture_tear_down(void **state);
/* The policy of that version into force. */
void fixture_publish(struct fixture *f, uint64_t version);

/* A query head asking for these keys' fields (NULL-terminated lists; fields NULL: all readable). */
void fixture_query(enum query_operation operation, const char *const *keys,
                   const char *const *fields, yz_buf *out);
/* The request, admitted and verified by a1, as a job in memory of its own. */
struct job *fixture_job(struct fixture *f, const struct world_message *request);
/* The same for a get of these keys and fields; the request is *out_request, to be freed. */
struct job *fixture_get(struct fixture *f, const char *const *keys, const char *const *fields,
                        struct world_message *out_request);

/* The same for an insert or a put of person_id and status, or a delete of person_id, to a service
 * that writes, its evidence checked. */
struct job *fixture_write(struct fixture *f, enum query_operation operation, const char *id,
                          const char *status, struct world_message *out_request);

/* What the consumer finds in an answer it verified and opened. */
struct opened {
    struct verified_response response;
    yz_buf plain_text;
    struct plain plain;
    struct arena arena;
    struct answer_head head;
};
void fixture_open(struct fixture *f, const struct world_message *request, const struct job *j,
                  struct opened *out);
void opened_fini(struct opened *o);
/* The rows as text: values joined by '|', null as '~', each row ended by '\n'. */
void opened_rows(const struct opened *o, char *out, size_t cap);

#endif
