/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept exchanges, read back: the headers as they were signed, the contents only as far as they open
 * what the headers commit to.
 */
#include "cli/kept.h"

#include "base/file.h"
#include "evidence/bundle.h"

#define HEADS_MAX (16u * 1024u * 1024u)

int yzi_cli_kept_dir(struct cli *c, char **out)
{
    YZ_TRY(yzi_path_join(yzi_cli_option(c, "home"), "kept", out));
    return yzi_file_exists(*out)
               ? YZ_OK
               : yzi_fail(yzi_cli_error(c), YZ_ENOTFOUND,
                          "%s: nothing is kept there: name the home of a client or an adapter that "
                          "has made or answered a call, and whose configuration keeps exchanges",
                          *out);
}

int yzi_cli_kept_read(const struct kept_exchange *x, struct kept_read *out)
{
    yz_bytes header, block;
    *out = (struct kept_read){.x = x, .is_response = x->answer_kind == FRAME_RESPONSE};
    YZ_TRY(yzi_entry_message_parse(x->request, &header, &block));
    YZ_TRY(yzi_request_header_parse(header, &out->request));
    YZ_TRY(yzi_entry_message_parse(x->answer, &header, &block));
    return out->is_response ? yzi_response_header_parse(header, &out->response)
                            : yzi_outcome_header_parse(header, &out->outcome);
}

const char *yzi_cli_kept_status(const struct kept_read *e)
{
    return e->is_response ? yzi_response_status_name(e->response.status)
                          : yzi_outcome_status_name(e->outcome.status);
}

/* -- contents -- */

static int open_request(const struct kept_read *e, struct kept_contents *k)
{
    struct plain plain;
    YZ_TRY(yzi_evidence_open(e->x->request_plain, &e->request.content_commitment, &k->padded[0],
                             &plain));
    YZ_TRY(yzi_request_head_parse(plain.head, &k->arena, &k->request));
    k->request_body = plain.body;
    k->has_request = true;
    return YZ_OK;
}

static int open_answer(const struct kept_read *e, struct kept_contents *k)
{
    struct plain plain;
    YZ_TRY(yzi_evidence_open(e->x->answer_plain, &e->response.content_commitment, &k->padded[1],
                             &plain));
    YZ_TRY(yzi_answer_head_parse(plain.head, &k->arena, &k->answer));
    k->has_answer = true;
    return YZ_OK;
}

int yzi_cli_kept_open(const struct kept_read *e, struct kept_contents *out)
{
    *out = (struct kept_contents){0};
    yzi_arena_init(&out->arena, HEADS_MAX);
    YZ_TRY(e->x->request_plain.n ? open_request(e, out) : YZ_OK);
    return e->is_response && e->x->answer_plain.n ? open_answer(e, out) : YZ_OK;
}

void yzi_cli_kept_contents_fini(struct kept_contents *k)
{
    yzi_buf_wipe(&k->padded[0]);
    yzi_buf_wipe(&k->padded[1]);
    yzi_arena_fini(&k->arena);
}
