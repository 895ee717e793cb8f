/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls without waiting for them, their end told by a callback on the client's thread: what yz_call
 * stands on and what the benchmark drives. The public way (yz_submit, async.c) has no callback.
 */
#ifndef YZ_CLIENT_SUBMIT_H
#define YZ_CLIENT_SUBMIT_H

#include <yizhan/client.h>

#include "client/engine.h"

/* Start a call; the request is copied. On YZ_OK `done` (client/engine.h) runs exactly once, later,
 * on the client's thread: it must not block, may submit again, and must not close the client. Its
 * err may be kept by copying. On failure it never runs: YZ_EINVAL, YZ_ETOOBIG, YZ_ECLOSED, YZ_EBUSY
 * (too many calls handed over at once), YZ_ENOMEM. Any thread, also `done` itself. */
YZ_MUST_USE int yzi_client_submit(yz_client *client, const yz_request *request, call_done *done,
                                  void *ctx, yz_error *err);

#endif
