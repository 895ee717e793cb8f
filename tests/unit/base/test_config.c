/* SPDX-License-Identifier: Apache-2.0
 *
 * base/config: what a right file gives, the sentence every kind of wrong file gets, and that a dump
 * says the same as what was parsed.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/config.h"
#include "tests/support/alloc_fail.h"
#include "tests/unit/base/config_example.h"

struct fixture {
    struct arena arena;
    struct example e;
    yz_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f) {
        return -1;
    }
    yzi_arena_init(&f->arena, (size_t)16 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    yzi_arena_fini(&f->arena);
    free(f);
    return 0;
}

static int parse_n(struct fixture *f, const void *text, size_t n)
{
    return yzi_config_parse(yzi_bytes(text, n), "x.yaml", "/etc/yz", example_fields, &f->arena,
                            &f->e, &f->err);
}

static int parse(struct fixture *f, const char *text)
{
    return parse_n(f, text, strlen(text));
}

static void expect_fault(struct fixture *f, const char *text, const char *sentence)
{
    int rc = parse(f, text);
    if (rc != YZ_ECONFIG || f->err.code != YZ_ECONFIG || strcmp(f->err.text, sentence) != 0) {
        print_error("for:\n%s\nrc %d, got:  %s\nexpected: %s\n", text, rc, f->err.text, sentence);
        fail();
    }
}

static const char everything[] = "# a comment\n"
                                 "name: 税务局\n"
                                 "note: \"a: b # c\\n\"\n"
                                 "home: ./var\n"
                                 "port: 65535\n"
                                 "count: 5\n"
                                 "cache: 1GiB\n"
                                 "timeout: 5m\n"
                                 "enabled: true\n"
                                 "level: error\n"
                                 "brokers:\n"
                                 "  - 'tcp://[::1]:5000'\n"
                                 "  - 127.0.0.1\n"
                                 "tags: [1, true, x]\n"
                                 "log:\n"
                                 "  level: debug\n"
                                 "  keep: 4096\n"
                                 "  tls: {cert: /c.pem}\n"
                                 "tls:\n"
                                 "  cert: tls.pem\n"
                                 "  versions: 2\n"
                                 "  strict: false\n"
                                 "services:\n"
                                 "  - name: one\n"
                                 "    file: /abs.csv\n"
                                 "    deadline: 1s\n"
                                 "  - {name: two}\n"
                                 "labels:\n"
                                 "  a b: c\n"
                                 "  'x': 12\n";

static void test_parse__fills_every_type(void **state)
{
    struct fixture *f = *state;
    f->e.untouched = 42;
    assert_int_equal(parse(f, everything), YZ_OK);
    const struct example *e = &f->e;
    assert_int_equal(e->untouched, 42);
    assert_string_equal(e->name, "税务局");
    assert_string_equal(e->note, "a: b # c\n");
    assert_string_equal(e->home, "/etc/yz/./var");
    assert_int_equal(e->port, 65535);
    assert_int_equal(e->count, 5);
    assert_int_equal(e->cache, (uint64_t)1 << 30);
    assert_int_equal(e->timeout, 300000);
    assert_true(e->enabled);
    assert_int_equal(e->level, 3);
    assert_int_equal(e->brokers.n, 2);
    assert_string_equal(e->brokers.items[0], "tcp://[::1]:5000");
    assert_string_equal(e->brokers.items[1], "127.0.0.1");
    assert_int_equal(e->tags.n, 3);
    assert_string_equal(e->tags.items[1], "true");
    assert_int_equal(e->log.level, 0);
    assert_int_equal(e->log.keep, 4096);
    assert_string_equal(e->log.tls.cert, "/c.pem");
    assert_int_equal(e->log.tls.versions, 3);
    assert_string_equal(e->tls.cert, "/etc/yz/tls.pem");
    assert_int_equal(e->tls.versions, 2);
    assert_false(e->tls.strict);
    assert_int_equal(e->services.n, 2);
    const struct example_service *s = e->services.items;
    assert_string_equal(s[0].name, "one");
    assert_string_equal(s[0].file, "/abs.csv");
    assert_int_equal(s[0].deadline, 1000);
    assert_string_equal(s[1].name, "two");
    assert_string_equal(s[1].file, "/etc/yz/data/default.csv");
    assert_int_equal(s[1].deadline, 30000);
    assert_int_equal(e->labels.n, 2);
    assert_string_equal(e->labels.items[0].key, "a b");
    assert_string_equal(e->labels.items[1].value, "12");
}

static void test_parse__tells_where_values_stand(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, everything), YZ_OK);
    assert_int_equal(f->e.name_at.line, 2);
    assert_int_equal(f->e.name_at.col, 7);
    assert_int_equal(f->e.port_at.line, 5);
    assert_int_equal(f->e.services_at.line, 24);
    const struct example_service *s = f->e.services.items;
    assert_int_equal(s[1].name_at.line, 27);
    assert_int_equal(s[1].name_at.col, 12);
    assert_int_equal(parse(f, "name: \"quoted\"\n"), YZ_OK);
    assert_int_equal(f->e.name_at.col, 7);
    assert_int_equal(f->e.port_at.line, 0); /* a default */
}

static void test_parse__defaults_stand_in(void **state)
{
    struct fixture *f = *state;
    memset(&f->e, 0x5a, sizeof f->e);
    assert_int_equal(parse(f, "name: ab"), YZ_OK);
    const struct example *e = &f->e;
    assert_null(e->note);
    assert_string_equal(e->home, "/etc/yz/state");
    assert_int_equal(e->port, 8080);
    assert_int_equal(e->count, 0); /* not set, although below its minimum */
    assert_int_equal(e->cache, 16 << 20);
    assert_int_equal(e->timeout, 30000);
    assert_false(e->enabled);
    assert_int_equal(e->level, 0);
    assert_int_equal(e->brokers.n, 2);
    assert_string_equal(e->brokers.items[0], "tcp://127.0.0.1:1");
    assert_int_equal(e->tags.n, 0);
    assert_int_equal(e->log.level, 2);
    assert_int_equal(e->log.keep, 1 << 30);
    assert_null(e->log.tls.cert); /* required in a map that is not there */
    assert_true(e->log.tls.strict);
    assert_int_equal(e->services.n, 0);
    assert_int_equal(e->labels.n, 0);
}

static void test_parse__nothing_under_a_container_is_an_empty_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "name: ab\nlog:\n  # level: debug\nservices:\nlabels:\ntags:\n"), 0);
    assert_int_equal(f->e.log.level, 2);
    assert_int_equal(f->e.services.n, 0);
    expect_fault(f, "name: ab\ntls:\n",
                 "x.yaml:2:1: the required key 'cert' is missing; add it: a path");
}

static void test_parse__accepts_what_editors_leave(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "\xef\xbb\xbfname: ab\r\nport: 1\r\n"), YZ_OK);
    assert_string_equal(f->e.name, "ab");
    assert_int_equal(f->e.port, 1);
    assert_int_equal(parse(f, "---\nname: ab\n...\n"), YZ_OK);
    assert_int_equal(parse(f, "{\"name\": \"ab\", \"port\": 7}"), YZ_OK);
    assert_int_equal(f->e.port, 7);
}

static void test_parse__relative_paths_stay_without_a_folder(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(yzi_config_parse(yzi_bytes_str("name: ab\nhome: x/y"), "x", NULL,
                                      example_fields, &f->arena, &f->e, &f->err),
                     YZ_OK);
    assert_string_equal(f->e.home, "x/y");
}

struct bad {
    const char *text, *sentence;
};

static void test_parse__refuses_keys(void **state)
{
    static const struct bad cases[] = {
        {"name: ab\nprot: 1\n", "x.yaml:2:1: unknown key 'prot'; did you mean 'port'?"},
        {"name: ab\nlog:\n  where: info\n", "x.yaml:3:3: unknown key 'where'; write one of: "
                                            "level, keep, tls"},
        {"name: ab\nservices:\n  - {nme: x}\n",
         "x.yaml:3:6: unknown key 'nme'; did you mean 'name'?"},
        {"name: ab\nport: 1\nnote: x\nport: 2\n",
         "x.yaml:4:1: the key 'port' stands already in line 2; keep one of them"},
        {"name: ab\nlabels: {a: 1, b: 2, \"a\": 3}\n",
         "x.yaml:2:22: the key 'a' stands already in line 2; keep one of them"},
        {"port: 1\n", "x.yaml:1:1: the required key 'name' is missing; add it: text. The name "
                      "others know this node by."},
        {"", "x.yaml:1:1: the required key 'name' is missing; add it: text. The name others know "
             "this node by."},
        {"name: ab\nservices:\n  - name: a\n  - file: b\n",
         "x.yaml:4:5: the required key 'name' is missing; add it: text"},
        {"name: ab\n? [a]\n: b\n",
         "x.yaml:2:3: a key must be a word, not a list or a map; write `key: value`"},
        {"name: ab\n: b\n", "x.yaml:2:3: this value has no key; write `key: value`"},
        {"name: ab\n<<: {port: 1}\n", NULL},
    };
    for (size_t i = 0; i + 1 < sizeof cases / sizeof cases[0]; i++) {
        expect_fault(*state, cases[i].text, cases[i].sentence);
    }
    struct fixture *f = *state;
    assert_int_equal(parse(f, "name: ab\n<<: {port: 1}\n"), YZ_ECONFIG); /* no merging */
    assert_non_null(strstr(f->err.text, "x.yaml:2:1: unknown key '<<'"));
}

static void test_parse__refuses_wrong_types(void **state)
{
    static const struct bad cases[] = {
        {"- a\n", "x.yaml:1:1: the file is a list; write a map of `key: value` lines"},
        {"just text\n", "x.yaml:1:1: the file is a plain value; write a map of `key: value` lines"},
        {"name:\n", "x.yaml:1:1: 'name' has no value; write text, or remove the line"},
        {"name: ~\n", "x.yaml:1:7: 'name' has no value; write text, or remove the line"},
        {"name: [a]\n", "x.yaml:1:7: 'name' is a list; write text"},
        {"name: ab\nport: 12abc\n",
         "x.yaml:2:7: 'port' is '12abc'; write a whole number such as 10"},
        {"name: ab\nport: 0x10\n", "x.yaml:2:7: 'port' is '0x10'; write a whole number such as 10"},
        {"name: ab\nport: 1.0\n", "x.yaml:2:7: 'port' is '1.0'; write a whole number such as 10"},
        {"name: ab\nport: 010\n", "x.yaml:2:7: 'port' is '010'; write a whole number such as 10"},
        {"name: ab\nport: \"80\"\n",
         "x.yaml:2:7: 'port' is quoted text; write a whole number such as 10"},
        {"name: ab\ncache: 16MB\n", "x.yaml:2:8: 'cache' is '16MB'; write a size such as 16MiB, "
                                    "256KiB, 1GiB or plain bytes"},
        {"name: ab\ntimeout: 30\n", "x.yaml:2:10: 'timeout' is '30'; write a duration with its "
                                    "unit, such as 250ms, 30s, 5m, 24h or 90d"},
        {"name: ab\nenabled: yes\n", "x.yaml:2:10: 'enabled' is 'yes'; write true or false"},
        {"name: ab\nenabled: \"true\"\n",
         "x.yaml:2:10: 'enabled' is quoted text; write true or false"},
        {"name: ab\nlevel: warn\n", "x.yaml:2:8: 'level' is 'warn', which it does not know; write "
                                    "one of: debug, info, warning, error"},
        {"name: ab\nlevel: infos\n", "x.yaml:2:8: 'level' is 'infos', which it does not know; did "
                                     "you mean 'info'?"},
        {"name: ab\nbrokers: a\n", "x.yaml:2:10: 'brokers' is 'a'; write a list such as [a, b]"},
        {"name: ab\nbrokers: [a, [b]]\n", "x.yaml:2:14: 'brokers' is a list; write text"},
        {"name: ab\nbrokers: [a, ]\nlog: 1\n",
         "x.yaml:3:6: 'log' is '1'; write a map of `key: value` lines"},
        {"name: ab\nservices: {a: 1}\n", "x.yaml:2:11: 'services' is a map; write a list of maps, "
                                         "each item beginning with `- `"},
        {"name: ab\nservices: [x]\n", "x.yaml:2:12: 'services' is 'x'; write a list of maps, each "
                                      "item beginning with `- `"},
        {"name: ab\nlabels: {a: {b: c}}\n", "x.yaml:2:13: 'a' is a map; write text"},
        {"name: ab\nhome: ''\n", "x.yaml:2:7: 'home' is empty; write a path, or remove the line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_fault(*state, cases[i].text, cases[i].sentence);
    }
}

static void test_parse__refuses_what_is_out_of_range(void **state)
{
    static const struct bad cases[] = {
        {"name: ab\nport: 0\n", "x.yaml:2:7: 'port' is 0, out of range; write 1 to 65535"},
        {"name: ab\nport: 65536\n", "x.yaml:2:7: 'port' is 65536, out of range; write 1 to 65535"},
        {"name: ab\ncount: 4\n", "x.yaml:2:8: 'count' is 4, out of range; write at least 5"},
        {"name: ab\ncount: 18446744073709551616\n",
         "x.yaml:2:8: 'count' is 18446744073709551616, out of range; write at least 5"},
        {"name: ab\ncache: 1KiB\n",
         "x.yaml:2:8: 'cache' is 1KiB, out of range; write 64KiB to 1TiB"},
        {"name: ab\ncache: 16777216TiB\n",
         "x.yaml:2:8: 'cache' is 16777216TiB, out of range; write 64KiB to 1TiB"},
        {"name: ab\ntimeout: 0s\n", "x.yaml:2:10: 'timeout' is 0s, out of range; write 1ms to 1d"},
        {"name: ab\ntimeout: 25h\n",
         "x.yaml:2:10: 'timeout' is 25h, out of range; write 1ms to 1d"},
        {"name: a\n", "x.yaml:1:7: 'name' is 1 bytes long; write 2 to 100 bytes"},
        {"name: ab\nbrokers: []\n", "x.yaml:2:10: 'brokers' has 0 items; write 1 to 4"},
        {"name: ab\nbrokers: [1,2,3,4,5]\n", "x.yaml:2:10: 'brokers' has 5 items; write 1 to 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_fault(*state, cases[i].text, cases[i].sentence);
    }
}

static void test_parse__refuses_the_machinery_of_yaml(void **state)
{
    static const struct bad cases[] = {
        {"name: *x\n", "x.yaml:1:7: aliases (*) are not used here; write the value out, or quote "
                       "it if the star is part of it"},
        {"name: &x ab\n", "x.yaml:1:7: anchors (&) are not used here; write the value out where it "
                          "is needed"},
        {"log: &x {level: info}\n", "x.yaml:1:6: anchors (&) are not used here; write the value "
                                    "out where it is needed"},
        {"name: !!str ab\n", "x.yaml:1:7: tags (!) are not used here; remove it, the key decides "
                             "the type"},
        {"name: ab\n---\nname: cd\n", "x.yaml:2:1: a second document begins here; one file holds "
                                      "one, remove the `---`"},
        {"name: \"a\\0b\"\n", "x.yaml:1:7: 'name' contains \\0; remove it"},
        {"name: ab\n\"a\\0b\": 1\n", "x.yaml:2:1: the key contains \\0; remove it"},
        {"name: a\x01"
         "b\n",
         "x.yaml:1:8: a control character (0x01) stands here; remove it, or write \"\\x01\" in "
         "double quotes"},
        {"name: ab\nnote: \xe7\xa8\x8e\xff\n",
         "x.yaml:2:8: this byte is not UTF-8; save the file in UTF-8"},
        {"name: ab\nnote: \xc0\x80\n",
         "x.yaml:2:7: this byte is not UTF-8; save the file in UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_fault(*state, cases[i].text, cases[i].sentence);
    }
    struct fixture *f = *state;
    assert_int_equal(parse_n(f, "name: ab\0\nport: x", 17), YZ_ECONFIG);
    assert_string_equal(f->err.text, "x.yaml:1:9: a control character (0x00) stands here; remove "
                                     "it, or write \"\\x00\" in double quotes");
}

static void test_parse__refuses_broken_yaml_in_one_sentence(void **state)
{
    static const struct bad cases[] = {
        {"name: ab\nport: [1, 2\n", NULL},
        {"name: \"ab\n", NULL},
        {"name: ab\n port: 1\n", NULL},
        {"\tname: ab\n", NULL},
        {"name: a: b\n", NULL},
        {"name: @x\n", NULL},
        {"name: \"\\ud800\"\n", NULL},
        {"name: \"\\q\"\n", NULL},
        {"{name: ab\n", NULL},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(f, cases[i].text), YZ_ECONFIG);
        int line = 0, col = 0, n = 0;
        sscanf(f->err.text, "x.yaml:%d:%d: not valid YAML: %n", &line, &col, &n);
        if (n == 0 || line < 1 || col < 1 || strchr(f->err.text, '\n')) {
            print_error("%s -> %s\n", cases[i].text, f->err.text);
            fail();
        }
    }
}

static void test_parse__tells_what_the_library_keeps_to_itself(void **state)
{
    expect_fault(*state, "name: ab\nnote: |0\n  x\n",
                 "x.yaml:2:1: not valid YAML after this; correct what follows");
}

static void test_parse__bounds_size_depth_and_number(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    yzi_buf_init(&b, (size_t)4 << 20);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(yzi_buf_put_str(&b, "["), 0);
    }
    assert_int_equal(parse_n(f, b.p, b.n), YZ_ECONFIG);
    assert_non_null(strstr(f->err.text, "nested deeper than 32 levels"));

    yzi_buf_clear(&b);
    assert_int_equal(yzi_buf_put_str(&b, "name: ab\ntags: ["), 0);
    for (int i = 0; i < 100001; i++) {
        assert_int_equal(yzi_buf_put_str(&b, "a,"), 0);
    }
    assert_int_equal(parse_n(f, b.p, b.n), YZ_ECONFIG);
    assert_non_null(strstr(f->err.text, "more than 100000 values; split the file"));

    yzi_buf_clear(&b);
    assert_int_equal(yzi_buf_put_str(&b, "name: ab\n#"), 0);
    while (b.n <= (size_t)1 << 20) {
        assert_int_equal(yzi_buf_put_str(&b, "0123456789"), 0);
    }
    assert_int_equal(parse_n(f, b.p, b.n), YZ_ECONFIG);
    assert_non_null(strstr(f->err.text, "x.yaml:1:1: the file is larger than 1 MiB"));
    assert_int_equal(parse_n(f, b.p, (size_t)1 << 20), YZ_OK);
}

static void test_parse__keeps_to_the_limit_of_the_arena(void **state)
{
    struct fixture *f = *state;
    struct arena small;
    yzi_arena_init(&small, 8);
    assert_int_equal(yzi_config_parse(yzi_bytes_str(everything), "x.yaml", NULL, example_fields,
                                      &small, &f->e, &f->err),
                     YZ_ELIMIT);
    assert_string_equal(f->err.text,
                        "x.yaml: the values need more than the 8 bytes allowed for them");
    yzi_arena_fini(&small);
}

static void test_parse__leaves_the_target_alone_on_failure(void **state)
{
    struct fixture *f = *state;
    struct example before;
    memset(&f->e, 0x5a, sizeof f->e);
    memcpy(&before, &f->e, sizeof before);
    assert_int_equal(parse(f, "name: ab\nport: 3\nlabels: 1\n"), YZ_ECONFIG);
    assert_memory_equal(&f->e, &before, sizeof before);
}

static void test_parse__long_values_do_not_break_the_sentence(void **state)
{
    struct fixture *f = *state;
    expect_fault(f,
                 "name: ab\nport: "
                 "税税税税税税税税税税税税税税税税税税税税税税税税税税税税税税税税税税\n",
                 "x.yaml:2:7: 'port' is '税税税税税税税税税税税税税税税税税税税税...'; write a "
                 "whole number such as 10");
}

static void test_parse__a_wrong_table_is_told_apart(void **state)
{
    struct fixture *f = *state;
    static const struct config_field wrong[] = {
        {.key = "port", .type = CONFIG_U64, .offset = 0, .dflt = "70000", .max = 65535}, {0}};
    uint64_t port = 1;
    assert_int_equal(
        yzi_config_parse(yzi_bytes_str(""), "x", NULL, wrong, &f->arena, &port, &f->err),
        YZ_EINTERNAL);
    assert_string_equal(f->err.text, "x: the built-in default of 'port' is wrong: '70000'");
    assert_int_equal(port, 1);
    static const struct config_field short_item[] = {{.key = "s",
                                                      .type = CONFIG_MAPS,
                                                      .offset = 0,
                                                      .fields = example_service_fields,
                                                      .item_size = 8},
                                                     {0}};
    struct config_maps maps;
    assert_int_equal(yzi_config_parse(yzi_bytes_str("s: [{name: ab}]"), "x", NULL, short_item,
                                      &f->arena, &maps, &f->err),
                     YZ_EINVAL);
}

static void test_parse__empty_default_is_the_empty_text(void **state)
{
    struct fixture *f = *state;
    static const struct config_field fields[] = {
        {.key = "t", .type = CONFIG_TEXT, .offset = 0, .dflt = ""}, {0}};
    const char *t = NULL;
    assert_int_equal(yzi_config_parse(yzi_bytes_str(""), "x", NULL, fields, &f->arena, &t, &f->err),
                     YZ_OK);
    assert_string_equal(t, "");
}

static void test_parse__prints_nothing(void **state)
{
    char name[] = "/tmp/yz-test-config-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    fflush(stderr);
    fflush(stdout);
    int err_was = dup(2), out_was = dup(1);
    dup2(fd, 2);
    dup2(fd, 1);
    int rc = parse(*state, "name: [\n\t}");
    fflush(stderr);
    fflush(stdout);
    dup2(err_was, 2);
    dup2(out_was, 1);
    close(err_was);
    close(out_was);
    off_t written = lseek(fd, 0, SEEK_END);
    close(fd);
    assert_int_equal(rc, YZ_ECONFIG);
    assert_int_equal(written, 0);
}

static int parse_and_dump(void *ctx)
{
    yz_ignore(*(int *)ctx, "no state of its own");
    YZ_AUTO(yzi_arena_fini) struct arena arena = {0};
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    yzi_arena_init(&arena, (size_t)1 << 20);
    yzi_buf_init(&b, (size_t)1 << 20);
    struct example e;
    yz_error err = {0};
    int rc = yzi_config_parse(yzi_bytes_str(everything), "x.yaml", "/etc/yz", example_fields,
                              &arena, &e, &err);
    if (rc < 0) {
        return err.code == rc ? rc : YZ_EINTERNAL; /* with words */
    }
    return yzi_config_dump(example_fields, &e, &b);
}

static void test_parse__out_of_memory_is_an_error(void **state)
{
    (void)state;
    int nothing = 0;
    assert_true(yz_alloc_fail_each(parse_and_dump, &nothing) > 3);
}

static void test_load__reads_the_file_and_resolves_against_its_folder(void **state)
{
    struct fixture *f = *state;
    char dir[] = "/tmp/yz-test-config-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64], home[64];
    snprintf(path, sizeof path, "%s/node.yaml", dir);
    snprintf(home, sizeof home, "%s/state", dir);
    assert_int_equal(yzi_config_load(path, example_fields, &f->arena, &f->e, &f->err),
                     YZ_ENOTFOUND);
    assert_non_null(strstr(f->err.text, path));
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("name: ab\n", out);
    fclose(out);
    assert_int_equal(yzi_config_load(path, example_fields, &f->arena, &f->e, &f->err), YZ_OK);
    assert_string_equal(f->e.home, home);

    out = fopen(path, "a");
    assert_non_null(out);
    for (int i = 0; i < 110000; i++) {
        fputs("# filler\n", out);
        fputc('#', out);
        fputc('\n', out);
    }
    fclose(out);
    assert_int_equal(yzi_config_load(path, example_fields, &f->arena, &f->e, &f->err), YZ_ECONFIG);
    assert_non_null(strstr(f->err.text, ":1:1: the file is larger than 1 MiB"));
    unlink(path);
    rmdir(dir);
}

static void test_fault__gives_place_and_sentence(void **state)
{
    struct fixture *f = *state;
    struct config_place at = {3, 9};
    assert_int_equal(yzi_config_fault(&f->err, "a.yaml", at, "no such %s", "field"), YZ_ECONFIG);
    assert_string_equal(f->err.text, "a.yaml:3:9: no such field");
    at = (struct config_place){0, 0};
    assert_int_equal(yzi_config_fault(&f->err, "a.yaml", at, "x"), YZ_ECONFIG);
    assert_string_equal(f->err.text, "a.yaml: x");
    assert_int_equal(yzi_config_fault(NULL, "a.yaml", at, "x"), YZ_ECONFIG);
}

/* ---- dump ---- */

static void dump_and_parse(struct fixture *f, yz_buf *first)
{
    struct example again;
    yzi_buf_init(first, (size_t)4 << 20);
    assert_int_equal(yzi_config_dump(example_fields, &f->e, first), YZ_OK);
    int rc = yzi_config_parse(yzi_bytes_buf(first), "dump", "/elsewhere", example_fields, &f->arena,
                              &again, &f->err);
    if (rc != YZ_OK) {
        print_error("%s\n%.*s\n", f->err.text, (int)first->n, (const char *)first->p);
    }
    assert_int_equal(rc, YZ_OK);
    YZ_AUTO(yzi_buf_fini) yz_buf second = {0};
    yzi_buf_init(&second, (size_t)4 << 20);
    assert_int_equal(yzi_config_dump(example_fields, &again, &second), YZ_OK);
    assert_int_equal(first->n, second.n);
    assert_memory_equal(first->p, second.p, second.n);
    f->e = again;
}

static void test_dump__parses_back_to_the_same_values(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    assert_int_equal(parse(f, everything), YZ_OK);
    dump_and_parse(f, &b);
    const struct example *e = &f->e;
    assert_string_equal(e->name, "税务局");
    assert_string_equal(e->note, "a: b # c\n");
    assert_string_equal(e->home, "/etc/yz/./var");
    assert_int_equal(e->timeout, 300000);
    assert_int_equal(e->level, 3);
    assert_string_equal(e->brokers.items[0], "tcp://[::1]:5000");
    assert_string_equal(e->tags.items[1], "true");
    assert_string_equal(e->tls.cert, "/etc/yz/tls.pem");
    const struct example_service *s = e->services.items;
    assert_string_equal(s[1].file, "/etc/yz/data/default.csv");
    assert_string_equal(e->labels.items[0].key, "a b");
}

static void test_dump__keeps_what_is_not_set_unset(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    assert_int_equal(parse(f, "name: ab\n"), YZ_OK);
    dump_and_parse(f, &b);
    assert_null(f->e.note);
    assert_int_equal(f->e.count, 0);
    assert_null(f->e.tls.cert);
    assert_null(f->e.log.tls.cert);
    assert_int_equal(f->e.tls.versions, 3);
}

static void test_dump__explains_itself(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    assert_int_equal(parse(f, "name: ab\n"), YZ_OK);
    dump_and_parse(f, &b);
    assert_int_equal(yzi_buf_put_u8(&b, 0), 0);
    const char *text = (const char *)b.p;
    assert_non_null(strstr(text, "# Where it listens.\n"
                                 "# (optional, default 8080, 1 to 65535)\n"
                                 "port: 8080\n"));
    assert_non_null(strstr(text, "#note: not set\n"));
    assert_non_null(strstr(text, "#tls: not set\n"));
    assert_non_null(strstr(text, "  # What is worth a line.\n"
                                 "  # (optional, default warning, one of debug | info | warning | "
                                 "error)\n"
                                 "  level: warning\n"));
}

/* Text that YAML would read as something else, or not at all, if written plainly. */
static void test_dump__quotes_every_awkward_text(void **state)
{
    static const char *const awkward[] = {
        "",
        "~",
        "null",
        "true",
        "- x",
        "a: b",
        "#x",
        " lead",
        "trail ",
        "'",
        "\"",
        "\\",
        "a\tb",
        "a\nb\n\n",
        "\x01\x1f\x7f",
        "\xc2\x85",
        "\xe2\x80\xa8",
        "\xef\xbb\xbf",
        "\xef\xbf\xbf",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "`x",
        "{a}",
        "[a]",
        "? x",
        "| x",
        "> x",
        "---",
        "...",
        "0x10",
        "<<",
        "税 务",
        "\xf0\x9f\x98\x80",
        "\r",
        "a\r\nb",
    };
    const size_t n = sizeof awkward / sizeof awkward[0];
    struct fixture *f = *state;
    assert_int_equal(parse(f, "name: ab\n"), YZ_OK);
    f->e.tags = (struct config_list){(const char **)(uintptr_t)awkward, n};
    struct config_pairs pairs = {.n = n};
    pairs.items = calloc(n, sizeof *pairs.items);
    assert_non_null(pairs.items);
    for (size_t i = 0; i < n; i++) {
        pairs.items[i].key = awkward[i];
        pairs.items[i].value = awkward[n - 1 - i];
    }
    f->e.labels = pairs;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    dump_and_parse(f, &b);
    assert_int_equal(f->e.tags.n, n);
    assert_int_equal(f->e.labels.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(f->e.tags.items[i], awkward[i]);
        assert_string_equal(f->e.labels.items[i].key, awkward[i]);
        assert_string_equal(f->e.labels.items[i].value, awkward[n - 1 - i]);
    }
    free(pairs.items);
}

static void test_dump__longest_free_key_parses_back(void **state)
{
    struct fixture *f = *state;
    char key[257], text[400];
    memset(key, '\x01', 255); /* the widest escape there is for a byte */
    key[255] = 0;
    assert_int_equal(parse(f, "name: ab\n"), YZ_OK);
    struct config_pairs pairs = {.n = 1};
    pairs.items = calloc(1, sizeof *pairs.items);
    assert_non_null(pairs.items);
    pairs.items[0].key = key;
    pairs.items[0].value = "x";
    f->e.labels = pairs;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    dump_and_parse(f, &b);
    assert_string_equal(f->e.labels.items[0].key, key);
    free(pairs.items);
    memset(key, 'k', 256);
    key[256] = 0;
    snprintf(text, sizeof text, "name: ab\nlabels:\n  %s: x\n", key);
    assert_int_equal(parse(f, text), YZ_ECONFIG);
    assert_non_null(strstr(f->err.text, "is 256 bytes long; write at most 255"));
}

static void test_dump__amounts_read_well(void **state)
{
    struct fixture *f = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    assert_int_equal(parse(f, "name: ab\ncache: 1048577\ntimeout: 90000ms\nlog: {keep: 0}\n"), 0);
    dump_and_parse(f, &b);
    assert_int_equal(f->e.cache, 1048577);
    assert_int_equal(f->e.log.keep, 0);
    assert_int_equal(yzi_buf_put_u8(&b, 0), 0);
    assert_non_null(strstr((const char *)b.p, "\ncache: 1048577\n"));
    assert_non_null(strstr((const char *)b.p, "\ntimeout: 90s\n"));
    assert_non_null(strstr((const char *)b.p, "\n  keep: 0\n"));
}

static void test_dump__refuses_an_enum_without_a_name(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, "name: ab\n"), YZ_OK);
    f->e.level = 4;
    YZ_AUTO(yzi_buf_fini) yz_buf b = {0};
    yzi_buf_init(&b, 65536);
    assert_int_equal(yzi_config_dump(example_fields, &f->e, &b), YZ_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_parse__fills_every_type),
        TEST(test_parse__tells_where_values_stand),
        TEST(test_parse__defaults_stand_in),
        TEST(test_parse__nothing_under_a_container_is_an_empty_one),
        TEST(test_parse__accepts_what_editors_leave),
        TEST(test_parse__relative_paths_stay_without_a_folder),
        TEST(test_parse__refuses_keys),
        TEST(test_parse__refuses_wrong_types),
        TEST(test_parse__refuses_what_is_out_of_range),
        TEST(test_parse__refuses_the_machinery_of_yaml),
        TEST(test_parse__refuses_broken_yaml_in_one_sentence),
        TEST(test_parse__tells_what_the_library_keeps_to_itself),
        TEST(test_parse__bounds_size_depth_and_number),
        TEST(test_parse__keeps_to_the_limit_of_the_arena),
        TEST(test_parse__leaves_the_target_alone_on_failure),
        TEST(test_parse__long_values_do_not_break_the_sentence),
        TEST(test_parse__a_wrong_table_is_told_apart),
        TEST(test_parse__empty_default_is_the_empty_text),
        TEST(test_parse__prints_nothing),
        TEST(test_parse__out_of_memory_is_an_error),
        TEST(test_load__reads_the_file_and_resolves_against_its_folder),
        TEST(test_fault__gives_place_and_sentence),
        TEST(test_dump__parses_back_to_the_same_values),
        TEST(test_dump__keeps_what_is_not_set_unset),
        TEST(test_dump__explains_itself),
        TEST(test_dump__quotes_every_awkward_text),
        TEST(test_dump__longest_free_key_parses_back),
        TEST(test_dump__amounts_read_well),
        TEST(test_dump__refuses_an_enum_without_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
