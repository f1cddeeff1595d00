/* Files mapped for reading. The descriptor is closed at once: the mapping alone keeps the content of the file
 * alive, even if a new file is renamed over its name. Writers must therefore replace files and never shorten
 * them in place: reading a page that no longer exists ends the process. */
#include "ra_io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_for_reading(const char *path) {
    int fd;
    do { /* O_NONBLOCK: opening a pipe without a writer would otherwise wait forever */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* The caller closes `fd` in any case. */
static ra_status map_descriptor(int fd, const char *path, ra_mapping *mapping, ra_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0) RA_FAIL(err, RA_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) RA_FAIL(err, RA_ERR_ARGUMENT, "%s is a directory, not a file", path);
    if (!S_ISREG(info.st_mode)) RA_FAIL(err, RA_ERR_ARGUMENT, "%s is not a regular file", path);
    if (info.st_size == 0) return RA_OK; /* mmap() fails for a length of zero */
    size_t size = (size_t)info.st_size;
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        RA_FAIL(err, errno == ENOMEM ? RA_ERR_MEMORY : RA_ERR_IO, "cannot map the %zu bytes of %s: %s", size,
                path, strerror(errno));
    *mapping = (ra_mapping){data, size};
    return RA_OK;
}

ra_status ra_mapping_open(const char *path, ra_mapping *mapping, ra_error *err) {
    *mapping = (ra_mapping){0};
    int fd = open_for_reading(path);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR) RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no file %s", path);
        RA_FAIL(err, RA_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    ra_status status = map_descriptor(fd, path, mapping, err);
    close(fd);
    return status;
}

void ra_mapping_close(ra_mapping *mapping) {
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (ra_mapping){0};
}

void ra_mapping_advise(const void *data, size_t size, ra_access access) {
    static const int advice[] = {[RA_ACCESS_NORMAL] = MADV_NORMAL,
                                 [RA_ACCESS_SEQUENTIAL] = MADV_SEQUENTIAL,
                                 [RA_ACCESS_SOON] = MADV_WILLNEED};
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)data, first = start & ~(page - 1);
    if (size) (void)madvise((void *)first, start + size - first, advice[access]);
}
