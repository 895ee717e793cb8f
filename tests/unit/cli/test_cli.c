/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line itself: how verbs are found and options parsed, which exit codes come out, and
 * that help and manual page know every verb.
 */
#include "tests/unit/cli/fixture.h"

#include <sys/stat.h>

static void test_cli__without_a_verb_it_helps_and_says_usage(void **state)
{
    (void)state;
    assert_int_equal(yz_cli((const char *const[]){NULL}), EXIT_USAGE);
    yz_cli_said("yz grant add");
    EXPECT(0, "--help");
    assert_non_null(strstr(yz_cli_out(), "yz grant add"));
    EXPECT(0, "--version");
    assert_non_null(strstr(yz_cli_out(), YZ_VERSION));
}

static void test_cli__unknown_nouns_and_verbs_are_usage(void **state)
{
    (void)state;
    EXPECT(EXIT_USAGE, "grants");
    yz_cli_said("no noun 'grants'");
    EXPECT(EXIT_USAGE, "grant", "give");
    yz_cli_said("yz grant revoke");
    EXPECT(EXIT_USAGE, "grant");
    yz_cli_said("needs a verb");
    EXPECT(0, "grant", "--help");
}

static void test_cli__wrong_options_are_usage_and_never_exit(void **state)
{
    (void)state;
    EXPECT(EXIT_USAGE, "root", "init", "--home", "op");
    yz_cli_said("--instance CODE is needed");
    EXPECT(EXIT_USAGE, "root", "init", "--no-such-option");
    EXPECT(EXIT_USAGE, "root", "init", "--home");
    EXPECT(EXIT_USAGE, "root", "init", "--home", "a", "--home", "b", "--instance", "CN");
    yz_cli_said("--home is given twice");
    EXPECT(EXIT_USAGE, "root", "init", "--home", "op", "--instance", "CN", "stray");
    yz_cli_said("'stray' is one argument too many");
    EXPECT(EXIT_USAGE, "root", "show");
    yz_cli_said("FILE is needed");
    EXPECT(EXIT_USAGE, "member", "init", "--home", "", "--member", "CN/GOV/MCA");
    yz_cli_said("--home is empty");
    EXPECT(EXIT_USAGE, "call", "--config", "absent.yaml", "CN/GOV/MCA/civil/marriages/v1");
    yz_cli_said("--key is needed");
    assert_false(yzi_file_exists("op"));
}

static void test_cli__help_does_nothing_else(void **state)
{
    (void)state;
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN", "--help");
    assert_non_null(strstr(yz_cli_out(), "--root-threshold=M"));
    assert_non_null(strstr(yz_cli_out(), "(needed)"));
    assert_false(yzi_file_exists("op"));
}

static void test_cli__two_dashes_end_the_options(void **state)
{
    (void)state;
    EXPECT(0, "member", "init", "--home", "m", "--member", "CN/GOV/MCA");
    EXPECT(0, "subsystem", "add", "--home", "m", "--", "--strange");
    EXPECT(EXIT_USAGE, "subsystem", "add", "--home", "m", "--", "a", "--name");
}

static void test_cli__only_reading_verbs_take_json(void **state)
{
    (void)state;
    EXPECT(EXIT_USAGE, "root", "init", "--home", "op", "--instance", "CN", "--json");
    assert_false(yzi_file_exists("op"));
    EXPECT(0, "root", "init", "--home", "op", "--instance", "CN");
    EXPECT(0, "root", "show", "--json", "op/anchor.yzr");
    assert_int_equal(yz_cli_out()[0], '{');
}

static void test_cli__words_are_refused_with_their_form(void **state)
{
    (void)state;
    EXPECT(EXIT_USAGE, "member", "init", "--home", "m", "--member", "CN/GOV");
    yz_cli_said("INSTANCE/CLASS/CODE");
    EXPECT(EXIT_USAGE, "member", "init", "--home", "m", "--member", "CN/GOV/民政部");
    yz_cli_said("percent-encoded");
    EXPECT(EXIT_USAGE, "broker", "request", "--home", "b", "--node", "CN/GOV/MCA/@b1");
    EXPECT(EXIT_USAGE, "node", "request", "--home", "n", "--node", "CN/@b1", "--role", "client",
           "--subsystem", "s");
    EXPECT(EXIT_USAGE, "node", "request", "--home", "n", "--node", "CN/GOV/MCA/@a1", "--role",
           "broker", "--subsystem", "s");
    EXPECT(EXIT_USAGE, "broker", "request", "--home", "b", "--node", "CN/@b1", "--endpoint",
           "tcp://127.0.0.1:7300", "--endpoint", "tcp://127.0.0.1:*");
    yz_cli_said("tcp://127.0.0.1:*");
    EXPECT(EXIT_USAGE, "root", "init", "--home", "op", "--instance", "CN", "--root-keys", "17");
    EXPECT(EXIT_USAGE, "root", "init", "--home", "op", "--instance", "CN", "--root-keys", "2",
           "--root-threshold", "3");
    EXPECT(EXIT_USAGE, "root", "init", "--home", "op", "--instance", "CN", "--operator-keys", "0");
    EXPECT(EXIT_USAGE, "keys", "new", "--use", "sealing", "k");
    EXPECT(EXIT_USAGE, "data", "check", "--max-faults", "-1", DEFINITION);
    assert_false(yzi_file_exists("m") || yzi_file_exists("b") || yzi_file_exists("n") ||
                 yzi_file_exists("op") || yzi_file_exists("k"));
}

static void test_cli__codes_have_their_exits(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum cli_exit exit;
    } cases[] = {
        {YZ_OK, EXIT_OK},
        {YZ_EIO, EXIT_FAILED},
        {YZ_EPERM, EXIT_FAILED},
        {YZ_EDATA, EXIT_FAILED},
        {YZ_ECONFIG, EXIT_USAGE},
        {YZ_EDENIED, EXIT_DENIED},
        {YZ_EUNAVAILABLE, EXIT_UNAVAILABLE},
        {YZ_ETIMEOUT, EXIT_UNAVAILABLE},
        {YZ_EBUSY, EXIT_UNAVAILABLE},
        {YZ_ESIGNATURE, EXIT_UNVERIFIED},
        {YZ_EROLLBACK, EXIT_UNVERIFIED},
        {YZ_EUNKNOWNKEY, EXIT_UNVERIFIED},
        {YZ_EEXPIRED, EXIT_UNVERIFIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(yzi_cli_exit_of(cases[i].code), cases[i].exit);
    }
}

static void test_cli__output_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    EXPECT(0, "keys", "new", "--use", "signing", "k");
    char program[] = "yz", noun[] = "keys", verb[] = "show", file[] = "k",
         *argv[] = {program, noun, verb, file, NULL};
    FILE *before = stdout;
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    stdout = full;
    int code = yzi_cli_run(4, argv, false);
    stdout = before;
    fclose(full);
    assert_int_equal(code, EXIT_FAILED);
}

/* -- keys -- */

static void test_keys__are_made_once_and_shown_without_their_secret(void **state)
{
    (void)state;
    EXPECT(0, "keys", "new", "--use", "signing", "k");
    REFUSES(".", EXIT_FAILED, "keys", "new", "--use", "signing", "k");
    EXPECT(0, "keys", "show", "k");
    assert_non_null(strstr(yz_cli_out(), "signing"));
    yz_buf text;
    yz_cli_read("k", &text);
    const char *secret = memmem(text.p, text.n, "secret: ", 8);
    assert_non_null(secret);
    char start[13] = "";
    memcpy(start, secret + 8, 12);
    assert_null(strstr(yz_cli_out(), start));
    EXPECT(0, "keys", "show", "k", "--json");
    assert_null(strstr(yz_cli_out(), start));
    yzi_buf_fini(&text);
}

static void test_keys__open_to_others_are_refused_with_the_chmod(void **state)
{
    (void)state;
    EXPECT(0, "keys", "new", "--use", "storage", "k");
    EXPECT(0, "keys", "show", "--json", "k");
    assert_non_null(strstr(yz_cli_out(), "\"public_key\": null"));
    assert_int_equal(chmod("k", 0644), 0);
    EXPECT(EXIT_FAILED, "keys", "show", "k");
    yz_cli_said("chmod 600 k");
    EXPECT(EXIT_FAILED, "keys", "show", "absent");
    yz_cli_write("rubbish", yzi_bytes_str("yizhan-secret-key v1\nuse: signing\n"));
    assert_int_equal(chmod("rubbish", 0600), 0);
    EXPECT(EXIT_FAILED, "keys", "show", "rubbish");
}

/* -- documents -- */

static bool is_arg_of(const struct cli_verb *v, const char *args)
{
    return strcmp(v->args, args) == 0;
}

static void test_cli__tables_are_complete(void **state)
{
    (void)state;
    const struct cli_verb *v;
    size_t verbs = 0;
    for (size_t t = 0; (v = yzi_cli_table(t)) != NULL; t++) {
        for (; v->noun; v++, verbs++) {
            assert_non_null(v->run);
            assert_true(v->help && v->help[0]);
            assert_true(v->args_min <= v->args_max);
            assert_true(is_arg_of(v, "") == (v->args_max == 0));
            for (const struct cli_option *o = v->options; o && o->name; o++) {
                assert_true(o->help && o->help[0]);
                assert_true(o->arg || (!o->required && !o->many));
            }
        }
    }
    assert_true(verbs > 20);
}

/* Where the manual page has this text as a whole word; NULL if nowhere. */
static const char *find_word(const char *page, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(page, word); at; at = strstr(at + 1, word)) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz-", at[n])) {
            return at;
        }
    }
    return NULL;
}

/* "--root-keys" as it stands in the page */
static void roff(const char *name, char out[128])
{
    size_t n = (size_t)snprintf(out, 128, "\\-\\-");
    for (; *name && n < 120; name++) {
        n += (size_t)snprintf(out + n, 128 - n, "%s%c", *name == '-' ? "\\" : "", *name);
    }
}

static void test_manual__names_every_verb_and_its_options(void **state)
{
    (void)state;
    const struct cli_verb *v;
    yz_buf page;
    yz_cli_read(YZ_TEST_DATA "/../../docs/man/yz.1", &page);
    assert_int_equal(yzi_buf_put_u8(&page, 0), 0);
    for (size_t t = 0; (v = yzi_cli_table(t)) != NULL; t++) {
        for (; v->noun; v++) {
            char name[96];
            snprintf(name, sizeof name, "\n.B yz %s%s%s", v->noun, v->verb[0] ? " " : "", v->verb);
            const char *at = find_word((const char *)page.p, name);
            if (!at) {
                fail_msg("docs/man/yz.1 has no entry '%s'", name + 1);
            }
            const char *next = strstr(at + 1, "\n.B yz ");
            for (const struct cli_option *o = v->options; o && o->name; o++) {
                char option[128];
                roff(o->name, option);
                const char *there = find_word(at, option);
                if (!there || (next && there > next)) {
                    fail_msg("docs/man/yz.1: %s lacks --%s", name + 4, o->name);
                }
            }
        }
    }
    yzi_buf_fini(&page);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, yz_cli_setup, yz_cli_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_cli__without_a_verb_it_helps_and_says_usage),
        CASE(test_cli__unknown_nouns_and_verbs_are_usage),
        CASE(test_cli__wrong_options_are_usage_and_never_exit),
        CASE(test_cli__help_does_nothing_else),
        CASE(test_cli__two_dashes_end_the_options),
        CASE(test_cli__only_reading_verbs_take_json),
        CASE(test_cli__words_are_refused_with_their_form),
        CASE(test_cli__codes_have_their_exits),
        CASE(test_cli__output_that_cannot_be_written_is_a_failure),
        CASE(test_keys__are_made_once_and_shown_without_their_secret),
        CASE(test_keys__open_to_others_are_refused_with_the_chmod),
        CASE(test_cli__tables_are_complete),
        CASE(test_manual__names_every_verb_and_its_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
