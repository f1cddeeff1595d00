/* ra.h - librasae in one page: Relaxed Archetypal SAE dictionaries, trained, fused, served.
 *
 * Layers, lower first; a header uses only those above it in this list:
 *
 *   ra_status.h      status codes, error sentences, the log sink      every fallible function
 *   ra_memory.h      the one allocator
 *   ra_group.h       several processes that train one model
 *   ra_tensor.h      element types, tensor views, matrices, sparse codes
 *   ra_io.h          mapped and atomic files, npy, safetensors, labels
 *   ra_backend.h     where arithmetic runs: reference, cpu, plugins
 *   ra_settings.h    settings as tables
 *   ra_dictionary.h  D = (W C + Relax) exp(multiplier), and the plain dictionary
 *   ra_sae.h         encoder + activation + dictionary: forward, backward, checkpoints
 *   ra_latent_statistics.h     statistics of latents
 *   ra_model.h       what is served: fused, immutable; reconstruct, encode, explain, search
 *   ra_data.h        activations: rows of mapped files
 *   ra_points.h      candidate points: k-means, samples, given ones
 *   ra_train.h       losses, Adam, schedules, the loop
 *   ra_metrics.h     evaluation, stability
 *   ra_layout.h      places of atoms on a map
 *
 * A complete user of the library is tests/unit/test_example.c. lib/README.md explains the rules.
 */
#ifndef RA_H
#define RA_H

#include "ra_status.h"
#include "ra_memory.h"
#include "ra_digest.h"
#include "ra_group.h"
#include "ra_tensor.h"
#include "ra_io.h"
#include "ra_backend.h"
#include "ra_settings.h"
#include "ra_dictionary.h"
#include "ra_sae.h"
#include "ra_latent_statistics.h"
#include "ra_model.h"
#include "ra_data.h"
#include "ra_points.h"
#include "ra_train.h"
#include "ra_metrics.h"
#include "ra_layout.h"

#define RA_VERSION "0.1.0"

#endif
