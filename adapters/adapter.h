/* SPDX-License-Identifier: Apache-2.0
 *
 * The adapter: everything its link thread owns, and how its files divide the work. runtime.c runs
 * the loop and keeps the sessions with brokers; requests.c admits requests and hands them to
 * workers, which answer them (answer.c, workers.c); admin.c answers the administration socket. The
 * link thread alone touches this struct.
 */
#ifndef YZ_ADAPTERS_ADAPTER_H
#define YZ_ADAPTERS_ADAPTER_H

#include "adapters/config.h"
#include "adapters/events.h"
#include "adapters/memory.h"
#include "adapters/outbox.h"
#include "adapters/receipts.h"
#include "adapters/workers.h"
#include "evidence/receipt.h"
#include "net/admin.h"
#include "net/session.h"

#define ADAPTER_PARKED_MAX 256u
#define ADAPTER_DATA_JOBS_MAX (ADMIN_CONNECTIONS_MAX + 1u) /* one a call, and one that ends */

struct adapter;

/* One broker we are connected to. */
struct upstream {
    struct adapter *adapter;
    struct session *session; /* NULL: no key of that broker is known yet */
    const struct adapter_broker *config;
    yz_node_id broker;
    bool up;
    size_t offers_at; /* the next to be put */
    struct receipts receipts;
    struct outbox outbox;
};

struct held_dataset {
    char *name;
    struct store *store; /* a reference; jobs have their own */
};

/* A request whose sender or broker knows a newer directory, waiting for it a moment. */
struct parked_request {
    struct message message;
    unsigned upstream;
    uint64_t until_mono;
};

struct adapter {
    const struct adapter_config *config;
    const struct clock *clock;
    yz_node_id node; /* view into config */
    struct key_pair signing, transport, storage;
    struct trust *trust;
    struct kept *kept; /* NULL: the configuration keeps nothing */
    struct log_views *views;
    const struct directory *directory; /* reference, or NULL */
    struct directory_node self;        /* in directory; zero when it does not list us */
    bool listed;
    struct net *net;
    struct upstream upstreams[YZ_BROKERS_MAX];
    unsigned upstreams_n;
    struct held_dataset datasets[ADAPTER_DATASETS_MAX];
    size_t datasets_n;
    struct definitions *wanted; /* what the next reload is to bring into force, or NULL */
    bool reloading;             /* the writer is about it */
    struct policies *policies;
    struct epochs *epochs;
    struct seal_cache *pair_keys;
    struct root_memory roots; /* one for all: the brokers' consumers share it */
    struct memory memory;
    struct state *state;
    struct writes *writes;
    struct debits *debits;
    struct checkpoint_memory checkpoints; /* of brokers' logs, verified before */
    struct workers *workers;
    size_t jobs_out; /* submitted, not yet taken back */
    struct import_job
        *data_jobs[ADAPTER_DATA_JOBS_MAX]; /* submitted, not yet taken back; NULL: free */
    size_t imports_out;                    /* how many */
    struct admin_server *admin;
    struct parked_request parked[ADAPTER_PARKED_MAX];
    size_t parked_n, parked_bytes;
    yz_buf out;          /* scratch: the frame being written */
    uint64_t mono, wall; /* read once per wake-up */
    uint64_t next_second, next_minute;
    int ready_fd;
    bool said_ready, draining, stopped;
    bool all_sent;               /* draining: nothing is under way any more */
    uint64_t drain_until;        /* for work under way, then for the last answers to leave */
    uint64_t answered, rejected; /* for status */
    uint64_t logged_second;
    unsigned logged; /* lines about rejected requests in that second */
};

/* -- runtime.c -- */
YZ_MUST_USE int yzi_adapter_new(const struct adapter_config *config, const struct clock *clock,
                                int ready_fd, struct adapter **out, yz_error *err);
void yzi_adapter_free(struct adapter *a);
YZ_MUST_USE int yzi_adapter_step(struct adapter *a, int wake_fd, yz_error *err);
void yzi_adapter_drain(struct adapter *a); /* then step until a->stopped */
struct judge yzi_adapter_judge(const struct adapter *a);
/* The directory in trust changed: take it into force. */
void yzi_adapter_directory_changed(struct adapter *a);
/* Give these records to every broker that is up. */
void yzi_adapter_put_everywhere(struct adapter *a, yz_bytes records);

/* -- datasets.c -- */
/* At the start: all that the configuration names, or none. */
YZ_MUST_USE int yzi_adapter_open_datasets(struct adapter *a, yz_error *err);
void yzi_adapter_close_datasets(struct adapter *a);
/* Bring the definitions into force that a configuration read again names: parsed at once (a fault
 * changes nothing: YZ_ECONFIG, "file:line:col: sentence"), and put in force by the writer thread,
 * behind what it has to do before. */
YZ_MUST_USE int yzi_adapter_reload(struct adapter *a, const struct adapter_config *config,
                                   yz_error *err);
void yzi_adapter_on_reload(struct adapter *a, struct reload *r);
struct store *yzi_adapter_store(const struct adapter *a, yz_bytes dataset); /* NULL: not here */

/* -- requests.c -- */
void yzi_adapter_on_request(struct adapter *a, unsigned upstream, struct message *m,
                            bool parked_before);
/* Look again at parked requests whose moment is over, or at all. */
void yzi_adapter_unpark(struct adapter *a, bool all);
/* A worker is done with a job, which is freed. */
void yzi_adapter_on_answer(struct adapter *a, struct job *j);

/* -- admin.c -- */
void yzi_adapter_admin(void *ctx, struct admin_call *call, const struct admin_request *request,
                       yz_bytes payload, int fd);

/* -- admin_data.c -- */
/* Serve a verb about data; false when it is none. Takes *fd (then -1) when it is of use. */
bool yzi_adapter_data_verb(struct adapter *a, struct admin_call *call,
                           const struct admin_request *q, int *fd);
void yzi_adapter_on_import(struct adapter *a, const struct finished *f);
/* Cancel what nobody waits for any more; with `all` everything. */
void yzi_adapter_cancel_jobs(struct adapter *a, bool all);

/* -- explain.c -- */
void yzi_adapter_explain(struct adapter *a, struct admin_call *call, const struct admin_request *q,
                         yz_bytes payload);

#endif
