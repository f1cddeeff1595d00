/* The file is mapped, so that its user does not have to know: the system writes its pages to the disk when it needs their
 * memory. Its blocks are reserved first, since a write into a mapping that finds the disk full ends the process. */
#include "common/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMORY_SHARE = 32, PATH_SIZE = 4096 }; /* in memory while it takes less than this part of it */

/* Also where the file system has no files without names. */
static int open_unnamed(const char *beside) {
    char path[PATH_SIZE];
    const char *slash = strrchr(beside, '/');
    int length = slash ? (int)(slash - beside) + 1 : 0;
    if (snprintf(path, sizeof path, "%.*s.", length, beside) >= (int)sizeof path) return -1;
    int file = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0) return file;
    if (snprintf(path, sizeof path, "%.*s.rasae.XXXXXX", length, beside) >= (int)sizeof path) return -1;
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0) (void)unlink(path);
    return file;
}

static ra_status map_file(spill *array, int file, size_t bytes, ra_error *err) {
    int failure = posix_fallocate(file, 0, (off_t)bytes);
    void *data = failure ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (data == MAP_FAILED)
        RA_FAIL(err, RA_ERR_IO, "cannot reserve %zu bytes for %s in its folder: %s", bytes, array->beside,
                strerror(failure ? failure : errno));
    if (array->file)
        (void)munmap(array->data, array->capacity);
    else {
        if (array->capacity) memcpy(data, array->data, array->capacity);
        ra_free(array->data);
    }
    *array = (spill){array->beside, data, bytes, file + 1};
    return RA_OK;
}

static ra_status grow_in_memory(spill *array, size_t bytes, ra_error *err) {
    void *data = ra_realloc(array->data, bytes, 1);
    if (!data) RA_FAIL_MEMORY(err, "codes", bytes);
    array->data = data;
    array->capacity = bytes;
    return RA_OK;
}

ra_status spill_reserve(spill *array, size_t bytes, ra_error *err) {
    if (bytes <= array->capacity) return RA_OK;
    size_t capacity = bytes + bytes / 2;
    if (array->file) return map_file(array, array->file - 1, capacity, err);
    if (capacity < ra_memory_limit() / MEMORY_SHARE) return grow_in_memory(array, capacity, err);
    int file = open_unnamed(array->beside);
    if (file < 0) return grow_in_memory(array, capacity, err);
    ra_status status = map_file(array, file, capacity, err);
    if (status != RA_OK) close(file);
    return status;
}

void spill_release(spill *array) {
    if (array->file) {
        (void)munmap(array->data, array->capacity);
        close(array->file - 1);
    } else {
        ra_free(array->data);
    }
    *array = (spill){.beside = array->beside};
}
