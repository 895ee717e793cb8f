/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything the adapter logs, in one table (docs/operations.md lists it for operators).
 */
#ifndef YZ_ADAPTERS_EVENTS_H
#define YZ_ADAPTERS_EVENTS_H

#include "base/log.h"

#define ADAPTER_EVENTS(X)                                                                          \
    X(STARTED, "adapter.started", LOG_LEVEL_INFO)                                                  \
    X(READY, "adapter.ready", LOG_LEVEL_INFO)                                                      \
    X(DRAINING, "adapter.draining", LOG_LEVEL_INFO)                                                \
    X(STOPPED, "adapter.stopped", LOG_LEVEL_INFO)                                                  \
    X(FAILED, "adapter.failed", LOG_LEVEL_ERROR)                                                   \
    X(RELOADED, "adapter.reloaded", LOG_LEVEL_INFO)                                                \
    X(RELOAD_FAILED, "adapter.reload-failed", LOG_LEVEL_ERROR)                                     \
    X(BROKER_UP, "broker.up", LOG_LEVEL_INFO)                                                      \
    X(BROKER_DOWN, "broker.down", LOG_LEVEL_WARN)                                                  \
    X(ALARM, "alarm", LOG_LEVEL_ERROR)                                                             \
    X(DIRECTORY_ADOPTED, "directory.adopted", LOG_LEVEL_INFO)                                      \
    X(POLICY_ADOPTED, "policy.adopted", LOG_LEVEL_INFO)                                            \
    X(POLICY_REFUSED, "policy.refused", LOG_LEVEL_ERROR)                                           \
    X(POLICY_WITHDRAWN, "policy.withdrawn", LOG_LEVEL_WARN)                                        \
    X(POLICY_OUTDATED, "policy.outdated", LOG_LEVEL_ERROR)                                         \
    X(RECORD_REFUSED, "record.refused", LOG_LEVEL_WARN)                                            \
    X(EPOCH_ANNOUNCED, "epoch.announced", LOG_LEVEL_INFO)                                          \
    X(DATASET_OPENED, "dataset.opened", LOG_LEVEL_INFO)                                            \
    X(DATASET_REDEFINED, "dataset.redefined", LOG_LEVEL_INFO)                                      \
    X(DATASET_OTHER_FORM, "dataset.other-form", LOG_LEVEL_WARN)                                    \
    X(DATASET_REFUSED, "dataset.refused", LOG_LEVEL_ERROR)                                         \
    X(DATASET_CLOSED, "dataset.closed", LOG_LEVEL_INFO)                                            \
    X(INDEX_BUILT, "index.built", LOG_LEVEL_INFO)                                                  \
    X(INDEX_FAILED, "index.failed", LOG_LEVEL_ERROR)                                               \
    X(IMPORT_DONE, "import.done", LOG_LEVEL_INFO)                                                  \
    X(IMPORT_FAILED, "import.failed", LOG_LEVEL_WARN)                                              \
    X(IMPORT_CANCELLED, "import.cancelled", LOG_LEVEL_WARN)                                        \
    X(IMPORT_UNFINISHED, "import.unfinished", LOG_LEVEL_WARN)                                      \
    X(EXPORTED, "data.exported", LOG_LEVEL_INFO)                                                   \
    X(BACKED_UP, "data.backed-up", LOG_LEVEL_INFO)                                                 \
    X(BACKUP_FAILED, "backup.failed", LOG_LEVEL_WARN)                                              \
    X(KEY_ROTATED, "key.rotated", LOG_LEVEL_INFO)                                                  \
    X(ROTATION_FAILED, "key.not-rotated", LOG_LEVEL_WARN)                                          \
    X(KEY_DESTROYED, "key.destroyed", LOG_LEVEL_WARN)                                              \
    X(KEY_LEFT, "key.left", LOG_LEVEL_ERROR)                                                       \
    X(REQUEST_REJECTED, "request.rejected", LOG_LEVEL_WARN)                                        \
    X(REQUEST_ANSWERED, "request.answered", LOG_LEVEL_DEBUG)                                       \
    X(ANSWER_FAILED, "answer.failed", LOG_LEVEL_ERROR)                                             \
    X(ANSWER_UNLOGGED, "answer.unlogged", LOG_LEVEL_WARN)                                          \
    X(KEEP_FAILED, "kept.failed", LOG_LEVEL_ERROR)                                                 \
    X(KEPT_DESTROYED, "kept.destroyed", LOG_LEVEL_INFO)                                            \
    X(RECEIPT_FALSE, "receipt.false", LOG_LEVEL_ERROR)                                             \
    X(RECEIPT_MISSING, "receipt.missing", LOG_LEVEL_ERROR)                                         \
    X(RECEIPTS_BACK, "receipts.back", LOG_LEVEL_INFO)

#define DECLARE(name, text, level) extern const struct log_event ADAPTER_##name;
ADAPTER_EVENTS(DECLARE)
#undef DECLARE

#endif
