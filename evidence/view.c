/* SPDX-License-Identifier: Apache-2.0
 *
 * Judging what is seen of a log. Everything of one log is held to `latest` or, of an earlier log,
 * to the last that was held of it (`ends`); a candidate of a later log waits until that log's
 * openings show that it follows ours. An opening that cites a log between ours and its own makes
 * the cited checkpoint a candidate itself: the chain is walked from our end.
 *
 * What a broker merely does not prove (it has no such tree, it does not answer) is asked again,
 * ever more slowly: it may have lost it and will have to cite it. What it proves wrongly is
 * equivocation.
 */
#include "evidence/view.h"

#include <inttypes.h>
#include <sodium.h>

#include "base/file.h"
#include "base/text.h"
#include "evidence/opening.h"
#include "evidence/view_internal.h"
#include "proof/checkpoint.h"

#define ASK_EVERY_MS 1000u
#define ANSWER_MS 10000u
#define REFUSED_WAIT_MS 2000u /* doubled with each refusal */
#define REFUSED_WAIT_MAX_MS 600000u
#define REFUSED_ALARM 3u
#define PROOF_HASHES_MAX 65u

struct log_views {
    char *dir;
    struct log_view *list;
};

/* -- the collection -- */

int yzi_views_open(const char *dir, struct log_views **out, yz_error *err)
{
    struct log_views *v;
    YZ_TRY(yzi_alloc(1, sizeof *v, &v));
    int rc = yzi_path_join(dir, "logs", &v->dir);
    rc = rc ? rc : yzi_dir_make(v->dir, 0700, err);
    if (rc < 0) {
        yzi_views_close(v);
        return rc;
    }
    *out = v;
    return 0;
}

static void free_view(struct log_view *v)
{
    free(v->path);
    free(v->broken_path);
    free(v);
}

void yzi_views_close(struct log_views *v)
{
    if (!v) {
        return;
    }
    while (v->list) {
        struct log_view *next = v->list->next;
        if (v->list->changed) {
            yz_ignore(yzi_view_keep(v->list, NULL), "what is not kept is seen again");
        }
        free_view(v->list);
        v->list = next;
    }
    free(v->dir);
    free(v);
}

static int make_paths(const struct log_views *v, struct log_view *view)
{
    yz_digest digest;
    char hex[65], name[96];
    crypto_hash_sha256(digest.b, view->node.v.p, view->node.v.n);
    YZ_TRY(yzi_hex_encode(yzi_bytes_digest(&digest), hex, sizeof hex));
    snprintf(name, sizeof name, "%s.view", hex);
    YZ_TRY(yzi_path_join(v->dir, name, &view->path));
    snprintf(name, sizeof name, "%s.equivocation", hex);
    return yzi_path_join(v->dir, name, &view->broken_path);
}

int yzi_views_of(struct log_views *v, yz_node_id broker, struct log_view **out, yz_error *err)
{
    struct log_view *view;
    for (view = v->list; view; view = view->next) {
        if (yzi_bytes_eq(view->node.v, broker.v)) {
            *out = view;
            return 0;
        }
    }
    YZ_ENSURE(broker.v.n > 0 && broker.v.n <= YZ_ID_MAX, YZ_EINVAL);
    YZ_TRY(yzi_alloc(1, sizeof *view, &view));
    memcpy(view->broker, broker.v.p, broker.v.n);
    view->node.v = yzi_bytes(view->broker, broker.v.n);
    int rc = make_paths(v, view);
    rc = rc ? rc : yzi_view_load(view, err);
    if (rc < 0) {
        free_view(view);
        return rc;
    }
    view->next = v->list;
    v->list = view;
    *out = view;
    return 0;
}

/* -- equivocation -- */

/* Broken from now on; what cannot be written is so at least for this process. */
static int convict(struct log_view *v, const struct sighting *a, const struct sighting *b,
                   const char *how, yz_error *err)
{
    snprintf(v->reason, sizeof v->reason,
             "%.80s signed two histories of its log %" PRIu64 ": the checkpoint of %" PRIu64
             " entries shown by %.80s and that of %" PRIu64 " entries (log %" PRIu64
             ") shown by %.80s %s",
             v->broker, a->log, a->size, a->from, b->size, b->log, b->from, how);
    yz_error why = {0};
    v->is_broken = true;
    v->changed = true;
    if (yzi_view_keep_broken(v, a, b, &why) < 0) {
        return yzi_fail(err, YZ_EEQUIVOCATION, "%s; and this could not be written down: %s",
                        v->reason, why.text);
    }
    return yzi_fail(err, YZ_EEQUIVOCATION, "%s; both are in %s", v->reason, v->broken_path);
}

/* -- candidates -- */

static bool is_own(const struct sighting *s)
{
    return strcmp(s->from, "receipt") == 0;
}

static void drop(struct log_view *v, unsigned i)
{
    v->candidates_n--;
    memmove(&v->candidates[i], &v->candidates[i + 1],
            (v->candidates_n - i) * sizeof v->candidates[0]);
    v->changed = true;
}

/* Room for one more: the oldest of our own receipts' but the last, else the oldest of all. */
static void make_room(struct log_view *v)
{
    if (v->candidates_n < VIEW_CANDIDATES_MAX) {
        return;
    }
    unsigned i = 0;
    while (i < v->candidates_n && !is_own(&v->candidates[i])) {
        i++;
    }
    drop(v, i < v->candidates_n ? i : 0);
}

static bool same_tree(const struct sighting *a, const struct sighting *b)
{
    return a->log == b->log && a->size == b->size;
}

/* What is held of the same tree as s; NULL when nothing is. */
static const struct sighting *held_of(const struct log_view *v, const struct sighting *s)
{
    if (v->has_latest && same_tree(&v->latest, s)) {
        return &v->latest;
    }
    for (unsigned i = 0; i < v->ends_n; i++) {
        if (same_tree(&v->ends[i], s)) {
            return &v->ends[i];
        }
    }
    for (unsigned i = 0; i < v->candidates_n; i++) {
        if (same_tree(&v->candidates[i], s)) {
            return &v->candidates[i];
        }
    }
    return NULL;
}

static const struct sighting *end_of(const struct log_view *v, uint64_t log)
{
    for (unsigned i = 0; i < v->ends_n; i++) {
        if (v->ends[i].log == log) {
            return &v->ends[i];
        }
    }
    return NULL;
}

static int consider(struct log_view *v, const struct sighting *s, yz_error *err)
{
    if (!v->has_latest) {
        v->latest = *s;
        v->has_latest = v->changed = true;
        return 0;
    }
    const struct sighting *held = held_of(v, s);
    if (held) {
        return yzi_digest_eq(&held->root, &s->root)
                   ? 0
                   : convict(v, held, s, "have two roots for one size", err);
    }
    if (s->log < v->latest.log && !end_of(v, s->log)) {
        return 0; /* a log from before our time: nothing to hold it to */
    }
    make_room(v);
    v->candidates[v->candidates_n++] = *s;
    v->changed = true;
    return 0;
}

int yzi_view_note(struct log_view *v, uint64_t log, uint64_t size, const yz_digest *root,
                  const uint8_t key[32], const uint8_t signature[64], const char *from,
                  yz_error *err)
{
    if (v->is_broken) {
        return yzi_fail(err, YZ_EEQUIVOCATION, "%s", v->reason);
    }
    if (size == 0) {
        return 0; /* every log begins empty */
    }
    struct sighting s = {.log = log, .size = size, .root = *root};
    memcpy(s.key, key, sizeof s.key);
    memcpy(s.signature, signature, sizeof s.signature);
    snprintf(s.from, sizeof s.from, "%s", from);
    return consider(v, &s, err);
}

/* -- asking -- */

/* What candidate c has to be held to; NULL: it is of a later log, whose openings say. */
static const struct sighting *reference_of(const struct log_view *v, const struct sighting *c)
{
    return c->log == v->latest.log ? &v->latest : c->log < v->latest.log ? end_of(v, c->log) : NULL;
}

/* The candidate to ask about: of those that may be, the one of the earliest log, others' first. */
static int choose(const struct log_view *v, uint64_t mono)
{
    int best = -1;
    for (unsigned i = 0; i < v->candidates_n; i++) {
        const struct sighting *c = &v->candidates[i];
        if (c->retry_at > mono) {
            continue;
        }
        const struct sighting *b = best < 0 ? NULL : &v->candidates[best];
        if (!b || c->log < b->log || (c->log == b->log && is_own(b) && !is_own(c))) {
            best = (int)i;
        }
    }
    return best;
}

static void ask(struct log_view *v, const struct sighting *c, uint64_t mono)
{
    const struct sighting *r = reference_of(v, c);
    bool rises = !r || r->size < c->size;
    v->newer = rises ? *c : *r;
    v->older = !r ? (struct sighting){.log = c->log} : rises ? *r : *c;
    yzi_store_u64(v->asked, c->log);
    yzi_store_u64(v->asked + 8, v->older.size); /* 0: for the openings */
    yzi_store_u64(v->asked + 16, v->newer.size);
    v->asking = true;
    v->asked_at = mono;
    v->ask_after = mono + ASK_EVERY_MS;
}

/* What another process of ours keeps in the same file is held to what we hold. */
static void merge(struct log_view *v)
{
    YZ_AUTO(yzi_free_ptr) struct log_view *other = NULL;
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = VIEW_FILE_MAX};
    if (yzi_alloc(1, sizeof *other, &other) < 0 || yzi_file_read(v->path, &text, NULL) < 0) {
        return; /* none yet */
    }
    memcpy(other->broker, v->broker, sizeof other->broker);
    if (yzi_view_parse(yzi_bytes_buf(&text), other, NULL) == 0 && other->has_latest) {
        yz_ignore(consider(v, &other->latest, NULL), "a conviction is told by the next call");
    }
}

bool yzi_view_wants(struct log_view *v, uint64_t mono, uint8_t out_name[CONSISTENCY_NAME_BYTES])
{
    if (mono < v->ask_after) {
        return false;
    }
    v->ask_after = mono + ASK_EVERY_MS;
    yzi_view_look_broken(v); /* by another process */
    if (v->changed) {
        merge(v);
        yz_ignore(yzi_view_keep(v, NULL), "tried again in a second");
    }
    if (v->is_broken || (v->asking && mono < v->asked_at + ANSWER_MS)) {
        return false;
    }
    int i = choose(v, mono);
    if (i < 0) {
        v->asking = false;
        return false;
    }
    ask(v, &v->candidates[i], mono);
    memcpy(out_name, v->asked, sizeof v->asked);
    return true;
}

uint64_t yzi_view_deadline(const struct log_view *v)
{
    uint64_t at = v->changed ? 0 : UINT64_MAX;
    for (unsigned i = 0; i < v->candidates_n && !v->is_broken; i++) {
        at = v->candidates[i].retry_at < at ? v->candidates[i].retry_at : at;
    }
    if (at == UINT64_MAX) {
        return at;
    }
    uint64_t free_at = v->asking && !v->changed ? v->asked_at + ANSWER_MS : v->ask_after;
    return at > free_at ? at : free_at;
}

/* -- answers -- */

static void drop_tree(struct log_view *v, const struct sighting *s)
{
    for (unsigned i = 0; i < v->candidates_n; i++) {
        if (same_tree(&v->candidates[i], s)) {
            drop(v, i);
            return;
        }
    }
}

static struct sighting *candidate_of(struct log_view *v)
{
    for (unsigned i = 0; i < v->candidates_n; i++) {
        struct sighting *c = &v->candidates[i];
        if (same_tree(c, &v->newer) || same_tree(c, &v->older)) {
            return c;
        }
    }
    return NULL; /* it had to make room */
}

/* Not proved: later again. */
static int put_off(struct log_view *v, uint64_t mono, const char *what, yz_error *err)
{
    struct sighting *c = candidate_of(v);
    if (!c) {
        return 0;
    }
    uint64_t wait = (uint64_t)REFUSED_WAIT_MS << (c->refused < 12 ? c->refused : 12);
    c->retry_at = mono + (wait < REFUSED_WAIT_MAX_MS ? wait : REFUSED_WAIT_MAX_MS);
    c->refused++;
    if (c->refused != REFUSED_ALARM) {
        return 0;
    }
    return yzi_fail(err, YZ_ENOTFOUND,
                    "%.80s %s: the checkpoint of %" PRIu64 " entries of its log %" PRIu64
                    ", shown by %.80s",
                    v->broker, what, c->size, c->log, c->from);
}

static int take_consistency(struct log_view *v, yz_bytes proof, yz_error *err)
{
    yz_digest hashes[PROOF_HASHES_MAX];
    size_t n = proof.n / sizeof(yz_digest);
    int rc = YZ_EMALFORMED;
    if (proof.n % sizeof(yz_digest) == 0 && n <= PROOF_HASHES_MAX) {
        for (size_t i = 0; i < n; i++) {
            memcpy(hashes[i].b, proof.p + i * sizeof hashes[i].b, sizeof hashes[i].b);
        }
        rc = yzi_merkle_check_consistency(v->older.size, &v->older.root, v->newer.size,
                                          &v->newer.root, hashes, n);
    }
    if (rc < 0) {
        return convict(v, &v->older, &v->newer, "are not proved to be one", err);
    }
    drop_tree(v, &v->older);
    drop_tree(v, &v->newer);
    if (v->newer.log == v->latest.log && v->newer.size > v->latest.size) {
        v->latest = v->newer;
    }
    v->changed = true;
    return 0;
}

/* -- a later log -- */

static void push_end(struct log_view *v, const struct sighting *s)
{
    unsigned keep = v->ends_n < VIEW_ENDS_MAX ? v->ends_n : VIEW_ENDS_MAX - 1;
    memmove(&v->ends[1], &v->ends[0], keep * sizeof v->ends[0]);
    v->ends[0] = *s;
    v->ends_n = keep + 1;
}

/* The checkpoint an opening cites, if one of the keys that signed what we hold signed it. */
static bool cited(const struct log_view *v, const struct log_end *e, struct sighting *out)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = CHECKPOINT_TEXT_MAX};
    const uint8_t *keys[2] = {v->newer.key, v->latest.key};
    *out = (struct sighting){.log = e->log, .size = e->size, .root = e->root};
    memcpy(out->signature, e->signature.p, sizeof out->signature);
    snprintf(out->from, sizeof out->from, "opening of log %" PRIu64, v->newer.log);
    if (yzi_checkpoint_text(v->node, e->log, e->size, &e->root, &text) < 0) {
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (yzi_verify_checkpoint(yzi_bytes_buf(&text), keys[i], out->signature) == 0) {
            memcpy(out->key, keys[i], sizeof out->key);
            return true;
        }
    }
    return false;
}

/* What the openings of `newer`'s log say of ours. */
struct citations {
    bool covers;    /* at least as much of our log as we hold */
    bool has_other; /* a checkpoint of a log in between */
    struct sighting ours, other;
};

static int read_citations(const struct log_view *v, yz_bytes proof, struct citations *out)
{
    yz_reader r = yzi_reader(proof);
    struct opening o;
    bool first = true;
    while (r.left > 0) {
        struct sighting s;
        YZ_TRY(yzi_opening_next(&r, v->newer.size, &v->newer.root, &o));
        YZ_ENSURE(!first || o.index == 0, YZ_EMALFORMED);
        first = false;
        if (o.end.log == 0 || o.end.log >= v->newer.log || !cited(v, &o.end, &s)) {
            continue;
        }
        if (s.log == v->latest.log && s.size >= v->latest.size) {
            out->covers = true;
            out->ours = s;
        } else if (s.log > v->latest.log) {
            out->has_other = true;
            out->other = s;
        }
    }
    return first ? YZ_EMALFORMED : 0;
}

static int take_openings(struct log_view *v, yz_bytes proof, uint64_t mono, yz_error *err)
{
    struct citations c = {0};
    if (read_citations(v, proof, &c) < 0) {
        return put_off(v, mono, "does not prove how its new log began", err);
    }
    if (!c.covers) {
        if (c.has_other) {
            YZ_TRY(consider(v, &c.other, err));
        }
        return put_off(v, mono, "began a log that does not cite all it signed before", err);
    }
    if (c.ours.size == v->latest.size && !yzi_digest_eq(&c.ours.root, &v->latest.root)) {
        return convict(v, &v->latest, &c.ours, "have two roots for one size", err);
    }
    drop_tree(v, &v->newer);
    push_end(v, &v->latest);
    v->latest = v->newer;
    v->changed = true;
    /* What it cites beyond what we held is still to be proved, against the end of ours. */
    return consider(v, &c.ours, err);
}

int yzi_view_proved(struct log_view *v, yz_bytes name, bool found, yz_bytes proof, uint64_t mono,
                    yz_error *err)
{
    if (!v->asking || !yzi_bytes_eq(name, yzi_bytes(v->asked, sizeof v->asked))) {
        return 0;
    }
    v->asking = false;
    if (v->is_broken) {
        return yzi_fail(err, YZ_EEQUIVOCATION, "%s", v->reason);
    }
    if (!found) {
        return put_off(v, mono, "does not prove what it signed", err);
    }
    return v->older.size == 0 ? take_openings(v, proof, mono, err)
                              : take_consistency(v, proof, err);
}

bool yzi_view_broken(const struct log_view *v)
{
    return v->is_broken;
}

const char *yzi_view_reason(const struct log_view *v)
{
    return v->reason;
}

struct checkpoint_ref yzi_view_latest(const struct log_view *v)
{
    const struct sighting *s = &v->latest;
    if (!v->has_latest) {
        return (struct checkpoint_ref){0};
    }
    return (struct checkpoint_ref){.present = true,
                                   .log = s->log,
                                   .size = s->size,
                                   .root = s->root,
                                   .signature = yzi_bytes(s->signature, sizeof s->signature)};
}
