#include "model/lane.h"
#include "model/model.h"

enum { ALIGNMENT = 256 }; /* of rooms: what a device's vector loads and matrix products like best */

static size_t padded(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t ra_rooms_bytes(const ra_room *rooms, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += padded(rooms[i].bytes);
    return bytes;
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void free_block(ra_lane *lane) {
    if (lane->remote && lane->block)
        lane->ops->deallocate(lane->self, lane->block);
    else
        ra_free(lane->block);
    lane->block = NULL;
    lane->bytes = 0;
}

void ra_lane_release(ra_lane *lane) {
    free_block(lane);
    if (lane->remote) lane->ops->stream_free(lane->self, lane->stream);
    ra_backend_release(lane->backend);
    *lane = (ra_lane){0};
}

static ra_status settle(ra_lane *lane, ra_backend *backend, ra_error *err) {
    ra_backend_stream *stream = NULL;
    ra_lane_release(lane);
    const ra_backend_ops *ops = ra_backend_operations(backend);
    RA_TRY(ops->stream_new(ra_backend_self(backend), &stream, err));
    *lane = (ra_lane){.ops = ops,
                      .self = ra_backend_self(backend),
                      .stream = stream,
                      .remote = true,
                      .backend = ra_backend_retain(backend)};
    return RA_OK;
}

ra_status ra_lane_open(ra_workspace *workspace, const ra_model *model, ra_lane **out, ra_error *err) {
    const ra_backend_ops *ops = ra_backend_operations(model->backend);
    ra_lane *lane = ops->host_memory ? &workspace->host : &workspace->device;
    if (ops->host_memory) {
        lane->ops = ops;
        lane->self = ra_backend_self(model->backend);
    } else if (lane->backend != model->backend) {
        RA_TRY(settle(lane, model->backend, err));
    }
    *out = lane;
    return RA_OK;
}

/* ---- use ---------------------------------------------------------------------------------------------- */

/* Of a device the old block goes first: there may be no room for both. */
static ra_status grow(ra_lane *lane, const char *what, size_t bytes, ra_error *err) {
    if (bytes <= lane->bytes) return RA_OK;
    free_block(lane);
    if (lane->remote) {
        RA_TRY(lane->ops->allocate(lane->self, bytes, &lane->block, err));
    } else {
        lane->block = ra_malloc(bytes, 1);
        if (!lane->block) RA_FAIL_MEMORY(err, what, bytes);
    }
    lane->bytes = bytes;
    return RA_OK;
}

ra_status ra_lane_reserve(ra_lane *lane, const char *what, ra_room *rooms, size_t count, ra_error *err) {
    RA_TRY(grow(lane, what, ra_rooms_bytes(rooms, count), err));
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        rooms[i].at = rooms[i].bytes ? (char *)lane->block + offset : NULL;
        offset += padded(rooms[i].bytes);
    }
    return RA_OK;
}

ra_status ra_lane_take(ra_lane *lane, const float *host, size_t n, ra_room *room, const float **there,
                       ra_error *err) {
    *there = lane->remote ? room->at : host;
    return lane->remote ? lane->ops->upload(lane->self, lane->stream, room->at, host, n * sizeof *host, err)
                        : RA_OK;
}

float *ra_lane_place(const ra_lane *lane, float *host, const ra_room *room) {
    return lane->remote ? room->at : host;
}

ra_status ra_lane_give(ra_lane *lane, const float *there, float *host, size_t n, ra_error *err) {
    if (!lane->remote) return RA_OK;
    RA_TRY(lane->ops->download(lane->self, lane->stream, host, there, n * sizeof *host, err));
    return lane->ops->synchronize(lane->self, lane->stream, err);
}

ra_status ra_lane_leave(ra_lane *lane, ra_status status) {
    if (status != RA_OK && lane->remote) (void)lane->ops->synchronize(lane->self, lane->stream, NULL);
    return status;
}
