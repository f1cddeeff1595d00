/* The group of an MPI job. Sums go to the first rank and from there to all: an all-reduce may add in another
 * order on each rank, and then parameters would drift apart. */
#include "training/ranks.h"

#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum { MOST = 1 << 28 }; /* numbers per message: MPI counts in int */

static MPI_Comm failures; /* separate from the sums, in which others may be waiting */

static ra_status check(int code, const char *what, ra_error *err) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (code == MPI_SUCCESS) return RA_OK;
    MPI_Error_string(code, text, &length);
    RA_FAIL(err, RA_ERR_IO, "the processes of this run lost their connection while they %s: %s", what, text);
}

static ra_status reduce(char *values, size_t n, size_t size, MPI_Datatype type, MPI_Op op, ra_error *err) {
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (size_t from = 0; from < n; from += MOST) {
        int count = n - from < MOST ? (int)(n - from) : MOST;
        char *part = values + from * size;
        ra_status status =
            check(MPI_Reduce(rank == 0 ? MPI_IN_PLACE : part, part, count, type, op, 0, MPI_COMM_WORLD),
                  "summed", err);
        if (status == RA_OK)
            status = check(MPI_Bcast(part, count, type, 0, MPI_COMM_WORLD), "shared a sum", err);
        if (status != RA_OK) return status;
    }
    return RA_OK;
}

static ra_status sum_f32(void *context, float *values, size_t n, ra_error *err) {
    (void)context;
    return reduce((char *)values, n, sizeof *values, MPI_FLOAT, MPI_SUM, err);
}

static ra_status sum_f64(void *context, double *values, size_t n, ra_error *err) {
    (void)context;
    return reduce((char *)values, n, sizeof *values, MPI_DOUBLE, MPI_SUM, err);
}

static ra_status sum_u64(void *context, uint64_t *values, size_t n, ra_error *err) {
    (void)context;
    return reduce((char *)values, n, sizeof *values, MPI_UINT64_T, MPI_SUM, err);
}

static ra_status unite(void *context, uint8_t *flags, size_t n, ra_error *err) {
    (void)context;
    return reduce((char *)flags, n, sizeof *flags, MPI_UINT8_T, MPI_MAX, err);
}

static size_t process;

size_t ranks_process(void) {
    return process;
}

static void count_neighbors(void) {
    MPI_Comm neighbors;
    int own = 0;
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &neighbors) !=
        MPI_SUCCESS)
        return;
    MPI_Comm_rank(neighbors, &own);
    MPI_Comm_free(&neighbors);
    process = (size_t)own;
}

ra_status ranks_begin(int *argc, char ***argv, const ra_group **out, ra_error *err) {
    static ra_group group = {.sum_f32 = sum_f32, .sum_f64 = sum_f64, .sum_u64 = sum_u64, .unite = unite};
    int provided, rank, size;
    *out = NULL;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        RA_FAIL(err, RA_ERR_IO, "MPI cannot be started");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_dup(MPI_COMM_WORLD, &failures);
    count_neighbors();
    group.rank = (size_t)rank;
    group.size = (size_t)size;
    if (size > 1) *out = &group;
    return RA_OK;
}

/* A process that failed comes to this barrier. If all do, they end in order; else the job is aborted. */
static bool all_failed(void) {
    enum { MOMENTS = 200 };
    const struct timespec moment = {.tv_nsec = 10000000};
    MPI_Request request;
    int met = 0;
    if (MPI_Ibarrier(failures, &request) != MPI_SUCCESS) return false;
    for (int i = 0; i < MOMENTS && !met; i++) {
        if (MPI_Test(&request, &met, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
        if (!met) nanosleep(&moment, NULL);
    }
    return met;
}

static bool together; /* all failed */

bool ranks_may_speak(const ra_group *group) {
    if (!group) return true;
    together = all_failed();
    return !together || group->rank == 0;
}

void ranks_end(const ra_group *group, int code) {
    if (group && code != 0 && !together) MPI_Abort(MPI_COMM_WORLD, code);
    MPI_Finalize();
}
