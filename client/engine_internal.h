/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine's files share: engine.c keeps time and the way of a call up to its being sent;
 * copies.c gives it to another broker as well; * fetch.c finds out about services; judge.c deals
 * with what comes back; peers.c finds brokers' keys and opens sessions.
 */
#ifndef YZ_CLIENT_ENGINE_INTERNAL_H
#define YZ_CLIENT_ENGINE_INTERNAL_H

#include "base/deadlines.h"
#include "client/engine.h"
#include "client/seal.h"
#include "client/services.h"
#include "evidence/receipt.h"
#include "net/session.h"

/* How long what is missing may be waited for before it counts as absent. */
#define LAG_MS 2000u    /* a newer directory or freshness, once a broker is up */
#define FETCH_MS 5000u  /* an answer to FETCH_SERVICE, before another broker is asked */
#define RETRY_MS 5u     /* after a full queue */
#define RENEW_MS 1000u  /* between attempts to open a session that could not be opened */
#define SENDS_MAX 8u    /* of one message, to all brokers together */
#define LIFE_MIN_MS 20u /* with less time left, nothing is sent any more */

struct peer {
    struct engine *engine;
    unsigned index;
    char node[YZ_ID_MAX + 1];
    uint8_t key[32];
    struct session *session; /* NULL: could not be opened; tried again */
    bool renew;              /* its key changed: open the session anew when it is down */
    uint64_t retry_at;       /* monotonic ms: not opened before */
    bool up;
    uint64_t up_since; /* monotonic ms */
    /* Which loss of all brokers' it had last: it lived, and a call it had was answered through one
     * asked later, or ended without an answer. Whoever lost earlier is asked first. 0: none. */
    uint64_t lost;
    uint64_t lost_at, trial_wait, trial_at; /* monotonic ms; when one call is given to it again */
    uint64_t sign_asked_at;                 /* monotonic ms: of a sign of life */
    /* Monotonic ms: when a call had waited for it for long enough to be given to another, and
     * nothing at all had come from it meanwhile. Others are preferred until something does. */
    uint64_t doubted_at;
    uint32_t message_max;
    char why_down[200];
    char alarm[300]; /* the last one; "" */
    struct root_memory roots;
    struct checkpoint_memory checkpoints;
};

enum call_state {
    CALL_WAITS, /* for a broker, a directory, the service, or room in a queue */
    CALL_SENT,  /* by at least one broker's session */
};

struct call {
    struct call *prev, *next; /* in the engine's list of its state */
    struct ask ask;
    bool probe;
    call_done *done;
    void *ctx;
    struct call_handle *handle;   /* NULL */
    uint64_t submitted, deadline; /* monotonic ms */
    struct deadline timer;
    enum call_state state;
    struct service *service; /* waited for; counted in its users; NULL */
    yz_uuid conversation;
    struct envelope envelope;
    bool made; /* the envelope is, and is in the table by its message id */
    bool resealed;
    bool in_doubt; /* it writes, and a broker that had it may have passed it on, with what end
                      nobody said: another's "unavailable" does not say that it was not executed */
    unsigned sends;
    unsigned asked;                   /* bit per peer that may still answer */
    uint64_t sent_at[YZ_BROKERS_MAX]; /* monotonic ms: last, to each */
    /* copies.c: since when it is watched, when it is decided whether another gets it, and when to
     * look next, 0: never; monotonic ms */
    uint64_t watched_from, decide_at, another_at;
    bool wants_copy;    /* and there was none left */
    unsigned on_budget; /* bit per peer whose copy was counted */
    unsigned failed;    /* bit per peer whose answer did not verify or was no use */
    struct message parked[YZ_BROKERS_MAX]; /* answers that wait for a newer directory */
    uint64_t parked_until;                 /* monotonic ms; 0: none parked */
    yz_answer *fallback; /* a broker's word, told unless another broker does better */
    yz_error trouble;    /* why the last thing tried did not work; text "" when nothing was */
};

struct call_list {
    struct call *head, *tail;
    size_t n;
};

struct engine {
    struct engine_options o;
    const struct directory *directory; /* reference to the one in force, or NULL */
    struct sealer *sealer;
    struct services services;
    struct peer peers[YZ_BROKERS_MAX];
    unsigned peers_n;
    struct call_list waiting, sent;
    struct table by_id; /* made calls, by message id */
    struct deadlines timers;
    size_t bytes;          /* of frames kept */
    size_t parked_bytes;   /* of answers that wait for a newer directory */
    bool dirty;            /* something waiting calls wait for may have changed */
    bool stranded;         /* sent calls may exist that no broker is to answer any more */
    size_t wanting;        /* calls that want a copy */
    bool copies_back;      /* some of them may get it now */
    uint64_t losses;       /* so far, to number them */
    uint64_t kept_sync_at; /* monotonic ms; 0: nothing to be made durable */
    uint64_t kept_expire_at;
    uint64_t recheck_at; /* monotonic ms: look at waiting calls, services and sessions then */
    struct engine_counters counters;
    /* Objects that no call asked for: the catalogue's. NULL: dropped. */
    void (*on_object)(void *ctx, const struct peer *p, const struct object *o, yz_bytes payload);
    void *on_object_ctx;
};

static inline uint64_t yzi_engine_now(const struct engine *e)
{
    return yzi_mono_ms(e->o.clock);
}
static inline struct judge yzi_engine_judge(const struct engine *e)
{
    return (struct judge){e->directory, yzi_wall_ms(e->o.clock), YZ_SKEW_MS};
}
void yzi_engine_recheck(struct engine *e, uint64_t at); /* not later than `at` */

/* -- engine.c -- */
void yzi_call_finish(struct engine *e, struct call *c, int rc, yz_answer *answer,
                     const yz_error *err);
/* Finish with a sentence. */
void yzi_call_fail(struct engine *e, struct call *c, int code, const char *fmt, ...)
    YZ_PRINTF(4, 5);
/* Forget the message made, and go on as if it had not been. */
void yzi_call_restart(struct engine *e, struct call *c);
/* Send the message to the first broker that is up and was neither asked nor failed; false when
 * there is none, or none could take it. */
bool yzi_call_send(struct engine *e, struct call *c);
void yzi_call_set_want(struct engine *e, struct call *c, bool wants_copy);
void yzi_call_set_timer(struct engine *e, struct call *c);

/* -- copies.c -- */
void yzi_copy_sent(struct engine *e, const struct call *c); /* for the first time */
/* It was sent: watch whether another broker is to get it, too. */
void yzi_copy_watch(struct engine *e, struct call *c);
void yzi_copy_due(struct engine *e, struct call *c); /* another_at */
/* A provider's answer that verifies came through this peer; it may be the end of a copy's use. */
void yzi_copy_answered(struct engine *e, struct call *c, struct peer *p);
void yzi_copy_not_answered(struct engine *e, const struct call *c); /* in all its time */
void yzi_copies_give(struct engine *e);                             /* to those that wanted one */

/* -- fetch.c -- */
/* The call's service is not fresh: wait for it, or end. Leaving is for calls that need not. */
void yzi_service_wait(struct engine *e, struct call *c, struct service *s);
void yzi_service_leave(struct call *c);
/* The answer to a fetch; what nobody asked for is dropped. */
void yzi_services_object(struct engine *e, const struct peer *p, const struct object *o,
                         yz_bytes payload);
void yzi_services_lost(struct engine *e, unsigned peer); /* the fetches it was to answer */
void yzi_services_expire(struct engine *e, uint64_t now);
void yzi_services_directory_changed(struct engine *e);

/* -- judge.c -- */
void yzi_engine_on_frame(struct engine *e, struct peer *p, const struct frame *f,
                         struct message *m);
/* Answers that waited for a directory: judge those that need wait no longer. */
void yzi_call_unpark(struct engine *e, struct call *c, bool now);

/* -- keep.c -- */
/* Keep what a call that ends now can be proved by. `plain`: the answer opened; NULL for an outcome.
 * Whether it was kept. */
bool yzi_engine_keep(struct engine *e, const struct call *c, const struct peer *p,
                     const struct frame *f, const struct plain *plain, yz_node_id signer);
void yzi_engine_keep_step(struct engine *e);

/* -- peers.c -- */
YZ_MUST_USE int yzi_peers_open(struct engine *e, yz_error *err);
void yzi_peers_close(struct engine *e);
/* The directory changed: see whether a broker has another key. */
void yzi_peers_rekey(struct engine *e);
/* Open what is to be opened anew. Never inside a session's step. */
void yzi_peers_renew(struct engine *e);
/* The session is no good: close it, and open another after a while. */
void yzi_peer_give_up(struct peer *p, const char *reason);
/* The first broker that is up and whose bit is not in `except`: of those not doubted, of those that
 * lost the longest ago, in the order of the configuration; NULL. */
struct peer *yzi_peers_first(struct engine *e, unsigned except);
/* One that lost, and is to be tried with one call now; NULL. Each time it is told, it was. */
struct peer *yzi_peers_on_trial(struct engine *e);
/* It lost a call that was given to it at that time. */
void yzi_peer_lost(struct peer *p, uint64_t given_at);
/* These were asked, and whoever of them has said nothing since then is doubted. True: one of them
 * has, in the later half of that time. */
bool yzi_peers_doubt(struct engine *e, unsigned asked, uint64_t since);
/* Of these, ask whoever has said nothing since then for a sign of life. */
void yzi_peers_ask_sign(struct engine *e, unsigned asked, uint64_t since);
/* Why none is up, one clause per broker. */
void yzi_peers_say_down(const struct engine *e, char *out, size_t n);

extern const struct session_handler yzi_engine_session_handler; /* without ctx */

#endif
