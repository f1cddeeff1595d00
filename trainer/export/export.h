/* export.h - the formats of `rasae export`, a file each. To add one: its file, which defines an export_format, its
 * declaration below, its row in export.c, its test in tests/cli/test_export.py.
 *
 * Thread safety: the program has one thread of its own.
 */
#ifndef RASAE_EXPORT_EXPORT_H
#define RASAE_EXPORT_EXPORT_H

#include "app/json.h"
#include "ra.h"

typedef struct export_job {
    const ra_model *model;
    const ra_weights *weights;  /* of the model */
    const char *folder;         /* where the files go, an empty one */
    const char *network, *hook; /* as in ra_model_info; NULL: unknown */
    const char *set;            /* neuronpedia: the name of the set; NULL: none was given */
    int layer;                  /* neuronpedia: -1: none was given */
} export_job;

typedef struct export_format {
    const char *name, *files; /* files: what it writes, for people */
    ra_status (*write)(const export_job *job, ra_error *err);
} export_format;

extern const export_format export_saelens, export_overcomplete, export_neuronpedia, export_npz, export_csv,
    export_labels;

/* ---- what they share (parts.c) ------------------------------------------------------------------------- */

/* *path <- folder/name; the caller frees it with ra_free(). */
ra_status export_path(const export_job *job, const char *name, char **path, ra_error *err);

/* Writes a text as the file `name` and releases it. */
ra_status export_text(const export_job *job, const char *name, text *content, ra_error *err);

/* The settings of SAELens's cfg.json, for weights that it can have. npz files have the same beside them. RA_ERR_UNSUPPORTED,
 * with the reason, for those that it cannot. `what` names the format in it. */
ra_status export_config(const export_job *job, const char *what, text *json, ra_error *err);

/* The weights under SAELens's names, which are those of Gemma Scope, too. `encoder` has the transpose in it and is the
 * caller's to free with ra_free(). Returns how many. */
enum { EXPORT_ARRAYS = 8 };
ra_status export_arrays(const export_job *job, const char *names[EXPORT_ARRAYS],
                        ra_tensor tensors[EXPORT_ARRAYS], size_t *count, float **encoder, ra_error *err);

/* RA_ERR_UNSUPPORTED that names the model. */
ra_status export_refuse(const export_job *job, const char *what, const char *why, ra_error *err);

#endif
