/* A query is a set of atoms as bits, each condition taking some away, and a walk over all atoms in the order that is asked
 * for. A million atoms are 125 KB of bits, and their order 4 MB, so this needs no other index. */
#include "serving/atoms/index.h"
#include "ra_memory.h"
#include "serving/atoms/orders.h"

#include <string.h>

struct atom_index {
    const ra_model *model;
    size_t count, words; /* K, and words of 64 bits for them */
    atom_orders *orders;
    atom_labels *labels; /* NULL: no atom has any */
};

/* The sets of a query, in its memory. */
enum { MATCHES, KINDS, SETS = KINDS + ATOM_LABEL_KINDS };

/* ---- life ---------------------------------------------------------------------------------------------- */

ra_status atom_index_new(const ra_model *model, atom_index **out, ra_error *err) {
    size_t count = ra_model_get_info(model)->concepts;
    atom_index *index = ra_calloc(1, sizeof *index);
    if (!index) RA_FAIL_MEMORY(err, "the table of the atoms", sizeof *index);
    *index = (atom_index){.model = model, .count = count, .words = (count + 63) / 64};
    ra_status status = atom_orders_new(model, &index->orders, err);
    if (status == RA_OK) status = atom_labels_new(model, &index->labels, err);
    if (status == RA_OK && atom_labels_count(index->labels) == 0) {
        atom_labels_free(index->labels);
        index->labels = NULL;
    }
    if (status == RA_OK)
        *out = index;
    else
        atom_index_free(index);
    return status;
}

void atom_index_free(atom_index *index) {
    if (!index) return;
    atom_orders_free(index->orders);
    atom_labels_free(index->labels);
    ra_free(index);
}

size_t atom_index_bytes(const atom_index *index) {
    return sizeof *index + atom_orders_bytes(index->orders) +
           (index->labels ? atom_labels_bytes(index->labels) : 0);
}

size_t atom_index_scratch(const atom_index *index) {
    return SETS * index->words;
}

/* ---- conditions ---------------------------------------------------------------------------------------- */

typedef struct search {
    const atom_index *index;
    const atom_query *query;
    uint64_t *sets[SETS];
} search;

static bool has(const uint64_t *set, size_t atom) {
    return set[atom / 64] >> atom % 64 & 1;
}

static void fill(const search *s, uint64_t *set) {
    size_t words = s->index->words, rest = s->index->count % 64;
    memset(set, 0xff, words * sizeof *set);
    if (rest) set[words - 1] = ((uint64_t)1 << rest) - 1;
}

static void mark_set(void *context, size_t atom) {
    uint64_t *own = context;
    own[atom / 64] |= (uint64_t)1 << atom % 64;
}

/* Labels that were set take the place of those of the file. */
static ra_status match_set_labels(const search *s, uint64_t *own, ra_error *err) {
    for (size_t i = 0; i < set_labels_count(s->query->labels); i++) {
        size_t atom = set_labels_item(s->query->labels, i)->atom;
        if (atom < s->index->count) own[atom / 64] &= ~((uint64_t)1 << atom % 64);
    }
    return set_labels_find(s->query->labels, s->query->text, mark_set, own, err);
}

static ra_status match_text(const search *s, ra_error *err) {
    uint64_t *const kinds[ATOM_LABEL_KINDS] = {s->sets[KINDS], s->sets[KINDS + 1], s->sets[KINDS + 2]};
    if (!s->query->text) return RA_OK;
    if (!s->index->labels && set_labels_count(s->query->labels) == 0)
        RA_FAIL(err, RA_ERR_STATE,
                "the file has no labels of atoms, archetypes or rows, in which q could be found");
    for (size_t kind = 0; kind < ATOM_LABEL_KINDS; kind++)
        memset(kinds[kind], 0, s->index->words * sizeof *kinds[kind]);
    if (s->index->labels) RA_TRY(atom_labels_find(s->index->labels, s->query->text, kinds, err));
    RA_TRY(match_set_labels(s, kinds[ATOM_LABEL_OWN], err));
    for (size_t w = 0; w < s->index->words; w++)
        s->sets[MATCHES][w] &= kinds[0][w] | kinds[1][w] | kinds[2][w];
    return RA_OK;
}

/* Both in one pass over the counts. */
static ra_status match_statistics(const search *s, ra_error *err) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(s->index->model);
    double least = s->query->min_frequency;
    atom_dead dead = s->query->dead;
    if (least <= 0 && dead == ATOM_DEAD_OR_NOT) return RA_OK;
    if (!measured)
        RA_FAIL(err, RA_ERR_STATE,
                "the file has no statistics of its latents, which min_frequency and dead need; rasae eval "
                "--save adds them");
    for (size_t w = 0; w < s->index->words; w++) {
        uint64_t bits = 0;
        size_t first = 64 * w, end = first + 64 < s->index->count ? first + 64 : s->index->count;
        for (size_t k = first; k < end; k++) {
            bool is_dead = measured->count[k] == 0;
            bool keeps = (double)measured->count[k] >= least * (double)measured->rows &&
                         (dead == ATOM_DEAD_OR_NOT || (dead == ATOM_DEAD) == is_dead);
            bits |= (uint64_t)keeps << (k - first);
        }
        s->sets[MATCHES][w] &= bits;
    }
    return RA_OK;
}

static ra_status match_point(const search *s, ra_error *err) {
    const ra_model_info *info = ra_model_get_info(s->index->model);
    size_t words = s->index->words, point = s->query->point;
    uint64_t *set = s->sets[KINDS]; /* free as yet */
    if (!s->query->has_point) return RA_OK;
    if (!info->archetypes)
        RA_FAIL(err, RA_ERR_STATE, "the file has no archetypes of its atoms, among which a point could be");
    size_t count = point < info->points ? ra_model_point_atoms(s->index->model, point, NULL, 0) : 0;
    ra_point_use *uses = ra_malloc(count + 1, sizeof *uses);
    if (!uses) RA_FAIL_MEMORY(err, "the atoms of a point", count * sizeof *uses);
    if (count) (void)ra_model_point_atoms(s->index->model, point, uses, count);
    memset(set, 0, words * sizeof *set);
    for (size_t i = 0; i < count; i++) set[uses[i].atom / 64] |= (uint64_t)1 << uses[i].atom % 64;
    for (size_t w = 0; w < words; w++) s->sets[MATCHES][w] &= set[w];
    ra_free(uses);
    return RA_OK;
}

/* ---- the page ------------------------------------------------------------------------------------------ */

typedef struct page {
    size_t *atoms, skip, left, count;
} page;

/* By number, whole words of bits can be passed over. */
static size_t pass_over(const search *s, const uint64_t *set, page *out) {
    size_t w = 0;
    for (; w < s->index->words; w++) {
        size_t here = (size_t)__builtin_popcountll(s->sets[MATCHES][w] & (set ? set[w] : ~(uint64_t)0));
        if (here > out->skip) break;
        out->skip -= here;
    }
    return 64 * w;
}

/* The atoms of MATCHES that are in the set (NULL: all), in an order (NULL: by number). */
static void take(const search *s, const uint64_t *set, const uint32_t *order, page *out) {
    for (size_t i = order ? 0 : pass_over(s, set, out); i < s->index->count && out->left; i++) {
        size_t atom = order ? order[i] : i;
        if (!has(s->sets[MATCHES], atom) || (set && !has(set, atom))) continue;
        if (out->skip) {
            out->skip--;
            continue;
        }
        out->atoms[out->count++] = atom;
        out->left--;
    }
}

/* Kind by kind, each atom with the first of its kinds. */
static void take_by_kind(const search *s, page *out) {
    for (size_t kind = 0; kind < ATOM_LABEL_KINDS; kind++) {
        const uint64_t *set = s->sets[KINDS + kind];
        take(s, set, NULL, out);
        for (size_t w = 0; w < s->index->words; w++) s->sets[MATCHES][w] &= ~set[w];
    }
}

static size_t count_bits(const uint64_t *set, size_t words) {
    size_t count = 0;
    for (size_t w = 0; w < words; w++) count += (size_t)__builtin_popcountll(set[w]);
    return count;
}

static ra_status match(search *s, uint64_t *scratch, size_t *total, ra_error *err) {
    for (size_t i = 0; i < SETS; i++) s->sets[i] = scratch + i * s->index->words;
    fill(s, s->sets[MATCHES]);
    RA_TRY(match_point(s, err));
    RA_TRY(match_statistics(s, err));
    RA_TRY(match_text(s, err));
    *total = count_bits(s->sets[MATCHES], s->index->words);
    return RA_OK;
}

ra_status atom_index_match(const atom_index *index, const atom_query *query, uint64_t *scratch, size_t *total,
                           ra_error *err) {
    return match(&(search){.index = index, .query = query}, scratch, total, err);
}

ra_status atom_index_find(const atom_index *index, const atom_query *query, uint64_t *scratch, size_t *atoms,
                          atom_label_kind *found, size_t *count, size_t *total, ra_error *err) {
    search s = {.index = index, .query = query};
    RA_TRY(match(&s, scratch, total, err));
    page out = {.atoms = atoms, .skip = query->offset, .left = query->offset < *total ? query->limit : 0};
    if (query->text && !query->sort)
        take_by_kind(&s, &out);
    else
        take(&s, NULL, query->sort ? atom_orders_get(index->orders, query->sort, query->falling) : NULL,
             &out);
    for (size_t i = 0; found && i < out.count; i++) {
        found[i] = ATOM_LABEL_OWN;
        while (query->text && !has(s.sets[KINDS + found[i]], atoms[i])) found[i]++;
    }
    *count = out.count;
    return RA_OK;
}
