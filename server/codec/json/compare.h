/* compare.h - the body that names the dictionary to compare with: {"with": "NAME"}. Errors are those of requests.h. Thread
 * safety: no state. */
#ifndef RASAED_CODEC_JSON_COMPARE_H
#define RASAED_CODEC_JSON_COMPARE_H

#include "app/text.h"
#include "ra_status.h"

/* Appends the name and a NUL to *name, which is empty. */
ra_status json_compare_parse(const char *body, size_t size, text *name, ra_error *err);

#endif
