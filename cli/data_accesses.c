/* SPDX-License-Identifier: Apache-2.0
 *
 * yz data accesses: who looked at this record? From the exchanges that an adapter keeps, and says
 * so where they do not tell: what retention destroyed, what is damaged, what an older version kept.
 * Memory is bounded: records are read one by one, and only what is about the subject is held.
 */
#include "adapters/dataset/subjects.h"
#include "cli/accesses.h"
#include "cli/columns.h"
#include "cli/data.h"
#include "cli/where.h"

#define DAY_MS 86400000u
#define LISTED_MAX 20000u
#define TEXT_MAX (64u * 1024u * 1024u) /* of all that is listed */
#define ACCESS_MAX (256u * 1024u)      /* of one */
#define DAMAGES_MAX (64u * 1024u)

struct listed {
    uint64_t at;
    char *consumer, *purpose, *outcome, *text;
};
struct search {
    struct cli *c;
    struct dataset *definition; /* may be NULL */
    yz_bytes set;               /* only this one, when not empty */
    struct query_value parts[YZ_QUERY_KEY_PARTS_MAX];
    size_t parts_n;
    uint64_t from, until; /* until itself is not of it */
    struct listed *list;
    size_t n, cap, bytes;
    uint64_t older;                        /* exchanges that do not say whom they were about */
    bool of_provider, of_consumer, of_set; /* whose exchanges are kept here; of the set asked for */
    struct kept_summary sum;
    struct kept_span span;
    unsigned damaged; /* contents that are not what was signed */
    yz_buf damages;   /* sentences, each ended by a newline */
};

static void search_fini(struct search *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->list[i].consumer);
        free(s->list[i].purpose);
        free(s->list[i].outcome);
        free(s->list[i].text);
    }
    free(s->list);
    yzi_buf_fini(&s->damages);
    yzi_dataset_unref(s->definition);
}

/* -- what is asked -- */

static int canonical_part(struct search *s, size_t i, const char *word)
{
    const struct dataset_field *f = &s->definition->fields[s->definition->key[i]];
    YZ_AUTO(yzi_buf_wipe) yz_buf text = {.max = YZ_VALUE_MAX};
    const char *why = NULL;
    int rc = yzi_field_canonical(f, yzi_bytes_str(word), &text, &why);
    if (rc == YZ_EDATA) {
        return yzi_cli_usage(s->c, "--subject: '%s' %s (%s)", word, why, f->name);
    }
    YZ_TRY(rc);
    return yzi_arena_dup(yzi_cli_arena(s->c), yzi_bytes_buf(&text), &s->parts[i].v);
}

static int read_subject(struct search *s)
{
    const char **words;
    YZ_TRY(yzi_cli_words(s->c, yzi_cli_option(s->c, "subject"), &words, &s->parts_n));
    const struct dataset *d = s->definition;
    if (s->parts_n > YZ_QUERY_KEY_PARTS_MAX || (d && s->parts_n != d->key_n)) {
        return yzi_cli_usage(
            s->c,
            "--subject: a key of %s%s has %zu part%s, separated by commas (\\, is a "
            "comma)",
            d ? "the data set " : "a data set", d ? d->name : "",
            d ? d->key_n : (size_t)YZ_QUERY_KEY_PARTS_MAX,
            d && d->key_n == 1 ? ""
            : d                ? "s"
                               : "s at most");
    }
    for (size_t i = 0; i < s->parts_n; i++) {
        s->parts[i].v = yzi_bytes_str(words[i]);
        YZ_TRY(d ? canonical_part(s, i, words[i]) : YZ_OK);
    }
    return YZ_OK;
}

static int read_set(struct search *s)
{
    const char *definition = yzi_cli_option(s->c, "definition"), *set = yzi_cli_option(s->c, "set");
    s->set = yzi_bytes_str(set);
    if (!definition) {
        return YZ_OK;
    }
    YZ_TRY(yzi_dataset_load(definition, &s->definition, yzi_cli_error(s->c)));
    if (set && strcmp(set, s->definition->name) != 0) {
        return yzi_cli_usage(s->c, "--set %s: %s defines the data set %s", set, definition,
                             s->definition->name);
    }
    s->set = yzi_bytes_str(s->definition->name);
    return YZ_OK;
}

/* A bare day is the whole day. */
static int read_bound(struct search *s, const char *option, bool is_end, uint64_t *out)
{
    const char *text = yzi_cli_option(s->c, option);
    if (!text) {
        return YZ_OK;
    }
    if (yzi_time_parse(text, out) < 0) {
        return yzi_cli_usage(s->c, "--%s: '%s' is not a time (2026-11-23, 2026-11-23T08:00:00Z)",
                             option, text);
    }
    *out += is_end && strlen(text) == KEPT_DAY_TEXT - 1 ? DAY_MS : 0;
    return YZ_OK;
}

static int read_question(struct search *s)
{
    s->until = UINT64_MAX;
    YZ_TRY(read_set(s));
    YZ_TRY(read_subject(s));
    YZ_TRY(read_bound(s, "from", false, &s->from));
    YZ_TRY(read_bound(s, "until", true, &s->until));
    return s->from < s->until ? YZ_OK : yzi_cli_usage(s->c, "--until is not after --from");
}

/* -- what is kept -- */

static void note_damage(void *ctx, const char *sentence)
{
    struct search *s = ctx;
    yz_ignore(yzi_buf_printf(&s->damages, "%s\n", sentence), "the number of places is told, too");
}

static void note_content(struct search *s, const struct kept_place *at, const char *what)
{
    yz_error e = {0};
    yz_ignore(yzi_fail(&e, YZ_ECORRUPT, "%s: at byte %llu: %s", at->file,
                       (unsigned long long)at->offset, what),
              "the sentence is what is wanted");
    s->damaged++;
    note_damage(s, e.text);
}

/* How the subject is in a list, and how many others were given. */
static unsigned look_for(const struct search *s, yz_bytes list, uint64_t *others)
{
    unsigned how = 0;
    struct subject one;
    *others = 0;
    for (yz_reader r = yzi_reader(list); r.left && yzi_subject_next(&r, &one) == YZ_OK;) {
        bool same = yzi_subject_is(&one, s->parts, s->parts_n);
        how |= same ? 1u << one.how : 0;
        *others += !same && one.how == SUBJECT_GIVEN;
    }
    return how;
}

static int keep_text(struct search *s, yz_bytes text, char **out)
{
    s->bytes += text.n;
    if (s->bytes > TEXT_MAX) {
        return yzi_fail(yzi_cli_error(s->c), YZ_ELIMIT,
                        "there is more than can be listed at once: ask for less time (--from, "
                        "--until)");
    }
    return yzi_bytes_dup_str(text, out);
}

static int grow(struct search *s)
{
    if (s->n < s->cap) {
        return YZ_OK;
    }
    if (s->n == LISTED_MAX) {
        return yzi_fail(yzi_cli_error(s->c), YZ_ELIMIT,
                        "there are more than %u accesses: ask for less time (--from, --until)",
                        LISTED_MAX);
    }
    size_t more = s->cap ? 2 * s->cap : 64;
    struct listed *list = reallocarray(s->list, more, sizeof *list);
    YZ_ENSURE(list, YZ_ENOMEM);
    s->list = list;
    s->cap = more;
    return YZ_OK;
}

static int list_access(struct search *s, const struct access *a)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = ACCESS_MAX}, outcome = {.max = 1024};
    YZ_TRY(yzi_cli_json(s->c) ? yzi_access_json(a, &text) : yzi_access_sentences(a, &text));
    YZ_TRY(yzi_access_outcome(a, &outcome));
    YZ_TRY(grow(s));
    struct listed *to = &s->list[s->n++];
    *to = (struct listed){.at = a->read->x->at};
    YZ_TRY(keep_text(s, a->read->request.consumer.v, &to->consumer));
    YZ_TRY(keep_text(s, a->read->request.purpose, &to->purpose));
    YZ_TRY(keep_text(s, yzi_bytes_buf(&outcome), &to->outcome));
    return keep_text(s, yzi_bytes_buf(&text), &to->text);
}

/* An exchange kept by an older version tells only what its request names. */
static int look_at_request(const struct search *s, const struct kept_contents *k, unsigned *how)
{
    YZ_AUTO(yzi_buf_wipe) yz_buf list = {.max = SUBJECTS_MAX};
    uint64_t others;
    *how = 0;
    if (!k->has_request || !k->request.has_query) {
        return YZ_OK;
    }
    YZ_TRY(yzi_subjects_of_query(s->definition, &k->request.query, k->request_body, SUBJECT_ASKED,
                                 &list));
    *how = look_for(s, yzi_bytes_buf(&list), &others);
    return YZ_OK;
}

static bool is_content_fault(int rc)
{
    return rc == YZ_ESIGNATURE || rc == YZ_EMALFORMED || rc == YZ_ELIMIT;
}

static int look_inside(struct search *s, const struct kept_record *r, struct access *a,
                       struct kept_contents *k)
{
    struct kept_read read;
    int rc = yzi_cli_kept_read(&r->exchange, &read);
    rc = rc < 0 ? rc : yzi_cli_kept_open(&read, k);
    if (is_content_fault(rc)) {
        note_content(s, &r->place, "the content is not what was signed");
        return YZ_OK;
    }
    YZ_TRY(rc);
    if (!r->exchange.has_subjects) {
        s->older++;
        YZ_TRY(look_at_request(s, k, &a->how));
    }
    a->read = &read;
    a->contents = k;
    return a->how ? list_access(s, a) : YZ_OK;
}

static int visit(void *ctx, const struct kept_record *r)
{
    struct search *s = ctx;
    const struct kept_exchange *x = &r->exchange;
    struct access a = {0};
    if (r->is_receipt) {
        return YZ_OK;
    }
    s->of_provider |= x->role == KEPT_PROVIDER;
    s->of_consumer |= x->role == KEPT_CONSUMER;
    s->of_set |= x->data_set.n && yzi_bytes_eq(s->set, x->data_set);
    if (x->role != KEPT_PROVIDER || x->at < s->from || x->at >= s->until) {
        return YZ_OK;
    }
    if (x->has_subjects) {
        bool other_set = s->set.n && x->data_set.n && !yzi_bytes_eq(s->set, x->data_set);
        a.how = other_set ? 0 : look_for(s, x->subjects, &a.others);
        if (!a.how) {
            return YZ_OK;
        }
    }
    struct kept_contents k = {0};
    int rc = look_inside(s, r, &a, &k);
    yzi_cli_kept_contents_fini(&k);
    return rc;
}

static int by_time(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static const char *day_of(uint64_t at, char out[32])
{
    if (at == 0 || at == UINT64_MAX) {
        return NULL;
    }
    yzi_time_format(at, out);
    out[KEPT_DAY_TEXT - 1] = '\0';
    return out;
}

static int read_all(struct search *s, const char *dir)
{
    char from[32], until[32];
    YZ_TRY(yzi_kept_span(dir, &s->span, yzi_cli_error(s->c)));
    YZ_TRY(yzi_kept_survey(dir, day_of(s->from, from),
                           day_of(s->until == UINT64_MAX ? 0 : s->until - 1, until), visit,
                           note_damage, s, &s->sum, yzi_cli_error(s->c)));
    if (s->n) {
        qsort(s->list, s->n, sizeof *s->list, by_time);
    }
    return YZ_OK;
}

/* -- the answer -- */

static void say_since(const struct search *s)
{
    const struct kept_span *span = &s->span;
    if (span->destroyed[0]) {
        yzi_cli_say(s->c,
                    "What was kept until %s was destroyed when its time was over; nothing can be "
                    "said of it.\n",
                    span->destroyed);
    }
    if (span->first[0]) {
        yzi_cli_say(s->c, "Exchanges are kept here since %s.\n", span->first);
    } else {
        yzi_cli_say(s->c, "No exchange is kept here.\n");
    }
    if (s->older) {
        yzi_cli_say(s->c,
                    "%llu exchange%s of that time %s kept by an older version, which did not note "
                    "whom an answer was about: of these only what the request names is listed.\n",
                    (unsigned long long)s->older, s->older == 1 ? "" : "s",
                    s->older == 1 ? "was" : "were");
    }
}

/* Of a client's home "nobody looked" would be a wrong answer. */
static void say_whose(const struct search *s)
{
    if (s->of_consumer && !s->of_provider) {
        fputs("yz: kept here is only what was asked from here, and nothing that was answered; name "
              "the home of the adapter that answers\n",
              stderr);
    }
}

static void say_damage(const struct search *s)
{
    unsigned places = s->sum.damaged + s->damaged;
    if (places) {
        fprintf(
            stderr,
            "yz: what is kept is damaged in %u place%s, of which this answer knows nothing:\n%.*s",
            places, places == 1 ? "" : "s", CLI_V(yzi_bytes_buf(&s->damages)));
    }
    if (s->sum.torn) {
        fprintf(stderr,
                "yz: %u file%s end within a record: a process died while writing it, or writes it "
                "now\n",
                s->sum.torn, s->sum.torn == 1 ? "" : "s");
    }
}

static int print_text(struct search *s)
{
    static const char *const head[] = {"NO", "WHEN", "WHO", "PURPOSE", "OUTCOME", NULL};
    struct columns t;
    char time[32];
    struct cli *c = s->c;
    yzi_cli_say(c, "Accesses to the record %s%s%.*s: %zu\n", yzi_cli_option(c, "subject"),
                s->set.n ? " of the data set " : "", CLI_V(s->set), s->n);
    say_since(s);
    if (s->set.n && !s->of_set) {
        yzi_cli_say(c, "Nothing that was read is about a data set of this name.\n");
    }
    yzi_columns_begin(&t, c, head);
    for (size_t i = 0; i < s->n; i++) {
        const struct listed *l = &s->list[i];
        yzi_columns_printf(&t, "%zu", i + 1);
        yzi_columns_str(&t, yzi_cli_time_text(l->at, time));
        yzi_columns_str(&t, l->consumer);
        yzi_columns_str(&t, l->purpose[0] ? l->purpose : "-");
        yzi_columns_str(&t, l->outcome);
    }
    YZ_TRY(yzi_columns_print(&t, true));
    for (size_t i = 0; i < s->n; i++) {
        yzi_cli_say(c, "\n%zu.\n%s", i + 1, s->list[i].text);
    }
    return YZ_OK;
}

static void put_day(struct json *j, const char *key, const char *day)
{
    yzi_json_key(j, key);
    yzi_json_str(j, day[0] ? day : NULL);
}

static int print_json(struct search *s)
{
    YZ_AUTO(yzi_buf_fini) yz_buf out = {.max = DAMAGES_MAX * 8};
    struct json j;
    yzi_json_init(&j, &out, true);
    yzi_json_object(&j);
    yzi_json_key(&j, "subject");
    yzi_json_str(&j, yzi_cli_option(s->c, "subject"));
    put_day(&j, "kept_since", s->span.first);
    put_day(&j, "destroyed_until", s->span.destroyed);
    yzi_json_key(&j, "of_older_versions");
    yzi_json_u64(&j, s->older);
    yzi_json_key(&j, "torn");
    yzi_json_u64(&j, s->sum.torn);
    yzi_json_key(&j, "damaged");
    yzi_json_array(&j);
    for (yz_bytes left = yzi_bytes_buf(&s->damages); left.n;) {
        const uint8_t *end = memchr(left.p, '\n', left.n);
        size_t n = end ? (size_t)(end - left.p) : left.n;
        yzi_json_text(&j, yzi_bytes(left.p, n));
        left = end ? yzi_bytes(end + 1, left.n - n - 1) : (yz_bytes){0};
    }
    yzi_json_array_end(&j);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    while (out.n && (out.p[out.n - 1] == '\n' || out.p[out.n - 1] == '}')) {
        out.n--; /* the list goes into the object's end */
    }
    yzi_cli_say(s->c, "%.*s,\n  \"accesses\": [", CLI_V(yzi_bytes_buf(&out)));
    for (size_t i = 0; i < s->n; i++) {
        yzi_cli_say(s->c, "%s\n    %s", i ? "," : "", s->list[i].text);
    }
    yzi_cli_say(s->c, "%s]\n}\n", s->n ? "\n  " : "");
    return YZ_OK;
}

static int run(struct search *s)
{
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    YZ_TRY(read_question(s));
    YZ_TRY(yzi_cli_kept_dir(s->c, &dir));
    YZ_TRY(read_all(s, dir));
    if (s->sum.damaged || s->damaged) {
        yzi_cli_exit_with(s->c, EXIT_UNVERIFIED);
    }
    YZ_TRY(yzi_cli_json(s->c) ? print_json(s) : print_text(s));
    say_damage(s);
    say_whose(s);
    return YZ_OK;
}

int yzi_data_accesses(struct cli *c)
{
    struct search s = {.c = c, .damages = {.max = DAMAGES_MAX}};
    int rc = run(&s);
    search_fini(&s);
    return rc;
}
