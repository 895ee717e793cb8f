/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration with every type a table can name, for test_config and fuzz_config.
 */
#ifndef YZ_TESTS_CONFIG_EXAMPLE_H
#define YZ_TESTS_CONFIG_EXAMPLE_H

#include "base/config.h"

struct example_service {
    const char *name;
    const char *file;
    uint64_t deadline;
    struct config_place name_at;
};

struct example_tls {
    const char *cert;
    uint64_t versions;
    bool strict;
};

struct example_log {
    int level;
    uint64_t keep;
    struct example_tls tls; /* a map in a map */
};

struct example {
    int untouched; /* the table does not name it */
    const char *name;
    const char *note;
    const char *home;
    uint64_t port;
    uint64_t count;
    uint64_t cache;
    uint64_t timeout;
    bool enabled;
    int level;
    struct config_list brokers;
    struct config_list tags;
    struct example_log log;
    struct example_tls tls;
    struct config_maps services;
    struct config_pairs labels;
    struct config_place name_at, port_at, timeout_at, services_at;
};

static const char *const example_levels[] = {"debug", "info", "warning", "error", NULL};

static const struct config_field example_service_fields[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct example_service, name),
     .required = true,
     .min = 1,
     .max = 20,
     .place_offset = offsetof(struct example_service, name_at)},
    {.key = "file",
     .type = CONFIG_PATH,
     .offset = offsetof(struct example_service, file),
     .dflt = "data/default.csv"},
    {.key = "deadline",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct example_service, deadline),
     .dflt = "30s",
     .min = 1000,
     .max = 300000},
    {0},
};

static const struct config_field example_tls_fields[] = {
    {.key = "cert",
     .type = CONFIG_PATH,
     .offset = offsetof(struct example_tls, cert),
     .required = true},
    {.key = "versions",
     .type = CONFIG_U64,
     .offset = offsetof(struct example_tls, versions),
     .dflt = "3",
     .min = 2,
     .max = 3},
    {.key = "strict",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct example_tls, strict),
     .dflt = "true"},
    {0},
};

static const struct config_field example_log_fields[] = {
    {.key = "level",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct example_log, level),
     .dflt = "warning",
     .names = example_levels,
     .help = "What is worth a line."},
    {.key = "keep",
     .type = CONFIG_SIZE,
     .offset = offsetof(struct example_log, keep),
     .dflt = "1GiB"},
    {.key = "tls",
     .type = CONFIG_MAP,
     .offset = offsetof(struct example_log, tls),
     .fields = example_tls_fields},
    {0},
};

static const struct config_field example_fields[] = {
    {.key = "name",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct example, name),
     .required = true,
     .min = 2,
     .max = 100,
     .help = "The name others know this node by.",
     .place_offset = offsetof(struct example, name_at)},
    {.key = "note", .type = CONFIG_TEXT, .offset = offsetof(struct example, note)},
    {.key = "home",
     .type = CONFIG_PATH,
     .offset = offsetof(struct example, home),
     .dflt = "state",
     .help = "Where state is kept."},
    {.key = "port",
     .type = CONFIG_U64,
     .offset = offsetof(struct example, port),
     .dflt = "8080",
     .min = 1,
     .max = 65535,
     .help = "Where it listens.",
     .place_offset = offsetof(struct example, port_at)},
    {.key = "count", .type = CONFIG_U64, .offset = offsetof(struct example, count), .min = 5},
    {.key = "cache",
     .type = CONFIG_SIZE,
     .offset = offsetof(struct example, cache),
     .dflt = "16MiB",
     .min = 65536,
     .max = (uint64_t)1 << 40},
    {.key = "timeout",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct example, timeout),
     .dflt = "30s",
     .min = 1,
     .max = 86400000,
     .place_offset = offsetof(struct example, timeout_at)},
    {.key = "enabled", .type = CONFIG_BOOL, .offset = offsetof(struct example, enabled)},
    {.key = "level",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct example, level),
     .names = example_levels},
    {.key = "brokers",
     .type = CONFIG_LIST,
     .offset = offsetof(struct example, brokers),
     .dflt = "[\"tcp://127.0.0.1:1\", b]",
     .min = 1,
     .max = 4},
    {.key = "tags", .type = CONFIG_LIST, .offset = offsetof(struct example, tags)},
    {.key = "log",
     .type = CONFIG_MAP,
     .offset = offsetof(struct example, log),
     .fields = example_log_fields},
    {.key = "tls",
     .type = CONFIG_MAP,
     .offset = offsetof(struct example, tls),
     .fields = example_tls_fields},
    {.key = "services",
     .type = CONFIG_MAPS,
     .offset = offsetof(struct example, services),
     .max = 1000,
     .fields = example_service_fields,
     .item_size = sizeof(struct example_service),
     .place_offset = offsetof(struct example, services_at)},
    {.key = "labels",
     .type = CONFIG_ANY_MAP,
     .offset = offsetof(struct example, labels),
     .max = 1000},
    {0},
};

#endif
