/* serving.h - how a command becomes the daemon: rasae serve and rasae explore end that way.
 *
 * The daemon is the rasaed beside this program, else the one on PATH. It takes the place of this process, so that Ctrl-C
 * and SIGTERM reach it and its exit status is the command's.
 */
#ifndef RASAE_COMMON_SERVING_H
#define RASAE_COMMON_SERVING_H

#include "common/command.h"

/* How to serve. listen: "HOST:PORT"; NULL: port 7777 of this machine, or a free one if that is taken. media, media_url,
 * item_shape: of each dictionary, as rasaed has them without the name; NULL: none. data [data_count]: files whose rows are shown
 * beside each dictionary. */
typedef struct serving_options {
    const char *listen, *media, *media_url, *item_shape;
    const char *const *data;
    size_t data_count;
} serving_options;

/* Serves files under names made of theirs: acts/words.fused.safetensors is `words`. Returns only if it fails. */
ra_status serve_files(const char *const *files, size_t count, const serving_options *options, ra_error *err);

/* NULL if there is no rasaed beside this program; then PATH is searched. */
const char *serving_program(void);

#endif
