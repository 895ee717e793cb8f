/* SPDX-License-Identifier: Apache-2.0
 *
 * The environment behind adapters/state.h.
 */
#include "adapters/state.h"

struct state {
    struct db_env *env;
};

int yzi_state_open(const char *dir, struct state **out, yz_error *err)
{
    struct state *s;
    YZ_TRY(yzi_alloc(1, sizeof *s, &s));
    struct db_options o = {.path = dir, .databases = STATE_DATABASES_MAX};
    int rc = yzi_db_open(&o, &s->env, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    *out = s;
    return YZ_OK;
}

void yzi_state_close(struct state *s)
{
    if (s) {
        yzi_db_close(s->env);
        free(s);
    }
}

struct db_env *yzi_state_env(struct state *s)
{
    return s->env;
}

int yzi_state_database(struct state *s, const char *name, unsigned flags, db_handle *out)
{
    return yzi_db_handle(s->env, name, flags, out);
}
