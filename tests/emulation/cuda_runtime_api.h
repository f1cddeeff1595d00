/* cuda_runtime_api.h - exactly those calls of the CUDA runtime that lib/backend/cuda uses, for a host without
 * a GPU: its sources compile against this folder in place of the toolkit's headers. What each call does, and
 * which mistakes it finds, stands in runtime.c, memory.c and queue.c. */
#ifndef RA_EMULATION_CUDA_RUNTIME_API_H
#define RA_EMULATION_CUDA_RUNTIME_API_H

#include <stddef.h>

#define CUDART_VERSION 13000

/* What the plugin's host part copies itself is counted (device.h is the emulation's own). */
#if !defined(__cplusplus) && !defined(RA_EMULATION_DEVICE_H)
#include <string.h>
void *emulation_copy_on_host(void *to, const void *from, size_t bytes);
#define memcpy(to, from, bytes) emulation_copy_on_host(to, from, bytes)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Values as CUDA has them; text for cudaGetErrorString(). */
#define EMULATION_ERRORS(X)                                                                                  \
    X(cudaSuccess, 0, "no error")                                                                            \
    X(cudaErrorInvalidValue, 1, "invalid argument")                                                          \
    X(cudaErrorMemoryAllocation, 2, "out of memory")                                                         \
    X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                                    \
    X(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime version")       \
    X(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")                  \
    X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                                          \
    X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                                 \
    X(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")                                 \
    X(cudaErrorNvlinkUncorrectable, 220, "uncorrectable NVLink error detected during the execution")         \
    X(cudaErrorContained, 226, "Invalid access of peer GPU memory over nvlink or a hardware error")          \
    X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                                        \
    X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                              \
    X(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")                                \
    X(cudaErrorContextIsDestroyed, 709, "context is destroyed")                                              \
    X(cudaErrorAssert, 710, "device-side assert triggered")                                                  \
    X(cudaErrorHardwareStackError, 714, "hardware stack error")                                              \
    X(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered")                            \
    X(cudaErrorMisalignedAddress, 716, "misaligned address")                                                 \
    X(cudaErrorInvalidAddressSpace, 717, "operation not supported on global/shared address space")           \
    X(cudaErrorInvalidPc, 718, "invalid program counter")                                                    \
    X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                             \
    X(cudaErrorTensorMemoryLeak, 721, "kernel exited without deallocating tensor memory")                    \
    X(cudaErrorExternalDevice, 911, "an async error has occurred in external entity outside of CUDA")        \
    X(cudaErrorUnknown, 999, "unknown error")

typedef enum cudaError {
#define X(name, value, text) name = value,
    EMULATION_ERRORS(X)
#undef X
} cudaError_t;

const char *cudaGetErrorName(cudaError_t code);
const char *cudaGetErrorString(cudaError_t code);
cudaError_t cudaGetLastError(void);

enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76 };
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor, multiProcessorCount, l2CacheSize;
};
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *about, int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device);

typedef struct emulation_stream *cudaStream_t;
typedef struct emulation_event *cudaEvent_t;
enum { cudaStreamNonBlocking = 1, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2 };
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost, cudaMemoryTypeDevice };
struct cudaPointerAttributes {
    enum cudaMemoryType type;
};
cudaError_t cudaMalloc(void **block, size_t bytes);
cudaError_t cudaMemGetInfo(size_t *available, size_t *total);
cudaError_t cudaFree(void *block);
cudaError_t cudaMallocHost(void **block, size_t bytes);
cudaError_t cudaFreeHost(void *block);
cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *pointer);
cudaError_t cudaMemcpyAsync(void *target, const void *source, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *block, int byte, size_t bytes, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
