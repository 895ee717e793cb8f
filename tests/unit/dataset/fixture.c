/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the data set tests; each fails the test itself when it cannot do its work.
 */
#include "tests/unit/dataset/fixture.h"

#include <dirent.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

struct dataset *fixture_dataset(const char *yaml)
{
    struct dataset *d = NULL;
    yz_error err = {0};
    if (yzi_dataset_parse(yzi_bytes_str(yaml), "t.yaml", &d, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return d;
}

void fixture_dir_make(struct fixture_dir *d)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(d->path, sizeof d->path, "%s/yz-dataset-XXXXXX",
             tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(d->path));
}

/* Calls fn for each entry of the folder. */
static void each_entry(const char *dir, void (*fn)(const char *path, void *ctx), void *ctx)
{
    struct dirent **names = NULL;
    int n = scandir(dir, &names, NULL, alphasort);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
            char *path = NULL;
            assert_int_equal(yzi_path_join(dir, names[i]->d_name, &path), 0);
            fn(path, ctx);
            free(path);
        }
        free(names[i]);
    }
    free(names);
}

static void remove_entry(const char *path, void *ctx)
{
    struct stat st;
    (void)ctx;
    assert_int_equal(lstat(path, &st), 0);
    if (S_ISDIR(st.st_mode)) {
        each_entry(path, remove_entry, NULL);
        assert_int_equal(rmdir(path), 0);
    } else {
        assert_int_equal(unlink(path), 0);
    }
}

void fixture_dir_remove(const struct fixture_dir *d)
{
    remove_entry(d->path, NULL);
}

int fixture_file(yz_bytes content)
{
    int fd = memfd_create("csv", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t done = 0; done < content.n;) {
        ssize_t n = write(fd, content.p + done, content.n - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    return fd;
}

void fixture_key(yz_secret *key, uint8_t fill)
{
    uint8_t bytes[32];
    memset(bytes, fill, sizeof bytes);
    *key = (yz_secret){0};
    assert_int_equal(yzi_sodium_init(), 0);
    yzi_secret_require_lock(false);
    assert_int_equal(yzi_secret_copy(key, yzi_bytes(bytes, sizeof bytes)), 0);
}

struct store *fixture_open(const char *dir, const struct dataset *d, yz_secret *key)
{
    struct store_options o = {.dir = dir, .dataset = d, .storage_key = key};
    struct store *s = NULL;
    yz_error err = {0};
    yzi_secret_require_lock(false);
    if (yzi_store_open(&o, &s, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return s;
}

int fixture_import_bytes(struct store *s, yz_bytes csv, struct import_report *out, yz_error *err)
{
    struct import_source src = {.fd = fixture_file(csv), .name = "t.csv", .mode = IMPORT_UPSERT};
    int rc = yzi_store_import(s, &src, out, err);
    close(src.fd);
    return rc;
}

int fixture_import(struct store *s, const char *csv, struct import_report *out, yz_error *err)
{
    return fixture_import_bytes(s, yzi_bytes_str(csv), out, err);
}

static void print_rows(yz_bytes body, uint32_t rows, size_t fields, char *out, size_t cap)
{
    yz_reader r = yzi_reader(body);
    size_t n = 0;
    for (size_t i = 0; i < rows * fields; i++) {
        struct query_value v = {0};
        assert_int_equal(yzi_row_next(&r, &v), 0);
        int put =
            snprintf(out + n, cap - n, "%.*s%s", v.null ? 1 : (int)v.v.n,
                     v.null ? "~" : (const char *)v.v.p, i % fields == fields - 1 ? "\n" : "|");
        assert_true(put > 0 && (size_t)put < cap - n);
        n += (size_t)put;
    }
    assert_int_equal(yzi_read_end(&r), 0);
    out[n] = '\0';
}

int fixture_get(struct store *s, char *out, size_t cap, const char *key, ...)
{
    struct query_value parts[64];
    struct query_key keys[64];
    unsigned projection[DATASET_FIELDS_MAX];
    size_t fields = yzi_store_dataset(s)->fields_n, n = 0;
    va_list args;
    va_start(args, key);
    for (const char *k = key; k; k = va_arg(args, const char *)) {
        assert_true(n < 64);
        parts[n] = (struct query_value){.v = yzi_bytes_str(k)};
        keys[n] = (struct query_key){.parts = &parts[n], .parts_n = 1};
        n++;
    }
    va_end(args);
    for (unsigned i = 0; i < fields; i++) {
        projection[i] = i;
    }
    struct query q = {.operation = QUERY_GET, .keys = keys, .keys_n = n};
    struct query_limits limits = {.rows = 64, .bytes = 1u << 20};
    struct query_result result;
    struct query_fault fault;
    yz_buf rows;
    yzi_buf_init(&rows, 1u << 20);
    int rc = yzi_store_get(s, yzi_store_dataset(s), &q, projection, fields, NULL, &limits, &rows,
                           &result, &fault);
    out[0] = '\0';
    if (rc == 0) {
        print_rows(yzi_bytes_buf(&rows), result.rows, fields, out, cap);
    }
    yzi_buf_fini(&rows);
    return rc;
}

/* -- looking at a store's files -- */

static void read_whole(const char *path, yz_buf *out)
{
    yz_error err = {0};
    yzi_buf_init(out, (size_t)256 << 20);
    if (yzi_file_read(path, out, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

struct search {
    yz_bytes needle;
    bool found;
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void search_entry(const char *path, void *ctx)
{
    struct search *s = ctx;
    if (is_folder(path)) {
        each_entry(path, search_entry, ctx);
        return;
    }
    yz_buf content = {0};
    read_whole(path, &content);
    if (memmem(content.p, content.n, s->needle.p, s->needle.n)) {
        s->found = true;
    }
    yzi_buf_fini(&content);
}

bool fixture_dir_contains(const char *dir, yz_bytes needle)
{
    struct search s = {.needle = needle};
    each_entry(dir, search_entry, &s);
    return s.found;
}

static void hash_entry(const char *path, void *ctx)
{
    if (strstr(path, "lock")) {
        return;
    }
    if (is_folder(path)) {
        each_entry(path, hash_entry, ctx);
        return;
    }
    yz_buf content = {0};
    read_whole(path, &content);
    crypto_hash_sha256_update(ctx, (const uint8_t *)path, strlen(path));
    crypto_hash_sha256_update(ctx, content.p, content.n);
    yzi_buf_fini(&content);
}

yz_digest fixture_dir_digest(const char *dir)
{
    crypto_hash_sha256_state state;
    yz_digest digest;
    crypto_hash_sha256_init(&state);
    each_entry(dir, hash_entry, &state);
    crypto_hash_sha256_final(&state, digest.b);
    return digest;
}
