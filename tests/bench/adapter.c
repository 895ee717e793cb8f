/* SPDX-License-Identifier: Apache-2.0
 *
 * The agency's store beside bare LMDB on the same data, in one run: loading in the order of the
 * keys and in none, and reading by key and by index.
 *
 *     bench_adapter DIR RECORDS ROUNDS
 *
 * A record is an 18-digit key, a group (one of RECORDS / 8, indexed), a name, a date and a number,
 * about 90 bytes. Bare LMDB gets the same key, the rest as one value, and the same index as sorted
 * duplicates; in order it appends. Both end durable. DIR takes three times the data.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dataset/find.h"
#include "tests/bench/bench.h"

#define KEY_BYTES 18
#define READS 50000u /* a measurement; each kind in turn, REPEATS times */
#define REPEATS 9u
#define BATCH 1000u

static const char definition[] =
    "dataset: bench\ntitle: {en: B}\nowner: o\nsharing: conditional\nkey: [id]\nfields:\n"
    "  - {name: id, type: text, classification: internal, max_length: 18}\n"
    "  - {name: grp, type: text, classification: internal, max_length: 18}\n"
    "  - {name: name, type: text, classification: internal, max_length: 60}\n"
    "  - {name: since, type: date, classification: internal}\n"
    "  - {name: area, type: decimal, classification: internal}\n"
    "indexes:\n  - {name: by_grp, fields: [grp]}\n";

static uint64_t records;
static const char *dir;
static size_t heap_before, heap_peak;

static void check(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", what,
                rc < 0 && rc > -1000 ? yz_err_name(rc) : mdb_strerror(rc));
        bench_die(what);
    }
}

/* -- data: record i of n, and a permutation that needs no memory -- */

/* A Feistel network over the least even number of bits that holds n, walked until inside. */
static uint64_t shuffled(uint64_t i)
{
    unsigned half = 1;
    while ((UINT64_C(1) << (2 * half)) < records) {
        half++;
    }
    uint64_t mask = (UINT64_C(1) << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 1; round <= 4; round++) {
            uint64_t mixed = (right + round) * UINT64_C(0x9E3779B97F4A7C15);
            uint64_t next = left ^ ((mixed >> 32) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= records);
    return i;
}

static void make_key(uint64_t i, char out[KEY_BYTES + 1])
{
    snprintf(out, KEY_BYTES + 1, "%018llu", (unsigned long long)(i * 7 + 310101));
}

static void make_group(uint64_t i, char out[KEY_BYTES + 1])
{
    uint64_t groups = records / 8 + 1;
    snprintf(out, KEY_BYTES + 1, "G%010u", (unsigned)(i * UINT64_C(2654435761) % groups));
}

static int make_rest(uint64_t i, char *out, size_t cap)
{
    return snprintf(out, cap, "云桥市驿站区第%llu户,%04u-%02u-%02u,%llu.%02u",
                    (unsigned long long)(i % 100000), (unsigned)(1950 + i % 70),
                    (unsigned)(1 + i % 12), (unsigned)(1 + i % 28), (unsigned long long)(i % 500),
                    (unsigned)(i % 100));
}

static void path_of(const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", dir, name);
}

static void write_csv(const char *name, bool sorted)
{
    char path[512], key[KEY_BYTES + 1], group[KEY_BYTES + 1], rest[200];
    path_of(name, path);
    FILE *f = fopen(path, "w");
    if (!f) {
        bench_die(path);
    }
    fputs("id,grp,name,since,area\n", f);
    for (uint64_t n = 0; n < records; n++) {
        uint64_t i = sorted ? n : shuffled(n);
        make_key(i, key);
        make_group(i, group);
        make_rest(i, rest, sizeof rest);
        fprintf(f, "%s,%s,%s\n", key, group, rest);
    }
    if (fflush(f) != 0 || fsync(fileno(f)) != 0 || fclose(f) != 0) {
        bench_die(path);
    }
}

static void remove_tree(const char *name)
{
    char path[512], command[600];
    path_of(name, path);
    snprintf(command, sizeof command, "rm -rf -- '%s'", path);
    if (system(command) != 0) {
        bench_die(command);
    }
}

/* -- bare LMDB -- */

struct bare {
    MDB_env *env;
    MDB_dbi rows, index;
};

static void bare_open(struct bare *b, const char *name)
{
    char path[512];
    MDB_txn *t;
    path_of(name, path);
    mkdir(path, 0700);
    check(mdb_env_create(&b->env), "bare create");
    check(mdb_env_set_maxdbs(b->env, 2), "bare dbs");
    check(mdb_env_set_mapsize(b->env, (size_t)1 << 38), "bare map");
    check(mdb_env_open(b->env, path, MDB_NOTLS, 0600), "bare open");
    check(mdb_txn_begin(b->env, NULL, 0, &t), "bare begin");
    check(mdb_dbi_open(t, "rows", MDB_CREATE, &b->rows), "bare rows");
    check(mdb_dbi_open(t, "index", MDB_CREATE | MDB_DUPSORT, &b->index), "bare index");
    check(mdb_txn_commit(t), "bare commit");
}

static double bare_load(const char *name, bool sorted)
{
    struct bare b;
    MDB_txn *t;
    char key[KEY_BYTES + 1], group[KEY_BYTES + 1], rest[200];
    remove_tree(name);
    bare_open(&b, name);
    uint64_t from = bench_now_ns();
    check(mdb_txn_begin(b.env, NULL, 0, &t), "bare begin");
    for (uint64_t n = 0; n < records; n++) {
        uint64_t i = sorted ? n : shuffled(n);
        make_key(i, key);
        make_group(i, group);
        MDB_val k = {KEY_BYTES, key}, g = {strlen(group), group};
        MDB_val v = {(size_t)make_rest(i, rest, sizeof rest), rest};
        check(mdb_put(t, b.rows, &k, &v, sorted ? MDB_APPEND : 0), "bare put");
        check(mdb_put(t, b.index, &g, &k, 0), "bare index put");
    }
    check(mdb_txn_commit(t), "bare commit");
    double rate = (double)records * 1e9 / (double)(bench_now_ns() - from);
    mdb_env_close(b.env);
    return rate;
}

static volatile unsigned char sink;

/* A lookup as whoever needs a record does it: transaction, key, copy. By index: the first record of
 * a group. */
static double bare_read(struct bare *b, bool by_index)
{
    char key[KEY_BYTES + 1], copy[512];
    uint64_t from = bench_now_ns();
    for (uint64_t n = 0; n < READS; n++) {
        MDB_txn *t;
        MDB_val k = {KEY_BYTES, key}, v;
        uint64_t i = shuffled(n % records);
        check(mdb_txn_begin(b->env, NULL, MDB_RDONLY, &t), "bare begin");
        if (by_index) {
            make_group(i, key);
            k.mv_size = strlen(key);
            check(mdb_get(t, b->index, &k, &v), "bare index get");
            k = v;
        } else {
            make_key(i, key);
        }
        check(mdb_get(t, b->rows, &k, &v), "bare get");
        memcpy(copy, v.mv_data, v.mv_size);
        sink = (unsigned char)copy[v.mv_size - 1];
        mdb_txn_abort(t);
    }
    return (double)READS * 1e9 / (double)(bench_now_ns() - from);
}

/* -- the store -- */

static size_t heap_now(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void on_progress(void *ctx, const struct work_progress *at)
{
    (void)ctx;
    (void)at;
    size_t now = heap_now();
    heap_peak = now > heap_peak ? now : heap_peak;
}

static struct store *store_open(const struct dataset *d, const char *name)
{
    char path[512];
    yz_error err = {0};
    struct store *s;
    path_of(name, path);
    struct store_options o = {.dir = path, .dataset = d};
    if (yzi_store_open(&o, &s, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        bench_die("store open");
    }
    return s;
}

static double store_load(const struct dataset *d, const char *name, const char *csv)
{
    char path[512];
    yz_error err = {0};
    struct import_report report;
    remove_tree(name);
    struct store *s = store_open(d, name);
    path_of(csv, path);
    struct import_source src = {.fd = open(path, O_RDONLY | O_CLOEXEC),
                                .name = csv,
                                .mode = IMPORT_UPSERT,
                                .progress = on_progress};
    heap_before = heap_now();
    heap_peak = heap_before;
    uint64_t from = bench_now_ns();
    if (yzi_store_import(s, &src, &report, &err) < 0 || report.inserted != records) {
        fprintf(stderr, "%s\n", err.text);
        bench_die("import");
    }
    double rate = (double)records * 1e9 / (double)(bench_now_ns() - from);
    close(src.fd);
    yzi_store_close(s);
    return rate;
}

static double store_get(struct store *s)
{
    static const unsigned projection[] = {0, 1, 2, 3, 4};
    char key[KEY_BYTES + 1];
    yz_buf rows;
    yzi_buf_init(&rows, 1u << 20);
    uint64_t from = bench_now_ns();
    for (uint64_t n = 0; n < READS; n++) {
        make_key(shuffled(n % records), key);
        struct query_value part = {.v = yzi_bytes(key, KEY_BYTES)};
        struct query_key k = {&part, 1};
        struct query q = {.operation = QUERY_GET, .keys = &k, .keys_n = 1};
        struct query_limits limits = {
            .rows = 10, .bytes = 1u << 20, .deadline_mono_ms = UINT64_MAX};
        struct query_result result;
        struct query_fault fault;
        yzi_buf_clear(&rows);
        check(yzi_store_get(s, yzi_store_dataset(s), &q, projection, 5, NULL, &limits, &rows,
                            &result, &fault),
              "get");
        if (result.rows != 1) {
            bench_die("a record is missing");
        }
        sink = rows.p[rows.n - 1];
    }
    double rate = (double)READS * 1e9 / (double)(bench_now_ns() - from);
    yzi_buf_fini(&rows);
    return rate;
}

static double store_find(struct store *s)
{
    static const unsigned projection[] = {0, 1, 2, 3, 4};
    char group[KEY_BYTES + 1];
    yz_buf rows, position;
    yzi_buf_init(&rows, 1u << 20);
    yzi_buf_init(&position, 4096);
    uint64_t from = bench_now_ns();
    for (uint64_t n = 0; n < READS; n++) {
        make_group(shuffled(n % records), group);
        struct query_value v = {.v = yzi_bytes_str(group)};
        struct query_condition c = {yzi_bytes_str("grp"), OP_EQ, &v, 1};
        struct query q = {.operation = QUERY_FIND, .filter = &c, .filter_n = 1, .limit = 1};
        struct query_limits limits = {
            .rows = 10, .bytes = 1u << 20, .deadline_mono_ms = UINT64_MAX};
        struct find_question question = {
            yzi_store_dataset(s), &q, projection, 5, &limits, {0}, NULL};
        struct find_result result;
        struct query_fault fault;
        yzi_buf_clear(&rows);
        check(yzi_store_find(s, &question, &rows, &position, &result, &fault), "find");
        if (result.rows != 1) {
            bench_die("a group is missing");
        }
        sink = rows.p[rows.n - 1];
    }
    double rate = (double)READS * 1e9 / (double)(bench_now_ns() - from);
    yzi_buf_fini(&rows);
    yzi_buf_fini(&position);
    return rate;
}

/* -- rounds -- */

static void loads(const struct dataset *d, bool sorted)
{
    const char *kind = sorted ? "sorted" : "random", *csv = sorted ? "sorted.csv" : "random.csv";
    char name[64];
    snprintf(name, sizeof name, "load.%s.bare", kind);
    bench_emit(name, bare_load("bare", sorted), "records/s");
    snprintf(name, sizeof name, "load.%s.import", kind);
    bench_emit(name, store_load(d, "store", csv), "records/s");
    snprintf(name, sizeof name, "load.%s.heap", kind);
    bench_emit(name, (double)(heap_peak - heap_before) / 1048576.0, "MiB");
}

static void reads(const struct dataset *d)
{
    struct bare b;
    bare_open(&b, "bare");
    struct store *s = store_open(d, "store");
    for (unsigned n = 0; n < REPEATS; n++) {
        bench_emit("read.key.bare", bare_read(&b, false), "lookups/s");
        bench_emit("read.key.get", store_get(s), "lookups/s");
        bench_emit("read.index.bare", bare_read(&b, true), "lookups/s");
        bench_emit("read.index.find", store_find(s), "lookups/s");
    }
    yzi_store_close(s);
    mdb_env_close(b.env);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_adapter DIR RECORDS ROUNDS\n");
        return 2;
    }
    struct dataset *d;
    yz_error err = {0};
    dir = argv[1];
    records = strtoull(argv[2], NULL, 10);
    if (records == 0 || yzi_dataset_parse(yzi_bytes_str(definition), "bench", &d, &err) < 0) {
        bench_die(err.text);
    }
    write_csv("sorted.csv", true);
    write_csv("random.csv", false);
    for (unsigned long round = strtoul(argv[3], NULL, 10); round; round--) {
        loads(d, false);
        loads(d, true);
        reads(d);
    }
    yzi_dataset_unref(d);
    return 0;
}
