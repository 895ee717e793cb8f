/* SPDX-License-Identifier: Apache-2.0
 *
 * Prometheus text from the tables of broker/metrics.h.
 */
#include "broker/metrics.h"

#include <inttypes.h>

#include "proto/status.h"

static int write_one(yz_buf *out, const char *name, const char *help, const char *type, uint64_t v)
{
    return yzi_buf_printf(out,
                          "# HELP yizhan_broker_%s %s\n# TYPE yizhan_broker_%s %s\n"
                          "yizhan_broker_%s %" PRIu64 "\n",
                          name, help, name, type, name, v);
}

int yzi_metrics_write(const struct metrics *m, yz_buf *out)
{
#define COUNTER(name, text, help)                                                                  \
    YZ_TRY(write_one(out, text, help, "counter", yzi_metric_get(&m->name)));
#define GAUGE(name, text, help)                                                                    \
    YZ_TRY(write_one(out, text, help, "gauge", yzi_metric_get(&m->name)));
    BROKER_COUNTERS(COUNTER)
    BROKER_GAUGES(GAUGE)
#undef COUNTER
#undef GAUGE
    YZ_TRY(yzi_buf_put_str(out, "# HELP yizhan_broker_outcomes_total Outcomes signed, by status.\n"
                                "# TYPE yizhan_broker_outcomes_total counter\n"));
    for (unsigned i = 1; i <= OUTCOME_STALE_DIRECTORY; i++) {
        YZ_TRY(yzi_buf_printf(out, "yizhan_broker_outcomes_total{status=\"%s\"} %" PRIu64 "\n",
                              yzi_outcome_status_name(i), yzi_metric_get(&m->outcomes[i])));
    }
    return YZ_OK;
}
