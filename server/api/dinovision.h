/* dinovision.h - the table for the page of DinoVision. Thread safety: as in api.h. */
#ifndef RASAED_API_DINOVISION_H
#define RASAED_API_DINOVISION_H

#include "api/api.h"

/* Writes the body. PROBLEM_NOT_HELD when the file has no statistics or no layout. */
ra_status write_dinovision(api_call *call, ra_error *err);

#endif
