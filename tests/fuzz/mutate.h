/* mutate.h - changes to an input that keep its structure, so that a parser is not left at the first byte. */
#ifndef RA_TEST_FUZZ_MUTATE_H
#define RA_TEST_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's own changes. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most);

/* One change of a JSON text in place; returns the new size, at most `most`. A value, as a whole, is replaced, doubled,
 * removed or wrapped; sometimes bytes change anywhere. */
size_t fuzz_mutate_json(uint8_t *text, size_t size, size_t most, unsigned seed);

/* The same for a safetensors file: its header as JSON with a true length, or its data, which then mostly end where the
 * header says. */
size_t fuzz_mutate_safetensors(uint8_t *bytes, size_t size, size_t most, unsigned seed);

#endif
