/* SPDX-License-Identifier: Apache-2.0
 *
 * The client behind honest.h.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <poll.h>

#include <yizhan/client.h>

#include "tests/faults/honest.h"

static bool ask(yz_client *client, uint32_t *out_ms)
{
    yz_request *request = NULL;
    yz_answer *answer = NULL;
    const char *code = "110101";
    bool right = yz_request_new(AREAS, &request) == YZ_OK &&
                 yz_request_add_key(request, &code, 1) == YZ_OK &&
                 yz_call(client, request, &answer, NULL) == YZ_OK &&
                 yz_answer_status(answer) == YZ_STATUS_OK && yz_answer_rows(answer) == 1;
    *out_ms = answer ? yz_answer_elapsed(answer) : UINT32_MAX;
    yz_answer_free(answer);
    yz_request_free(request);
    return right;
}

/* One more call was made. Whether there is to be another. */
static bool note(struct honest *h, bool right, uint32_t ms)
{
    long rss = daemon_rss_mib(h->sandbox->broker);
    pthread_mutex_lock(&h->lock);
    h->right += right;
    h->wrong += !right;
    h->rss_most = rss > h->rss_most ? rss : h->rss_most;
    h->slowest_ms = ms > h->slowest_ms ? ms : h->slowest_ms;
    bool stop = h->stop;
    pthread_cond_signal(&h->asked);
    pthread_mutex_unlock(&h->lock);
    return !stop;
}

static void *be_honest(void *arg)
{
    struct honest *h = arg;
    yz_client *client = NULL;
    yz_error err = {0};
    bool right = yz_client_open(h->sandbox->client, &client, &err) == YZ_OK;
    uint32_t ms = 0;
    do {
        poll(NULL, 0, 2); /* it is there to be answered, and no load of its own */
        right = right && ask(client, &ms);
    } while (note(h, right, ms));
    yz_client_close(client);
    return NULL;
}

void honest_wait(struct honest *h, unsigned more)
{
    pthread_mutex_lock(&h->lock);
    for (unsigned end = h->right + h->wrong + more; h->right + h->wrong < end;) {
        pthread_cond_wait(&h->asked, &h->lock);
    }
    pthread_mutex_unlock(&h->lock);
}

long honest_rss_most(struct honest *h)
{
    pthread_mutex_lock(&h->lock);
    long most = h->rss_most;
    pthread_mutex_unlock(&h->lock);
    return most;
}

void honest_begin(struct honest *h)
{
    assert_int_equal(pthread_create(&h->thread, NULL, be_honest, h), 0);
    honest_wait(h, 3);
}

void honest_end(struct honest *h, const char *what, long rss_before, unsigned growth_mib)
{
    honest_wait(h, 5);
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    print_message("%s: %u answered, %u not, the slowest after %u ms; memory %ld MiB before, %ld at "
                  "most\n",
                  what, h->right, h->wrong, h->slowest_ms, rss_before, h->rss_most);
    assert_int_equal(h->wrong, 0);
    assert_in_range(h->right, 8, UINT32_MAX);
    assert_in_range(h->rss_most, 1, rss_before + (long)growth_mib);
}
