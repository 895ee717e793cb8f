/* SPDX-License-Identifier: Apache-2.0
 *
 * The adapter's configuration file (docs/operations.md): one table, so that parser, defaults,
 * bounds and the manual agree.
 */
#ifndef YZ_ADAPTERS_CONFIG_H
#define YZ_ADAPTERS_CONFIG_H

#include "base/config.h"

struct adapter_broker {
    const char *node, *endpoint, *key; /* key: base64; NULL: from the anchor or the directory */
    struct config_place at;
};
struct adapter_dataset {
    const char *definition;
};
struct adapter_limits {
    uint64_t message, queue, answers, answer_bytes, answers_per_node, answer_bytes_per_node;
    uint64_t writes, writes_per_node, rows, entries, query_time, cursor_time, skew;
};
struct adapter_config {
    const char *node, *home, *anchor, *admin;
    int log_level;
    bool lock_secrets;
    struct config_maps brokers;  /* struct adapter_broker */
    struct config_maps datasets; /* struct adapter_dataset */
    uint64_t workers;
    struct adapter_limits limits;
    struct {
        uint64_t warn, stop; /* ms */
        struct config_place stop_at;
    } directory;
    struct {
        uint64_t days; /* 0: nothing is kept */
    } keep;
    uint64_t drain; /* ms */
    struct config_place node_at;
    struct arena arena; /* owns the strings */
};

extern const struct config_field yzi_adapter_config_fields[];

/* Load and check. Free with yzi_adapter_config_fini, also after a failure. YZ_ECONFIG. */
YZ_MUST_USE int yzi_adapter_config_load(const char *path, struct adapter_config *out,
                                        yz_error *err);
void yzi_adapter_config_fini(struct adapter_config *c);

#endif
