/* Queries of atoms (server/serving/atoms/{index,labels,orders,columns}.c) against plain loops over all of them: labels,
 * statistics, points, orders, pages. */
#include "serving/atoms/index.h"
#include "harness.h"
#include "model_files.h"
#include "ra_memory.h"
#include "serving/atoms/orders.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K = 200, N = 7, T = 3, E = 2, ROWS = 50, PAGE = 16 };

static ra_model *model;
static atom_index *table;
static uint64_t scratch[8 * (K / 64 + 1)];

static const char *const names[] = {"red fox", "telescope", "telephone", "Red-Shift", "owl", ""};
enum { NAMES = sizeof names / sizeof *names };

static const char *name_of(size_t i) {
    return names[i * 2654435761u % 97 % NAMES];
}

/* Lines for a tensor of labels, `across` of them in each, with tabs between. */
static void put_labels(model_file *file, const char *tensor, size_t lines, size_t across, size_t seed) {
    char text[64 * 1024];
    size_t size = 0;
    for (size_t i = 0; i < lines; i++)
        for (size_t j = 0; j < across; j++)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", name_of(seed + i * across + j),
                                     j + 1 < across ? "\t" : "\n");
    model_file_put_text(file, tensor, text);
}

static void make_model(bool measured, bool labeled) {
    static float D[K * 2], energy[K], mean[K], max[K], top[K], value[K * E], weight[K * T], layout[K * 2];
    static int64_t count[K], histogram[K], row[K * E];
    static int32_t point[K * T];
    test_fill(D, K * 2, 1);
    test_fill(layout, K * 2, 2);
    for (size_t k = 0; k < K; k++) {
        count[k] = (int64_t)(k * 7 % 11 % 5) * 3; /* many equal, many dead */
        histogram[k] = count[k];
        energy[k] = count[k] ? (float)(k * 13 % 10) / 4 : 0;
        mean[k] = max[k] = count[k] ? 1 + (float)(k % 3) : 0;
        top[k] = count[k] ? 8 : 0;
        for (size_t e = 0; e < E; e++) {
            row[k * E + e] = count[k] ? (int64_t)((k + e) % ROWS) : -1;
            value[k * E + e] = count[k] ? max[k] : 0;
        }
        for (size_t t = 0; t < T; t++) {
            bool has = t < 1 + k % T;
            point[k * T + t] = has ? (int32_t)((k * 3 + t) % N) : -1;
            weight[k * T + t] = has ? 0.5f / (float)(t + 1) : 0;
        }
    }
    model_file file = {0};
    model_file_put(&file, "dictionary", RA_F32, 2, K, 2, D);
    model_file_put(&file, "archetypes.index", RA_I32, 2, K, T, point);
    model_file_put(&file, "archetypes.weight", RA_F32, 2, K, T, weight);
    model_file_text(&file, "format", "rasae.fused.v1");
    model_file_text(&file, "points", "7");
    if (labeled) {
        put_labels(&file, "atoms.labels", K, 1, 0);
        put_labels(&file, "points.labels", N, 1, 5);
    }
    if (measured) {
        model_file_put(&file, "latents.count", RA_I64, 1, K, 0, count);
        model_file_put(&file, "latents.mean", RA_F32, 1, K, 0, mean);
        model_file_put(&file, "latents.max", RA_F32, 1, K, 0, max);
        model_file_put(&file, "latents.energy", RA_F32, 1, K, 0, energy);
        model_file_put(&file, "latents.histogram_top", RA_F32, 1, K, 0, top);
        model_file_put(&file, "latents.histogram", RA_I64, 2, K, 1, histogram);
        model_file_put(&file, "latents.top_row", RA_I64, 2, K, E, row);
        model_file_put(&file, "latents.top_value", RA_F32, 2, K, E, value);
        if (labeled) put_labels(&file, "latents.top_labels", K, E, 3);
        model_file_put(&file, "atoms.layout", RA_F32, 2, K, 2, layout);
        model_file_text(&file, "latents.rows", "50");
    }
    model = model_open(model_file_write(&file, "table.safetensors"));
    model_file_release(&file);
    ra_ok(atom_index_new(model, &table, &err));
    ck_assert_uint_le(atom_index_scratch(table), sizeof scratch / sizeof *scratch);
}

static void release(void) {
    atom_index_free(table);
    ra_model_release(model);
}

/* ---- in plain loops ------------------------------------------------------------------------------------ */

static bool is_word_of(const char *label, const char *beginning) {
    for (const char *at = label; label && *at; at++)
        if ((at == label || strchr(" -", at[-1])) && strncasecmp(at, beginning, strlen(beginning)) == 0)
            return true;
    return false;
}

/* The first kind of label of the atom that has the word; ATOM_LABEL_KINDS: none. */
static atom_label_kind kind_of(size_t atom, const char *word) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    ra_archetype archetype;
    ra_latent_example example;
    if (is_word_of(ra_model_atom_label(model, atom), word)) return ATOM_LABEL_OWN;
    for (size_t t = 0; ra_model_atom_archetype(model, atom, t, &archetype); t++)
        if (is_word_of(archetype.label, word)) return ATOM_LABEL_ARCHETYPE;
    for (size_t t = 0; measured && ra_latent_statistics_example(measured, atom, t, &example); t++)
        if (is_word_of(example.label, word)) return ATOM_LABEL_ROW;
    return ATOM_LABEL_KINDS;
}

static bool has_point(size_t atom, size_t point) {
    ra_archetype archetype;
    for (size_t t = 0; ra_model_atom_archetype(model, atom, t, &archetype); t++)
        if (archetype.point == point) return true;
    return false;
}

static bool matches(size_t atom, const atom_query *query) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    if (query->text && kind_of(atom, query->text) == ATOM_LABEL_KINDS) return false;
    if (query->min_frequency > 0 && (double)measured->count[atom] / ROWS < query->min_frequency) return false;
    if (query->dead != ATOM_DEAD_OR_NOT && (query->dead == ATOM_DEAD) != (measured->count[atom] == 0))
        return false;
    return !query->has_point || has_point(atom, query->point);
}

static const atom_query *sorting;

static int compare(const void *a, const void *b) {
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    int by_number = i < j ? -1 : i > j;
    if (!sorting->sort && sorting->text) {
        int kinds = (int)kind_of(i, sorting->text) - (int)kind_of(j, sorting->text);
        return kinds ? kinds : by_number;
    }
    if (!sorting->sort) return by_number;
    double x = sorting->sort->value(model, i), y = sorting->sort->value(model, j);
    if (isnan(x) || isnan(y)) return isnan(x) && isnan(y) ? by_number : isnan(x) ? 1 : -1;
    if (x == y) return by_number;
    return (x < y) == sorting->falling ? 1 : -1;
}

static void check_query(const atom_query *query) {
    uint32_t all[K];
    size_t got[PAGE];
    atom_label_kind kinds[PAGE];
    size_t expected = 0, count, total;
    for (uint32_t k = 0; k < K; k++)
        if (matches(k, query)) all[expected++] = k;
    sorting = query;
    qsort(all, expected, sizeof *all, compare);
    ra_ok(atom_index_find(table, query, scratch, got, kinds, &count, &total, &err));
    ck_assert_uint_eq(total, expected);
    size_t rest = query->offset < expected ? expected - query->offset : 0;
    ck_assert_uint_eq(count, rest < query->limit ? rest : query->limit);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(got[i], all[query->offset + i]);
        ck_assert_int_eq(kinds[i], query->text ? (int)kind_of(got[i], query->text) : ATOM_LABEL_OWN);
    }
    ra_ok(atom_index_match(table, query, scratch, &total, &err));
    ck_assert_uint_eq(total, expected);
    for (uint32_t k = 0; k < K; k++) ck_assert_int_eq(scratch[k / 64] >> k % 64 & 1, matches(k, query));
}

/* ---- tests --------------------------------------------------------------------------------------------- */

START_TEST(test_queries_are_what_loops_find) {
    static const char *const words[] = {NULL, "red", "tele", "owl", "shift", "nothing"};
    static const double frequencies[] = {0, 0.06, 0.18};
    size_t found = 0;
    make_model(true, true);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        for (size_t f = 0; f < 3; f++)
            for (atom_dead dead = ATOM_DEAD_OR_NOT; dead <= ATOM_NOT_DEAD; dead++)
                for (size_t point = 0; point <= N + 1; point++)
                    for (size_t sort = 0; sort <= ATOM_COLUMNS; sort++) {
                        atom_query query = {.text = words[w],
                                            .min_frequency = frequencies[f],
                                            .dead = dead,
                                            .has_point = point > 0,
                                            .point = point - 1,
                                            .sort = sort < ATOM_COLUMNS ? &atom_columns[sort] : NULL,
                                            .falling = (found + sort) % 2,
                                            .offset = found++ % 5 * 7,
                                            .limit = PAGE};
                        check_query(&query);
                    }
    release();
}
END_TEST

START_TEST(test_what_a_file_lacks_is_said) {
    static const struct {
        atom_query query;
        const char *sentence;
    } table_of[] = {{{.text = "red", .limit = 1}, "has no labels of atoms"},
                    {{.min_frequency = 0.5, .limit = 1}, "has no statistics of its latents"},
                    {{.dead = ATOM_DEAD, .limit = 1}, "rasae eval --save adds them"}};
    size_t atoms[1], count, total;
    make_model(false, false);
    for (size_t i = 0; i < sizeof table_of / sizeof *table_of; i++)
        ra_fails(atom_index_find(table, &table_of[i].query, scratch, atoms, NULL, &count, &total, &err),
                 RA_ERR_STATE, table_of[i].sentence);
    atom_query all = {.sort = atom_column_named("energy", 6), .offset = K - 1, .limit = PAGE};
    check_query(&all); /* all unknown: by number */
    release();
}
END_TEST

START_TEST(test_orders_take_memory_where_there_is_one) {
    make_model(true, true);
    size_t measured = atom_index_bytes(table);
    ck_assert_uint_gt(measured, 8 * K * sizeof(uint32_t));
    release();
    make_model(false, false);
    ck_assert_uint_lt(atom_index_bytes(table), measured);
    release();
    atom_index_free(NULL);
}
END_TEST

START_TEST(test_columns_have_names) {
    for (size_t i = 0; i < ATOM_COLUMNS; i++) {
        ck_assert_ptr_eq(atom_column_named(atom_columns[i].name, strlen(atom_columns[i].name)),
                         &atom_columns[i]);
        for (size_t j = 0; j < i; j++) ck_assert_str_ne(atom_columns[i].name, atom_columns[j].name);
    }
    ck_assert_ptr_null(atom_column_named("energ", 5));
    ck_assert_ptr_null(atom_column_named("energyx", 7));
}
END_TEST

TEST_CASES(atom_index, test_queries_are_what_loops_find, test_what_a_file_lacks_is_said,
           test_orders_take_memory_where_there_is_one, test_columns_have_names)
