/* The checkpoint of a consensus. What each of its groups gets are means over the group's members: rows of the encoder,
 * thresholds, weights of points. The multiplier and the numbers of the whole dictionary are means over the runs; an atom
 * before the multiplier is the mean direction at the mean length.
 *
 * Points of mixtures. Members have different points. A group has all of theirs, each with its mean weight, and keeps as
 * many as an atom may have, the heaviest ones. Relax is the rest of the atom; the dictionary splits atoms anew when it is
 * trained, so these weights only have to name good points. Equal vectors of several runs are one point; 64 bits mixed
 * from a vector stand for it, which are the same for different vectors once in 10^9 dictionaries of 10^5 points. */
#include "metrics/consensus/consensus.h"
#include "ra_memory.h"
#include "ra_sae.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS_MOST = 24 };

/* Means per atom, whatever they are; the first dimension is K. */
static const char *const of_atoms[] = {
    "encoder.final_block.0.weight",
    "encoder.final_block.0.bias",
    "encoder.final_block.1.weight",
    "encoder.final_block.1.bias",
    "encoder.final_block.1.running_mean",
    "encoder.final_block.1.running_var",
    "thresholds",
};

/* Means over the runs. */
static const char *const of_all[] = {"dictionary.multiplier", "dictionary.mixture", "input.mean",
                                     "input.scale"};

/* Settings that have to be the same, and numbers of which the mean is taken. */
static const char *const same_keys[] = {"sae", "encoder", "dictionary", "standardize"},
                         *const mean_keys[] = {"delta", "running_threshold"};

typedef struct start {
    const ra_consensus *c;
    const char *const *paths;
    ra_safetensors **file; /* [runs] */
    size_t *size;          /* [K] members of a group that are in a file */
    ra_safetensors_writer *writer;
    void *memory[TENSORS_MOST]; /* until the file is written */
    size_t count;
    double multiplier;
} start;

static ra_status take(start *s, size_t count, size_t size, void **memory, ra_error *err) {
    *memory = ra_calloc(count ? count : 1, size);
    if (!*memory) RA_FAIL_MEMORY(err, "the tensors of a consensus", count * size);
    s->memory[s->count++] = *memory;
    return RA_OK;
}

/* The tensor of run r, which has the rank and the width of the first run's. */
static ra_status get(const start *s, size_t r, const char *name, const ra_tensor *first, ra_tensor *tensor,
                     ra_error *err) {
    RA_TRY(ra_safetensors_get(s->file[r], name, tensor, err));
    bool wide = first->rank == tensor->rank && (first->rank < 2 || first->shape[1] == tensor->shape[1]);
    if (!ra_dtype_is_float(tensor->dtype) || !wide)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has another type or shape than in %s", s->paths[r], name,
                s->paths[0]);
    return RA_OK;
}

static ra_status read_floats(const ra_tensor *tensor, float **values, ra_error *err) {
    size_t n = ra_tensor_elements(tensor);
    *values = ra_malloc(n ? n : 1, sizeof **values);
    if (!*values) RA_FAIL_MEMORY(err, "a tensor", n * sizeof **values);
    ra_convert_to_f32(tensor->dtype, tensor->data, *values, n);
    return RA_OK;
}

/* Calls with the number of each member and of its group, over the atoms of run r. */
#define EACH_ATOM(s, r, first, rows, k, g)                                                                   \
    for (size_t k = 0; k < (rows); k++)                                                                      \
        for (int32_t g = (s)->c->group[(first) + k], once = 1; once && g >= 0; once = 0)

/* ---- means --------------------------------------------------------------------------------------------- */

static ra_status add_of_atoms(start *s, const char *name, const size_t *rows, ra_error *err) {
    const ra_tensor *first = ra_safetensors_find(s->file[0], name);
    size_t K = s->c->atoms.rows, width, member = 0;
    void *memory;
    if (!first) return RA_OK;
    width = first->rank > 1 ? first->shape[1] : 1;
    RA_TRY(take(s, K * width, sizeof(float), &memory, err));
    float *mean = memory;
    for (size_t r = 0; r < s->c->runs; member += rows[r++]) {
        ra_tensor tensor;
        float *values;
        RA_TRY(get(s, r, name, first, &tensor, err));
        if (tensor.shape[0] != rows[r])
            RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has %zu rows, but the file has %zu atoms", s->paths[r], name,
                    tensor.shape[0], rows[r]);
        RA_TRY(read_floats(&tensor, &values, err));
        EACH_ATOM(s, r, member, rows[r], k, g)
        for (size_t j = 0; j < width; j++)
            mean[(size_t)g * width + j] += values[k * width + j] / (float)s->size[g];
        ra_free(values);
    }
    const ra_tensor all =
        first->rank > 1 ? ra_tensor_2d(RA_F32, mean, K, width) : ra_tensor_1d(RA_F32, mean, K);
    return ra_safetensors_writer_tensor(s->writer, name, &all, err);
}

/* Sums in float64, so that equal numbers have just that mean. */
static ra_status add_of_all(start *s, const char *name, ra_error *err) {
    const ra_tensor *first = ra_safetensors_find(s->file[0], name);
    void *memory[2];
    if (!first) return RA_OK;
    size_t n = ra_tensor_elements(first);
    RA_TRY(take(s, n, sizeof(float), &memory[0], err));
    RA_TRY(take(s, n, sizeof(double), &memory[1], err));
    float *mean = memory[0];
    double *sum = memory[1];
    for (size_t r = 0; r < s->c->runs; r++) {
        ra_tensor tensor;
        float *values;
        RA_TRY(get(s, r, name, first, &tensor, err));
        if (ra_tensor_elements(&tensor) != n)
            RA_FAIL(err, RA_ERR_SHAPE, "%s: %s has %zu numbers, but %zu in %s", s->paths[r], name,
                    ra_tensor_elements(&tensor), n, s->paths[0]);
        RA_TRY(read_floats(&tensor, &values, err));
        for (size_t i = 0; i < n; i++) sum[i] += (double)values[i];
        ra_free(values);
    }
    for (size_t i = 0; i < n; i++) mean[i] = (float)(sum[i] / (double)s->c->runs);
    ra_tensor all = *first;
    all.dtype = RA_F32;
    all.data = mean;
    if (strcmp(name, "dictionary.multiplier") == 0) s->multiplier = (double)mean[0];
    return ra_safetensors_writer_tensor(s->writer, name, &all, err);
}

/* ---- the dictionary ------------------------------------------------------------------------------------ */

/* values [K,d] <- the atoms before the multiplier. */
static void fill_atoms(const start *s, float *values) {
    const ra_matrix *atoms = &s->c->atoms;
    for (size_t k = 0; k < atoms->rows; k++)
        for (size_t j = 0; j < atoms->cols; j++)
            values[k * atoms->cols + j] =
                (float)((double)ra_matrix_row(atoms, k)[j] * (double)s->c->length[k] * exp(-s->multiplier));
}

static ra_status add_plain(start *s, ra_error *err) {
    size_t K = s->c->atoms.rows, d = s->c->atoms.cols;
    void *values;
    RA_TRY(take(s, K * d, sizeof(float), &values, err));
    fill_atoms(s, values);
    const ra_tensor all = ra_tensor_2d(RA_F32, values, K, d);
    return ra_safetensors_writer_tensor(s->writer, "dictionary._weights", &all, err);
}

typedef struct part {
    int32_t group;
    uint32_t run, point; /* where the vector is */
    uint64_t key;        /* mixed from the vector */
    double weight;
} part;

static int by_key(const void *a, const void *b) {
    const part *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->run < y->run ? -1 : x->run > y->run;
}

static int by_weight(const void *a, const void *b) {
    const part *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

typedef struct mixtures {
    size_t most, count; /* T; parts */
    part *parts;
    uint32_t *point_run, *point; /* [points] of the vectors that are kept */
    uint64_t *key;
    size_t points;
} mixtures;

/* Equal for equal vectors (splitmix64 over the bits of the numbers; both zeros are one). */
static uint64_t key_of(const float *vector, size_t d) {
    uint64_t key = 0;
    for (size_t j = 0; j < d; j++) {
        uint32_t bits;
        memcpy(&bits, &vector[j], sizeof bits);
        key += 0x9e3779b97f4a7c15u + (bits == 0x80000000u ? 0 : bits);
        key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9u;
        key = (key ^ key >> 27) * 0x94d049bb133111ebu;
        key ^= key >> 31;
    }
    return key;
}

static ra_status read_run(start *s, mixtures *m, size_t r, size_t member, size_t rows, ra_error *err) {
    ra_tensor index, weight, C;
    RA_TRY(ra_safetensors_get(s->file[r], "dictionary.W.index", &index, err));
    RA_TRY(ra_safetensors_get(s->file[r], "dictionary.W.weight", &weight, err));
    RA_TRY(ra_safetensors_get(s->file[r], "dictionary.C", &C, err));
    size_t T = index.rank == 2 ? index.shape[1] : 0;
    if (index.dtype != RA_I32 || weight.dtype != RA_F32 || C.rank != 2 || T != m->most || weight.rank != 2 ||
        index.shape[0] != rows || weight.shape[0] != rows || weight.shape[1] != T ||
        !ra_dtype_is_float(C.dtype) || C.shape[1] != s->c->atoms.cols)
        RA_FAIL(err, RA_ERR_SHAPE, "%s: its mixtures have another shape than those of %s (--mixture %zu)",
                s->paths[r], s->paths[0], m->most);
    const int32_t *at = index.data;
    const float *w = weight.data;
    float *points;
    RA_TRY(read_floats(&C, &points, err));
    EACH_ATOM(s, r, member, rows, k, g)
    for (size_t t = k * T; t < (k + 1) * T && at[t] >= 0; t++) {
        if ((size_t)at[t] >= C.shape[0]) {
            ra_free(points);
            RA_FAIL(err, RA_ERR_FORMAT, "%s: dictionary.W.index holds %d, but there are %zu points",
                    s->paths[r], at[t], C.shape[0]);
        }
        m->parts[m->count++] = (part){.group = g,
                                      .run = (uint32_t)r,
                                      .point = (uint32_t)at[t],
                                      .key = key_of(points + (size_t)at[t] * C.shape[1], C.shape[1]),
                                      .weight = (double)w[t] / (double)s->size[g]};
    }
    ra_free(points);
    return RA_OK;
}

/* Weights of the same point of a group become one; then each group's parts by falling weight. */
static void merge(mixtures *m) {
    size_t kept = 0;
    qsort(m->parts, m->count, sizeof *m->parts, by_key);
    for (size_t i = 0; i < m->count; i++) {
        part *last = kept ? &m->parts[kept - 1] : NULL;
        if (last && last->group == m->parts[i].group && last->key == m->parts[i].key)
            last->weight += m->parts[i].weight;
        else
            m->parts[kept++] = m->parts[i];
    }
    m->count = kept;
    for (size_t from = 0, to; from < kept; from = to) {
        for (to = from; to < kept && m->parts[to].group == m->parts[from].group;) to++;
        qsort(m->parts + from, to - from, sizeof *m->parts, by_weight);
    }
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* index, weight [K,T] <- the heaviest parts of each group, as positions in the sorted list of the keys that are kept. */
static void choose(const start *s, mixtures *m, int32_t *index, float *weight) {
    size_t K = s->c->atoms.rows, T = m->most, used = 0;
    for (size_t i = 0; i < K * T; i++) index[i] = -1;
    for (size_t from = 0, to; from < m->count; from = to) {
        size_t g = (size_t)m->parts[from].group, count = 0;
        for (to = from; to < m->count && m->parts[to].group == m->parts[from].group; to++)
            if (count < T && m->parts[to].weight > 0) m->parts[used + count++] = m->parts[to];
        double sum = 0;
        for (size_t t = 0; t < count; t++) sum += m->parts[used + t].weight;
        for (size_t t = 0; t < count; t++) {
            weight[g * T + t] = (float)(m->parts[used + t].weight / sum);
            m->key[m->points++] = m->parts[used + t].key;
        }
        used += count;
    }
    m->count = used;
    qsort(m->key, m->points, sizeof *m->key, by_number);
    size_t different = 0;
    for (size_t i = 0; i < m->points; i++)
        if (i == 0 || m->key[i] != m->key[different - 1]) m->key[different++] = m->key[i];
    m->points = different;
    for (size_t i = 0, t = 0; i < used; i++) {
        t = i > 0 && m->parts[i].group == m->parts[i - 1].group ? t + 1 : 0;
        const uint64_t *found = bsearch(&m->parts[i].key, m->key, m->points, sizeof *m->key, by_number);
        size_t at = (size_t)(found - m->key);
        index[(size_t)m->parts[i].group * T + t] = (int32_t)at;
        m->point_run[at] = m->parts[i].run;
        m->point[at] = m->parts[i].point;
    }
}

static ra_status add_mixture_tensors(start *s, const mixtures *m, const int32_t *index, const float *weight,
                                     ra_error *err) {
    size_t K = s->c->atoms.rows, d = s->c->atoms.cols, T = m->most;
    void *memory[2];
    RA_TRY(take(s, m->points * d, sizeof(float), &memory[0], err));
    RA_TRY(take(s, K * d, sizeof(float), &memory[1], err));
    float *C = memory[0], *relax = memory[1];
    for (size_t i = 0; i < m->points; i++) {
        ra_tensor all;
        RA_TRY(ra_safetensors_get(s->file[m->point_run[i]], "dictionary.C", &all, err));
        const char *row = (const char *)all.data + m->point[i] * d * ra_dtype_size(all.dtype);
        ra_convert_to_f32(all.dtype, row, C + i * d, d);
    }
    fill_atoms(s, relax);
    for (size_t i = 0; i < K * T; i++)
        for (size_t j = 0; j < d && index[i] >= 0; j++)
            relax[i / T * d + j] -= weight[i] * C[(size_t)index[i] * d + j];
    const struct {
        const char *name;
        ra_tensor tensor;
    } tensors[] = {{"dictionary.W.index", ra_tensor_2d(RA_I32, index, K, T)},
                   {"dictionary.W.weight", ra_tensor_2d(RA_F32, weight, K, T)},
                   {"dictionary.C", ra_tensor_2d(RA_F32, C, m->points, d)},
                   {"dictionary.Relax", ra_tensor_2d(RA_F32, relax, K, d)}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        RA_TRY(ra_safetensors_writer_tensor(s->writer, tensors[i].name, &tensors[i].tensor, err));
    return RA_OK;
}

static ra_status add_mixtures(start *s, const size_t *rows, ra_error *err) {
    size_t K = s->c->atoms.rows, member = 0;
    const ra_tensor *first = ra_safetensors_find(s->file[0], "dictionary.W.index");
    mixtures m = {.most = first->rank == 2 ? first->shape[1] : 0};
    size_t most = s->c->members * m.most, kept = K * m.most;
    void *index, *weight, *memory[4];
    RA_TRY(take(s, most, sizeof *m.parts, &memory[0], err));
    RA_TRY(take(s, kept, sizeof *m.point, &memory[1], err));
    RA_TRY(take(s, kept, sizeof *m.point_run, &memory[2], err));
    RA_TRY(take(s, kept, sizeof *m.key, &memory[3], err));
    RA_TRY(take(s, kept, sizeof(int32_t), &index, err));
    RA_TRY(take(s, kept, sizeof(float), &weight, err));
    m.parts = memory[0], m.point = memory[1], m.point_run = memory[2], m.key = memory[3];
    for (size_t r = 0; r < s->c->runs; member += rows[r++]) RA_TRY(read_run(s, &m, r, member, rows[r], err));
    merge(&m);
    choose(s, &m, index, weight);
    return add_mixture_tensors(s, &m, index, weight, err);
}

/* ---- settings ------------------------------------------------------------------------------------------ */

static bool is_mean(const char *key) {
    for (size_t i = 0; i < sizeof mean_keys / sizeof *mean_keys; i++)
        if (strcmp(key, mean_keys[i]) == 0) return true;
    return false;
}

static bool starts_with(const char *text, const char *head) {
    return strncmp(text, head, strlen(head)) == 0;
}

static ra_status check_same(const start *s, ra_error *err) {
    for (size_t r = 1; r < s->c->runs; r++)
        for (size_t i = 0; i < sizeof same_keys / sizeof *same_keys; i++) {
            const char *a = ra_safetensors_metadata(s->file[0], same_keys[i]),
                       *b = ra_safetensors_metadata(s->file[r], same_keys[i]);
            if (strcmp(a ? a : "", b ? b : "") != 0)
                RA_FAIL(err, RA_ERR_ARGUMENT,
                        "%s was trained with %s %s, but %s with %s; a consensus needs runs of one kind",
                        s->paths[r], same_keys[i], b ? b : "unknown", s->paths[0], a ? a : "unknown");
        }
    return RA_OK;
}

/* The settings of the first file; what belongs to its own run is left out. */
static ra_status add_settings(start *s, ra_error *err) {
    const char *key;
    for (size_t i = 0; (key = ra_safetensors_metadata_key(s->file[0], i)); i++) {
        const char *text = ra_safetensors_metadata(s->file[0], key);
        char mean[32];
        if (starts_with(key, "train.") || starts_with(key, "agreement.") || starts_with(key, "consensus.") ||
            strcmp(key, "points") == 0)
            continue;
        if (is_mean(key)) {
            double sum = 0;
            for (size_t r = 0; r < s->c->runs; r++) {
                const char *own = ra_safetensors_metadata(s->file[r], key);
                sum += strtod(own ? own : text, NULL) / (double)s->c->runs;
            }
            snprintf(mean, sizeof mean, "%.17g", sum);
            text = mean;
        }
        RA_TRY(ra_safetensors_writer_metadata(s->writer, key, text, err));
    }
    return ra_safetensors_writer_count(s->writer, "consensus.runs", s->c->runs, err);
}

/* ---- the file ------------------------------------------------------------------------------------------ */

/* rows [runs] <- the atoms of each file, of which there have to be as many as were pooled. */
static ra_status count_atoms(start *s, size_t *rows, ra_error *err) {
    static const char *const names[] = {"dictionary._weights", "dictionary.W.index"};
    size_t members = 0;
    for (size_t r = 0; r < s->c->runs; r++) {
        const ra_tensor *found = NULL;
        for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
            found = ra_safetensors_find(s->file[r], names[i]);
        if (!found)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "%s is no checkpoint of a plain dictionary or of mixtures; a consensus is made of these "
                    "(a dense W has no points in common with other runs: train with --mixture 8)",
                    s->paths[r]);
        rows[r] = found->rank > 0 ? found->shape[0] : 0;
        members += rows[r];
    }
    if (members != s->c->members)
        RA_FAIL(err, RA_ERR_SHAPE, "the files have %zu atoms, but the consensus is of %zu", members,
                s->c->members);
    for (size_t i = 0; i < members; i++)
        if (s->c->group[i] >= 0) s->size[s->c->group[i]]++;
    return RA_OK;
}

static ra_status fill(start *s, const ra_agreement *agreement, ra_error *err) {
    void *rows, *size;
    RA_TRY(take(s, s->c->runs, sizeof(size_t), &rows, err));
    RA_TRY(take(s, s->c->atoms.rows, sizeof(size_t), &size, err));
    s->size = size;
    RA_TRY(count_atoms(s, rows, err));
    RA_TRY(check_same(s, err));
    RA_TRY(add_settings(s, err));
    for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++) RA_TRY(add_of_all(s, of_all[i], err));
    for (size_t i = 0; i < sizeof of_atoms / sizeof *of_atoms; i++)
        RA_TRY(add_of_atoms(s, of_atoms[i], rows, err));
    bool mixed = ra_safetensors_find(s->file[0], "dictionary.W.index") != NULL;
    RA_TRY(mixed ? add_mixtures(s, rows, err) : add_plain(s, err));
    return agreement ? ra_agreement_store(agreement, s->writer, err) : RA_OK;
}

ra_status ra_consensus_write(const ra_consensus *consensus, const char *const *paths,
                             const ra_agreement *agreement, const char *output, ra_error *err) {
    start s = {.c = consensus, .paths = paths};
    ra_status status = RA_OK;
    s.file = ra_calloc(consensus->runs, sizeof *s.file);
    if (!s.file) RA_FAIL_MEMORY(err, "the files of a consensus", consensus->runs * sizeof *s.file);
    for (size_t r = 0; r < consensus->runs; r++)
        RA_TRY_OUT(status, ra_safetensors_open(paths[r], &s.file[r], err));
    RA_TRY_OUT(status, ra_safetensors_writer_new(&s.writer, err));
    RA_TRY_OUT(status, fill(&s, agreement, err));
    ra_safetensors_writer_seal(s.writer, NULL, NULL);
    RA_TRY_OUT(status, ra_safetensors_writer_write(s.writer, output, err));
out:
    ra_safetensors_writer_free(s.writer);
    for (size_t i = 0; i < s.count; i++) ra_free(s.memory[i]);
    for (size_t r = 0; r < consensus->runs; r++) ra_safetensors_free(s.file[r]);
    ra_free(s.file);
    return status;
}
