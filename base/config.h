/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration: YAML (libfyaml) checked against one table per file kind. The table is the only
 * place that knows a key: it yields parser, bounds, default, `--dump` and the manual page.
 * Every fault is one sentence "file:line:col: …" and nothing is half applied: the target struct is
 * written only when the whole file is right.
 *
 * Strings and arrays in the target belong to the arena given to the loader.
 */
#ifndef YZ_BASE_CONFIG_H
#define YZ_BASE_CONFIG_H

#include "base/arena.h"

enum config_type {
    CONFIG_TEXT,     /* const char *; min/max are its length in bytes; NUL never inside; quoted or
                      * not, `port: 80` is the text "80" where the table says text */
    CONFIG_PATH,     /* const char *; relative paths are resolved against the file's folder */
    CONFIG_U64,      /* uint64_t; min/max */
    CONFIG_SIZE,     /* uint64_t bytes; "16MiB", "256KiB", "1GiB" or plain bytes; min/max */
    CONFIG_DURATION, /* uint64_t milliseconds; "250ms", "30s", "5m", "24h", "90d"; min/max in ms */
    CONFIG_BOOL,     /* bool; true/false only */
    CONFIG_ENUM,     /* int: index into `names` */
    CONFIG_LIST,     /* struct config_list of text items; min/max are the number of items */
    CONFIG_MAP,      /* one nested struct described by `fields` */
    CONFIG_MAPS,     /* struct config_maps: a list of nested structs described by `fields` */
    CONFIG_ANY_MAP   /* struct config_pairs: text keys (at most 255 bytes) to text values, free
                      * keys; min/max are the number of pairs */
};

struct config_list {
    const char **items;
    size_t n;
};
struct config_maps {
    void *items; /* n structs of `item_size` */
    size_t n;
};
struct config_pairs {
    struct {
        const char *key, *value;
    } * items;
    size_t n;
};

/* Where in the file a value stands, for later semantic faults; 0:0 when it is a default. */
struct config_place {
    int line, col;
};

struct config_field {
    const char *key; /* NULL ends a table */
    enum config_type type;
    size_t offset;     /* offsetof in the target struct */
    bool required;     /* in an optional map: required only if that map is written */
    const char *dflt;  /* default as it would stand in the file ("" is also the empty text); checked
                        * like a value of the file; NULL: zero/NULL/empty, whatever the range.
                        * For a CONFIG_MAP the defaults of its fields hold without one. */
    uint64_t min, max; /* inclusive; max 0: no upper bound */
    const char *const *names;          /* CONFIG_ENUM, NULL-terminated */
    const struct config_field *fields; /* CONFIG_MAP, CONFIG_MAPS */
    size_t item_size;                  /* CONFIG_MAPS */
    const char *help;                  /* one sentence for --dump and conf(5) */
    size_t place_offset; /* offsetof a struct config_place to fill, 0: none (never field 0) */
};

/* Parse the file / the text (named `name` in messages) into *target. On success every member the
 * table names is written (members it does not name are left alone); on failure none is, though the
 * arena may have been used. Refuses unknown and duplicate keys, wrong types, values out of range,
 * aliases, anchors and tags, more than one document, nesting beyond 32, bytes that are not UTF-8,
 * control characters, texts over 1 MiB. An empty text is a map with nothing in it, and so is a key
 * of a map or list type with nothing under it. Relative paths are resolved against the file's
 * folder (base_dir; NULL: they stay as they are) and come out absolute. YZ_ECONFIG: one sentence,
 * "file:line:col: what is wrong; what to write". YZ_ENOTFOUND, YZ_EIO, YZ_ENOMEM, YZ_ELIMIT (the
 * arena). YZ_EINVAL, YZ_EINTERNAL: the table or one of its defaults is wrong. Any thread;
 * concurrent calls do not share anything. */
YZ_MUST_USE int yzi_config_load(const char *path, const struct config_field *fields,
                                struct arena *arena, void *target, yz_error *err);
YZ_MUST_USE int yzi_config_parse(yz_bytes text, const char *name, const char *base_dir,
                                 const struct config_field *fields, struct arena *arena,
                                 void *target, yz_error *err);
/* A path that was left out: when *inout is NULL it becomes dir/name, in the arena. For defaults
 * that depend on another key. YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_config_default_path(struct arena *arena, const char *dir, const char *name,
                                        const char **inout);
/* Report a fault found later: "file:line:col: sentence" (without line and column when `at` is that
 * of a default), YZ_ECONFIG. */
int yzi_config_fault(yz_error *err, const char *name, struct config_place at, const char *fmt, ...)
    YZ_PRINTF(4, 5);
/* Append the configuration in force as YAML, with help, defaults and ranges as comments. Parsed
 * with the same table it gives the same values. YZ_ELIMIT, YZ_ENOMEM; YZ_EINVAL when an enum is not
 * one of its names; *out may hold a part of it then. */
YZ_MUST_USE int yzi_config_dump(const struct config_field *fields, const void *target, yz_buf *out);

#endif
