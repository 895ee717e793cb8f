/* SPDX-License-Identifier: Apache-2.0
 *
 * logfmt on stderr, for daemons only: libraries never log, they return errors. Each daemon declares
 * its events in one table; a line is `time=… level=… event=… key=value …`, written with one
 * write(2). Values that are not plain are quoted and escaped, because peers choose some of them;
 * long values are cut ("…"), and a line never exceeds PIPE_BUF bytes. Any thread.
 */
#ifndef YZ_BASE_LOG_H
#define YZ_BASE_LOG_H

#include "base/bytes.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_event {
    const char *name; /* "peer.refused": noun.verb, stable, documented in docs/operations.md */
    enum log_level level;
};

enum log_kind { LOG_END = 0, LOG_TEXT, LOG_NUM, LOG_HEX };
struct log_field {
    const char *key; /* NULL ends the list */
    enum log_kind kind;
    yz_bytes text; /* LOG_TEXT, LOG_HEX */
    int64_t num;
};

static inline struct log_field log_str(const char *key, const char *s)
{
    return (struct log_field){key, LOG_TEXT, yzi_bytes_str(s), 0};
}
static inline struct log_field log_bytes(const char *key, yz_bytes b)
{
    return (struct log_field){key, LOG_TEXT, b, 0};
}
static inline struct log_field log_hex(const char *key, yz_bytes b)
{
    return (struct log_field){key, LOG_HEX, b, 0};
}
static inline struct log_field log_num(const char *key, int64_t v)
{
    return (struct log_field){key, LOG_NUM, {0}, v};
}

void yzi_log_set_level(enum log_level least);
YZ_MUST_USE int yzi_log_level_parse(const char *name, enum log_level *out); /* YZ_EINVAL */
/* For tests: lines go to fd instead of stderr. */
void yzi_log_set_fd(int fd);

/* Log the event; `fields` ends with a zero element, NULL means none:
 *   yzi_log(&EV_PEER_REFUSED, (struct log_field[]){log_bytes("node", id.v), {0}});            */
void yzi_log(const struct log_event *event, const struct log_field *fields);
/* The same with `error=NAME reason="text"` appended from err (not NULL). */
void yzi_log_error(const struct log_event *event, const yz_error *err,
                   const struct log_field *fields);

#endif
