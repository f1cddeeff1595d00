/* A body buffer doubles up to the announced size; it never starts there. A client that announces 64 MiB has
 * to send 64 MiB before the server spends as much. Memory that an earlier body needed is spent already (bodies.h). */
#include "http/exchange.h"
#include "http/bodies.h"
#include "ra_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    FIRST_BODY = 4096,
    DROP_LIMIT = 1 << 20,  /* a refused body up to this size is read and dropped */
    MOST_SPARES = 16,      /* exchanges that a thread keeps for its next requests */
    KEPT_BYTES = 4 << 20,  /* of their replies, in all */
    KEPT_BODY = 256 << 10, /* what holds a larger body goes to bodies.c */
};

static const char no_room[] = "the server has no memory left for this body now; try again soon";

/* ---- the spare exchanges of each thread ---------------------------------------------------------------- */

typedef struct spare_list {
    http_exchange *exchange[MOST_SPARES];
    size_t count, bytes;
} spare_list;

static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;
static bool spare_works;

static void free_exchange(http_exchange *exchange) {
    http_response_release(&exchange->response);
    http_response_release(&exchange->late);
    ra_free(exchange->body);
    ra_free(exchange);
}

static void free_spares(void *pointer) {
    spare_list *spares = pointer;
    for (size_t i = 0; i < spares->count; i++) free_exchange(spares->exchange[i]);
    ra_free(spares);
}

static void make_spare_key(void) {
    spare_works = pthread_key_create(&spare_key, free_spares) == 0;
}

static spare_list *own_spares(bool make) {
    pthread_once(&spare_once, make_spare_key);
    spare_list *spares = spare_works ? pthread_getspecific(spare_key) : NULL;
    if (spares || !spare_works || !make) return spares;
    spares = ra_calloc(1, sizeof *spares);
    if (!spares || pthread_setspecific(spare_key, spares) == 0) return spares;
    ra_free(spares);
    return NULL;
}

static size_t kept_bytes(const http_exchange *exchange) {
    return exchange->body_capacity + exchange->response.body.capacity + exchange->response.spare.capacity;
}

/* The one that was given last, whose memory is the most likely to be in a cache. */
static http_exchange *take_spare(void) {
    spare_list *spares = own_spares(false);
    if (!spares || !spares->count) return ra_calloc(1, sizeof(http_exchange));
    http_exchange *exchange = spares->exchange[--spares->count];
    spares->bytes -= kept_bytes(exchange);
    return exchange;
}

static bool keep(http_exchange *exchange) {
    spare_list *spares = own_spares(true);
    if (!spares || spares->count == MOST_SPARES || kept_bytes(exchange) > KEPT_BYTES - spares->bytes)
        return false;
    spares->bytes += kept_bytes(exchange);
    spares->exchange[spares->count++] = exchange;
    return true;
}

http_exchange *http_exchange_take(const char *raw_target) {
    http_exchange *exchange = take_spare();
    char *copy = exchange ? ra_strdup(raw_target) : NULL;
    if (!copy) {
        if (exchange) free_exchange(exchange);
        return NULL;
    }
    http_response_reset(&exchange->response);
    http_response_release(&exchange->late);
    *exchange = (http_exchange){
        .response = exchange->response,
        .request = {.method_name = "", .target = {.path = ""}, .stages = {.started = http_now()}},
        .raw_target = copy,
        .body = exchange->body,
        .body_capacity = exchange->body_capacity};
    return exchange;
}

bool http_capacity_take(http_capacity *capacity, size_t n) {
    size_t used = atomic_load(&capacity->used);
    do
        if (capacity->limit && (used > capacity->limit || n > capacity->limit - used)) return false;
    while (!atomic_compare_exchange_weak(&capacity->used, &used, used + n));
    return true;
}

void http_capacity_give(http_capacity *capacity, size_t n) {
    atomic_fetch_sub(&capacity->used, n);
}

static void empty(http_exchange *exchange) {
    if (exchange->charged) http_capacity_give(exchange->bodies, exchange->charged);
    exchange->charged = 0;
    http_target_release(&exchange->request.target);
    ra_free(exchange->raw_target);
    ra_free(exchange->kept_headers);
    exchange->raw_target = exchange->kept_headers = NULL;
    http_response_reset(&exchange->response); /* lets go of the tail */
}

void http_exchange_free(http_exchange *exchange) {
    if (!exchange) return;
    empty(exchange);
    free_exchange(exchange);
}

void http_exchange_give(http_exchange *exchange) {
    if (!exchange) return;
    empty(exchange);
    if (exchange->body_capacity > KEPT_BODY) {
        http_bodies_give(exchange->body, exchange->body_capacity);
        exchange->body = NULL;
        exchange->body_capacity = 0;
    }
    if (!keep(exchange)) free_exchange(exchange);
}

uint64_t http_exchange_microseconds(const http_exchange *exchange) {
    return http_now() - exchange->request.stages.started;
}

/* ---- the header ---------------------------------------------------------------------------------------- */

static bool usable_id(const char *id) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t size = id ? strspn(id, letters) : 0;
    return size > 0 && size < HTTP_REQUEST_ID_SIZE && !id[size];
}

/* A random start in each thread, then the steps of splitmix64. */
static uint64_t next_id(void) {
    static _Thread_local uint64_t state;
    if (!state && getrandom(&state, sizeof state, 0) != sizeof state) state = http_now();
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Without snprintf(), which is slow in a process that has libquadmath: that registers a conversion of its own. */
static void set_id(http_request *request) {
    static const char digits[] = "0123456789abcdef";
    const char *given = request->headers[HTTP_REQUEST_ID];
    if (usable_id(given)) {
        memcpy(request->id, given, strlen(given) + 1);
        return;
    }
    uint64_t id = next_id();
    for (int i = 16; i-- > 0; id >>= 4) request->id[i] = digits[id & 15];
    request->id[16] = '\0';
}

/* The response is filled; decides what happens to the body, of which up to `may_drop` bytes are dropped. */
static void refuse(http_exchange *exchange, bool now, size_t may_drop) {
    exchange->step = now ? HTTP_READY : HTTP_PASSING;
    exchange->response.close |= now;
    exchange->drop_left = may_drop;
}

static void refuse_large(http_exchange *exchange, bool now) {
    char sentence[160];
    ra_error_facts facts = {PROBLEM_LIMIT(exchange->max_body)};
    if (exchange->announced) facts.has_actual = true, facts.actual = exchange->announced;
    if (exchange->max_body)
        snprintf(sentence, sizeof sentence, "the body is larger than the limit of %zu bytes",
                 exchange->max_body);
    else
        snprintf(sentence, sizeof sentence, "this request takes no body");
    http_problem(&exchange->request, &exchange->response, PROBLEM_BODY_TOO_LARGE, sentence, &facts);
    exchange->response.close = true;
    refuse(exchange, now, exchange->max_body > DROP_LIMIT ? exchange->max_body : DROP_LIMIT);
}

static bool enter(http_exchange *exchange) {
    exchange->counted = exchange->capacity && http_capacity_take(exchange->capacity, 1);
    return exchange->counted || !exchange->capacity;
}

/* The client that a proxy has named. */
static bool enter_client(http_exchange *exchange) {
    exchange->entered = exchange->clients && http_clients_begin(exchange->clients, &exchange->client);
    return exchange->entered || !exchange->clients;
}

void http_exchange_leave(http_exchange *exchange) {
    if (exchange->counted) http_capacity_give(exchange->capacity, 1);
    if (exchange->entered) http_clients_end(exchange->clients, &exchange->client);
    exchange->counted = exchange->entered = false;
}

/* Makes the body's share of the memory at least so large. */
static bool charge(http_exchange *exchange, size_t bytes) {
    if (!exchange->bodies || exchange->request.vital || bytes <= exchange->charged) return true;
    if (!http_capacity_take(exchange->bodies, bytes - exchange->charged)) return false;
    exchange->charged = bytes;
    return true;
}

void http_exchange_begin(http_exchange *exchange, const http_service *service, const char *method,
                         const http_headers *headers, const ra_error *header_error) {
    http_request *request = &exchange->request;
    http_response *response = &exchange->response;
    exchange->begun = true;
    exchange->announced = headers->length > SIZE_MAX ? SIZE_MAX : (size_t)headers->length;
    request->method = http_method_from_name(method);
    request->method_name = method;
    request->write_problem = service->write_problem;
    memcpy(request->headers, headers->values, sizeof request->headers);
    set_id(request);

    ra_error err = {0};
    ra_status target = http_target_parse(&request->target, exchange->raw_target, service->base_path, &err);
    const ra_error *broken = header_error ? header_error : target != RA_OK ? &err : NULL;
    if (broken) {
        bool plain = !broken->facts.kind && broken->code == RA_ERR_FORMAT;
        http_problem(request, response, plain ? PROBLEM_MALFORMED_REQUEST : problem_of(broken),
                     broken->message, &broken->facts);
        refuse(exchange, true, 0);
        return;
    }
    service->admit(service->context, request, response, &exchange->max_body);
    response->close |= exchange->spare;
    if (!response->status && !request->vital && exchange->spare)
        http_overloaded(request, response, "all connections of the server are taken; try again soon");
    else if (!response->status && !request->vital && !enter_client(exchange))
        http_too_many(request, response, "this client has too many requests under way; try again soon");
    else if (!response->status && !request->vital && !enter(exchange))
        http_overloaded(request, response, "too many requests are under way; try again soon");
    if (response->status) {
        refuse(exchange, headers->length > DROP_LIMIT, DROP_LIMIT);
    } else if (headers->length > exchange->max_body) {
        refuse_large(exchange, true);
    } else if (!charge(exchange, exchange->announced)) {
        http_overloaded(request, response, no_room);
        refuse(exchange, headers->length > DROP_LIMIT, DROP_LIMIT);
    } else {
        exchange->step = HTTP_RECEIVING;
    }
}

/* ---- the body ------------------------------------------------------------------------------------------ */

/* A buffer that holds all of the body, if one is kept. */
static bool take_body(http_exchange *exchange, size_t needed) {
    size_t capacity, wanted = exchange->announced > needed ? exchange->announced : needed;
    char *taken = wanted > KEPT_BODY ? http_bodies_take(wanted, &capacity) : NULL;
    if (!taken) return false;
    if (exchange->body_size) memcpy(taken, exchange->body, exchange->body_size);
    ra_free(exchange->body);
    exchange->body = taken;
    exchange->body_capacity = capacity;
    return true;
}

static bool make_room(http_exchange *exchange, size_t needed) {
    if (needed <= exchange->body_capacity || take_body(exchange, needed)) return true;
    size_t capacity = exchange->body_capacity ? exchange->body_capacity : FIRST_BODY;
    while (capacity < needed) capacity *= 2;
    if (exchange->announced >= needed && exchange->announced < capacity) capacity = exchange->announced;
    if (!charge(exchange, capacity)) return false;
    char *grown = ra_realloc(exchange->body, capacity, 1);
    if (!grown) return false;
    exchange->body = grown;
    exchange->body_capacity = capacity;
    return true;
}

static void drop(http_exchange *exchange, size_t n) {
    if (n > exchange->drop_left)
        exchange->step = HTTP_GONE;
    else
        exchange->drop_left -= n;
}

void http_exchange_receive(http_exchange *exchange, const void *bytes, size_t n) {
    if (exchange->step == HTTP_RECEIVING) {
        if (n > exchange->max_body - exchange->body_size) {
            refuse_large(exchange, false);
        } else if (!make_room(exchange, exchange->body_size + n)) {
            http_overloaded(&exchange->request, &exchange->response, no_room);
            refuse(exchange, false, exchange->max_body);
        } else {
            memcpy(exchange->body + exchange->body_size, bytes, n);
            exchange->body_size += n;
            return;
        }
    }
    drop(exchange, n);
}

/* Replaces a packed body by its content, which has the same limit. */
static ra_status unpack(http_exchange *exchange, content_coding coding, ra_error *err) {
    text plain = {0};
    if (coding == CODING_IDENTITY) return RA_OK;
    ra_status status =
        content_unpack(coding, exchange->body, exchange->body_size, exchange->max_body, &plain, err);
    if (status != RA_OK) {
        text_release(&plain);
        return status;
    }
    if (!charge(exchange, exchange->charged + plain.capacity)) {
        text_release(&plain);
        RA_FAIL(err, RA_ERR_MEMORY, "%s", no_room);
    }
    ra_free(exchange->body);
    exchange->body = plain.data;
    exchange->body_size = plain.size;
    exchange->body_capacity = plain.capacity;
    return RA_OK;
}

void http_exchange_received(http_exchange *exchange) {
    exchange->request.stages.received = http_now();
    exchange->request.body = exchange->body;
    exchange->request.body_size = exchange->body_size;
}

void http_exchange_answer(http_exchange *exchange, http_request *request, const http_service *service) {
    http_response *response = &exchange->response;
    ra_error err = {0};
    if (unpack(exchange, request->coding, &err) != RA_OK) {
        http_fail(request, response, &err);
        return;
    }
    request->body = exchange->body;
    request->body_size = exchange->body_size;
    service->answer(service->context, request, response);
    if (response->body.failed)
        http_overloaded(request, response, "the server is out of memory for this request");
}

void http_exchange_finish(http_exchange *exchange, const http_service *service) {
    if (exchange->step == HTTP_RECEIVING) {
        http_exchange_received(exchange);
        http_exchange_answer(exchange, &exchange->request, service);
    }
    exchange->request.stages.answered = http_now();
    exchange->step = HTTP_READY;
}

/* ---- on another thread --------------------------------------------------------------------------------- */

bool http_exchange_detach(http_exchange *exchange) {
    http_request *request = &exchange->request;
    size_t size = 0;
    for (int i = 0; i < HTTP_HEADER_COUNT; i++)
        if (request->headers[i]) size += strlen(request->headers[i]) + 1;
    char *copy = ra_malloc(size, 1);
    if (!copy) return false;
    exchange->kept_headers = copy;
    for (int i = 0; i < HTTP_HEADER_COUNT; i++) {
        if (!request->headers[i]) continue;
        size_t n = strlen(request->headers[i]) + 1;
        request->headers[i] = memcpy(copy, request->headers[i], n);
        copy += n;
    }
    if (request->method != HTTP_OTHER) request->method_name = http_method_name(request->method);
    return true;
}

http_response *http_exchange_reply(http_exchange *exchange) {
    const http_deferral *deferral = &exchange->deferral;
    if (deferral->state != HTTP_SETTLED || deferral->outcome == HTTP_ANSWERED) return &exchange->response;
    if (deferral->outcome == HTTP_LEFT) return NULL;
    if (exchange->late.status == 0) {
        bool stopped = deferral->outcome == HTTP_STOPPED;
        http_problem(
            &exchange->request, &exchange->late, stopped ? PROBLEM_STOPPING : PROBLEM_DEADLINE_EXCEEDED,
            stopped ? "the server is stopping"
                    : "the request was not done before its deadline; ask for less at once, or try again "
                      "when the server is less busy",
            NULL);
        exchange->late.close = stopped;
    }
    return &exchange->late;
}
