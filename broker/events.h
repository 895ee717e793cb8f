/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything the broker logs, in one table (docs/operations.md lists it for operators).
 */
#ifndef YZ_BROKER_EVENTS_H
#define YZ_BROKER_EVENTS_H

#include "base/log.h"

#define BROKER_EVENTS(X)                                                                           \
    X(STARTED, "broker.started", LOG_LEVEL_INFO)                                                   \
    X(LISTENING, "broker.listening", LOG_LEVEL_INFO)                                               \
    X(NO_DIRECTORY, "broker.no-directory", LOG_LEVEL_WARN)                                         \
    X(NOT_LISTED, "broker.not-listed", LOG_LEVEL_WARN)                                             \
    X(UNMEASURED, "broker.unmeasured", LOG_LEVEL_WARN)                                             \
    X(READY, "broker.ready", LOG_LEVEL_INFO)                                                       \
    X(DRAINING, "broker.draining", LOG_LEVEL_INFO)                                                 \
    X(STOPPED, "broker.stopped", LOG_LEVEL_INFO)                                                   \
    X(FAILED, "broker.failed", LOG_LEVEL_ERROR)                                                    \
    X(RELOADED, "broker.reloaded", LOG_LEVEL_INFO)                                                 \
    X(RELOAD_FAILED, "broker.reload-failed", LOG_LEVEL_ERROR)                                      \
    X(DIRECTORY_ADOPTED, "directory.adopted", LOG_LEVEL_INFO)                                      \
    X(DIRECTORY_REFUSED, "directory.refused", LOG_LEVEL_WARN)                                      \
    X(DIRECTORY_AGING, "directory.aging", LOG_LEVEL_WARN)                                          \
    X(STATEMENT_ADOPTED, "statement.adopted", LOG_LEVEL_INFO)                                      \
    X(RECORD_REFUSED, "record.refused", LOG_LEVEL_WARN)                                            \
    X(OFFER_ADOPTED, "offer.adopted", LOG_LEVEL_INFO)                                              \
    X(KEEP_FAILED, "offer.not-kept", LOG_LEVEL_ERROR)                                              \
    X(FRESHNESS_FAILED, "freshness.failed", LOG_LEVEL_ERROR)                                       \
    X(PEER_UP, "peer.up", LOG_LEVEL_INFO)                                                          \
    X(PEER_DOWN, "peer.down", LOG_LEVEL_INFO)                                                      \
    X(PEER_CUT, "peer.cut-off", LOG_LEVEL_WARN)                                                    \
    X(PEER_NONSENSE, "peer.nonsense", LOG_LEVEL_WARN)                                              \
    X(PEER_BAD, "peer.bad-message", LOG_LEVEL_WARN)                                                \
    X(REPLAY_RESTORED, "replay.restored", LOG_LEVEL_INFO)                                          \
    X(REPLAY_DAMAGED, "replay.damaged", LOG_LEVEL_WARN)                                            \
    X(REPLAY_NOT_KEPT, "replay.not-kept", LOG_LEVEL_ERROR)                                         \
    X(REQUEST_REFUSED, "request.refused", LOG_LEVEL_INFO)                                          \
    X(REQUEST_REJECTED, "request.rejected", LOG_LEVEL_INFO)                                        \
    X(RESPONSE_BAD, "response.bad", LOG_LEVEL_WARN)                                                \
    X(RESPONSE_LATE, "response.late", LOG_LEVEL_DEBUG)                                             \
    X(EXCHANGE_DONE, "exchange.done", LOG_LEVEL_DEBUG)                                             \
    X(OUTCOME_FAILED, "outcome.failed", LOG_LEVEL_ERROR)                                           \
    X(LOG_BEHIND, "evidence.behind", LOG_LEVEL_ERROR)                                              \
    X(EVIDENCE_OPENED, "evidence.opened", LOG_LEVEL_INFO)                                          \
    X(EVIDENCE_DOWN, "evidence.down", LOG_LEVEL_ERROR)                                             \
    X(EVIDENCE_UP, "evidence.up", LOG_LEVEL_INFO)                                                  \
    X(EVIDENCE_RETRIED, "evidence.commit-failed", LOG_LEVEL_WARN)                                  \
    X(EVIDENCE_PRUNED, "evidence.pruned", LOG_LEVEL_INFO)                                          \
    X(EVIDENCE_PUBLISH, "evidence.not-published", LOG_LEVEL_ERROR)                                 \
    X(EVIDENCE_FILE, "evidence.file-rewritten", LOG_LEVEL_WARN)                                    \
    X(EVIDENCE_DAMAGED, "evidence.damaged", LOG_LEVEL_ERROR)

#define DECLARE(name, text, level) extern const struct log_event EV_##name;
BROKER_EVENTS(DECLARE)
#undef DECLARE

#endif
