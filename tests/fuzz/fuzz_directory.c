/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets: yzi_directory_bundle_parse, yzi_directory_verify, yzi_directory_check_anchor,
 * yzi_directory_peek, yzi_directory_bundle.
 *
 * Input: u32 length of an anchor, the anchor, a bundle. What is believed is given out again the
 * same byte for byte, and every record in it can be proved.
 */
#include "keys/directory.h"

#define CHUNKS 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int prove(void *ctx, const struct record *r)
{
    const struct directory *d = ctx;
    struct directory_proof p;
    yz_digest leaf, root;
    if (r->kind != RECORD_ROOT) {
        return 0; /* the others are proved by id, in fuzz_directory_records */
    }
    YZ_ASSERT(yzi_directory_prove(d, r->kind, (yz_bytes){0}, &p) == 0);
    YZ_ASSERT(yzi_bytes_eq(p.raw, r->raw));
    yzi_merkle_leaf(p.raw, &leaf);
    YZ_ASSERT(yzi_merkle_root_from_path(&leaf, p.index, p.size, p.path.hash, p.path.n, &root) == 0);
    YZ_ASSERT(yzi_digest_eq(&root, yzi_directory_root_hash(d)));
    return 0;
}

static void check(const struct directory *d, yz_bytes bundle, yz_bytes manifest)
{
    uint64_t version;
    yz_buf again;
    yzi_buf_init(&again, bundle.n);
    YZ_ASSERT(yzi_directory_bundle(d, &again) == 0);
    YZ_ASSERT(yzi_bytes_eq(yzi_bytes_buf(&again), bundle));
    YZ_ASSERT(yzi_directory_peek(manifest, &version) == 0 && version == yzi_directory_version(d));
    YZ_ASSERT(yzi_directory_each(d, prove, (void *)d) == 0);
    yzi_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yz_reader r = yzi_reader(yzi_bytes(data, size));
    uint32_t n;
    yz_bytes anchor, bundle, manifest, chunks[CHUNKS];
    size_t chunks_n = CHUNKS;
    if (yzi_read_u32(&r, &n) < 0 || yzi_read_bytes(&r, n, &anchor) < 0) {
        return 0;
    }
    bundle = yzi_bytes(r.p, r.left);
    if (yzi_directory_bundle_parse(bundle, &manifest, chunks, &chunks_n) < 0) {
        return 0;
    }
    const struct directory *d = NULL;
    yz_error err = {0};
    int rc = yzi_directory_verify(anchor, manifest, chunks, chunks_n, &d, &err);
    if (rc == 0) {
        check(d, bundle, manifest);
        yzi_directory_unref(d);
    } else {
        YZ_ASSERT(!d && err.code == rc && err.text[0]);
    }
    return 0;
}
