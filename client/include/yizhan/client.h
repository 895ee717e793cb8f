/* SPDX-License-Identifier: Apache-2.0
 *
 * libyizhan: ask services of other agencies through Yizhan.
 *
 *     yz_client *client;
 *     yz_error err;
 *     if (yz_client_open("client.yaml", &client, &err) < 0) { puts(err.text); ... }
 *
 *     yz_request *request;
 *     yz_request_new("CN/GOV/MCA/civil/marriage/v1", &request);
 *     const char *key[] = {"310101198001010011"};
 *     yz_request_add_key(request, key, 1);
 *
 *     yz_answer *answer;
 *     if (yz_call(client, request, &answer, &err) == YZ_OK) {
 *         if (yz_answer_origin(answer) == YZ_ORIGIN_PROVIDER && ...
 *
 * What is sent is sealed for the provider's adapters and signed by this node; what comes back was
 * verified against the directory before this library shows it. Nothing here is ever logged.
 *
 * Strings in are UTF-8, NUL-terminated, copied. Strings out are UTF-8 and live as long as the
 * object they were asked of. Times are Unix milliseconds, durations milliseconds. Every function
 * that returns int returns YZ_OK or a negative YZ_E* code (yizhan/error.h); an out-parameter is
 * written only on success; a `yz_error *` may be NULL and is filled on failure only. `free`
 * functions accept NULL; an answer that is NULL has no origin, no status, no records and the text
 * "" everywhere.
 */
#ifndef YIZHAN_CLIENT_H
#define YIZHAN_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <yizhan/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header; yz_version() is the library's. */
#define YZ_VERSION_MAJOR 0
#define YZ_VERSION_MINOR 1
#define YZ_VERSION_PATCH 0
YZ_API const char *yz_version(void);

/* -- client ---------------------------------------------------------------------------------- */

/* A consumer node: its keys, its view of the directory, its connections to brokers, and one thread
 * that keeps them. Any number of threads may call on one client at the same time. Several processes
 * may use the same configuration and home at the same time: each has its own connections and its
 * own view of the directory; what the home remembers (the highest versions ever seen) is written
 * under a lock and never goes back. A client does not survive fork(), nor daemon(): open it in the
 * child. In a child every call says YZ_EINVAL, and closing does nothing. */
typedef struct yz_client yz_client;

/* Open from a configuration file (docs/man/yizhan-client.conf.5): node, subsystem, home, anchor,
 * brokers. Does not wait for a connection. Errors: YZ_ECONFIG (file:line:col in the text; a broker
 * whose key nobody knows; an endpoint that is none), YZ_ENOTFOUND (configuration, anchor or a key
 * file), YZ_EPERM (a key file others may read), YZ_EMALFORMED (a key file or the anchor is not in
 * the format), YZ_ECORRUPT (kept state does not verify), YZ_EINVAL, YZ_ENOMEM (also: secrets cannot
 * be locked in memory), YZ_ELIMIT (threads, descriptors), YZ_EIO. */
YZ_API YZ_MUST_USE int yz_client_open(const char *config_path, yz_client **out, yz_error *err);

/* End: calls still running return YZ_ECLOSED. Blocks until the thread has ended and those calls
 * have returned. Completions that yz_poll did not take are gone with it, their answers freed. Must
 * not run at the same time as another call on this client except yz_call and yz_client_wait_ready;
 * nothing may begin after it. Who polls in another thread ends that with yz_client_shutdown first.
 */
YZ_API void yz_client_close(yz_client *client);

/* The first half of closing: calls still running, blocking or submitted, end with YZ_ECLOSED, and
 * no call begins any more. Blocks until the thread has ended. What ended is still there for
 * yz_poll, which says YZ_ECLOSED when all of it was taken. Any thread, at the same time as anything
 * except itself and yz_client_close, which is still to be called; again it does nothing. */
YZ_API void yz_client_shutdown(yz_client *client);

/* Wait until a broker has welcomed this node and a directory to act by is in force, at most
 * timeout_ms. Optional: yz_call waits by itself. YZ_ETIMEOUT with the reason it is not ready ("the
 * broker does not know this key"), YZ_EEXPIRED (a broker is there, and nobody entitled has
 * confirmed the directory for too long), YZ_EBUSY, YZ_ECLOSED, YZ_EINVAL, YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_client_wait_ready(yz_client *client, uint32_t timeout_ms, yz_error *err);

/* -- request --------------------------------------------------------------------------------- */

/* What to ask. Not shared between threads while it is being built; yz_call and yz_submit only read
 * it, and it may be used again (each call is a new message with a new id). */
typedef struct yz_request yz_request;

/* service: "INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE/VERSION". YZ_EINVAL when it is not of that
 * form, YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_request_new(const char *service, yz_request **out);
YZ_API void yz_request_free(yz_request *request);

/* Add a record to get, by its key: one text per key field (at most 8), in the order of the data
 * set's key. YZ_EINVAL (no part, NULL, not UTF-8, or longer than 65,536 bytes), YZ_ELIMIT (more
 * than 1,000 keys, or more than a message holds), YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_request_add_key(yz_request *request, const char *const *parts, size_t n);
/* Ask for this field only (call again for more, answers come in that order); without any, every
 * field the grant allows. YZ_EINVAL (1-64 bytes of UTF-8 without control characters; each once),
 * YZ_ELIMIT (256), YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_request_add_field(yz_request *request, const char *field);
/* What is asked. Without this it is a get, of the keys that were added. */
enum yz_operation {
    YZ_GET = 1,   /* records by key */
    YZ_FIND = 2,  /* records that meet all conditions, in an order, page by page */
    YZ_COUNT = 3, /* how many meet all conditions: yz_answer_total */
    YZ_MATCH = 4, /* yes/no questions about the one key added: yz_answer_match */
    /* Of services that write only. Each is done as a whole or not at all, and at most once; the
     * answer's yz_answer_total says how many records it changed. */
    YZ_INSERT = 5, /* the rows added, of records that must not exist */
    YZ_PUT = 6,    /* the rows added: the fields named are set, the others of a record stay */
    YZ_DELETE = 7  /* the records with the keys added */
};
/* YZ_EINVAL. */
YZ_API YZ_MUST_USE int yz_request_set_operation(yz_request *request, enum yz_operation operation);

/* A value: n bytes of the field's canonical text (docs/definitions.md), for fields of type bytes
 * the bytes themselves; p NULL is no value. */
typedef struct yz_value {
    const void *p;
    size_t n;
} yz_value;
/* Add a record to insert or put: a value for each field that was added (yz_request_add_field), in
 * that order, the key's fields among them. YZ_EINVAL (no values, more than 256, another number than
 * the row before, one longer than 65,536 bytes), YZ_ELIMIT (more than 1,000 rows, or more than a
 * message holds), YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_request_add_row(yz_request *request, const yz_value *values, size_t n);

/* Conditions of a find or count; all that are added must hold. The provider answers only what an
 * index of its data set serves, and only on fields its grant lets this consumer filter by. */
enum yz_condition {
    YZ_EQUAL = 1,
    YZ_IN = 2,       /* equal to one of the values */
    YZ_PREFIX = 3,   /* texts and codes that begin so */
    YZ_AT_LEAST = 4, /* >= */
    YZ_ABOVE = 5,    /* > */
    YZ_AT_MOST = 6,  /* <= */
    YZ_BELOW = 7     /* < */
};
/* Add one: a value, or with YZ_IN up to 1,000, as text of the field's type (docs/definitions.md).
 * NULL as a value of YZ_EQUAL and YZ_IN asks for records without one. Fields of type bytes cannot
 * be asked for here. YZ_EINVAL (a value that is not UTF-8 or longer than 65,536 bytes; several
 * without YZ_IN; a field name as in yz_request_add_field), YZ_ELIMIT (32 conditions), YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_request_add_condition(yz_request *request, const char *field,
                                                enum yz_condition condition,
                                                const char *const *values, size_t n);
/* Yes/no questions of a match: which there are, and what they bring, the grant says. Each is one
 * the grant names; it brings a value (as text of the field's type), or none (n 0). They are
 * answered in the order added. Each may count against the grant's budget of questions about that
 * subject, whatever the answer. YZ_EINVAL (a name of 1-64 bytes as in yz_request_add_field; more
 * than one value, one that is NULL, not UTF-8 or longer than 65,536 bytes), YZ_ELIMIT (16),
 * YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_request_add_predicate(yz_request *request, const char *name,
                                                const char *const *values, size_t n);
/* Order the records found by this field (call again for more: then by that one); all ascending or
 * all descending. YZ_EINVAL, YZ_ELIMIT (8), YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_request_add_order(yz_request *request, const char *field, int descending);
/* At most so many records in one answer; 0: what the provider gives. YZ_EINVAL. */
YZ_API YZ_MUST_USE int yz_request_set_limit(yz_request *request, uint32_t rows);
/* Go on where an answer to the same question ended: its yz_answer_cursor; "": from the start.
 * YZ_EINVAL when it is none. */
YZ_API YZ_MUST_USE int yz_request_set_cursor(yz_request *request, const char *cursor);

/* The purpose code, seen by the broker: 1-64 printable ASCII characters without space. YZ_EINVAL.
 */
YZ_API YZ_MUST_USE int yz_request_set_purpose(yz_request *request, const char *code);
/* Who asks (the official), for which case, on which consent: sealed, seen by the provider only; up
 * to 256 bytes of UTF-8 without control characters each, "" for none. YZ_EINVAL. */
YZ_API YZ_MUST_USE int yz_request_set_user(yz_request *request, const char *user);
YZ_API YZ_MUST_USE int yz_request_set_issue(yz_request *request, const char *issue);
YZ_API YZ_MUST_USE int yz_request_set_consent(yz_request *request, const char *consent);
/* How long the whole call may take, counted from yz_call or yz_submit, 100 ms to 5 min; the default
 * is the configuration's (30 s). YZ_EINVAL. */
YZ_API YZ_MUST_USE int yz_request_set_timeout(yz_request *request, uint32_t timeout_ms);

/* -- call ------------------------------------------------------------------------------------ */

/* A terminal, verified answer. Immutable; any thread; free it yourself. */
typedef struct yz_answer yz_answer;

/* Who speaks in the answer. A provider's word is sealed and signed by its adapter; a broker's is
 * its signed outcome where no provider's word exists. */
enum yz_origin { YZ_ORIGIN_PROVIDER = 1, YZ_ORIGIN_BROKER = 2 };

enum yz_status {
    YZ_STATUS_OK = 1,              /* provider: records (possibly none) */
    YZ_STATUS_DENIED = 2,          /* provider or broker: no right to this; see the reason */
    YZ_STATUS_BAD_QUERY = 3,       /* provider: unknown field, bad key */
    YZ_STATUS_UNSUPPORTED = 4,     /* provider: valid, but not served */
    YZ_STATUS_TOO_LARGE = 5,       /* provider or broker */
    YZ_STATUS_FAILED = 6,          /* provider: its own fault */
    YZ_STATUS_INDETERMINATE = 7,   /* provider: a write was begun, and whether it took effect
                                      cannot be told; asking again does not help: look. Broker: a
                                      write was passed on, or may have been, and nobody says what
                                      became of it; the reason has what the broker said before a
                                      slash: "timeout/adapter-lost" */
    YZ_STATUS_UNKNOWN_SERVICE = 8, /* broker */
    YZ_STATUS_BUSY = 9,            /* broker: try again after yz_answer_retry_after */
    YZ_STATUS_UNAVAILABLE = 10,    /* broker: no live adapter */
    YZ_STATUS_TIMEOUT = 11,        /* broker: the adapter did not answer in time (a read) */
    YZ_STATUS_REJECTED = 12 /* broker: the message itself (expired, replayed, malformed, signature);
                               the reason says which: this node's clock or keys need attention */
};

/* Ask and wait. YZ_OK: *out is the verified answer of provider or broker, also when it says no.
 * Otherwise there is no answer to show, and err says why, and how far the call got:
 *   YZ_ETIMEOUT      nothing verifiable came in time; the message may have been executed
 *   YZ_EUNAVAILABLE  no broker could be reached in time, or none knows a live adapter of the
 *                    service: nothing was sent
 *   YZ_ENOTFOUND     no broker holds an offer of the service
 *   YZ_EEXPIRED      the directory is too old to act on, or to judge the answer by
 *   YZ_ESIGNATURE    an answer, the owner's offer or an adapter's key does not verify
 *   YZ_EMALFORMED    a signed answer came that is not in the format
 *   YZ_ERECEIPT      an answer came without a receipt of the broker's log, or with a false one, and
 *                    the configuration requires receipts (it does unless it says `report`)
 *   YZ_ESTALEKEY     the adapter changed its sealing key twice during the call
 *   YZ_EBUSY         too many calls, or bytes of calls, are under way in this client
 *   YZ_ECLOSED, YZ_EINVAL (a request whose parts do not go together: a get without a key,
 *                    a find with one, ...), YZ_ETOOBIG, YZ_ENOMEM
 * Until its time is over, a call is sent again, as the identical bytes (which no provider executes
 * twice, not even after a crash), when the connection to a broker is lost, to the same or another
 * broker of the configuration; and to another each time a quarter of the request's timeout has
 * passed without an answer. A broker that gives a sign of life meanwhile has half of it at first,
 * and then it is not every call that goes to another as well: see docs/client.md.
 * Any thread; blocks at most the request's timeout. */
YZ_API YZ_MUST_USE int yz_call(yz_client *client, const yz_request *request, yz_answer **out,
                               yz_error *err);

/* -- calls without waiting ------------------------------------------------------------------- */

/* Submit calls, poll for their completions: thousands under way on one client, from any threads,
 * and nothing of the program runs on the client's own thread.
 *
 *     yz_submit(client, request, thing, NULL, &err);
 *     ...
 *     yz_completion done;
 *     while (yz_poll(client, 0, &done, NULL) == YZ_OK) {   when yz_client_fd is readable
 *         use(done.ctx, done.error.code, done.answer);
 *         yz_answer_free(done.answer);
 *     }
 *
 * Each submitted call completes exactly once, at its deadline at the latest, whatever becomes of
 * brokers and providers, whether somebody polls or not: with its answer or the error that yz_call
 * would have given, with YZ_ECANCELLED, or with YZ_ECLOSED. In the order in which calls ended,
 * which is not that of submitting. Any number of threads may submit, cancel and poll at the same
 * time; a completion goes to one of them. */

/* Names a submitted call. Never 0; not used again by this client. */
typedef uint64_t yz_ticket;

/* What became of a submitted call. */
typedef struct yz_completion {
    yz_ticket ticket;
    void *ctx;         /* as given to yz_submit */
    yz_answer *answer; /* verified, of provider or broker; yours to free; NULL when there is none */
    yz_error error;    /* code YZ_OK when there is an answer; otherwise why there is none */
} yz_completion;

/* Begin a call and return at once. The request is copied and may be changed or freed after; ctx is
 * only kept. *out (which may be NULL) is the ticket; when another thread polls, it may have taken
 * the completion before this returns. On failure there is no call and no completion: YZ_EBUSY (as
 * many are in flight, submitted and not yet taken by yz_poll, as the configuration's in_flight
 * says), YZ_ECLOSED, YZ_EINVAL (a request whose parts do not go together: a get without a key, a
 * find with one, ...), YZ_ETOOBIG, YZ_ENOMEM. Any thread; does not block. */
YZ_API YZ_MUST_USE int yz_submit(yz_client *client, const yz_request *request, void *ctx,
                                 yz_ticket *out, yz_error *err);

/* Take one completion, waiting for it at most timeout_ms (0: not at all). YZ_ETIMEOUT: none came,
 * also when no call is in flight. YZ_ECLOSED: the client is shut down and all were taken; none will
 * come. YZ_EINVAL, YZ_EIO. A signal does not end the waiting. Any thread. */
YZ_API YZ_MUST_USE int yz_poll(yz_client *client, uint32_t timeout_ms, yz_completion *out,
                               yz_error *err);

/* A descriptor for poll, epoll or any event loop: readable (POLLIN) while a completion waits, and
 * for ever once yz_poll would say YZ_ECLOSED. Then call yz_poll with 0, until YZ_ETIMEOUT if the
 * loop is edge-triggered. Only for waiting: never read, write or close it. The same as long as the
 * client lives. YZ_EINVAL for NULL. Any thread. */
YZ_API YZ_MUST_USE int yz_client_fd(const yz_client *client);

/* Take a submitted call back. YZ_OK: it completes at once with YZ_ECANCELLED, or, if that was
 * faster, with what it ended with. The error's text says whether it had been sent: then the
 * provider, which is not told, may execute it. YZ_ENOTFOUND: it has ended, and its completion waits
 * or was taken; or no such ticket was given. YZ_EINVAL. Any thread; does not block. */
YZ_API YZ_MUST_USE int yz_cancel(yz_client *client, yz_ticket ticket);

/* -- answer ---------------------------------------------------------------------------------- */

YZ_API void yz_answer_free(yz_answer *answer);
YZ_API enum yz_origin yz_answer_origin(const yz_answer *answer);
YZ_API enum yz_status yz_answer_status(const yz_answer *answer);
/* "ok", "denied", ...: stable text of the status. */
YZ_API const char *yz_status_name(enum yz_status status);
/* "provider" or "broker". */
YZ_API const char *yz_origin_name(enum yz_origin origin);
/* Machine-readable reason ("no-grant", "field"; with YZ_STATUS_REJECTED what was wrong, and the
 * broker's reason behind a slash: "expired/not-yet"), a sentence for a person, and what decided
 * (the grant's id, or the broker's rule); "" when there is none. The sentence of a broker's outcome
 * is this library's. */
YZ_API const char *yz_answer_reason(const yz_answer *answer);
YZ_API const char *yz_answer_detail(const yz_answer *answer);
YZ_API const char *yz_answer_rule(const yz_answer *answer);
/* Which clause of the grant denied ("purpose", "row-filter"; docs/protocol.md, "Deciding"), "" when
 * none did or the word is a broker's. */
YZ_API const char *yz_answer_clause(const yz_answer *answer);
/* The node that signed it, the message id (text form of a UUID), and the milliseconds from yz_call
 * or yz_submit to the verified answer. */
YZ_API const char *yz_answer_node(const yz_answer *answer);
YZ_API const char *yz_answer_message_id(const yz_answer *answer);
YZ_API uint32_t yz_answer_elapsed(const yz_answer *answer);
/* Whether the broker proved that request and answer are in its log: a receipt under the log key of
 * the directory (docs/evidence.md). A provider's answer without proof is shown only when the
 * configuration says `receipts: report`. A broker's outcome may have none: refusals for overload
 * are logged in sum, and nothing is when the log is what fails. */
enum yz_evidence {
    YZ_EVIDENCE_PROVED = 1,
    YZ_EVIDENCE_MISSING = 2, /* no receipt came */
    YZ_EVIDENCE_FALSE = 3    /* one came that does not prove it */
};
YZ_API enum yz_evidence yz_answer_evidence(const yz_answer *answer);
/* 1 when the exchange was kept in the client's home (docs/evidence.md); 0 when the configuration
 * says `keep: {days: 0}`, or when it could not be, for want of disk space for example. */
YZ_API int yz_answer_kept(const yz_answer *answer);
/* "proved", "missing" or "false". */
YZ_API const char *yz_evidence_name(enum yz_evidence evidence);
/* With YZ_STATUS_BUSY: milliseconds to wait before trying again; 0 when not said. */
YZ_API uint32_t yz_answer_retry_after(const yz_answer *answer);
/* The data set's change sequence and the offer's version the provider answered from; 0
 * otherwise. */
YZ_API uint64_t yz_answer_data_version(const yz_answer *answer);
YZ_API uint64_t yz_answer_policy_version(const yz_answer *answer);

/* Records: rows × fields. The name is NULL and the type 0 for a field out of range. What is left of
 * a masked value is YZ_TYPE_TEXT. */
YZ_API size_t yz_answer_rows(const yz_answer *answer);
YZ_API size_t yz_answer_fields(const yz_answer *answer);
YZ_API const char *yz_answer_field_name(const yz_answer *answer, size_t field);
/* How the grant masks the field's values: "hide", "last4", "year", "initial", "hash", "" when they
 * are as they are, NULL out of range. */
YZ_API const char *yz_answer_field_mask(const yz_answer *answer, size_t field);
enum yz_type {
    YZ_TYPE_TEXT = 1,
    YZ_TYPE_INTEGER = 2,
    YZ_TYPE_DECIMAL = 3,
    YZ_TYPE_DATE = 4,
    YZ_TYPE_TIME = 5,
    YZ_TYPE_BOOLEAN = 6,
    YZ_TYPE_CODE = 7,
    YZ_TYPE_BYTES = 8
};
YZ_API enum yz_type yz_answer_field_type(const yz_answer *answer, size_t field);
/* The value's canonical text (raw bytes for YZ_TYPE_BYTES): *out points to *out_n bytes, not
 * NUL-terminated, valid until the answer is freed; NULL and 0 for null. YZ_EINVAL out of range. */
YZ_API YZ_MUST_USE int yz_answer_value(const yz_answer *answer, size_t row, size_t field,
                                       const void **out, size_t *out_n);
/* To a find: where to go on, "" when this was the end. The provider keeps nothing: ask the same
 * question with yz_request_set_cursor, of the same service, before the cursor is refused as too old
 * ("cursor-expired"), or because what it was made under changed ("cursor-policy", "cursor-data").
 */
YZ_API const char *yz_answer_cursor(const yz_answer *answer);
/* To a count: how many; to a write: how many records it changed. YZ_ENOTFOUND: the answer has no
 * count. YZ_EINVAL. */
YZ_API YZ_MUST_USE int yz_answer_total(const yz_answer *answer, uint64_t *out);
/* To a match: how many answers (0 to anything else), and the answer to the question added as the
 * i-th, from 0; YZ_EINVAL out of range. Unknown: there is no such record, none that may be asked
 * about, or it has no value; which of them is not told. */
enum yz_match { YZ_MATCH_YES = 1, YZ_MATCH_NO = 2, YZ_MATCH_UNKNOWN = 3 };
YZ_API size_t yz_answer_matches(const yz_answer *answer);
YZ_API YZ_MUST_USE int yz_answer_match(const yz_answer *answer, size_t i, enum yz_match *out);
YZ_API const char *yz_match_name(enum yz_match match); /* "yes", "no", "unknown"; static */
/* The whole answer as JSON (docs/json.md): origin, status, reason, records as objects in field
 * order, integers and decimals as exact JSON numbers, dates as ISO 8601 text, bytes as base64. A
 * malloc'd string in *out, to be freed by the caller with free(). YZ_EINVAL, YZ_ELIMIT (beyond
 * 1 GiB), YZ_ENOMEM. */
YZ_API YZ_MUST_USE int yz_answer_json(const yz_answer *answer, int pretty, char **out);

#ifdef __cplusplus
}
#endif
#endif
