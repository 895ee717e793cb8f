/* SPDX-License-Identifier: Apache-2.0
 *
 * yz sandbox: a whole instance in one folder: broker, demo agencies and a client, with fresh keys,
 * on free loopback ports. It is made with the same commands an operator and the members would type
 * (docs/operations.md), run in this process, so it is also their first test.
 */
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <sodium.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/home.h"
#include "cli/process.h"

#define START_WAIT_MS 15000u
#define LOG_POLL_MS 20
#define STOP_WAIT_MS 15000u
#define ARGV_MAX 40
#define INSTANCE "CN"
#define BROKER INSTANCE "/@b1"
#define CLIENT_MEMBER INSTANCE "/GOV/WINDOW"
#define CLIENT_SUBSYSTEM CLIENT_MEMBER "/window"

struct agency {
    const char *name; /* folder and log name */
    const char *member, *member_name;
    const char *subsystem; /* code */
};
static const struct agency agencies[] = {
    {"housing", INSTANCE "/GOV/HOUSING", "住房和城乡建设局", "registry"},
    {"tax", INSTANCE "/GOV/TAX", "税务局", "clearance"},
    {"civil", INSTANCE "/GOV/CIVIL", "民政局", "civil"},
    {"statistics", INSTANCE "/GOV/STATS", "统计局", "divisions"},
};
#define AGENCIES (sizeof agencies / sizeof agencies[0])
#define FIELDS_MAX 8

struct offered {
    unsigned agency;
    const char *service;            /* code/version */
    const char *folder;             /* under the data folder */
    const char *dataset;            /* definition <dataset>.yaml, data <dataset>.csv */
    bool import;                    /* at once; otherwise the data set starts empty */
    const char *fields[FIELDS_MAX]; /* granted to the client; none: all */
};
static const struct offered services[] = {
    {0, "titles/v1", "demo/housing", "titles", true, {NULL}},
    {1, "clearances/v1", "demo/tax", "clearances", true, {"person_id", "cleared", "valid_until"}},
    {2, "marriages/v1", "demo/civil", "marriages", true, {"person_id", "status", "status_since"}},
    {3, "areas/v1", "china-division", "areas", false, {NULL}},
    {3, "villages/v1", "china-division", "villages", false, {NULL}},
};
#define SERVICES (sizeof services / sizeof services[0])

struct sandbox {
    struct cli *c;
    const char *dir;  /* absolute */
    const char *data; /* where the demo data is */
    char endpoint[300], adapters_endpoint[300], ops[128];
    char broker_key[48], log_vkey[1024];
    const char *log_dir;
    struct process broker, adapters[AGENCIES];
    bool broker_started;
    size_t adapters_started;
};

/* -- small tools -- */

static const char *path_of(struct sandbox *s, const char *fmt, ...) YZ_PRINTF(2, 3);
static const char *path_of(struct sandbox *s, const char *fmt, ...)
{
    char name[3000];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    const char *out = "";
    yz_ignore(yzi_home_path(s->c, s->dir, name, &out),
              "without memory the next step fails with it");
    return out;
}

static int keep(struct sandbox *s, const char *text, const char **out)
{
    yz_bytes copy;
    YZ_TRY(yzi_arena_dup(yzi_cli_arena(s->c), yzi_bytes(text, strlen(text) + 1), &copy));
    *out = (const char *)copy.p;
    return YZ_OK;
}

/* Run one yz command line, words ended by NULL, as a person would type it. */
static int yz(struct sandbox *s, const char *const *words)
{
    char program[] = "yz", *argv[ARGV_MAX] = {program};
    int argc = 1;
    for (; words[argc - 1]; argc++) {
        YZ_ASSERT(argc < ARGV_MAX - 1);
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    if (yzi_cli_run(argc, argv, true) != EXIT_OK) {
        return yzi_fail(yzi_cli_error(s->c), YZ_EINTERNAL, "`yz %s %s` failed (see above)",
                        words[0], words[1]);
    }
    return YZ_OK;
}
#define YZ_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static int write_text(struct sandbox *s, const char *path, const char *fmt, ...) YZ_PRINTF(3, 4);
static int write_text(struct sandbox *s, const char *path, const char *fmt, ...)
{
    char text[8192];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    YZ_ENSURE(n > 0 && (size_t)n < sizeof text, YZ_ELIMIT);
    return yzi_file_write(path, yzi_bytes(text, (size_t)n), 0600, yzi_cli_error(s->c));
}

static int copy_file(struct sandbox *s, const char *from, const char *to, unsigned mode)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf content;
    yzi_buf_init(&content, 1024u * 1024u);
    YZ_TRY(yzi_file_read(from, &content, yzi_cli_error(s->c)));
    return yzi_file_write(to, yzi_bytes_buf(&content), mode, yzi_cli_error(s->c));
}

/* -- the broker -- */

/* "listening endpoint=tcp://… ops=… adapters=tcp://…" */
static int parse_listening(struct sandbox *s)
{
    if (sscanf(s->broker.line, "listening endpoint=%299s ops=%127s adapters=%299s", s->endpoint,
               s->ops, s->adapters_endpoint) != 3) {
        return yzi_fail(yzi_cli_error(s->c), YZ_EINTERNAL, "the broker said '%s'", s->broker.line);
    }
    return YZ_OK;
}

static int expect_line(struct sandbox *s, struct process *p, const char *who)
{
    int rc = yzi_process_next_line(p, START_WAIT_MS);
    if (rc == YZ_ECLOSED) {
        return yzi_fail(yzi_cli_error(s->c), rc, "%s ended at once; its log is %s", who,
                        path_of(s, "%s/stderr", who));
    }
    if (rc < 0) {
        return yzi_fail(yzi_cli_error(s->c), rc, "%s was not ready within %u s; its log is %s", who,
                        START_WAIT_MS / 1000, path_of(s, "%s/stderr", who));
    }
    return YZ_OK;
}

static int note_broker_key(struct sandbox *s)
{
    struct key_pair key = {0};
    const char *home = path_of(s, "broker");
    YZ_TRY(yzi_home_key(s->c, home, "transport", KEY_TRANSPORT, &key));
    yzi_home_base64(key.public_key, s->broker_key);
    yzi_key_pair_fini(&key);
    return YZ_OK;
}

static int start_broker(struct sandbox *s)
{
    const char *home = path_of(s, "broker"), *config = path_of(s, "broker/broker.yaml");
    YZ_TRY(yz(s, YZ_WORDS("broker", "request", "--home", home, "--node", BROKER)));
    YZ_TRY(copy_file(s, path_of(s, "operator/keys/freshness.key"),
                     path_of(s, "broker/keys/freshness.key"), 0600));
    YZ_TRY(write_text(s, config,
                      "node: " BROKER "\nhome: .\nlisten: [\"tcp://127.0.0.1:*\"]\n"
                      "listen_adapters: [\"tcp://127.0.0.1:*\"]\n"
                      "ops: \"127.0.0.1:0\"\nlock_secrets: false\nlog_level: debug\n"));
    YZ_TRY(note_broker_key(s));
    YZ_TRY(yzi_process_start("yz-brokerd", config, path_of(s, "broker/stderr"), &s->broker,
                             yzi_cli_error(s->c)));
    s->broker_started = true;
    YZ_TRY(expect_line(s, &s->broker, "broker"));
    return parse_listening(s);
}

/* The broker publishes its log, and the key to verify it by, within a second of its start. */
static int wait_for_log(struct sandbox *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, sizeof s->log_vkey - 1);
    YZ_TRY(keep(s, path_of(s, "broker/log/current"), &s->log_dir));
    const char *path = path_of(s, "broker/log/current/vkey");
    uint64_t until = yzi_mono_ms(&yzi_clock_system) + START_WAIT_MS;
    int rc;
    while ((rc = yzi_file_read(path, &text, yzi_cli_error(s->c))) == YZ_ENOTFOUND &&
           yzi_mono_ms(&yzi_clock_system) < until) {
        poll(NULL, 0, LOG_POLL_MS);
    }
    YZ_TRY(rc);
    memcpy(s->log_vkey, text.p, text.n);
    s->log_vkey[strcspn(s->log_vkey, "\n")] = '\0';
    return YZ_OK;
}

/* -- members -- */

static int make_member(struct sandbox *s, const char *folder, const char *member, const char *name,
                       const char *subsystem, const char *node, const char *role)
{
    const char *home = path_of(s, "%s/member", folder);
    const char *node_home = path_of(s, "%s", folder);
    YZ_TRY(yz(s, YZ_WORDS("member", "init", "--home", home, "--member", member)));
    YZ_TRY(yz(s, YZ_WORDS("subsystem", "add", "--home", home, subsystem)));
    YZ_TRY(yz(s, YZ_WORDS("node", "request", "--home", node_home, "--node", node, "--role", role,
                          "--subsystem", subsystem)));
    YZ_TRY(yz(s, YZ_WORDS("node", "admit", "--home", home, path_of(s, "%s/request.yzr", folder))));
    YZ_TRY(
        copy_file(s, path_of(s, "operator/anchor.yzr"), path_of(s, "%s/anchor.yzr", folder), 0644));
    return yz(s, YZ_WORDS("member", "add", "--home", path_of(s, "operator"), "--name", name,
                          path_of(s, "%s/member/member-set.yzr", folder)));
}

static int make_members(struct sandbox *s)
{
    for (size_t i = 0; i < AGENCIES; i++) {
        const struct agency *a = &agencies[i];
        char node[128];
        snprintf(node, sizeof node, "%s/@a1", a->member);
        YZ_TRY(make_member(s, a->name, a->member, a->member_name, a->subsystem, node, "adapter"));
    }
    return make_member(s, "client", CLIENT_MEMBER, "一窗通办", "window", CLIENT_MEMBER "/@w1",
                       "client");
}

static int publish_directory(struct sandbox *s)
{
    const char *words[ARGV_MAX] = {"directory", "publish",
                                   "--home",    path_of(s, "operator"),
                                   "--admin",   path_of(s, "broker/admin.sock")};
    size_t n = 6;
    for (size_t i = 0; i < AGENCIES; i++) {
        words[n++] = "--member-set";
        words[n++] = path_of(s, "%s/member/member-set.yzr", agencies[i].name);
    }
    words[n++] = "--member-set";
    words[n++] = path_of(s, "client/member/member-set.yzr");
    YZ_TRY(yz(s, words));
    return expect_line(s, &s->broker, "broker"); /* "ready directory=1" */
}

/* -- adapters -- */

static int write_peer_config(struct sandbox *s, const char *path, const char *node,
                             const char *endpoint, const char *rest)
{
    return write_text(s, path,
                      "node: %s\nhome: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
                      "  - {node: " BROKER ", endpoint: \"%s\", key: \"%s\"}\n%s",
                      node, endpoint, s->broker_key, rest);
}

/* The definitions of this agency's data sets, copied to its home, as its configuration lists them.
 */
static int copy_definitions(struct sandbox *s, size_t agency, char *list, size_t list_max)
{
    size_t n = (size_t)snprintf(list, list_max, "datasets:\n");
    for (size_t i = 0; i < SERVICES; i++) {
        const struct offered *o = &services[i];
        if (o->agency != agency) {
            continue;
        }
        char source[4096];
        snprintf(source, sizeof source, "%s/%s/%s.yaml", s->data, o->folder, o->dataset);
        YZ_TRY(copy_file(s, source, path_of(s, "%s/%s.yaml", agencies[agency].name, o->dataset),
                         0644));
        n += (size_t)snprintf(list + n, list_max - n, "  - definition: %s.yaml\n", o->dataset);
        YZ_ENSURE(n < list_max, YZ_ELIMIT);
    }
    return YZ_OK;
}

static int start_adapter(struct sandbox *s, size_t i)
{
    const struct agency *a = &agencies[i];
    char node[128], list[2048];
    snprintf(node, sizeof node, "%s/@a1", a->member);
    YZ_TRY(copy_definitions(s, i, list, sizeof list));
    const char *config = path_of(s, "%s/adapter.yaml", a->name);
    YZ_TRY(write_peer_config(s, config, node, s->adapters_endpoint, list));
    YZ_TRY(yzi_process_start("yz-adapterd", config, path_of(s, "%s/stderr", a->name),
                             &s->adapters[i], yzi_cli_error(s->c)));
    s->adapters_started = i + 1;
    return YZ_OK;
}

static int grant_to_client(struct sandbox *s, const struct offered *o, const char *home,
                           const char *admin)
{
    const struct agency *a = &agencies[o->agency];
    char service[256];
    snprintf(service, sizeof service, "%s/%s/%s", a->member, a->subsystem, o->service);
    const char *words[ARGV_MAX] = {"grant",       "add",   "--home",     home,
                                   "--service",   service, "--consumer", CLIENT_SUBSYSTEM,
                                   "--operation", "get",   "--admin",    admin};
    size_t n = 12;
    for (size_t i = 0; i < FIELDS_MAX && o->fields[i]; i++) {
        words[n++] = "--field";
        words[n++] = o->fields[i];
    }
    return yz(s, words);
}

static int offer_service(struct sandbox *s, const struct offered *o)
{
    const struct agency *a = &agencies[o->agency];
    const char *home = path_of(s, "%s/member", a->name);
    const char *admin = path_of(s, "%s/admin.sock", a->name);
    char node[128], source[4096];
    snprintf(node, sizeof node, "%s/@a1", a->member);
    YZ_TRY(yz(s, YZ_WORDS("service", "publish", "--home", home, "--subsystem", a->subsystem,
                          "--service", o->service, "--definition",
                          path_of(s, "%s/%s.yaml", a->name, o->dataset), "--adapter", node,
                          "--admin", admin)));
    YZ_TRY(grant_to_client(s, o, home, admin));
    if (!o->import) {
        return YZ_OK;
    }
    snprintf(source, sizeof source, "%s/%s/%s.csv", s->data, o->folder, o->dataset);
    return yz(s, YZ_WORDS("data", "import", "--admin", admin, o->dataset, source));
}

static int start_adapters(struct sandbox *s)
{
    for (size_t i = 0; i < AGENCIES; i++) {
        YZ_TRY(start_adapter(s, i));
    }
    for (size_t i = 0; i < AGENCIES; i++) {
        YZ_TRY(expect_line(s, &s->adapters[i], agencies[i].name));
    }
    for (size_t i = 0; i < SERVICES; i++) {
        YZ_TRY(offer_service(s, &services[i]));
    }
    return YZ_OK;
}

/* -- sandbox.json -- */

static void put(struct json *j, const char *key, const char *value)
{
    yzi_json_key(j, key);
    yzi_json_str(j, value);
}

static void put_pid(struct json *j, pid_t pid)
{
    yzi_json_key(j, "pid");
    yzi_json_u64(j, (uint64_t)pid);
}

static void put_adapter(struct sandbox *s, struct json *j, size_t i)
{
    char subsystem[256];
    snprintf(subsystem, sizeof subsystem, "%s/%s", agencies[i].member, agencies[i].subsystem);
    yzi_json_object(j);
    put(j, "name", agencies[i].name);
    put_pid(j, s->adapters[i].pid);
    put(j, "home", path_of(s, "%s", agencies[i].name));
    put(j, "facade", NULL); /* there is none yet */
    yzi_json_key(j, "subsystems");
    yzi_json_array(j);
    yzi_json_str(j, subsystem);
    yzi_json_array_end(j);
    yzi_json_object_end(j);
}

static int write_json(struct sandbox *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, 1024u * 1024u);
    struct json j;
    yzi_json_init(&j, &text, true);
    yzi_json_object(&j);
    put(&j, "instance", INSTANCE);
    yzi_json_key(&j, "broker");
    yzi_json_object(&j);
    put(&j, "endpoint", s->endpoint);
    put(&j, "adapters_endpoint", s->adapters_endpoint);
    put(&j, "ops", s->ops);
    put_pid(&j, s->broker.pid);
    put(&j, "log_vkey", s->log_vkey);
    put(&j, "log_dir", s->log_dir);
    yzi_json_object_end(&j);
    yzi_json_key(&j, "adapters");
    yzi_json_array(&j);
    for (size_t i = 0; i < AGENCIES; i++) {
        put_adapter(s, &j, i);
    }
    yzi_json_array_end(&j);
    yzi_json_key(&j, "client");
    yzi_json_object(&j);
    put(&j, "config", path_of(s, "client/client.yaml"));
    put(&j, "subsystem", CLIENT_SUBSYSTEM);
    yzi_json_object_end(&j);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    YZ_TRY(yzi_buf_put_str(&text, "\n"));
    return yzi_file_write(path_of(s, "sandbox.json"), yzi_bytes_buf(&text), 0600,
                          yzi_cli_error(s->c));
}

/* -- up -- */

/* Where the demo data is: beside the installed program, or in the source tree this was built from.
 */
static int find_data(struct sandbox *s)
{
    char self[3072], path[3200];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        snprintf(path, sizeof path, "%s/../share/yizhan", self);
        char probe[3300];
        snprintf(probe, sizeof probe, "%s/demo", path);
        if (yzi_file_exists(probe)) {
            return keep(s, path, &s->data);
        }
    }
    s->data = YZ_DATA_DIR;
    return YZ_OK;
}

static int open_sandbox(struct sandbox *s, const char *dir)
{
    char absolute[4096];
    if (yzi_file_exists(dir)) {
        return yzi_fail(yzi_cli_error(s->c), YZ_EEXIST,
                        "%s exists already; name a folder that does "
                        "not, or remove it",
                        dir);
    }
    YZ_TRY(yzi_dir_make(dir, 0700, yzi_cli_error(s->c)));
    if (!realpath(dir, absolute)) {
        return yzi_fail(yzi_cli_error(s->c), YZ_EIO, "%s: cannot be resolved", dir);
    }
    YZ_TRY(keep(s, absolute, &s->dir));
    return find_data(s);
}

static int bring_up(struct sandbox *s)
{
    const char *op = path_of(s, "operator");
    YZ_TRY(yz(s, YZ_WORDS("root", "init", "--home", op, "--instance", INSTANCE)));
    YZ_TRY(start_broker(s));
    YZ_TRY(yz(s, YZ_WORDS("broker", "admit", "--home", op, path_of(s, "broker/request.yzr"),
                          "--endpoint", s->endpoint)));
    YZ_TRY(make_members(s));
    YZ_TRY(publish_directory(s));
    YZ_TRY(start_adapters(s));
    YZ_TRY(wait_for_log(s));
    YZ_TRY(write_peer_config(s, path_of(s, "client/client.yaml"), CLIENT_MEMBER "/@w1", s->endpoint,
                             "subsystem: " CLIENT_SUBSYSTEM "\n"));
    return write_json(s);
}

static void stop_started(struct sandbox *s)
{
    for (size_t i = 0; i < s->adapters_started; i++) {
        yz_ignore(yzi_process_stop(s->adapters[i].pid,
                                   path_of(s, "%s/adapter.yaml", agencies[i].name), STOP_WAIT_MS),
                  "it ended before");
    }
    if (s->broker_started) {
        yz_ignore(yzi_process_stop(s->broker.pid, path_of(s, "broker/broker.yaml"), STOP_WAIT_MS),
                  "it ended before");
    }
}

static int run_up(struct cli *c)
{
    struct sandbox *s;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 1, sizeof *s, &s));
    s->c = c;
    YZ_TRY(open_sandbox(s, yzi_cli_arg(c, 0)));
    int rc = bring_up(s);
    if (rc < 0) {
        stop_started(s);
        return rc;
    }
    yzi_cli_say(c, "The sandbox is up: a broker at %s and %zu agencies.\n", s->endpoint, AGENCIES);
    for (size_t i = 0; i < SERVICES; i++) {
        const struct agency *a = &agencies[services[i].agency];
        yzi_cli_say(c, "  %-11s %s/%s/%s%s\n", a->name, a->member, a->subsystem,
                    services[i].service, services[i].import ? "" : " (empty until imported)");
    }
    yzi_cli_say(c, "Ask as %s with --config %s;\nstop it with `yz sandbox down %s`.\n",
                CLIENT_SUBSYSTEM, path_of(s, "client/client.yaml"), yzi_cli_arg(c, 0));
    return YZ_OK;
}

/* -- down -- */

static int stop_one(struct sandbox *s, const json_t *pid, const char *config, const char *name)
{
    if (!json_is_integer(pid)) {
        return yzi_fail(yzi_cli_error(s->c), YZ_EMALFORMED, "sandbox.json: %s has no pid", name);
    }
    int rc = yzi_process_stop((pid_t)json_integer_value(pid), config, STOP_WAIT_MS);
    yzi_cli_say(s->c, "%s: %s\n", name, rc == YZ_OK ? "stopped" : "was not running");
    return YZ_OK;
}

static int stop_all(struct sandbox *s, const json_t *root)
{
    const json_t *adapters = json_object_get(root, "adapters");
    size_t i;
    json_t *a;
    json_array_foreach(adapters, i, a)
    {
        const char *name = json_string_value(json_object_get(a, "name"));
        if (!name || strchr(name, '/')) {
            return yzi_fail(yzi_cli_error(s->c), YZ_EMALFORMED,
                            "sandbox.json: an adapter has no name");
        }
        YZ_TRY(stop_one(s, json_object_get(a, "pid"), path_of(s, "%s/adapter.yaml", name), name));
    }
    const json_t *broker = json_object_get(root, "broker");
    return stop_one(s, json_object_get(broker, "pid"), path_of(s, "broker/broker.yaml"), "broker");
}

static int run_down(struct cli *c)
{
    struct sandbox *s;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 1, sizeof *s, &s));
    s->c = c;
    char absolute[4096];
    if (!realpath(yzi_cli_arg(c, 0), absolute)) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "%s: no such folder", yzi_cli_arg(c, 0));
    }
    YZ_TRY(keep(s, absolute, &s->dir));
    json_error_t fault;
    json_t *root = json_load_file(path_of(s, "sandbox.json"), JSON_REJECT_DUPLICATES, &fault);
    if (!root) {
        return yzi_fail(yzi_cli_error(c), YZ_EMALFORMED, "%s is no sandbox: %s", s->dir,
                        fault.text);
    }
    int rc = stop_all(s, root);
    json_decref(root);
    return rc;
}

const struct cli_verb yzi_cli_sandbox[] = {
    {"sandbox", "up", "DIR", 1, 1,
     "Start a broker and demo agencies with fresh keys on free loopback ports", NULL, run_up, true},
    {"sandbox", "down", "DIR", 1, 1, "Stop them; what they wrote stays in DIR", NULL, run_down,
     true},
    CLI_TABLE_END};
