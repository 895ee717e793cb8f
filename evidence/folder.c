/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a published log.
 */
#include "evidence/folder.h"

#include <inttypes.h>

#include "base/file.h"

#define FILE_BYTES_MAX (TILE_HASHES * (2u + UINT16_MAX)) /* a bundle of the longest entries */

void yzi_log_folder_init(struct log_folder *f, const char *dir)
{
    f->dir = dir;
    yzi_buf_init(&f->bytes, FILE_BYTES_MAX);
}

void yzi_log_folder_fini(struct log_folder *f)
{
    yzi_buf_fini(&f->bytes);
}

int yzi_log_folder_read(void *folder, const struct tile_name *t, yz_bytes *out)
{
    struct log_folder *f = folder;
    char name[TILE_PATH_MAX];
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    yzi_tile_path(t, name);
    YZ_TRY(yzi_path_join(f->dir, name, &path));
    yzi_buf_clear(&f->bytes);
    YZ_TRY(yzi_file_read(path, &f->bytes, NULL));
    *out = yzi_bytes_buf(&f->bytes);
    return 0;
}

static const char *why(int code)
{
    return code == YZ_ESIGNATURE    ? "its signature is not right"
           : code == YZ_EUNKNOWNKEY ? "it is not signed by this key"
           : code == YZ_EDENIED     ? "it is of another log than this key's"
                                    : "it is no checkpoint";
}

int yzi_log_checkpoint_read(const char *where, yz_bytes note, const struct note_key *key,
                            struct checkpoint *out, yz_error *err)
{
    int rc;
    if (key) {
        rc = yzi_checkpoint_open(note, key, out);
        rc = rc == YZ_ENOTFOUND ? YZ_EUNKNOWNKEY : rc; /* the file is there */
    } else {
        YZ_AUTO(yzi_free_ptr) struct note *n = NULL;
        YZ_TRY(yzi_alloc(1, sizeof *n, &n));
        rc = yzi_note_parse(note, n);
        rc = rc ? rc : yzi_checkpoint_parse(n->text, out);
    }
    return rc == 0 || rc == YZ_ENOMEM ? rc : yzi_fail(err, rc, "%s: %s", where, why(rc));
}

int yzi_log_folder_checkpoint(const char *dir, const struct note_key *key, yz_buf *note,
                              struct checkpoint *out, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) char *path = NULL;
    YZ_TRY(yzi_path_join(dir, "checkpoint", &path));
    YZ_TRY(yzi_file_read(path, note, err));
    return yzi_log_checkpoint_read(path, yzi_bytes_buf(note), key, out, err);
}

static int forked(const struct checkpoint *older, const struct checkpoint *newer, yz_error *err)
{
    return yzi_fail(err, YZ_EEQUIVOCATION,
                    "log %.*s is forked: its checkpoint of %" PRIu64
                    " entries does not go on from that of %" PRIu64,
                    (int)newer->origin.n, (const char *)newer->origin.p, newer->size, older->size);
}

static int prove(const char *dir, const struct checkpoint *older, const struct checkpoint *newer,
                 struct merkle_path *out, yz_error *err)
{
    struct log_folder f;
    yzi_log_folder_init(&f, dir);
    struct tile_source source = {yzi_log_folder_read, &f, newer->size};
    int rc = yzi_nodes_consistency(older->size, newer->size, yzi_tile_node_hash, &source, out);
    yzi_log_folder_fini(&f);
    return rc == 0 ? 0
                   : yzi_fail(err, rc,
                              "%s: a tile between %" PRIu64 " and %" PRIu64
                              " entries is missing or damaged",
                              dir, older->size, newer->size);
}

int yzi_log_folder_follows(const char *dir, const struct checkpoint *older,
                           const struct checkpoint *newer, yz_error *err)
{
    struct merkle_path proof;
    if (!yzi_bytes_eq(older->origin, newer->origin)) {
        return yzi_fail(err, YZ_EDENIED, "%s: this is another log, %.*s", dir, (int)newer->origin.n,
                        (const char *)newer->origin.p);
    }
    if (newer->size < older->size) {
        return yzi_fail(
            err, YZ_EROLLBACK, "log %.*s shows %" PRIu64 " entries; it had %" PRIu64 " before",
            (int)newer->origin.n, (const char *)newer->origin.p, newer->size, older->size);
    }
    if (newer->size == older->size) {
        return yzi_digest_eq(&older->root, &newer->root) ? 0 : forked(older, newer, err);
    }
    YZ_TRY(prove(dir, older, newer, &proof, err));
    int rc = yzi_merkle_check_consistency(older->size, &older->root, newer->size, &newer->root,
                                          proof.hash, proof.n);
    return rc == 0 ? 0 : forked(older, newer, err);
}
