/* The k largest scores of each row that are above a bar, exactly: of equals the lower index wins, and entries
 * are written by ascending index. Two ways: for a few of them, one pass over the row; for many, five. */
#include "backend/cuda/radix.cuh"

/* ---- many ---------------------------------------------------------------------------------------------- */

enum { MANY_THREADS = 1024, FEW_ROWS = 512 };

/* One block per row. A radix select finds the bits of the k-th largest; one more pass writes the larger scores, and of the
 * equal ones as many as are needed.
 *
 * 4 n bytes per row from memory, once: the other four passes over a row read the cache (256 KiB for
 * 65,536 scores). 8 bytes per entry written. Some 8 operations per score and pass: bound by the cache's
 * bandwidth, 20 n bytes per row. */
template <int width>
static __device__ void top_k(const float *scores, size_t rows, uint32_t n, uint32_t k, float above,
                             int32_t *index, float *value, uint32_t *count) {
    __shared__ select_memory memory;
    __shared__ tile_counts counts;
    for (size_t b = blockIdx.x; b < rows; b += gridDim.x) {
        const float *row = scores + b * n;
        split at_k = find_split(k, &memory, [=](const auto &add) {
            for_packs<width, 4>((size_t)threadIdx.x * width, (size_t)blockDim.x * width, n,
                                [=](size_t j) { return load<float, width>(row + j); },
                                [&](size_t, const pack<float, width> &part) {
                                    for (int c = 0; c < width; c++)
                                        if (part.element[c] > above) add(ordered(part.element[c]));
                                });
        });
        uint32_t limit = at_k.limit, equals = at_k.equals;
        tally done = {0, 0};
        for (uint32_t from = 0; from < n; from += TILES_AHEAD * blockDim.x) {
            float score[TILES_AHEAD];
#pragma unroll
            for (unsigned tile = 0; tile < TILES_AHEAD; tile++) {
                uint32_t j = from + tile * blockDim.x + threadIdx.x;
                score[tile] = j < n ? row[j] : NAN; /* above no bar */
            }
#pragma unroll
            for (unsigned tile = 0; tile < TILES_AHEAD; tile++) {
                uint32_t j = from + tile * blockDim.x + threadIdx.x, bits = ordered(score[tile]);
                bool above_bar = score[tile] > above, larger = above_bar && bits > limit,
                     equal = above_bar && bits == limit;
                tally before, total;
                rank_in_tile(larger, equal, &counts, tile, &before, &total);
                uint32_t equals_before = done.maybe + before.maybe;
                if (larger || (equal && equals_before < equals)) {
                    size_t at = b * k + done.sure + before.sure + min(equals_before, equals);
                    index[at] = (int32_t)j;
                    value[at] = score[tile];
                }
                done.sure += total.sure;
                done.maybe += total.maybe;
            }
        }
        if (threadIdx.x == 0) count[b] = done.sure + min(done.maybe, equals);
        __syncthreads(); /* the last tile of this row may still be read */
    }
}

extern "C" __global__ void __launch_bounds__(MANY_THREADS)
    ra_top_k(const float *scores, size_t rows, uint32_t n, uint32_t k, float above, int32_t *index,
             float *value, uint32_t *count) {
    top_k<PACK>(scores, rows, n, k, above, index, value, count);
}
extern "C" __global__ void __launch_bounds__(MANY_THREADS)
    ra_top_k_narrow(const float *scores, size_t rows, uint32_t n, uint32_t k, float above, int32_t *index,
                    float *value, uint32_t *count) {
    top_k<1>(scores, rows, n, k, above, index, value, count);
}

/* As many threads as a block can have where there are few rows. */
static cudaError_t start_many(cudaStream_t stream, const float *scores, size_t rows, size_t n, size_t k,
                              float above, int32_t *index, float *value, uint32_t *count) {
    bool wide = is_wide(scores, n * sizeof *scores);
    unsigned threads = rows < FEW_ROWS && n >= MANY_THREADS * PACK ? (unsigned)MANY_THREADS : threads_for(n);
    return start(stream, dim3(blocks_for(rows, MOST_BLOCKS)), threads, wide ? ra_top_k : ra_top_k_narrow,
                 scores, rows, n, k, above, index, value, count);
}

/* ---- a few ---------------------------------------------------------------------------------------------- */

/* A block has a row, or a part of one where there are few rows. It reads it once, and collects what is above the bar in
 * shared memory; when much has come together, it keeps the k best of that, and the last of these is the new bar. So soon
 * nearly nothing passes: of numbers in any order, some k log(n / k). The order in the collection depends on
 * the threads, but what is kept and how it is written does not.
 *
 * 4 n bytes per row and a comparison per score, two loads of 16 bytes in flight per thread; 8 k bytes written: bound by
 * memory. */
enum {
    FEW = 256,
    HELD = 8,
    CHUNK = HELD * ROW_THREADS,
    FULL = 1024,
    ROOM = FULL + CHUNK,
    PART_SCORES = 8192,
    ENOUGH_BLOCKS = 512
};

typedef struct collection {
    float value[ROOM];
    uint32_t index[ROOM];
    float kept_value[FEW];
    uint32_t kept_index[FEW];
    uint32_t count, kept;
    float bar;
    select_memory memory;
} collection;

/* The collection becomes the k best of it. All threads call it, behind a barrier, and there is one behind it. */
static __device__ inline void keep_best(collection *c, uint32_t count, uint32_t k) {
    split by_value = find_split(k, &c->memory, [=](const auto &add) {
        for (uint32_t j = threadIdx.x; j < count; j += blockDim.x) add(ordered(c->value[j]));
    });
    uint32_t first = 0; /* of equals, those with the lowest indices, that is, the largest of ~index */
    if (by_value.equals < by_value.of) {
        split by_index = find_split(by_value.equals, &c->memory, [=](const auto &add) {
            for (uint32_t j = threadIdx.x; j < count; j += blockDim.x)
                if (ordered(c->value[j]) == by_value.limit) add(~c->index[j]);
        });
        first = by_index.limit;
    }
    if (threadIdx.x == 0) c->kept = 0;
    __syncthreads();
    for (uint32_t j = threadIdx.x; j < count; j += blockDim.x) {
        uint32_t bits = ordered(c->value[j]);
        if (bits < by_value.limit || (bits == by_value.limit && ~c->index[j] < first)) continue;
        uint32_t at = atomicAdd(&c->kept, 1u);
        c->kept_value[at] = c->value[j];
        c->kept_index[at] = c->index[j];
    }
    __syncthreads();
    for (uint32_t j = threadIdx.x; j < k; j += blockDim.x) {
        c->value[j] = c->kept_value[j];
        c->index[j] = c->kept_index[j];
    }
    if (threadIdx.x == 0) {
        uint32_t bits = by_value.limit;
        c->count = k;
        c->bar = __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
    }
    __syncthreads();
}

/* Collects the scores of a row from `from` up to `to`; ids: the numbers that they stand for, NULL: their own. */
template <int width>
static __device__ inline uint32_t collect(const float *row, const uint32_t *ids, uint32_t from, uint32_t to,
                                          uint32_t k, float above, collection *c) {
    constexpr int loads = HELD / width;
    if (threadIdx.x == 0) {
        c->count = 0;
        c->bar = above;
    }
    __syncthreads();
    for (uint32_t chunk = from; chunk < to; chunk += HELD * blockDim.x) {
        float bar = c->bar;
        pack<float, width> held[loads];
#pragma unroll
        for (int i = 0; i < loads; i++) {
            uint32_t j = chunk + ((uint32_t)i * blockDim.x + threadIdx.x) * width;
            if (j + width <= to) held[i] = load<float, width>(row + j);
        }
#pragma unroll
        for (int i = 0; i < loads; i++) {
            uint32_t j = chunk + ((uint32_t)i * blockDim.x + threadIdx.x) * width;
            for (uint32_t e = 0; e < width && j + width <= to; e++) {
                if (!(held[i].element[e] > bar)) continue;
                uint32_t at = atomicAdd(&c->count, 1u);
                c->value[at] = held[i].element[e];
                c->index[at] = ids ? ids[j + e] : j + e;
            }
        }
        __syncthreads();
        uint32_t count = c->count;
        __syncthreads(); /* all have read it before it grows again */
        if (count > FULL) keep_best(c, count, k);
    }
    uint32_t count = c->count;
    if (count > k) keep_best(c, count, k);
    return count < k ? count : k;
}

template <int width>
static __device__ void top_few(const float *scores, const uint32_t *ids, size_t rows, uint32_t n, uint32_t k,
                               float above, uint32_t parts, int32_t *index, float *value, uint32_t *count) {
    __shared__ collection c;
    uint32_t share = ((n + parts - 1) / parts + 3) / 4 * 4;
    for (size_t task = blockIdx.x; task < rows * parts; task += gridDim.x) {
        size_t b = task / parts;
        uint32_t from = (uint32_t)(task % parts) * share,
                 to = from < n && n - from < share ? n : from + share;
        if (from > n) from = to = n;
        uint32_t found = collect<width>(scores + b * n, ids ? ids + b * n : NULL, from, to, k, above, &c);
        for (uint32_t t = threadIdx.x; t < k; t += blockDim.x) {
            uint32_t rank = t;
            if (t >= found && parts == 1) continue;
            if (t < found) rank = 0;
            for (uint32_t j = 0; t < found && j < found; j++) rank += c.index[j] < c.index[t];
            index[task * k + rank] = t < found ? (int32_t)c.index[t] : 0;
            value[task * k + rank] = t < found ? c.value[t] : NAN; /* above no bar */
        }
        if (parts == 1 && threadIdx.x == 0) count[b] = found;
        __syncthreads(); /* the collection may still be read */
    }
}

extern "C" __global__ void ra_top_few(const float *scores, const uint32_t *ids, size_t rows, uint32_t n,
                                      uint32_t k, float above, uint32_t parts, int32_t *index, float *value,
                                      uint32_t *count) {
    top_few<4>(scores, ids, rows, n, k, above, parts, index, value, count);
}
extern "C" __global__ void ra_top_few_narrow(const float *scores, const uint32_t *ids, size_t rows,
                                             uint32_t n, uint32_t k, float above, uint32_t parts,
                                             int32_t *index, float *value, uint32_t *count) {
    top_few<1>(scores, ids, rows, n, k, above, parts, index, value, count);
}

static cudaError_t start_few(cudaStream_t stream, const float *scores, const uint32_t *ids, size_t rows,
                             size_t n, size_t k, float above, size_t parts, int32_t *index, float *value,
                             uint32_t *count) {
    bool wide = is_wide(scores, n * sizeof *scores) && n % 4 == 0;
    return start(stream, dim3(blocks_for(rows * parts, MOST_BLOCKS)),
                 threads_for((n / parts + HELD - 1) / HELD), wide ? ra_top_few : ra_top_few_narrow, scores,
                 ids, rows, n, k, above, parts, index, value, count);
}

/* ---- which ---------------------------------------------------------------------------------------------- */

/* Several parts of a row where there are few rows; a second kernel then selects among the best of each part. */
static size_t parts_of(size_t rows, size_t n, size_t k) {
    size_t wanted = rows < ENOUGH_BLOCKS ? ENOUGH_BLOCKS / rows : 1, most = n / PART_SCORES;
    if (k > FEW || most < 2 || wanted < 2) return 1;
    return wanted < most ? wanted : most;
}

size_t ra_cuda_top_k_scratch(size_t rows, size_t n, size_t k) {
    size_t parts = rows ? parts_of(rows, n, k) : 1;
    return parts > 1 ? rows * parts * k * (sizeof(float) + sizeof(uint32_t)) : 0;
}

cudaError_t ra_cuda_top_k(cudaStream_t stream, const float *scores, size_t rows, size_t n, size_t k,
                          float above, int32_t *index, float *value, uint32_t *count, void *scratch) {
    if (rows == 0) return cudaSuccess;
    if (k > FEW) return start_many(stream, scores, rows, n, k, above, index, value, count);
    size_t parts = parts_of(rows, n, k);
    if (parts == 1) return start_few(stream, scores, NULL, rows, n, k, above, 1, index, value, count);
    float *best = (float *)scratch;
    uint32_t *ids = (uint32_t *)(best + rows * parts * k);
    cudaError_t status =
        start_few(stream, scores, NULL, rows, n, k, above, parts, (int32_t *)ids, best, (uint32_t *)NULL);
    if (status != cudaSuccess) return status;
    return start_few(stream, best, ids, rows, parts * k, k, above, 1, index, value, count);
}
