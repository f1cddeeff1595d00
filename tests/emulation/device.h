/* device.h - between the parts of the emulation: what a kernel needs while it runs (block.c), the memory of
 * the device (memory.c), work that waits (queue.c). Tests use emulation.h. */
#ifndef RA_EMULATION_DEVICE_H
#define RA_EMULATION_DEVICE_H

#include "cuda_runtime_api.h"
#include "emulation.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* runtime.c: a mistake in the code under test. Prints "emulation: ..." and aborts. */
void emulation_fault(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* runtime.c: every call of the runtime begins with begin(), which takes the one lock and answers what the
 * call has to fail with (cudaSuccess: nothing), and ends with end(), which returns its argument. */
cudaError_t emulation_begin(void);
cudaError_t emulation_end(cudaError_t code);
extern emulation_counts emulation_counted; /* between the two */
/* Has a kernel lost the device? Work that waits then comes to nothing. After a kernel: does it lose it? */
bool emulation_is_lost(void);
void emulation_kernel_ends(void);
cudaError_t emulation_after_wait(cudaError_t code); /* what the wait has to report */
/* The same for a call of cuBLAS, which has a runtime of its own: ours does not learn of its failures. */
cudaError_t emulation_begin_blas(void);
void emulation_end_blas(void);

/* ---- memory.c ------------------------------------------------------------------------------------------ */

bool emulation_is_device(const void *address); /* within a live block, or right behind it */
static inline bool emulation_looks_like_address(uintptr_t word) {
    return word >> 40 && !(word >> 47); /* where Linux maps memory of a process of 64 bits */
}
bool emulation_is_device_page(const void *address); /* is there a live block in it? */
/* A fault unless [pointer, pointer + bytes) lies in one live block of this kind. `what` names the call. */
void emulation_check_range(const void *pointer, size_t bytes, enum cudaMemoryType kind, const char *what);
/* Between these two the host may touch the device's memory; lock() looks for bytes written beside blocks. */
void emulation_unlock_memory(void);
void emulation_lock_memory(const char *after);
/* All of the device's memory, for a second run from the same start. */
void *emulation_snapshot(void);
void emulation_restore(const void *snapshot);
bool emulation_equals(const void *snapshot);
size_t emulation_memory_total(void); /* bytes */
/* Memory that a library takes for itself; false: there is not enough. */
bool emulation_take(size_t bytes);
void emulation_give_back(size_t bytes);
/* How many blocks of each are live; the total. */
size_t emulation_memory_live(size_t *device, size_t *pinned);
void emulation_memory_end(void); /* when nothing is live: forgets the freed blocks, too */

/* ---- queue.c ------------------------------------------------------------------------------------------- */

typedef struct emulation_task {
    struct emulation_task *next;
    void (*run)(struct emulation_task *self); /* frees it, too */
} emulation_task;

void emulation_submit(cudaStream_t stream, emulation_task *task);
void emulation_run_all(void); /* what cudaFree() does on the way */
size_t emulation_queue_live(size_t *streams, size_t *events);

/* ---- block.c ------------------------------------------------------------------------------------------- */

typedef struct emulation_size {
    unsigned x, y, z;
} emulation_size;

extern emulation_size threadIdx, blockIdx, blockDim, gridDim;

typedef struct emulation_kernel {
    emulation_task task;
    void (*invoke)(const struct emulation_kernel *self);
    void (*discard)(struct emulation_kernel *self);
    const void *function;
    emulation_size grid, block;
} emulation_kernel;

/* Takes the kernel over. sound: its parameters have been looked at, and no address is the host's. */
cudaError_t emulation_launch(cudaStream_t stream, emulation_kernel *kernel, bool sound);
const char *emulation_running(void); /* the kernel that runs now; NULL: none */

/* races.c, in the checked plugin only: */
#define CHECKED __attribute__((weak))
CHECKED void emulation_kernel_begins(void);
CHECKED void emulation_block_begins(unsigned number);
CHECKED void emulation_barrier_passed(void);
CHECKED void emulation_atomic(const void *address, size_t bytes);

void emulation_barrier(void);
/* What each of the warp's 32 lanes brought; valid until the thread's next exchange but one. */
const uint64_t *emulation_exchange(unsigned mask, uint64_t value);

#ifdef __cplusplus
}
#endif
#endif
