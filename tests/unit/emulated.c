#include "emulated.h"
#include "harness.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A function by its name: POSIX gives an object pointer. */
static void find(void *library, const char *name, void *place) {
    void *symbol = dlsym(library, name);
    ck_assert_msg(symbol != NULL, "the emulated plugin exports no %s", name);
    memcpy(place, &symbol, sizeof symbol);
}

static emulated open_plugin(const char *file) {
    char path[4096 + 64];
    ssize_t length = readlink("/proc/self/exe", path, 4096);
    ck_assert_int_gt(length, 0);
    path[length] = '\0';
    char *name = strrchr(path, '/') + 1;
    snprintf(name, sizeof path - (size_t)(name - path), "%s", file);
    emulated device = {.library = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    ck_assert_msg(device.library != NULL, "%s", dlerror());
    find(device.library, EMULATION_FAIL_AT, &device.fail_at);
    find(device.library, EMULATION_FAIL_LATER, &device.fail_later);
    find(device.library, EMULATION_CALLS, &device.calls);
    find(device.library, EMULATION_LIVE, &device.live);
    find(device.library, EMULATION_MACHINE, &device.machine);
    find(device.library, EMULATION_SET_MEMORY, &device.set_memory);
    find(device.library, EMULATION_RUN_TWICE, &device.run_twice);
    find(device.library, EMULATION_STREAM_ORDER, &device.stream_order);
    find(device.library, EMULATION_FAIL_MEMORY, &device.fail_memory);
    find(device.library, EMULATION_PLANT, &device.plant);
    find(device.library, EMULATION_COUNT, &device.count);
    return device;
}

emulated emulated_open(void) {
    return open_plugin("librasae-cuda-emulated.so");
}

emulated emulated_open_checked(void) {
    return open_plugin("librasae-cuda-checked.so");
}

void emulated_close(emulated *device) {
    const char *text;
    ck_assert_msg(device->live(&text) == 0, "not freed: %s", text);
    dlclose(device->library);
}
