/* database.h - the SQLite database of what changes while serving: opening it, and the words of its failures.
 *
 *     sqlite3 *database = NULL;
 *     RA_TRY(database_open("/var/lib/rasaed", &database, err));
 *     RA_TRY(database_run(database, "BEGIN IMMEDIATE", err));
 *     sqlite3_close(database);
 *
 * One file, FOLDER/rasaed.sqlite, in WAL mode: readers never wait for a writer, and other processes may use it at the same
 * time. A commit is on the disk before it returns (synchronous=FULL): what was answered survives a killed process, which
 * NORMAL would give, too, and a power failure, which NORMAL does not. A writer waits for another one for DATABASE_BUSY_MS
 * at most, so none of this is for a thread that must not wait.
 *
 * Thread safety: a connection is for one thread at a time.
 */
#ifndef RASAED_STATE_DATABASE_H
#define RASAED_STATE_DATABASE_H

#include "ra_status.h"

#include <sqlite3.h>
#include <stdbool.h>

enum { DATABASE_BUSY_MS = 2000 };

/* Creates the folder, the file and its tables where they are missing. RA_ERR_IO, with PROBLEM_STATE_UNAVAILABLE as the kind
 * of its facts, as for every failure here. */
ra_status database_open(const char *folder, sqlite3 **out, ra_error *err);

ra_status database_run(sqlite3 *database, const char *statements, ra_error *err);
ra_status database_prepare(sqlite3 *database, const char *statement, sqlite3_stmt **out, ra_error *err);

/* Whether its file is no longer the one at its path: somebody removed or replaced it, and what is written is lost. */
bool database_has_moved(sqlite3 *database);

/* What the last call on this connection failed with, as a sentence for clients, which names no file; unless err is NULL, the log
 * has the rest. */
ra_status database_fail(sqlite3 *database, ra_error *err);

/* Ends a statement: RA_OK if its last step returned SQLITE_DONE or SQLITE_ROW. */
ra_status database_end(sqlite3 *database, sqlite3_stmt *statement, int code, ra_error *err);

/* The column as text; NULL for a null. It lives until the next step. */
const char *database_text(sqlite3_stmt *statement, int column);
void database_bind(sqlite3_stmt *statement, int at, const char *text); /* NULL: null */

#endif
