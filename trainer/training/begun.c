/* A run that was interrupted while it was looking for points.
 *
 * k-means over large data takes hours, and its state is small: the centers and how many rows each has. A file with
 * this state and the settings lets --resume continue, to the same bytes in the end. */
#include "training/training.h"

#include <stdlib.h>
#include <string.h>

static const char stage_key[] = "train.stage", stage[] = "points", points_key[] = "train.points",
                  iteration_key[] = "train.kmeans.iteration", centers_name[] = "train.kmeans.centers",
                  members_name[] = "train.kmeans.members";

static ra_status store_kmeans(const ra_kmeans_progress *kmeans, ra_safetensors_writer *writer,
                              ra_error *err) {
    const ra_tensor centers = ra_tensor_2d(RA_F32, kmeans->centers, kmeans->clusters, kmeans->dimensions),
                    members = ra_tensor_1d(RA_I64, kmeans->members, kmeans->clusters);
    RA_TRY(ra_safetensors_writer_count(writer, iteration_key, kmeans->iteration, err));
    RA_TRY(ra_safetensors_writer_tensor(writer, centers_name, &centers, err));
    return ra_safetensors_writer_tensor(writer, members_name, &members, err);
}

ra_status train_begun_save(const train_run *run, const ra_kmeans_progress *kmeans, ra_error *err) {
    ra_safetensors_writer *writer = NULL;
    ra_status status;
    if (!train_run_speaks(run)) return RA_OK;
    RA_TRY_OUT(status, ra_safetensors_writer_new(&writer, err));
    RA_TRY_OUT(status, ra_safetensors_writer_metadata(writer, stage_key, stage, err));
    RA_TRY_OUT(status, ra_safetensors_writer_count(writer, points_key, run->plan->points, err));
    RA_TRY_OUT(status, ra_settings_write(ra_sae_settings_table(), &run->plan->sae, writer, err));
    RA_TRY_OUT(status, train_save_settings(run, &run->plan->train, writer, err));
    RA_TRY_OUT(status, train_save_data(run, writer, err));
    if (kmeans && kmeans->iteration > 0) RA_TRY_OUT(status, store_kmeans(kmeans, writer, err));
    ra_safetensors_writer_seal(writer, NULL, NULL);
    RA_TRY_OUT(status, ra_safetensors_writer_write(writer, run->models[0].output, err));
out:
    ra_safetensors_writer_free(writer);
    return status;
}

/* ---- continuing ----------------------------------------------------------------------------------------- */

bool train_begun_is(const ra_safetensors *file) {
    const char *said = ra_safetensors_metadata(file, stage_key);
    return said && strcmp(said, stage) == 0;
}

ra_status train_begun_settle(const ra_safetensors *file, train_options *options, ra_error *err) {
    ra_sae_settings sae;
    ra_train_settings train;
    RA_TRY(ra_sae_settings_read(file, &sae, err));
    RA_TRY(ra_train_settings_read(file, &train, err));
    ra_settings_fill(ra_sae_settings_table(), &options->model.settings, &sae);
    ra_settings_fill(ra_train_settings_table(), &options->train, &train);
    if (!options->points) options->points = ra_safetensors_metadata(file, points_key);
    return RA_OK;
}

ra_status train_begun_start(const ra_safetensors *file, ra_kmeans_options *options, ra_error *err) {
    const char *iteration = ra_safetensors_metadata(file, iteration_key);
    ra_tensor centers, members;
    if (!iteration) return RA_OK;
    RA_TRY(ra_safetensors_get(file, centers_name, &centers, err));
    RA_TRY(ra_safetensors_get(file, members_name, &members, err));
    if (centers.dtype != RA_F32 || centers.rank != 2 || centers.shape[0] != options->clusters ||
        members.dtype != RA_I64 || members.rank != 1 || members.shape[0] != options->clusters)
        RA_FAIL(err, RA_ERR_SHAPE,
                "%s: %s and %s have to be F32 [%zu, d] and I64 [%zu] for the points of this run",
                ra_safetensors_path(file), centers_name, members_name, options->clusters, options->clusters);
    options->start = centers.data;
    options->start_members = members.data;
    options->start_iteration = strtoull(iteration, NULL, 10);
    return RA_OK;
}
