/* SPDX-License-Identifier: Apache-2.0
 *
 * yz-brokerd: reads its configuration, runs the broker's loop in the foreground, drains on SIGTERM,
 * reloads on SIGHUP.
 */
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "base/daemon.h"
#include "broker/broker.h"

#define LARGE_BYTES (256 * 1024)

extern const char *argp_program_version; /* argp shows it for --version */
const char *argp_program_version = "yz-brokerd " YZ_VERSION;

static int complain(const yz_error *err, int rc)
{
    fprintf(stderr, "yz-brokerd: %s\n", err->text[0] ? err->text : yz_err_words(rc));
    return rc == YZ_ECONFIG ? 2 : 1;
}

static int dump(const struct broker_config *config)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, 1024u * 1024u);
    if (yzi_config_dump(yzi_broker_config_fields, config, &out) < 0) {
        return 1;
    }
    return fwrite(out.p, 1, out.n, stdout) == out.n ? 0 : 1;
}

/* Log level and limits may change while running, but for the limits on which promises already given
 * rest: to peers (the message size) and about replays. The rest needs a restart. A faulty file
 * changes nothing. */
static void take_limits(struct broker_limits *to, struct broker_limits fresh)
{
    fresh.message = to->message;
    fresh.remembered = to->remembered;
    fresh.skew = to->skew;
    *to = fresh;
}

static void reload(struct broker *b, struct broker_config *config, const char *path)
{
    struct broker_config fresh;
    yz_error err = {0};
    if (yzi_broker_config_load(path, &fresh, &err) < 0) {
        yzi_log_error(&EV_RELOAD_FAILED, &err, NULL);
    } else {
        config->log_level = fresh.log_level;
        take_limits(&config->limits, fresh.limits);
        yzi_broker_limits_changed(b);
        yzi_log_set_level((enum log_level)config->log_level);
        yzi_log(&EV_RELOADED, NULL);
    }
    yzi_broker_config_fini(&fresh);
}

static void handle_signals(struct broker *b, int fd, struct broker_config *config, const char *path)
{
    for (int signal_number; (signal_number = yzi_daemon_next_signal(fd)) != 0;) {
        if (signal_number == SIGHUP) {
            reload(b, config, path);
        } else {
            yzi_daemon_notify("STOPPING=1");
            yzi_broker_drain(b);
        }
    }
}

static int run(struct broker_config *config, const struct daemon_arguments *a, yz_error *err)
{
    int signals;
    YZ_TRY(yzi_daemon_signals(&signals));
    yzi_secret_require_lock(config->lock_secrets);
    yzi_log_set_level((enum log_level)config->log_level);
    YZ_TRY(yzi_sodium_init());
    struct broker *b;
    YZ_TRY(yzi_broker_new(config, &yzi_clock_system, a->ready_fd, &b, err));
    yzi_log(&EV_STARTED, (struct log_field[]){
                             log_str("version", YZ_VERSION), log_str("node", config->node), {0}});
    yzi_daemon_notify("READY=1");
    int rc = YZ_OK;
    while (rc == YZ_OK && !b->stopped) {
        rc = yzi_broker_step(b, signals, err);
        handle_signals(b, signals, config, a->config);
    }
    if (rc < 0) {
        yzi_log_error(&EV_FAILED, err, NULL);
    } else {
        yzi_log(&EV_STOPPED, NULL);
    }
    yzi_broker_free(b);
    close(signals);
    return rc;
}

/* Large buffers go back to the system when they are freed. By default the C library, once it has
 * freed one, keeps such memory for the next: what a flood took would stay ours for ever, and the
 * limits would be about something else than what the system sees. */
static void give_memory_back(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
}

int main(int argc, char **argv)
{
    struct daemon_arguments a;
    yzi_daemon_arguments(argc, argv,
                         "Yizhan's broker: routes signed, sealed requests between agencies' "
                         "adapters, and reads none.",
                         &a);
    struct broker_config config;
    yz_error err = {0};
    int rc = yzi_broker_config_load(a.config, &config, &err);
    if (rc == YZ_OK && a.dump) {
        int status = dump(&config);
        yzi_broker_config_fini(&config);
        return status;
    }
    if (rc == YZ_OK) {
        yzi_daemon_limits();
        give_memory_back();
        rc = run(&config, &a, &err);
    }
    int status = rc < 0 ? complain(&err, rc) : 0;
    yzi_broker_config_fini(&config);
    return status;
}
