/* words.h - texts that are found by the beginnings of their words: SQLite's FTS5, in memory.
 *
 *     words *index = NULL;
 *     RA_TRY(words_new(texts, n, &index, err));
 *     RA_TRY(words_find(index, "red tele", note, &mine, err));       calls note(&mine, i) for "Telescope, red"
 *     words_free(index);
 *
 * A query is words with blanks, or pluses, between them. A text is found if for each of them it has a word that begins with it, in
 * any order; upper case, lower case and accents do not matter (FTS5's tokenizer unicode61). What stands in a query without a
 * blank, "red-shift", must stand together in the text. A query without letters or digits finds nothing. Of an alphabet
 * that has no blanks between words only the beginnings of texts are found.
 *
 * Ownership: the texts are copied. Thread safety: any number of threads may search at the same time, and none waits for
 * another; new and free belong to one.
 */
#ifndef RASAED_STATE_WORDS_H
#define RASAED_STATE_WORDS_H

#include "ra_status.h"

#include <stddef.h>

typedef struct words words;

ra_status words_new(const char *const *texts, size_t count, words **out, ra_error *err);
void words_free(words *index); /* NULL is fine */

/* In the order of the texts. RA_ERR_ARGUMENT for a query of more than WORDS_MOST words or WORDS_LONGEST bytes. */
enum { WORDS_MOST = 32, WORDS_LONGEST = 1024 };
ra_status words_find(words *index, const char *query, void (*found)(void *context, size_t text),
                     void *context, ra_error *err);

size_t words_bytes(const words *index); /* of memory */

#endif
