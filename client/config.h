/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's configuration file (docs/man/yizhan-client.conf.5): one table, so that parser,
 * defaults, bounds and the manual agree. Everything a client needs of it is parsed and checked
 * here; what comes out holds.
 */
#ifndef YZ_CLIENT_CONFIG_H
#define YZ_CLIENT_CONFIG_H

#include "base/config.h"
#include "proto/id.h"

/* What becomes of a provider's answer without a true receipt. */
enum client_receipts { RECEIPTS_REQUIRE, RECEIPTS_REPORT };

struct client_broker {
    const char *node, *endpoint;
    const char *key; /* base64 as written; NULL: to be found in directory or anchor */
    struct config_place node_at, key_at;
};
struct client_config {
    const char *node, *subsystem, *home, *anchor;
    struct config_maps brokers; /* of struct client_broker, 1..YZ_BROKERS_MAX */
    uint64_t timeout;           /* ms */
    uint64_t in_flight;         /* calls submitted and not taken by yz_poll */
    uint64_t message;           /* bytes */
    bool lock_secrets;
    int receipts; /* enum client_receipts */
    struct {
        uint64_t days; /* 0: nothing is kept */
    } keep;
    struct {
        uint64_t stop; /* ms */
    } directory;
    struct config_place node_at, subsystem_at, brokers_at;
    /* parsed from the above */
    yz_node_id node_id;
    yz_subsystem_id subsystem_id;
    struct {
        yz_node_id node;
        const char *endpoint;
        bool has_key;
        uint8_t key[32];
    } peers[YZ_BROKERS_MAX];
    unsigned peers_n;
    struct arena arena; /* owns the strings */
};

extern const struct config_field yzi_client_config_fields[];

/* Shortest and longest time a call may be given. */
#define CLIENT_TIMEOUT_MIN_MS 100u
#define CLIENT_TIMEOUT_MAX_MS YZ_EXPIRY_MAX_MS
/* Calls under way in one client, whoever waits for them. */
#define CLIENT_CALLS_MAX 16384u

/* Load and check. Free with yzi_client_config_fini, also after a failure. YZ_ECONFIG with a
 * sentence "file:line:col: …", YZ_ENOTFOUND, YZ_EIO, YZ_ENOMEM. Any thread. */
YZ_MUST_USE int yzi_client_config_load(const char *path, struct client_config *out, yz_error *err);
/* The same from a text that stands for the file `path`, for tests. */
YZ_MUST_USE int yzi_client_config_parse(yz_bytes text, const char *path, const char *base_dir,
                                        struct client_config *out, yz_error *err);
void yzi_client_config_fini(struct client_config *c);

#endif
