/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands between the YAML library and the schema: a plain tree of a configuration text. Only
 * config*.c includes this. config.c makes the tree (and is the only caller of libfyaml),
 * config_fill.c turns a tree into the caller's struct, config_dump.c turns a struct into text.
 */
#ifndef YZ_BASE_CONFIG_TREE_H
#define YZ_BASE_CONFIG_TREE_H

#include "base/config.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define CONFIG_NODES_MAX 100000u
#define CONFIG_DEPTH_MAX 32u

enum config_node_kind {
    CONFIG_NODE_NULL, /* nothing was written, or a plain null */
    CONFIG_NODE_SCALAR,
    CONFIG_NODE_SEQUENCE,
    CONFIG_NODE_MAPPING
};

struct config_node {
    enum config_node_kind kind;
    bool plain; /* a scalar without quotes: may be a number, true, false */
    struct config_place at;
    yz_bytes text;                 /* a scalar's value; NUL-terminated, may contain NUL as well */
    const struct config_node *key; /* in a mapping: a scalar, unique among its siblings */
    const struct config_node *first, *next;
    size_t n; /* items or pairs */
};

/* Everything filling needs to know. Defaults are filled with `in_default` set. */
struct config_job {
    const char *name;                /* of the file, for messages */
    const char *base_dir;            /* absolute, or NULL: relative paths stay as they are */
    struct arena *arena;             /* the caller's: what the target will point at */
    struct arena *scratch;           /* dies with the job: trees, the image of the target */
    struct config_default *defaults; /* those parsed already */
    bool in_default;
    yz_error *err;
};

/* Parse text into a tree in `scratch`. An empty text is an empty mapping. YZ_ECONFIG with words;
 * YZ_ENOMEM, YZ_ELIMIT without. */
YZ_MUST_USE int yzi_config_tree(yz_bytes text, const char *name, struct arena *scratch,
                                const struct config_node **out, yz_error *err);

/* Fill a struct from `root`, then write *target: all of the table's members, or nothing. */
YZ_MUST_USE int yzi_config_fill(struct config_job *job, const struct config_node *root,
                                const struct config_field *fields, void *target);

/* Text for a message: cut to what fits, control characters replaced. Returns out. */
#define CONFIG_SHOWN 64
const char *yzi_config_show(yz_bytes text, char out[CONFIG_SHOWN]);

/* Read the value of one number-like type; the parse and the print agree. YZ_EINVAL, YZ_ELIMIT. */
YZ_MUST_USE int yzi_config_amount_parse(enum config_type type, yz_bytes text, uint64_t *out);
/* "16MiB", "30s", "42": the shortest text that parses to the same. */
void yzi_config_amount_print(enum config_type type, uint64_t v, char out[32]);
/* "1 to 65535", "at least 1s", "at most 1GiB"; empty when unbounded. */
void yzi_config_range_print(const struct config_field *f, char out[80]);

#endif
