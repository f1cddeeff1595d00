/* ra_status.h - how the library reports failures, and where its log lines go.
 *
 * Every function that can fail returns a ra_status and takes a `ra_error *err` as its last argument. On
 * failure `err` holds the same code and one complete sentence for the user: what happened, where (file,
 * tensor, row), what was expected. On success `err` is not changed. `err` may be NULL if the caller needs the
 * code only.
 *
 *     ra_error err;
 *     ra_model *model = NULL;
 *     if (ra_model_open("words.safetensors", NULL, &model, &err) != RA_OK)
 *         fprintf(stderr, "rasae: %s\n", err.message);
 *
 * A function that returns a ra_status itself passes failures on with RA_TRY() and reports its own with
 * RA_FAIL(), or with RA_FAIL_FACTS() where a program can use more than the sentence.
 *
 * Thread safety: a ra_error belongs to its caller. ra_log_set_sink() is called once, before other threads
 * start.
 */
#ifndef RA_STATUS_H
#define RA_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row per status: its name, and a text that does not change between versions. The server derives the HTTP
 * status from it in one place. */
#define RA_STATUS_LIST(X)                                                                                    \
    X(OK, "ok")                                                                                              \
    X(ERR_ARGUMENT, "invalid argument")        /* a value from the caller is out of range */                 \
    X(ERR_SETTING, "missing setting")          /* a setting that the file lacks and the caller must give */  \
    X(ERR_SHAPE, "wrong shape")                /* sizes that do not fit together */                          \
    X(ERR_DTYPE, "wrong data type")            /* an element type that is not accepted here */               \
    X(ERR_FORMAT, "malformed data")            /* a file or a message that violates its format */            \
    X(ERR_NOT_FINITE, "not finite")            /* NaN or infinity where a number is needed */                \
    X(ERR_NOT_FOUND, "not found")              /* no such file, tensor, dictionary, atom */                  \
    X(ERR_STATE, "not possible in this state") /* the object lacks what the call needs (an encoder, ...) */  \
    X(ERR_UNSUPPORTED, "not supported")        /* valid, but not implemented or not offered */               \
    X(ERR_TOO_LARGE, "too large")              /* above a limit */                                           \
    X(ERR_MEMORY, "out of memory")                                                                           \
    X(ERR_IO, "input or output failed") /* the operating system refused; the message holds errno's text */   \
    X(ERR_CHANGED, "file changed") /* a file was written while it was read, so what was read is not valid */ \
    X(ERR_DEVICE, "device failed") /* the accelerator, its driver or its plugin */                           \
    X(ERR_CANCELED, "canceled")    /* stopped at the caller's request */                                     \
    X(ERR_INTERNAL, "internal error") /* a bug in the library */

typedef enum ra_status {
#define X(name, text) RA_##name,
    RA_STATUS_LIST(X)
#undef X
        RA_STATUS_COUNT
} ra_status;

enum { RA_ERROR_MESSAGE_SIZE = 1024, RA_ERROR_WHERE_SIZE = 128 };

/* What the sentence says for people, for programs; {0}: nothing is known. */
typedef struct ra_error_facts {
    int kind; /* a number from a list of the program's own, finer than the code; 0: none */
    bool has_limit, has_actual;
    uint64_t limit, actual; /* the largest number allowed, and the one that was there */
    char where
        [RA_ERROR_WHERE_SIZE]; /* the value at fault, in words of the caller: a parameter, a path; "": unknown */
} ra_error_facts;

typedef struct ra_error {
    ra_status code;
    char message[RA_ERROR_MESSAGE_SIZE]; /* one sentence, no newline, always terminated */
    ra_error_facts facts;
} ra_error;

/* The stable text of a status ("out of memory"); "unknown status" for a value outside the list. */
const char *ra_status_text(ra_status status);

/* Its stable name ("ERR_MEMORY"), for logs and machine-readable replies. */
const char *ra_status_name(ra_status status);

/* Fills *err (if not NULL), without facts, and returns `code`. A message longer than the buffer loses its end. */
ra_status ra_error_set(ra_error *err, ra_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns from the function with `code` and a message. */
#define RA_FAIL(err, code, ...) return ra_error_set((err), (code), __VA_ARGS__)

/* The same with facts, in parentheses: RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.where = "ids"), "%zu ids", n); */
#define RA_FAIL_FACTS(err, code, some, ...)                                                                  \
    do {                                                                                                     \
        ra_error *ra_fail_error_ = (err);                                                                    \
        ra_error_set(ra_fail_error_, (code), __VA_ARGS__);                                                   \
        if (ra_fail_error_) ra_fail_error_->facts = (ra_error_facts){RA_UNWRAPPED some};                     \
        return (code);                                                                                       \
    } while (0)
#define RA_UNWRAPPED(...) __VA_ARGS__

/* Passes a failure on: returns from the function if `call` fails, with the message that `call` has set. */
#define RA_TRY(call)                                                                                         \
    do {                                                                                                     \
        ra_status ra_try_status_ = (call);                                                                   \
        if (ra_try_status_ != RA_OK) return ra_try_status_;                                                  \
    } while (0)

/* The same in a function that owns resources: sets `status` and jumps to the label `out`, which releases all
 * of them (their pointers start as NULL). */
#define RA_TRY_OUT(status, call)                                                                             \
    do {                                                                                                     \
        (status) = (call);                                                                                   \
        if ((status) != RA_OK) goto out;                                                                     \
    } while (0)

/* Returns from the function because an allocation of `bytes` for `what` returned NULL. */
#define RA_FAIL_MEMORY(err, what, bytes)                                                                     \
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %s needs %zu bytes", (what), (size_t)(bytes))

/* ---- log ----------------------------------------------------------------------------------------------- */

typedef enum ra_log_level { RA_LOG_DEBUG, RA_LOG_INFO, RA_LOG_WARNING, RA_LOG_ERROR } ra_log_level;

/* Receives one line without a newline; called from any thread, possibly from several at once. */
typedef void ra_log_sink(void *context, ra_log_level level, const char *line);

/* Installs the program's sink; NULL, the default, drops every line. The library itself never prints. */
void ra_log_set_sink(ra_log_sink *sink, void *context);

void ra_log(ra_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
