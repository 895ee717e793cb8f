/* SPDX-License-Identifier: Apache-2.0
 *
 * Services and grants in a member's home: offer and terms change together and survive being
 * interrupted, and nothing is promised that nobody can keep. Also the check of data, which needs no
 * home.
 */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/offer.h"
#include "keys/sign.h"
#include "tests/unit/cli/fixture.h"

#define AREAS "CN/GOV/MCA/civil/areas/v1"
#define WINDOW "CN/GOV/HB/window"

/* -- helpers -- */

struct held {
    yz_buf offer_raw, terms_raw;
    struct arena arena;
    struct record record;
    struct offer offer;
    struct terms terms;
};

/* The pair in the home, parsed, and that it belongs together. */
static void load(struct held *h)
{
    struct record terms;
    yz_digest digest;
    yz_cli_record("mca/offers/civil.offer.yzr", &h->offer_raw);
    yz_cli_record("mca/offers/civil.terms.yzr", &h->terms_raw);
    yzi_arena_init(&h->arena, 8u * 1024u * 1024u);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&h->offer_raw), &h->record), 0);
    assert_int_equal(yzi_record_parse(yzi_bytes_buf(&h->terms_raw), &terms), 0);
    assert_int_equal(yzi_offer_parse(h->record.body, &h->arena, &h->offer), 0);
    assert_int_equal(yzi_terms_parse(terms.body, &h->arena, &h->terms), 0);
    yzi_record_digest(terms.raw, &digest);
    assert_true(yzi_digest_eq(&digest, &h->offer.terms_digest));
    assert_int_equal(h->offer.version, h->terms.version);
    assert_int_equal(h->offer.grants_n, h->terms.grants_n);
}

static void unload(struct held *h)
{
    yzi_arena_fini(&h->arena);
    yzi_buf_fini(&h->offer_raw);
    yzi_buf_fini(&h->terms_raw);
}

/* The id that `grant add` printed, alone on its line. */
static void printed_id(char out[32])
{
    size_t n = strcspn(yz_cli_out(), "\n");
    assert_true(n > 2 && n < 32);
    assert_string_equal(yz_cli_out() + n, "\n");
    memcpy(out, yz_cli_out(), n);
    out[n] = '\0';
}

#define ADD "grant", "add", "--home", "mca", "--service", AREAS, "--consumer", WINDOW

/* -- services -- */

static void test_service__is_offered_with_its_catalogue_entry(void **state)
{
    (void)state;
    struct held h;
    struct key_list owners;
    struct key_validity owner = {.not_before = 0};
    struct key_pair key = {0};
    yz_error err = {0};
    yz_cli_world();
    yz_cli_service();
    load(&h);
    assert_int_equal(h.offer.version, 1);
    assert_int_equal(h.offer.services_n, 1);
    assert_true(yzi_bytes_eq_str(h.offer.services[0].code, "areas"));
    assert_true(yzi_bytes_eq_str(h.offer.services[0].version, "v1"));
    assert_int_equal(h.offer.services[0].mode, SERVICE_READ);
    assert_true(yzi_bytes_eq_str(h.offer.services[0].adapters.items[0], "CN/GOV/MCA/@a1"));
    assert_int_equal(h.offer.catalogue_n, 1);
    assert_true(yzi_bytes_eq_str(h.offer.catalogue[0].data_set, "areas"));
    assert_int_equal(h.offer.catalogue[0].elements_n, 4);
    assert_true(yzi_bytes_eq_str(h.offer.catalogue[0].elements[0].element, "division_code"));
    /* the owner key signed it, and no other */
    assert_int_equal(yzi_keyfile_load("mca/keys/owner.key", KEY_OWNER, &key, &err), 0);
    memcpy(owner.key, key.public_key, 32);
    owners = (struct key_list){&owner, 1};
    assert_int_equal(yzi_record_verify_one(&h.record, &owners, yzi_wall_ms(&yzi_clock_system)), 0);
    yzi_key_pair_fini(&key);
    unload(&h);
}

/* The definition under another name, or without a field. */
static void other_definition(const char *path, const char *from, const char *to);

static void test_service__keeps_fields_out_of_the_catalogue_that_can_be_granted(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    other_definition("hidden.yaml", "- {name: city,", "- {name: city, catalogue: false,");
#define PUBLISH_AS(definition)                                                                     \
    "service", "publish", "--home", "mca", "--subsystem", "civil", "--service", "areas/v1",        \
        "--definition", definition, "--adapter", "CN/GOV/MCA/@a1"
    EXPECT(0, PUBLISH_AS("hidden.yaml"));
    EXPECT(0, ADD, "--field", "name", "--field", "city");
    load(&h);
    assert_int_equal(h.offer.catalogue[0].elements_n, 3);
    assert_null(memmem(h.offer_raw.p, h.offer_raw.n, "city", 4));
    assert_int_equal(h.terms.unlisted_n, 1);
    assert_true(yzi_bytes_eq_str(h.terms.unlisted[0].elements[0].field, "city"));
    assert_int_equal(h.terms.grants[0].readable_n, 2);
    unload(&h);
    REFUSES("mca", EXIT_FAILED, ADD, "--field", "spouse");
    EXPECT(0, PUBLISH_AS(DEFINITION)); /* and listed again */
    load(&h);
    assert_int_equal(h.offer.catalogue[0].elements_n, 4);
    assert_int_equal(h.terms.unlisted_n, 0);
    unload(&h);
}

static void test_service__that_writes_is_offered_as_such(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "areas/v1", "--definition", DEFINITION, "--adapter", "CN/GOV/MCA/@a1", "--mode",
           "write");
    load(&h);
    assert_int_equal(h.offer.services[0].mode, SERVICE_WRITE);
    unload(&h);
}

static void test_grant__to_write_names_what_may_be_written(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    REFUSES("mca", EXIT_FAILED, ADD, "--operation", "delete");
    yz_cli_said("reads");
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "areas/v1", "--definition", DEFINITION, "--adapter", "CN/GOV/MCA/@a1", "--mode",
           "write");
    REFUSES("mca", EXIT_USAGE, ADD, "--operation", "insert");
    yz_cli_said("--write is needed");
    REFUSES("mca", EXIT_USAGE, ADD, "--operation", "delete", "--write", "name");
    REFUSES("mca", EXIT_USAGE, ADD, "--write", "name");
    REFUSES("mca", EXIT_FAILED, ADD, "--operation", "put", "--write", "spouse");
    REFUSES("mca", EXIT_USAGE, ADD, "--operation", "put", "--write", "name", "--write", "name");
    EXPECT(0, ADD, "--operation", "get", "--operation", "put", "--operation", "delete", "--write",
           "code", "--write", "name");
    load(&h);
    const struct fine_grant *g = &h.terms.grants[0];
    assert_int_equal(g->operations, 1u << QUERY_GET | 1u << QUERY_PUT | 1u << QUERY_DELETE);
    assert_int_equal(g->writable.n, 2);
    assert_true(yzi_bytes_eq_str(g->writable.items[1], "name"));
    unload(&h);
    EXPECT(0, "grant", "list", "--home", "mca", "--json");
    assert_non_null(strstr(yz_cli_out(), "\"delete\""));
    assert_non_null(strstr(yz_cli_out(), "\"write\""));
}

static void test_service__published_again_replaces_itself_and_keeps_grants(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, ADD, "--field", "name");
    EXPECT(0, "node", "request", "--home", "a2", "--node", "CN/GOV/MCA/@a2", "--role", "adapter",
           "--subsystem", "civil");
    EXPECT(0, "node", "admit", "--home", "mca", "a2/request.yzr");
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "areas/v1", "--definition", DEFINITION, "--adapter", "CN/GOV/MCA/@a1", "--adapter",
           "CN/GOV/MCA/@a2");
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "areas/v2", "--definition", DEFINITION, "--adapter", "CN/GOV/MCA/@a1");
    load(&h);
    assert_int_equal(h.offer.version, 4);
    assert_int_equal(h.offer.services_n, 2);
    assert_int_equal(h.offer.services[0].adapters.n, 2);
    assert_int_equal(h.offer.catalogue_n, 1);
    assert_int_equal(h.offer.grants_n, 1);
    unload(&h);
    EXPECT(0, "node", "revoke", "--home", "mca", "CN/GOV/MCA/@a2");
    assert_non_null(strstr(yz_cli_out(), "CN/GOV/MCA/civil/areas/v1 still names it"));
}

/* The definition under another name, or without a field. */
static void other_definition(const char *path, const char *from, const char *to)
{
    yz_buf text, out;
    yz_cli_read(DEFINITION, &text);
    yzi_buf_init(&out, 65536);
    uint8_t *at = memmem(text.p, text.n, from, strlen(from));
    assert_non_null(at);
    size_t before = (size_t)(at - text.p), skip = before + strlen(from);
    assert_int_equal(yzi_buf_put(&out, yzi_bytes(text.p, before)), 0);
    assert_int_equal(yzi_buf_put_str(&out, to), 0);
    assert_int_equal(yzi_buf_put(&out, yzi_bytes(text.p + skip, text.n - skip)), 0);
    yz_cli_write(path, yzi_bytes_buf(&out));
    yzi_buf_fini(&text);
    yzi_buf_fini(&out);
}

static void test_service__another_data_set_takes_the_old_one_out_of_the_catalogue(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    other_definition("counties.yaml", "dataset: areas", "dataset: counties");
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "areas/v1", "--definition", "counties.yaml", "--adapter", "CN/GOV/MCA/@a1");
    load(&h);
    assert_int_equal(h.offer.catalogue_n, 1);
    assert_true(yzi_bytes_eq_str(h.offer.catalogue[0].data_set, "counties"));
    unload(&h);
}

static void test_service__that_cannot_be_served_is_not_offered(void **state)
{
    (void)state;
    yz_cli_world();
#define PUBLISH "service", "publish", "--home", "mca", "--subsystem"
    REFUSES("mca", EXIT_FAILED, PUBLISH, "burials", "--service", "areas/v1", "--definition",
            DEFINITION, "--adapter", "CN/GOV/MCA/@a1");
    REFUSES("mca", EXIT_FAILED, PUBLISH, "civil", "--service", "areas/v1", "--definition",
            DEFINITION, "--adapter", "CN/GOV/MCA/@a2");
    yz_cli_said("is no adapter in the member set");
    REFUSES("mca", EXIT_USAGE, PUBLISH, "civil", "--service", "areas", "--definition", DEFINITION,
            "--adapter", "CN/GOV/MCA/@a1");
    REFUSES("mca", EXIT_USAGE, PUBLISH, "civil", "--service", "areas/v1", "--definition",
            DEFINITION, "--adapter", "CN/GOV/MCA/@a1", "--mode", "execute");
    REFUSES("mca", EXIT_USAGE, PUBLISH, "civil", "--service", "areas/v1", "--definition",
            DEFINITION, "--adapter", "CN/GOV/MCA/@a1", "--adapter", "CN/GOV/MCA/@a1");
    other_definition("withheld.yaml", "sharing: unconditional",
                     "sharing: withheld\nlegal_basis: 法");
    REFUSES("mca", EXIT_DENIED, PUBLISH, "civil", "--service", "areas/v1", "--definition",
            "withheld.yaml", "--adapter", "CN/GOV/MCA/@a1");
    yz_cli_write("broken.yaml", yzi_bytes_str("dataset: [\n"));
    REFUSES("mca", EXIT_USAGE, PUBLISH, "civil", "--service", "areas/v1", "--definition",
            "broken.yaml", "--adapter", "CN/GOV/MCA/@a1");
    EXPECT(0, "subsystem", "add", "--home", "mca", "burials");
    REFUSES("mca", EXIT_DENIED, PUBLISH, "burials", "--service", "areas/v1", "--definition",
            DEFINITION, "--adapter", "CN/GOV/MCA/@a1");
    yz_cli_said("does not serve the subsystem 'burials'");
    REFUSES("mca", EXIT_FAILED, "service", "push", "--home", "mca", "--subsystem", "civil",
            "--admin", "nobody.sock");
    yz_cli_said("offers nothing yet");
}

static void test_service__without_a_field_that_is_granted_is_refused(void **state)
{
    (void)state;
    char id[32];
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, ADD, "--field", "name", "--field", "city");
    printed_id(id);
    other_definition("renamed.yaml", "- {name: name,", "- {name: label, csv: name,");
    REFUSES("mca", EXIT_FAILED, "service", "publish", "--home", "mca", "--subsystem", "civil",
            "--service", "areas/v1", "--definition", "renamed.yaml", "--adapter", "CN/GOV/MCA/@a1");
    yz_cli_said(id);
    EXPECT(0, "grant", "revoke", "--home", "mca", id);
    EXPECT(0, "service", "publish", "--home", "mca", "--subsystem", "civil", "--service",
           "areas/v1", "--definition", "renamed.yaml", "--adapter", "CN/GOV/MCA/@a1");
}

/* -- grants -- */

static void test_grant__stands_in_offer_and_terms(void **state)
{
    (void)state;
    char id[32];
    struct held h;
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, ADD, "--field", "name", "--field", "city", "--purpose", "house-registration",
           "--from", "2026-01-01", "--until", "2099-12-31T12:00:00Z", "--operation", "get");
    printed_id(id);
    load(&h);
    assert_true(yzi_bytes_eq_str(h.offer.grants[0].id, id));
    assert_true(yzi_bytes_eq_str(h.offer.grants[0].consumer.v, WINDOW));
    assert_true(yzi_bytes_eq_str(h.offer.grants[0].service, "areas/v1"));
    assert_int_equal(h.offer.grants[0].not_before, UINT64_C(1767225600000));
    assert_int_equal(h.offer.grants[0].not_after, UINT64_C(4102401600000));
    assert_false(h.offer.grants[0].strict);
    assert_true(yzi_bytes_eq_str(h.terms.grants[0].id, id));
    assert_int_equal(h.terms.grants[0].operations, 1u << QUERY_GET);
    assert_int_equal(h.terms.grants[0].readable_n, 2);
    assert_true(yzi_bytes_eq_str(h.terms.grants[0].readable[1].name, "city"));
    assert_int_equal(h.terms.grants[0].purposes.n, 1);
    unload(&h);
}

static void test_grant__may_be_strict(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, ADD, "--strict");
    load(&h);
    assert_true(h.offer.grants[0].strict);
    unload(&h);
}

static void test_grant__without_fields_lists_those_there_are(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    EXPECT(0, ADD);
    load(&h);
    assert_int_equal(h.terms.grants[0].readable_n, 4);
    assert_int_equal(h.terms.grants[0].operations, 1u << QUERY_GET);
    assert_int_equal(h.terms.grants[0].purposes.n, 0);
    unload(&h);
}

static void test_grant__that_nobody_could_keep_is_refused(void **state)
{
    (void)state;
    yz_cli_world();
    REFUSES("mca", EXIT_FAILED, ADD);
    yz_cli_said("is not offered");
    yz_cli_service();
    REFUSES("mca", EXIT_FAILED, ADD, "--field", "spouse");
    yz_cli_said("code, name, city, province");
    REFUSES("mca", EXIT_USAGE, ADD, "--field", "name", "--field", "name");
    REFUSES("mca", EXIT_USAGE, ADD, "--operation", "match");
    REFUSES("mca", EXIT_USAGE, ADD, "--operation", "erase");
    REFUSES("mca", EXIT_USAGE, ADD, "--purpose", "two words");
    REFUSES("mca", EXIT_USAGE, ADD, "--purpose", "x", "--purpose", "x");
    REFUSES("mca", EXIT_USAGE, ADD, "--until", "2020-01-01");
    REFUSES("mca", EXIT_USAGE, ADD, "--from", "20d", "--until", "10d");
    REFUSES("mca", EXIT_USAGE, ADD, "--until", "tomorrow");
    yz_cli_said("2027-01-01");
    REFUSES("hb", EXIT_DENIED, "grant", "add", "--home", "hb", "--service", AREAS, "--consumer",
            WINDOW);
    REFUSES("mca", EXIT_USAGE, "grant", "add", "--home", "mca", "--service", AREAS, "--consumer",
            "EU/GOV/HB/window");
    REFUSES("mca", EXIT_USAGE, "grant", "add", "--home", "mca", "--service", "areas/v1",
            "--consumer", WINDOW);
}

static void test_grant__is_listed_and_revoked(void **state)
{
    (void)state;
    char first[32], second[32];
    struct held h;
    yz_cli_world();
    EXPECT(0, "grant", "list", "--home", "mca");
    assert_string_equal(yz_cli_out(), "");
    EXPECT(0, "grant", "list", "--home", "mca", "--json");
    assert_int_equal(yz_cli_out()[0], '[');
    yz_cli_service();
    EXPECT(0, ADD, "--field", "name");
    printed_id(first);
    EXPECT(0, ADD, "--from", "30d");
    printed_id(second);
    assert_string_not_equal(first, second);
    EXPECT(0, "grant", "list", "--home", "mca");
    assert_non_null(strstr(yz_cli_out(), first));
    assert_non_null(strstr(yz_cli_out(), "not yet"));
    EXPECT(0, "grant", "list", "--home", "mca", "--service", "CN/GOV/MCA/civil/areas/v2");
    assert_string_equal(yz_cli_out(), "");
    REFUSES("mca", EXIT_FAILED, "grant", "revoke", "--home", "mca", "g-none");
    EXPECT(0, "grant", "revoke", "--home", "mca", first);
    REFUSES("mca", EXIT_FAILED, "grant", "revoke", "--home", "mca", first);
    load(&h);
    assert_int_equal(h.offer.grants_n, 1);
    assert_true(yzi_bytes_eq_str(h.offer.grants[0].id, second));
    assert_true(yzi_bytes_eq_str(h.terms.grants[0].id, second));
    unload(&h);
    EXPECT(0, "grant", "list", "--home", "mca", "--json");
    assert_null(strstr(yz_cli_out(), first));
    assert_non_null(strstr(yz_cli_out(), second));
}

/* -- interruptions and tampering -- */

static void test_offers__interrupted_before_the_change_are_the_old_ones(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    yz_cli_copy("mca/offers/civil.offer.yzr", "offer");
    yz_cli_copy("mca/offers/civil.terms.yzr", "terms");
    EXPECT(0, ADD);
    assert_false(yzi_file_exists("mca/offers/civil.terms.new.yzr"));
    /* the new terms were written, the offer was not */
    assert_int_equal(rename("mca/offers/civil.terms.yzr", "mca/offers/civil.terms.new.yzr"), 0);
    yz_cli_copy("offer", "mca/offers/civil.offer.yzr");
    yz_cli_copy("terms", "mca/offers/civil.terms.yzr");
    EXPECT(0, "grant", "list", "--home", "mca");
    assert_string_equal(yz_cli_out(), "");
    EXPECT(0, ADD);
    load(&h);
    assert_int_equal(h.offer.version, 2);
    assert_int_equal(h.offer.grants_n, 1);
    unload(&h);
}

static void test_offers__interrupted_after_the_change_are_the_new_ones(void **state)
{
    (void)state;
    struct held h;
    yz_cli_world();
    yz_cli_service();
    yz_cli_copy("mca/offers/civil.terms.yzr", "terms");
    EXPECT(0, ADD);
    /* the offer was written, the terms did not get their name */
    assert_int_equal(rename("mca/offers/civil.terms.yzr", "mca/offers/civil.terms.new.yzr"), 0);
    yz_cli_copy("terms", "mca/offers/civil.terms.yzr");
    EXPECT(0, "grant", "list", "--home", "mca", "--json");
    assert_non_null(strstr(yz_cli_out(), "\"id\""));
    EXPECT(0, ADD);
    load(&h);
    assert_int_equal(h.offer.version, 3);
    assert_int_equal(h.offer.grants_n, 2);
    unload(&h);
}

static void test_offers__that_were_changed_by_hand_are_refused(void **state)
{
    (void)state;
    yz_cli_world();
    yz_cli_service();
    yz_cli_copy("mca/offers/civil.terms.yzr", "terms");
    EXPECT(0, ADD);
    yz_cli_copy("terms", "mca/offers/civil.terms.yzr");
    REFUSES("mca", EXIT_FAILED, ADD);
    yz_cli_said("the terms that this offer names are not beside it");
    /* an offer of somebody else's owner key */
    EXPECT(0, "member", "init", "--home", "x", "--member", "CN/GOV/MCA");
    EXPECT(0, "subsystem", "add", "--home", "x", "civil");
    EXPECT(0, "node", "request", "--home", "xa", "--node", "CN/GOV/MCA/@a1", "--role", "adapter",
           "--subsystem", "civil");
    EXPECT(0, "node", "admit", "--home", "x", "xa/request.yzr");
    EXPECT(0, "service", "publish", "--home", "x", "--subsystem", "civil", "--service", "areas/v1",
           "--definition", DEFINITION, "--adapter", "CN/GOV/MCA/@a1");
    yz_cli_copy("x/offers/civil.offer.yzr", "mca/offers/civil.offer.yzr");
    REFUSES("mca", EXIT_UNVERIFIED, ADD);
    yz_cli_said("not signed by an owner key");
}

/* -- data check -- */

static void test_check__tells_each_fault_on_a_line(void **state)
{
    (void)state;
    EXPECT(0, "data", "check", DEFINITION);
    EXPECT(0, "data", "check", DEFINITION, YZ_TEST_DATA "/china-division/areas.csv");
    assert_non_null(strstr(yz_cli_out(), "2978 rows, 0 faults"));
    yz_cli_write("bad.csv", yzi_bytes_str("code,name,cityCode,provinceCode\n"
                                          "110101,东城区,1101,99\n110102,,1101,11\n"));
    EXPECT(EXIT_FAILED, "data", "check", DEFINITION, "bad.csv");
    assert_non_null(strstr(yz_cli_out(), "bad.csv:2: province: "));
    assert_non_null(strstr(yz_cli_out(), "bad.csv:3: name: "));
    EXPECT(EXIT_FAILED, "data", "check", "--max-faults", "1", DEFINITION, "bad.csv");
    assert_null(strstr(yz_cli_out(), "bad.csv:3: "));
    assert_non_null(strstr(yz_cli_out(), "stopped after 1 fault, in 1 row\n"));
    EXPECT(EXIT_FAILED, "data", "check", "--json", DEFINITION, "bad.csv");
    assert_non_null(strstr(yz_cli_out(), "\"field\": \"province\""));
    assert_null(strstr(yz_cli_out(), "东城区"));
}

static void test_check__a_wrong_definition_is_a_fault(void **state)
{
    (void)state;
    yz_cli_write("broken.yaml", yzi_bytes_str("dataset: x\nkey: [id]\nno_such_key: 1\n"));
    EXPECT(EXIT_FAILED, "data", "check", "broken.yaml");
    assert_non_null(strstr(yz_cli_out(), "broken.yaml:3:"));
    EXPECT(EXIT_FAILED, "data", "check", "--json", "broken.yaml");
    assert_non_null(strstr(yz_cli_out(), "\"dataset\": null"));
    EXPECT(EXIT_FAILED, "data", "check", "absent.yaml");
    EXPECT(EXIT_FAILED, "data", "check", DEFINITION, "absent.csv");
    EXPECT(EXIT_FAILED, "data", "check", DEFINITION, ".");
    yz_cli_said("not a regular file");
}

static unsigned entries_in(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

/* Ends the check as soon as its scratch folder is there; how it ended. */
static int interrupt_check(int number)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(number, SIG_DFL); /* nohup */
        _exit(YZ("data", "check", DEFINITION, "long.csv"));
    }
    assert_true(child > 0);
    while (entries_in("scratch") == 0 && waitpid(child, &status, WNOHANG) == 0) {
        sched_yield();
    }
    kill(child, number);
    waitpid(child, &status, 0); /* none, when it has ended already */
    return status;
}

static void test_check__interrupted_leaves_no_records_behind(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    (void)state;
    yz_buf file;
    yzi_buf_init(&file, 64u << 20);
    assert_int_equal(yzi_buf_put_str(&file, "code,name,cityCode,provinceCode\n"), 0);
    for (unsigned i = 0; i < 300000; i++) {
        assert_int_equal(yzi_buf_printf(&file, "%06u,n,1101,11\n", (i * 7919u) % 1000000u), 0);
    }
    yz_cli_write("long.csv", yzi_bytes_buf(&file));
    yzi_buf_fini(&file);
    assert_int_equal(mkdir("scratch", 0700), 0);
    const char *was = getenv("TMPDIR");
    assert_int_equal(setenv("TMPDIR", "scratch", 1), 0);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        int status = 0;
        for (unsigned k = 0; k < 20 && !WIFSIGNALED(status); k++) { /* it may have been faster */
            status = interrupt_check(numbers[i]);
            assert_int_equal(entries_in("scratch"), 0);
        }
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), numbers[i]);
    }
    assert_int_equal(was ? setenv("TMPDIR", was, 1) : unsetenv("TMPDIR"), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, yz_cli_setup, yz_cli_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_service__is_offered_with_its_catalogue_entry),
        CASE(test_service__keeps_fields_out_of_the_catalogue_that_can_be_granted),
        CASE(test_service__that_writes_is_offered_as_such),
        CASE(test_grant__to_write_names_what_may_be_written),
        CASE(test_service__published_again_replaces_itself_and_keeps_grants),
        CASE(test_service__another_data_set_takes_the_old_one_out_of_the_catalogue),
        CASE(test_service__that_cannot_be_served_is_not_offered),
        CASE(test_service__without_a_field_that_is_granted_is_refused),
        CASE(test_grant__stands_in_offer_and_terms),
        CASE(test_grant__may_be_strict),
        CASE(test_grant__without_fields_lists_those_there_are),
        CASE(test_grant__that_nobody_could_keep_is_refused),
        CASE(test_grant__is_listed_and_revoked),
        CASE(test_offers__interrupted_before_the_change_are_the_old_ones),
        CASE(test_offers__interrupted_after_the_change_are_the_new_ones),
        CASE(test_offers__that_were_changed_by_hand_are_refused),
        CASE(test_check__tells_each_fault_on_a_line),
        CASE(test_check__a_wrong_definition_is_a_fault),
        CASE(test_check__interrupted_leaves_no_records_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
