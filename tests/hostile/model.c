/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission, row by row, in the document's order: the first row that does not hold decides.
 */
#include "tests/hostile/model.h"

#include <sodium.h>

#define BLOCK_KEY_AT 12u
#define BLOCK_SIGNATURE_AT 44u
#define BLOCK_PATH_AT 108u

static struct expected say(enum outcome_status status, const char *reason)
{
    return (struct expected){.status = status, .reason = reason};
}

void expected_text(const struct expected *e, char *out, size_t n)
{
    snprintf(out, n, "%s%s %s", e->silent ? "silence for " : "",
             e->status ? yzi_outcome_status_name(e->status) : "accepted",
             e->reason ? e->reason : "");
}

static struct world_node *find_node(struct world *w, yz_bytes id)
{
    for (struct world_node *n = w->brokers; n; n = n->next) {
        if (yzi_bytes_eq_str(id, n->id)) {
            return n;
        }
    }
    for (struct world_member *m = w->members; m; m = m->next) {
        for (struct world_node *n = m->nodes; n; n = n->next) {
            if (yzi_bytes_eq_str(id, n->id)) {
                return n;
            }
        }
    }
    return NULL;
}

static bool speaks_for(const struct world_node *n, yz_bytes subsystem)
{
    for (size_t i = 0; n->member && i < n->codes_n; i++) {
        char id[200];
        snprintf(id, sizeof id, "%s/%s", n->member->id, n->codes[i]);
        if (yzi_bytes_eq_str(subsystem, id)) {
            return true;
        }
    }
    return false;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Steps 3 to 9. */
static struct expected first_step(const struct model *m, const struct request_header *h)
{
    uint64_t now = yz_world_now(m->w);
    if (h->service.v.n < 3 || !yzi_bytes_eq_str(yzi_bytes(h->service.v.p, 3), "CN/")) {
        return say(OUTCOME_UNKNOWN_SERVICE, "instance");
    }
    const struct world_node *n = find_node(m->w, h->node.v);
    if (!n) {
        return say(OUTCOME_WRONG_SENDER, "node-unknown");
    }
    if (n->role != ROLE_CLIENT) {
        return say(OUTCOME_WRONG_SENDER, "role");
    }
    if (m->peer && strcmp(n->id, m->peer) != 0) {
        return say(OUTCOME_WRONG_SENDER, "peer");
    }
    if (!speaks_for(n, h->consumer.v)) {
        return say(OUTCOME_WRONG_SENDER, "subsystem");
    }
    if (h->issued_at > now + YZ_SKEW_MS) {
        return say(OUTCOME_EXPIRED, "not-yet");
    }
    if (now > h->expires_at + YZ_SKEW_MS) {
        return say(OUTCOME_EXPIRED, "expired");
    }
    uint64_t id_time = 0;
    for (unsigned i = 0; i < 6; i++) {
        id_time = id_time << 8 | h->message_id.b[i];
    }
    if (apart(id_time, h->issued_at) > YZ_SKEW_MS) {
        return say(OUTCOME_MALFORMED, "id-time");
    }
    return say(0, NULL);
}

/* Steps 11 to 15. */
static struct expected second_step(const struct request_header *h, const struct frame *f,
                                   enum signed_how how)
{
    if (how == SIGNED_NO_BLOCK) {
        return say(OUTCOME_MALFORMED, "block");
    }
    if (how != SIGNED_RIGHT) {
        return say(OUTCOME_BAD_SIGNATURE, how == SIGNED_STRANGER ? "key" : "signature");
    }
    if (f->payload.n != h->sealed_length) {
        return say(OUTCOME_MALFORMED, "length");
    }
    uint8_t digest[32];
    crypto_generichash(digest, sizeof digest, f->payload.p, f->payload.n, NULL, 0);
    if (sodium_memcmp(digest, h->sealed_digest.b, sizeof digest) != 0) {
        return say(OUTCOME_MALFORMED, "digest");
    }
    return say(0, NULL);
}

static bool names(const struct request_header *h, const char *broker)
{
    for (unsigned i = 0; i < h->brokers_n; i++) {
        if (yzi_bytes_eq_str(h->brokers[i].node.v, broker)) {
            return true;
        }
    }
    return false;
}

static bool has_slot(const struct request_header *h, const char *adapter)
{
    for (unsigned i = 0; adapter && i < h->slots_n; i++) {
        if (yzi_bytes_eq_str(h->slots[i].adapter.v, adapter)) {
            return true;
        }
    }
    return false;
}

/* What comes after step 15. */
static struct expected last_step(const struct model *m, const struct request_header *h)
{
    if (!m->peer) {
        struct expected e = has_slot(h, m->self) ? say(0, NULL) : say(OUTCOME_MALFORMED, "no-slot");
        e.takes_id = e.status == 0;
        return e;
    }
    if (!yzi_bytes_eq_str(h->service.v, WORLD_SERVICE)) {
        return say(OUTCOME_UNKNOWN_SERVICE, "no-such-service");
    }
    if (!yzi_bytes_eq_str(h->consumer.v, WORLD_CONSUMER)) {
        return say(OUTCOME_DENIED, "no-grant");
    }
    struct expected e =
        has_slot(h, m->adapter) ? say(0, NULL) : say(OUTCOME_UNAVAILABLE, "no-live-adapter");
    e.takes_id = true;
    return e;
}

static struct expected unparsed(const struct frame *f, int rc)
{
    yz_uuid id;
    struct expected e = rc == YZ_EVERSION  ? say(OUTCOME_MALFORMED, "version")
                        : rc == YZ_ETOOBIG ? say(OUTCOME_TOO_LARGE, "header")
                                           : say(OUTCOME_MALFORMED, "header");
    e.silent = !yzi_request_header_peek_id(f->header, &id);
    return e;
}

struct expected model_request(const struct model *m, const struct frame *f, enum signed_how how)
{
    struct request_header h;
    yz_uuid id;
    if (m->peer && m->full && yzi_request_header_peek_id(f->header, &id)) {
        return say(OUTCOME_BUSY, "limit"); /* before anything is judged */
    }
    int rc = yzi_request_header_parse(f->header, &h);
    if (rc < 0) {
        return unparsed(f, rc);
    }
    struct expected e = first_step(m, &h);
    bool waits =
        (e.status == 0 || e.status == OUTCOME_WRONG_SENDER) && h.directory_version > m->version;
    if (e.status == 0 && m->peer && !names(&h, m->self)) {
        e = say(OUTCOME_WRONG_SENDER, "other-broker");
    }
    if (e.status == 0 && m->peer && m->id_taken) { /* an adapter looks after the signature */
        e = say(OUTCOME_ID_CONFLICT, "other-bytes");
    }
    if (e.status == 0) {
        e = second_step(&h, f, how);
    }
    if (e.status == 0) {
        e = last_step(m, &h);
    }
    if (e.status == 0 && m->id_taken) {
        e = say(OUTCOME_ID_CONFLICT, "other-bytes");
    }
    e.waits = waits;
    return e;
}

/* -- blocks -- */

static uint32_t number_at(yz_bytes b, size_t at)
{
    return yzi_load_u32(b.p + at);
}

/* How many hashes lead from a leaf to the root (RFC 9162 §2.1.3.2): one for each level at which the
 * leaf's subtree has a sibling. */
static unsigned path_length(uint32_t index, uint32_t size)
{
    unsigned n = 0;
    for (uint32_t last = size - 1; last; index >>= 1, last >>= 1) {
        n += (index & 1) || index < last;
    }
    return n;
}

enum signed_how model_block(yz_bytes before, yz_bytes after)
{
    bool fits = after.n >= BLOCK_PATH_AT && after.p[0] == 1 && after.p[2] == 0 && after.p[3] == 0;
    if (!fits || after.n != BLOCK_PATH_AT + 32u * after.p[1]) {
        return SIGNED_NO_BLOCK;
    }
    uint32_t size = number_at(after, 4), index = number_at(after, 8);
    if (size == 0 || size > YZ_BATCH_MAX || index >= size ||
        path_length(index, size) != after.p[1]) {
        return SIGNED_NO_BLOCK;
    }
    yz_bytes key = yzi_bytes(after.p + BLOCK_KEY_AT, BLOCK_SIGNATURE_AT - BLOCK_KEY_AT);
    if (!yzi_bytes_eq(key, yzi_bytes(before.p + BLOCK_KEY_AT, key.n))) {
        return SIGNED_STRANGER;
    }
    return yzi_bytes_eq(before, after) ? SIGNED_RIGHT : SIGNED_WRONG;
}
