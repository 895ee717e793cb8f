/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths of the mapping: parsed and judged once, with the definition, so that a misspelt one is a
 * fault of the definition and not of every record.
 */
#include "adapters/dataset/definition_impl.h"

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return YZ_EINVAL;
}

/* Room for as many steps as there are separators, and one more. */
static int begin(const char *text, char separator, struct arena *arena, struct dataset_path *out,
                 const char **reason)
{
    size_t n = 1;
    for (const char *p = text; *p; p++) {
        n += *p == separator;
    }
    if (n > DATASET_PATH_MAX) {
        return refuse(reason, "has more than 16 steps");
    }
    *out = (struct dataset_path){0};
    return yzi_arena_new(arena, n, sizeof *out->steps, &out->steps);
}

/* -- JSON -- */

/* One name off the front, unescaped into `to`; *text is behind it, at a dot or the end. */
static int json_name(const char **text, uint8_t *to, yz_bytes *out, const char **reason)
{
    size_t n = 0;
    const char *p = *text;
    for (; *p && *p != '.'; p++) {
        if (*p == '\\' && p[1] != '.' && p[1] != '\\') {
            return refuse(reason, "has a backslash that stands before neither a dot nor another");
        }
        p += *p == '\\';
        to[n++] = (uint8_t)*p;
    }
    if (n == 0) {
        return refuse(reason, "has a step without a name");
    }
    *out = yzi_bytes(to, n);
    *text = p;
    return 0;
}

int yzi_path_json(const char *text, struct arena *arena, struct dataset_path *out,
                  const char **reason)
{
    uint8_t *names;
    YZ_TRY(begin(text, '.', arena, out, reason));
    YZ_TRY(yzi_arena_new(arena, strlen(text) + 1, 1, &names));
    for (;; text++) {
        yz_bytes name;
        YZ_TRY(json_name(&text, names, &name, reason));
        out->steps[out->n++] = (struct path_step){.name = name};
        names += name.n;
        if (!*text) {
            return 0;
        }
    }
}

/* -- XML -- */

/* Characters that no step's name has: the path's own, and what XML allows in no name. */
static bool is_xml_name(yz_bytes name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] <= ' ' || strchr("/@[]=<>&'\"!#$%()*+,;?\\^`{|}~", name.p[i])) {
            return false;
        }
    }
    return name.n > 0;
}

static yz_bytes until(const char **text, const char *ends)
{
    size_t n = strcspn(*text, ends);
    yz_bytes v = yzi_bytes(*text, n);
    *text += n;
    return v;
}

/* "[@attribute=value]", when there is one. */
static int xml_test(const char **text, struct path_step *step, const char **reason)
{
    if (**text != '[') {
        return 0;
    }
    if ((*text)[1] != '@') {
        return refuse(reason, "has a test that is not like [@attribute=value]");
    }
    *text += 2;
    step->test = until(text, "=]");
    if (**text != '=') {
        return refuse(reason, "has a test that is not like [@attribute=value]");
    }
    *text += 1;
    step->wish = until(text, "]");
    if (**text != ']' || !is_xml_name(step->test)) {
        return refuse(reason, "has a test that is not like [@attribute=value]");
    }
    *text += 1;
    step->has_test = true;
    return 0;
}

static int xml_step(const char **text, struct path_step *step, const char **reason)
{
    step->is_attribute = **text == '@';
    *text += step->is_attribute;
    step->name = until(text, "/[");
    if (!is_xml_name(step->name) || yzi_bytes_eq_str(step->name, ".")) {
        return refuse(reason, "has a step that is no name of an element or @attribute");
    }
    YZ_TRY(xml_test(text, step, reason));
    if (**text && (**text != '/' || step->is_attribute)) {
        return refuse(reason, "goes on where it should end");
    }
    return step->is_attribute && step->has_test
               ? refuse(reason, "tests an attribute; a test belongs to an element")
               : 0;
}

int yzi_path_xml(const char *text, struct arena *arena, struct dataset_path *out,
                 const char **reason)
{
    *out = (struct dataset_path){0};
    if (strcmp(text, ".") == 0) {
        return 0;
    }
    YZ_TRY(begin(text, '/', arena, out, reason));
    for (size_t room = DATASET_PATH_MAX; room; room--) {
        YZ_TRY(xml_step(&text, &out->steps[out->n++], reason));
        if (!*text) {
            return 0;
        }
        text++;
    }
    return refuse(reason, "has more than 16 steps");
}

int yzi_path_elements(const char *text, struct arena *arena, struct dataset_path *out,
                      const char **reason)
{
    YZ_TRY(yzi_path_xml(text, arena, out, reason));
    for (size_t i = 0; i < out->n; i++) {
        if (out->steps[i].is_attribute || out->steps[i].has_test) {
            return refuse(reason, "names attributes; a record is an element");
        }
    }
    return out->n ? 0 : refuse(reason, "names no element");
}
