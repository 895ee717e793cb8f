/* SPDX-License-Identifier: Apache-2.0
 *
 * The replay memory on disk: each id whose request was accepted is appended to a segment file in
 * state/replay before the request is forwarded, and read again at the next start. Appending is one
 * write(2) into the system's cache, about a microsecond: it survives the end of the process,
 * however that comes. A crash of the machine loses what the system had not written back, seconds
 * to half a minute (docs/decisions/0017). Front thread only.
 *
 * A segment is 64-byte slots. The first: "yzreplay", u32 version 1, u32 zero, the 32 bytes of the
 * hash key, u64 zero, a check. Others: key, digest, u64 until, u64 node (struct replay_record), a
 * check of 8 bytes: BLAKE2b-128 of the 56 before it, keyed with the hash key, cut. Big-endian. A
 * slot that does not check is skipped.
 */
#ifndef YZ_BROKER_REPLAY_LOG_H
#define YZ_BROKER_REPLAY_LOG_H

#include "broker/replay.h"

#define REPLAY_SLOT 64u

struct replay_log;

/* Make the folder if need be, and take from what is there the hash key (a fresh one when nothing
 * is). YZ_EIO, YZ_EDISKFULL, YZ_EPERM, YZ_ENOMEM. */
YZ_MUST_USE int yzi_replay_log_open(const char *dir, struct replay_log **out, yz_error *err);
void yzi_replay_log_close(struct replay_log *l); /* NULL allowed */
const uint8_t *yzi_replay_log_key(const struct replay_log *l);
/* Give what is kept to the memory, and remove segments of which all has run out. *out_damaged:
 * slots that do not check. YZ_ENOMEM, YZ_ELIMIT, YZ_EIO. */
YZ_MUST_USE int yzi_replay_log_load(struct replay_log *l, struct replay *r, uint64_t now,
                                    size_t *out_damaged, yz_error *err);
/* YZ_OK: it survives the process. YZ_EDISKFULL, YZ_EIO: it does not, and nothing of it is there. */
YZ_MUST_USE int yzi_replay_log_append(struct replay_log *l, const struct replay_record *record,
                                      uint64_t now);
/* The segment's key; then its records, one after the other: the number of slots that do not check
 * in *out_damaged. YZ_EMALFORMED: not a segment. For the fuzzer, too. */
YZ_MUST_USE int yzi_replay_segment_key(yz_bytes segment, uint8_t out[REPLAY_KEY_BYTES]);
YZ_MUST_USE int yzi_replay_segment_load(yz_bytes segment, struct replay *r, uint64_t now,
                                        size_t *out_damaged, uint64_t *out_until);

#endif
