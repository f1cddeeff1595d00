/* The status of a failed call. CUDA's errors are of three kinds: missing memory, a wrong call (our bug), and
 * a lost device: after an illegal access, a hardware error or a hung kernel, every call fails until the
 * process ends. That is RA_ERR_DEVICE, and it is permanent: each later operation fails at once, without
 * calling the device, so a program knows that it must be restarted. */
#include "backend/cuda/context.h"

/* Errors after which the process cannot use the device any more. */
static const cudaError_t last_errors[] = {
    cudaErrorECCUncorrectable,
    cudaErrorIllegalAddress,
    cudaErrorLaunchTimeout,
    cudaErrorAssert,
    cudaErrorHardwareStackError,
    cudaErrorIllegalInstruction,
    cudaErrorMisalignedAddress,
    cudaErrorInvalidAddressSpace,
    cudaErrorInvalidPc,
    cudaErrorLaunchFailure,
    cudaErrorNvlinkUncorrectable,
    cudaErrorContextIsDestroyed,
    cudaErrorDevicesUnavailable,
    cudaErrorExternalDevice,
    cudaErrorUnknown,
#if CUDART_VERSION >= 13000
    cudaErrorContained,
    cudaErrorTensorMemoryLeak,
#endif
};

static const struct {
    cudaError_t code;
    ra_status status;
} meanings[] = {
    {cudaErrorMemoryAllocation, RA_ERR_MEMORY},
    {cudaErrorInvalidValue, RA_ERR_INTERNAL},
    {cudaErrorInvalidConfiguration, RA_ERR_TOO_LARGE}, /* a grid with too many blocks */
    {cudaErrorInvalidResourceHandle, RA_ERR_INTERNAL},
};

static ra_status report_lost(const cuda_context *context, cudaError_t code, const char *what, ra_error *err) {
    RA_FAIL(err, RA_ERR_DEVICE,
            "the device cuda:%d failed at %s and does not respond until the program is restarted: %s (%s)",
            context->ordinal, what, cudaGetErrorString(code), cudaGetErrorName(code));
}

ra_status cuda_check(cuda_context *context, cudaError_t code, const char *what, ra_error *err) {
    if (code == cudaSuccess) return RA_OK;
    (void)cudaGetLastError(); /* otherwise the next launch would report this failure */
    for (size_t i = 0; i < sizeof last_errors / sizeof *last_errors; i++)
        if (code == last_errors[i]) {
            atomic_store(&context->lost, (int)code);
            return report_lost(context, code, what, err);
        }
    ra_status status = RA_ERR_DEVICE;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (code == meanings[i].code) status = meanings[i].status;
    RA_FAIL(err, status, "the device cuda:%d failed at %s: %s (%s)", context->ordinal, what,
            cudaGetErrorString(code), cudaGetErrorName(code));
}

ra_status cuda_check_lost(cuda_context *context, ra_error *err) {
    int code = atomic_load(&context->lost);
    return code ? report_lost(context, (cudaError_t)code, "an earlier call", err) : RA_OK;
}

ra_status cublas_check(cuda_context *context, cublasStatus_t code, const char *what, ra_error *err) {
    if (code == CUBLAS_STATUS_SUCCESS) return RA_OK;
    /* If the device has failed, the runtime knows more than cuBLAS. But cuBLAS has a copy of the runtime for
     * itself, so ours has not seen the failure: it has to ask the device. */
    RA_TRY(cuda_check(context, cudaDeviceSynchronize(), what, err));
    /* A handle that cannot be made (NOT_INITIALIZED) on a device that works is short of memory. */
    ra_status status = code == CUBLAS_STATUS_ALLOC_FAILED || code == CUBLAS_STATUS_NOT_INITIALIZED
                           ? RA_ERR_MEMORY
                       : code == CUBLAS_STATUS_INVALID_VALUE ? RA_ERR_INTERNAL
                                                             : RA_ERR_DEVICE;
    RA_FAIL(err, status, "the device cuda:%d failed at %s: cuBLAS says %s", context->ordinal, what,
            context->blas->status_text(code));
}
