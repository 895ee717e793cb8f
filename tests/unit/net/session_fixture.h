/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of sessions share: a puppet broker, which is a real server that answers as a
 * broker would or as the test tells it to, and the owner of a session, who counts what he is told.
 * Session, trust and world share one manual clock.
 */
#ifndef YZ_TESTS_NET_SESSION_FIXTURE_H
#define YZ_TESTS_NET_SESSION_FIXTURE_H

#include "net/server.h"
#include "net/session.h"
#include "tests/support/world.h"
#include "tests/unit/evidence/puppet_log.h"

#define WAIT_MS 20000u /* how long a test waits for what must happen */
#define KINDS 64u
#define CHUNKS_KEPT 16u
#define BEAT_MS 2000u /* the puppet's */

extern struct world *w;

struct puppet {
    struct net *net;
    struct server *server;
    struct world_node *broker; /* who it is */
    const struct directory *directory;
    yz_buf freshness, statements;
    /* how it behaves */
    const char *name; /* in its welcome; NULL: its own */
    uint64_t claim;   /* version; 0: its directory's */
    uint64_t time;    /* in its welcome; 0: right */
    uint32_t message_max;
    bool strict; /* admits nobody */
    bool cold;   /* does not welcome */
    bool silent; /* does not answer fetches */
    bool deaf;   /* takes no messages */
    bool no_chunks, wrong_chunks;
    bool no_statements, stuck; /* says it has none; gives the first page again and again */
    /* what came */
    unsigned got[KINDS];
    yz_buf last[KINDS]; /* the last frame of each kind */
    unsigned fetched[FETCH_RECEIPT + 1], answered[FETCH_RECEIPT + 1];
    struct asked {
        uint32_t token;
        uint8_t name[YZ_ID_MAX];
        size_t name_n;
    } asked[FETCH_RECEIPT + 1], chunks[CHUNKS_KEPT]; /* the last of each; chunks, in turn */
    struct puppet_log *log; /* what it proves consistency from; NULL: it has none */
    struct connection_id peer;
    uint8_t key[32];
    yz_buf out;
};

/* This is its directory from now on; says nothing by itself. */
void puppet_adopts(struct puppet *p, const struct directory *d);
void open_puppet(struct puppet *p, const char *broker, int high_water);
void close_puppet(struct puppet *p);
void say(struct puppet *p, yz_bytes frame);
void say_welcome(struct puppet *p);
void say_heartbeat(struct puppet *p);
void say_object(struct puppet *p, uint32_t token, enum fetch_what what, bool found,
                yz_bytes payload);
uint32_t say_fetch(struct puppet *p, uint32_t token, enum fetch_what what, yz_bytes name);
struct frame last_frame(struct puppet *p, enum frame_kind kind);

struct owner {
    struct net *net;
    struct trust *trust;
    struct log_views *views; /* NULL: sessions follow no log */
    char *dir;
    struct session *session, *second;
    struct puppet b1, b2;
    struct world_node *node;
    /* what was told */
    unsigned ups, downs, frames, objects, results, changes, alarms;
    uint64_t welcomed_version;
    const char *reason;
    yz_error alarm;
    yz_buf frame, object_payload;
    struct object object;
    struct put_result result;
    bool take_frames;
    struct message taken;
};

int set_up(void **state);
int tear_down(void **state);
struct session *open_session(struct owner *o, struct puppet *p, int high_water);
/* Wait for something to happen, at most so long, and let everybody deal with it. */
void turn(struct owner *o, int64_t wait_ms);
/* Everything under way has come through, and what that made the session ask. */
void settle(struct owner *o);
/* Of the directory in force; 0: none. */
uint64_t version(struct owner *o);
/* Give the trust the world's newest directory. */
void know_directory(struct owner *o);
/* Open the session, see it welcomed, and what follows done. */
void come_up(struct owner *o);

#define UNTIL(o, cond)                                                                             \
    do {                                                                                           \
        uint64_t end_ = yzi_mono_ms(&yzi_clock_system) + WAIT_MS;                                  \
        while (!(cond)) {                                                                          \
            if (yzi_mono_ms(&yzi_clock_system) >= end_) {                                          \
                fail_msg("never came true: %s (last alarm: %s)", #cond, (o)->alarm.text);          \
            }                                                                                      \
            turn(o, 1);                                                                            \
        }                                                                                          \
    } while (0)

#endif
