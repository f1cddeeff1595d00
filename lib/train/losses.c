/* The losses and their gradients (overcomplete 0.3.0, sae/losses.py). All of them start from the mean squared
 * error; each row of the table adds its own term. To add one: a function, a row, a value of ra_loss, a test
 * in test_losses.c. */
#include "ra_train.h"
#include "base/error.h"
#include "base/pool.h"

#include <math.h>
#include <string.h>

typedef ra_status loss_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                            ra_error *err);

/* The rows and the numbers of the whole batch, which means are over. */
static double batch_rows(const ra_loss_batch *batch) {
    return (double)(batch->total_rows ? batch->total_rows : batch->rows);
}

static double batch_numbers(const ra_loss_batch *batch) {
    return batch_rows(batch) * (double)batch->dimensions;
}

/* ---- gradients as memory
 * ---------------------------------------------------------------------------------------------- */

/* Makes room for rows x cols, keeping nothing; zeroed when asked. A matrix only ever grows; it has room for a
 * row where a member of a group has none. */
static ra_status room(ra_matrix *matrix, size_t rows, size_t cols, bool zeroed, ra_error *err) {
    if (rows == 0) rows = 1;
    if (rows * cols > matrix->rows * matrix->cols) {
        ra_matrix_release(matrix);
        return ra_matrix_init(matrix, rows, cols, err);
    }
    if (zeroed) memset(matrix->data, 0, rows * cols * sizeof *matrix->data);
    return RA_OK;
}

static ra_status room_for_values(ra_loss_gradients *gradients, size_t entries, ra_error *err) {
    if (entries <= gradients->value_capacity) return RA_OK;
    ra_free(gradients->value);
    gradients->value_capacity = 0;
    gradients->value = ra_malloc(entries, sizeof *gradients->value);
    if (!gradients->value)
        RA_FAIL_MEMORY(err, "the gradient of the codes", entries * sizeof *gradients->value);
    gradients->value_capacity = entries;
    return RA_OK;
}

void ra_loss_gradients_release(ra_loss_gradients *gradients) {
    ra_matrix_release(&gradients->x_hat);
    ra_matrix_release(&gradients->pre);
    ra_matrix_release(&gradients->codes);
    ra_matrix_release(&gradients->D);
    ra_matrix_release(&gradients->scratch_wide);
    ra_matrix_release(&gradients->scratch_narrow);
    ra_codes_release(&gradients->scratch_codes);
    ra_free(gradients->value);
    *gradients = (ra_loss_gradients){0};
}

/* ---- mse
 * ------------------------------------------------------------------------------------------------------------------
 */

/* Writes the gradient with respect to x_hat; the terms below add to it. */
static ra_status mse(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients, ra_error *err) {
    size_t n = batch->rows * batch->dimensions;
    RA_TRY(room(&gradients->x_hat, batch->rows, batch->dimensions, false, err));
    float *g = gradients->x_hat.data;
    double sum = 0, all = batch_numbers(batch), scale = 2.0 / all;
    for (size_t i = 0; i < n; i++) {
        double gap = (double)batch->x_hat[i] - (double)batch->x[i];
        sum += gap * gap;
        g[i] = (float)(scale * gap);
    }
    *value = sum / all;
    return RA_OK;
}

static ra_status no_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                         ra_error *err) {
    (void)batch, (void)gradients, (void)err;
    *value = 0;
    return RA_OK;
}

/* ---- mse_l1: penalty sum |z| over batch and latents
 * --------------------------------------------------------------------- */

static ra_status l1_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                         ra_error *err) {
    size_t entries = ra_codes_entries(batch->codes);
    RA_TRY(room_for_values(gradients, entries, err));
    double sum = 0;
    for (size_t e = 0; e < entries; e++) {
        float z = batch->codes->value[e];
        sum += z < 0 ? -(double)z : (double)z;
        gradients->value[e] = (float)(z < 0 ? -batch->penalty : batch->penalty);
    }
    gradients->has_value = entries > 0;
    *value = batch->penalty * sum;
    return RA_OK;
}

/* ---- auxk
 * ------------------------------------------------------------------------------------------------------------------
 */

/* The codes that were not chosen, a = top_{K/2}(relu(pre) - z), predict what is left, r = x - x_hat:
 *     penalty mean(e^2),  e = r - a D
 * With g = 2 penalty / (B d) e:  dx_hat -= g,  da = -g D^T,  dD = -a^T g. da goes on to pre where pre > 0,
 * and to z with the other sign. r is not detached. */
typedef struct unchosen_job {
    const ra_loss_batch *batch;
    float *out; /* [B,K] relu(pre) - z */
} unchosen_job;

enum { ROWS_PER_PART = 16 };

static void unchosen_part(void *context, size_t part) {
    const unchosen_job *job = context;
    const ra_codes *codes = job->batch->codes;
    size_t K = job->batch->concepts;
    for (size_t b = part * ROWS_PER_PART; b < (part + 1) * ROWS_PER_PART && b < job->batch->rows; b++) {
        const float *pre = job->batch->pre + b * K;
        float *row = job->out + b * K;
        for (size_t k = 0; k < K; k++) row[k] = pre[k] > 0 ? pre[k] : 0;
        for (size_t e = codes->start[b]; e < codes->start[b + 1]; e++)
            row[codes->index[e]] -= codes->value[e];
    }
}

static ra_status auxk_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                           ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(batch->backend);
    void *self = ra_backend_self(batch->backend);
    size_t B = batch->rows, d = batch->dimensions, K = batch->concepts, n = B * d;
    ra_codes *a = &gradients->scratch_codes;
    RA_TRY(room(&gradients->scratch_wide, B, K, false, err));
    RA_TRY(room(&gradients->scratch_narrow, B, d, false, err));
    RA_TRY(room(&gradients->pre, B, K, true, err));
    RA_TRY(room(&gradients->codes, B, K, true, err));
    RA_TRY(room(&gradients->D, K, d, true, err));
    unchosen_job job = {batch, gradients->scratch_wide.data};
    ra_pool_run(ra_backend_pool(batch->backend), ra_pool_parts(B, ROWS_PER_PART), unchosen_part, &job);
    float *g = gradients->scratch_narrow.data, *dx_hat = gradients->x_hat.data;
    *value = 0;
    if (K / 2 > 0)
        RA_TRY(ops->top_k(self, NULL, job.out, B, K, K / 2, 0, a, err));
    else
        RA_TRY(ra_codes_reserve(a, 0, K, 0, err));
    if (a->rows == B)
        RA_TRY(ops->decode(self, NULL, a, RA_F32, batch->D, d, g, err)); /* a D */
    else
        memset(g, 0, n * sizeof *g);
    double sum = 0, all = batch_numbers(batch), scale = 2 * batch->penalty / all;
    for (size_t i = 0; i < n; i++) {
        double rest = (double)batch->x[i] - (double)batch->x_hat[i] - (double)g[i];
        sum += rest * rest;
        g[i] = (float)(-scale * rest); /* the gradient of a D */
        dx_hat[i] += g[i];
    }
    *value = batch->penalty * sum / all;
    if (a->rows != B) return RA_OK;
    RA_TRY(ops->accumulate(self, NULL, a, a->value, g, d, gradients->D.data, err));
    size_t entries = ra_codes_entries(a);
    RA_TRY(room_for_values(gradients, entries, err));
    RA_TRY(ops->decode_gradient(self, NULL, a, g, batch->D, d, gradients->value,
                                err)); /* da; `value` as scratch */
    for (size_t b = 0; b < B; b++)
        for (size_t e = a->start[b]; e < a->start[b + 1]; e++) {
            size_t i = b * K + (size_t)a->index[e];
            gradients->pre.data[i] = batch->pre[i] > 0 ? gradients->value[e] : 0;
            gradients->codes.data[i] = -gradients->value[e];
        }
    gradients->has_pre = gradients->has_codes = gradients->has_D = true;
    return RA_OK;
}

/* ---- reanimate
 * --------------------------------------------------------------------------------------------------------------
 */

ra_status ra_loss_reanimation(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                              ra_error *err) {
    size_t B = batch->rows, K = batch->concepts;
    RA_TRY(room(&gradients->pre, B, K, true, err));
    RA_TRY(room(&gradients->scratch_wide, 1, K, true, err)); /* more than the K bytes that are needed */
    uint8_t *alive = (uint8_t *)gradients->scratch_wide.data;
    for (size_t e = 0; e < ra_codes_entries(batch->codes); e++) alive[batch->codes->index[e]] = 1;
    RA_TRY(ra_group_unite(batch->group, alive, K, err));
    size_t dead = 0;
    for (size_t k = 0; k < K; k++) dead += !alive[k];
    double sum = 0, scale = -batch->penalty / ((double)dead + 1e-6);
    for (size_t b = 0; b < B && dead > 0; b++)
        for (size_t k = 0; k < K; k++) {
            if (alive[k]) continue;
            sum += (double)batch->pre[b * K + k];
            gradients->pre.data[b * K + k] = (float)scale;
        }
    gradients->has_pre = dead > 0;
    *value = scale * sum;
    return RA_OK;
}

/* ---- elastic: (1 - alpha) mean|z| + alpha mean(D^2)
 * ------------------------------------------------------------------------------------------------------ */

static ra_status elastic_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                              ra_error *err) {
    size_t K = batch->concepts, n = K * batch->dimensions, entries = ra_codes_entries(batch->codes);
    double alpha = batch->penalty, l1 = (1 - alpha) / (batch_rows(batch) * (double)K);
    double l2 =
        alpha / (double)n / (double)ra_group_size(batch->group); /* a member's share of what all see */
    double size = 0, squares = 0;
    RA_TRY(room_for_values(gradients, entries, err));
    RA_TRY(room(&gradients->D, K, batch->dimensions, false, err));
    for (size_t e = 0; e < entries; e++) {
        float z = batch->codes->value[e];
        size += fabs((double)z);
        gradients->value[e] = (float)(z < 0 ? -l1 : l1);
    }
    for (size_t i = 0; i < n; i++) {
        squares += (double)batch->D[i] * (double)batch->D[i];
        gradients->D.data[i] = (float)(2 * l2 * (double)batch->D[i]);
    }
    gradients->has_value = entries > 0;
    gradients->has_D = true;
    *value = l1 * size + l2 * squares;
    return RA_OK;
}

/* ---- hoyer and kappa_4: the mean over rows of a score of each row's values
 * ------------------------------------------------------------------------------------------------------ */

static const double SCORE_EPSILON = 1e-6;

typedef double row_score(const float *z, size_t count, size_t concepts, double scale, float *gradient);

/* (sqrt(K) - l1 / (l2 + eps)) / (sqrt(K) - 1). A row of zeros has no direction and so no gradient. */
static double hoyer_score(const float *z, size_t count, size_t concepts, double scale, float *gradient) {
    double l1 = 0, squares = 0, root = sqrt((double)concepts);
    for (size_t i = 0; i < count; i++) {
        l1 += fabs((double)z[i]);
        squares += (double)z[i] * (double)z[i];
    }
    double l2 = sqrt(squares), length = l2 + SCORE_EPSILON, factor = -scale / (root - 1);
    for (size_t i = 0; i < count; i++) {
        double along = l2 > 0 ? l1 * (double)z[i] / (l2 * length * length) : 0;
        double sign = z[i] < 0 ? -1 : z[i] > 0;
        gradient[i] = (float)(factor * (sign / length - along));
    }
    return (root - l1 / length) / (root - 1);
}

/* sum z^4 / ((sum z^2)^2 + eps) */
static double kappa_score(const float *z, size_t count, size_t concepts, double scale, float *gradient) {
    (void)concepts;
    double fourth = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        double square = (double)z[i] * (double)z[i];
        squares += square;
        fourth += square * square;
    }
    double below = squares * squares + SCORE_EPSILON;
    for (size_t i = 0; i < count; i++) {
        double value = (double)z[i];
        gradient[i] =
            (float)(4 * scale * value * (value * value / below - fourth * squares / (below * below)));
    }
    return fourth / below;
}

static ra_status score_rows(const ra_loss_batch *batch, row_score *score, double *value,
                            ra_loss_gradients *gradients, ra_error *err) {
    const ra_codes *codes = batch->codes;
    double sum = 0, scale = batch->penalty / batch_rows(batch);
    RA_TRY(room_for_values(gradients, ra_codes_entries(codes), err));
    for (size_t b = 0; b < batch->rows; b++) {
        size_t first = codes->start[b], count = codes->start[b + 1] - first;
        sum += score(codes->value + first, count, batch->concepts, scale, gradients->value + first);
    }
    gradients->has_value = ra_codes_entries(codes) > 0;
    *value = scale * sum;
    return RA_OK;
}

static ra_status hoyer_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                            ra_error *err) {
    if (batch->concepts < 2)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the loss hoyer compares latents, but there is only one concept");
    return score_rows(batch, hoyer_score, value, gradients, err);
}

static ra_status kappa_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                            ra_error *err) {
    return score_rows(batch, kappa_score, value, gradients, err);
}

/* ---- l0: penalty times the mean number of active latents
 * ------------------------------------------------------------------------------------------------------ */

static ra_status l0_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                         ra_error *err) {
    (void)err;
    gradients->active = batch->penalty / batch_rows(batch);
    *value = gradients->active * (double)ra_codes_entries(batch->codes);
    return RA_OK;
}

/* ---- the table
 * ----------------------------------------------------------------------------------------------------------------
 */

static const struct {
    loss_term *term;
    bool all_atoms; /* looks at atoms that are not active */
} losses[RA_LOSS_COUNT] = {
    [RA_LOSS_MSE] = {no_term, false},         [RA_LOSS_MSE_L1] = {l1_term, false},
    [RA_LOSS_AUXK] = {auxk_term, true},       [RA_LOSS_REANIMATE] = {ra_loss_reanimation, false},
    [RA_LOSS_ELASTIC] = {elastic_term, true}, [RA_LOSS_HOYER] = {hoyer_term, false},
    [RA_LOSS_KAPPA_4] = {kappa_term, false},  [RA_LOSS_L0] = {l0_term, false},
};

bool ra_loss_needs_all_atoms(ra_loss loss) {
    return losses[loss].all_atoms;
}

ra_status ra_loss_evaluate(ra_loss loss, const ra_loss_batch *batch, double *value,
                           ra_loss_gradients *gradients, ra_error *err) {
    double error, term;
    gradients->has_value = gradients->has_pre = gradients->has_codes = gradients->has_D = false;
    gradients->active = 0;
    RA_TRY(mse(batch, &error, gradients, err));
    RA_TRY(losses[loss].term(batch, &term, gradients, err));
    *value = error + term;
    return RA_OK;
}

ra_sae_gradients ra_loss_sae_gradients(const ra_loss_gradients *g) {
    return (ra_sae_gradients){.x_hat = g->x_hat.data,
                              .value = g->has_value ? g->value : NULL,
                              .codes = g->has_codes ? g->codes.data : NULL,
                              .pre = g->has_pre ? g->pre.data : NULL,
                              .D = g->has_D ? g->D.data : NULL,
                              .active = g->active};
}

ra_status ra_loss_check(ra_loss loss, double penalty, const ra_sae_settings *sae, ra_error *err) {
    if (loss == RA_LOSS_ELASTIC && penalty > 1)
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "the penalty is %g, but with the loss elastic it is the share of the dictionary's term, 0 to 1",
            penalty);
    if (penalty < 0 && loss != RA_LOSS_HOYER && loss != RA_LOSS_KAPPA_4)
        RA_FAIL(
            err, RA_ERR_ARGUMENT,
            "the penalty is %g, expected at least 0; only the losses hoyer and kappa_4 take a negative one",
            penalty);
    if (loss == RA_LOSS_L0 && sae->sae != RA_SAE_JUMPRELU)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the loss l0 moves thresholds, which only jumprelu has, but the sae is %s",
                ra_sae_settings_table()->rows[RA_SET_SAE].names[sae->sae]);
    return RA_OK;
}
