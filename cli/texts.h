/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that others wrote: in the language of who reads them, and so that a terminal shows them and
 * nothing else.
 */
#ifndef YZ_CLI_TEXTS_H
#define YZ_CLI_TEXTS_H

#include "cli/cli.h"
#include "proto/record.h"

/* Append the text with what would steer a terminal or turn its line around written as \u{202e}:
 * control characters (C0, DEL, C1), line and paragraph separators, directional marks, overrides and
 * isolates, tags and other invisible marks; what is not UTF-8 as \x{ff}. A line feed comes as a
 * space, or with `lines` as itself. Appends what fits; YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_text_printable(yz_bytes text, bool lines, yz_buf *out);

/* Append the text in lower case, character by character as Unicode's simple mapping has it (so not
 * "ß" as "ss", and nothing is normalised); what is not UTF-8 stays. YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_text_fold(yz_bytes text, yz_buf *out);

/* The language to show texts in: --lang, or what the environment says; "" when it says nothing.
 * YZ_EINVAL with usage words. In the invocation's arena. */
YZ_MUST_USE int yzi_cli_language(struct cli *c, yz_bytes *out);
/* The text in that language, as RFC 4647 looks it up (zh-Hans-CN, zh-Hans, zh), else in a variety
 * of it, else English, else the first; empty when there is none. */
yz_bytes yzi_texts_choose(const struct text_list *l, yz_bytes language);
/* "key": {"en": ..., "zh": ...} */
void yzi_texts_json(struct json *j, const char *key, const struct text_list *l);
/* "key": text, or null when it is empty. */
void yzi_text_json(struct json *j, const char *key, yz_bytes text);

#endif
