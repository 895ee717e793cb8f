/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetching the catalogue. It runs an engine of its own in the caller's thread, with no calls in it:
 * the engine keeps the sessions and follows the directory, this file asks for page after page.
 */
#include "client/catalogue.h"

#include "client/client_internal.h"
#include "client/engine_internal.h"

#define PAGE_MS 5000u    /* for a page, before another broker is asked, or the same again; */
#define PAGES_IN_TIME 6u /* or this part of the time there is */
#define ASKED_MAX 8u     /* questions for one page whose answers count */
#define NOT_NOW_MS 200u  /* after "not now" */
#define OFFER_ARENA_MAX (8u * 1024u * 1024u)
#define STEP_MS 200 /* at most between two looks at what became due */

/* -- pages -- */

void yzi_catalogue_pages_init(struct catalogue_pages *p)
{
    *p = (struct catalogue_pages){0};
    yzi_arena_init(&p->arena, CATALOGUE_BYTES_MAX);
}

void yzi_catalogue_pages_fini(struct catalogue_pages *p)
{
    yzi_arena_fini(&p->arena);
    free(p->offers);
    *p = (struct catalogue_pages){0};
}

/* Whose offer it is; nothing else of it is believed here. */
static int subsystem_of(const struct record *r, char out[YZ_ID_MAX + 1])
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct offer o;
    yzi_arena_init(&arena, OFFER_ARENA_MAX);
    YZ_ENSURE(r->kind == RECORD_OFFER, YZ_EMALFORMED);
    YZ_TRY(yzi_offer_parse(r->body, &arena, &o));
    memcpy(out, o.subsystem.v.p, o.subsystem.v.n);
    out[o.subsystem.v.n] = '\0';
    return YZ_OK;
}

static int keep_offer(struct catalogue_pages *p, yz_bytes raw)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        yz_bytes *grown = realloc(p->offers, cap * sizeof *grown);
        YZ_ENSURE(grown, YZ_ENOMEM);
        p->offers = grown;
        p->cap = cap;
    }
    p->offers[p->n++] = raw;
    return YZ_OK;
}

static int no_memory(yz_error *err)
{
    return yzi_fail(err, YZ_ENOMEM, "there is not enough memory for the catalogue");
}

int yzi_catalogue_pages_take(struct catalogue_pages *p, yz_bytes page, yz_error *err)
{
    yz_bytes copy;
    int rc = yzi_arena_dup(&p->arena, page, &copy);
    if (rc < 0) {
        return rc == YZ_ENOMEM
                   ? no_memory(err)
                   : yzi_fail(err, rc, "the catalogue has more than %u bytes", CATALOGUE_BYTES_MAX);
    }
    p->complete = page.n == 0;
    for (yz_reader r = yzi_reader(copy); r.left;) {
        struct record record;
        char id[YZ_ID_MAX + 1];
        rc = yzi_record_next(&r, &record);
        rc = rc == YZ_OK ? subsystem_of(&record, id) : rc;
        if (rc < 0) {
            return rc == YZ_ENOMEM
                       ? no_memory(err)
                       : yzi_fail(err, YZ_EMALFORMED,
                                  "what stands for offer %zu of the catalogue is none", p->n + 1);
        }
        if (strcmp(id, p->last) <= 0) {
            return yzi_fail(err, YZ_EMALFORMED, "the catalogue is not in the order of subsystems");
        }
        memcpy(p->last, id, sizeof id);
        YZ_ENSURE(keep_offer(p, record.raw) == YZ_OK, no_memory(err));
    }
    return YZ_OK;
}

/* -- verifying -- */

void yzi_catalogue_free(struct catalogue *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->offers_n; i++) {
        yzi_offer_unref(c->offers[i]);
    }
    free(c->offers);
    free(c->refused);
    yzi_directory_unref(c->directory);
    yzi_arena_fini(&c->arena);
    free(c);
}

static void free_catalogue(struct catalogue **c)
{
    yzi_catalogue_free(*c);
}

static int refuse(struct catalogue *c, yz_bytes raw, int code, const yz_error *why)
{
    struct catalogue_refusal *to = &c->refused[c->refused_n++];
    struct record r;
    char id[YZ_ID_MAX + 1];
    YZ_TRY(yzi_record_parse(raw, &r));
    YZ_TRY(subsystem_of(&r, id));
    YZ_TRY(yzi_arena_dup(&c->arena, yzi_bytes_str(id), &to->subsystem.v));
    to->code = code;
    snprintf(to->why, sizeof to->why, "%.*s", (int)sizeof to->why - 1,
             why->text[0] ? why->text : yz_err_words(code));
    return YZ_OK;
}

static int verify(struct engine *e, const struct catalogue_pages *p, struct catalogue **out)
{
    YZ_AUTO(free_catalogue) struct catalogue *c = NULL;
    yz_bytes consumer = e->o.config->subsystem_id.v;
    YZ_TRY(yzi_alloc(1, sizeof *c, &c));
    yzi_arena_init(&c->arena, CATALOGUE_BYTES_MAX);
    YZ_TRY(yzi_alloc(p->n + 1, sizeof(const struct held_offer *), &c->offers));
    YZ_TRY(yzi_alloc(p->n + 1, sizeof *c->refused, &c->refused));
    YZ_TRY(yzi_arena_dup(&c->arena, consumer, &c->consumer.v));
    yzi_directory_ref(e->directory);
    c->directory = e->directory;
    c->now = yzi_wall_ms(e->o.clock);
    for (size_t i = 0; i < p->n; i++) {
        yz_error err = {0};
        int rc = yzi_offer_open(p->offers[i], c->directory, c->now, &c->offers[c->offers_n], &err);
        YZ_ENSURE(rc != YZ_ENOMEM, rc);
        if (rc == YZ_OK) {
            c->offers_n++;
        } else {
            YZ_TRY(refuse(c, p->offers[i], rc, &err));
        }
    }
    *out = YZ_TAKE(c);
    return YZ_OK;
}

/* -- fetching -- */

struct fetching {
    struct engine *engine;
    struct catalogue_pages pages;
    bool has_pages;
    const struct peer *peer;    /* who is asked; NULL: nobody yet */
    unsigned failed;            /* bit per broker that was of no use */
    unsigned silent;            /* bit per broker that was too slow; all of them: once more */
    bool asked;                 /* a page is awaited */
    uint32_t tokens[ASKED_MAX]; /* of the questions for this page; 0: none */
    unsigned asked_n;
    uint64_t patience;   /* for a page */
    uint64_t until;      /* monotonic ms: the page is given up; or not asked again before */
    uint64_t turn_until; /* the broker's share of the time, while there are others */
    uint64_t deadline;   /* of all */
    uint64_t page_ms;    /* the patience to begin with */
    yz_error trouble;
};

/* Each that may still be of use gets as much of what is left: one that gives page after page slowly
 * does not keep the next from being asked. */
static uint64_t end_of_turn(const struct fetching *f)
{
    uint64_t now = yzi_engine_now(f->engine);
    unsigned n = 0;
    for (unsigned i = 0; i < f->engine->peers_n; i++) {
        n += f->engine->peers[i].up && !((f->failed | f->silent) & (1u << i));
    }
    return n > 1 && f->deadline > now ? now + (f->deadline - now) / n : f->deadline;
}

static void begin_pages(struct fetching *f, const struct peer *p)
{
    if (f->has_pages) {
        yzi_catalogue_pages_fini(&f->pages);
    }
    yzi_catalogue_pages_init(&f->pages);
    f->has_pages = true;
    f->peer = p;
    f->asked = false;
    f->until = 0;
    f->turn_until = end_of_turn(f);
    memset(f->tokens, 0, sizeof f->tokens);
}

static void give_up_peer(struct fetching *f)
{
    f->failed |= 1u << f->peer->index;
    f->peer = NULL;
}

/* Another broker's turn; the same one's when there is none: then what was asked still counts. */
static void wait_no_longer(struct fetching *f)
{
    struct engine *e = f->engine;
    if (f->trouble.code != YZ_ESIGNATURE) {
        yzi_fail(&f->trouble, YZ_ETIMEOUT, "%s sent no catalogue in time", f->peer->node);
    }
    f->silent |= 1u << f->peer->index;
    const struct peer *next = yzi_peers_first(e, f->failed | f->silent);
    if (!next) { /* once more, with more patience */
        f->silent = 0;
        f->patience *= 2;
        next = yzi_peers_first(e, f->failed);
    }
    f->asked = false;
    f->turn_until = f->deadline;
    if (next != f->peer) {
        f->peer = NULL;
    }
}

/* Was this page asked for so? In whatever order answers come, one of them counts. */
static bool is_asked(const struct fetching *f, uint32_t token)
{
    for (unsigned i = 0; token && i < ASKED_MAX; i++) {
        if (f->tokens[i] == token) {
            return true;
        }
    }
    return false;
}

static void on_object(void *ctx, const struct peer *p, const struct object *o, yz_bytes payload)
{
    struct fetching *f = ctx;
    if (o->what != FETCH_CATALOGUE || p != f->peer || !is_asked(f, o->token)) {
        return;
    }
    f->asked = false;
    f->patience = f->page_ms;
    memset(f->tokens, 0, sizeof f->tokens);
    f->until = yzi_engine_now(f->engine) + (o->found ? 0 : NOT_NOW_MS);
    yz_error err = {0};
    int rc = o->found ? yzi_catalogue_pages_take(&f->pages, payload, &err) : YZ_OK;
    if (rc == YZ_ENOMEM) {
        f->trouble = err;
    } else if (rc < 0) {
        yzi_fail(&f->trouble, YZ_ESIGNATURE, "%s: %s", p->node, err.text);
    }
    if (rc < 0) {
        give_up_peer(f);
    }
}

static void ask_page(struct fetching *f)
{
    uint64_t now = yzi_engine_now(f->engine);
    int rc = yzi_session_fetch(f->peer->session, FETCH_CATALOGUE, yzi_bytes_str(f->pages.last),
                               &f->tokens[f->asked_n % ASKED_MAX]);
    f->asked = rc == YZ_OK;
    f->asked_n += f->asked;
    f->until = now + (rc == YZ_OK ? f->patience : RETRY_MS);
}

/* Whether the directory may be acted by; else why not. */
static int check_trust(struct fetching *f)
{
    struct engine *e = f->engine;
    uint64_t age;
    YZ_ENSURE(e->directory, YZ_EAGAIN);
    if (yzi_trust_state(e->o.trust, &age) == TRUST_EXPIRED) {
        char why[TRUST_EXPIRED_TEXT];
        yzi_trust_expired_text(age, why);
        yzi_fail(&f->trouble, YZ_EEXPIRED, "%s", why);
        return YZ_EAGAIN;
    }
    return YZ_OK;
}

/* What can be done now: choose a broker, ask for the next page, note that one is silent. */
static int advance(struct fetching *f)
{
    uint64_t now = yzi_engine_now(f->engine);
    if (f->peer && !f->peer->up && !f->pages.complete) { /* its answers will never come */
        f->peer = NULL;
    }
    if (f->peer && !f->pages.complete && ((f->asked && now >= f->until) || now >= f->turn_until)) {
        wait_no_longer(f);
    }
    YZ_TRY(check_trust(f));
    if (!f->peer) {
        const struct peer *p = yzi_peers_first(f->engine, f->failed | f->silent);
        if (!p) {
            f->silent = 0;
            p = yzi_peers_first(f->engine, f->failed);
        }
        YZ_ENSURE(p || !f->failed || !yzi_peers_first(f->engine, 0), f->trouble.code);
        YZ_ENSURE(p, YZ_EAGAIN);
        begin_pages(f, p);
    }
    if (!f->asked && !f->pages.complete && now >= f->until) {
        ask_page(f);
    }
    return f->pages.complete ? YZ_OK : YZ_EAGAIN;
}

static int step(struct fetching *f, const yz_client *c)
{
    bool more = false;
    struct poll_entry entries[ENGINE_POLL_ENTRIES];
    size_t n = yzi_engine_poll_entries(f->engine, entries);
    uint64_t now = yzi_mono_ms(c->clock), at = yzi_engine_deadline(f->engine);
    int64_t wait = at <= now ? 0 : at - now < STEP_MS ? (int64_t)(at - now) : STEP_MS;
    YZ_TRY(yzi_poll(entries, n, wait));
    do {
        yzi_engine_step(f->engine, &more);
    } while (more);
    return YZ_OK;
}

static int say_timeout(struct fetching *f, yz_error *err)
{
    char down[300];
    if (f->trouble.text[0]) {
        return yzi_fail(err, f->trouble.code, "%s", f->trouble.text);
    }
    yzi_peers_say_down(f->engine, down, sizeof down);
    return yzi_fail(err, yzi_peers_first(f->engine, 0) ? YZ_ETIMEOUT : YZ_EUNAVAILABLE,
                    "no catalogue in time (%s)", down);
}

static int fetch_pages(struct fetching *f, const yz_client *c, yz_error *err)
{
    for (;;) {
        int rc = advance(f);
        if (rc == YZ_OK) {
            return rc;
        }
        if (rc != YZ_EAGAIN || yzi_engine_now(f->engine) >= f->deadline) {
            return say_timeout(f, err);
        }
        YZ_TRY(step(f, c));
    }
}

/* What a newer member set may still turn to the good is looked at again, for a moment. */
static int verify_all(struct fetching *f, const yz_client *c, struct catalogue **out, yz_error *err)
{
    uint64_t until = yzi_engine_now(f->engine) + LAG_MS;
    YZ_AUTO(free_catalogue) struct catalogue *got = NULL;
    until = until < f->deadline ? until : f->deadline;
    for (;;) {
        const struct directory *seen = f->engine->directory;
        int rc = verify(f->engine, &f->pages, &got);
        if (rc < 0) {
            return yzi_fail(err, rc, "the catalogue could not be verified (%s)", yz_err_words(rc));
        }
        while (got->refused_n && f->engine->directory == seen &&
               yzi_engine_now(f->engine) < until) {
            YZ_TRY(step(f, c));
        }
        if (f->engine->directory == seen) {
            break;
        }
        yzi_catalogue_free(YZ_TAKE(got));
    }
    memcpy(got->broker, f->peer->node, sizeof got->broker);
    *out = YZ_TAKE(got);
    return YZ_OK;
}

static void close_client(yz_client **c)
{
    yz_client_close(*c);
}

static int run(yz_client *c, struct fetching *f, struct catalogue **out, yz_error *err)
{
    struct engine_options o = {.config = &c->config,
                               .clock = c->clock,
                               .signing = &c->signing,
                               .transport = &c->transport,
                               .views = c->views,
                               .trust = c->trust,
                               .net = c->net};
    YZ_TRY(yzi_engine_new(&o, &f->engine, err));
    f->engine->on_object = on_object;
    f->engine->on_object_ctx = f;
    YZ_TRY(fetch_pages(f, c, err));
    return verify_all(f, c, out, err);
}

int yzi_catalogue_fetch(const char *config_path, uint32_t timeout_ms, struct catalogue **out,
                        yz_error *err)
{
    YZ_AUTO(close_client) yz_client *c = NULL;
    struct fetching f = {0};
    YZ_TRY(yzi_client_open_unstarted(config_path, &c, err));
    f.deadline = yzi_mono_ms(c->clock) + timeout_ms;
    f.page_ms = timeout_ms / PAGES_IN_TIME < PAGE_MS ? timeout_ms / PAGES_IN_TIME : PAGE_MS;
    f.patience = f.page_ms;
    int rc = run(c, &f, out, err);
    if (f.has_pages) {
        yzi_catalogue_pages_fini(&f.pages);
    }
    yzi_engine_free(f.engine);
    return rc;
}
