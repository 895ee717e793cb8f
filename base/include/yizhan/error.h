/* SPDX-License-Identifier: Apache-2.0
 *
 * The one way Yizhan reports errors, shared by the public library and everything inside.
 *
 * A fallible function returns int: 0 on success, one of the negative codes below otherwise. The
 * numbers are frozen: a code is never renumbered and a retired number never reused. Where words
 * help, a function takes an optional `yz_error *` (NULL is allowed) and fills it on failure only.
 */
#ifndef YIZHAN_ERROR_H
#define YIZHAN_ERROR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define YZ_API __attribute__((visibility("default")))
#define YZ_MUST_USE __attribute__((warn_unused_result))
#define YZ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define YZ_API
#define YZ_MUST_USE
#define YZ_PRINTF(fmt, args)
#endif

enum yz_error_code {
    YZ_OK = 0,
    /* usage: the caller or its configuration is wrong */
    YZ_EINVAL = -1,  /* an argument breaks the function's contract */
    YZ_ECONFIG = -2, /* a configuration or definition file is wrong; the text says file:line:col */
    YZ_ENOTFOUND = -3,    /* the named thing does not exist */
    YZ_EEXIST = -4,       /* the named thing exists already */
    YZ_EUNSUPPORTED = -5, /* valid, but this version does not do it */
    YZ_EDATA = -6,        /* imported data is wrong; the text says file, line, field and reason */
    /* protocol: bytes from outside are wrong */
    YZ_EMALFORMED = -20, /* not in the format, trailing bytes and truncation included */
    YZ_ETOOBIG = -21,    /* a length is beyond its limit */
    YZ_EVERSION = -22,   /* a format version or suite this version does not know */
    YZ_ELOOP = -23,      /* nested deeper than allowed */
    /* auth: well-formed, but not to be believed or not allowed */
    YZ_ESIGNATURE = -40,  /* a signature, digest, commitment or seal does not verify */
    YZ_EDENIED = -41,     /* the identity is known and has no right to this */
    YZ_EUNKNOWNKEY = -42, /* no live record lists this key or node */
    YZ_EEXPIRED = -43,    /* outside its time of validity */
    YZ_EROLLBACK = -44, /* older than what was seen before, or the same version with other bytes */
    YZ_EPERM = -45,     /* the system refuses us a file, others may read a key file, or a peer's
                         * uid is not allowed */
    YZ_ESTALEKEY = -46, /* sealed to an epoch key that is gone: fetch the new one, seal again */
    YZ_EREPLAY = -47,   /* seen before */
    YZ_ERECEIPT = -48,  /* a broker's answer came without a receipt that proves it is in its log */
    YZ_EEQUIVOCATION = -49, /* a broker signed two histories of its log: it is not used any more */
    /* io */
    YZ_EIO = -60,
    YZ_ECLOSED = -61,   /* the peer or the queue is closed */
    YZ_EDISKFULL = -62, /* no space left; nothing was changed */
    YZ_ECORRUPT = -63,  /* our own store or file contradicts itself */
    /* blocked: nothing wrong, try later */
    YZ_EAGAIN = -80, /* would block */
    YZ_ETIMEOUT = -81,
    YZ_EBUSY = -82,        /* a limit is reached for now */
    YZ_EUNAVAILABLE = -83, /* no peer that could answer */
    YZ_ECANCELLED = -84,   /* the caller took it back */
    /* resource */
    YZ_ENOMEM = -100,
    YZ_ELIMIT = -101, /* a configured or fixed bound would be exceeded */
    /* internal */
    YZ_EINTERNAL = -120 /* our own bug, reported rather than hidden */
};

enum yz_error_class {
    YZ_CLASS_NONE = 0,
    YZ_CLASS_USAGE,
    YZ_CLASS_PROTOCOL,
    YZ_CLASS_AUTH,
    YZ_CLASS_IO,
    YZ_CLASS_BLOCKED,
    YZ_CLASS_RESOURCE,
    YZ_CLASS_INTERNAL
};

/* What went wrong, in one sentence for a person. Owned by the caller; no clean-up. The text is
 * UTF-8, NUL-terminated, cut at a character boundary when it would not fit. */
typedef struct yz_error {
    int code;
    char text[500];
} yz_error;

/* The class of a code; unknown negative codes are YZ_CLASS_INTERNAL. Any thread. */
YZ_API enum yz_error_class yz_err_class(int code);

/* The code's stable name ("YZ_EINVAL"), a static string; "YZ_E?" if unknown. Any thread. */
YZ_API const char *yz_err_name(int code);

/* The same in a few words, for a sentence: "the disk is full". A static string; what is said may
 * change from version to version. Any thread. */
YZ_API const char *yz_err_words(int code);

#ifdef __cplusplus
}
#endif
#endif
