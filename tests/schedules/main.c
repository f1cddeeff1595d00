/* The three concurrent cores of the server in every schedule (server/http/deferred.c, server/serving/batcher.c, server/serving/registry/):
 * `schedules` with two preemptions, `schedules N` with N. */
#include "http/deferred.h"
#include "ra_backend.h"
#include "schedule.h"
#include "serving/batcher.h"
#include "serving/registry/registry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPECT(condition) schedule_expect(condition, #condition)

static void ok(ra_status status, const ra_error *err) {
    schedule_expect(status == RA_OK, err->message);
}

/* ---- a request that waits for a compute thread ---------------------------------------------------------- */

enum { FOREVER = 60000000 };

static struct {
    void (*run)(void *argument);
    void *argument;
    http_deferrals *waiting;
    http_exchange *exchange;
    int resumed, answered;
    bool deferred, refused, stops;
} desk;

static bool submit(void *context, const http_request *request, void (*run)(void *), void *argument) {
    (void)context, (void)request;
    desk.run = run;
    desk.argument = argument;
    return true;
}

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    (void)context, (void)request, (void)response;
    *max_body = 10;
}

static void answer(void *context, http_request *request, http_response *response) {
    (void)context;
    schedule_point(); /* a computation takes its time */
    desk.answered++;
    response->status = request->canceled && atomic_load(request->canceled) ? 499 : 200;
    text_string(&response->body, "{}");
}

static void resume(http_exchange *exchange) {
    EXPECT(exchange == desk.exchange);
    desk.resumed++;
}

static const http_service service = {.context = &desk, .admit = admit, .answer = answer, .submit = submit};

static bool has_job(void *context) {
    (void)context;
    return desk.run != NULL || desk.refused;
}

static bool is_resumed(void *context) {
    (void)context;
    return desk.resumed > 0;
}

/* The thread of the connection: it defers the request, and sends the reply when it is resumed. */
static void serve(void *context) {
    (void)context;
    desk.deferred = http_defer(desk.waiting, desk.exchange, desk.exchange, NULL, -1);
    desk.refused = !desk.deferred;
    EXPECT(desk.deferred || desk.stops);
    if (desk.deferred) {
        schedule_wait(is_resumed, NULL);
        const http_response *reply = http_exchange_reply(desk.exchange);
        EXPECT(reply->status == 200 || reply->status == 503 || reply->status == 499 || reply->status == 0);
    }
    http_deferred_give(desk.exchange);
}

static void compute(void *context) {
    (void)context;
    schedule_wait(has_job, NULL);
    if (desk.run) desk.run(desk.argument);
}

static void look(void *context) {
    (void)context;
    http_deferrals_check(desk.waiting, http_now() + 2 * FOREVER); /* it is late */
}

static void end(void *context) {
    (void)context;
    http_deferrals_end(desk.waiting);
}

static void defer(void *with) {
    void (*const *others)(void *) = with;
    memset(&desk, 0, sizeof desk);
    desk.waiting = http_deferrals_new(
        &(http_deferrals_options){.service = &service, .deadline = FOREVER, .resume = resume});
    desk.exchange = http_exchange_take("/a");
    http_headers headers = {0};
    http_exchange_begin(desk.exchange, &service, "POST", &headers, NULL);
    http_exchange_received(desk.exchange);
    for (; *others; others++) {
        desk.stops |= *others == end;
        schedule_start(*others, NULL);
    }
    schedule_join();
    EXPECT(desk.resumed == (desk.deferred ? 1 : 0));
    EXPECT(desk.answered <= 1);
    EXPECT(http_deferrals_count(desk.waiting) == 0);
    http_deferrals_release(desk.waiting);
}

/* ---- computations that are joined ----------------------------------------------------------------------- */

static struct {
    ra_model *model;
    batcher *queue;
    atomic_bool gone;
    size_t done, canceled, joined;
    size_t under_way;
    bool brief;
} batch;

static void count(void *context, size_t requests, size_t rows) {
    (void)context, (void)rows;
    schedule_point(); /* a computation takes its time */
    batch.joined += requests;
}

static size_t under_way(void *context) {
    (void)context;
    return batch.under_way;
}

/* Reconstructs one atom, and compares. */
static void ask(void *argument) {
    size_t atom = (size_t)(uintptr_t)argument, d = ra_model_get_info(batch.model)->dimensions;
    ra_error err = {0};
    ra_codes codes = {0};
    float out[64], wanted[64];
    ok(ra_codes_reserve(&codes, 1, ra_model_get_info(batch.model)->concepts, 1, &err), &err);
    codes.index[0] = (uint32_t)atom;
    codes.value[0] = 2;
    codes.start[0] = 0;
    codes.start[1] = 1;
    computation it = {.kind = COMPUTE_RECONSTRUCT,
                      .model = batch.model,
                      .codes = &codes,
                      .x_hat = out,
                      .brief = batch.brief,
                      .canceled = atom == 2 ? &batch.gone : NULL};
    ra_status status = batcher_run(batch.queue, &it, &err);
    if (status == RA_OK) {
        ok(ra_model_atom(batch.model, atom, wanted, &err), &err);
        for (size_t i = 0; i < d; i++)
            EXPECT(out[i] > 2 * wanted[i] - 1e-5f && out[i] < 2 * wanted[i] + 1e-5f);
        batch.done++;
    } else {
        EXPECT(status == RA_ERR_CANCELED && atom == 2);
        batch.canceled++;
    }
    if (batch.brief) batch.under_way--;
    if (batch.brief) batcher_fewer(batch.queue);
    ra_codes_release(&codes);
}

static void give_up(void *context) {
    (void)context;
    atomic_store(&batch.gone, true);
}

typedef struct shape {
    batcher_options options;
    size_t requests;
    bool gives_up, brief;
} shape;

static void join(void *with) {
    const shape *chosen = with;
    ra_error err = {0};
    batcher_options options = chosen->options;
    options.joined = count;
    if (chosen->brief) options.under_way = under_way;
    ok(batcher_new(&options, &batch.queue, &err), &err);
    atomic_store(&batch.gone, false);
    batch.done = batch.canceled = batch.joined = 0;
    batch.brief = chosen->brief;
    batch.under_way = chosen->brief ? chosen->requests : 0;
    for (size_t i = 0; i < chosen->requests; i++) schedule_start(ask, (void *)(uintptr_t)i);
    if (chosen->gives_up) schedule_start(give_up, NULL);
    schedule_join();
    EXPECT(batch.done + batch.canceled == chosen->requests);
    EXPECT(batch.joined >= batch.done && batch.joined <= chosen->requests);
    EXPECT(batcher_waiting(batch.queue) == 0);
    batcher_free(batch.queue);
}

/* ---- a dictionary that is replaced ---------------------------------------------------------------------- */

static struct {
    registry *dictionaries;
    const char *file;
    size_t told;
} shelf;

/* How many models there are: linked with --wrap, so that each one that is opened is seen to be given back. */
static int models;

ra_status __real_ra_model_open(const char *file, const ra_model_options *options, ra_model **model,
                               ra_error *err);
ra_status __wrap_ra_model_open(const char *file, const ra_model_options *options, ra_model **model,
                               ra_error *err);
void __real_ra_model_release(ra_model *model);
void __wrap_ra_model_release(ra_model *model);

ra_status __wrap_ra_model_open(const char *file, const ra_model_options *options, ra_model **model,
                               ra_error *err) {
    ra_status status = __real_ra_model_open(file, options, model, err);
    models += status == RA_OK;
    return status;
}

void __wrap_ra_model_release(ra_model *model) {
    models -= model != NULL;
    __real_ra_model_release(model);
}

/* A generation is whole while it is held, whatever others do. */
static void use(void *context) {
    (void)context;
    for (int i = 0; i < 2; i++) {
        served *held = registry_acquire(shelf.dictionaries, "m");
        if (!held) continue;
        float first[64], again[64];
        ra_error err = {0};
        ok(ra_model_atom(held->model, 0, first, &err), &err);
        schedule_point();
        ok(ra_model_atom(held->model, 0, again, &err), &err);
        EXPECT(memcmp(first, again, sizeof *first) == 0);
        served_release(held);
    }
}

static void tell(void *context) {
    (void)context;
    shelf.told++;
}

static void take_away(void *context) {
    ra_error err = {0};
    (void)context;
    ok(registry_unload(shelf.dictionaries, "m", &err), &err);
}

static void clear_away(void *context) {
    (void)context;
    registry_free_retired(shelf.dictionaries);
    registry_on_retired(shelf.dictionaries, NULL, NULL); /* from now on the last holder does it */
    registry_free_retired(shelf.dictionaries);
}

static void replace(void *with) {
    (void)with;
    ra_error err = {0};
    shelf.told = 0;
    ok(registry_new(&(registry_options){0}, &shelf.dictionaries, &err), &err);
    ok(registry_add(shelf.dictionaries, "m", shelf.file, &err), &err);
    registry_on_retired(shelf.dictionaries, tell, NULL);
    schedule_start(use, NULL);
    schedule_start(take_away, NULL);
    schedule_start(clear_away, NULL);
    schedule_join();
    EXPECT(registry_acquire(shelf.dictionaries, "m") == NULL);
    EXPECT(registry_free_retired(shelf.dictionaries) == 0);
    registry_free(shelf.dictionaries);
    EXPECT(models == 1);
}

/* The file is another one, and is loaded while the old generation is used. */
static char folder[] = "/tmp/rasae-schedules-XXXXXX", path[64], kept[2][64];

static void put(int which) {
    char with[80];
    snprintf(with, sizeof with, "%s.new", path);
    unlink(with);
    EXPECT(link(kept[which], with) == 0 && rename(with, path) == 0);
}

static void reload(void *context) {
    (void)context;
    put(1);
    EXPECT(registry_reload_all(shelf.dictionaries) == 0);
}

static void swap(void *with) {
    (void)with;
    ra_error err = {0};
    shelf.told = 0;
    put(0);
    ok(registry_new(&(registry_options){0}, &shelf.dictionaries, &err), &err);
    ok(registry_add(shelf.dictionaries, "m", path, &err), &err);
    registry_on_retired(shelf.dictionaries, tell, NULL);
    schedule_start(use, NULL);
    schedule_start(reload, NULL);
    schedule_join();
    served *now = registry_acquire(shelf.dictionaries, "m");
    EXPECT(now != NULL);
    EXPECT(shelf.told == 1);
    served_release(now);
    EXPECT(registry_free_retired(shelf.dictionaries) == 1);
    registry_free(shelf.dictionaries);
    EXPECT(models == 1); /* main()'s */
}

static bool copy(const char *from, const char *to) {
    char data[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t size = in && out ? fread(data, 1, sizeof data, in) : 0;
    bool good = size > 0 && size < sizeof data && fwrite(data, 1, size, out) == size;
    if (in) fclose(in);
    if (out) good = fclose(out) == 0 && good;
    return good;
}

static bool make_files(void) {
    static const char *const from[] = {"tests/golden/dict-basic.checkpoint.safetensors",
                                       "tests/golden/topk-mse.final.safetensors"};
    if (!mkdtemp(folder)) return false;
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    for (int i = 0; i < 2; i++) {
        snprintf(kept[i], sizeof kept[i], "%s/%d", folder, i);
        if (!copy(from[i], kept[i])) return false;
    }
    return true;
}

static void remove_files(void) {
    unlink(path);
    for (int i = 0; i < 2; i++) unlink(kept[i]);
    rmdir(folder);
}

/* ---- an error that is there, so that the search is known to find one ------------------------------------ */

static int counter;

static void add_badly(void *context) {
    (void)context;
    int seen = counter;
    schedule_point();
    counter = seen + 1;
}

static void lose(void *with) {
    bool *found = with;
    counter = 0;
    schedule_start(add_badly, NULL);
    schedule_start(add_badly, NULL);
    schedule_join();
    *found |= counter == 1;
}

/* ---------------------------------------------------------------------------------------------------------- */

static size_t total;

static void explore(const char *name, void (*scenario)(void *), void *with, int preemptions) {
    size_t found = schedule_explore(name, scenario, with, preemptions);
    printf("%-60s %8zu schedules\n", name, found);
    fflush(stdout);
    total += found;
}

int main(int argc, char **argv) {
    int most = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
    ra_error err = {0};
    bool found = false;
    shelf.file = "tests/golden/dict-basic.checkpoint.safetensors";
    ra_backend *backend = NULL;
    ra_model_options options = {0};
    if (ra_backend_open("reference", NULL, &backend, &err) != RA_OK) return 1;
    options.backend = backend;
    if (ra_model_open(shelf.file, &options, &batch.model, &err) != RA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    explore("two that add without a lock", lose, &found, most);
    if (!found) {
        fprintf(stderr, "an addition that is lost was not found\n");
        return 1;
    }
    explore("deferred: an answer, and a deadline", defer, (void (*[])(void *)){serve, compute, look, NULL},
            most);
    explore("deferred: an answer, and the end", defer, (void (*[])(void *)){serve, compute, end, NULL}, most);
    explore("deferred: an answer, a deadline, and the end", defer,
            (void (*[])(void *)){serve, compute, look, end, NULL}, most);
    explore("deferred: an answer, and two deadlines", defer,
            (void (*[])(void *)){serve, compute, look, look, NULL}, most);
    shape shapes[] = {
        {.options = {.slots = 1, .max_batch = 2}, .requests = 3},
        {.options = {.slots = 2, .max_batch = 2}, .requests = 3},
        {.options = {.slots = 1, .max_batch = 1}, .requests = 3},
        {.options = {.slots = 1, .max_batch = 4}, .requests = 3, .gives_up = true},
        {.options = {.slots = 1, .max_batch = 4, .delay_us = 100}, .requests = 2},
        {.options = {.slots = 1, .max_batch = 4}, .requests = 2, .brief = true},
    };
    static const char *const names[] = {
        "batcher: three requests, one slot, two rows",   "batcher: three requests, two slots, two rows",
        "batcher: three requests, one slot, each alone", "batcher: three requests, one is given up",
        "batcher: two requests, the first one waits",    "batcher: two brief requests"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) explore(names[i], join, &shapes[i], most);
    if (!make_files()) {
        fprintf(stderr, "no files for the registry in %s\n", folder);
        return 1;
    }
    explore("registry: in use, and replaced", swap, NULL, most);
    remove_files();
    explore("registry: in use, unloaded, cleared away", replace, NULL, most);
    ra_model_release(batch.model);
    ra_backend_release(backend);
    printf("%zu schedules, all of them right\n", total);
    return 0;
}
