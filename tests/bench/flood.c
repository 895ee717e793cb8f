/* SPDX-License-Identifier: Apache-2.0
 *
 * More than a broker can take: several client nodes, each with the real library, first keep a
 * number of calls in flight between them (the peak), then submit calls at a multiple of the rate
 * that gave, whatever becomes of those before. What the broker delivers then, beside the peak, is
 * the goodput; every call ends once, and is counted by how. Where the senders are too slow to
 * verify what they get, as on a machine they share with the rest, their calls end in local
 * time-outs.
 *
 *     bench_flood SECONDS IN_FLIGHT FACTOR SERVICE KEY[,KEY...] BROKER_PID OPS_PORT
 *                 CLIENT.YAML...
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "tests/bench/bench.h"

#define CLIENTS_MAX 16u
#define KINDS_MAX 32u
#define TICK_MS 2u
#define TIMEOUT_MS 5000u
#define WARM_UP_S 3.0 /* for queues to fill, before anything is counted */
#define NS_PER_S 1000000000ull

struct kind { /* of an end: "ok", "busy in-flight-per-service", "YZ_ETIMEOUT" */
    char name[96];
    uint64_t n;
};

struct phase {
    double seconds;
    unsigned in_flight; /* closed loop: kept up; 0: open loop */
    double rate;        /* open loop: calls a second */
};

struct driver {
    yz_client *client;
    yz_request *request;
    pthread_t thread;
    struct phase phase;
    uint64_t begun, counted, end;
    uint64_t submitted, held_back, ended, answered; /* answered: within the phase */
    struct kind kinds[KINDS_MAX];
    struct bench_samples samples;
};

static struct driver drivers[CLIENTS_MAX];
static unsigned drivers_n;
static pid_t broker;
static unsigned ops_port;
static _Atomic long rss_most;
static _Atomic bool watching;

static void count(struct driver *d, const char *name)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        struct kind *k = &d->kinds[i];
        if (k->n == 0) {
            snprintf(k->name, sizeof k->name, "%s", name);
        }
        if (strcmp(k->name, name) == 0) {
            k->n++;
            return;
        }
    }
}

static bool submit(struct driver *d)
{
    yz_error err = {0};
    /* the context is the time it was sent */
    void *ctx = (void *)(uintptr_t)bench_now_ns();
    int rc = yz_submit(d->client, d->request, ctx, NULL, &err);
    d->submitted += rc == YZ_OK;
    d->held_back += rc == YZ_EBUSY;
    if (rc < 0 && rc != YZ_EBUSY) {
        fprintf(stderr, "bench_flood: submit: %s\n", err.text);
        exit(1);
    }
    return rc == YZ_OK;
}

static void note(struct driver *d, yz_completion *c)
{
    uint64_t now = bench_now_ns();
    char name[96];
    if (!c->answer) {
        snprintf(name, sizeof name, "%s", yz_err_name(c->error.code));
    } else {
        const char *rule = yz_answer_rule(c->answer), *reason = yz_answer_reason(c->answer);
        bool good = yz_answer_status(c->answer) == YZ_STATUS_OK;
        snprintf(name, sizeof name, "%s%s%s", yz_status_name(yz_answer_status(c->answer)),
                 good ? "" : " ",
                 good      ? ""
                 : rule[0] ? rule
                           : reason);
        if (good && now >= d->counted && now < d->end) {
            d->answered++;
            bench_add(&d->samples, now - (uint64_t)(uintptr_t)c->ctx);
        }
    }
    count(d, name);
    d->ended++;
    yz_answer_free(c->answer);
}

/* Take what ended; waits for the first of it. */
static void take(struct driver *d, uint32_t wait_ms)
{
    yz_completion done;
    yz_error err = {0};
    while (yz_poll(d->client, wait_ms, &done, &err) == YZ_OK) {
        note(d, &done);
        wait_ms = 0;
    }
}

static void drive_open(struct driver *d)
{
    uint64_t due = 0, now;
    while ((now = bench_now_ns()) < d->end) {
        uint64_t should = (uint64_t)((double)(now - d->begun) / (double)NS_PER_S * d->phase.rate);
        for (; due < should && bench_now_ns() < d->end; due++) {
            submit(d);
            if (due % 64 == 63) {
                take(d, 0);
            }
        }
        take(d, TICK_MS);
    }
}

static void drive_closed(struct driver *d)
{
    while (bench_now_ns() < d->end) {
        while (d->submitted - d->ended < d->phase.in_flight && submit(d)) {
        }
        take(d, TICK_MS);
    }
}

static void *drive(void *arg)
{
    struct driver *d = arg;
    d->begun = bench_now_ns();
    d->counted = d->begun + (uint64_t)(WARM_UP_S * (double)NS_PER_S);
    d->end = d->counted + (uint64_t)(d->phase.seconds * (double)NS_PER_S);
    if (d->phase.in_flight) {
        drive_closed(d);
    } else {
        drive_open(d);
    }
    uint64_t give_up = bench_now_ns() + 3 * TIMEOUT_MS * 1000000ull;
    while (d->ended < d->submitted && bench_now_ns() < give_up) {
        take(d, 100);
    }
    return NULL;
}

/* While others work. */
static void let_pass(double seconds)
{
    poll(NULL, 0, (int)(seconds * 1000));
}

/* What the broker counts: requests that reached it, answers handed to consumers. */
static void read_metrics(double *out_arrived, double *out_delivered)
{
    static const char ask[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    static const char requests[] = "\nyizhan_broker_requests_total ";
    static const char responses[] = "\nyizhan_broker_responses_total ";
    static char text[65536];
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)ops_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t n = 0;
    ssize_t got = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 ||
        send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) != (ssize_t)sizeof ask - 1) {
        bench_die("metrics");
    }
    while ((got = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0) {
        n += (size_t)got;
    }
    close(fd);
    text[n] = '\0';
    char *at = strstr(text, requests);
    *out_arrived = at ? atof(at + sizeof requests - 1) : 0;
    at = strstr(text, responses);
    *out_delivered = at ? atof(at + sizeof responses - 1) : 0;
}

static void *watch(void *arg)
{
    while (watching) {
        long now = bench_rss_kib(broker);
        rss_most = now > rss_most ? now : rss_most;
        let_pass(0.02);
    }
    return arg;
}

/* All drivers through one phase; the answers a second that the broker delivered. */
static double run(const struct phase *phase, const char *what)
{
    uint64_t answered = 0, begun = bench_now_ns();
    double before[2], after[2];
    uint64_t cpu = bench_cpu_ns(broker), own = bench_cpu_ns(getpid());
    for (unsigned i = 0; i < drivers_n; i++) {
        struct driver *d = &drivers[i];
        bench_free(&d->samples);
        *d = (struct driver){.client = d->client, .request = d->request, .phase = *phase};
        if (pthread_create(&d->thread, NULL, drive, d) != 0) {
            bench_die("thread");
        }
    }
    let_pass(WARM_UP_S);
    read_metrics(&before[0], &before[1]);
    let_pass(phase->seconds);
    read_metrics(&after[0], &after[1]);
    for (unsigned i = 0; i < drivers_n; i++) {
        pthread_join(drivers[i].thread, NULL);
        answered += drivers[i].answered;
    }
    double wall = (double)(bench_now_ns() - begun);
    char name[64];
    snprintf(name, sizeof name, "%s.broker_cpu", what);
    bench_emit(name, (double)(bench_cpu_ns(broker) - cpu) / wall, "processors");
    snprintf(name, sizeof name, "%s.senders_cpu", what);
    bench_emit(name, (double)(bench_cpu_ns(getpid()) - own) / wall, "processors");
    snprintf(name, sizeof name, "%s.verified", what);
    bench_emit(name, (double)answered / phase->seconds, "answers/s at the consumers");
    snprintf(name, sizeof name, "%s.arrived", what);
    bench_emit(name, (after[0] - before[0]) / phase->seconds, "requests/s at the broker");
    return (after[1] - before[1]) / phase->seconds;
}

static void report(const char *phase)
{
    struct driver sum = {0};
    char name[160];
    uint64_t lost = 0;
    for (unsigned i = 0; i < drivers_n; i++) {
        struct driver *d = &drivers[i];
        sum.submitted += d->submitted;
        sum.held_back += d->held_back;
        lost += d->submitted - d->ended;
        for (size_t k = 0; k < KINDS_MAX && d->kinds[k].n; k++) {
            for (uint64_t n = 0; n < d->kinds[k].n; n++) {
                count(&sum, d->kinds[k].name);
            }
        }
        for (size_t s = 0; s < d->samples.n; s++) {
            bench_add(&sum.samples, d->samples.ns[s]);
        }
    }
    snprintf(name, sizeof name, "%s.offered", phase);
    bench_emit(name, (double)sum.submitted / (WARM_UP_S + drivers[0].phase.seconds), "calls/s");
    snprintf(name, sizeof name, "%s.p50", phase);
    bench_emit(name, bench_percentile_us(&sum.samples, 50), "us");
    snprintf(name, sizeof name, "%s.p99", phase);
    bench_emit(name, bench_percentile_us(&sum.samples, 99), "us");
    snprintf(name, sizeof name, "%s.held_back", phase);
    bench_emit(name, (double)sum.held_back, "calls not taken by the library");
    snprintf(name, sizeof name, "%s.never_ended", phase);
    bench_emit(name, (double)lost, "calls");
    for (size_t k = 0; k < KINDS_MAX && sum.kinds[k].n; k++) {
        snprintf(name, sizeof name, "%s.ended: %s", phase, sum.kinds[k].name);
        bench_emit(name, (double)sum.kinds[k].n, "calls");
    }
    bench_free(&sum.samples);
}

static int make_request(const char *service, const char *keys, yz_request **out)
{
    char text[16384];
    snprintf(text, sizeof text, "%s", keys);
    int rc = yz_request_new(service, out);
    for (char *at = text, *key; rc == YZ_OK && (key = strsep(&at, ",")) != NULL;) {
        const char *parts[] = {key};
        rc = yz_request_add_key(*out, parts, 1);
    }
    return rc == YZ_OK ? yz_request_set_timeout(*out, TIMEOUT_MS) : rc;
}

static int open_clients(char **paths, unsigned n, const char *service, const char *keys)
{
    for (unsigned i = 0; i < n; i++, drivers_n++) {
        struct driver *d = &drivers[i];
        yz_error err = {0};
        if (yz_client_open(paths[i], &d->client, &err) < 0 ||
            yz_client_wait_ready(d->client, 10000, &err) < 0) {
            fprintf(stderr, "bench_flood: %s: %s\n", paths[i], err.text);
            return 1;
        }
        if (make_request(service, keys, &d->request) < 0) {
            fputs("bench_flood: not a request\n", stderr);
            return 2;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 9 || (unsigned)(argc - 8) > CLIENTS_MAX) {
        fputs("usage: bench_flood SECONDS IN_FLIGHT FACTOR SERVICE KEY[,KEY...] BROKER_PID "
              "OPS_PORT CLIENT.YAML...\n",
              stderr);
        return 2;
    }
    unsigned n = (unsigned)(argc - 8);
    broker = atoi(argv[6]);
    ops_port = (unsigned)atoi(argv[7]);
    int rc = open_clients(argv + 8, n, argv[4], argv[5]);
    if (rc) {
        return rc;
    }
    double seconds = atof(argv[1]);
    unsigned each = (unsigned)atoi(argv[2]) / n;
    struct phase peak = {.seconds = seconds, .in_flight = each ? each : 1};
    double most = run(&peak, "peak");
    report("peak");
    bench_emit("peak.rate", most, "answers/s");
    pthread_t watcher;
    watching = true;
    rss_most = 0;
    if (pthread_create(&watcher, NULL, watch, NULL) != 0) {
        bench_die("thread");
    }
    struct phase flood = {.seconds = seconds, .rate = most * atof(argv[3]) / n};
    double good = run(&flood, "flood");
    watching = false;
    pthread_join(watcher, NULL);
    report("flood");
    bench_emit("flood.rate", good, "answers/s");
    bench_emit("flood.goodput", good / most, "of the peak");
    bench_emit("flood.broker_rss", (double)rss_most / 1024.0, "MiB at most");
    for (unsigned i = 0; i < drivers_n; i++) {
        yz_request_free(drivers[i].request);
        yz_client_close(drivers[i].client);
        bench_free(&drivers[i].samples);
    }
    return 0;
}
