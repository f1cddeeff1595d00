/* Every call of the runtime and of cuBLAS, and every allocation of the plugin (lib/backend/cuda), fails in
 * turn while all operations run: nothing leaks, and either the result is right or an error is returned. */
#include "emulated.h"
#include "harness.h"
#include "ra_backend.h"
#include "ra_memory.h"

#include <stdio.h>
#include <string.h>

#define DEVICE "cuda-emulated"

enum { ROWS = 5, LATENTS = 12, D_ = 8, MANY = 16, LARGE = 300000, BLOCKS = 6, RESULTS = 7 };

/* Runs every operation once. results: sums over what it returns, the same every time. Stops at the first
 * failure and frees everything. */
typedef struct run {
    ra_backend *backend;
    ra_stream stream;
    void *blocks[BLOCKS];
    size_t block_count;
    ra_codes top, over, dense;
    ra_codes kept, packed; /* on the device */
    float *large;
    double results[RESULTS], sums[2];
} run;

static double total(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)(i + 1);
    return sum;
}

#define STEP(call)                                                                                           \
    do {                                                                                                     \
        ra_status step_status_ = (call);                                                                     \
        if (step_status_ != RA_OK) return step_status_;                                                      \
    } while (0)

/* A buffer with these numbers; NULL: zeros. */
static ra_status put(run *r, const float *numbers, size_t n, float **block, ra_error *err) {
    STEP(ra_backend_allocate(r->backend, n * sizeof *numbers, &r->blocks[r->block_count], err));
    *block = r->blocks[r->block_count++];
    return numbers ? ra_stream_upload(r->stream, *block, numbers, n * sizeof *numbers, err) : RA_OK;
}

/* The operations of serving, and the dense ones of a training step. */
static ra_status products(run *r, ra_error *err) {
    float scores[ROWS * LATENTS], atoms[LATENTS * D_], x[ROWS * D_];
    test_fill(scores, ROWS * LATENTS, 1);
    test_fill(atoms, LATENTS * D_, 2);
    test_fill(x, ROWS * D_, 3);
    float *s, *D, *g, *y, *v, *large;
    STEP(put(r, scores, ROWS * LATENTS, &s, err));
    STEP(put(r, atoms, LATENTS * D_, &D, err));
    STEP(put(r, x, ROWS * D_, &g, err));
    STEP(put(r, NULL, ROWS * D_, &y, err));
    STEP(put(r, NULL, ROWS * LATENTS, &v, err));
    STEP(put(r, NULL, LARGE, &large, err));
    STEP(ra_stream_top_k(r->stream, s, ROWS, LATENTS, 3, 0, &r->top, err));
    r->results[0] = total(r->top.value, ra_codes_entries(&r->top));
    STEP(ra_stream_threshold(r->stream, s, ROWS, LATENTS, NULL, 0.25f, &r->over, err));
    r->results[1] = total(r->over.value, ra_codes_entries(&r->over));
    float kth;
    STEP(ra_stream_kth_largest(r->stream, s, ROWS * LATENTS, 7, &kth, err));
    r->results[2] = (double)kth;
    STEP(ra_stream_decode(r->stream, &r->top, RA_F32, D, D_, y, err));
    STEP(ra_stream_decode_gradient(r->stream, &r->top, g, D, D_, v, err));
    STEP(ra_stream_accumulate(r->stream, &r->top, v, g, D_, D, err));
    STEP(ra_stream_accumulate(r->stream, &r->top, r->top.value, y, D_, D, err));
    STEP(ra_stream_gemm(r->stream, false, true, ROWS, LATENTS, D_, 1, g, D_, D, D_, 0, s, LATENTS, err));
    STEP(ra_stream_gemm_bias(r->stream, g, ROWS, D, LATENTS, D_, s, v, LATENTS, err));
    STEP(ra_stream_axpby(r->stream, 1, v, 1, s, ROWS * LATENTS, err));
    STEP(ra_stream_project_simplex(r->stream, s, ROWS, LATENTS, err));
    STEP(ra_stream_project_ball(r->stream, D, LATENTS, D_, 0.5f, err));
    STEP(ra_stream_axpby(r->stream, 0.5f, y, 2, g, ROWS * D_, err));
    STEP(ra_stream_dot(r->stream, g, y, ROWS * D_, &r->results[3], err));
    double squares[2];
    STEP(ra_stream_squares(r->stream, (const float *const[]){g, y}, (const size_t[]){ROWS * D_, D_}, 2,
                           squares, err));
    r->results[3] += squares[0] + squares[1];
    STEP(ra_stream_download(r->stream, scores, s, sizeof scores, err));
    STEP(ra_stream_download(r->stream, atoms, D, sizeof atoms, err));
    STEP(ra_stream_download(r->stream, x, g, sizeof x, err));
    STEP(ra_stream_synchronize(r->stream, err));
    r->results[4] = total(scores, ROWS * LATENTS) + total(atoms, LATENTS * D_) + total(x, ROWS * D_);
    STEP(ra_backend_upload(r->backend, large, r->large, LARGE * sizeof(float), err));
    const ra_adam_step step = {1e-2, 0.9, 0.999, 1e-8, 0.1, 0.001, 1, 0, RA_PROJECT_BALL, 1};
    STEP(ra_backend_adam(r->backend, &step, large, large + LARGE / 4, NULL, large + LARGE / 2,
                         large + LARGE / 4 * 3, 1, 4, err));
    STEP(ra_backend_download(r->backend, r->large, large, LARGE * sizeof(float), err));
    STEP(ra_backend_synchronize(r->backend, err));
    r->results[5] = total(r->large, LARGE);
    return RA_OK;
}

/* Norms, sums, entries, a pursuit; a decode of many entries of whole numbers, which gives the same whether it
 * is multiplied or, without the memory for that, gathered. */
static ra_status training(run *r, ra_error *err) {
    float scores[MANY * LATENTS], small[LATENTS], atoms[LATENTS * D_];
    double sums[2 * LATENTS], norms[MANY], error;
    size_t n = MANY * LATENTS;
    float *u, *dy, *row, *mean, *rstd, *path;
    test_fill(scores, n, 5);
    test_fill(small, LATENTS, 6);
    for (size_t i = 0; i < LATENTS * D_; i++) atoms[i] = (float)(i % 7);
    STEP(put(r, scores, n, &u, err));
    STEP(put(r, scores, n, &dy, err));
    STEP(put(r, small, LATENTS, &row, err));
    STEP(put(r, NULL, MANY, &mean, err));
    STEP(put(r, NULL, MANY, &rstd, err));
    STEP(put(r, NULL, 4 * n, &path, err));
    const ra_norm by_row = {true, mean, rstd, row, row}, by_column = {false, row, row, row, row};
    STEP(ra_stream_top_k(r->stream, u, ROWS, LATENTS, 3, 0, &r->top, err));
    STEP(ra_stream_layer_norm(r->stream, u, MANY, LATENTS, 1e-5, row, row, mean, rstd, u, err));
    STEP(ra_stream_normalize(r->stream, &by_column, 1e-7, u, u, MANY, LATENTS, err));
    STEP(ra_stream_norm_sums(r->stream, &by_row, u, dy, MANY, LATENTS, sums, err));
    STEP(ra_stream_norm_backward(r->stream, &by_row, u, NULL, 0, dy, MANY, LATENTS, err));
    STEP(ra_stream_norm_backward(r->stream, &by_column, u, sums, MANY, dy, MANY, LATENTS, err));
    STEP(ra_stream_column_sums(r->stream, dy, MANY, LATENTS, sums, sums, err));
    r->results[6] += sums[1];
    STEP(ra_stream_kernel_sums(r->stream, RA_KERNEL_SILVERMAN, 1, u, dy, row, MANY, LATENTS, sums, err));
    r->results[6] += sums[LATENTS];
    STEP(ra_stream_row_norms(r->stream, u, MANY, LATENTS, true, norms, err));
    STEP(ra_stream_scale_rows(r->stream, norms, u, MANY, LATENTS, err));
    STEP(ra_stream_relu(r->stream, u, u, n, err));
    STEP(ra_stream_squared_error(r->stream, u, dy, n, 0.5, u, &error, err));
    r->results[6] += error + norms[2];
    STEP(ra_stream_gather_rows(r->stream, 1, u, (const int32_t *)(const void *)path, 2, LATENTS, dy, err));
    STEP(ra_stream_broadcast_row(r->stream, row, dy, MANY, LATENTS, err));
    STEP(ra_stream_widen(r->stream, RA_BF16, dy, u, n, err));
    STEP(ra_stream_scatter_entries(r->stream, &r->top, 2, r->top.value, dy, err));
    STEP(ra_stream_gather_entries(r->stream, &r->top, dy, 0, u, err));
    STEP(ra_stream_latent_sums(r->stream, &r->top, u, row, err));
    const ra_pursuit_path steps = {.rows = 2,
                                   .steps = 2,
                                   .dimensions = LATENTS,
                                   .concepts = 3,
                                   .D = dy,
                                   .atom = (int32_t *)(void *)path,
                                   .value = path + 4,
                                   .residual = path + 8};
    STEP(ra_stream_pursue(r->stream, &steps, NULL, 0, 1, u, err));
    STEP(ra_stream_pursue(r->stream, &steps, dy, 0, 2, u, err));
    STEP(ra_stream_pursue_backward(r->stream, &steps, row, 0, 2, path + n, path + 2 * n, err));
    STEP(ra_stream_download(r->stream, scores, path + 2 * n, 4 * LATENTS * sizeof *scores, err));
    STEP(ra_stream_download(r->stream, small, row, sizeof small, err));
    STEP(ra_stream_synchronize(r->stream, err));
    r->results[6] += total(scores, 4 * LATENTS) + total(small, LATENTS);

    for (size_t i = 0; i < n; i++) scores[i] = (float)(i % 3);
    STEP(ra_codes_from_dense(&r->dense, scores, MANY, LATENTS, err));
    STEP(ra_stream_upload(r->stream, u, atoms, sizeof atoms, err));
    STEP(ra_stream_decode(r->stream, &r->dense, RA_F32, u, D_, dy, err));
    STEP(ra_stream_decode(r->stream, &r->dense, RA_F16, u, D_, dy, err));
    STEP(ra_stream_download(r->stream, scores, dy, MANY * D_ * sizeof *scores, err));
    STEP(ra_stream_synchronize(r->stream, err));
    r->results[6] += total(scores, MANY * D_);
    return RA_OK;
}

/* Codes that stay on the device, which is the default stream's business, and doubles that come later. */
static ra_status keeping(run *r, ra_error *err) {
    float scores[MANY * LATENTS], x[MANY * D_];
    double sums[2];
    int32_t position[LATENTS];
    size_t n = MANY * LATENTS;
    float *s, *D, *g, *y, *v, *out;
    test_fill(scores, n, 1);
    test_fill(x, MANY * D_, 3);
    STEP(put(r, scores, n, &s, err));
    STEP(put(r, x, MANY * D_, &g, err));
    STEP(put(r, x, MANY * D_, &D, err));
    STEP(put(r, NULL, n, &y, err));
    STEP(put(r, NULL, n, &v, err));
    STEP(put(r, NULL, 1, &out, err));
    STEP(ra_stream_synchronize(r->stream, err));
    STEP(ra_backend_codes_keep(r->backend, &r->kept, err));
    STEP(ra_backend_codes_keep(r->backend, &r->packed, err));
    STEP(ra_backend_threshold(r->backend, s, MANY, LATENTS, NULL, 0.25f, &r->kept, err));
    r->results[0] += (double)ra_codes_entries(&r->kept);
    STEP(ra_backend_threshold(r->backend, s, MANY, LATENTS, NULL, 0, &r->kept, err));
    r->results[0] += (double)ra_codes_entries(&r->kept);
    STEP(ra_backend_top_k(r->backend, s, MANY, LATENTS, 3, 0, &r->kept, err));
    for (int k = 0; k < LATENTS; k++) position[k] = LATENTS - 1 - k;
    STEP(ra_backend_codes_pack(r->backend, &r->kept, position, LATENTS, &r->packed, err));
    STEP(ra_backend_decode(r->backend, &r->packed, RA_F32, D, D_, y, err));
    STEP(ra_backend_accumulate(r->backend, &r->packed, r->packed.value, g, D_, D, err));
    STEP(ra_backend_latent_sums(r->backend, &r->kept, r->kept.value, v, err));
    STEP(ra_backend_scatter_entries(r->backend, &r->kept, 1, r->kept.value, s, err));
    ra_backend_defer(r->backend, true);
    ra_status status = ra_backend_magnitudes(r->backend, &r->kept, 0.5f, y, &r->sums[0], err);
    if (status == RA_OK) status = ra_backend_dot(r->backend, g, D, MANY * D_, &r->sums[1], err);
    ra_backend_defer(r->backend, false);
    STEP(status);
    STEP(ra_backend_dots(r->backend, g, 2, RA_BF16, D, LATENTS, D_, s, y, LATENTS, err));
    STEP(ra_backend_products(r->backend, RA_PRECISION_BF16, err));
    status = ra_backend_gemm(r->backend, false, true, 2, LATENTS, D_, 1, g, D_, D, D_, 1, y, LATENTS, err);
    (void)ra_backend_products(r->backend, RA_PRECISION_FLOAT32, NULL);
    STEP(status);
    STEP(ra_backend_least_scores(r->backend, s, 1, LATENTS, g, g, (ra_least *)(void *)y, err));
    STEP(ra_backend_dot_into(r->backend, s, s, n, out, err));
    STEP(ra_backend_codes_view(r->backend, &r->kept, err));
    r->results[1] = total(r->kept.value, ra_codes_entries(&r->kept));
    STEP(ra_backend_download(r->backend, scores, v, sizeof scores, err));
    STEP(ra_backend_download(r->backend, x, out, sizeof *x, err));
    STEP(ra_backend_synchronize(r->backend, err));
    sums[0] = r->sums[0], sums[1] = r->sums[1];
    r->results[2] = total(scores, LATENTS);
    r->results[3] = (double)x[0];
    r->results[4] = sums[0] + sums[1];
    return RA_OK;
}

typedef ra_status part(run *r, ra_error *err);
static part *const parts[] = {products, training, keeping};
enum { PARTS = sizeof parts / sizeof *parts };

static ra_status work(run *r, part *chosen, ra_error *err) {
    size_t available, all;
    STEP(ra_backend_open(DEVICE, NULL, &r->backend, err));
    STEP(ra_backend_memory(r->backend, &available, &all, err));
    STEP(ra_stream_new(r->backend, &r->stream, err));
    return chosen(r, err);
}

static void clean_up(run *r) {
    ra_codes_release(&r->kept); /* before the device ends */
    ra_codes_release(&r->packed);
    if (r->backend) {
        for (size_t i = 0; i < r->block_count; i++) ra_backend_deallocate(r->backend, r->blocks[i]);
        if (r->stream.backend) ra_stream_free(r->stream);
        ra_backend_release(r->backend);
    }
    ra_codes_release(&r->top);
    ra_codes_release(&r->over);
    ra_codes_release(&r->dense);
    ra_free(r->large);
}

static ra_status work_once(run *r, int which, ra_error *err) {
    *r = (run){.large = ra_malloc(LARGE, sizeof(float))};
    test_fill(r->large, LARGE, 4);
    for (int i = LARGE / 4 * 3; i < LARGE; i++) r->large[i] = 1;
    *err = (ra_error){0};
    ra_status status = work(r, parts[which], err);
    clean_up(r);
    return status;
}

static void expect_good_or_told(const emulated *device, ra_status status, const run *r, const run *good,
                                const ra_error *err, size_t n) {
    const char *text;
    ck_assert_msg(device->live(&text) == 0, "failure %zu: not freed: %s", n, text);
    if (status == RA_OK)
        ck_assert_msg(memcmp(r->results, good->results, sizeof r->results) == 0,
                      "failure %zu: a wrong answer", n);
    else {
        ck_assert_msg(err->code == status && *err->message, "failure %zu: no sentence", n);
        ck_assert_ptr_null(strchr(err->message, '\n'));
    }
}

/* Out of memory, a wrong call, and two after which a real device is lost. */
static const struct {
    int error;
    ra_status status;
} errors[] = {{2, RA_ERR_MEMORY}, {1, RA_ERR_INTERNAL}, {719, RA_ERR_DEVICE}, {214, RA_ERR_DEVICE}};
enum { ERRORS = sizeof errors / sizeof *errors };

START_TEST(test_every_call_may_fail) {
    emulated device = emulated_open();
    run good, r;
    ra_error err;
    int which = _i / ERRORS;
    ra_status expected = errors[_i % ERRORS].status;
    device.run_twice(false); /* each kernel runs once: these are several hundred runs */
    device.fail_at(0, 0);
    ck_assert_msg(work_once(&good, which, &err) == RA_OK, "%s", err.message);
    size_t calls = device.calls(), told = 0;
    ck_assert_uint_gt(calls, 100);
    for (size_t n = 1; n <= calls; n++) {
        device.fail_at(n, errors[_i % ERRORS].error);
        ra_status status = work_once(&r, which, &err);
        device.fail_at(0, 0);
        expect_good_or_told(&device, status, &r, &good, &err, n);
        if (status == RA_OK) continue;
        told++;
        /* cuBLAS has fewer kinds of failures, and one for every reason why it does not start; after the probe
         * fails, the device is unusable */
        bool starting = strstr(err.message, "starting cuBLAS") && status == RA_ERR_MEMORY;
        ck_assert_msg(status == expected || status == RA_ERR_DEVICE || starting, "failure %zu: %s", n,
                      err.message);
    }
    /* all except those that free something, and the query of a pointer's kind */
    ck_assert_msg(told > calls / 2, "only %zu of %zu failures were told", told, calls);
    ck_assert_int_eq(work_once(&r, which, &err), RA_OK);
    emulated_close(&device);
}
END_TEST

START_TEST(test_every_allocation_may_fail) {
    emulated device = emulated_open();
    run good, r;
    ra_error err;
    int which = _i;
    size_t told = 0;
    device.run_twice(false);
    ck_assert_int_eq(work_once(&good, which, &err), RA_OK);
    for (size_t n = 1;; n++) {
        ck_assert_uint_lt(n, 100);
        device.fail_memory(n);
        ra_status status = work_once(&r, which, &err);
        size_t asked = device.fail_memory(0);
        expect_good_or_told(&device, status, &r, &good, &err, n);
        if (status == RA_OK) {
            ck_assert_uint_lt(asked, n);
            break;
        }
        ck_assert_msg(status == RA_ERR_MEMORY, "%s", err.message);
        told++;
    }
    ck_assert_uint_gt(told, 5);
    emulated_close(&device);
}
END_TEST

TEST_CASES_LOOP(backend_cuda_failures, 60, ERRORS *PARTS, test_every_call_may_fail)
TEST_CASES_LOOP(backend_cuda_allocations, 60, PARTS, test_every_allocation_may_fail)
