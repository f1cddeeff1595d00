/* A descriptor is opened for a call and closed after it: data may have more files than a process may have open. The
 * name may lead to another file by then, whose numbers would be wrong, so device and inode are compared; a mapping
 * keeps the old file. */
#include "data/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool open_file(ra_disk *disk, const ra_data_file *file) {
    struct stat info;
    if (!file->direct) return false;
    if (disk->file == file) return true;
    ra_disk_close(disk);
    int descriptor = open(ra_array_path(file->array), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return false;
    if (fstat(descriptor, &info) != 0 || (uint64_t)info.st_dev != file->device ||
        (uint64_t)info.st_ino != file->inode) {
        close(descriptor);
        return false;
    }
    (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM); /* callers say themselves what comes next */
    *disk = (ra_disk){file, descriptor};
    return true;
}

bool ra_disk_read(ra_disk *disk, const ra_data_file *file, size_t at, size_t bytes, void *out) {
    if (!open_file(disk, file)) return false;
    for (size_t done = 0; done < bytes;) {
        ssize_t got =
            pread(disk->descriptor, (char *)out + done, bytes - done, (off_t)(file->offset + at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

void ra_disk_forget(ra_disk *disk, const ra_data_file *file, size_t at, size_t bytes) {
    if (disk->file == file)
        (void)posix_fadvise(disk->descriptor, (off_t)(file->offset + at), (off_t)bytes, POSIX_FADV_DONTNEED);
}

void ra_disk_close(ra_disk *disk) {
    if (disk->file) close(disk->descriptor);
    *disk = (ra_disk){0};
}
