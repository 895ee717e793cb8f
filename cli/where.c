/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions of the command line.
 */
#include "cli/where.h"

static int copy(struct cli *c, const char *from, size_t n, char **out)
{
    char *to;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), n + 1, 1, &to));
    memcpy(to, from, n);
    *out = to;
    return YZ_OK;
}

int yzi_cli_words(struct cli *c, const char *text, const char ***out, size_t *out_n)
{
    size_t room = 1, n = 0;
    for (const char *p = text; *p; p++) {
        room += *p == ',';
    }
    const char **words;
    char *to;
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), room, sizeof *words, &words));
    YZ_TRY(copy(c, text, strlen(text), &to));
    words[n++] = to;
    for (const char *from = to; *from; from++) {
        if (*from == '\\' && (from[1] == ',' || from[1] == '\\')) {
            *to++ = *++from;
        } else if (*from == ',') {
            *to++ = '\0';
            words[n++] = to;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    *out = words;
    *out_n = n;
    return YZ_OK;
}

struct written {
    const char *text;
    enum query_op op;
};
/* The longer ones first. */
static const struct written operators[] = {{">=", OP_GE},   {"<=", OP_LE},      {"^=", OP_PREFIX},
                                           {"=", OP_EQ},    {">", OP_GT},       {"<", OP_LT},
                                           {" in ", OP_IN}, {" is null", OP_EQ}};

static size_t name_length(const char *text)
{
    size_t n = 0;
    while ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') ||
           (n && ((text[n] >= '0' && text[n] <= '9') || text[n] == '_'))) {
        n++;
    }
    return n;
}

static const struct written *find_operator(const char *text)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (strncmp(text, operators[i].text, strlen(operators[i].text)) == 0) {
            return &operators[i];
        }
    }
    return NULL;
}

int yzi_cli_where(struct cli *c, const char *text, struct cli_where *out)
{
    size_t n = name_length(text);
    const struct written *op = n ? find_operator(text + n) : NULL;
    const char *rest = op ? text + n + strlen(op->text) : NULL;
    bool null = op && strcmp(op->text, " is null") == 0;
    if (!op || (null && *rest)) {
        return yzi_cli_usage(c,
                             "--where '%s' is not a condition; write field=value, >=, >, <=, <, "
                             "^= (begins with), 'field in a,b' or 'field is null'",
                             text);
    }
    char *field;
    YZ_TRY(copy(c, text, n, &field));
    *out = (struct cli_where){.field = field, .op = op->op, .values_n = 1};
    if (op->op == OP_IN) {
        return yzi_cli_words(c, rest, &out->values, &out->values_n);
    }
    YZ_TRY(yzi_arena_new(yzi_cli_arena(c), 1, sizeof *out->values, &out->values));
    out->values[0] = null ? NULL : rest;
    return YZ_OK;
}
