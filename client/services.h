/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client knows of the services it calls: the owner's offer, and the announcements of the
 * adapters that were live when the broker was asked. Both are verified here, against the directory
 * in force, before anything is sealed to them. Knowledge ages: it is used as it is for a while,
 * then refreshed. One thread (the engine's).
 */
#ifndef YZ_CLIENT_SERVICES_H
#define YZ_CLIENT_SERVICES_H

#include "base/table.h"
#include "keys/offers.h"
#include "keys/verify.h"

#define SERVICES_MAX 1024u
#define SERVICE_FRESH_MS 60000u /* used without asking again */
#define SERVICE_ASKED_MAX 8u
#define COPY_PARTS 20u   /* a call that is sent gives one part: one copy for twenty calls */
#define COPIES_FIRST 10u /* of a service that was not called before */
#define COPIES_MAX 100u
#define SERVICE_ADAPTERS_MAX 4096u /* whose announcements are remembered */

/* An adapter to seal to. */
struct provider {
    uint8_t node[YZ_ID_MAX];
    size_t node_n;
    uint8_t epoch_key[32];
    uint8_t signer[32];
    yz_digest announcement;
    uint64_t sequence, not_before, not_after;
};
static inline yz_node_id yzi_provider_node(const struct provider *p)
{
    return (yz_node_id){yzi_bytes(p->node, p->node_n)};
}

struct services;
struct service {
    struct services *owner;
    uint8_t id_bytes[YZ_ID_MAX];
    yz_service_id id;               /* view of the above */
    const struct held_offer *offer; /* NULL: nothing known yet */
    enum service_mode mode;
    struct provider providers[YZ_SLOTS_MAX]; /* as the broker orders them: least loaded first */
    unsigned providers_n;
    uint64_t loaded_at; /* monotonic ms */
    bool stale;         /* ask again before the next use */
    /* the fetch under way, or what came of it */
    bool fetching;
    unsigned peer; /* asked */
    uint32_t token;
    uint64_t fetch_until; /* monotonic ms */
    /* Those asked whose answer still counts, also when another was asked since; token 0: none. */
    struct {
        unsigned peer;
        uint32_t token;
    } asked[SERVICE_ASKED_MAX];
    unsigned next_asked;
    unsigned tried;     /* bit per peer whose answer was no use, since last asked for */
    unsigned silent;    /* bit per peer that did not answer, since last asked for */
    uint64_t lag_until; /* 0, or until when a newer directory may explain the trouble */
    int trouble;        /* YZ_E* of the worst that came; 0 */
    char trouble_text[300];
    unsigned users;  /* calls that wait for it: it stays */
    unsigned copies; /* of calls that other brokers may get, too; in parts of one (copies.c) */
};

struct services {
    struct table by_id;
    struct table newest; /* node id -> struct provider: what each adapter announced last */
};
void yzi_services_fini(struct services *s);
/* The entry, made when there is none; when all places are taken an idle one makes room. YZ_EBUSY
 * (all are waited for), YZ_ENOMEM. */
YZ_MUST_USE int yzi_services_get(struct services *s, yz_service_id id, struct service **out);
struct service *yzi_services_find(const struct services *s, yz_service_id id); /* NULL */
/* The directory changed: everything is asked anew before its next use. */
void yzi_services_distrust(struct services *s);

bool yzi_service_is_fresh(const struct service *s, uint64_t mono);
/* Take what a broker answered to FETCH_SERVICE: the offer's record, then announcements. Replaces
 * what was known, as a whole or not at all; an announcement that does not verify is left out when
 * there are others, and where we know a later one of the same adapter that one is used: a broker
 * cannot take us back to a key that may be lost by now. YZ_ENOTFOUND (the offer does not hold the
 * service), YZ_EROLLBACK (an offer older than known, or another of the same version),
 * YZ_EUNAVAILABLE (no adapter is live), and the errors of yzi_offer_open and
 * yzi_announcement_verify, with a sentence. */
YZ_MUST_USE int yzi_service_load(struct service *s, yz_bytes payload, const struct judge *j,
                                 uint64_t mono, yz_error *err);
/* A newer announcement of an adapter that is one of the providers: what a stale-key response
 * carries. YZ_ENOTFOUND (not one of them), YZ_EROLLBACK (not newer than known), and those of
 * yzi_announcement_verify. */
YZ_MUST_USE int yzi_service_update(struct service *s, yz_bytes announcement, yz_node_id adapter,
                                   const struct judge *j);

#endif
