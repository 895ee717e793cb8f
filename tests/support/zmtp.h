/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer made of bare TCP that speaks ZMTP 3.1 with CURVE (RFC 23, 26) itself, so that it can do
 * what libzmq never would: stop anywhere, send half a frame, or parts of a message without an end.
 * Blocking, with a bound on each wait; one thread at a time.
 */
#ifndef YZ_TESTS_SUPPORT_ZMTP_H
#define YZ_TESTS_SUPPORT_ZMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where to stop: everything before it is done. */
enum zmtp_stage {
    ZMTP_CONNECTED,
    ZMTP_GREETED,   /* greetings sent and received */
    ZMTP_HELLO,     /* CURVE HELLO sent, WELCOME received */
    ZMTP_INITIATED, /* INITIATE sent; nobody knows yet */
    ZMTP_READY      /* READY received: admitted */
};
struct zmtp {
    int fd; /* -1: none */
    enum zmtp_stage stage;
    char refused[4]; /* the status code with which it was not admitted; "": none came */
    uint64_t nonce;
    uint8_t key[32]; /* crypto_box_beforenm of both short-term keys */
    struct zmtp_handshake {
        uint8_t short_public[32], short_secret[32];
        uint8_t server_short[32], cookie[96];
    } handshake;
};
struct zmtp_keys {
    uint8_t server_public[32], public_key[32], secret_key[32];
};

/* "tcp://127.0.0.1:port". False when the other side ends it, or is silent for 10 s. */
bool zmtp_open(struct zmtp *z, const char *endpoint, const struct zmtp_keys *keys,
               enum zmtp_stage stage);
/* From where it stands; the same. */
bool zmtp_go_on(struct zmtp *z, const struct zmtp_keys *keys, enum zmtp_stage stage);
void zmtp_close(struct zmtp *z);
/* Bytes as they are. False when the connection is gone, or nothing moved for wait_ms. */
bool zmtp_send_raw(struct zmtp *z, const void *p, size_t n, int wait_ms);
/* The head of a long frame that announces n bytes. */
bool zmtp_send_head(struct zmtp *z, uint8_t flags, uint64_t n, int wait_ms);
/* A part of a message, encrypted; `more` says that another follows. */
bool zmtp_send_part(struct zmtp *z, const void *p, size_t n, bool more, int wait_ms);
/* Has the other side ended it? Waits so long for that, dropping what it says. */
bool zmtp_is_ended(struct zmtp *z, int wait_ms);

#endif
