/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session does about the broker's log: it shows in its hello the newest checkpoint it holds,
 * takes what its owner saw in receipts and in other parties' headers, has the broker prove that all
 * of it is one history, and speaks no more to a broker that signed two.
 */
#include <string.h>

#include "net/session_internal.h"

static uint64_t now_ms(const struct session *s)
{
    return yzi_mono_ms(s->o.link.clock);
}

int yzi_log_open(struct session *s, yz_error *err)
{
    return s->o.views ? yzi_views_of(s->o.views, s->o.broker, &s->view, err) : YZ_OK;
}

void yzi_log_reset(struct session *s)
{
    memset(s->log_tokens, 0, sizeof s->log_tokens); /* what was asked on the connection before is
                                                       not answered on another */
}

bool yzi_log_is_broken(const struct session *s)
{
    return s->view && yzi_view_broken(s->view);
}

/* A conviction is an alarm once, when it is found; from then on the session is down. */
static int tell(struct session *s, int rc, bool was_broken, const yz_error *err)
{
    if (rc == YZ_EEQUIVOCATION && !was_broken) {
        yzi_session_alarm(s, rc, "this broker is not used any more", err);
    } else if (rc == YZ_ENOTFOUND) {
        yzi_session_alarm(s, rc, "the broker's log is in doubt", err);
    }
    return rc;
}

int yzi_session_saw(struct session *s, const struct checkpoint_ref *ref, const char *from)
{
    uint8_t key[32];
    yz_error err = {0};
    YZ_AUTO(yzi_directory_unref_ptr)
    const struct directory *d = yzi_trust_directory(s->o.trust);
    YZ_ENSURE(d, YZ_EUNKNOWNKEY);
    YZ_ENSURE(s->view && ref->present, YZ_OK);
    YZ_TRY(yzi_checkpoint_ref_verify(&s->checkpoints, d, s->o.broker, yzi_wall_ms(s->o.link.clock),
                                     ref, key));
    bool broken = yzi_log_is_broken(s);
    int rc =
        yzi_view_note(s->view, ref->log, ref->size, &ref->root, key, ref->signature.p, from, &err);
    return tell(s, rc, broken, &err);
}

int yzi_session_saw_receipt(struct session *s, const struct receipt *r)
{
    yz_error err = {0};
    YZ_ENSURE(s->view, YZ_OK);
    bool broken = yzi_log_is_broken(s);
    int rc =
        yzi_view_note(s->view, r->log, r->size, &r->root, r->key, r->signature, "receipt", &err);
    return tell(s, rc, broken, &err);
}

struct checkpoint_ref yzi_session_checkpoint(const struct session *s)
{
    return s->view ? yzi_view_latest(s->view) : (struct checkpoint_ref){0};
}

struct checkpoint_memory *yzi_session_checkpoint_memory(struct session *s)
{
    return &s->checkpoints;
}

yz_bytes yzi_log_hello(const struct session *s, uint8_t out[YZ_SEEN_BYTES])
{
    struct checkpoint_ref ref = yzi_session_checkpoint(s);
    if (!ref.present) {
        return (yz_bytes){0};
    }
    yzi_seen_write(&ref, out);
    return yzi_bytes(out, YZ_SEEN_BYTES);
}

void yzi_log_step(struct session *s)
{
    uint8_t name[CONSISTENCY_NAME_BYTES];
    if (!s->view || !yzi_view_wants(s->view, now_ms(s), name)) {
        return;
    }
    if (memcmp(s->log_name, name, sizeof name) != 0) {
        memset(s->log_tokens, 0, sizeof s->log_tokens);
        memcpy(s->log_name, name, sizeof name);
    }
    uint32_t token;
    if (yzi_session_ask(s, FETCH_CONSISTENCY, yzi_bytes(name, sizeof name), &token) == YZ_OK) {
        memmove(&s->log_tokens[1], &s->log_tokens[0],
                sizeof s->log_tokens - sizeof s->log_tokens[0]);
        s->log_tokens[0] = token;
    } /* else the view asks again when no answer came */
}

uint64_t yzi_log_deadline(const struct session *s)
{
    return s->view ? yzi_view_deadline(s->view) : UINT64_MAX;
}

/* Which of the questions it answers, the newest being 0; SESSION_LATE_MAX: none. */
static unsigned place_of(const struct session *s, uint32_t token)
{
    unsigned i = 0;
    while (i < SESSION_LATE_MAX && (!token || s->log_tokens[i] != token)) {
        i++;
    }
    return i;
}

/* A proof proves itself, whichever of the questions it answers. That there is none is the word of
 * the moment when it was asked for, and counts for the last question only. */
bool yzi_log_object(struct session *s, const struct object *o, yz_bytes payload)
{
    yz_error err = {0};
    unsigned place = place_of(s, o->token);
    if (o->what != FETCH_CONSISTENCY || place == SESSION_LATE_MAX) {
        return false;
    }
    s->log_tokens[place] = 0;
    if (!o->found && place > 0) {
        return true;
    }
    memset(s->log_tokens, 0, sizeof s->log_tokens);
    bool broken = yzi_log_is_broken(s);
    int rc = yzi_view_proved(s->view, yzi_bytes(s->log_name, sizeof s->log_name), o->found, payload,
                             now_ms(s), &err);
    yz_ignore(tell(s, rc, broken, &err), "told; the next step hangs up");
    return true;
}
