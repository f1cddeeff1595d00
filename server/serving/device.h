/* device.h - whether the device that computes still answers.
 *
 * A GPU that fails in earnest (an illegal access, a hardware error, a hung kernel) answers nothing more until
 * the process ends; the server then has to be started again. A failed operation alone does not say that. So
 * after one the device is asked for something that it can always do: what cannot even wait for work that
 * there is not is lost.
 *
 *     device_watch_init(&watch, backend, tell, context);
 *     if (status == RA_ERR_DEVICE) device_watch_failed(&watch);     any thread, any number of times
 *     if (device_watch_reason(&watch)) ... not ready ...
 *
 * Thread safety: any thread may report and ask at any time; init belongs to one, before them.
 */
#ifndef RASAED_SERVING_DEVICE_H
#define RASAED_SERVING_DEVICE_H

#include "ra_backend.h"

#include <stdatomic.h>

typedef struct device_watch {
    ra_backend *backend;         /* not owned; NULL: nothing is ever lost */
    void (*lost)(void *context); /* called once, from the thread that found out */
    void *context;
    atomic_flag found;
    atomic_bool told;
    char reason[RA_ERROR_MESSAGE_SIZE];
} device_watch;

void device_watch_init(device_watch *watch, ra_backend *backend, void (*lost)(void *context), void *context);

/* An operation has failed with RA_ERR_DEVICE. */
void device_watch_failed(device_watch *watch);

/* NULL while nothing is lost, else why; constant from then on. */
const char *device_watch_reason(const device_watch *watch);

#endif
