/* The index is built once, as a database in memory, and then kept as the bytes of that database: every search opens a
 * reader of its own on the same bytes, or takes one that an earlier search has left. So nobody waits, and nothing is
 * copied.
 *
 * The texts themselves are not stored (content=''), nor are their lengths, which only ranking needs.
 */
#include "state/words.h"
#include "ra_memory.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

typedef struct reader {
    sqlite3 *database;
    sqlite3_stmt *search;
    struct reader *next;
} reader;

struct words {
    unsigned char *bytes;
    sqlite3_int64 size;
    pthread_mutex_t lock;
    reader *free;
};

static ra_status fail(sqlite3 *database, const char *what, ra_error *err) {
    int code = database ? sqlite3_errcode(database) : SQLITE_NOMEM;
    if (code == SQLITE_NOMEM) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %s", what);
    RA_FAIL(err, RA_ERR_INTERNAL, "%s: %s", what, sqlite3_errmsg(database));
}

/* ---- building ------------------------------------------------------------------------------------------ */

static const char building[] = "the index of labels";

static ra_status insert_all(sqlite3 *database, const char *const *texts, size_t count, ra_error *err) {
    sqlite3_stmt *insert = NULL;
    if (sqlite3_prepare_v2(database, "INSERT INTO texts(rowid, text) VALUES(?1, ?2)", -1, &insert, NULL) !=
        SQLITE_OK)
        return fail(database, building, err);
    int code = SQLITE_DONE;
    for (size_t i = 0; i < count && code == SQLITE_DONE; i++) {
        sqlite3_bind_int64(insert, 1, (sqlite3_int64)i + 1);
        sqlite3_bind_text(insert, 2, texts[i], -1, SQLITE_STATIC);
        code = sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    return code == SQLITE_DONE ? RA_OK : fail(database, building, err);
}

static ra_status build(sqlite3 *database, const char *const *texts, size_t count, ra_error *err) {
    static const char begin[] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                                "CREATE VIRTUAL TABLE texts USING fts5(text, content='', columnsize=0,"
                                " prefix='1 2', tokenize='unicode61 remove_diacritics 2');"
                                "BEGIN";
    static const char end[] = "COMMIT; INSERT INTO texts(texts) VALUES('optimize')";
    if (sqlite3_exec(database, begin, NULL, NULL, NULL) != SQLITE_OK) return fail(database, building, err);
    RA_TRY(insert_all(database, texts, count, err));
    if (sqlite3_exec(database, end, NULL, NULL, NULL) != SQLITE_OK) return fail(database, building, err);
    return RA_OK;
}

static ra_status keep(sqlite3 *database, words *index, ra_error *err) {
    index->bytes = sqlite3_serialize(database, "main", &index->size, 0);
    if (!index->bytes) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %s", building);
    return RA_OK;
}

ra_status words_new(const char *const *texts, size_t count, words **out, ra_error *err) {
    sqlite3 *database = NULL;
    ra_status status = RA_OK;
    words *index = ra_calloc(1, sizeof *index);
    if (!index) RA_FAIL_MEMORY(err, building, sizeof *index);
    pthread_mutex_init(&index->lock, NULL);
    if (sqlite3_open_v2(":memory:", &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        status = fail(database, building, err);
    if (status == RA_OK) status = build(database, texts, count, err);
    if (status == RA_OK) status = keep(database, index, err);
    sqlite3_close(database);
    if (status == RA_OK)
        *out = index;
    else
        words_free(index);
    return status;
}

/* ---- readers ------------------------------------------------------------------------------------------- */

static void reader_free(reader *old) {
    if (!old) return;
    sqlite3_finalize(old->search);
    sqlite3_close(old->database);
    ra_free(old);
}

static ra_status reader_open(const words *index, reader **out, ra_error *err) {
    static const char what[] = "a search in labels",
                      search[] = "SELECT rowid FROM texts WHERE texts MATCH ?1 ORDER BY rowid";
    reader *fresh = ra_calloc(1, sizeof *fresh);
    if (!fresh) RA_FAIL_MEMORY(err, what, sizeof *fresh);
    if (sqlite3_open_v2(":memory:", &fresh->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_deserialize(fresh->database, "main", index->bytes, index->size, index->size,
                            SQLITE_DESERIALIZE_READONLY) != SQLITE_OK ||
        sqlite3_prepare_v2(fresh->database, search, -1, &fresh->search, NULL) != SQLITE_OK) {
        ra_status status = fail(fresh->database, what, err);
        reader_free(fresh);
        return status;
    }
    *out = fresh;
    return RA_OK;
}

static ra_status reader_take(words *index, reader **out, ra_error *err) {
    pthread_mutex_lock(&index->lock);
    *out = index->free;
    if (*out) index->free = (*out)->next;
    pthread_mutex_unlock(&index->lock);
    return *out ? RA_OK : reader_open(index, out, err);
}

static void reader_give(words *index, reader *used) {
    sqlite3_reset(used->search);
    sqlite3_clear_bindings(used->search);
    pthread_mutex_lock(&index->lock);
    used->next = index->free;
    index->free = used;
    pthread_mutex_unlock(&index->lock);
}

void words_free(words *index) {
    if (!index) return;
    while (index->free) {
        reader *next = index->free->next;
        reader_free(index->free);
        index->free = next;
    }
    sqlite3_free(index->bytes);
    pthread_mutex_destroy(&index->lock);
    ra_free(index);
}

size_t words_bytes(const words *index) {
    return (size_t)index->size;
}

/* ---- searching ----------------------------------------------------------------------------------------- */

/* FTS5's tokens: letters, digits, and every character beyond ASCII that may be a letter. */
static bool may_be_a_letter(unsigned char c) {
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Each word as a quoted string that may go on, as FTS5 writes it: "tele" *. The query has no syntax of its own. */
static ra_status translate(const char *query, char *out, size_t *terms, ra_error *err) {
    static const char blanks[] = " \t\r\n\f\v+"; /* browsers write a blank as a plus */
    if (strlen(query) > WORDS_LONGEST)
        RA_FAIL(err, RA_ERR_ARGUMENT, "q has %zu bytes, expected at most %d", strlen(query), WORDS_LONGEST);
    *terms = 0;
    for (const char *at = query; *(at += strspn(at, blanks));) {
        size_t size = strcspn(at, blanks);
        bool has_letters = false;
        for (size_t i = 0; i < size; i++) has_letters |= may_be_a_letter((unsigned char)at[i]);
        if (has_letters && ++*terms > WORDS_MOST)
            RA_FAIL(err, RA_ERR_ARGUMENT, "q has more than %d words", WORDS_MOST);
        if (has_letters) {
            *out++ = '"';
            for (size_t i = 0; i < size; i++) {
                if (at[i] == '"') *out++ = '"';
                *out++ = at[i];
            }
            memcpy(out, "\"* ", 3);
            out += 3;
        }
        at += size;
    }
    *out = '\0';
    return RA_OK;
}

ra_status words_find(words *index, const char *query, void (*found)(void *context, size_t text),
                     void *context, ra_error *err) {
    char expression[2 * WORDS_LONGEST + 4 * WORDS_MOST + 1];
    size_t terms = 0;
    reader *own;
    RA_TRY(translate(query, expression, &terms, err));
    if (!terms) return RA_OK;
    RA_TRY(reader_take(index, &own, err));
    sqlite3_bind_text(own->search, 1, expression, -1, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(own->search)) == SQLITE_ROW)
        found(context, (size_t)sqlite3_column_int64(own->search, 0) - 1);
    ra_status status = code == SQLITE_DONE ? RA_OK : fail(own->database, "a search in labels", err);
    reader_give(index, own);
    return status;
}
