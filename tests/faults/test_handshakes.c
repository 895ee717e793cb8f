/* SPDX-License-Identifier: Apache-2.0
 *
 * Ten thousand whole handshakes against a real broker: by keys that no live record lists, each of
 * which is told so (ZAP 400), and by the key of one admitted node, in waves of more than it may
 * have connections. An honest node is answered all the while, whoever comes anew gets in, the
 * broker's memory stays within its limits, and afterwards nothing of them is left.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "keys/keyfile.h"
#include "proto/link.h"
#include "tests/faults/honest.h"
#include "tests/support/zmtp.h"

#define HOSTILE "CN/GOV/WINDOW/@w2"
#define PATIENCE_S 120
#define PER_PEER 256u /* limits.connections_per_peer */
/* What there can be at once, whoever comes and however often: 1,024 connections that have not said
 * anything (docs/decisions/0016), and those of one node. None sends more than its handshake and a
 * hello, so each costs what libzmq takes for a connection: two buffers of 8 KiB, two pipes of 16
 * KiB towards the socket and, until ZAP has answered, two towards its handler, and the objects: 96
 * KiB. A wave is more than there can be: if the broker kept it all, it would exceed the bound. */
#define UNSPOKEN 1024u
#define EACH_KIB 96u
#ifdef __SANITIZE_ADDRESS__
#define MANY 4000u /* each costs some ten times as much here, on both sides; two waves */
#else
#define MANY 10000u
#endif
#define MARGIN_MIB (32u + QUARANTINE_MIB) /* growth that is not noticed */
#define MEMORY_MIB ((UNSPOKEN + PER_PEER) * EACH_KIB / 1024u + MARGIN_MIB)
#define WAVE 2000u
#define ADAPTERS 4u

static struct sandbox sandbox;
static uint8_t server_public[32];
static struct zmtp peers[WAVE];
static long rss_before;
static unsigned files_before;

/* What the broker has of its peers. */
struct tables {
    unsigned long connections, wires;
    unsigned files;
};

static struct tables tables_now(void)
{
    return (struct tables){metric(sandbox.ops, "connections"),
                           metric(sandbox.ops, "tcp_connections"), daemon_files(sandbox.broker)};
}

static void copy(const char *from, const char *to)
{
    char text[8192];
    FILE *f = fopen(from, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    assert_in_range(n, 1, sizeof text - 2);
    text[n] = '\0';
    write_file(to, text);
}

/* A node of the same subsystem as the honest one. */
static void admit_hostile(void)
{
    EXPECT_YZ(0, "node", "request", "--home", in_sandbox(&sandbox, "hostile"), "--node", HOSTILE,
              "--role", "client", "--subsystem", "window");
    copy(in_sandbox(&sandbox, "operator/anchor.yzr"), in_sandbox(&sandbox, "hostile/anchor.yzr"));
    EXPECT_YZ(0, "node", "admit", "--home", in_sandbox(&sandbox, "client/member"), "--admin",
              in_sandbox(&sandbox, "broker/admin.sock"),
              in_sandbox(&sandbox, "hostile/request.yzr"));
}

static void load_key(const char *file, struct key_pair *out)
{
    yz_error err = {0};
    if (yzi_keyfile_load(in_sandbox(&sandbox, "%s", file), KEY_TRANSPORT, out, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static int up(void **state)
{
    (void)state;
    struct rlimit files;
    struct key_pair broker;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max; /* the broker's, too */
    setrlimit(RLIMIT_NOFILE, &files);
    assert_true(files.rlim_cur > WAVE + 500);
    yzi_secret_require_lock(false);
    sandbox_up(&sandbox);
    EXPECT_YZ(0, "data", "import", "--admin", in_sandbox(&sandbox, "statistics/admin.sock"),
              "areas", YZ_TEST_DATA "/china-division/areas.csv");
    admit_hostile();
    load_key("broker/keys/transport.key", &broker);
    memcpy(server_public, broker.public_key, 32);
    yzi_key_pair_fini(&broker);
    while (tables_now().connections < ADAPTERS) { /* figures are a second old at most */
    }
    rss_before = daemon_rss_mib(sandbox.broker);
    files_before = daemon_files(sandbox.broker);
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

/* Who comes meanwhile gets in and is answered. */
static void somebody_new_is_answered(void)
{
    EXPECT_YZ(0, "call", "--config", sandbox.client, "--timeout", "60s", "--key", "110101", AREAS);
}

static void close_all(void)
{
    for (unsigned i = 0; i < WAVE; i++) {
        zmtp_close(&peers[i]);
    }
}

/* The broker finds a connection gone when it next says something to it: within a heartbeat. */
static void wait_for_tables(struct honest *h, const struct tables *before)
{
    struct tables now = tables_now();
    for (time_t end = time(NULL) + PATIENCE_S;
         now.connections > before->connections || now.wires > before->wires ||
         now.files > before->files;
         now = tables_now()) {
        if (time(NULL) > end) {
            fail_msg("%lu connections, %lu of TCP, %u files; before: %lu, %lu, %u", now.connections,
                     now.wires, now.files, before->connections, before->wires, before->files);
        }
        honest_wait(h, 1);
    }
}

/* -- a wave -- */

/* Several at a time, so that a machine with other things to do is not waited for at each step. */
#define AT_A_TIME 8u

struct part {
    const struct zmtp_keys *keys; /* NULL: a stranger's, new for each */
    pthread_t thread;
    unsigned first, opened;
};

static void *open_part(void *arg)
{
    struct part *part = arg;
    for (unsigned i = part->first; i < WAVE; i += AT_A_TIME) {
        struct zmtp_keys keys;
        if (part->keys) {
            keys = *part->keys;
        } else {
            crypto_box_keypair(keys.public_key, keys.secret_key);
            memcpy(keys.server_public, server_public, 32);
        }
        part->opened += zmtp_open(&peers[i], sandbox.endpoint, &keys, ZMTP_INITIATED);
    }
    return NULL;
}

/* All peers, up to where the broker is to say what it thinks of them. */
static void open_wave(const struct zmtp_keys *keys)
{
    struct part parts[AT_A_TIME];
    unsigned opened = 0;
    for (unsigned i = 0; i < AT_A_TIME; i++) {
        parts[i] = (struct part){.keys = keys, .first = i};
        assert_int_equal(pthread_create(&parts[i].thread, NULL, open_part, &parts[i]), 0);
    }
    for (unsigned i = 0; i < AT_A_TIME; i++) {
        pthread_join(parts[i].thread, NULL);
        opened += parts[i].opened;
    }
    assert_int_equal(opened, WAVE);
}

/* -- keys that no live record lists -- */

static void test_handshakes__of_ten_thousand_strangers(void **state)
{
    (void)state;
    struct honest h = HONEST(&sandbox);
    struct tables before = {ADAPTERS + 1, ADAPTERS + 1, files_before + 2}; /* the honest one */
    honest_begin(&h);
    unsigned long refused = metric(sandbox.ops, "handshakes_refused_total");
    for (unsigned done = 0; done < MANY; done += WAVE) {
        open_wave(NULL);
        for (unsigned i = 0; i < WAVE; i++) {
            assert_false(zmtp_go_on(&peers[i], NULL, ZMTP_READY));
            assert_string_equal(peers[i].refused, "400");
        }
        if (done % (WAVE * 2) == 0) {
            somebody_new_is_answered();
        }
    }
    while (metric(sandbox.ops, "handshakes_refused_total") - refused < MANY) {
        honest_wait(&h, 1); /* figures are a second old at most */
    }
    wait_for_tables(&h, &before);
    honest_end(&h, "strangers", rss_before, MEMORY_MIB);
}

/* -- one admitted node, again and again -- */

static void say_hello(struct zmtp *z)
{
    struct hello hello = {.role = ROLE_CLIENT, .directory_version = 1};
    YZ_AUTO(yzi_buf_fini) yz_buf frame;
    yzi_buf_init(&frame, 4096);
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str(HOSTILE), &hello.node), YZ_OK);
    randombytes_buf(hello.boot.b, sizeof hello.boot.b); /* another process each */
    assert_int_equal(yzi_hello_write(&hello, &frame), YZ_OK);
    (void)zmtp_send_part(z, frame.p, frame.n, false, 10000); /* it may be cut meanwhile */
}

/* A wave of its connections; each that is admitted says hello. Gives how many were. */
static unsigned come_in(const struct zmtp_keys *keys)
{
    unsigned admitted = 0;
    open_wave(keys);
    for (unsigned i = 0; i < WAVE; i++) {
        if (zmtp_go_on(&peers[i], keys, ZMTP_READY)) {
            say_hello(&peers[i]);
            admitted++;
        } else {
            assert_string_equal(peers[i].refused, ""); /* put off, not called unknown */
        }
    }
    return admitted;
}

static void test_handshakes__of_one_node_ten_thousand_times(void **state)
{
    (void)state;
    struct honest h = HONEST(&sandbox);
    struct key_pair own;
    struct zmtp_keys keys;
    load_key("hostile/keys/transport.key", &own);
    memcpy(keys.public_key, own.public_key, 32);
    memcpy(keys.secret_key, yzi_key_pair_open(&own), 32);
    yzi_key_pair_close(&own);
    memcpy(keys.server_public, server_public, 32);
    struct tables before = {ADAPTERS + 1, ADAPTERS + 1, files_before + 2}; /* the honest one */
    honest_begin(&h);
    unsigned long most = 0, admitted = 0;
    unsigned long put_off = metric(sandbox.ops, "handshakes_put_off_total");
    for (unsigned done = 0; done < MANY; done += WAVE) {
        admitted += come_in(&keys);
        if (done % (WAVE * 2) == 0) {
            somebody_new_is_answered();
        }
        unsigned long now = metric(sandbox.ops, "connections");
        most = now > most ? now : most;
        close_all();
    }
    put_off = metric(sandbox.ops, "handshakes_put_off_total") - put_off;
    print_message("%lu admitted, %lu put off, %lu connections at most\n", admitted, put_off, most);
    assert_true(admitted >= PER_PEER && put_off > 0);
    assert_in_range(most, 1, ADAPTERS + PER_PEER + 2); /* honest; new */
    wait_for_tables(&h, &before);
    honest_end(&h, "one node's connections", rss_before, MEMORY_MIB);
    assert_true(zmtp_open(&peers[0], sandbox.endpoint, &keys, ZMTP_READY)); /* it may come again */
    close_all();
    yzi_key_pair_fini(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes__of_ten_thousand_strangers),
        cmocka_unit_test(test_handshakes__of_one_node_ten_thousand_times),
    };
    return cmocka_run_group_tests(tests, up, down);
}
