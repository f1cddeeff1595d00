#include "serving/reloader.h"
#include "http/ticker.h"
#include "ra_memory.h"

struct reloader {
    registry *dictionaries;
    reloader_options options;
    ticker *thread;
};

static void reload(const reloader *worker) {
    if (worker->options.begins) worker->options.begins();
    size_t failed = registry_reload_all(worker->dictionaries), count = registry_count(worker->dictionaries);
    ra_log(RA_LOG_INFO, "reloaded, %zu of %zu failed", failed, count);
    if (worker->options.ends) worker->options.ends(failed, count);
}

static void work(void *context, bool asked) {
    const reloader *worker = context;
    if (asked)
        reload(worker);
    else
        registry_poll(worker->dictionaries);
}

ra_status reloader_start(registry *dictionaries, const reloader_options *options, reloader **out,
                         ra_error *err) {
    reloader *worker = ra_calloc(1, sizeof *worker);
    if (!worker) RA_FAIL_MEMORY(err, "the reloader", sizeof *worker);
    worker->dictionaries = dictionaries;
    worker->options = *options;
    ticker_options clock = {.name = "the reloader",
                            .every_us = (uint64_t)options->watch_ms * 1000,
                            .work = work,
                            .context = worker};
    ra_status status = ticker_start(&clock, &worker->thread, err);
    if (status == RA_OK)
        *out = worker;
    else
        ra_free(worker);
    return status;
}

void reloader_ask(reloader *worker) {
    ticker_ask(worker->thread);
}

bool reloader_stop(reloader *worker, unsigned seconds) {
    if (worker && !ticker_stop(worker->thread, seconds)) return false;
    ra_free(worker);
    return true;
}
