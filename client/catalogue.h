/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalogue as a node sees it: all offers a broker holds, each verified against the directory.
 * A broker can keep an offer back, so that its subsystem seems to offer nothing; it cannot alter
 * one, or bring back one whose owner's key was revoked. Inside the tree only: the library's public
 * header has nothing of it yet.
 */
#ifndef YZ_CLIENT_CATALOGUE_H
#define YZ_CLIENT_CATALOGUE_H

#include "client/engine.h"
#include "keys/offers.h"

#define CATALOGUE_BYTES_MAX (256u * 1024u * 1024u) /* of all offers */

struct catalogue_refusal {
    yz_subsystem_id subsystem;
    int code; /* YZ_E* of yzi_offer_open */
    char why[160];
};
struct catalogue {
    const struct directory *directory;
    char broker[YZ_ID_MAX + 1];       /* who sent them */
    yz_subsystem_id consumer;         /* whom this node speaks for */
    uint64_t now;                     /* Unix ms, when they were verified */
    const struct held_offer **offers; /* ascending by subsystem */
    size_t offers_n;
    struct catalogue_refusal *refused; /* those that do not verify */
    size_t refused_n;
    struct arena arena;
};
/* Fetch it with the client's configuration: page by page from the first broker that is up, anew
 * from another when that one goes or is slow, then verify; an offer that does not verify by the
 * directory at hand is looked at again for a moment while newer member sets arrive. Blocks at most
 * `timeout_ms`. YZ_ETIMEOUT, YZ_EUNAVAILABLE (no broker), YZ_EEXPIRED (nobody confirmed the
 * directory for too long), YZ_ESIGNATURE (a broker sent what is no catalogue), YZ_ELIMIT (it is
 * larger than CATALOGUE_BYTES_MAX), and yz_client_open's. Free with yzi_catalogue_free. */
YZ_MUST_USE int yzi_catalogue_fetch(const char *config_path, uint32_t timeout_ms,
                                    struct catalogue **out, yz_error *err);
void yzi_catalogue_free(struct catalogue *c); /* NULL allowed */

/* -- for the fetching and its tests -- */

/* The pages of one broker, put together. */
struct catalogue_pages {
    yz_bytes *offers; /* views into a page's copy; n of them */
    size_t n, cap;
    char last[YZ_ID_MAX + 1]; /* subsystem of the last one; "" before the first */
    bool complete;
    struct arena arena;
};
void yzi_catalogue_pages_init(struct catalogue_pages *p);
void yzi_catalogue_pages_fini(struct catalogue_pages *p);
/* Take a page in: offers only, ascending, each beyond the last page's last; an empty one ends it.
 * YZ_EMALFORMED with a sentence, YZ_ELIMIT, YZ_ENOMEM: the pages are of no use any more. */
YZ_MUST_USE int yzi_catalogue_pages_take(struct catalogue_pages *p, yz_bytes page, yz_error *err);

#endif
