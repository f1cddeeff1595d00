/* cost.h - which requests are too heavy for an I/O thread.
 *
 * While an I/O thread computes, its other connections wait. So a request that would take longer than
 * HEAVY_NANOSECONDS is answered on a compute thread; handing it over costs some microseconds. The estimate is
 * deliberately rough: it uses the cost that the row of the route states (routes.c), the size of the body and
 * the size of the dictionary, before anything is parsed, because parsing is part of the work.
 *
 * Thread safety: no state.
 */
#ifndef RASAED_COST_H
#define RASAED_COST_H

#include "http/http.h"
#include "ra_model.h"

enum { HEAVY_NANOSECONDS = 200000 };

/* What a step is, and how many steps a request takes; d and K are the dimensions and atoms of the
 * dictionary. */
typedef enum cost_kind {
    COST_UNSTATED, /* a mistake: a test fails, and the request counts as heavy */
    COST_NONE,     /* never heavy */
    COST_ENTRIES,  /* d steps for each number of the body: decoding sparse latents */
    COST_SCAN,     /* K d steps for each row of the body, at least one row: encoding, searching */
    COST_QUERIES,  /* the same, but a JSON body may hold numbers of atoms in place of rows: searching */
    COST_ATOMS,    /* d steps for each atom that is asked for: writing them out */
    COST_TABLE,    /* K steps: writing what is known of every atom */
    COST_TRAINING, /* a step for each number of the course of the training */
    COST_ITEMS,    /* a step for each row of each item that is asked for */
    COST_READ,     /* always heavy: reads a file */
    COST_PAIRS,    /* always heavy: compares all atoms with all others */
    COST_STATE,    /* always heavy: waits for the database of changes */
    COST_FILE      /* always heavy: opens a file, or waits for one to open */
} cost_kind;

typedef struct cost {
    cost_kind kind;
    double nanoseconds; /* per step, on one core of an ordinary machine */
} cost;

/* The request is admitted and its body complete. info: of the dictionary; NULL when there is none. */
bool cost_is_heavy(const cost *stated, const http_request *request, const ra_model_info *info);

/* A heavy request that will be in the batcher in a moment: it computes, and its body is read in no time. */
bool cost_is_brief(const cost *stated, const http_request *request);

#endif
