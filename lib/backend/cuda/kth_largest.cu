/* The k-th largest of all scores, exactly; those that are not positive count as 0. A radix select in three
 * passes of 11, 11 and 10 bits from the top (positive floats have the order of their bits). Each pass counts
 * digits, first per block in shared memory, then in all; one block then chooses the digit. Everything stays
 * on the device.
 *
 * Zeros are not counted: if the other scores are fewer than k, every pass ends at digit 0, which gives 0.
 * After a relu most numbers are zeros, and all threads would wait for the one counter of digit 0.
 *
 * 4 n bytes per pass, 12 n in all (4 n from memory, and the rest from the cache if they fit), some 5
 * operations per score and pass: bound by memory. */
#include "backend/cuda/kernel.cuh"

enum { BINS = 2048, SCORES_PER_BLOCK = 8192, BINS_PER_THREAD = BINS / ROW_THREADS };

template <int width>
static __device__ inline void count_digits(size_t from, size_t n, const float *scores, uint32_t bits,
                                           uint32_t known, int shift, uint32_t digits, uint32_t *count) {
    for_grid_packs<width, 4>(
        from, n, [=](size_t i) { return load<float, width>(scores + i); },
        [=](size_t, const pack<float, width> &part) {
            for (int c = 0; c < width; c++) {
                uint32_t these = __float_as_uint(part.element[c]);
                if (part.element[c] > 0 && (these & known) == bits)
                    atomicAdd(&count[these >> shift & digits], 1u);
            }
        });
}

extern "C" __global__ void ra_kth_count(bool wide, const float *scores, size_t n, int shift, uint32_t digits,
                                        cuda_kth *work) {
    __shared__ uint32_t count[BINS];
    for (unsigned i = threadIdx.x; i < BINS; i += blockDim.x) count[i] = 0;
    __syncthreads();
    uint32_t bits = work->bits, known = work->known;
    FOR_ALL(count_digits, wide, n, scores, bits, known, shift, digits, count);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BINS; i += blockDim.x)
        if (count[i]) atomicAdd(&work->bins[i], (unsigned long long)count[i]);
}

/* 16 KiB and 2,048 additions: one block, bound by latency, some microseconds. Leaves the counts at zero. */
extern "C" __global__ void ra_kth_choose(int shift, uint32_t digits, uint64_t k, cuda_kth *work) {
    __shared__ uint64_t sums[ROW_THREADS];
    uint64_t sum = 0;
    for (unsigned i = 0; i < BINS_PER_THREAD; i++) sum += work->bins[threadIdx.x * BINS_PER_THREAD + i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        uint64_t left = work->known ? work->left : k;
        unsigned group = ROW_THREADS - 1;
        while (group > 0 && sums[group] < left) left -= sums[group--];
        unsigned digit = (group + 1) * BINS_PER_THREAD - 1;
        while (digit > 0 && work->bins[digit] < left) left -= work->bins[digit--];
        work->left = left;
        work->bits |= (uint32_t)digit << shift;
        work->known |= digits << shift;
    }
    __syncthreads();
    for (unsigned i = 0; i < BINS_PER_THREAD; i++) work->bins[threadIdx.x * BINS_PER_THREAD + i] = 0;
}

cudaError_t ra_cuda_kth_largest(cudaStream_t stream, const float *scores, size_t n, size_t k,
                                cuda_kth *work) {
    static const struct {
        int shift;
        uint32_t digits;
    } passes[] = {{21, 0x7ff}, {10, 0x7ff}, {0, 0x3ff}};
    unsigned blocks = blocks_for((n + SCORES_PER_BLOCK - 1) / SCORES_PER_BLOCK, 1024);
    cudaError_t status = cudaMemsetAsync(work, 0, sizeof *work, stream);
    for (size_t i = 0; status == cudaSuccess && i < sizeof passes / sizeof *passes; i++) {
        status = start(stream, dim3(blocks), ROW_THREADS, ra_kth_count, is_wide(scores, 0), scores, n,
                       passes[i].shift, passes[i].digits, work);
        if (status == cudaSuccess)
            status = start(stream, dim3(1), ROW_THREADS, ra_kth_choose, passes[i].shift, passes[i].digits, k,
                           work);
    }
    return status;
}
