/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_store_write (with it yzi_row_next, yzi_field_check_raw, yzi_key_encode and the
 * writer of records).
 *
 * First byte: insert or put, and which columns; second: how many rows; then the rows as they
 * travel. What is accepted is in the store, once each, and can be deleted by its keys, which leaves
 * the store empty; what is refused left it empty, for a known reason.
 */
#include <dirent.h>
#include <unistd.h>

#include "adapters/dataset/write.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] = "dataset: all\n"
                           "title: {en: All}\n"
                           "owner: o\n"
                           "sharing: conditional\n"
                           "key: [a, b]\n"
                           "fields:\n"
                           "  - {name: a, type: text, classification: sensitive}\n"
                           "  - {name: b, type: integer, classification: public}\n"
                           "  - {name: c, type: decimal, classification: public}\n"
                           "  - {name: d, type: time, classification: public}\n"
                           "  - {name: h, type: bytes, classification: public, max_length: 50}\n"
                           "  - {name: v, type: text, classification: secret}\n"
                           "  - {name: w, type: date, classification: public, required: true}\n"
                           "indexes:\n"
                           "  - {name: by_c, fields: [c], unique: true}\n";
#define FIELDS 7u
#define ROWS_MAX 8u

static void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    if (dir) {
        for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
            char *inner = NULL;
            YZ_ASSERT(yzi_path_join(path, e->d_name, &inner) == 0);
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
                remove_all(inner);
            }
            free(inner);
        }
        closedir(dir);
        rmdir(path);
    } else {
        unlink(path);
    }
}

/* The store's files are removed at once; it lives on in what it has open. */
static struct store *make_store(void)
{
    static struct dataset *d;
    static yz_secret key;
    static const uint8_t bytes[32] = {1};
    char path[] = "/tmp/yz-fuzz-write-XXXXXX";
    struct store *s = NULL;
    yzi_secret_require_lock(false);
    YZ_ASSERT(yzi_sodium_init() == 0 && mkdtemp(path));
    YZ_ASSERT(yzi_secret_copy(&key, yzi_bytes(bytes, sizeof bytes)) == 0);
    YZ_ASSERT(yzi_dataset_parse(yzi_bytes_str(yaml), "all.yaml", &d, NULL) == 0);
    struct store_options o = {.dir = path, .dataset = d, .storage_key = &key};
    YZ_ASSERT(yzi_store_open(&o, &s, NULL) == 0);
    remove_all(path);
    return s;
}

static bool is_known(const char *reason)
{
    static const char *const known[] = {"bad-key",   "bad-value",     "required",
                                        "malformed", "duplicate-key", "not-unique"};
    for (size_t i = 0; reason && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(reason, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The keys of the rows that were accepted: delete them all. */
static void undo(struct store *s, const struct store_write *w)
{
    struct query_value parts[ROWS_MAX][2];
    struct query_key keys[ROWS_MAX];
    struct store_written out;
    const char *reason;
    yz_reader r = yzi_reader(w->rows);
    for (uint32_t row = 0; row < w->rows_n; row++) {
        for (size_t i = 0; i < w->columns_n; i++) {
            struct query_value v;
            YZ_ASSERT(yzi_row_next(&r, &v) == 0);
            if (w->columns[i] < 2) {
                parts[row][w->columns[i]] = v;
            }
        }
        keys[row] = (struct query_key){parts[row], 2};
    }
    struct store_write gone = {.operation = QUERY_DELETE, .keys = keys, .keys_n = w->rows_n};
    YZ_ASSERT(yzi_store_write(s, &gone, &out, &reason) == 0);
    YZ_ASSERT(out.changed == w->rows_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct store *s;
    unsigned columns[FIELDS];
    uint64_t count;
    if (!s) {
        s = make_store();
    }
    if (size < 2) {
        return 0;
    }
    struct store_write w = {.operation = data[0] & 0x80 ? QUERY_PUT : QUERY_INSERT,
                            .columns = columns,
                            .rows = yzi_bytes(data + 2, size - 2),
                            .rows_n = 1 + data[1] % ROWS_MAX};
    for (unsigned i = 0; i < FIELDS; i++) {
        if (data[0] & 1u << i) {
            columns[w.columns_n++] = i;
        }
    }
    struct store_written out;
    const char *reason = NULL;
    int rc = yzi_store_write(s, &w, &out, &reason);
    YZ_ASSERT(!out.uncertain);
    YZ_ASSERT(rc == 0 || (rc == YZ_EINVAL && is_known(reason)));
    YZ_ASSERT(out.changed == (rc == 0 ? w.rows_n : 0));
    YZ_ASSERT(yzi_store_count(s, &count) == 0 && count == out.changed);
    if (rc == 0) {
        undo(s, &w);
        YZ_ASSERT(yzi_store_count(s, &count) == 0 && count == 0);
    }
    return 0;
}
