/* The atoms before the first step, which a checkpoint keeps: how alike two runs are in the end says little without how
 * alike they began (`rasae compare`). In BF16, at a sixteenth of what the rest of the file takes. */
#include "training/training.h"

#include <string.h>

static const char start_name[] = "start.atoms";

static ra_status read_start(const train_model *model, uint16_t *atoms, size_t K, size_t d, bool *known,
                            ra_error *err) {
    ra_safetensors *file = NULL;
    RA_TRY(ra_safetensors_open(model->resume, &file, err));
    const ra_tensor *kept = ra_safetensors_find(file, start_name);
    *known = kept && kept->dtype == RA_BF16 && kept->rank == 2 && kept->shape[0] == K && kept->shape[1] == d;
    if (*known) memcpy(atoms, kept->data, K * d * sizeof *atoms);
    ra_safetensors_free(file);
    return RA_OK;
}

ra_status train_start_keep(const train_run *run, train_model *model, ra_error *err) {
    const ra_dictionary *dictionary = ra_sae_dictionary(model->sae);
    size_t K = ra_dictionary_concepts(dictionary), d = ra_dictionary_dimensions(dictionary);
    ra_matrix atoms = {0};
    bool known = true;
    model->start = ra_malloc(K * d, sizeof *model->start);
    if (!model->start) RA_FAIL_MEMORY(err, "the atoms at the start", K * d * sizeof *model->start);
    ra_status status;
    if (model->resume) {
        status = read_start(model, model->start, K, d, &known, err);
    } else {
        status = train_copy_atoms(run, model, &atoms, err);
        if (status == RA_OK) ra_convert_from_f32(RA_BF16, atoms.data, model->start, K * d);
    }
    ra_matrix_release(&atoms);
    if (status == RA_OK && known) return RA_OK;
    ra_free(model->start);
    model->start = NULL;
    return status;
}

ra_status train_start_store(const train_model *model, ra_safetensors_writer *writer, ra_error *err) {
    const ra_dictionary *dictionary = ra_sae_dictionary(model->sae);
    const ra_tensor atoms = ra_tensor_2d(RA_BF16, model->start, ra_dictionary_concepts(dictionary),
                                         ra_dictionary_dimensions(dictionary));
    return model->start ? ra_safetensors_writer_tensor(writer, start_name, &atoms, err) : RA_OK;
}
