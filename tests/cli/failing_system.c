/* A system of which one call fails: loaded into a program before the C library (LD_PRELOAD). Only calls from the program itself
 * count, not those of its libraries.
 *
 *     FAIL_KIND=KIND        which calls: a row of KINDS below
 *     FAIL_AT=N             the N-th of them fails, from 1 on; 0: none
 *     FAIL_ON=1             and so do all after it
 *     FAIL_COUNTS=PATH      at the end, how many calls of each kind there were: lines `KIND N`; at most 64 KiB
 *     FAIL_ARMED=PATH       counting begins once this file exists; absent: at the start
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define KINDS(X)                                                                                             \
    X(memory, ENOMEM)                                                                                        \
    X(read, EIO)                                                                                             \
    X(write, ENOSPC)                                                                                         \
    X(sync, EIO)                                                                                             \
    X(rename, EIO)                                                                                           \
    X(map, ENOMEM)                                                                                           \
    X(open, EMFILE)                                                                                          \
    X(reserve, ENOSPC)                                                                                       \
    X(thread, EAGAIN)                                                                                        \
    X(accept, EMFILE)                                                                                        \
    X(send, ECONNRESET)                                                                                      \
    X(receive, ECONNRESET)                                                                                   \
    X(poll, EBADF)

enum kind {
#define X(name, error) KIND_##name,
    KINDS(X)
#undef X
        KIND_COUNT
};

static const char *const names[] = {
#define X(name, error) #name,
    KINDS(X)
#undef X
};
static const int errors[] = {
#define X(name, error) error,
    KINDS(X)
#undef X
};

static atomic_long calls[KIND_COUNT];
static int chosen = -1;
static long fail_at;
static bool fail_on, waits;
static const char *armed;
static uintptr_t program_begin, program_end;

static void find_program(void) {
    const ElfW(Phdr) *header = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);
    uintptr_t base = 0;
    for (size_t i = 0; i < count; i++)
        if (header[i].p_type == PT_PHDR) base = (uintptr_t)header - header[i].p_vaddr;
    for (size_t i = 0; i < count; i++)
        if (header[i].p_type == PT_LOAD && header[i].p_flags & PF_X) {
            program_begin = base + header[i].p_vaddr;
            program_end = program_begin + header[i].p_memsz;
        }
}

__attribute__((constructor)) static void begin(void) {
    const char *kind = getenv("FAIL_KIND"), *at = getenv("FAIL_AT"), *on = getenv("FAIL_ON");
    for (int i = 0; kind && i < KIND_COUNT; i++)
        if (strcmp(kind, names[i]) == 0) chosen = i;
    fail_at = at ? atol(at) : 0;
    fail_on = on && *on == '1';
    armed = getenv("FAIL_ARMED");
    waits = armed != NULL;
    find_program();
}

__attribute__((destructor)) static void finish(void) {
    const char *path = getenv("FAIL_COUNTS");
    FILE *out = path ? fopen(path, "w") : NULL;
    if (!out) return;
    for (int i = 0; i < KIND_COUNT; i++) fprintf(out, "%s %ld\n", names[i], atomic_load(&calls[i]));
    fclose(out);
}

/* Whether this call, from the code at `caller`, is one that fails; errno is set then. */
static bool fails(enum kind kind, const void *caller) {
    if ((uintptr_t)caller < program_begin || (uintptr_t)caller >= program_end) return false;
    if (waits) {
        if (access(armed, F_OK) != 0) return false;
        waits = false;
    }
    long n = atomic_fetch_add(&calls[kind], 1) + 1;
    if ((int)kind != chosen || fail_at == 0 || !(n == fail_at || (fail_on && n > fail_at))) return false;
    errno = errors[kind];
    return true;
}

#define HERE __builtin_return_address(0)
#define NEXT(name)                                                                                           \
    static __typeof__(name) *next;                                                                           \
    if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

void *aligned_alloc(size_t alignment, size_t size) {
    NEXT(aligned_alloc);
    return fails(KIND_memory, HERE) ? NULL : next(alignment, size);
}

/* What is printed is no file; and what wakes a thread does not fail. */
static bool is_file(int fd) {
    struct stat about;
    return fd > 2 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

ssize_t read(int fd, void *to, size_t n) {
    NEXT(read);
    return is_file(fd) && fails(KIND_read, HERE) ? -1 : next(fd, to, n);
}

ssize_t pread(int fd, void *to, size_t n, off_t at) {
    NEXT(pread);
    return fails(KIND_read, HERE) ? -1 : next(fd, to, n, at);
}

ssize_t write(int fd, const void *from, size_t n) {
    NEXT(write);
    return is_file(fd) && fails(KIND_write, HERE) ? -1 : next(fd, from, n);
}

int fsync(int fd) {
    NEXT(fsync);
    return fails(KIND_sync, HERE) ? -1 : next(fd);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    NEXT(renameat);
    return fails(KIND_rename, HERE) ? -1 : next(from_folder, from, to_folder, to);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    NEXT(mmap);
    return fails(KIND_map, HERE) ? MAP_FAILED : next(at, size, protection, flags, fd, offset);
}

int posix_fallocate(int fd, off_t at, off_t size) {
    NEXT(posix_fallocate);
    return fails(KIND_reserve, HERE) ? errors[KIND_reserve] : next(fd, at, size);
}

static int mode_of(int flags, va_list more) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0;
}

int open(const char *path, int flags, ...) {
    static int (*next)(const char *, int, ...);
    if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    va_list more;
    va_start(more, flags);
    int mode = mode_of(flags, more);
    va_end(more);
    return fails(KIND_open, HERE) ? -1 : next(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    static int (*next)(int, const char *, int, ...);
    if (!next) next = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
    va_list more;
    va_start(more, flags);
    int mode = mode_of(flags, more);
    va_end(more);
    return fails(KIND_open, HERE) ? -1 : next(folder, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) {
    NEXT(fopen);
    return fails(KIND_open, HERE) ? NULL : next(path, mode);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *argument) {
    NEXT(pthread_create);
    return fails(KIND_thread, HERE) ? errors[KIND_thread] : next(thread, how, run, argument);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    NEXT(accept4);
    return fails(KIND_accept, HERE) ? -1 : next(fd, address, size, flags);
}

ssize_t send(int fd, const void *from, size_t n, int flags) {
    NEXT(send);
    return fails(KIND_send, HERE) ? -1 : next(fd, from, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    NEXT(sendmsg);
    return fails(KIND_send, HERE) ? -1 : next(fd, message, flags);
}

ssize_t recv(int fd, void *to, size_t n, int flags) {
    NEXT(recv);
    return fails(KIND_receive, HERE) ? -1 : next(fd, to, n, flags);
}

ssize_t __recv_chk(int fd, void *to, size_t n, size_t room, int flags);
ssize_t __recv_chk(int fd, void *to, size_t n, size_t room, int flags) {
    if (n > room) abort();
    return fails(KIND_receive, HERE) ? -1 : recv(fd, to, n, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    NEXT(epoll_ctl);
    return fails(KIND_poll, HERE) ? -1 : next(epoll, operation, fd, event);
}

int epoll_create1(int flags) {
    NEXT(epoll_create1);
    return fails(KIND_poll, HERE) ? -1 : next(flags);
}
