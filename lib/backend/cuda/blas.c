#include "backend/cuda/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

/* The version of the headers: another one may have other types. */
#ifndef CUBLAS_LIBRARY_NAME
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
#define CUBLAS_LIBRARY_NAME "libcublas.so." TEXT(CUBLAS_VER_MAJOR)
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cublas_library loaded; /* for ever: see blas.h */

static ra_status load(ra_error *err) {
    cublas_library library = {.handle = dlopen(CUBLAS_LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL)};
    if (!library.handle) RA_FAIL(err, RA_ERR_DEVICE, "the device cuda needs cuBLAS: %s", dlerror());
    const char *missing = NULL;
#define X(member, symbol)                                                                                    \
    {                                                                                                        \
        void *address = dlsym(library.handle, #symbol);                                                      \
        memcpy(&library.member, &address, sizeof address);                                                   \
        if (!address) missing = #symbol;                                                                     \
    }
    CUBLAS_CALLS(X)
#undef X
    if (missing) {
        dlclose(library.handle);
        RA_FAIL(err, RA_ERR_DEVICE, "the device cuda needs another version of cuBLAS: %s has no %s",
                CUBLAS_LIBRARY_NAME, missing);
    }
    loaded = library;
    return RA_OK;
}

ra_status cublas_open(const cublas_library **library, ra_error *err) {
    pthread_mutex_lock(&lock);
    ra_status status = loaded.handle ? RA_OK : load(err);
    pthread_mutex_unlock(&lock);
    *library = &loaded;
    return status;
}
