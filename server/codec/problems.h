/* problems.h - every way in which a request can fail: its code, which clients compare, and its HTTP status.
 *
 * The same mistake has the same row wherever it is made. A code stays what it is; what a person reads beside it
 * (`detail`) may change. GET /problems shows this table.
 *
 * To add a failure: a row here, and its code and an example in proto/openapi.json; tests/http/test_problems.py wants to
 * see it once.
 *
 * Who finds a mistake says which one in the facts of the error (ra_status.h):
 *
 *     RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.kind = PROBLEM_TOO_MANY, .where = "ids", PROBLEM_COUNTS(most, count)),
 *                   "ids has more than %zu numbers", most);
 *
 * and where he does not, problem_of() tells it from the code of the error.
 *
 * Thread safety: constants.
 */
#ifndef RASAED_CODEC_PROBLEMS_H
#define RASAED_CODEC_PROBLEMS_H

#include "ra_status.h"

/* name, code, status, what it means */
#define PROBLEM_LIST(X)                                                                                      \
    X(MALFORMED_REQUEST, "malformed_request", 400,                                                           \
      "The request is not good HTTP: its line, its headers or its target cannot be read, or could be read "  \
      "in two ways.")                                                                                        \
    X(MALFORMED_BODY, "malformed_body", 400,                                                                 \
      "The body is not what its Content-Type or Content-Encoding says: no JSON, no npy, no tensors of the "  \
      "shape that "                                                                                          \
      "the headers give.")                                                                                   \
    X(MISSING_PARAMETER, "missing_parameter", 400, "A member or a parameter that is needed is missing.")     \
    X(UNKNOWN_PARAMETER, "unknown_parameter", 400, "There is no member or parameter of this name here.")     \
    X(CONFLICTING_PARAMETERS, "conflicting_parameters", 400,                                                 \
      "Parameters exclude each other, or one is given twice with different values.")                         \
    X(INVALID_VALUE, "invalid_value", 400,                                                                   \
      "A value has the wrong type, or is none of those that there are.")                                     \
    X(OUT_OF_RANGE, "out_of_range", 400,                                                                     \
      "A number in the query or the body is too small or too large, like that of an atom that the "          \
      "dictionary does not "                                                                                 \
      "have.")                                                                                               \
    X(WRONG_SHAPE, "wrong_shape", 400,                                                                       \
      "Sizes do not fit: of a row, of a batch, of lists that belong together.")                              \
    X(WRONG_DTYPE, "wrong_dtype", 400, "A tensor has a type that is not taken here.")                        \
    X(NOT_FINITE, "not_finite", 400, "A number is NaN or infinite, or a result is beyond float32.")          \
    X(MISSING_KEY, "missing_key", 401, "The server asks for a key, and the request has none.")               \
    X(INVALID_KEY, "invalid_key", 401, "The key is none of the server's.")                                   \
    X(ADMIN_KEY_REQUIRED, "admin_key_required", 403,                                                         \
      "The key may read, and this needs one that may change the server.")                                    \
    X(CHANGES_DISABLED, "changes_disabled", 403,                                                             \
      "Without a key file the server cannot be changed over HTTP.")                                          \
    X(STATE_DISABLED, "state_disabled", 403,                                                                 \
      "The server keeps no changes, because it was started without a state directory (--state).")            \
    X(UNKNOWN_PATH, "unknown_path", 404, "There is nothing at this path, or not on this address.")           \
    X(UNKNOWN_DICTIONARY, "unknown_dictionary", 404, "The path names a dictionary that there is not.")       \
    X(NOT_LOADED, "not_loaded", 404, "The path names a dictionary that is known and not loaded.")            \
    X(UNKNOWN_ATOM, "unknown_atom", 404, "The path names an atom that the dictionary does not have.")        \
    X(UNKNOWN_POINT, "unknown_point", 404, "The path names a point that the dictionary does not have.")      \
    X(UNKNOWN_MEDIA, "unknown_media", 404, "The path names a file of media that is not served.")             \
    X(UNKNOWN_LIST, "unknown_list", 404, "The path names a list of atoms that there is not.")                \
    X(UNKNOWN_CONTRAST, "unknown_contrast", 404,                                                             \
      "The path names a contrast that the file of the dictionary does not hold.")                            \
    X(UNKNOWN_VERSION, "unknown_version", 404, "The path names a version that is not the current one.")      \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 405,                                                         \
      "The path is there; the header Allow lists its methods.")                                              \
    X(NOT_ACCEPTABLE, "not_acceptable", 406, "The reply has none of the forms that the client accepts.")     \
    X(NO_ENCODER, "no_encoder", 409, "The dictionary has no encoder.")                                       \
    X(NOT_HELD, "not_held", 409, "The file of the dictionary does not hold what is asked for.")              \
    X(FILE_UNREADABLE, "file_unreadable", 409,                                                               \
      "The file of the dictionary cannot be read; nothing has changed.")                                     \
    X(PRECONDITION_FAILED, "precondition_failed", 412,                                                       \
      "If-Match or If-Unmodified-Since does not hold: what the request is about has changed.")               \
    X(BODY_TOO_LARGE, "body_too_large", 413, "The body has more bytes than are taken.")                      \
    X(TOO_MANY, "too_many", 413,                                                                             \
      "More rows, numbers, entries or results at once than `limit`; ask in parts.")                          \
    X(REPLY_TOO_LARGE, "reply_too_large", 413,                                                               \
      "The reply would have more bytes than are sent; ask for less.")                                        \
    X(TARGET_TOO_LONG, "target_too_long", 414, "The path and the query have more bytes than are taken.")     \
    X(UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415,                                                 \
      "Content-Type or Content-Encoding names a form of the body that is not taken here.")                   \
    X(RANGE_NOT_SATISFIABLE, "range_not_satisfiable", 416, "The range begins after the end.")                \
    X(FILE_NOT_SERVABLE, "file_not_servable", 422,                                                           \
      "The file is no dictionary that can be served; nothing has changed.")                                  \
    X(TOO_MANY_REQUESTS, "too_many_requests", 429,                                                           \
      "This client has as many requests under way as one may; ask again after Retry-After.")                 \
    X(HEADERS_TOO_LARGE, "headers_too_large", 431, "More headers, or more bytes of them, than are taken.")   \
    X(INTERNAL_ERROR, "internal_error", 500,                                                                 \
      "The server failed; its log has the reason under the request id.")                                     \
    X(NOT_SUPPORTED, "not_supported", 501, "The protocol knows it, and this server does not offer it.")      \
    X(OVERLOADED, "overloaded", 503,                                                                         \
      "Too much at once, or too little memory now; ask again after Retry-After.")                            \
    X(DEADLINE_EXCEEDED, "deadline_exceeded", 503,                                                           \
      "The answer was not ready in time; ask for less, or later.")                                           \
    X(STATE_UNAVAILABLE, "state_unavailable", 503,                                                           \
      "The database of the state directory cannot be used now: its disk is full, it cannot be written, it "  \
      "is damaged or held by another program. Nothing has changed, and everything else is answered.")        \
    X(STOPPING, "stopping", 503, "The server is about to stop; ask again, perhaps another one.")             \
    X(DICTIONARY_CHANGED, "dictionary_changed", 503,                                                         \
      "The file of the dictionary was changed while it was served; it has to be loaded again.")

typedef enum problem {
    PROBLEM_NONE,
#define X(name, code, status, meaning) PROBLEM_##name,
    PROBLEM_LIST(X)
#undef X
        PROBLEM_COUNT
} problem_kind;

typedef struct problem_row {
    const char *code, *meaning;
    int status;
} problem_row;

const problem_row *problem_get(problem_kind which); /* of one that there is */

/* What an error is to a client: the kind in its facts, or else what follows from its code. */
problem_kind problem_of(const ra_error *err);

/* For the facts of an error. */
#define PROBLEM_LIMIT(most) .has_limit = true, .limit = (most)
#define PROBLEM_COUNTS(most, count) PROBLEM_LIMIT(most), .has_actual = true, .actual = (count)

#endif
