/* ra.h - librasae on one page: Relaxed Archetypal SAE dictionaries, trained, fused and served.
 *
 * From the lowest layer up; a header includes only headers above it in this list:
 *
 *   ra_status.h      status codes, error messages, the log sink
 *   ra_memory.h      the one allocator
 *   ra_text.h        text that grows
 *   ra_digest.h      a name for the content of a file
 *   ra_waiting.h     threads that must not wait for others
 *   ra_group.h       several processes that train one model
 *   ra_settings.h    settings as tables
 *   ra_tensor.h      element types, tensor views, matrices, sparse codes
 *   ra_io.h          mapped files, atomic writes, npy, safetensors, labels
 *   ra_backend.h     where the arithmetic runs: reference, cpu, plugins
 *   ra_data.h        activations: the rows of mapped files
 *   ra_dictionary.h  D = (W C + Relax) exp(multiplier), and the plain dictionary
 *   ra_sae.h         encoder, activation and dictionary: forward, backward, checkpoints
 *   ra_points.h      candidate points: k-means, samples, given ones
 *   ra_latent_statistics.h  how often and how strongly each latent is active
 *   ra_agreement.h   in how many runs each atom is found again
 *   ra_contrast.h    what latents do on one set of data against another
 *   ra_model.h       what is served: fused, immutable; reconstruct, encode, explain, search
 *   ra_weights.h     a model as plain weights, for other libraries
 *   ra_train.h       losses, Adam, schedules, the loop
 *   ra_metrics.h     evaluation of a model, stability between dictionaries
 *   ra_layout.h      positions of the atoms on a map
 *   ra_consensus.h   what several runs have in common
 *
 * tests/unit/test_example.c is a complete user of the library. lib/README.md explains the rules.
 */
#ifndef RA_H
#define RA_H

#include "ra_status.h"
#include "ra_memory.h"
#include "ra_text.h"
#include "ra_digest.h"
#include "ra_waiting.h"
#include "ra_group.h"
#include "ra_settings.h"
#include "ra_tensor.h"
#include "ra_io.h"
#include "ra_backend.h"
#include "ra_data.h"
#include "ra_dictionary.h"
#include "ra_sae.h"
#include "ra_points.h"
#include "ra_latent_statistics.h"
#include "ra_agreement.h"
#include "ra_contrast.h"
#include "ra_model.h"
#include "ra_weights.h"
#include "ra_train.h"
#include "ra_metrics.h"
#include "ra_layout.h"
#include "ra_consensus.h"

#define RA_VERSION "0.1.0"

#endif
