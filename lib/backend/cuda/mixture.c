/* Atoms as mixtures of a few points (mixture.cu). */
#include "backend/cuda/operations.h"

_Static_assert((int)RA_CUDA_MIXTURE_MOST == (int)RA_MIXTURE_MOST, "one limit");

static cuda_mixture on_device(const ra_mixture *mixture) {
    return (cuda_mixture){.atoms = mixture->atoms,
                          .most = mixture->most,
                          .dimensions = mixture->dimensions,
                          .C = mixture->C,
                          .index = mixture->index,
                          .weight = mixture->weight,
                          .gram = mixture->gram,
                          .relax = mixture->relax};
}

ra_status cuda_mixture_gram(ra_backend_stream *s, const ra_mixture *mixture, ra_error *err) {
    cudaError_t code = ra_cuda_mixture_gram(s->handle, on_device(mixture));
    return cuda_check(s->context, code, "the products of an atom's points", err);
}

ra_status cuda_mixture_compose(ra_backend_stream *s, const ra_mixture *mixture, const int32_t *atoms,
                               size_t count, float scale, float *D, ra_error *err) {
    cudaError_t code = ra_cuda_mixture_compose(s->handle, on_device(mixture), atoms, count, scale, D);
    return cuda_check(s->context, code, "atoms of their points", err);
}

ra_status cuda_mixture_fit(ra_backend_stream *s, const ra_mixture *mixture, float keep, float radius,
                           float *share, ra_error *err) {
    cudaError_t code = ra_cuda_mixture_fit(s->handle, on_device(mixture), keep, radius, share);
    return cuda_check(s->context, code, "the mixtures of atoms", err);
}

ra_status cuda_mixture_exchange(ra_backend_stream *s, const ra_mixture *mixture, const int32_t *atoms,
                                const int32_t *candidate, size_t count, ra_error *err) {
    cudaError_t code = ra_cuda_mixture_exchange(s->handle, on_device(mixture), atoms, candidate, count);
    return cuda_check(s->context, code, "new points of atoms", err);
}
