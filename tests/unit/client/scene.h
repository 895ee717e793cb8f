/* SPDX-License-Identifier: Apache-2.0
 *
 * A public client's surroundings: a puppet broker on a thread of its own, in real time, that
 * answers every request by itself (or none), and the configuration file of a client that talks to
 * it.
 */
#ifndef YZ_TESTS_UNIT_CLIENT_SCENE_H
#define YZ_TESTS_UNIT_CLIENT_SCENE_H

#include <pthread.h>

#include "tests/unit/client/puppet.h"

struct scene {
    struct stage *s;
    char config[600];
    pthread_t thread;
    int stop_fd;
    bool running;
    bool keeps_silent; /* takes requests, answers none; set before the thread starts */
    int taken_fd;      /* a semaphore: requests taken */
};
int scene_set_up(void **state);     /* of a test; *state is the scene */
int scene_set_up_two(void **state); /* a second broker, of which requests are not answered */
int scene_tear_down(void **state);
void scene_start(struct scene *sc); /* the puppet's thread */
yz_client *scene_open(struct scene *sc);
yz_request *scene_request(void); /* one key of the scene's service */
/* Until the puppet has taken so many more requests. */
void scene_wait_taken(struct scene *sc, unsigned n);
void scene_write(const char *path, const char *text, mode_t mode);

#endif
