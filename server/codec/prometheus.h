/* prometheus.h - writes the text format of Prometheus, version 0.0.4.
 *
 *     prometheus_family(out, "rasaed_requests_total", "counter", "Requests answered.");
 *     prometheus_value(out, "rasaed_requests_total", (const char *[]){"route", "atom", NULL}, 17);
 *
 * Labels are names and values in turn, ended by NULL; values are escaped. A lack of memory shows in
 * out->failed. Source: https://prometheus.io/docs/instrumenting/exposition_formats/. Thread safety: a text
 * belongs to one thread.
 */
#ifndef RASAED_CODEC_PROMETHEUS_H
#define RASAED_CODEC_PROMETHEUS_H

#include "app/text.h"

#include <stdint.h>

#define PROMETHEUS_MEDIA_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The lines HELP and TYPE before the values of a metric; type is counter, gauge or histogram. */
void prometheus_family(text *out, const char *name, const char *type, const char *help);

void prometheus_value(text *out, const char *name, const char *const *labels, double value);

/* counts[i] samples were at most bounds[i] * unit and above the bound before it, counts[size] above all
 * bounds; the sum of all samples is sum * unit. */
void prometheus_histogram(text *out, const char *name, const char *const *labels, const uint64_t *bounds,
                          const uint64_t *counts, size_t size, uint64_t sum, double unit);

#endif
