/* SPDX-License-Identifier: Apache-2.0
 *
 * From a verified request to a signed answer: open, check the commitment, decide, query, seal,
 * sign. It runs on a worker thread and touches nothing that another thread changes: the job owns
 * the request's bytes and holds references to the directory and policy it is judged by.
 */
#ifndef YZ_ADAPTERS_ANSWER_H
#define YZ_ADAPTERS_ANSWER_H

#include "adapters/dataset/cursor.h"
#include "adapters/dataset/store.h"
#include "adapters/debits.h"
#include "adapters/policy.h"
#include "evidence/kept.h"
#include "keys/verify.h"
#include "net/message.h"

struct finished;
struct job {
    struct message message;
    struct verified_request request;
    const struct directory *directory; /* reference */
    struct policy *policy;             /* reference; NULL: nothing is offered */
    struct store *store;           /* reference; NULL: the service's data set is not held here */
    const struct dataset *dataset; /* the definition it was judged by; reference, or NULL */
    unsigned slot;                 /* ours in the request */
    uint8_t request_key[32], response_key[32]; /* pair keys; wiped with the job */
    uint64_t deadline_mono;
    unsigned session;           /* where the answer goes */
    yz_node_id broker;          /* which that is; lives as long as the adapter */
    struct checkpoint_ref seen; /* of that broker's log, last; its signature is in the next */
    uint8_t seen_signature[YZ_SIGNATURE_BYTES];
    bool write_service; /* declared so: it has a place in the memory of writes, and the evidence
                           that it was asked was checked */
    bool to_write;      /* decided, and to be executed by the writer thread */
    bool evidenced;     /* a broker proved that the request is in its log */
    bool begun;         /* marked so in the memory of writes, where it stays */
    yz_buf pending;     /* to_write: the response that says indeterminate */
    int proof_kept;     /* what keeping the exchange (evidence/kept.h) came to */
    /* the result */
    int rc; /* YZ_OK: `answer` is the response frame; otherwise none could be made (YZ_ETIMEOUT: by
               `deadline_mono`) */
    yz_buf answer;
    enum response_status status;
    const char *reason;    /* static; for the log */
    int kept;              /* begun: what keeping the answer failed with */
    struct finished *done; /* what it comes back as; the workers' */
};
void yzi_job_free(struct job *j); /* wipes keys; NULL allowed */

/* What a worker has for itself. */
struct answering {
    yz_node_id node;          /* ours */
    struct key_pair *signing; /* held: several workers sign at once */
    const struct clock *clock;
    size_t message_max;
    struct kept *kept;          /* shared by all workers; NULL: nothing is kept */
    struct debits *debits;      /* borrowed, shared by all */
    struct query_limits limits; /* without the deadline */
    uint64_t query_ms;
    bool executes; /* the writer thread's: does what others hand over to it */
    uint8_t cursor_key[CURSOR_KEY_BYTES]; /* of all workers; from the storage key */
    uint64_t cursor_ms;                   /* how long a cursor is good */
    uint8_t budget_key[32]; /* of all workers; from the storage key: what budgets count under */
    struct arena arena;
    yz_buf plain, rows, head, sealed, position, cursor; /* scratch; wiped after each job */
    yz_buf asked;        /* the request's plaintext, until it is kept */
    yz_buf subjects;     /* whom it is about, likewise */
    size_t subjects_own; /* bytes of it that the request names, whatever is answered */
};
YZ_MUST_USE int yzi_answering_init(struct answering *a);
void yzi_answering_fini(struct answering *a);
/* Fill the job's result; or, for what changes data, unless this is the writer's: set to_write and
 * fill `pending`, to be marked begun and executed by the writer (execute.h). */
void yzi_answer(struct answering *a, struct job *j);
/* The signed answer to a request sealed to an epoch that is gone: no payload, but the announcement
 * now in force. Appends the frame. */
YZ_MUST_USE int yzi_answer_stale_key(yz_node_id node, struct key_pair *signing, uint64_t now,
                                     const struct verified_request *request, unsigned slot,
                                     const struct directory *directory, yz_bytes announcement,
                                     yz_buf *out);

#endif
