/* Kernels: grids block by block, blocks thread by thread.
 *
 * Each thread of a block is a fiber: it runs until it reaches a barrier or an exchange between the lanes of
 * its warp, and goes on when all have. A thread that needs neither runs to its end on the same stack as the
 * one before it. All of them share one thread of the host.
 *
 * A kernel runs twice from the same memory, the second time with its blocks and threads in the opposite
 * order or, by turns, in a shuffled one: where a barrier is missing, or two threads write one place, the
 * results differ. Shared memory is NaN when a block begins.
 *
 * The checked plugin does not rely on that: it knows of each access (races.c).
 *
 * Found are also: a barrier that not all threads reach, exchanges that not all lanes take part in, addresses
 * of the host among a kernel's parameters, sizes that no device has. */
#include "device.h"
#include "emulation.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if __has_include(<valgrind/valgrind.h>) /* memcheck is told of the stacks: make valgrind */
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#endif

enum { MOST_THREADS = 1024, LANES = 32, STACK = 64 * 1024 };

emulation_size threadIdx, blockIdx, blockDim, gridDim;

__attribute__((visibility("default"))) emulation_run_twice_fn emulation_run_twice;
static bool run_twice = true;

void emulation_run_twice(int twice) {
    run_twice = twice;
}

typedef enum state { AT_START, READY, AT_BARRIER, AT_EXCHANGE, DONE } state;

/* ---- fibers -------------------------------------------------------------------------------------------- */

/* swapcontext() asks the system for the signal mask twice a switch, which would take most of the time: on
 * x86-64 the registers that a call keeps are put on the stack, and the stack is changed. */
#if defined(__x86_64__)
typedef struct fiber {
    void *stack_pointer;
    char *stack;
    unsigned thread;
} fiber;

void emulation_switch(void **save, void *load);
__asm__(".text\n"
        ".hidden emulation_switch\n"
        ".globl emulation_switch\n"
        ".type emulation_switch, @function\n"
        "emulation_switch:\n"
        "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "movq %rsp, (%rdi)\n"
        "movq %rsi, %rsp\n"
        "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n"
        "ret\n"
        ".size emulation_switch, . - emulation_switch\n");

static void switch_fiber(fiber *from, fiber *to) {
    emulation_switch(&from->stack_pointer, to->stack_pointer);
}

static void prepare_fiber(fiber *made, void (*body)(void)) {
    void **top = (void **)(void *)(made->stack + STACK);
    *--top =
        NULL; /* where a call would have put its return address: the stack is then aligned as after one */
    *--top = (void *)(uintptr_t)body;
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    made->stack_pointer = top;
}
#else
typedef struct fiber {
    ucontext_t context;
    char *stack;
    unsigned thread;
} fiber;

static void switch_fiber(fiber *from, fiber *to) {
    swapcontext(&from->context, &to->context);
}

static void prepare_fiber(fiber *made, void (*body)(void)) {
    getcontext(&made->context);
    made->context.uc_stack.ss_sp = made->stack;
    made->context.uc_stack.ss_size = STACK;
    makecontext(&made->context, body, 0);
}
#endif

static fiber scheduler, *fibers[MOST_THREADS], *current;
static fiber *idle[MOST_THREADS]; /* whose thread has ended */
static unsigned fiber_count, idle_count;

/* ---- a block ------------------------------------------------------------------------------------------- */

static const emulation_kernel *kernel;
static const char *kernel_name;
static unsigned threads, started;
/* The order of blocks and of threads: place i is taken by the one of number (first + i step) mod count. */
typedef enum order { FORWARD, BACKWARD, SHUFFLED } order;
static order order_now;
static uint32_t shuffle; /* a number that is different in each shuffled run */
static state states[MOST_THREADS];
static fiber *fiber_of[MOST_THREADS];
static uint64_t exchanged[2][MOST_THREADS];
static unsigned exchanges[MOST_THREADS]; /* how many a thread has taken part in */

const char *emulation_running(void) {
    return kernel_name;
}

static size_t common_divisor(size_t a, size_t b) {
    return b ? common_divisor(b, a % b) : a;
}

static size_t in_order(size_t place, size_t count) {
    if (order_now == FORWARD) return place;
    if (order_now == BACKWARD) return count - 1 - place;
    size_t step = 1 + shuffle / 3 % count, first = shuffle % count;
    while (common_divisor(step, count) != 1) step = step % count + 1;
    return (first + place % count * step) % count;
}

static void take_turn(unsigned thread) {
    current->thread = thread;
    threadIdx = (emulation_size){thread, 0, 0};
}

/* Threads begin in their order, each on the stack of the one before it while that has come to its end. */
static void fiber_body(void) {
    for (;;) {
        while (started < threads) {
            unsigned thread = (unsigned)in_order(started++, threads);
            take_turn(thread);
            fiber_of[thread] = current;
            states[thread] = READY;
            kernel->invoke(kernel);
            states[current->thread] = DONE;
            /* What waited before goes on first; new threads begin when nothing else is left. */
        }
        idle[idle_count++] = current;
        switch_fiber(current, &scheduler);
    }
}

static fiber *new_fiber(void) {
    if (idle_count) return idle[--idle_count];
    fiber *made = calloc(1, sizeof *made);
    if (made) made->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!made || made->stack == MAP_FAILED) emulation_fault("no memory for a thread");
    (void)VALGRIND_STACK_REGISTER(made->stack, made->stack + STACK);
    prepare_fiber(made, fiber_body);
    fibers[fiber_count++] = made;
    return made;
}

static void resume(fiber *which) {
    current = which;
    switch_fiber(&scheduler, which);
}

static void pause_thread(state why) {
    fiber *self = current;
    states[self->thread] = why;
    switch_fiber(self, &scheduler);
    take_turn(self->thread);
}

static bool all_are(unsigned from, unsigned to, state which) {
    for (unsigned t = from; t < to; t++)
        if (states[t] != which) return false;
    return true;
}

static void release(unsigned from, unsigned to) {
    for (unsigned t = from; t < to; t++) states[t] = READY;
}

/* Lets those go on that may; false when there are none. */
static bool release_some(void) {
    bool any = false;
    for (unsigned from = 0; from < threads; from += LANES) {
        unsigned to = from + LANES < threads ? from + LANES : threads;
        if (!all_are(from, to, AT_EXCHANGE)) continue;
        if (to - from < LANES)
            emulation_fault("kernel %s: an exchange in a warp of %u lanes", kernel_name, to - from);
        release(from, to);
        any = true;
    }
    if (!any && all_are(0, threads, AT_BARRIER)) {
        release(0, threads);
        if (emulation_barrier_passed) emulation_barrier_passed();
        any = true;
    }
    return any;
}

/* Between these two symbols lies the shared memory of all kernels. */
extern char __start_emulation_shared[], __stop_emulation_shared[];

static void run_block(void) {
    memset(__start_emulation_shared, 0xff, (size_t)(__stop_emulation_shared - __start_emulation_shared));
    memset(exchanges, 0, sizeof *exchanges * threads);
    for (unsigned t = 0; t < threads; t++) states[t] = AT_START;
    started = 0;
    if (emulation_block_begins) emulation_block_begins(blockIdx.y * gridDim.x + blockIdx.x);
    while (started < threads) resume(new_fiber());
    while (!all_are(0, threads, DONE)) {
        if (!release_some())
            emulation_fault("kernel %s, block (%u,%u): a barrier or an exchange that not all threads reach",
                            kernel_name, blockIdx.x, blockIdx.y);
        for (unsigned i = 0; i < threads; i++) {
            unsigned t = (unsigned)in_order(i, threads);
            if (states[t] == READY) resume(fiber_of[t]);
        }
    }
}

void emulation_barrier(void) {
    pause_thread(AT_BARRIER);
}

/* Two places a thread, used in turn: who is at its next exchange already has not spoilt what others still
 * read. */
const uint64_t *emulation_exchange(unsigned mask, uint64_t value) {
    unsigned thread = current->thread, side = exchanges[thread]++ % 2;
    if (mask != 0xffffffffu)
        emulation_fault("kernel %s: an exchange of some lanes (%08x)", kernel_name, mask);
    exchanged[side][thread] = value;
    pause_thread(AT_EXCHANGE);
    return &exchanged[side][thread / LANES * LANES];
}

/* ---- a grid -------------------------------------------------------------------------------------------- */

static void run_grid(const emulation_kernel *which, order wanted) {
    kernel = which;
    order_now = wanted;
    gridDim = which->grid;
    blockDim = which->block;
    threads = which->block.x;
    size_t blocks = (size_t)which->grid.x * which->grid.y;
    if (emulation_kernel_begins) emulation_kernel_begins();
    for (size_t i = 0; i < blocks; i++) {
        size_t b = in_order(i, blocks);
        blockIdx = (emulation_size){(unsigned)(b % which->grid.x), (unsigned)(b / which->grid.x), 0};
        run_block();
    }
}

/* The second run of a kernel, by turns: backward, then in a shuffled order that is another one each time. */
static order other_order(const void *function) {
    enum { KERNELS = 256 };
    static struct {
        const void *function;
        uint32_t runs;
    } known[KERNELS];
    size_t i = 0;
    while (i < KERNELS - 1 && known[i].function && known[i].function != function) i++;
    known[i].function = function;
    uint32_t run = known[i].runs++;
    shuffle = (run + 1) * 2654435761u;
    shuffle ^= shuffle >> 15;
    return run % 2 ? SHUFFLED : BACKWARD;
}

static void run_kernel(emulation_task *task) {
    emulation_kernel *which = (emulation_kernel *)(void *)task;
    Dl_info about;
    if (emulation_is_lost()) {
        which->discard(which);
        return;
    }
    kernel_name = dladdr(which->function, &about) && about.dli_sname ? about.dli_sname : "without a name";
    emulation_unlock_memory();
    void *before = run_twice ? emulation_snapshot() : NULL;
    run_grid(which, FORWARD);
    if (before) {
        void *after = emulation_snapshot();
        emulation_restore(before);
        run_grid(which, other_order(which->function));
        if (!emulation_equals(after))
            emulation_fault("kernel %s: its results depend on the order of its threads", kernel_name);
        free(after);
        free(before);
    }
    emulation_lock_memory(kernel_name);
    kernel_name = NULL;
    emulation_kernel_ends();
    which->discard(which);
}

cudaError_t emulation_launch(cudaStream_t stream, emulation_kernel *which, bool sound) {
    Dl_info about;
    const char *name =
        dladdr(which->function, &about) && about.dli_sname ? about.dli_sname : "without a name";
    cudaError_t code = emulation_begin();
    if (!stream) emulation_fault("kernel %s: started on the default stream", name);
    if (!sound) emulation_fault("kernel %s: got an address that is not on the device", name);
    unsigned most_y = 65535, lanes = which->block.x;
    if (code == cudaSuccess && (!which->grid.x || which->grid.x > INT32_MAX || !which->grid.y ||
                                which->grid.y > most_y || !lanes || lanes > MOST_THREADS))
        code = cudaErrorInvalidConfiguration;
    if (which->grid.z != 1 || which->block.y != 1 || which->block.z != 1)
        emulation_fault("kernel %s: a shape that is not emulated", name);
    if (code != cudaSuccess) {
        which->discard(which);
        return emulation_end(code);
    }
    emulation_counted.launches++;
    if (which->grid.x > emulation_counted.most_blocks) emulation_counted.most_blocks = which->grid.x;
    which->task.run = run_kernel;
    emulation_submit(stream, &which->task);
    return emulation_end(cudaSuccess);
}

__attribute__((destructor)) static void free_fibers(void) {
    for (unsigned i = 0; i < fiber_count; i++) {
        munmap(fibers[i]->stack, STACK);
        free(fibers[i]);
    }
}
