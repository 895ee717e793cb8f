/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations port: /healthz (the process lives), /readyz (it admits exchanges), /metrics, and
 * the published evidence log (C2SP tlog-tiles): /log/checkpoint, /log/vkey and /log/tile/... of the
 * log being written, /log/NUMBER/... of any. Plain HTTP, GET and HEAD only, loopback by default,
 * nothing secret behind it. The only caller of libmicrohttpd in the broker; it runs on
 * libmicrohttpd's own thread and reads only atomics and published files.
 */
#ifndef YZ_BROKER_OPS_H
#define YZ_BROKER_OPS_H

#include "broker/metrics.h"

struct ops;
/* address "host:port" (numeric host; port 0 picks one). `log` is the folder logs are published in
 * (NULL: none). Both strings and the metrics outlive it. YZ_ECONFIG, YZ_EIO (in use). */
YZ_MUST_USE int yzi_ops_start(const char *address, const char *log, const struct metrics *metrics,
                              struct ops **out, yz_error *err);
void yzi_ops_stop(struct ops *o);
/* "127.0.0.1:40123"; valid until stop. */
const char *yzi_ops_address(const struct ops *o);

#endif
