/* What a failed call means to the caller. CUDA's errors are of three kinds: memory that is not there, a call
 * that was wrong (ours to mend), and a device that is gone: after an illegal access, a hardware error or a
 * hung kernel every call fails until the process ends. The last is RA_ERR_DEVICE, and it stays: each later
 * operation says so at once, without asking the device, so that a program can tell that it has to be started
 * again. */
#include "backend/cuda/context.h"

/* Errors that end the process's use of the device. */
static const cudaError_t last_errors[] = {
    cudaErrorECCUncorrectable,    cudaErrorIllegalAddress,
    cudaErrorLaunchTimeout,       cudaErrorAssert,
    cudaErrorHardwareStackError,  cudaErrorIllegalInstruction,
    cudaErrorMisalignedAddress,   cudaErrorInvalidAddressSpace,
    cudaErrorInvalidPc,           cudaErrorLaunchFailure,
    cudaErrorNvlinkUncorrectable, cudaErrorContextIsDestroyed,
    cudaErrorDevicesUnavailable,  cudaErrorUnknown,
};

static const struct {
    cudaError_t code;
    ra_status status;
} meanings[] = {
    {cudaErrorMemoryAllocation, RA_ERR_MEMORY},
    {cudaErrorInvalidValue, RA_ERR_INTERNAL},
    {cudaErrorInvalidConfiguration, RA_ERR_TOO_LARGE}, /* a grid with more blocks than there may be */
    {cudaErrorInvalidResourceHandle, RA_ERR_INTERNAL},
};

static ra_status report_lost(const cuda_context *context, cudaError_t code, const char *what, ra_error *err) {
    RA_FAIL(err, RA_ERR_DEVICE,
            "the device cuda:%d failed at %s and answers nothing until the program is started again: %s (%s)",
            context->ordinal, what, cudaGetErrorString(code), cudaGetErrorName(code));
}

ra_status cuda_check(cuda_context *context, cudaError_t code, const char *what, ra_error *err) {
    if (code == cudaSuccess) return RA_OK;
    (void)cudaGetLastError(); /* or the next launch would be told of this one's failure */
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
    /* cuBLAS says little when the device below it has failed; the runtime knows more. */
    RA_TRY(cuda_check(context, cudaGetLastError(), what, err));
    ra_status status = code == CUBLAS_STATUS_ALLOC_FAILED    ? RA_ERR_MEMORY
                       : code == CUBLAS_STATUS_INVALID_VALUE ? RA_ERR_INTERNAL
                                                             : RA_ERR_DEVICE;
    RA_FAIL(err, status, "the device cuda:%d failed at %s: cuBLAS says %s", context->ordinal, what,
            context->blas.status_text(code));
}
