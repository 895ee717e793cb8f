/* SPDX-License-Identifier: Apache-2.0
 *
 * One full record body of each kind for tests to read, spoil and rewrite, and what the fuzz targets
 * of records have in common.
 */
#ifndef YZ_TESTS_SUPPORT_RECORDS_H
#define YZ_TESTS_SUPPORT_RECORDS_H

#include "proto/record.h"
#include "proto/record_part.h"

/* A view of a literal, a key of one repeated byte. */
#define LIT(s)                                                                                     \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }
#define KEY(n)                                                                                     \
    {                                                                                              \
        [0 ... 31] = (n)                                                                           \
    }
#define COUNT(a) (sizeof(a) / sizeof *(a))

#define SAMPLE_TIME UINT64_C(1750000000000)

extern const struct root_statement sample_root;
extern const struct member_record sample_member;
extern const struct member_set sample_set;
extern const struct broker_record sample_broker;
extern const struct revocation sample_revocation;
extern const struct manifest sample_manifest;
extern const struct freshness sample_freshness;
extern const struct announcement sample_announcement;
extern const struct offer sample_offer;
extern const struct terms sample_terms;
extern const struct node_request sample_request;
extern const struct purpose_list sample_purposes;

#define KIND_FIRST RECORD_ROOT
#define KIND_LAST RECORD_PURPOSES

/* The sample's body, appended. */
YZ_MUST_USE int yz_record_sample(enum record_kind kind, yz_buf *out);
/* The sample as a record with two signatures that are not real ones. */
YZ_MUST_USE int yz_record_sample_signed(enum record_kind kind, yz_buf *out);
const ProtobufCMessageDescriptor *yz_record_type(enum record_kind kind);
/* Parse a body and append it as the writer writes it: the parser's code or the writer's. */
YZ_MUST_USE int yz_record_rewrite(enum record_kind kind, yz_bytes body, yz_buf *out);
/* What a parser accepted its writer writes, and what that wrote comes back the same: else abort. */
void yz_record_fuzz_body(enum record_kind kind, yz_bytes body);

/* Spoil the sample in its generated struct, then see the parser refuse it with this code. */
struct record_fault {
    const char *what;
    void (*spoil)(void *message);
    int want;
};
/* A function that spoils a generated struct `w`. */
#define SPOIL(name, type, ...)                                                                     \
    static void name(void *message)                                                                \
    {                                                                                              \
        Yizhan__Wire__##type *w = message;                                                         \
        __VA_ARGS__;                                                                               \
    }
static inline ProtobufCBinaryData bin(const char *s)
{
    return yzi_bin(yzi_bytes_str(s));
}
/* n times c, n up to 100,000; valid until the next call with another c. */
ProtobufCBinaryData bin_n(char c, size_t n);
/* That a view holds exactly this text. */
void assert_view(yz_bytes got, const char *want);

void yz_record_refuses(enum record_kind kind, const struct record_fault *faults, size_t n);
/* A list of n times its first item in place of a generated struct's list; freed by nobody. */
void yz_record_repeat(void *list /* T *** */, size_t *list_n, size_t n);
/* A list of n times this value in place of a list of bytes; freed by nobody. */
void yz_record_repeat_bytes(ProtobufCBinaryData **list, size_t *list_n, ProtobufCBinaryData item,
                            size_t n);

#endif
