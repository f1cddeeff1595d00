/* Streams: a CUDA stream, a cuBLAS handle with a work area of its own (which is counted as our memory is; its
 * products run in order), the staging slots of its copies, and scratch memory. All but the scratch memory is
 * made with the stream, so that no request waits for it. A stream that only copies has no handle. */
#include "backend/cuda/context.h"

enum { HOPPER = 9 };
static const size_t blas_bytes[] = {CUBLAS_HOPPER_BYTES, CUBLAS_OTHER_BYTES, CUBLAS_LEAST_BYTES};

static void dispose(ra_backend_stream *stream) {
    if (stream->handle)
        (void)cudaStreamSynchronize(stream->handle); /* so that nothing uses the rest any more */
    cuda_staging_release(stream);
    if (stream->waited) (void)cudaEventDestroy(stream->waited);
    if (stream->reached) (void)cudaEventDestroy(stream->reached);
    if (stream->scratch) (void)cudaFree(stream->scratch);
    if (stream->narrow) (void)cudaFree(stream->narrow);
    if (stream->blas) (void)stream->context->blas->destroy(stream->blas);
    if (stream->blas_memory) (void)cudaFree(stream->blas_memory);
    if (stream->handle) (void)cudaStreamDestroy(stream->handle);
    (void)cudaGetLastError();
    pthread_mutex_destroy(&stream->lock);
    ra_free(stream);
}

ra_status cuda_select(cuda_context *context, ra_error *err) {
    RA_TRY(cuda_check_lost(context, err));
    return cuda_check(context, cudaSetDevice(context->ordinal), "selecting the GPU", err);
}

ra_status cuda_event_new(cuda_context *context, cudaEvent_t *event, ra_error *err) {
    unsigned flags = cudaEventDisableTiming | (context->yield ? cudaEventBlockingSync : 0);
    return cuda_check(context, cudaEventCreateWithFlags(event, flags), "making an event", err);
}

/* As much as cuBLAS recommends for the device, or less where memory is short: its products are then slower,
 * but they work. Setting a stream takes the work area away again, so it comes second. */
static ra_status prepare_blas(ra_backend_stream *stream, ra_error *err) {
    static const char what[] = "starting cuBLAS";
    cuda_context *context = stream->context;
    size_t tried = context->major < HOPPER, sizes = sizeof blas_bytes / sizeof *blas_bytes;
    cudaError_t code = cudaErrorMemoryAllocation;
    RA_TRY(cublas_check(context, context->blas->create(&stream->blas), what, err));
    RA_TRY(cublas_check(context, context->blas->set_stream(stream->blas, stream->handle), what, err));
    for (; code == cudaErrorMemoryAllocation && tried < sizes; tried++)
        code = cudaMalloc(&stream->blas_memory, blas_bytes[tried]);
    RA_TRY(cuda_check(context, code, what, err));
    (void)cudaGetLastError(); /* of a size that did not fit */
    stream->blas_bytes = blas_bytes[tried - 1];
    return cublas_check(context,
                        context->blas->set_workspace(stream->blas, stream->blas_memory, stream->blas_bytes),
                        what, err);
}

/* A thread that waits for copies has nothing to hurry for. */
static ra_status prepare_events(ra_backend_stream *stream, bool sleeps, ra_error *err) {
    RA_TRY(cuda_event_new(stream->context, &stream->reached, err));
    if (!sleeps) return RA_OK;
    return cuda_check(
        stream->context,
        cudaEventCreateWithFlags(&stream->waited, cudaEventDisableTiming | cudaEventBlockingSync),
        "making an event", err);
}

static ra_status prepare(ra_backend_stream *stream, ra_stream_kind kind, ra_error *err) {
    cuda_context *context = stream->context;
    RA_TRY(cuda_select(context, err));
    RA_TRY(cuda_check(context, cudaStreamCreateWithFlags(&stream->handle, cudaStreamNonBlocking),
                      "making a stream", err));
    RA_TRY(prepare_events(stream, context->yield || kind == RA_STREAM_COPIES, err));
    RA_TRY(cuda_staging_prepare(stream, err));
    return kind == RA_STREAM_COPIES ? RA_OK : prepare_blas(stream, err);
}

ra_status cuda_stream_new(void *self, ra_stream_kind kind, ra_backend_stream **stream, ra_error *err) {
    ra_backend_stream *made = ra_calloc(1, sizeof *made);
    if (!made) RA_FAIL_MEMORY(err, "a stream of the device", sizeof *made);
    made->context = self;
    made->precision = made->context->tf32 ? RA_PRECISION_TF32 : RA_PRECISION_FLOAT32;
    pthread_mutex_init(&made->lock, NULL);
    ra_status status = prepare(made, kind, err);
    if (status == RA_OK)
        *stream = made;
    else
        dispose(made);
    return status;
}

void cuda_stream_free(void *self, ra_backend_stream *stream) {
    cuda_context *context = self;
    if (!stream) return;
    (void)cudaSetDevice(context->ordinal);
    dispose(stream);
}

ra_status cuda_enter(void *self, ra_backend_stream *stream, ra_backend_stream **entered, ra_error *err) {
    cuda_context *context = self;
    RA_TRY(cuda_select(context, err));
    *entered = stream ? stream : context->default_stream;
    pthread_mutex_lock(&(*entered)->lock);
    (*entered)->copies_before = (*entered)->copies;
    return RA_OK;
}

/* The destinations of a failed operation's downloads may be freed before these arrive. */
ra_status cuda_leave(ra_backend_stream *entered, ra_status status) {
    if (status != RA_OK) cuda_staging_drop(entered, entered->copies_before);
    pthread_mutex_unlock(&entered->lock);
    return status;
}

/* After a failure it is unknown what has arrived. Downloads of earlier operations are lost, too, which the
 * next synchronize() reports. */
ra_status cuda_wait(ra_backend_stream *entered, ra_error *err) {
    cudaError_t code = cudaSuccess;
    if (!entered->waited)
        code = cudaStreamSynchronize(entered->handle);
    else if ((code = cudaEventRecord(entered->waited, entered->handle)) == cudaSuccess)
        code = cudaEventSynchronize(entered->waited);
    ra_status status = cuda_check(entered->context, code, "waiting for a stream", err);
    if (status == RA_OK)
        cuda_staging_deliver(entered);
    else
        cuda_staging_drop(entered, 0);
    return status;
}

ra_status cuda_synchronize(void *self, ra_backend_stream *stream, ra_error *err) {
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, stream, &s, err));
    ra_status status = cuda_wait(s, err);
    bool lost = s->lost_downloads;
    s->lost_downloads = false;
    if (status == RA_OK && lost)
        status = ra_error_set(err, RA_ERR_DEVICE,
                              "a copy from the device cuda:%d was lost when an operation failed",
                              s->context->ordinal);
    return cuda_leave(s, status);
}

ra_status cuda_follow(void *self, ra_backend_stream *later, ra_backend_stream *earlier, ra_error *err) {
    static const char what[] = "ordering two streams";
    ra_backend_stream *s;
    RA_TRY(cuda_enter(self, earlier, &s, err));
    cudaEvent_t reached = s->reached;
    RA_TRY(cuda_leave(s, cuda_check(s->context, cudaEventRecord(reached, s->handle), what, err)));
    RA_TRY(cuda_enter(self, later, &s, err));
    return cuda_leave(s, cuda_check(s->context, cudaStreamWaitEvent(s->handle, reached, 0), what, err));
}

void cuda_defer(void *self, ra_backend_stream *stream, bool deferred) {
    cuda_context *context = self;
    ra_backend_stream *s = stream ? stream : context->default_stream;
    pthread_mutex_lock(&s->lock);
    s->deferred = deferred;
    pthread_mutex_unlock(&s->lock);
}

/* Earlier GPUs have no units for such factors: cuBLAS would not round, and would be no faster. */
ra_status cuda_products(void *self, ra_backend_stream *stream, ra_precision precision, ra_error *err) {
    enum { ROUNDING_MAJOR = 8 };
    cuda_context *context = self;
    ra_backend_stream *s = stream ? stream : context->default_stream;
    if (precision != RA_PRECISION_FLOAT32 && context->major < ROUNDING_MAJOR)
        RA_FAIL(err, RA_ERR_DEVICE,
                "the device cuda:%d has compute capability %d.%d; products of TF32 and bf16 need 8.0",
                context->ordinal, context->major, context->minor);
    if (precision == RA_PRECISION_FLOAT32 && context->tf32) precision = RA_PRECISION_TF32;
    pthread_mutex_lock(&s->lock);
    s->precision = precision;
    pthread_mutex_unlock(&s->lock);
    return RA_OK;
}

/* Scratch memory grows as needed, by half of itself at least so that it soon stops, and is kept. Operations
 * that have started may still use the old memory. */
static ra_status grow(ra_backend_stream *entered, void **memory, size_t *size, size_t bytes, ra_error *err) {
    if (bytes <= *size) return RA_OK;
    RA_TRY(cuda_wait(entered, err));
    void *old = *memory;
    size_t before = *size;
    *memory = NULL;
    *size = 0;
    if (old) RA_TRY(cuda_check(entered->context, cudaFree(old), "freeing a work area", err));
    size_t wanted = before + before / 2 > bytes ? before + before / 2 : bytes;
    cudaError_t code = cudaMalloc(memory, wanted);
    if (code == cudaErrorMemoryAllocation && wanted > bytes) {
        (void)cudaGetLastError();
        wanted = bytes;
        code = cudaMalloc(memory, wanted);
    }
    RA_TRY(cuda_check(entered->context, code, "making a work area", err));
    *size = wanted;
    return RA_OK;
}

ra_status cuda_scratch(ra_backend_stream *entered, size_t bytes, void **memory, ra_error *err) {
    RA_TRY(grow(entered, &entered->scratch, &entered->scratch_bytes, bytes, err));
    *memory = entered->scratch;
    return RA_OK;
}

ra_status cuda_narrow_memory(ra_backend_stream *entered, size_t bytes, void **memory, ra_error *err) {
    RA_TRY(grow(entered, &entered->narrow, &entered->narrow_bytes, bytes, err));
    *memory = entered->narrow;
    return RA_OK;
}

/* ---- copies -------------------------------------------------------------------------------------------- */

/* Pinned memory of the caller's (cudaMallocHost) needs no staging. */
static bool is_pinned(const void *host) {
    struct cudaPointerAttributes about;
    if (cudaPointerGetAttributes(&about, host) != cudaSuccess) {
        (void)cudaGetLastError();
        return false;
    }
    return about.type == cudaMemoryTypeHost;
}

ra_status cuda_upload(void *self, ra_backend_stream *stream, void *device, const void *host, size_t bytes,
                      ra_error *err) {
    ra_backend_stream *s;
    if (!bytes) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    ra_status status =
        is_pinned(host)
            ? cuda_check(s->context, cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, s->handle),
                         "a copy to the device", err)
            : cuda_upload_parts(s, device, &(cuda_part){host, bytes}, 1, err);
    return cuda_leave(s, status);
}

ra_status cuda_download(void *self, ra_backend_stream *stream, void *host, const void *device, size_t bytes,
                        ra_error *err) {
    ra_backend_stream *s;
    if (!bytes) return RA_OK;
    RA_TRY(cuda_enter(self, stream, &s, err));
    ra_status status =
        is_pinned(host)
            ? cuda_check(s->context, cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, s->handle),
                         "a copy from the device", err)
            : cuda_download_bytes(s, host, device, bytes, err);
    return cuda_leave(s, status);
}
