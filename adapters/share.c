/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of those who hold something; who holds nothing is not in it.
 */
#include "adapters/share.h"

struct share {
    size_t n;
};

void yzi_shares_init(struct shares *s, size_t total_max, size_t each_max)
{
    *s = (struct shares){.total_max = total_max, .each_max = each_max};
}

void yzi_shares_fini(struct shares *s)
{
    yzi_table_fini(&s->holders, free);
}

size_t yzi_shares_of(const struct shares *s, yz_bytes holder)
{
    const struct share *h = yzi_table_get(&s->holders, holder);
    return h ? h->n : 0;
}

int yzi_shares_note(struct shares *s, yz_bytes holder, size_t n)
{
    struct share *h = yzi_table_get(&s->holders, holder);
    if (!h && n > 0) {
        YZ_TRY(yzi_alloc(1, sizeof *h, &h));
        int rc = yzi_table_put(&s->holders, holder, h);
        if (rc < 0) {
            free(h);
            return rc;
        }
    }
    if (h) {
        h->n += n;
        s->total += n;
    }
    return YZ_OK;
}

int yzi_shares_take(struct shares *s, yz_bytes holder, size_t n, bool *own)
{
    size_t has = yzi_shares_of(s, holder);
    bool beyond = has > s->each_max || n > s->each_max - has;
    if (own) {
        *own = beyond;
    }
    YZ_ENSURE(!beyond && s->total <= s->total_max && n <= s->total_max - s->total, YZ_EBUSY);
    return yzi_shares_note(s, holder, n);
}

void yzi_shares_give(struct shares *s, yz_bytes holder, size_t n)
{
    struct share *h = yzi_table_get(&s->holders, holder);
    if (!h) {
        return;
    }
    n = n < h->n ? n : h->n;
    h->n -= n;
    s->total -= n;
    if (h->n == 0) {
        (void)yzi_table_remove(&s->holders, holder);
        free(h);
    }
}
