/* The rows of the data that the atoms of the finished model are traced to. They go into its checkpoint, so that what is
 * said of its atoms needs no further command. `rasae trace` does the same for any model, with all rows. */
#include "training/training.h"

enum { SEARCHED_MOST = 100000 };

static bool on_progress(void *context, uint64_t done, uint64_t total) {
    train_run *run = context;
    size_t percent = (size_t)(100 * done / total);
    if (progress_due(&run->progress, percent)) progress_show(&run->progress, percent, 0, NULL, 0);
    return !command_interrupted();
}

ra_status train_copy_atoms(const train_run *run, train_model *model, ra_matrix *atoms, ra_error *err) {
    ra_dictionary *dictionary = ra_sae_dictionary(model->sae);
    const float *D;
    RA_TRY(
        ra_matrix_init(atoms, ra_dictionary_concepts(dictionary), ra_dictionary_dimensions(dictionary), err));
    RA_TRY(ra_sae_set_training(model->sae, false, err));
    RA_TRY(ra_dictionary_get(dictionary, &D, err));
    RA_TRY(ra_backend_get(run->backend, atoms->data, D, atoms->rows * atoms->cols * sizeof *D, err));
    return ra_sae_set_training(model->sae, true, err);
}

ra_status train_trace(train_run *run, train_model *model, ra_error *err) {
    size_t rows = ra_data_rows(run->inputs->data);
    ra_trace_options options = {.rows = run->options->trace_rows,
                                .searched = rows > SEARCHED_MOST ? SEARCHED_MOST : 0,
                                .progress = on_progress,
                                .context = run};
    ra_matrix atoms = {0};
    ra_status status;
    if (run->interrupted || options.rows == 0 || !train_run_speaks(run)) return RA_OK;
    RA_TRY_OUT(status, train_copy_atoms(run, model, &atoms, err));
    progress_start(&run->progress, "tracing", 100);
    const ra_tensor D = ra_tensor_2d(RA_F32, atoms.data, atoms.rows, atoms.cols);
    status = ra_trace_atoms(run->backend, &D, run->inputs->data, &options, &model->trace, err);
    if (status == RA_ERR_CANCELED) status = RA_OK;
out:
    ra_matrix_release(&atoms);
    return status;
}
