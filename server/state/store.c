/* One connection does all the work of this process, one call after another; the thread that looks after other processes has a
 * second one. A slot's labels are read again as a whole after a change: 32,000 of them take about 20 ms, and changes are made
 * by people, or many at once. */
#include "state/store.h"
#include "codec/problems.h"
#include "ra_digest.h"
#include "ra_memory.h"
#include "ra_waiting.h"
#include "state/database.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

struct store_slot {
    store *kept;
    char digest[RA_DIGEST_SIZE];
    pthread_mutex_t lock; /* of labels; held for a few instructions */
    set_labels *labels;
    store_slot *next;
};

struct store {
    char *folder;
    pthread_mutex_t lock; /* of `taken`; held for a few instructions */
    pthread_cond_t given;
    bool taken;        /* by the thread that uses what follows, while the database works */
    sqlite3 *database; /* NULL: it cannot be used */
    store_slot *slots;
    atomic_bool stale; /* labels may differ from those of the database */
    /* the thread that looks */
    pthread_t thread;
    pthread_mutex_t ending_lock;
    pthread_cond_t ending;
    bool has_thread, ends;
};

/* ---- the connection ------------------------------------------------------------------------------------ */

/* By a clock that nobody sets. */
static struct timespec after(long milliseconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

/* False if others have it until then; until NULL: waits for them. */
static bool take_until(store *kept, const struct timespec *until) {
    int code = 0;
    pthread_mutex_lock(&kept->lock);
    while (kept->taken && code != ETIMEDOUT)
        code = until ? pthread_cond_timedwait(&kept->given, &kept->lock, until)
                     : pthread_cond_wait(&kept->given, &kept->lock);
    bool mine = !kept->taken;
    kept->taken = true;
    pthread_mutex_unlock(&kept->lock);
    return mine;
}

/* Not for ever: while another program holds the database, many requests may wait, each on a compute thread. */
static ra_status take(store *kept, ra_error *err) {
    const struct timespec until = after(DATABASE_BUSY_MS);
    ra_waiting_check("the database of changes");
    if (take_until(kept, &until)) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_IO, (.kind = PROBLEM_STATE_UNAVAILABLE),
                  "changes cannot be kept now: others wait for the database of the state directory");
}

static void give(store *kept) {
    pthread_mutex_lock(&kept->lock);
    kept->taken = false;
    pthread_cond_signal(&kept->given);
    pthread_mutex_unlock(&kept->lock);
}

/* Also opens it anew when its file is no longer there, or another one is: a change in the old one would be lost. For the
 * thread that has taken it. */
static ra_status need(store *kept, ra_error *err) {
    if (kept->database && !database_has_moved(kept->database)) return RA_OK;
    if (kept->database) kept->stale = true;
    sqlite3_close(kept->database);
    kept->database = NULL;
    return database_open(kept->folder, &kept->database, err);
}

/* Taking a change back also needs memory. Without it the connection is closed, which takes it back in any case: one that stays
 * within a change takes no further one, and keeps others from theirs. */
static ra_status take_back(store *kept, ra_status status) {
    if (sqlite3_get_autocommit(kept->database)) return status;
    sqlite3_exec(kept->database, "ROLLBACK", NULL, NULL, NULL);
    if (sqlite3_get_autocommit(kept->database)) return status;
    sqlite3_close(kept->database);
    kept->database = NULL;
    return status;
}

static ra_status begin(store *kept, ra_error *err) {
    RA_TRY(need(kept, err));
    ra_status status = database_run(kept->database, "BEGIN IMMEDIATE", err);
    return status == RA_OK ? status : take_back(kept, status);
}

static ra_status end(store *kept, ra_status status, ra_error *err) {
    if (status == RA_OK) status = database_run(kept->database, "COMMIT", err);
    return status == RA_OK ? status : take_back(kept, status);
}

static ra_status next_change(store *kept, int64_t *change, ra_error *err) {
    sqlite3_stmt *ask = NULL;
    RA_TRY(database_run(kept->database, "UPDATE changes SET number = number + 1", err));
    RA_TRY(database_prepare(kept->database, "SELECT number FROM changes", &ask, err));
    int code = sqlite3_step(ask);
    *change = sqlite3_column_int64(ask, 0);
    return database_end(kept->database, ask, code, err);
}

/* ---- labels -------------------------------------------------------------------------------------------- */

/* As long as the set has a place for one more; texts are copied. */
typedef struct label_rows {
    set_label *items;
    size_t count, capacity;
} label_rows;

static void release_rows(label_rows *rows) {
    for (size_t i = 0; i < rows->count; i++) {
        ra_free((void *)(uintptr_t)rows->items[i].label);
        ra_free((void *)(uintptr_t)rows->items[i].explanation);
        ra_free((void *)(uintptr_t)rows->items[i].source);
    }
    ra_free(rows->items);
}

static bool copy_column(sqlite3_stmt *ask, int column, const char **to) {
    const char *text = database_text(ask, column);
    *to = NULL;
    if (!text) return true;
    size_t size = strlen(text) + 1;
    char *copy = ra_malloc(size, 1);
    if (copy) *to = memcpy(copy, text, size);
    return copy != NULL;
}

static bool add_row(label_rows *rows, sqlite3_stmt *ask) {
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? 2 * rows->capacity : 64;
        set_label *items = ra_realloc(rows->items, capacity, sizeof *items);
        if (!items) return false;
        rows->items = items;
        rows->capacity = capacity;
    }
    set_label *to = &rows->items[rows->count++];
    bool scored = sqlite3_column_type(ask, 4) != SQLITE_NULL;
    *to = (set_label){.atom = (size_t)sqlite3_column_int64(ask, 0),
                      .score = scored ? sqlite3_column_double(ask, 4) : NAN,
                      .change = sqlite3_column_int64(ask, 5),
                      .time = sqlite3_column_int64(ask, 6)};
    return copy_column(ask, 1, &to->label) && copy_column(ask, 2, &to->explanation) &&
           copy_column(ask, 3, &to->source);
}

static ra_status read_labels(store *kept, const char *digest, label_rows *rows, ra_error *err) {
    sqlite3_stmt *ask = NULL;
    RA_TRY(database_prepare(kept->database,
                            "SELECT atom, label, explanation, source, score, change, time FROM labels "
                            "WHERE digest = ?1 ORDER BY atom",
                            &ask, err));
    database_bind(ask, 1, digest);
    int code;
    bool room = true;
    while ((code = sqlite3_step(ask)) == SQLITE_ROW && room) room = add_row(rows, ask);
    RA_TRY(database_end(kept->database, ask, room ? code : SQLITE_DONE, err));
    if (!room) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the labels that were set");
    return RA_OK;
}

static ra_status read_set(store_slot *slot, set_labels **fresh, ra_error *err) {
    label_rows rows = {0};
    ra_status status = read_labels(slot->kept, slot->digest, &rows, err);
    if (status == RA_OK && rows.count) status = set_labels_new(rows.items, rows.count, fresh, err);
    release_rows(&rows);
    return status;
}

static void show(store_slot *slot, set_labels *fresh) {
    pthread_mutex_lock(&slot->lock);
    set_labels *old = slot->labels;
    slot->labels = fresh;
    pthread_mutex_unlock(&slot->lock);
    set_labels_release(old);
}

static ra_status refresh(store_slot *slot, ra_error *err) {
    set_labels *fresh = NULL;
    RA_TRY(read_set(slot, &fresh, err));
    show(slot, fresh);
    return RA_OK;
}

static ra_status current_change(store_slot *slot, const char *statement, size_t atom, const char *name,
                                int64_t *change, ra_error *err) {
    sqlite3_stmt *ask = NULL;
    RA_TRY(database_prepare(slot->kept->database, statement, &ask, err));
    database_bind(ask, 1, slot->digest);
    if (name)
        database_bind(ask, 2, name);
    else
        sqlite3_bind_int64(ask, 2, (sqlite3_int64)atom);
    int code = sqlite3_step(ask);
    *change = code == SQLITE_ROW ? sqlite3_column_int64(ask, 0) : 0;
    return database_end(slot->kept->database, ask, code, err);
}

static ra_status write_label(store_slot *slot, const set_label *item, int64_t change, ra_error *err) {
    sqlite3 *database = slot->kept->database;
    sqlite3_stmt *put = NULL;
    RA_TRY(database_prepare(database,
                            item->label
                                ? "INSERT OR REPLACE INTO labels(digest, atom, label, explanation, source, "
                                  "score, change, time) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                                : "DELETE FROM labels WHERE digest = ?1 AND atom = ?2",
                            &put, err));
    database_bind(put, 1, slot->digest);
    sqlite3_bind_int64(put, 2, (sqlite3_int64)item->atom);
    if (item->label) {
        database_bind(put, 3, item->label);
        database_bind(put, 4, item->explanation);
        database_bind(put, 5, item->source);
        if (isnan(item->score))
            sqlite3_bind_null(put, 6);
        else
            sqlite3_bind_double(put, 6, item->score);
        sqlite3_bind_int64(put, 7, change);
        sqlite3_bind_int64(put, 8, time(NULL));
    }
    int code = sqlite3_step(put);
    return database_end(database, put, code, err);
}

static ra_status write_labels(store_slot *slot, const set_label *items, size_t count, store_condition *holds,
                              void *context, bool *held, ra_error *err) {
    static const char ask[] = "SELECT change FROM labels WHERE digest = ?1 AND atom = ?2";
    int64_t change = 0;
    for (size_t i = 0; holds && i < count && *held; i++) {
        RA_TRY(current_change(slot, ask, items[i].atom, NULL, &change, err));
        *held = holds(context, change);
    }
    if (!*held) return RA_OK;
    RA_TRY(next_change(slot->kept, &change, err));
    for (size_t i = 0; i < count; i++) RA_TRY(write_label(slot, &items[i], change, err));
    return RA_OK;
}

ra_status store_set_labels(store_slot *slot, const set_label *items, size_t count, store_condition *holds,
                           void *context, bool *held, ra_error *err) {
    store *kept = slot->kept;
    *held = true;
    RA_TRY(take(kept, err));
    /* What will be shown is made ready before the change is committed: once it has happened, nothing can fail. */
    set_labels *fresh = NULL;
    ra_status status = begin(kept, err);
    if (status == RA_OK) {
        status = write_labels(slot, items, count, holds, context, held, err);
        if (status == RA_OK) status = read_set(slot, &fresh, err);
        status = end(kept, status, err);
    }
    if (status == RA_OK)
        show(slot, fresh);
    else
        set_labels_release(fresh);
    give(kept);
    return status;
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static ra_status read_lists(store_slot *slot, const char *name,
                            void (*take_one)(void *context, const store_list *list), void *context,
                            ra_error *err) {
    sqlite3 *database = slot->kept->database;
    sqlite3_stmt *ask = NULL;
    RA_TRY(
        database_prepare(database,
                         name ? "SELECT name, description, atoms, change, time FROM lists "
                                "WHERE digest = ?1 AND name = ?2"
                              : "SELECT name, description, atoms, change, time FROM lists WHERE digest = ?1 "
                                "ORDER BY name",
                         &ask, err));
    database_bind(ask, 1, slot->digest);
    if (name) database_bind(ask, 2, name);
    int code;
    while ((code = sqlite3_step(ask)) == SQLITE_ROW) {
        store_list list = {.name = database_text(ask, 0),
                           .description = database_text(ask, 1),
                           .atoms = sqlite3_column_blob(ask, 2),
                           .count = (size_t)sqlite3_column_bytes(ask, 2) / sizeof(uint32_t),
                           .change = sqlite3_column_int64(ask, 3),
                           .time = sqlite3_column_int64(ask, 4)};
        take_one(context, &list);
    }
    return database_end(database, ask, code, err);
}

ra_status store_read_lists(store_slot *slot, const char *name,
                           void (*take_one)(void *context, const store_list *list), void *context,
                           ra_error *err) {
    RA_TRY(take(slot->kept, err));
    ra_status status = need(slot->kept, err);
    if (status == RA_OK) status = read_lists(slot, name, take_one, context, err);
    give(slot->kept);
    return status;
}

static const char list_change[] = "SELECT change FROM lists WHERE digest = ?1 AND name = ?2";

static ra_status count_lists(store_slot *slot, size_t *count, ra_error *err) {
    sqlite3_stmt *ask = NULL;
    RA_TRY(database_prepare(slot->kept->database, "SELECT count(*) FROM lists WHERE digest = ?1", &ask, err));
    database_bind(ask, 1, slot->digest);
    int code = sqlite3_step(ask);
    *count = (size_t)sqlite3_column_int64(ask, 0);
    return database_end(slot->kept->database, ask, code, err);
}

static ra_status write_list(store_slot *slot, const store_list *list, size_t most, store_condition *holds,
                            void *context, bool *held, int64_t *change, ra_error *err) {
    sqlite3 *database = slot->kept->database;
    sqlite3_stmt *put = NULL;
    size_t count;
    RA_TRY(current_change(slot, list_change, 0, list->name, change, err));
    *held = !holds || holds(context, *change);
    if (!*held) return RA_OK;
    RA_TRY(count_lists(slot, &count, err));
    if (!*change && count >= most)
        RA_FAIL_FACTS(err, RA_ERR_TOO_LARGE, (.kind = PROBLEM_TOO_MANY, PROBLEM_COUNTS(most, count + 1)),
                      "the dictionary has %zu lists already, as many as there may be; delete one", count);
    RA_TRY(next_change(slot->kept, change, err));
    RA_TRY(database_prepare(database,
                            "INSERT OR REPLACE INTO lists(digest, name, description, atoms, change, time) "
                            "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                            &put, err));
    database_bind(put, 1, slot->digest);
    database_bind(put, 2, list->name);
    database_bind(put, 3, list->description);
    sqlite3_bind_blob64(put, 4, list->count ? list->atoms : (const void *)"",
                        list->count * sizeof *list->atoms, SQLITE_STATIC);
    sqlite3_bind_int64(put, 5, *change);
    sqlite3_bind_int64(put, 6, time(NULL));
    int code = sqlite3_step(put);
    return database_end(database, put, code, err);
}

ra_status store_put_list(store_slot *slot, const store_list *list, size_t most, store_condition *holds,
                         void *context, bool *held, int64_t *change, ra_error *err) {
    store *kept = slot->kept;
    *held = true;
    RA_TRY(take(kept, err));
    ra_status status = begin(kept, err);
    if (status == RA_OK)
        status = end(kept, write_list(slot, list, most, holds, context, held, change, err), err);
    give(kept);
    return status;
}

static ra_status drop_list(store_slot *slot, const char *name, store_condition *holds, void *context,
                           bool *held, bool *found, ra_error *err) {
    sqlite3_stmt *drop = NULL;
    int64_t change;
    RA_TRY(current_change(slot, list_change, 0, name, &change, err));
    *found = change != 0;
    *held = !*found || !holds || holds(context, change);
    if (!*found || !*held) return RA_OK;
    RA_TRY(database_prepare(slot->kept->database, "DELETE FROM lists WHERE digest = ?1 AND name = ?2", &drop,
                            err));
    database_bind(drop, 1, slot->digest);
    database_bind(drop, 2, name);
    int code = sqlite3_step(drop);
    return database_end(slot->kept->database, drop, code, err);
}

ra_status store_delete_list(store_slot *slot, const char *name, store_condition *holds, void *context,
                            bool *held, bool *found, ra_error *err) {
    store *kept = slot->kept;
    *held = true;
    *found = false;
    RA_TRY(take(kept, err));
    ra_status status = begin(kept, err);
    if (status == RA_OK) status = end(kept, drop_list(slot, name, holds, context, held, found, err), err);
    give(kept);
    return status;
}

/* ---- slots --------------------------------------------------------------------------------------------- */

static store_slot *find_slot(store *kept, const char *digest) {
    store_slot *slot = kept->slots;
    while (slot && strcmp(slot->digest, digest) != 0) slot = slot->next;
    return slot;
}

/* For the thread that has taken the store. What cannot be read now is read when the database can be opened. */
static store_slot *new_slot(store *kept, const char *digest) {
    store_slot *slot = ra_calloc(1, sizeof *slot);
    if (!slot) return NULL;
    slot->kept = kept;
    snprintf(slot->digest, sizeof slot->digest, "%s", digest);
    pthread_mutex_init(&slot->lock, NULL);
    slot->next = kept->slots;
    kept->slots = slot;
    if (!kept->database || refresh(slot, NULL) != RA_OK) kept->stale = true;
    return slot;
}

ra_status store_slot_of(store *kept, const char *digest, store_slot **out, ra_error *err) {
    take_until(kept, NULL);
    *out = find_slot(kept, digest);
    if (!*out) *out = new_slot(kept, digest);
    give(kept);
    if (!*out) RA_FAIL_MEMORY(err, "the labels that were set", sizeof **out);
    return RA_OK;
}

set_labels *store_labels(store_slot *slot) {
    if (!slot) return NULL;
    pthread_mutex_lock(&slot->lock);
    set_labels *labels = set_labels_retain(slot->labels);
    pthread_mutex_unlock(&slot->lock);
    return labels;
}

/* ---- other processes ----------------------------------------------------------------------------------- */

static int64_t data_version(sqlite3 *watcher) {
    sqlite3_stmt *ask = NULL;
    int64_t version = -1;
    if (sqlite3_prepare_v2(watcher, "PRAGMA data_version", -1, &ask, NULL) == SQLITE_OK &&
        sqlite3_step(ask) == SQLITE_ROW)
        version = sqlite3_column_int64(ask, 0);
    sqlite3_finalize(ask);
    return version;
}

static void refresh_all(store *kept) {
    take_until(kept, NULL);
    bool failed = need(kept, NULL) != RA_OK;
    for (store_slot *slot = kept->slots; slot && !failed; slot = slot->next)
        failed = refresh(slot, NULL) != RA_OK;
    kept->stale = failed;
    give(kept);
}

static bool sleep_or_end(store *kept) {
    const struct timespec until = after(STORE_LOOK_MS);
    pthread_mutex_lock(&kept->ending_lock);
    while (!kept->ends && pthread_cond_timedwait(&kept->ending, &kept->ending_lock, &until) != ETIMEDOUT) {}
    bool ends = kept->ends;
    pthread_mutex_unlock(&kept->ending_lock);
    return !ends;
}

/* Its own connection: data_version tells the changes of all others. */
static void *look(void *context) {
    store *kept = context;
    (void)prctl(PR_SET_NAME, "rasaed-changes");
    sqlite3 *watcher = NULL;
    int64_t seen = -1;
    while (sleep_or_end(kept)) {
        if (watcher && database_has_moved(watcher)) {
            sqlite3_close(watcher);
            watcher = NULL;
            seen = -1;
        }
        if (!watcher && database_open(kept->folder, &watcher, NULL) != RA_OK) continue;
        int64_t version = data_version(watcher);
        if (version == seen && !kept->stale) continue;
        seen = version;
        refresh_all(kept);
    }
    sqlite3_close(watcher);
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

ra_status store_check(const char *folder, ra_error *err) {
    sqlite3 *database = NULL;
    RA_TRY(database_open(folder, &database, err));
    sqlite3_close(database);
    return RA_OK;
}

static void init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static bool start_looking(store *kept) {
    kept->has_thread = pthread_create(&kept->thread, NULL, look, kept) == 0;
    return kept->has_thread;
}

ra_status store_new(const char *folder, store **out, ra_error *err) {
    ra_error why = {0};
    size_t size = strlen(folder) + 1;
    store *kept = ra_calloc(1, sizeof *kept);
    if (!kept) RA_FAIL_MEMORY(err, "the store of changes", sizeof *kept);
    pthread_mutex_init(&kept->lock, NULL);
    pthread_mutex_init(&kept->ending_lock, NULL);
    init_condition(&kept->given);
    init_condition(&kept->ending);
    atomic_init(&kept->stale, false);
    kept->folder = ra_malloc(size, 1);
    if (kept->folder) memcpy(kept->folder, folder, size);
    if (kept->folder && database_open(folder, &kept->database, &why) != RA_OK)
        ra_log(RA_LOG_ERROR, "--state %s: %s", folder, why.message);
    if (kept->folder && start_looking(kept)) {
        *out = kept;
        return RA_OK;
    }
    store_free(kept);
    RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the store of changes");
}

void store_free(store *kept) {
    if (!kept) return;
    if (kept->has_thread) {
        pthread_mutex_lock(&kept->ending_lock);
        kept->ends = true;
        pthread_cond_signal(&kept->ending);
        pthread_mutex_unlock(&kept->ending_lock);
        pthread_join(kept->thread, NULL);
    }
    while (kept->slots) {
        store_slot *next = kept->slots->next;
        set_labels_release(kept->slots->labels);
        pthread_mutex_destroy(&kept->slots->lock);
        ra_free(kept->slots);
        kept->slots = next;
    }
    sqlite3_close(kept->database);
    pthread_mutex_destroy(&kept->lock);
    pthread_mutex_destroy(&kept->ending_lock);
    pthread_cond_destroy(&kept->given);
    pthread_cond_destroy(&kept->ending);
    ra_free(kept->folder);
    ra_free(kept);
}
