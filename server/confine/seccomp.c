/* The filter of system calls, as a program for the kernel's small machine (seccomp(2)).
 *
 * Two tables. What serves needs little: it has its sockets, and opens files. So calls are listed that are allowed, some of them
 * only with certain arguments, and all others fail with EPERM. The driver of a device needs what no list of ours knows, so
 * with a device only calls are listed that are refused.
 *
 * Why no library: the filter is two loops over a table, and the daemon would bring libseccomp into every image for them. The
 * kernel keeps a map of the calls that the filter allows whatever their arguments, so those cost nothing (Linux 5.11).
 *
 * clone3 hides its flags in memory, where a filter cannot look. It fails with ENOSYS, and the C library calls clone instead,
 * whose flags say whether it makes a thread or a process.
 */
#include "confine/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

enum { MOST_LINES = 512 };

/* How an argument is compared; its lower half is all that these calls look at. */
typedef enum comparison {
    ANY,     /* allowed with all arguments */
    NONE_OF, /* none of these bits are set */
    ALL_OF,  /* all of these bits are set */
    ONE_OF,  /* equal to one of two values */
    OWN,     /* equal to the number of this process */
    WRITES,  /* allowed where files may be written */
    OPENS,   /* the same when one of these bits is set */
    ABSENT   /* fails with ENOSYS */
} comparison;

typedef struct row {
    int call;
    comparison how;
    int argument;
    uint32_t value, other;
} row;

#define TO_WRITE (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)
#define CALL(name)                                                                                           \
    { .call = SYS_##name }

static const row allowed[] = {
    /* arguments that decide */
    {SYS_mmap, NONE_OF, 2, PROT_EXEC, 0},
    {SYS_mprotect, NONE_OF, 2, PROT_EXEC, 0},
    {SYS_ioctl, ONE_OF, 1, FIONREAD, TCGETS},
    {SYS_openat, OPENS, 2, TO_WRITE, 0},
    {SYS_tgkill, OWN, 0, 0, 0},
    {SYS_clone, ALL_OF, 0, CLONE_THREAD, 0},
    {SYS_clone3, ABSENT, 0, 0, 0},
    {SYS_prctl, ONE_OF, 0, PR_SET_NAME, PR_GET_NAME},
    {SYS_prlimit64, ONE_OF, 2, 0, 0}, /* asks for a limit, sets none */
#ifdef SYS_open
    {SYS_open, OPENS, 1, TO_WRITE, 0},
#endif
    /* files that are open, and asking about others */
    CALL(read),
    CALL(readv),
    CALL(pread64),
    CALL(preadv),
    CALL(write),
    CALL(writev),
    CALL(close),
    CALL(lseek),
    CALL(fstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(fstatfs),
    CALL(statfs),
    CALL(faccessat),
    CALL(readlinkat),
    CALL(getdents64),
    CALL(getcwd),
    CALL(fcntl),
    CALL(fadvise64),
#ifdef SYS_stat
    CALL(stat),
    CALL(lstat),
    CALL(access),
    CALL(readlink),
    CALL(unlink),
#endif
#ifdef SYS_faccessat2
    CALL(faccessat2),
#endif
    CALL(unlinkat), /* a socket of ours, at the end */
    /* memory */
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    CALL(brk),
    CALL(mincore),
#ifdef SYS_membarrier
    CALL(membarrier),
#endif
    /* threads and signals */
    CALL(futex),
    CALL(set_robust_list),
    CALL(exit),
    CALL(exit_group),
    CALL(restart_syscall),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(rt_sigtimedwait),
    CALL(sigaltstack),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(sched_getparam),
    CALL(sched_getscheduler),
    CALL(getcpu),
    CALL(setpriority),
    CALL(getpriority),
#ifdef SYS_rseq
    CALL(rseq),
#endif
    /* what time it is, and who this is */
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(getpid),
    CALL(gettid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(getrandom),
    CALL(getrusage),
    CALL(sysinfo),
    CALL(uname),
    CALL(times),
#ifdef SYS_time
    CALL(time),
    CALL(getrlimit),
#endif
    /* sockets that there are: none is made, and none is connected */
    CALL(accept),
    CALL(accept4),
    CALL(listen),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(sendto),
    CALL(sendmsg),
    CALL(sendfile),
    CALL(shutdown),
    CALL(setsockopt),
    CALL(getsockopt),
    CALL(getsockname),
    CALL(getpeername),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    CALL(eventfd2),
    CALL(pipe2),
    CALL(ppoll),
    CALL(pselect6),
#ifdef SYS_poll
    CALL(poll),
    CALL(select),
    CALL(epoll_wait),
#endif
    /* a database that is written */
    {.call = SYS_pwrite64, WRITES},
    {.call = SYS_ftruncate, WRITES},
    {.call = SYS_fallocate, WRITES},
    {.call = SYS_fsync, WRITES},
    {.call = SYS_fdatasync, WRITES},
    {.call = SYS_mkdirat, WRITES},
#ifdef SYS_mkdir
    {.call = SYS_mkdir, WRITES},
#endif
};

/* What no driver needs once it runs, and an intruder wants first. */
static const row refused[] = {
    CALL(execve),
    CALL(execveat),
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(mount),
    CALL(umount2),
    CALL(pivot_root),
    CALL(chroot),
    CALL(unshare),
    CALL(setns),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load),
    CALL(reboot),
    CALL(swapon),
    CALL(swapoff),
    CALL(keyctl),
    CALL(add_key),
    CALL(request_key),
    CALL(userfaultfd),
    CALL(personality),
};

bool confine_calls(confine_kind kind, const char **why) {
#ifndef ARCHITECTURE
    (void)kind, (void)allowed, (void)refused;
    *why = "there is no filter for this architecture";
    return false;
#else
    struct sock_filter lines[MOST_LINES];
    unsigned short count = 0;
    const uint32_t yes = SECCOMP_RET_ALLOW, no = SECCOMP_RET_ERRNO | EPERM,
                   unknown = SECCOMP_RET_ERRNO | ENOSYS;
#define LINE(...) lines[count++] = (struct sock_filter)__VA_ARGS__
#define LOAD(member) LINE(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, member)))
#define IF(test, value, then, otherwise)                                                                     \
    LINE(BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), (then), (otherwise)))
#define END(verdict) LINE(BPF_STMT(BPF_RET | BPF_K, (verdict)))
    /* Calls of another architecture have other numbers; so have those of x32. */
    LOAD(arch);
    IF(BPF_JEQ, ARCHITECTURE, 1, 0);
    END(no);
    LOAD(nr);
#ifdef __x86_64__
    IF(BPF_JSET, 0x40000000, 0, 1);
    END(no);
#endif
    const bool writes = kind == CONFINE_CHANGING, device = kind == CONFINE_DEVICE;
    const row *rows = device ? refused : allowed;
    for (size_t i = 0; i < (device ? sizeof refused : sizeof allowed) / sizeof *rows; i++) {
        const row *at = &rows[i];
        if (at->how == WRITES && !writes) continue;
        if (device || at->how == ANY || at->how == WRITES || (at->how == OPENS && writes) ||
            at->how == ABSENT) {
            IF(BPF_JEQ, (uint32_t)at->call, 0, 1);
            END(device ? no : at->how == ABSENT ? unknown : yes);
            continue;
        }
        /* The number of the call, the argument, one or two comparisons, and both ends. */
        IF(BPF_JEQ, (uint32_t)at->call, 0, at->how == ONE_OF || at->how == ALL_OF ? 5 : 4);
        LINE(BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                      (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)at->argument)));
        switch (at->how) {
        case ONE_OF:
            IF(BPF_JEQ, at->value, 1, 0);
            IF(BPF_JEQ, at->other, 0, 1);
            break;
        case ALL_OF:
            LINE(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, at->value));
            IF(BPF_JEQ, at->value, 0, 1);
            break;
        case OWN:
            IF(BPF_JEQ, (uint32_t)getpid(), 0, 1);
            break;
        default: /* NONE_OF, OPENS */
            IF(BPF_JSET, at->value, 1, 0);
        }
        END(yes);
        END(no);
    }
    END(device ? yes : no);
    struct sock_fprog program = {.len = count, .filter = lines};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0)
        return true;
    *why = errno == EPERM ? "the container or the service manager forbids it"
                          : "the kernel has no filters of calls";
    return false;
#endif
}
