/* SPDX-License-Identifier: Apache-2.0
 *
 * Codes, classes and sentences. The switch below is the one list of codes in code: -Wswitch-enum
 * says when a code was added to the header and forgotten here.
 */
#include "base/error.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

struct code_info {
    const char *name, *words;
    enum yz_error_class class;
};

static struct code_info info(const char *name, enum yz_error_class class, const char *words)
{
    return (struct code_info){name, words, class};
}

static struct code_info info_of(int code)
{
#define ROW(code, class, words)                                                                    \
    case code:                                                                                     \
        return info(#code, class, words)
    switch ((enum yz_error_code)code) {
        ROW(YZ_OK, YZ_CLASS_NONE, "nothing is wrong");
        ROW(YZ_EINVAL, YZ_CLASS_USAGE, "it breaks a rule");
        ROW(YZ_ECONFIG, YZ_CLASS_USAGE, "the configuration is wrong");
        ROW(YZ_ENOTFOUND, YZ_CLASS_USAGE, "there is no such thing");
        ROW(YZ_EEXIST, YZ_CLASS_USAGE, "it exists already");
        ROW(YZ_EUNSUPPORTED, YZ_CLASS_USAGE, "this version does not do that");
        ROW(YZ_EDATA, YZ_CLASS_USAGE, "the data is wrong");
        ROW(YZ_EMALFORMED, YZ_CLASS_PROTOCOL, "it does not parse");
        ROW(YZ_ETOOBIG, YZ_CLASS_PROTOCOL, "it is too large");
        ROW(YZ_EVERSION, YZ_CLASS_PROTOCOL, "its version is not known here");
        ROW(YZ_ELOOP, YZ_CLASS_PROTOCOL, "it is nested too deep");
        ROW(YZ_ESIGNATURE, YZ_CLASS_AUTH, "it does not verify");
        ROW(YZ_EDENIED, YZ_CLASS_AUTH, "there is no right to it");
        ROW(YZ_EUNKNOWNKEY, YZ_CLASS_AUTH, "its key is in no record that is in force");
        ROW(YZ_EEXPIRED, YZ_CLASS_AUTH, "it is outside its time of validity");
        ROW(YZ_EROLLBACK, YZ_CLASS_AUTH,
            "it is older than what was seen before, or another of the same version");
        ROW(YZ_EPERM, YZ_CLASS_AUTH, "the system does not permit it");
        ROW(YZ_ESTALEKEY, YZ_CLASS_AUTH, "it is sealed to a key that is gone");
        ROW(YZ_EREPLAY, YZ_CLASS_AUTH, "it was seen before");
        ROW(YZ_ERECEIPT, YZ_CLASS_AUTH, "its receipt proves nothing");
        ROW(YZ_EEQUIVOCATION, YZ_CLASS_AUTH, "the broker signed two histories of its log");
        ROW(YZ_EIO, YZ_CLASS_IO, "the disk or the network failed");
        ROW(YZ_ECLOSED, YZ_CLASS_IO, "it is closed");
        ROW(YZ_EDISKFULL, YZ_CLASS_IO, "the disk is full");
        ROW(YZ_ECORRUPT, YZ_CLASS_IO, "what is stored is damaged");
        ROW(YZ_EAGAIN, YZ_CLASS_BLOCKED, "there is no room for it now");
        ROW(YZ_ETIMEOUT, YZ_CLASS_BLOCKED, "it took too long");
        ROW(YZ_EBUSY, YZ_CLASS_BLOCKED, "a limit is reached for now");
        ROW(YZ_EUNAVAILABLE, YZ_CLASS_BLOCKED, "nobody can answer now");
        ROW(YZ_ECANCELLED, YZ_CLASS_BLOCKED, "it was cancelled");
        ROW(YZ_ENOMEM, YZ_CLASS_RESOURCE, "there is not enough memory");
        ROW(YZ_ELIMIT, YZ_CLASS_RESOURCE, "too many files are open, or a limit is reached");
        ROW(YZ_EINTERNAL, YZ_CLASS_INTERNAL, "an error of this program");
    }
#undef ROW
    return info("YZ_E?", code < 0 ? YZ_CLASS_INTERNAL : YZ_CLASS_NONE, "an unknown error");
}

enum yz_error_class yz_err_class(int code)
{
    return info_of(code).class;
}

const char *yz_err_name(int code)
{
    return info_of(code).name;
}

const char *yz_err_words(int code)
{
    return info_of(code).words;
}

/* Long enough to see whether the character at the end of yz_error.text was cut. */
#define SCRATCH (sizeof((yz_error *)NULL)->text + 4)

/* Make text of `n` bytes the sentence: whole characters only, and what is not UTF-8 (a path, a
 * peer's word) shown as '?', so that the promise of yizhan/error.h holds for every argument. */
static void set_text(yz_error *err, char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = yzi_utf8_char(yzi_bytes(text + i, n - i));
        if (len == 0) {
            text[i] = '?'; /* what the scratch itself cut lies beyond what is kept */
            len = 1;
        }
        i += len;
    }
    size_t keep = yzi_utf8_cut(yzi_bytes(text, n), sizeof err->text - 1);
    memcpy(err->text, text, keep);
    err->text[keep] = '\0';
}

static size_t format(char *out, size_t cap, const char *fmt, va_list args) YZ_PRINTF(3, 0);
static size_t format(char *out, size_t cap, const char *fmt, va_list args)
{
    int n = vsnprintf(out, cap, fmt, args);
    if (n < 0) {
        out[0] = '\0';
        return 0;
    }
    return (size_t)n < cap ? (size_t)n : cap - 1;
}

int yzi_fail(yz_error *err, int code, const char *fmt, ...)
{
    if (err) {
        /* By way of a scratch buffer: an argument may be err->text itself. */
        char text[SCRATCH];
        va_list args;
        va_start(args, fmt);
        size_t n = format(text, sizeof text, fmt, args);
        va_end(args);
        err->code = code;
        set_text(err, text, n);
    }
    return code;
}

void yzi_error_prefix(yz_error *err, const char *fmt, ...)
{
    if (!err) {
        return;
    }
    char text[SCRATCH];
    va_list args;
    va_start(args, fmt);
    size_t n = format(text, sizeof text, fmt, args);
    va_end(args);
    int more = snprintf(text + n, sizeof text - n, ": %s", err->text);
    n = more < (int)(sizeof text - n) ? n + (size_t)more : sizeof text - 1;
    set_text(err, text, n);
}

_Noreturn void yzi_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, cond);
    abort();
}

int yzi_err_from_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return YZ_ENOTFOUND;
    case EEXIST:
        return YZ_EEXIST;
    case EACCES:
    case EPERM:
        return YZ_EPERM;
    case EINVAL:
    case ENAMETOOLONG:
        return YZ_EINVAL;
    case ENOSPC:
    case EDQUOT:
        return YZ_EDISKFULL;
    case ENOMEM:
        return YZ_ENOMEM;
    case EMFILE:
    case ENFILE:
        return YZ_ELIMIT;
    case EFBIG:
        return YZ_ETOOBIG;
    case EAGAIN:
    case EINTR:
        return YZ_EAGAIN;
    case ETIMEDOUT:
        return YZ_ETIMEOUT;
    case EBUSY:
    case ETXTBSY:
        return YZ_EBUSY;
    case EPIPE:
    case ECONNRESET:
        return YZ_ECLOSED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return YZ_EUNAVAILABLE;
    case ENOSYS:
    case EOPNOTSUPP:
        return YZ_EUNSUPPORTED;
    case 0: /* "no error" is not a reason to fail: the caller asked too late */
        return YZ_EINTERNAL;
    default:
        return YZ_EIO;
    }
}
