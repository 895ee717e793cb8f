/* SPDX-License-Identifier: Apache-2.0
 *
 * libmicrohttpd accepts some malformed requests even in strict mode; that is harmless here, because
 * three fixed paths and names of one form are answered, bodies are refused and nothing is proxied.
 */
#include "broker/ops.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "broker/evidence/files.h"

#define CONNECTIONS_MAX 32
#define METRICS_MAX (256u * 1024u)

struct ops {
    struct MHD_Daemon *daemon;
    const struct metrics *metrics;
    const char *log; /* where logs are published; NULL: nowhere */
    char address[128];
};

static enum MHD_Result reply_cached(struct MHD_Connection *c, unsigned status, const char *type,
                                    const char *cache, yz_bytes body)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
    if (!r) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(r, "Content-Type", type);
    if (ok == MHD_YES) {
        ok = MHD_add_response_header(r, "Cache-Control", cache);
    }
    if (ok == MHD_YES) {
        ok = MHD_queue_response(c, status, r);
    }
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
                             yz_bytes body)
{
    return reply_cached(c, status, type, "no-store", body);
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    return reply(c, status, "text/plain; charset=utf-8", yzi_bytes_str(text));
}

static enum MHD_Result reply_metrics(struct ops *o, struct MHD_Connection *c)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, METRICS_MAX);
    if (yzi_metrics_write(o->metrics, &body) < 0) {
        return reply_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    }
    return reply(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", yzi_bytes_buf(&body));
}

/* -- the published log -- */

#define LOG_FILE_MAX 65536u
#define TEXT_TYPE "text/plain; charset=utf-8"
#define TILE_TYPE "application/octet-stream"
#define FOR_EVER "public, max-age=31536000, immutable"
#define FOR_A_WHILE "public, max-age=60" /* the current log may become another */
#define ALWAYS_ASK "no-cache"

/* What follows /log/ as a path below the folder: a number and a slash (or neither: the current
 * log), then one of the names there are, in the one form each has. *out_kept: it never changes. */
static int log_path(yz_bytes name, char *out, size_t cap, bool *out_text, bool *out_kept)
{
    const uint8_t *slash = name.n ? memchr(name.p, '/', name.n) : NULL;
    size_t n = slash ? (size_t)(slash - name.p) : 0;
    uint64_t log;
    char folder[32] = "current";
    struct log_file f;
    *out_kept = false;
    if (n && yzi_u64_parse(yzi_bytes(name.p, n), UINT64_MAX, &log) == YZ_OK) {
        snprintf(folder, sizeof folder, "%" PRIu64, log);
        name = yzi_bytes(name.p + n + 1, name.n - n - 1);
        *out_kept = true;
    }
    *out_text = yzi_bytes_eq_str(name, "vkey") || yzi_bytes_eq_str(name, "checkpoint");
    YZ_ENSURE(*out_text || yzi_log_file_parse(name, &f) == YZ_OK, YZ_ENOTFOUND);
    int wrote = snprintf(out, cap, "%s/%.*s", folder, (int)name.n, (const char *)name.p);
    return wrote > 0 && (size_t)wrote < cap ? YZ_OK : YZ_ENOTFOUND;
}

static enum MHD_Result reply_log(struct ops *o, struct MHD_Connection *c, const char *name)
{
    YZ_AUTO(yzi_buf_fini) yz_buf content;
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    char below[128];
    bool is_text, kept;
    yzi_buf_init(&content, LOG_FILE_MAX);
    int rc =
        o->log ? log_path(yzi_bytes_str(name), below, sizeof below, &is_text, &kept) : YZ_ENOTFOUND;
    rc = rc < 0 ? rc : yzi_path_join(o->log, below, &path);
    rc = rc < 0 ? rc : yzi_file_read(path, &content, NULL);
    if (rc == YZ_ENOTFOUND) {
        return reply_text(c, MHD_HTTP_NOT_FOUND, "the log has no such file\n");
    }
    if (rc < 0) {
        return reply_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "it cannot be read\n");
    }
    return reply_cached(c, MHD_HTTP_OK, is_text ? TEXT_TYPE : TILE_TYPE,
                        is_text ? ALWAYS_ASK
                        : kept  ? FOR_EVER
                                : FOR_A_WHILE,
                        yzi_bytes_buf(&content));
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **state)
{
    (void)version;
    (void)upload;
    struct ops *o = ctx;
    static int seen_headers;
    if (!*state) { /* first call: headers only */
        *state = &seen_headers;
        return MHD_YES;
    }
    if (*upload_n) {
        return MHD_NO; /* nobody has a reason to send a body */
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return reply_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
    }
    if (strcmp(url, "/healthz") == 0) {
        return reply_text(c, MHD_HTTP_OK, "ok\n");
    }
    if (strcmp(url, "/readyz") == 0) {
        return yzi_metric_get(&o->metrics->ready)
                   ? reply_text(c, MHD_HTTP_OK, "ready\n")
                   : reply_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "not ready\n");
    }
    if (strcmp(url, "/metrics") == 0) {
        return reply_metrics(o, c);
    }
    if (strncmp(url, "/log/", 5) == 0) {
        return reply_log(o, c, url + 5);
    }
    return reply_text(c, MHD_HTTP_NOT_FOUND,
                      "try /healthz, /readyz, /metrics or /log/checkpoint\n");
}

/* "1.2.3.4:80" or "[::1]:80". */
static int parse_address(const char *text, struct sockaddr_storage *out, yz_error *err)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    uint64_t port = 0;
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';
    size_t from = bracketed ? 1 : 0;
    size_t host_n = bracketed ? n - 2 : n;
    if (n == 0 || host_n >= sizeof host ||
        yzi_u64_parse(yzi_bytes_str(colon + 1), 65535, &port) < 0) {
        return yzi_fail(err, YZ_ECONFIG, "ops: '%s' is not HOST:PORT", text);
    }
    memcpy(host, text + from, host_n);
    host[host_n] = '\0';
    *out = (struct sockaddr_storage){0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (!bracketed && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
    } else if (bracketed && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
    } else {
        return yzi_fail(err, YZ_ECONFIG,
                        "ops: '%s' is not a numeric address; write 127.0.0.1:PORT or [::1]:PORT",
                        text);
    }
    return YZ_OK;
}

static void note_address(struct ops *o, const char *asked)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(o->daemon, MHD_DAEMON_INFO_BIND_PORT);
    int host_n = (int)(strrchr(asked, ':') - asked);
    snprintf(o->address, sizeof o->address, "%.*s:%u", host_n, asked, info ? info->port : 0u);
}

int yzi_ops_start(const char *address, const char *log, const struct metrics *metrics,
                  struct ops **out, yz_error *err)
{
    struct sockaddr_storage at;
    YZ_TRY(parse_address(address, &at, err));
    struct ops *o;
    YZ_TRY(yzi_alloc(1, sizeof *o, &o));
    o->metrics = metrics;
    o->log = log;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    if (at.ss_family == AF_INET6) {
        flags |= MHD_USE_IPv6;
    }
    o->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, o, MHD_OPTION_SOCK_ADDR, &at,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_STRICT_FOR_CLIENT,
                                 1, MHD_OPTION_END);
    if (!o->daemon) {
        free(o);
        return yzi_fail(err, YZ_EIO, "ops: cannot listen on %s (is the port taken?)", address);
    }
    note_address(o, address);
    *out = o;
    return YZ_OK;
}

void yzi_ops_stop(struct ops *o)
{
    if (o) {
        MHD_stop_daemon(o->daemon);
        free(o);
    }
}

const char *yzi_ops_address(const struct ops *o)
{
    return o->address;
}
