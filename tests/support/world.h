/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole instance with fresh keys for tests: root, operators, freshness, brokers, members with
 * their adapters and clients; its directory; and messages among them, real to the last bit. Time is
 * a manual clock that begins at WORLD_TIME. Nothing here returns an error: what fails ends the test
 * program. Everything belongs to the world and is freed with it, but for the buffers handed out.
 *
 *     struct world *w = yz_world_standard();
 *     struct world_message q;
 *     yz_world_request(w, &(struct world_request){0}, &q);   w1 asks CN/GOV/MCA/civil/marriage/v1
 *
 * The standard world is CN with brokers CN/@b1 and @b2; CN/GOV/MCA with subsystem civil and
 * adapters
 * @a1, @a2; CN/GOV/HB with subsystem window and clients @w1, @w2; directory version 1 published.
 */
#ifndef YZ_TESTS_SUPPORT_WORLD_H
#define YZ_TESTS_SUPPORT_WORLD_H

#include "base/clock.h"
#include "keys/directory.h"
#include "keys/seal.h"
#include "proto/header.h"

#define WORLD_TIME UINT64_C(1750000000000)
#define WORLD_CODES_MAX 32u
#define WORLD_KEYS 3u
#define WORLD_SERVICE "CN/GOV/MCA/civil/marriage/v1"
#define WORLD_CONSUMER "CN/GOV/HB/window"

struct world_node {
    struct world_node *next;
    struct world_member *member; /* NULL: a broker */
    char id[128];
    yz_node_id node; /* view of id */
    enum node_role role;
    struct key_pair signing, transport, log; /* log: brokers */
    char address[64];                        /* brokers: the endpoint listed */
    const char *codes[WORLD_CODES_MAX];      /* subsystems */
    size_t codes_n;
    bool gone; /* not listed any more */
    /* of listed keys: 0 and 0 when made */
    uint64_t not_before, not_after;
    struct key_pair epoch; /* clients */
    struct epochs *epochs; /* adapters */
};

struct world_member {
    struct world_member *next;
    struct world *world;
    char id[96];
    yz_member_id member; /* view of id */
    struct key_pair key, owner;
    struct key_pair second;                  /* listed beside `key` once it is made */
    uint64_t key_not_after, owner_not_after; /* 0: no end */
    const char *codes[WORLD_CODES_MAX];
    size_t codes_n;
    size_t padding;           /* so many more subsystems with long names, to make its set large */
    uint64_t set_version;     /* rises with each change below */
    struct world_node *nodes; /* newest first */
    bool gone;
};

struct world {
    struct manual_clock clock;
    const char *instance;
    struct key_pair roots[WORLD_KEYS], operators[WORLD_KEYS], freshness;
    unsigned root_threshold, operator_threshold; /* 2, 2 */
    uint64_t root_version, version;
    bool offers_write;           /* services offered from now on are declared `write` */
    const char *const *purposes; /* the instance's codes, ascending, to NULL; NULL: no list */
    uint64_t one_log;            /* that all receipts are of; 0: each of one of its own */
    bool root_changed;           /* the next publication has a newer root statement */
    struct world_node *brokers;
    struct world_member *members;
    struct world_revocation *revocations;
    yz_buf anchor, root;          /* raw: the first root statement, the newest */
    struct directory_parts parts; /* of the newest version */
    yz_buf bundle;
    const struct directory *directory;
    yz_buf *records; /* of the newest version, as they were assembled */
    size_t records_n;
};

struct world *yz_world_new(const char *instance); /* nobody in it, nothing published */
struct world *yz_world_standard(void);
void yz_world_free(struct world *w);
uint64_t yz_world_now(const struct world *w);

/* -- who is there -- changes count from the next publication or member set */
struct world_node *yz_world_add_broker(struct world *w, const char *code);
struct world_member *yz_world_add_member(struct world *w, const char *class_and_code);
void yz_world_add_subsystem(struct world_member *m, const char *code); /* the string must last */
/* codes: subsystems separated by spaces, each of the member's. */
struct world_node *yz_world_add_node(struct world_member *m, const char *code, enum node_role role,
                                     const char *codes);
void yz_world_change(struct world_member *m);                /* after changing a field by hand */
void yz_world_new_key(enum key_use use, struct key_pair *k); /* in place of the one there */
struct world_node *yz_world_node(struct world *w, const char *id); /* aborts when there is none */
struct world_member *yz_world_member(struct world *w, const char *id); /* the same */
void yz_world_revoke_node(struct world *w, const char *id, uint64_t at);
void yz_world_revoke_member(struct world *w, const char *id, uint64_t at);
void yz_world_revoke_key(struct world *w, const uint8_t key[32], uint64_t at);

/* Its purpose list is these codes, each with a title. */
void yz_world_put_purposes(const char *instance, const char *const *codes, yz_buf *out);

/* -- what is signed -- all appended to an initialised buffer */
void yz_world_buf(yz_buf *b); /* initialise with room for anything */
void yz_world_put_root(struct world *w, struct key_pair *const *keys, unsigned n, yz_buf *out);
void yz_world_put_member(struct world_member *m, yz_buf *out);
void yz_world_put_set(struct world_member *m, yz_buf *out);
/* The same signed by another key of use KEY_MEMBER. */
void yz_world_put_set_by(struct world_member *m, struct key_pair *key, yz_buf *out);
void yz_world_put_freshness(struct world *w, uint64_t time, yz_buf *out);
/* Sign an offer as the owner of its subsystem; terms_digest must be set. */
void yz_world_put_offer(struct world *w, const struct offer *offer, yz_buf *out);
/* One service with all adapters of its subsystem, one grant "g1" without end for the consumer, and
 * the terms to it: any operation, these fields (NULL-terminated) readable, filterable, sortable.
 * out_terms may be NULL. */
void yz_world_simple_offer(struct world *w, const char *service, const char *consumer,
                           uint64_t version, const char *const *fields, yz_buf *out_offer,
                           yz_buf *out_terms);
/* The same with this fine grant. */
void yz_world_grant_offer(struct world *w, const char *service, const char *consumer,
                          uint64_t version, const struct fine_grant *grant, yz_buf *out_offer,
                          yz_buf *out_terms);
/* All records of the next version; assemble, verify, and make it the newest. */
void yz_world_publish(struct world *w);
/* The announcement record in force of an adapter. */
struct epoch *yz_world_epoch(struct world *w, struct world_node *adapter);

/* -- messages -- */
struct world_message {
    yz_buf raw;         /* the whole frame */
    struct frame frame; /* views of raw */
    yz_digest digest;
    uint8_t content_key[32];
};
void yz_world_message_fini(struct world_message *m);

/* Zero fields mean: client w1 for CN/GOV/HB/window, the marriage service, slots a1 and a2, brokers
 * b1 and b2, now for YZ_EXPIRY_DEFAULT_MS, an empty query head and body, the client's key. */
struct world_request {
    struct world_node *client;
    const char *consumer, *service, *purpose;
    struct world_node *slots[YZ_SLOTS_MAX], *brokers[YZ_BROKERS_MAX];
    uint64_t issued_at;
    uint32_t life_ms;
    enum plain_type type;
    yz_bytes head, body;
    struct key_pair *sign_with;
    void (*spoil)(struct request_header *h, void *ctx); /* before it is written and signed */
    void *ctx;
};
void yz_world_request(struct world *w, const struct world_request *q, struct world_message *out);

struct world_response {
    struct world_node *adapter;  /* NULL: that of slot 0 */
    enum response_status status; /* 0: answered */
    enum plain_type type;        /* 0: PLAIN_ANSWER */
    yz_bytes head, body;
    struct key_pair *sign_with;
    void (*spoil)(struct response_header *h, void *ctx);
    void *ctx;
};
void yz_world_response(struct world *w, const struct world_response *r, const struct frame *request,
                       struct world_message *out);
void yz_world_outcome(struct world *w, struct world_node *broker, const struct frame *request,
                      enum outcome_status status, const char *reason, struct world_message *out);
/* Open what was sealed to an adapter (request) or a client (response to that request). */
void yz_world_open_request(struct world *w, struct world_node *adapter, const struct frame *request,
                           yz_buf *out_plain);
void yz_world_open_response(struct world *w, struct world_node *client, const struct frame *request,
                            const struct frame *response, yz_buf *out_plain);

/* A copy of a frame with one section replaced: for messages that were tampered with. */
void yz_world_reframe(const struct frame *f, const yz_bytes *block, const yz_bytes *payload,
                      struct world_message *out);

/* A fresh folder under the build's temporary place, and its removal with all that is in it. */
char *yz_world_tmpdir(void); /* free() it */
void yz_world_rmdir(const char *path);
/* dir/name with the text of a key file, mode 0600; with bytes. */
void yz_world_write_key(const char *dir, const char *name, struct key_pair *k);
void yz_world_write_file(const char *dir, const char *name, yz_bytes content);
/* dir/anchor.yzr, armoured. */
void yz_world_write_anchor(struct world *w, const char *dir);

#endif
