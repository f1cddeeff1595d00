/* settings.h - what the attributes of overcomplete's modules say that their state dicts do not.
 *
 * Keys and values are those of proto/artifact.md: `sae` from the class, `top_k`, `delta`, `running_threshold`,
 * `threshold_momentum`, `bandwidth`, `kernel`, `use_multiplier`, and `dictionary` from how the dictionary is
 * normalized. What would make another function of the same tensors is refused: another last activation of the encoder,
 * another epsilon of its norm. */
#ifndef RA_IO_TORCH_SETTINGS_H
#define RA_IO_TORCH_SETTINGS_H

#include "io/torch/torch.h"

/* Passes the settings of a module on; of a module of another package there are none. */
ra_status ra_torch_settings(ra_torch_archive *archive, const ra_pickle_value *module,
                            const ra_torch_sink *sink, ra_error *err);

#endif
