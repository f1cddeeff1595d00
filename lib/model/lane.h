/* lane.h - where a computation runs: the operations of a model's backend, a stream, and memory to work in.
 *
 * A workspace has two lanes. That of ordinary memory serves every backend that computes there: no stream, and
 * nothing is copied. That of a device has a stream of its own, so that workspaces do not wait for one
 * another, and stays with the backend it was last used with.
 *
 *     ra_room rooms[] = {{.bytes = lane->remote ? n * sizeof *x : 0}, {.bytes = m * sizeof(float)}};
 *     RA_TRY(ra_lane_open(workspace, model, &lane, err));
 *     RA_TRY(ra_lane_reserve(lane, "scores", rooms, 2, err));
 *     return ra_lane_leave(lane, run(lane, rooms, ...));
 *
 * A lane is in use by one computation at a time, from reserve() to leave(), and what its rooms held is lost
 * then. Between the two the caller's memory may be under way to or from the device.
 */
#ifndef RA_MODEL_LANE_H
#define RA_MODEL_LANE_H

#include "ra_backend.h"
#include "ra_model.h"

typedef struct ra_lane {
    const ra_backend_ops *ops;
    void *self;
    ra_backend_stream *stream; /* NULL in ordinary memory */
    bool remote;               /* memory of the device's own: what goes in and comes out is copied */
    ra_backend *backend;       /* of a device; retained */
    void *block;
    size_t bytes;
} ra_lane;

/* A piece of a lane's memory. */
typedef struct ra_room {
    size_t bytes;
    void *at; /* in backend memory */
} ra_room;

/* The bytes that rooms take together, each at an address that suits any operation. */
size_t ra_rooms_bytes(const ra_room *rooms, size_t count);

ra_status ra_lane_open(ra_workspace *workspace, const ra_model *model, ra_lane **lane, ra_error *err);
void ra_lane_release(ra_lane *lane);

/* rooms[i].at <- room for its bytes; what the lane held is lost. */
ra_status ra_lane_reserve(ra_lane *lane, const char *what, ra_room *rooms, size_t count, ra_error *err);

/* *there <- host's n floats for the backend: themselves, or a copy in the room, which may be under way. */
ra_status ra_lane_take(ra_lane *lane, const float *host, size_t n, ra_room *room, const float **there,
                       ra_error *err);

/* *there <- where the backend may leave n floats that are meant for host; give() brings them there. */
float *ra_lane_place(const ra_lane *lane, float *host, const ra_room *room);
ra_status ra_lane_give(ra_lane *lane, const float *there, float *host, size_t n, ra_error *err);

/* Returns `status`; after a failure nothing of the caller's memory is under way any more. */
ra_status ra_lane_leave(ra_lane *lane, ra_status status);

#endif
