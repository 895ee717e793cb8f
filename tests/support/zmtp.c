/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of CURVE, as in RFC 26, and its frames.
 */
#include "tests/support/zmtp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000
#define GREETING 64u
#define FRAME_MORE 0x01u
#define FRAME_LONG 0x02u
#define FRAME_COMMAND 0x04u

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool zmtp_send_raw(struct zmtp *z, const void *p, size_t n, int wait_ms)
{
    const uint8_t *at = p;
    while (n) {
        ssize_t sent = send(z->fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            n -= (size_t)sent;
            continue;
        }
        struct pollfd poll_fd = {.fd = z->fd, .events = POLLOUT};
        if ((sent < 0 && errno != EAGAIN) || poll(&poll_fd, 1, wait_ms) != 1) {
            return false;
        }
    }
    return true;
}

static bool receive(struct zmtp *z, void *p, size_t n)
{
    uint8_t *at = p;
    while (n) {
        struct pollfd poll_fd = {.fd = z->fd, .events = POLLIN};
        ssize_t got = poll(&poll_fd, 1, WAIT_MS) == 1 ? recv(z->fd, at, n, 0) : -1;
        if (got <= 0) {
            return false;
        }
        at += got;
        n -= (size_t)got;
    }
    return true;
}

/* A short command frame of exactly n bytes. */
static bool receive_command(struct zmtp *z, uint8_t *out, size_t n)
{
    uint8_t head[2];
    return receive(z, head, 2) && head[0] == FRAME_COMMAND && head[1] == n && receive(z, out, n);
}

static bool connect_to(struct zmtp *z, const char *endpoint)
{
    unsigned port;
    *z = (struct zmtp){.fd = -1, .nonce = 1};
    if (sscanf(endpoint, "tcp://127.0.0.1:%u", &port) != 1) {
        return false;
    }
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    z->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return z->fd >= 0 && connect(z->fd, (const struct sockaddr *)&to, sizeof to) == 0;
}

static bool greet(struct zmtp *z)
{
    static const uint8_t ours[GREETING] = {0xff, 0, 0, 0,   0,   0,   0,   0,  1,
                                           0x7f, 3, 1, 'C', 'U', 'R', 'V', 'E'};
    uint8_t theirs[GREETING];
    return zmtp_send_raw(z, ours, sizeof ours, WAIT_MS) && receive(z, theirs, sizeof theirs);
}

static void nonce_of(struct zmtp *z, const char *prefix, uint8_t out[24])
{
    memcpy(out, prefix, 16);
    uint64_t n = z->nonce++;
    for (int i = 0; i < 8; i++) {
        out[16 + i] = (uint8_t)(n >> (56 - 8 * i));
    }
}

static bool hello(struct zmtp *z, const struct zmtp_keys *keys)
{
    struct zmtp_handshake *h = &z->handshake;
    uint8_t frame[202] = {FRAME_COMMAND, 200, 5, 'H', 'E', 'L', 'L', 'O', 1, 0};
    uint8_t nonce[24], welcome[168], opened[128];
    static const uint8_t zeros[64];
    crypto_box_keypair(h->short_public, h->short_secret);
    nonce_of(z, "CurveZMQHELLO---", nonce);
    memcpy(frame + 82, h->short_public, 32);
    memcpy(frame + 114, nonce + 16, 8);
    if (crypto_box_easy(frame + 122, zeros, 64, nonce, keys->server_public, h->short_secret) != 0 ||
        !zmtp_send_raw(z, frame, sizeof frame, WAIT_MS) ||
        !receive_command(z, welcome, sizeof welcome)) {
        return false;
    }
    memcpy(nonce, "WELCOME-", 8);
    memcpy(nonce + 8, welcome + 8, 16);
    if (crypto_box_open_easy(opened, welcome + 24, 144, nonce, keys->server_public,
                             h->short_secret) != 0) {
        return false;
    }
    memcpy(h->server_short, opened, 32);
    memcpy(h->cookie, opened + 32, 96);
    return true;
}

/* Socket-Type: DEALER, Identity: none. */
static const uint8_t metadata[] = "\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0";
#define METADATA sizeof metadata /* the terminator is the last byte of the empty value's length */

static bool initiate(struct zmtp *z, const struct zmtp_keys *keys)
{
    const struct zmtp_handshake *h = &z->handshake;
    uint8_t plain[128 + METADATA], vouch[64], nonce[24];
    uint8_t body[9 + 96 + 8 + 16 + sizeof plain] = {8, 'I', 'N', 'I', 'T', 'I', 'A', 'T', 'E'};
    memcpy(plain, keys->public_key, 32);
    memcpy(nonce, "VOUCH---", 8);
    randombytes_buf(nonce + 8, 16);
    memcpy(plain + 32, nonce + 8, 16);
    memcpy(vouch, h->short_public, 32);
    memcpy(vouch + 32, keys->server_public, 32);
    if (crypto_box_easy(plain + 48, vouch, 64, nonce, h->server_short, keys->secret_key) != 0) {
        return false;
    }
    memcpy(plain + 128, metadata, METADATA);
    memcpy(body + 9, h->cookie, 96);
    nonce_of(z, "CurveZMQINITIATE", nonce);
    memcpy(body + 105, nonce + 16, 8);
    uint8_t head[9] = {FRAME_COMMAND | FRAME_LONG, 0, 0, 0, 0, 0, 0, sizeof body >> 8,
                       sizeof body & 0xff};
    return crypto_box_easy(body + 113, plain, sizeof plain, nonce, h->server_short,
                           h->short_secret) == 0 &&
           zmtp_send_raw(z, head, sizeof head, WAIT_MS) &&
           zmtp_send_raw(z, body, sizeof body, WAIT_MS);
}

/* READY, or ERROR with a status code. */
static bool is_ready(struct zmtp *z)
{
    static const char error[] = "\5ERROR\3";
    uint8_t head[2], body[255];
    if (!receive(z, head, 2) || head[0] != FRAME_COMMAND || !receive(z, body, head[1])) {
        return false;
    }
    if (head[1] == sizeof error - 1 + 3 && memcmp(body, error, sizeof error - 1) == 0) {
        memcpy(z->refused, body + sizeof error - 1, 3);
        return false;
    }
    return head[1] > 6 && memcmp(body, "\5READY", 6) == 0 &&
           crypto_box_beforenm(z->key, z->handshake.server_short, z->handshake.short_secret) == 0;
}

bool zmtp_go_on(struct zmtp *z, const struct zmtp_keys *keys, enum zmtp_stage stage)
{
    bool good = z->fd >= 0;
    while (good && z->stage < stage) {
        switch (++z->stage) {
        case ZMTP_GREETED:
            good = greet(z);
            break;
        case ZMTP_HELLO:
            good = hello(z, keys);
            break;
        case ZMTP_INITIATED:
            good = initiate(z, keys);
            break;
        case ZMTP_READY:
        case ZMTP_CONNECTED:
        default:
            good = is_ready(z);
        }
    }
    if (!good) {
        zmtp_close(z);
    }
    return good;
}

bool zmtp_open(struct zmtp *z, const char *endpoint, const struct zmtp_keys *keys,
               enum zmtp_stage stage)
{
    if (!connect_to(z, endpoint)) {
        zmtp_close(z);
        return false;
    }
    return zmtp_go_on(z, keys, stage);
}

void zmtp_close(struct zmtp *z)
{
    if (z->fd >= 0) {
        close(z->fd);
        z->fd = -1;
    }
}

bool zmtp_send_head(struct zmtp *z, uint8_t flags, uint64_t n, int wait_ms)
{
    uint8_t head[9] = {flags | FRAME_LONG};
    for (int i = 0; i < 8; i++) {
        head[1 + i] = (uint8_t)(n >> (56 - 8 * i));
    }
    return zmtp_send_raw(z, head, sizeof head, wait_ms);
}

bool zmtp_send_part(struct zmtp *z, const void *p, size_t n, bool more, int wait_ms)
{
    uint8_t *body = malloc(16 + 17 + n);
    uint8_t *plain = malloc(1 + n);
    uint8_t nonce[24];
    bool sent = body && plain;
    if (sent) {
        plain[0] = more ? FRAME_MORE : 0;
        if (n) {
            memcpy(plain + 1, p, n);
        }
        nonce_of(z, "CurveZMQMESSAGEC", nonce);
        memcpy(body, "\7MESSAGE", 8);
        memcpy(body + 8, nonce + 16, 8);
        sent = crypto_box_easy_afternm(body + 16, plain, 1 + n, nonce, z->key) == 0 &&
               zmtp_send_head(z, 0, 33 + n, wait_ms) && zmtp_send_raw(z, body, 33 + n, wait_ms);
    }
    free(body);
    free(plain);
    return sent;
}

bool zmtp_is_ended(struct zmtp *z, int wait_ms)
{
    char dropped[4096];
    int64_t end = now_ms() + wait_ms;
    for (int64_t left = wait_ms; left >= 0; left = end - now_ms()) {
        struct pollfd poll_fd = {.fd = z->fd, .events = POLLIN};
        if (poll(&poll_fd, 1, (int)left) == 1 && recv(z->fd, dropped, sizeof dropped, 0) <= 0) {
            return true;
        }
    }
    return false;
}
