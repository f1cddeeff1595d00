/* Candidate points as a checkpoint holds them, for the run that goes on with it. */
#include "ra_points.h"
#include "ra_memory.h"

#include <string.h>

static ra_status load_vectors(const ra_safetensors *file, ra_points *points, ra_error *err) {
    ra_tensor C;
    char shape[128];
    RA_TRY(ra_safetensors_get(file, "dictionary.C", &C, err));
    if (C.rank != 2 || C.dtype != RA_F32)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: dictionary.C is %s %s, expected F32 [N, d]",
                ra_safetensors_path(file), ra_dtype_name(C.dtype),
                ra_shape_text(C.rank, C.shape, shape, sizeof shape));
    RA_TRY(ra_matrix_init(&points->vectors, C.shape[0], C.shape[1], err));
    memcpy(points->vectors.data, C.data, ra_tensor_bytes(&C));
    return RA_OK;
}

static ra_status load_rows(const ra_safetensors *file, ra_points *points, ra_error *err) {
    const ra_tensor *row = ra_safetensors_find(file, "points.rows"),
                    *distance = ra_safetensors_find(file, "points.row_distance");
    size_t N = points->vectors.rows;
    if (!row || !distance) return RA_OK;
    if (row->dtype != RA_I32 || distance->dtype != RA_F32 || row->rank != 2 || distance->rank != 2 ||
        row->shape[0] != N || distance->shape[0] != N || row->shape[1] != distance->shape[1])
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s: points.rows and points.row_distance have to be I32 and F32 of one shape [%zu, R]",
                ra_safetensors_path(file), N);
    size_t R = row->shape[1];
    points->row = ra_malloc(N * R, sizeof *points->row);
    points->row_distance = ra_malloc(N * R, sizeof *points->row_distance);
    if (!points->row || !points->row_distance)
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu nearest rows of each of %zu points", R, N);
    memcpy(points->row, row->data, ra_tensor_bytes(row));
    memcpy(points->row_distance, distance->data, ra_tensor_bytes(distance));
    points->nearest = R;
    return RA_OK;
}

ra_status ra_points_load(const ra_safetensors *file, ra_points *points, ra_error *err) {
    *points = (ra_points){0};
    ra_status status = load_vectors(file, points, err);
    if (status == RA_OK) status = load_rows(file, points, err);
    if (status != RA_OK) ra_points_release(points);
    return status;
}
