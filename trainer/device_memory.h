/* device_memory.h - what `rasae inspect --device-memory` says: the bytes that a model takes on a device. */
#ifndef RASAE_DEVICE_MEMORY_H
#define RASAE_DEVICE_MEMORY_H

#include "app/json.h"
#include "ra.h"

/* threads: how many compute at once; 0 is 1. */
void print_device_memory(const ra_model *model, size_t threads);
void json_device_memory(text *json, const ra_model *model, size_t threads);

#endif
