/* Entries of sparse codes one by one (entries.cu). */
#include "backend/cuda/codes.h"
#include "backend/cuda/operations.h"

ra_status cuda_latent_sums(ra_backend_stream *s, const ra_codes *codes, const float *value, float *out,
                           ra_error *err) {
    cuda_by_latent on_device;
    const float *value_on_device;
    if (codes->latents == 0) return RA_OK;
    if (ra_codes_entries(codes) == 0)
        return cuda_check(s->context, cudaMemsetAsync(out, 0, codes->latents * sizeof *out, s->handle),
                          "clearing sums", err);
    RA_TRY(cuda_codes_take_by_latent(s, codes, value, 0, 0, &on_device, &value_on_device, NULL, err));
    return cuda_check(s->context, ra_cuda_latent_sums(s->handle, on_device, value_on_device, out),
                      "sums of latents", err);
}

ra_status cuda_magnitudes(ra_backend_stream *s, const ra_codes *codes, float scale, float *gradient,
                          double *sum, ra_error *err) {
    cuda_codes on_device;
    size_t entries = ra_codes_entries(codes);
    void *scratch;
    *sum = 0;
    if (entries == 0) return RA_OK;
    RA_TRY(cuda_codes_take(s, codes, codes->value, (RA_CUDA_SUM_PARTS + 1) * sizeof *sum, &on_device,
                           &scratch, err));
    double *partial = scratch, *total = partial + RA_CUDA_SUM_PARTS;
    RA_TRY(cuda_check(
        s->context, ra_cuda_magnitudes(s->handle, on_device.value, entries, scale, gradient, partial, total),
        "the sizes of codes", err));
    return cuda_take_doubles(s, sum, total, 1, err);
}

ra_status cuda_gather_entries(ra_backend_stream *s, const ra_codes *codes, const float *dense, float beta,
                              float *value, ra_error *err) {
    cuda_codes on_device;
    if (ra_codes_entries(codes) == 0) return RA_OK;
    RA_TRY(cuda_codes_take(s, codes, NULL, 0, &on_device, NULL, err));
    cudaError_t code = ra_cuda_gather_entries(s->handle, on_device, codes->latents, dense, beta, value);
    return cuda_check(s->context, code, "reading dense codes", err);
}

ra_status cuda_scatter_entries(ra_backend_stream *s, const ra_codes *codes, float alpha, const float *value,
                               float *dense, ra_error *err) {
    cuda_codes on_device;
    if (ra_codes_entries(codes) == 0) return RA_OK;
    RA_TRY(cuda_codes_take(s, codes, value, 0, &on_device, NULL, err));
    cudaError_t code = ra_cuda_scatter_entries(s->handle, on_device, codes->latents, alpha, dense);
    return cuda_check(s->context, code, "writing dense codes", err);
}
