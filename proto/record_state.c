/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that say how things stand: the directory's manifest, its freshness, and an adapter's
 * announcement of the key to seal to.
 */
#include "proto/record_part.h"

/* -- manifest -- */

/* Every record of the tree is in exactly one chunk. */
static int read_chunks(struct record_reader *r, const Yizhan__Wire__Manifest *w,
                       struct manifest *out)
{
    struct bag digests = {.arena = &r->scratch};
    uint64_t records = 0;
    YZ_TRY(yzi_check_count(w->n_chunks, 1, YZ_MANIFEST_CHUNKS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_chunks, sizeof *out->chunks, &out->chunks));
    for (size_t i = 0; i < w->n_chunks; i++) {
        const Yizhan__Wire__Chunk *from = w->chunks[i];
        struct manifest_chunk *to = &out->chunks[i];
        YZ_TRY(yzi_read_digest(from->digest, &to->digest));
        YZ_TRY(yzi_bag_add(&digests, yzi_view(from->digest)));
        YZ_TRY(yzi_check_range(from->bytes, 1, YZ_CHUNK_MAX));
        to->bytes = from->bytes;
        YZ_ENSURE(from->records > 0, YZ_EMALFORMED);
        to->records = from->records;
        records += from->records; /* at most 2^12 times 2^32 */
    }
    YZ_ENSURE(records == w->tree_size, YZ_EMALFORMED);
    out->chunks_n = w->n_chunks;
    return yzi_bag_close(&digests);
}

int yzi_manifest_parse(yz_bytes body, struct arena *a, struct manifest *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Manifest *w;
    struct manifest parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__manifest__descriptor, body, &w));
    parsed.instance = yzi_view(w->instance);
    YZ_TRY(yzi_segment_check(parsed.instance));
    YZ_ENSURE(w->version > 0 && w->issued_at > 0 && w->root_version > 0, YZ_EMALFORMED);
    parsed.version = w->version;
    parsed.issued_at = w->issued_at;
    parsed.root_version = w->root_version;
    parsed.tree_size = w->tree_size;
    YZ_TRY(yzi_read_digest(w->root_hash, &parsed.root_hash));
    YZ_TRY(read_chunks(&r, w, &parsed));
    *out = parsed;
    return 0;
}

int yzi_manifest_write(const struct manifest *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__Manifest w = YIZHAN__WIRE__MANIFEST__INIT;
    w.instance = yzi_bin(in->instance);
    w.version = in->version;
    w.issued_at = in->issued_at;
    w.root_version = in->root_version;
    w.tree_size = in->tree_size;
    w.root_hash = yzi_bin(yzi_bytes_digest(&in->root_hash));
    YZ_TRY(yzi_wire_list(&a, &yizhan__wire__chunk__descriptor, in->chunks_n, &w.chunks));
    w.n_chunks = in->chunks_n;
    for (size_t i = 0; i < in->chunks_n; i++) {
        const struct manifest_chunk *from = &in->chunks[i];
        w.chunks[i]->digest = yzi_bin(yzi_bytes_digest(&from->digest));
        w.chunks[i]->bytes = from->bytes;
        w.chunks[i]->records = from->records;
    }
    return yzi_record_pack(RECORD_MANIFEST, &w.base, out);
}

/* -- freshness -- */

int yzi_freshness_parse(yz_bytes body, struct arena *a, struct freshness *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Freshness *w;
    struct freshness parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__freshness__descriptor, body, &w));
    parsed.instance = yzi_view(w->instance);
    YZ_TRY(yzi_segment_check(parsed.instance));
    YZ_ENSURE(w->directory_version > 0 && w->time > 0, YZ_EMALFORMED);
    parsed.directory_version = w->directory_version;
    YZ_TRY(yzi_read_digest(w->root_hash, &parsed.root_hash));
    parsed.time = w->time;
    *out = parsed;
    return 0;
}

int yzi_freshness_write(const struct freshness *in, yz_buf *out)
{
    Yizhan__Wire__Freshness w = YIZHAN__WIRE__FRESHNESS__INIT;
    w.instance = yzi_bin(in->instance);
    w.directory_version = in->directory_version;
    w.root_hash = yzi_bin(yzi_bytes_digest(&in->root_hash));
    w.time = in->time;
    return yzi_record_pack(RECORD_FRESHNESS, &w.base, out);
}

/* -- announcement -- */

int yzi_announcement_parse(yz_bytes body, struct arena *a, struct announcement *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Announcement *w;
    struct announcement parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__announcement__descriptor, body, &w));
    YZ_ENSURE(w->suite == SUITE_1, YZ_EVERSION);
    parsed.suite = w->suite;
    YZ_TRY(yzi_node_id_parse(yzi_view(w->node), &parsed.node));
    YZ_ENSURE(!yzi_node_is_broker(parsed.node), YZ_EMALFORMED);
    struct bag keys = {.arena = &r.scratch};
    YZ_TRY(yzi_read_key(w->epoch_key, &keys, parsed.epoch_key));
    parsed.sequence = w->sequence;
    YZ_ENSURE(w->not_before < w->not_after, YZ_EMALFORMED); /* an epoch always ends */
    parsed.not_before = w->not_before;
    parsed.not_after = w->not_after;
    *out = parsed;
    return 0;
}

int yzi_announcement_write(const struct announcement *in, yz_buf *out)
{
    Yizhan__Wire__Announcement w = YIZHAN__WIRE__ANNOUNCEMENT__INIT;
    w.node = yzi_bin(in->node.v);
    w.epoch_key = yzi_bin(yzi_bytes(in->epoch_key, sizeof in->epoch_key));
    w.sequence = in->sequence;
    w.not_before = in->not_before;
    w.not_after = in->not_after;
    w.suite = in->suite;
    return yzi_record_pack(RECORD_ANNOUNCEMENT, &w.base, out);
}
