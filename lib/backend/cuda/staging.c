/* Copies between the device and ordinary memory. The device copies asynchronously only from and to pinned
 * memory, and the caller's memory is not pinned; so each stream has a few pinned slots, and copies go through
 * them in turn: while the device copies one slot, the host fills or empties another. A larger array goes in pieces: in
 * four, so that the two overlap, and in more where it does not fit four of the largest slots.
 *
 * A slot is busy from the start of its copy until its event has passed. A download also keeps its
 * destination: its bytes are delivered when the slot is needed again, or when the stream is waited for. The
 * downloads of a stream are delivered in the order in which they were started. */
#include "backend/cuda/context.h"

#include <string.h>

static size_t slot_bytes(size_t slot) {
    return slot < STAGING_SMALL ? STAGING_SMALL_BYTES : STAGING_LARGE_BYTES;
}

static size_t piece_of(size_t bytes) {
    size_t page = 4096, quarter = (bytes / 4 + page) / page * page;
    if (quarter <= STAGING_SMALL_BYTES) return STAGING_SMALL_BYTES;
    return quarter < STAGING_LARGE_BYTES ? quarter : STAGING_LARGE_BYTES;
}

/* The bytes of a finished download go to their destination. */
static void deliver(staging_slot *slot) {
    if (slot->target) memcpy(slot->target, slot->memory, slot->bytes);
    slot->target = NULL;
    slot->busy = false;
}

/* All copies up to this number, which have ended. */
static void deliver_through(ra_backend_stream *stream, size_t number) {
    for (;;) {
        staging_slot *oldest = NULL;
        for (size_t i = 0; i < STAGING_SLOTS; i++) {
            staging_slot *slot = &stream->slots[i];
            if (slot->busy && slot->number <= number && (!oldest || slot->number < oldest->number))
                oldest = slot;
        }
        if (!oldest) return;
        deliver(oldest);
    }
}

ra_status cuda_staging_prepare(ra_backend_stream *stream, ra_error *err) {
    void *memory = NULL;
    RA_TRY(cuda_check(stream->context,
                      cudaMallocHost(&memory, (size_t)STAGING_SMALL * STAGING_SMALL_BYTES +
                                                  (size_t)STAGING_LARGE * STAGING_LARGE_BYTES),
                      "making its staging buffers", err));
    stream->pinned = memory;
    char *place = stream->pinned;
    for (size_t i = 0; i < STAGING_SLOTS; i++) {
        stream->slots[i].memory = place;
        place += slot_bytes(i);
        RA_TRY(cuda_event_new(stream->context, &stream->slots[i].done, err));
    }
    return RA_OK;
}

/* For a piece of so many bytes. A stream's copies end in their order: with this slot's, all before it have ended. */
static ra_status take_slot(ra_backend_stream *stream, size_t piece, staging_slot **taken, ra_error *err) {
    bool large = piece > STAGING_SMALL_BYTES;
    unsigned *next = large ? &stream->next_large : &stream->next_small;
    staging_slot *slot = &stream->slots[large ? STAGING_SMALL + *next : *next];
    if (slot->busy) {
        RA_TRY(cuda_check(stream->context, cudaEventSynchronize(slot->done), "waiting for a copy", err));
        deliver_through(stream, slot->number);
    }
    *next = (*next + 1) % (large ? STAGING_LARGE : STAGING_SMALL);
    *taken = slot;
    return RA_OK;
}

/* Without its event, a copy that has started can only be waited for with the whole stream. */
static ra_status start_copy(ra_backend_stream *stream, staging_slot *slot, void *to, const void *from,
                            size_t bytes, enum cudaMemcpyKind kind, ra_error *err) {
    cuda_context *context = stream->context;
    const char *what = kind == cudaMemcpyHostToDevice ? "a copy to the device" : "a copy from the device";
    RA_TRY(cuda_check(context, cudaMemcpyAsync(to, from, bytes, kind, stream->handle), what, err));
    cudaError_t code = cudaEventRecord(slot->done, stream->handle);
    if (code != cudaSuccess) (void)cudaStreamSynchronize(stream->handle);
    RA_TRY(cuda_check(context, code, what, err));
    slot->busy = true;
    slot->number = stream->copies++;
    return RA_OK;
}

ra_status cuda_upload_parts(ra_backend_stream *stream, void *device, const cuda_part *parts, size_t count,
                            ra_error *err) {
    size_t part = 0, offset = 0; /* the current part, and how much of it is done */
    size_t total = 0;
    char *to = device;
    for (size_t i = 0; i < count; i++) total += parts[i].bytes;
    size_t piece = piece_of(total);
    while (part < count) {
        staging_slot *slot;
        size_t filled = 0;
        RA_TRY(take_slot(stream, piece, &slot, err));
        while (part < count && filled < piece) {
            size_t left = parts[part].bytes - offset, space = piece - filled,
                   bytes = left < space ? left : space;
            if (bytes) memcpy(slot->memory + filled, (const char *)parts[part].data + offset, bytes);
            filled += bytes;
            offset += bytes;
            if (offset == parts[part].bytes) {
                part++;
                offset = 0;
            }
        }
        if (filled) RA_TRY(start_copy(stream, slot, to, slot->memory, filled, cudaMemcpyHostToDevice, err));
        to += filled;
    }
    return RA_OK;
}

ra_status cuda_download_bytes(ra_backend_stream *stream, void *host, const void *device, size_t bytes,
                              ra_error *err) {
    size_t piece = piece_of(bytes);
    for (size_t offset = 0; offset < bytes; offset += piece) {
        size_t size = bytes - offset < piece ? bytes - offset : piece;
        staging_slot *slot;
        RA_TRY(take_slot(stream, piece, &slot, err));
        RA_TRY(start_copy(stream, slot, slot->memory, (const char *)device + offset, size,
                          cudaMemcpyDeviceToHost, err));
        slot->target = (char *)host + offset;
        slot->bytes = size;
    }
    return RA_OK;
}

void cuda_staging_deliver(ra_backend_stream *stream) {
    deliver_through(stream, SIZE_MAX);
}

void cuda_staging_drop(ra_backend_stream *stream, size_t from) {
    for (unsigned i = 0; i < STAGING_SLOTS; i++) {
        staging_slot *slot = &stream->slots[i];
        if (!slot->busy || !slot->target || slot->number < from) continue;
        if (slot->number < stream->copies_before) stream->lost_downloads = true;
        slot->target = NULL;
    }
}

void cuda_staging_release(ra_backend_stream *stream) {
    for (unsigned i = 0; i < STAGING_SLOTS; i++)
        if (stream->slots[i].done) (void)cudaEventDestroy(stream->slots[i].done);
    if (stream->pinned) (void)cudaFreeHost(stream->pinned);
}
