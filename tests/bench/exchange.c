/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole exchanges through a running sandbox, everything on that this version has: signed, sealed,
 * access-checked at broker and adapter, answered from LMDB. One consumer keeps a number of calls in
 * flight; each answer is about 1 KiB. Processor time is counted per process.
 *
 *     bench_exchange CLIENT.YAML SERVICE KEY[,KEY...] SECONDS IN_FLIGHT BROKER_PID ADAPTER_PID
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/submit.h"
#include "tests/bench/bench.h"

#define WARM_UP_NS 500000000u

/* Filled on the client's thread only; the main thread reads it after the last call has ended. */
struct bench {
    yz_client *client;
    yz_request *request;
    pid_t broker, adapter;
    uint64_t measure_from, end;
    size_t keys;
    unsigned running;
    int done_fd; /* written when the last call ended */
    bool measuring;
    uint64_t first_ns, last_ns, calls, failed, bytes;
    uint64_t cpu_broker, cpu_adapter, cpu_self;
    struct bench_samples samples;
    char fault[600];
};
struct flight {
    struct bench *bench;
    uint64_t sent;
};

static void submit(struct flight *s);

static void note_start(struct bench *b, uint64_t now)
{
    b->measuring = true;
    b->first_ns = now;
    b->cpu_broker = bench_cpu_ns(b->broker);
    b->cpu_adapter = bench_cpu_ns(b->adapter);
    b->cpu_self = bench_cpu_ns(getpid());
}

static void note_end(struct bench *b, uint64_t now)
{
    b->last_ns = now;
    b->cpu_broker = bench_cpu_ns(b->broker) - b->cpu_broker;
    b->cpu_adapter = bench_cpu_ns(b->adapter) - b->cpu_adapter;
    b->cpu_self = bench_cpu_ns(getpid()) - b->cpu_self;
}

static void leave(struct bench *b, uint64_t now)
{
    if (--b->running == 0) {
        note_end(b, now);
        uint64_t one = 1;
        if (write(b->done_fd, &one, sizeof one) != sizeof one) {
            bench_die("eventfd");
        }
    }
}

static void on_done(void *ctx, int rc, yz_answer *answer, const yz_error *err)
{
    struct flight *s = ctx;
    struct bench *b = s->bench;
    uint64_t now = bench_now_ns();
    bool good = rc == YZ_OK && yz_answer_status(answer) == YZ_STATUS_OK &&
                yz_answer_rows(answer) == b->keys;
    if (!good) {
        b->failed++;
        snprintf(b->fault, sizeof b->fault, "%s",
                 rc < 0 ? (err && err->text[0] ? err->text : yz_err_name(rc))
                        : yz_status_name(yz_answer_status(answer)));
    } else if (b->measuring) {
        b->calls++;
        bench_add(&b->samples, now - s->sent);
    } else if (now >= b->measure_from) {
        note_start(b, now);
    }
    yz_answer_free(answer);
    if (now < b->end) {
        submit(s);
    } else {
        leave(b, now);
    }
}

static void submit(struct flight *s)
{
    struct bench *b = s->bench;
    yz_error err = {0};
    s->sent = bench_now_ns();
    if (yzi_client_submit(b->client, b->request, on_done, s, &err) < 0) {
        fprintf(stderr, "submit: %s\n", err.text);
        exit(1);
    }
}

static void print(struct bench *b, unsigned in_flight)
{
    double n = (double)b->calls, seconds = (double)(b->last_ns - b->first_ns) / 1e9;
    const struct {
        const char *name;
        double value;
        const char *unit;
    } figures[] = {
        {"rate", n / seconds, "req/s"},
        {"p50", bench_percentile_us(&b->samples, 50), "us"},
        {"p99", bench_percentile_us(&b->samples, 99), "us"},
        {"broker_cpu", (double)b->cpu_broker / 1e9 / (n / 1e5), "CPU-s/100k"},
        {"adapter_cpu", (double)b->cpu_adapter / 1e9 / (n / 1e5), "CPU-s/100k"},
        {"client_cpu", (double)b->cpu_self / 1e9 / (n / 1e5), "CPU-s/100k"},
        {"broker_rss", (double)bench_rss_kib(b->broker) / 1024.0, "MiB"},
        {"adapter_rss", (double)bench_rss_kib(b->adapter) / 1024.0, "MiB"},
        {"failed", (double)b->failed, "calls"},
    };
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "exchange.%u.%s", in_flight, figures[i].name);
        bench_emit(name, figures[i].value, figures[i].unit);
    }
    if (b->failed) {
        fprintf(stderr, "bench_exchange: %llu calls failed, the last with: %s\n",
                (unsigned long long)b->failed, b->fault);
    }
}

static void run(struct bench *b, double seconds, unsigned in_flight)
{
    struct flight *flights = calloc(in_flight, sizeof *flights);
    if (!flights) {
        bench_die("flights");
    }
    b->measure_from = bench_now_ns() + WARM_UP_NS;
    b->end = b->measure_from + (uint64_t)(seconds * 1e9);
    b->running = in_flight;
    for (unsigned i = 0; i < in_flight; i++) {
        flights[i].bench = b;
        submit(&flights[i]);
    }
    struct pollfd done = {b->done_fd, POLLIN, 0};
    while (poll(&done, 1, -1) < 1) {
    }
    print(b, in_flight);
    free(flights);
}

int main(int argc, char **argv)
{
    if (argc != 8 || atoi(argv[5]) < 1) {
        fputs("usage: bench_exchange CLIENT.YAML SERVICE KEY[,KEY...] SECONDS IN_FLIGHT BROKER_PID "
              "ADAPTER_PID\n",
              stderr);
        return 2;
    }
    struct bench b = {.broker = atoi(argv[6]), .adapter = atoi(argv[7])};
    yz_error err = {0};
    b.done_fd = eventfd(0, EFD_CLOEXEC);
    if (yz_client_open(argv[1], &b.client, &err) < 0 ||
        yz_client_wait_ready(b.client, 10000, &err) < 0) {
        fprintf(stderr, "bench_exchange: %s\n", err.text);
        return 1;
    }
    if (yz_request_new(argv[2], &b.request) < 0) {
        fputs("bench_exchange: not a service\n", stderr);
        return 2;
    }
    for (char *at = argv[3], *key; (key = strsep(&at, ",")) != NULL; b.keys++) {
        const char *parts[] = {key};
        if (yz_request_add_key(b.request, parts, 1) < 0) {
            fputs("bench_exchange: not a key\n", stderr);
            return 2;
        }
    }
    run(&b, atof(argv[4]), (unsigned)atoi(argv[5]));
    yz_request_free(b.request);
    yz_client_close(b.client);
    bench_free(&b.samples);
    return 0;
}
