/* SPDX-License-Identifier: Apache-2.0
 *
 * A newer directory on its way here, chunk by chunk. A manifest of the root statement in force is
 * verified when it is offered, so that only operators can make us fetch and hold its chunks. One of
 * a newer root statement cannot be verified before that statement is here: it is a probe, worth one
 * chunk, the first, in which the statement must be; with that it is verified, or forgotten.
 */
#include <sodium.h>

#include "keys/trust_internal.h"

void yzi_trust_pending_fini(struct trust_pending *p)
{
    for (size_t i = 0; p->chunks && i < p->manifest.chunks_n; i++) {
        yzi_buf_fini(&p->chunks[i]);
    }
    free(p->chunks);
    yzi_buf_fini(&p->record);
    yzi_arena_fini(&p->arena);
    *p = (struct trust_pending){0};
}

void yzi_trust_pending_clear(struct trust *t)
{
    yzi_trust_pending_fini(&t->pending);
    yzi_trust_pending_fini(&t->probe);
    t->probing = false;
}

bool yzi_trust_pending_complete(const struct trust *t)
{
    return t->pending.used && t->pending.missing == 0;
}

static int pending_init(struct trust_pending *p, yz_bytes record, yz_error *err)
{
    *p = (struct trust_pending){0};
    YZ_ENSURE(record.n <= YZ_RECORD_MAX, yzi_fail(err, YZ_ETOOBIG, "the manifest is too long"));
    yzi_arena_init(&p->arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * record.n);
    yzi_buf_init(&p->record, YZ_RECORD_MAX);
    YZ_TRY(yzi_buf_put(&p->record, record));
    YZ_TRY(yzi_dir_parse_manifest(yzi_bytes_buf(&p->record), &p->arena, &p->r, &p->manifest, err));
    YZ_TRY(yzi_alloc(p->manifest.chunks_n, sizeof *p->chunks, &p->chunks));
    p->missing = p->manifest.chunks_n;
    p->used = true;
    return 0;
}

static int take_chunk(struct trust_pending *p, size_t i, yz_bytes chunk)
{
    if (p->chunks[i].n) {
        return 0;
    }
    yzi_buf_init(&p->chunks[i], YZ_CHUNK_MAX);
    YZ_TRY(yzi_buf_put(&p->chunks[i], chunk));
    p->missing--;
    return 0;
}

static yz_bytes held_chunk(const struct trust_pending *p, const yz_digest *digest)
{
    for (size_t i = 0; p->used && i < p->manifest.chunks_n; i++) {
        if (yzi_digest_eq(&p->manifest.chunks[i].digest, digest)) {
            return yzi_bytes_buf(&p->chunks[i]);
        }
    }
    return (yz_bytes){0};
}

/* Make a verified manifest the pending one, with every chunk that is here already. */
static int promote(struct trust *t, struct trust_pending *p)
{
    for (size_t i = 0; i < p->manifest.chunks_n; i++) {
        const yz_digest *digest = &p->manifest.chunks[i].digest;
        yz_bytes chunk = t->directory ? yzi_directory_chunk(t->directory, digest) : (yz_bytes){0};
        chunk = chunk.n ? chunk : held_chunk(&t->pending, digest);
        if (chunk.n) {
            YZ_TRY(take_chunk(p, i, chunk));
        }
    }
    p->verified = true;
    yzi_trust_pending_fini(&t->pending);
    t->pending = *p;
    *p = (struct trust_pending){0};
    t->probing = false;
    return 0;
}

/* -- offers -- */

/* What the newest root statement says about it: *out_verified false when only a newer one could. */
static int check_signature(struct trust *t, const struct trust_pending *p, bool *out_verified,
                           yz_error *err)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct root_statement root;
    yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * t->root.n);
    YZ_TRY(yzi_dir_authorise_root(t->root, t->root, &arena, &root, err));
    if (!yzi_bytes_eq(p->manifest.instance, root.instance)) {
        return yzi_fail(err, YZ_EUNKNOWNKEY, "the directory is of instance %.*s, not %.*s",
                        YZ_V(p->manifest.instance), YZ_V(root.instance));
    }
    if (p->manifest.root_version < root.version) {
        return yzi_fail(err, YZ_EROLLBACK, "the directory is of an older root statement (%llu)",
                        (unsigned long long)p->manifest.root_version);
    }
    *out_verified = p->manifest.root_version == root.version;
    return *out_verified ? yzi_dir_check_manifest(&root, &p->r, &p->manifest, err) : 0;
}

static int check_version(const struct trust *t, const struct trust_pending *p, bool verified,
                         yz_error *err)
{
    unsigned long long version = p->manifest.version;
    yz_digest digest;
    if (version > t->memory.version) {
        return 0;
    }
    if (version < t->memory.version) {
        return yzi_fail(err, YZ_EROLLBACK,
                        "directory version %llu is older than %llu, which was seen", version,
                        (unsigned long long)t->memory.version);
    }
    crypto_hash_sha256(digest.b, p->r.body.p, p->r.body.n);
    if (yzi_digest_eq(&digest, &t->memory.manifest)) {
        return 0; /* seen but not here, after a loss of files */
    }
    return yzi_fail(err, YZ_EROLLBACK,
                    verified ? "the operators signed two different directories %llu: alarm"
                             : "this is not the directory version %llu that was seen",
                    version);
}

static bool in_force(const struct trust *t, const struct trust_pending *p)
{
    return t->directory && yzi_bytes_eq(t->directory->base->manifest_body, p->r.body);
}

static bool same_manifest(const struct trust_pending *a, const struct trust_pending *b)
{
    return a->used && yzi_bytes_eq(a->r.body, b->r.body);
}

static int offer(struct trust *t, struct trust_pending *p, yz_error *err)
{
    bool verified;
    if (in_force(t, p)) {
        return yzi_fail(err, YZ_EEXIST, "directory version %llu is in force",
                        (unsigned long long)p->manifest.version);
    }
    YZ_TRY(check_signature(t, p, &verified, err));
    YZ_TRY(check_version(t, p, verified, err));
    if (verified && same_manifest(&t->pending, p)) {
        t->probing = false;
        return 0;
    }
    if (verified) {
        return promote(t, p);
    }
    t->probing = true;
    if (!same_manifest(&t->probe, p)) {
        yzi_trust_pending_fini(&t->probe);
        t->probe = *p;
        *p = (struct trust_pending){0};
    }
    return 0;
}

int yzi_trust_offer_manifest(struct trust *t, yz_bytes manifest_record, struct arena *arena,
                             yz_digest **out_missing, size_t *out_n, yz_error *err)
{
    YZ_AUTO(yzi_trust_pending_fini) struct trust_pending p = {0};
    if (!t->root.n) {
        return yzi_fail(err, YZ_EUNAVAILABLE, "there is no anchor to judge a directory by");
    }
    YZ_TRY(pending_init(&p, manifest_record, err));
    YZ_TRY(offer(t, &p, err));
    return yzi_trust_missing(t, arena, out_missing, out_n);
}

bool yzi_trust_can_judge(struct trust *t, yz_bytes manifest_record)
{
    YZ_AUTO(yzi_trust_pending_fini) struct trust_pending p = {0};
    bool verified = false;
    return t->root.n && pending_init(&p, manifest_record, NULL) == YZ_OK &&
           check_signature(t, &p, &verified, NULL) == YZ_OK && verified;
}

/* -- chunks -- */

int yzi_trust_missing(struct trust *t, struct arena *arena, yz_digest **out, size_t *out_n)
{
    const struct trust_pending *p = t->probing ? &t->probe : &t->pending;
    size_t want = !p->used ? 0 : (t->probing ? 1 : p->missing), n = 0;
    yz_digest *list;
    YZ_TRY(yzi_arena_new(arena, want, sizeof *list, &list));
    for (size_t i = 0; n < want; i++) {
        if (p->chunks[i].n == 0) {
            list[n++] = p->manifest.chunks[i].digest;
        }
    }
    *out = list;
    *out_n = n;
    return 0;
}

/* The first chunk of the probe is here: is its root statement one we follow, and are its operators
 * the ones who signed the manifest? */
static int judge_probe(struct trust *t, yz_bytes chunk)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct record r;
    struct root_statement root;
    yzi_arena_init(&arena, DIR_ARENA_FIXED + DIR_ARENA_FACTOR * chunk.n);
    YZ_TRY(yzi_dir_root_of_chunk(chunk, &r, NULL));
    YZ_TRY(yzi_dir_authorise_root(t->root, r.raw, &arena, &root, NULL));
    YZ_TRY(yzi_dir_check_manifest(&root, &t->probe.r, &t->probe.manifest, NULL));
    YZ_TRY(take_chunk(&t->probe, 0, chunk));
    return promote(t, &t->probe);
}

static int put_probe(struct trust *t, yz_bytes chunk, size_t *out_remaining)
{
    int rc = judge_probe(t, chunk);
    if (rc < 0 && rc != YZ_ENOMEM) {
        yzi_trust_pending_fini(&t->probe);
        t->probing = false;
    }
    YZ_TRY(rc);
    *out_remaining = t->pending.missing;
    return 0;
}

int yzi_trust_put_chunk(struct trust *t, yz_bytes chunk, size_t *out_remaining)
{
    yz_digest digest;
    YZ_ENSURE(chunk.n > 0 && chunk.n <= YZ_CHUNK_MAX, YZ_ENOTFOUND);
    crypto_hash_sha256(digest.b, chunk.p, chunk.n);
    if (t->probe.used && yzi_digest_eq(&digest, &t->probe.manifest.chunks[0].digest)) {
        return put_probe(t, chunk, out_remaining);
    }
    for (size_t i = 0; t->pending.used && i < t->pending.manifest.chunks_n; i++) {
        if (t->pending.chunks[i].n == 0 &&
            yzi_digest_eq(&digest, &t->pending.manifest.chunks[i].digest)) {
            YZ_TRY(take_chunk(&t->pending, i, chunk));
            *out_remaining = t->pending.missing;
            return 0;
        }
    }
    return YZ_ENOTFOUND;
}
