/* SPDX-License-Identifier: Apache-2.0
 *
 * Searching files byte by byte for values that must not be there, in every form in which a program
 * might have left them: as they are, UTF-16, hex, base64 (at each place in it), percent-encoded,
 * and numbers in binary.
 */
#ifndef YZ_TESTS_SUPPORT_NEEDLES_H
#define YZ_TESTS_SUPPORT_NEEDLES_H

#include "base/bytes.h"

#define NEEDLES_MAX 400u

struct needle {
    const char *label, *form; /* static */
    uint8_t bytes[160];
    size_t n;
};
struct needles {
    struct needle of[NEEDLES_MAX];
    size_t n;
    uint64_t searched;          /* bytes, in all */
    unsigned files;             /* looked at */
    const struct needle *found; /* by the last search */
    char where[600];            /* the file */
    uint64_t at;
};

/* All forms of 6 to 48 bytes that values begin with or hold; the program ends when there are too
 * many. */
void needles_add(struct needles *s, const char *label, yz_bytes value);
/* The 8 bytes of a number in both byte orders, and as record keys hold them; less the last two, by
 * which the numbers of a register may differ. */
void needles_add_number(struct needles *s, const char *label, int64_t value);
/* Whether one of them stands in the bytes, the file, a file below the folder: s->found, s->where.
 * What goes away meanwhile is passed over. */
bool needles_in(struct needles *s, yz_bytes haystack, const char *where);
bool needles_in_file(struct needles *s, const char *path);
bool needles_in_folder(struct needles *s, const char *folder);
/* In the files without a name that this process has open below the folder. */
bool needles_in_unnamed(struct needles *s, const char *folder);

#endif
