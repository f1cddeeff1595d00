/* The memory of the emulated device and pinned memory.
 *
 * A block of the device ends at the end of a page, and a page that nobody may touch stands before and behind
 * it: reading or writing past its end is a fault at once. Its pages are closed to the host (PROT_NONE) except
 * while a copy or a kernel runs. It begins as NaN in every byte, and so do the bytes before it in its first
 * page and the up to 15 behind it; those are looked at after each kernel. A freed block stays closed
 * until hundreds of others have been freed, so that a later use of it is found. */
#include "device.h"
#include "emulation.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, ALIGNMENT = 16, FILL = 0xff, MOST_FREED = 400 };

typedef struct block {
    struct block *next;
    enum cudaMemoryType kind;
    char *pages; /* behind the first guard */
    size_t page_bytes;
    char *data;
    size_t bytes;
    bool freed;
} block;

static block *blocks;
static size_t limit = (size_t)16 << 30, used; /* bytes of device memory: all, and those of live blocks */

__attribute__((visibility("default"))) emulation_set_memory_fn emulation_set_memory;

void emulation_set_memory(size_t bytes) {
    limit = bytes;
}

size_t emulation_memory_total(void) {
    return limit;
}

static size_t left(void) {
    return used < limit ? limit - used : 0;
}

/* For a program that a test cannot reach into. */
__attribute__((constructor)) static void read_limit(void) {
    const char *bytes = getenv("EMULATION_MEMORY");
    if (bytes) limit = strtoull(bytes, NULL, 10);
}

static const char *const kind_names[] = {"ordinary memory", "pinned memory", "device memory"};

static block *find(const void *address) {
    for (block *b = blocks; b; b = b->next)
        if ((const char *)address >= b->pages - PAGE &&
            (const char *)address < b->pages + b->page_bytes + PAGE)
            return b;
    return NULL;
}

static void protect(const block *b, int protection) {
    if (mprotect(b->pages, b->page_bytes, protection) != 0) emulation_fault("mprotect failed");
}

/* ---- the host's hand on the device's memory ------------------------------------------------------------ */

static void on_fault(int number, siginfo_t *info, void *machine) {
    (void)machine;
    const block *b = find(info->si_addr);
    if (!b) { /* not ours: the default action, when it happens again */
        signal(number, SIG_DFL);
        return;
    }
    const char *kernel = emulation_running();
    long offset = (long)((char *)info->si_addr - b->data);
    if (kernel)
        emulation_fault("kernel %s, block (%u,%u), thread %u touched byte %ld of %s block of %zu bytes",
                        kernel, blockIdx.x, blockIdx.y, threadIdx.x, offset, b->freed ? "a freed" : "a",
                        b->bytes);
    emulation_fault("the host touched byte %ld of %s block of %zu bytes of device memory", offset,
                    b->freed ? "a freed" : "a", b->bytes);
}

static struct sigaction before[2];
static bool installed;

static void install_handler(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before[0]);
    sigaction(SIGBUS, &action, &before[1]);
    installed = true;
}

/* ---- blocks -------------------------------------------------------------------------------------------- */

static cudaError_t block_new(void **place, size_t bytes, enum cudaMemoryType kind) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
    cudaError_t code = emulation_begin();
    if (code != cudaSuccess) return emulation_end(code);
    if (bytes == 0) emulation_fault("an allocation of no bytes");
    if (bytes > (kind == cudaMemoryTypeDevice ? left() : (size_t)1 << 40))
        return emulation_end(cudaErrorMemoryAllocation);
    size_t padded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
           page_bytes = (padded + PAGE - 1) / PAGE * PAGE;
    block *b = calloc(1, sizeof *b);
    char *mapped =
        mmap(NULL, page_bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!b || mapped == MAP_FAILED) {
        free(b);
        return emulation_end(cudaErrorMemoryAllocation);
    }
    *b = (block){
        .next = blocks, .kind = kind, .pages = mapped + PAGE, .page_bytes = page_bytes, .bytes = bytes};
    b->data = b->pages + page_bytes - padded;
    protect(b, PROT_READ | PROT_WRITE);
    memset(b->pages, FILL, page_bytes);
    if (kind == cudaMemoryTypeDevice) {
        protect(b, PROT_NONE);
        used += bytes;
    }
    blocks = b;
    *place = b->data;
    return emulation_end(cudaSuccess);
}

static void check_edges(const block *b, const char *after) {
    for (const char *c = b->pages; c < b->pages + b->page_bytes; c++) {
        if (c == b->data) c += b->bytes;
        if (c < b->pages + b->page_bytes && (unsigned char)*c != FILL)
            emulation_fault("%s wrote byte %ld of a block of %zu bytes of %s", after, (long)(c - b->data),
                            b->bytes, kind_names[b->kind]);
    }
}

static void unmap(block *b) {
    munmap(b->pages - PAGE, b->page_bytes + 2 * PAGE);
    free(b);
}

/* The oldest of those that are freed goes: every look at an address goes through them all. */
static void forget_one(void) {
    block **oldest = NULL;
    size_t freed = 0;
    for (block **place = &blocks; *place; place = &(*place)->next)
        if ((*place)->freed) {
            freed++;
            oldest = place;
        }
    if (freed <= MOST_FREED) return;
    block *gone = *oldest;
    *oldest = gone->next;
    unmap(gone);
}

static cudaError_t block_free(void *address, enum cudaMemoryType kind) {
    cudaError_t code = emulation_begin();
    if (!address) return emulation_end(code);
    emulation_run_all();
    block *b = find(address);
    if (!b || b->data != address) emulation_fault("freed an address that no allocation returned");
    if (b->freed) emulation_fault("freed a block of %zu bytes of %s twice", b->bytes, kind_names[b->kind]);
    if (b->kind != kind) emulation_fault("freed %s as %s", kind_names[b->kind], kind_names[kind]);
    protect(b, PROT_READ | PROT_WRITE);
    check_edges(b, "something");
    protect(b, PROT_NONE);
    madvise(b->pages, b->page_bytes, MADV_DONTNEED);
    b->freed = true;
    if (kind == cudaMemoryTypeDevice) used -= b->bytes;
    forget_one();
    return emulation_end(code);
}

cudaError_t cudaMalloc(void **place, size_t bytes) {
    return block_new(place, bytes, cudaMemoryTypeDevice);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
    cudaError_t code = emulation_begin();
    *available = left();
    *total = limit;
    return emulation_end(code);
}

cudaError_t cudaFree(void *address) {
    return block_free(address, cudaMemoryTypeDevice);
}

cudaError_t cudaMallocHost(void **place, size_t bytes) {
    return block_new(place, bytes, cudaMemoryTypeHost);
}

cudaError_t cudaFreeHost(void *address) {
    return block_free(address, cudaMemoryTypeHost);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *pointer) {
    cudaError_t code = emulation_begin();
    const block *b = find(pointer);
    attributes->type = b && !b->freed ? b->kind : cudaMemoryTypeUnregistered;
    return emulation_end(code);
}

/* ---- for the other parts ------------------------------------------------------------------------------- */

bool emulation_is_device(const void *address) {
    const block *b = find(address);
    return b && !b->freed && b->kind == cudaMemoryTypeDevice && (const char *)address >= b->data &&
           (const char *)address <= b->data + b->bytes;
}

bool emulation_is_device_page(const void *address) {
    const block *b = find(address);
    return b && !b->freed && b->kind == cudaMemoryTypeDevice && (const char *)address >= b->pages &&
           (const char *)address < b->pages + b->page_bytes;
}

void emulation_check_range(const void *pointer, size_t bytes, enum cudaMemoryType kind, const char *what) {
    const block *b = find(pointer);
    enum cudaMemoryType found = b ? b->kind : cudaMemoryTypeUnregistered;
    if (found != kind)
        emulation_fault("%s: %s where %s is needed", what, kind_names[found], kind_names[kind]);
    if (b->freed) emulation_fault("%s: a block that has been freed", what);
    const char *from = pointer;
    if (from < b->data || from + bytes > b->data + b->bytes)
        emulation_fault("%s: bytes %ld to %ld of a block of %zu bytes", what, (long)(from - b->data),
                        (long)(from - b->data + (long)bytes), b->bytes);
}

#define EACH_DEVICE_BLOCK(b)                                                                                 \
    for (block *b = blocks; b; b = b->next)                                                                  \
        if (!b->freed && b->kind == cudaMemoryTypeDevice)

void emulation_unlock_memory(void) {
    EACH_DEVICE_BLOCK(b) protect(b, PROT_READ | PROT_WRITE);
}

void emulation_lock_memory(const char *after) {
    EACH_DEVICE_BLOCK(b) {
        check_edges(b, after);
        protect(b, PROT_NONE);
    }
}

void *emulation_snapshot(void) {
    size_t bytes = 1;
    EACH_DEVICE_BLOCK(b) bytes += b->bytes;
    char *snapshot = malloc(bytes), *place = snapshot;
    if (!snapshot) emulation_fault("no memory for a snapshot");
    EACH_DEVICE_BLOCK(b) {
        memcpy(place, b->data, b->bytes);
        place += b->bytes;
    }
    return snapshot;
}

void emulation_restore(const void *snapshot) {
    const char *place = snapshot;
    EACH_DEVICE_BLOCK(b) {
        memcpy(b->data, place, b->bytes);
        place += b->bytes;
    }
}

bool emulation_equals(const void *snapshot) {
    const char *place = snapshot;
    EACH_DEVICE_BLOCK(b) {
        if (memcmp(b->data, place, b->bytes) != 0) return false;
        place += b->bytes;
    }
    return true;
}

bool emulation_take(size_t bytes) {
    if (bytes > left()) return false;
    used += bytes;
    return true;
}

void emulation_give_back(size_t bytes) {
    used -= bytes;
}

size_t emulation_memory_live(size_t *device, size_t *pinned) {
    *device = *pinned = 0;
    for (block *b = blocks; b; b = b->next) {
        if (b->freed) continue;
        *(b->kind == cudaMemoryTypeDevice ? device : pinned) += 1;
    }
    return *device + *pinned;
}

/* The plugin may be unloaded before the program ends. */
void emulation_memory_end(void) {
    if (installed) {
        sigaction(SIGSEGV, &before[0], NULL);
        sigaction(SIGBUS, &before[1], NULL);
    }
    while (blocks) {
        block *b = blocks;
        blocks = b->next;
        unmap(b);
    }
}
