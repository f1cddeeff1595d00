/* Opening a backend by name. The built-in ones are a table; any other name is a plugin, librasae-NAME.so,
 * loaded on request, so that the programs themselves do not depend on any accelerator's libraries. */
#include "backend/backend.h"
#include "ra_memory.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What stands behind a ra_backend *. */
typedef struct open_backend {
    ra_backend visible; /* first, so that a pointer to one is a pointer to the other */
    ra_backend serial;  /* of the CPU backend: the same table, without the pool */
    ra_pool *pool;      /* for host loops, kept for a device; the CPU backend is one itself */
    bool tf32;
    atomic_size_t references;
} open_backend;

static const ra_backend_ops *const built_in[] = {&ra_backend_cpu, &ra_backend_reference};

/* ---- plugins ------------------------------------------------------------------------------------------- */

/* A plugin stays loaded once its probe has run. The driver below it has started threads by then and has
 * registered functions for the end of the process; unloading the code that they call is not safe, and loading
 * it again takes a large part of a second. */

typedef const ra_backend_ops *plugin_ops(void);
typedef const char *plugin_probe(void);

/* Beside the running program first, so that a build folder and an installed prefix both work without
 * configuration. */
static void *load_library(const char *name, char *file, size_t size) {
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) {
        program[length] = '\0';
        char *slash = strrchr(program, '/');
        if (slash) *slash = '\0';
        snprintf(file, size, "%s/librasae-%s.so", program, name);
        void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
        if (library || access(file, F_OK) == 0) return library;
    }
    snprintf(file, size, "librasae-%s.so", name);
    return dlopen(file, RTLD_NOW | RTLD_LOCAL);
}

static ra_status load_plugin(const char *name, const ra_backend_ops **ops, ra_error *err) {
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-') || c - name > 31)
            RA_FAIL(
                err, RA_ERR_ARGUMENT,
                "unknown device \"%s\": expected auto, cpu, reference, or the name of a plugin such as cuda",
                name);
    char file[PATH_MAX + 64];
    void *library = load_library(name, file, sizeof file);
    const char *why = library ? NULL : dlerror();
    /* dlopen has no error code for it, and reports a missing library that the plugin needs in the same way */
    if (why && strstr(why, "No such file") && strncmp(why, file, strlen(file)) == 0)
        RA_FAIL(err, RA_ERR_DEVICE, "the device %s needs the plugin librasae-%s.so, which is not installed",
                name, name);
    if (why)
        RA_FAIL(err, RA_ERR_DEVICE, "the device %s needs the plugin librasae-%s.so, which did not load: %s",
                name, name, why);
    /* POSIX returns function pointers as void *; ISO C allows copying the bytes, but no cast */
    plugin_ops *get_ops = NULL;
    plugin_probe *probe = NULL;
    void *symbol = dlsym(library, RA_BACKEND_PLUGIN_OPS);
    memcpy(&get_ops, &symbol, sizeof symbol);
    symbol = dlsym(library, RA_BACKEND_PLUGIN_PROBE);
    memcpy(&probe, &symbol, sizeof symbol);
    if (!get_ops || !probe) {
        dlclose(library);
        RA_FAIL(err, RA_ERR_DEVICE, "%s is not a rasae plugin: it does not export %s", file,
                get_ops ? RA_BACKEND_PLUGIN_PROBE : RA_BACKEND_PLUGIN_OPS);
    }
    *ops = get_ops();
    if ((*ops)->api_version != RA_BACKEND_API_VERSION) {
        ra_error_set(err, RA_ERR_DEVICE, "%s has version %u of the plugin interface, expected %d", file,
                     (unsigned)(*ops)->api_version, RA_BACKEND_API_VERSION);
        dlclose(library);
        return RA_ERR_DEVICE;
    }
    const char *reason = probe();
    if (reason) RA_FAIL(err, RA_ERR_DEVICE, "the device %s cannot be used: %s", name, reason);
    return RA_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static ra_status open_named(const char *name, const ra_backend_options *options, ra_backend **out,
                            ra_error *err) {
    const ra_backend_ops *ops = NULL;
    open_backend *opened = ra_calloc(1, sizeof *opened);
    if (!opened) RA_FAIL_MEMORY(err, "a backend", sizeof *opened);
    ra_status status = RA_OK;
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (strcmp(name, built_in[i]->name) == 0) ops = built_in[i];
    if (!ops) RA_TRY_OUT(status, load_plugin(name, &ops, err));
    if (!ops->host_memory)
        RA_TRY_OUT(status, ra_pool_new(options->threads, options->nice, &opened->pool, err));
    RA_TRY_OUT(status, ops->open(options, &opened->visible.self, err));
    opened->visible.ops = ops;
    opened->serial.ops = ops;
    opened->tf32 = options->tf32 && !ops->host_memory;
    atomic_init(&opened->references, 1);
    *out = &opened->visible;
    return RA_OK;
out:
    ra_pool_free(opened->pool);
    ra_free(opened);
    return status;
}

const char *ra_backend_choose(const char *device) {
    const ra_backend_ops *ops;
    ra_error reason;
    if (strcmp(device, "auto") != 0) return device;
    if (load_plugin("cuda", &ops, &reason) == RA_OK) return "cuda";
    ra_log(RA_LOG_INFO, "using the CPU: %s", reason.message);
    return "cpu";
}

ra_status ra_backend_open(const char *device, const ra_backend_options *options, ra_backend **backend,
                          ra_error *err) {
    ra_backend_options chosen = options ? *options : (ra_backend_options){0};
    if (strcmp(device, "auto") == 0) {
        ra_error reason;
        if (open_named("cuda", &chosen, backend, &reason) == RA_OK) return RA_OK;
        ra_log(RA_LOG_INFO, "using the CPU: %s", reason.message);
        device = "cpu";
    }
    char name[64];
    const char *colon = strchr(device, ':');
    size_t length = colon ? (size_t)(colon - device) : strlen(device);
    if (length == 0 || length >= sizeof name)
        RA_FAIL(err, RA_ERR_ARGUMENT, "unknown device \"%s\": expected auto, cpu, reference, or cuda",
                device);
    memcpy(name, device, length);
    name[length] = '\0';
    if (colon) {
        char *end;
        long ordinal = strtol(colon + 1, &end, 10);
        if (end == colon + 1 || *end || ordinal < 0 || ordinal > 1023)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "unknown device \"%s\": expected a number from 0 to 1023 after the colon", device);
        chosen.ordinal = (int)ordinal;
        chosen.process = 0;
    }
    return open_named(name, &chosen, backend, err);
}

/* The serial one is the CPU backend that has no pool. */
static open_backend *behind(const ra_backend *backend) {
    bool serial = backend && backend->ops == &ra_backend_cpu && !backend->self;
    return (open_backend *)((uintptr_t)backend - (serial ? offsetof(open_backend, serial) : 0));
}

ra_status ra_backend_open_host(ra_backend *backend, ra_backend **host, ra_error *err) {
    if (ra_backend_host_memory(backend)) {
        *host = ra_backend_retain(backend);
        return RA_OK;
    }
    const ra_backend_options options = {.threads = ra_pool_threads(behind(backend)->pool)};
    return ra_backend_open("cpu", &options, host, err);
}

ra_backend *ra_backend_retain(ra_backend *backend) {
    atomic_fetch_add_explicit(&behind(backend)->references, 1, memory_order_relaxed);
    return backend;
}

void ra_backend_release(ra_backend *backend) {
    open_backend *opened = behind(backend);
    if (!opened || atomic_fetch_sub_explicit(&opened->references, 1, memory_order_acq_rel) != 1) return;
    opened->visible.ops->close(opened->visible.self);
    ra_pool_free(opened->pool);
    ra_free(opened);
}

bool ra_backend_tf32(const ra_backend *backend) {
    return behind(backend)->tf32;
}

/* The context of the CPU backend is its pool, and loops without one run in order. */
ra_backend *ra_backend_serial(ra_backend *backend) {
    return backend->ops == &ra_backend_cpu ? &behind(backend)->serial : backend;
}

ra_pool *ra_backend_pool(const ra_backend *backend) {
    return backend->ops == &ra_backend_cpu ? backend->self : behind(backend)->pool;
}
