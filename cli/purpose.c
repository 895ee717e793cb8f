/* SPDX-License-Identifier: Apache-2.0
 *
 * yz purpose: the codes for which an instance's requests are made. The operator writes them down in
 * a file and publishes them with the directory; members look at them when they grant.
 */
#include "cli/purpose.h"

#include <errno.h>

#include "base/config.h"
#include "base/file.h"
#include "cli/columns.h"
#include "cli/operator.h"
#include "cli/texts.h"

#define LIST_FILE "purposes.yzr" /* in a member's home */

/* -- the file -- */

struct raw_purpose {
    const char *code, *legal_basis;
    struct config_pairs titles;
    struct config_place place;
};
struct raw_list {
    struct config_maps purposes;
};

static const struct config_field purpose_fields[] = {
    {.key = "code",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_purpose, code),
     .required = true,
     .min = 1,
     .max = YZ_PURPOSE_MAX,
     .place_offset = offsetof(struct raw_purpose, place),
     .help = "What requests and grants say."},
    {.key = "title",
     .type = CONFIG_ANY_MAP,
     .offset = offsetof(struct raw_purpose, titles),
     .required = true,
     .min = 1,
     .max = YZ_LANGUAGES_MAX,
     .help = "What it means, by language."},
    {.key = "legal_basis",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct raw_purpose, legal_basis),
     .max = YZ_TEXT_MAX,
     .help = "The law that lets data be asked for it."},
    {0}};
static const struct config_field list_fields[] = {
    {.key = "purposes",
     .type = CONFIG_MAPS,
     .offset = offsetof(struct raw_list, purposes),
     .required = true, /* what was truncated must not forbid every purpose */
     .max = YZ_PURPOSE_LIST_MAX,
     .fields = purpose_fields,
     .item_size = sizeof(struct raw_purpose),
     .help = "All of them; none: no request may say a purpose."},
    {0}};

static int take_purpose(struct cli *c, const struct raw_purpose *raw, struct purpose_entry *out)
{
    const struct config_pairs *titles = &raw->titles;
    out->code = yzi_bytes_str(raw->code);
    out->legal_basis = yzi_bytes_str(raw->legal_basis ? raw->legal_basis : "");
    YZ_TRY(
        yzi_arena_new(yzi_cli_arena(c), titles->n, sizeof *out->titles.items, &out->titles.items));
    for (size_t i = 0; i < titles->n; i++) {
        out->titles.items[i] = (struct text_entry){yzi_bytes_str(titles->items[i].key),
                                                   yzi_bytes_str(titles->items[i].value)};
    }
    out->titles.n = titles->n;
    return YZ_OK;
}

/* Alone, so that the fault is told at its line. */
static int check_purpose(struct cli *c, const char *path, const struct raw_purpose *raw,
                         const struct purpose_list *list, struct purpose_entry *one)
{
    struct purpose_list alone = *list;
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    alone.purposes = one;
    alone.purposes_n = 1;
    int rc = yzi_purpose_list_write(&alone, &body);
    return rc < 0 && rc != YZ_ENOMEM
               ? yzi_config_fault(yzi_cli_error(c), path, raw->place,
                                  "the purpose '%.64s' is not as it must be: a code is printable "
                                  "ASCII without space, titles are text by language (zh, en)",
                                  raw->code)
               : rc;
}

static int by_code(const void *a, const void *b)
{
    return yzi_bytes_cmp(((const struct purpose_entry *)a)->code,
                         ((const struct purpose_entry *)b)->code);
}

static int read_list(struct cli *c, const char *path, struct purpose_list *out)
{
    struct raw_list raw = {0};
    YZ_TRY(yzi_config_load(path, list_fields, yzi_cli_arena(c), &raw, yzi_cli_error(c)));
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), raw.purposes.n, sizeof *out->purposes, &out->purposes));
    for (size_t i = 0; i < raw.purposes.n; i++) {
        const struct raw_purpose *from = (const struct raw_purpose *)raw.purposes.items + i;
        YZ_TRY(take_purpose(c, from, &out->purposes[i]));
        YZ_TRY(check_purpose(c, path, from, out, &out->purposes[i]));
    }
    out->purposes_n = raw.purposes.n;
    if (out->purposes_n) {
        qsort(out->purposes, out->purposes_n, sizeof *out->purposes, by_code);
    }
    for (size_t i = 1; i < out->purposes_n; i++) {
        if (by_code(&out->purposes[i - 1], &out->purposes[i]) == 0) {
            return yzi_fail(yzi_cli_error(c), YZ_ECONFIG, "%s: the purpose '%.*s' stands twice",
                            path, CLI_V(out->purposes[i].code));
        }
    }
    return YZ_OK;
}

/* -- set and drop -- */

static int forget(struct cli *c, const char *path)
{
    return remove(path) == 0 ? YZ_OK
                             : yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno),
                                        "%s: cannot be removed: %s", path, strerror(errno));
}

static int run_set(struct cli *c)
{
    struct operator_home h;
    struct purpose_list l = {.issued_at = yzi_home_now()};
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_operator_open(c, true, &h));
    l.instance = h.statement.instance;
    YZ_TRY(read_list(c, yzi_cli_arg(c, 0), &l));
    int rc = yzi_purpose_list_write(&l, &body);
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(c), rc, "the list does not fit a record of %u bytes (%s)",
                        YZ_RECORD_MAX, yz_err_words(rc));
    }
    YZ_TRY(yzi_operator_keep_body(c, &h, RECORD_PURPOSES, l.instance, yzi_bytes_buf(&body)));
    yzi_cli_say(c, "%zu purpose%s; the list counts from the next yz directory publish\n",
                l.purposes_n, l.purposes_n == 1 ? "" : "s");
    return YZ_OK;
}

static int run_drop(struct cli *c)
{
    struct operator_home h;
    const char *path;
    YZ_TRY(yzi_operator_open(c, true, &h));
    YZ_TRY(yzi_operator_path(c, &h, RECORD_PURPOSES, h.statement.instance, &path));
    if (!yzi_file_exists(path)) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "this instance has no list of purposes");
    }
    YZ_TRY(forget(c, path));
    yzi_cli_say(c, "from the next yz directory publish on any purpose will do\n");
    return YZ_OK;
}

/* -- where a list is found -- */

/* The list of the directory that a daemon has in force; *found false when it has none. */
static int ask_daemon(struct cli *c, const char *socket, struct record *out, bool *found)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    YZ_AUTO(yzi_buf_fini) yz_buf payload;
    yz_bytes copy;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    yzi_buf_init(&payload, YZ_RECORD_MAX);
    struct home_call call = {.socket = socket, .verb = "purposes.get", .fd = -1};
    YZ_TRY(yzi_home_call(c, &call, &text, &payload));
    *found = payload.n > 0;
    if (!*found) {
        return YZ_OK;
    }
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(c), yzi_bytes_buf(&payload), &copy));
    int rc = yzi_record_parse(copy, out);
    return rc < 0 || out->kind != RECORD_PURPOSES
               ? yzi_fail(yzi_cli_error(c), YZ_EMALFORMED, "%s: sent no list of purposes", socket)
               : YZ_OK;
}

static int home_list(struct cli *c, const char *home, struct record *out, bool *found)
{
    struct operator_home h;
    const char *path;
    if (yzi_home_kind(c, home) == HOME_OPERATOR) {
        YZ_TRY(yzi_operator_open(c, false, &h));
        YZ_TRY(yzi_operator_path(c, &h, RECORD_PURPOSES, h.statement.instance, &path));
    } else {
        YZ_TRY(yzi_home_path(c, home, LIST_FILE, &path));
    }
    *found = yzi_file_exists(path);
    return *found ? yzi_home_read(c, path, RECORD_PURPOSES, out) : YZ_OK;
}

static int parse(struct cli *c, const struct record *r, struct purpose_list *out)
{
    int rc = yzi_purpose_list_parse(r->body, yzi_cli_arena(c), out);
    return rc < 0 ? yzi_home_bad_body(c, rc, LIST_FILE, "list of purposes") : rc;
}

/* -- fetch -- */

static int run_fetch(struct cli *c)
{
    const char *home, *path;
    struct record r;
    bool found;
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &home));
    YZ_TRY(yzi_home_path(c, home, LIST_FILE, &path));
    YZ_TRY(ask_daemon(c, yzi_cli_option(c, "admin"), &r, &found));
    if (found) {
        YZ_TRY(yzi_home_write(c, path, r.raw));
        yzi_cli_say(c, "yz grant add checks purposes against this list from now on\n");
        return YZ_OK;
    }
    yzi_cli_say(c, "this instance has no list of purposes: any code will do\n");
    return yzi_file_exists(path) ? forget(c, path) : YZ_OK;
}

/* -- list -- */

static int print_json(struct cli *c, const struct purpose_list *l)
{
    struct json j;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 4u * YZ_RECORD_MAX);
    yzi_json_init(&j, &text, true);
    yzi_json_array(&j);
    for (size_t i = 0; i < l->purposes_n; i++) {
        yzi_json_object(&j);
        yzi_text_json(&j, "code", l->purposes[i].code);
        yzi_texts_json(&j, "titles", &l->purposes[i].titles);
        yzi_text_json(&j, "legal_basis", l->purposes[i].legal_basis);
        yzi_json_object_end(&j);
    }
    yzi_json_array_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(c, yzi_bytes_buf(&text));
    return YZ_OK;
}

static int print_text(struct cli *c, const struct purpose_list *l)
{
    static const char *const head[] = {"PURPOSE", "LANGUAGE", "TITLE", "LEGAL BASIS", NULL};
    struct columns t;
    yzi_columns_begin(&t, c, head);
    for (size_t i = 0; i < l->purposes_n; i++) {
        const struct purpose_entry *p = &l->purposes[i];
        for (size_t k = 0; k < p->titles.n; k++) {
            yzi_columns_add(&t, k ? (yz_bytes){0} : p->code);
            yzi_columns_add(&t, p->titles.items[k].language);
            yzi_columns_add(&t, p->titles.items[k].text);
            yzi_columns_add(&t, k ? (yz_bytes){0} : p->legal_basis);
        }
    }
    return yzi_columns_print(&t, false);
}

static int run_list(struct cli *c)
{
    const char *home = yzi_cli_option(c, "home"), *socket = yzi_cli_option(c, "admin");
    struct record r;
    struct purpose_list l = {0};
    bool found = false;
    if (!home == !socket) {
        return yzi_cli_usage(c, "say which: --home DIR or --admin SOCKET");
    }
    YZ_TRY(socket ? ask_daemon(c, socket, &r, &found) : home_list(c, home, &r, &found));
    YZ_TRY(found ? parse(c, &r, &l) : YZ_OK);
    if (!found && !yzi_cli_json(c)) {
        yzi_cli_say(c, "there is no list of purposes: any code will do\n");
    }
    return yzi_cli_json(c) ? print_json(c, &l) : print_text(c, &l);
}

/* -- checking -- */

bool yzi_purpose_is_listed(const struct purpose_list *l, yz_bytes code)
{
    for (size_t i = 0; i < l->purposes_n; i++) {
        if (yzi_bytes_eq(l->purposes[i].code, code)) {
            return true;
        }
    }
    return false;
}

int yzi_home_purposes(struct cli *c, const char *home, struct purpose_list *out, bool *found)
{
    struct record r;
    YZ_TRY(home_list(c, home, &r, found));
    return *found ? parse(c, &r, out) : YZ_OK;
}

int yzi_home_check_purposes(struct cli *c, const char *home, const struct name_list *codes)
{
    size_t n;
    const char *const *sockets = yzi_cli_options(c, "admin", &n);
    struct record r;
    struct purpose_list l;
    bool found;
    if (codes->n == 0) {
        return YZ_OK;
    }
    YZ_TRY(n ? ask_daemon(c, sockets[0], &r, &found) : home_list(c, home, &r, &found));
    if (!found) {
        return YZ_OK;
    }
    YZ_TRY(parse(c, &r, &l));
    for (size_t i = 0; i < codes->n; i++) {
        if (!yzi_purpose_is_listed(&l, codes->items[i])) {
            return yzi_fail(yzi_cli_error(c), YZ_EINVAL,
                            "--purpose %.*s: this instance has no such purpose (yz purpose list)",
                            CLI_V(codes->items[i]));
        }
    }
    return YZ_OK;
}

static const struct cli_option operator_options[] = {
    {"home", "DIR", "The operator's home", true, false}, {0}};
static const struct cli_option fetch_options[] = {
    {"home", "DIR", "The member's home", true, false},
    {"admin", "SOCKET", "An adapter of the member", true, false},
    {0}};
static const struct cli_option list_options[] = {
    {"home", "DIR", "An operator's home, or a member's: what was fetched last", false, false},
    {"admin", "SOCKET", "An adapter or a broker: the list in force there", false, false},
    {0}};

const struct cli_verb yzi_cli_purpose[] = {
    {"purpose", "set", "FILE", 1, 1, "List the instance's purposes, for the next directory",
     operator_options, run_set, true},
    {"purpose", "drop", "", 0, 0, "Have no list of purposes any more", operator_options, run_drop,
     true},
    {"purpose", "fetch", "", 0, 0, "Bring the list in force into a member's home", fetch_options,
     run_fetch, true},
    {"purpose", "list", "", 0, 0, "Show a list of purposes", list_options, run_list, false},
    CLI_TABLE_END};
