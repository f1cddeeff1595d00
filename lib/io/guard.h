/* guard.h - the list of mapped files: which of them holds an address, and which of them was lost.
 *
 * A page of a mapped file that the file no longer has (it was shortened, its disk failed) raises SIGBUS in the
 * thread that reads it. With the handler of ra_mapping_guard() that thread reads zeros instead and goes on, and the
 * mapping is lost: guard_lost() says so from then on. Whoever computes from a mapping asks before it uses a result.
 *
 * Thread safety: everything, except that a mapping must not be removed while it is read.
 */
#ifndef RA_IO_GUARD_H
#define RA_IO_GUARD_H

#include <stdbool.h>
#include <stddef.h>

typedef struct guarded guarded;

/* Lists a mapping; NULL when memory is short. `owner` is for guard_each(). */
guarded *guard_add(const void *data, size_t size, void *owner);
void guard_remove(guarded *mapping); /* before it is unmapped; NULL is fine */

/* Whether a page could not be read since it was added. */
bool guard_lost(const guarded *mapping);

/* Calls visit(owner, context) for each listed mapping until it returns false. No mapping is added or removed
 * meanwhile. */
void guard_each(bool (*visit)(void *owner, void *context), void *context);

#endif
