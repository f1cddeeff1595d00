/* Tracing atoms to rows (ra_trace.h).
 *
 * A round adds a row to every atom. What is left of the atoms, times all rows of unit length, is one matrix
 * product, block by block of rows; each atom keeps the best row of all blocks. The weights are then found from
 * the few products between an atom's rows, in float64.
 *
 * Where it pays, a product in 8 bits rules out almost all rows of an atom (tensor/coarse.h), and the rest are computed in
 * float64. If it rules out too few, and on other machines, the product is one in float32.
 *
 * Rows are taken at unit length, so that the best is the one of the largest cosine, whatever the lengths; and
 * what is kept of an atom between rounds is only which rows it has, since the rows are in the data. */
#include "ra_trace.h"
#include "base/pool.h"
#include "points/nnls.h"
#include "ra_memory.h"
#include "ra_text.h"
#include "tensor/coarse.h"
#include "tensor/turn.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Less of an atom's length than this along a row is noise of float32, which no row explains. */
static const float LEAST_GAIN = 1e-5f;

enum {
    BLOCK = 2048,
    TILE = 1024,
    MOST = RA_TRACE_ROWS_MOST,
    ATOMS_PER_PART = 8,
    COARSE_DIMENSIONS_LEAST = 64,
    FOUND_SHARE = 16, /* one product in so many: with more of them, float32 takes less time */
};

_Static_assert((int)MOST <= (int)RA_NNLS_MOST, "every row is a variable");

void ra_trace_release(ra_trace *trace) {
    ra_free(trace->row);
    ra_free(trace->weight);
    ra_free(trace->contribution);
    ra_free(trace->cosine);
    *trace = (ra_trace){0};
}

typedef struct tracer {
    ra_backend *backend;
    const ra_data *data;
    const ra_trace_options *options;
    size_t K, R, d, rows;         /* rows that are looked at */
    size_t available;             /* rows of the data */
    float *atoms;                 /* [K,d] */
    float *length;                /* [K] of the atoms */
    float *rest;                  /* [K,d] what the rows so far leave of each atom */
    uint64_t *row;                /* [K,R] numbers of the rows so far */
    uint32_t *count;              /* [K] how many; an atom that nothing helps is done: `done` */
    uint8_t *done;                /* [K] */
    float *weight, *contribution; /* [K,R] */
    float *cosine;                /* [K] */
    float *best;                  /* [K] this round's largest cosine, and its row */
    uint64_t *best_row;
    uint64_t *numbers;                       /* [2 BLOCK] of the rows of a block, and of the next */
    float *block;                            /* [BLOCK,d] those rows, of unit length */
    ra_buffer rest_copy, block_copy, scores; /* where products are computed */
    ra_codes largest;
    bool coarse;                        /* in 8 bits, as long as that rules out enough */
    ra_coarse coarse_rest, coarse_rows; /* `rest` and `block` */
    uint64_t *found;                    /* [panels] how many products of a block were not ruled out */
    uint64_t products, total;
} tracer;

/* ---- the best row of each atom -------------------------------------------------------------------------- */

static uint64_t number_of(const tracer *t, size_t i) {
    return (uint64_t)((unsigned __int128)i * t->available / t->rows);
}

/* block [count,d] <- rows from `first` on, of unit length; a row of zeros stays one. */
static void load_block(tracer *t, size_t first, size_t count) {
    size_t next = first + count, ahead = t->rows - next < BLOCK ? t->rows - next : BLOCK;
    for (size_t i = 0; i < count; i++) t->numbers[i] = number_of(t, first + i);
    for (size_t i = 0; i < ahead; i++) t->numbers[BLOCK + i] = number_of(t, next + i);
    ra_data_gather(t->data, t->numbers, count, t->block);
    ra_data_will_need(t->data, t->numbers + BLOCK, ahead);
    for (size_t i = 0; i < count; i++) {
        float *row = t->block + i * t->d;
        double norm = sqrt(ra_dot_f64(row, row, t->d));
        float scale = norm > 0 ? (float)(1 / norm) : 0;
        for (size_t j = 0; j < t->d; j++) row[j] *= scale;
    }
}

static bool has_row(const tracer *t, size_t k, uint64_t row) {
    for (size_t i = 0; i < t->count[k]; i++)
        if (t->row[k * t->R + i] == row) return true;
    return false;
}

/* The rows of a block that beat what a tile of atoms has. */
static ra_status search_tile(tracer *t, size_t first_atom, size_t atoms, const float *rest, size_t count,
                             const float *block, ra_error *err) {
    RA_TRY(ra_buffer_reserve(&t->scores, t->backend, TILE * BLOCK, err));
    RA_TRY(ra_backend_gemm(t->backend, false, true, atoms, count, t->d, 1, rest + first_atom * t->d, t->d,
                           block, t->d, 0, t->scores.data, count, err));
    RA_TRY(ra_backend_top_k(t->backend, t->scores.data, atoms, count, 1, 0, &t->largest, err));
    for (size_t a = 0; a < atoms; a++) {
        size_t k = first_atom + a, at = t->largest.start[a];
        if (at == t->largest.start[a + 1] || !(t->largest.value[at] > t->best[k])) continue;
        t->best[k] = t->largest.value[at];
        t->best_row[k] = t->numbers[t->largest.index[at]];
    }
    return RA_OK;
}

/* ---- in 8 bits ------------------------------------------------------------------------------------------ */

static size_t panels_of(const tracer *t) {
    return ra_pool_parts(t->K, RA_COARSE_PANEL);
}

static ra_status prepare_coarse(tracer *t, ra_error *err) {
    if (!ra_backend_host_memory(t->backend) || t->d < COARSE_DIMENSIONS_LEAST || !ra_coarse_pays(t->d))
        return RA_OK;
    RA_TRY(ra_coarse_init(&t->coarse_rest, true, t->K, t->d, err));
    RA_TRY(ra_coarse_init(&t->coarse_rows, false, BLOCK, t->d, err));
    t->found = ra_calloc(panels_of(t), sizeof *t->found);
    if (!t->found) RA_FAIL_MEMORY(err, "tracing the atoms", panels_of(t) * sizeof *t->found);
    t->coarse = true;
    return RA_OK;
}

static float found_row(void *context, size_t k, size_t row) {
    tracer *t = context;
    float product = (float)ra_dot_f64(t->rest + k * t->d, t->block + row * t->d, t->d);
    t->found[k / RA_COARSE_PANEL]++;
    if (product > t->best[k]) {
        t->best[k] = product;
        t->best_row[k] = t->numbers[row];
    }
    return t->best[k];
}

static void panel_part(void *context, size_t part) {
    tracer *t = context;
    size_t first = part * RA_COARSE_PANEL;
    float bar[RA_COARSE_PANEL];
    for (size_t c = 0; c < RA_COARSE_PANEL; c++) {
        size_t k = first + c;
        bar[c] = k < t->K && !t->done[k] ? t->best[k] : INFINITY;
    }
    t->found[part] = 0;
    ra_coarse_compare(&t->coarse_rest, part, &t->coarse_rows, 0, false, bar, found_row, t);
}

static void search_coarsely(tracer *t, size_t first, size_t count) {
    ra_pool *pool = ra_backend_pool(t->backend);
    uint64_t found = 0;
    if (first == 0) {
        t->coarse_rest.turned = t->coarse_rows.turned = ra_turn_pays(t->block, count, t->d);
        ra_coarse_round(&t->coarse_rest, pool, t->rest, t->K);
    }
    ra_coarse_round(&t->coarse_rows, pool, t->block, count);
    ra_pool_run(pool, panels_of(t), panel_part, t);
    for (size_t p = 0; p < panels_of(t); p++) found += t->found[p];
    if (first && found > (uint64_t)t->K * count / FOUND_SHARE) t->coarse = false;
}

/* ---- all rows ------------------------------------------------------------------------------------------- */

/* *where <- numbers of the host where the backend can read them. */
static ra_status lend(tracer *t, ra_buffer *copy, const float *host, size_t n, const float **where,
                      ra_error *err) {
    *where = host;
    if (ra_backend_host_memory(t->backend)) return RA_OK;
    RA_TRY(ra_buffer_reserve(copy, t->backend, n, err));
    *where = copy->data;
    return ra_backend_put(t->backend, copy->data, host, n * sizeof *host, err);
}

static ra_status search(tracer *t, ra_error *err) {
    const float *rest, *block;
    RA_TRY(lend(t, &t->rest_copy, t->rest, t->K * t->d, &rest, err));
    for (size_t k = 0; k < t->K; k++) t->best[k] = 0;
    for (size_t first = 0; first < t->rows; first += BLOCK) {
        size_t count = t->rows - first < BLOCK ? t->rows - first : BLOCK;
        load_block(t, first, count);
        RA_TRY(lend(t, &t->block_copy, t->block, count * t->d, &block, err));
        if (t->coarse)
            search_coarsely(t, first, count);
        else
            for (size_t atom = 0; atom < t->K; atom += TILE)
                RA_TRY(
                    search_tile(t, atom, t->K - atom < TILE ? t->K - atom : TILE, rest, count, block, err));
        t->products += (uint64_t)count * t->K;
        if (t->options->progress && !t->options->progress(t->options->context, t->products, t->total))
            RA_FAIL(err, RA_ERR_CANCELED, "the trace was stopped");
    }
    return RA_OK;
}

/* ---- the weights of each atom -------------------------------------------------------------------------- */

/* Rows of unit length, their weights, and what they leave. The rest is that of the atom itself, so that errors
 * of float32 do not add up from round to round. */
static void weigh(tracer *t, size_t k, float *rows) {
    size_t d = t->d, n = t->count[k];
    double G[MOST * MOST], c[MOST], w[MOST], mixture = 0, cross = 0;
    const float *atom = t->atoms + k * d;
    double length = ra_dot_f64(atom, atom, d);
    ra_data_gather(t->data, t->row + k * t->R, n, rows);
    for (size_t i = 0; i < n; i++) {
        float *row = rows + i * d;
        double norm = sqrt(ra_dot_f64(row, row, d));
        for (size_t j = 0; j < d; j++) row[j] = (float)((double)row[j] / norm);
        c[i] = ra_dot_f64(row, atom, d);
        for (size_t j = 0; j <= i; j++) G[i * MOST + j] = G[j * MOST + i] = ra_dot_f64(row, rows + j * d, d);
    }
    ra_nnls(G, MOST, c, (int)n, w);
    memcpy(t->rest + k * d, atom, d * sizeof *atom);
    for (size_t i = 0; i < n; i++) {
        t->weight[k * t->R + i] = (float)w[i];
        t->contribution[k * t->R + i] = (float)(w[i] * c[i] / length);
        cross += w[i] * c[i];
        for (size_t j = 0; j < n; j++) mixture += w[i] * w[j] * G[i * MOST + j];
        for (size_t j = 0; j < d; j++) t->rest[k * d + j] -= (float)w[i] * rows[i * d + j];
    }
    t->cosine[k] = mixture > 0 ? (float)fmin(cross / sqrt(mixture * length), 1) : 0;
}

typedef struct weigh_job {
    tracer *t;
    bool failed; /* some part had no memory */
} weigh_job;

static void weigh_part(void *context, size_t part) {
    weigh_job *job = context;
    tracer *t = job->t;
    size_t end = ra_pool_part_end(part, ATOMS_PER_PART, t->K);
    float *rows = ra_malloc(t->R * t->d, sizeof *rows);
    if (!rows) {
        __atomic_store_n(&job->failed, true, __ATOMIC_RELAXED);
        return;
    }
    for (size_t k = part * ATOMS_PER_PART; k < end; k++)
        if (!t->done[k]) weigh(t, k, rows);
    ra_free(rows);
}

/* Atoms that have a better row get it. Returns whether any has. */
static bool add_rows(tracer *t) {
    bool any = false;
    for (size_t k = 0; k < t->K; k++) {
        /* what is left is orthogonal to an atom's rows, but for rounding */
        t->done[k] |= !(t->best[k] > LEAST_GAIN * t->length[k]) || has_row(t, k, t->best_row[k]);
        if (t->done[k]) continue;
        t->row[k * t->R + t->count[k]++] = t->best_row[k];
        any = true;
    }
    return any;
}

static ra_status trace_all(tracer *t, ra_error *err) {
    for (size_t round = 0; round < t->R; round++) {
        weigh_job job = {t, false};
        RA_TRY(search(t, err));
        if (!add_rows(t)) return RA_OK;
        ra_pool_run(ra_backend_pool(t->backend), ra_pool_parts(t->K, ATOMS_PER_PART), weigh_part, &job);
        if (job.failed) RA_FAIL_MEMORY(err, "the rows of an atom", t->R * t->d * sizeof(float));
    }
    return RA_OK;
}

/* ---- the result ---------------------------------------------------------------------------------------- */

typedef struct traced {
    int64_t row;
    float weight, contribution;
} traced;

static int by_falling_contribution(const void *a, const void *b) {
    const traced *x = a, *y = b;
    if (x->contribution != y->contribution) return x->contribution < y->contribution ? 1 : -1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Rows without weight go, the others come by falling contribution, with weights in shares of their sum. */
static void settle(const tracer *t, ra_trace *trace) {
    for (size_t k = 0; k < t->K; k++) {
        traced rows[MOST];
        size_t count = 0;
        double sum = 0;
        for (size_t i = k * t->R; i < k * t->R + t->count[k]; i++) {
            if (!(t->weight[i] > 0)) continue;
            rows[count++] =
                (traced){(int64_t)ra_data_source_row(t->data, t->row[i]), t->weight[i], t->contribution[i]};
            sum += (double)t->weight[i];
        }
        qsort(rows, count, sizeof *rows, by_falling_contribution);
        for (size_t i = 0; i < t->R; i++) {
            size_t at = k * t->R + i;
            bool some = i < count;
            trace->row[at] = some ? rows[i].row : -1;
            trace->weight[at] = some ? (float)((double)rows[i].weight / sum) : 0;
            trace->contribution[at] = some ? rows[i].contribution : 0;
        }
        trace->cosine[k] = t->cosine[k];
    }
}

static ra_status reserve(tracer *t, const ra_tensor *atoms, ra_trace *trace, ra_error *err) {
    size_t K = t->K, R = t->R, d = t->d;
    t->atoms = ra_malloc(K * d, sizeof *t->atoms);
    t->length = ra_malloc(K, sizeof *t->length);
    t->rest = ra_malloc(K * d, sizeof *t->rest);
    t->row = ra_calloc(K * R, sizeof *t->row);
    t->count = ra_calloc(K, sizeof *t->count);
    t->done = ra_calloc(K, sizeof *t->done);
    t->weight = ra_calloc(K * R, sizeof *t->weight);
    t->contribution = ra_calloc(K * R, sizeof *t->contribution);
    t->cosine = ra_calloc(K, sizeof *t->cosine);
    t->best = ra_malloc(K, sizeof *t->best);
    t->best_row = ra_calloc(K, sizeof *t->best_row);
    t->numbers = ra_malloc(2 * BLOCK, sizeof *t->numbers);
    t->block = ra_malloc(BLOCK * d, sizeof *t->block);
    trace->row = ra_malloc(K * R, sizeof *trace->row);
    trace->weight = ra_malloc(K * R, sizeof *trace->weight);
    trace->contribution = ra_malloc(K * R, sizeof *trace->contribution);
    trace->cosine = ra_malloc(K, sizeof *trace->cosine);
    if (!t->atoms || !t->length || !t->rest || !t->row || !t->count || !t->done || !t->weight ||
        !t->contribution || !t->cosine || !t->best || !t->best_row || !t->numbers || !t->block ||
        !trace->row || !trace->weight || !trace->contribution || !trace->cosine)
        RA_FAIL_MEMORY(err, "tracing the atoms", K * (2 * d * sizeof(float) + R * 3 * sizeof(int64_t)));
    ra_convert_to_f32(atoms->dtype, atoms->data, t->atoms, K * d);
    for (size_t k = 0; k < K; k++)
        t->length[k] = (float)sqrt(ra_dot_f64(t->atoms + k * d, t->atoms + k * d, d));
    memcpy(t->rest, t->atoms, K * d * sizeof *t->rest);
    return prepare_coarse(t, err);
}

static void release(tracer *t) {
    void *const blocks[] = {t->atoms,        t->length, t->rest, t->row,      t->count,   t->done,  t->weight,
                            t->contribution, t->cosine, t->best, t->best_row, t->numbers, t->block, t->found};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ra_free(blocks[i]);
    ra_buffer_release(&t->rest_copy);
    ra_buffer_release(&t->block_copy);
    ra_buffer_release(&t->scores);
    ra_codes_release(&t->largest);
    ra_coarse_release(&t->coarse_rest);
    ra_coarse_release(&t->coarse_rows);
}

ra_status ra_trace_atoms(ra_backend *backend, const ra_tensor *atoms, const ra_data *data,
                         const ra_trace_options *options, ra_trace *trace, ra_error *err) {
    static const ra_trace_options defaults = {0};
    char shape[128];
    *trace = (ra_trace){0};
    if (!options) options = &defaults;
    if (!ra_dtype_is_float(atoms->dtype) || atoms->rank != 2 || atoms->shape[1] != ra_data_dimensions(data))
        RA_FAIL(err, RA_ERR_SHAPE,
                "the atoms are %s %s, expected F32, F16 or BF16 [K, %zu], as the data have",
                ra_dtype_name(atoms->dtype), ra_shape_text(atoms->rank, atoms->shape, shape, sizeof shape),
                ra_data_dimensions(data));
    if (options->rows > MOST)
        RA_FAIL(err, RA_ERR_ARGUMENT, "a trace of %zu rows per atom is not possible, expected 1 to %d",
                options->rows, MOST);
    tracer t = {.backend = backend,
                .data = data,
                .options = options,
                .K = atoms->shape[0],
                .R = options->rows ? options->rows : RA_TRACE_ROWS_DEFAULT,
                .d = atoms->shape[1],
                .available = ra_data_rows(data)};
    bool part = options->searched && options->searched < t.available;
    t.rows = part ? options->searched : t.available;
    t.total = (uint64_t)t.K * t.rows * t.R;
    ra_status status = reserve(&t, atoms, trace, err);
    if (status == RA_OK) status = trace_all(&t, err);
    if (status == RA_OK) {
        trace->atoms = t.K;
        trace->rows = t.R;
        trace->searched = t.rows;
        settle(&t, trace);
    } else {
        ra_trace_release(trace);
    }
    release(&t);
    return status;
}

/* ---- files --------------------------------------------------------------------------------------------- */

ra_status ra_trace_label_lines(const ra_trace *trace, const ra_labels *labels, char **text, size_t *bytes,
                               ra_error *err) {
    ra_text lines = {0};
    for (size_t i = 0; i < trace->atoms * trace->rows; i++) {
        bool known = trace->row[i] >= 0 && (uint64_t)trace->row[i] < ra_labels_count(labels);
        size_t from = lines.size;
        ra_text_add(&lines, known ? ra_labels_at(labels, (size_t)trace->row[i]) : "");
        for (size_t c = from; c < lines.size; c++)
            if (strchr("\t\r\n", lines.data[c])) lines.data[c] = ' ';
        ra_text_add(&lines, (i + 1) % trace->rows ? "\t" : "\n");
    }
    *text = lines.data;
    *bytes = lines.size;
    if (!lines.failed) return RA_OK;
    ra_text_release(&lines);
    *text = NULL;
    RA_FAIL_MEMORY(err, "the labels of a trace", *bytes);
}

ra_status ra_trace_store(const ra_trace *trace, const ra_labels *labels, ra_safetensors_writer *writer,
                         char **text, ra_error *err) {
    size_t bytes = 0;
    const ra_tensor row = ra_tensor_2d(RA_I64, trace->row, trace->atoms, trace->rows),
                    weight = ra_tensor_2d(RA_F32, trace->weight, trace->atoms, trace->rows),
                    contribution = ra_tensor_2d(RA_F32, trace->contribution, trace->atoms, trace->rows),
                    cosine = ra_tensor_1d(RA_F32, trace->cosine, trace->atoms);
    *text = NULL;
    RA_TRY(ra_safetensors_writer_tensor(writer, "trace.row", &row, err));
    RA_TRY(ra_safetensors_writer_tensor(writer, "trace.weight", &weight, err));
    RA_TRY(ra_safetensors_writer_tensor(writer, "trace.contribution", &contribution, err));
    RA_TRY(ra_safetensors_writer_tensor(writer, "trace.cosine", &cosine, err));
    if (!labels) return RA_OK;
    RA_TRY(ra_trace_label_lines(trace, labels, text, &bytes, err));
    const ra_tensor lines = ra_tensor_1d(RA_U8, *text, bytes);
    return ra_safetensors_writer_tensor(writer, "trace.labels", &lines, err);
}
