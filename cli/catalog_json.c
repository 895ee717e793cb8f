/* SPDX-License-Identifier: Apache-2.0
 *
 * The catalogue as JSON (docs/catalogue.md).
 */
#include "cli/catalog.h"
#include "cli/texts.h"

#define JSON_MAX (512u * 1024u * 1024u)

static void put_time(struct json *j, const char *key, uint64_t ms)
{
    char text[32];
    yzi_json_key(j, key);
    yzi_json_str(j, ms ? yzi_cli_time_text(ms, text) : NULL);
}

static void put_grant(struct json *j, const struct catalog_grant *g)
{
    static const char *const states[] = {
        [RIGHT_EXPIRED] = "expired", [RIGHT_NOT_YET] = "not yet", [RIGHT_VALID] = "valid"};
    yzi_json_key(j, "mine");
    if (g->right == RIGHT_NONE) {
        yzi_json_null(j);
        return;
    }
    yzi_json_object(j);
    yzi_json_key(j, "state");
    yzi_json_str(j, states[g->right]);
    put_time(j, "from", g->from);
    put_time(j, "until", g->until);
    yzi_json_object_end(j);
}

static int put_services(struct json *j, const struct catalog *k, const struct catalog_item *i)
{
    yzi_json_key(j, "services");
    yzi_json_array(j);
    for (size_t n = 0; n < yzi_catalog_services(i); n++) {
        const struct offered_service *s = yzi_catalog_service(i, n);
        struct catalog_grant mine = yzi_catalog_grant(k, i, s);
        YZ_AUTO(yzi_buf_fini) yz_buf id;
        yzi_buf_init(&id, 2 * YZ_ID_MAX);
        YZ_TRY(yzi_buf_printf(&id, "%.*s/%.*s/%.*s", CLI_V(i->offer->subsystem.v), CLI_V(s->code),
                              CLI_V(s->version)));
        yzi_json_object(j);
        yzi_text_json(j, "service", yzi_bytes_buf(&id));
        yzi_json_key(j, "mode");
        yzi_json_str(j, yzi_mode_name(s->mode));
        yzi_texts_json(j, "descriptions", &s->descriptions);
        put_grant(j, &mine);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
    return YZ_OK;
}

static void put_elements(struct json *j, const struct catalogue_entry *e)
{
    yzi_json_key(j, "elements");
    yzi_json_array(j);
    for (size_t i = 0; i < e->elements_n; i++) {
        const struct data_element *d = &e->elements[i];
        yzi_json_object(j);
        yzi_text_json(j, "field", d->field);
        yzi_text_json(j, "element", d->element);
        yzi_json_key(j, "type");
        yzi_json_str(j, yzi_field_type_name(d->type));
        yzi_json_key(j, "classification");
        yzi_json_str(j, yzi_classification_name(d->classification));
        yzi_json_key(j, "key");
        yzi_json_bool(j, d->key);
        yzi_json_key(j, "reference");
        yzi_json_bool(j, d->reference);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

static int put_item(struct json *j, const struct catalog *k, const struct catalog_item *i)
{
    static const struct catalogue_entry none = {0};
    const struct catalogue_entry *e = i->entry ? i->entry : &none;
    yzi_json_object(j);
    yzi_text_json(j, "subsystem", i->offer->subsystem.v);
    yzi_json_key(j, "offer_version");
    yzi_json_u64(j, i->offer->version);
    yzi_text_json(j, "data_set", e->data_set);
    yzi_texts_json(j, "titles", &e->titles);
    yzi_texts_json(j, "descriptions", &e->descriptions);
    yzi_text_json(j, "owner", e->owner);
    yzi_text_json(j, "update_cycle", e->update_cycle);
    yzi_json_key(j, "sharing");
    yzi_json_str(j, i->entry ? yzi_sharing_name(e->sharing) : NULL);
    yzi_text_json(j, "legal_basis", e->legal_basis);
    YZ_TRY(put_services(j, k, i));
    put_elements(j, e);
    yzi_json_object_end(j);
    return YZ_OK;
}

static void put_refused(struct json *j, const struct catalogue *all)
{
    yzi_json_key(j, "unverified");
    yzi_json_array(j);
    for (size_t i = 0; i < all->refused_n; i++) {
        yzi_json_object(j);
        yzi_text_json(j, "subsystem", all->refused[i].subsystem.v);
        yzi_json_key(j, "error");
        yzi_json_str(j, yz_err_name(all->refused[i].code));
        yzi_json_key(j, "why");
        yzi_json_str(j, all->refused[i].why);
        yzi_json_object_end(j);
    }
    yzi_json_array_end(j);
}

int yzi_catalog_json(const struct catalog *k, const struct catalog_item *const *items, size_t n)
{
    struct json j;
    YZ_AUTO(yzi_buf_fini) yz_buf text;
    yzi_buf_init(&text, JSON_MAX);
    yzi_json_init(&j, &text, true);
    yzi_json_object(&j);
    yzi_json_key(&j, "broker");
    yzi_json_str(&j, k->all->broker);
    yzi_json_key(&j, "directory_version");
    yzi_json_u64(&j, yzi_directory_version(k->all->directory));
    yzi_text_json(&j, "consumer", k->all->consumer.v);
    yzi_json_key(&j, "data_sets");
    yzi_json_array(&j);
    for (size_t i = 0; i < n; i++) {
        YZ_TRY(put_item(&j, k, items[i]));
    }
    yzi_json_array_end(&j);
    put_refused(&j, k->all);
    yzi_json_object_end(&j);
    YZ_TRY(yzi_json_end(&j));
    yzi_cli_write(k->c, yzi_bytes_buf(&text));
    return YZ_OK;
}
