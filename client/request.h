/* SPDX-License-Identifier: Apache-2.0
 *
 * What the public yz_request is made of. The caller's thread turns it into an `ask`: the parts of
 * a message that do not change between attempts, on their own, so that the request may be changed
 * or freed as soon as it was submitted.
 */
#ifndef YZ_CLIENT_REQUEST_H
#define YZ_CLIENT_REQUEST_H

#include <yizhan/client.h>

#include "base/arena.h"
#include "proto/id.h"

struct ask {
    yz_service_id service; /* views into `texts` */
    yz_bytes purpose;
    yz_buf texts;
    yz_buf head;         /* the encoded request head; plaintext, wiped at the end */
    uint32_t timeout_ms; /* 0: the configuration's */
};
/* YZ_EINVAL (no key: there is nothing to ask), YZ_ETOOBIG (beyond what a message holds),
 * YZ_ENOMEM. Any thread, while nobody changes the request. */
YZ_MUST_USE int yzi_ask_make(const yz_request *r, struct ask *out, yz_error *err);
void yzi_ask_fini(struct ask *a); /* accepts a zeroed one */

#endif
