/* SPDX-License-Identifier: Apache-2.0
 *
 * yz-adapterd: reads its configuration, runs the adapter's loop in the foreground, drains on
 * SIGTERM, reloads on SIGHUP.
 */
#include <signal.h>
#include <unistd.h>

#include "adapters/adapter.h"
#include "base/daemon.h"

extern const char *argp_program_version; /* argp shows it for --version */
const char *argp_program_version = "yz-adapterd " YZ_VERSION;

static int complain(const yz_error *err, int rc)
{
    fprintf(stderr, "yz-adapterd: %s\n", err->text[0] ? err->text : yz_err_words(rc));
    return rc == YZ_ECONFIG ? 2 : 1;
}

static int dump(const struct adapter_config *config)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yzi_buf_init(&out, 1024u * 1024u);
    if (yzi_config_dump(yzi_adapter_config_fields, config, &out) < 0) {
        return 1;
    }
    return fwrite(out.p, 1, out.n, stdout) == out.n ? 0 : 1;
}

/* The log level and the data sets may change while running; the rest needs a restart. A faulty
 * file, a definition included, changes nothing. */
static void reload(struct adapter *adapter, struct adapter_config *config, const char *path)
{
    struct adapter_config fresh;
    yz_error err = {0};
    if (yzi_adapter_config_load(path, &fresh, &err) < 0 ||
        yzi_adapter_reload(adapter, &fresh, &err) < 0) {
        yzi_log_error(&ADAPTER_RELOAD_FAILED, &err, NULL);
    } else {
        config->log_level = fresh.log_level;
        yzi_log_set_level((enum log_level)config->log_level);
    }
    yzi_adapter_config_fini(&fresh);
}

static void handle_signals(struct adapter *adapter, int fd, struct adapter_config *config,
                           const char *path)
{
    for (int signal_number; (signal_number = yzi_daemon_next_signal(fd)) != 0;) {
        if (signal_number == SIGHUP) {
            reload(adapter, config, path);
        } else {
            yzi_daemon_notify("STOPPING=1");
            yzi_adapter_drain(adapter);
        }
    }
}

static int run(struct adapter_config *config, const struct daemon_arguments *a, yz_error *err)
{
    int signals;
    YZ_TRY(yzi_daemon_signals(&signals));
    yzi_secret_require_lock(config->lock_secrets);
    yzi_log_set_level((enum log_level)config->log_level);
    YZ_TRY(yzi_sodium_init());
    struct adapter *adapter;
    YZ_TRY(yzi_adapter_new(config, &yzi_clock_system, a->ready_fd, &adapter, err));
    yzi_log(
        &ADAPTER_STARTED,
        (struct log_field[]){log_str("version", YZ_VERSION), log_str("node", config->node), {0}});
    yzi_daemon_notify("READY=1");
    int rc = YZ_OK;
    while (rc == YZ_OK && !adapter->stopped) {
        rc = yzi_adapter_step(adapter, signals, err);
        handle_signals(adapter, signals, config, a->config);
    }
    if (rc < 0) {
        yzi_log_error(&ADAPTER_FAILED, err, NULL);
    } else {
        yzi_log(&ADAPTER_STOPPED, NULL);
    }
    yzi_adapter_free(adapter);
    close(signals);
    return rc;
}

int main(int argc, char **argv)
{
    struct daemon_arguments a;
    yzi_daemon_arguments(argc, argv,
                         "Yizhan's adapter: answers other agencies' signed, access-listed queries "
                         "from this agency's own store.",
                         &a);
    struct adapter_config config;
    yz_error err = {0};
    int rc = yzi_adapter_config_load(a.config, &config, &err);
    if (rc == YZ_OK && a.dump) {
        int status = dump(&config);
        yzi_adapter_config_fini(&config);
        return status;
    }
    if (rc == YZ_OK) {
        yzi_daemon_limits();
        rc = run(&config, &a, &err);
    }
    int status = rc < 0 ? complain(&err, rc) : 0;
    yzi_adapter_config_fini(&config);
    return status;
}
