/* The k largest scores of each row that are above a bar, exactly: of equals the lower index wins, and entries
 * are written by ascending index.
 *
 * One block per row. A radix select finds the bits of the k-th largest, eight at a time from the top: it
 * counts digits in shared memory, then finds the digit of the k-th largest. Bits are transformed to have the
 * order of the numbers. One more pass writes the larger scores, and of the equal ones as many as are needed.
 *
 * 4 n bytes per row from memory, once: the other four passes over a row read the cache (256 KiB for
 * 65,536 scores). 8 bytes per entry written. Some 8 operations per score and pass: bound by the cache's
 * bandwidth, 20 n bytes per row. */
#include "backend/cuda/select.cuh"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, GROUP = 16, GROUPS = DIGITS / GROUP };

/* Bits in the order of the scores; -0 and 0 are the same. */
static __device__ inline uint32_t ordered(float score) {
    uint32_t bits = __float_as_uint(score + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

typedef struct choice {
    uint32_t digit, left; /* the k-th largest is the left-th largest of those with this digit */
    bool few;             /* there are at most k */
} choice;

typedef struct select_memory {
    uint32_t count[DIGITS], group[GROUPS];
    choice chosen;
} select_memory;

/* From the largest digit down until `left` are covered; two steps of 16, so that one thread does not have to
 * read 256 counts. */
static __device__ inline choice choose(select_memory *memory, uint32_t left) {
    if (threadIdx.x < GROUPS) {
        uint32_t sum = 0;
        for (unsigned i = 0; i < GROUP; i++) sum += memory->count[threadIdx.x * GROUP + i];
        memory->group[threadIdx.x] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        choice found = {0, left, false};
        int group = GROUPS - 1;
        while (group >= 0 && memory->group[group] < found.left) found.left -= memory->group[group--];
        if (group < 0)
            found.few = true;
        else {
            found.digit = (uint32_t)group * GROUP + GROUP - 1;
            while (memory->count[found.digit] < found.left) found.left -= memory->count[found.digit--];
        }
        memory->chosen = found;
    }
    __syncthreads();
    return memory->chosen;
}

/* limit <- the k-th largest, as ordered bits; returns how many scores equal to it are among the k largest. If
 * at most k are above the bar: 0 and 0, which selects all of them, since no number has these bits. */
static __device__ inline uint32_t find_limit(const float *row, uint32_t n, uint32_t k, float above,
                                             select_memory *memory, uint32_t *limit) {
    uint32_t known = 0, left = k;
    *limit = 0;
    for (int shift = 32 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        for (unsigned i = threadIdx.x; i < DIGITS; i += blockDim.x) memory->count[i] = 0;
        __syncthreads();
        for (uint32_t j = threadIdx.x; j < n; j += blockDim.x) {
            uint32_t bits = ordered(row[j]);
            if (row[j] > above && (bits & known) == *limit)
                atomicAdd(&memory->count[bits >> shift & (DIGITS - 1)], 1u);
        }
        __syncthreads();
        choice chosen = choose(memory, left);
        if (chosen.few) return 0;
        left = chosen.left;
        *limit |= chosen.digit << shift;
        known |= (uint32_t)(DIGITS - 1) << shift;
    }
    return left;
}

extern "C" __global__ void ra_top_k(const float *scores, size_t rows, uint32_t n, uint32_t k, float above,
                                    int32_t *index, float *value, uint32_t *count) {
    __shared__ select_memory memory;
    __shared__ tile_counts counts;
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        const float *row = scores + b * n;
        uint32_t limit, equals = find_limit(row, n, k, above, &memory, &limit);
        tally done = {0, 0};
        for (uint32_t from = 0, tile = 0; from < n; from += blockDim.x, tile++) {
            uint32_t j = from + threadIdx.x, bits = j < n ? ordered(row[j]) : 0;
            bool above_bar = j < n && row[j] > above, larger = above_bar && bits > limit,
                 equal = above_bar && bits == limit;
            tally before, total;
            rank_in_tile(larger, equal, &counts, tile, &before, &total);
            uint32_t equals_before = done.maybe + before.maybe;
            if (larger || (equal && equals_before < equals)) {
                size_t at = b * k + done.sure + before.sure + min(equals_before, equals);
                index[at] = (int32_t)j;
                value[at] = row[j];
            }
            done.sure += total.sure;
            done.maybe += total.maybe;
        }
        if (threadIdx.x == 0) count[b] = done.sure + min(done.maybe, equals);
        __syncthreads(); /* the last tile of this row may still be read */
    }
}

cudaError_t ra_cuda_top_k(cudaStream_t stream, const float *scores, size_t rows, size_t n, size_t k,
                          float above, int32_t *index, float *value, uint32_t *count) {
    if (rows == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads_for(n), ra_top_k, scores, rows, n, k,
                 above, index, value, count);
}
