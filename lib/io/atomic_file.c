/* Atomic replacement of a file.
 *
 * The content goes to `.NAME.XXXXXX` in the folder of the target, so that the final rename stays within one
 * file system and is atomic. The order makes it safe against crashes: flush the file, then rename it, then
 * flush the folder; after a power failure there is either the old file or the whole new one. Two writers of
 * one target have two temporary files, and the last rename wins.
 *
 * open() creates the temporary file, with O_EXCL, mode 0666 and a random name, instead of mkostemp(): the
 * kernel then applies the umask (and the folder's default access list), which a library cannot read without
 * changing it for all threads. All paths are relative to a descriptor of the folder, so the working directory
 * may change between begin and commit.
 *
 * If the target is a symbolic link to a file, that file is replaced and the link stays. */
#include "ra_io.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = 1 << 16, /* small writes are collected; larger ones go directly to the file */
    SUFFIX_SIZE = 6,
    NAME_SIZE = 240, /* of the target's name in the temporary one: NAME_MAX without dots and suffix */
    ATTEMPTS = 100,
};

struct ra_atomic_file {
    char *path;      /* from the caller, for messages */
    char *name;      /* the target within the folder */
    char *temporary; /* the temporary file within the folder; NULL: none to remove */
    int folder, fd;  /* -1: closed */
    bool failed;     /* a write failed: commit must not rename */
    size_t used;
    unsigned char buffer[BUFFER_SIZE];
};

static ra_status fail_errno(const ra_atomic_file *file, const char *what, ra_error *err) {
    RA_FAIL(err, RA_ERR_IO, "cannot write %s: %s: %s", file->path, what, strerror(errno));
}

static void release(ra_atomic_file *file) {
    if (file->fd >= 0) close(file->fd);
    if (file->temporary) unlinkat(file->folder, file->temporary, 0);
    if (file->folder >= 0) close(file->folder);
    ra_free(file->temporary);
    ra_free(file->name);
    ra_free(file->path);
    ra_free(file);
}

/* ---- begin ------------------------------------------------------------------------------------------- */

/* target <- the file to be replaced: `path`, or what it links to. */
static ra_status resolve(const char *path, char target[PATH_MAX], ra_error *err) {
    struct stat info;
    size_t length = strlen(path);
    if (length == 0 || length >= PATH_MAX || path[length - 1] == '/')
        RA_FAIL(err, RA_ERR_ARGUMENT, "cannot write \"%s\": that is not a file name", path);
    memcpy(target, path, length + 1);
    if (stat(path, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return RA_OK; /* a new file, or no such folder: open_folder() finds out */
        RA_FAIL(err, RA_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    if (S_ISDIR(info.st_mode)) RA_FAIL(err, RA_ERR_ARGUMENT, "cannot write %s: it is a directory", path);
    if (!S_ISREG(info.st_mode)) /* renaming over a device would remove the device */
        RA_FAIL(err, RA_ERR_ARGUMENT, "cannot write %s: it is not a regular file", path);
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && !realpath(path, target))
        RA_FAIL(err, RA_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return RA_OK;
}

/* Opens the folder of `target`, which is cut at its last slash, and keeps the name. */
static ra_status open_folder(ra_atomic_file *file, char *target, ra_error *err) {
    char *slash = strrchr(target, '/');
    file->name = ra_strdup(slash ? slash + 1 : target);
    if (!file->name) RA_FAIL_MEMORY(err, "the name of a file", strlen(target) + 1);
    if (slash) *slash = '\0';
    const char *folder = !slash ? "." : slash == target ? "/" : target;
    file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->folder >= 0) return RA_OK;
    if (errno == ENOENT)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "cannot write %s: there is no directory %s", file->path, folder);
    RA_FAIL(err, RA_ERR_IO, "cannot write %s: cannot open the directory %s: %s", file->path, folder,
            strerror(errno));
}

static bool random_suffix(char suffix[SUFFIX_SIZE + 1]) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345"; /* 32: no bias */
    unsigned char bytes[SUFFIX_SIZE];
    if (getentropy(bytes, sizeof bytes) != 0) return false;
    for (int i = 0; i < SUFFIX_SIZE; i++) suffix[i] = letters[bytes[i] % 32];
    suffix[SUFFIX_SIZE] = '\0';
    return true;
}

static ra_status create_temporary(ra_atomic_file *file, ra_error *err) {
    size_t size = NAME_SIZE + SUFFIX_SIZE + 3;
    char suffix[SUFFIX_SIZE + 1], *temporary = ra_malloc(size, 1);
    if (!temporary) RA_FAIL_MEMORY(err, "the name of a temporary file", size);
    errno = EEXIST;
    for (int i = 0; i < ATTEMPTS && file->fd < 0 && (errno == EEXIST || errno == EINTR); i++) {
        if (!random_suffix(suffix)) break;
        snprintf(temporary, size, ".%.*s.%s", NAME_SIZE, file->name, suffix);
        file->fd = openat(file->folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (file->fd < 0) {
        ra_status status = fail_errno(file, "cannot create a temporary file beside it", err);
        ra_free(temporary);
        return status;
    }
    file->temporary = temporary;
    return RA_OK;
}

ra_status ra_atomic_file_begin(const char *path, ra_atomic_file **out, ra_error *err) {
    char target[PATH_MAX];
    RA_TRY(resolve(path, target, err));
    ra_atomic_file *file = ra_malloc(1, sizeof *file);
    if (!file) RA_FAIL_MEMORY(err, "the buffer of a file", sizeof *file);
    file->temporary = file->name = NULL;
    file->folder = file->fd = -1;
    file->failed = false;
    file->used = 0;
    file->path = ra_strdup(path);
    ra_status status = RA_OK;
    if (!file->path) status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the name of a file");
    if (status == RA_OK) status = open_folder(file, target, err);
    if (status == RA_OK) status = create_temporary(file, err);
    if (status != RA_OK) {
        release(file);
        return status;
    }
    *out = file;
    return RA_OK;
}

/* ---- write, commit, abort ---------------------------------------------------------------------------- */

static ra_status (*required)(ra_error *err);

void ra_atomic_file_require(ra_status (*check)(ra_error *err)) {
    required = check;
}

static ra_status write_all(ra_atomic_file *file, const unsigned char *data, size_t size, ra_error *err) {
    while (size > 0) {
        ssize_t n = write(file->fd, data, size); /* may be short: a full disk, a limit, 2 GiB at once */
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = EIO; /* no progress and no reason: do not try forever */
            int reason = errno;
            file->failed = true;
            if (reason == EFAULT && required) RA_TRY(required(err)); /* the data was in a page that is gone */
            errno = reason;
            return fail_errno(file, "writing failed", err);
        }
        data += n;
        size -= (size_t)n;
    }
    return RA_OK;
}

static ra_status flush(ra_atomic_file *file, ra_error *err) {
    size_t used = file->used;
    file->used = 0;
    return write_all(file, file->buffer, used, err);
}

ra_status ra_atomic_file_write(ra_atomic_file *file, const void *data, size_t size, ra_error *err) {
    if (size > BUFFER_SIZE - file->used) RA_TRY(flush(file, err));
    if (size >= BUFFER_SIZE) return write_all(file, data, size, err);
    if (size > 0) memcpy(file->buffer + file->used, data, size);
    file->used += size;
    return RA_OK;
}

static int flush_to_disk(int fd) {
    int result;
    do result = fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

static ra_status replace_target(ra_atomic_file *file, ra_error *err) {
    if (file->failed) RA_FAIL(err, RA_ERR_IO, "cannot write %s: an earlier write failed", file->path);
    RA_TRY(flush(file, err));
    if (flush_to_disk(file->fd) != 0) return fail_errno(file, "flushing to the disk failed", err);
    int fd = file->fd;
    file->fd = -1; /* closed even if close() fails */
    if (close(fd) != 0 && errno != EINTR) return fail_errno(file, "closing failed", err);
    if (renameat(file->folder, file->temporary, file->folder, file->name) != 0)
        return fail_errno(file, "renaming the finished file failed", err);
    ra_free(file->temporary);
    file->temporary = NULL;
    if (flush_to_disk(file->folder) != 0 &&
        errno != EINVAL) /* EINVAL: this file system has no such operation */
        RA_FAIL(err, RA_ERR_IO, "%s is written, but flushing its directory to the disk failed: %s",
                file->path, strerror(errno));
    return RA_OK;
}

ra_status ra_atomic_file_commit(ra_atomic_file *file, ra_error *err) {
    ra_status status = required ? required(err) : RA_OK;
    if (status == RA_OK) status = replace_target(file, err);
    release(file);
    return status;
}

void ra_atomic_file_abort(ra_atomic_file *file) {
    if (file) release(file);
}
