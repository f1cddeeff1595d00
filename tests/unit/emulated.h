/* emulated.h - the emulated device behind the device "cuda-emulated" (tests/emulation/emulation.h), as a test
 * controls it. */
#ifndef RA_TEST_EMULATED_H
#define RA_TEST_EMULATED_H

#include "emulation/emulation.h"

typedef struct emulated {
    void *library; /* kept loaded: settings and counts live in it */
    emulation_fail_at_fn *fail_at;
    emulation_fail_later_fn *fail_later;
    emulation_calls_fn *calls;
    emulation_live_fn *live;
    emulation_machine_fn *machine;
    emulation_set_memory_fn *set_memory;
    emulation_run_twice_fn *run_twice;
    emulation_stream_order_fn *stream_order;
    emulation_fail_memory_fn *fail_memory;
    emulation_plant_fn *plant;
    emulation_count_fn *count;
} emulated;

emulated emulated_open(void);
emulated emulated_open_checked(void);  /* the plugin that knows of each access (tests/emulation/races.c) */
void emulated_close(emulated *device); /* fails the test when the plugin has not freed everything */

#endif
