/* Sparse codes by latent, in the order of the rows within each, on the device.
 *
 * A bit for each latent and row says whether the row has the latent. The number of bits before a row's is the entry's
 * place among those of its latent: no sort, and the order does not depend on that of the threads. The bits are a 32nd of
 * the pre-codes that the entries were selected from; they are written once and read twice. */
#include "backend/cuda/scan.cuh"

enum { WARPS = ROW_THREADS / WARP, MOST_PARTS = 64, MARKS_AHEAD = 4 };

static dim3 grid_over(const cuda_codes &codes, unsigned threads) {
    return dim3(blocks_for(codes.rows, MOST_BLOCKS),
                blocks_for((codes.longest + threads - 1) / threads, MOST_PARTS));
}

/* Calls each(row, entry) for every entry. One block per part of a row's entries. */
template <typename Each>
static __device__ inline void for_entries(const cuda_codes &codes, const Each &each) {
    for (size_t b = blockIdx.x; b < codes.rows; b += gridDim.x)
        for (uint64_t e = codes.start[b] + (uint64_t)blockIdx.y * blockDim.x + threadIdx.x;
             e < codes.start[b + 1]; e += (uint64_t)gridDim.y * blockDim.x)
            each(b, e);
}

/* bits [latents, words], zeros before. 4 bytes and an atomic operation per entry. */
extern "C" __global__ void ra_mark_entries(cuda_codes codes, uint32_t *bits, size_t words) {
    for_entries(codes, [=](size_t b, uint64_t e) {
        atomicOr(&bits[(size_t)codes.index[e] * words + b / 32], 1u << b % 32);
    });
}

/* before [latents, words] <- the bits of the words before; count [latents] <- all. A warp has one latent. 8 bytes per word:
 * bound by memory. */
extern "C" __global__ void ra_count_marks(const uint32_t *bits, size_t latents, size_t words,
                                          uint32_t *before, uint32_t *count) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (size_t k = (size_t)blockIdx.x * WARPS + warp; k < latents; k += (size_t)gridDim.x * WARPS) {
        uint32_t sum = 0;
        for (size_t first = 0; first < words; first += MARKS_AHEAD * WARP) {
            uint32_t read[MARKS_AHEAD];
#pragma unroll
            for (unsigned a = 0; a < MARKS_AHEAD; a++) {
                size_t w = first + a * WARP + lane;
                read[a] = w < words ? bits[k * words + w] : 0;
            }
#pragma unroll
            for (unsigned a = 0; a < MARKS_AHEAD; a++) {
                size_t w = first + a * WARP + lane;
                uint32_t own = (uint32_t)__popc(read[a]), upto = warp_scan(own);
                if (w < words) before[k * words + w] = sum + upto - own;
                sum += __shfl_sync(ALL_LANES, upto, WARP - 1);
            }
        }
        if (lane == 0) count[k] = sum;
    }
}

/* Where each latent's entries begin, in which parts they are added up, and which latents are active. One block, two passes over 4 bytes per
 * latent: bound by latency. */
extern "C" __global__ void ra_divide_latents(const uint32_t *count, size_t latents, cuda_division out,
                                             cuda_activity activity) {
    enum { ENTRIES, PARTS, SUMS, DIVIDED, ACTIVE, KINDS };
    __shared__ uint32_t warps[KINDS][MOST_WARPS];
    uint32_t own[KINDS] = {}, at[KINDS], total[KINDS];
    size_t share = scan_share(latents), first = threadIdx.x * share,
           last = first + share < latents ? first + share : latents;
    for (size_t k = first; k < last; k++) {
        uint32_t parts = (count[k] + RA_CUDA_PART_ENTRIES - 1) / RA_CUDA_PART_ENTRIES;
        own[ENTRIES] += count[k];
        own[PARTS] += parts;
        own[SUMS] += parts > 1 ? parts : 0;
        own[DIVIDED] += parts > 1;
        own[ACTIVE] += parts > 0;
    }
    block_scan<uint32_t, KINDS>(own, warps, at, total);
    for (size_t k = first; k < last; k++) {
        uint32_t parts = (count[k] + RA_CUDA_PART_ENTRIES - 1) / RA_CUDA_PART_ENTRIES;
        out.start[k] = at[ENTRIES];
        if (activity.active) activity.active[k] = parts > 0;
        if (activity.position) activity.position[k] = parts > 0 ? (int32_t)at[ACTIVE]++ : -1;
        if (parts > 1) out.divided[at[DIVIDED]++] = {(int32_t)k, (int32_t)at[SUMS], (int32_t)parts};
        for (uint32_t p = 0; p < parts; p++) {
            out.part_start[at[PARTS]] = at[ENTRIES] + p * RA_CUDA_PART_ENTRIES;
            out.part_latent[at[PARTS]] = (int32_t)k;
            out.part_sum[at[PARTS]++] = parts > 1 ? (int32_t)at[SUMS]++ : -1;
        }
        at[ENTRIES] += count[k];
    }
    if (threadIdx.x > 0) return;
    out.start[latents] = out.part_start[total[PARTS]] = total[ENTRIES];
    out.counts->parts = total[PARTS];
    out.counts->divided = total[DIVIDED];
}

/* row, entry [entries] <- by latent; packed [entries] <- the position of each entry's. 20 to 28 bytes per entry, of which 8 are read and 8 written in pieces of 32: bound by
 * memory. */
extern "C" __global__ void ra_place_entries(cuda_codes codes, const uint32_t *bits, const uint32_t *before,
                                            size_t words, const uint32_t *start_of, cuda_activity activity,
                                            uint32_t *row, uint32_t *entry) {
    for_entries(codes, [=](size_t b, uint64_t e) {
        size_t k = (size_t)codes.index[e], word = k * words + b / 32;
        uint32_t to = start_of[k] + before[word] + (uint32_t)__popc(bits[word] & ((1u << b % 32) - 1));
        row[to] = (uint32_t)b;
        entry[to] = (uint32_t)e;
        if (activity.packed) activity.packed[e] = activity.position[k];
    });
}

static cudaError_t clear(cudaStream_t stream, size_t latents, size_t rows, cuda_marks marks) {
    return cudaMemsetAsync(marks.bits, 0, latents * ra_cuda_mark_words(rows) * sizeof *marks.bits, stream);
}

cudaError_t ra_cuda_transpose(cudaStream_t stream, cuda_codes codes, size_t latents, cuda_marks marks,
                              bool marked, cuda_division out, cuda_activity activity, uint32_t *row,
                              uint32_t *entry) {
    size_t words = ra_cuda_mark_words(codes.rows);
    unsigned threads = threads_for(codes.longest);
    bool any = codes.rows && codes.longest;
    cudaError_t status = marked ? cudaSuccess : clear(stream, latents, codes.rows, marks);
    if (status == cudaSuccess && any && !marked)
        status = start(stream, grid_over(codes, threads), threads, ra_mark_entries, codes, marks.bits, words);
    if (status == cudaSuccess)
        status =
            start(stream, dim3(blocks_for((latents + WARPS - 1) / WARPS, MOST_BLOCKS)), ROW_THREADS,
                  ra_count_marks, (const uint32_t *)marks.bits, latents, words, marks.before, marks.count);
    if (status == cudaSuccess)
        status = start(stream, dim3(1), scan_threads(latents), ra_divide_latents,
                       (const uint32_t *)marks.count, latents, out, activity);
    if (status == cudaSuccess && any)
        status = start(stream, grid_over(codes, threads), threads, ra_place_entries, codes,
                       (const uint32_t *)marks.bits, (const uint32_t *)marks.before, words,
                       (const uint32_t *)out.start, activity, row, entry);
    return status;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* start [rows + 1] <- where each row's entries begin, none behind `most`; found <- how many there are in all, and in the
 * longest row. One block, two passes over 4 bytes per row: bound by latency. */
extern "C" __global__ void ra_scan_rows(const uint32_t *count, size_t rows, uint64_t most, uint64_t *start_of,
                                        cuda_found *found) {
    __shared__ uint64_t warps[1][MOST_WARPS];
    __shared__ uint32_t longest;
    uint64_t own[1] = {}, at[1], total[1];
    uint32_t longest_here = 0;
    size_t share = scan_share(rows), first = threadIdx.x * share,
           last = first + share < rows ? first + share : rows;
    if (threadIdx.x == 0) longest = 0;
    for (size_t b = first; b < last; b++) {
        own[0] += count[b];
        longest_here = count[b] > longest_here ? count[b] : longest_here;
    }
    block_scan<uint64_t, 1>(own, warps, at, total);
    atomicMax(&longest, longest_here);
    for (size_t b = first; b < last; b++) {
        start_of[b] = at[0] < most ? at[0] : most;
        at[0] += count[b];
    }
    __syncthreads();
    if (threadIdx.x > 0) return;
    start_of[rows] = total[0] < most ? total[0] : most;
    found->entries = total[0];
    found->longest = longest;
}

cudaError_t ra_cuda_scan_rows(cudaStream_t stream, const uint32_t *count, size_t rows, size_t most,
                              uint64_t *start_of, cuda_found *found) {
    return start(stream, dim3(1), scan_threads(rows), ra_scan_rows, count, rows, (uint64_t)most, start_of,
                 found);
}

/* index, value <- the entries of rows that have k places each, without gaps; bits as in ra_mark_entries. 20 bytes per entry:
 * bound by memory. */
extern "C" __global__ void ra_close_up(cuda_codes codes, const int32_t *from_index, const float *from_value,
                                       size_t k, int32_t *index, float *value, uint32_t *bits, size_t words) {
    for_entries(codes, [=](size_t b, uint64_t e) {
        size_t from = b * k + (e - codes.start[b]);
        int32_t latent = from_index[from];
        index[e] = latent;
        value[e] = from_value[from];
        atomicOr(&bits[(size_t)latent * words + b / 32], 1u << b % 32);
    });
}

cudaError_t ra_cuda_close_up(cudaStream_t stream, cuda_codes codes, const int32_t *from_index,
                             const float *from_value, size_t k, int32_t *index, float *value, size_t latents,
                             cuda_marks marks) {
    unsigned threads = threads_for(codes.longest);
    cudaError_t status = clear(stream, latents, codes.rows, marks);
    if (status != cudaSuccess || codes.rows == 0 || codes.longest == 0) return status;
    return start(stream, grid_over(codes, threads), threads, ra_close_up, codes, from_index, from_value, k,
                 index, value, marks.bits, ra_cuda_mark_words(codes.rows));
}

/* packed [entries] <- the position of each entry's latent. 12 bytes per entry: bound by memory. */
extern "C" __global__ void ra_pack_latents(const int32_t *index, const int32_t *position, size_t entries,
                                           int32_t *packed) {
    for (size_t e = (size_t)blockIdx.x * blockDim.x + threadIdx.x; e < entries;
         e += (size_t)gridDim.x * blockDim.x)
        packed[e] = position[index[e]];
}

cudaError_t ra_cuda_pack_latents(cudaStream_t stream, const int32_t *index, const int32_t *position,
                                 size_t entries, int32_t *packed) {
    if (entries == 0) return cudaSuccess;
    return start(stream, dim3(blocks_for((entries + ROW_THREADS - 1) / ROW_THREADS, STREAMING_BLOCKS)),
                 ROW_THREADS, ra_pack_latents, index, position, entries, packed);
}
