#include "state/database.h"
#include "codec/problems.h"
#include "ra_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { FORMAT = 1 };

/* Keyed by the digest of a dictionary's numbers, so that what was said of an atom follows it through reloads, new names and
 * new statistics. `changes` numbers the changes: an entity tag never comes back. */
static const char tables[] =
    "CREATE TABLE IF NOT EXISTS changes(number INTEGER NOT NULL);"
    "INSERT INTO changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM changes);"
    "CREATE TABLE IF NOT EXISTS labels(digest TEXT NOT NULL, atom INTEGER NOT NULL, label TEXT NOT NULL,"
    " explanation TEXT, source TEXT, score REAL, change INTEGER NOT NULL, time INTEGER NOT NULL,"
    " PRIMARY KEY(digest, atom)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS lists(digest TEXT NOT NULL, name TEXT NOT NULL, description TEXT,"
    " atoms BLOB NOT NULL, change INTEGER NOT NULL, time INTEGER NOT NULL, PRIMARY KEY(digest, name))"
    " WITHOUT ROWID;";

static ra_status fail(ra_error *err, const char *why) {
    RA_FAIL_FACTS(err, RA_ERR_IO, (.kind = PROBLEM_STATE_UNAVAILABLE), "%s", why);
}

ra_status database_fail(sqlite3 *database, ra_error *err) {
    int code = database ? sqlite3_errcode(database) : SQLITE_NOMEM;
    if (err && code != SQLITE_BUSY)
        ra_log(RA_LOG_ERROR, "the database of changes: %s",
               database ? sqlite3_errmsg(database) : "out of memory");
    switch (code) {
    case SQLITE_FULL:
        return fail(err, "changes cannot be kept now: the disk of the state directory is full");
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return fail(err, "changes cannot be kept now: the state directory cannot be written");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return fail(err, "changes cannot be kept now: the database of the state directory is damaged");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fail(err,
                    "changes cannot be kept now: another program holds the database of the state directory");
    case SQLITE_NOMEM:
        RA_FAIL(err, RA_ERR_MEMORY, "out of memory: the database of changes");
    default:
        return fail(err, "changes cannot be kept now: the database of the state directory cannot be used");
    }
}

bool database_has_moved(sqlite3 *database) {
    int moved = 0;
    return sqlite3_file_control(database, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

ra_status database_run(sqlite3 *database, const char *statements, ra_error *err) {
    return sqlite3_exec(database, statements, NULL, NULL, NULL) == SQLITE_OK ? RA_OK
                                                                             : database_fail(database, err);
}

ra_status database_prepare(sqlite3 *database, const char *statement, sqlite3_stmt **out, ra_error *err) {
    return sqlite3_prepare_v2(database, statement, -1, out, NULL) == SQLITE_OK ? RA_OK
                                                                               : database_fail(database, err);
}

ra_status database_end(sqlite3 *database, sqlite3_stmt *statement, int code, ra_error *err) {
    ra_status status = code == SQLITE_DONE || code == SQLITE_ROW ? RA_OK : database_fail(database, err);
    sqlite3_finalize(statement);
    return status;
}

const char *database_text(sqlite3_stmt *statement, int column) {
    return (const char *)sqlite3_column_text(statement, column);
}

void database_bind(sqlite3_stmt *statement, int at, const char *text) {
    if (text)
        sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, at);
}

static ra_status check_format(sqlite3 *database, ra_error *err) {
    sqlite3_stmt *ask = NULL;
    RA_TRY(database_prepare(database, "PRAGMA user_version", &ask, err));
    int code = sqlite3_step(ask), format = sqlite3_column_int(ask, 0);
    RA_TRY(database_end(database, ask, code, err));
    if (format > FORMAT)
        return fail(
            err,
            "changes cannot be kept: a later version of rasaed wrote the database of the state directory");
    return RA_OK;
}

/* SQLite does not wait for another process that does the same. */
static ra_status use_wal(sqlite3 *database, ra_error *err) {
    enum { TRIES = 100 };
    const struct timespec pause = {.tv_nsec = 20000000};
    static const char pragmas[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL";
    for (int i = 0; i < TRIES; i++) {
        int code = sqlite3_exec(database, pragmas, NULL, NULL, NULL);
        if (code == SQLITE_OK) return RA_OK;
        if (code != SQLITE_BUSY && code != SQLITE_LOCKED) break;
        nanosleep(&pause, NULL);
    }
    return database_fail(database, err);
}

static ra_status set_up(sqlite3 *database, ra_error *err) {
    char mark[64];
    snprintf(mark, sizeof mark, "PRAGMA user_version=%d", FORMAT);
    sqlite3_busy_timeout(database, DATABASE_BUSY_MS);
    RA_TRY(use_wal(database, err));
    RA_TRY(check_format(database, err));
    RA_TRY(database_run(database, "BEGIN IMMEDIATE", err));
    ra_status status = database_run(database, tables, err);
    if (status == RA_OK) status = database_run(database, mark, err);
    if (status == RA_OK) status = database_run(database, "COMMIT", err);
    if (status != RA_OK) sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

ra_status database_open(const char *folder, sqlite3 **out, ra_error *err) {
    static const char name[] = "/rasaed.sqlite";
    char path[4096];
    sqlite3 *database = NULL;
    if (strlen(folder) + sizeof name > sizeof path)
        return fail(err, "the path of the state directory is too long");
    snprintf(path, sizeof path, "%s%s", folder, name);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        if (err) ra_log(RA_LOG_ERROR, "the state directory %s: %s", folder, strerror(errno));
        return fail(err, "changes cannot be kept now: the state directory cannot be made");
    }
    ra_status status = RA_OK;
    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        status = database_fail(database, err);
    if (status == RA_OK) status = set_up(database, err);
    if (status == RA_OK)
        *out = database;
    else
        sqlite3_close(database);
    return status;
}
