/* What a program does to files below a folder, in order: loaded before the C library (LD_PRELOAD), for test_power_cut.py, which
 * then plays every beginning of it as if the power had failed there.
 *
 *     POWER_FOLDER=DIR   files below it count; an absolute path without links
 *     POWER_LOG=PATH     where records are written: one line each, `KIND FILE OFFSET SIZE NAME`, and SIZE bytes of data behind
 *                        it. FILE is the number of an open file, counted up from 1.
 *
 *     open FILE 0 0 NAME      create FILE 0 0 NAME (it was not there)     folder FILE 0 0 NAME
 *     write FILE OFFSET SIZE -     cut FILE OFFSET 0 -     flush FILE 0 0 -
 *     rename 0 0 SIZE OLD (the data is the new name)     remove 0 0 0 NAME     mkdir 0 0 0 NAME
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FILES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int numbers[MOST_FILES], last_number; /* of a descriptor; 0: not below the folder */
static int record = -1;
static ssize_t (*real_write)(int, const void *, size_t);

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void put(const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        ssize_t written = real_write(record, at, size);
        if (written <= 0) _exit(97);
        at += written;
        size -= (size_t)written;
    }
}

static void note(const char *kind, int file, long long offset, const void *data, size_t size,
                 const char *name) {
    char line[PATH_MAX + 128];
    if (record < 0) {
        real_write = REAL(write);
        record = REAL(open)(getenv("POWER_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (record < 0) _exit(98);
    }
    int length = snprintf(line, sizeof line, "%s %d %lld %zu %s\n", kind, file, offset, size, name);
    put(line, (size_t)length);
    if (size) put(data, size);
}

/* path <- that of `name`, seen from the folder `at`; false when it is not below the folder. */
static int below(int at, const char *name, char path[PATH_MAX]) {
    const char *folder = getenv("POWER_FOLDER");
    char link[64], base[PATH_MAX] = "";
    if (!folder || !name) return 0;
    if (name[0] != '/' && at == AT_FDCWD && !getcwd(base, sizeof base)) return 0;
    if (name[0] != '/' && at != AT_FDCWD) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t size = readlink(link, base, sizeof base - 1);
        if (size < 0) return 0;
        base[size] = '\0';
    }
    int size =
        name[0] == '/' ? snprintf(path, PATH_MAX, "%s", name) : snprintf(path, PATH_MAX, "%s/%s", base, name);
    return size < PATH_MAX && strncmp(path, folder, strlen(folder)) == 0;
}

static int number_of(int descriptor) {
    return descriptor >= 0 && descriptor < MOST_FILES ? numbers[descriptor] : 0;
}

static int open_at(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat info;
    int counts = below(at, name, path);
    pthread_mutex_lock(&lock);
    int there = counts && stat(path, &info) == 0;
    int opened = REAL(openat)(at, name, flags, mode);
    if (opened >= 0 && opened < MOST_FILES) numbers[opened] = 0;
    if (counts && opened >= 0 && opened < MOST_FILES && fstat(opened, &info) == 0) {
        numbers[opened] = ++last_number;
        note(S_ISDIR(info.st_mode) ? "folder" : there ? "open" : "create", numbers[opened], 0, NULL, 0, path);
        if (there && (flags & O_TRUNC)) note("cut", numbers[opened], 0, NULL, 0, "-");
    }
    pthread_mutex_unlock(&lock);
    return opened;
}

#define MODE(flags)                                                                                          \
    mode_t mode = 0;                                                                                         \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                 \
        va_list more;                                                                                        \
        va_start(more, flags);                                                                               \
        mode = va_arg(more, mode_t);                                                                         \
        va_end(more);                                                                                        \
    }

int open(const char *name, int flags, ...) {
    MODE(flags)
    return open_at(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    MODE(flags)
    return open_at(AT_FDCWD, name, flags, mode);
}
int openat(int at, const char *name, int flags, ...) {
    MODE(flags)
    if (record < 0 && !getenv("POWER_FOLDER")) return REAL(openat)(at, name, flags, mode);
    return open_at(at, name, flags, mode);
}
int openat64(int at, const char *name, int flags, ...) {
    MODE(flags)
    return open_at(at, name, flags, mode);
}

int close(int descriptor) {
    pthread_mutex_lock(&lock);
    if (descriptor >= 0 && descriptor < MOST_FILES) numbers[descriptor] = 0;
    pthread_mutex_unlock(&lock);
    return REAL(close)(descriptor);
}

static ssize_t written_at(int descriptor, const void *data, off_t offset, ssize_t written) {
    if (written > 0) note("write", number_of(descriptor), offset, data, (size_t)written, "-");
    return written;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    if (!number_of(descriptor)) return REAL(write)(descriptor, data, size);
    pthread_mutex_lock(&lock);
    off_t offset = lseek(descriptor, 0, SEEK_CUR);
    ssize_t written = written_at(descriptor, data, offset, REAL(write)(descriptor, data, size));
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    if (!number_of(descriptor)) return REAL(pwrite)(descriptor, data, size, offset);
    pthread_mutex_lock(&lock);
    ssize_t written = written_at(descriptor, data, offset, REAL(pwrite)(descriptor, data, size, offset));
    pthread_mutex_unlock(&lock);
    return written;
}
ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
    return pwrite(descriptor, data, size, offset);
}

static int noted(const char *kind, int descriptor, long long offset, int result) {
    if (result == 0 && number_of(descriptor)) note(kind, number_of(descriptor), offset, NULL, 0, "-");
    return result;
}

#define LOCKED(call)                                                                                         \
    pthread_mutex_lock(&lock);                                                                               \
    int result = call;                                                                                       \
    pthread_mutex_unlock(&lock);                                                                             \
    return result

int ftruncate(int descriptor, off_t size) {
    LOCKED(noted("cut", descriptor, size, REAL(ftruncate)(descriptor, size)));
}
int ftruncate64(int descriptor, off64_t size) {
    LOCKED(noted("cut", descriptor, size, REAL(ftruncate)(descriptor, size)));
}
int fsync(int descriptor) {
    LOCKED(noted("flush", descriptor, 0, REAL(fsync)(descriptor)));
}
int fdatasync(int descriptor) {
    LOCKED(noted("flush", descriptor, 0, REAL(fdatasync)(descriptor)));
}

static int renamed(int result, int from_at, const char *from, int to_at, const char *to) {
    char old[PATH_MAX], new[PATH_MAX];
    if (result == 0 && below(from_at, from, old) && below(to_at, to, new))
        note("rename", 0, 0, new, strlen(new), old);
    return result;
}
int rename(const char *from, const char *to) {
    LOCKED(renamed(REAL(rename)(from, to), AT_FDCWD, from, AT_FDCWD, to));
}
int renameat(int from_at, const char *from, int to_at, const char *to) {
    LOCKED(renamed(REAL(renameat)(from_at, from, to_at, to), from_at, from, to_at, to));
}

static int told(const char *kind, int result, int at, const char *name) {
    char path[PATH_MAX];
    if (result == 0 && below(at, name, path)) note(kind, 0, 0, NULL, 0, path);
    return result;
}
int unlink(const char *name) {
    LOCKED(told("remove", REAL(unlink)(name), AT_FDCWD, name));
}
int unlinkat(int at, const char *name, int flags) {
    LOCKED(told("remove", REAL(unlinkat)(at, name, flags), at, name));
}
int mkdir(const char *name, mode_t mode) {
    LOCKED(told("mkdir", REAL(mkdir)(name, mode), AT_FDCWD, name));
}
