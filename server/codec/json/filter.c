#include "codec/json/filter.h"

#include "codec/json/object.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_q(json_scan *scan, void *target) {
    json_filter *filter = target;
    json_string words;
    if (!json_scan_string(scan, "q", &words)) return false;
    json_string_decode(words, &filter->q);
    text_append(&filter->q, "", 1);
    if (filter->q.failed) return json_scan_fail(scan, RA_ERR_MEMORY, "out of memory: q of a filter");
    return true;
}

static bool read_min_frequency(json_scan *scan, void *target) {
    json_filter *filter = target;
    char digits[64];
    json_value value;
    if (!json_scan_skip(scan, &value)) return false;
    if (value.type != JSON_NUMBER)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_INVALID_VALUE},
                                   "min_frequency is %s, expected a number from 0 to 1",
                                   json_type_name(value.type));
    snprintf(digits, sizeof digits, "%.*s", (int)(value.size < sizeof digits ? value.size : sizeof digits),
             value.text);
    filter->min_frequency = strtod(digits, NULL);
    if (!(filter->min_frequency >= 0 && filter->min_frequency <= 1))
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "min_frequency is %s, expected a number from 0 to 1", digits);
    return true;
}

static bool read_dead(json_scan *scan, void *target) {
    json_filter *filter = target;
    json_type type = json_scan_peek(scan);
    if (!json_scan_skip(scan, NULL)) return false;
    if (type != JSON_TRUE && type != JSON_FALSE)
        return json_scan_fail_with(scan, RA_ERR_FORMAT, &(ra_error_facts){.kind = PROBLEM_INVALID_VALUE},
                                   "dead is %s, expected true or false", json_type_name(type));
    filter->dead = type == JSON_TRUE;
    return true;
}

static bool read_point(json_scan *scan, void *target) {
    json_filter *filter = target;
    int64_t point = 0;
    if (!json_scan_i64(scan, "point", &point)) return false;
    if (point < 0)
        return json_scan_fail_with(scan, RA_ERR_ARGUMENT, &(ra_error_facts){.kind = PROBLEM_OUT_OF_RANGE},
                                   "point is %lld, but points are numbered from 0", (long long)point);
    filter->has_point = true;
    filter->point = (size_t)point;
    return true;
}

bool json_filter_read(json_scan *scan, json_filter *filter) {
    static const json_member members[] = {{"q", read_q, true},
                                          {"min_frequency", read_min_frequency, true},
                                          {"dead", read_dead, true},
                                          {"point", read_point, true}};
    filter->dead = -1;
    filter->given = true;
    return json_object_read(scan, "filter",
                            "{\"q\": \"tele\", \"min_frequency\": 0.001, \"dead\": false, \"point\": 12}",
                            members, sizeof members / sizeof *members, filter);
}

void json_filter_release(json_filter *filter) {
    text_release(&filter->q);
    *filter = (json_filter){0};
}
