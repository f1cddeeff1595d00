/* Bodies grow by doubling up to what was announced, never to it at once: a header that promises 64 MiB costs
 * the client 64 MiB before it costs the server as much. */
#include "http/exchange.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    FIRST_BODY = 4096,
    PASSING_LIMIT = 1 << 20, /* a refused body up to this size is read and dropped */
    KEPT_BUFFER = 4 << 20    /* a larger buffer is not kept for the next request */
};

/* ---- the thread's spare exchange ----------------------------------------------------------------------- */

static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;
static bool spare_works;

static void free_exchange(void *pointer) {
    http_exchange *exchange = pointer;
    http_response_release(&exchange->response);
    ra_free(exchange->body);
    ra_free(exchange);
}

static void make_spare_key(void) {
    spare_works = pthread_key_create(&spare_key, free_exchange) == 0;
}

static http_exchange *take_spare(void) {
    pthread_once(&spare_once, make_spare_key);
    http_exchange *exchange = spare_works ? pthread_getspecific(spare_key) : NULL;
    if (exchange && pthread_setspecific(spare_key, NULL) == 0) return exchange;
    return ra_calloc(1, sizeof *exchange);
}

static uint64_t now_microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

http_exchange *http_exchange_take(const char *raw_target) {
    http_exchange *exchange = take_spare();
    char *copy = exchange ? ra_strdup(raw_target) : NULL;
    if (!copy) {
        if (exchange) free_exchange(exchange);
        return NULL;
    }
    http_response_reset(&exchange->response);
    *exchange = (http_exchange){.response = exchange->response,
                                .request = {.method_name = "", .target = {.path = ""}},
                                .raw_target = copy,
                                .body = exchange->body,
                                .body_capacity = exchange->body_capacity,
                                .started = now_microseconds()};
    return exchange;
}

void http_exchange_give(http_exchange *exchange) {
    if (!exchange) return;
    http_target_release(&exchange->request.target);
    ra_free(exchange->raw_target);
    exchange->raw_target = NULL;
    bool large = exchange->body_capacity > KEPT_BUFFER || exchange->response.body.capacity > KEPT_BUFFER;
    if (large || !spare_works || pthread_getspecific(spare_key) ||
        pthread_setspecific(spare_key, exchange) != 0)
        free_exchange(exchange);
}

uint64_t http_exchange_microseconds(const http_exchange *exchange) {
    return now_microseconds() - exchange->started;
}

/* ---- the header ---------------------------------------------------------------------------------------- */

static bool usable_id(const char *id) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t size = id ? strspn(id, letters) : 0;
    return size > 0 && size < HTTP_REQUEST_ID_SIZE && !id[size];
}

/* Sixteen hexadecimal digits: a random start a thread, then the steps of splitmix64. */
static uint64_t next_id(void) {
    static _Thread_local uint64_t state;
    if (!state && getrandom(&state, sizeof state, 0) != sizeof state) state = now_microseconds();
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void set_id(http_request *request) {
    const char *given = request->headers[HTTP_REQUEST_ID];
    if (usable_id(given))
        snprintf(request->id, sizeof request->id, "%s", given);
    else
        snprintf(request->id, sizeof request->id, "%016llx", (unsigned long long)next_id());
}

/* The response is filled; decides what becomes of the body. */
static void refuse(http_exchange *exchange, bool now, size_t may_pass) {
    exchange->step = now ? HTTP_READY : HTTP_PASSING;
    exchange->response.close |= now;
    exchange->pass_left = may_pass;
}

static void refuse_large(http_exchange *exchange, bool now) {
    char sentence[160];
    if (exchange->max_body)
        snprintf(sentence, sizeof sentence, "the body has more than the %zu bytes that are taken",
                 exchange->max_body);
    else
        snprintf(sentence, sizeof sentence, "this request takes no body");
    http_problem(&exchange->request, &exchange->response, 413, sentence);
    exchange->response.close = true;
    refuse(exchange, now, exchange->max_body > PASSING_LIMIT ? exchange->max_body : PASSING_LIMIT);
}

void http_exchange_begin(http_exchange *exchange, const http_service *service, const char *method,
                         const http_headers *headers, const ra_error *header_error) {
    http_request *request = &exchange->request;
    http_response *response = &exchange->response;
    exchange->begun = true;
    exchange->announced = headers->length > SIZE_MAX ? SIZE_MAX : (size_t)headers->length;
    request->method = http_method_from_name(method);
    request->method_name = method;
    memcpy(request->headers, headers->values, sizeof request->headers);
    set_id(request);

    ra_error err = {0};
    ra_status target = http_target_parse(&request->target, exchange->raw_target, &err);
    const ra_error *broken = header_error ? header_error : target != RA_OK ? &err : NULL;
    if (broken) {
        http_problem(request, response, http_status_of(broken->code), broken->message);
        refuse(exchange, true, 0);
        return;
    }
    service->admit(service->context, request, response, &exchange->max_body);
    if (response->status) {
        refuse(exchange, headers->length > PASSING_LIMIT, PASSING_LIMIT);
    } else if (headers->length > exchange->max_body) {
        refuse_large(exchange, true);
    } else {
        exchange->step = HTTP_RECEIVING;
    }
}

/* ---- the body ------------------------------------------------------------------------------------------ */

static bool make_room(http_exchange *exchange, size_t needed) {
    if (needed <= exchange->body_capacity) return true;
    size_t capacity = exchange->body_capacity ? exchange->body_capacity : FIRST_BODY;
    while (capacity < needed) capacity *= 2;
    if (exchange->announced >= needed && exchange->announced < capacity) capacity = exchange->announced;
    char *grown = ra_realloc(exchange->body, capacity, 1);
    if (!grown) return false;
    exchange->body = grown;
    exchange->body_capacity = capacity;
    return true;
}

static void pass(http_exchange *exchange, size_t n) {
    if (n > exchange->pass_left)
        exchange->step = HTTP_GONE;
    else
        exchange->pass_left -= n;
}

void http_exchange_receive(http_exchange *exchange, const void *bytes, size_t n) {
    if (exchange->step == HTTP_RECEIVING) {
        if (n > exchange->max_body - exchange->body_size) {
            refuse_large(exchange, false);
        } else if (!make_room(exchange, exchange->body_size + n)) {
            http_problem(&exchange->request, &exchange->response, 503,
                         "the server is out of memory for this request");
            refuse(exchange, false, exchange->max_body);
        } else {
            memcpy(exchange->body + exchange->body_size, bytes, n);
            exchange->body_size += n;
            return;
        }
    }
    pass(exchange, n);
}

void http_exchange_finish(http_exchange *exchange, const http_service *service) {
    if (exchange->step == HTTP_RECEIVING) {
        exchange->request.body = exchange->body;
        exchange->request.body_size = exchange->body_size;
        service->answer(service->context, &exchange->request, &exchange->response);
        if (exchange->response.body.failed)
            http_problem(&exchange->request, &exchange->response, 503,
                         "the server is out of memory for this request");
    }
    exchange->step = HTTP_READY;
}
