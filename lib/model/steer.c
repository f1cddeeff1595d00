/* Steering moves activations along atoms. To add, the pushes are the same for every row, so they are summed once, in
 * float64, and the sum is added to each row with one rounding to float32: a large push does not absorb many
 * small ones. The other methods look at each row, and move a chunk of rows by one push after another (moving.h).
 *
 * If the base is the reconstruction, rows are encoded and decoded in chunks: an SAE without a limit on its
 * active latents may activate all of them, for every row. */
#include "model/moving.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 256 };

static ra_status check_pushes(const ra_model *model, const ra_steer *pushes, size_t count, ra_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (pushes[i].atom >= model->info.concepts)
            RA_FAIL(err, RA_ERR_ARGUMENT, "push %zu is along atom %zu; expected 0 to %zu", i, pushes[i].atom,
                    model->info.concepts - 1);
        if (!isfinite(pushes[i].scale))
            RA_FAIL(err, RA_ERR_NOT_FINITE, "push %zu, along atom %zu, has no finite scale", i,
                    pushes[i].atom);
    }
    return RA_OK;
}

/* *shift [d] <- the sum of the pushes, in the units of the inputs. */
static ra_status sum_pushes(const ra_model *model, ra_workspace *workspace, const ra_steer *pushes,
                            size_t count, const double **shift, ra_error *err) {
    size_t d = model->info.dimensions;
    void *memory = NULL;
    RA_TRY(ra_scratch_reserve(&workspace->shift, "pushes", d, sizeof(double) + sizeof(float), &memory, err));
    double *sum = memory;
    float *widened = (float *)(sum + d);
    memset(sum, 0, d * sizeof *sum);
    for (size_t i = 0; i < count; i++) {
        const void *row = ra_tensor_row(&model->dictionary, pushes[i].atom);
        const float *atom = ra_row_widen(model->dictionary.dtype, row, 0, d, widened);
        double scale = pushes[i].scale;
        for (size_t j = 0; j < d; j++) sum[j] += scale * atom[j];
    }
    for (size_t j = 0; model->input_scale && j < d; j++) sum[j] *= (double)model->input_scale[j];
    *shift = sum;
    return RA_OK;
}

/* out [rows,d] <- decode(encode(x [rows,d])) */
static ra_status reconstruct(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                             float *out, ra_error *err) {
    size_t d = model->info.dimensions;
    RA_TRY(
        ra_model_check_rows("input", x, rows, d, err)); /* all rows, so that an error names the right one */
    for (size_t from = 0; from < rows; from += CHUNK) {
        size_t count = rows - from < CHUNK ? rows - from : CHUNK;
        RA_TRY(ra_model_encode(model, workspace, x + from * d, count, &workspace->codes, err));
        RA_TRY(ra_model_reconstruct(model, workspace, &workspace->codes, out + from * d, err));
    }
    return RA_OK;
}

static ra_status add(const ra_model *model, ra_workspace *workspace, const ra_steer *pushes, size_t count,
                     size_t rows, float *out, ra_error *err) {
    size_t d = model->info.dimensions, n = rows * d;
    const double *shift = NULL;
    RA_TRY(sum_pushes(model, workspace, pushes, count, &shift, err));
    for (size_t row = 0; row < rows; row++)
        for (size_t j = 0; j < d; j++) out[row * d + j] = (float)(out[row * d + j] + shift[j]);
    size_t bad = ra_find_not_finite(out, n);
    if (bad < n)
        RA_FAIL(err, RA_ERR_NOT_FINITE, "the output for input %zu is beyond float32 at position %zu", bad / d,
                bad % d);
    return RA_OK;
}

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += a[j] * b[j];
    return sum;
}

/* v is not divided by its norm: along = <y,v> / ||v||^2 is the part of y along the atom, in steps of v. */
static ra_status move(ra_moving *moving, ra_steer_method method, const ra_steer *push, size_t rows,
                      ra_error *err) {
    size_t d = moving->dimensions;
    const double *direction = ra_moving_direction(moving, push->atom);
    double square = dot(direction, direction, d), scale = (double)push->scale;
    if (square == 0)
        RA_FAIL(err, RA_ERR_ARGUMENT, "atom %zu is zero, so it has no direction to steer along but by adding",
                push->atom);
    double ceiling = scale / sqrt(square);
    for (size_t row = 0; row < rows; row++) {
        double along = dot(moving->rows + row * d, direction, d) / square;
        if (method == RA_STEER_ORTHOGONAL)
            ra_moving_add(moving, row, (scale - 1) * along);
        else if (along > ceiling)
            ra_moving_add(moving, row, ceiling - along);
    }
    return RA_OK;
}

static ra_status move_all(const ra_model *model, ra_workspace *workspace, ra_steer_method method,
                          const ra_steer *pushes, size_t count, size_t rows, float *out, ra_error *err) {
    size_t d = model->info.dimensions;
    ra_moving moving;
    RA_TRY(ra_moving_reserve(model, workspace, &moving, err));
    for (size_t from = 0; from < rows; from += RA_MOVING_ROWS) {
        size_t part = rows - from < RA_MOVING_ROWS ? rows - from : RA_MOVING_ROWS;
        RA_TRY(ra_workspace_check(workspace, err));
        ra_moving_load(&moving, out + from * d, part);
        for (size_t i = 0; i < count; i++) RA_TRY(move(&moving, method, &pushes[i], part, err));
        RA_TRY(ra_moving_store(&moving, from, part, out + from * d, err));
    }
    return RA_OK;
}

ra_status ra_model_steer(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                         ra_steer_base base, ra_steer_method method, const ra_steer *pushes, size_t count,
                         float *out, ra_error *err) {
    size_t n = rows * model->info.dimensions;
    RA_TRY(check_pushes(model, pushes, count, err));
    if (base == RA_STEER_RECONSTRUCTION) {
        RA_TRY(reconstruct(model, workspace, x, rows, out, err));
    } else {
        RA_TRY(ra_model_check_rows("input", x, rows, model->info.dimensions, err));
        if (n && out != x) memmove(out, x, n * sizeof *out);
    }
    return method == RA_STEER_ADD ? add(model, workspace, pushes, count, rows, out, err)
                                  : move_all(model, workspace, method, pushes, count, rows, out, err);
}
