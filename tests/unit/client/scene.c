/* SPDX-License-Identifier: Apache-2.0
 *
 * The stage of a public client.
 */
#include "tests/unit/client/scene.h"

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

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
        struct poll_entry entries[2 * SERVER_POLL_ENTRIES + 1];
        size_t n = yzi_server_poll_entries(p->server, entries);
        if (sc->s->has_b2) {
            n += yzi_server_poll_entries(sc->s->b2.server, entries + n);
        }
        entries[n++] = (struct poll_entry){.fd = sc->stop_fd};
        assert_int_equal(yzi_poll(entries, n, -1), 0);
        if (entries[n - 1].readable) {
            return NULL;
        }
        yzi_manual_clock_set_wall(&sc->s->w->clock, yzi_wall_ms(&yzi_clock_system));
        puppet_step_some(p, PUPPET_REQUESTS_MAX);
        answer_all(sc);
        if (sc->s->has_b2) {
            puppet_step(&sc->s->b2);
        }
    }
}

void scene_start(struct scene *sc)
{
    assert_int_equal(pthread_create(&sc->thread, NULL, run_puppet, sc), 0);
    sc->running = true;
}

void scene_write(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state, bool two)
{
    struct scene *sc = calloc(1, sizeof *sc);
    assert_non_null(sc);
    sc->s = stage_new(two);
    /* the public client lives in real time */
    yzi_manual_clock_set_wall(&sc->s->w->clock, yzi_wall_ms(&yzi_clock_system));
    yzi_epochs_free(sc->s->a1->epochs);
    yzi_epochs_free(sc->s->a2->epochs);
    sc->s->a1->epochs = sc->s->a2->epochs = NULL;
    sc->s->b1.client_may_leave = sc->s->b2.client_may_leave = true;
    puppet_offer(&sc->s->b1, (struct world_node *const[]){sc->s->a1, NULL});
    char text[2048], keys[512];
    snprintf(keys, sizeof keys, "%s/keys", sc->s->dir);
    assert_int_equal(mkdir(keys, 0700), 0);
    yz_world_write_key(keys, "signing.key", &sc->s->client->signing);
    yz_world_write_key(keys, "transport.key", &sc->s->client->transport);
    stage_config_text(sc->s, text, sizeof text);
    snprintf(sc->config, sizeof sc->config, "%s/client.yaml", sc->s->dir);
    scene_write(sc->config, text, 0644);
    sc->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sc->taken_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    assert_true(sc->stop_fd >= 0 && sc->taken_fd >= 0);
    *state = sc;
    return 0;
}

int scene_set_up(void **state)
{
    return set_up(state, false);
}

int scene_set_up_two(void **state)
{
    return set_up(state, true);
}

int scene_tear_down(void **state)
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

yz_client *scene_open(struct scene *sc)
{
    yz_client *c = NULL;
    yz_error err;
    if (yz_client_open(sc->config, &c, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return c;
}

yz_request *scene_request(void)
{
    yz_request *r = NULL;
    assert_int_equal(yz_request_new(WORLD_SERVICE, &r), 0);
    assert_int_equal(yz_request_add_key(r, (const char *const[]){"310101"}, 1), 0);
    return r;
}

void scene_wait_taken(struct scene *sc, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t one;
        assert_int_equal(read(sc->taken_fd, &one, sizeof one), sizeof one);
    }
}
