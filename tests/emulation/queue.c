/* Streams and the tasks that wait in them. A task does not run before a caller waits for a
 * stream, for an event behind it, or frees memory (which waits for everything, as cudaFree() does): so the
 * lack of a wait shows.
 *
 * Streams know no order among each other but that of cudaStreamWaitEvent(). When a caller waits for one, the work of the
 * others happens as late as it may, as early as it may, or in between, task by task in a shuffled order: by turns, so
 * that the lack of an event shows as well.
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

/* Of a stream, for what another one does before a position. */
typedef struct wait_task {
    emulation_task task;
    cudaStream_t stream; /* NULL: it is gone, and all its work is done */
    size_t position;
} wait_task;

/* When streams that no caller waits for do their work. */
typedef enum order { LATE, EARLY, SHUFFLED, ORDERS } order;

static struct emulation_stream *streams;
static struct emulation_event *events;
static int fixed_order = -1;
static unsigned turns;
static uint32_t shuffle = 1;

__attribute__((visibility("default"))) emulation_stream_order_fn emulation_stream_order;

void emulation_stream_order(int wanted) {
    fixed_order = wanted;
}

/* ---- which is next ------------------------------------------------------------------------------------- */

static void run_wait(emulation_task *task) {
    free(task);
}

/* What the stream waits for now; NULL: nothing. */
static const wait_task *unmet(const struct emulation_stream *stream) {
    const wait_task *wait = (const wait_task *)(const void *)stream->first;
    bool waits = wait && wait->task.run == run_wait && wait->stream;
    return waits && wait->stream->done < wait->position ? wait : NULL;
}

static bool is_ready(const struct emulation_stream *stream) {
    return stream->first && !unmet(stream);
}

static void run_first(cudaStream_t stream) {
    emulation_task *task = stream->first;
    stream->first = task->next;
    if (!stream->first) stream->last = &stream->first;
    stream->done++;
    task->run(task);
}

/* And no more than that needs. */
static void run_late(cudaStream_t stream, size_t position) {
    while (stream->done < position) {
        const wait_task *wait = unmet(stream);
        if (wait) run_late(wait->stream, wait->position);
        run_first(stream);
    }
}

static void run_others(const struct emulation_stream *except) {
    for (bool any = true; any;) {
        any = false;
        for (cudaStream_t stream = streams; stream; stream = stream->next)
            for (; stream != except && is_ready(stream); any = true) run_first(stream);
    }
}

/* One of those that are ready. What a stream waits for was asked for before, so one is ready while any has work. */
static cudaStream_t any_ready(void) {
    cudaStream_t chosen = NULL;
    uint32_t seen = 0;
    for (cudaStream_t stream = streams; stream; stream = stream->next) {
        if (!is_ready(stream)) continue;
        shuffle = shuffle * 1664525u + 1013904223u;
        if ((shuffle >> 8) % ++seen == 0) chosen = stream;
    }
    return chosen;
}

static order order_of_turn(void) {
    return fixed_order < 0 ? (order)(turns++ % ORDERS) : (order)fixed_order;
}

static void run_until(cudaStream_t stream, size_t position) {
    if (stream->done >= position) return;
    order now = order_of_turn();
    if (now == EARLY) run_others(stream);
    while (now == SHUFFLED && stream->done < position) run_first(any_ready());
    run_late(stream, position);
}

void emulation_submit(cudaStream_t stream, emulation_task *task) {
    task->next = NULL;
    *stream->last = task;
    stream->last = &task->next;
    stream->submitted++;
}

void emulation_run_all(void) {
    order now = order_of_turn();
    for (cudaStream_t stream; now == SHUFFLED && (stream = any_ready());) run_first(stream);
    for (cudaStream_t stream = streams; stream && now == LATE; stream = stream->next)
        run_late(stream, stream->submitted);
    run_others(NULL);
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
    for (cudaStream_t other = streams; other; other = other->next)
        for (emulation_task *task = other->first; task; task = task->next) {
            wait_task *wait = (wait_task *)(void *)task;
            if (task->run == run_wait && wait->stream == stream) wait->stream = NULL;
        }
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

/* For what the event stands for now; it may be recorded anew at once. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    cudaError_t code = emulation_begin();
    check_stream(stream, "cudaStreamWaitEvent");
    check_event(event, "cudaStreamWaitEvent");
    if (flags != 0) emulation_fault("cudaStreamWaitEvent: flags that are not 0");
    if (code != cudaSuccess || !event->stream) return emulation_end(code);
    wait_task *wait = malloc(sizeof *wait);
    if (!wait) emulation_fault("no memory for a wait");
    *wait = (wait_task){{NULL, run_wait}, event->stream, event->position};
    emulation_submit(stream, &wait->task);
    return emulation_end(cudaSuccess);
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
