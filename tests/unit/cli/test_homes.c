/* SPDX-License-Identifier: Apache-2.0
 *
 * Homes and the way from nothing to a directory: the whole set-up offline, what comes of it
 * verified with the code that nodes use, and everything a hostile or hasty hand may do on the way.
 */
#include "tests/unit/cli/fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "keys/directory.h"
#include "keys/keyfile.h"

/* -- helpers -- */

/* Verify op's bundle against op's anchor, as a node would. */
static int verify(const char *bundle, const char *anchor, const struct directory **out)
{
    yz_bytes manifest, *chunks;
    size_t n = YZ_MANIFEST_CHUNKS_MAX;
    yz_buf raw, root;
    yz_error err = {0};
    yz_cli_read(bundle, &raw);
    yz_cli_record(anchor, &root);
    assert_int_equal(yzi_alloc(n, sizeof *chunks, &chunks), 0);
    int rc = yzi_directory_bundle_parse(yzi_bytes_buf(&raw), &manifest, chunks, &n);
    if (rc == 0) {
        rc = yzi_directory_verify(yzi_bytes_buf(&root), manifest, chunks, n, out, &err);
    }
    free(chunks);
    yzi_buf_fini(&raw);
    yzi_buf_fini(&root);
    return rc;
}

static yz_node_id node_id(const char *text)
{
    yz_node_id id;
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str(text), &id), 0);
    return id;
}

static uint64_t now(void)
{
    return yzi_wall_ms(&yzi_clock_system);
}

/* The fingerprint in what the last command printed. */
static void said_fingerprint(char out[YZ_FINGERPRINT_TEXT])
{
    for (const char *at = yz_cli_out(); *at; at++) {
        if (strspn(at, "0123456789abcdef:") == YZ_FINGERPRINT_TEXT - 1 && at[4] == ':') {
            memcpy(out, at, YZ_FINGERPRINT_TEXT - 1);
            out[YZ_FINGERPRINT_TEXT - 1] = '\0';
            return;
        }
    }
    fail_msg("no fingerprint in: %s", yz_cli_out());
}

/* Change the character in the middle of an armoured file's base64. */
static void spoil(const char *path, size_t line)
{
    yz_buf text;
    yz_cli_read(path, &text);
    uint8_t *p = text.p;
    for (size_t i = 0; i < line; i++) {
        p = memchr(p, '\n', text.n - (size_t)(p - text.p));
        assert_non_null(p);
        p++;
    }
    p[10] = p[10] == 'A' ? 'B' : 'A';
    yz_cli_write(path, yzi_bytes_buf(&text));
    yzi_buf_fini(&text);
}

/* -- the whole way -- */

static void test_setup__makes_a_directory_that_nodes_believe(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "directory", "publish", "--home", "op", "--out", "copy.bundle");
    const struct directory *d = NULL;
    assert_int_equal(verify("copy.bundle", "op/anchor.yzr", &d), 0);
    assert_int_equal(yzi_directory_version(d), 1);
    assert_int_equal(yzi_directory_root(d)->version, 2); /* the broker's admission made one */
    struct directory_node n;
    assert_int_equal(yzi_directory_node(d, node_id("CN/@b1"), now(), &n, NULL), 0);
    assert_int_equal(n.role, ROLE_BROKER);
    assert_int_equal(n.broker->endpoints_n, 1);
    assert_int_equal(yzi_directory_node(d, node_id("CN/GOV/MCA/@a1"), now(), &n, NULL), 0);
    assert_int_equal(n.role, ROLE_ADAPTER);
    yz_subsystem_id civil;
    assert_int_equal(yzi_subsystem_id_parse(yzi_bytes_str("CN/GOV/MCA/civil"), &civil), 0);
    assert_true(yzi_directory_speaks_for(&n, civil));
    assert_int_equal(yzi_directory_node(d, node_id("CN/GOV/HB/@w1"), now(), &n, NULL), 0);
    assert_int_equal(n.role, ROLE_CLIENT);
    assert_true(n.signing->items[0].not_after > now() + UINT64_C(29) * 86400000);
    assert_true(n.signing->items[0].not_after < now() + UINT64_C(31) * 86400000);
    assert_int_equal(
        yzi_directory_may_sign(d, &n, n.signing->items[0].key, now() + UINT64_C(31) * 86400000),
        YZ_EEXPIRED);
    yzi_directory_unref(d);
}

static void test_setup__publishes_versions_that_rise_by_one(void **state)
{
    (void)state;
    const struct directory *d = NULL;
    yz_cli_world();
    EXPECT(0, "directory", "publish", "--home", "op");
    EXPECT(0, "subsystem", "add", "--home", "mca", "burials");
    EXPECT(0, "directory", "publish", "--home", "op", "--member-set", "mca/member-set.yzr",
           "--member-set", "hb/member-set.yzr");
    assert_int_equal(verify("op/directory.bundle", "op/anchor.yzr", &d), 0);
    assert_int_equal(yzi_directory_version(d), 2);
    yz_subsystem_id burials;
    assert_int_equal(yzi_subsystem_id_parse(yzi_bytes_str("CN/GOV/MCA/burials"), &burials), 0);
    assert_true(yzi_directory_has_subsystem(d, burials));
    yzi_directory_unref(d);
    /* the set taken in stays for the next time */
    EXPECT(0, "directory", "publish", "--home", "op");
    assert_int_equal(verify("op/directory.bundle", "op/anchor.yzr", &d), 0);
    assert_true(yzi_directory_has_subsystem(d, burials));
    yzi_directory_unref(d);
}

static void test_setup__shows_what_it_made(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(EXIT_FAILED, "directory", "show", "--home", "op");
    yz_cli_said("no directory was published yet");
    EXPECT(0, "node", "revoke", "--home", "op", "CN/GOV/HB/@w1", "--reason", "丢失");
    EXPECT(0, "directory", "publish", "--home", "op", "--out", "copy.bundle");
    EXPECT(0, "directory", "show", "--home", "op");
    static const char *const told[] = {
        "版本", "民政部", "婚姻登记", "tcp://127.0.0.1:7300", "CN/GOV/MCA/@a1  adapter", "丢失"};
    for (size_t i = 1; i < sizeof told / sizeof told[0]; i++) {
        if (!strstr(yz_cli_out(), told[i])) {
            fail_msg("'%s' is not in: %s", told[i], yz_cli_out());
        }
    }
    assert_null(strstr(yz_cli_out(), told[0]));
    EXPECT(0, "directory", "show", "--json", "--bundle", "copy.bundle", "--anchor",
           "op/anchor.yzr");
    assert_non_null(strstr(yz_cli_out(), "\"reason\": \"丢失\""));
    EXPECT(EXIT_USAGE, "directory", "show", "--bundle", "copy.bundle");
    EXPECT(EXIT_USAGE, "directory", "show", "--bundle", "copy.bundle", "--home", "op");
    EXPECT(EXIT_USAGE, "directory", "show");
    EXPECT(0, "root", "show", "op/root.yzr");
    assert_non_null(strstr(yz_cli_out(), "broker CN/@b1"));
    EXPECT(0, "root", "show", "--json", "op/root.yzr");
    assert_non_null(strstr(yz_cli_out(), "\"node\": \"CN/@b1\""));
}

/* -- homes -- */

static void test_homes__are_made_once(void **state)
{
    (void)state;
    yz_cli_world();
    REFUSES("op", EXIT_FAILED, "root", "init", "--home", "op", "--instance", "CN");
    yz_cli_said("is an operator's home already");
    REFUSES("mca", EXIT_FAILED, "member", "init", "--home", "mca", "--member", "CN/GOV/MCA");
    REFUSES("op", EXIT_FAILED, "member", "init", "--home", "op", "--member", "CN/GOV/MCA");
    REFUSES("a1", EXIT_FAILED, "node", "request", "--home", "a1", "--node", "CN/GOV/MCA/@a2",
            "--role", "adapter", "--subsystem", "civil");
    REFUSES("b1", EXIT_FAILED, "broker", "request", "--home", "b1", "--node", "CN/@b2");
}

static void test_homes__of_another_kind_are_refused_by_name(void **state)
{
    (void)state;
    yz_cli_world();
    REFUSES(".", EXIT_FAILED, "directory", "publish", "--home", "mca");
    yz_cli_said("mca is a member's home; needed is an operator's home, made by yz root init");
    REFUSES(".", EXIT_FAILED, "subsystem", "add", "--home", "op", "x");
    REFUSES(".", EXIT_FAILED, "member", "add", "--home", "a1", "mca/member-set.yzr");
    REFUSES(".", EXIT_FAILED, "node", "revoke", "--home", "w1", "CN/GOV/HB/@w1");
    REFUSES(".", EXIT_FAILED, "broker", "admit", "--home", "nowhere", "b1/request.yzr");
    yz_cli_said("nowhere is no home");
}

static void test_homes__that_could_not_be_finished_leave_nothing(void **state)
{
    (void)state;
    assert_int_equal(mkdir("op", 0700), 0);
    yz_cli_write("op/anchor.yzr", yzi_bytes_str("in the way"));
    REFUSES("op", EXIT_FAILED, "root", "init", "--home", "op", "--instance", "CN");
    assert_int_equal(unlink("op/anchor.yzr"), 0);
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN");
    assert_int_equal(mkdir("m", 0700), 0);
    assert_int_equal(mkdir("m/keys", 0700), 0);
    yz_cli_write("m/keys/owner.key", yzi_bytes_str("in the way"));
    REFUSES("m", EXIT_FAILED, "member", "init", "--home", "m", "--member", "CN/GOV/MCA");
}

static void test_homes__hold_keys_and_folders_from_others(void **state)
{
    (void)state;
    struct stat st;
    mode_t before = umask(0);
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN");
    umask(before);
    assert_int_equal(stat("op", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat("op/keys", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat("op/keys/root-1.key", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat("op/anchor.yzr", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

static void test_homes__whose_keys_others_may_read_do_not_sign(void **state)
{
    (void)state;
    yz_cli_world();
    assert_int_equal(chmod("op/keys/operator-1.key", 0644), 0);
    REFUSES("op", EXIT_FAILED, "directory", "publish", "--home", "op");
    yz_cli_said("chmod 600 op/keys/operator-1.key");
    assert_int_equal(chmod("mca/keys/member.key", 0640), 0);
    REFUSES("mca", EXIT_FAILED, "subsystem", "add", "--home", "mca", "x");
    yz_cli_said("chmod 600 mca/keys/member.key");
}

static void test_homes__change_by_one_hand_at_a_time(void **state)
{
    (void)state;
    yz_cli_world();
    int fd;
    yz_error err = {0};
    assert_int_equal(yzi_file_lock("op/lock", &fd, &err), 0);
    REFUSES("op", EXIT_UNAVAILABLE, "directory", "publish", "--home", "op");
    yz_cli_said("in use");
    close(fd);
    EXPECT(0, "directory", "publish", "--home", "op");
}

/* -- the operator -- */

/* The key that `yz broker admit` printed: the line behind its name. */
static const char *broker_key(const char *out)
{
    static char key[64];
    const char *at = strstr(out, "transport key");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "%*[^\n] %63s", key), 1);
    return key;
}

static void test_root__keys_elsewhere_must_be_brought(void **state)
{
    (void)state;
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN", "--root-keys", "3",
           "--root-threshold", "2", "--operator-keys", "2", "--operator-threshold", "2");
    EXPECT(0, "broker", "request", "--home", "b1", "--node", "CN/@b1");
    assert_int_equal(mkdir("safe", 0700), 0);
    assert_int_equal(rename("op/keys/root-1.key", "safe/root-1.key"), 0);
    assert_int_equal(rename("op/keys/root-3.key", "safe/root-3.key"), 0);
    REFUSES("op", EXIT_FAILED, "broker", "admit", "--home", "op", "b1/request.yzr", "--endpoint",
            "tcp://127.0.0.1:7300");
    yz_cli_said("2 of 3 root keys must sign and op/keys holds 1 of them");
    assert_int_equal(rename("safe/root-3.key", "op/keys/root-3.key"), 0);
    EXPECT(0, "broker", "admit", "--home", "op", "b1/request.yzr", "--endpoint",
           "tcp://127.0.0.1:7300");
    char *key = strdup(broker_key(yz_cli_out()));
    assert_int_equal(rename("op/keys/operator-2.key", "safe/operator-2.key"), 0);
    REFUSES("op", EXIT_FAILED, "directory", "publish", "--home", "op");
    assert_int_equal(rename("safe/operator-2.key", "op/keys/operator-2.key"), 0);
    EXPECT(0, "directory", "publish", "--home", "op");
    EXPECT(0, "directory", "show", "--home", "op");
    assert_non_null(strstr(yz_cli_out(), key)); /* what configurations need */
    EXPECT(0, "keys", "show", "b1/keys/transport.key");
    assert_non_null(strstr(yz_cli_out(), key));
    free(key);
    const struct directory *d = NULL;
    assert_int_equal(verify("op/directory.bundle", "op/anchor.yzr", &d), 0);
    yzi_directory_unref(d);
}

static void test_root__a_key_that_is_none_of_the_statement_does_not_count(void **state)
{
    (void)state;
    yz_cli_world();
    assert_int_equal(rename("op/keys/operator-1.key", "operator-1.key"), 0);
    EXPECT(0, "keys", "new", "--use", "operator", "op/keys/operator-1.key");
    REFUSES("op", EXIT_FAILED, "directory", "publish", "--home", "op");
    yz_cli_said("holds 0 of them");
}

static void test_root__a_statement_of_another_root_is_not_believed(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "root", "init", "--home", "other", "--instance", "CN");
    yz_cli_copy("other/root.yzr", "op/root.yzr");
    REFUSES("op", EXIT_UNVERIFIED, "directory", "publish", "--home", "op");
    yz_cli_said("not signed by the root keys of anchor.yzr");
    yz_cli_copy("other/anchor.yzr", "spoilt.yzr");
    spoil("spoilt.yzr", 2);
    EXPECT(EXIT_UNVERIFIED, "root", "show", "spoilt.yzr");
    EXPECT(EXIT_FAILED, "root", "show", "mca/member-set.yzr");
}

static void test_broker__request_is_admitted_by_its_fingerprint(void **state)
{
    (void)state;
    char right[YZ_FINGERPRINT_TEXT], bare[YZ_FINGERPRINT_TEXT], wrong[YZ_FINGERPRINT_TEXT];
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN");
    EXPECT(0, "broker", "request", "--home", "b1", "--node", "CN/@b1");
    said_fingerprint(right);
    memcpy(wrong, right, sizeof wrong);
    wrong[0] = wrong[0] == 'a' ? 'b' : 'a';
    REFUSES("op", EXIT_UNVERIFIED, "broker", "admit", "--home", "op", "b1/request.yzr",
            "--endpoint", "tcp://127.0.0.1:7300", "--fingerprint", wrong);
    yz_cli_said(right);
    REFUSES("op", EXIT_USAGE, "broker", "admit", "--home", "op", "b1/request.yzr", "--fingerprint",
            "1234");
    REFUSES("op", EXIT_USAGE, "broker", "admit", "--home", "op", "b1/request.yzr");
    yz_cli_said("--endpoint");
    size_t n = 0;
    for (size_t i = 0; right[i]; i++) { /* as somebody may type it */
        if (right[i] != ':') {
            bare[n++] = right[i] >= 'a' ? (char)(right[i] - 'a' + 'A') : right[i];
        }
    }
    bare[n] = '\0';
    EXPECT(0, "broker", "admit", "--home", "op", "b1/request.yzr", "--endpoint",
           "tcp://127.0.0.1:7300", "--fingerprint", bare);
}

static void test_broker__admitted_again_changes_endpoints_but_not_keys(void **state)
{
    (void)state;
    yz_cli_world();
    yz_buf before, after;
    yz_cli_read("op/root.yzr", &before);
    EXPECT(0, "broker", "admit", "--home", "op", "b1/request.yzr", "--endpoint",
           "tcp://10.0.0.1:7300", "--endpoint", "tcp://[::1]:7300");
    yz_cli_read("op/root.yzr", &after);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&before), yzi_bytes_buf(&after)));
    yzi_buf_fini(&before);
    yzi_buf_fini(&after);
    EXPECT(0, "broker", "request", "--home", "b2", "--node", "CN/@b1");
    REFUSES("op", EXIT_FAILED, "broker", "admit", "--home", "op", "b2/request.yzr", "--endpoint",
            "tcp://127.0.0.1:7300");
    yz_cli_said("with other keys");
    REFUSES("op", EXIT_FAILED, "broker", "admit", "--home", "op", "b1/request.yzr", "--endpoint",
            "tcp://10.0.0.1:7300", "--endpoint", "tcp://10.0.0.1:7300");
    EXPECT(0, "directory", "publish", "--home", "op");
}

static void test_broker__of_another_instance_or_role_is_refused(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "broker", "request", "--home", "x1", "--node", "EU/@b1");
    REFUSES("op", EXIT_FAILED, "broker", "admit", "--home", "op", "x1/request.yzr", "--endpoint",
            "tcp://127.0.0.1:7300");
    yz_cli_said("not of this instance");
    REFUSES("op", EXIT_FAILED, "broker", "admit", "--home", "op", "a1/request.yzr", "--endpoint",
            "tcp://127.0.0.1:7300");
    yz_cli_said("its member admits");
    REFUSES("mca", EXIT_FAILED, "node", "admit", "--home", "mca", "b1/request.yzr");
}

/* -- members -- */

static void test_member__is_added_by_its_key_and_keeps_it(void **state)
{
    (void)state;
    char right[YZ_FINGERPRINT_TEXT];
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN");
    EXPECT(0, "member", "init", "--home", "m", "--member", "CN/GOV/MCA");
    said_fingerprint(right);
    REFUSES("op", EXIT_UNVERIFIED, "member", "add", "--home", "op", "m/member-set.yzr",
            "--fingerprint", "0000:0000:0000:0000:0000:0000:0000:0000");
    EXPECT(0, "member", "add", "--home", "op", "m/member-set.yzr", "--fingerprint", right, "--name",
           "民政部");
    EXPECT(0, "member", "init", "--home", "false", "--member", "CN/GOV/MCA");
    EXPECT(0, "subsystem", "add", "--home", "false", "civil");
    REFUSES("op", EXIT_UNVERIFIED, "member", "add", "--home", "op", "false/member-set.yzr");
    yz_cli_said("with another key");
    REFUSES("op", EXIT_UNVERIFIED, "directory", "publish", "--home", "op", "--member-set",
            "false/member-set.yzr");
    /* the same member again, its set newer, its name kept */
    EXPECT(0, "subsystem", "add", "--home", "m", "civil");
    EXPECT(0, "member", "add", "--home", "op", "m/member-set.yzr");
    EXPECT(0, "directory", "publish", "--home", "op");
    EXPECT(0, "directory", "show", "--home", "op");
    assert_non_null(strstr(yz_cli_out(), "民政部"));
    EXPECT(0, "member", "init", "--home", "eu", "--member", "EU/GOV/MCA");
    REFUSES("op", EXIT_FAILED, "member", "add", "--home", "op", "eu/member-set.yzr");
}

static void test_member__set_edited_on_the_way_is_refused(void **state)
{
    (void)state;
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN");
    EXPECT(0, "member", "init", "--home", "m", "--member", "CN/GOV/MCA");
    EXPECT(0, "subsystem", "add", "--home", "m", "civil");
    yz_buf text;
    yz_cli_read("m/member-set.yzr", &text);
    size_t lines = 0;
    for (size_t i = 0; i < text.n; i++) {
        lines += text.p[i] == '\n';
    }
    yzi_buf_fini(&text);
    assert_true(lines > 4);
    for (size_t line = 0; line < lines - 1; line++) { /* the armour's first line, too */
        yz_cli_copy("m/member-set.yzr", "edited.yzr");
        spoil("edited.yzr", line);
        REFUSES("op", EXIT_UNVERIFIED, "member", "add", "--home", "op", "edited.yzr");
    }
    EXPECT(0, "member", "add", "--home", "op", "m/member-set.yzr");
}

static void test_member__set_goes_neither_back_nor_two_ways(void **state)
{
    (void)state;
    yz_cli_world();
    assert_int_equal(mkdir("fork", 0700), 0);
    assert_int_equal(mkdir("fork/keys", 0700), 0);
    yz_cli_copy("mca/member-set.yzr", "old.yzr");
    yz_cli_copy("mca/member-set.yzr", "fork/member-set.yzr");
    yz_cli_copy("mca/keys/member.key", "fork/keys/member.key");
    assert_int_equal(chmod("fork/keys/member.key", 0600), 0);
    EXPECT(0, "subsystem", "add", "--home", "mca", "one");
    EXPECT(0, "subsystem", "add", "--home", "fork", "two");
    EXPECT(0, "directory", "publish", "--home", "op", "--member-set", "mca/member-set.yzr");
    REFUSES("op", EXIT_UNVERIFIED, "directory", "publish", "--home", "op", "--member-set",
            "fork/member-set.yzr");
    yz_cli_said("alarm");
    REFUSES("op", EXIT_UNVERIFIED, "directory", "publish", "--home", "op", "--member-set",
            "old.yzr");
    yz_cli_said("older");
    REFUSES("op", EXIT_USAGE, "directory", "publish", "--home", "op", "--member-set",
            "mca/member-set.yzr", "--member-set", "mca/member-set.yzr");
}

static void test_member__own_set_that_was_edited_is_not_signed_again(void **state)
{
    (void)state;
    yz_cli_world();
    yz_cli_copy("hb/member-set.yzr", "mca/member-set.yzr");
    REFUSES("mca", EXIT_UNVERIFIED, "subsystem", "add", "--home", "mca", "x");
    yz_cli_said("not signed by the member key of this home");
}

static void test_publish__takes_no_set_of_a_stranger(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "member", "init", "--home", "x", "--member", "CN/GOV/X");
    REFUSES("op", EXIT_FAILED, "directory", "publish", "--home", "op", "--member-set",
            "x/member-set.yzr");
    yz_cli_said("yz member add");
    yz_cli_copy("x/member-set.yzr", "op/records/by-hand.yzr");
    REFUSES("op", EXIT_FAILED, "directory", "publish", "--home", "op");
    yz_cli_write("op/records/by-hand.yzr", yzi_bytes_str("rubbish"));
    REFUSES("op", EXIT_UNVERIFIED, "directory", "publish", "--home", "op");
    yz_cli_said("op/records/by-hand.yzr");
}

/* -- nodes -- */

static void test_node__is_admitted_by_its_own_member_only(void **state)
{
    (void)state;
    yz_cli_world();
    REFUSES("hb", EXIT_FAILED, "node", "admit", "--home", "hb", "a1/request.yzr");
    yz_cli_said("CN/GOV/MCA/@a1 is no node of CN/GOV/HB");
    EXPECT(0, "node", "request", "--home", "a2", "--node", "CN/GOV/MCA/@a2", "--role", "adapter",
           "--subsystem", "burials");
    REFUSES("mca", EXIT_FAILED, "node", "admit", "--home", "mca", "a2/request.yzr");
    yz_cli_said("yz subsystem add --home mca burials");
    EXPECT(0, "node", "admit", "--home", "mca", "a2/request.yzr", "--subsystem", "civil");
    REFUSES("mca", EXIT_UNVERIFIED, "node", "admit", "--home", "mca", "a2/request.yzr",
            "--fingerprint", "0000:0000:0000:0000:0000:0000:0000:0000");
    yz_cli_copy("a2/request.yzr", "spoilt.yzr");
    spoil("spoilt.yzr", 2);
    REFUSES("mca", EXIT_UNVERIFIED, "node", "admit", "--home", "mca", "spoilt.yzr");
}

static void test_node__with_new_keys_needs_the_old_ones_gone(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "node", "request", "--home", "again", "--node", "CN/GOV/MCA/@a1", "--role", "adapter",
           "--subsystem", "civil");
    REFUSES("mca", EXIT_FAILED, "node", "admit", "--home", "mca", "again/request.yzr");
    EXPECT(0, "node", "revoke", "--home", "mca", "CN/GOV/MCA/@a1");
    EXPECT(0, "node", "admit", "--home", "mca", "again/request.yzr");
    EXPECT(0, "directory", "publish", "--home", "op", "--member-set", "mca/member-set.yzr");
}

static void test_node__revoked_by_its_member_is_out_of_the_set(void **state)
{
    (void)state;
    const struct directory *d = NULL;
    struct directory_node n;
    yz_cli_world();
    EXPECT(0, "node", "revoke", "--home", "mca", "CN/GOV/MCA/@a1");
    REFUSES("mca", EXIT_FAILED, "node", "revoke", "--home", "mca", "CN/GOV/MCA/@a1");
    REFUSES("hb", EXIT_USAGE, "node", "revoke", "--home", "hb", "CN/GOV/HB/@w1", "--reason", "x");
    EXPECT(0, "directory", "publish", "--home", "op", "--member-set", "mca/member-set.yzr");
    assert_int_equal(verify("op/directory.bundle", "op/anchor.yzr", &d), 0);
    assert_int_equal(yzi_directory_node(d, node_id("CN/GOV/MCA/@a1"), now(), &n, NULL),
                     YZ_EUNKNOWNKEY);
    yzi_directory_unref(d);
}

static void test_node__revoked_by_the_operator_stays_so(void **state)
{
    (void)state;
    bool revoked = false;
    const struct directory *d = NULL;
    struct directory_node n;
    yz_cli_world();
    REFUSES("op", EXIT_FAILED, "node", "revoke", "--home", "op", "CN/@b7");
    REFUSES("op", EXIT_FAILED, "node", "revoke", "--home", "op", "CN/GOV/NOBODY/@a1");
    REFUSES("op", EXIT_USAGE, "node", "revoke", "--home", "op", "CN/@b1", "--admin", "x.sock");
    EXPECT(0, "node", "revoke", "--home", "op", "CN/GOV/MCA/@a1", "--reason", "stolen");
    assert_non_null(strstr(yz_cli_out(), "next yz directory publish"));
    REFUSES("op", EXIT_FAILED, "node", "revoke", "--home", "op", "CN/GOV/MCA/@a1");
    EXPECT(0, "node", "admit", "--home", "mca", "a1/request.yzr"); /* the member insists */
    EXPECT(0, "directory", "publish", "--home", "op", "--member-set", "mca/member-set.yzr");
    assert_int_equal(verify("op/directory.bundle", "op/anchor.yzr", &d), 0);
    assert_int_equal(yzi_directory_node(d, node_id("CN/GOV/MCA/@a1"), now(), &n, &revoked),
                     YZ_EUNKNOWNKEY);
    assert_true(revoked);
    yzi_directory_unref(d);
}

/* -- bundles -- */

static void test_bundle__cut_anywhere_is_not_verified(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "directory", "publish", "--home", "op");
    yz_buf whole;
    yz_cli_read("op/directory.bundle", &whole);
    for (size_t n = 0; n < whole.n; n += 1 + whole.n / 40) {
        yz_cli_write("cut.bundle", yzi_bytes(whole.p, n));
        EXPECT(EXIT_UNVERIFIED, "directory", "show", "--bundle", "cut.bundle", "--anchor",
               "op/anchor.yzr");
    }
    assert_int_equal(yzi_buf_put_u8(&whole, 0), 0);
    yz_cli_write("cut.bundle", yzi_bytes_buf(&whole));
    EXPECT(EXIT_UNVERIFIED, "directory", "show", "--bundle", "cut.bundle", "--anchor",
           "op/anchor.yzr");
    yzi_buf_fini(&whole);
}

static void test_bundle__changed_anywhere_is_not_verified(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "directory", "publish", "--home", "op");
    yz_buf whole;
    yz_cli_read("op/directory.bundle", &whole);
    for (size_t at = 0; at < whole.n; at += 1 + whole.n / 60) {
        whole.p[at] ^= 1;
        yz_cli_write("changed.bundle", yzi_bytes_buf(&whole));
        EXPECT(EXIT_UNVERIFIED, "directory", "show", "--bundle", "changed.bundle", "--anchor",
               "op/anchor.yzr");
        whole.p[at] ^= 1;
    }
    yzi_buf_fini(&whole);
}

static void test_bundle__of_another_root_is_not_verified(void **state)
{
    (void)state;
    yz_cli_world();
    EXPECT(0, "directory", "publish", "--home", "op");
    EXPECT(0, "root", "init", "--home", "other", "--instance", "CN");
    EXPECT(EXIT_UNVERIFIED, "directory", "show", "--bundle", "op/directory.bundle", "--anchor",
           "other/anchor.yzr");
    EXPECT(EXIT_FAILED, "directory", "show", "--bundle", "absent", "--anchor", "op/anchor.yzr");
    /* and the operator does not go on from one it did not make */
    EXPECT(0, "directory", "publish", "--home", "other");
    yz_cli_copy("other/directory.bundle", "op/directory.bundle");
    REFUSES("op", EXIT_UNVERIFIED, "directory", "publish", "--home", "op");
}

static void test_homes__of_long_names_fit_a_file_system(void **state)
{
    (void)state;
    char member[310], part[101];
    memset(part, 'x', 100);
    part[100] = '\0';
    EXPECT(0, "root", "init", "--home", "op", "--instance", part);
    for (char last = 'a'; last <= 'b'; last++) { /* alike but for the last letter */
        char home[2] = {last, '\0'};
        snprintf(member, sizeof member, "%s/%s/%.99s%c", part, part, part, last);
        EXPECT(0, "member", "init", "--home", home, "--member", member);
        char set[32];
        snprintf(set, sizeof set, "%s/member-set.yzr", home);
        EXPECT(0, "member", "add", "--home", "op", set);
    }
    EXPECT(0, "directory", "publish", "--home", "op");
    assert_non_null(strstr(yz_cli_out(), "5 records"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, yz_cli_setup, yz_cli_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_setup__makes_a_directory_that_nodes_believe),
        CASE(test_setup__publishes_versions_that_rise_by_one),
        CASE(test_setup__shows_what_it_made),
        CASE(test_homes__are_made_once),
        CASE(test_homes__of_another_kind_are_refused_by_name),
        CASE(test_homes__that_could_not_be_finished_leave_nothing),
        CASE(test_homes__hold_keys_and_folders_from_others),
        CASE(test_homes__whose_keys_others_may_read_do_not_sign),
        CASE(test_homes__change_by_one_hand_at_a_time),
        CASE(test_homes__of_long_names_fit_a_file_system),
        CASE(test_root__keys_elsewhere_must_be_brought),
        CASE(test_root__a_key_that_is_none_of_the_statement_does_not_count),
        CASE(test_root__a_statement_of_another_root_is_not_believed),
        CASE(test_broker__request_is_admitted_by_its_fingerprint),
        CASE(test_broker__admitted_again_changes_endpoints_but_not_keys),
        CASE(test_broker__of_another_instance_or_role_is_refused),
        CASE(test_member__is_added_by_its_key_and_keeps_it),
        CASE(test_member__set_edited_on_the_way_is_refused),
        CASE(test_member__set_goes_neither_back_nor_two_ways),
        CASE(test_member__own_set_that_was_edited_is_not_signed_again),
        CASE(test_publish__takes_no_set_of_a_stranger),
        CASE(test_node__is_admitted_by_its_own_member_only),
        CASE(test_node__with_new_keys_needs_the_old_ones_gone),
        CASE(test_node__revoked_by_its_member_is_out_of_the_set),
        CASE(test_node__revoked_by_the_operator_stays_so),
        CASE(test_bundle__cut_anywhere_is_not_verified),
        CASE(test_bundle__changed_anywhere_is_not_verified),
        CASE(test_bundle__of_another_root_is_not_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
