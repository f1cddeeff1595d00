/* Matching pursuit and its gradient.
 *
 * Forward, what costs is the dot products of what is left with all atoms. Either they are computed anew after
 * every step, k products [B,d] x [d,K]; or once, and then each step takes v times a row of the Gram matrix
 * D D^T away from them. Evaluation always does the former: it needs no K x K numbers. Training takes the
 * latter when the Gram matrix is cheaper, K < (k - 1) B, and not too large.
 *
 * Backward, with a_t the gradient of the code that step t added to, and rho_t that of the residual after it:
 *     rho_k = 0;  dv_t = a_t - rho_t . D_j;  dD_j += dv_t r_{t-1} - v_t rho_t;  rho_{t-1} = rho_t + dv_t D_j
 * and r_{t-1} = r_t + v_t D_j, backwards from the residual that was kept. Rows are independent but for their
 * sums into dD: every step writes its vector, blocks of rows at a time, and the backend's sparse product adds
 * them up in an order that does not depend on the threads. */
#include "sae/activation.h"
#include "sae/pursuit.h"
#include "base/error.h"
#include "base/multiversion.h"
#include "base/pool.h"
#include "tensor/dot.h"

#include <string.h>

enum {
    ROWS_PER_PART = 4,
    LANES = 16,
    GRAM_FLOATS = 1 << 28, /* 1 GiB */
    BLOCK_FLOATS = 1 << 22,
};

const ra_activation_type ra_activation_mp = {
    .name = "mp", .needs_top_k = true, .evaluation_needs_top_k = true, .pursues = true};

void ra_pursuit_release(ra_pursuit *pursuit) {
    ra_free(pursuit->atom);
    ra_free(pursuit->value);
    ra_free(pursuit->residual);
    ra_free(pursuit->gram);
    ra_free(pursuit->push);
    ra_free(pursuit->carried);
    ra_codes_release(&pursuit->single);
    *pursuit = (ra_pursuit){0};
}

static ra_status grow(float **block, size_t *capacity, size_t n, const char *what, ra_error *err) {
    if (n <= *capacity) return RA_OK;
    ra_free(*block);
    *capacity = 0;
    *block = ra_malloc(n, sizeof **block);
    if (!*block) RA_FAIL_MEMORY(err, what, n * sizeof **block);
    *capacity = n;
    return RA_OK;
}

static ra_status grow_path(ra_pursuit *pursuit, size_t n, ra_error *err) {
    if (n <= pursuit->path_capacity) return RA_OK;
    size_t none = 0;
    ra_free(pursuit->atom);
    pursuit->path_capacity = 0;
    pursuit->atom = ra_malloc(n, sizeof *pursuit->atom);
    if (!pursuit->atom) RA_FAIL_MEMORY(err, "a pursuit", n * sizeof *pursuit->atom);
    RA_TRY(grow(&pursuit->value, &none, n, "a pursuit", err));
    pursuit->path_capacity = n;
    return RA_OK;
}

/* ---- forward
 * ------------------------------------------------------------------------------------------------------ */

typedef struct step_job {
    ra_pursuit *pursuit;
    const float *D, *gram; /* gram NULL: scores are computed anew */
    size_t concepts, dimensions, t;
    float *scores;
} step_job;

/* The first of the largest. */
RA_MULTIVERSION static size_t largest(const float *restrict scores, size_t n) {
    float lane[LANES], best = scores[0];
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++) lane[l] = scores[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] = scores[i + l] > lane[l] ? scores[i + l] : lane[l];
    for (; i < n; i++) best = scores[i] > best ? scores[i] : best;
    for (size_t l = 0; l < LANES; l++) best = lane[l] > best ? lane[l] : best;
    for (i = 0; i < n; i++)
        if (scores[i] == best) return i;
    return 0; /* not a number: the codes then are none either, and that is found */
}

RA_MULTIVERSION static void subtract(float *restrict y, float factor, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] -= factor * x[i];
}

static void step_part(void *context, size_t part) {
    const step_job *job = context;
    ra_pursuit *p = job->pursuit;
    size_t K = job->concepts, d = job->dimensions;
    for (size_t b = part * ROWS_PER_PART; b < ra_pool_part_end(part, ROWS_PER_PART, p->rows); b++) {
        float *scores = job->scores + b * K;
        size_t atom = largest(scores, K), place = b * p->steps + job->t;
        float value = scores[atom];
        p->atom[place] = (int32_t)atom;
        p->value[place] = value;
        subtract(p->residual + b * d, value, job->D + atom * d, d);
        if (job->gram) subtract(scores, value, job->gram + atom * K, K);
    }
}

/* The values of each row summed by atom, atoms rising. */
static ra_status collect(const ra_pursuit *p, size_t concepts, bool keep_zeros, ra_codes *codes,
                         ra_error *err) {
    RA_TRY(ra_codes_reserve(codes, p->rows, concepts, p->rows * p->steps, err));
    size_t used = 0;
    for (size_t b = 0; b < p->rows; b++) {
        int32_t *index = codes->index + used;
        float *value = codes->value + used;
        size_t count = 0, kept = 0;
        for (size_t t = b * p->steps; t < (b + 1) * p->steps; t++) {
            size_t i = count;
            while (i > 0 && index[i - 1] > p->atom[t]) i--;
            if (i > 0 && index[i - 1] == p->atom[t]) {
                value[i - 1] += p->value[t];
                continue;
            }
            memmove(index + i + 1, index + i, (count - i) * sizeof *index);
            memmove(value + i + 1, value + i, (count - i) * sizeof *value);
            index[i] = p->atom[t];
            value[i] = p->value[t];
            count++;
        }
        for (size_t i = 0; i < count; i++) {
            if (value[i] == 0 && !keep_zeros) continue;
            index[kept] = index[i];
            value[kept++] = value[i];
        }
        codes->start[b + 1] = used += kept;
    }
    return RA_OK;
}

ra_status ra_pursuit_run(ra_pursuit *pursuit, ra_backend *backend, const float *D, size_t concepts,
                         size_t dimensions, const float *x, size_t rows, size_t steps, bool training,
                         float *scores, ra_codes *codes, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    void *self = ra_backend_self(backend);
    size_t K = concepts, d = dimensions;
    size_t room = rows ? rows : 1; /* a member of a group may have no rows */
    RA_TRY(grow_path(pursuit, room * steps, err));
    RA_TRY(grow(&pursuit->residual, &pursuit->residual_capacity, room * d, "the residuals", err));
    pursuit->rows = rows;
    pursuit->steps = steps;
    memcpy(pursuit->residual, x, rows * d * sizeof *x);
    bool gram = training && K < (steps - 1) * rows && K <= GRAM_FLOATS / K;
    if (gram) {
        RA_TRY(grow(&pursuit->gram, &pursuit->gram_capacity, K * K, "the atoms' dot products", err));
        RA_TRY(ops->gemm(self, NULL, false, true, K, K, d, 1, D, d, D, d, 0, pursuit->gram, K, err));
    }
    step_job job = {pursuit, D, gram ? pursuit->gram : NULL, K, d, 0, scores};
    for (job.t = 0; job.t < steps; job.t++) {
        if (job.t > 0 && !gram)
            RA_TRY(ops->gemm(self, NULL, false, true, rows, K, d, 1, pursuit->residual, d, D, d, 0, scores, K,
                             err));
        ra_pool_run(ra_backend_pool(backend), ra_pool_parts(rows, ROWS_PER_PART), step_part, &job);
    }
    return collect(pursuit, K, training, codes, err);
}

/* ---- backward
 * ------------------------------------------------------------------------------------------------------ */

typedef struct backward_job {
    ra_pursuit *pursuit;
    const float *D, *dvalue;
    const ra_codes *codes;
    size_t dimensions, first, rows; /* the block: rows first .. first + rows */
} backward_job;

/* dvalue of the entry of row b for this atom, which is there. */
static float gradient_of(const backward_job *job, size_t b, int32_t atom) {
    size_t low = job->codes->start[b], high = job->codes->start[b + 1];
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (job->codes->index[middle] <= atom)
            low = middle;
        else
            high = middle;
    }
    return job->dvalue[low];
}

static void backward_row(const backward_job *job, size_t row) {
    const ra_pursuit *p = job->pursuit;
    size_t d = job->dimensions, b = job->first + row;
    float *r = p->carried + row * 2 * d, *rho = r + d;
    memcpy(r, p->residual + b * d, d * sizeof *r);
    memset(rho, 0, d * sizeof *rho);
    for (size_t t = p->steps; t-- > 0;) {
        int32_t atom = p->atom[b * p->steps + t];
        float v = p->value[b * p->steps + t], *push = p->push + (row * p->steps + t) * d;
        const float *D = job->D + (size_t)atom * d;
        float dv = (float)((double)gradient_of(job, b, atom) - ra_dot_f64(rho, D, d));
        for (size_t i = 0; i < d; i++) {
            r[i] += v * D[i];
            push[i] = dv * r[i] - v * rho[i];
            rho[i] += dv * D[i];
        }
        p->single.index[row * p->steps + t] = atom;
        p->single.value[row * p->steps + t] = 1;
        p->single.start[row * p->steps + t + 1] = row * p->steps + t + 1;
    }
}

static void backward_part(void *context, size_t part) {
    const backward_job *job = context;
    for (size_t row = part * ROWS_PER_PART; row < ra_pool_part_end(part, ROWS_PER_PART, job->rows); row++)
        backward_row(job, row);
}

ra_status ra_pursuit_backward(ra_pursuit *pursuit, ra_backend *backend, const float *D, size_t dimensions,
                              const ra_codes *codes, const float *dvalue, float *dD, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(backend);
    size_t d = dimensions, steps = pursuit->steps, block = BLOCK_FLOATS / d / steps;
    block = block < 1 ? 1 : block > pursuit->rows ? pursuit->rows : block;
    RA_TRY(grow(&pursuit->push, &pursuit->push_capacity, block * steps * d, "a pursuit's gradient", err));
    RA_TRY(grow(&pursuit->carried, &pursuit->carried_capacity, block * 2 * d, "a pursuit's gradient", err));
    for (size_t first = 0; first < pursuit->rows; first += block) {
        size_t rows = pursuit->rows - first < block ? pursuit->rows - first : block;
        RA_TRY(ra_codes_reserve(&pursuit->single, rows * steps, codes->latents, rows * steps, err));
        backward_job job = {pursuit, D, dvalue, codes, d, first, rows};
        ra_pool_run(ra_backend_pool(backend), ra_pool_parts(rows, ROWS_PER_PART), backward_part, &job);
        RA_TRY(ops->accumulate(ra_backend_self(backend), NULL, &pursuit->single, pursuit->single.value,
                               pursuit->push, d, dD, err));
    }
    return RA_OK;
}
