/* SPDX-License-Identifier: Apache-2.0
 *
 * An adapter's sealing epochs. Few live at a time: a new one is made at half the life of the last,
 * so normally three, and a bound holds when the wall clock keeps jumping.
 */
#include "keys/seal.h"
#include "keys/sign.h"

#define EPOCHS_MAX 8u
#define EPOCH_GRACE_MS                                                                             \
    (YZ_EXPIRY_MAX_MS + YZ_SKEW_MS) /* what was sealed at not_after's last moment */

struct epochs {
    struct key_pair *signing;
    const struct clock *clock;
    uint8_t node[YZ_ID_MAX];
    size_t node_n;
    uint64_t last_sequence;
    struct epoch *live[EPOCHS_MAX]; /* newest first */
    unsigned live_n;
};

static void free_epoch(struct epoch *e)
{
    yzi_key_pair_fini(&e->key);
    yzi_buf_fini(&e->record);
    free(e);
}

static void free_epoch_ptr(struct epoch **e)
{
    if (*e) {
        free_epoch(*e);
    }
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t yzi_epoch_wipe_at(const struct announcement *a)
{
    return add_capped(a->not_after, EPOCH_GRACE_MS);
}

int yzi_epochs_new(yz_node_id node, struct key_pair *signing, const struct clock *clock,
                   struct epochs **out)
{
    YZ_ENSURE(node.v.n > 0 && node.v.n <= YZ_ID_MAX && signing->use == KEY_SIGNING, YZ_EINVAL);
    struct epochs *e;
    YZ_TRY(yzi_alloc(1, sizeof *e, &e));
    e->signing = signing;
    e->clock = clock;
    memcpy(e->node, node.v.p, node.v.n);
    e->node_n = node.v.n;
    *out = e;
    return 0;
}

void yzi_epochs_free(struct epochs *e)
{
    if (e) {
        for (unsigned i = 0; i < e->live_n; i++) {
            free_epoch(e->live[i]);
        }
        free(e);
    }
}

/* -- life -- */

static bool is_over(const struct epochs *e, const struct epoch *epoch)
{
    uint64_t age = yzi_mono_ms(e->clock) - epoch->born;
    return yzi_wall_ms(e->clock) > yzi_epoch_wipe_at(&epoch->announcement) ||
           age > (uint64_t)EPOCH_LIFE_MS + EPOCH_GRACE_MS;
}

static void wipe_old(struct epochs *e)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < e->live_n; i++) {
        struct epoch *epoch = e->live[i];
        if (is_over(e, epoch)) {
            free_epoch(epoch);
        } else {
            e->live[kept++] = epoch;
        }
    }
    e->live_n = kept;
}

static bool is_due(const struct epochs *e)
{
    if (e->live_n == 0) {
        return true;
    }
    const struct epoch *newest = e->live[0];
    uint64_t now = yzi_wall_ms(e->clock);
    return now < newest->announcement.not_before ||
           now - newest->announcement.not_before >= EPOCH_LIFE_MS / 2 ||
           yzi_mono_ms(e->clock) - newest->born >= EPOCH_LIFE_MS / 2;
}

/* -- making -- */

static int announce(struct epochs *e, struct epoch *epoch)
{
    YZ_AUTO(yzi_buf_fini) yz_buf body = {0};
    yzi_buf_init(&body, YZ_RECORD_MAX);
    yzi_buf_init(&epoch->record, YZ_RECORD_MAX);
    YZ_TRY(yzi_announcement_write(&epoch->announcement, &body));
    struct key_pair *const keys[] = {e->signing};
    YZ_TRY(yzi_record_sign(RECORD_ANNOUNCEMENT, yzi_bytes_buf(&body), keys, 1, &epoch->record));
    yzi_record_digest(yzi_bytes_buf(&epoch->record), &epoch->digest);
    return 0;
}

static int make_epoch(struct epochs *e, struct epoch **out)
{
    YZ_AUTO(free_epoch_ptr) struct epoch *epoch = NULL;
    YZ_TRY(yzi_alloc(1, sizeof *epoch, &epoch));
    YZ_TRY(yzi_key_pair_generate(KEY_SEALING, &epoch->key));
    uint64_t now = yzi_wall_ms(e->clock);
    uint64_t next = add_capped(e->last_sequence, 1);
    struct announcement *a = &epoch->announcement;
    a->node = (yz_node_id){yzi_bytes(e->node, e->node_n)};
    memcpy(a->epoch_key, epoch->key.public_key, sizeof a->epoch_key);
    a->sequence = now > next ? now : next;
    a->not_before = now > YZ_SKEW_MS ? now - YZ_SKEW_MS : 0;
    a->not_after = add_capped(a->not_before, EPOCH_LIFE_MS);
    a->suite = SUITE_1;
    epoch->born = yzi_mono_ms(e->clock);
    YZ_TRY(announce(e, epoch));
    *out = YZ_TAKE(epoch);
    return 0;
}

static void push_newest(struct epochs *e, struct epoch *epoch)
{
    if (e->live_n == EPOCHS_MAX) {
        free_epoch(e->live[--e->live_n]);
    }
    for (unsigned i = e->live_n; i > 0; i--) {
        e->live[i] = e->live[i - 1];
    }
    e->live[0] = epoch;
    e->live_n++;
    e->last_sequence = epoch->announcement.sequence;
}

/* -- using -- */

int yzi_epochs_current(struct epochs *e, struct epoch **out, bool *out_is_new)
{
    wipe_old(e);
    bool due = is_due(e);
    if (due) {
        struct epoch *epoch = NULL;
        YZ_TRY(make_epoch(e, &epoch));
        push_newest(e, epoch);
    }
    *out = e->live[0];
    if (out_is_new) {
        *out_is_new = due;
    }
    return 0;
}

int yzi_epochs_find(struct epochs *e, const yz_digest *announcement, struct epoch **out)
{
    wipe_old(e);
    for (unsigned i = 0; i < e->live_n; i++) {
        if (yzi_digest_eq(&e->live[i]->digest, announcement)) {
            *out = e->live[i];
            return 0;
        }
    }
    return YZ_ESTALEKEY;
}
