/* SPDX-License-Identifier: Apache-2.0
 *
 * What both ends of the administration socket share. Private to net/.
 */
#ifndef YZ_NET_ADMIN_WIRE_H
#define YZ_NET_ADMIN_WIRE_H

#include <sys/un.h>

#include "base/error.h"

#define ADMIN_PREFIX 4u      /* u32: the bytes of the frame that follows */
#define ADMIN_TEXT_MAX 3072u /* of a reply's text: what a header holds beside the rest */

/* YZ_ECONFIG with a sentence when the system's limit for such paths is exceeded. */
YZ_MUST_USE int yzi_admin_address(const char *path, struct sockaddr_un *out, yz_error *err);

#endif
