#include "codec/problems.h"

static const problem_row rows[PROBLEM_COUNT] = {
#define X(name, code, status, meaning) [PROBLEM_##name] = {code, meaning, status},
    PROBLEM_LIST(X)
#undef X
};

const problem_row *problem_get(problem_kind which) {
    return &rows[which > PROBLEM_NONE && which < PROBLEM_COUNT ? which : PROBLEM_INTERNAL_ERROR];
}

problem_kind problem_of(const ra_error *err) {
    static const problem_kind usual[RA_STATUS_COUNT] = {
        [RA_ERR_ARGUMENT] = PROBLEM_INVALID_VALUE,     [RA_ERR_SETTING] = PROBLEM_MISSING_PARAMETER,
        [RA_ERR_SHAPE] = PROBLEM_WRONG_SHAPE,          [RA_ERR_DTYPE] = PROBLEM_WRONG_DTYPE,
        [RA_ERR_FORMAT] = PROBLEM_MALFORMED_BODY,      [RA_ERR_NOT_FINITE] = PROBLEM_NOT_FINITE,
        [RA_ERR_NOT_FOUND] = PROBLEM_UNKNOWN_PATH,     [RA_ERR_STATE] = PROBLEM_NOT_HELD,
        [RA_ERR_UNSUPPORTED] = PROBLEM_NOT_SUPPORTED,  [RA_ERR_TOO_LARGE] = PROBLEM_TOO_MANY,
        [RA_ERR_MEMORY] = PROBLEM_OVERLOADED,          [RA_ERR_IO] = PROBLEM_INTERNAL_ERROR,
        [RA_ERR_CHANGED] = PROBLEM_DICTIONARY_CHANGED, [RA_ERR_DEVICE] = PROBLEM_INTERNAL_ERROR,
        [RA_ERR_CANCELED] = PROBLEM_OVERLOADED,        [RA_ERR_INTERNAL] = PROBLEM_INTERNAL_ERROR,
    };
    if (err->facts.kind > PROBLEM_NONE && err->facts.kind < PROBLEM_COUNT)
        return (problem_kind)err->facts.kind;
    problem_kind found = (unsigned)err->code < RA_STATUS_COUNT ? usual[err->code] : PROBLEM_NONE;
    return found ? found : PROBLEM_INTERNAL_ERROR;
}
