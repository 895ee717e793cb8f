/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the definition share: the file as the table reads it, and the building of a
 * dataset from it. Only definition.c, mapping.c and path.c include this.
 */
#ifndef YZ_DATASET_DEFINITION_IMPL_H
#define YZ_DATASET_DEFINITION_IMPL_H

#include "adapters/dataset/definition.h"

struct raw_index {
    const char *name;
    struct config_list fields;
    bool unique;
    struct config_place place;
};
struct raw_csv {
    const char *delimiter;
    int encoding;
    bool header;
    struct config_list ignore;
    struct config_place delimiter_place, ignore_place;
};
struct raw_json {
    int format;
    const char *path;
    struct config_place path_place;
};
struct raw_xml {
    const char *element;
    int encoding;
    bool doctype;
    struct config_place element_place;
};
struct raw_field {
    const char *name, *element, *csv, *json, *xml, *join, *zone;
    int type, classification;
    bool required, catalogue, reference;
    uint64_t max_length;
    struct config_list codes, normalise, empty, formats;
    struct config_place place, length_place, codes_place, csv_place, json_place, xml_place,
        normalise_place, formats_place, zone_place;
};
struct raw {
    const char *dataset, *owner, *update_cycle, *legal_basis;
    struct config_pairs titles, descriptions;
    int sharing;
    struct config_list key;
    struct config_maps fields, indexes;
    struct raw_csv csv;
    struct raw_json json;
    struct raw_xml xml;
    struct config_place dataset_place, title_place, description_place, sharing_place, key_place;
};

struct builder {
    const struct raw *raw;
    struct dataset *d;
    const char *file;
    yz_error *err;
};

#define FAULT(b, at, ...) yzi_config_fault((b)->err, (b)->file, (at), __VA_ARGS__)

static inline const struct raw_field *yzi_builder_field(const struct builder *b, size_t i)
{
    return (const struct raw_field *)b->raw->fields.items + i;
}

/* -- mapping.c: how the files of the agency's own system look -- */
extern const struct config_field yzi_mapping_csv[], yzi_mapping_json[], yzi_mapping_xml[];
/* After the fields were built. */
YZ_MUST_USE int yzi_mapping_build(struct builder *b);

/* -- path.c -- */

/* "a.b.0": members of JSON objects, items of arrays; a dot or backslash in a name is written behind
 * a backslash. YZ_EINVAL with *reason, a static sentence fragment; YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_path_json(const char *text, struct arena *arena, struct dataset_path *out,
                              const char **reason);
/* "a/b[@type=x]/@c": child elements of an XML record, perhaps only those with an attribute of a
 * value, and perhaps an attribute at the end; "." is the record's own text. */
YZ_MUST_USE int yzi_path_xml(const char *text, struct arena *arena, struct dataset_path *out,
                             const char **reason);
/* "a/b": elements only. */
YZ_MUST_USE int yzi_path_elements(const char *text, struct arena *arena, struct dataset_path *out,
                                  const char **reason);

#endif
