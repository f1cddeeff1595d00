/* Races and misaligned accesses of kernels, for the checked plugin (librasae-cuda-checked.so): its kernels are
 * compiled with the compiler's instrumentation for threads, whose calls come here instead of to its library.
 *
 * For each word of device memory and of shared memory that a kernel touches, a record says which thread wrote it
 * last and which read it, and how many barriers its block had passed by then. Two accesses of one word, by two
 * threads, at least one a write and not both atomic, are ordered only if the threads are of one block and a
 * barrier lies between: otherwise some device will run them in the other order, whatever order this emulation
 * ran them in. An exchange between lanes orders nothing in memory.
 *
 * Records are kept by page and forgotten when a kernel ends. Accesses of less than a word count for all of it. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 4, PAGE_BYTES = 4096, WORDS = PAGE_BYTES / WORD, TABLE = 1 << 16, MANY = -1, NOBODY = -2 };

typedef struct record {
    int32_t writer, writer_block, reader, reader_block; /* a thread, MANY or NOBODY */
    uint32_t write_epoch, read_epoch;
    bool atomic; /* the write */
} record;

typedef struct page {
    struct page *next;
    uintptr_t address;
    uint64_t kernel; /* in which the records are of use */
    bool watched;
    record records[WORDS];
} page;

static page *table[TABLE], *latest;
static uint64_t kernels;
static int32_t block;
static uint32_t epoch;

void emulation_kernel_begins(void) {
    kernels++;
    latest = NULL;
}

void emulation_block_begins(unsigned number) {
    block = (int32_t)number;
    epoch = 0;
}

void emulation_barrier_passed(void) {
    epoch++;
}

extern char __start_emulation_shared[], __stop_emulation_shared[];

static bool is_shared(uintptr_t address) {
    return address >= (uintptr_t)__start_emulation_shared && address < (uintptr_t)__stop_emulation_shared;
}

static page *page_of(uintptr_t address) {
    address &= ~(uintptr_t)(PAGE_BYTES - 1);
    if (latest && latest->address == address) return latest;
    page **place = &table[address / PAGE_BYTES % TABLE], *found = *place;
    while (found && found->address != address) found = found->next;
    if (!found) {
        found = calloc(1, sizeof *found);
        if (!found) emulation_fault("no memory for the records of a page");
        *found = (page){.next = *place, .address = address};
        *place = found;
    }
    if (found->kernel != kernels) {
        found->kernel = kernels;
        found->watched = emulation_is_device_page((const void *)address) ||
                         (address + PAGE_BYTES > (uintptr_t)__start_emulation_shared &&
                          address < (uintptr_t)__stop_emulation_shared);
        for (size_t i = 0; found->watched && i < WORDS; i++)
            found->records[i] =
                (record){.writer = NOBODY, .writer_block = NOBODY, .reader = NOBODY, .reader_block = NOBODY};
    }
    return latest = found;
}

/* Of an earlier access: might it happen at the same time as one of this thread now? */
static bool is_unordered(int32_t thread, int32_t its_block, uint32_t its_epoch, bool shared) {
    if (thread == NOBODY) return false;
    if (its_block != block) return !shared; /* each block has shared memory of its own */
    return its_epoch == epoch && thread != (int32_t)threadIdx.x;
}

static void fault(bool write, uintptr_t address, bool it_wrote, int32_t thread, int32_t its_block) {
    char who[64] = "threads of several blocks";
    if (thread == MANY && its_block != MANY)
        snprintf(who, sizeof who, "several threads of block %d", its_block);
    if (thread != MANY) snprintf(who, sizeof who, "thread %d of block %d", thread, its_block);
    emulation_fault(
        "kernel %s, block %d, thread %u: %s a word of %s memory that %s %s, without a barrier between (%#zx)",
        emulation_running(), block, threadIdx.x, write ? "writes" : "reads",
        is_shared(address) ? "shared" : "device", who, it_wrote ? "wrote" : "read", (size_t)address);
}

static void note_read(record *r, bool shared) {
    int32_t thread = (int32_t)threadIdx.x;
    bool fresh = r->reader == NOBODY || (shared && r->reader_block != block);
    if (!fresh && r->reader_block != block)
        r->reader_block = r->reader = MANY;
    else if (!fresh && r->read_epoch == epoch && r->reader != thread)
        r->reader = MANY;
    else
        r->reader = thread;
    if (r->reader_block != MANY || fresh) r->reader_block = block;
    r->read_epoch = epoch;
}

static void note_write(record *r, bool atomic, bool shared) {
    int32_t thread = (int32_t)threadIdx.x;
    bool joins = atomic && r->atomic && is_unordered(r->writer, r->writer_block, r->write_epoch, shared);
    r->writer_block = joins && r->writer_block != block ? MANY : block;
    r->writer = joins ? MANY : thread;
    r->write_epoch = epoch;
    r->atomic = atomic;
}

static void access(uintptr_t address, size_t bytes, bool write, bool atomic) {
    for (uintptr_t at = address & ~(uintptr_t)(WORD - 1); at < address + bytes; at += WORD) {
        page *where = page_of(at);
        if (!where->watched) continue;
        bool shared = is_shared(at);
        record *r = &where->records[at % PAGE_BYTES / WORD];
        if (!(atomic && r->atomic) && is_unordered(r->writer, r->writer_block, r->write_epoch, shared))
            fault(write, at, true, r->writer, r->writer_block);
        if (write && is_unordered(r->reader, r->reader_block, r->read_epoch, shared))
            fault(write, at, false, r->reader, r->reader_block);
        if (write)
            note_write(r, atomic, shared);
        else
            note_read(r, shared);
    }
}

void emulation_atomic(const void *address, size_t bytes) {
    if (emulation_running()) access((uintptr_t)address, bytes, true, true);
}

static void plain(const void *address, size_t bytes, bool write) {
    if (!emulation_running()) return; /* the part of a .cu file that the host runs */
    if ((uintptr_t)address % bytes && page_of((uintptr_t)address)->watched)
        emulation_fault("kernel %s, block %d, thread %u: %zu bytes at an address that is no multiple of that",
                        emulation_running(), block, threadIdx.x, bytes);
    access((uintptr_t)address, bytes, write, false);
}

/* ---- what the instrumentation calls -------------------------------------------------------------------- */

void __tsan_init(void);
void __tsan_init(void) {
}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller) {
    (void)caller;
}
void __tsan_func_exit(void);
void __tsan_func_exit(void) {
}

#define ACCESS(bytes)                                                                                        \
    void __tsan_read##bytes(void *address);                                                                  \
    void __tsan_read##bytes(void *address) {                                                                 \
        plain(address, bytes, false);                                                                        \
    }                                                                                                        \
    void __tsan_write##bytes(void *address);                                                                 \
    void __tsan_write##bytes(void *address) {                                                                \
        plain(address, bytes, true);                                                                         \
    }                                                                                                        \
    void __tsan_unaligned_read##bytes(void *address);                                                        \
    void __tsan_unaligned_read##bytes(void *address) {                                                       \
        plain(address, bytes, false);                                                                        \
    }                                                                                                        \
    void __tsan_unaligned_write##bytes(void *address);                                                       \
    void __tsan_unaligned_write##bytes(void *address) {                                                      \
        plain(address, bytes, true);                                                                         \
    }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_read_range(void *address, size_t bytes) {
    if (emulation_running()) access((uintptr_t)address, bytes, false, false);
}
void __tsan_write_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes) {
    if (emulation_running()) access((uintptr_t)address, bytes, true, false);
}

__attribute__((destructor)) static void free_pages(void) {
    for (size_t i = 0; i < TABLE; i++)
        while (table[i]) {
            page *gone = table[i];
            table[i] = gone->next;
            free(gone);
        }
}
