/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixture. What verifies here uses the formats' code but none of broker/evidence/.
 */
#include "tests/unit/broker/evidence_fixture.h"

#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <sodium.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "proof/tile.h"
#include "tests/support/fixed_key.h"

#define NODE "CN/@b1"
#define BASE_TIME UINT64_C(1790000000000)

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

void evidence_remove_all(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void evidence_fixture_init(struct evidence_fixture *f)
{
    const char *tmp = getenv("TMPDIR");
    evidence_fixture_init_in(f, tmp ? tmp : "/tmp");
}

void evidence_fixture_init_in_memory(struct evidence_fixture *f)
{
    if (access("/dev/shm", W_OK | X_OK) == 0) {
        evidence_fixture_init_in(f, "/dev/shm");
    } else {
        evidence_fixture_init(f);
    }
}

void evidence_fixture_init_in(struct evidence_fixture *f, const char *parent)
{
    *f = (struct evidence_fixture){0};
    snprintf(f->dir, sizeof f->dir, "%s/yz-evidence-XXXXXX", parent);
    YZ_ASSERT(mkdtemp(f->dir));
    snprintf(f->store, sizeof f->store, "%s/store", f->dir);
    snprintf(f->publish, sizeof f->publish, "%s/publish", f->dir);
    f->key = yz_numbered_key(KEY_LOG, 7);
    yzi_key_pair_hold(&f->key);
    yzi_manual_clock_init(&f->clock, BASE_TIME);
    f->options = (struct evidence_options){.dir = f->store,
                                           .publish = f->publish,
                                           .log = &f->key,
                                           .clock = &f->clock.clock,
                                           .queue_items = 10000,
                                           .queue_bytes = (size_t)64 << 20,
                                           .metrics = &f->metrics};
    YZ_ASSERT(yzi_node_id_parse(yzi_bytes_str(NODE), &f->options.node) == YZ_OK);
}

void evidence_fixture_fini(struct evidence_fixture *f)
{
    evidence_fixture_close(f);
    yzi_key_pair_release(&f->key);
    yzi_key_pair_fini(&f->key);
    evidence_remove_all(f->dir);
}

int evidence_fixture_open(struct evidence_fixture *f, yz_error *err)
{
    return yzi_evidence_open(&f->options, &f->log, err);
}

void evidence_fixture_close(struct evidence_fixture *f)
{
    yzi_evidence_close(f->log);
    f->log = NULL;
}

struct evidence_item *evidence_make(enum entry_type type, uint64_t number, size_t body_n,
                                    struct evidence_item *pair)
{
    struct evidence_item *i;
    yz_digest digest = {{0}};
    YZ_ASSERT(yzi_evidence_item_new(type, &digest, &i) == YZ_OK);
    yzi_buf_init(&i->body, body_n + 8);
    YZ_ASSERT(yzi_buf_put_u64(&i->body, number) == YZ_OK);
    YZ_ASSERT(yzi_buf_put_zero(&i->body, body_n) == YZ_OK);
    yzi_entry_digest(yzi_bytes_buf(&i->body), &i->digest);
    i->message_id = yzi_uuid_v7(BASE_TIME + number);
    i->wants_receipt = true;
    if (pair) {
        yzi_evidence_item_ref(pair);
        i->pair = pair;
        i->message_id = pair->message_id;
    }
    return i;
}

struct evidence_item *evidence_take_wait(struct evidence *e)
{
    struct evidence_item *i;
    while ((i = yzi_evidence_take(e)) == NULL) {
        struct pollfd p = {.fd = yzi_evidence_fd(e), .events = POLLIN};
        YZ_ASSERT(poll(&p, 1, 60000) == 1);
    }
    return i;
}

void evidence_wait_up(struct evidence *e)
{
    pthread_mutex_lock(&e->mutex);
    while (!atomic_load(&e->up)) {
        pthread_cond_wait(&e->to_caller, &e->mutex);
    }
    pthread_mutex_unlock(&e->mutex);
}

struct evidence_item *evidence_log_one(struct evidence_fixture *f, enum entry_type type,
                                       uint64_t number, struct evidence_item *pair)
{
    struct evidence_item *i = evidence_make(type, number, 100, pair);
    YZ_ASSERT(yzi_evidence_append(f->log, i) == YZ_OK);
    struct evidence_item *back = evidence_take_wait(f->log);
    YZ_ASSERT(back == i);
    yzi_evidence_item_unref(back);
    return i;
}

void evidence_log_many(struct evidence_fixture *f, uint64_t n)
{
    uint64_t appended = 0, taken = 0, last = 0;
    while (taken < n) {
        while (appended < n && appended - taken < 5000) {
            struct evidence_item *i = evidence_make(ENTRY_REQUEST, appended, 40, NULL);
            i->wants_receipt = appended % 100 == 0;
            YZ_ASSERT(yzi_evidence_append(f->log, i) == YZ_OK);
            yzi_evidence_item_unref(i);
            appended++;
        }
        struct evidence_item *back = evidence_take_wait(f->log);
        YZ_ASSERT(back->rc == YZ_OK && (taken == 0 || back->index == last + 1));
        last = back->index;
        taken++;
        yzi_evidence_item_unref(back);
    }
}

/* -- checking -- */

bool evidence_receipt_holds(const struct evidence_fixture *f, yz_bytes bytes, struct receipt *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, CHECKPOINT_TEXT_MAX);
    YZ_ASSERT(yzi_receipt_parse(bytes, out) == YZ_OK);
    YZ_ASSERT(yzi_checkpoint_text(f->options.node, out->log, out->size, &out->root, &text) ==
              YZ_OK);
    return memcmp(out->key, f->key.public_key, 32) == 0 &&
           crypto_sign_verify_detached(out->signature, text.p, text.n, f->key.public_key) == 0;
}

static bool read_published(const struct evidence_fixture *f, uint64_t log, const char *name,
                           yz_buf *out)
{
    char path[512];
    yz_error err = {0};
    snprintf(path, sizeof path, "%s/%" PRIu64 "/%s", f->publish, log, name);
    yzi_buf_clear(out);
    int rc = yzi_file_read(path, out, &err);
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.text);
    }
    return rc == YZ_OK;
}

/* The name of tile or bundle n of a level (-1: entries) of a tree of `nodes` there. */
static void tile_name(int level, uint64_t n, uint64_t nodes, char out[TILE_PATH_MAX])
{
    struct tile_name t = {.entries = level < 0,
                          .level = level < 0 ? 0 : (unsigned)level,
                          .index = n,
                          .width = nodes - n * 256 < 256 ? (unsigned)(nodes - n * 256) : 256};
    yzi_tile_path(&t, out);
}

/* All rows' hashes of one level from its tiles. */
static bool read_level(const struct evidence_fixture *f, uint64_t log, int level, uint64_t nodes,
                       yz_digest *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 65536);
    for (uint64_t n = 0; n * 256 < nodes; n++) {
        char name[TILE_PATH_MAX];
        uint64_t width = nodes - n * 256 < 256 ? nodes - n * 256 : 256;
        tile_name(level, n, nodes, name);
        if (!read_published(f, log, name, &b) || b.n != width * 32) {
            fprintf(stderr, "%s: %zu bytes\n", name, b.n);
            return false;
        }
        memcpy(out + n * 256, b.p, b.n);
    }
    return true;
}

static bool bundles_fit(const struct evidence_fixture *f, uint64_t log, uint64_t size,
                        const yz_digest *leaves)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yzi_buf_init(&b, 65536);
    uint64_t time = 0;
    for (uint64_t i = 0; i < size; i++) {
        char name[TILE_PATH_MAX];
        yz_digest leaf;
        struct entry e;
        if (i % 256 == 0) {
            tile_name(-1, i / 256, size, name);
            if (!read_published(f, log, name, &b)) {
                return false;
            }
        }
        yz_reader r = yzi_reader(yzi_bytes(b.p + i % 256 * 46, b.n - i % 256 * 46));
        uint16_t n;
        yz_bytes entry;
        if (yzi_read_u16(&r, &n) < 0 || yzi_read_bytes(&r, n, &entry) < 0 ||
            yzi_entry_parse(entry, &e) < 0 || e.time < time) {
            fprintf(stderr, "entry %" PRIu64 " is malformed, or its time falls\n", i);
            return false;
        }
        time = e.time;
        yzi_merkle_leaf(entry, &leaf);
        if (!yzi_digest_eq(&leaf, &leaves[i])) {
            fprintf(stderr, "entry %" PRIu64 " does not fit its tile\n", i);
            return false;
        }
    }
    return true;
}

bool evidence_published_holds(const struct evidence_fixture *f, uint64_t log, uint64_t *out_size)
{
    YZ_AUTO(yzi_buf_fini) yz_buf note;
    char origin[LOG_ORIGIN_MAX];
    struct note_key key;
    struct checkpoint c;
    yz_digest root;
    yzi_buf_init(&note, NOTE_MAX);
    yzi_log_origin(f->options.node, log, origin);
    YZ_ASSERT(yzi_note_key(yzi_bytes_str(origin), NOTE_ED25519, f->key.public_key, &key) == YZ_OK);
    if (!read_published(f, log, "checkpoint", &note) ||
        yzi_checkpoint_open(yzi_bytes_buf(&note), &key, &c) < 0) {
        fprintf(stderr, "no checkpoint of log %" PRIu64 "\n", log);
        return false;
    }
    yz_digest *leaves, *above;
    YZ_ASSERT(yzi_alloc(c.size + 1, sizeof *leaves, &leaves) == YZ_OK);
    YZ_ASSERT(yzi_alloc(c.size / 256 + 1, sizeof *above, &above) == YZ_OK);
    bool ok = read_level(f, log, 0, c.size, leaves) && bundles_fit(f, log, c.size, leaves);
    yzi_merkle_root(leaves, c.size, &root);
    ok = ok && yzi_digest_eq(&root, &c.root);
    for (int level = 1; ok && c.size >> 8 * level; level++) {
        ok = read_level(f, log, level, c.size >> 8 * level, above);
        for (uint64_t i = 0; ok && i < c.size >> 8 * level; i++) {
            yzi_merkle_root(leaves + (i << 8 * level), (size_t)1 << 8 * level, &root);
            ok = yzi_digest_eq(&root, &above[i]);
        }
    }
    free(leaves);
    free(above);
    *out_size = c.size;
    return ok;
}
