/* SPDX-License-Identifier: Apache-2.0
 *
 * The published form of a tree, C2SP tlog-tiles: which tiles there are, what they are called, and
 * proofs read from them. A tile of level L is 256 nodes of the tree's level 8·L; while it is not
 * full it is partial, its width in its name. Entry bundles are named like tiles of level 0. Any
 * thread.
 */
#ifndef YZ_PROOF_TILE_H
#define YZ_PROOF_TILE_H

#include "proof/tree.h"

#define TILE_HASHES 256u
#define TILE_BYTES (TILE_HASHES * 32u)
#define TILE_LEVEL_MAX 7u /* the last that a tree of 2^63 leaves has */
#define TILE_PATH_MAX 64u

struct tile_name {
    bool entries;   /* an entry bundle; level is 0 then */
    unsigned level; /* at most TILE_LEVEL_MAX */
    uint64_t index;
    unsigned width; /* 1..256; 256: full */
};
/* The file's path below the log's folder, "tile/0/x001/234.p/17", NUL-terminated. The name must be
 * one (YZ_ASSERT). */
void yzi_tile_path(const struct tile_name *t, char out[TILE_PATH_MAX]);
/* The reverse, of exactly such a path. YZ_EMALFORMED. */
YZ_MUST_USE int yzi_tile_path_parse(yz_bytes path, struct tile_name *out);

/* How many hashes there are in all at a level of tiles in a tree of this size: full tiles are this
 * / 256, the width of the partial one is this % 256 (0: none). */
uint64_t yzi_tile_hashes(uint64_t size, unsigned level);
/* The width that tile `index` of a level has in a tree of this size; 0: there is none. */
unsigned yzi_tile_width(uint64_t size, unsigned level, uint64_t index);
/* Visit every tile and bundle that a tree of `size` needs and one of `old` <= size did not have,
 * bundles first, then by rising level: what a publisher writes. Stops with the visitor's code when
 * that is not 0. YZ_EINVAL: old > size. */
YZ_MUST_USE int yzi_tiles_each(uint64_t old, uint64_t size,
                               int (*visit)(void *ctx, const struct tile_name *t), void *ctx);

/* Where tiles are read from. *out: the file's bytes, valid until the next call. YZ_ENOTFOUND when
 * there is no such file; then, of a partial one, the full one is asked for. */
typedef int tile_read_fn(void *ctx, const struct tile_name *t, yz_bytes *out);
struct tile_source {
    tile_read_fn *read;
    void *ctx;
    uint64_t size; /* of the tree that is read */
};
/* A merkle_node_fn over a tile_source (its ctx): with it the functions of proof/tree.h prove from
 * tiles. What comes of them is as true as the root it is compared with. YZ_ECORRUPT: a file of
 * another length than its name says; YZ_ENOTFOUND also for a node the tree does not have. */
int yzi_tile_node_hash(void *source, unsigned level, uint64_t index, yz_digest *out);
/* The root above up to 256 hashes as they stand in a tile: n × 32 bytes, n > 0. */
void yzi_tile_bytes_root(yz_bytes hashes, yz_digest *out);

/* The next entry of a bundle. YZ_EMALFORMED: cut off. */
YZ_MUST_USE int yzi_entries_next(yz_reader *bundle, yz_bytes *out_entry);
/* Append an entry to a bundle. YZ_EINVAL: longer than 65,535 bytes; YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_entries_put(yz_bytes entry, yz_buf *out);

#endif
