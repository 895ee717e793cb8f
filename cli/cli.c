/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the verb, parsing its options with argp, running it, saying how it went.
 */
#include "cli/cli.h"

#include <argp.h>
#include <unistd.h>

#define OPTIONS_MAX 32u
#define VALUES_MAX 1024u
#define ARENA_MAX (256u * 1024u * 1024u)
#define MADE_MAX 64u
#define FIRST_KEY 1000 /* argp keys: no short options */
#define KEY_JSON (FIRST_KEY - 1)
#define KEY_HELP (FIRST_KEY - 2)

struct cli {
    const struct cli_verb *verb;
    const char *values[OPTIONS_MAX][VALUES_MAX];
    size_t values_n[OPTIONS_MAX];
    const char *args[VALUES_MAX];
    unsigned args_n;
    bool json, quiet, usage_fault, help;
    bool complained;            /* argp has said what is wrong */
    int exit_code;              /* when not EXIT_OK */
    const char *made[MADE_MAX]; /* undone in reverse */
    unsigned made_n;
    int kept_fd; /* -1: none */
    struct arena arena;
    yz_error error;
};

static const struct cli_verb *const tables[] = {
    yzi_cli_keys,      yzi_cli_root,     yzi_cli_broker,  yzi_cli_directory, yzi_cli_member,
    yzi_cli_subsystem, yzi_cli_node,     yzi_cli_service, yzi_cli_purpose,   yzi_cli_group,
    yzi_cli_grant,     yzi_cli_data,     yzi_cli_call,    yzi_cli_query,     yzi_cli_match,
    yzi_cli_catalog,   yzi_cli_evidence, yzi_cli_status,  yzi_cli_sandbox};
#define TABLES (sizeof tables / sizeof tables[0])

const struct cli_verb *yzi_cli_table(size_t i)
{
    return i < TABLES ? tables[i] : NULL;
}

/* -- what verbs use -- */

static int option_index(const struct cli *c, const char *name)
{
    for (int i = 0; c->verb->options && c->verb->options[i].name; i++) {
        if (strcmp(c->verb->options[i].name, name) == 0) {
            return i;
        }
    }
    YZ_ASSERT(!"a verb asks for an option its table does not have");
    return -1;
}

bool yzi_cli_flag(const struct cli *c, const char *name)
{
    return c->values_n[option_index(c, name)] > 0;
}

const char *yzi_cli_option(const struct cli *c, const char *name)
{
    int i = option_index(c, name);
    return c->values_n[i] ? c->values[i][c->values_n[i] - 1] : NULL;
}

const char *const *yzi_cli_options(const struct cli *c, const char *name, size_t *out_n)
{
    int i = option_index(c, name);
    *out_n = c->values_n[i];
    return c->values[i];
}

const char *yzi_cli_arg(const struct cli *c, unsigned i)
{
    return i < c->args_n ? c->args[i] : NULL;
}

unsigned yzi_cli_args(const struct cli *c)
{
    return c->args_n;
}

bool yzi_cli_quiet(const struct cli *c)
{
    return c->quiet;
}

bool yzi_cli_json(const struct cli *c)
{
    return c->json;
}

struct arena *yzi_cli_arena(struct cli *c)
{
    return &c->arena;
}

yz_error *yzi_cli_error(struct cli *c)
{
    return &c->error;
}

void yzi_cli_say(struct cli *c, const char *fmt, ...)
{
    if (!c->quiet) {
        va_list args;
        va_start(args, fmt);
        vprintf(fmt, args);
        va_end(args);
    }
}

void yzi_cli_write(struct cli *c, yz_bytes text)
{
    if (!c->quiet && text.n) {
        fwrite(text.p, 1, text.n, stdout);
        if (text.p[text.n - 1] != '\n') {
            putchar('\n');
        }
    }
}

int yzi_cli_usage(struct cli *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->error.text, sizeof c->error.text, fmt, args);
    va_end(args);
    c->error.code = YZ_EINVAL;
    c->usage_fault = true;
    return YZ_EINVAL;
}

void yzi_cli_exit_with(struct cli *c, enum cli_exit code)
{
    c->exit_code = (int)code;
}

int yzi_cli_made(struct cli *c, const char *path)
{
    yz_bytes copy;
    YZ_ENSURE(c->made_n < MADE_MAX, YZ_ELIMIT);
    YZ_TRY(yzi_arena_dup(&c->arena, yzi_bytes(path, strlen(path) + 1), &copy));
    c->made[c->made_n++] = (const char *)copy.p;
    return YZ_OK;
}

static void undo(struct cli *c)
{
    while (c->made_n) {
        yz_ignore(remove(c->made[--c->made_n]), "a folder that others write to stays");
    }
}

void yzi_cli_keep_fd(struct cli *c, int fd)
{
    YZ_ASSERT(c->kept_fd < 0);
    c->kept_fd = fd;
}

int yzi_cli_extend(struct cli *c, void *list, size_t n, size_t size)
{
    void **old = list, *longer;
    size_t more;
    YZ_TRY(yzi_size_add(n, 1, &more));
    YZ_TRY(yzi_arena_new(&c->arena, more, size, &longer));
    if (n) {
        memcpy(longer, *old, n * size);
    }
    *old = longer;
    return YZ_OK;
}

enum cli_exit yzi_cli_exit_of(int code)
{
    switch (code) {
    case YZ_OK:
        return EXIT_OK;
    case YZ_ECONFIG:
        return EXIT_USAGE;
    case YZ_EDENIED:
        return EXIT_DENIED;
    case YZ_ETIMEOUT:
    case YZ_EUNAVAILABLE:
    case YZ_EBUSY:
        return EXIT_UNAVAILABLE;
    case YZ_ESIGNATURE:
    case YZ_EROLLBACK:
    case YZ_EUNKNOWNKEY:
    case YZ_EEXPIRED:
        return EXIT_UNVERIFIED;
    default:
        return EXIT_FAILED;
    }
}

/* -- finding the verb -- */

static bool is_noun_alone(const struct cli_verb *v)
{
    return v->verb[0] == '\0';
}

static const struct cli_verb *find_verb(const char *noun, const char *verb, bool *noun_exists)
{
    *noun_exists = false;
    for (size_t t = 0; t < TABLES; t++) {
        for (const struct cli_verb *v = tables[t]; v->noun; v++) {
            if (strcmp(v->noun, noun) != 0) {
                continue;
            }
            *noun_exists = true;
            if (is_noun_alone(v) || (verb && strcmp(v->verb, verb) == 0)) {
                return v;
            }
        }
    }
    return NULL;
}

static void print_verbs(FILE *to, const char *only_noun)
{
    for (size_t t = 0; t < TABLES; t++) {
        for (const struct cli_verb *v = tables[t]; v->noun; v++) {
            if (!only_noun || strcmp(only_noun, v->noun) == 0) {
                char name[64];
                snprintf(name, sizeof name, "%s%s%s", v->noun, v->verb[0] ? " " : "", v->verb);
                fprintf(to, "  yz %-20s %s\n", name, v->help);
            }
        }
    }
}

static void print_help(FILE *to)
{
    fputs("Usage: yz NOUN VERB [OPTION...] [ARGUMENT...]\n"
          "Yizhan: ask other agencies' services, and run the parts that answer.\n\n",
          to);
    print_verbs(to, NULL);
    fputs("\n`yz NOUN VERB --help` explains one. Reading verbs take --json.\n"
          "Exit codes: 0 ok, 1 failed, 2 usage, 3 denied, 4 unavailable or timeout, "
          "5 not verified, 6 indeterminate.\n",
          to);
}

static int complain_of_verb(const char *noun, const char *verb, bool noun_exists)
{
    if (!noun_exists) {
        fprintf(stderr, "yz: there is no noun '%s'; `yz --help` lists them\n", noun);
    } else {
        fprintf(stderr, "yz: '%s' %s%s%s; it has:\n", noun, verb ? "has no verb '" : "needs a verb",
                verb ? verb : "", verb ? "'" : "");
        print_verbs(stderr, noun);
    }
    return EXIT_USAGE;
}

/* -- parsing -- */

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct cli *c = state->input;
    if (key == KEY_JSON || key == KEY_HELP) {
        *(key == KEY_JSON ? &c->json : &c->help) = true;
        return 0;
    }
    if (key >= FIRST_KEY && key < FIRST_KEY + (int)OPTIONS_MAX) {
        int i = key - FIRST_KEY;
        const struct cli_option *o = &c->verb->options[i];
        if (c->values_n[i] && !o->many) {
            argp_error(state, "--%s is given twice", o->name);
            return EINVAL;
        }
        if (c->values_n[i] == VALUES_MAX) {
            argp_error(state, "--%s is given more than %u times", o->name, VALUES_MAX);
            return EINVAL;
        }
        c->values[i][c->values_n[i]++] = arg ? arg : "";
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        if (c->args_n >= c->verb->args_max || c->args_n == VALUES_MAX) {
            argp_error(state, "'%s' is one argument too many", arg);
            return EINVAL;
        }
        c->args[c->args_n++] = arg;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static void check_complete(struct cli *c, const char *name)
{
    for (int i = 0; c->verb->options && c->verb->options[i].name; i++) {
        const struct cli_option *o = &c->verb->options[i];
        if (o->required && !c->values_n[i]) {
            yzi_cli_usage(c, "--%s %s is needed; see `%s --help`", o->name, o->arg, name);
            return;
        }
    }
    if (c->args_n < c->verb->args_min) {
        yzi_cli_usage(c, "%s is needed; see `%s --help`", c->verb->args, name);
    }
}

/* The help of an option, saying which cannot be left out; without memory for that it does not. */
static const char *help_of(struct cli *c, const struct cli_option *o)
{
    static const char needed[] = " (needed)";
    size_t n = strlen(o->help);
    char *text = o->required ? yzi_arena_alloc(&c->arena, n + sizeof needed, 1) : NULL;
    if (!text) {
        return o->help;
    }
    memcpy(text, o->help, n);
    memcpy(text + n, needed, sizeof needed);
    return text;
}

static void list_options(struct cli *c, struct argp_option out[OPTIONS_MAX + 4])
{
    int n = 0;
    for (; c->verb->options && c->verb->options[n].name; n++) {
        YZ_ASSERT(n < (int)OPTIONS_MAX);
        const struct cli_option *o = &c->verb->options[n];
        out[n] = (struct argp_option){o->name, FIRST_KEY + n, o->arg, 0, help_of(c, o), 0};
    }
    if (!c->verb->changes) {
        out[n++] = (struct argp_option){"json", KEY_JSON, NULL, 0, "Print JSON", -1};
    }
    out[n++] = (struct argp_option){"help", KEY_HELP, NULL, 0, "Explain this, do nothing", -1};
    /* argp's own words send people there */
    out[n] = (struct argp_option){"usage", KEY_HELP, NULL, OPTION_HIDDEN, NULL, -1};
}

static int parse(struct cli *c, int argc, char **argv)
{
    struct argp_option options[OPTIONS_MAX + 4] = {0};
    struct argp argp = {.options = options,
                        .parser = parse_option,
                        .args_doc = c->verb->args[0] ? c->verb->args : NULL,
                        .doc = c->verb->help};
    char name[96], *before = argv[0];
    list_options(c, options);
    snprintf(name, sizeof name, "yz %s%s%s", c->verb->noun, c->verb->verb[0] ? " " : "",
             c->verb->verb);
    argv[0] = name;
    /* argp's own --help would exit, and here only main does */
    int rc = argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, c);
    argv[0] = before;
    if (rc != 0) {
        c->complained = true;
        return EXIT_USAGE;
    }
    if (c->help) {
        argp_help(&argp, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC | ARGP_HELP_LONG, name);
        return EXIT_OK;
    }
    check_complete(c, name);
    return c->usage_fault ? EXIT_USAGE : EXIT_OK;
}

static int complain(struct cli *c, const char *words, int code)
{
    fflush(stdout);
    if (!c->complained) {
        fprintf(stderr, "yz: %s\n", words);
    }
    return code;
}

static int finish(struct cli *c, int rc)
{
    if (rc < 0 || c->usage_fault) {
        undo(c);
        const char *words = c->error.text[0] ? c->error.text : yz_err_words(rc);
        int code = c->exit_code ? c->exit_code : (int)yzi_cli_exit_of(rc);
        return complain(c, words, c->usage_fault || c->complained ? EXIT_USAGE : code);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return complain(c, "what was to be printed could not be written", EXIT_FAILED);
    }
    return c->exit_code;
}

static int run_verb(const struct cli_verb *v, int argc, char **argv, bool quiet)
{
    struct cli *c;
    if (yzi_alloc(1, sizeof *c, &c) < 0) {
        fputs("yz: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    c->verb = v;
    c->quiet = quiet;
    c->kept_fd = -1;
    yzi_arena_init(&c->arena, ARENA_MAX);
    int rc = parse(c, argc, argv) == EXIT_OK ? YZ_OK : YZ_EINVAL;
    if (rc == YZ_OK && !c->help) {
        rc = v->run(c);
    }
    int code = finish(c, rc);
    if (c->kept_fd >= 0) {
        close(c->kept_fd);
    }
    yzi_arena_fini(&c->arena);
    free(c);
    return code;
}

int yzi_cli_run(int argc, char **argv, bool quiet)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("yz " YZ_VERSION);
        return EXIT_OK;
    }
    bool noun_exists;
    const char *verb = argc > 2 ? argv[2] : NULL;
    const struct cli_verb *v = find_verb(argv[1], verb, &noun_exists);
    if (!v && verb && strcmp(verb, "--help") == 0 && noun_exists) {
        print_verbs(stdout, argv[1]);
        return EXIT_OK;
    }
    if (!v) {
        return complain_of_verb(argv[1], verb, noun_exists);
    }
    int skip = is_noun_alone(v) ? 1 : 2;
    return run_verb(v, argc - skip, argv + skip, quiet);
}
