/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session does about the directory: manifest, then the chunks it lacks (a few at a time),
 * then adoption; freshness each minute; member sets as they come. The other way round it offers the
 * broker ours when that is newer, and answers the broker's fetches.
 *
 * Several sessions may share one trust and follow several brokers at once. Nothing here relies on
 * the pending manifest being this session's: chunks are known by their digest, and what is missing
 * is asked of the trust each time.
 *
 * What is an alarm: that somebody signed or served what cannot be true (a forged record, two
 * directories of one version, less than was claimed). What is none: a broker that merely lags.
 */
#include <sodium.h>
#include <string.h>

#include "net/session_internal.h"

#define PROGRESS_MS 15000u /* for the next piece of a directory to come */
#define RETRY_MS 1000u     /* after something that passes by itself */
#define RECOVER_MS 5000u   /* after a lack of memory or disk of our own */
#define MISTRUST_MS 60000u /* after something that must not happen */
#define FRESHEN_MS 60000u
#define ARENA_MAX (1024u * 1024u)

static uint64_t now_ms(const struct session *s)
{
    return yzi_mono_ms(s->o.link.clock);
}

static uint64_t version_of(const struct directory *d)
{
    return d ? yzi_directory_version(d) : 0;
}

static void tell_change(struct session *s)
{
    if (s->o.handler.trust_changed) {
        s->o.handler.trust_changed(s->o.handler.ctx, s);
    }
}

static void stop_following(struct session *s, uint64_t wait_ms)
{
    s->follow = FOLLOW_IDLE;
    s->manifest_token = 0;
    memset(s->late_manifests, 0, sizeof s->late_manifests);
    memset(s->fetches, 0, sizeof s->fetches);
    s->follow_deadline = UINT64_MAX;
    s->follow_not_before = now_ms(s) + wait_ms;
    s->follow_retry_at = wait_ms ? s->follow_not_before : UINT64_MAX;
}

/* No answer in time: asked again soon. It counts when it comes after all, or a broker that is
 * slower than that would never be heard. */
static void wait_no_longer(struct session *s)
{
    if (s->manifest_token) {
        s->late_manifests[s->next_late++ % SESSION_LATE_MAX] = s->manifest_token;
        s->manifest_token = 0;
    }
    for (size_t i = 0; i < SESSION_FETCHES_MAX; i++) {
        s->fetches[i].overdue = true;
    }
    s->follow = FOLLOW_IDLE;
    s->follow_deadline = UINT64_MAX;
    s->follow_not_before = s->follow_retry_at = now_ms(s) + RETRY_MS;
}

/* Trouble of our own, for which the broker is not to be mistrusted. */
static bool is_ours(int code)
{
    return code == YZ_ENOMEM || code == YZ_EDISKFULL || code == YZ_EIO;
}

/* Said, and tried again. */
static void fail_following(struct session *s, int code, const char *what, const yz_error *err)
{
    yzi_session_alarm(s, code, what, err);
    stop_following(s, is_ours(code) ? RECOVER_MS : MISTRUST_MS);
}

void yzi_follow_reset(struct session *s)
{
    stop_following(s, 0);
    s->claimed_version = s->pushed_version = 0;
    s->push_token = 0;
    s->freshen_at = UINT64_MAX;
    s->statements_due = false;
    s->statements_token = 0;
    s->statements_after_n = 0;
    s->freshness_time = s->freshness_version = 0;
}

/* -- asking -- */

/* What lies beside the directory was not asked for, or not taken in: soon once more. */
static void ask_again_soon(struct session *s)
{
    uint64_t at = now_ms(s) + RECOVER_MS;
    s->freshen_at = at < s->freshen_at ? at : s->freshen_at;
    s->statements_due = true;
}

static void ask_freshness(struct session *s)
{
    uint32_t token;
    if (yzi_session_ask(s, FETCH_FRESHNESS, (yz_bytes){0}, &token) < 0) {
        ask_again_soon(s); /* a queue that is full drains */
    }
}

/* The next page of member sets. */
static void ask_statements(struct session *s)
{
    yz_bytes after = yzi_bytes(s->statements_after, s->statements_after_n);
    if (yzi_session_ask(s, FETCH_STATEMENTS, after, &s->statements_token) < 0) {
        s->statements_token = 0;
        ask_again_soon(s);
    }
}

static void ask_manifest(struct session *s)
{
    if (yzi_session_ask(s, FETCH_MANIFEST, (yz_bytes){0}, &s->manifest_token) < 0) {
        stop_following(s, RETRY_MS);
        return;
    }
    s->follow = FOLLOW_MANIFEST;
    s->follow_deadline = now_ms(s) + PROGRESS_MS;
}

/* Offer ours, once per connection and version; the broker fetches what it lacks. */
static void push_manifest(struct session *s, const struct directory *d)
{
    if (s->pushed_version >= version_of(d)) {
        return;
    }
    uint32_t token = yzi_session_token(s);
    yzi_buf_clear(&s->out);
    if (yzi_put_write(token, yzi_directory_manifest(d), &s->out) == YZ_OK &&
        yzi_session_send_out(s) == YZ_OK) {
        s->pushed_version = version_of(d);
        s->push_token = token;
    }
}

/* Compare what the broker claims with what we have. */
static void compare(struct session *s)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    if (s->claimed_version > version_of(d)) {
        if (s->follow == FOLLOW_IDLE && now_ms(s) >= s->follow_not_before) {
            ask_manifest(s);
        }
    } else if (d && s->claimed_version < version_of(d)) {
        push_manifest(s, d);
    }
}

void yzi_follow_heard_version(struct session *s, uint64_t version)
{
    s->claimed_version = version;
    if (s->state == SESSION_UP) {
        compare(s);
    }
}

/* Statements go on after the page that came last. */
static void ask_what_is_due(struct session *s)
{
    s->freshen_at = now_ms(s) + FRESHEN_MS;
    s->statements_due = false;
    ask_statements(s);
    ask_freshness(s);
}

/* What lies beside the directory: asked for whenever it may have changed without our hearing. */
static void ask_the_rest(struct session *s)
{
    s->statements_after_n = 0;
    ask_what_is_due(s);
}

void yzi_follow_begin(struct session *s)
{
    ask_the_rest(s);
}

/* -- taking in: the directory -- */

static bool is_asked_for(const struct session *s, const yz_digest *digest)
{
    for (size_t i = 0; i < SESSION_FETCHES_MAX; i++) {
        if (s->fetches[i].token && !s->fetches[i].overdue &&
            yzi_digest_eq(&s->fetches[i].digest, digest)) {
            return true;
        }
    }
    return false;
}

static int ask_missing(struct session *s, const yz_digest *missing, size_t n)
{
    size_t next = 0;
    for (size_t slot = 0; slot < SESSION_FETCHES_MAX && next < n; slot++) {
        if (s->fetches[slot].token && !s->fetches[slot].overdue) {
            continue;
        }
        while (next < n && is_asked_for(s, &missing[next])) {
            next++;
        }
        if (next < n) {
            uint32_t token;
            YZ_TRY(yzi_session_ask(s, FETCH_CHUNK, yzi_bytes_digest(&missing[next]), &token));
            s->fetches[slot].token = token;
            s->fetches[slot].overdue = false;
            s->fetches[slot].digest = missing[next];
        }
    }
    return YZ_OK;
}

static void adopt(struct session *s)
{
    yz_error err = {0};
    uint64_t conflicts = yzi_trust_conflicts(s->o.trust);
    int rc = yzi_trust_adopt(s->o.trust, &err);
    if (rc == YZ_ENOTFOUND) { /* another session was faster */
        stop_following(s, 0);
        compare(s);
        return;
    }
    if (rc < 0) {
        fail_following(s, rc, "the broker's directory is not adopted", &err);
        return;
    }
    if (yzi_trust_conflicts(s->o.trust) > conflicts) {
        yzi_session_alarm(s, YZ_EROLLBACK, "a member signed two member sets of one version", NULL);
    }
    stop_following(s, 0);
    tell_change(s);
    ask_the_rest(s); /* member sets and freshness that waited for this version */
    compare(s);
}

/* Ask for what is missing, or adopt when nothing is. */
static void pursue(struct session *s)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, ARENA_MAX);
    yz_digest *missing = NULL;
    size_t n = 0;
    int rc = yzi_trust_missing(s->o.trust, &arena, &missing, &n);
    if (rc < 0) {
        fail_following(s, rc, "the broker's directory cannot be followed", NULL);
    } else if (n == 0) {
        adopt(s);
    } else if (ask_missing(s, missing, n) < 0) {
        stop_following(s, RETRY_MS);
    } else {
        s->follow = FOLLOW_CHUNKS;
        s->follow_deadline = now_ms(s) + PROGRESS_MS;
    }
}

/* A manifest older than ours is only late if the broker did not claim more. */
static bool merely_lags(const struct session *s, yz_bytes manifest)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    uint64_t offered;
    return yzi_directory_peek(manifest, &offered) == YZ_OK && offered < version_of(d) &&
           offered >= s->claimed_version;
}

static void refuse_manifest(struct session *s, int code, yz_bytes manifest, const yz_error *err)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    if (code == YZ_EEXIST && s->claimed_version > version_of(d)) {
        fail_following(s, YZ_EROLLBACK, "the broker claims a newer directory than it has", NULL);
    } else if (code == YZ_EEXIST || (code == YZ_EROLLBACK && merely_lags(s, manifest))) {
        stop_following(s, 0);
    } else {
        fail_following(s, code, "the broker's directory is refused", err);
    }
}

static void take_freshness(struct session *s, yz_bytes record);

/* The manifest, then perhaps freshness. */
static void take_manifest(struct session *s, yz_bytes payload)
{
    yz_reader r = yzi_reader(payload);
    struct record manifest, freshness;
    int rc = yzi_record_next(&r, &manifest);
    if (rc < 0) {
        fail_following(s, rc, "the broker's directory is refused", NULL);
        return;
    }
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, ARENA_MAX);
    yz_digest *missing = NULL;
    size_t n = 0;
    yz_error err = {0};
    rc = yzi_trust_offer_manifest(s->o.trust, manifest.raw, &arena, &missing, &n, &err);
    if (rc < 0) {
        refuse_manifest(s, rc, manifest.raw, &err);
    } else {
        pursue(s);
    }
    if (r.left && s->follow == FOLLOW_IDLE && yzi_record_next(&r, &freshness) == YZ_OK) {
        take_freshness(s, freshness.raw); /* else it is asked for again once the chunks are here */
    }
}

/* Is this the answer to a question that was not waited for any more? */
static bool is_late_manifest(struct session *s, uint32_t token)
{
    for (unsigned i = 0; token && i < SESSION_LATE_MAX; i++) {
        if (s->late_manifests[i] == token) {
            s->late_manifests[i] = 0;
            return true;
        }
    }
    return false;
}

static void on_manifest(struct session *s, const struct object *o, yz_bytes payload)
{
    if (is_late_manifest(s, o->token)) {
        if (o->found && s->follow != FOLLOW_CHUNKS) {
            take_manifest(s, payload); /* it proves itself */
        }
        return;
    }
    if (o->token && (s->follow != FOLLOW_MANIFEST || o->token != s->manifest_token)) {
        return; /* asked for before we stopped waiting */
    }
    s->manifest_token = 0;
    if (o->found) {
        take_manifest(s, payload);
    } else {
        stop_following(s, RETRY_MS);
    }
}

/* Where the answer with this token belongs; SESSION_FETCHES_MAX: nowhere. */
static size_t slot_of_token(const struct session *s, uint32_t token)
{
    size_t slot = 0;
    while (slot < SESSION_FETCHES_MAX && (!token || s->fetches[slot].token != token)) {
        slot++;
    }
    return slot;
}

/* And this chunk, that was asked for again: whichever question it answers. */
static size_t slot_of_chunk(const struct session *s, const yz_digest *digest)
{
    size_t slot = 0;
    while (slot < SESSION_FETCHES_MAX &&
           (!s->fetches[slot].token || !yzi_digest_eq(&s->fetches[slot].digest, digest))) {
        slot++;
    }
    return slot;
}

/* A broker that delivers late delivers: what else is overdue is waited for again. */
static void wait_for_the_rest(struct session *s)
{
    for (size_t i = 0; i < SESSION_FETCHES_MAX; i++) {
        s->fetches[i].overdue = false;
    }
}

static void take_chunk(struct session *s, size_t slot, yz_bytes payload)
{
    s->fetches[slot].token = 0;
    wait_for_the_rest(s);
    size_t remaining;
    int rc = yzi_trust_put_chunk(s->o.trust, payload, &remaining);
    if (rc < 0 && rc != YZ_ENOTFOUND) { /* not found: another session was faster */
        fail_following(s, rc, "the broker's directory is refused", NULL);
    } else {
        pursue(s);
    }
}

static void on_chunk(struct session *s, const struct object *o, yz_bytes payload)
{
    yz_digest digest;
    size_t slot = slot_of_token(s, o->token);
    bool asked = slot < SESSION_FETCHES_MAX;
    if (!o->token || (!asked && !o->found)) {
        return; /* pushed, or asked for before we stopped waiting */
    }
    if (!o->found) {
        s->fetches[slot].token = 0;
        if (!s->fetches[slot].overdue) { /* the broker has moved on to another version */
            stop_following(s, RETRY_MS);
        }
        return;
    }
    crypto_hash_sha256(digest.b, payload.p, payload.n);
    if (asked && !yzi_digest_eq(&digest, &s->fetches[slot].digest)) {
        fail_following(s, YZ_ESIGNATURE, "the broker serves another chunk than asked for", NULL);
        return;
    }
    slot = asked ? slot : slot_of_chunk(s, &digest);
    if (slot < SESSION_FETCHES_MAX) {
        take_chunk(s, slot, payload);
    }
}

/* -- taking in: freshness and member sets -- */

/* The same broker signing an earlier time than before, for the same version: it was set back. */
static bool goes_backwards(struct session *s, yz_bytes raw)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, ARENA_MAX);
    struct record r;
    struct freshness f;
    if (yzi_record_parse(raw, &r) < 0 || r.kind != RECORD_FRESHNESS ||
        yzi_freshness_parse(r.body, &arena, &f) < 0) {
        return false;
    }
    bool same = f.directory_version == s->freshness_version;
    bool backwards = (same && f.time + YZ_SKEW_MS < s->freshness_time) ||
                     f.directory_version < s->freshness_version;
    if (f.directory_version > s->freshness_version || (same && f.time > s->freshness_time)) {
        s->freshness_version = f.directory_version;
        s->freshness_time = f.time;
    }
    return backwards;
}

static void take_freshness(struct session *s, yz_bytes record)
{
    yz_error err = {0};
    int rc = yzi_trust_put_freshness(s->o.trust, record, &err);
    if (rc == YZ_OK) {
        s->freshen_at = now_ms(s) + (s->statements_due ? RECOVER_MS : FRESHEN_MS);
        goes_backwards(s, record); /* takes note of it */
        tell_change(s);
    } else if (rc == YZ_EAGAIN) {
        compare(s); /* of a version we are to fetch first */
    } else if (rc == YZ_EROLLBACK) {
        if (goes_backwards(s, record)) {
            yzi_session_alarm(s, rc, "the broker's freshness went back", &err);
        }
    } else if (rc != YZ_EEXIST) {
        yzi_session_alarm(s, rc, "the broker's freshness is refused", &err);
        if (is_ours(rc)) {
            ask_again_soon(s);
        }
    }
}

/* The same version with other contents is a member contradicting itself; an older one is late. */
static bool contradicts(const struct session *s, const struct record *r)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, 4 * ARENA_MAX);
    struct member_set set;
    if (!d || yzi_member_set_parse(r->body, &arena, &set) < 0) {
        return true;
    }
    const struct member_set *ours = yzi_directory_member_set(d, set.member);
    return !ours || ours->version == set.version;
}

static bool take_member_set(struct session *s, const struct record *r)
{
    yz_error err = {0};
    int rc = yzi_trust_put_member_set(s->o.trust, r->raw, &err);
    bool late = rc == YZ_EEXIST || rc == YZ_EUNKNOWNKEY || rc == YZ_EEXPIRED ||
                (rc == YZ_EROLLBACK && !contradicts(s, r));
    if (rc < 0 && !late) {
        yzi_session_alarm(s, rc, "a member set is refused", &err);
    }
    if (is_ours(rc)) {
        s->statements_after_n = 0; /* all of them, so that this one is among them */
        s->statements_token = 0;
        ask_again_soon(s);
    }
    return rc == YZ_OK;
}

/* Whose set the last of a page is, to go on after it. Each page leads on, or it is none. */
static int go_on_after(struct session *s, const struct record *last)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    yzi_arena_init(&arena, 4 * ARENA_MAX);
    struct member_set set;
    YZ_TRY(yzi_member_set_parse(last->body, &arena, &set));
    yz_bytes before = yzi_bytes(s->statements_after, s->statements_after_n);
    YZ_ENSURE(set.member.v.n <= sizeof s->statements_after &&
                  yzi_bytes_cmp(set.member.v, before) > 0,
              YZ_EMALFORMED);
    memcpy(s->statements_after, set.member.v.p, set.member.v.n);
    s->statements_after_n = set.member.v.n;
    return YZ_OK;
}

static int take_statements(struct session *s, yz_bytes payload, struct record *last)
{
    yz_reader r = yzi_reader(payload);
    bool changed = false;
    int result = YZ_OK;
    while (r.left) {
        struct record record;
        int rc = yzi_record_next(&r, &record);
        if (rc == YZ_OK && record.kind != RECORD_MEMBER_SET) {
            rc = YZ_EMALFORMED;
        }
        if (rc < 0) {
            yzi_session_alarm(s, rc, "the broker's member sets are refused", NULL);
            result = rc;
            break;
        }
        changed = take_member_set(s, &record) || changed;
        *last = record;
    }
    if (changed) {
        tell_change(s);
    }
    return result;
}

/* A page that was asked for, of which an empty one is the last; or member sets that were pushed. */
static void on_statements(struct session *s, const struct object *o, yz_bytes payload)
{
    bool page = o->token && o->token == s->statements_token;
    struct record last;
    if (page && !o->found) {
        return; /* the broker is too busy for it: with the next freshness again */
    }
    int rc = take_statements(s, payload, &last);
    if (!page || o->token != s->statements_token) { /* or to be asked for again, from the first */
        return;
    }
    if (rc < 0 || !payload.n) {
        s->statements_token = 0;
        return;
    }
    rc = go_on_after(s, &last);
    if (rc == YZ_OK) {
        ask_statements(s);
    } else {
        s->statements_token = 0;
        yzi_session_alarm(s, rc, "the broker's member sets lead nowhere", NULL);
    }
}

/* Freshness and statements count whoever asked for them, they prove themselves; but not without a
 * directory to judge them by. */
bool yzi_follow_object(struct session *s, const struct object *o, yz_bytes payload)
{
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    switch (o->what) {
    case FETCH_MANIFEST:
        on_manifest(s, o, payload);
        return true;
    case FETCH_CHUNK:
        on_chunk(s, o, payload);
        return true;
    case FETCH_FRESHNESS:
        if (d && o->found && payload.n) {
            take_freshness(s, payload);
        }
        return true;
    case FETCH_STATEMENTS:
        if (d) {
            on_statements(s, o, payload);
        }
        return true;
    case FETCH_SERVICE:
    case FETCH_OFFER:
    case FETCH_CATALOGUE:
    case FETCH_CONSISTENCY:
    case FETCH_RECEIPT:
    default:
        return false;
    }
}

bool yzi_follow_put_result(struct session *s, const struct put_result *r)
{
    if (!s->push_token || r->token != s->push_token) {
        return false;
    }
    s->push_token = 0;
    /* again: it fetches. there already, or newer: it was told otherwise meanwhile */
    if (r->code < 0 && r->code != YZ_EAGAIN && r->code != YZ_EEXIST && r->code != YZ_EROLLBACK) {
        yz_error err = {0};
        yzi_fail(&err, r->code, "%.*s", (int)r->text.n, r->text.n ? (const char *)r->text.p : "");
        yzi_session_alarm(s, r->code, "the broker refuses this node's directory", &err);
    }
    return true;
}

/* -- timers -- */

void yzi_follow_step(struct session *s)
{
    uint64_t now = now_ms(s);
    if (now >= s->follow_deadline) {
        wait_no_longer(s);
    }
    if (now >= s->follow_retry_at) {
        s->follow_retry_at = UINT64_MAX;
        compare(s);
    }
    if (now >= s->freshen_at && (s->statements_due || s->statements_token)) {
        ask_what_is_due(s);
    } else if (now >= s->freshen_at) {
        s->freshen_at = now + FRESHEN_MS;
        ask_freshness(s);
    }
}

uint64_t yzi_follow_deadline(const struct session *s)
{
    uint64_t at = s->freshen_at;
    at = s->follow_retry_at < at ? s->follow_retry_at : at;
    return s->follow_deadline < at ? s->follow_deadline : at;
}

/* -- giving out -- */

static int write_object(struct session *s, const struct directory *d, const struct fetch *f,
                        yz_buf *out)
{
    switch (f->what) {
    case FETCH_MANIFEST:
        YZ_TRY(yzi_buf_put(out, yzi_directory_manifest(d)));
        return yzi_buf_put(out, yzi_trust_freshness(s->o.trust));
    case FETCH_CHUNK: {
        yz_digest digest;
        memcpy(digest.b, f->name.p, sizeof digest.b); /* the parser saw to its length */
        yz_bytes chunk = yzi_directory_chunk(d, &digest);
        YZ_ENSURE(chunk.n, YZ_ENOTFOUND);
        return yzi_buf_put(out, chunk);
    }
    case FETCH_FRESHNESS:
        return yzi_buf_put(out, yzi_trust_freshness(s->o.trust));
    case FETCH_STATEMENTS:
        return yzi_directory_overlays_page(d, f->name, YZ_STATEMENTS_PAGE, out);
    case FETCH_SERVICE:
    case FETCH_OFFER:
    case FETCH_CATALOGUE:
    case FETCH_CONSISTENCY:
    case FETCH_RECEIPT:
    default:
        return YZ_ENOTFOUND; /* a broker's to know */
    }
}

int yzi_follow_serve(struct session *s, yz_bytes fetch_header)
{
    struct fetch f;
    YZ_TRY(yzi_fetch_parse(fetch_header, &f));
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    YZ_AUTO(yzi_buf_fini) yz_buf payload;
    yzi_buf_init(&payload, s->message_max);
    int rc = d ? write_object(s, d, &f, &payload) : YZ_ENOTFOUND;
    struct object o = {.token = f.token, .what = f.what, .found = rc == YZ_OK};
    yzi_buf_clear(&s->out);
    rc = yzi_object_write(&o, o.found ? yzi_bytes_buf(&payload) : (yz_bytes){0}, &s->out);
    if (rc == YZ_OK) {
        rc = yzi_session_send_out(s);
    }
    return rc == YZ_EAGAIN ? rc : YZ_OK; /* what it cannot take it asks for in vain */
}
