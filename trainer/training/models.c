/* The models of a run. With --seeds 1,2,3 there are several: each starts from a seed of its own and writes
 * files of its own; points, data and the order of the rows are common to all. */
#include "training/training.h"

#include "common/files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double LARGEST_SEED = 9007199254740992.0; /* as --seed */

static ra_status parse_seeds(const char *list, uint64_t *seeds, size_t *count, ra_error *err) {
    const char *at = list;
    for (*count = 0;; at++) {
        char *end;
        uint64_t seed = strtoull(at, &end, 10);
        if (*at < '0' || *at > '9' || (*end && *end != ',') || (double)seed > LARGEST_SEED)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "--seeds is \"%s\", expected whole numbers with commas between them, as in 1,2,3", list);
        if (*count == TRAIN_SEEDS_MOST)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "--seeds has more than %d numbers, the most that can be trained side by side",
                    TRAIN_SEEDS_MOST);
        for (size_t i = 0; i < *count; i++)
            if (seeds[i] == seed)
                RA_FAIL(err, RA_ERR_ARGUMENT, "--seeds has %llu twice", (unsigned long long)seed);
        seeds[(*count)++] = seed;
        at = end;
        if (!*at) return RA_OK;
    }
}

ra_status train_name_part(const char *path, const char *part, char **out, ra_error *err) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    size_t length = strlen(path), stem = dot ? (size_t)(dot - path) : length,
           size = length + strlen(part) + 2;
    *out = ra_malloc(size, 1);
    if (!*out) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a file's name");
    snprintf(*out, size, "%.*s.%s%s", (int)stem, path, part, path + stem);
    return RA_OK;
}

/* FILE.safetensors -> FILE.seed7.safetensors; NULL stays NULL. */
static ra_status name_for_seed(const char *path, bool several, uint64_t seed, char **out, ra_error *err) {
    char part[40];
    *out = NULL;
    if (!path) return RA_OK;
    snprintf(part, sizeof part, "seed%llu", (unsigned long long)seed);
    if (several) return train_name_part(path, part, out, err);
    *out = ra_strdup(path);
    if (!*out) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a file's name");
    return RA_OK;
}

/* --auto-resume is --resume OUT if OUT exists: for all seeds and for all processes of the group, so that all
 * start or all continue. The checkpoint then holds what --init would. */
static ra_status settle_auto_resume(train_run *run, train_options *options, ra_error *err) {
    uint64_t absent = 0;
    for (size_t i = 0; i < run->count; i++) absent += access(run->models[i].output, F_OK) != 0;
    RA_TRY(ra_group_sum_u64(run->group, &absent, 1, err));
    if (absent) return RA_OK;
    options->resume = options->output;
    options->init = NULL;
    return RA_OK;
}

ra_status train_models_name(train_run *run, train_options *options, ra_error *err) {
    uint64_t seeds[TRAIN_SEEDS_MOST] = {options->train.seed};
    run->count = 1;
    if (options->seeds) RA_TRY(parse_seeds(options->seeds, seeds, &run->count, err));
    run->models = ra_calloc(run->count, sizeof *run->models);
    if (!run->models) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu models", run->count);
    for (size_t i = 0; i < run->count; i++) {
        train_model *model = &run->models[i];
        bool several = run->count > 1;
        model->seed = seeds[i];
        RA_TRY(name_for_seed(options->output, several, model->seed, &model->output, err));
        RA_TRY(name_for_seed(options->log, several, model->seed, &model->log_path, err));
    }
    if (options->auto_resume) RA_TRY(settle_auto_resume(run, options, err));
    for (size_t i = 0; i < run->count; i++)
        RA_TRY(name_for_seed(options->resume, run->count > 1, seeds[i], &run->models[i].resume, err));
    return RA_OK;
}

bool train_run_speaks(const train_run *run) {
    return !run->group || run->group->rank == 0;
}
