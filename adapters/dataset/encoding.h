/* SPDX-License-Identifier: Apache-2.0
 *
 * Files in GB 18030 (which GBK and GB 2312 are part of) as UTF-8, piece by piece, with the C
 * library's iconv. A byte that begins no character becomes ff, which is not UTF-8 either, so that
 * the value it stands in is refused where values are judged, with its line and field.
 */
#ifndef YZ_DATASET_ENCODING_H
#define YZ_DATASET_ENCODING_H

#include "base/bytes.h"

struct decoder;
/* YZ_EUNSUPPORTED: the system has no tables for GB 18030; YZ_ENOMEM. One thread at a time. */
YZ_MUST_USE int yzi_decoder_new(struct decoder **out);
void yzi_decoder_free(struct decoder *d); /* NULL is allowed; wipes */
/* The next bytes of the file; *out is valid until the next call. A character that the piece cuts is
 * completed by the next one; with last = true nothing more comes. YZ_ENOMEM, YZ_ELIMIT. */
YZ_MUST_USE int yzi_decoder_feed(struct decoder *d, yz_bytes piece, bool last, yz_bytes *out);

#endif
