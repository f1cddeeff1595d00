#include "serving/atoms/columns.h"

#include <math.h>
#include <string.h>

static double value_of_index(const ra_model *model, size_t atom) {
    (void)model;
    return (double)atom;
}

static double value_of_layout(const ra_model *model, size_t atom, int axis) {
    float position[2];
    return ra_model_atom_layout(model, atom, position) ? (double)position[axis] : NAN;
}

static double value_of_x(const ra_model *model, size_t atom) {
    return value_of_layout(model, atom, 0);
}

static double value_of_y(const ra_model *model, size_t atom) {
    return value_of_layout(model, atom, 1);
}

static double value_of_norm(const ra_model *model, size_t atom) {
    return (double)ra_model_atom_norm(model, atom);
}

static double value_of_relaxation(const ra_model *model, size_t atom) {
    return (double)ra_model_atom_relaxation(model, atom);
}

static double value_of_coverage(const ra_model *model, size_t atom) {
    return (double)ra_model_atom_coverage(model, atom);
}

static double value_of_hull_share(const ra_model *model, size_t atom) {
    return (double)ra_model_atom_hull_share(model, atom);
}

static double value_of_trace_cosine(const ra_model *model, size_t atom) {
    return (double)ra_model_atom_trace_cosine(model, atom);
}

static double value_of_agreement(const ra_model *model, size_t atom) {
    return (double)ra_model_atom_agreement(model, atom);
}

static double value_of_agreement_cosine(const ra_model *model, size_t atom) {
    return (double)ra_model_atom_agreement_cosine(model, atom);
}

/* ---- measured on data ---------------------------------------------------------------------------------- */

static double value_of_energy(const ra_model *model, size_t atom) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    return measured ? (double)measured->energy[atom] : NAN;
}

static double value_of_count(const ra_model *model, size_t atom) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    return measured ? (double)measured->count[atom] : NAN;
}

static double value_of_frequency(const ra_model *model, size_t atom) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    return measured && measured->rows ? (double)measured->count[atom] / (double)measured->rows : NAN;
}

static double value_of_mean(const ra_model *model, size_t atom) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    return measured ? (double)measured->mean[atom] : NAN;
}

static double value_of_max(const ra_model *model, size_t atom) {
    const ra_latent_statistics *measured = ra_model_latent_statistics(model);
    return measured ? (double)measured->max[atom] : NAN;
}

const atom_column atom_columns[ATOM_COLUMNS] = {
    {"index", true, value_of_index},
    {"x", false, value_of_x},
    {"y", false, value_of_y},
    {"energy", false, value_of_energy},
    {"count", true, value_of_count},
    {"frequency", false, value_of_frequency},
    {"mean", false, value_of_mean},
    {"max", false, value_of_max},
    {"norm", false, value_of_norm},
    {"relaxation", false, value_of_relaxation},
    {"coverage", false, value_of_coverage},
    {"hull_share", false, value_of_hull_share},
    {"trace_cosine", false, value_of_trace_cosine},
    {"agreement", false, value_of_agreement},
    {"agreement_cosine", false, value_of_agreement_cosine},
};

const atom_column *atom_column_named(const char *name, size_t size) {
    for (size_t i = 0; i < ATOM_COLUMNS; i++)
        if (strlen(atom_columns[i].name) == size && memcmp(atom_columns[i].name, name, size) == 0)
            return &atom_columns[i];
    return NULL;
}
