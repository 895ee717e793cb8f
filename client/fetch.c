/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding out about services: which broker is asked, what its answer is worth, and how long the
 * calls that wait for it wait. One fetch per service is waited for at a time, whoever waits; but an
 * answer that comes after another was asked is good, too: it proves itself, and a broker that is
 * slower than we ask would else never be heard.
 */
#include "client/engine_internal.h"

static void remember_asked(struct service *s)
{
    unsigned i = s->next_asked++ % SERVICE_ASKED_MAX;
    s->asked[i].peer = s->peer;
    s->asked[i].token = s->token;
}

/* Ask the next broker. False when each that is up was of no use. */
static bool fetch(struct engine *e, struct service *s)
{
    struct peer *p = yzi_peers_first(e, s->tried | s->silent);
    if (!p && s->silent) {
        s->silent = 0;
        p = yzi_peers_first(e, s->tried);
    }
    if (!p) {
        return false;
    }
    int rc = yzi_session_fetch(p->session, FETCH_SERVICE, s->id.v, &s->token);
    if (rc < 0) {
        yzi_engine_recheck(e, yzi_engine_now(e) + RETRY_MS);
        return true;
    }
    e->counters.fetched++;
    s->fetching = true;
    s->peer = p->index;
    remember_asked(s);
    s->fetch_until = yzi_engine_now(e) + FETCH_MS;
    yzi_engine_recheck(e, s->fetch_until);
    return true;
}

/* What a newer directory may turn from false to true. */
static bool may_be_lag(int rc)
{
    return rc == YZ_ESIGNATURE || rc == YZ_EUNKNOWNKEY || rc == YZ_EEXPIRED;
}

/* One broker says it does not know the service, another that no adapter is there, a third lies: the
 * caller hears the worst. */
static int badness(int rc)
{
    return rc == YZ_OK ? 0 : rc == YZ_ENOTFOUND ? 1 : rc == YZ_EUNAVAILABLE ? 2 : 3;
}

static void note_trouble(struct engine *e, struct service *s, const struct peer *p, int rc,
                         const char *text)
{
    s->tried |= 1u << p->index;
    if (badness(rc) >= badness(s->trouble)) {
        s->trouble = rc;
        snprintf(s->trouble_text, sizeof s->trouble_text, "%.120s: %.170s", p->node, text);
    }
    if (may_be_lag(rc) && s->lag_until == 0) {
        s->lag_until = yzi_engine_now(e) + LAG_MS;
    }
}

static void forget_trouble(struct service *s)
{
    s->trouble = YZ_OK;
    s->tried = s->silent = 0;
}

static void fail_for_service(struct engine *e, struct call *c, const struct service *s)
{
    char id[YZ_ID_MAX + 1];
    int rc = badness(s->trouble) < 3 || s->trouble == YZ_ENOMEM ? s->trouble : YZ_ESIGNATURE;
    snprintf(id, sizeof id, "%.*s", (int)s->id.v.n, (const char *)s->id.v.p);
    yzi_call_fail(e, c, rc, "%.200s: %s", id, s->trouble_text);
}

/* Its service is not known well enough: wait for the answer of the fetch under way, ask the next
 * broker, or give up by what came. */
void yzi_service_wait(struct engine *e, struct call *c, struct service *s)
{
    bool lags = yzi_engine_now(e) < s->lag_until;
    if (!c->service) { /* it begins to wait */
        c->service = s;
        s->users++;
        if (!s->fetching && !lags) {
            forget_trouble(s);
        }
    }
    if (s->fetching || fetch(e, s) || s->trouble == YZ_OK) {
        return;
    }
    if (lags) { /* a newer directory may make it true; its coming asks again */
        yzi_engine_recheck(e, s->lag_until);
        return;
    }
    fail_for_service(e, c, s);
}

void yzi_service_leave(struct call *c)
{
    if (c->service) {
        c->service->users--;
        c->service = NULL;
    }
}

/* -- what becomes of a fetch -- */

/* Was this asked? Each question is answered once. */
static bool take_asked(struct service *s, unsigned peer, uint32_t token)
{
    for (unsigned i = 0; i < SERVICE_ASKED_MAX; i++) {
        if (token && s->asked[i].token == token && s->asked[i].peer == peer) {
            s->asked[i].token = 0;
            return true;
        }
    }
    return false;
}

static struct service *find_asked(const struct engine *e, const struct peer *p, uint32_t token)
{
    for (struct table_item *i = yzi_table_first(&e->services.by_id); i; i = yzi_table_next(i)) {
        struct service *s = yzi_table_value(i);
        if (take_asked(s, p->index, token)) {
            return s;
        }
    }
    return NULL;
}

void yzi_services_object(struct engine *e, const struct peer *p, const struct object *o,
                         yz_bytes payload)
{
    if (!e->directory) {
        return;
    }
    struct service *s = find_asked(e, p, o->token);
    if (!s) {
        return;
    }
    if (s->fetching && s->peer == p->index && s->token == o->token) {
        s->fetching = false;
    }
    e->dirty = true;
    if (!o->found) {
        note_trouble(e, s, p, YZ_ENOTFOUND, "it holds no offer of this service");
        return;
    }
    struct judge j = yzi_engine_judge(e);
    yz_error err = {0};
    int rc = yzi_service_load(s, payload, &j, yzi_engine_now(e), &err);
    if (rc < 0) {
        note_trouble(e, s, p, rc, err.text[0] ? err.text : yz_err_words(rc));
        return;
    }
    s->fetching = false; /* whoever else was asked has nothing to add */
    memset(s->asked, 0, sizeof s->asked);
}

void yzi_services_lost(struct engine *e, unsigned peer)
{
    for (struct table_item *i = yzi_table_first(&e->services.by_id); i; i = yzi_table_next(i)) {
        struct service *s = yzi_table_value(i);
        if (s->fetching && s->peer == peer) {
            s->fetching = false;
        }
        for (unsigned k = 0; k < SERVICE_ASKED_MAX; k++) {
            if (s->asked[k].peer == peer) {
                s->asked[k].token = 0; /* another connection counts from one again */
            }
        }
    }
}

void yzi_services_expire(struct engine *e, uint64_t now)
{
    for (struct table_item *i = yzi_table_first(&e->services.by_id); i; i = yzi_table_next(i)) {
        struct service *s = yzi_table_value(i);
        if (s->fetching && now >= s->fetch_until) {
            s->fetching = false;
            s->silent |= 1u << s->peer;
        } else if (s->fetching) {
            yzi_engine_recheck(e, s->fetch_until);
        }
    }
}

void yzi_services_directory_changed(struct engine *e)
{
    yzi_services_distrust(&e->services);
    for (struct table_item *i = yzi_table_first(&e->services.by_id); i; i = yzi_table_next(i)) {
        struct service *s = yzi_table_value(i);
        if (s->lag_until) {
            forget_trouble(s); /* ask again, and judge by what is true now */
        }
    }
}
