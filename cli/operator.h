/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's home: the anchor, the root statement in force, the records the next directory is
 * made of, and the keys that sign both.
 */
#ifndef YZ_CLI_OPERATOR_H
#define YZ_CLI_OPERATOR_H

#include "cli/home.h"

struct operator_home {
    const char *dir;
    struct record anchor, root;
    struct root_statement statement; /* what root says */
};
/* The operator's home of --home; its root statement is authorised by its anchor. */
YZ_MUST_USE int yzi_operator_open(struct cli *c, bool change, struct operator_home *out);
/* That an identifier is of this instance. */
YZ_MUST_USE int yzi_operator_check_instance(struct cli *c, const struct operator_home *h,
                                            yz_bytes id);

/* The private keys of the home that are among `allowed`: at least `threshold`, named
 * keys/<name>-1.key and so on. */
struct signers {
    struct key_pair pairs[YZ_ROOT_KEYS_MAX];
    struct key_pair *keys[YZ_ROOT_KEYS_MAX];
    unsigned n;
};
YZ_MUST_USE int yzi_operator_signers(struct cli *c, const char *dir, enum key_use use,
                                     const uint8_t (*allowed)[32], size_t allowed_n,
                                     unsigned threshold, struct signers *out);
void yzi_operator_signers_fini(struct signers *s); /* accepts a zeroed one */

/* Sign the statement as the next version and put it in force. */
YZ_MUST_USE int yzi_operator_sign_root(struct cli *c, const struct operator_home *h,
                                       struct root_statement *next);

/* -- records/ -- */

/* Where the record of this kind about that id is kept. */
YZ_MUST_USE int yzi_operator_path(struct cli *c, const struct operator_home *h,
                                  enum record_kind kind, yz_bytes id, const char **out);
/* Read it. YZ_ENOTFOUND when there is none. */
YZ_MUST_USE int yzi_operator_find(struct cli *c, const struct operator_home *h,
                                  enum record_kind kind, yz_bytes id, struct record *out);
/* Frame a body nobody signs, or take a signed record as it is, and keep it. */
YZ_MUST_USE int yzi_operator_keep_body(struct cli *c, const struct operator_home *h,
                                       enum record_kind kind, yz_bytes id, yz_bytes body);
YZ_MUST_USE int yzi_operator_keep(struct cli *c, const struct operator_home *h,
                                  enum record_kind kind, yz_bytes id, yz_bytes raw);
/* All of them, in no order. */
YZ_MUST_USE int yzi_operator_records(struct cli *c, const struct operator_home *h,
                                     struct record **out, size_t *out_n);

/* The record of a member, YZ_ENOTFOUND with a sentence when there is none. */
YZ_MUST_USE int yzi_operator_member(struct cli *c, const struct operator_home *h, yz_bytes member,
                                    struct member_record *out);
/* A member set from its member: parsed, signed by a key of the member's record, and not older than
 * the one kept nor another of the same version. */
YZ_MUST_USE int yzi_operator_check_set(struct cli *c, const struct operator_home *h,
                                       const char *path, const struct record *r,
                                       const struct key_list *keys, const struct member_set *set);

#endif
