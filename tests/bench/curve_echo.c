/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor under every exchange: a request and its echo of 1 KiB each through a ROUTER that only
 * routes, all links CURVE, nothing signed, sealed, checked or stored. Three processes over
 * loopback: consumer DEALER - broker ROUTER/ROUTER - provider DEALER, as many sockets and hops as
 * ours.
 *
 *     curve_echo SECONDS IN_FLIGHT
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/bench/bench.h"

#define PAYLOAD 1024
#define WARM_UP_NS 500000000u
#define IN_FLIGHT_MAX 4096u

struct keys {
    char public_key[41], secret_key[41];
};
static struct keys server_keys, client_keys, worker_keys;

static void check(int rc, const char *what)
{
    if (rc < 0) {
        bench_die(what);
    }
}

static void *open_router(void *context, char *endpoint, size_t n)
{
    void *s = zmq_socket(context, ZMQ_ROUTER);
    int one = 1, hwm = 100000;
    check(zmq_setsockopt(s, ZMQ_CURVE_SERVER, &one, sizeof one), "curve server");
    check(zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, server_keys.secret_key, 41), "secret");
    check(zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof hwm), "hwm");
    check(zmq_setsockopt(s, ZMQ_RCVHWM, &hwm, sizeof hwm), "hwm");
    check(zmq_bind(s, "tcp://127.0.0.1:*"), "bind");
    check(zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, endpoint, &n), "endpoint");
    return s;
}

static void *open_dealer(void *context, const char *endpoint, const struct keys *keys)
{
    void *s = zmq_socket(context, ZMQ_DEALER);
    int hwm = 100000, zero = 0;
    check(zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server_keys.public_key, 41), "server key");
    check(zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, keys->public_key, 41), "public");
    check(zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, keys->secret_key, 41), "secret");
    check(zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof hwm), "hwm");
    check(zmq_setsockopt(s, ZMQ_RCVHWM, &hwm, sizeof hwm), "hwm");
    check(zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero), "linger");
    check(zmq_connect(s, endpoint), "connect");
    return s;
}

/* Move one message: routing id of `from` dropped, that of the other side put before it. The
 * consumer's and the provider's ids are learned from their first messages. */
struct side {
    void *socket;
    char id[16];
    int id_n;
};

static int relay(struct side *from, struct side *to)
{
    static char body[PAYLOAD * 2];
    int n = zmq_recv(from->socket, from->id, sizeof from->id, ZMQ_DONTWAIT);
    if (n < 0) {
        return 0;
    }
    from->id_n = n;
    int length = zmq_recv(from->socket, body, sizeof body, 0);
    if (to->id_n && length == PAYLOAD) {
        check(zmq_send(to->socket, to->id, (size_t)to->id_n, ZMQ_SNDMORE), "send");
        check(zmq_send(to->socket, body, (size_t)length, 0), "send");
    }
    return 1;
}

_Noreturn static void run_broker(int report_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    void *context = zmq_ctx_new();
    char endpoints[2][64] = {{0}};
    struct side consumer = {.socket = open_router(context, endpoints[0], sizeof endpoints[0])};
    struct side provider = {.socket = open_router(context, endpoints[1], sizeof endpoints[1])};
    if (write(report_fd, endpoints, sizeof endpoints) != sizeof endpoints) {
        _exit(1);
    }
    for (;;) {
        zmq_pollitem_t items[2] = {{consumer.socket, 0, ZMQ_POLLIN, 0},
                                   {provider.socket, 0, ZMQ_POLLIN, 0}};
        zmq_poll(items, 2, -1);
        for (int i = 0; i < 256; i++) {
            if (!(relay(&consumer, &provider) | relay(&provider, &consumer))) {
                break;
            }
        }
    }
}

_Noreturn static void run_provider(const char *endpoint)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    void *s = open_dealer(zmq_ctx_new(), endpoint, &worker_keys);
    char body[PAYLOAD * 2] = "hello";
    check(zmq_send(s, body, 5, 0), "hello");
    for (;;) {
        int n = zmq_recv(s, body, sizeof body, 0);
        if (n > 0) {
            check(zmq_send(s, body, (size_t)n, 0), "echo");
        }
    }
}

static void run_consumer(const char *endpoint, double seconds, unsigned in_flight, pid_t broker)
{
    void *context = zmq_ctx_new();
    void *s = open_dealer(context, endpoint, &client_keys);
    static uint64_t sent[IN_FLIGHT_MAX];
    char body[PAYLOAD] = {0};
    struct bench_samples samples = {0};
    uint64_t begin = bench_now_ns(), measured = begin + WARM_UP_NS;
    uint64_t end = measured + (uint64_t)(seconds * 1e9), cpu = 0, done = 0, now = begin;
    for (uint32_t i = 0; i < in_flight; i++) {
        memcpy(body, &i, sizeof i);
        sent[i] = bench_now_ns();
        check(zmq_send(s, body, sizeof body, 0), "send");
    }
    while (now < end) {
        uint32_t slot;
        check(zmq_recv(s, body, sizeof body, 0), "recv");
        memcpy(&slot, body, sizeof slot);
        now = bench_now_ns();
        if (now >= measured) {
            if (done++ == 0) {
                cpu = bench_cpu_ns(broker);
                measured = now;
            }
            bench_add(&samples, now - sent[slot]);
        }
        sent[slot] = now;
        check(zmq_send(s, body, sizeof body, 0), "send");
    }
    cpu = bench_cpu_ns(broker) - cpu;
    char name[64];
    snprintf(name, sizeof name, "echo.%u", in_flight);
    double rate = (double)done / ((double)(now - measured) / 1e9);
    printf("%s.rate\t%.6g\treq/s\n%s.p50\t%.6g\tus\n%s.p99\t%.6g\tus\n", name, rate, name,
           bench_percentile_us(&samples, 50), name, bench_percentile_us(&samples, 99));
    printf("%s.broker_cpu\t%.6g\tCPU-s/100k\n", name, (double)cpu / 1e9 / ((double)done / 1e5));
    printf("%s.broker_rss\t%.6g\tMiB\n", name, (double)bench_rss_kib(broker) / 1024.0);
    bench_free(&samples);
    zmq_close(s);
    zmq_ctx_term(context);
}

/* The provider's hello must reach the broker before the first request, or that one has nowhere to
 * go: the consumer simply sends a first window that may be lost, so wait for one echo first. */
static void wait_for_echo(const char *endpoint)
{
    void *context = zmq_ctx_new();
    void *s = open_dealer(context, endpoint, &client_keys);
    char body[PAYLOAD] = {0};
    int patience = 20;
    check(zmq_setsockopt(s, ZMQ_RCVTIMEO, &patience, sizeof patience), "timeout");
    do {
        check(zmq_send(s, body, sizeof body, 0), "send");
    } while (zmq_recv(s, body, sizeof body, 0) < 0);
    zmq_close(s);
    zmq_ctx_term(context);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    unsigned in_flight = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    if (argc != 3 || seconds <= 0 || in_flight < 1 || in_flight > IN_FLIGHT_MAX) {
        fputs("usage: curve_echo SECONDS IN_FLIGHT\n", stderr);
        return 2;
    }
    check(zmq_curve_keypair(server_keys.public_key, server_keys.secret_key), "keys");
    check(zmq_curve_keypair(client_keys.public_key, client_keys.secret_key), "keys");
    check(zmq_curve_keypair(worker_keys.public_key, worker_keys.secret_key), "keys");
    int fds[2];
    check(pipe(fds), "pipe");
    pid_t broker = fork();
    if (broker == 0) {
        run_broker(fds[1]);
    }
    char endpoints[2][64];
    if (read(fds[0], endpoints, sizeof endpoints) != sizeof endpoints) {
        bench_die("broker");
    }
    pid_t provider = fork();
    if (provider == 0) {
        run_provider(endpoints[1]);
    }
    wait_for_echo(endpoints[0]);
    run_consumer(endpoints[0], seconds, in_flight, broker);
    kill(provider, SIGKILL);
    kill(broker, SIGKILL);
    waitpid(provider, NULL, 0);
    waitpid(broker, NULL, 0);
    return 0;
}
