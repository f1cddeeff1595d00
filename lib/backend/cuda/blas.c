#include "backend/cuda/blas.h"

#include <dlfcn.h>
#include <string.h>

/* The version of the headers: another one may have other types. */
#ifndef CUBLAS_LIBRARY_NAME
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
#define CUBLAS_LIBRARY_NAME "libcublas.so." TEXT(CUBLAS_VER_MAJOR)
#endif

ra_status cublas_open(cublas_library *library, ra_error *err) {
    library->handle = dlopen(CUBLAS_LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!library->handle) RA_FAIL(err, RA_ERR_DEVICE, "the device cuda needs cuBLAS: %s", dlerror());
    const char *missing = NULL;
#define X(member, symbol)                                                                                    \
    {                                                                                                        \
        void *address = dlsym(library->handle, #symbol);                                                     \
        memcpy(&library->member, &address, sizeof address);                                                  \
        if (!address) missing = #symbol;                                                                     \
    }
    CUBLAS_CALLS(X)
#undef X
    if (!missing) return RA_OK;
    cublas_close(library);
    RA_FAIL(err, RA_ERR_DEVICE, "the device cuda needs another version of cuBLAS: %s has no %s",
            CUBLAS_LIBRARY_NAME, missing);
}

void cublas_close(cublas_library *library) {
    if (library->handle) dlclose(library->handle);
    *library = (cublas_library){0};
}
