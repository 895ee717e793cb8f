/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of an offer: what an owner publishes about one subsystem. Everything it names it also
 * holds: a grant's service and group and a service's data set are of the same offer, adapters and
 * consumers of the same instance.
 */
#include "proto/record_part.h"

/* -- catalogue -- */

int yzi_read_elements(struct record_reader *r, Yizhan__Wire__Element *const *v, size_t n,
                      struct bag *fields, struct data_element **out, size_t *out_n)
{
    YZ_TRY(yzi_check_count(n, 0, YZ_QUERY_FIELDS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, n, sizeof **out, out));
    for (size_t i = 0; i < n; i++) {
        const Yizhan__Wire__Element *from = v[i];
        struct data_element *to = &(*out)[i];
        to->field = yzi_view(from->field);
        YZ_TRY(yzi_check_field(to->field, YZ_NAME_MAX));
        YZ_TRY(yzi_bag_add(fields, to->field));
        to->element = yzi_view(from->element);
        YZ_TRY(yzi_check_text(to->element, YZ_LABEL_MAX));
        YZ_TRY(yzi_check_range(from->type, FIELD_TEXT, FIELD_BYTES));
        to->type = (enum field_type)from->type;
        YZ_TRY(yzi_check_range(from->classification, CLASS_PUBLIC, CLASS_SECRET));
        to->classification = (enum classification)from->classification;
        YZ_ENSURE(!from->has_key || from->key, YZ_EMALFORMED); /* said only when it is so */
        to->key = from->has_key;
        YZ_ENSURE(!from->has_reference || from->reference, YZ_EMALFORMED);
        to->reference = from->has_reference;
    }
    *out_n = n;
    return 0;
}

static int read_catalogue_entry(struct record_reader *r, const Yizhan__Wire__CatalogueEntry *w,
                                struct catalogue_entry *out)
{
    out->data_set = yzi_view(w->data_set);
    YZ_TRY(yzi_segment_check(out->data_set));
    YZ_TRY(yzi_read_texts(r, w->titles, w->n_titles, &out->titles));
    YZ_TRY(yzi_read_texts(r, w->descriptions, w->n_descriptions, &out->descriptions));
    YZ_TRY(yzi_read_optional(w->has_owner, w->owner, YZ_LABEL_MAX, yzi_check_text, &out->owner));
    YZ_TRY(yzi_check_range(w->sharing, SHARING_UNCONDITIONAL, SHARING_WITHHELD));
    out->sharing = (enum sharing)w->sharing;
    YZ_TRY(yzi_read_optional(w->has_legal_basis, w->legal_basis, YZ_TEXT_MAX, yzi_check_lines,
                             &out->legal_basis));
    /* who withholds data says by what law */
    YZ_ENSURE(out->sharing != SHARING_WITHHELD || out->legal_basis.n > 0, YZ_EMALFORMED);
    YZ_TRY(yzi_read_optional(w->has_update_cycle, w->update_cycle, YZ_LABEL_MAX, yzi_check_text,
                             &out->update_cycle));
    struct bag fields = {.arena = &r->scratch};
    YZ_TRY(yzi_read_elements(r, w->elements, w->n_elements, &fields, &out->elements,
                             &out->elements_n));
    return yzi_bag_close(&fields);
}

static int read_catalogue(struct record_reader *r, const Yizhan__Wire__Offer *w,
                          struct bag *data_sets, struct offer *out)
{
    YZ_TRY(yzi_check_count(w->n_catalogue, 0, YZ_CATALOGUE_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_catalogue, sizeof *out->catalogue, &out->catalogue));
    for (size_t i = 0; i < w->n_catalogue; i++) {
        YZ_TRY(read_catalogue_entry(r, w->catalogue[i], &out->catalogue[i]));
        YZ_TRY(yzi_bag_add(data_sets, out->catalogue[i].data_set));
    }
    out->catalogue_n = w->n_catalogue;
    return yzi_bag_close(data_sets);
}

int yzi_wire_elements(struct arena *a, const struct data_element *in, size_t n, size_t *out_n,
                      Yizhan__Wire__Element ***out)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__element__descriptor, n, out));
    for (size_t i = 0; i < n; i++) {
        (*out)[i]->field = yzi_bin(in[i].field);
        (*out)[i]->element = yzi_bin(in[i].element);
        (*out)[i]->type = in[i].type;
        (*out)[i]->classification = in[i].classification;
        (*out)[i]->has_key = in[i].key;
        (*out)[i]->key = in[i].key;
        (*out)[i]->has_reference = in[i].reference;
        (*out)[i]->reference = in[i].reference;
    }
    *out_n = n;
    return 0;
}

static int wire_catalogue(struct arena *a, const struct offer *in, Yizhan__Wire__Offer *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__catalogue_entry__descriptor, in->catalogue_n,
                         &w->catalogue));
    w->n_catalogue = in->catalogue_n;
    for (size_t i = 0; i < in->catalogue_n; i++) {
        const struct catalogue_entry *from = &in->catalogue[i];
        Yizhan__Wire__CatalogueEntry *to = w->catalogue[i];
        to->data_set = yzi_bin(from->data_set);
        YZ_TRY(yzi_wire_texts(a, &from->titles, &to->n_titles, &to->titles));
        YZ_TRY(yzi_wire_texts(a, &from->descriptions, &to->n_descriptions, &to->descriptions));
        to->has_owner = from->owner.n > 0;
        to->owner = yzi_bin(from->owner);
        to->sharing = from->sharing;
        to->has_legal_basis = from->legal_basis.n > 0;
        to->legal_basis = yzi_bin(from->legal_basis);
        to->has_update_cycle = from->update_cycle.n > 0;
        to->update_cycle = yzi_bin(from->update_cycle);
        YZ_TRY(
            yzi_wire_elements(a, from->elements, from->elements_n, &to->n_elements, &to->elements));
    }
    return 0;
}

/* -- services -- */

static int read_adapters(struct record_reader *r, const Yizhan__Wire__Service *w,
                         yz_member_id member, struct name_list *out)
{
    struct bag all = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_adapters, 1, YZ_SERVICE_ADAPTERS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_adapters, sizeof *out->items, &out->items));
    for (size_t i = 0; i < w->n_adapters; i++) {
        yz_node_id node;
        YZ_TRY(yzi_node_id_parse(yzi_view(w->adapters[i]), &node));
        YZ_ENSURE(!yzi_node_is_broker(node), YZ_EMALFORMED);
        YZ_ENSURE(yzi_bytes_eq(yzi_node_member(node).v, member.v), YZ_EMALFORMED);
        out->items[i] = node.v;
        YZ_TRY(yzi_bag_add(&all, node.v));
    }
    out->n = w->n_adapters;
    return yzi_bag_close(&all);
}

/* "code/version", as grants name a service; segments hold no '/'. */
static int local_name(struct arena *a, const struct offered_service *s, yz_bytes *out)
{
    uint8_t *p;
    size_t n = s->code.n + 1 + s->version.n;
    YZ_TRY(yzi_arena_new(a, n, 1, &p));
    memcpy(p, s->code.p, s->code.n);
    p[s->code.n] = '/';
    memcpy(p + s->code.n + 1, s->version.p, s->version.n);
    *out = yzi_bytes(p, n);
    return 0;
}

static int read_service(struct record_reader *r, const Yizhan__Wire__Service *w,
                        yz_member_id member, const struct bag *data_sets,
                        struct offered_service *out)
{
    out->code = yzi_view(w->code);
    out->version = yzi_view(w->version);
    YZ_TRY(yzi_segment_check(out->code));
    YZ_TRY(yzi_segment_check(out->version));
    YZ_TRY(yzi_check_range(w->mode, SERVICE_READ, SERVICE_WRITE));
    out->mode = (enum service_mode)w->mode;
    YZ_TRY(read_adapters(r, w, member, &out->adapters));
    YZ_TRY(yzi_read_texts(r, w->descriptions, w->n_descriptions, &out->descriptions));
    YZ_TRY(yzi_read_optional(w->has_data_set, w->data_set, YZ_SEGMENT_MAX, yzi_check_segment,
                             &out->data_set));
    YZ_ENSURE(out->data_set.n == 0 || yzi_bag_has(data_sets, out->data_set), YZ_EMALFORMED);
    return 0;
}

static int read_services(struct record_reader *r, const Yizhan__Wire__Offer *w,
                         const struct bag *data_sets, struct bag *names, struct offer *out)
{
    yz_member_id member = yzi_subsystem_member(out->subsystem);
    YZ_TRY(yzi_check_count(w->n_services, 0, YZ_SERVICES_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_services, sizeof *out->services, &out->services));
    for (size_t i = 0; i < w->n_services; i++) {
        yz_bytes name;
        YZ_TRY(read_service(r, w->services[i], member, data_sets, &out->services[i]));
        YZ_TRY(local_name(&r->scratch, &out->services[i], &name));
        YZ_TRY(yzi_bag_add(names, name));
    }
    out->services_n = w->n_services;
    return yzi_bag_close(names);
}

static int wire_services(struct arena *a, const struct offer *in, Yizhan__Wire__Offer *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__service__descriptor, in->services_n, &w->services));
    w->n_services = in->services_n;
    for (size_t i = 0; i < in->services_n; i++) {
        const struct offered_service *from = &in->services[i];
        Yizhan__Wire__Service *to = w->services[i];
        to->code = yzi_bin(from->code);
        to->version = yzi_bin(from->version);
        to->mode = from->mode;
        YZ_TRY(yzi_wire_names(a, &from->adapters, &to->n_adapters, &to->adapters));
        YZ_TRY(yzi_wire_texts(a, &from->descriptions, &to->n_descriptions, &to->descriptions));
        to->has_data_set = from->data_set.n > 0;
        to->data_set = yzi_bin(from->data_set);
    }
    return 0;
}

/* -- grants -- */

/* To whom: one subsystem, or a version of a group that is here. */
static int read_grantee(const Yizhan__Wire__CoarseGrant *w, const struct offer *offer,
                        struct coarse_grant *out)
{
    YZ_ENSURE(w->has_consumer != w->has_group_code, YZ_EMALFORMED);
    YZ_ENSURE(w->has_group_version == w->has_group_code, YZ_EMALFORMED);
    if (w->has_consumer) {
        YZ_TRY(yzi_subsystem_id_parse(yzi_view(w->consumer), &out->consumer));
        return yzi_check_instance(out->consumer.v, yzi_id_instance(offer->subsystem.v));
    }
    out->group_code = yzi_view(w->group_code);
    out->group_version = w->group_version;
    return yzi_offer_group(offer, out->group_code, out->group_version) ? 0 : YZ_EMALFORMED;
}

static int read_grant(const Yizhan__Wire__CoarseGrant *w, const struct offer *offer,
                      const struct bag *services, struct coarse_grant *out)
{
    out->id = yzi_view(w->id);
    YZ_TRY(yzi_check_word(out->id, YZ_NAME_MAX));
    YZ_TRY(read_grantee(w, offer, out));
    out->service = yzi_view(w->service);
    YZ_ENSURE(yzi_bag_has(services, out->service), YZ_EMALFORMED);
    YZ_TRY(yzi_check_times(w->not_before, w->not_after));
    out->not_before = w->not_before;
    out->not_after = w->not_after;
    YZ_ENSURE(!w->has_strict || w->strict, YZ_EMALFORMED); /* said only when it is so */
    out->strict = w->has_strict;
    return 0;
}

static int read_grants(struct record_reader *r, const Yizhan__Wire__Offer *w,
                       const struct bag *services, struct offer *out)
{
    struct bag ids = {.arena = &r->scratch};
    YZ_TRY(yzi_check_count(w->n_grants, 0, YZ_GRANTS_MAX));
    YZ_TRY(yzi_arena_new(r->keep, w->n_grants, sizeof *out->grants, &out->grants));
    for (size_t i = 0; i < w->n_grants; i++) {
        YZ_TRY(read_grant(w->grants[i], out, services, &out->grants[i]));
        YZ_TRY(yzi_bag_add(&ids, out->grants[i].id));
    }
    out->grants_n = w->n_grants;
    return yzi_bag_close(&ids);
}

static int wire_grants(struct arena *a, const struct offer *in, Yizhan__Wire__Offer *w)
{
    YZ_TRY(yzi_wire_list(a, &yizhan__wire__coarse_grant__descriptor, in->grants_n, &w->grants));
    w->n_grants = in->grants_n;
    for (size_t i = 0; i < in->grants_n; i++) {
        const struct coarse_grant *from = &in->grants[i];
        Yizhan__Wire__CoarseGrant *to = w->grants[i];
        to->id = yzi_bin(from->id);
        to->has_consumer = from->consumer.v.n > 0;
        to->consumer = yzi_bin(from->consumer.v);
        to->has_group_code = to->has_group_version = from->group_code.n > 0;
        to->group_code = yzi_bin(from->group_code);
        to->group_version = from->group_version;
        to->service = yzi_bin(from->service);
        to->not_before = from->not_before;
        to->not_after = from->not_after;
        to->has_strict = from->strict;
        to->strict = from->strict;
    }
    return 0;
}

/* -- the offer -- */

static int read_offer(struct record_reader *r, const Yizhan__Wire__Offer *w, struct offer *out)
{
    struct bag data_sets = {.arena = &r->scratch}, services = {.arena = &r->scratch};
    YZ_TRY(yzi_subsystem_id_parse(yzi_view(w->subsystem), &out->subsystem));
    YZ_ENSURE(w->version > 0 && w->issued_at > 0, YZ_EMALFORMED);
    out->version = w->version;
    out->issued_at = w->issued_at;
    YZ_TRY(read_catalogue(r, w, &data_sets, out));
    YZ_TRY(read_services(r, w, &data_sets, &services, out));
    YZ_TRY(yzi_read_groups(r, w, out));
    YZ_TRY(read_grants(r, w, &services, out));
    return yzi_read_digest(w->terms_digest, &out->terms_digest);
}

int yzi_offer_parse(yz_bytes body, struct arena *a, struct offer *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__Offer *w;
    struct offer parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__offer__descriptor, body, &w));
    YZ_TRY(read_offer(&r, w, &parsed));
    *out = parsed;
    return 0;
}

int yzi_offer_write(const struct offer *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__Offer w = YIZHAN__WIRE__OFFER__INIT;
    w.subsystem = yzi_bin(in->subsystem.v);
    w.version = in->version;
    w.issued_at = in->issued_at;
    YZ_TRY(wire_services(&a, in, &w));
    YZ_TRY(wire_catalogue(&a, in, &w));
    YZ_TRY(yzi_wire_groups(&a, in, &w));
    YZ_TRY(wire_grants(&a, in, &w));
    w.terms_digest = yzi_bin(yzi_bytes_digest(&in->terms_digest));
    return yzi_record_pack(RECORD_OFFER, &w.base, out);
}
