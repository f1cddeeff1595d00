/* eval.h - the parts of `rasae eval`, whose flags and passes over the data are in trainer/eval.c.
 *
 *   print.c    the table and the JSON
 *   classes.c  a file of classes, one per data row
 */
#ifndef RASAE_EVAL_EVAL_H
#define RASAE_EVAL_EVAL_H

#include "common/agreement.h"
#include "ra.h"

/* The classes of data rows, numbered in the order of their names. */
typedef struct row_classes {
    ra_labels *lines;
    int32_t *row_class; /* [rows] of those that are used */
    const char **names; /* [count], of lines */
    size_t rows, count;
} row_classes;

/* One class per line, for each row in the files of the data. After a failure *classes has to be released,
 * too. */
ra_status row_classes_open(const char *path, const ra_data *data, row_classes *classes, ra_error *err);
void row_classes_release(row_classes *classes);

typedef struct eval_report {
    const char *const *data;
    size_t data_count;
    const ra_model *model;
    ra_evaluation_result result;
    ra_latent_statistics latents;
    size_t agreement_runs; /* that the atoms were compared with; 0: none */
    agreement_figures agreement;
    const row_classes *classes;         /* count 0: none */
    const ra_class_detector *detectors; /* [classes->count]; NULL when they are not known */
} eval_report;

ra_status eval_print_json(const eval_report *report, ra_error *err);
void eval_print_table(const eval_report *report);

#endif
