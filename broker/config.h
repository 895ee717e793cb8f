/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's configuration file (docs/operations.md): one table, so that parser, defaults, bounds
 * and the manual agree.
 */
#ifndef YZ_BROKER_CONFIG_H
#define YZ_BROKER_CONFIG_H

#include "base/config.h"

struct broker_limits {
    uint64_t peers, connections_per_peer, message, in_flight_per_service, in_flight_per_peer,
        in_flight_bytes;
    uint64_t in_flight; /* in all */
    uint64_t in_flight_bytes_per_service, in_flight_bytes_per_peer;
    uint64_t faults_per_peer, nonsense_per_peer; /* a second; 0: no limit */
    uint64_t queue_bytes, queue_bytes_per_peer;  /* held by sockets, each way */
    uint64_t rate_per_peer;                      /* requests a second; 0: none */
    uint64_t remembered;                         /* message ids */
    uint64_t offer_bytes, offer_bytes_per_member;
    uint64_t skew; /* ms */
};
struct broker_config {
    const char *node, *home;
    struct config_list listen, listen_adapters;
    const char *admin; /* NULL: home/admin.sock */
    const char *ops;
    int log_level;
    bool lock_secrets;
    struct broker_limits limits;
    struct {
        uint64_t warn, stop; /* ms */
        struct config_place stop_at;
    } directory;
    struct {
        const char *publish; /* NULL: home/log */
        uint64_t retention;  /* ms; 0: for ever */
    } evidence;
    uint64_t drain; /* ms a SIGTERM waits for exchanges in flight */
    struct config_place node_at, ops_at;
    struct arena arena; /* owns the strings */
};

extern const struct config_field yzi_broker_config_fields[];

/* Load and check. Free with yzi_broker_config_fini, also after a failure. YZ_ECONFIG with a
 * sentence. */
YZ_MUST_USE int yzi_broker_config_load(const char *path, struct broker_config *out, yz_error *err);
void yzi_broker_config_fini(struct broker_config *c);

#endif
