/* torch.h - the tensors and the settings in a file of torch.save, without Python.
 *
 * The file is a tensor, a dict of them (a state dict, within other dicts or alone), or a whole module. Names are those
 * that state_dict() gives, below the keys of the dicts around it: `model.dictionary.W`. The state of an optimizer is
 * left out. Of a module of overcomplete, what its state dict lacks comes from its attributes, as texts: `top_k`,
 * `delta`, ... (settings.c).
 *
 * Tensors are views of the file where they lie as a ra_tensor does. Those that do not (strides, an odd address) are
 * copied; the copies of a file take at most MOST_COPIES times its bytes, and no tensor more than its storage.
 *
 *     archive.c              the container, and where its storages are
 *     pickle.c globals.c values.c types.c    what its pickle describes
 *     tensor.c               a tensor of it, checked against its storage
 *     walk.c settings.c      which tensors and attributes there are
 *
 * Thread safety: one thread at a time. Source: the modules torch.serialization, torch._utils and torch.nn.modules.module of
 * torch 2. */
#ifndef RA_IO_TORCH_TORCH_H
#define RA_IO_TORCH_TORCH_H

#include "io/torch/archive.h"

#include <stdbool.h>

/* What is found. A function that fails ends the reading. */
typedef struct ra_torch_sink {
    void *context;
    /* copy: the tensor's data, to be freed by the receiver with ra_free(), in any case; NULL: they lie in the file */
    ra_status (*tensor)(void *context, const char *name, const ra_tensor *tensor, void *copy, ra_error *err);
    /* One that a ra_tensor cannot be, for its type or its rank: "BOOL [3]" */
    ra_status (*foreign)(void *context, const char *name, const char *description, ra_status refusal,
                         ra_error *err);
    ra_status (*text)(void *context, const char *key, const char *text, ra_error *err);
} ra_torch_sink;

/* careful: others may write the file, so all tensors but matrices of floats are copied. The bytes must outlive the
 * views. */
ra_status ra_torch_read(const void *bytes, size_t size, const char *path, bool careful,
                        const ra_torch_sink *sink, ra_error *err);

#endif
