/* The life of a request without sockets, with a service that only records its calls. */
#include "harness.h"
#include "http/exchange.h"

#include <string.h>

typedef struct recorder {
    size_t max_body;
    bool refuses, finds_vital;
    http_capacity *capacity;
    int admitted, answered;
    char body[64];
    size_t body_size;
} recorder;

static void admit(void *context, http_request *request, http_response *response, size_t *max_body) {
    recorder *seen = context;
    seen->admitted++;
    *max_body = seen->max_body;
    request->vital = seen->finds_vital;
    if (seen->refuses) http_problem(request, response, PROBLEM_UNKNOWN_PATH, "nothing here", NULL);
}

static void answer(void *context, http_request *request, http_response *response) {
    recorder *seen = context;
    seen->answered++;
    seen->body_size = request->body_size;
    size_t kept = request->body_size < sizeof seen->body ? request->body_size : sizeof seen->body;
    if (kept) memcpy(seen->body, request->body, kept);
    response->status = 200;
    text_string(&response->body, "{}");
}

static http_exchange *begin(recorder *seen, const char *target, const http_headers *headers,
                            const ra_error *header_error) {
    http_service service = {.context = seen, .admit = admit, .answer = answer};
    http_exchange *exchange = http_exchange_take(target);
    ck_assert_ptr_nonnull(exchange);
    exchange->capacity = seen->capacity;
    http_exchange_begin(exchange, &service, "POST", headers, header_error);
    return exchange;
}

static void finish(http_exchange *exchange, recorder *seen) {
    http_service service = {.context = seen, .admit = admit, .answer = answer};
    http_exchange_finish(exchange, &service);
    ck_assert_int_eq(exchange->step, HTTP_READY);
}

START_TEST(test_pieces_become_the_body) {
    recorder seen = {.max_body = 1 << 20};
    http_exchange *exchange = begin(&seen, "/a", &(http_headers){.length = 9}, NULL);
    ck_assert_int_eq(exchange->step, HTTP_RECEIVING);
    http_exchange_receive(exchange, "abc", 3);
    http_exchange_receive(exchange, "d", 1);
    http_exchange_receive(exchange, "efghi", 5);
    finish(exchange, &seen);
    ck_assert_uint_eq(seen.body_size, 9);
    ck_assert_mem_eq(seen.body, "abcdefghi", 9);
    ck_assert_int_eq(exchange->response.status, 200);
    ck_assert(!exchange->response.close);
    http_exchange_give(exchange);
}
END_TEST

START_TEST(test_buffers_are_kept_for_the_next_request_and_contents_are_not) {
    recorder seen = {.max_body = 100};
    http_exchange *first = begin(&seen, "/a", &(http_headers){.length = 3}, NULL);
    http_exchange_receive(first, "abc", 3);
    finish(first, &seen);
    const char *body = first->body;
    http_exchange_give(first);
    http_exchange *second = begin(&seen, "/b", &(http_headers){0}, NULL);
    ck_assert_ptr_eq(second->body, body);
    finish(second, &seen);
    ck_assert_uint_eq(seen.body_size, 0);
    ck_assert_uint_eq(second->response.body.size, 2);
    http_exchange_give(second);
}
END_TEST

START_TEST(test_two_at_once_have_their_own) {
    recorder seen = {.max_body = 100};
    http_exchange *first = begin(&seen, "/a", &(http_headers){0}, NULL);
    http_exchange *second = begin(&seen, "/b", &(http_headers){0}, NULL);
    ck_assert_ptr_ne(first, second);
    ck_assert_str_ne(first->request.id, second->request.id);
    http_exchange_give(first);
    http_exchange_give(second);
    http_exchange_give(NULL);
}
END_TEST

START_TEST(test_only_what_is_neither_vital_nor_refused_counts) {
    http_capacity capacity = {.limit = 1};
    recorder vital = {.capacity = &capacity, .finds_vital = true}, seen = {.capacity = &capacity};
    recorder lost = {.capacity = &capacity, .refuses = true};
    http_exchange *probe = begin(&vital, "/health", &(http_headers){0}, NULL);
    http_exchange *unknown = begin(&lost, "/none", &(http_headers){0}, NULL);
    http_exchange *first = begin(&seen, "/a", &(http_headers){0}, NULL);
    ck_assert_int_eq(first->step, HTTP_RECEIVING);
    http_exchange *second = begin(&seen, "/b", &(http_headers){0}, NULL);
    ck_assert_int_eq(second->response.status, 503);
    ck_assert_int_eq(unknown->response.status, 404);
    http_exchange *another = begin(&vital, "/health", &(http_headers){0}, NULL);
    ck_assert_int_eq(another->step, HTTP_RECEIVING);
    http_exchange *const in_vain[] = {probe, unknown, second, another};
    for (size_t i = 0; i < sizeof in_vain / sizeof *in_vain; i++) {
        http_exchange_leave(in_vain[i]);
        http_exchange_give(in_vain[i]);
        ck_assert_uint_eq(capacity.used, 1);
    }
    http_exchange_leave(first);
    http_exchange_give(first);
    ck_assert_uint_eq(capacity.used, 0);
}
END_TEST

START_TEST(test_an_announced_excess_is_refused_at_once) {
    recorder seen = {.max_body = 10};
    http_exchange *exchange = begin(&seen, "/a", &(http_headers){.length = 11}, NULL);
    ck_assert_int_eq(exchange->step, HTTP_READY);
    ck_assert_int_eq(exchange->response.status, 413);
    ck_assert(exchange->response.close);
    ck_assert_int_eq(seen.answered, 0);
    http_exchange_give(exchange);
}
END_TEST

START_TEST(test_an_excess_that_was_not_announced_is_refused_when_it_comes) {
    recorder seen = {.max_body = 10};
    http_exchange *exchange = begin(&seen, "/a", &(http_headers){.chunked = true}, NULL);
    http_exchange_receive(exchange, "0123456789", 10);
    ck_assert_int_eq(exchange->step, HTTP_RECEIVING);
    http_exchange_receive(exchange, "0", 1);
    ck_assert_int_eq(exchange->step, HTTP_PASSING);
    finish(exchange, &seen);
    ck_assert_int_eq(exchange->response.status, 413);
    ck_assert(exchange->response.close);
    ck_assert_int_eq(seen.answered, 0);
    http_exchange_give(exchange);
}
END_TEST

START_TEST(test_who_sends_on_and_on_is_cut_off) {
    static const char block[1 << 16];
    recorder seen = {.max_body = 10};
    http_exchange *exchange = begin(&seen, "/a", &(http_headers){.chunked = true}, NULL);
    size_t sent = 0;
    while (exchange->step != HTTP_GONE && sent < (64u << 20)) {
        http_exchange_receive(exchange, block, sizeof block);
        sent += sizeof block;
    }
    ck_assert_uint_lt(sent, 4u << 20);
    http_exchange_give(exchange);
}
END_TEST

START_TEST(test_a_small_body_of_a_refused_request_passes_by) {
    recorder seen = {.refuses = true};
    http_exchange *exchange = begin(&seen, "/a", &(http_headers){.length = 3}, NULL);
    ck_assert_int_eq(exchange->step, HTTP_PASSING);
    http_exchange_receive(exchange, "abc", 3);
    finish(exchange, &seen);
    ck_assert_int_eq(exchange->response.status, 404);
    ck_assert(!exchange->response.close);
    http_exchange_give(exchange);
    exchange = begin(&seen, "/a", &(http_headers){.length = 50u << 20}, NULL);
    ck_assert_int_eq(exchange->step, HTTP_READY);
    ck_assert_int_eq(exchange->response.status, 404);
    ck_assert(exchange->response.close);
    http_exchange_give(exchange);
}
END_TEST

START_TEST(test_broken_headers_and_targets_never_reach_the_service) {
    recorder seen = {.max_body = 100};
    ra_error broken = {.code = RA_ERR_FORMAT, .message = "broken"};
    http_exchange *exchange = begin(&seen, "/a", &(http_headers){0}, &broken);
    ck_assert_int_eq(exchange->step, HTTP_READY);
    ck_assert_int_eq(exchange->response.status, 400);
    ck_assert(exchange->response.close);
    http_exchange_give(exchange);
    exchange = begin(&seen, "/%00", &(http_headers){0}, NULL);
    ck_assert_int_eq(exchange->response.status, 400);
    ck_assert(exchange->response.close);
    http_exchange_give(exchange);
    ck_assert_int_eq(seen.admitted, 0);
}
END_TEST

START_TEST(test_a_large_body_grows_through_many_pieces) {
    enum { PIECE = 7919, PIECES = 300 };
    static char piece[PIECE];
    recorder seen = {.max_body = PIECE * PIECES};
    http_exchange *exchange = begin(&seen, "/a", &(http_headers){.length = PIECE * PIECES}, NULL);
    for (int i = 0; i < PIECES; i++) {
        memset(piece, 'a' + i % 26, PIECE);
        http_exchange_receive(exchange, piece, PIECE);
    }
    ck_assert_uint_eq(exchange->body_size, PIECE * PIECES);
    for (int i = 0; i < PIECES; i++) ck_assert_int_eq(exchange->body[PIECE * i + 17], 'a' + i % 26);
    finish(exchange, &seen);
    ck_assert_int_eq(exchange->response.status, 200);
    http_exchange_give(exchange);
}
END_TEST

/* Two at once; then two more, in the memory that those needed, from their first bytes on. */
START_TEST(test_large_bodies_take_the_memory_of_earlier_ones) {
    enum { SIZE = 1 << 20, FIRST = 5000 };
    static char bytes[SIZE];
    recorder seen = {.max_body = SIZE};
    const char *earlier[2] = {NULL, NULL};
    for (int round = 0; round < 3; round++) {
        http_exchange *both[2];
        for (int i = 0; i < 2; i++) {
            both[i] = begin(&seen, "/a", &(http_headers){.length = SIZE}, NULL);
            memset(bytes, 'a' + i, SIZE);
            http_exchange_receive(both[i], bytes, FIRST);
            if (round > 0)
                ck_assert(both[i]->body == earlier[0] || both[i]->body == earlier[1]);
            else
                ck_assert_uint_lt(both[i]->body_capacity, SIZE); /* nothing is spent on an announcement */
            http_exchange_receive(both[i], bytes, SIZE - FIRST);
        }
        ck_assert_ptr_ne(both[0]->body, both[1]->body);
        for (int i = 0; i < 2; i++) {
            earlier[i] = both[i]->body;
            for (size_t at = 0; at < SIZE; at += 997) ck_assert_int_eq(both[i]->body[at], 'a' + i);
            finish(both[i], &seen);
            ck_assert_uint_eq(seen.body_size, SIZE);
        }
        for (int i = 0; i < 2; i++) http_exchange_give(both[i]);
    }
}
END_TEST

/* 10,000 bytes for all: announced ones are taken at the head, others as they come, and all are given back. */
START_TEST(test_bodies_share_their_memory) {
    http_capacity bodies = {.limit = 10000};
    recorder seen = {.max_body = 9000};
    const http_headers large = {.length = 8000}, unknown = {0};
    http_service service = {.context = &seen, .admit = admit, .answer = answer};
    http_exchange *first = http_exchange_take("/a"), *second = http_exchange_take("/b"), *third;
    first->bodies = second->bodies = &bodies;
    http_exchange_begin(first, &service, "POST", &large, NULL);
    ck_assert_int_eq(first->step, HTTP_RECEIVING);
    ck_assert_uint_eq(atomic_load(&bodies.used), 8000);
    http_exchange_begin(second, &service, "POST", &large, NULL);
    ck_assert_int_eq(second->step, HTTP_PASSING);
    ck_assert_int_eq(second->response.status, 503);
    ck_assert_uint_eq(atomic_load(&bodies.used), 8000);
    http_exchange_give(second);
    http_exchange_leave(first);
    ck_assert_uint_eq(atomic_load(&bodies.used), 8000); /* a compute thread may still read it */
    http_exchange_give(first);
    ck_assert_uint_eq(atomic_load(&bodies.used), 0);
    char bytes[1000] = {0};
    bodies.limit = 5000;
    third = http_exchange_take("/c");
    third->bodies = &bodies;
    http_exchange_begin(third, &service, "POST", &unknown, NULL);
    for (int i = 0; i < 9; i++) http_exchange_receive(third, bytes, sizeof bytes);
    ck_assert_int_eq(third->response.status, 503);
    http_exchange_free(third);
    ck_assert_uint_eq(atomic_load(&bodies.used), 0);
}
END_TEST

TEST_CASES(exchange, test_bodies_share_their_memory, test_pieces_become_the_body,
           test_buffers_are_kept_for_the_next_request_and_contents_are_not, test_two_at_once_have_their_own,
           test_only_what_is_neither_vital_nor_refused_counts, test_an_announced_excess_is_refused_at_once,
           test_an_excess_that_was_not_announced_is_refused_when_it_comes,
           test_who_sends_on_and_on_is_cut_off, test_a_small_body_of_a_refused_request_passes_by,
           test_broken_headers_and_targets_never_reach_the_service,
           test_a_large_body_grows_through_many_pieces, test_large_bodies_take_the_memory_of_earlier_ones)
