/* SPDX-License-Identifier: Apache-2.0
 *
 * yz evidence: verifying receipts, auditing and following a published log, and the exit codes that
 * scripts rely on.
 */
#include "tests/unit/cli/fixture.h"

#include <string.h>
#include <unistd.h>

#include "proof/tlogproof.h"
#include "tests/support/published_log.h"

static struct published_log published;
static char vkey[1024], other_vkey[1024];

static void key_text(const struct note_key *k, char out[1024])
{
    YZ_AUTO(yzi_buf_fini) yz_buf b = {.max = 1000};
    assert_int_equal(yzi_vkey_write(k, &b), 0);
    snprintf(out, 1024, "%.*s", (int)b.n, (const char *)b.p);
}

static int publish(void **state)
{
    struct note_key k;
    struct key_pair other = yz_numbered_key(KEY_LOG, 2);
    assert_int_equal(yz_cli_setup(state), 0);
    yz_published_init(&published, "log", 2048);
    yz_published_grow(&published, 300);
    key_text(&published.vkey, vkey);
    assert_int_equal(yzi_note_key(published.vkey.name, NOTE_ED25519, other.public_key, &k), 0);
    key_text(&k, other_vkey);
    yzi_key_pair_fini(&other);
    return 0;
}

static int drop(void **state)
{
    yz_published_fini(&published);
    return yz_cli_teardown(state);
}

/* A receipt of that entry as text, in a file. */
static void put_proof(uint64_t index, bool extra, const char *file)
{
    YZ_AUTO(yzi_buf_fini) yz_buf note, proof = {.max = TLOGPROOF_MAX};
    struct merkle_path path;
    uint8_t entry[YZ_ENTRY_BYTES];
    yz_cli_read("log/checkpoint", &note);
    yzi_entry_write(&published.entries[index], entry);
    assert_int_equal(
        yzi_nodes_path(index, published.published, yz_grown_node, &published.tree, &path), 0);
    assert_int_equal(yzi_tlogproof_write(yzi_bytes(entry, extra ? sizeof entry : 0), index, &path,
                                         yzi_bytes_buf(&note), &proof),
                     0);
    yz_cli_write(file, yzi_bytes_buf(&proof));
    yz_cli_write("entry", yzi_bytes(entry, sizeof entry));
}

static void flip(const char *file, size_t at)
{
    YZ_AUTO(yzi_buf_fini) yz_buf b;
    yz_cli_read(file, &b);
    assert_true(at < b.n);
    b.p[at] ^= 1;
    yz_cli_write(file, yzi_bytes_buf(&b));
}

/* -- verify -- */

static void test_verify__takes_a_receipt(void **state)
{
    (void)state;
    put_proof(7, true, "a.tlog-proof");
    put_proof(8, true, "b.tlog-proof");
    EXPECT(0, "evidence", "verify", "--vkey", vkey, "a.tlog-proof", "b.tlog-proof");
    assert_non_null(strstr(yz_cli_out(), "a.tlog-proof: entry 7 of 300 in yizhan/CN/@b1/"));
    assert_non_null(strstr(yz_cli_out(), "b.tlog-proof: entry 8 of 300"));
    assert_non_null(strstr(yz_cli_out(), "request of 2024-11-22T"));
}

static void test_verify__says_what_does_not_hold_and_where(void **state)
{
    (void)state;
    put_proof(7, true, "a.tlog-proof");
    EXPECT(5, "evidence", "verify", "--vkey", other_vkey, "a.tlog-proof");
    yz_cli_said("a.tlog-proof: its checkpoint is not signed by this key");
    flip("a.tlog-proof", 40); /* within the entry */
    EXPECT(5, "evidence", "verify", "--vkey", vkey, "a.tlog-proof");
    yz_cli_said("a.tlog-proof: ");
    yz_cli_write("junk", yzi_bytes_str("junk\n"));
    EXPECT(5, "evidence", "verify", "--vkey", vkey, "junk");
    yz_cli_said("junk: this is neither a receipt (tlog-proof) nor a bundle");
    EXPECT(1, "evidence", "verify", "--vkey", vkey, "absent");
    EXPECT(2, "evidence", "verify", "--vkey", "no-key", "a.tlog-proof");
    EXPECT(2, "evidence", "verify", "a.tlog-proof");
    yz_cli_said("--vkey");
}

static void test_verify__takes_the_entry_from_beside(void **state)
{
    (void)state;
    put_proof(7, false, "a.tlog-proof");
    EXPECT(2, "evidence", "verify", "--vkey", vkey, "a.tlog-proof");
    yz_cli_said("--entry");
    EXPECT(0, "evidence", "verify", "--vkey", vkey, "--entry", "entry", "a.tlog-proof");
    flip("entry", 20);
    EXPECT(5, "evidence", "verify", "--vkey", vkey, "--entry", "entry", "a.tlog-proof");
}

/* -- audit -- */

static void test_audit__of_a_sound_log(void **state)
{
    (void)state;
    EXPECT(0, "evidence", "audit", "log", "--vkey", vkey);
    assert_non_null(strstr(yz_cli_out(), "yizhan/CN/@b1/1732309509123: 300 entries"));
    assert_non_null(strstr(yz_cli_out(), "the signature was verified"));
    EXPECT(0, "evidence", "audit", "log");
    assert_non_null(strstr(yz_cli_out(), "not checked"));
    EXPECT(0, "evidence", "audit", "log", "--json");
    assert_non_null(strstr(yz_cli_out(), "\"sound\": true"));
}

static void test_audit__names_the_damage(void **state)
{
    (void)state;
    flip("log/tile/0/000", 100);
    EXPECT(5, "evidence", "audit", "log", "--vkey", vkey);
    yz_cli_said("log: 1 findings; the first: tile/0/000 is damaged");
    assert_non_null(strstr(yz_cli_out(), "tile/0/000 is damaged: its hash of entry 3 is not"));
    EXPECT(5, "evidence", "audit", "log", "--json");
    assert_non_null(strstr(yz_cli_out(), "\"sound\": false"));
    assert_non_null(strstr(yz_cli_out(), "tile/0/000 is damaged"));
    flip("log/tile/0/000", 100);
    EXPECT(5, "evidence", "audit", "log", "--vkey", other_vkey);
    yz_cli_said("not signed by this key");
    EXPECT(1, "evidence", "audit", "nowhere");
}

/* -- follow -- */

static void test_follow__goes_on_with_the_log(void **state)
{
    (void)state;
    EXPECT(0, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    assert_non_null(strstr(yz_cli_out(), ": 300 entries\n"));
    EXPECT(0, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    assert_string_equal(yz_cli_out(), ""); /* nothing new */
    yz_published_grow(&published, 700);
    EXPECT(0, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    assert_non_null(strstr(yz_cli_out(), ": 700 entries, going on from 300"));
}

/* The log made anew, with the same beginning or without. */
static void remake(uint64_t same, uint64_t size)
{
    yz_published_fini(&published);
    yz_published_init(&published, "log", 2048);
    if (same > 0) {
        yz_published_grow(&published, same);
    }
    published.seed = 1;
    yz_published_grow(&published, size);
}

static void test_follow__sees_a_fork(void **state)
{
    (void)state;
    YZ_AUTO(yzi_buf_fini) yz_buf fork, now;
    EXPECT(0, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    remake(280, 400);
    EXPECT(5, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    yz_cli_said("is forked: its checkpoint of 400 entries does not go on from that of 300");
    yz_cli_read("seen.fork", &fork);
    yz_cli_read("log/checkpoint", &now);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&fork), yzi_bytes_buf(&now)));
    EXPECT(5, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once"); /* still */
}

static void test_follow__sees_another_root_and_a_smaller_log(void **state)
{
    (void)state;
    EXPECT(0, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    remake(0, 300);
    EXPECT(5, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    yz_cli_said("is forked");
    remake(0, 200);
    EXPECT(5, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    yz_cli_said("shows 200 entries; it had 300 before");
}

static void test_follow__needs_a_key_and_a_state(void **state)
{
    (void)state;
    EXPECT(2, "evidence", "follow", "log", "--state", "seen", "--once");
    EXPECT(2, "evidence", "follow", "log", "--vkey", vkey, "--once");
    yz_cli_write("seen", yzi_bytes_str("junk"));
    EXPECT(5, "evidence", "follow", "log", "--vkey", vkey, "--state", "seen", "--once");
    yz_cli_said("seen: it is no checkpoint");
    EXPECT(1, "evidence", "follow", "nowhere", "--vkey", vkey, "--state", "new", "--once");
    assert_false(yzi_file_exists("new"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, publish, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verify__takes_a_receipt),
        TEST(test_verify__says_what_does_not_hold_and_where),
        TEST(test_verify__takes_the_entry_from_beside),
        TEST(test_audit__of_a_sound_log),
        TEST(test_audit__names_the_damage),
        TEST(test_follow__goes_on_with_the_log),
        TEST(test_follow__sees_a_fork),
        TEST(test_follow__sees_another_root_and_a_smaller_log),
        TEST(test_follow__needs_a_key_and_a_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
