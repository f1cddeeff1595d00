/* Streams and what waits in them. Nothing that is asked of a stream happens before somebody waits for that
 * stream, for an event behind it, or frees memory (which waits for everything, as cudaFree() does): so the
 * lack of a wait shows. Streams know no order among each other.
 *
 * An asynchronous copy wants pinned memory on the host's side. Until it has happened, the target of a
 * download holds NaN, and the source of an upload may not change: its bytes are compared with
 * what they were. */
#include "device.h"

#include <stdlib.h>
#include <string.h>

struct emulation_stream {
    struct emulation_stream *next;
    emulation_task *first, **last;
    size_t submitted, done;
};

struct emulation_event {
    struct emulation_event *next;
    cudaStream_t stream; /* where it was recorded last; NULL: nowhere */
    size_t position;     /* the work before it */
};

static struct emulation_stream *streams;
static struct emulation_event *events;

static void run_until(cudaStream_t stream, size_t position) {
    while (stream->done < position && stream->first) {
        emulation_task *task = stream->first;
        stream->first = task->next;
        if (!stream->first) stream->last = &stream->first;
        stream->done++;
        task->run(task);
    }
}

void emulation_submit(cudaStream_t stream, emulation_task *task) {
    task->next = NULL;
    *stream->last = task;
    stream->last = &task->next;
    stream->submitted++;
}

void emulation_run_all(void) {
    for (cudaStream_t stream = streams; stream; stream = stream->next) run_until(stream, stream->submitted);
}

static void check_stream(cudaStream_t stream, const char *what) {
    for (cudaStream_t known = streams; known; known = known->next)
        if (known == stream) return;
    emulation_fault("%s: a stream that does not exist", what);
}

static void check_event(cudaEvent_t event, const char *what) {
    for (cudaEvent_t known = events; known; known = known->next)
        if (known == event) return;
    emulation_fault("%s: an event that does not exist", what);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    cudaError_t code = emulation_begin();
    if (code != cudaSuccess) return emulation_end(code);
    if (flags != cudaStreamNonBlocking) emulation_fault("a stream that waits for the default one");
    cudaStream_t made = calloc(1, sizeof *made);
    if (!made) return emulation_end(cudaErrorMemoryAllocation);
    made->last = &made->first;
    made->next = streams;
    streams = made;
    *stream = made;
    return emulation_end(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    cudaError_t code = emulation_begin();
    check_stream(stream, "cudaStreamSynchronize");
    emulation_counted.waits++;
    if (code == cudaSuccess) run_until(stream, stream->submitted);
    return emulation_end(emulation_after_wait(code));
}

cudaError_t cudaDeviceSynchronize(void) {
    cudaError_t code = emulation_begin();
    emulation_counted.waits++;
    if (code == cudaSuccess) emulation_run_all();
    return emulation_end(emulation_after_wait(code));
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    cudaError_t code = emulation_begin();
    check_stream(stream, "cudaStreamDestroy");
    run_until(stream, stream->submitted);
    cudaStream_t *place = &streams;
    while (*place != stream) place = &(*place)->next;
    *place = stream->next;
    for (cudaEvent_t event = events; event; event = event->next)
        if (event->stream == stream) event->stream = NULL;
    free(stream);
    return emulation_end(code);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    cudaError_t code = emulation_begin();
    (void)flags;
    if (code != cudaSuccess) return emulation_end(code);
    cudaEvent_t made = calloc(1, sizeof *made);
    if (!made) return emulation_end(cudaErrorMemoryAllocation);
    made->next = events;
    events = made;
    *event = made;
    return emulation_end(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    cudaError_t code = emulation_begin();
    check_event(event, "cudaEventRecord");
    check_stream(stream, "cudaEventRecord");
    if (code == cudaSuccess) {
        event->stream = stream;
        event->position = stream->submitted;
    }
    return emulation_end(code);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    cudaError_t code = emulation_begin();
    check_event(event, "cudaEventSynchronize");
    emulation_counted.waits++;
    if (code == cudaSuccess && event->stream) run_until(event->stream, event->position);
    return emulation_end(emulation_after_wait(code));
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    cudaError_t code = emulation_begin();
    check_event(event, "cudaEventDestroy");
    cudaEvent_t *place = &events;
    while (*place != event) place = &(*place)->next;
    *place = event->next;
    free(event);
    return emulation_end(code);
}

size_t emulation_queue_live(size_t *stream_count, size_t *event_count) {
    *stream_count = *event_count = 0;
    for (cudaStream_t stream = streams; stream; stream = stream->next) ++*stream_count;
    for (cudaEvent_t event = events; event; event = event->next) ++*event_count;
    return *stream_count + *event_count;
}

/* ---- copies -------------------------------------------------------------------------------------------- */

typedef struct copy_task {
    emulation_task task;
    void *target;
    const void *source;
    size_t bytes;
    enum cudaMemcpyKind kind;
    char before[]; /* of an upload: what was to be copied */
} copy_task;

static void run_copy(emulation_task *task) {
    copy_task *copy = (copy_task *)(void *)task;
    if (emulation_is_lost()) {
        free(copy);
        return;
    }
    bool up = copy->kind == cudaMemcpyHostToDevice;
    emulation_check_range(copy->target, copy->bytes, up ? cudaMemoryTypeDevice : cudaMemoryTypeHost,
                          "a copy");
    emulation_check_range(copy->source, copy->bytes, up ? cudaMemoryTypeHost : cudaMemoryTypeDevice,
                          "a copy");
    if (up && memcmp(copy->before, copy->source, copy->bytes) != 0)
        emulation_fault("the source of a copy to the device changed before the copy was done");
    emulation_unlock_memory();
    memcpy(copy->target, copy->source, copy->bytes);
    emulation_lock_memory("a copy");
    free(copy);
}

cudaError_t cudaMemcpyAsync(void *target, const void *source, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    cudaError_t code = emulation_begin();
    bool up = kind == cudaMemcpyHostToDevice;
    const char *what = up ? "a copy to the device" : "a copy from the device";
    check_stream(stream, what);
    emulation_check_range(target, bytes, up ? cudaMemoryTypeDevice : cudaMemoryTypeHost, what);
    emulation_check_range(source, bytes, up ? cudaMemoryTypeHost : cudaMemoryTypeDevice, what);
    if (code != cudaSuccess) return emulation_end(code);
    *(up ? &emulation_counted.uploads : &emulation_counted.downloads) += 1;
    *(up ? &emulation_counted.bytes_up : &emulation_counted.bytes_down) += bytes;
    copy_task *copy = malloc(sizeof *copy + (up ? bytes : 0));
    if (!copy) emulation_fault("no memory for a copy");
    *copy = (copy_task){{NULL, run_copy}, target, source, bytes, kind};
    if (up)
        memcpy(copy->before, source, bytes);
    else
        memset(target, 0xff, bytes);
    emulation_submit(stream, &copy->task);
    return emulation_end(cudaSuccess);
}

typedef struct fill_task {
    emulation_task task;
    void *block;
    int byte;
    size_t bytes;
} fill_task;

static void run_fill(emulation_task *task) {
    fill_task *fill = (fill_task *)(void *)task;
    if (emulation_is_lost()) {
        free(fill);
        return;
    }
    emulation_check_range(fill->block, fill->bytes, cudaMemoryTypeDevice, "a fill");
    emulation_unlock_memory();
    memset(fill->block, fill->byte, fill->bytes);
    emulation_lock_memory("a fill");
    free(fill);
}

cudaError_t cudaMemsetAsync(void *block, int byte, size_t bytes, cudaStream_t stream) {
    cudaError_t code = emulation_begin();
    check_stream(stream, "cudaMemsetAsync");
    emulation_check_range(block, bytes, cudaMemoryTypeDevice, "cudaMemsetAsync");
    if (code != cudaSuccess) return emulation_end(code);
    emulation_counted.fills++;
    fill_task *fill = malloc(sizeof *fill);
    if (!fill) emulation_fault("no memory for a fill");
    *fill = (fill_task){{NULL, run_fill}, block, byte, bytes};
    emulation_submit(stream, &fill->task);
    return emulation_end(cudaSuccess);
}
