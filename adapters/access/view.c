/* SPDX-License-Identifier: Apache-2.0
 *
 * From a grant to a view: nothing is decided here, what was decided is brought into the store's
 * words.
 */
#include "adapters/access/view.h"

#include "adapters/access/rules.h"
#include "adapters/dataset/find.h"

#define ARENA_MAX (16u * 1024u * 1024u)

static int convert(const struct row_condition *from, struct arena *arena,
                   struct query_condition *to)
{
    *to = (struct query_condition){.field = from->field, .op = from->op};
    YZ_TRY(yzi_arena_new(arena, from->values.n, sizeof *to->values, &to->values));
    for (; to->values_n < from->values.n; to->values_n++) {
        to->values[to->values_n].v = from->values.items[to->values_n];
    }
    return 0;
}

static int convert_all(const struct fine_grant *g, struct arena *arena,
                       struct query_condition **out)
{
    struct query_condition *to;
    YZ_TRY(yzi_arena_new(arena, g->row_filter_n, sizeof *to, &to));
    for (size_t i = 0; i < g->row_filter_n; i++) {
        YZ_TRY(convert(&g->row_filter[i], arena, &to[i]));
    }
    *out = to;
    return 0;
}

bool yzi_access_row_filter_fits(const struct fine_grant *g, const struct dataset *d)
{
    YZ_AUTO(yzi_arena_fini) struct arena arena;
    struct query_condition *conditions = NULL;
    struct query_fault fault;
    yzi_arena_init(&arena, ARENA_MAX);
    return convert_all(g, &arena, &conditions) == 0 &&
           yzi_filter_check(d, conditions, g->row_filter_n, &fault) == 0;
}

static int mask(const void *ctx, size_t column, const struct query_value *v,
                uint8_t room[QUERY_MASKED_MAX], struct query_value *out)
{
    const struct access_view *a = ctx;
    const struct pseudonym p = {.key = a->pseudonym_key,
                                .consumer = a->consumer,
                                .dataset = a->dataset->name,
                                .field = &a->dataset->fields[a->decision->projection[column]]};
    return yzi_mask_apply(a->decision->masks[column], &p, v, room, out);
}

int yzi_access_view(const struct access_decision *d, const struct terms *terms,
                    const struct dataset *dataset, yz_subsystem_id consumer, struct arena *arena,
                    struct access_view *out)
{
    const struct fine_grant *g = d->fine;
    struct query_condition *row_filter = NULL;
    YZ_ASSERT(d->allowed && g);
    YZ_TRY(convert_all(g, arena, &row_filter));
    *out = (struct access_view){.decision = d,
                                .dataset = dataset,
                                .pseudonym_key =
                                    terms->has_pseudonym_key ? terms->pseudonym_key : NULL,
                                .consumer = consumer};
    for (size_t i = 0; i < dataset->fields_n; i++) {
        out->hidden[i] =
            yzi_access_readable(g, yzi_bytes_str(dataset->fields[i].name)) != MASK_NONE;
    }
    out->view = (struct query_view){.row_filter = row_filter,
                                    .row_filter_n = g->row_filter_n,
                                    .hidden = out->hidden,
                                    .mask = mask,
                                    .mask_ctx = out};
    return 0;
}
