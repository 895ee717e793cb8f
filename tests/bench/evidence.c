/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence log: durable entries a second with four producers, the latency of a lone append
 * beside a bare durable commit on the same disk, memory and disk over the log's length.
 *
 *   bench_evidence rate DIR SECONDS       appends; every second item has a receipt
 *   bench_evidence lone DIR SECONDS       one at a time, interleaved with bare commits
 *   bench_evidence size DIR ENTRIES       bytes kept and pruned, and memory, at this length
 *   bench_evidence fill DIR ENTRIES       a published log to be audited
 *
 * Bodies are 600 bytes (48 when filling), ids are UUIDs of version 7, as a broker's are.
 */
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lmdb.h"
#include "base/log.h"
#include "broker/evidence/evidence.h"
#include "evidence/receipt.h"
#include "tests/bench/bench.h"

#define PRODUCERS 4u
#define BODY 600u
#define QUEUE 20000u

static struct key_pair key;
static yz_digest digest; /* all bodies are alike; a broker knows it from verifying */
static struct metrics metrics;
static struct evidence *e_log;
static size_t body_bytes = BODY;
static _Atomic uint64_t to_append; /* items still to be appended */
static _Atomic bool stop;
static sem_t room; /* in the queue */

static void open_log(const char *dir, bool publish)
{
    static char store[512], files[512];
    yz_error err = {0};
    snprintf(store, sizeof store, "%s/store", dir);
    snprintf(files, sizeof files, "%s/publish", dir);
    struct evidence_options o = {.dir = store,
                                 .publish = publish ? files : NULL,
                                 .log = &key,
                                 .clock = &yzi_clock_system,
                                 .queue_items = QUEUE,
                                 .queue_bytes = (size_t)64 << 20,
                                 .metrics = &metrics};
    if (yzi_node_id_parse(yzi_bytes_str("CN/@b1"), &o.node) < 0 ||
        yzi_evidence_open(&o, &e_log, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* What a broker hands over: a body, its digest (known from verifying), an id. */
static struct evidence_item *make(enum entry_type type, struct evidence_item *pair,
                                  const yz_uuid *id)
{
    struct evidence_item *i;
    uint8_t *body;
    if (yzi_evidence_item_new(type, &digest, &i) < 0) {
        bench_die("memory");
    }
    yzi_buf_init(&i->body, body_bytes);
    if (yzi_buf_extend(&i->body, body_bytes, &body) < 0) {
        bench_die("memory");
    }
    memset(body, 0x55, body_bytes);
    i->message_id = *id;
    if (pair) {
        yzi_evidence_item_ref(pair);
        i->pair = pair;
        i->wants_receipt = true;
    }
    return i;
}

/* Waits for room, as a broker would say `busy`. */
static void append(struct evidence_item *i)
{
    while (sem_wait(&room) != 0) {
    }
    int rc = yzi_evidence_append(e_log, i);
    if (rc < 0) {
        fprintf(stderr, "append: %s\n", yz_err_name(rc));
        exit(1);
    }
}

/* Requests, and answers to them some way behind. */
static void *produce(void *unused)
{
    enum { BEHIND = 64 };
    struct evidence_item *waiting[BEHIND] = {NULL};
    struct timespec now;
    (void)unused;
    for (unsigned n = 0; !atomic_load(&stop); n++) {
        if (atomic_fetch_sub(&to_append, 2) < 2) {
            atomic_fetch_add(&to_append, 2);
            break;
        }
        struct evidence_item **slot = &waiting[n % BEHIND];
        clock_gettime(CLOCK_REALTIME, &now);
        yz_uuid id = yzi_uuid_v7((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
        struct evidence_item *request = make(ENTRY_REQUEST, NULL, &id), *old = *slot;
        append(request);
        if (old) {
            struct evidence_item *answer = make(ENTRY_RESPONSE, old, &old->message_id);
            append(answer);
            yzi_evidence_item_unref(answer);
            yzi_evidence_item_unref(old);
        }
        *slot = request;
    }
    for (unsigned k = 0; k < BEHIND; k++) {
        yzi_evidence_item_unref(waiting[k]);
    }
    return NULL;
}

static uint64_t take(uint64_t until_ns, uint64_t most)
{
    uint64_t n = 0;
    while (n < most && bench_now_ns() < until_ns) {
        struct evidence_item *i;
        struct pollfd p = {.fd = yzi_evidence_fd(e_log), .events = POLLIN};
        poll(&p, 1, 100);
        while ((i = yzi_evidence_take(e_log)) != NULL) {
            if (i->rc < 0 || (i->wants_receipt && i->receipt.n == 0)) {
                fprintf(stderr, "an item failed: %s\n", yz_err_name(i->rc));
                exit(1);
            }
            yzi_evidence_item_unref(i);
            sem_post(&room);
            n++;
        }
    }
    return n;
}

/* Appends with all producers for so long, or so many; returns how many were durable. */
static uint64_t run(double seconds, uint64_t most)
{
    pthread_t threads[PRODUCERS];
    atomic_store(&stop, false);
    atomic_store(&to_append, most ? most * 2 : UINT64_MAX / 2);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        if (pthread_create(&threads[i], NULL, produce, NULL) != 0) {
            bench_die("thread");
        }
    }
    uint64_t until = seconds > 0 ? bench_now_ns() + (uint64_t)(seconds * 1e9) : UINT64_MAX;
    uint64_t n = take(until, most ? most : UINT64_MAX);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        while (pthread_tryjoin_np(threads[i], NULL) != 0) { /* it may be waiting for room */
            n += take(bench_now_ns() + 1000000, UINT64_MAX);
        }
    }
    struct evidence_status s;
    do { /* what is still under way */
        n += take(bench_now_ns() + 10000000, UINT64_MAX);
        yzi_evidence_status(e_log, &s);
    } while (s.waiting);
    return n + take(bench_now_ns() + 1000000, UINT64_MAX);
}

static void bench_rate(const char *dir, double seconds)
{
    open_log(dir, true);
    run(0.2, 0);
    uint64_t before = yzi_metric_get(&metrics.evidence_entries);
    uint64_t commits = yzi_metric_get(&metrics.evidence_commits), from = bench_now_ns();
    uint64_t cpu = bench_cpu_ns(getpid());
    run(seconds, 0);
    double took = (double)(bench_now_ns() - from) / 1e9;
    double n = (double)(yzi_metric_get(&metrics.evidence_entries) - before);
    bench_emit("evidence.rate", n / took, "durable entries/s");
    bench_emit("evidence.group", n / (double)(yzi_metric_get(&metrics.evidence_commits) - commits),
               "entries");
    bench_emit("evidence.cpu", (double)(bench_cpu_ns(getpid()) - cpu) / 1e3 / n,
               "us of processor an entry, producers and publisher included");
    bench_emit("evidence.rss", (double)bench_rss_kib(getpid()) / 1024, "MiB, store mapped");
}

struct bare {
    struct db_env *env;
    db_handle table;
    uint64_t n;
};

static uint64_t bare_commit(struct bare *b)
{
    uint8_t body[BODY] = {0};
    struct db_txn *t;
    uint64_t from = bench_now_ns(), at = ++b->n;
    if (yzi_db_begin_write(b->env, &t) < 0 ||
        yzi_db_put(t, b->table, yzi_bytes(&at, sizeof at), yzi_bytes(body, sizeof body),
                   DB_PUT_APPEND) < 0 ||
        yzi_db_commit(&t) < 0) {
        bench_die("bare commit");
    }
    return bench_now_ns() - from;
}

static uint64_t lone_append(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    yz_uuid id = yzi_uuid_v7((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    struct evidence_item *i = make(ENTRY_REQUEST, NULL, &id);
    i->wants_receipt = true;
    uint64_t from = bench_now_ns();
    append(i);
    yzi_evidence_item_unref(i);
    take(UINT64_MAX, 1);
    return bench_now_ns() - from;
}

static void bench_lone(const char *dir, double seconds)
{
    char path[512];
    yz_error err = {0};
    struct bare b = {0};
    struct bench_samples lone = {0}, bare = {0};
    snprintf(path, sizeof path, "%s/bare", dir);
    struct db_options o = {.path = path, .databases = 1};
    if (yzi_db_open(&o, &b.env, &err) < 0 ||
        yzi_db_handle(b.env, "t", DB_INTEGER_KEY, &b.table) < 0) {
        bench_die(path);
    }
    open_log(dir, false);
    uint64_t until = bench_now_ns() + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < until) {
        bench_add(&bare, bare_commit(&b));
        bench_add(&lone, lone_append());
    }
    bench_emit("bare.p50", bench_percentile_us(&bare, 50), "us");
    bench_emit("bare.p99", bench_percentile_us(&bare, 99), "us");
    bench_emit("lone.p50", bench_percentile_us(&lone, 50), "us");
    bench_emit("lone.p99", bench_percentile_us(&lone, 99), "us");
    bench_free(&lone);
    bench_free(&bare);
    yzi_db_close(b.env);
}

static uint64_t disk_sum;

static int add_size(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)path;
    (void)at;
    disk_sum += flag == FTW_F ? (uint64_t)st->st_blocks * 512 : 0;
    return 0;
}

static double disk_of(const char *dir, const char *what)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, what);
    disk_sum = 0;
    nftw(path, add_size, 16, FTW_PHYS);
    return (double)disk_sum;
}

/* Memory of our own, without the mapped file. */
static double own_memory_mib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kib = 0;
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "RssAnon: %ld", &kib);
    }
    if (f) {
        fclose(f);
    }
    return (double)kib / 1024;
}

static void bench_size(const char *dir, uint64_t entries)
{
    char name[64];
    open_log(dir, true);
    uint64_t from = bench_now_ns();
    double n = (double)run(0, entries);
    bench_emit("size.rate", n * 1e9 / (double)(bench_now_ns() - from), "entries/s while filling");
    while (yzi_evidence_publish(e_log) < 0) {
    }
    snprintf(name, sizeof name, "size.memory.%" PRIu64, entries);
    bench_emit(name, own_memory_mib(), "MiB of its own");
    bench_emit("size.kept", disk_of(dir, "store") * 2 / n, "bytes an exchange, store");
    bench_emit("size.published", disk_of(dir, "publish") * 2 / n, "bytes an exchange, tiles");
}

static void bench_fill(const char *dir, uint64_t entries)
{
    struct evidence_status s;
    open_log(dir, true);
    run(0, entries);
    while (yzi_evidence_publish(e_log) < 0) {
    }
    yzi_evidence_status(e_log, &s);
    printf("vkey\t%s\nlog\t%" PRIu64 "\n", s.vkey, s.log);
}

int main(int argc, char **argv)
{
    if (argc != 4 || yzi_sodium_init() < 0 || yzi_key_pair_generate(KEY_LOG, &key) < 0) {
        fprintf(stderr, "usage: bench_evidence rate|lone|size|fill DIR N\n");
        return 2;
    }
    body_bytes = strcmp(argv[1], "fill") == 0 ? 48 : BODY;
    uint8_t body[BODY];
    memset(body, 0x55, sizeof body);
    yzi_entry_digest(yzi_bytes(body, body_bytes), &digest);
    yzi_log_set_level(LOG_LEVEL_WARN);
    yzi_key_pair_hold(&key);
    mkdir(argv[2], 0700);
    sem_init(&room, 0, QUEUE);
    if (strcmp(argv[1], "rate") == 0) {
        bench_rate(argv[2], atof(argv[3]));
    } else if (strcmp(argv[1], "lone") == 0) {
        bench_lone(argv[2], atof(argv[3]));
    } else if (strcmp(argv[1], "size") == 0) {
        bench_size(argv[2], strtoull(argv[3], NULL, 10));
    } else if (strcmp(argv[1], "fill") == 0) {
        bench_fill(argv[2], strtoull(argv[3], NULL, 10));
    } else {
        return 2;
    }
    yzi_evidence_close(e_log);
    yzi_key_pair_release(&key);
    yzi_key_pair_fini(&key);
    return 0;
}
