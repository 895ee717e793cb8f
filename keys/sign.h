/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures, and the table of who may sign what (docs/protocol.md, "Signatures", "Who may sign
 * what"). Every signature has its own context string, so that no signed bytes can be taken for
 * something else.
 *
 * Messages: Ed25519 over context ‖ 0x00 ‖ version u8 ‖ kind u8 ‖ tree size u32 ‖ root 32, the root
 * being that of an RFC 6962 tree whose leaves are (version u8 ‖ kind u8 ‖ header) of each message
 * of the batch. Records: Ed25519 over context ‖ 0x00 ‖ version u8 ‖ kind u8 ‖ body.
 */
#ifndef YZ_KEYS_SIGN_H
#define YZ_KEYS_SIGN_H

#include "keys/keyfile.h"
#include "proto/frame.h"
#include "proto/record.h"

/* Which authority signs; the ladder (keys/verify.h) and the directory find its keys. */
enum signer {
    SIGNER_NONE = 0,  /* nobody: covered by the manifest, or by a digest in a signed record */
    SIGNER_ROOT,      /* root keys, m-of-n */
    SIGNER_OPERATOR,  /* operator keys of the root statement, m-of-n */
    SIGNER_FRESHNESS, /* the freshness key of the root statement */
    SIGNER_MEMBER,    /* a member key of the member record */
    SIGNER_OWNER,     /* an owner key of the member set */
    SIGNER_NODE,      /* a signing key of the node named in it */
    SIGNER_CONSUMER,  /* a signing key of the client node named in the header, for its subsystem */
    SIGNER_PROVIDER,  /* a signing key of the adapter named in a slot of the request */
    SIGNER_BROKER,    /* a signing key of a broker named in the request */
    SIGNER_LOG,       /* a log key of the broker */
    SIGNER_SELF       /* the signing key the request itself names */
};
struct sign_rule {
    const char *what;    /* for documents and messages */
    const char *context; /* "yizhan/v1 request" */
    enum signer signer;
    enum key_use use; /* the only use whose key may make it */
};
const struct sign_rule *yzi_sign_rule_message(enum frame_kind kind); /* NULL: never signed */
const struct sign_rule *yzi_sign_rule_record(enum record_kind kind);
/* Row i of the whole table, in the order of docs/protocol.md; NULL beyond the last. */
const struct sign_rule *yzi_sign_rule_at(size_t i);
const char *yzi_signer_text(enum signer signer); /* the words of that document; "?" if unknown */

/* -- messages --
 * Signing needs the key for itself, unless it is held (yzi_key_pair_hold): then any number of
 * threads may sign with it at the same time. */

/* Sign one message header: appends a signature block with an empty path. YZ_EINVAL when the kind is
 * never signed or the key's use is not the rule's; YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_sign_message(struct key_pair *key, enum frame_kind kind, yz_bytes header,
                                 yz_buf *out_block);
/* Sign n headers (1..YZ_BATCH_MAX) of one kind with one signature; blocks[i] receives header
 * i's. */
YZ_MUST_USE int yzi_sign_batch(struct key_pair *key, enum frame_kind kind, const yz_bytes *headers,
                               size_t n, yz_buf *blocks);

/* Verified roots of one peer, so that a batch costs one verification: keyed by signing key, kind,
 * size, root and all 64 signature bytes; never for batches of one; fixed size, oldest out.
 * Zero-initialised it is empty. One thread at a time. */
#define ROOT_MEMORY_SLOTS 8u
struct root_memory {
    struct {
        yz_digest name; /* BLAKE2b-256 over everything named above; zero: empty */
    } seen[ROOT_MEMORY_SLOTS];
    unsigned next;
    uint64_t hits, misses; /* for metrics */
};
/* Verify a block over a header. The caller checks (before or after, but always) that b->key may
 * sign for the sender now. memory may be NULL. YZ_ESIGNATURE. */
YZ_MUST_USE int yzi_verify_message(struct root_memory *memory, enum frame_kind kind,
                                   yz_bytes header, const struct signature_block *b);

/* -- records -- */

/* Sign a record body with n distinct keys (all of the rule's use, at most YZ_RECORD_SIGNATURES_MAX)
 * and append the record. n 0 is for SIGNER_NONE, and only for it. YZ_EINVAL, YZ_ETOOBIG, YZ_ELIMIT,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_record_sign(enum record_kind kind, yz_bytes body, struct key_pair *const *keys,
                                unsigned n, yz_buf *out);
/* That at least `threshold` (never 0) distinct keys of `allowed` signed it, and that no signature
 * present is wrong, those of other keys included. YZ_ESIGNATURE (always so for SIGNER_NONE kinds),
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_record_verify(const struct record *r, const uint8_t (*allowed)[32],
                                  size_t allowed_n, unsigned threshold);
/* That one key of the list that is valid at `now` signed it, and that no signature present is
 * wrong. YZ_ESIGNATURE, YZ_EEXPIRED (only keys of the list that are not valid now did), YZ_ENOMEM.
 */
YZ_MUST_USE int yzi_record_verify_one(const struct record *r, const struct key_list *allowed,
                                      uint64_t now);
/* not_before <= now and (not_after 0 or now < not_after) for this key in the list. */
bool yzi_key_list_has(const struct key_list *l, const uint8_t key[32], uint64_t now);

/* -- checkpoints --
 * What the log key signs is the text of a signed note (C2SP), as it stands: its first line, the
 * log's origin, takes the place of a context. No other signed bytes can be such a text, because
 * contexts hold a space and origins do not. YZ_EINVAL: not a log key, or no text of that kind. */
YZ_MUST_USE int yzi_sign_checkpoint(struct key_pair *key, yz_bytes text, uint8_t out_signature[64]);
YZ_MUST_USE int yzi_verify_checkpoint(yz_bytes text, const uint8_t key[32],
                                      const uint8_t signature[64]); /* YZ_ESIGNATURE */

#endif
