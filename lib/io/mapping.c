/* Files for reading, mapped or copied. The mapping alone keeps the content of a file alive, even if a new file is
 * renamed over its name. Nothing protects it from those who write the same file in place: what can be done is to
 * notice it before a result is used (ra_mapping_check()), and to survive it (guard.c).
 *
 * What tells a change: the system writes the time of a change before the first byte changes, so a time that is still
 * the old one after the last byte was read means that all bytes were old. Two things break that. A clock that ticks
 * every few milliseconds may give a second change the time of the first; so a steady mapping begins when the clock
 * has passed the last change. And the time of a change can be set back, but not that of the inode, which changes by a
 * new name or permission, too; then the digest of the content decides. Only a new number of links is taken for what
 * it is: it is how a file is replaced, which must cost nothing.
 *
 * Asking the system takes half a microsecond, several percent of the lightest requests; with a lease (lease.h), which a
 * steady mapping takes where it can, there is nothing to ask until somebody opens the file for writing.
 *
 * A lease also tells of those who map the file for writing: of their changes, the system notes only the first to a page.
 * With such a writer around, the same digest proves nothing.
 *
 * A mapping that is not steady keeps no descriptor, because data may have thousands of files; it looks at the file of
 * its name, and if that is another one by now, nobody writes ours. */
#include "ra_io.h"
#include "io/guard.h"
#include "io/lease.h"
#include "ra_digest.h"
#include "ra_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ATTEMPTS = 3, SETTLE_MS = 50 };

typedef struct stat file_stat;

/* The file behind a mapping. */
typedef struct ra_mapped {
    char *path;
    guarded *guard;
    int descriptor; /* -1: not steady */
    lease *lease;   /* of a steady one; NULL: there was none to be had */
    const void *data;
    size_t size;
    pthread_mutex_t lock;    /* of `seen` */
    pthread_mutex_t reading; /* held while the digest is taken again */
    file_stat seen;          /* when the content was what it must be */
    char digest[RA_DIGEST_SIZE];
} ra_mapped;

/* ---- looking at a file --------------------------------------------------------------------------------- */

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_inode(const file_stat *a, const file_stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool same_state(const file_stat *a, const file_stat *b) {
    return a->st_size == b->st_size && same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

static bool passed(struct timespec now, struct timespec then) {
    return now.tv_sec != then.tv_sec ? now.tv_sec > then.tv_sec : now.tv_nsec > then.tv_nsec;
}

/* *info <- the file when its clock had passed its last change, so that a later change has another time. A file whose
 * time is in the future is taken as it is. */
static bool look_settled(int fd, file_stat *info) {
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0;; i++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME_COARSE, &now); /* the clock that times of files are from */
        if (fstat(fd, info) != 0) return false;
        if (passed(now, info->st_ctim) || i == SETTLE_MS) return true;
        nanosleep(&pause, NULL);
    }
}

/* False: there is nothing to compare with any more. */
static bool look(const ra_mapped *file, file_stat *info) {
    if (file->descriptor >= 0) return fstat(file->descriptor, info) == 0;
    return stat(file->path, info) == 0 && same_inode(info, &file->seen);
}

/* ---- checks -------------------------------------------------------------------------------------------- */

static ra_status fail_changed(const ra_mapped *file, ra_error *err) {
    RA_FAIL(err, RA_ERR_CHANGED,
            "%s was %s while it was in use; replace a file by renaming a complete one over it", file->path,
            guard_lost(file->guard) ? "shortened, or could no longer be read," : "written");
}

static file_stat seen_of(ra_mapped *file) {
    pthread_mutex_lock(&file->lock);
    file_stat seen = file->seen;
    pthread_mutex_unlock(&file->lock);
    return seen;
}

static void accept_state(ra_mapped *file, const file_stat *now) {
    pthread_mutex_lock(&file->lock);
    file->seen = *now;
    pthread_mutex_unlock(&file->lock);
}

/* With `reading` held. */
static ra_status compare_content(ra_mapped *file, ra_error *err) {
    for (int i = 0; i < ATTEMPTS; i++) {
        file_stat before, after, seen = seen_of(file);
        char digest[RA_DIGEST_SIZE];
        if (!look_settled(file->descriptor, &before)) break;
        if (same_state(&before, &seen)) return RA_OK; /* another thread was here */
        if (before.st_size != seen.st_size) break;
        ra_digest(file->data, file->size, digest);
        if (strcmp(digest, file->digest) != 0 || guard_lost(file->guard)) break;
        if (file->lease && !lease_renew(file->lease)) break;
        accept_state(file, &before);
        if (look(file, &after) && same_state(&before, &after)) return RA_OK;
    }
    return fail_changed(file, err);
}

static ra_status check(ra_mapped *file, ra_error *err) {
    if (guard_lost(file->guard)) return fail_changed(file, err);
    if (lease_holds(file->lease)) return RA_OK;
    file_stat now, seen = seen_of(file);
    if (!look(file, &now) || same_state(&now, &seen)) return RA_OK;
    if (now.st_size != seen.st_size) return fail_changed(file, err);
    bool written = !same_time(now.st_mtim, seen.st_mtim), steady = file->descriptor >= 0;
    if (!written && now.st_nlink != seen.st_nlink)
        accept_state(file, &now);
    else if (steady) {
        pthread_mutex_lock(&file->reading);
        ra_status status = compare_content(file, err);
        pthread_mutex_unlock(&file->reading);
        return status;
    } else if (written)
        return fail_changed(file, err);
    return RA_OK;
}

ra_status ra_mapping_check(const ra_mapping *mapping, ra_error *err) {
    return mapping->file ? check(mapping->file, err) : RA_OK;
}

void ra_mapping_digest(const ra_mapping *mapping, char digest[RA_DIGEST_SIZE]) {
    if (mapping->file && mapping->file->digest[0])
        memcpy(digest, mapping->file->digest, RA_DIGEST_SIZE);
    else
        ra_digest(mapping->data, mapping->size, digest);
}

/* ---- checks of all files ------------------------------------------------------------------------------- */

static pthread_mutex_t closing = PTHREAD_MUTEX_INITIALIZER;
static ra_error closed; /* the first file that had changed when it was closed */

static void remember(const ra_error *why) {
    pthread_mutex_lock(&closing);
    if (closed.code == RA_OK) closed = *why;
    pthread_mutex_unlock(&closing);
}

static bool visit(void *owner, void *context) {
    return check(owner, context) == RA_OK;
}

ra_status ra_mapping_check_all(ra_error *err) {
    ra_error why = {0};
    pthread_mutex_lock(&closing);
    why = closed;
    pthread_mutex_unlock(&closing);
    if (why.code == RA_OK) guard_each(visit, &why);
    if (why.code != RA_OK) RA_FAIL(err, why.code, "%s", why.message);
    return RA_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static int open_for_reading(const char *path) {
    int fd;
    do { /* O_NONBLOCK: opening a pipe without a writer would otherwise wait forever */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static ra_status open_file(const char *path, int *fd, ra_error *err) {
    *fd = open_for_reading(path);
    if (*fd >= 0) return RA_OK;
    if (errno == ENOENT || errno == ENOTDIR) RA_FAIL(err, RA_ERR_NOT_FOUND, "there is no file %s", path);
    RA_FAIL(err, RA_ERR_IO, "cannot open %s: %s", path, strerror(errno));
}

static ra_status check_kind(bool looked, const file_stat *info, const char *path, ra_error *err) {
    if (!looked) RA_FAIL(err, RA_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(info->st_mode)) RA_FAIL(err, RA_ERR_ARGUMENT, "%s is a directory, not a file", path);
    if (!S_ISREG(info->st_mode)) RA_FAIL(err, RA_ERR_ARGUMENT, "%s is not a regular file", path);
    return RA_OK;
}

static void release(ra_mapped *file) {
    if (!file) return;
    guard_remove(file->guard);
    lease_drop(file->lease);
    if (file->data) munmap((void *)(uintptr_t)file->data, file->size);
    if (file->descriptor >= 0) close(file->descriptor);
    pthread_mutex_destroy(&file->reading);
    pthread_mutex_destroy(&file->lock);
    ra_free(file->path);
    ra_free(file);
}

/* The caller closes `fd` if this fails, and if the mapping shall not be steady. */
static ra_status map_descriptor(int fd, const char *path, const file_stat *info, ra_mapping *mapping,
                                ra_error *err) {
    if (info->st_size == 0) return RA_OK; /* mmap() fails for a length of zero */
    size_t size = (size_t)info->st_size;
    ra_mapped *file = ra_calloc(1, sizeof *file);
    if (!file) RA_FAIL_MEMORY(err, "a mapped file", sizeof *file);
    pthread_mutex_init(&file->lock, NULL);
    pthread_mutex_init(&file->reading, NULL);
    file->seen = *info;
    file->descriptor = -1;
    file->path = ra_strdup(path);
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        int reason = errno;
        release(file);
        RA_FAIL(err, reason == ENOMEM ? RA_ERR_MEMORY : RA_ERR_IO, "cannot map the %zu bytes of %s: %s", size,
                path, strerror(reason));
    }
    file->data = data;
    file->size = size;
    file->guard = file->path ? guard_add(data, size, file) : NULL;
    if (!file->guard) {
        release(file);
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a mapped file");
    }
    *mapping = (ra_mapping){.data = data, .size = size, .file = file};
    return RA_OK;
}

ra_status ra_mapping_open(const char *path, ra_mapping *mapping, ra_error *err) {
    int fd;
    file_stat info;
    *mapping = (ra_mapping){0};
    RA_TRY(open_file(path, &fd, err));
    ra_status status = check_kind(fstat(fd, &info) == 0, &info, path, err);
    if (status == RA_OK) status = map_descriptor(fd, path, &info, mapping, err);
    close(fd);
    return status;
}

static void drop(ra_mapping *mapping) {
    release(mapping->file);
    if (mapping->copied) ra_free((void *)(uintptr_t)mapping->data);
    *mapping = (ra_mapping){0};
}

void ra_mapping_close(ra_mapping *mapping) {
    ra_error why = {0};
    bool steady = mapping->file && mapping->file->descriptor >= 0;
    if (!steady && ra_mapping_check(mapping, &why) != RA_OK) remember(&why);
    drop(mapping);
}

/* ---- steady -------------------------------------------------------------------------------------------- */

/* A product reads all of a dictionary for a few rows: with small pages it waits for their addresses (6 % of an encode),
 * which the system's own cache of a file, in large ones, does not. */
static void take_large_pages(char *memory, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)memory + page - 1) / page * page,
              end = ((uintptr_t)memory + size) / page * page;
    if (first < end) (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
}

/* The file is as large as `info` says, or shorter by now. */
static ra_status copy(int fd, const char *path, const file_stat *info, ra_mapping *mapping, ra_error *err) {
    size_t size = (size_t)info->st_size, got = 0;
    if (size == 0) return RA_OK;
    char *memory = ra_malloc(size, 1);
    if (!memory) RA_FAIL_MEMORY(err, path, size);
    take_large_pages(memory, size);
    while (got < size) {
        ssize_t n = pread(fd, memory + got, size - got, (off_t)got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            int reason = errno;
            ra_free(memory);
            RA_FAIL(err, RA_ERR_IO, "cannot read %s: %s", path, strerror(reason));
        }
        if (n == 0) break;
        got += (size_t)n;
    }
    *mapping = (ra_mapping){.data = memory, .size = got, .copied = true};
    return RA_OK;
}

static void give_back(const void *part, size_t size) {
    ra_mapping_advise(part, size, RA_ACCESS_DONE);
}

/* *whole <- whether nothing was written meanwhile. */
static ra_status take_steady(int fd, const char *path, size_t most, ra_mapping *mapping, bool *whole,
                             ra_error *err) {
    file_stat before, after;
    RA_TRY(check_kind(look_settled(fd, &before), &before, path, err));
    bool copied = (uintmax_t)before.st_size <= most;
    if (copied)
        RA_TRY(copy(fd, path, &before, mapping, err));
    else
        RA_TRY(map_descriptor(fd, path, &before, mapping, err));
    if (mapping->file) ra_digest_in_parts(mapping->data, mapping->size, give_back, mapping->file->digest);
    *whole = fstat(fd, &after) == 0 && same_state(&before, &after) &&
             mapping->size == (size_t)before.st_size && (!mapping->file || !guard_lost(mapping->file->guard));
    return RA_OK;
}

/* A lease counts if nothing was written before it was taken. Where there could be one, there must be: a program that
 * has mapped the file for writing, too, changes it unseen. */
static ra_status keep_steady(ra_mapping *mapping, int fd, ra_error *err) {
    file_stat now;
    bool written;
    ra_mapped *file = mapping->file;
    lease *taken = lease_take(fd, &written);
    if (written)
        RA_FAIL(err, RA_ERR_CHANGED, "%s is open for writing in some process; try again when it is closed",
                file->path);
    if (fstat(fd, &now) == 0 && same_state(&now, &file->seen))
        file->lease = taken;
    else
        lease_drop(taken);
    file->descriptor = fd;
    return RA_OK;
}

ra_status ra_mapping_open_steady(const char *path, size_t most, ra_mapping *mapping, ra_error *err) {
    int fd;
    *mapping = (ra_mapping){0};
    RA_TRY(open_file(path, &fd, err));
    ra_status status = RA_OK;
    bool whole = false;
    for (int i = 0; i < ATTEMPTS && status == RA_OK && !whole; i++) {
        status = take_steady(fd, path, most, mapping, &whole, err);
        if (status == RA_OK && !whole) drop(mapping);
    }
    if (status == RA_OK && !whole)
        status =
            ra_error_set(err, RA_ERR_CHANGED, "%s is being written; try again when it is complete", path);
    if (status == RA_OK && mapping->file) status = keep_steady(mapping, fd, err);
    if (status != RA_OK) drop(mapping);
    if (!mapping->file) close(fd);
    return status;
}

/* ---- reading ahead ------------------------------------------------------------------------------------- */

typedef struct range {
    uintptr_t first, end;
    bool mapped;
} range;

static bool is_elsewhere(void *owner, void *context) {
    const ra_mapped *file = owner;
    range *r = context;
    uintptr_t data = (uintptr_t)file->data;
    r->mapped |= r->first >= data && r->end <= data + file->size;
    return !r->mapped;
}

/* Whole pages of a mapping alone: those of other memory would lose what they hold. */
static void let_go(uintptr_t start, size_t size, uintptr_t page) {
    range r = {(start + page - 1) & ~(page - 1), (start + size) & ~(page - 1), false};
    if (r.first >= r.end) return;
    guard_each(is_elsewhere, &r);
    if (r.mapped) (void)madvise((void *)r.first, r.end - r.first, MADV_DONTNEED);
}

void ra_mapping_advise(const void *data, size_t size, ra_access access) {
    static const int advice[] = {[RA_ACCESS_NORMAL] = MADV_NORMAL,
                                 [RA_ACCESS_SEQUENTIAL] = MADV_SEQUENTIAL,
                                 [RA_ACCESS_SOON] = MADV_WILLNEED};
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)data, first = start & ~(page - 1);
    if (access == RA_ACCESS_DONE)
        let_go(start, size, page);
    else if (size)
        (void)madvise((void *)first, start + size - first, advice[access]);
}
