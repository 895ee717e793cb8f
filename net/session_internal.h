/* SPDX-License-Identifier: Apache-2.0
 *
 * A session from the inside: session.c keeps the connection, session_follow.c what travels over it
 * about the directory, in both directions, session_log.c what is seen of the broker's log. Private
 * to net/.
 */
#ifndef YZ_NET_SESSION_INTERNAL_H
#define YZ_NET_SESSION_INTERNAL_H

#include "net/bundle.h"
#include "net/session.h"

#define SESSION_FETCHES_MAX 8u /* chunks asked for and not yet here */
/* Questions whose answer still counts when they were asked again: a broker may be slow. */
#define SESSION_LATE_MAX 6u

enum session_state {
    SESSION_DOWN,
    SESSION_GREETING, /* hello sent, no welcome yet */
    SESSION_UP
};

/* Where following the broker's directory stands. */
enum follow_state {
    FOLLOW_IDLE,
    FOLLOW_MANIFEST, /* asked for, token in `manifest_token` */
    FOLLOW_CHUNKS
};

struct session {
    struct session_options o; /* link.endpoint is not ours and not used after the link exists */
    struct link *link;
    yz_uuid boot;
    enum session_state state;
    const char *down_reason; /* last told to the owner; NULL: up, or never told anything */
    bool revoked;            /* the broker, when it was looked up last */
    const struct directory *judged_by; /* to compare with, never to read */
    uint64_t judged_at;
    uint32_t last_token;
    yz_buf out; /* the frame being written */

    /* the connection */
    uint32_t beat_ms;    /* between ours */
    uint32_t silence_ms; /* of the broker, before it is given up */
    size_t message_max;  /* what the broker takes */
    uint64_t heard_at, beat_at;
    struct bundle incoming; /* being taken apart */
    struct message held;    /* a fetch of the broker's that found no room for its answer */
    uint64_t held_until;
    bool complained; /* about what this broker sends against the protocol */

    /* following */
    uint64_t claimed_version; /* the broker's, by its own word */
    uint64_t pushed_version;  /* ours, offered on this connection */
    uint32_t push_token;
    enum follow_state follow;
    uint32_t manifest_token;
    uint32_t
        late_manifests[SESSION_LATE_MAX]; /* tokens of those not waited for any more; 0: none */
    unsigned next_late;
    struct {
        uint32_t token; /* 0: free */
        bool overdue;   /* asked for again, perhaps in another place; still taken */
        yz_digest digest;
    } fetches[SESSION_FETCHES_MAX];
    uint64_t follow_deadline;   /* progress must be made by then */
    uint64_t follow_not_before; /* after trouble */
    uint64_t follow_retry_at;   /* UINT64_MAX: when the broker claims something new */
    uint64_t freshen_at;
    bool statements_due;              /* to be asked for then too */
    uint32_t statements_token;        /* of the page that is to come; 0: none */
    char statements_after[YZ_ID_MAX]; /* the last member of the page before it */
    size_t statements_after_n;
    uint64_t freshness_time; /* the newest this broker gave for `freshness_version` */
    uint64_t freshness_version;

    /* alarms are bounded: whoever can cause them would otherwise fill the owner's log */
    unsigned alarms, alarms_left_out;
    uint64_t alarms_until;

    /* the broker's log */
    struct log_view *view; /* NULL: not followed */
    struct checkpoint_memory checkpoints;
    uint32_t log_tokens[SESSION_LATE_MAX]; /* of the proof asked for, newest first; 0: none */
    uint8_t log_name[CONSISTENCY_NAME_BYTES];
};

/* -- session.c -- */
uint32_t yzi_session_token(struct session *s); /* a fresh one, never 0 */
/* Send what is in s->out. YZ_EAGAIN, YZ_ETOOBIG, YZ_EIO. */
YZ_MUST_USE int yzi_session_send_out(struct session *s);
/* Tell the owner; err->text may be empty, then the code's name stands for it. */
void yzi_session_alarm(struct session *s, int code, const char *what, const yz_error *err);
YZ_MUST_USE int yzi_session_ask(struct session *s, enum fetch_what what, yz_bytes name,
                                uint32_t *out_token);

/* -- session_log.c -- */
YZ_MUST_USE int yzi_log_open(struct session *s, yz_error *err);
void yzi_log_reset(struct session *s);
bool yzi_log_is_broken(const struct session *s);
/* What the hello says of it; in `out`, or empty. */
yz_bytes yzi_log_hello(const struct session *s, uint8_t out[YZ_SEEN_BYTES]);
void yzi_log_step(struct session *s);
uint64_t yzi_log_deadline(const struct session *s);
/* False when the object is the owner's to have. */
bool yzi_log_object(struct session *s, const struct object *o, yz_bytes payload);

/* -- session_follow.c -- */
void yzi_follow_reset(struct session *s); /* a new connection, or none */
void yzi_follow_begin(struct session *s); /* welcomed */
/* The broker says it has this version. */
void yzi_follow_heard_version(struct session *s, uint64_t version);
void yzi_follow_step(struct session *s);
uint64_t yzi_follow_deadline(const struct session *s);
/* False when the object is the owner's to have. */
bool yzi_follow_object(struct session *s, const struct object *o, yz_bytes payload);
bool yzi_follow_put_result(struct session *s, const struct put_result *r);
/* Answer the broker's fetch. YZ_EAGAIN when there is no room for the answer now; malformed ones are
 * YZ_EMALFORMED. */
YZ_MUST_USE int yzi_follow_serve(struct session *s, yz_bytes fetch_header);

#endif
