/* SPDX-License-Identifier: Apache-2.0
 *
 * What /metrics shows (Prometheus text format 0.0.4). Counters are relaxed atomics: the front
 * counts, the operations thread reads; no figure depends on another.
 */
#ifndef YZ_BROKER_METRICS_H
#define YZ_BROKER_METRICS_H

#include <stdatomic.h>

#include "base/bytes.h"

#define BROKER_COUNTERS(X)                                                                         \
    X(requests, "requests_total", "Requests that reached admission.")                              \
    X(forwarded, "forwarded_total", "Requests handed to an adapter, attempts included.")           \
    X(responses, "responses_total", "Answers delivered to a consumer.")                            \
    X(responses_bad, "responses_bad_total", "Answers that did not verify.")                        \
    X(responses_late, "responses_late_total", "Answers for which nobody waited any more.")         \
    X(retries, "retries_total", "Identical requests received again.")                              \
    X(messages_bad, "messages_bad_total", "Messages from known peers that do not parse.")          \
    X(messages_unknown, "messages_unknown_total", "Messages from keys no live record lists.")      \
    X(rests, "rests_total",                                                                        \
      "Pauses in reading, so that refusals leave processor time to answers.")                      \
    X(messages_dropped, "messages_dropped_total", "Messages a peer's full queue did not take.")    \
    X(messages_left_over, "messages_left_over_total",                                              \
      "Messages of connections that had been given up when they were read.")                       \
    X(lines_left_out, "log_lines_left_out_total",                                                  \
      "Log lines about peers not written, as too many.")                                           \
    X(root_hits, "signature_roots_reused_total", "Signatures covered by a root verified before.")  \
    X(handshakes, "handshakes_admitted_total", "Connections admitted.")                            \
    X(handshakes_refused, "handshakes_refused_total", "Connections refused: unknown keys.")        \
    X(handshakes_put_off, "handshakes_put_off_total",                                              \
      "Connections of known keys refused: no room, or draining.")                                  \
    X(cut_silent, "connections_cut_silent_total", "Connections cut that had said nothing.")        \
    X(cut_nonsense, "connections_cut_nonsense_total",                                              \
      "Connections cut for what a known peer said.")                                               \
    X(cut_no_hello, "connections_cut_no_hello_total",                                              \
      "Connections cut that said things, but no hello.")                                           \
    X(cut_greedy, "connections_cut_greedy_total",                                                  \
      "Connections cut that sent more than could be held.")                                        \
    X(evidence_entries, "evidence_entries_total", "Entries committed to the evidence log.")        \
    X(evidence_commits, "evidence_commits_total", "Commits of the evidence log.")                  \
    X(evidence_commit_us, "evidence_commit_microseconds_total",                                    \
      "Time spent in commits of the evidence log, signing included.")                              \
    X(evidence_failures, "evidence_failures_total",                                                \
      "Times the evidence store was opened again after a failure.")

#define BROKER_GAUGES(X)                                                                           \
    X(connections, "connections", "Connections of live nodes.")                                    \
    X(wires, "tcp_connections", "TCP connections accepted, those that said nothing included.")     \
    X(unread_bytes, "unread_bytes", "Bytes received and not yet taken off the sockets.")           \
    X(unsent_bytes, "unsent_bytes", "Bytes given to the sockets and not yet acknowledged.")        \
    X(in_flight, "in_flight", "Exchanges under way.")                                              \
    X(in_flight_bytes, "in_flight_bytes", "Bytes of requests under way.")                          \
    X(held_bytes, "held_bytes", "Bytes of answers and refusals held until the log has them.")      \
    X(remembered, "remembered_ids", "Message ids remembered against replays.")                     \
    X(offers, "offers", "Offers held.")                                                            \
    X(offer_bytes, "offer_bytes", "Memory that offers take, replaced ones still in use too.")      \
    X(directory_version, "directory_version", "Directory version in force; 0: none.")              \
    X(freshness_age_ms, "freshness_age_milliseconds", "Age of the directory's freshness.")         \
    X(ready, "ready", "1 when exchanges are admitted.")                                            \
    X(evidence_up, "evidence_up", "1 when the evidence log takes entries.")                        \
    X(evidence_size, "evidence_size", "Entries in the evidence log.")                              \
    X(evidence_waiting, "evidence_waiting", "Entries waiting when the last commit began.")         \
    X(evidence_group, "evidence_group", "Entries in the last commit.")                             \
    X(evidence_published, "evidence_published", "Entries published as tiles.")                     \
    X(evidence_pruned, "evidence_pruned", "Entries whose bodies were let go.")                     \
    X(evidence_damaged, "evidence_damaged",                                                        \
      "Places where the evidence store does not fit its tree, found since the start.")             \
    X(evidence_rewritten, "evidence_files_rewritten",                                              \
      "Published files found missing or wrong and written again, since the start.")

#define METRIC_OUTCOMES 16 /* indexed by enum outcome_status */

struct metrics {
#define DECLARE(name, text, help) _Atomic uint64_t name;
    BROKER_COUNTERS(DECLARE)
    BROKER_GAUGES(DECLARE)
#undef DECLARE
    _Atomic uint64_t outcomes[METRIC_OUTCOMES];
};

static inline void yzi_metric_add(_Atomic uint64_t *m, uint64_t n)
{
    atomic_fetch_add_explicit(m, n, memory_order_relaxed);
}
static inline void yzi_metric_set(_Atomic uint64_t *m, uint64_t v)
{
    atomic_store_explicit(m, v, memory_order_relaxed);
}
static inline uint64_t yzi_metric_get(const _Atomic uint64_t *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

YZ_MUST_USE int yzi_metrics_write(const struct metrics *m, yz_buf *out);

#endif
