/* SPDX-License-Identifier: Apache-2.0
 *
 * yz catalog declare and retract, in a member's home: data sets that are in the catalogue although
 * no service offers them. So the negative list is made known: what is withheld, and by which law.
 */
#include "cli/catalog.h"
#include "cli/offer.h"

struct declaration {
    const char *home;
    struct member_set set;
    struct home_offer offer;
    struct dataset *definition;
};

static void declaration_fini(struct declaration *d)
{
    yzi_dataset_unref(d->definition);
}

static int open_home(struct cli *c, struct declaration *d)
{
    yz_bytes code;
    YZ_TRY(yzi_cli_code(c, "a subsystem", yzi_cli_option(c, "subsystem"), &code));
    YZ_TRY(yzi_home_open(c, HOME_MEMBER, true, &d->home));
    YZ_TRY(yzi_home_member_set(c, d->home, &d->set));
    return yzi_home_offer_load(c, d->home, &d->set, code, &d->offer);
}

static bool is_offered(const struct home_offer *o, yz_bytes data_set)
{
    for (size_t i = 0; i < o->offer.services_n; i++) {
        if (yzi_bytes_eq(o->offer.services[i].data_set, data_set)) {
            return true;
        }
    }
    return false;
}

static int refuse_offered(struct cli *c, yz_bytes data_set)
{
    return yzi_fail(yzi_cli_error(c), YZ_EEXIST,
                    "a service offers %.*s: its entry changes with yz service publish",
                    CLI_V(data_set));
}

int yzi_catalog_declare_run(struct cli *c)
{
    YZ_AUTO(declaration_fini) struct declaration d = {0};
    YZ_TRY(yzi_dataset_load(yzi_cli_arg(c, 0), &d.definition, yzi_cli_error(c)));
    YZ_TRY(open_home(c, &d));
    yz_bytes name = yzi_bytes_str(d.definition->name);
    if (is_offered(&d.offer, name)) {
        return refuse_offered(c, name);
    }
    YZ_TRY(yzi_home_offer_describe(c, &d.offer, d.definition));
    YZ_TRY(yzi_home_offer_sign(c, &d.offer));
    yzi_cli_say(c, "%.*s is in the catalogue as %s; offer version %llu\n", CLI_V(name),
                yzi_sharing_name(d.definition->sharing), (unsigned long long)d.offer.offer.version);
    return yzi_home_offer_push(c, &d.offer);
}

int yzi_catalog_retract_run(struct cli *c)
{
    struct declaration d = {0};
    yz_bytes name = yzi_bytes_str(yzi_cli_arg(c, 0));
    YZ_TRY(open_home(c, &d));
    if (!yzi_home_offer_entry(&d.offer, name)) {
        return yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND, "the catalogue of '%.*s' has no %.*s",
                        CLI_V(d.offer.code), CLI_V(name));
    }
    if (is_offered(&d.offer, name)) {
        return refuse_offered(c, name);
    }
    yzi_home_offer_forget(&d.offer, name);
    YZ_TRY(yzi_home_offer_sign(c, &d.offer));
    yzi_cli_say(c, "%.*s is out of the catalogue; offer version %llu\n", CLI_V(name),
                (unsigned long long)d.offer.offer.version);
    return yzi_home_offer_push(c, &d.offer);
}
