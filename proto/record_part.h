/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parsers and writers of record bodies share, private to proto/. A parser opens a reader,
 * which unpacks the body into scratch memory; it then checks and converts what stays into the
 * caller's arena. A writer fills generated structs in scratch memory and has the packed bytes read
 * back by the parser of that kind, so that nothing is ever written that would be refused.
 * Errors are those of proto/record.h: YZ_EMALFORMED, YZ_EVERSION, YZ_ETOOBIG (a text), YZ_ELIMIT (a
 * list), YZ_ENOMEM. Any thread.
 */
#ifndef YZ_PROTO_RECORD_PART_H
#define YZ_PROTO_RECORD_PART_H

#include "proto/check.h"
#include "proto/record.h"
#include "proto/record.pb-c.h"
#include "proto/unpack.h"

#define RECORD_FRAME_BYTES 10u         /* a record without body and signatures */
#define RECORD_SCRATCH_MAX (16u << 20) /* the dearest 256 KiB body unpacks to less */

/* -- reading -- */
struct record_reader {
    struct arena *keep;   /* the caller's: lists that stay */
    struct arena scratch; /* gone with the reader */
};
void yzi_record_reader_fini(struct record_reader *r); /* accepts a zeroed one */
/* Open r and unpack body as `type` into *(const T **)out_message. */
YZ_MUST_USE int yzi_record_unpack(struct record_reader *r, struct arena *keep,
                                  const ProtobufCMessageDescriptor *type, yz_bytes body,
                                  void *out_message);

/* Bytes gathered to be told apart. Zero-initialised but for the arena it grows in. */
struct bag {
    struct arena *arena;
    yz_bytes *v;
    size_t n, cap;
};
YZ_MUST_USE int yzi_bag_add(struct bag *b, yz_bytes v);
YZ_MUST_USE int yzi_bag_close(struct bag *b);      /* YZ_EMALFORMED when two are equal; sorts */
bool yzi_bag_has(const struct bag *b, yz_bytes v); /* of a closed bag */

/* n between min (YZ_EMALFORMED) and max (YZ_ELIMIT). */
YZ_MUST_USE int yzi_check_count(size_t n, size_t min, size_t max);
YZ_MUST_USE int yzi_check_range(uint32_t v, uint32_t first, uint32_t last); /* an enum's numbers */
YZ_MUST_USE int yzi_check_times(uint64_t not_before, uint64_t not_after); /* not_after 0: no end */
YZ_MUST_USE int yzi_check_instance(yz_bytes id, yz_bytes instance);
/* [A-Za-z][A-Za-z0-9_]*: a field of a data set. */
YZ_MUST_USE int yzi_check_field(yz_bytes v, size_t max);
YZ_MUST_USE int yzi_check_address(yz_bytes v, size_t max);  /* tcp://host:port, IPv6 in brackets */
YZ_MUST_USE int yzi_check_language(yz_bytes v, size_t max); /* BCP 47 as far as its syntax */
YZ_MUST_USE int yzi_check_segment(yz_bytes v, size_t max);  /* yzi_segment_check */

/* An optional one; empty when absent. */
YZ_MUST_USE int yzi_read_optional(protobuf_c_boolean has, ProtobufCBinaryData b, size_t max,
                                  int (*check)(yz_bytes, size_t), yz_bytes *out);
YZ_MUST_USE int yzi_read_digest(ProtobufCBinaryData b, yz_digest *out);
/* A public key, not all zero; also put into `all`. */
YZ_MUST_USE int yzi_read_key(ProtobufCBinaryData b, struct bag *all, uint8_t out[32]);
YZ_MUST_USE int yzi_read_keys(struct record_reader *r, Yizhan__Wire__Validity *const *v, size_t n,
                              size_t min, struct bag *all, struct key_list *out);
YZ_MUST_USE int yzi_read_validity(const Yizhan__Wire__Validity *v, struct bag *all,
                                  struct key_validity *out);
/* Up to max_n distinct ones, each passing check with max_bytes. */
YZ_MUST_USE int yzi_read_names(struct record_reader *r, const ProtobufCBinaryData *v, size_t n,
                               size_t max_n, int (*check)(yz_bytes, size_t), size_t max_bytes,
                               struct name_list *out);

/* Up to YZ_LANGUAGES_MAX texts, each in a language of its own. */
YZ_MUST_USE int yzi_read_texts(struct record_reader *r, Yizhan__Wire__Text *const *v, size_t n,
                               struct text_list *out);
/* Up to YZ_QUERY_FIELDS_MAX elements of distinct fields, each field also put into `fields`, which
 * the caller closes. */
YZ_MUST_USE int yzi_read_elements(struct record_reader *r, Yizhan__Wire__Element *const *v,
                                  size_t n, struct bag *fields, struct data_element **out,
                                  size_t *out_n);
/* The groups of an offer of that subsystem, and whom each is for. */
YZ_MUST_USE int yzi_read_groups(struct record_reader *r, const Yizhan__Wire__Offer *w,
                                struct offer *out);

/* The body of a record of that kind is one its parser accepts. */
YZ_MUST_USE int yzi_record_body_check(enum record_kind kind, yz_bytes body);

/* -- writing -- all of the scratch arena a writer brings */
void yzi_record_writer_init(struct arena *scratch);
/* n initialised generated structs, as the list of pointers to them that protobuf-c wants. */
YZ_MUST_USE int yzi_wire_list(struct arena *scratch, const ProtobufCMessageDescriptor *type,
                              size_t n, void *out_list /* T *** */);
YZ_MUST_USE int yzi_wire_keys(struct arena *scratch, const struct key_list *in, size_t *out_n,
                              Yizhan__Wire__Validity ***out);
YZ_MUST_USE int yzi_wire_names(struct arena *scratch, const struct name_list *in, size_t *out_n,
                               ProtobufCBinaryData **out);
YZ_MUST_USE int yzi_wire_texts(struct arena *scratch, const struct text_list *in, size_t *out_n,
                               Yizhan__Wire__Text ***out);
YZ_MUST_USE int yzi_wire_elements(struct arena *scratch, const struct data_element *in, size_t n,
                                  size_t *out_n, Yizhan__Wire__Element ***out);
YZ_MUST_USE int yzi_wire_groups(struct arena *scratch, const struct offer *in,
                                Yizhan__Wire__Offer *w);
/* Pack, read back, append. YZ_EINVAL when the parser would refuse it (out is unchanged),
 * YZ_ETOOBIG, YZ_ELIMIT (out is full), YZ_ENOMEM. */
YZ_MUST_USE int yzi_record_pack(enum record_kind kind, const ProtobufCMessage *message,
                                yz_buf *out);

#endif
