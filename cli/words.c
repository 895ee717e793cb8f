/* SPDX-License-Identifier: Apache-2.0
 *
 * Words of the command line: identifiers, names, numbers, times. What is wrong is refused with a
 * sentence that shows what would be right.
 */
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"

static int refuse_id(struct cli *c, const char *text, const char *what, const char *form)
{
    return yzi_cli_usage(c,
                         "'%s' is no %s: that is %s, each part percent-encoded (unreserved "
                         "characters stand for themselves)",
                         text, what, form);
}

int yzi_cli_member_id(struct cli *c, const char *text, yz_member_id *out)
{
    int rc = yzi_member_id_parse(yzi_bytes_str(text), out);
    return rc < 0 ? refuse_id(c, text, "member", "INSTANCE/CLASS/CODE") : rc;
}

int yzi_cli_subsystem_id(struct cli *c, const char *text, yz_subsystem_id *out)
{
    int rc = yzi_subsystem_id_parse(yzi_bytes_str(text), out);
    return rc < 0 ? refuse_id(c, text, "subsystem", "INSTANCE/CLASS/CODE/SUBSYSTEM") : rc;
}

int yzi_cli_service_id(struct cli *c, const char *text, yz_service_id *out)
{
    int rc = yzi_service_id_parse(yzi_bytes_str(text), out);
    return rc < 0 ? refuse_id(c, text, "service", "INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE/VERSION")
                  : rc;
}

int yzi_cli_node_id(struct cli *c, const char *text, yz_node_id *out)
{
    int rc = yzi_node_id_parse(yzi_bytes_str(text), out);
    return rc < 0 ? refuse_id(c, text, "node",
                              "INSTANCE/CLASS/CODE/@NODE, for a broker INSTANCE/@NODE")
                  : rc;
}

int yzi_cli_code(struct cli *c, const char *what, const char *text, yz_bytes *out)
{
    yz_bytes code = yzi_bytes_str(text);
    if (yzi_segment_check(code) < 0) {
        return yzi_cli_usage(c,
                             "'%s' is no code of %s: that has 1 to %u bytes, percent-encoded, and "
                             "does not begin with '@'",
                             text, what, YZ_SEGMENT_MAX);
    }
    *out = code;
    return YZ_OK;
}

static bool is_line(yz_bytes b)
{
    for (size_t i = 0; i < b.n; i++) {
        if (b.p[i] < 0x20 || b.p[i] == 0x7f) {
            return false;
        }
    }
    return b.n <= YZ_LABEL_MAX && yzi_utf8_is_valid(b);
}

int yzi_cli_label(struct cli *c, const char *option, yz_bytes *out)
{
    const char *text = yzi_cli_option(c, option);
    yz_bytes label = yzi_bytes_str(text ? text : "");
    if (!is_line(label)) {
        return yzi_cli_usage(c, "--%s takes one line of UTF-8 of at most %u bytes", option,
                             YZ_LABEL_MAX);
    }
    *out = label;
    return YZ_OK;
}

int yzi_cli_number(struct cli *c, const char *option, uint64_t least, uint64_t most, uint64_t dflt,
                   uint64_t *out)
{
    const char *text = yzi_cli_option(c, option);
    uint64_t v = dflt;
    if (text && (yzi_u64_parse(yzi_bytes_str(text), most, &v) < 0 || v < least)) {
        return yzi_cli_usage(c, "--%s: '%s' is not a number from %llu to %llu", option, text,
                             (unsigned long long)least, (unsigned long long)most);
    }
    *out = v;
    return YZ_OK;
}

int yzi_cli_time(struct cli *c, const char *option, const char *text, uint64_t *out)
{
    uint64_t ms, now = yzi_wall_ms(&yzi_clock_system);
    if (yzi_time_parse(text, out) == YZ_OK) {
        return YZ_OK;
    }
    if (yzi_duration_parse(text, &ms) == YZ_OK && ms <= UINT64_MAX - now) {
        *out = now + ms;
        return YZ_OK;
    }
    return yzi_cli_usage(c,
                         "--%s: '%s' is neither a time (2027-01-01, 2027-01-01T08:00:00Z) nor a "
                         "duration from now (90d)",
                         option, text);
}

const char *yzi_cli_time_text(uint64_t wall_ms, char out[32])
{
    if (wall_ms == 0) {
        return "-";
    }
    yzi_time_format(wall_ms, out);
    char *fraction = strchr(out, '.');
    if (fraction) {
        memcpy(fraction, "Z", 2);
    }
    return out;
}
