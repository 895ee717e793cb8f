/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving a call to another broker as well (docs/decisions/0032 and 0036). Nobody tells a client why
 * no answer comes: the broker stands still, drops what it is given, or passed it on to an adapter
 * that needs its time. Whether it stands still is asked. Otherwise the call is given to the next
 * one within a budget, because copies of all calls would make a slow adapter slower, and nothing
 * would ever end that.
 *
 * The budget is of each service: a call gives a twentieth of a copy, a copy takes one, and gives it
 * back when the answer comes through it while the other says nothing. Where a broker drops calls
 * that is each of them, so that they go on as fast as they are answered. Where the adapter is slow
 * the answer comes through both at the same moment and either may be first, so that about one in
 * ten calls is copied.
 */
#include "client/engine_internal.h"

/* Not answered for this share of a call's time, the same bytes go to another broker, too. */
#define SHARE_OF_TIME 4u
#define SHARE_MIN_MS 500u
#define FULL_MS 50u /* after the next broker's queue was full */

/* -- the budget -- */

static struct service *service_of(const struct engine *e, const struct call *c)
{
    return yzi_services_find(&e->services, c->envelope.header.service);
}

static void give_back(struct engine *e, const struct call *c, unsigned parts)
{
    struct service *s = service_of(e, c);
    if (!s) {
        return;
    }
    unsigned before = s->copies / COPY_PARTS;
    unsigned room = COPIES_MAX * COPY_PARTS - s->copies;
    s->copies += parts < room ? parts : room;
    e->copies_back = e->copies_back || s->copies / COPY_PARTS > before;
}

void yzi_copy_sent(struct engine *e, const struct call *c)
{
    give_back(e, c, 1);
}

static bool has_copy(const struct engine *e, const struct call *c)
{
    const struct service *s = service_of(e, c);
    return s && s->copies >= COPY_PARTS;
}

/* One of the budget's, if it can be sent now. */
static bool give_copy(struct engine *e, struct call *c)
{
    unsigned asked = c->asked;
    if (!yzi_call_send(e, c)) {
        return false;
    }
    service_of(e, c)->copies -= COPY_PARTS; /* which sending does not change */
    c->on_budget |= c->asked & ~asked;
    e->counters.copied++;
    return true;
}

void yzi_copies_give(struct engine *e)
{
    if (!e->copies_back || !e->wanting) {
        return;
    }
    e->copies_back = false;
    struct call *next;
    for (struct call *c = e->sent.head; c && e->wanting; c = next) {
        next = c->next;
        if (c->wants_copy && c->asked && has_copy(e, c) && give_copy(e, c)) {
            yzi_call_set_want(e, c, false);
        }
    }
}

/* -- time -- */

/* Until then; a sign of life that is asked for has nearly half of that to come. */
static void watch_until(struct engine *e, struct call *c, uint64_t decide_at)
{
    uint64_t now = yzi_engine_now(e);
    c->watched_from = now;
    c->decide_at = decide_at;
    c->another_at = now + (decide_at - now) * 9 / 16;
    yzi_call_set_timer(e, c);
}

void yzi_copy_watch(struct engine *e, struct call *c)
{
    uint64_t share = (c->deadline - c->submitted) / SHARE_OF_TIME;
    share = share < SHARE_MIN_MS ? SHARE_MIN_MS : share;
    if (e->peers_n > 1) {
        watch_until(e, c, yzi_engine_now(e) + share);
    } else {
        c->another_at = 0;
        yzi_call_set_timer(e, c);
    }
}

/* A broker that lives has half of the time. */
static void decide(struct engine *e, struct call *c)
{
    const uint64_t half = c->submitted + (c->deadline - c->submitted) / 2;
    bool lives = yzi_peers_doubt(e, c->asked, c->watched_from);
    if (lives && yzi_engine_now(e) < half) {
        watch_until(e, c, half);
        return;
    }
    yzi_call_set_want(e, c, lives && !has_copy(e, c));
    if (c->wants_copy) {
        e->counters.spared++;
        yzi_copy_watch(e, c);
    } else if (!(lives ? give_copy(e, c) : yzi_call_send(e, c))) {
        c->decide_at = c->another_at = yzi_engine_now(e) + FULL_MS;
        yzi_call_set_timer(e, c);
    }
}

void yzi_copy_due(struct engine *e, struct call *c)
{
    uint64_t now = yzi_engine_now(e);
    if (!yzi_peers_first(e, c->asked | c->failed)) {
        yzi_copy_watch(e, c); /* nobody to give it to */
    } else if (c->another_at < c->decide_at) {
        uint64_t watched = c->decide_at - c->watched_from;
        uint64_t least = now + watched / 4; /* if it is this process that stood still */
        yzi_peers_ask_sign(e, c->asked, c->watched_from + watched / 2);
        c->decide_at = c->decide_at > least ? c->decide_at : least;
        c->another_at = c->decide_at;
        yzi_call_set_timer(e, c);
    } else {
        decide(e, c);
    }
}

/* -- what became of it -- */

/* It had the call, lives, and did not answer: others are asked before it. Whoever is silent is
 * doubted already, until it says something. */
static void note_loss(struct engine *e, const struct call *c, unsigned peer)
{
    struct peer *p = &e->peers[peer];
    if (p->up && yzi_session_heard_at(p->session) > c->sent_at[peer]) {
        yzi_peer_lost(p, c->sent_at[peer]);
    }
}

void yzi_copy_answered(struct engine *e, struct call *c, struct peer *p)
{
    unsigned bit = 1u << p->index, others = c->asked & ~bit;
    if (others | c->failed || c->sent_at[p->index] > p->lost_at) {
        p->lost = 0; /* it did better than another, or than before */
    }
    if (c->on_budget & bit && others) {
        give_back(e, c, COPY_PARTS);
    }
    for (unsigned i = 0; i < e->peers_n; i++) {
        if (others & (1u << i) && c->sent_at[i] < c->sent_at[p->index]) {
            note_loss(e, c, i);
        }
    }
}

void yzi_copy_not_answered(struct engine *e, const struct call *c)
{
    for (unsigned i = 0; i < e->peers_n; i++) {
        if (c->asked & (1u << i)) {
            note_loss(e, c, i);
        }
    }
}
