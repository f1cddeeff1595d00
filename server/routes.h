/* routes.h - the table of everything that the server offers: each row says all about one route.
 *
 * Thread safety: the table is constant once routes_table() has returned.
 */
#ifndef RASAED_ROUTES_H
#define RASAED_ROUTES_H

#include "api/api.h"
#include "cost.h"
#include "http/auth.h"

/* The address of a route when there is a second one, for administration; without it, the main one serves
 * all. */
typedef enum route_address {
    ADDRESS_MAIN, /* the main one alone */
    ADDRESS_BOTH, /* both; answered even when there are too many requests */
    ADDRESS_ADMIN /* the one for administration alone */
} route_address;

/* Sets of forms for `takes` and `gives`. */
enum {
    FORMS_JSON = 1u << FORM_JSON,
    FORMS_MATRIX = FORMS_JSON | 1u << FORM_RAW | 1u << FORM_NPY,
    FORMS_LINES = FORMS_JSON | 1u << FORM_NDJSON,
    FORMS_COLUMNS = FORMS_JSON | 1u << FORM_NPY | 1u << FORM_CSV,
    FORMS_TABLE = FORMS_COLUMNS | 1u << FORM_DINOVISION,
    FORMS_FILE = 1u << FORM_SAFETENSORS | 1u << FORM_RAW | 1u << FORM_NPY,
    FORMS_OIP = 1u << FORM_COUNT,         /* of the Open Inference Protocol, whatever Content-Type says */
    FORMS_NOTHING = 1u << FORM_COUNT << 1 /* no body, or {}, which some clients always send; likewise */
};

/* A part of a path that the pattern leaves open. */
typedef enum route_capture {
    CAPTURE_NOTHING,
    CAPTURE_DICTIONARY, /* {d}: the name of a dictionary, which is held for the handler */
    CAPTURE_VERSION, /* {v}: the generation that it must have (a version, in the Open Inference Protocol) */
    CAPTURE_NAME,    /* {m}: a name of a dictionary that the handler looks up itself */
    CAPTURE_ASSET,   /* {a}: a file inside the program, which the handler looks up itself */
    CAPTURE_FILE,    /* {f}: the rest of the path, of any number of segments; the first of them */
    CAPTURE_TEXT,    /* {n}: a name that the handler looks up: request->captures[] has it */
    CAPTURE_NUMBER   /* {i}: a whole number */
} route_capture;

typedef struct route {
    http_method method;
    const char *pattern; /* NULL: the last row, for paths that no other row has */
    api_handler *handler;
    const char *label;     /* the name in logs and metrics; stable */
    auth_scope key;        /* the key that is required */
    unsigned takes;        /* the forms of the body; 0: there is no body */
    unsigned gives;        /* the forms of the reply that a client may ask for; 0: the handler decides */
    const char *query;     /* the parameters of the query, with spaces between; all others are refused */
    cost cost;             /* what a request costs; every row states it */
    route_address address; /* where the route is served */
    bool page;             /* for people alone: the contract does not describe it */
    bool own_tag; /* If-Match of a change is about what the path names in the dictionary; the handler looks */
    bool revives; /* it also takes a dictionary that was lost; call->dictionary is NULL then */
    /* compiled from the pattern: */
    route_capture captures[HTTP_CAPTURES];
    size_t segments; /* how many it has; a path may have more if `open` */
    bool open;
    char last; /* the first letter of the last segment; '{' when the pattern leaves it open */
} route;

/* All rows; the last one has no pattern. */
const route *routes_table(void);
size_t routes_count(void);              /* with the last row */
const char *const *routes_labels(void); /* of all rows */

typedef struct route_match {
    const route *route; /* NULL when the path exists, but not with this method */
    unsigned methods;   /* the methods of the path, a bit each; 0: the path is unknown */
    const char *captures[HTTP_CAPTURES];
} route_match;

/* HEAD finds the row of GET. */
void routes_find(const http_target *target, http_method method, route_match *match);

#endif
