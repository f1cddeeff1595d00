/* filter.h - {"q":"tele","min_frequency":0.001,"dead":false,"point":12}: which atoms a request is about, as GET .../atoms has
 * it in its query.
 *
 * Thread safety: no state.
 */
#ifndef RASAED_CODEC_JSON_FILTER_H
#define RASAED_CODEC_JSON_FILTER_H

#include "app/text.h"
#include "codec/json/scan.h"

typedef struct json_filter {
    bool given;
    text q;               /* with a NUL at its end; {0}: not given */
    double min_frequency; /* 0: not given */
    int dead;             /* 0, 1, or -1: not given */
    bool has_point;
    size_t point;
} json_filter;

/* Reads the next value into *filter, which is {0}. */
bool json_filter_read(json_scan *scan, json_filter *filter);
void json_filter_release(json_filter *filter); /* leaves {0} */

#endif
