/* device.h - whether the device that computes still works.
 *
 * After a fatal error (an illegal access, a hardware fault, a hung kernel) a GPU does nothing more until the
 * process ends, so the server has to be restarted. One failed operation alone does not show that. So after a
 * failure the device is asked for something that always works: a device that cannot even wait for its empty
 * queue is lost.
 *
 *     device_watch_init(&watch, backend, tell, context);
 *     if (status == RA_ERR_DEVICE) device_watch_failed(&watch);     any thread, any number of times
 *     if (device_watch_reason(&watch)) ... not ready ...
 *
 * Thread safety: any thread may report and ask at any time; init comes first.
 */
#ifndef RASAED_SERVING_DEVICE_H
#define RASAED_SERVING_DEVICE_H

#include "ra_backend.h"

#include <stdatomic.h>

typedef struct device_watch {
    ra_backend *backend;         /* not owned; NULL: never lost */
    void (*lost)(void *context); /* called once, by the thread that finds out */
    void *context;
    atomic_flag found;
    atomic_bool told;
    char reason[RA_ERROR_MESSAGE_SIZE];
} device_watch;

void device_watch_init(device_watch *watch, ra_backend *backend, void (*lost)(void *context), void *context);

/* Reports an operation that failed with RA_ERR_DEVICE. */
void device_watch_failed(device_watch *watch);

/* Why the device is lost; NULL while it is not. Constant from then on. */
const char *device_watch_reason(const device_watch *watch);

#endif
