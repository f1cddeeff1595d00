/* Tables for spreadsheets and notebooks: decoder.csv [K,d], encoder.csv, decoder_bias.csv, and atoms.csv with what is known of
 * each atom. Numbers are the shortest decimals that read back to the same float32. */
#include "export/export.h"

#include <math.h>
#include <string.h>

/* ---- cells --------------------------------------------------------------------------------------------- */

static void cell_number(text *out, float value) {
    text_string(out, ",");
    if (isfinite(value)) text_f32(out, value); /* unknown: an empty cell */
}

/* RFC 4180: in quotes, which are doubled inside. */
static void cell_text(text *out, const char *string) {
    text_string(out, ",");
    if (!string) return;
    text_string(out, "\"");
    for (const char *at = string; *at; at++) {
        if (*at == '"') text_string(out, "\"");
        text_append(out, at, 1);
    }
    text_string(out, "\"");
}

/* ---- files that grow row by row ------------------------------------------------------------------------ */

typedef struct table {
    ra_atomic_file *file;
    text row;
} table;

static ra_status begin(const export_job *job, const char *name, table *t, ra_error *err) {
    char *path = NULL;
    *t = (table){0};
    ra_status status = export_path(job, name, &path, err);
    if (status == RA_OK) status = ra_atomic_file_begin(path, &t->file, err);
    ra_free(path);
    return status;
}

static ra_status end_row(table *t, ra_error *err) {
    text_string(&t->row, "\n");
    if (t->row.failed) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a row of a table");
    RA_TRY(ra_atomic_file_write(t->file, t->row.data, t->row.size, err));
    t->row.size = 0;
    return RA_OK;
}

static ra_status end(table *t, ra_status status, ra_error *err) {
    text_release(&t->row);
    if (status == RA_OK) return ra_atomic_file_commit(t->file, err);
    ra_atomic_file_abort(t->file);
    return status;
}

/* ---- the tables ---------------------------------------------------------------------------------------- */

/* A column of each row, before the numbers of a matrix. */
typedef struct column {
    const char *name;
    const float *values;
} column;

static ra_status write_rows(table *t, const column *columns, size_t count, const float *m, size_t rows,
                            size_t d, ra_error *err) {
    text_string(&t->row, "atom");
    for (size_t c = 0; c < count; c++)
        if (columns[c].values) text_format(&t->row, ",%s", columns[c].name);
    for (size_t j = 0; j < d; j++) text_format(&t->row, ",%zu", j);
    RA_TRY(end_row(t, err));
    for (size_t k = 0; k < rows; k++) {
        text_size(&t->row, k);
        for (size_t c = 0; c < count; c++)
            if (columns[c].values) cell_number(&t->row, columns[c].values[k]);
        for (size_t j = 0; j < d; j++) cell_number(&t->row, m[k * d + j]);
        RA_TRY(end_row(t, err));
    }
    return RA_OK;
}

static ra_status write_matrix(const export_job *job, const char *name, const column *columns, size_t count,
                              const float *m, ra_error *err) {
    table t;
    RA_TRY(begin(job, name, &t, err));
    return end(&t, write_rows(&t, columns, count, m, job->weights->concepts, job->weights->dimensions, err),
               err);
}

static ra_status write_bias(const export_job *job, ra_error *err) {
    table t;
    ra_status status = RA_OK;
    RA_TRY(begin(job, "decoder_bias.csv", &t, err));
    text_string(&t.row, "dimension,value\n");
    for (size_t j = 0; status == RA_OK && j < job->weights->dimensions; j++) {
        text_size(&t.row, j);
        cell_number(&t.row, job->weights->decoder_bias[j]);
        status = end_row(&t, err);
    }
    return end(&t, status, err);
}

static ra_status write_atoms(const export_job *job, table *t, ra_error *err) {
    const ra_model *model = job->model;
    const ra_latent_statistics *statistics = ra_model_latent_statistics(model);
    text_string(&t->row, "atom,label,label_source,norm,coverage,hull_share,relaxation,frequency,mean,max,"
                         "energy,archetypes,explanation,explanation_source,explanation_score\n");
    for (size_t k = 0; k < job->weights->concepts; k++) {
        text archetypes = {0};
        ra_archetype archetype;
        text_size(&t->row, k);
        cell_text(&t->row, ra_model_atom_label(model, k));
        cell_text(&t->row, ra_label_source_name(ra_model_atom_label_source(model, k)));
        cell_number(&t->row, ra_model_atom_norm(model, k));
        cell_number(&t->row, ra_model_atom_coverage(model, k));
        cell_number(&t->row, ra_model_atom_hull_share(model, k));
        cell_number(&t->row, ra_model_atom_relaxation(model, k));
        cell_number(&t->row,
                    statistics ? (float)((double)statistics->count[k] / (double)statistics->rows) : NAN);
        cell_number(&t->row, statistics ? statistics->mean[k] : NAN);
        cell_number(&t->row, statistics ? statistics->max[k] : NAN);
        cell_number(&t->row, statistics ? statistics->energy[k] : NAN);
        for (size_t i = 0; ra_model_atom_archetype(model, k, i, &archetype); i++) {
            text_format(&archetypes, "%s%zu:", i ? " " : "", archetype.point);
            text_f32(&archetypes, archetype.weight);
        }
        char *list = text_detach(&archetypes, NULL);
        cell_text(&t->row, list && list[0] ? list : NULL);
        ra_free(list);
        ra_label_words words;
        ra_model_atom_words(model, k, &words);
        cell_text(&t->row, words.explanation);
        cell_text(&t->row, words.source);
        cell_number(&t->row, words.score);
        RA_TRY(end_row(t, err));
    }
    return RA_OK;
}

static ra_status write(const export_job *job, ra_error *err) {
    const ra_weights *w = job->weights;
    table t;
    const column columns[] = {{"bias", w->encoder_bias},
                              {"threshold", w->thresholds},
                              {"norm_weight", w->norm_weight},
                              {"norm_bias", w->norm_bias}};
    RA_TRY(write_matrix(job, "decoder.csv", NULL, 0, w->decoder, err));
    if (w->encoder)
        RA_TRY(write_matrix(job, "encoder.csv", columns, sizeof columns / sizeof *columns, w->encoder, err));
    if (w->has_decoder_bias) RA_TRY(write_bias(job, err));
    RA_TRY(begin(job, "atoms.csv", &t, err));
    return end(&t, write_atoms(job, &t, err), err);
}

const export_format export_csv = {
    .name = "csv", .files = "atoms.csv, decoder.csv, encoder.csv", .write = write};
