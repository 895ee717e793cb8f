/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's side: records in, a signed manifest and chunks out. Where a chunk ends is decided
 * by the identifiers of the records in it, not by their contents or by how many came before, so
 * that a change of one record changes one chunk and its neighbours stay as everybody already has
 * them. Verifiers do not care where chunks end.
 */
#include <sodium.h>

#include "keys/directory_internal.h"

#define CUT_BITS 6u /* a chunk ends after one record in 64 */
#define CHUNKS_AIM (YZ_MANIFEST_CHUNKS_MAX / 2u)

struct entry {
    struct dir_place place;
    yz_bytes raw;
    enum record_kind kind;
};

struct builder {
    struct arena arena;
    struct entry *entries;
    size_t n;
    yz_digest *leaves;
    struct manifest_chunk *chunks;
    size_t *starts; /* of chunk i in entries; starts[chunks_n] is n */
    size_t chunks_n;
};

static void builder_fini(struct builder *b)
{
    yzi_arena_fini(&b->arena);
}

void yzi_directory_parts_fini(struct directory_parts *p)
{
    yzi_buf_fini(&p->manifest);
    for (size_t i = 0; i < p->chunks_n; i++) {
        yzi_buf_fini(&p->chunks[i]);
    }
    free(p->chunks);
    *p = (struct directory_parts){0};
}

/* -- order -- */

static int entry_cmp(const void *a, const void *b)
{
    return yzi_dir_place_cmp(&((const struct entry *)a)->place, &((const struct entry *)b)->place);
}

static int read_entry(struct builder *b, yz_bytes raw, size_t i, yz_error *err)
{
    struct record r;
    struct entry *e = &b->entries[i];
    int rc = yzi_record_parse(raw, &r);
    rc = rc < 0 ? rc : yzi_dir_place_of(r.kind, r.body, &b->arena, &e->place);
    if (rc < 0) {
        return yzi_fail(err, rc == YZ_ENOMEM ? rc : YZ_EINVAL,
                        "record %zu of those given is none of a directory, or cannot be read (%s)",
                        i, yz_err_words(rc));
    }
    e->kind = r.kind;
    e->raw = raw;
    return 0;
}

static int read_entries(struct builder *b, const yz_bytes *records, size_t n, yz_error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(yzi_size_add(total, records[i].n, &total));
    }
    yzi_arena_init(&b->arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * total);
    YZ_TRY(yzi_arena_new(&b->arena, n, sizeof *b->entries, &b->entries));
    YZ_TRY(yzi_arena_new(&b->arena, n, sizeof *b->leaves, &b->leaves));
    b->n = n;
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(read_entry(b, records[i], i, err));
    }
    qsort(b->entries, n, sizeof *b->entries, entry_cmp);
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &b->entries[i];
        if (i > 0 && entry_cmp(e - 1, e) == 0) {
            bool printable = e->place.tag == 0;
            return yzi_fail(err, YZ_EINVAL, "there are two %s records%s%.*s",
                            yzi_record_kind_name(e->kind), printable ? " of " : "",
                            printable ? (int)e->place.id.n : 0, (const char *)e->place.id.p);
        }
        yzi_merkle_leaf(e->raw, &b->leaves[i]);
    }
    return b->entries[0].kind == RECORD_ROOT
               ? 0
               : yzi_fail(err, YZ_EINVAL, "there is no root statement");
}

/* -- chunks -- */

/* Whether the identifier of a record says that a chunk ends after it. */
static bool ends_chunk(const struct dir_place *place, unsigned bits)
{
    const uint8_t head[2] = {(uint8_t)place->rank, (uint8_t)place->tag};
    yz_digest d;
    yzi_merkle_leaf2(yzi_bytes(head, sizeof head), place->id, &d);
    return (yzi_load_u32(d.b) & ((1u << bits) - 1u)) == 0;
}

static void close_chunk(struct builder *b, size_t end, size_t bytes)
{
    struct manifest_chunk *c = &b->chunks[b->chunks_n];
    c->bytes = (uint32_t)bytes;
    c->records = (uint32_t)(end - b->starts[b->chunks_n]);
    b->starts[++b->chunks_n] = end;
}

/* Kinds keep apart, so that the root statement and the brokers have chunks of their own. */
static int cut(struct builder *b)
{
    unsigned bits = CUT_BITS;
    while (b->n >> bits > CHUNKS_AIM) {
        bits++;
    }
    YZ_TRY(yzi_arena_new(&b->arena, YZ_MANIFEST_CHUNKS_MAX, sizeof *b->chunks, &b->chunks));
    YZ_TRY(yzi_arena_new(&b->arena, YZ_MANIFEST_CHUNKS_MAX + 1, sizeof *b->starts, &b->starts));
    size_t bytes = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct entry *e = &b->entries[i];
        bool apart = i > 0 && (e[-1].kind != e->kind || ends_chunk(&e[-1].place, bits));
        if (bytes > 0 && (apart || e->raw.n > YZ_CHUNK_MAX - bytes)) {
            YZ_ENSURE(b->chunks_n + 1 < YZ_MANIFEST_CHUNKS_MAX, YZ_ELIMIT);
            close_chunk(b, i, bytes);
            bytes = 0;
        }
        bytes += e->raw.n;
    }
    close_chunk(b, b->n, bytes);
    return 0;
}

static int write_chunks(struct builder *b, struct directory_parts *p)
{
    YZ_TRY(yzi_alloc(b->chunks_n, sizeof *p->chunks, &p->chunks));
    p->chunks_n = b->chunks_n;
    for (size_t i = 0; i < b->chunks_n; i++) {
        yz_buf *to = &p->chunks[i];
        yzi_buf_init(to, YZ_CHUNK_MAX);
        YZ_TRY(yzi_buf_reserve(to, b->chunks[i].bytes));
        for (size_t k = b->starts[i]; k < b->starts[i + 1]; k++) {
            YZ_TRY(yzi_buf_put(to, b->entries[k].raw));
        }
        crypto_hash_sha256(b->chunks[i].digest.b, to->p, to->n);
    }
    return 0;
}

/* -- manifest -- */

static int write_manifest(struct builder *b, uint64_t version, uint64_t issued_at,
                          struct key_pair *const *operators, unsigned operators_n, yz_buf *out,
                          yz_error *err)
{
    struct record r;
    struct root_statement root;
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yzi_buf_init(&body, YZ_RECORD_MAX);
    YZ_TRY(yzi_record_parse(b->entries[0].raw, &r));
    int rc = yzi_root_statement_parse(r.body, &b->arena, &root);
    if (rc < 0) {
        return yzi_fail(err, rc == YZ_ENOMEM ? rc : YZ_EINVAL,
                        "the root statement cannot be read (%s)", yz_err_words(rc));
    }
    struct manifest m = {
        .instance = root.instance,
        .version = version,
        .issued_at = issued_at,
        .root_version = root.version,
        .tree_size = b->n,
        .chunks = b->chunks,
        .chunks_n = b->chunks_n,
    };
    yzi_merkle_root(b->leaves, b->n, &m.root_hash);
    YZ_TRY(yzi_manifest_write(&m, &body));
    yzi_buf_init(out, YZ_RECORD_MAX);
    rc = yzi_record_sign(RECORD_MANIFEST, yzi_bytes_buf(&body), operators, operators_n, out);
    return rc < 0 ? yzi_fail(err, rc, "the manifest cannot be signed with these keys") : 0;
}

/* That what was made is what a node believes. What it would refuse is the operator's mistake. */
static int check_parts(const struct builder *b, const struct directory_parts *p, yz_error *err)
{
    YZ_AUTO(yzi_free_ptr) yz_bytes *chunks = NULL;
    YZ_AUTO(yzi_directory_unref_ptr) const struct directory *d = NULL;
    YZ_TRY(yzi_alloc(p->chunks_n, sizeof *chunks, &chunks));
    for (size_t i = 0; i < p->chunks_n; i++) {
        chunks[i] = yzi_bytes_buf(&p->chunks[i]);
    }
    int rc = yzi_directory_verify(b->entries[0].raw, yzi_bytes_buf(&p->manifest), chunks,
                                  p->chunks_n, &d, err);
    if (rc == 0 || rc == YZ_ENOMEM || rc == YZ_ELIMIT) {
        return rc;
    }
    if (err) {
        err->code = YZ_EINVAL;
    }
    return YZ_EINVAL;
}

static void parts_fini_ptr(struct directory_parts *p)
{
    yzi_directory_parts_fini(p);
}

int yzi_directory_assemble(const yz_bytes *records, size_t n, uint64_t version, uint64_t issued_at,
                           struct key_pair *const *operators, unsigned operators_n,
                           struct directory_parts *out, yz_error *err)
{
    YZ_AUTO(builder_fini) struct builder b = {0};
    YZ_AUTO(parts_fini_ptr) struct directory_parts p = {0};
    YZ_ENSURE(n > 0 && version > 0 && operators_n > 0,
              yzi_fail(err, YZ_EINVAL, "a directory needs records, a version and an operator"));
    YZ_TRY(read_entries(&b, records, n, err));
    int rc = cut(&b);
    if (rc == YZ_ELIMIT) {
        return yzi_fail(err, rc, "the records need more than %u chunks", YZ_MANIFEST_CHUNKS_MAX);
    }
    YZ_TRY(rc);
    YZ_TRY(write_chunks(&b, &p));
    YZ_TRY(write_manifest(&b, version, issued_at, operators, operators_n, &p.manifest, err));
    YZ_TRY(check_parts(&b, &p, err));
    *out = p;
    p = (struct directory_parts){0};
    return 0;
}

/* -- bundles -- */

int yzi_dir_bundle_put(yz_buf *out, yz_bytes part)
{
    size_t need;
    YZ_TRY(yzi_size_add(part.n, 4, &need));
    YZ_TRY(yzi_buf_reserve(out, need));
    YZ_TRY(yzi_buf_put_u32(out, (uint32_t)part.n));
    return yzi_buf_put(out, part);
}

int yzi_directory_bundle_write(const struct directory_parts *p, yz_buf *out)
{
    size_t before = out->n;
    int rc = yzi_dir_bundle_put(out, yzi_bytes_buf(&p->manifest));
    for (size_t i = 0; rc == 0 && i < p->chunks_n; i++) {
        rc = yzi_dir_bundle_put(out, yzi_bytes_buf(&p->chunks[i]));
    }
    if (rc < 0) {
        out->n = before;
    }
    return rc;
}

static int take_part(yz_reader *r, size_t max, yz_bytes *out)
{
    uint32_t n;
    YZ_TRY(yzi_read_u32(r, &n));
    YZ_ENSURE(n <= max, YZ_ETOOBIG);
    YZ_ENSURE(n > 0, YZ_EMALFORMED);
    return yzi_read_bytes(r, n, out);
}

int yzi_directory_bundle_parse(yz_bytes bundle, yz_bytes *out_manifest, yz_bytes *out_chunks,
                               size_t *inout_chunks_n)
{
    yz_reader r = yzi_reader(bundle);
    yz_bytes manifest;
    size_t n = 0;
    YZ_TRY(take_part(&r, YZ_RECORD_MAX, &manifest));
    while (r.left) {
        YZ_ENSURE(n < *inout_chunks_n && n < YZ_MANIFEST_CHUNKS_MAX, YZ_ELIMIT);
        YZ_TRY(take_part(&r, YZ_CHUNK_MAX, &out_chunks[n]));
        n++;
    }
    YZ_ENSURE(n > 0, YZ_EMALFORMED);
    *out_manifest = manifest;
    *inout_chunks_n = n;
    return 0;
}
