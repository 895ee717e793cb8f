/* SPDX-License-Identifier: Apache-2.0
 *
 * Masks, character by character: canonical text is valid UTF-8.
 */
#include "adapters/access/mask.h"

#include <sodium.h>

#include "base/text.h"

#define PSEUDONYM_LABEL "yz pseudonym 1"
#define PSEUDONYM_BYTES 16u
#define LAST 4u

_Static_assert(4 + LAST * 4 <= QUERY_MASKED_MAX && 2 * PSEUDONYM_BYTES + 1 <= QUERY_MASKED_MAX,
               "a masked value fits the room for it");

bool yzi_mask_fits(enum field_mask mask, enum field_type type, const char **why)
{
    const char *no = NULL;
    switch (mask) {
    case MASK_NONE:
    case MASK_HIDE:
        break;
    case MASK_LAST4:
        no = type == FIELD_TEXT || type == FIELD_INTEGER ? NULL : "is for texts and integers";
        break;
    case MASK_YEAR:
        no = type == FIELD_DATE || type == FIELD_TIME ? NULL : "is for dates and times";
        break;
    case MASK_INITIAL:
        no = type == FIELD_TEXT ? NULL : "is for texts";
        break;
    case MASK_HASH:
        no = type == FIELD_BOOLEAN || type == FIELD_CODE || type == FIELD_DATE
                 ? "is not for fields of so few values: the pseudonyms could be told by counting"
                 : NULL;
        break;
    default:
        no = "is not a mask of this version";
    }
    if (no && why) {
        *why = no;
    }
    return no == NULL;
}

/* -- parts of a text -- */

static size_t count_characters(yz_bytes v)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        n += (v.p[i] & 0xc0) != 0x80;
    }
    return n;
}

/* The last n characters. */
static yz_bytes tail(yz_bytes v, size_t n)
{
    size_t at = v.n;
    while (n && at) {
        at--;
        n -= (v.p[at] & 0xc0) != 0x80;
    }
    return yzi_bytes(v.p + at, v.n - at);
}

static void show(yz_bytes before, yz_bytes after, uint8_t room[QUERY_MASKED_MAX],
                 struct query_value *out)
{
    if (before.n) {
        memcpy(room, before.p, before.n);
    }
    if (after.n) {
        memcpy(room + before.n, after.p, after.n);
    }
    *out = (struct query_value){.v = yzi_bytes(room, before.n + after.n)};
}

static void show_last(yz_bytes v, uint8_t room[QUERY_MASKED_MAX], struct query_value *out)
{
    bool whole = count_characters(v) >= MASK_LAST4_WHOLE;
    show(yzi_bytes_str("****"), whole ? tail(v, LAST) : yzi_bytes_str(""), room, out);
}

static void show_initial(yz_bytes v, uint8_t room[QUERY_MASKED_MAX], struct query_value *out)
{
    size_t n = count_characters(v) > 1 ? yzi_utf8_char(v) : 0;
    show(yzi_bytes(v.p, n), yzi_bytes_str("**"), room, out);
}

/* -- pseudonyms -- */

static void hash_part(crypto_generichash_state *h, const void *p, size_t n)
{
    uint8_t length[8];
    for (unsigned i = 0; i < 8; i++) {
        length[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    }
    crypto_generichash_update(h, length, sizeof length);
    crypto_generichash_update(h, p, n);
}

/* Fields of one data element have one pseudonym for one value, so that the consumer can bring the
 * records of several data sets together; others are apart. */
static int pseudonymise(const struct pseudonym *p, yz_bytes v, uint8_t room[QUERY_MASKED_MAX],
                        struct query_value *out)
{
    const struct dataset_field *f = p->field;
    bool shared = strcmp(f->element, f->name) != 0;
    uint8_t hash[crypto_generichash_BYTES];
    crypto_generichash_state h;
    YZ_ENSURE(p->key, YZ_EINVAL);
    YZ_ENSURE(crypto_generichash_init(&h, p->key, crypto_generichash_KEYBYTES, sizeof hash) == 0,
              YZ_EINVAL);
    hash_part(&h, PSEUDONYM_LABEL, sizeof PSEUDONYM_LABEL - 1);
    hash_part(&h, p->consumer.v.p, p->consumer.v.n);
    hash_part(&h, shared ? "" : p->dataset, shared ? 0 : strlen(p->dataset));
    hash_part(&h, f->element, strlen(f->element));
    hash_part(&h, v.p, v.n);
    crypto_generichash_final(&h, hash, sizeof hash);
    sodium_memzero(&h, sizeof h);
    char text[2 * PSEUDONYM_BYTES + 1];
    sodium_bin2hex(text, sizeof text, hash, PSEUDONYM_BYTES);
    show(yzi_bytes_str(""), yzi_bytes_str(text), room, out);
    return 0;
}

int yzi_mask_apply(enum field_mask mask, const struct pseudonym *p, const struct query_value *v,
                   uint8_t room[QUERY_MASKED_MAX], struct query_value *out)
{
    struct query_value from = *v;
    *out = (struct query_value){.null = true};
    if (from.null || mask == MASK_HIDE) {
        return 0;
    }
    switch (mask) {
    case MASK_NONE:
        *out = from;
        return 0;
    case MASK_LAST4:
        show_last(from.v, room, out);
        return 0;
    case MASK_YEAR: /* of both types the text begins with it */
        YZ_ENSURE(from.v.n >= 4, YZ_ECORRUPT);
        show(yzi_bytes_str(""), yzi_bytes(from.v.p, 4), room, out);
        return 0;
    case MASK_INITIAL:
        show_initial(from.v, room, out);
        return 0;
    case MASK_HASH:
        return pseudonymise(p, from.v, room, out);
    case MASK_HIDE:
    default:
        return YZ_EINVAL;
    }
}
