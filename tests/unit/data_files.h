/* data_files.h - data for the tests of training: matrices of numbers, written to a file and opened. */
#ifndef RA_TEST_DATA_FILES_H
#define RA_TEST_DATA_FILES_H

#include "harness.h"
#include "ra_train.h"

/* values [rows,d] as NAME.npy in the folder of this test; returns its path. */
const char *data_file_npy(const char *name, const float *values, size_t rows, size_t d);

/* The same as a safetensors file with one tensor "x" of any float type; or one of any rank. */
const char *data_file_tensor(const char *name, ra_dtype dtype, const float *values, int rank,
                             const size_t *shape);
const char *data_file_safetensors(const char *name, ra_dtype dtype, const float *values, size_t rows,
                                  size_t d);

/* Both steps at once; the caller frees the data. */
ra_data *data_of(const float *values, size_t rows, size_t d);

/* "cpu" with a number of threads, or "reference". */
ra_backend *backend_of(const char *device, size_t threads);

/* ||x - y||^2 in float64, term by term. */
double squared_distance_of(const float *x, const float *y, size_t d);

/* `groups` clouds of points of this radius about random centers in [-1,1)^d times `spread`; row i belongs to
 * group i % groups. */
void fill_blobs(float *values, size_t rows, size_t d, size_t groups, float spread, float radius,
                uint64_t seed);

/* Fails the n-th allocation of `call`, for n = 1, 2, ... until it succeeds; each failure must say memory.
 * `call` names its error argument `&err`. */
#define fails_at_each_allocation(call)                                                                       \
    do {                                                                                                     \
        ra_status each_status_ = RA_ERR_MEMORY;                                                              \
        for (size_t each_ = 1; each_status_ != RA_OK; each_++) {                                             \
            ra_error err = {0};                                                                              \
            ck_assert_uint_lt(each_, 2000);                                                                  \
            (void)ra_memory_fail_at(each_);                                                                  \
            each_status_ = (call);                                                                           \
            (void)ra_memory_fail_at(0);                                                                      \
            if (each_status_ == RA_OK) break;                                                                \
            ck_assert_msg(each_status_ == RA_ERR_MEMORY, "allocation %zu: %s", each_, err.message);          \
            ck_assert_msg(strstr(err.message, "memory"), "allocation %zu: %s", each_, err.message);          \
        }                                                                                                    \
    } while (0)

#endif
