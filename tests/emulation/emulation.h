/* emulation.h - what a test may ask of the emulated device. The plugin that is built over it
 * (librasae-cuda-emulated.so, device "cuda-emulated") exports these; a test looks them up by name.
 *
 * Mistakes that the emulation finds end the process with SIGABRT and a line "emulation: ..." on standard
 * error. */
#ifndef RA_EMULATION_H
#define RA_EMULATION_H

#include <stddef.h>

/* The call-th call of the runtime or of cuBLAS from now fails with this error of CUDA (1: the next; 0: none
 * does, and what has failed is forgotten). An error after which a real device is lost makes all later calls
 * fail, too. Calls that free do so even when they report a failure. */
typedef void emulation_fail_at_fn(size_t call, int error);
#define EMULATION_FAIL_AT "emulation_fail_at"

/* The launch-th kernel from now (1: the next; 0: none) loses the device with this error when it runs, as an
 * access of its own would: its launch succeeds, the next wait reports the error, and so does all that follows,
 * until emulation_fail_at(0, 0). */
typedef void emulation_fail_later_fn(size_t launch, int error);
#define EMULATION_FAIL_LATER "emulation_fail_later"

/* A program that a test cannot reach into has the GPUs whose generations the environment variable
 * EMULATION_DEVICES lists, "90,75" for two. */

/* A program that a test cannot reach into loses its device when there comes to be a file of the name that the
 * environment variable EMULATION_LOST says. */

/* How many calls there have been since the last emulation_fail_at(). */
typedef size_t emulation_calls_fn(void);
#define EMULATION_CALLS "emulation_calls"

/* What has not been freed yet; returns how much, and says what in a static text. */
typedef size_t emulation_live_fn(const char **text);
#define EMULATION_LIVE "emulation_live"

/* What the machine has: the CUDA version that its driver supports (0: no driver), GPUs, and their generation
 * * 10. */
typedef void emulation_machine_fn(int driver, int devices, int generation);
#define EMULATION_MACHINE "emulation_machine"

/* How many bytes of device memory there are (at the start 16 GiB, or what the environment variable
 * EMULATION_MEMORY says, for programs that a test cannot reach into). An allocation beyond it fails with
 * cudaErrorMemoryAllocation. */
typedef void emulation_set_memory_fn(size_t bytes);
#define EMULATION_SET_MEMORY "emulation_set_memory"

/* Whether every kernel runs twice, in two orders of its blocks and threads, and has to give the same bytes (it
 * does at the start). */
typedef void emulation_run_twice_fn(int twice);
#define EMULATION_RUN_TWICE "emulation_run_twice"

/* When streams do work that no caller waits for: as late as it may (0), as early as it may (1), in a shuffled
 * order with the rest (2), or by turns (-1, at the start). */
typedef void emulation_stream_order_fn(int order);
#define EMULATION_STREAM_ORDER "emulation_stream_order"

/* The n-th allocation of host memory by the plugin from now fails, and all later ones (ra_memory_fail_at(),
 * of which a plugin has its own). */
typedef size_t emulation_fail_memory_fn(size_t n);
#define EMULATION_FAIL_MEMORY "emulation_fail_memory"

/* What has been asked of the device since the last call of this: proxies for time, which is not emulated. */
typedef struct emulation_counts {
    size_t waits;         /* for a stream, or for what a stream has done by some moment */
    size_t launches;      /* of kernels */
    size_t most_blocks;   /* of one of them, along x */
    size_t products;      /* of cuBLAS */
    size_t half_products; /* those of them with factors of 16 bits */
    size_t fills, uploads, downloads;
    size_t bytes_up, bytes_down;
    size_t bytes_through; /* of these, copied by the host between the caller's memory and a buffer */
} emulation_counts;
typedef emulation_counts emulation_count_fn(void);
#define EMULATION_COUNT "emulation_count"

/* Makes one of the mistakes that the emulation has to find (faults.cu); returns 0 when there is none of this
 * name. */
typedef int emulation_plant_fn(const char *fault);
#define EMULATION_PLANT "emulation_plant"

#endif
