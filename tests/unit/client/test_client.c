/* SPDX-License-Identifier: Apache-2.0
 *
 * The public handle: opening and its faults, calls from many threads, closing in the middle, and a
 * home that two clients share. The puppet broker runs on a thread of its own and answers by itself.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/submit.h"
#include "tests/unit/client/puppet.h"

#define THREADS 4u
#define CALLS 25u

struct scene {
    struct stage *s;
    char config[600];
    pthread_t thread;
    int stop_fd;
    bool running;
    bool keeps_silent; /* takes requests, answers none; before the thread starts */
    int taken_fd;      /* a semaphore: requests taken */
};

/* -- the puppet's thread -- */

static void answer_all(struct scene *sc)
{
    struct puppet *p = &sc->s->b1;
    for (unsigned i = 0; i < p->requests_n; i++) {
        if (!sc->keeps_silent) {
            stage_answer(sc->s, p, NULL, "married", i);
        }
        yzi_buf_fini(&p->requests[i]);
        uint64_t one = 1;
        assert_int_equal(write(sc->taken_fd, &one, sizeof one), sizeof one);
    }
    p->requests_n = 0;
}

static void *run_puppet(void *arg)
{
    struct scene *sc = arg;
    struct puppet *p = &sc->s->b1;
    for (;;) {
        struct poll_entry entries[SERVER_POLL_ENTRIES + 1];
        size_t n = yzi_server_poll_entries(p->server, entries);
        entries[n++] = (struct poll_entry){.fd = sc->stop_fd};
        assert_int_equal(yzi_poll(entries, n, -1), 0);
        if (entries[n - 1].readable) {
            return NULL;
        }
        yzi_manual_clock_set_wall(&sc->s->w->clock, yzi_wall_ms(&yzi_clock_system));
        puppet_step_some(p, PUPPET_REQUESTS_MAX);
        answer_all(sc);
    }
}

static void start_puppet(struct scene *sc)
{
    assert_int_equal(pthread_create(&sc->thread, NULL, run_puppet, sc), 0);
    sc->running = true;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
    struct scene *sc = calloc(1, sizeof *sc);
    assert_non_null(sc);
    sc->s = stage_new(false);
    /* the public client lives in real time */
    yzi_manual_clock_set_wall(&sc->s->w->clock, yzi_wall_ms(&yzi_clock_system));
    yzi_epochs_free(sc->s->a1->epochs);
    yzi_epochs_free(sc->s->a2->epochs);
    sc->s->a1->epochs = sc->s->a2->epochs = NULL;
    puppet_offer(&sc->s->b1, (struct world_node *const[]){sc->s->a1, NULL});
    char text[2048], keys[512];
    snprintf(keys, sizeof keys, "%s/keys", sc->s->dir);
    assert_int_equal(mkdir(keys, 0700), 0);
    yz_world_write_key(keys, "signing.key", &sc->s->client->signing);
    yz_world_write_key(keys, "transport.key", &sc->s->client->transport);
    stage_config_text(sc->s, text, sizeof text);
    snprintf(sc->config, sizeof sc->config, "%s/client.yaml", sc->s->dir);
    write_text(sc->config, text, 0644);
    sc->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sc->taken_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    assert_true(sc->stop_fd >= 0 && sc->taken_fd >= 0);
    *state = sc;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *sc = *state;
    if (sc->running) {
        uint64_t one = 1;
        assert_int_equal(write(sc->stop_fd, &one, sizeof one), sizeof one);
        assert_int_equal(pthread_join(sc->thread, NULL), 0);
    }
    close(sc->stop_fd);
    close(sc->taken_fd);
    stage_free(sc->s);
    free(sc);
    return 0;
}

static yz_client *open_client(struct scene *sc)
{
    yz_client *c = NULL;
    yz_error err;
    if (yz_client_open(sc->config, &c, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return c;
}

static yz_request *new_request(void)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(WORLD_SERVICE, &r), 0);
    assert_int_equal(yz_request_add_key(r, (const char *const[]){"310101"}, 1), 0);
    return r;
}

/* -- opening -- */

static void expect_open(struct scene *sc, int rc, const char *says)
{
    yz_client *c = NULL;
    yz_error err = {0};
    assert_int_equal(yz_client_open(sc->config, &c, &err), rc);
    assert_null(c);
    assert_int_equal(err.code, rc);
    if (!strstr(err.text, says)) {
        fail_msg("said \"%s\", not \"%s\"", err.text, says);
    }
}

static char *in_home(struct scene *sc, const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", sc->s->dir, name);
    return path;
}

static void test_open__says_what_is_missing_or_wrong(void **state)
{
    struct scene *sc = *state;
    char *key = strdup(in_home(sc, "keys/signing.key"));
    assert_non_null(key);
    assert_int_equal(chmod(key, 0644), 0);
    expect_open(sc, YZ_EPERM, "keys/signing.key");
    assert_int_equal(unlink(key), 0);
    expect_open(sc, YZ_ENOTFOUND, "keys/signing.key");
    write_text(key, "nonsense\n", 0600);
    expect_open(sc, YZ_EMALFORMED, "keys/signing.key");
    free(key);
    yz_world_write_key(in_home(sc, "keys"), "signing.key", &sc->s->client->signing);
    assert_int_equal(unlink(in_home(sc, "anchor.yzr")), 0);
    yz_client *c = NULL;
    yz_error err;
    int rc = yz_client_open(sc->config, &c, &err); /* the home kept a copy of it, or did not */
    assert_true(rc == YZ_ENOTFOUND && strstr(err.text, "anchor"));
    write_text(sc->config, "node: [\n", 0644);
    expect_open(sc, YZ_ECONFIG, "client.yaml:");
    assert_int_equal(unlink(sc->config), 0);
    expect_open(sc, YZ_ENOTFOUND, "client.yaml");
}

static void test_open__refuses_an_endpoint_that_is_none(void **state)
{
    struct scene *sc = *state;
    char text[2048];
    snprintf(sc->s->b1.endpoint, sizeof sc->s->b1.endpoint, "carrier-pigeon");
    stage_config_text(sc->s, text, sizeof text);
    write_text(sc->config, text, 0644);
    expect_open(sc, YZ_ECONFIG, "CN/@b1");
}

static void test_api__misuse_is_refused(void **state)
{
    struct scene *sc = *state;
    yz_client *c = NULL;
    yz_answer *a = NULL;
    yz_error err = {0};
    yz_request *r = new_request();
    assert_int_equal(yz_client_open(NULL, &c, &err), YZ_EINVAL);
    assert_int_equal(yz_client_open(sc->config, NULL, &err), YZ_EINVAL);
    assert_int_equal(yz_call(NULL, r, &a, &err), YZ_EINVAL);
    assert_int_equal(err.code, YZ_EINVAL);
    assert_int_equal(yz_client_wait_ready(NULL, 1, NULL), YZ_EINVAL);
    c = open_client(sc);
    assert_int_equal(yz_call(c, NULL, &a, &err), YZ_EINVAL);
    assert_int_equal(yz_call(c, r, NULL, &err), YZ_EINVAL);
    yz_request *empty = NULL;
    assert_int_equal(yz_request_new(WORLD_SERVICE, &empty), 0);
    assert_int_equal(yz_call(c, empty, &a, &err), YZ_EINVAL);
    assert_int_equal(yz_call(c, empty, &a, NULL), YZ_EINVAL);
    assert_int_equal(yzi_client_submit(c, r, NULL, NULL, &err), YZ_EINVAL);
    assert_null(a);
    yz_request_free(empty);
    yz_request_free(r);
    yz_client_close(c);
    yz_client_close(NULL);
}

static void test_version__is_the_headers(void **state)
{
    (void)state;
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", YZ_VERSION_MAJOR, YZ_VERSION_MINOR,
             YZ_VERSION_PATCH);
    assert_string_equal(yz_version(), version);
}

/* -- waiting -- */

static void test_ready__says_why_not(void **state)
{
    struct scene *sc = *state;
    puppet_down(&sc->s->b1);
    yz_client *c = open_client(sc);
    yz_error err = {0};
    assert_int_equal(yz_client_wait_ready(c, 150, &err), YZ_ETIMEOUT);
    assert_non_null(strstr(err.text, "not connected to any broker"));
    assert_non_null(strstr(err.text, "CN/@b1"));
    yz_client_close(c);
}

static void expect_call(yz_client *c)
{
    yz_request *r = new_request();
    yz_answer *a = NULL;
    yz_error err = {0};
    if (yz_call(c, r, &a, &err) < 0) {
        fail_msg("%s", err.text);
    }
    const void *value;
    size_t n;
    assert_int_equal(yz_answer_status(a), YZ_STATUS_OK);
    assert_int_equal(yz_answer_value(a, 0, 0, &value, &n), 0);
    assert_memory_equal(value, "married", n);
    yz_answer_free(a);
    yz_request_free(r);
}

static void test_call__answers_and_a_request_may_be_used_again(void **state)
{
    struct scene *sc = *state;
    start_puppet(sc);
    yz_client *c = open_client(sc);
    yz_error err = {0};
    if (yz_client_wait_ready(c, 10000, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yz_request *r = new_request();
    char ids[2][64];
    for (unsigned i = 0; i < 2; i++) {
        yz_answer *a = NULL;
        assert_int_equal(yz_call(c, r, &a, NULL), 0);
        snprintf(ids[i], sizeof ids[i], "%s", yz_answer_message_id(a));
        yz_answer_free(a);
    }
    assert_string_not_equal(ids[0], ids[1]);
    yz_request_free(r);
    yz_client_close(c);
}

struct caller {
    yz_client *client;
    pthread_t thread;
    unsigned ok, closed, other;
};

static void *call_many(void *arg)
{
    struct caller *me = arg;
    yz_request *r = NULL;
    if (yz_request_new(WORLD_SERVICE, &r) < 0 ||
        yz_request_add_key(r, (const char *const[]){"310101"}, 1) < 0) {
        me->other++;
        return NULL;
    }
    for (unsigned i = 0; i < CALLS; i++) {
        yz_answer *a = NULL;
        int rc = yz_call(me->client, r, &a, NULL);
        me->ok += rc == YZ_OK;
        me->closed += rc == YZ_ECLOSED;
        me->other += rc != YZ_OK && rc != YZ_ECLOSED;
        yz_answer_free(a);
        if (rc == YZ_ECLOSED) {
            break; /* the client may be gone now */
        }
    }
    yz_request_free(r);
    return NULL;
}

static void test_call__from_many_threads(void **state)
{
    struct scene *sc = *state;
    start_puppet(sc);
    yz_client *c = open_client(sc);
    struct caller callers[THREADS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        callers[i].client = c;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many, &callers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].ok, CALLS);
    }
    yz_client_close(c);
}

static void wait_until_taken(struct scene *sc, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t one;
        assert_int_equal(read(sc->taken_fd, &one, sizeof one), sizeof one);
    }
}

static void test_close__ends_running_calls(void **state)
{
    struct scene *sc = *state;
    sc->keeps_silent = true;
    start_puppet(sc);
    yz_client *c = open_client(sc);
    struct caller callers[THREADS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        callers[i].client = c;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many, &callers[i]), 0);
    }
    wait_until_taken(sc, THREADS);
    yz_client_close(c);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].closed, 1);
        assert_int_equal(callers[i].other, 0);
    }
}

static void test_home__is_shared_by_several_clients(void **state)
{
    struct scene *sc = *state;
    start_puppet(sc);
    yz_client *first = open_client(sc), *second = open_client(sc);
    expect_call(first);
    expect_call(second);
    expect_call(first);
    yz_client_close(first);
    expect_call(second);
    yz_client_close(second);
    yz_client *third = open_client(sc); /* begins with what the others left in the home */
    expect_call(third);
    yz_client_close(third);
}

/* -- without waiting -- */

struct chain {
    yz_client *client;
    yz_request *request;
    int fd; /* readable at the end */
    unsigned left, ok;
};

static void next_of_chain(void *ctx, int rc, yz_answer *answer, const yz_error *err)
{
    struct chain *ch = ctx;
    (void)err;
    yz_answer_free(answer);
    ch->ok += rc == YZ_OK;
    if (--ch->left > 0 &&
        yzi_client_submit(ch->client, ch->request, next_of_chain, ch, NULL) == YZ_OK) {
        return;
    }
    uint64_t one = 1;
    if (write(ch->fd, &one, sizeof one) != sizeof one) {
        abort();
    }
}

static void test_submit__may_be_called_from_done(void **state)
{
    struct scene *sc = *state;
    start_puppet(sc);
    struct chain ch = {.client = open_client(sc),
                       .request = new_request(),
                       .fd = eventfd(0, EFD_CLOEXEC),
                       .left = 5};
    assert_int_equal(yzi_client_submit(ch.client, ch.request, next_of_chain, &ch, NULL), 0);
    struct poll_entry end = {.fd = ch.fd};
    assert_int_equal(yzi_poll(&end, 1, 20000), 0);
    assert_true(end.readable);
    yz_client_close(ch.client);
    assert_int_equal(ch.ok, 5);
    yz_request_free(ch.request);
    close(ch.fd);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open__says_what_is_missing_or_wrong),
        TEST(test_open__refuses_an_endpoint_that_is_none),
        TEST(test_api__misuse_is_refused),
        cmocka_unit_test(test_version__is_the_headers),
        TEST(test_ready__says_why_not),
        TEST(test_call__answers_and_a_request_may_be_used_again),
        TEST(test_call__from_many_threads),
        TEST(test_close__ends_running_calls),
        TEST(test_home__is_shared_by_several_clients),
        TEST(test_submit__may_be_called_from_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
