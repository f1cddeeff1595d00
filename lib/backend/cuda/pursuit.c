/* Steps of a matching pursuit (pursuit.cu). */
#include "backend/cuda/operations.h"

static cuda_path on_device(const ra_pursuit_path *path) {
    return (cuda_path){.rows = path->rows,
                       .steps = path->steps,
                       .dimensions = path->dimensions,
                       .concepts = path->concepts,
                       .D = path->D,
                       .atom = path->atom,
                       .value = path->value,
                       .residual = path->residual};
}

ra_status cuda_pursue(ra_backend_stream *s, const ra_pursuit_path *path, const float *gram, size_t t,
                      size_t count, float *scores, ra_error *err) {
    cudaError_t code = ra_cuda_pursue(s->handle, on_device(path), gram, t, count, scores);
    return cuda_check(s->context, code, "a step of a pursuit", err);
}

ra_status cuda_pursue_backward(ra_backend_stream *s, const ra_pursuit_path *path, const float *g,
                               size_t first, size_t rows, float *scratch, float *push, ra_error *err) {
    cudaError_t code = ra_cuda_pursue_backward(s->handle, on_device(path), g, first, rows, scratch, push);
    return cuda_check(s->context, code, "the gradient of a pursuit", err);
}
