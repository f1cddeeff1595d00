/* The device of a backend and its memory. */
#include "backend/cuda/context.h"

enum { LEAST_MAJOR = 7, LEAST_MINOR = 5 }; /* for which the kernels are built (Makefile) */

static ra_status select_device(cuda_context *context, size_t process, ra_error *err) {
    int devices = 0, major = 0, minor = 0;
    RA_TRY(cuda_check(context, cudaGetDeviceCount(&devices), "counting the GPUs", err));
    if (process && devices) context->ordinal = (int)(process % (size_t)devices);
    if (context->ordinal >= devices)
        RA_FAIL(err, RA_ERR_DEVICE, "there is no device cuda:%d: this machine has %d GPU%s, numbered from 0",
                context->ordinal, devices, devices == 1 ? "" : "s");
    RA_TRY(cuda_check(context, cudaSetDevice(context->ordinal), "selecting the GPU", err));
    RA_TRY(cuda_check(context,
                      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, context->ordinal),
                      "asking for its generation", err));
    RA_TRY(cuda_check(context,
                      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, context->ordinal),
                      "asking for its generation", err));
    if (major < LEAST_MAJOR || (major == LEAST_MAJOR && minor < LEAST_MINOR))
        RA_FAIL(err, RA_ERR_DEVICE,
                "the device cuda:%d has compute capability %d.%d; at least %d.%d is needed", context->ordinal,
                major, minor, LEAST_MAJOR, LEAST_MINOR);
    context->major = major;
    context->minor = minor;
    return RA_OK;
}

ra_status cuda_open(const ra_backend_options *options, void **self, ra_error *err) {
    cuda_context *context = ra_calloc(1, sizeof *context);
    if (!context) RA_FAIL_MEMORY(err, "the CUDA backend", sizeof *context);
    context->ordinal = options->ordinal;
    context->tf32 = options->tf32;
    context->yield = options->yield;
    atomic_init(&context->lost, 0);
    /* cuBLAS first: without it, this device would be left with a context that nobody uses */
    ra_status status = cublas_open(&context->blas, err);
    if (status == RA_OK) status = select_device(context, options->process, err);
    if (status == RA_OK) status = cuda_stream_new(context, RA_STREAM_COMPUTES, &context->default_stream, err);
    if (status != RA_OK) {
        ra_free(context);
        return status;
    }
    *self = context;
    return RA_OK;
}

void cuda_close(void *self) {
    cuda_context *context = self;
    cuda_stream_free(context, context->default_stream);
    ra_free(context);
}

ra_status cuda_allocate(void *self, size_t bytes, void **memory, ra_error *err) {
    cuda_context *context = self;
    ra_backend_stream *s;
    void *fresh = NULL;
    RA_TRY(cuda_enter(self, NULL, &s, err));
    ra_status status = RA_OK;
    /* a caller can act on this failure only, so its message has the size */
    cudaError_t code = cudaMalloc(&fresh, bytes ? bytes : 1);
    if (code == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        status =
            ra_error_set(err, RA_ERR_MEMORY, "out of memory: an array on the device cuda:%d needs %zu bytes",
                         context->ordinal, bytes);
    } else
        status = cuda_check(context, code, "an allocation", err);
    if (status == RA_OK && bytes)
        status = cuda_check(context, cudaMemsetAsync(fresh, 0, bytes, s->handle), "clearing an array", err);
    if (status == RA_OK) status = cuda_wait(s, err); /* other streams may use it at once */
    if (status == RA_OK)
        *memory = fresh;
    else if (fresh)
        (void)cudaFree(fresh);
    return cuda_leave(s, status);
}

/* Any failure here was reported before, or will be by the next operation. */
void cuda_deallocate(void *self, void *memory) {
    cuda_context *context = self;
    if (!memory) return;
    (void)cudaSetDevice(context->ordinal);
    (void)cuda_check(context, cudaFree(memory), "freeing an array", NULL);
}

/* Pinned: the device reads and writes it by itself. */
ra_status cuda_host_allocate(void *self, size_t bytes, void **memory, ra_error *err) {
    cuda_context *context = self;
    void *fresh = NULL;
    RA_TRY(cuda_select(context, err));
    RA_TRY(cuda_check(context, cudaMallocHost(&fresh, bytes ? bytes : 1), "making memory for copies", err));
    *memory = fresh;
    return RA_OK;
}

void cuda_host_deallocate(void *self, void *memory) {
    cuda_context *context = self;
    if (!memory) return;
    (void)cudaSetDevice(context->ordinal);
    (void)cuda_check(context, cudaFreeHost(memory), "freeing memory for copies", NULL);
}

/* Memory that other programs use on this device is not available. */
ra_status cuda_memory(void *self, size_t *available, size_t *total, ra_error *err) {
    cuda_context *context = self;
    size_t left = 0, all = 0;
    RA_TRY(cuda_select(context, err));
    RA_TRY(cuda_check(context, cudaMemGetInfo(&left, &all), "asking for its memory", err));
    *available = left;
    *total = all;
    return RA_OK;
}
