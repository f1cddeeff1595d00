#include "settings/ledger.h"
#include "ra_settings.h"
#include "telemetry/process.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    THREADS_PER_CORE = 4, /* compute threads: many of them wait for their turn in the batcher */
    LEAST_THREADS = 64,
    IO_DESCRIPTORS = 4,      /* per I/O thread: two of libmicrohttpd, its own set, the bell of its mailbox */
    ADDRESS_DESCRIPTORS = 2, /* the listening socket, the bell of the acceptor */
    SPARE_DESCRIPTORS = 32,  /* a reload, the key file, news for the service manager, what libraries open */
    ADMIN_CONNECTIONS = 64,
    SPARE_CONNECTIONS = 16,
    MOST_CONNECTIONS = 1 << 16 /* when no limit is set */
};

static size_t usable_cores(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

/* Those of everything but the connections of the main address. */
static size_t count_reserved(const ledger *shares, bool has_admin) {
    size_t reserved = process_look().open_descriptors + SPARE_DESCRIPTORS + shares->spares +
                      shares->io_threads * IO_DESCRIPTORS + ADDRESS_DESCRIPTORS;
    return has_admin ? reserved + IO_DESCRIPTORS + ADDRESS_DESCRIPTORS + shares->admin_connections : reserved;
}

/* The limit, raised to `needed` where the system allows that. */
static size_t raise_descriptors(size_t needed) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return needed;
    if (files.rlim_cur < needed) {
        files.rlim_cur = files.rlim_max < needed ? files.rlim_max : needed;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    return files.rlim_cur == RLIM_INFINITY ? needed : (size_t)files.rlim_cur;
}

static ra_status share_descriptors(const settings *chosen, bool has_admin, ledger *shares, ra_error *err) {
    size_t wanted = chosen->max_connections, reserved = count_reserved(shares, has_admin);
    shares->descriptors = raise_descriptors(reserved + (wanted ? wanted : MOST_CONNECTIONS));
    size_t left = shares->descriptors > reserved ? shares->descriptors - reserved : 0;
    if (left < (wanted ? wanted : 1))
        RA_FAIL(err, RA_ERR_SETTING,
                "--max-connections is %zu, but the limit of %zu open files (ulimit -n) leaves %zu for "
                "connections: "
                "%zu I/O threads and everything else need %zu; raise that limit, or lower %s",
                wanted, shares->descriptors, left, shares->io_threads, reserved,
                wanted ? "--max-connections" : "--threads");
    shares->connections = wanted ? wanted : left < MOST_CONNECTIONS ? left : MOST_CONNECTIONS;
    return RA_OK;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

enum { BODY_SHARE = 4 }; /* of the memory: the rest is for dictionaries, computations and replies */

/* SIZE_MAX when there is no such file, or it says "max". */
static size_t read_limit(const char *path) {
    char line[64] = "";
    FILE *file = fopen(path, "re");
    if (!file) return SIZE_MAX;
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    size_t limit;
    line[strcspn(line, "\n")] = '\0';
    return read && ra_count_parse(line, &limit) && limit > 0 ? limit : SIZE_MAX;
}

/* The smallest limit of the control group and those above it (cgroup v2), or of the one that is mounted (v1). */
static size_t control_group_limit(void) {
    char group[512] = "", path[640];
    size_t least = read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(group, sizeof group, file) && strncmp(group, "0::/", 4) != 0) group[0] = '\0';
    if (file) fclose(file);
    group[strcspn(group, "\n")] = '\0';
    for (char *name = group[0] ? group + 3 : group;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", name);
        size_t limit = read_limit(path);
        least = limit < least ? limit : least;
        char *slash = strrchr(name, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

static ra_status share_memory(const settings *chosen, ledger *shares, ra_error *err) {
    size_t pages = (size_t)sysconf(_SC_PHYS_PAGES), memory = pages * (size_t)sysconf(_SC_PAGESIZE);
    size_t group = control_group_limit(), share = (group < memory ? group : memory) / BODY_SHARE;
    size_t wanted = chosen->max_body_memory;
    if (wanted && wanted < chosen->max_body)
        RA_FAIL(err, RA_ERR_SETTING,
                "--max-body-memory is %zu, less than --max-body %zu: a body of that size could never be sent",
                wanted, chosen->max_body);
    shares->body_bytes = wanted ? wanted : share > chosen->max_body ? share : chosen->max_body;
    return RA_OK;
}

ledger ledger_threads(const settings *chosen) {
    size_t cores = usable_cores(), compute = THREADS_PER_CORE * cores;
    return (ledger){.io_threads = chosen->threads ? chosen->threads : cores,
                    .compute_threads = compute < LEAST_THREADS ? LEAST_THREADS : compute,
                    .pool_threads = chosen->compute_threads ? chosen->compute_threads : cores};
}

ra_status ledger_settle(const settings *chosen, bool has_admin, ledger *out, ra_error *err) {
    *out = ledger_threads(chosen);
    out->admin_connections = has_admin ? ADMIN_CONNECTIONS : 0;
    out->spares = SPARE_CONNECTIONS;
    out->requests = chosen->max_in_flight;
    out->queue = chosen->max_queue;
    RA_TRY(share_memory(chosen, out, err));
    return share_descriptors(chosen, has_admin, out, err);
}

void ledger_print(const ledger *shares, FILE *out) {
    const struct {
        const char *name;
        size_t value;
        const char *meaning;
    } rows[] = {
        {"io_threads", shares->io_threads, "read requests and write replies"},
        {"compute_threads", shares->compute_threads, "heavy requests at once; most wait for their turn"},
        {"pool_threads", shares->pool_threads, "compute one product together"},
        {"connections", shares->connections, "at --listen"},
        {"spare_connections", shares->spares, "beyond these, for health and metrics"},
        {"admin_connections", shares->admin_connections, "at --admin-listen"},
        {"requests", shares->requests, "at once; 0: no limit"},
        {"queue", shares->queue, "heavy requests that wait"},
        {"body_bytes", shares->body_bytes, "of request bodies in memory at once"},
        {"descriptors", shares->descriptors, "open files of the process"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fprintf(out, "%-18s %14zu  %s\n", rows[i].name, rows[i].value, rows[i].meaning);
}
