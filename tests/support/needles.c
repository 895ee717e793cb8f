/* SPDX-License-Identifier: Apache-2.0
 *
 * The search behind needles.h.
 */
#include "tests/support/needles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

static void add(struct needles *s, const char *label, const char *form, const void *p, size_t n)
{
    struct needle *to = &s->of[s->n];
    if (s->n == NEEDLES_MAX || n > sizeof to->bytes || n < 6) {
        fprintf(stderr, "needles: '%s' as %s does not fit\n", label, form);
        abort();
    }
    *to = (struct needle){.label = label, .form = form, .n = n};
    memcpy(to->bytes, p, n);
    s->n++;
}

static void add_utf16(struct needles *s, const char *label, yz_bytes v)
{
    uint8_t wide[96];
    for (size_t i = 0; i < v.n; i++) {
        wide[2 * i] = v.p[i];
        wide[2 * i + 1] = 0;
    }
    add(s, label, "UTF-16LE", wide, 2 * v.n - 1);
    /* the other order is the same bytes one later, but for the first */
}

static void add_hex(struct needles *s, const char *label, yz_bytes v)
{
    char hex[100];
    if (yzi_hex_encode(v, hex, sizeof hex) < 0) {
        abort();
    }
    add(s, label, "hex", hex, 2 * v.n);
    for (char *c = hex; *c; c++) {
        *c = (char)(*c >= 'a' && *c <= 'f' ? *c - 'a' + 'A' : *c);
    }
    add(s, label, "HEX", hex, 2 * v.n);
}

/* What of the encoding depends on the value alone, wherever it begins in a group of three. */
static void add_base64(struct needles *s, const char *label, yz_bytes v)
{
    static const char *const forms[] = {"base64", "base64+1", "base64+2"};
    for (size_t offset = 0; offset < 3; offset++) {
        uint8_t shifted[52] = {0};
        yz_buf text;
        memcpy(shifted + offset, v.p, v.n);
        yzi_buf_init(&text, 200);
        if (yzi_base64_encode(yzi_bytes(shifted, offset + v.n), &text) < 0) {
            abort();
        }
        size_t from = (offset * 8 + 5) / 6, to = (offset + v.n) * 8 / 6;
        add(s, label, forms[offset], text.p + from, to - from);
        yzi_buf_fini(&text);
    }
}

void needles_add(struct needles *s, const char *label, yz_bytes v)
{
    yz_buf percent;
    if (v.n < 6 || v.n > 48) {
        abort();
    }
    add(s, label, "plain", v.p, v.n);
    add_utf16(s, label, v);
    add_hex(s, label, v);
    add_base64(s, label, v);
    yzi_buf_init(&percent, 200);
    if (yzi_percent_encode(v, &percent) == 0 && percent.n != v.n) {
        add(s, label, "percent", percent.p, percent.n);
    }
    yzi_buf_fini(&percent);
}

void needles_add_number(struct needles *s, const char *label, int64_t value)
{
    uint8_t big[8], key[8], little[8];
    yzi_store_u64(big, (uint64_t)value);
    yzi_store_u64(key, (uint64_t)value ^ (UINT64_C(1) << 63));
    for (size_t i = 0; i < 8; i++) {
        little[i] = big[7 - i];
    }
    add(s, label, "big-endian", big, 6);
    add(s, label, "as in keys", key, 6);
    add(s, label, "little-endian", little + 2, 6);
}

bool needles_in(struct needles *s, yz_bytes h, const char *where)
{
    s->searched += h.n;
    s->files++;
    for (size_t i = 0; i < s->n; i++) {
        const struct needle *n = &s->of[i];
        const uint8_t *p = h.n ? memmem(h.p, h.n, n->bytes, n->n) : NULL;
        if (p) {
            s->found = n;
            s->at = (uint64_t)(p - h.p);
            snprintf(s->where, sizeof s->where, "%s", where);
            return true;
        }
    }
    return false;
}

/* Whole, whatever it is: holes and bytes behind what a store uses included. */
static bool in_fd(struct needles *s, int fd, const char *where)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        return false;
    }
    uint8_t *content = malloc((size_t)st.st_size);
    size_t n = 0;
    if (!content) {
        abort();
    }
    for (ssize_t got; n < (size_t)st.st_size; n += (size_t)got) {
        got = pread(fd, content + n, (size_t)st.st_size - n, (off_t)n);
        if (got <= 0) {
            break;
        }
    }
    bool found = needles_in(s, yzi_bytes(content, n), where);
    free(content);
    return found;
}

bool needles_in_file(struct needles *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    bool found = fd >= 0 && in_fd(s, fd, path);
    if (fd >= 0) {
        close(fd);
    }
    return found;
}

bool needles_in_folder(struct needles *s, const char *folder)
{
    DIR *d = opendir(folder);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
        char path[600];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (n < 0 || (size_t)n >= sizeof path) {
            abort();
        }
        found = needles_in(s, yzi_bytes_str(e->d_name), path);
        if (!found && lstat(path, &st) == 0) {
            found = S_ISDIR(st.st_mode) ? needles_in_folder(s, path) : needles_in_file(s, path);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

bool needles_in_unnamed(struct needles *s, const char *folder)
{
    DIR *d = opendir("/proc/self/fd");
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
        char link[64], target[600] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%.20s", e->d_name);
        ssize_t n = readlink(link, target, sizeof target - 1);
        bool below = n > 0 && strncmp(target, folder, strlen(folder)) == 0;
        if (below && strstr(target, " (deleted)")) {
            found = in_fd(s, atoi(e->d_name), target);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}
