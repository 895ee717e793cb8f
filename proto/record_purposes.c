/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of the purpose list: the codes for which an instance's requests are made, with their
 * titles for people. It has one form: entries ascend by code.
 */
#include "proto/record_part.h"

static int read_purpose(struct record_reader *r, const Yizhan__Wire__Purpose *w,
                        struct purpose_entry *out)
{
    out->code = yzi_view(w->code);
    YZ_TRY(yzi_check_code(out->code, YZ_PURPOSE_MAX));
    YZ_ENSURE(w->n_titles > 0, YZ_EMALFORMED);
    YZ_TRY(yzi_read_texts(r, w->titles, w->n_titles, &out->titles));
    return yzi_read_optional(w->has_legal_basis, w->legal_basis, YZ_TEXT_MAX, yzi_check_lines,
                             &out->legal_basis);
}

int yzi_purpose_list_parse(yz_bytes body, struct arena *a, struct purpose_list *out)
{
    YZ_AUTO(yzi_record_reader_fini) struct record_reader r = {0};
    const Yizhan__Wire__PurposeList *w;
    struct purpose_list parsed = {0};
    YZ_TRY(yzi_record_unpack(&r, a, &yizhan__wire__purpose_list__descriptor, body, &w));
    parsed.instance = yzi_view(w->instance);
    YZ_TRY(yzi_segment_check(parsed.instance));
    YZ_ENSURE(w->issued_at > 0, YZ_EMALFORMED);
    parsed.issued_at = w->issued_at;
    YZ_TRY(yzi_check_count(w->n_purposes, 0, YZ_PURPOSE_LIST_MAX));
    YZ_TRY(yzi_arena_new(a, w->n_purposes, sizeof *parsed.purposes, &parsed.purposes));
    for (size_t i = 0; i < w->n_purposes; i++) {
        struct purpose_entry *to = &parsed.purposes[i];
        YZ_TRY(read_purpose(&r, w->purposes[i], to));
        YZ_ENSURE(i == 0 || yzi_bytes_cmp(to[-1].code, to->code) < 0, YZ_EMALFORMED);
    }
    parsed.purposes_n = w->n_purposes;
    *out = parsed;
    return 0;
}

int yzi_purpose_list_write(const struct purpose_list *in, yz_buf *out)
{
    YZ_AUTO(yzi_arena_fini) struct arena a = {0};
    yzi_record_writer_init(&a);
    Yizhan__Wire__PurposeList w = YIZHAN__WIRE__PURPOSE_LIST__INIT;
    w.instance = yzi_bin(in->instance);
    w.issued_at = in->issued_at;
    YZ_TRY(yzi_wire_list(&a, &yizhan__wire__purpose__descriptor, in->purposes_n, &w.purposes));
    w.n_purposes = in->purposes_n;
    for (size_t i = 0; i < in->purposes_n; i++) {
        const struct purpose_entry *from = &in->purposes[i];
        Yizhan__Wire__Purpose *to = w.purposes[i];
        to->code = yzi_bin(from->code);
        YZ_TRY(yzi_wire_texts(&a, &from->titles, &to->n_titles, &to->titles));
        to->has_legal_basis = from->legal_basis.n > 0;
        to->legal_basis = yzi_bin(from->legal_basis);
    }
    return yzi_record_pack(RECORD_PURPOSES, &w.base, out);
}
