/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set's definition: the agency describes its register once, in YAML, and import, store,
 * query, grants and catalogue all read it from here (docs/definitions.md).
 */
#ifndef YZ_DATASET_DEFINITION_H
#define YZ_DATASET_DEFINITION_H

#include <stdatomic.h>

#include "base/config.h"
#include "proto/record.h"

#define DATASET_FIELDS_MAX 256u
#define DATASET_KEY_MAX 8u
#define DATASET_INDEXES_MAX 32u

/* A path to a value in a JSON or XML record. */
struct path_step {
    yz_bytes name;       /* of a member, an element, an attribute; decimal digits: also an item */
    bool is_attribute;   /* XML; the last step only */
    yz_bytes test, wish; /* XML: only elements whose attribute `test` has the value `wish` */
    bool has_test;
};
struct dataset_path {
    struct path_step *steps;
    size_t n; /* at most DATASET_PATH_MAX; 0: the record itself (XML) or the whole file (JSON) */
};
#define DATASET_PATH_MAX 16u

enum text_encoding { ENCODING_UTF8 = 1, ENCODING_GB18030 };

/* What is done to a value as it stands in a file, before it is judged (normalise.h). */
struct field_normal {
    bool trim, squeeze, narrow, upper, lower;
    struct config_list empty, formats;
    const char *zone;
};

struct dataset_field {
    const char *name;    /* 1..64 of [A-Za-z0-9_], starts with a letter */
    const char *element; /* data-element name shared across agencies; the name when not given */
    enum field_type type;
    enum classification classification;
    bool required;
    bool unlisted;            /* kept out of the published catalogue */
    bool reference;           /* another data set is the source of the datum */
    uint64_t max_length;      /* bytes of canonical text; default by type, at most YZ_VALUE_MAX */
    struct config_list codes; /* FIELD_CODE: the allowed values, sorted bytewise */
    const char *csv;          /* column name (or 1-based position when there is no header row) */
    const char *json, *xml;   /* path in the other formats, as written; NULL: the name */
    struct dataset_path json_path, xml_path;
    const char *join; /* between several values in one place; NULL: they are refused */
    struct field_normal normal;
    struct config_place place;
};

struct dataset_index {
    const char *name;
    unsigned *fields; /* indexes into dataset.fields */
    size_t fields_n;
    bool unique;
};

struct dataset_csv {
    char delimiter; /* default ',' */
    enum text_encoding encoding;
    bool header;               /* default true */
    struct config_list ignore; /* columns (names, or positions without a header) no field reads */
};

struct dataset_json {
    bool lines;               /* a record a line; otherwise one array of them */
    struct dataset_path path; /* to the array */
};
struct dataset_xml {
    struct dataset_path element; /* of a record; n 0: not given, XML cannot be read */
    bool anchored;               /* the whole path from the root, not only its end */
    bool doctype;                /* allowed */
    enum text_encoding encoding; /* ENCODING_UTF8: as the file declares */
};

struct dataset {
    const char *name; /* a segment */
    struct text_list titles, descriptions;
    const char *owner, *legal_basis, *update_cycle;
    enum sharing sharing;
    struct dataset_field *fields;
    size_t fields_n;
    unsigned key[DATASET_KEY_MAX]; /* indexes into fields; all required */
    size_t key_n;
    struct dataset_index *indexes;
    size_t indexes_n;
    struct dataset_csv csv;
    struct dataset_json json;
    struct dataset_xml xml;
    bool has_sensitive; /* a field is classified sensitive or secret */
    yz_digest digest;   /* SHA-256 of the definition file's bytes */
    _Atomic unsigned refs;
    struct arena arena; /* owns everything above */
};

/* Load and check. YZ_ECONFIG with "file:line:col: sentence". The result is immutable and counted by
 * reference: it comes with one, and goes with the last (NULL is allowed). Any thread. */
YZ_MUST_USE int yzi_dataset_load(const char *path, struct dataset **out, yz_error *err);
YZ_MUST_USE int yzi_dataset_parse(yz_bytes text, const char *name, struct dataset **out,
                                  yz_error *err);
const struct dataset *yzi_dataset_ref(const struct dataset *d); /* gives d */
void yzi_dataset_unref(const struct dataset *d);

/* The index of a field, or -1. */
int yzi_dataset_field(const struct dataset *d, yz_bytes name);

/* Check a value and bring it into the canonical text of the field's type (see enum field_type),
 * appended to out; FIELD_BYTES come as base64 and become the raw bytes. Accepts what the import
 * formats may hold (spaces around are not trimmed). On YZ_EDATA *reason is a static sentence
 * fragment ("is not a date (YYYY-MM-DD)"); on any failure out is as it was. */
YZ_MUST_USE int yzi_field_canonical(const struct dataset_field *f, yz_bytes text, yz_buf *out,
                                    const char **reason);

/* The catalogue entry for the offer, and the fields that it keeps to itself (elements_n 0: none);
 * lists in `arena`, texts borrowed from d. */
YZ_MUST_USE int yzi_dataset_catalogue(const struct dataset *d, struct arena *arena,
                                      struct catalogue_entry *out,
                                      struct unlisted_fields *out_unlisted);

#endif
