/* SPDX-License-Identifier: Apache-2.0
 *
 * A log as a broker publishes it, written into a folder: entries whose bodies are "body N", the
 * first an opening; tiles, bundles and a signed checkpoint. It can grow, and be made anew with
 * another history. Failures end the program.
 */
#ifndef YZ_TESTS_SUPPORT_PUBLISHED_LOG_H
#define YZ_TESTS_SUPPORT_PUBLISHED_LOG_H

#include "base/file.h"
#include "evidence/receipt.h"
#include "proof/tile.h"
#include "tests/support/fixed_key.h"
#include "tests/unit/proof/grown.h"

#define PUBLISHED_LOG UINT64_C(1732309509123)

struct published_log {
    const char *dir;
    struct key_pair key;
    char origin[LOG_ORIGIN_MAX];
    struct note_key vkey;
    struct grown tree;
    struct entry *entries;
    uint64_t published;
    unsigned seed; /* of the entries appended from now on */
};

static inline void yz_published_init(struct published_log *p, const char *dir, size_t cap)
{
    const yz_node_id broker = {yzi_bytes_str("CN/@b1")};
    *p = (struct published_log){.dir = dir, .key = yz_numbered_key(KEY_LOG, 1)};
    yz_grown_init(&p->tree, 0);
    p->tree.cap = cap;
    for (unsigned l = 0; cap >> l > 0; l++) {
        p->tree.level[l] = calloc(cap >> l, sizeof(yz_digest));
        YZ_ASSERT(p->tree.level[l]);
    }
    p->entries = calloc(cap, sizeof *p->entries);
    YZ_ASSERT(p->entries);
    yzi_log_origin(broker, PUBLISHED_LOG, p->origin);
    YZ_ASSERT(yzi_note_key(yzi_bytes_str(p->origin), NOTE_ED25519, p->key.public_key, &p->vkey) ==
              0);
}

static inline void yz_published_fini(struct published_log *p)
{
    yz_grown_fini(&p->tree);
    free(p->entries);
    yzi_key_pair_fini(&p->key);
}

/* One more entry; type 0: what its index says. */
static inline void yz_published_append(struct published_log *p, enum entry_type type, uint64_t time)
{
    uint64_t i = p->tree.f.size;
    char body[64];
    uint8_t bytes[YZ_ENTRY_BYTES];
    yz_digest leaf;
    int n = snprintf(body, sizeof body, "body %llu of %u", (unsigned long long)i, p->seed);
    struct entry *e = &p->entries[i];
    e->type = type ? type : i == 0 ? ENTRY_OPENING : i % 2 ? ENTRY_REQUEST : ENTRY_RESPONSE;
    e->time = time ? time : PUBLISHED_LOG + i / 3;
    yzi_entry_digest(yzi_bytes(body, (size_t)n), &e->digest);
    yzi_entry_write(e, bytes);
    yzi_merkle_leaf(yzi_bytes(bytes, sizeof bytes), &leaf);
    YZ_ASSERT(yzi_frontier_append(&p->tree.f, &leaf, yz_grown_keep, &p->tree) == 0);
}

static inline int yz_published_tile(void *ctx, const struct tile_name *t)
{
    struct published_log *p = ctx;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1 << 20};
    YZ_AUTO(yzi_free_ptr) char *path = NULL, *folder = NULL;
    char name[TILE_PATH_MAX];
    for (unsigned i = 0; i < t->width; i++) {
        uint64_t at = t->index * TILE_HASHES + i;
        uint8_t bytes[YZ_ENTRY_BYTES];
        if (t->entries) {
            yzi_entry_write(&p->entries[at], bytes);
            YZ_ASSERT(yzi_entries_put(yzi_bytes(bytes, sizeof bytes), &b) == 0);
        } else {
            YZ_ASSERT(yzi_buf_put(&b, yzi_bytes_digest(&p->tree.level[8 * t->level][at])) == 0);
        }
    }
    yzi_tile_path(t, name);
    YZ_ASSERT(yzi_path_join(p->dir, name, &path) == 0 && yzi_path_dir(path, &folder) == 0);
    YZ_ASSERT(yzi_dir_make(folder, 0700, NULL) == 0);
    FILE *f = fopen(path, "wb");
    YZ_ASSERT(f && fwrite(b.p, 1, b.n, f) == b.n && fclose(f) == 0);
    return 0;
}

/* Append up to `size`, write what that needs, and the checkpoint. */
static inline void yz_published_grow(struct published_log *p, uint64_t size)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = 4096}, note = {.max = 8192};
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    struct checkpoint c = {.origin = yzi_bytes_str(p->origin), .size = size};
    uint8_t signature[64];
    while (p->tree.f.size < size) {
        yz_published_append(p, 0, 0);
    }
    YZ_ASSERT(yzi_tiles_each(p->published, size, yz_published_tile, p) == 0);
    YZ_ASSERT(yzi_nodes_root(size, yz_grown_node, &p->tree, &c.root) == 0);
    YZ_ASSERT(yzi_checkpoint_write(&c, &text) == 0);
    YZ_ASSERT(yzi_sign_checkpoint(&p->key, yzi_bytes_buf(&text), signature) == 0);
    YZ_ASSERT(yzi_checkpoint_note(&c, &p->vkey, signature, &note) == 0);
    YZ_ASSERT(yzi_path_join(p->dir, "checkpoint", &path) == 0);
    YZ_ASSERT(yzi_file_write(path, yzi_bytes_buf(&note), 0644, NULL) == 0);
    p->published = size;
}

#endif
