/* The files are SQLite's own, with a table of methods in which some fail: an open file of the system's VFS leads to its
 * methods by a pointer, which is turned to ours. Behind each of ours stands the one that it replaces. */
#include "sqlite_faults.h"

#include <check.h>
#include <sqlite3.h>
#include <stdbool.h>

enum { TABLES = 8 };

typedef struct table {
    sqlite3_io_methods methods; /* the first member: what a file leads to */
    const sqlite3_io_methods *original;
} table;

typedef struct counter {
    size_t at, seen;
} counter;

static table tables[TABLES];
static size_t table_count;
static sqlite3_mutex *lock;
static sqlite3_vfs *system_disk, faulty_disk;
static sqlite3_mem_methods system_memory;
static _Thread_local counter disk, memory;
static _Thread_local int disk_code;

static bool fails(counter *c) {
    c->seen++;
    return c->at && c->seen >= c->at;
}

static size_t reset(counter *c, size_t n) {
    size_t seen = c->seen;
    *c = (counter){.at = n};
    return seen;
}

static const sqlite3_io_methods *original_of(sqlite3_file *file) {
    return ((const table *)(const void *)file->pMethods)->original;
}

/* ---- files --------------------------------------------------------------------------------------------- */

static int faulty_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at) {
    return fails(&disk) ? SQLITE_IOERR_READ : original_of(file)->xRead(file, to, size, at);
}

static int faulty_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at) {
    return fails(&disk) ? disk_code : original_of(file)->xWrite(file, from, size, at);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size) {
    return fails(&disk) ? SQLITE_IOERR_TRUNCATE : original_of(file)->xTruncate(file, size);
}

static int faulty_sync(sqlite3_file *file, int flags) {
    return fails(&disk) ? SQLITE_IOERR_FSYNC : original_of(file)->xSync(file, flags);
}

static int faulty_share(sqlite3_file *file, int region, int size, int extend, void volatile **at) {
    return fails(&disk) ? SQLITE_IOERR_SHMMAP : original_of(file)->xShmMap(file, region, size, extend, at);
}

static const sqlite3_io_methods *methods_for(const sqlite3_io_methods *original) {
    size_t i = 0;
    sqlite3_mutex_enter(lock);
    while (i < table_count && tables[i].original != original) i++;
    ck_assert_uint_lt(i, TABLES);
    if (i == table_count) {
        table *made = &tables[table_count++];
        made->methods = *original;
        made->original = original;
        made->methods.xRead = faulty_read;
        made->methods.xWrite = faulty_write;
        made->methods.xTruncate = faulty_truncate;
        made->methods.xSync = faulty_sync;
        made->methods.xShmMap = faulty_share;
    }
    sqlite3_mutex_leave(lock);
    return &tables[i].methods;
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *given) {
    (void)vfs;
    file->pMethods = NULL;
    if (fails(&disk)) return SQLITE_CANTOPEN;
    int code = system_disk->xOpen(system_disk, name, file, flags, given);
    if (code == SQLITE_OK && file->pMethods) file->pMethods = methods_for(file->pMethods);
    return code;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static void *faulty_malloc(int size) {
    return fails(&memory) ? NULL : system_memory.xMalloc(size);
}

static void *faulty_realloc(void *old, int size) {
    return fails(&memory) ? NULL : system_memory.xRealloc(old, size);
}

/* ---- use ----------------------------------------------------------------------------------------------- */

void sqlite_faults_begin(void) {
    if (system_disk) return;
    ck_assert_int_eq(sqlite3_shutdown(), SQLITE_OK);
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_memory), SQLITE_OK);
    sqlite3_mem_methods methods = system_memory;
    methods.xMalloc = faulty_malloc;
    methods.xRealloc = faulty_realloc;
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    /* small allocations do not come out of a pool */
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
    ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
    lock = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
    system_disk = sqlite3_vfs_find(NULL);
    faulty_disk = *system_disk;
    faulty_disk.zName = "faulty";
    faulty_disk.pNext = NULL;
    faulty_disk.xOpen = faulty_open;
    ck_assert_int_eq(sqlite3_vfs_register(&faulty_disk, 1), SQLITE_OK);
}

size_t sqlite_faults_disk(size_t n, int code) {
    disk_code = code;
    return reset(&disk, n);
}

size_t sqlite_faults_memory(size_t n) {
    return reset(&memory, n);
}
