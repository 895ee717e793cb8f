/* SPDX-License-Identifier: Apache-2.0
 *
 * What writer and reader of kept exchanges share (docs/evidence.md, "What is kept"). A file is
 * "YZKEPT1" 00 ‖ id 16 (random), then records: length u32 ‖ nonce 24 ‖ XChaCha20-Poly1305 of the
 * record under the day's key, associated data id ‖ offset u64 of the length within the file.
 *
 * A record: kind u8, then
 *   1 exchange: role u8 ‖ at u64 ‖ answer kind u8 ‖ directory 32 ‖ broker ‖ request ‖ answer ‖
 *     request plaintext ‖ answer plaintext ‖ receipt, each with its length u32 before it;
 *   2 receipt: request digest 32 ‖ broker ‖ receipt, likewise;
 *   3 exchange with subjects: as 1, then name of the data set ‖ subjects, likewise.
 */
#ifndef YZ_EVIDENCE_KEPT_FORMAT_H
#define YZ_EVIDENCE_KEPT_FORMAT_H

#include <sodium.h>

#include "evidence/kept.h"

#define KEPT_MAGIC "YZKEPT1"
#define KEPT_ID_BYTES 16u
#define KEPT_HEAD_BYTES (sizeof KEPT_MAGIC + KEPT_ID_BYTES)
#define KEPT_NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define KEPT_TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define KEPT_FILE_SUFFIX ".yzk"
#define KEPT_KEY_NAME "day.key"
#define KEPT_DESTROYED_NAME "destroyed" /* holds the last day that was, and a newline */

enum { KEPT_KIND_EXCHANGE = 1, KEPT_KIND_RECEIPT = 2, KEPT_KIND_WITH_SUBJECTS = 3 };

#define KEPT_AD_BYTES (KEPT_ID_BYTES + 8u)
static inline void yzi_kept_ad(const uint8_t id[KEPT_ID_BYTES], uint64_t offset,
                               uint8_t out[KEPT_AD_BYTES])
{
    memcpy(out, id, KEPT_ID_BYTES);
    yzi_store_u64(out + KEPT_ID_BYTES, offset);
}

/* The inside of an exchange's record; appended. */
YZ_MUST_USE int yzi_kept_record_write(const struct kept_exchange *x, yz_buf *b);
/* The name of the object of a node in a directory, within objects/: hex. */
#define KEPT_OBJECT_NAME 65u
void yzi_kept_object_name(const yz_digest *directory, yz_bytes node, char out[KEPT_OBJECT_NAME]);

#endif
