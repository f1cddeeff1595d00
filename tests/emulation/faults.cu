/* Mistakes on purpose, one a name: each is what a bug in a backend would do, and the emulation has to find it
 * (tests/unit/test_emulation.c). What is planted by name is made with the same calls that
 * the backend uses. */
#include <cublasLt.h>
#include <cuda_runtime.h>

#include "emulation.h"

extern "C" __attribute__((visibility("default"))) int emulation_plant(const char *fault);

enum { THREADS = 64, BYTES = THREADS * sizeof(float) };

/* What the mistakes are made with. */
struct scene {
    cudaStream_t stream, beside;
    cudaEvent_t event;
    float *device, *pinned;
    float ordinary[THREADS];
};

template <typename... P>
static void start(const scene *s, unsigned blocks, unsigned threads, void (*kernel)(P...), P... p) {
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(threads);
    config.stream = s->stream;
    (void)cudaLaunchKernelEx(&config, kernel, p...);
}

/* ---- kernels ------------------------------------------------------------------------------------------- */

extern "C" __global__ void plant_write_at(float *x, int place) {
    if (threadIdx.x == 0) x[place] = 1;
}

extern "C" __global__ void plant_read_at(const float *x, int place, float *y) {
    if (threadIdx.x == 0) y[0] = x[place];
}

/* Each thread takes its neighbor's number from shared memory; `barrier` says whether it waits
 * for it first. */
extern "C" __global__ void plant_rotate(float *x, bool barrier) {
    __shared__ float held[THREADS];
    held[threadIdx.x] = x[threadIdx.x];
    if (barrier) __syncthreads();
    x[threadIdx.x] = held[(threadIdx.x + 1) % THREADS];
}

extern "C" __global__ void plant_same_place(float *x) {
    x[0] = (float)(blockIdx.x * blockDim.x + threadIdx.x);
}

/* The thread in the middle reads what those before it have written: the same in both directions. */
extern "C" __global__ void plant_middle(float *x) {
    if (threadIdx.x == 1)
        x[0] = x[1];
    else
        x[1] += 1;
}

/* What two fixed orders of threads do not show: the results are the same in both. */

/* The neighbor's number, without a barrier, where only a tree of sums uses it: a sum of ones. */
extern "C" __global__ void plant_tree(float *x, bool barrier) {
    __shared__ float held[THREADS];
    held[threadIdx.x] = 1;
    __syncthreads();
    for (unsigned step = THREADS / 2; step; step /= 2) {
        if (threadIdx.x < step) held[threadIdx.x] += held[threadIdx.x + step];
        if (barrier || step == THREADS / 2) __syncthreads();
    }
    if (threadIdx.x == 0) x[0] = held[0];
}

/* One buffer for two rounds: who is fast writes the second while others read the first. */
template <int rounds> static __device__ void one_buffer(float *x, bool two) {
    __shared__ float held[2][THREADS / 32];
    for (unsigned round = 0; round < rounds; round++) {
        float *buffer = held[two ? round % 2 : 0];
        if (threadIdx.x % 32 == 0) buffer[threadIdx.x / 32] = (float)round;
        __syncthreads();
        float sum = 0;
        for (unsigned w = 0; w < THREADS / 32; w++) sum += buffer[w];
        if (round == rounds - 1) x[threadIdx.x] = sum;
    }
}
extern "C" __global__ void plant_in_template(float *x, bool two) {
    one_buffer<4>(x, two);
}

/* The same with shared memory that is not in a template, which the compiler puts elsewhere. */
extern "C" __global__ void plant_one_buffer(float *x, bool two) {
    __shared__ float held[2][THREADS / 32];
    for (unsigned round = 0; round < 4; round++) {
        float *buffer = held[two ? round % 2 : 0];
        if (threadIdx.x % 32 == 0) buffer[threadIdx.x / 32] = (float)round;
        __syncthreads();
        float sum = 0;
        for (unsigned w = 0; w < THREADS / 32; w++) sum += buffer[w];
        if (round == 3) x[threadIdx.x] = sum;
    }
}

/* A histogram whose threads come one after the other here, but not on a device. */
extern "C" __global__ void plant_histogram(float *x, bool atomic) {
    __shared__ unsigned count[4];
    if (threadIdx.x < 4) count[threadIdx.x] = 0;
    __syncthreads();
    if (atomic)
        atomicAdd(&count[threadIdx.x % 4], 1u);
    else
        count[threadIdx.x % 4]++;
    __syncthreads();
    if (threadIdx.x < 4) x[threadIdx.x] = (float)count[threadIdx.x];
}

/* A sum over blocks; whole numbers add up to the same in every order. */
extern "C" __global__ void plant_sum(float *x, bool atomic) {
    if (threadIdx.x) return;
    if (atomic)
        atomicAdd(x, 1.0f);
    else
        *x += 1;
}

struct alignas(16) four {
    float element[4];
};
extern "C" __global__ void plant_wide_load(float *x, int from) {
    if (threadIdx.x) return;
    four wide = *reinterpret_cast<const four *>(x + from);
    *reinterpret_cast<four *>(x + 8) = wide;
}

/* A GPU rounds once. */
extern "C" __global__ void plant_fused(float *x) {
    if (threadIdx.x == 0) x[0] = x[1] * x[2] - x[3];
}

/* The sum of what is in shared memory when a block begins. */
template <int n> static __device__ void add_held(float *x) {
    __shared__ float held[n];
    for (int i = 0; i < n; i++) *x += held[i];
    held[0] = 1;
}
extern "C" __global__ void plant_uninitialized(float *x) {
    if (threadIdx.x == 0) add_held<2>(x);
}

extern "C" __global__ void plant_half_a_barrier() {
    if (threadIdx.x < THREADS / 2) __syncthreads();
}

extern "C" __global__ void plant_half_an_exchange(float *x) {
    if (threadIdx.x % 2) x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

/* ---- mistakes ------------------------------------------------------------------------------------------ */

static void wait(const scene *s) {
    (void)cudaStreamSynchronize(s->stream);
}

static void write_behind(scene *s) {
    start(s, 1, 1, plant_write_at, s->device, (int)THREADS);
    wait(s);
}
static void write_before(scene *s) {
    start(s, 1, 1, plant_write_at, s->device, -1);
    wait(s);
}
static void write_beside(scene *s) { /* a block of 4 bytes: the next 12 are its own for the hardware only */
    float *small = NULL;
    (void)cudaMalloc((void **)&small, sizeof *small);
    start(s, 1, 1, plant_write_at, small, 1);
    wait(s);
}
static void read_behind(scene *s) {
    start(s, 1, 1, plant_read_at, (const float *)s->device, (int)THREADS, s->device);
    wait(s);
}
static void use_after_free(scene *s) {
    float *kept = s->device + 1;
    (void)cudaFree(s->device);
    kept[0] = 1;
}
static void kernel_after_free(scene *s) {
    float *kept = s->device;
    (void)cudaFree(s->device);
    start(s, 1, 1, plant_write_at, kept, 0);
}
static void host_write(scene *s) {
    s->device[3] = 1;
}
static void host_read(scene *s) {
    s->ordinary[0] = s->device[3];
}
static void host_address(scene *s) {
    start(s, 1, 1, plant_write_at, (float *)s->ordinary, 0);
}
static void double_free(scene *s) {
    (void)cudaFree(s->device);
    (void)cudaFree(s->device);
}
static void free_as_pinned(scene *s) {
    (void)cudaFreeHost(s->device);
}
static void wrong_direction(scene *s) {
    (void)cudaMemcpyAsync(s->pinned, s->device, BYTES, cudaMemcpyHostToDevice, s->stream);
}
static void pageable_copy(scene *s) {
    (void)cudaMemcpyAsync(s->device, s->ordinary, BYTES, cudaMemcpyHostToDevice, s->stream);
}
static void copy_too_long(scene *s) {
    (void)cudaMemcpyAsync(s->device, s->pinned, BYTES + 1, cudaMemcpyHostToDevice, s->stream);
}
static void source_reused(scene *s) {
    s->pinned[0] = 1;
    (void)cudaMemcpyAsync(s->device, s->pinned, BYTES, cudaMemcpyHostToDevice, s->stream);
    s->pinned[0] = 2;
    wait(s);
}
static void missing_barrier(scene *s) {
    (void)cudaMemsetAsync(s->device, 0, BYTES, s->stream);
    start(s, 1, THREADS, plant_rotate, s->device, false);
    wait(s);
}
static void race_of_blocks(scene *s) {
    start(s, 4, THREADS, plant_same_place, s->device);
    wait(s);
}
static void race_in_the_middle(scene *s) {
    for (int i = 0; i < 8; i++) {
        (void)cudaMemsetAsync(s->device, 0, BYTES, s->stream);
        start(s, 1, 3, plant_middle, s->device);
    }
    wait(s);
}
/* Right, then wrong. */
static void twice(scene *s, unsigned blocks, void (*kernel)(float *, bool), bool right) {
    (void)cudaMemsetAsync(s->device, 0, BYTES, s->stream);
    start(s, blocks, THREADS, kernel, s->device, right);
    wait(s);
}
static void tree_without_barriers(scene *s) {
    twice(s, 1, plant_tree, true);
    twice(s, 1, plant_tree, false);
}
static void one_buffer_for_two(scene *s) {
    twice(s, 1, plant_one_buffer, true);
    twice(s, 1, plant_one_buffer, false);
}
static void one_buffer_in_a_template(scene *s) {
    twice(s, 1, plant_in_template, true);
    twice(s, 1, plant_in_template, false);
}
static void uninitialized(scene *s) {
    for (int i = 0; i < 2; i++) {
        (void)cudaMemsetAsync(s->device, 0, BYTES, s->stream);
        start(s, 1, 1, plant_uninitialized, s->device);
    }
    (void)cudaMemcpyAsync(s->pinned, s->device, BYTES, cudaMemcpyDeviceToHost, s->stream);
    wait(s);
    if (s->pinned[0] != s->pinned[0])
        emulation_fault("a kernel that read shared memory before it was written");
}
static void histogram_without_atomics(scene *s) {
    twice(s, 1, plant_histogram, true);
    twice(s, 1, plant_histogram, false);
}
static void sum_without_atomics(scene *s) {
    twice(s, 4, plant_sum, true);
    twice(s, 4, plant_sum, false);
}
static void misaligned(scene *s) {
    (void)cudaMemsetAsync(s->device, 0, BYTES, s->stream);
    start(s, 1, THREADS, plant_wide_load, s->device, 4);
    wait(s);
    start(s, 1, THREADS, plant_wide_load, s->device, 1);
    wait(s);
}
static void fused(scene *s) { /* (1 + e)^2 - (1 + 2 e) */
    const float numbers[] = {0, 1 + 0x1p-12f, 1 + 0x1p-12f, 1 + 0x1p-11f};
    memcpy(s->pinned, numbers, sizeof numbers);
    (void)cudaMemcpyAsync(s->device, s->pinned, sizeof numbers, cudaMemcpyHostToDevice, s->stream);
    start(s, 1, 1, plant_fused, s->device);
    wait(s);
    (void)cudaMemcpyAsync(s->pinned, s->device, sizeof numbers, cudaMemcpyDeviceToHost, s->stream);
    wait(s);
    if (s->pinned[0] != 0) emulation_fault("a multiplication and an addition that are rounded once");
}
/* A product with a bias [4] by cuBLASLt, of [4,4] matrices at the scene's memory. `from`: where the bias begins. */
static void bias_at(scene *s, const float *bias) {
    cublasHandle_t handle = NULL;
    cublasLtMatmulDescOpaque_t product;
    cublasLtMatrixLayoutOpaque_t layout;
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulHeuristicResult_t way;
    int32_t transposed = CUBLAS_OP_T, found = 0;
    uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    uint64_t bytes = 256;
    float one = 1, zero = 0, *work = NULL;
    (void)cudaMalloc((void **)&work, bytes);
    (void)cublasCreate(&handle);
    (void)cudaMemsetAsync(s->device, 0, BYTES, s->stream);
    (void)cublasLtMatmulDescInit_internal(&product, sizeof product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    (void)cublasLtMatmulDescSetAttribute(&product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                         sizeof transposed);
    (void)cublasLtMatmulDescSetAttribute(&product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    (void)cublasLtMatmulDescSetAttribute(&product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
    (void)cublasLtMatrixLayoutInit_internal(&layout, sizeof layout, CUDA_R_32F, 4, 4, 4);
    (void)cublasLtMatmulPreferenceInit_internal(&preference, sizeof preference);
    (void)cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                               sizeof bytes);
    (void)cublasLtMatmulAlgoGetHeuristic(handle, &product, &layout, &layout, &layout, &layout, &preference, 1,
                                         &way, &found);
    (void)cublasLtMatmul(handle, &product, &one, s->device, &layout, s->device, &layout, &zero, s->device,
                         &layout, s->device, &layout, &way.algo, work, bytes, s->stream);
    wait(s);
    (void)cublasDestroy(handle);
    (void)cudaFree(work);
}
static void bias_not_aligned(scene *s) {
    bias_at(s, s->device + 16);
    bias_at(s, s->device + 17);
}
static void bias_too_short(scene *s) {
    bias_at(s, s->device + THREADS - 4);
    bias_at(s, s->device + THREADS);
}
static void divergent_barrier(scene *s) {
    start(s, 1, THREADS, plant_half_a_barrier);
    wait(s);
}
static void divergent_exchange(scene *s) {
    start(s, 1, THREADS, plant_half_an_exchange, s->device);
    wait(s);
}
static void stream_destroyed(scene *s) {
    (void)cudaStreamDestroy(s->stream);
    wait(s);
}
static void leak(scene *s) { /* found when the program ends */
    (void)s;
    exit(0);
}

/* Not mistakes: what a program does right must pass. */
static bool download(scene *s, bool waits, bool barrier, float *first) {
    for (int i = 0; i < THREADS; i++) s->pinned[i] = (float)i;
    (void)cudaMemcpyAsync(s->device, s->pinned, BYTES, cudaMemcpyHostToDevice, s->stream);
    wait(s);
    start(s, 1, THREADS, plant_rotate, s->device, barrier);
    (void)cudaMemcpyAsync(s->pinned, s->device, BYTES, cudaMemcpyDeviceToHost, s->stream);
    if (waits) wait(s);
    *first = s->pinned[0];
    wait(s);
    return true;
}
static void nothing_wrong(scene *s) {
    float first;
    download(s, true, true, &first);
    if (first != 1 || s->pinned[THREADS - 1] != 0) emulation_fault("a right program got a wrong answer");
}

/* Numbers go up on one stream, and a kernel on another one uses them: each waits for the other, the copy because the
 * kernel may still read the numbers before. */
enum { COPY_WAITS = 1, KERNEL_WAITS = 2, EARLY_EVENT = 4, ROUNDS = 12 };

static void follow(const scene *s, cudaStream_t later, cudaStream_t earlier) {
    (void)cudaEventRecord(s->event, earlier);
    (void)cudaStreamWaitEvent(later, s->event, 0);
}

static void copy_beside(scene *s, int waits) {
    float *numbers = s->pinned, *answers = s->pinned + THREADS / 2;
    for (int i = 0; i < ROUNDS; i++) {
        numbers[i] = (float)i;
        if (waits & COPY_WAITS) follow(s, s->beside, s->stream);
        if (waits & EARLY_EVENT) (void)cudaEventRecord(s->event, s->beside);
        (void)cudaMemcpyAsync(s->device + 1, &numbers[i], sizeof(float), cudaMemcpyHostToDevice, s->beside);
        if (waits & EARLY_EVENT) (void)cudaStreamWaitEvent(s->stream, s->event, 0);
        if (waits & KERNEL_WAITS) follow(s, s->stream, s->beside);
        start(s, 1, 1, plant_read_at, (const float *)s->device, 1, s->device);
        (void)cudaMemcpyAsync(&answers[i], s->device, sizeof(float), cudaMemcpyDeviceToHost, s->stream);
        if (i % 2) wait(s); /* two rounds at once */
    }
    (void)cudaStreamSynchronize(s->beside);
    for (int i = 0; i < ROUNDS; i++)
        if (answers[i] != (float)i)
            emulation_fault("a kernel and a copy that should have waited for each other");
}
static void kernel_does_not_wait(scene *s) {
    copy_beside(s, COPY_WAITS);
}
static void copy_does_not_wait(scene *s) {
    copy_beside(s, KERNEL_WAITS);
}
static void early_event(scene *s) {
    copy_beside(s, COPY_WAITS | EARLY_EVENT);
}
static void both_wait(scene *s) {
    copy_beside(s, COPY_WAITS | KERNEL_WAITS);
    float *numbers = s->pinned; /* an event of nothing, and one of a stream that is gone */
    cudaStream_t other = NULL;
    cudaEvent_t fresh = NULL;
    (void)cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    (void)cudaEventCreateWithFlags(&fresh, cudaEventDisableTiming);
    (void)cudaStreamWaitEvent(s->stream, fresh, 0);
    numbers[0] = 7;
    (void)cudaMemcpyAsync(s->device + 1, numbers, sizeof(float), cudaMemcpyHostToDevice, other);
    follow(s, s->stream, other);
    (void)cudaStreamDestroy(other);
    (void)cudaEventDestroy(fresh);
    start(s, 1, 1, plant_read_at, (const float *)s->device, 1, s->device);
    (void)cudaMemcpyAsync(numbers + 1, s->device, sizeof(float), cudaMemcpyDeviceToHost, s->stream);
    wait(s);
    if (numbers[1] != 7) emulation_fault("a right program got a wrong answer");
}
/* Nothing has happened without a wait: NaN. */
static void missing_wait(scene *s) {
    float first;
    download(s, false, true, &first);
    if (first == 1) return;
    if (first == first) emulation_fault("a stale answer that is a number: %g", (double)first);
    emulation_fault("an answer that nobody waited for");
}

static const struct {
    const char *name;
    void (*make)(scene *);
} faults[] = {
    {"write behind", write_behind},
    {"write before", write_before},
    {"write beside", write_beside},
    {"read behind", read_behind},
    {"use after free", use_after_free},
    {"kernel after free", kernel_after_free},
    {"host write", host_write},
    {"host read", host_read},
    {"host address", host_address},
    {"double free", double_free},
    {"free as pinned", free_as_pinned},
    {"wrong direction", wrong_direction},
    {"pageable copy", pageable_copy},
    {"copy too long", copy_too_long},
    {"source reused", source_reused},
    {"missing barrier", missing_barrier},
    {"race of blocks", race_of_blocks},
    {"race in the middle", race_in_the_middle},
    {"divergent barrier", divergent_barrier},
    {"divergent exchange", divergent_exchange},
    {"stream destroyed", stream_destroyed},
    {"leak", leak},
    {"missing wait", missing_wait},
    {"copy and kernel wait", both_wait},
    {"kernel does not wait for the copy", kernel_does_not_wait},
    {"copy does not wait for the kernel", copy_does_not_wait},
    {"event before the copy", early_event},
    {"nothing wrong", nothing_wrong},
    {"tree without barriers", tree_without_barriers},
    {"one buffer for two", one_buffer_for_two},
    {"one buffer in a template", one_buffer_in_a_template},
    {"uninitialized shared memory", uninitialized},
    {"histogram without atomics", histogram_without_atomics},
    {"sum without atomics", sum_without_atomics},
    {"misaligned", misaligned},
    {"fused", fused},
    {"bias not aligned", bias_not_aligned},
    {"bias too short", bias_too_short},
};

int emulation_plant(const char *fault) {
    for (const auto &known : faults) {
        if (strcmp(known.name, fault) != 0) continue;
        scene s = {};
        (void)cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking);
        (void)cudaStreamCreateWithFlags(&s.beside, cudaStreamNonBlocking);
        (void)cudaEventCreateWithFlags(&s.event, cudaEventDisableTiming);
        (void)cudaMalloc((void **)&s.device, BYTES);
        (void)cudaMallocHost((void **)&s.pinned, BYTES);
        known.make(&s);
        (void)cudaFree(s.device);
        (void)cudaFreeHost(s.pinned);
        (void)cudaEventDestroy(s.event);
        (void)cudaStreamDestroy(s.beside);
        (void)cudaStreamDestroy(s.stream);
        return 1;
    }
    return 0;
}
