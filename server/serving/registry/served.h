/* served.h - one generation of one dictionary: immutable, reference-counted.
 *
 * The holder of a reference may use the model. The last release takes no time: the memory is given back by the
 * thread that loads dictionaries (retired.h).
 *
 * Thread safety: any thread may retain and release.
 */
#ifndef RASAED_SERVING_REGISTRY_SERVED_H
#define RASAED_SERVING_REGISTRY_SERVED_H

#include "ra_model.h"
#include "serving/atoms/index.h"
#include "state/store.h"
#include "telemetry/statistics.h"

#include <stdatomic.h>

enum { REGISTRY_NAME_SIZE = 65, REGISTRY_REASON_SIZE = RA_ERROR_MESSAGE_SIZE };

typedef struct served {
    const char *name;
    size_t generation; /* 1 after the first load, one more after each load of another content */
    int64_t loaded;    /* in seconds since 1970; later than that of the generation before */
    ra_model *model;
    ra_artifact *artifact;   /* the model as a file; its digest is the revision of the dictionary */
    atom_index *atoms;       /* its atoms as a table that can be queried */
    store_slot *changes;     /* what is kept of it; NULL: there is no state directory */
    bool on_cpu;             /* the device had no memory for it, so the CPU serves it */
    atomic_size_t *requests; /* of the dictionary, over all generations */
    statistics *inference;   /* likewise, of reconstructions */
    statistics *encoding;    /* and of codes */
    /* private */
    atomic_size_t references;
    struct retired_list *retired;
    struct served *next; /* there */
} served;

served *served_retain(served *dictionary); /* NULL is fine */
void served_release(served *dictionary);   /* NULL is fine */

#endif
