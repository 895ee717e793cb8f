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
#include "tests/unit/client/scene.h"

#define THREADS 4u
#define CALLS 25u

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
    scene_write(key, "nonsense\n", 0600);
    expect_open(sc, YZ_EMALFORMED, "keys/signing.key");
    free(key);
    yz_world_write_key(in_home(sc, "keys"), "signing.key", &sc->s->client->signing);
    assert_int_equal(unlink(in_home(sc, "anchor.yzr")), 0);
    yz_client *c = NULL;
    yz_error err;
    int rc = yz_client_open(sc->config, &c, &err); /* the home kept a copy of it, or did not */
    assert_true(rc == YZ_ENOTFOUND && strstr(err.text, "anchor"));
    scene_write(sc->config, "node: [\n", 0644);
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
    scene_write(sc->config, text, 0644);
    expect_open(sc, YZ_ECONFIG, "CN/@b1");
}

static void test_api__misuse_is_refused(void **state)
{
    struct scene *sc = *state;
    yz_client *c = NULL;
    yz_answer *a = NULL;
    yz_error err = {0};
    yz_request *r = scene_request();
    assert_int_equal(yz_client_open(NULL, &c, &err), YZ_EINVAL);
    assert_int_equal(yz_client_open(sc->config, NULL, &err), YZ_EINVAL);
    assert_int_equal(yz_call(NULL, r, &a, &err), YZ_EINVAL);
    assert_int_equal(err.code, YZ_EINVAL);
    assert_int_equal(yz_client_wait_ready(NULL, 1, NULL), YZ_EINVAL);
    c = scene_open(sc);
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
    yz_client *c = scene_open(sc);
    yz_error err = {0};
    assert_int_equal(yz_client_wait_ready(c, 150, &err), YZ_ETIMEOUT);
    assert_non_null(strstr(err.text, "not connected to any broker"));
    assert_non_null(strstr(err.text, "CN/@b1"));
    yz_client_close(c);
}

static void expect_call(yz_client *c)
{
    yz_request *r = scene_request();
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
    scene_start(sc);
    yz_client *c = scene_open(sc);
    yz_error err = {0};
    if (yz_client_wait_ready(c, 10000, &err) < 0) {
        fail_msg("%s", err.text);
    }
    yz_request *r = scene_request();
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
    scene_start(sc);
    yz_client *c = scene_open(sc);
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

static void test_close__ends_running_calls(void **state)
{
    struct scene *sc = *state;
    sc->keeps_silent = true;
    scene_start(sc);
    yz_client *c = scene_open(sc);
    struct caller callers[THREADS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        callers[i].client = c;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many, &callers[i]), 0);
    }
    scene_wait_taken(sc, THREADS);
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
    scene_start(sc);
    yz_client *first = scene_open(sc), *second = scene_open(sc);
    expect_call(first);
    expect_call(second);
    expect_call(first);
    yz_client_close(first);
    expect_call(second);
    yz_client_close(second);
    yz_client *third = scene_open(sc); /* begins with what the others left in the home */
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
    scene_start(sc);
    struct chain ch = {.client = scene_open(sc),
                       .request = scene_request(),
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

#define TEST(t) cmocka_unit_test_setup_teardown(t, scene_set_up, scene_tear_down)

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
