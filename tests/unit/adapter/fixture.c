/* SPDX-License-Identifier: Apache-2.0
 *
 * The adapter's surroundings behind fixture.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/adapter/fixture.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

#define OK(call) assert_int_equal((call), YZ_OK)

static const char definition[] =
    "dataset: marriage\n"
    "title: {en: Marriages}\n"
    "owner: CN/GOV/MCA\n"
    "sharing: unconditional\n"
    "key: [person_id]\n"
    "fields:\n"
    "  - {name: person_id, type: text, classification: internal, required: true}\n"
    "  - {name: status, type: text, classification: internal}\n"
    "  - {name: spouse, type: text, classification: internal}\n"
    "indexes:\n"
    "  - {name: by_status, fields: [status]}\n";

static const char rows[] = "person_id,status,spouse\n"
                           "p1,married,p2\n"
                           "p2,married,p1\n"
                           "p3,single,\n";

static void import(struct store *s, const char *csv)
{
    int fd = memfd_create("rows", MFD_CLOEXEC);
    assert_int_equal(write(fd, csv, strlen(csv)), (ssize_t)strlen(csv));
    struct import_source source = {.fd = fd, .name = "rows.csv", .mode = IMPORT_UPSERT};
    struct import_report report;
    yz_error err = {0};
    if (yzi_store_import(s, &source, &report, &err) < 0) {
        fail_msg("%s", err.text);
    }
    close(fd);
}

static void open_store(struct fixture *f)
{
    yz_error err = {0};
    YZ_AUTO(yzi_free_ptr) char *data = NULL;
    OK(yzi_path_join(f->dir, "data", &data));
    if (yzi_dataset_parse(yzi_bytes_str(definition), "marriage.yaml", &f->dataset, &err) < 0) {
        fail_msg("%s", err.text);
    }
    struct store_options o = {.dir = data, .dataset = f->dataset};
    if (yzi_store_open(&o, &f->store, &err) < 0) {
        fail_msg("%s", err.text);
    }
    import(f->store, rows);
}

static struct world *world_of_clock;

static uint64_t world_wall(const struct clock *c)
{
    (void)c;
    return yz_world_now(world_of_clock);
}

static uint64_t system_mono(const struct clock *c)
{
    (void)c;
    return yzi_mono_ms(&yzi_clock_system);
}

int fixture_set_up(void **state)
{
    struct fixture *f;
    OK(yzi_alloc(1, sizeof *f, &f));
    yzi_secret_require_lock(false);
    f->w = yz_world_standard();
    world_of_clock = f->w;
    f->clock = (struct clock){world_wall, system_mono};
    f->dir = yz_world_tmpdir();
    f->a1 = yz_world_node(f->w, "CN/GOV/MCA/@a1");
    OK(yzi_directory_node(f->w->directory, f->a1->node, yz_world_now(f->w), &f->self, NULL));
    open_store(f);
    YZ_AUTO(yzi_free_ptr) char *offers = NULL;
    OK(yzi_path_join(f->dir, "offers", &offers));
    OK(yzi_policies_open(offers, &f->policies, NULL));
    fixture_publish(f, 1);
    yzi_key_pair_hold(&f->a1->signing);
    f->answering = (struct answering){.node = f->a1->node,
                                      .signing = &f->a1->signing,
                                      .clock = &f->clock,
                                      .message_max = 1u << 20,
                                      .limits = {.rows = 100, .bytes = 1u << 20},
                                      .query_ms = 5000,
                                      .cursor_key = "32 bytes that all workers share",
                                      .cursor_ms = 60000};
    OK(yzi_answering_init(&f->answering));
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    yzi_answering_fini(&f->answering);
    yzi_key_pair_release(&f->a1->signing);
    yzi_policies_close(f->policies);
    yzi_store_close(f->store);
    yzi_dataset_unref(f->dataset);
    yz_world_rmdir(f->dir);
    free(f->dir);
    yz_world_free(f->w);
    free(f);
    return 0;
}

void fixture_publish(struct fixture *f, uint64_t version)
{
    static const char *const readable[] = {"person_id", "status", NULL};
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    YZ_AUTO(yzi_buf_fini) yz_buf terms;
    yz_world_buf(&offer);
    yz_world_buf(&terms);
    yz_world_simple_offer(f->w, WORLD_SERVICE, WORLD_CONSUMER, version, readable, &offer, &terms);
    yz_error err = {0};
    if (yzi_policies_put(f->policies, f->w->directory, &f->self, yzi_bytes_buf(&offer),
                         yzi_bytes_buf(&terms), yz_world_now(f->w), &err) < 0) {
        fail_msg("%s", err.text);
    }
    f->policy = yzi_policies_get(f->policies, (yz_subsystem_id){yzi_bytes_str("CN/GOV/MCA/civil")});
    assert_non_null(f->policy);
}

/* -- requests and jobs -- */

#define LIST_MAX 64u

void fixture_query(enum query_operation operation, const char *const *keys,
                   const char *const *fields, yz_buf *out)
{
    struct query_value values[LIST_MAX];
    struct query_key list[LIST_MAX];
    yz_bytes names[LIST_MAX];
    struct request_head h = {.has_query = true, .query = {.operation = operation}};
    struct query *q = &h.query;
    for (; keys && keys[q->keys_n]; q->keys_n++) {
        values[q->keys_n] = (struct query_value){.v = yzi_bytes_str(keys[q->keys_n])};
        list[q->keys_n] = (struct query_key){&values[q->keys_n], 1};
    }
    for (; fields && fields[q->fields_n]; q->fields_n++) {
        names[q->fields_n] = yzi_bytes_str(fields[q->fields_n]);
    }
    q->keys = list;
    q->fields = names;
    OK(yzi_request_head_write(&h, out));
}

static void pair_key(struct fixture *f, const struct request_header *h, const struct epoch *e,
                     enum seal_direction direction, uint8_t out[32])
{
    struct seal_pair pair = {
        .suite = h->suite, .consumer = h->node, .adapter = f->a1->node, .announcement = e->digest};
    memcpy(pair.consumer_epoch, h->epoch_key, 32);
    memcpy(pair.adapter_epoch, e->key.public_key, 32);
    OK(yzi_seal_pair_key((struct key_pair *)&e->key, &pair, direction, out));
}

struct job *fixture_job(struct fixture *f, const struct world_message *request)
{
    struct job *j;
    OK(yzi_alloc(1, sizeof *j, &j));
    OK(yzi_message_copy(&j->message, request->frame.raw));
    j->directory = f->w->directory;
    yzi_directory_ref(j->directory);
    struct judge judge = {j->directory, yz_world_now(f->w), YZ_SKEW_MS};
    struct frame frame;
    OK(yzi_frame_parse(j->message.bytes, YZ_MESSAGE_MAX, &frame));
    assert_int_equal(yzi_request_admit(&judge, &frame, NULL, &j->request).status, 0);
    assert_int_equal(yzi_request_verify(&judge, NULL, &j->request).status, 0);
    const struct epoch *e = yz_world_epoch(f->w, f->a1);
    pair_key(f, &j->request.header, e, SEAL_REQUEST, j->request_key);
    pair_key(f, &j->request.header, e, SEAL_RESPONSE, j->response_key);
    j->policy = f->policy;
    yzi_policy_ref(j->policy);
    j->store = yzi_store_ref(f->store);
    j->deadline_mono = yzi_mono_ms(&f->clock) + 30000;
    return j;
}

struct job *fixture_get(struct fixture *f, const char *const *keys, const char *const *fields,
                        struct world_message *out_request)
{
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    yz_world_buf(&head);
    fixture_query(QUERY_GET, keys, fields, &head);
    yz_world_request(f->w, &(struct world_request){.head = yzi_bytes_buf(&head)}, out_request);
    return fixture_job(f, out_request);
}

struct job *fixture_write(struct fixture *f, enum query_operation operation, const char *id,
                          const char *status, struct world_message *out_request)
{
    struct query_value values[2] = {{.v = yzi_bytes_str(id)}, {.v = yzi_bytes_str(status)}};
    yz_bytes fields[2] = {yzi_bytes_str("person_id"), yzi_bytes_str("status")};
    struct query_key key = {values, 1};
    struct request_head h = {.has_query = true, .query = {.operation = operation}};
    YZ_AUTO(yzi_buf_fini) yz_buf head;
    YZ_AUTO(yzi_buf_fini) yz_buf body;
    yz_world_buf(&head);
    yz_world_buf(&body);
    if (yzi_operation_brings_rows(operation)) {
        h.query.fields = fields;
        h.query.fields_n = 2;
        h.query.rows = 1;
        OK(yzi_row_put(&body, &values[0]));
        OK(yzi_row_put(&body, &values[1]));
    } else {
        h.query.keys = &key;
        h.query.keys_n = 1;
    }
    OK(yzi_request_head_write(&h, &head));
    yz_world_request(
        f->w, &(struct world_request){.head = yzi_bytes_buf(&head), .body = yzi_bytes_buf(&body)},
        out_request);
    struct job *j = fixture_job(f, out_request);
    j->write_service = true;
    return j;
}

/* -- answers -- */

void fixture_open(struct fixture *f, const struct world_message *request, const struct job *j,
                  struct opened *out)
{
    struct judge judge = {f->w->directory, yz_world_now(f->w), YZ_SKEW_MS};
    struct request_header q;
    struct frame frame;
    *out = (struct opened){0};
    yz_world_buf(&out->plain_text);
    yzi_arena_init(&out->arena, 1u << 20);
    OK(j->rc);
    OK(yzi_request_header_parse(request->frame.header, &q));
    OK(yzi_frame_parse(yzi_bytes_buf(&j->answer), f->answering.message_max, &frame));
    OK(yzi_response_verify(&judge, NULL, &frame, &q, &request->digest, NULL, &out->response));
    yz_world_open_response(f->w, yz_world_node(f->w, "CN/GOV/HB/@w1"), &request->frame, &frame,
                           &out->plain_text);
    OK(yzi_plain_parse(yzi_bytes_buf(&out->plain_text), &out->plain));
    yz_digest commitment;
    yzi_plain_commitment(&out->plain, &commitment);
    assert_true(yzi_digest_eq(&commitment, &out->response.header.content_commitment));
    assert_int_equal(out->plain.type, PLAIN_ANSWER);
    OK(yzi_answer_head_parse(out->plain.head, &out->arena, &out->head));
    OK(yzi_rows_check(out->plain.body, &out->head));
    assert_int_equal(out->response.header.status, j->status);
    assert_int_equal(out->response.header.policy_version,
                     j->policy ? j->policy->offer->offer.version : 0);
}

void opened_fini(struct opened *o)
{
    yzi_buf_fini(&o->plain_text);
    yzi_arena_fini(&o->arena);
}

void opened_rows(const struct opened *o, char *out, size_t cap)
{
    yz_reader r = yzi_reader(o->plain.body);
    size_t n = 0;
    out[0] = '\0';
    for (uint32_t row = 0; row < o->head.rows; row++) {
        for (size_t i = 0; i < o->head.fields_n; i++) {
            struct query_value v;
            OK(yzi_row_next(&r, &v));
            n += (size_t)snprintf(out + n, cap - n, "%s%.*s", i ? "|" : "", v.null ? 1 : (int)v.v.n,
                                  v.null ? "~" : (const char *)v.v.p);
        }
        n += (size_t)snprintf(out + n, cap - n, "\n");
    }
    assert_true(n < cap);
}
