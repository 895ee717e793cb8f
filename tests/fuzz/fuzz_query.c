/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_request_head_parse, yzi_store_get (with it yzi_key_encode and the reading of rows),
 * yzi_store_find (conditions, plans, walking, and positions, as which the query's cursor is taken).
 *
 * The bytes are a request head as a consumer would send it. What parses is asked of a small store
 * whose key has every kind of part. The answer is exactly rows × fields values, or nothing was
 * written; a refusal names a known reason.
 */
#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/dataset/find.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] = "dataset: all\n"
                           "title: {en: All}\n"
                           "owner: o\n"
                           "sharing: conditional\n"
                           "key: [a, b, c, d, h]\n"
                           "fields:\n"
                           "  - {name: a, type: text, classification: sensitive}\n"
                           "  - {name: b, type: integer, classification: public}\n"
                           "  - {name: c, type: decimal, classification: public}\n"
                           "  - {name: d, type: time, classification: public}\n"
                           "  - {name: h, type: bytes, classification: public, max_length: 50}\n"
                           "  - {name: v, type: text, classification: secret}\n"
                           "  - {name: w, type: text, classification: public}\n"
                           "indexes:\n"
                           "  - {name: by_w, fields: [w]}\n"
                           "  - {name: by_cb, fields: [c, b]}\n"
                           "  - {name: by_ad, fields: [a, d]}\n"
                           "  - {name: by_h, fields: [h]}\n";
static const char csv[] = "a,b,c,d,h,v,w\n"
                          "x,1,1.5,2026-01-01T00:00:00Z,AAA=,secret,w\n"
                          "y,-1,-1.5,2026-01-01T00:00:00.5Z,/w==,,\n"
                          ",,,,,,\n";

static void empty_dir(const char *path)
{
    DIR *dir = opendir(path);
    YZ_ASSERT(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char *file = NULL;
        YZ_ASSERT(yzi_path_join(path, e->d_name, &file) == 0);
        if (e->d_name[0] != '.' && e->d_type == DT_DIR) {
            empty_dir(file);
        } else if (e->d_name[0] != '.') {
            unlink(file);
        }
        free(file);
    }
    closedir(dir);
    rmdir(path);
}

/* The store's files are removed at once; it lives on in what it has open. */
static struct store *make_store(void)
{
    static struct dataset *d;
    static yz_secret key;
    static const uint8_t bytes[32] = {1};
    char path[] = "/tmp/yz-fuzz-query-XXXXXX";
    struct store *s = NULL;
    struct import_report report;
    yzi_secret_require_lock(false);
    YZ_ASSERT(yzi_sodium_init() == 0 && mkdtemp(path));
    YZ_ASSERT(yzi_secret_copy(&key, yzi_bytes(bytes, sizeof bytes)) == 0);
    YZ_ASSERT(yzi_dataset_parse(yzi_bytes_str(yaml), "all.yaml", &d, NULL) == 0);
    struct store_options o = {.dir = path, .dataset = d, .storage_key = &key};
    YZ_ASSERT(yzi_store_open(&o, &s, NULL) == 0);
    size_t n = strlen(csv) - strlen(",,,,,,\n"); /* the last row is wrong */
    for (int right = 0; right < 2; right++) {
        struct import_source src = {
            .fd = memfd_create("csv", MFD_CLOEXEC), .name = "f", .mode = IMPORT_UPSERT};
        size_t bytes_n = right ? n : strlen(csv);
        YZ_ASSERT(write(src.fd, csv, bytes_n) == (ssize_t)bytes_n);
        YZ_ASSERT(yzi_store_import(s, &src, &report, NULL) == (right ? 0 : YZ_EDATA));
        close(src.fd);
    }
    empty_dir(path);
    return s;
}

static bool is_known(const char *reason)
{
    return reason && (strcmp(reason, "bad-key") == 0 || strcmp(reason, "bad-value") == 0 ||
                      strcmp(reason, "too-many-keys") == 0);
}

static void ask(struct store *s, const struct query *q)
{
    static const unsigned projection[] = {5, 0, 1, 2, 3, 4, 6};
    struct query_limits limits = {.rows = 4, .bytes = 300};
    struct query_result result;
    struct query_fault fault = {0};
    yz_buf rows;
    yzi_buf_init(&rows, 1000);
    int rc = yzi_store_get(s, yzi_store_dataset(s), q, projection, 7, NULL, &limits, &rows, &result,
                           &fault);
    YZ_ASSERT(rc == 0 || rc == YZ_ETOOBIG || rc == YZ_EUNSUPPORTED ||
              (rc == YZ_EINVAL && is_known(fault.reason)));
    if (rc < 0) {
        YZ_ASSERT(rows.n == 0);
        yzi_buf_fini(&rows);
        return;
    }
    YZ_ASSERT(result.rows <= 4 && rows.n <= 300 && result.sequence == 2);
    yz_reader r = yzi_reader(yzi_bytes_buf(&rows));
    for (size_t i = 0; i < (size_t)result.rows * 7; i++) {
        struct query_value v;
        YZ_ASSERT(yzi_row_next(&r, &v) == 0);
    }
    YZ_ASSERT(yzi_read_end(&r) == 0);
    yzi_buf_fini(&rows);
}

/* A find of two pages, or a count. `total` counts what the pages held. */
static int find(struct store *s, const struct query *q, yz_bytes resume, yz_buf *position,
                struct find_result *result)
{
    static const unsigned projection[] = {5, 0, 1, 2, 3, 4, 6};
    struct query_limits limits = {.rows = 1, .bytes = 300, .entries = 5};
    struct query_fault fault;
    yz_buf rows;
    struct find_question question = {yzi_store_dataset(s),
                                     q,
                                     projection,
                                     q->operation == QUERY_FIND ? 7 : 0,
                                     &limits,
                                     resume,
                                     NULL};
    yzi_buf_init(&rows, 1000);
    int rc = yzi_store_find(s, &question, &rows, position, result, &fault);
    YZ_ASSERT(rc == 0 || rc == YZ_ETOOBIG || rc == YZ_EUNSUPPORTED || rc == YZ_EINVAL);
    YZ_ASSERT(rc == 0 || rc == YZ_EUNSUPPORTED || (fault.reason && *fault.reason));
    YZ_ASSERT(rc == 0 || (rows.n == 0 && position->n == 0));
    if (rc == 0) {
        YZ_ASSERT(result->rows <= 1 && rows.n <= 300 && result->sequence == 2);
        YZ_ASSERT(result->note.entries <= 5 && result->more == (position->n > 0));
        YZ_ASSERT((result->rows == 0) == (rows.n == 0));
    }
    yzi_buf_fini(&rows);
    return rc;
}

static void find_pages(struct store *s, const struct query *q)
{
    struct find_result result;
    yz_buf position, next;
    yzi_buf_init(&position, 4096);
    yzi_buf_init(&next, 4096);
    if (find(s, q, (yz_bytes){0}, &position, &result) == 0 && result.more) {
        YZ_ASSERT(find(s, q, yzi_bytes_buf(&position), &next, &result) == 0);
        YZ_ASSERT(!result.more); /* there are two records */
    }
    yz_ignore(find(s, q, q->cursor, &next, &result), "whatever the position is");
    yzi_buf_fini(&position);
    yzi_buf_fini(&next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct store *s;
    struct arena arena;
    struct request_head head;
    if (!s) {
        s = make_store();
    }
    yzi_arena_init(&arena, 1u << 20);
    if (yzi_request_head_parse(yzi_bytes(data, size), &arena, &head) == 0 && head.has_query) {
        ask(s, &head.query);
        find_pages(s, &head.query);
    }
    yzi_arena_fini(&arena);
    return 0;
}
