/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of `yz catalog` share: the catalogue as things to show.
 */
#ifndef YZ_CLI_CATALOG_H
#define YZ_CLI_CATALOG_H

#include "cli/cli.h"
#include "client/catalogue.h"

/* A data set, or a service that answers from none; one of the two is there. */
struct catalog_item {
    const struct offer *offer;
    const struct catalogue_entry *entry;   /* NULL: a service alone */
    const struct offered_service *service; /* of an item without entry */
};
struct catalog {
    struct cli *c;
    struct catalogue *all;
    yz_bytes language;
    struct catalog_item *items; /* in the order of subsystems */
    size_t items_n;
};
/* Fetch it with --config, --timeout and --lang. Free with yzi_catalog_close. */
YZ_MUST_USE int yzi_catalog_open(struct cli *c, struct catalog *out);
void yzi_catalog_close(struct catalog *k); /* accepts a zeroed one */

/* Whether the item's service number i (yzi_catalog_services of them) is one of its. */
size_t yzi_catalog_services(const struct catalog_item *i);
const struct offered_service *yzi_catalog_service(const struct catalog_item *i, size_t n);
/* Whether it is the service "code/version". */
bool yzi_catalog_is_named(const struct offered_service *s, yz_bytes local);
/* What the asking subsystem was granted of a service. */
enum catalog_right { RIGHT_NONE, RIGHT_EXPIRED, RIGHT_NOT_YET, RIGHT_VALID };
struct catalog_grant {
    enum catalog_right right;
    uint64_t from, until; /* of the grant that says so; until 0: no end */
};
struct catalog_grant yzi_catalog_grant(const struct catalog *k, const struct catalog_item *i,
                                       const struct offered_service *s);
/* The best of all its services. */
struct catalog_grant yzi_catalog_best(const struct catalog *k, const struct catalog_item *i);
const char *yzi_catalog_right_text(const struct catalog_grant *g, char out[64]);

/* A data element by its name: who claims to be its source, and who only refers to it. */
struct catalog_claim {
    const struct catalog_item *item;
    const struct data_element *element;
};
struct catalog_element {
    yz_bytes name;
    struct catalog_claim *claims; /* n; data sets that claim it once each stand first */
    size_t n, sources;            /* data sets that claim to be its source */
};
/* All of them by name, in the invocation's arena. */
YZ_MUST_USE int yzi_catalog_elements(const struct catalog *k, struct catalog_element **out,
                                     size_t *out_n);

/* Whether all the words occur somewhere in the item: in its names, titles and descriptions of every
 * language, owner, fields, data elements or services. Words are compared without regard to case, by
 * Unicode's simple mapping; nothing is normalised. `words` are folded (yzi_text_fold). */
YZ_MUST_USE int yzi_catalog_matches(const struct catalog *k, const struct catalog_item *i,
                                    const struct name_list *words, bool *out);

/* -- catalog_json.c -- */
YZ_MUST_USE int yzi_catalog_json(const struct catalog *k, const struct catalog_item *const *items,
                                 size_t n);
/* -- catalog_report.c: yz catalog elements and coverage -- */
YZ_MUST_USE int yzi_catalog_elements_run(struct cli *c);
YZ_MUST_USE int yzi_catalog_coverage_run(struct cli *c);
/* -- catalog_home.c: yz catalog declare and retract -- */
YZ_MUST_USE int yzi_catalog_declare_run(struct cli *c);
YZ_MUST_USE int yzi_catalog_retract_run(struct cli *c);

#endif
