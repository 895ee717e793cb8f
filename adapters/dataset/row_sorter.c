/* SPDX-License-Identifier: Apache-2.0
 *
 * A record goes through the sorter as a stored row whose sequence and ordinal are its line and its
 * number in the file, so that rows of one key come back as the file had them. One too long for
 * that lies in a file beside, and the sorter has line ‖ number ‖ ffff ‖ offset u64 ‖ length u32;
 * no row has so many values.
 */
#include "adapters/dataset/row_sorter.h"

#include <errno.h>
#include <unistd.h>

#include "adapters/dataset/record_read.h"

#define MEMORY ((size_t)16 * 1024 * 1024)
#define INLINE_MAX 4096u /* so that a thousand runs are merged in little more than MEMORY */
#define PLACE_BYTES 16u
#define BESIDE_MARK 0xffffu
#define BESIDE_BYTES (PLACE_BYTES + 2u + 8u + 4u)
#define ROW_MAX ((size_t)16 * 1024 * 1024)

_Static_assert(DATASET_FIELDS_MAX < BESIDE_MARK, "the mark is no count of values");

struct row_sorter {
    const struct row_layout *layout;
    struct sorter *sorter;
    int beside;
    uint64_t beside_n;
    bool sealed;     /* some field is */
    yz_buf key, row; /* wiped */
    struct plain_record record;
};

int yzi_row_sorter_new(const struct row_layout *l, const char *dir, struct row_sorter **out)
{
    struct row_sorter *s;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    s->layout = l;
    s->beside = -1;
    for (size_t i = 0; i < l->dataset->fields_n; i++) {
        s->sealed = s->sealed || yzi_field_is_sealed(&l->dataset->fields[i]);
    }
    yzi_buf_init(&s->key, (size_t)DATASET_KEY_MAX * YZ_DB_KEY_MAX);
    yzi_buf_init(&s->row, ROW_MAX);
    yzi_plain_init(&s->record);
    int rc = yzi_sorter_file(dir, &s->beside);
    rc = rc == 0 ? yzi_sorter_new(dir, MEMORY, &s->sorter) : rc;
    if (rc < 0) {
        yzi_row_sorter_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void yzi_row_sorter_free(struct row_sorter *s)
{
    if (!s) {
        return;
    }
    if (s->beside >= 0) {
        close(s->beside);
    }
    yzi_sorter_free(s->sorter);
    yzi_buf_wipe(&s->key);
    yzi_buf_wipe(&s->row);
    yzi_plain_fini(&s->record);
    free(s);
}

/* -- in -- */

/* Write the row beside and leave in its place where it is. */
static int put_beside(struct row_sorter *s)
{
    uint8_t place[PLACE_BYTES];
    size_t size = s->row.n;
    YZ_ENSURE(size <= UINT32_MAX, YZ_ELIMIT);
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(s->beside, s->row.p + done, size - done, (off_t)(s->beside_n + done));
        YZ_ENSURE(n > 0 || (n < 0 && errno == EINTR), n == 0 ? YZ_EIO : yzi_err_from_errno(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    memcpy(place, s->row.p, sizeof place);
    yzi_buf_clear(&s->row);
    YZ_TRY(yzi_buf_put(&s->row, yzi_bytes(place, sizeof place)));
    YZ_TRY(yzi_buf_put_u16(&s->row, BESIDE_MARK));
    YZ_TRY(yzi_buf_put_u64(&s->row, s->beside_n));
    YZ_TRY(yzi_buf_put_u32(&s->row, (uint32_t)size));
    s->beside_n += size;
    return 0;
}

int yzi_row_sorter_add(struct row_sorter *s, const struct scan_place *at,
                       const struct query_value *values)
{
    const struct row_layout *l = s->layout;
    yz_bytes parts[DATASET_KEY_MAX];
    for (size_t i = 0; i < l->dataset->key_n; i++) {
        parts[i] = values[l->dataset->key[i]].v;
    }
    YZ_TRY(yzi_key_encode(l->dataset, l->keys, parts, &s->key));
    yz_bytes key = yzi_bytes_buf(&s->key);
    YZ_TRY(yzi_row_encode(l, key, at->line, at->record, values, &s->row));
    YZ_TRY(s->row.n > INLINE_MAX ? put_beside(s) : 0);
    return yzi_sorter_add(s->sorter, key, yzi_bytes_buf(&s->row));
}

/* -- out -- */

static int read_beside(struct row_sorter *s, yz_bytes reference, yz_bytes *out)
{
    uint64_t at = yzi_load_u64(reference.p + PLACE_BYTES + 2);
    size_t size = yzi_load_u32(reference.p + PLACE_BYTES + 10);
    uint8_t *p;
    YZ_ENSURE(size <= s->beside_n && at <= s->beside_n - size, YZ_ECORRUPT);
    yzi_buf_clear(&s->row);
    YZ_TRY(yzi_buf_extend(&s->row, size, &p));
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(s->beside, p + done, size - done, (off_t)(at + done));
        YZ_ENSURE(n > 0 || (n < 0 && errno == EINTR), n == 0 ? YZ_EIO : yzi_err_from_errno(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    *out = yzi_bytes(p, size);
    return 0;
}

int yzi_row_sorter_next(struct row_sorter *s, struct scan_place *at,
                        const struct query_value **values)
{
    yz_bytes key, stored;
    struct stored_row row;
    YZ_TRY(yzi_sorter_next(s->sorter, &key, &stored));
    if (stored.n == BESIDE_BYTES && yzi_load_u16(stored.p + PLACE_BYTES) == BESIDE_MARK) {
        YZ_TRY(read_beside(s, stored, &stored));
    }
    YZ_TRY(yzi_row_decode(stored, &row));
    YZ_TRY(s->sealed ? yzi_plain_read(s->layout, key, &row, &s->record)
                     : yzi_row_split(s->layout, &row, s->record.values));
    *at = (struct scan_place){.line = row.sequence, .record = row.ordinal};
    *values = s->record.values;
    return 0;
}
