/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening entries with their proofs.
 */
#include "evidence/opening.h"

/* What the bytes say of themselves, before the path. */
static int check(const struct opening *o, uint64_t size)
{
    yz_digest digest;
    YZ_ENSURE(o->index < size && o->entry.type == ENTRY_OPENING, YZ_EMALFORMED);
    yzi_entry_digest(o->body, &digest);
    return yzi_digest_eq(&digest, &o->entry.digest) ? 0 : YZ_EMALFORMED;
}

int yzi_opening_put(uint64_t size, uint64_t index, const struct entry *entry, yz_bytes body,
                    const struct merkle_path *path, yz_buf *out)
{
    const struct opening o = {.index = index, .entry = *entry, .body = body};
    uint8_t bytes[YZ_ENTRY_BYTES];
    YZ_ENSURE(check(&o, size) == 0 && body.n <= UINT16_MAX, YZ_EINVAL);
    YZ_ENSURE(path->n == yzi_merkle_path_length(index, size), YZ_EINVAL);
    yzi_entry_write(entry, bytes);
    YZ_TRY(yzi_buf_reserve(out, 8 + sizeof bytes + 2 + body.n + path->n * sizeof(yz_digest)));
    YZ_TRY(yzi_buf_put_u64(out, index));
    YZ_TRY(yzi_buf_put(out, yzi_bytes(bytes, sizeof bytes)));
    YZ_TRY(yzi_buf_put_u16(out, (uint16_t)body.n));
    YZ_TRY(yzi_buf_put(out, body));
    return yzi_buf_put(out, yzi_bytes(path->hash, path->n * sizeof(yz_digest)));
}

static int check_path(const struct opening *o, yz_bytes entry, uint64_t size, const yz_digest *root)
{
    yz_digest leaf, got;
    yzi_merkle_leaf(entry, &leaf);
    YZ_TRY(yzi_merkle_root_from_path(&leaf, o->index, size, o->path.hash, o->path.n, &got));
    return yzi_digest_eq(&got, root) ? 0 : YZ_ESIGNATURE;
}

int yzi_opening_next(yz_reader *r, uint64_t size, const yz_digest *root, struct opening *out)
{
    yz_bytes entry;
    uint16_t n;
    YZ_TRY(yzi_read_u64(r, &out->index));
    YZ_TRY(yzi_read_bytes(r, YZ_ENTRY_BYTES, &entry));
    YZ_TRY(yzi_entry_parse(entry, &out->entry));
    YZ_TRY(yzi_read_u16(r, &n));
    YZ_TRY(yzi_read_bytes(r, n, &out->body));
    YZ_TRY(check(out, size));
    YZ_TRY(yzi_log_end_parse(out->body, &out->end));
    out->path.n = yzi_merkle_path_length(out->index, size);
    for (unsigned i = 0; i < out->path.n; i++) {
        YZ_TRY(yzi_read_into(r, out->path.hash[i].b, sizeof(yz_digest)));
    }
    return check_path(out, entry, size, root);
}
