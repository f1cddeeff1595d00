/* The whole service without sockets: routes, handlers, codec, registry, model (server/dispatch.c,
 * server/api/api.c, server/serving/scratch.c, server/telemetry/observe.c); and what happens when memory runs
 * out at any point. */
#include "emulated.h"
#include "harness.h"
#include "ra_memory.h"
#include "dispatch.h"
#include "model_files.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static rasaed server = {.max_body = 1 << 20, .max_rows = 16};
static http_service service;

static void start(void) {
    model_file file = {0};
    model_file_artifact(&file);
    ra_ok(registry_new(&(registry_options){0}, &server.dictionaries, &err));
    ra_ok(registry_add(server.dictionaries, "m", model_file_write(&file, "m.safetensors"), &err));
    model_file_release(&file);
    service = dispatch_service(&server);
}

static void stop(void) {
    registry_free(server.dictionaries);
}

/* One request from its first line to its answer; the caller gives the exchange back. NULL: out of memory. */
static http_exchange *ask(const char *method, const char *target, const char *body) {
    size_t size = body ? strlen(body) : 0;
    http_exchange *exchange = http_exchange_take(target);
    if (!exchange) return NULL;
    http_exchange_begin(exchange, &service, method, &(http_headers){.length = size}, NULL);
    if (exchange->step == HTTP_RECEIVING && size) http_exchange_receive(exchange, body, size);
    http_exchange_finish(exchange, &service);
    service.done(service.context, &exchange->request, &exchange->response, 0);
    return exchange;
}

static void expect(const char *method, const char *target, const char *body, int status, const char *part) {
    http_exchange *exchange = ask(method, target, body);
    ck_assert_ptr_nonnull(exchange);
    text *reply = &exchange->response.body;
    text_append(reply, "", 1);
    ck_assert_msg(exchange->response.status == status, "%s %s: %d %s", method, target,
                  exchange->response.status, reply->data);
    ck_assert_msg(strstr(reply->data, part), "%s %s: \"%s\" is not in %s", method, target, part, reply->data);
    http_exchange_give(exchange);
}

/* Sizes of the model: model_files.h. */
static const struct {
    const char *method, *target, *body, *part;
} good[] = {
    {"GET", "/health/live", NULL, "live"},
    {"GET", "/v1/dictionaries", NULL, "\"dictionaries\":[{"},
    {"GET", "/v1/dictionaries/m", NULL, "\"settings\":{"},
    {"GET", "/v1/dictionaries/m/atoms?limit=3", NULL, "\"total\":6"},
    {"GET", "/v1/dictionaries/m/atoms?ids=5,0", NULL, "{\"atoms\":[{\"atom\":5"},
    {"GET", "/v1/dictionaries/m/atoms/2", NULL, "\"archetypes\":[{\"point\":"},
    {"GET", "/v1/dictionaries/m/atoms/2/neighbors", NULL, "\"neighbors\":[{"},
    {"POST", "/v1/dictionaries/m/search", "{\"vectors\":[[1,2,3,4]]}", "\"results\":[[{"},
    {"POST", "/v1/dictionaries/m/reconstruct", "{\"latents\":[[1,0,0,2,0,0]]}", "\"reconstructions\":[["},
    {"POST", "/v1/dictionaries/m/reconstruct", "{\"latents\":{\"indices\":[[5,1]],\"values\":[[1,2]]}}",
     "\"reconstructions\":[["},
    {"POST", "/v1/dictionaries/m/encode", "{\"inputs\":[[9,8,7,6],[1,2,3,4]]}", "\"indices\":[["},
    {"POST", "/v1/dictionaries/m/explain", "{\"inputs\":[[9,8,7,6]]}", "\"explanations\":[{"},
    {"GET", "/v1/dictionaries/m/points/1", NULL, "\"rows\":[{\"row\":"},
    {"GET", "/v1/dictionaries/m/atoms/2?format=raw", NULL, ""},
    {"GET", "/v1/dictionaries/m/atoms?limit=2&offset=1&format=npy", NULL, "NUMPY"},
    {"GET", "/v1/dictionaries/m/atoms?ids=5,0&format=npy", NULL, "NUMPY"},
    {"GET", "/v1/dictionaries/m/dictionary", NULL, ""},
    {"GET", "/v1/dictionaries/m/artifact", NULL, ""},
    {"GET", "/v1/dictionaries/m/dictionary?format=npy", NULL, "NUMPY"},
    {"POST", "/v1/dictionaries/m/search?format=npy&k=2", "{\"vectors\":[[1,2,3,4]]}", "NUMPY"},
    {"POST", "/v1/dictionaries/m/reconstruct?format=raw", "{\"latents\":[[1,0,0,2,0,0]]}", ""},
    {"POST", "/v1/dictionaries/m/encode?format=npy", "{\"inputs\":[[9,8,7,6],[1,2,3,4]]}", "NUMPY"},
    {"POST", "/v1/dictionaries/m/steer",
     "{\"inputs\":[[1,2,3,4]],\"steer\":[{\"atom\":5,\"scale\":2}],\"on\":\"reconstruction\"}",
     "\"outputs\":[["},
    {"POST", "/v1/dictionaries/m/steer?steer=1:2,0:-1&on=input", "{\"inputs\":[[1,2,3,4]]}",
     "\"outputs\":[["},
    {"POST", "/v1/dictionaries/m/edit?set=1:ablate,0:add:-1", "{\"inputs\":[[1,2,3,4]]}",
     "\"edits\":[{\"atom\":1,\"before\":["},
    {"POST", "/v1/dictionaries/m/compare", "{\"with\":\"m\"}", "\"stability_with_flips\":1,"},
    {"POST", "/v1/dictionaries/m/edit?format=npy",
     "{\"inputs\":[[1,2,3,4]],\"set\":[{\"atom\":1,\"op\":\"set\",\"value\":2}]}", "NUMPY"},
    {"POST", "/v1/util/sae-vector", "{\"model\":\"x\",\"source\":\"m\",\"index\":1}", "{\"vector\":["},
    {"POST", "/v1/util/sae-topk-by-decoder-cossim",
     "{\"model\":\"x\",\"source\":\"m\",\"vector\":[1,2,3,4],\"numResults\":2}", "\"cosineSimilarity\":"},
    {"GET", "/v1/capabilities", NULL, "\"sae_sets\":[\"m\"],\"model\":\"\""},
    {"OPTIONS", "/v1/dictionaries/m", NULL, ""},
    {"GET", "/v2", NULL, "\"extensions\":["},
    {"GET", "/v2/health/live", NULL, "{\"live\":true}"},
    {"GET", "/v2/health/ready", NULL, "{\"ready\":true}"},
    {"GET", "/v2/models/stats", NULL, "{\"model_stats\":[{\"name\":\"m\""},
    {"GET", "/v2/models/m/versions/1", NULL, "\"versions\":[\"1\"]"},
    {"GET", "/v2/models/m/config", NULL, "\"max_batch_size\":16"},
    {"GET", "/v2/models/m/ready", NULL, ""},
    {"GET", "/v2/models/m/versions/1/stats", NULL, "\"inference_stats\""},
    {"POST", "/v2/models/m/infer",
     "{\"id\":\"7\",\"inputs\":[{\"name\":\"latents\",\"datatype\":\"FP32\",\"shape\":[1,6],"
     "\"data\":[1,0,0,2,0,0]}]}",
     "\"id\":\"7\",\"outputs\":[{\"name\":\"reconstructions\""},
    {"POST", "/v2/models/m/versions/1/infer",
     "{\"parameters\":{\"binary_data_output\":true},\"inputs\":[{\"name\":\"indices\",\"datatype\":"
     "\"INT64\",\"shape\":[1,2],\"data\":[5,-1]},{\"name\":\"values\",\"datatype\":\"FP32\","
     "\"shape\":[1,2],\"data\":[5,1]}]}",
     "\"binary_data_size\":16"},
    {"POST", "/v2/repository/index", NULL, "\"state\":\"READY\""},
};

enum { GOOD = sizeof good / sizeof *good };

START_TEST(test_every_route_answers) {
    start();
    for (size_t i = 0; i < GOOD; i++)
        expect(good[i].method, good[i].target, good[i].body, good[i].method[0] == 'O' ? 204 : 200,
               good[i].part);
    stop();
}
END_TEST

START_TEST(test_labels_come_through) {
    start();
    expect("GET", "/v1/dictionaries/m/points/0", NULL, 200, "\"label\":\"");
    expect("GET", "/v1/dictionaries/m/atoms/0?fields=archetypes", NULL, 200, "\"label\":\"");
    stop();
}
END_TEST

START_TEST(test_a_draining_server_says_so_and_ends_connections) {
    start();
    atomic_store(&server.draining, true);
    http_exchange *exchange = ask("GET", "/health/ready", NULL);
    ck_assert_int_eq(exchange->response.status, 503);
    ck_assert(exchange->response.close);
    http_exchange_give(exchange);
    exchange = ask("GET", "/v2/health/ready", NULL);
    ck_assert_int_eq(exchange->response.status, 503);
    ck_assert_ptr_nonnull(strstr(exchange->response.body.data, "{\"ready\":false}"));
    http_exchange_give(exchange);
    exchange = ask("GET", "/v1/dictionaries/m", NULL);
    ck_assert_int_eq(exchange->response.status, 200);
    ck_assert(exchange->response.close);
    http_exchange_give(exchange);
    atomic_store(&server.draining, false);
    stop();
}
END_TEST

/* The error of the emulated device once it is lost. */
START_TEST(test_a_lost_device_is_no_longer_ready) {
    enum { LAUNCH_FAILURE = 719 };
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    start();
    ra_ok(ra_backend_open("cuda-emulated", NULL, &backend, &err));
    device_watch_init(&server.device, backend, NULL, NULL);
    device_watch_failed(&server.device);
    expect("GET", "/health/ready", NULL, 200, "{\"status\":\"ready\"}");
    device.fail_at(1, LAUNCH_FAILURE);
    device_watch_failed(&server.device);
    expect("GET", "/health/ready", NULL, 503,
           "{\"status\":\"failed\",\"reason\":\"the device cuda:0 failed at");
    expect("GET", "/v2/health/ready", NULL, 503, "{\"ready\":false}");
    expect("GET", "/health/live", NULL, 200, "{\"status\":\"live\"}");
    device_watch_init(&server.device, NULL, NULL, NULL);
    ra_backend_release(backend);
    stop();
    device.fail_at(0, 0);
    emulated_close(&device);
}
END_TEST

/* "{"latents":[[1,0,0,2,0,0],...]}", the caller's to free */
static char *many_latents(size_t rows) {
    text body = {0};
    text_string(&body, "{\"latents\":[");
    for (size_t row = 0; row < rows; row++)
        text_format(&body, "%s[%zu,0,0,2,0,%g]", row ? "," : "", row % 7 + 1, (double)(row % 3));
    text_string(&body, "]}");
    return text_detach(&body, NULL);
}

/* With memory for replies, the host copies the numbers once less when it prints them, and twice less when it does not. */
enum { MANY_ROWS = 5000, MANY_BYTES = MANY_ROWS * FILE_D * sizeof(float) };
static const struct {
    const char *target;
    bool in_place;
} large[] = {{"/v1/dictionaries/m/reconstruct?format=raw", true},
             {"/v1/dictionaries/m/reconstruct?format=npy", true},
             {"/v1/dictionaries/m/reconstruct", false}};
enum { LARGE = sizeof large / sizeof *large };

typedef struct large_reply {
    const emulated *device;
    const char *body;
    text sent[LARGE];
    size_t through[LARGE], in_place[LARGE]; /* bytes that the plugin copied; those that are not in the body */
} large_reply;

/* On a thread that ends, so that its stream ends before the device. */
static void *ask_for_large_replies(void *context) {
    large_reply *reply = context;
    for (size_t i = 0; i < LARGE; i++) {
        (void)reply->device->count();
        http_exchange *exchange = ask("POST", large[i].target, reply->body);
        const http_response *response = &exchange->response;
        ck_assert_int_eq(response->status, 200);
        reply->through[i] = reply->device->count().bytes_through;
        reply->in_place[i] = response->tail.size;
        RA_UNINITIALIZED http_piece pieces[HTTP_PIECES];
        for (size_t j = 0, count = http_response_pieces(response, pieces); j < count; j++)
            text_append(&reply->sent[i], pieces[j].data, pieces[j].size);
        http_exchange_give(exchange);
    }
    return NULL;
}

START_TEST(test_a_large_reply_is_sent_from_where_it_was_computed) {
    emulated device = emulated_open();
    ra_backend *backend = NULL;
    model_file file = {0};
    char *body = many_latents(MANY_ROWS);
    large_reply replied[2] = {{.device = &device, .body = body}, {.device = &device, .body = body}};
    device.run_twice(false);
    ra_ok(ra_backend_open("cuda-emulated", NULL, &backend, &err));
    model_file_artifact(&file);
    ra_ok(registry_new(&(registry_options){.backend = backend}, &server.dictionaries, &err));
    ra_ok(registry_add(server.dictionaries, "m", model_file_write(&file, "m.safetensors"), &err));
    model_file_release(&file);
    server.max_rows = MANY_ROWS;
    service = dispatch_service(&server);
    for (int with = 0; with < 2; with++) {
        pthread_t thread;
        if (with) ra_ok(replies_new(backend, &server.replies, &err));
        ck_assert_int_eq(pthread_create(&thread, NULL, ask_for_large_replies, &replied[with]), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    for (size_t i = 0; i < LARGE; i++) {
        text *without = &replied[0].sent[i], *sent = &replied[1].sent[i];
        ck_assert_uint_eq(replied[0].through[i] - replied[1].through[i], MANY_BYTES);
        ck_assert_uint_eq(replied[0].in_place[i], 0);
        ck_assert_uint_eq(replied[1].in_place[i], large[i].in_place ? MANY_BYTES : 0);
        ck_assert_uint_eq(sent->size, without->size);
        ck_assert_mem_eq(sent->data, without->data, sent->size);
        text_release(without);
        text_release(sent);
    }
    replies_free(server.replies);
    server.replies = NULL;
    server.max_rows = 16;
    ra_free(body);
    stop();
    ra_backend_release(backend);
    emulated_close(&device);
}
END_TEST

START_TEST(test_a_k_above_the_number_of_atoms_is_all_of_them) {
    start();
    expect("GET", "/v1/dictionaries/m/atoms/0/neighbors?k=5", NULL, 200, "neighbors");
    expect("GET", "/v1/dictionaries/m/atoms/0/neighbors?k=6", NULL, 200, "{\"atom\":4,");
    expect("GET", "/v1/dictionaries/m/atoms/0/neighbors?k=0", NULL, 400, "at least 1");
    expect("POST", "/v1/dictionaries/m/search", "{\"vectors\":[[1,2,3,4]],\"k\":6}", 200, "results");
    expect("POST", "/v1/dictionaries/m/search", "{\"vectors\":[[1,2,3,4]],\"k\":7}", 200, "{\"atom\":5,");
    expect("POST", "/v1/dictionaries/m/search", "{\"vectors\":[[1,2,3,4]],\"k\":0}", 400, "k is 0");
    stop();
}
END_TEST

/* Makes every allocation of every request fail once: the answer is correct or a 503, and the next request works. */
START_TEST(test_any_allocation_may_fail) {
    start();
    expect(good[_i].method, good[_i].target, good[_i].body, good[_i].method[0] == 'O' ? 204 : 200,
           good[_i].part);
    size_t failed = 0;
    for (size_t n = 1; n < 500; n++) {
        ra_memory_fail_at(n);
        http_exchange *exchange = ask(good[_i].method, good[_i].target, good[_i].body);
        size_t asked = ra_memory_fail_at(0);
        int status = exchange ? exchange->response.status : 503;
        ck_assert_msg(status == 200 || status == 204 || status == 503, "%s, allocation %zu: %d",
                      good[_i].target, n, status);
        if (exchange) http_exchange_give(exchange);
        failed += status == 503;
        if (asked < n) break;
        ck_assert_uint_lt(n, 499);
    }
    ck_assert_uint_gt(failed, 0);
    expect(good[_i].method, good[_i].target, good[_i].body, good[_i].method[0] == 'O' ? 204 : 200,
           good[_i].part);
    stop();
}
END_TEST

TEST_CASES(service, test_every_route_answers, test_labels_come_through,
           test_a_draining_server_says_so_and_ends_connections, test_a_lost_device_is_no_longer_ready,
           test_a_large_reply_is_sent_from_where_it_was_computed,
           test_a_k_above_the_number_of_atoms_is_all_of_them)
TEST_CASES_LOOP(service_memory, 30, GOOD, test_any_allocation_may_fail)
