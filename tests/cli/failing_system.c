/* A system of which one call fails: loaded into a program before the C library (LD_PRELOAD). Calls count that come from the
 * program itself or from libmicrohttpd or SQLite, which do their input and output for it.
 *
 *     FAIL_KIND=KIND        which calls: a row of KINDS below
 *     FAIL_AT=N             the N-th of them fails, from 1 on; 0: none
 *     FAIL_ON=1             and so do all after it
 *     FAIL_COUNTS=PATH      at the end, how many calls of each kind there were: lines `KIND N`; at most 64 KiB
 *     FAIL_CONTROL=PATH     a file of `struct control`, which a test maps as well, to say and to read all this while the
 *                           program runs; the other variables do not count then
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
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
    X(library, ENOMEM)                                                                                       \
    X(socket, EMFILE)                                                                                        \
    X(pair, EMFILE)                                                                                          \
    X(bell, EMFILE)                                                                                          \
    X(epoll, EMFILE)                                                                                         \
    X(watch, ENOSPC)                                                                                         \
    X(wait, EINTR)                                                                                           \
    X(option, ENOBUFS)

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

/* In 8-byte words; a test knows this order (tests/http/test_faults.py). */
struct control {
    atomic_long chosen; /* a kind; -1: none */
    atomic_long at, on; /* FAIL_AT, FAIL_ON */
    atomic_long blocks; /* of memory that were given out and not given back, by whomever */
    atomic_long calls[KIND_COUNT];
};

static struct control own = {.chosen = -1}, *control = &own;

enum { MOST_CALLERS = 3 };
static struct { uintptr_t begin, end; } callers[MOST_CALLERS];
static int caller_count;

static int find_caller(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size, (void)context;
    bool wanted = !*object->dlpi_name || strstr(object->dlpi_name, "/libmicrohttpd.so") ||
                  strstr(object->dlpi_name, "/libsqlite3.so");
    for (int i = 0; wanted && i < object->dlpi_phnum && caller_count < MOST_CALLERS; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X)) continue;
        callers[caller_count].begin = object->dlpi_addr + header->p_vaddr;
        callers[caller_count++].end = object->dlpi_addr + header->p_vaddr + header->p_memsz;
        break;
    }
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *kind = getenv("FAIL_KIND"), *at = getenv("FAIL_AT"), *on = getenv("FAIL_ON");
    for (int i = 0; kind && i < KIND_COUNT; i++)
        if (strcmp(kind, names[i]) == 0) atomic_store(&own.chosen, i);
    atomic_store(&own.at, at ? atol(at) : 0);
    atomic_store(&own.on, on && *on == '1');
    const char *path = getenv("FAIL_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (control == MAP_FAILED) abort();
        close(file);
    }
    (void)dl_iterate_phdr(find_caller, NULL);
}

__attribute__((destructor)) static void finish(void) {
    const char *path = getenv("FAIL_COUNTS");
    FILE *out = path ? fopen(path, "w") : NULL;
    if (!out) return;
    for (int i = 0; i < KIND_COUNT; i++) fprintf(out, "%s %ld\n", names[i], atomic_load(&control->calls[i]));
    fclose(out);
}

/* Whether this call, from the code at `caller`, is one that fails; errno is set then. */
static bool fails(enum kind kind, const void *caller) {
    bool counts = false;
    for (int i = 0; i < caller_count; i++)
        counts |= (uintptr_t)caller >= callers[i].begin && (uintptr_t)caller < callers[i].end;
    if (!counts) return false;
    long n = atomic_fetch_add(&control->calls[kind], 1) + 1, at = atomic_load(&control->at);
    if (atomic_load(&control->chosen) != (long)kind || at == 0) return false;
    if (n != at && !(atomic_load(&control->on) && n > at)) return false;
    errno = errors[kind];
    return true;
}

#define HERE __builtin_return_address(0)
#define NEXT(name)                                                                                           \
    static __typeof__(name) *next;                                                                           \
    if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* ---- memory --------------------------------------------------------------------------------------------
 * Not with NEXT: dlsym() also takes memory. Where another library replaces malloc (LeakSanitizer), that one is next. */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static void *counted(void *memory) {
    if (memory) atomic_fetch_add(&control->blocks, 1);
    return memory;
}

#ifndef FAIL_LEAVES_MALLOC
void *malloc(size_t size) {
    return fails(KIND_library, HERE) ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return fails(KIND_library, HERE) ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size) {
    if (fails(KIND_library, HERE)) return NULL;
    void *moved = __libc_realloc(memory, size);
    if (!memory) counted(moved);
    if (memory && size == 0 && !moved) atomic_fetch_sub(&control->blocks, 1);
    return moved;
}

void *memalign(size_t alignment, size_t size) {
    return counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **to, size_t alignment, size_t size) {
    *to = counted(__libc_memalign(alignment, size));
    return *to ? 0 : ENOMEM;
}

void free(void *memory) {
    if (memory) atomic_fetch_sub(&control->blocks, 1);
    __libc_free(memory);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(KIND_memory, HERE) ? NULL : counted(__libc_memalign(alignment, size));
}
#else
void *aligned_alloc(size_t alignment, size_t size) {
    NEXT(aligned_alloc);
    return fails(KIND_memory, HERE) ? NULL : next(alignment, size);
}
#endif

/* ---- files --------------------------------------------------------------------------------------------- */

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

ssize_t pread64(int fd, void *to, size_t n, off64_t at) {
    NEXT(pread64);
    return fails(KIND_read, HERE) ? -1 : next(fd, to, n, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
    NEXT(pwrite64);
    return fails(KIND_write, HERE) ? -1 : next(fd, from, n, at);
}

int ftruncate64(int fd, off64_t size) {
    NEXT(ftruncate64);
    return fails(KIND_write, HERE) ? -1 : next(fd, size);
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    return fails(KIND_sync, HERE) ? -1 : next(fd);
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

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    NEXT(mmap64);
    return fails(KIND_map, HERE) ? MAP_FAILED : next(at, size, protection, flags, fd, offset);
}

int posix_fallocate(int fd, off_t at, off_t size) {
    NEXT(posix_fallocate);
    return fails(KIND_reserve, HERE) ? errors[KIND_reserve] : next(fd, at, size);
}

/* What a build that counts writes about itself at its end (make coverage) is none of the program's own files. */
static bool is_count(const char *path) {
    const char *ending = strrchr(path, '.');
    return ending && strcmp(ending, ".gcda") == 0;
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
    return !is_count(path) && fails(KIND_open, HERE) ? -1 : next(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    static int (*next)(const char *, int, ...);
    if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_list more;
    va_start(more, flags);
    int mode = mode_of(flags, more);
    va_end(more);
    return !is_count(path) && fails(KIND_open, HERE) ? -1 : next(path, flags, mode);
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
    return !is_count(path) && fails(KIND_open, HERE) ? NULL : next(path, mode);
}

/* ---- threads and sockets ------------------------------------------------------------------------------- */

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

ssize_t sendto(int fd, const void *from, size_t n, int flags, const struct sockaddr *to, socklen_t size) {
    NEXT(sendto);
    return fails(KIND_send, HERE) ? -1 : next(fd, from, n, flags, to, size);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t n) {
    NEXT(sendfile64);
    return fails(KIND_send, HERE) ? -1 : next(to, from, at, n);
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

int socket(int domain, int type, int protocol) {
    NEXT(socket);
    return fails(KIND_socket, HERE) ? -1 : next(domain, type, protocol);
}

int bind(int fd, const struct sockaddr *address, socklen_t size) {
    NEXT(bind);
    return fails(KIND_socket, HERE) ? -1 : next(fd, address, size);
}

int listen(int fd, int most) {
    NEXT(listen);
    return fails(KIND_socket, HERE) ? -1 : next(fd, most);
}

int socketpair(int domain, int type, int protocol, int made[2]) {
    NEXT(socketpair);
    return fails(KIND_pair, HERE) ? -1 : next(domain, type, protocol, made);
}

int pipe2(int made[2], int flags) {
    NEXT(pipe2);
    return fails(KIND_pair, HERE) ? -1 : next(made, flags);
}

int eventfd(unsigned value, int flags) {
    NEXT(eventfd);
    return fails(KIND_bell, HERE) ? -1 : next(value, flags);
}

int epoll_create1(int flags) {
    NEXT(epoll_create1);
    return fails(KIND_epoll, HERE) ? -1 : next(flags);
}

/* What is taken off a list cannot fail. */
int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    NEXT(epoll_ctl);
    return operation != EPOLL_CTL_DEL && fails(KIND_watch, HERE) ? -1 : next(epoll, operation, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int milliseconds) {
    NEXT(epoll_wait);
    return fails(KIND_wait, HERE) ? -1 : next(epoll, events, most, milliseconds);
}

int poll(struct pollfd *on, nfds_t count, int milliseconds) {
    NEXT(poll);
    return fails(KIND_wait, HERE) ? -1 : next(on, count, milliseconds);
}

int __poll_chk(struct pollfd *on, nfds_t count, int milliseconds, size_t room);
int __poll_chk(struct pollfd *on, nfds_t count, int milliseconds, size_t room) {
    if (count > room / sizeof *on) abort();
    return fails(KIND_wait, HERE) ? -1 : poll(on, count, milliseconds);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
    NEXT(setsockopt);
    return fails(KIND_option, HERE) ? -1 : next(fd, level, name, value, size);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
    NEXT(getsockopt);
    return fails(KIND_option, HERE) ? -1 : next(fd, level, name, value, size);
}
