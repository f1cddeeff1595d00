/* retired.h - generations that nobody holds any more and that are not freed yet; private to the registry.
 *
 * Giving back the memory of a large dictionary takes tens of milliseconds, and the last holder may be an I/O thread. So the
 * last holder only leaves the generation here, and the thread that loads dictionaries frees it. Without such a thread the
 * last holder frees it itself.
 *
 * Thread safety: any thread may call any function. It lives until its last reference is given up: the registry has one, and
 * so has each generation, because others may hold one longer than the registry lives.
 */
#ifndef RASAED_SERVING_REGISTRY_RETIRED_H
#define RASAED_SERVING_REGISTRY_RETIRED_H

#include "serving/registry/served.h"

typedef struct retired_list retired_list;

retired_list *retired_new(void); /* NULL: out of memory */
retired_list *retired_retain(retired_list *list);
void retired_release(retired_list *list); /* NULL is fine */

/* Who is told when there is something to free; NULL: nobody, so that holders free it. */
void retired_tell(retired_list *list, void (*tell)(void *context), void *context);

void retired_add(retired_list *list, served *dictionary);
size_t retired_free_all(retired_list *list); /* returns how many */

#endif
