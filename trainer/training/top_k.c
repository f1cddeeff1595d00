/* overcomplete's BatchTopKSAE counts its top_k over the whole batch, this program over one row. A number that exceeds
 * the concepts can only be meant in the first way, and is divided by the rows of a batch where they are known. */
#include "training/training.h"

/* K of --init, else that of --concepts; 0: not known yet. */
static size_t known_concepts(const train_options *options, const ra_safetensors *init) {
    static const char *const tall[] = {"dictionary.W", "dictionary.W.index", "dictionary._weights"};
    for (size_t i = 0; init && i < sizeof tall / sizeof *tall; i++) {
        const ra_tensor *tensor = ra_safetensors_find(init, tall[i]);
        if (tensor && tensor->rank == 2) return tensor->shape[0];
    }
    return ra_setting_known(&options->train, RA_TRAIN_CONCEPTS) ? options->train.concepts : 0;
}

ra_status train_settle_top_k(train_options *options, const train_inputs *inputs, progress_meter *progress,
                             ra_error *err) {
    ra_sae_settings sae = {0};
    ra_train_settings train = {0};
    if (inputs->init) {
        RA_TRY(ra_sae_settings_read(inputs->init, &sae, err));
        RA_TRY(ra_train_settings_read(inputs->init, &train, err));
    }
    ra_settings_override(ra_sae_settings_table(), &sae, &options->model.settings);
    ra_settings_override(ra_train_settings_table(), &train, &options->train);
    size_t concepts = known_concepts(options, inputs->init);
    if (!ra_setting_known(&sae, RA_SET_SAE) || sae.sae != RA_SAE_BATCHTOPK ||
        !ra_setting_known(&sae, RA_SET_TOP_K) || !ra_setting_known(&train, RA_TRAIN_BATCH_SIZE) ||
        concepts == 0 || sae.top_k <= concepts || sae.top_k < train.batch_size)
        return RA_OK;
    ra_sae_settings *settings = &options->model.settings;
    settings->top_k = sae.top_k / train.batch_size;
    settings->known |= (uint64_t)1 << RA_SET_TOP_K;
    progress_note(progress, "top_k counts a batch, as in overcomplete: %zu / %zu = %zu per row", sae.top_k,
                  train.batch_size, settings->top_k);
    return RA_OK;
}
