/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets of the formats share: a file is scanned against a definition with every
 * kind of path and normalisation, twice, and must be told the same; what passes must be canonical.
 */
#ifndef YZ_TESTS_FUZZ_IMPORT_H
#define YZ_TESTS_FUZZ_IMPORT_H

#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/dataset/scan.h"
#include "base/text.h"

static const char import_yaml[] =
    "dataset: all\ntitle: {en: All}\nowner: o\nsharing: conditional\nkey: [a]\nfields:\n"
    "  - {name: a, type: text, classification: public, max_length: 20, xml: '@a',\n"
    "     normalise: [trim, squeeze, narrow, upper]}\n"
    "  - {name: b, type: integer, classification: public, json: x.b, xml: 'x/b'}\n"
    "  - {name: c, type: decimal, classification: public, json: l.0, xml: 'x[@k=v]/@c'}\n"
    "  - {name: d, type: date, classification: public, formats: [YYYY/M/D, YYYYMMDD]}\n"
    "  - {name: e, type: boolean, classification: public, empty: ['-']}\n"
    "  - {name: f, type: text, classification: public, json: m, xml: m, join: ','}\n"
    "  - {name: g, type: text, classification: public, json: m.1, xml: .}\n"
    "json: {path: r.i}\n"
    "xml: {element: r/i}\n";

struct import_trace {
    const struct dataset *d;
    crypto_hash_sha256_state hash;
    uint64_t rows; /* the last record seen */
};

static int import_row(void *ctx, const struct scan_place *at, const struct query_value *values,
                      char reason[SCAN_REASON_MAX])
{
    struct import_trace *t = ctx;
    yz_buf again;
    (void)reason;
    YZ_ASSERT(at->line >= 1 && at->record > t->rows);
    t->rows = at->record;
    yzi_buf_init(&again, 1u << 22);
    for (size_t i = 0; i < t->d->fields_n; i++) {
        const char *why = NULL;
        if (values[i].null) {
            YZ_ASSERT(!t->d->fields[i].required);
            continue;
        }
        yzi_buf_clear(&again);
        YZ_ASSERT(yzi_field_canonical(&t->d->fields[i], values[i].v, &again, &why) == 0);
        YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&again), values[i].v));
        crypto_hash_sha256_update(&t->hash, values[i].v.p, values[i].v.n);
    }
    yzi_buf_fini(&again);
    return 0;
}

static void import_fault(void *ctx, const struct import_fault *f)
{
    struct import_trace *t = ctx;
    char text[700];
    YZ_ASSERT(f->line >= 1 && f->reason && *f->reason);
    yzi_import_fault_text(f, text, sizeof text);
    crypto_hash_sha256_update(&t->hash, (const uint8_t *)text, strlen(text));
}

static void import_once(const struct dataset *d, enum import_format format, int fd, yz_digest *out)
{
    struct import_trace t = {.d = d};
    struct scan_totals totals;
    yz_error err = {0};
    const struct import_source src = {.fd = fd,
                                      .name = "f",
                                      .format = format,
                                      .mode = IMPORT_UPSERT,
                                      .fault = import_fault,
                                      .ctx = &t,
                                      .max_faults = 50};
    crypto_hash_sha256_init(&t.hash);
    t.rows = 0;
    int rc = yzi_scan(d, &src, import_row, &t, &totals, &err);
    YZ_ASSERT(rc == 0 || (rc == YZ_EDATA && err.code == YZ_EDATA && totals.faults >= 1));
    YZ_ASSERT((rc == 0) == (totals.faults == 0));
    crypto_hash_sha256_update(&t.hash, (const uint8_t *)&rc, sizeof rc);
    crypto_hash_sha256_final(&t.hash, out->b);
}

static void import_twice(const struct dataset *d, enum import_format format, yz_bytes file)
{
    yz_digest first, again;
    int fd = memfd_create("file", MFD_CLOEXEC);
    YZ_ASSERT(fd >= 0 && write(fd, file.p, file.n) == (ssize_t)file.n);
    import_once(d, format, fd, &first);
    import_once(d, format, fd, &again);
    YZ_ASSERT(yzi_digest_eq(&first, &again));
    close(fd);
}

#endif
