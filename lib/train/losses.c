/* The losses and their gradients (the same numbers as overcomplete 0.3.0, sae/losses.py). Each is the mean
 * squared error plus the term of its row in the table `losses`.
 *
 * The arrays of a batch are backend memory, and the backend's operations compute with them. The codes are
 * host memory: a term that depends on them alone is computed here, and its gradient copied to the backend. */
#include "ra_train.h"
#include "ra_memory.h"
#include "sae/activation.h"

#include <math.h>
#include <string.h>

typedef ra_status loss_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                            ra_error *err);

/* The rows of the whole batch, and its numbers: means are taken over these. */
static double batch_rows(const ra_loss_batch *batch) {
    return (double)(batch->total_rows ? batch->total_rows : batch->rows);
}

static double batch_numbers(const ra_loss_batch *batch) {
    return batch_rows(batch) * (double)batch->dimensions;
}

/* ---- the memory of gradients --------------------------------------------------------------------------- */

/* buffer [n] <- zeros */
static ra_status zeros(const ra_loss_batch *batch, ra_buffer *buffer, size_t n, ra_error *err) {
    RA_TRY(ra_buffer_reserve(buffer, batch->backend, n, err));
    return ra_backend_axpby(batch->backend, 0, NULL, 0, buffer->data, n, err);
}

/* gradients->entries has memory for one number per entry of the codes. */
static ra_status reserve_entries(ra_loss_gradients *gradients, size_t entries, ra_error *err) {
    if (entries <= gradients->entry_capacity) return RA_OK;
    ra_free(gradients->entries);
    gradients->entry_capacity = 0;
    gradients->entries = ra_malloc(entries, sizeof *gradients->entries);
    if (!gradients->entries)
        RA_FAIL_MEMORY(err, "the gradient of the codes", entries * sizeof *gradients->entries);
    gradients->entry_capacity = entries;
    return RA_OK;
}

/* gradients->value <- gradients->entries. */
static ra_status send_entries(const ra_loss_batch *batch, ra_loss_gradients *gradients, ra_error *err) {
    size_t entries = ra_codes_entries(batch->codes);
    gradients->has_value = entries > 0;
    if (entries == 0) return RA_OK;
    RA_TRY(ra_buffer_reserve(&gradients->value, batch->backend, entries, err));
    return ra_backend_put(batch->backend, gradients->value.data, gradients->entries,
                          entries * sizeof *gradients->entries, err);
}

void ra_loss_gradients_release(ra_loss_gradients *gradients) {
    ra_buffer *const buffers[] = {
        &gradients->x_hat, &gradients->pre,          &gradients->codes,          &gradients->D,
        &gradients->value, &gradients->scratch_wide, &gradients->scratch_narrow, &gradients->scratch_rest};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) ra_buffer_release(buffers[i]);
    ra_codes_release(&gradients->scratch_codes);
    ra_free(gradients->entries);
    *gradients = (ra_loss_gradients){0};
}

/* ---- mse ----------------------------------------------------------------------------------------------- */

/* Overwrites the gradient of x_hat; the terms below add to it. */
static ra_status mse(const ra_loss_batch *batch, ra_loss_gradients *gradients, ra_error *err) {
    size_t n = batch->rows * batch->dimensions;
    RA_TRY(ra_buffer_reserve(&gradients->x_hat, batch->backend, n, err));
    ra_backend_defer(batch->backend, true);
    ra_status status =
        ra_backend_squared_error(batch->backend, batch->x_hat, batch->x, n, 2 / batch_numbers(batch),
                                 gradients->x_hat.data, &gradients->residual, err);
    ra_backend_defer(batch->backend, false);
    return status;
}

static ra_status no_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                         ra_error *err) {
    (void)batch, (void)gradients, (void)err;
    *value = 0;
    return RA_OK;
}

/* ---- mse_l1: penalty sum |z| over batch and latents ---------------------------------------------------- */

static ra_status l1_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                         ra_error *err) {
    size_t entries = ra_codes_entries(batch->codes);
    gradients->has_value = entries > 0;
    gradients->penalty = batch->penalty;
    *value = 0;
    if (entries == 0) return RA_OK;
    RA_TRY(ra_buffer_reserve(&gradients->value, batch->backend, entries, err));
    ra_backend_defer(batch->backend, true);
    ra_status status = ra_backend_magnitudes(batch->backend, batch->codes, (float)batch->penalty,
                                             gradients->value.data, &gradients->magnitude, err);
    ra_backend_defer(batch->backend, false);
    return status;
}

/* ---- auxk ---------------------------------------------------------------------------------------------- */

/* The largest codes that the activation did not select, a = top_{K/2}(relu(pre) - z), predict the residual
 * r = x - x_hat; the term is
 *
 *     penalty mean(e^2)   with e = r - a D.
 *
 * With g = 2 penalty / (B d) e, the gradients are dx_hat -= g, da = -g D^T, dD = -a^T g. da is also that of
 * pre where pre > 0, and minus that of z. The gradient does pass through r. */
static ra_status select_rest(const ra_loss_batch *batch, ra_loss_gradients *gradients, ra_error *err) {
    size_t B = batch->rows, K = batch->concepts;
    ra_codes *a = &gradients->scratch_codes;
    if (K / 2 == 0) { /* there are none to select */
        RA_TRY(ra_codes_reserve(a, B, K, 0, err));
        memset(a->start, 0, (B + 1) * sizeof *a->start);
        return RA_OK;
    }
    float *rest = gradients->scratch_wide.data;
    RA_TRY(ra_backend_relu(batch->backend, batch->pre, rest, B * K, err));
    RA_TRY(ra_backend_scatter_entries(batch->backend, batch->codes, -1, batch->codes->value, rest, err));
    return ra_backend_top_k(batch->backend, rest, B, K, K / 2, 0, a, err);
}

/* scratch_narrow <- g; adds it to dx_hat; *sum <- the sum of e^2. */
static ra_status predict_rest(const ra_loss_batch *batch, double scale, double *sum,
                              ra_loss_gradients *gradients, ra_error *err) {
    size_t d = batch->dimensions, n = batch->rows * d;
    float *g = gradients->scratch_narrow.data, *r = gradients->scratch_rest.data;
    RA_TRY(ra_backend_axpby(batch->backend, 1, batch->x, 0, r, n, err));
    RA_TRY(ra_backend_axpby(batch->backend, -1, batch->x_hat, 1, r, n, err));
    RA_TRY(ra_backend_decode(batch->backend, &gradients->scratch_codes, RA_F32, batch->D, d, g, err));
    RA_TRY(ra_backend_squared_error(batch->backend, g, r, n, scale, g, sum,
                                    err)); /* this is -g, the gradient of a D */
    return ra_backend_axpby(batch->backend, 1, g, 1, gradients->x_hat.data, n, err);
}

/* a has entries with pre > z only, so pre can be negative only where z is, which a pursuit can cause. Then
 * the values of a, which are not needed any more, become da without these entries. */
static ra_status mask_negative(const ra_loss_batch *batch, ra_loss_gradients *gradients, bool *masked,
                               ra_error *err) {
    ra_codes *a = &gradients->scratch_codes;
    size_t entries = ra_codes_entries(a), bytes = entries * sizeof(float);
    *masked = false;
    for (size_t e = 0; e < ra_codes_entries(batch->codes) && !*masked; e++)
        *masked = batch->codes->value[e] < 0;
    if (!*masked) return RA_OK;
    float *device = gradients->value.data;
    RA_TRY(reserve_entries(gradients, entries, err));
    RA_TRY(ra_backend_get(batch->backend, a->value, device, bytes, err));
    RA_TRY(ra_backend_gather_entries(batch->backend, a, batch->pre, 0, device, err));
    RA_TRY(ra_backend_get(batch->backend, gradients->entries, device, bytes, err));
    for (size_t e = 0; e < entries; e++)
        if (!(gradients->entries[e] > 0)) a->value[e] = 0;
    return RA_OK;
}

static ra_status auxk_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                           ra_error *err) {
    size_t B = batch->rows, d = batch->dimensions, K = batch->concepts;
    const ra_codes *a = &gradients->scratch_codes;
    double sum, numbers = batch_numbers(batch);
    bool masked;
    RA_TRY(ra_buffer_reserve(&gradients->scratch_wide, batch->backend, B * K, err));
    RA_TRY(ra_buffer_reserve(&gradients->scratch_narrow, batch->backend, B * d, err));
    RA_TRY(ra_buffer_reserve(&gradients->scratch_rest, batch->backend, B * d, err));
    RA_TRY(zeros(batch, &gradients->pre, B * K, err));
    RA_TRY(zeros(batch, &gradients->codes, B * K, err));
    RA_TRY(zeros(batch, &gradients->D, K * d, err));
    RA_TRY(select_rest(batch, gradients, err));
    RA_TRY(predict_rest(batch, 2 * batch->penalty / numbers, &sum, gradients, err));
    *value = batch->penalty * sum / numbers;
    const float *g = gradients->scratch_narrow.data;
    RA_TRY(ra_backend_accumulate(batch->backend, a, a->value, g, d, gradients->D.data, err));
    RA_TRY(ra_buffer_reserve(&gradients->value, batch->backend, ra_codes_entries(a), err));
    float *da = gradients->value.data; /* scratch memory here */
    RA_TRY(ra_backend_decode_gradient(batch->backend, a, g, batch->D, d, da, err));
    RA_TRY(ra_backend_scatter_entries(batch->backend, a, -1, da, gradients->codes.data, err));
    RA_TRY(mask_negative(batch, gradients, &masked, err));
    RA_TRY(
        ra_backend_scatter_entries(batch->backend, a, 1, masked ? a->value : da, gradients->pre.data, err));
    gradients->has_pre = gradients->has_codes = gradients->has_D = true;
    return RA_OK;
}

/* ---- reanimate ----------------------------------------------------------------------------------------- */

/* alive [K] <- 1 for a latent that is active in the batch of any member. */
static ra_status find_alive(const ra_loss_batch *batch, uint8_t *alive, ra_error *err) {
    memset(alive, 0, batch->concepts);
    for (size_t e = 0; e < ra_codes_entries(batch->codes); e++) alive[batch->codes->index[e]] = 1;
    return ra_group_unite(batch->group, alive, batch->concepts, err);
}

/* sums [K] <- the sums of pre over the rows, then the gradient of a row, which is the same for all rows. */
static ra_status reanimate(const ra_loss_batch *batch, const uint8_t *alive, double *sums, double *value,
                           ra_loss_gradients *gradients, ra_error *err) {
    size_t B = batch->rows, K = batch->concepts, dead = 0;
    for (size_t k = 0; k < K; k++) dead += !alive[k];
    gradients->has_pre = dead > 0;
    *value = 0;
    if (dead == 0) return RA_OK;
    double sum = 0, scale = -batch->penalty / ((double)dead + 1e-6);
    RA_TRY(ra_buffer_reserve(&gradients->pre, batch->backend, B * K, err));
    RA_TRY(ra_buffer_reserve(&gradients->scratch_wide, batch->backend, K, err));
    RA_TRY(ra_backend_column_sums(batch->backend, batch->pre, B, K, NULL, sums, err));
    for (size_t k = 0; k < K; k++) {
        sum += alive[k] ? 0 : sums[k];
        sums[k] = alive[k] ? 0 : scale;
    }
    *value = scale * sum;
    RA_TRY(ra_backend_put_doubles(batch->backend, gradients->scratch_wide.data, sums, K, err));
    return ra_backend_broadcast_row(batch->backend, gradients->scratch_wide.data, gradients->pre.data, B, K,
                                    err);
}

ra_status ra_loss_reanimation(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                              ra_error *err) {
    size_t K = batch->concepts;
    double *sums = ra_malloc(K, sizeof *sums);
    uint8_t *alive = ra_malloc(K, sizeof *alive);
    ra_status status = RA_OK;
    if (!sums || !alive)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the reanimation of %zu latents", K);
    if (status == RA_OK) status = find_alive(batch, alive, err);
    if (status == RA_OK) status = reanimate(batch, alive, sums, value, gradients, err);
    ra_free(sums);
    ra_free(alive);
    return status;
}

/* ---- elastic: (1 - alpha) mean|z| + alpha mean(D^2) ---------------------------------------------------- */

static ra_status elastic_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                              ra_error *err) {
    size_t K = batch->concepts, n = K * batch->dimensions, entries = ra_codes_entries(batch->codes);
    double alpha = batch->penalty, l1 = (1 - alpha) / (batch_rows(batch) * (double)K);
    double l2 = alpha / (double)n /
                (double)ra_group_size(batch->group); /* a member's share of a term that all have */
    double size = 0, squares;
    RA_TRY(reserve_entries(gradients, entries, err));
    RA_TRY(ra_buffer_reserve(&gradients->D, batch->backend, n, err));
    for (size_t e = 0; e < entries; e++) {
        float z = batch->codes->value[e];
        size += fabs((double)z);
        gradients->entries[e] = (float)(z < 0 ? -l1 : l1);
    }
    RA_TRY(ra_backend_dot(batch->backend, batch->D, batch->D, n, &squares, err));
    RA_TRY(ra_backend_axpby(batch->backend, (float)(2 * l2), batch->D, 0, gradients->D.data, n, err));
    gradients->has_D = true;
    *value = l1 * size + l2 * squares;
    return send_entries(batch, gradients, err);
}

/* ---- hoyer and kappa_4: the mean of a score over the rows ----------------------------- */

typedef double row_score(const float *z, size_t count, size_t concepts, double scale, float *gradient);

/* (sqrt(K) - l1 / l2) / (sqrt(K) - 1), with l1 / l2 = 0 and a gradient of 0 for a row of zeros. Without overcomplete's 1e-6
 * beside l2, so that it has one value for every scale of the codes. */
static double hoyer_score(const float *z, size_t count, size_t concepts, double scale, float *gradient) {
    double l1 = 0, squares = 0, root = sqrt((double)concepts);
    for (size_t i = 0; i < count; i++) {
        l1 += fabs((double)z[i]);
        squares += (double)z[i] * (double)z[i];
    }
    double l2 = sqrt(squares), factor = -scale / (root - 1);
    for (size_t i = 0; i < count; i++) {
        double sign = z[i] < 0 ? -1 : z[i] > 0;
        gradient[i] = l2 > 0 ? (float)(factor * (sign - l1 / l2 * ((double)z[i] / l2)) / l2) : 0;
    }
    return (root - (l2 > 0 ? l1 / l2 : 0)) / (root - 1);
}

/* sum z^4 / (sum z^2)^2; 0 for a row of zeros */
static double kappa_score(const float *z, size_t count, size_t concepts, double scale, float *gradient) {
    (void)concepts;
    double fourth = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        double square = (double)z[i] * (double)z[i];
        squares += square;
        fourth += square * square;
    }
    double score = squares > 0 ? fourth / squares / squares : 0;
    for (size_t i = 0; i < count; i++) {
        double value = (double)z[i];
        gradient[i] =
            squares > 0 ? (float)(4 * scale * value / squares * (value * value / squares - score)) : 0;
    }
    return score;
}

static ra_status score_rows(const ra_loss_batch *batch, row_score *score, double *value,
                            ra_loss_gradients *gradients, ra_error *err) {
    const ra_codes *codes = batch->codes;
    double sum = 0, scale = batch->penalty / batch_rows(batch);
    RA_TRY(reserve_entries(gradients, ra_codes_entries(codes), err));
    for (size_t b = 0; b < batch->rows; b++) {
        size_t first = codes->start[b], count = codes->start[b + 1] - first;
        sum += score(codes->value + first, count, batch->concepts, scale, gradients->entries + first);
    }
    *value = scale * sum;
    return send_entries(batch, gradients, err);
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

/* ---- l0: penalty times the mean number of active latents ----------------------------------------------- */

static ra_status l0_term(const ra_loss_batch *batch, double *value, ra_loss_gradients *gradients,
                         ra_error *err) {
    (void)err;
    gradients->active = batch->penalty / batch_rows(batch);
    *value = gradients->active * (double)ra_codes_entries(batch->codes);
    return RA_OK;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

/* To add a loss: a row of RA_LOSSES and its formula in ra_train.h, its function and a row here, a test in
 * tests/unit/lib/train/test_losses.c. */
static const struct {
    loss_term *term;
    double least, most; /* of the penalty */
    bool all_atoms;     /* it depends on inactive atoms */
    bool thresholds;    /* it changes nothing but thresholds */
    bool counts_codes;  /* it reads no codes, or leaves them to the backend */
} losses[RA_LOSS_COUNT] = {
    [RA_LOSS_MSE] = {no_term, 0, INFINITY, .counts_codes = true},
    [RA_LOSS_MSE_L1] = {l1_term, 0, INFINITY, .counts_codes = true},
    [RA_LOSS_AUXK] = {auxk_term, 0, INFINITY, .all_atoms = true},
    [RA_LOSS_REANIMATE] = {ra_loss_reanimation, 0, INFINITY},
    [RA_LOSS_ELASTIC] = {elastic_term, 0, 1, .all_atoms = true},
    [RA_LOSS_HOYER] = {hoyer_term, -INFINITY, INFINITY},
    [RA_LOSS_KAPPA_4] = {kappa_term, -INFINITY, INFINITY},
    [RA_LOSS_L0] = {l0_term, 0, INFINITY, .thresholds = true, .counts_codes = true},
};

bool ra_loss_reads_codes(ra_loss loss) {
    return !losses[loss].counts_codes;
}

bool ra_loss_needs_all_atoms(ra_loss loss) {
    return losses[loss].all_atoms;
}

ra_status ra_loss_start(ra_loss loss, const ra_loss_batch *batch, ra_loss_gradients *gradients,
                        ra_error *err) {
    gradients->has_value = gradients->has_pre = gradients->has_codes = gradients->has_D = false;
    gradients->active = gradients->magnitude = gradients->penalty = 0;
    RA_TRY(mse(batch, gradients, err));
    return losses[loss].term(batch, &gradients->term, gradients, err);
}

double ra_loss_value(const ra_loss_batch *batch, const ra_loss_gradients *gradients) {
    return gradients->residual / batch_numbers(batch) + gradients->term +
           gradients->penalty * gradients->magnitude;
}

/* Waits after a failure, too: the residual may be on its way. */
ra_status ra_loss_evaluate(ra_loss loss, const ra_loss_batch *batch, double *value,
                           ra_loss_gradients *gradients, ra_error *err) {
    ra_status status = ra_loss_start(loss, batch, gradients, err);
    ra_status waited = ra_backend_synchronize(batch->backend, status == RA_OK ? err : NULL);
    if (status == RA_OK) status = waited;
    if (status == RA_OK) *value = ra_loss_value(batch, gradients);
    return status;
}

ra_sae_gradients ra_loss_sae_gradients(const ra_loss_gradients *g) {
    return (ra_sae_gradients){.x_hat = g->x_hat.data,
                              .value = g->has_value ? g->value.data : NULL,
                              .codes = g->has_codes ? g->codes.data : NULL,
                              .pre = g->has_pre ? g->pre.data : NULL,
                              .D = g->has_D ? g->D.data : NULL,
                              .active = g->active};
}

#define NAME(ID, name, penalty) #name,

ra_status ra_loss_check(ra_loss loss, double penalty, const ra_sae_settings *sae, ra_error *err) {
    const char *const *sae_names = ra_sae_settings_table()->rows[RA_SET_SAE].names;
    static const char *const names[] = {RA_LOSSES(NAME)};
    const char *name = names[loss];
    if (penalty < losses[loss].least)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the penalty of the loss %s is %g; expected at least %g", name, penalty,
                losses[loss].least);
    if (penalty > losses[loss].most)
        RA_FAIL(err, RA_ERR_ARGUMENT, "the penalty of the loss %s is %g; expected at most %g", name, penalty,
                losses[loss].most);
    if (losses[loss].thresholds && !ra_activation_types[sae->sae]->has_thresholds)
        RA_FAIL(err, RA_ERR_ARGUMENT,
                "the loss %s changes thresholds, which only jumprelu has, but the sae is %s", name,
                sae_names[sae->sae]);
    return RA_OK;
}
