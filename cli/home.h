/* SPDX-License-Identifier: Apache-2.0
 *
 * Homes of operator, member and nodes on disk (docs/operations.md, "Homes"): records in text
 * armour, private keys beside them. Everything read is parsed and checked before it is used;
 * everything written replaces the old file in one step.
 */
#ifndef YZ_CLI_HOME_H
#define YZ_CLI_HOME_H

#include "cli/cli.h"
#include "keys/sign.h"
#include "proto/record.h"

/* dir/name as a string in the invocation's arena. */
YZ_MUST_USE int yzi_home_path(struct cli *c, const char *dir, const char *name, const char **out);

/* Read a record in armour that must be of this kind (0: any). Views are valid as long as the
 * invocation. The error names the file. */
YZ_MUST_USE int yzi_home_read(struct cli *c, const char *path, enum record_kind kind,
                              struct record *out);
/* Write a record in armour, 0644. */
YZ_MUST_USE int yzi_home_write(struct cli *c, const char *path, yz_bytes record);
/* A key of a home: dir/keys/name.key. Hold ends with the process. */
YZ_MUST_USE int yzi_home_key(struct cli *c, const char *dir, const char *name, enum key_use use,
                             struct key_pair *out);
/* Make dir/keys (0700) and a new key in it; YZ_EEXIST with a sentence when it is there. */
YZ_MUST_USE int yzi_home_new_key(struct cli *c, const char *dir, const char *name, enum key_use use,
                                 uint8_t out_public[32]);
/* An identifier as a file name: '/' becomes '+'. */
YZ_MUST_USE int yzi_home_file_name(struct cli *c, const char *prefix, yz_bytes id,
                                   const char *suffix, const char **out);

/* The member set of a member's home, parsed, and the same signed as the next version. */
YZ_MUST_USE int yzi_home_member_set(struct cli *c, const char *home, struct member_set *out);
YZ_MUST_USE int yzi_home_sign_member_set(struct cli *c, const char *home, struct member_set *set);

/* Refuse unless the key's fingerprint is the one given with --fingerprint (when given). */
YZ_MUST_USE int yzi_home_check_fingerprint(struct cli *c, const uint8_t key[32], const char *what);

/* Send records (or a bundle, an anchor) to a daemon's administration socket; `each_socket` from the
 * option --admin, given any number of times. */
YZ_MUST_USE int yzi_home_send(struct cli *c, const char *socket, const char *verb,
                              yz_bytes payload);
YZ_MUST_USE int yzi_home_send_all(struct cli *c, const char *verb, yz_bytes payload);

uint64_t yzi_home_now(void);
/* Base64 of 32 bytes, NUL-terminated. */
void yzi_home_base64(const uint8_t key[32], char out[48]);

#endif
