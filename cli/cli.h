/* SPDX-License-Identifier: Apache-2.0
 *
 * yz: one table of verbs, one way of parsing, one way of failing. A noun has a file; it lists its
 * verbs with their options and one function each. Exit codes are part of the interface.
 */
#ifndef YZ_CLI_CLI_H
#define YZ_CLI_CLI_H

#include "base/arena.h"
#include "base/json.h"
#include "proto/id.h"

enum cli_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DENIED = 3,
    EXIT_UNAVAILABLE = 4, /* or timed out */
    EXIT_UNVERIFIED = 5,
    EXIT_INDETERMINATE = 6 /* whether a write took effect cannot be told */
};

struct cli_option {
    const char *name; /* long option without "--"; NULL ends the list */
    const char *arg;  /* what it takes, for the help; NULL: a flag */
    const char *help;
    bool required, many;
};

struct cli; /* one invocation */
struct cli_verb {
    const char *noun, *verb; /* verb "": the noun alone (`yz call`) */
    const char *args;        /* "SERVICE", "DEFINITION [FILE...]"; "" for none */
    unsigned args_min, args_max;
    const char *help; /* one sentence */
    const struct cli_option *options;
    int (*run)(struct cli *c); /* YZ_OK or a negative code, its words in cli_error */
    bool changes;              /* a verb that only changes something has no --json */
};
#define CLI_TABLE_END                                                                              \
    {                                                                                              \
        0                                                                                          \
    }

/* The nouns' tables, each ended by CLI_TABLE_END. */
extern const struct cli_verb yzi_cli_keys[], yzi_cli_root[], yzi_cli_broker[], yzi_cli_directory[],
    yzi_cli_member[], yzi_cli_subsystem[], yzi_cli_node[], yzi_cli_service[], yzi_cli_group[],
    yzi_cli_grant[], yzi_cli_purpose[], yzi_cli_data[], yzi_cli_call[], yzi_cli_query[],
    yzi_cli_match[], yzi_cli_catalog[], yzi_cli_evidence[], yzi_cli_status[], yzi_cli_sandbox[];

/* The tables above that this program has, in the order of the help; NULL beyond the last. */
const struct cli_verb *yzi_cli_table(size_t i);

/* Parse and run one command line (argv[0] is the program, the array is reordered); returns the exit
 * code and never exits. `quiet` drops what it would print on success: for commands made of commands
 * (sandbox). */
int yzi_cli_run(int argc, char **argv, bool quiet);

/* -- for verbs -- */
bool yzi_cli_flag(const struct cli *c, const char *name); /* given, whether or not it has a value */
/* The last value of an option; NULL when not given. */
const char *yzi_cli_option(const struct cli *c, const char *name);
/* All values, in order. */
const char *const *yzi_cli_options(const struct cli *c, const char *name, size_t *out_n);
const char *yzi_cli_arg(const struct cli *c, unsigned i); /* NULL when not given */
unsigned yzi_cli_args(const struct cli *c);
bool yzi_cli_quiet(const struct cli *c);    /* nothing is printed on success */
bool yzi_cli_json(const struct cli *c);     /* --json, which every reading verb has */
struct arena *yzi_cli_arena(struct cli *c); /* lives as long as the invocation */
yz_error *yzi_cli_error(struct cli *c);
/* printf to standard output, unless quiet. */
void yzi_cli_say(struct cli *c, const char *fmt, ...) YZ_PRINTF(2, 3);
void yzi_cli_write(struct cli *c, yz_bytes text);
/* A wrong use of the command line: the sentence and YZ_EINVAL, exit code 2. */
int yzi_cli_usage(struct cli *c, const char *fmt, ...) YZ_PRINTF(2, 3);
/* Exit with this code whatever the verb returns: a denied call, a file that does not verify. */
void yzi_cli_exit_with(struct cli *c, enum cli_exit code);
/* A new file or folder of this invocation: removed again should the verb fail (a folder if it is
 * empty then), so that a failure leaves nothing behind. */
YZ_MUST_USE int yzi_cli_made(struct cli *c, const char *path);
/* Close this descriptor when the invocation ends (a lock). */
void yzi_cli_keep_fd(struct cli *c, int fd);
/* A list in the arena made one item longer: *list (T *, n items of `size`) becomes a copy with a
 * zeroed item at its end. */
YZ_MUST_USE int yzi_cli_extend(struct cli *c, void *list /* T ** */, size_t n, size_t size);
enum cli_exit yzi_cli_exit_of(int error_code);
/* A time as "2027-01-01", RFC 3339, or a duration from now ("90d"); YZ_EINVAL with usage words. */
YZ_MUST_USE int yzi_cli_time(struct cli *c, const char *option, const char *text, uint64_t *out);

/* -- words of the command line; all but the last are YZ_EINVAL with a usage sentence -- */
YZ_MUST_USE int yzi_cli_member_id(struct cli *c, const char *text, yz_member_id *out);
YZ_MUST_USE int yzi_cli_subsystem_id(struct cli *c, const char *text, yz_subsystem_id *out);
YZ_MUST_USE int yzi_cli_service_id(struct cli *c, const char *text, yz_service_id *out);
YZ_MUST_USE int yzi_cli_node_id(struct cli *c, const char *text, yz_node_id *out);
/* One segment of an identifier: the code of a subsystem, a service, an instance. */
YZ_MUST_USE int yzi_cli_code(struct cli *c, const char *what, const char *text, yz_bytes *out);
/* The value of an option that is a line for people; empty when it was not given. */
YZ_MUST_USE int yzi_cli_label(struct cli *c, const char *option, yz_bytes *out);
/* The value of an option that is a number from least to most; `dflt` when it was not given. */
YZ_MUST_USE int yzi_cli_number(struct cli *c, const char *option, uint64_t least, uint64_t most,
                               uint64_t dflt, uint64_t *out);
/* "2026-11-22T21:05:09Z"; "-" for 0, which stands for no bound. */
const char *yzi_cli_time_text(uint64_t wall_ms, char out[32]);
/* A view as the two arguments of "%.*s". */
#define CLI_V(view) (int)(view).n, (const char *)(view).p

#endif
