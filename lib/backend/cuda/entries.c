/* Entries of sparse codes one by one (entries.cu). */
#include "backend/cuda/codes.h"
#include "backend/cuda/operations.h"

static ra_status latent_sums(ra_backend_stream *s, const ra_codes *codes, const float *value, float *out,
                             ra_error *err) {
    cuda_by_latent on_device;
    const float *value_on_device;
    RA_TRY(cuda_check(s->context, cudaMemsetAsync(out, 0, codes->latents * sizeof *out, s->handle),
                      "clearing sums", err));
    if (ra_codes_entries(codes) == 0) return RA_OK;
    RA_TRY(cuda_codes_upload_by_latent(s, codes, value, &on_device, &value_on_device, err));
    return cuda_check(s->context, ra_cuda_latent_sums(s->handle, on_device, value_on_device, out),
                      "sums of latents", err);
}

ra_status cuda_latent_sums(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *value,
                           float *out, ra_error *err) {
    ra_backend_stream *s;
    if (codes->latents == 0) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s, latent_sums(s, codes, value, out, err));
}

static ra_status pick(ra_backend_stream *s, const ra_codes *codes, const float *dense, float beta,
                      float *value, ra_error *err) {
    cuda_codes on_device;
    RA_TRY(cuda_codes_upload(s, codes, NULL, 0, &on_device, NULL, err));
    return cuda_check(s->context, ra_cuda_pick(s->handle, on_device, codes->latents, dense, beta, value),
                      "reading dense codes", err);
}

ra_status cuda_pick(void *self, ra_backend_stream *stream, const ra_codes *codes, const float *dense,
                    float beta, float *value, ra_error *err) {
    ra_backend_stream *s;
    if (ra_codes_entries(codes) == 0) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s, pick(s, codes, dense, beta, value, err));
}

static ra_status put(ra_backend_stream *s, const ra_codes *codes, float alpha, const float *value,
                     float *dense, ra_error *err) {
    cuda_codes on_device;
    RA_TRY(cuda_codes_upload(s, codes, value, 0, &on_device, NULL, err));
    return cuda_check(s->context, ra_cuda_put(s->handle, on_device, codes->latents, alpha, dense),
                      "writing dense codes", err);
}

ra_status cuda_put(void *self, ra_backend_stream *stream, const ra_codes *codes, float alpha,
                   const float *value, float *dense, ra_error *err) {
    ra_backend_stream *s;
    if (ra_codes_entries(codes) == 0) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    return cuda_leave(s, put(s, codes, alpha, value, dense, err));
}
