/* The machine that is emulated, its errors, and calls that are made to fail. One lock holds for the whole
 * device. */
#include "device.h"
#include "emulation.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
EXPORTED emulation_fail_at_fn emulation_fail_at;
EXPORTED emulation_fail_later_fn emulation_fail_later;
EXPORTED emulation_calls_fn emulation_calls;
EXPORTED emulation_live_fn emulation_live;
EXPORTED emulation_machine_fn emulation_machine;
EXPORTED emulation_fail_memory_fn emulation_fail_memory;
EXPORTED emulation_count_fn emulation_count;

size_t emulation_blas_live(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t calls, fail_at, fail_later;
static cudaError_t fail_with, later_with, last_error, lost;
static const char *lost_file; /* EMULATION_LOST */
enum { MOST_DEVICES = 8 };
static int driver = CUDART_VERSION, devices = 1, generation[MOST_DEVICES] = {90};

emulation_counts emulation_counted;

emulation_counts emulation_count(void) {
    pthread_mutex_lock(&lock);
    emulation_counts counts = emulation_counted;
    emulation_counted = (emulation_counts){0};
    pthread_mutex_unlock(&lock);
    return counts;
}

/* The plugin's memcpy() (cuda_runtime_api.h). */
void *emulation_copy_on_host(void *to, const void *from, size_t bytes);
void *emulation_copy_on_host(void *to, const void *from, size_t bytes) {
    __atomic_add_fetch(&emulation_counted.bytes_through, bytes, __ATOMIC_RELAXED);
    return memcpy(to, from, bytes);
}

void emulation_fault(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("emulation: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* Those after which a real device answers nothing any more. */
static bool is_last(cudaError_t code) {
    return code == cudaErrorECCUncorrectable || code == cudaErrorContained ||
           code == cudaErrorExternalDevice || code == cudaErrorUnknown ||
           (code >= cudaErrorIllegalAddress && code <= cudaErrorTensorMemoryLeak);
}

__attribute__((constructor)) static void read_environment(void) {
    lost_file = getenv("EMULATION_LOST");
    const char *generations = getenv("EMULATION_DEVICES");
    if (!generations) return;
    char *end = (char *)(uintptr_t)generations;
    for (devices = 0; devices < MOST_DEVICES && *end; end += *end == ',')
        generation[devices++] = (int)strtol(end, &end, 10);
}

cudaError_t emulation_begin_blas(void) {
    pthread_mutex_lock(&lock);
    calls++;
    if (lost == cudaSuccess && lost_file && access(lost_file, F_OK) == 0) lost = cudaErrorLaunchFailure;
    if (lost == cudaSuccess && fail_at && calls == fail_at) {
        if (is_last(fail_with)) lost = fail_with;
        return fail_with;
    }
    return lost;
}

void emulation_end_blas(void) {
    pthread_mutex_unlock(&lock);
}

cudaError_t emulation_begin(void) {
    cudaError_t code = emulation_begin_blas();
    if (code != cudaSuccess) last_error = code;
    return code;
}

cudaError_t emulation_end(cudaError_t code) {
    if (code != cudaSuccess) last_error = code;
    pthread_mutex_unlock(&lock);
    return code;
}

void emulation_fail_at(size_t call, int error) {
    pthread_mutex_lock(&lock);
    calls = 0;
    fail_at = call;
    fail_with = (cudaError_t)error;
    lost = last_error = cudaSuccess;
    fail_later = 0;
    pthread_mutex_unlock(&lock);
}

void emulation_fail_later(size_t launch, int error) {
    pthread_mutex_lock(&lock);
    fail_later = launch;
    later_with = (cudaError_t)error;
    pthread_mutex_unlock(&lock);
}

bool emulation_is_lost(void) {
    return lost != cudaSuccess;
}

void emulation_kernel_ends(void) {
    if (fail_later && --fail_later == 0) lost = later_with;
}

cudaError_t emulation_after_wait(cudaError_t code) {
    return code == cudaSuccess ? lost : code;
}

size_t emulation_calls(void) {
    return calls;
}

size_t emulation_live(const char **text) {
    static char buffer[200];
    size_t device, pinned, streams, events,
        handles = emulation_blas_live(),
        total = emulation_memory_live(&device, &pinned) + emulation_queue_live(&streams, &events) + handles;
    snprintf(buffer, sizeof buffer,
             "%zu blocks of device memory, %zu of pinned memory, %zu streams, %zu events, %zu cuBLAS handles",
             device, pinned, streams, events, handles);
    if (text) *text = buffer;
    return total;
}

/* When the plugin is unloaded or the program ends, everything has to have been freed. */
__attribute__((destructor)) static void check_leaks(void) {
    const char *text;
    if (emulation_live(&text)) emulation_fault("not freed: %s", text);
    emulation_memory_end();
}

void emulation_machine(int driver_version, int device_count, int device_generation) {
    driver = driver_version;
    devices = device_count;
    for (int i = 0; i < MOST_DEVICES; i++) generation[i] = device_generation;
}

size_t emulation_fail_memory(size_t n) {
    return ra_memory_fail_at(n);
}

/* ---- the runtime's ------------------------------------------------------------------------------------- */

const char *cudaGetErrorName(cudaError_t code) {
    switch (code) {
#define X(name, value, text)                                                                                 \
    case name:                                                                                               \
        return #name;
        EMULATION_ERRORS(X)
#undef X
    }
    return "cudaErrorUnknown";
}

const char *cudaGetErrorString(cudaError_t code) {
    switch (code) {
#define X(name, value, text)                                                                                 \
    case name:                                                                                               \
        return text;
        EMULATION_ERRORS(X)
#undef X
    }
    return "unknown error";
}

cudaError_t cudaGetLastError(void) {
    pthread_mutex_lock(&lock);
    cudaError_t code = last_error;
    if (!is_last(code)) last_error = cudaSuccess; /* the others are forgotten when they are asked for */
    pthread_mutex_unlock(&lock);
    return code;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = driver;
    return emulation_end(emulation_begin());
}

cudaError_t cudaGetDeviceCount(int *count) {
    cudaError_t code = emulation_begin();
    *count = devices;
    if (code == cudaSuccess && driver < CUDART_VERSION) code = cudaErrorInsufficientDriver;
    if (code == cudaSuccess && devices == 0) code = cudaErrorNoDevice;
    return emulation_end(code);
}

cudaError_t cudaSetDevice(int device) {
    cudaError_t code = emulation_begin();
    return emulation_end(code != cudaSuccess ? code
                         : device < devices  ? cudaSuccess
                                             : cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
    cudaError_t code = emulation_begin();
    int about = generation[device < MOST_DEVICES ? device : 0];
    *value = attribute == cudaDevAttrComputeCapabilityMajor ? about / 10 : about % 10;
    return emulation_end(code != cudaSuccess ? code
                         : device < devices  ? cudaSuccess
                                             : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *about, int device) {
    cudaError_t code = emulation_begin();
    *about = (struct cudaDeviceProp){.name = "an emulated device",
                                     .totalGlobalMem = emulation_memory_total(),
                                     .major = generation[0] / 10,
                                     .minor = generation[0] % 10,
                                     .multiProcessorCount = 1};
    return emulation_end(code != cudaSuccess ? code
                         : device < devices  ? cudaSuccess
                                             : cudaErrorInvalidDevice);
}
