/* The whole service without sockets: routes, handlers, codec, registry, model (server/dispatch.c,
 * server/api/api.c, server/serving/scratch.c, server/telemetry/observe.c); and what happens when memory runs
 * out at any point. */
#include "emulated.h"
#include "harness.h"
#include "ra_memory.h"
#include "dispatch.h"
#include "model_files.h"

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
           test_a_k_above_the_number_of_atoms_is_all_of_them)
TEST_CASES_LOOP(service_memory, 30, GOOD, test_any_allocation_may_fail)
