/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer of a real broker, with valid keys, that asks and asks and never reads an answer. What is
 * kept for it is bounded: the rest is dropped and counted, or its connection is ended; the broker's
 * memory stays within its limits, and everybody else is answered all the while.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <yizhan/client.h>

#include "keys/keyfile.h"
#include "proto/link.h"
#include "tests/faults/honest.h"
#include "tests/integration/consumer.h"
#include "tests/support/zmtp.h"

#define DEAF "CN/GOV/CIVIL/@a1"
#define ROUNDS 30u
#define FETCHES 2500u /* in a round */
#define PATIENCE_MS 60000u
/* What the sockets may hold for the peer (set below), and as much for what is noticed late. */
#define MEMORY_MIB (64 + QUARANTINE_MIB)

static struct sandbox sandbox;
static yz_client *client;

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    EXPECT_YZ(0, "data", "import", "--admin", in_sandbox(&sandbox, "statistics/admin.sock"),
              "areas", YZ_TEST_DATA "/china-division/areas.csv");
    FILE *f = fopen(in_sandbox(&sandbox, "broker/broker.yaml"), "ae");
    assert_non_null(f);
    fputs("limits:\n  queue_bytes: 64MiB\n  queue_bytes_per_peer: 32MiB\n", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(kill(sandbox.broker, SIGHUP), 0);
    kill_daemon(adapter_pid(&sandbox, "civil"), SIGTERM); /* its keys are in hostile hands now */
    client = open_consumer(sandbox.client);
    return 0;
}

static int down(void **state)
{
    (void)state;
    yz_client_close(client);
    sandbox_down(&sandbox);
    return 0;
}

static void expect_honest_answer(void)
{
    yz_request *request = NULL;
    yz_answer *answer = NULL;
    yz_error err = {0};
    const char *code = "110101";
    assert_int_equal(yz_request_new(AREAS, &request), YZ_OK);
    assert_int_equal(yz_request_add_key(request, &code, 1), YZ_OK);
    assert_int_equal(yz_request_set_timeout(request, PATIENCE_MS), YZ_OK);
    if (yz_call(client, request, &answer, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(yz_answer_status(answer), YZ_STATUS_OK);
    assert_int_equal(yz_answer_rows(answer), 1);
    yz_answer_free(answer);
    yz_request_free(request);
}

static void load_keys(struct zmtp_keys *keys)
{
    struct key_pair own, broker;
    yzi_secret_require_lock(false);
    assert_int_equal(yzi_keyfile_load(in_sandbox(&sandbox, "civil/keys/transport.key"),
                                      KEY_TRANSPORT, &own, NULL),
                     YZ_OK);
    assert_int_equal(yzi_keyfile_load(in_sandbox(&sandbox, "broker/keys/transport.key"),
                                      KEY_TRANSPORT, &broker, NULL),
                     YZ_OK);
    memcpy(keys->public_key, own.public_key, 32);
    memcpy(keys->secret_key, yzi_key_pair_open(&own), 32);
    yzi_key_pair_close(&own);
    memcpy(keys->server_public, broker.public_key, 32);
    yzi_key_pair_fini(&own);
    yzi_key_pair_fini(&broker);
}

static bool send_frame(struct zmtp *z, yz_buf *frame)
{
    bool sent = zmtp_send_part(z, frame->p, frame->n, false, (int)PATIENCE_MS);
    yzi_buf_fini(frame);
    return sent;
}

static bool say_hello(struct zmtp *z)
{
    struct hello h = {.role = ROLE_ADAPTER, .directory_version = 1};
    yz_buf frame;
    yzi_buf_init(&frame, 4096);
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str(DEAF), &h.node), YZ_OK);
    memset(h.boot.b, 7, sizeof h.boot.b);
    assert_int_equal(yzi_hello_write(&h, &frame), YZ_OK);
    return send_frame(z, &frame);
}

static bool ask(struct zmtp *z, uint32_t token)
{
    struct fetch f = {.token = token, .what = token % 2 ? FETCH_CATALOGUE : FETCH_MANIFEST};
    yz_buf frame;
    yzi_buf_init(&frame, 4096);
    assert_int_equal(yzi_fetch_write(&f, &frame), YZ_OK);
    return send_frame(z, &frame);
}

static void test_deaf__a_peer_that_never_reads_costs_a_bounded_queue(void **state)
{
    (void)state;
    struct zmtp_keys keys;
    struct zmtp z;
    load_keys(&keys);
    expect_honest_answer();
    long before = daemon_rss_mib(sandbox.broker), most = before;
    unsigned long dropped = metric(sandbox.ops, "messages_dropped_total");
    assert_true(zmtp_open(&z, sandbox.endpoint, &keys, ZMTP_READY));
    bool open = say_hello(&z);
    unsigned asked = 0;
    for (unsigned round = 0; round < ROUNDS && open; round++) {
        for (unsigned i = 0; i < FETCHES && open; i++) {
            open = ask(&z, ++asked);
        }
        expect_honest_answer();
        long now = daemon_rss_mib(sandbox.broker);
        most = now > most ? now : most;
        assert_in_range(metric(sandbox.ops, "unsent_bytes"), 0, 64u << 20);
    }
    dropped = metric(sandbox.ops, "messages_dropped_total") - dropped;
    print_message("%u asked, %lu answers dropped, the connection %s; memory %ld MiB before, %ld at "
                  "most\n",
                  asked, dropped, open ? "stands" : "was ended", before, most);
    assert_true(dropped > 0 || !open);
    assert_in_range(most, 1, before + MEMORY_MIB);
    zmtp_close(&z);
    expect_honest_answer();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deaf__a_peer_that_never_reads_costs_a_bounded_queue),
    };
    return cmocka_run_group_tests(tests, up, down);
}
