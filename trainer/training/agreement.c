/* How many of the runs of a consensus have each atom of the model that was trained from it. */
#include "training/training.h"

#include "common/agreement.h"

ra_status train_agreement(train_run *run, train_model *model, ra_error *err) {
    const train_options *options = run->options;
    run_dictionaries runs = {.count = 0};
    ra_matrix atoms = {0};
    ra_status status;
    if (run->interrupted || options->run_count == 0) return RA_OK;
    RA_TRY_OUT(status, train_copy_atoms(run, model, &atoms, err));
    RA_TRY_OUT(status, run_dictionaries_open(&options->model, options->runs, options->run_count, &runs, err));
    status = run_dictionaries_agreement(&options->model, &atoms, &runs, RA_AGREEMENT_LEVEL, &model->agreement,
                                        err);
out:
    run_dictionaries_release(&runs);
    ra_matrix_release(&atoms);
    return status;
}
