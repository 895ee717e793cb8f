/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking after what is there. The store first: entries against the hashes kept above them, bodies
 * against their entries' digests; what does not fit is named and nothing is done about it, because
 * nobody here knows the truth. Then the published files against the store that was just found good:
 * one that is missing or differs is named, and written again from it.
 */
#include <inttypes.h>

#include "broker/evidence/publisher.h"

/* The bodies of a full tile's entries. */
static int check_bodies(struct publication *p, uint64_t number, yz_error *err)
{
    uint8_t entries[TILE_WIDTH * YZ_ENTRY_BYTES];
    uint64_t from = number << TILE_BITS;
    YZ_TRY(yzi_ledger_entries(p->store, p->txn, from, TILE_WIDTH, entries));
    for (unsigned i = 0; i < TILE_WIDTH; i++) {
        uint64_t index = from + i;
        struct entry e;
        yz_bytes body;
        yz_digest digest;
        if (index < p->at.pruned) {
            continue;
        }
        int rc =
            yzi_entry_parse(yzi_bytes(entries + (size_t)i * YZ_ENTRY_BYTES, YZ_ENTRY_BYTES), &e);
        rc = rc < 0 ? rc : yzi_ledger_body(p->store, p->txn, index, &body);
        if (rc == YZ_OK) {
            yzi_entry_digest(body, &digest);
        }
        if (rc < 0 || !yzi_digest_eq(&digest, &e.digest)) {
            return yzi_fail(err, YZ_ECORRUPT, "%s: the body of entry %" PRIu64 " is %s",
                            yzi_ledger_path(p->store), index,
                            rc == YZ_ENOTFOUND ? "missing" : "not the one in the log");
        }
    }
    return YZ_OK;
}

/* Named, and written again. */
static int rewrite(struct publication *p, const struct log_file *f, yz_bytes content,
                   const char *what, struct scrub *s)
{
    struct log_files one = {.dir = p->dir, .few = true};
    char name[LOG_FILE_NAME_MAX];
    yz_error err = {0};
    yzi_log_file_name(f, name);
    yzi_fail(&err, YZ_ECORRUPT, "%s/%s is %s; it is written again from the store", p->dir, name,
             what);
    yzi_log_error(&EV_EVIDENCE_FILE, &err, NULL);
    s->rewritten++;
    yz_error failed = {0};
    int rc = yzi_log_files_put(&one, f, content, &failed);
    if (rc < 0) {
        yzi_log_error(&EV_EVIDENCE_FILE, &failed, NULL);
    }
    return rc;
}

static int compare(struct publication *p, const struct log_file *f, yz_bytes content,
                   struct scrub *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf there;
    yz_error err = {0};
    yzi_buf_init(&there, content.n + 1);
    s->checked++;
    int rc = yzi_log_files_read(p->dir, f, &there, &err);
    if (rc == YZ_ENOMEM) {
        return rc;
    }
    if (rc == YZ_OK && yzi_bytes_eq(yzi_bytes_buf(&there), content)) {
        return YZ_OK;
    }
    return rewrite(p, f, content, rc == YZ_ENOTFOUND ? "missing" : "not what was published", s);
}

static int check_file(struct publication *p, const struct log_file *f, struct scrub *s,
                      yz_error *err)
{
    yz_bytes content;
    YZ_TRY(yzi_publication_content(p, f, &content, err));
    return compare(p, f, content, s);
}

static int check_tile(struct publication *p, struct scrub *s, unsigned width, yz_error *err)
{
    struct log_file f = {
        .kind = LOG_FILE_TILE, .level = s->level, .number = s->number, .width = width};
    YZ_TRY(check_file(p, &f, s, err));
    if (s->level == 0) {
        f.kind = LOG_FILE_BUNDLE;
        YZ_TRY(check_file(p, &f, s, err));
        if (width == TILE_WIDTH) {
            YZ_TRY(check_bodies(p, s->number, err));
        }
    }
    return YZ_OK;
}

static int name_damage(struct scrub *s, int rc, const yz_error *err)
{
    if (rc == YZ_ECORRUPT) {
        s->damaged++;
        yzi_log_error(&EV_EVIDENCE_DAMAGED, err, NULL);
    }
    return rc;
}

int yzi_scrub_some(struct publication *p, struct scrub *s, unsigned most)
{
    int result = YZ_OK;
    for (; most > 0; most--) {
        while (s->number >= p->at.size >> TILE_BITS * (s->level + 1)) {
            if (s->level + 1 >= TILE_LEVELS || p->at.size >> TILE_BITS * (s->level + 1) == 0) {
                s->level = 0;
                s->number = 0;
                s->rounds++;
                return result == YZ_OK ? YZ_ENOTFOUND : result;
            }
            s->level++;
            s->number = 0;
        }
        yz_error err = {0};
        int rc = name_damage(s, check_tile(p, s, TILE_WIDTH, &err), &err);
        YZ_ENSURE(rc == YZ_OK || rc == YZ_ECORRUPT, rc);
        result = rc < 0 ? rc : result;
        s->number++;
    }
    return result;
}

int yzi_scrub_edge(struct publication *p, struct scrub *s)
{
    struct scrub at = {0};
    yz_error err = {0};
    for (; at.level < TILE_LEVELS; at.level++) {
        uint64_t nodes = p->at.size >> TILE_BITS * at.level;
        if (nodes == 0) {
            break;
        }
        at.number = (nodes - 1) / TILE_WIDTH; /* the last one, full or not */
        int rc = check_tile(p, &at, (unsigned)(nodes - at.number * TILE_WIDTH), &err);
        YZ_TRY(name_damage(s, rc, &err));
    }
    s->checked += at.checked;
    s->rewritten += at.rewritten;
    return YZ_OK;
}
