/* SPDX-License-Identifier: Apache-2.0
 *
 * Homes of operator, member and nodes on disk (docs/operations.md, "Homes"): records in text
 * armour, private keys beside them. Everything read is parsed and checked before it is used;
 * everything written replaces the old file in one step. A verb that changes a home holds its lock
 * from before it reads until it ends, so that no version is made twice.
 */
#ifndef YZ_CLI_HOME_H
#define YZ_CLI_HOME_H

#include "cli/cli.h"
#include "keys/sign.h"
#include "net/admin.h"
#include "proto/record.h"

enum home_kind { HOME_OPERATOR = 1, HOME_MEMBER, HOME_NODE };

/* Which home a folder is; 0: none. */
enum home_kind yzi_home_kind(struct cli *c, const char *dir);
/* The folder of --home, which must be a home of this kind; with `change` it is locked (YZ_EBUSY).
 * YZ_EINVAL with a sentence when it is none, or another. */
YZ_MUST_USE int yzi_home_open(struct cli *c, enum home_kind kind, bool change, const char **out);
/* The folder of --home, which becomes a home: made when absent. YZ_EEXIST when it is one. */
YZ_MUST_USE int yzi_home_begin(struct cli *c, const char **out);

/* dir/name as a string in the invocation's arena. */
YZ_MUST_USE int yzi_home_path(struct cli *c, const char *dir, const char *name, const char **out);
/* An identifier as a file name: '/' becomes '+', and one too long for a file system is cut and ends
 * in its digest. */
YZ_MUST_USE int yzi_home_file_name(struct cli *c, const char *prefix, yz_bytes id,
                                   const char *suffix, const char **out);

/* -- records -- */

/* Read a record in armour that must be of this kind (0: any). Views are valid as long as the
 * invocation. The error names the file; exit code 5 when it is damaged. */
YZ_MUST_USE int yzi_home_read(struct cli *c, const char *path, enum record_kind kind,
                              struct record *out);
/* Write a record in armour, 0644; with `is_new` it must not be there yet, and goes again should the
 * verb fail. */
YZ_MUST_USE int yzi_home_write(struct cli *c, const char *path, yz_bytes record);
YZ_MUST_USE int yzi_home_write_new(struct cli *c, const char *path, yz_bytes record);
/* Sign a body (n 0: kinds nobody signs); the record lies in the arena. */
YZ_MUST_USE int yzi_home_sign(struct cli *c, enum record_kind kind, yz_bytes body,
                              struct key_pair *const *keys, unsigned n, yz_bytes *out);
/* The sentence for a record's body that could not be parsed or written. */
int yzi_home_bad_body(struct cli *c, int rc, const char *path, const char *what);

/* -- keys -- */

/* A key of a home: dir/keys/name.key. Free with yzi_key_pair_fini. */
YZ_MUST_USE int yzi_home_key(struct cli *c, const char *dir, const char *name, enum key_use use,
                             struct key_pair *out);
/* Make dir/keys (0700) and a new key in it; YZ_EEXIST with a sentence when it is there. */
YZ_MUST_USE int yzi_home_new_key(struct cli *c, const char *dir, const char *name, enum key_use use,
                                 uint8_t out_public[32]);
/* Refuse unless the key's fingerprint is the one given with --fingerprint (when given). */
YZ_MUST_USE int yzi_home_check_fingerprint(struct cli *c, const uint8_t key[32], const char *what);

/* -- node requests -- */

/* Write dir/request.yzr, signed with the signing key of that home. */
YZ_MUST_USE int yzi_home_write_request(struct cli *c, const char *dir, struct node_request *q);
/* Read a request, its own signature verified and its fingerprint compared. */
YZ_MUST_USE int yzi_home_read_request(struct cli *c, const char *path, struct node_request *out);

/* -- member sets -- */

/* The member set of a member's home, signed by its key. */
YZ_MUST_USE int yzi_home_member_set(struct cli *c, const char *home, struct member_set *out);
/* Sign it as the next version and put it in place of the old one. */
YZ_MUST_USE int yzi_home_sign_member_set(struct cli *c, const char *home, struct member_set *set);
/* Give the member set to every --admin. */
YZ_MUST_USE int yzi_home_push_member_set(struct cli *c, const char *home);
/* The set's node of that id, its subsystem of that code; NULL when there is none. */
struct node_record *yzi_home_node(const struct member_set *set, yz_bytes node);
struct subsystem_record *yzi_home_subsystem(const struct member_set *set, yz_bytes code);

/* -- daemons -- */

/* Ask the daemon behind an administration socket. Errors name the socket; YZ_EUNAVAILABLE when
 * nobody listens on it. `out_payload` may be NULL. */
struct home_call {
    const char *socket, *verb;
    struct admin_arg *args;
    size_t args_n;
    yz_bytes payload;
    int fd;              /* -1: none */
    const int *out_fd;   /* a second one, NULL: none; only with fd */
    uint64_t timeout_ms; /* 0: 30 s */
    void (*each)(void *ctx, yz_bytes text, yz_bytes payload);
    void *ctx;
};
YZ_MUST_USE int yzi_home_call(struct cli *c, const struct home_call *call, yz_buf *out_text,
                              yz_buf *out_payload);
/* Give records (a bundle, an anchor) to one daemon, or to each of --admin: all are tried, the first
 * failure is returned and the others are printed. */
YZ_MUST_USE int yzi_home_send(struct cli *c, const char *socket, const char *verb,
                              yz_bytes payload);
YZ_MUST_USE int yzi_home_send_all(struct cli *c, const char *verb, yz_bytes payload);
/* The same with the file itself: it may be larger than a message. */
YZ_MUST_USE int yzi_home_send_file(struct cli *c, const char *verb, const char *path);

uint64_t yzi_home_now(void);
/* From when a key made or listed now counts: some seconds ago, because clocks differ. */
uint64_t yzi_home_valid_from(void);
/* Base64 of 32 bytes, NUL-terminated. */
void yzi_home_base64(const uint8_t key[32], char out[48]);

#endif
