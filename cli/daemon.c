/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking running daemons over their administration sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/home.h"

#define TIMEOUT_MS 30000u

int yzi_home_call(struct cli *c, const struct home_call *call, yz_buf *out_text,
                  yz_buf *out_payload)
{
    struct admin_request q = {
        .verb = yzi_bytes_str(call->verb), .args = call->args, .args_n = call->args_n};
    size_t before = out_text->n;
    const int fds[2] = {call->fd, call->out_fd ? *call->out_fd : -1};
    int rc = yzi_admin_call_fds(call->socket, &q, call->payload, fds,
                                call->timeout_ms ? call->timeout_ms : TIMEOUT_MS, call->each,
                                call->ctx, out_text, out_payload, yzi_cli_error(c));
    if (rc < 0 && out_text->n > before) { /* the daemon's own words */
        yzi_error_prefix(yzi_cli_error(c), "%s", call->socket);
    } else if (rc == YZ_ENOTFOUND) {
        yzi_cli_error(c)->code = rc = YZ_EUNAVAILABLE;
    }
    return rc;
}

static int send_call(struct cli *c, const struct home_call *call)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, ADMIN_MESSAGE_MAX);
    YZ_TRY(yzi_home_call(c, call, &text, NULL));
    while (text.n && text.p[text.n - 1] == '\n') {
        text.n--;
    }
    if (text.n) {
        yzi_cli_say(c, "%s: %.*s\n", call->socket, (int)text.n, (const char *)text.p);
    }
    return YZ_OK;
}

int yzi_home_send(struct cli *c, const char *socket, const char *verb, yz_bytes payload)
{
    struct home_call call = {.socket = socket, .verb = verb, .payload = payload, .fd = -1};
    return send_call(c, &call);
}

/* To each of --admin. */
static int send_all(struct cli *c, struct home_call *call)
{
    size_t n;
    int result = YZ_OK;
    yz_error first = {0};
    const char *const *sockets = yzi_cli_options(c, "admin", &n);
    for (size_t i = 0; i < n; i++) {
        call->socket = sockets[i];
        int rc = send_call(c, call);
        if (rc < 0 && result == YZ_OK) {
            result = rc;
            first = *yzi_cli_error(c);
        } else if (rc < 0) {
            fprintf(stderr, "yz: %s\n", yzi_cli_error(c)->text);
        }
    }
    if (result < 0) {
        *yzi_cli_error(c) = first;
    }
    return result;
}

int yzi_home_send_all(struct cli *c, const char *verb, yz_bytes payload)
{
    struct home_call call = {.verb = verb, .payload = payload, .fd = -1};
    return send_all(c, &call);
}

int yzi_home_send_file(struct cli *c, const char *verb, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return yzi_fail(yzi_cli_error(c), yzi_err_from_errno(errno), "cannot read %s: %s", path,
                        strerror(errno));
    }
    struct home_call call = {.verb = verb, .fd = fd};
    int rc = send_all(c, &call);
    close(fd);
    return rc;
}
