/* SPDX-License-Identifier: Apache-2.0
 *
 * Error handling inside Yizhan: the codes (yizhan/error.h), the two flow macros, and the ownership
 * macros. There are no other flow macros, and there will be none.
 */
#ifndef YZ_BASE_ERROR_H
#define YZ_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <yizhan/error.h>

/* Return the code of a failed call to the caller. */
#define YZ_TRY(call)                                                                               \
    do {                                                                                           \
        int yz_try_rc_ = (call);                                                                   \
        if (yz_try_rc_ < 0) {                                                                      \
            return yz_try_rc_;                                                                     \
        }                                                                                          \
    } while (0)

/* Return `code` unless `cond` holds. */
#define YZ_ENSURE(cond, code)                                                                      \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            return (code);                                                                         \
        }                                                                                          \
    } while (0)

/* Abort on a bug of our own, also in release builds. Never for what a peer, a disk or the
 * allocator can cause. */
#define YZ_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            yzi_assert_failed(#cond, __FILE__, __LINE__);                                          \
        }                                                                                          \
    } while (0)
_Noreturn void yzi_assert_failed(const char *cond, const char *file, int line);

/* Run `fn(&variable)` when the variable leaves its scope: `YZ_AUTO(yzi_buf_fini) yz_buf b = {0};`
 * Functions used this way accept a zeroed or half-built object. */
#define YZ_AUTO(fn) __attribute__((cleanup(fn)))

/* The value of pointer `p`, which becomes NULL: hands ownership on past a YZ_AUTO. */
#define YZ_TAKE(p)                                                                                 \
    __extension__({                                                                                \
        __typeof__(p) yz_take_ = (p);                                                              \
        (p) = NULL;                                                                                \
        yz_take_;                                                                                  \
    })

/* free() for YZ_AUTO on a `T *` got from malloc. */
static inline void yzi_free_ptr(void *pp)
{
    free(*(void **)pp);
}

/* Discard a result on purpose; `why` is for the reader. */
static inline void yz_ignore(int rc, const char *why)
{
    (void)rc;
    (void)why;
}

/* Fill `err` (if not NULL) with code and a printf sentence, and return the code, so that
 * `return yzi_fail(err, YZ_ECONFIG, "%s:%d: ...", file, line);` is the usual form. */
int yzi_fail(yz_error *err, int code, const char *fmt, ...) YZ_PRINTF(3, 4);

/* Put "prefix: " before the text already in err, keeping its code. NULL err is allowed. */
void yzi_error_prefix(yz_error *err, const char *fmt, ...) YZ_PRINTF(2, 3);

/* The YZ_E* code for a system errno (ENOSPC and EDQUOT -> YZ_EDISKFULL, ENOMEM -> YZ_ENOMEM,
 * ...). */
int yzi_err_from_errno(int errnum);

#endif
