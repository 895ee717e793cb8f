/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_csv_feed, yzi_dataset_check (with it the scan and yzi_field_canonical).
 *
 * The first byte chooses the delimiter and the size of the pieces; the rest is the file. Fed whole
 * and in pieces it must give the same rows at the same lines and the same fault; a row never has
 * more bytes than were fed. Then the file is checked against a definition with every field type,
 * and told the same twice.
 */
#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/dataset/csv.h"
#include "adapters/dataset/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] = "dataset: all\n"
                           "title: {en: All}\n"
                           "owner: o\n"
                           "sharing: conditional\n"
                           "key: [a]\n"
                           "fields:\n"
                           "  - {name: a, type: text, classification: public, max_length: 20}\n"
                           "  - {name: b, type: integer, classification: public}\n"
                           "  - {name: c, type: decimal, classification: public}\n"
                           "  - {name: d, type: date, classification: public}\n"
                           "  - {name: e, type: time, classification: public}\n"
                           "  - {name: f, type: boolean, classification: public}\n"
                           "  - {name: g, type: code, classification: public, codes: [x, yy]}\n"
                           "  - {name: h, type: bytes, classification: public, required: true}\n"
                           "csv: {ignore: [i]}\n";

/* Everything a parse said, as a digest. */
struct trace {
    crypto_hash_sha256_state hash;
    size_t rows, bytes;
};

static void add(struct trace *t, const void *p, size_t n)
{
    uint64_t length = n;
    crypto_hash_sha256_update(&t->hash, (const uint8_t *)&length, sizeof length);
    crypto_hash_sha256_update(&t->hash, p, n);
}

static int on_row(void *ctx, const struct csv_row *row)
{
    struct trace *t = ctx;
    YZ_ASSERT(row->n >= 1 && row->n <= CSV_COLUMNS_MAX);
    add(t, &row->line, sizeof row->line);
    for (size_t i = 0; i < row->n; i++) {
        add(t, row->fields[i].p, row->fields[i].n);
        t->bytes += row->fields[i].n;
    }
    t->rows++;
    return 0;
}

static void parse(char delimiter, yz_bytes file, size_t piece, yz_digest *out)
{
    struct trace t = {0};
    struct csv_reader *csv;
    uint64_t line = 0;
    const char *reason = "";
    size_t fed = file.n;
    int rc = 0;
    crypto_hash_sha256_init(&t.hash);
    YZ_ASSERT(yzi_csv_new(delimiter, &csv) == 0);
    while (rc == 0 && file.n > piece) {
        rc = yzi_csv_feed(csv, yzi_bytes(file.p, piece), false, on_row, &t, &line, &reason);
        file = yzi_bytes(file.p + piece, file.n - piece);
    }
    if (rc == 0) {
        rc = yzi_csv_feed(csv, file, true, on_row, &t, &line, &reason);
    }
    YZ_ASSERT(rc == 0 || (rc == YZ_EDATA && line >= 1 && *reason));
    YZ_ASSERT(t.bytes <= fed);
    add(&t, &rc, sizeof rc);
    add(&t, &line, sizeof line);
    add(&t, reason, strlen(reason));
    crypto_hash_sha256_final(&t.hash, out->b);
    yzi_csv_free(csv);
}

static void on_fault(void *ctx, const struct import_fault *f)
{
    YZ_ASSERT(f->line >= 1 && f->reason && *f->reason);
    (*(uint64_t *)ctx)++;
}

static void check(const struct dataset *d, yz_bytes file)
{
    int fd = memfd_create("csv", MFD_CLOEXEC);
    YZ_ASSERT(fd >= 0 && write(fd, file.p, file.n) == (ssize_t)file.n);
    struct import_report first = {0}, again = {0};
    yz_error err, err_again;
    uint64_t told = 0;
    struct import_source src = {.fd = fd,
                                .name = "f",
                                .mode = IMPORT_UPSERT,
                                .fault = on_fault,
                                .ctx = &told,
                                .max_faults = 50};
    int rc = yzi_dataset_check(d, &src, &first, &err);
    YZ_ASSERT(rc == 0 ||
              (rc == YZ_EDATA && err.code == YZ_EDATA && strncmp(err.text, "f:", 2) == 0));
    YZ_ASSERT(told == first.faults && (rc == 0) == (told == 0));
    YZ_ASSERT(yzi_dataset_check(d, &src, &again, &err_again) == rc);
    YZ_ASSERT(again.rows == first.rows && again.faults == first.faults);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dataset *d;
    if (!d) {
        YZ_ASSERT(yzi_dataset_parse(yzi_bytes_str(yaml), "all.yaml", &d, NULL) == 0);
    }
    if (size < 1) {
        return 0;
    }
    yz_bytes file = yzi_bytes(data + 1, size - 1);
    char delimiter = ",;|\t"[data[0] & 3];
    yz_digest whole, pieces;
    parse(delimiter, file, size, &whole);
    parse(delimiter, file, 1 + (data[0] >> 2), &pieces);
    YZ_ASSERT(yzi_digest_eq(&whole, &pieces));
    d->csv.delimiter = delimiter;
    check(d, file);
    return 0;
}
