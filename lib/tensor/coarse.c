/* With a row x = s q + e, where q are integers of 8 bits and s is the step, and another one y = t r + f,
 *
 *     <x, y> = s t <q, r> + <e, y> + <s q, f>  <=  s t <q, r> + |e| |y| + |s q| |f|
 *
 * (Cauchy and Schwarz). Of unit rows of 768 random numbers, each length lost is about .008. What float32 loses on the way,
 * a few units in its last place of |x| |y|, is covered by SLACK, which is added to each length.
 *
 * vpdpbusd multiplies unsigned numbers by signed ones: rows are stored plus 128, and the sums of a column start at what
 * takes that off again. A tile of 8 rows and 48 columns keeps its 384 sums in 24 registers. */
#include "tensor/coarse.h"
#include "base/processor.h"
#include "ra_memory.h"
#include "base/multiversion.h"
#include "tensor/turn.h"
#include "tensor/vectors.h"

#include <math.h>
#include <string.h>

enum {
    PANEL = RA_COARSE_PANEL,
    GROUP = 16, /* columns of a vector */
    QUAD = 4,   /* numbers that one instruction adds up */
    TILE = RA_COARSE_ROWS,
    ZERO = 128,
    LARGEST = 127,
    LANES = 16,
    ROWS_PER_PART = 64,
    CHUNK = RA_TURN_MOST,
};

static const float SLACK = 2.5e-6f; /* 66 roundings of a lane's sum of squares, halved by the root: 2e-6 */
static const float LEAST_STEP = 1e-12f, MOST_STEP = 1e12f; /* their squares are numbers */

static size_t padded(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

size_t ra_coarse_width(size_t d) {
    return padded(d, GROUP);
}

ra_status ra_coarse_init(ra_coarse *coarse, bool columns, size_t capacity, size_t d, ra_error *err) {
    size_t rows = padded(capacity, columns ? PANEL : TILE);
    *coarse = (ra_coarse){.columns = columns, .capacity = rows, .d = d};
    coarse->number = ra_malloc(rows, ra_coarse_width(d));
    coarse->step = ra_calloc(rows, sizeof *coarse->step);
    coarse->error = ra_calloc(rows, sizeof *coarse->error);
    coarse->length = ra_calloc(rows, sizeof *coarse->length);
    coarse->offset = ra_calloc(rows, sizeof *coarse->offset);
    if (coarse->number && coarse->step && coarse->error && coarse->length && coarse->offset) {
        memset(coarse->number, columns ? 0 : ZERO, rows * ra_coarse_width(d));
        return RA_OK;
    }
    ra_coarse_release(coarse);
    RA_FAIL_MEMORY(err, "rows in 8 bits", rows * (ra_coarse_width(d) + 4 * sizeof(float)));
}

void ra_coarse_release(ra_coarse *coarse) {
    ra_free(coarse->number);
    ra_free(coarse->step);
    ra_free(coarse->error);
    ra_free(coarse->length);
    ra_free(coarse->offset);
    *coarse = (ra_coarse){0};
}

/* ---- rounding ------------------------------------------------------------------------------------------ */

RA_MULTIVERSION static float largest_magnitude(const float *restrict x, size_t n) {
    float lane[LANES] = {0}, largest = 0;
    for (size_t i = 0; i < n; i += LANES)
        for (size_t l = 0; l < LANES && i + l < n; l++) {
            float magnitude = fabsf(x[i + l]);
            lane[l] = magnitude > lane[l] ? magnitude : lane[l];
        }
    for (size_t l = 0; l < LANES; l++) largest = lane[l] > largest ? lane[l] : largest;
    return largest;
}

typedef struct lengths {
    double lost, whole, rounded; /* squares; lanes of a chunk are added in float32, chunks in float64 */
} lengths;

/* number [n] <- x / step, rounded. Adds to the squares. */
RA_MULTIVERSION static void round_chunk(const float *restrict x, size_t n, float step,
                                        int8_t *restrict number, lengths *square) {
    float lost[LANES] = {0}, whole[LANES] = {0}, rounded[LANES] = {0}, inverse = 1 / step;
    for (size_t i = 0; i < n; i += LANES)
        for (size_t l = 0; l < LANES && i + l < n; l++) {
            float scaled = x[i + l] * inverse;
            int32_t q = (int32_t)(scaled + (scaled < 0 ? -0.5f : 0.5f));
            float back = (float)q * step, gap = x[i + l] - back;
            number[i + l] = (int8_t)q;
            lost[l] += gap * gap;
            whole[l] += x[i + l] * x[i + l];
            rounded[l] += back * back;
        }
    for (size_t l = 0; l < LANES; l++) {
        square->lost += (double)lost[l];
        square->whole += (double)whole[l];
        square->rounded += (double)rounded[l];
    }
}

/* Numbers [i, i + n) of column k, n a multiple of QUAD. */
static void store_column(ra_coarse *coarse, size_t k, size_t i, size_t n, const int8_t *number) {
    size_t width = ra_coarse_width(coarse->d), lane = k % GROUP;
    uint8_t *to = coarse->number + (k - lane) * width + lane * QUAD + i * GROUP;
    int32_t sum = 0;
    for (size_t q = 0; q < n; q += QUAD) memcpy(to + q * GROUP, number + q, QUAD);
    for (size_t q = 0; q < n; q++) sum += number[q];
    coarse->offset[k] -= ZERO * sum;
}

static void store_row(ra_coarse *coarse, size_t k, size_t i, size_t n, const int8_t *number) {
    uint8_t *to = coarse->number + k * ra_coarse_width(coarse->d) + i;
    for (size_t q = 0; q < n; q++) to[q] = (uint8_t)(number[q] + ZERO);
}

/* Numbers [from, from + n) of x, or in `turned` what they are when turned: n rounded up to a multiple of GROUP. */
static const float *look_at(const ra_coarse *coarse, const float *x, size_t from, size_t n, float *turned) {
    if (!coarse->turned) return x + from;
    ra_turn(x + from, n, turned);
    return turned;
}

/* A row that cannot be rounded gets a bound that nothing is above, so that all of its pairs are found. */
static void round_one(ra_coarse *coarse, const float *x, size_t k) {
    size_t d = coarse->d;
    float turned[CHUNK], largest = 0, slack = SLACK + (coarse->turned ? RA_TURN_LOSS : 0);
    const float *look = x;
    for (size_t from = 0; from < d; from += CHUNK) {
        size_t n = d - from < CHUNK ? d - from : CHUNK;
        look = look_at(coarse, x, from, n, turned);
        largest = fmaxf(largest, largest_magnitude(look, coarse->turned ? padded(n, GROUP) : n));
    }
    float step = largest / LARGEST;
    bool rounds = step > LEAST_STEP && step < MOST_STEP, zero = step == 0;
    if (ra_find_not_finite(x, d) < d) rounds = zero = false;
    lengths square = {0};
    coarse->offset[k] = 0;
    for (size_t from = 0; from < d; from += CHUNK) {
        int8_t number[CHUNK] = {0};
        size_t n = d - from < CHUNK ? d - from : CHUNK;
        if (d > CHUNK) look = look_at(coarse, x, from, n, turned);
        if (rounds) round_chunk(look, coarse->turned ? padded(n, GROUP) : n, step, number, &square);
        (coarse->columns ? store_column : store_row)(coarse, k, from, padded(n, GROUP), number);
    }
    coarse->length[k] = (float)sqrt(fmax(square.whole, square.rounded)) * (1 + slack);
    coarse->error[k] =
        rounds || zero ? (float)sqrt(square.lost) * 1.001f + slack * coarse->length[k] : INFINITY;
    coarse->step[k] = rounds ? step : 0;
}

typedef struct round_job {
    ra_coarse *coarse;
    const float *x;
    size_t rows;
} round_job;

static void round_part(void *context, size_t part) {
    const round_job *job = context;
    for (size_t k = part * ROWS_PER_PART; k < (part + 1) * ROWS_PER_PART && k < job->rows; k++)
        round_one(job->coarse, job->x + k * job->coarse->d, k);
}

void ra_coarse_round(ra_coarse *coarse, ra_pool *pool, const float *x, size_t rows) {
    round_job job = {coarse, x, rows};
    coarse->rows = rows;
    ra_pool_run(pool, ra_pool_parts(rows, ROWS_PER_PART), round_part, &job);
}

RA_MULTIVERSION static void widen_numbers(const uint8_t *restrict number, float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = (float)((int32_t)number[i] - ZERO);
}

void ra_coarse_widen(const ra_coarse *rows, size_t from, size_t count, float *x) {
    size_t width = ra_coarse_width(rows->d);
    widen_numbers(rows->number + from * width, x, count * width);
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

/* Correct on every machine, and slow: every pair. */
static void compare_anywhere(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from,
                             bool magnitudes, float *bar, ra_coarse_found *found, void *context) {
    (void)magnitudes;
    for (size_t row = from; row < rows->rows; row++)
        for (size_t c = 0; c < PANEL && panel * PANEL + c < columns->rows; c++)
            if (bar[c] < INFINITY) bar[c] = found(context, panel * PANEL + c, row);
}

static int8_t column_number(const ra_coarse *columns, size_t column, size_t i) {
    size_t width = ra_coarse_width(columns->d), lane = column % GROUP;
    return (int8_t)
        columns->number[(column - lane) * width + i / QUAD * QUAD * GROUP + lane * QUAD + i % QUAD];
}

static void score_anywhere(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from,
                           size_t to, bool least, float *score, size_t stride) {
    size_t width = ra_coarse_width(columns->d);
    for (size_t row = from; row < to; row++)
        for (size_t c = panel * PANEL; c < (panel + 1) * PANEL && c < columns->rows; c++) {
            double sum = 0;
            for (size_t i = 0; i < width; i++)
                sum += (rows->number[row * width + i] - ZERO) * column_number(columns, c, i);
            float product = (float)sum * (rows->step[row] * columns->step[c]);
            if (least)
                product += columns->error[c] * rows->length[row] + columns->length[c] * rows->error[row];
            score[(row - from) * stride + c % PANEL] = -2 * product;
        }
}

/* ---- with instructions for products of 8 bits ----------------------------------------------------------- */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RA_SANITIZE)
#include <immintrin.h>

#define TARGET __attribute__((target("arch=x86-64-v4,avx512vnni")))
#define UNROLL _Pragma("GCC unroll 8")
enum { GROUPS = PANEL / GROUP };

static bool has_products(void) {
    return ra_processor_is_v4() && __builtin_cpu_supports("avx512vnni");
}

/* What a panel says of its columns, GROUP at a time. */
typedef struct panel_view {
    const uint8_t *number;
    const float *step, *error, *length, *bar;
    const int32_t *offset;
    size_t width;
    bool magnitudes;
} panel_view;

static panel_view view_panel(const ra_coarse *columns, size_t panel) {
    size_t first = panel * PANEL, width = ra_coarse_width(columns->d);
    return (panel_view){.number = columns->number + first * width,
                        .step = columns->step + first,
                        .error = columns->error + first,
                        .length = columns->length + first,
                        .offset = columns->offset + first,
                        .width = width};
}

/* sum <- the products of the rounded TILE rows from `row` on with the columns. */
TARGET static inline __attribute__((always_inline)) void
multiply_tile(const panel_view *p, const ra_coarse *rows, size_t row, __m512i sum[TILE][GROUPS]) {
    const uint8_t *number = rows->number + row * p->width;
    UNROLL for (size_t r = 0; r < TILE; r++) UNROLL for (size_t g = 0; g < GROUPS; g++) sum[r][g] =
        _mm512_loadu_si512(p->offset + g * GROUP);
    for (size_t i = 0; i < p->width; i += QUAD) {
        __m512i y[GROUPS];
        UNROLL for (size_t g = 0; g < GROUPS; g++) y[g] =
            _mm512_loadu_si512(p->number + g * GROUP * p->width + i * GROUP);
        UNROLL for (size_t r = 0; r < TILE; r++) {
            int32_t four;
            memcpy(&four, number + r * p->width + i, sizeof four);
            __m512i x = _mm512_set1_epi32(four);
            /* The compiler copies a register before each of its own intrinsics, which halves the speed. */
            UNROLL for (size_t g = 0; g < GROUPS;
                        g++) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[r][g]) : "v"(x), "v"(y[g]));
        }
    }
}

/* The largest that the product can be of a row, whose `product` is that of the rounded ones, with GROUP columns. */
TARGET static inline __attribute__((always_inline)) __m512
upper_bound(const panel_view *p, size_t g, __m512 product, __m512 error, __m512 length) {
    __m512 bound = _mm512_fmadd_ps(_mm512_loadu_ps(p->error + g * GROUP), length, product);
    return _mm512_fmadd_ps(_mm512_loadu_ps(p->length + g * GROUP), error, bound);
}

/* above [TILE] <- the columns, as bits, whose bound exceeds their bar; for TILE rows from `row` on. */
TARGET static void compare_tile(const panel_view *p, const ra_coarse *rows, size_t row, uint64_t *above) {
    __m512i sum[TILE][GROUPS];
    multiply_tile(p, rows, row, sum);
    UNROLL for (size_t r = 0; r < TILE; r++) {
        __m512 step = _mm512_set1_ps(rows->step[row + r]), error = _mm512_set1_ps(rows->error[row + r]),
               length = _mm512_set1_ps(rows->length[row + r]);
        above[r] = 0;
        UNROLL for (size_t g = 0; g < GROUPS; g++) {
            __m512 product = _mm512_cvtepi32_ps(sum[r][g]);
            if (p->magnitudes) product = _mm512_abs_ps(product);
            product = _mm512_mul_ps(product, _mm512_mul_ps(step, _mm512_loadu_ps(p->step + g * GROUP)));
            __m512 bound = upper_bound(p, g, product, error, length);
            /* a bound that is not a number is above */
            __mmask16 is = _mm512_cmp_ps_mask(bound, _mm512_loadu_ps(p->bar + g * GROUP), _CMP_NLE_UQ);
            above[r] |= (uint64_t)is << g * GROUP;
        }
    }
}

static void compare_at_once(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from,
                            bool magnitudes, float *bar, ra_coarse_found *found, void *context) {
    size_t first = panel * PANEL;
    uint64_t above[TILE];
    panel_view view = view_panel(columns, panel);
    view.bar = bar;
    view.magnitudes = magnitudes;
    for (size_t row = from / TILE * TILE; row < rows->rows; row += TILE) {
        compare_tile(&view, rows, row, above);
        for (size_t r = 0; r < TILE; r++)
            for (uint64_t left = above[r]; left; left &= left - 1) {
                size_t c = (size_t)__builtin_ctzll(left);
                if (row + r < from || row + r >= rows->rows || first + c >= columns->rows) continue;
                if (bar[c] < INFINITY) bar[c] = found(context, first + c, row + r);
            }
    }
}

typedef struct score_place {
    float *score; /* [rows, stride] of the tile and the panel */
    size_t rows, columns, stride;
    bool least;
} score_place;

TARGET static void score_tile(const panel_view *p, const ra_coarse *rows, size_t row,
                              const score_place *place) {
    __m512i sum[TILE][GROUPS];
    multiply_tile(p, rows, row, sum);
    const __m512 twice = _mm512_set1_ps(-2);
    UNROLL for (size_t r = 0; r < TILE; r++) {
        __m512 step = _mm512_set1_ps(rows->step[row + r]), error = _mm512_set1_ps(rows->error[row + r]),
               length = _mm512_set1_ps(rows->length[row + r]);
        if (r >= place->rows) break;
        UNROLL for (size_t g = 0; g < GROUPS; g++) {
            size_t left = place->columns > g * GROUP ? place->columns - g * GROUP : 0;
            __mmask16 inside = left >= GROUP ? 0xffff : (__mmask16)((1u << left) - 1);
            __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][g]),
                                           _mm512_mul_ps(step, _mm512_loadu_ps(p->step + g * GROUP)));
            if (place->least) product = upper_bound(p, g, product, error, length);
            _mm512_mask_storeu_ps(place->score + r * place->stride + g * GROUP, inside,
                                  _mm512_mul_ps(product, twice));
        }
    }
}

static void score_at_once(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from,
                          size_t to, bool least, float *score, size_t stride) {
    size_t first = panel * PANEL, left = columns->rows - first;
    const panel_view view = view_panel(columns, panel);
    score_place place = {.columns = left < PANEL ? left : PANEL, .stride = stride, .least = least};
    for (size_t row = from; row < to; row += TILE) {
        place.score = score + (row - from) * stride;
        place.rows = to - row < TILE ? to - row : TILE;
        score_tile(&view, rows, row, &place);
    }
}

#else

static bool has_products(void) {
    return false;
}

#define compare_at_once compare_anywhere
#define score_at_once score_anywhere

#endif

bool ra_coarse_pays(size_t d) {
    enum { MOST = INT32_MAX / (ZERO * LARGEST) }; /* products of longer rows may not fit 32 bits */
    return d <= MOST && has_products();
}

void ra_coarse_compare(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from,
                       bool magnitudes, float *bar, ra_coarse_found *found, void *context) {
    (has_products() ? compare_at_once : compare_anywhere)(columns, panel, rows, from, magnitudes, bar, found,
                                                          context);
}

void ra_coarse_scores(const ra_coarse *columns, size_t panel, const ra_coarse *rows, size_t from, size_t to,
                      bool least, float *score, size_t stride) {
    (has_products() ? score_at_once : score_anywhere)(columns, panel, rows, from, to, least, score, stride);
}
