/* SPDX-License-Identifier: Apache-2.0
 *
 * What a question with a budget costs beside one without: the durable debit, by one caller and by
 * several at once, beside a bare write and flush on the same disk, and the question itself.
 *
 *     bench_match DIR ROUNDS
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/dataset/match.h"
#include "adapters/debits.h"
#include "tests/bench/bench.h"

#define SECONDS 2u
#define CALLERS_MAX 16u
#define PEOPLE 1000u
#define QUESTIONS 20000u

static const char definition[] =
    "dataset: bench\ntitle: {en: B}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, classification: internal, max_length: 18}\n"
    "  - {name: debt, type: decimal, classification: secret}\n";

static void check(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", what, yz_err_name(rc));
        bench_die(what);
    }
}

static void path_of(const char *dir, const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", dir, name);
}

/* -- the disk -- */

static double bare_flushes(const char *dir)
{
    char path[512], page[4096] = {1};
    path_of(dir, "bare", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint64_t n = 0, begin = bench_now_ns(), end = begin + SECONDS * UINT64_C(1000000000);
    for (; bench_now_ns() < end; n++) {
        if (pwrite(fd, page, sizeof page, (off_t)(n % 64 * sizeof page)) != sizeof page ||
            fdatasync(fd) != 0) {
            bench_die("flush");
        }
    }
    close(fd);
    return (double)n * 1e9 / (double)(bench_now_ns() - begin);
}

/* -- debits -- */

struct caller {
    struct debits *debits;
    unsigned number;
    uint64_t end, taken;
    pthread_t thread;
};

static void *take(void *arg)
{
    struct caller *me = arg;
    static _Atomic uint64_t next;
    while (bench_now_ns() < me->end) {
        struct debit d = {.limit = 3};
        yzi_store_u64(d.key, next++ * UINT64_C(0x9E3779B97F4A7C15));
        check(yzi_debits_take(me->debits, &d, 1, 1, NULL), "debit");
        me->taken++;
    }
    return NULL;
}

static double debits(struct debits *d, unsigned callers)
{
    struct caller c[CALLERS_MAX] = {0};
    uint64_t begin = bench_now_ns(), taken = 0;
    for (unsigned i = 0; i < callers; i++) {
        c[i] = (struct caller){d, i, begin + SECONDS * UINT64_C(1000000000), 0, 0};
        if (pthread_create(&c[i].thread, NULL, take, &c[i]) != 0) {
            bench_die("thread");
        }
    }
    for (unsigned i = 0; i < callers; i++) {
        pthread_join(c[i].thread, NULL);
        taken += c[i].taken;
    }
    return (double)taken * 1e9 / (double)(bench_now_ns() - begin);
}

/* -- questions -- */

static struct store *make_store(const char *dir, const struct dataset *d, yz_secret *key)
{
    char path[512];
    struct store *s;
    yz_error err = {0};
    struct import_report report;
    path_of(dir, "store", path);
    struct store_options o = {.dir = path, .dataset = d, .storage_key = key};
    check(yzi_store_open(&o, &s, &err), err.text);
    struct import_source source = {
        .fd = memfd_create("rows", MFD_CLOEXEC), .name = "rows.csv", .mode = IMPORT_UPSERT};
    dprintf(source.fd, "id,debt\n");
    for (unsigned i = 0; i < PEOPLE; i++) {
        dprintf(source.fd, "P%u,%u.50\n", i, i * 100);
    }
    check(yzi_store_import(s, &source, &report, &err), err.text);
    close(source.fd);
    return s;
}

static double questions(struct store *s)
{
    struct query_limits limits = {.rows = 1};
    uint64_t begin = bench_now_ns();
    for (unsigned i = 0; i < QUESTIONS; i++) {
        char text[16];
        snprintf(text, sizeof text, "P%u", i * 7919 % PEOPLE);
        struct query_value part = {.v = yzi_bytes_str(text)}, v = {.v = yzi_bytes_str("50000")};
        struct query_key key = {&part, 1};
        struct match_predicate p = {1, OP_GT, &v, 1};
        struct match_question q = {yzi_store_dataset(s), &key, &p, 1};
        struct query_fault fault;
        enum match_result result;
        uint64_t sequence;
        struct match *m;
        check(yzi_match_open(s, &q, &m, &fault), "match");
        check(yzi_match_ask(m, NULL, &limits, &result, &sequence), "match");
        yzi_match_close(m);
    }
    return QUESTIONS * 1e9 / (double)(bench_now_ns() - begin);
}

int main(int argc, char **argv)
{
    static const uint8_t bytes[32] = {1};
    struct dataset *d;
    struct state *state;
    struct debits *counters;
    yz_secret key = {0};
    yz_error err = {0};
    char path[512];
    if (argc != 3) {
        fprintf(stderr, "usage: bench_match DIR ROUNDS\n");
        return 2;
    }
    yzi_secret_require_lock(false);
    check(yzi_dataset_parse(yzi_bytes_str(definition), "bench", &d, &err), err.text);
    check(yzi_secret_copy(&key, yzi_bytes(bytes, sizeof bytes)), "key");
    struct store *s = make_store(argv[1], d, &key);
    path_of(argv[1], "state", path);
    check(yzi_state_open(path, &state, &err), err.text);
    check(yzi_debits_open(state, &counters, &err), err.text);
    for (unsigned long round = strtoul(argv[2], NULL, 10); round; round--) {
        bench_emit("disk.flush", bare_flushes(argv[1]), "flushes/s");
        bench_emit("debit.callers.1", debits(counters, 1), "debits/s");
        bench_emit("debit.callers.4", debits(counters, 4), "debits/s");
        bench_emit("debit.callers.16", debits(counters, 16), "debits/s");
        bench_emit("question", questions(s), "questions/s");
    }
    yzi_debits_close(counters);
    yzi_state_close(state);
    yzi_store_close(s);
    yzi_secret_fini(&key);
    yzi_dataset_unref(d);
    return 0;
}
