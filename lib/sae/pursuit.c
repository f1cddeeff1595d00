/* Matching pursuit and its gradient.
 *
 * Forward, the expensive part are the dot products of the residuals with all atoms. Either every step
 * computes them anew, with a matrix product [B,d] x [d,K]; or they are computed once, and each step subtracts
 * v times a row of the Gram matrix D D^T. Evaluation always does the former, which needs no K x K numbers.
 * Training does the latter if the Gram matrix is cheaper, K < (k - 1) B, and not too large.
 *
 * Backward, let a_t be the gradient of the code that step t added to, and rho_t that of the residual after
 * it:
 *
 *     rho_k = 0,  dv_t = a_t - rho_t . D_j,  dD_j += dv_t r_{t-1} - v_t rho_t,  rho_{t-1} = rho_t + dv_t D_j
 *
 * with r_{t-1} = r_t + v_t D_j, from the residual after the last step back to the first. Rows are independent
 * except for their sums in dD: for a chunk of rows, every step writes the vector that it adds, and the
 * backend's sparse product sums these in an order that does not depend on the number of threads.
 *
 * Scores, residuals and vectors stay in backend memory. The atoms and values of the steps are copied to the
 * host, where the codes are, and the entry that each step added to is found there. */
#include "sae/activation.h"
#include "sae/pursuit.h"
#include "ra_memory.h"

#include <limits.h>
#include <string.h>

enum {
    GRAM_NUMBERS = 1 << 28, /* 1 GiB */
    CHUNK_NUMBERS = 1 << 22,
};

const ra_activation_type ra_activation_mp = {
    .needs = 1 << RA_SET_TOP_K, .evaluation_needs = 1 << RA_SET_TOP_K, .pursues = true};

void ra_pursuit_release(ra_pursuit *pursuit) {
    ra_buffer *const buffers[] = {&pursuit->atom,  &pursuit->value,    &pursuit->residual, &pursuit->gram,
                                  &pursuit->entry, &pursuit->gradient, &pursuit->vector,   &pursuit->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) ra_buffer_release(buffers[i]);
    ra_codes_release(&pursuit->single);
    ra_free(pursuit->taken);
    ra_free(pursuit->added);
    *pursuit = (ra_pursuit){0};
}

_Static_assert(sizeof(int32_t) == sizeof(float), "a buffer of n floats also holds n atom numbers");

static int32_t *integers(const ra_buffer *buffer) {
    return (int32_t *)(void *)buffer->data;
}

/* Memory for the steps, and for the host's copy of them. */
static ra_status reserve_path(ra_pursuit *p, ra_backend *backend, size_t rows, size_t steps, size_t d,
                              ra_error *err) {
    size_t n = rows * steps;
    if (rows > INT_MAX / steps) /* the backward pass numbers entries with int32 */
        RA_FAIL(err, RA_ERR_TOO_LARGE,
                "a pursuit of %zu rows with %zu steps each is too large; expected at most %d steps in all",
                rows, steps, INT_MAX);
    RA_TRY(ra_buffer_reserve(&p->atom, backend, n, err));
    RA_TRY(ra_buffer_reserve(&p->value, backend, n, err));
    RA_TRY(ra_buffer_reserve(&p->residual, backend, rows * d, err));
    if (n <= p->capacity && p->taken) return RA_OK;
    ra_free(p->taken);
    ra_free(p->added);
    p->capacity = 0;
    p->taken = ra_malloc(n, sizeof *p->taken);
    p->added = ra_malloc(n, sizeof *p->added);
    if (!p->taken || !p->added) RA_FAIL_MEMORY(err, "a pursuit", n * sizeof *p->taken);
    p->capacity = n;
    return RA_OK;
}

static ra_pursuit_path path_of(const ra_pursuit *p, const float *D, size_t concepts, size_t dimensions) {
    return (ra_pursuit_path){.rows = p->rows,
                             .steps = p->steps,
                             .dimensions = dimensions,
                             .concepts = concepts,
                             .D = D,
                             .atom = integers(&p->atom),
                             .value = p->value.data,
                             .residual = p->residual.data};
}

/* ---- forward ------------------------------------------------------------------------------------------- */

/* codes <- the values of each row, summed by atom, atoms ascending. */
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
            while (i > 0 && index[i - 1] > p->taken[t]) i--;
            if (i > 0 && index[i - 1] == p->taken[t]) {
                value[i - 1] += p->added[t];
                continue;
            }
            memmove(index + i + 1, index + i, (count - i) * sizeof *index);
            memmove(value + i + 1, value + i, (count - i) * sizeof *value);
            index[i] = p->taken[t];
            value[i] = p->added[t];
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

ra_status ra_pursuit_run(ra_pursuit *pursuit, ra_stream stream, const float *D, size_t concepts,
                         size_t dimensions, const float *x, size_t rows, size_t steps, bool training,
                         float *scores, ra_codes *codes, ra_error *err) {
    size_t K = concepts, d = dimensions, n = rows * steps;
    RA_TRY(reserve_path(pursuit, stream.backend, rows, steps, d, err));
    pursuit->rows = rows;
    pursuit->steps = steps;
    const ra_pursuit_path path = path_of(pursuit, D, K, d);
    const float *gram = NULL;
    if (training && K < (steps - 1) * rows && K <= GRAM_NUMBERS / K) {
        RA_TRY(ra_buffer_reserve(&pursuit->gram, stream.backend, K * K, err));
        gram = pursuit->gram.data;
        RA_TRY(ra_stream_gemm(stream, false, true, K, K, d, 1, D, d, D, d, 0, pursuit->gram.data, K, err));
    }
    RA_TRY(ra_stream_axpby(stream, 1, x, 0, path.residual, rows * d, err));
    size_t together = gram ? steps : 1; /* with gram, no step needs a product */
    for (size_t t = 0; t < steps; t += together) {
        if (pursuit->canceled && atomic_load(pursuit->canceled))
            RA_FAIL(err, RA_ERR_CANCELED, "the pursuit was canceled");
        if (t > 0)
            RA_TRY(ra_stream_gemm(stream, false, true, rows, K, d, 1, path.residual, d, D, d, 0, scores, K,
                                  err));
        RA_TRY(ra_stream_pursue(stream, &path, gram, t, together, scores, err));
    }
    RA_TRY(ra_stream_download(stream, pursuit->taken, path.atom, n * sizeof *path.atom, err));
    RA_TRY(ra_stream_download(stream, pursuit->added, path.value, n * sizeof *path.value, err));
    RA_TRY(ra_stream_synchronize(stream, err));
    return collect(pursuit, K, training, codes, err);
}

/* ---- backward ------------------------------------------------------------------------------------------ */

/* The entry of row b for this atom, which it has. */
static size_t entry_of(const ra_codes *codes, size_t b, int32_t atom) {
    size_t low = codes->start[b], high = codes->start[b + 1];
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (codes->index[middle] <= atom)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* pursuit->gradient <- the gradient of the entry that each step added to. */
static ra_status gather_gradient(ra_pursuit *p, ra_backend *backend, const ra_codes *codes,
                                 const float *dvalue, ra_error *err) {
    size_t n = p->rows * p->steps, bytes = n * sizeof(int32_t);
    RA_TRY(ra_buffer_reserve(&p->entry, backend, n, err));
    RA_TRY(ra_buffer_reserve(&p->gradient, backend, n, err));
    int32_t *entry = ra_malloc(n, sizeof *entry);
    if (!entry) RA_FAIL_MEMORY(err, "the entries of a pursuit", bytes);
    for (size_t i = 0; i < n; i++) entry[i] = (int32_t)entry_of(codes, i / p->steps, p->taken[i]);
    ra_status status = ra_backend_put(backend, integers(&p->entry), entry, bytes, err);
    ra_free(entry);
    RA_TRY(status);
    return ra_backend_gather_rows(backend, 1, dvalue, integers(&p->entry), n, 1, p->gradient.data, err);
}

/* pursuit->single <- the steps of these rows, each as a row with one entry, 1. */
static ra_status steps_as_codes(ra_pursuit *p, size_t concepts, size_t first, size_t rows, ra_error *err) {
    size_t n = rows * p->steps;
    RA_TRY(ra_codes_reserve(&p->single, n, concepts, n, err));
    for (size_t i = 0; i < n; i++) {
        p->single.index[i] = p->taken[first * p->steps + i];
        p->single.value[i] = 1;
        p->single.start[i + 1] = i + 1;
    }
    return RA_OK;
}

ra_status ra_pursuit_backward(ra_pursuit *pursuit, ra_backend *backend, const float *D, size_t dimensions,
                              const ra_codes *codes, const float *dvalue, float *dD, ra_error *err) {
    const ra_pursuit_path path = path_of(pursuit, D, codes->latents, dimensions);
    size_t d = dimensions, steps = pursuit->steps, chunk = CHUNK_NUMBERS / d / steps;
    chunk = chunk < 1 ? 1 : chunk > pursuit->rows ? pursuit->rows : chunk;
    RA_TRY(gather_gradient(pursuit, backend, codes, dvalue, err));
    RA_TRY(ra_buffer_reserve(&pursuit->vector, backend, chunk * steps * d, err));
    RA_TRY(ra_buffer_reserve(&pursuit->scratch, backend, chunk * 2 * d, err));
    for (size_t first = 0; first < pursuit->rows; first += chunk) {
        size_t rows = pursuit->rows - first < chunk ? pursuit->rows - first : chunk;
        RA_TRY(steps_as_codes(pursuit, codes->latents, first, rows, err));
        RA_TRY(ra_backend_pursue_backward(backend, &path, pursuit->gradient.data, first, rows,
                                          pursuit->scratch.data, pursuit->vector.data, err));
        RA_TRY(ra_backend_accumulate(backend, &pursuit->single, pursuit->single.value, pursuit->vector.data,
                                     d, dD, err));
    }
    return RA_OK;
}
