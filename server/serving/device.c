#include "serving/device.h"

#include <string.h>

void device_watch_init(device_watch *watch, ra_backend *backend, void (*lost)(void *context), void *context) {
    *watch = (device_watch){.backend = backend, .lost = lost, .context = context, .found = ATOMIC_FLAG_INIT};
}

void device_watch_failed(device_watch *watch) {
    ra_error why = {0};
    if (!watch->backend) return;
    ra_status status = ra_backend_synchronize(watch->backend, &why);
    if (status != RA_ERR_DEVICE || atomic_flag_test_and_set(&watch->found)) return;
    memcpy(watch->reason, why.message, sizeof watch->reason);
    atomic_store(&watch->told, true);
    ra_log(RA_LOG_ERROR, "the device is lost: %s", why.message);
    if (watch->lost) watch->lost(watch->context);
}

const char *device_watch_reason(const device_watch *watch) {
    return atomic_load(&watch->told) ? watch->reason : NULL;
}
