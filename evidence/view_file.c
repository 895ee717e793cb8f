/* SPDX-License-Identifier: Apache-2.0
 *
 * Views on disk: lines of text, each a checkpoint with what it is to us. What was caught lies in a
 * file of its own that is made once, so that no other process can write it away.
 */
#include <inttypes.h>

#include "base/file.h"
#include "base/text.h"
#include "evidence/view_internal.h"
#include "proof/checkpoint.h"

static const char head[] = "yizhan-log-view v1";

/* -- writing -- */

static int put_line(const char *what, const struct sighting *s, yz_buf *out)
{
    YZ_TRY(yzi_buf_printf(out, "%s %" PRIu64 " %" PRIu64 " ", what, s->log, s->size));
    YZ_TRY(yzi_base64_encode(yzi_bytes_digest(&s->root), out));
    YZ_TRY(yzi_buf_put_str(out, " "));
    YZ_TRY(yzi_base64_encode(yzi_bytes(s->key, sizeof s->key), out));
    YZ_TRY(yzi_buf_put_str(out, " "));
    YZ_TRY(yzi_base64_encode(yzi_bytes(s->signature, sizeof s->signature), out));
    return yzi_buf_printf(out, " %s\n", s->from);
}

int yzi_view_format(const struct log_view *v, yz_buf *out)
{
    YZ_TRY(yzi_buf_printf(out, "%s\n", head));
    YZ_TRY(yzi_buf_printf(out, "broker %s\n", v->broker));
    if (v->has_latest) {
        YZ_TRY(put_line("latest", &v->latest, out));
    }
    for (unsigned i = 0; i < v->ends_n; i++) {
        YZ_TRY(put_line("end", &v->ends[i], out));
    }
    for (unsigned i = 0; i < v->candidates_n; i++) {
        YZ_TRY(put_line("candidate", &v->candidates[i], out));
    }
    return 0;
}

int yzi_view_keep(struct log_view *v, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = VIEW_FILE_MAX};
    YZ_TRY(yzi_view_format(v, &text));
    YZ_TRY(yzi_file_write(v->path, yzi_bytes_buf(&text), 0600, err));
    v->changed = false;
    return 0;
}

static int put_note(const struct log_view *v, const struct sighting *s, yz_buf *out)
{
    char origin[LOG_ORIGIN_MAX];
    struct note_key key;
    yzi_log_origin(v->node, s->log, origin);
    YZ_TRY(yzi_note_key(yzi_bytes_str(origin), NOTE_ED25519, s->key, &key));
    const struct checkpoint c = {key.name, s->size, s->root};
    YZ_TRY(yzi_buf_printf(out, "\nshown by %s, verifier key ", s->from));
    YZ_TRY(yzi_vkey_write(&key, out));
    YZ_TRY(yzi_buf_put_str(out, "\n\n"));
    return yzi_checkpoint_note(&c, &key, s->signature, out);
}

int yzi_view_keep_broken(const struct log_view *v, const struct sighting *a,
                         const struct sighting *b, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = VIEW_FILE_MAX};
    YZ_TRY(yzi_buf_printf(&text, "%s\n", v->reason));
    YZ_TRY(put_note(v, a, &text));
    YZ_TRY(put_note(v, b, &text));
    int rc = yzi_file_create(v->broken_path, yzi_bytes_buf(&text), 0600, err);
    return rc == YZ_EEXIST ? 0 : rc; /* another process was faster */
}

/* -- reading -- */

static bool take_field(yz_bytes *rest, uint8_t end, yz_bytes *out)
{
    const uint8_t *at = rest->n ? memchr(rest->p, end, rest->n) : NULL;
    if (!at) {
        return false;
    }
    size_t n = (size_t)(at - rest->p);
    *out = yzi_bytes(rest->p, n);
    *rest = yzi_bytes(at + 1, rest->n - n - 1);
    return true;
}

static int read_number(yz_bytes text, uint64_t max, uint64_t *out)
{
    YZ_ENSURE(yzi_u64_parse(text, max, out) == 0 && *out > 0, YZ_EMALFORMED);
    return 0;
}

static int read_sighting(yz_bytes line, struct sighting *out)
{
    yz_bytes f[5];
    struct sighting s = {0};
    for (unsigned i = 0; i < 5; i++) {
        YZ_ENSURE(take_field(&line, ' ', &f[i]), YZ_EMALFORMED);
    }
    YZ_TRY(read_number(f[0], UINT64_MAX, &s.log));
    YZ_TRY(read_number(f[1], CHECKPOINT_SIZE_MAX, &s.size));
    YZ_TRY(yzi_base64_decode_exactly(f[2], s.root.b, sizeof s.root.b));
    YZ_TRY(yzi_base64_decode_exactly(f[3], s.key, sizeof s.key));
    YZ_TRY(yzi_base64_decode_exactly(f[4], s.signature, sizeof s.signature));
    YZ_ENSURE(line.n > 0 && line.n < sizeof s.from, YZ_EMALFORMED);
    YZ_ENSURE(!memchr(line.p, 0, line.n) && yzi_utf8_is_valid(line), YZ_EMALFORMED);
    memcpy(s.from, line.p, line.n);
    *out = s;
    return 0;
}

static int take_sighting(yz_bytes what, yz_bytes rest, struct log_view *v)
{
    if (yzi_bytes_eq_str(what, "latest")) {
        YZ_ENSURE(!v->has_latest, YZ_EMALFORMED);
        YZ_TRY(read_sighting(rest, &v->latest));
        v->has_latest = true;
        return 0;
    }
    YZ_ENSURE(v->has_latest, YZ_EMALFORMED);
    if (yzi_bytes_eq_str(what, "end")) {
        YZ_ENSURE(v->ends_n < VIEW_ENDS_MAX, YZ_EMALFORMED);
        YZ_TRY(read_sighting(rest, &v->ends[v->ends_n]));
        v->ends_n++;
        return 0;
    }
    YZ_ENSURE(yzi_bytes_eq_str(what, "candidate"), YZ_EMALFORMED);
    YZ_ENSURE(v->candidates_n < VIEW_CANDIDATES_MAX, YZ_EMALFORMED);
    YZ_TRY(read_sighting(rest, &v->candidates[v->candidates_n]));
    v->candidates_n++;
    return 0;
}

static int take_line(yz_bytes line, unsigned number, struct log_view *v)
{
    yz_bytes what;
    if (number == 1) {
        return yzi_bytes_eq_str(line, head) ? 0 : YZ_EMALFORMED;
    }
    YZ_ENSURE(take_field(&line, ' ', &what), YZ_EMALFORMED);
    if (number == 2) {
        YZ_ENSURE(yzi_bytes_eq_str(what, "broker"), YZ_EMALFORMED);
        return yzi_bytes_eq_str(line, v->broker) ? 0 : YZ_EMALFORMED;
    }
    return take_sighting(what, line, v);
}

int yzi_view_parse(yz_bytes text, struct log_view *v, unsigned *out_line)
{
    yz_bytes rest = text, line;
    unsigned number = 0;
    do {
        number++;
        int rc = take_field(&rest, '\n', &line) ? take_line(line, number, v) : YZ_EMALFORMED;
        if (rc < 0) {
            if (out_line) {
                *out_line = number;
            }
            return rc;
        }
    } while (rest.n > 0);
    return number >= 2 ? 0 : YZ_EMALFORMED;
}

void yzi_view_look_broken(struct log_view *v)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = VIEW_FILE_MAX};
    if (v->is_broken || !yzi_file_exists(v->broken_path)) {
        return;
    }
    v->is_broken = true; /* whatever stands in it */
    yz_bytes rest, line = {0};
    if (yzi_file_read(v->broken_path, &text, NULL) == 0) {
        rest = yzi_bytes_buf(&text);
        yz_ignore(take_field(&rest, '\n', &line), "an empty file says nothing, and counts");
    }
    snprintf(v->reason, sizeof v->reason, "%.*s", (int)line.n, line.n ? (const char *)line.p : "");
}

int yzi_view_load(struct log_view *v, yz_error *err)
{
    YZ_AUTO(yzi_buf_fini) yz_buf text = {.max = VIEW_FILE_MAX};
    unsigned line = 1;
    yzi_view_look_broken(v);
    int rc = yzi_file_read(v->path, &text, err);
    if (rc == YZ_ENOTFOUND) {
        return 0;
    }
    YZ_TRY(rc);
    rc = yzi_view_parse(yzi_bytes_buf(&text), v, &line);
    return rc == 0 ? 0
                   : yzi_fail(err, YZ_ECORRUPT, "%s:%u: this is no view of the log of %s", v->path,
                              line, v->broker);
}
