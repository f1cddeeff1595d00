/* Texts found by the beginnings of their words. */
#include "state/words.h"
#include "harness.h"

#include <pthread.h>
#include <string.h>

enum { TEXTS = 7, CLIENTS = 4, ROUNDS = 200 };

static const char *const texts[TEXTS] = {"Telescope, red", "red-shift",  "a telephone that is not red",
                                         "crème brûlée",   "\"quoted\"", "",
                                         "AND OR NOT 42"};

static words *make(void) {
    words *index = NULL;
    ra_ok(words_new(texts, TEXTS, &index, &err));
    return index;
}

static void note(void *context, size_t text) {
    ck_assert_uint_lt(text, TEXTS);
    *(unsigned *)context |= 1u << text;
}

static unsigned find(words *index, const char *query) {
    unsigned found = 0;
    ra_ok(words_find(index, query, note, &found, &err));
    return found;
}

START_TEST(test_texts_are_found_by_beginnings_of_words) {
    words *index = make();
    static const struct {
        const char *query;
        unsigned found;
    } table[] = {
        {"tele", 1u << 0 | 1u << 2},
        {"TELESC", 1u << 0},
        {"scope", 0},
        {"red tele", 1u << 0 | 1u << 2},
        {"  tele   red\t", 1u << 0 | 1u << 2},
        {"red", 1u << 0 | 1u << 1 | 1u << 2},
        {"red+tele", 1u << 0 | 1u << 2},
        {"red-shift", 1u << 1},
        {"shift-red", 0},
        {"creme", 1u << 3},
        {"BRÛ", 1u << 3},
        {"quoted", 1u << 4},
        {"\"quoted", 1u << 4},
        {"a", 1u << 2 | 1u << 6},
        {"nothing at all", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(find(index, table[i].query) == table[i].found, "%s: %x", table[i].query,
                      find(index, table[i].query));
    words_free(index);
}
END_TEST

/* FTS5's own language has these; here they are words like others. */
START_TEST(test_a_query_has_no_syntax) {
    words *index = make();
    static const char *const all[] = {"AND", "OR NOT", "NOT 42", "and"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) ck_assert_uint_eq(find(index, all[i]), 1u << 6);
    static const char *const none[] = {"*",     "\"", "\"\"\"", "text:",       "^",
                                       "NEAR(", "(",  "{text}", "' OR 1=1 --", "- +"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (find(index, none[i]) & ~(1u << 6)) ck_abort_msg("%s finds something", none[i]);
    ck_assert_uint_eq(find(index, "tele*"), 1u << 0 | 1u << 2);
    ck_assert_uint_eq(find(index, ""), 0);
    ck_assert_uint_eq(find(index, "\xff\xfe"), 0); /* no UTF-8 */
    words_free(index);
}
END_TEST

START_TEST(test_long_queries_are_refused) {
    words *index = make();
    char query[WORDS_LONGEST + 2];
    unsigned found = 0;
    memset(query, 'x', sizeof query);
    query[WORDS_LONGEST + 1] = '\0';
    ra_fails(words_find(index, query, note, &found, &err), RA_ERR_ARGUMENT,
             "q has 1025 bytes, expected at most 1024");
    query[WORDS_LONGEST] = '\0';
    ck_assert_uint_eq(find(index, query), 0);
    memset(query, '"', WORDS_LONGEST); /* each of them is doubled */
    query[0] = 'x';
    ck_assert_uint_eq(find(index, query), 0);
    for (int i = 0; i < WORDS_LONGEST; i++) query[i] = i % 2 ? ' ' : 'a';
    ra_fails(words_find(index, query, note, &found, &err), RA_ERR_ARGUMENT, "q has more than 32 words");
    query[2 * WORDS_MOST] = '\0';
    ck_assert_uint_eq(find(index, query), 1u << 2 | 1u << 6);
    words_free(index);
}
END_TEST

START_TEST(test_no_texts) {
    words *index = NULL;
    ra_ok(words_new(NULL, 0, &index, &err));
    ck_assert_uint_eq(find(index, "red"), 0);
    words_free(index);
    words_free(NULL);
}
END_TEST

static void *search(void *argument) {
    for (size_t i = 0; i < ROUNDS; i++) ck_assert_uint_eq(find(argument, "red tele"), 1u << 0 | 1u << 2);
    return NULL;
}

START_TEST(test_several_at_once) {
    words *index = make();
    pthread_t threads[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, search, index), 0);
    for (size_t i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
    ck_assert_uint_gt(words_bytes(index), 0);
    words_free(index);
}
END_TEST

TEST_CASES(words, test_texts_are_found_by_beginnings_of_words, test_a_query_has_no_syntax,
           test_long_queries_are_refused, test_no_texts, test_several_at_once)
