#include "dictionary/provenance.h"
#include "ra_memory.h"
#include "tensor/vectors.h"

#include <math.h>
#include <stdlib.h>

ra_status ra_provenance_init(ra_provenance *provenance, size_t atoms, size_t count, ra_error *err) {
    *provenance = (ra_provenance){.count = count};
    provenance->index = ra_malloc(atoms * count, sizeof *provenance->index);
    provenance->weight = ra_malloc(atoms * count, sizeof *provenance->weight);
    provenance->contribution = ra_malloc(atoms * count, sizeof *provenance->contribution);
    provenance->relaxation_norm = ra_malloc(atoms, sizeof *provenance->relaxation_norm);
    provenance->relaxation_share = ra_malloc(atoms, sizeof *provenance->relaxation_share);
    provenance->hull_share = ra_malloc(atoms, sizeof *provenance->hull_share);
    if (provenance->index && provenance->weight && provenance->contribution && provenance->relaxation_norm &&
        provenance->relaxation_share && provenance->hull_share)
        return RA_OK;
    ra_provenance_release(provenance);
    RA_FAIL_MEMORY(err, "what atoms are made of", atoms * (count + 1) * 3 * sizeof(float));
}

void ra_provenance_release(ra_provenance *provenance) {
    ra_free(provenance->index);
    ra_free(provenance->weight);
    ra_free(provenance->contribution);
    ra_free(provenance->relaxation_norm);
    ra_free(provenance->relaxation_share);
    ra_free(provenance->hull_share);
    *provenance = (ra_provenance){0};
}

enum { ATOMS_PER_PART = 16, AHEAD = 2 };

/* A point of an atom's mixture. */
typedef struct ingredient {
    int32_t point;
    float weight, contribution;
} ingredient;

typedef struct measure_job {
    const ra_provenance *provenance;
    const ra_fused *atoms;
    bool failed; /* some part had no memory */
} measure_job;

static int by_falling_contribution(const void *a, const void *b) {
    const ingredient *x = a, *y = b;
    if (x->contribution != y->contribution) return x->contribution < y->contribution ? 1 : -1;
    return (x->point > y->point) - (x->point < y->point);
}

/* row [d] <- row i of a tensor in any float type. */
static void read_row(const ra_tensor *tensor, size_t i, float *row) {
    size_t d = tensor->shape[1];
    ra_convert_to_f32(tensor->dtype, (const char *)tensor->data + i * d * ra_dtype_size(tensor->dtype), row,
                      d);
}

/* Asks for a row that is wanted soon: which one that is, no processor guesses. */
static void ask_for_row(const ra_tensor *tensor, size_t i) {
    enum { LINE = 64 };
    const char *row = ra_tensor_row(tensor, i);
    size_t bytes = tensor->shape[1] * ra_dtype_size(tensor->dtype);
    for (size_t at = 0; at < bytes; at += LINE) __builtin_prefetch(row + at);
}

/* Relaxation and mixture of atom k; relax: its row of Relax, which is bounded here as the fuse did. */
static void measure_relaxation(const measure_job *job, size_t k, const float *relax, const float *D,
                               double square) {
    const ra_provenance *p = job->provenance;
    size_t d = job->atoms->C->shape[1];
    double scale = job->atoms->scale, delta = job->atoms->delta, norm = sqrt(ra_dot_f64(relax, relax, d));
    double bound = norm > delta ? delta / norm : 1;
    double along = scale * bound * ra_dot_f64(relax, D, d), length = scale * bound * norm;
    double mixture = square - 2 * along + length * length;
    p->relaxation_norm[k] = (float)(bound * norm);
    p->relaxation_share[k] = square > 0 ? (float)(along / square) : 0;
    p->hull_share[k] =
        square > 0 && mixture > 0 ? (float)fmin((square - along) / sqrt(square * mixture), 1) : 0;
}

static void measure_atom(const measure_job *job, size_t i, ingredient *ingredients, float *row) {
    const ra_provenance *p = job->provenance;
    const ra_codes *mixture = job->atoms->mixture;
    size_t k = job->atoms->first + i, T = p->count, d = job->atoms->C->shape[1];
    size_t count = mixture->start[i + 1] - mixture->start[i];
    const float *D = job->atoms->D + i * d;
    double square = ra_dot_f64(D, D, d);
    read_row(job->atoms->Relax, k, row);
    measure_relaxation(job, k, row, D, square);
    for (size_t t = 0; t < count; t++) {
        ingredient *part = &ingredients[t];
        size_t entry = mixture->start[i] + t;
        const ra_tensor *C = job->atoms->C;
        part->point = mixture->index[entry];
        part->weight = mixture->value[entry];
        if (entry + AHEAD < ra_codes_entries(mixture)) ask_for_row(C, (size_t)mixture->index[entry + AHEAD]);
        double dot = ra_row_dot(C->dtype, ra_tensor_row(C, (size_t)part->point), D, d);
        double along = (double)job->atoms->scale * part->weight * dot;
        part->contribution = square > 0 ? (float)(along / square) : 0;
    }
    qsort(ingredients, count, sizeof *ingredients, by_falling_contribution);
    for (size_t t = 0; t < T; t++) {
        bool some = t < count;
        p->index[k * T + t] = some ? ingredients[t].point : -1;
        p->weight[k * T + t] = some ? ingredients[t].weight : 0;
        p->contribution[k * T + t] = some ? ingredients[t].contribution : 0;
    }
}

static void measure_part(void *context, size_t part) {
    measure_job *job = context;
    const ra_codes *mixture = job->atoms->mixture;
    size_t end = ra_pool_part_end(part, ATOMS_PER_PART, mixture->rows), most = 1;
    for (size_t i = part * ATOMS_PER_PART; i < end; i++) {
        size_t count = mixture->start[i + 1] - mixture->start[i];
        most = count > most ? count : most;
    }
    ingredient *ingredients = ra_malloc(most, sizeof *ingredients);
    float *row = ra_malloc(job->atoms->C->shape[1], sizeof *row);
    if (!ingredients || !row) __atomic_store_n(&job->failed, true, __ATOMIC_RELAXED);
    for (size_t i = part * ATOMS_PER_PART; ingredients && row && i < end; i++)
        measure_atom(job, i, ingredients, row);
    ra_free(ingredients);
    ra_free(row);
}

ra_status ra_provenance_measure(const ra_provenance *provenance, const ra_fused *atoms, ra_pool *pool,
                                ra_error *err) {
    measure_job job = {provenance, atoms, false};
    ra_pool_run(pool, ra_pool_parts(atoms->mixture->rows, ATOMS_PER_PART), measure_part, &job);
    if (job.failed) RA_FAIL_MEMORY(err, "what an atom is made of", atoms->C->shape[1] * sizeof(float));
    return RA_OK;
}
