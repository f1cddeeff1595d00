#include "fuzz/mutate.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 512, LARGEST_TEXT = 1 << 16, PREFIX = 8 };

typedef struct piece {
    size_t at, size;
} piece;

static unsigned next(unsigned *state) { /* xorshift */
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

/* ---- values of a JSON text ----------------------------------------------------------------------------- */

static size_t string_end(const uint8_t *text, size_t size, size_t at) {
    for (at++; at < size && text[at] != '"'; at++) at += text[at] == '\\';
    return at < size ? at + 1 : size;
}

static size_t value_end(const uint8_t *text, size_t size, size_t at) {
    if (text[at] == '"') return string_end(text, size, at);
    if (text[at] != '{' && text[at] != '[') {
        while (at < size && (isalnum(text[at]) || strchr("+-.", text[at]))) at++;
        return at;
    }
    for (size_t depth = 0; at < size; at++) {
        if (text[at] == '"')
            at = string_end(text, size, at) - 1;
        else if (text[at] == '{' || text[at] == '[')
            depth++;
        else if ((text[at] == '}' || text[at] == ']') && --depth == 0)
            return at + 1;
    }
    return size;
}

/* Every value and every key. */
static size_t find_values(const uint8_t *text, size_t size, piece values[MOST_VALUES]) {
    size_t count = 0;
    for (size_t at = 0; at < size && count < MOST_VALUES;) {
        bool begins = text[at] && strchr("{[\"-", text[at]), word = isalnum(text[at]);
        size_t end = begins || word ? value_end(text, size, at) : at;
        if (end > at) values[count++] = (piece){at, end - at};
        at = text[at] == '{' || text[at] == '[' || end == at ? at + 1 : end;
    }
    return count;
}

/* Puts `size` new bytes in the place of a piece; returns the new size of the text, the old one if it does not fit. */
static size_t splice(uint8_t *text, size_t size, size_t most, piece old, const void *bytes, size_t n) {
    if (size - old.size + n > most) return size;
    memmove(text + old.at + n, text + old.at + old.size, size - old.at - old.size);
    memcpy(text + old.at, bytes, n);
    return size - old.size + n;
}

static const char *const known[] = {
    "0",
    "-0.0",
    "1",
    "-1",
    "2",
    "3",
    "4",
    "6",
    "1.5",
    "1e-45",
    "3.4028235e38",
    "3.5e38",
    "1e999",
    "0.1e-7",
    "2147483648",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "01",
    "1.",
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "\"\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\xc3\xa9\"",
    "\"\xff\"",
    "[]",
    "{}",
    "[[]]",
    "[[0,0,0,0]]",
    "[[1,2,3,4,5,6]]",
    /* names and words of requests and of headers of files */
    "\"inputs\"",
    "\"latents\"",
    "\"indices\"",
    "\"values\"",
    "\"vectors\"",
    "\"atoms\"",
    "\"ids\"",
    "\"k\"",
    "\"metric\"",
    "\"cosine\"",
    "\"dot\"",
    "\"exclude_self\"",
    "\"steer\"",
    "\"atom\"",
    "\"scale\"",
    "\"on\"",
    "\"input\"",
    "\"reconstruction\"",
    "\"model\"",
    "\"source\"",
    "\"index\"",
    "\"feature\"",
    "\"vector\"",
    "\"num_results\"",
    "\"numResults\"",
    "\"id\"",
    "\"parameters\"",
    "\"outputs\"",
    "\"name\"",
    "\"datatype\"",
    "\"shape\"",
    "\"data\"",
    "\"FP32\"",
    "\"INT64\"",
    "\"INT32\"",
    "\"FP64\"",
    "\"binary_data\"",
    "\"binary_data_size\"",
    "\"binary_data_output\"",
    "\"ready\"",
    "\"positive\"",
    "\"negative\"",
    "\"exclude\"",
    "\"min_score\"",
    "\"filter\"",
    "\"q\"",
    "\"dead\"",
    "\"min_frequency\"",
    "\"point\"",
    "\"method\"",
    "\"set\"",
    "\"op\"",
    "\"value\"",
    "\"ablate\"",
    "\"add\"",
    "\"keep_error\"",
    "\"label\"",
    "\"labels\"",
    "\"explanation\"",
    "\"score\"",
    "\"complete\"",
    "\"description\"",
    "\"with\"",
    "\"__metadata__\"",
    "\"dtype\"",
    "\"data_offsets\"",
    "\"F32\"",
    "\"F16\"",
    "\"BF16\"",
    "\"F64\"",
    "\"I64\"",
    "\"I32\"",
    "\"U8\"",
    "\"BOOL\"",
    "\"F8_E4M3\"",
    "\"dictionary\"",
    "\"encoder.final_block.0.weight\"",
    "\"encoder.final_block.1.weight\"",
    "\"encoder.mlp_blocks.0.0.weight\"",
    "\"thresholds.value\"",
    "\"input.mean\"",
    "\"input.scale\"",
    "\"archetypes.index\"",
    "\"latents.item_shape\"",
    "\"latents.rows\"",
    "\"atoms.labels\"",
    "\"points.labels\"",
};

size_t fuzz_mutate_json(uint8_t *text, size_t size, size_t most, unsigned seed) {
    static piece values[MOST_VALUES];
    static uint8_t copy[LARGEST_TEXT];
    unsigned state = seed | 1;
    size_t count = find_values(text, size, values);
    if (!count || size > LARGEST_TEXT / 2 || next(&state) % 4 == 0) return LLVMFuzzerMutate(text, size, most);
    piece old = values[next(&state) % count], other = values[next(&state) % count];
    switch (next(&state) % 6) {
    case 0: { /* something that is known */
        const char *word = known[next(&state) % (sizeof known / sizeof *known)];
        return splice(text, size, most, old, word, strlen(word));
    }
    case 1: /* another value */
        memcpy(copy, text + other.at, other.size);
        return splice(text, size, most, old, copy, other.size);
    case 2: /* without it, and without the comma at its side */
        while (old.at + old.size < size && text[old.at + old.size] == ' ') old.size++;
        if (old.at + old.size < size && text[old.at + old.size] == ',')
            old.size++;
        else if (old.at && text[old.at - 1] == ',')
            old.at--, old.size++;
        return splice(text, size, most, old, "", 0);
    case 3: /* twice, or a member twice */
        copy[0] = ',';
        memcpy(copy + 1, text + old.at, old.size);
        return splice(text, size, most, (piece){old.at + old.size, 0}, copy, old.size + 1);
    case 4: /* one level deeper */
        copy[0] = '[';
        memcpy(copy + 1, text + old.at, old.size);
        copy[1 + old.size] = ']';
        return splice(text, size, most, old, copy, old.size + 2);
    default: /* its bytes */
        memcpy(copy, text + old.at, old.size);
        return splice(text, size, most, old, copy, LLVMFuzzerMutate(copy, old.size, old.size + 16));
    }
}

/* ---- safetensors --------------------------------------------------------------------------------------- */

/* Where the data end by the header: the largest number behind "data_offsets". */
static size_t data_end(const uint8_t *header, size_t size) {
    static const char key[] = "\"data_offsets\"";
    size_t end = 0;
    const uint8_t *at = header, *stop = header + size;
    while ((at = memmem(at, (size_t)(stop - at), key, sizeof key - 1))) {
        at += sizeof key - 1;
        for (; at < stop && *at != ']'; at++)
            if (isdigit(*at)) {
                size_t number = 0;
                for (; at < stop && isdigit(*at); at++)
                    number = number < 1u << 20 ? number * 10 + *at - '0' : number;
                if (number > end) end = number;
                at--;
            }
    }
    return end;
}

size_t fuzz_mutate_safetensors(uint8_t *bytes, size_t size, size_t most, unsigned seed) {
    static uint8_t header[LARGEST_TEXT];
    unsigned state = seed | 1;
    uint64_t length = 0;
    if (size < PREFIX || most > LARGEST_TEXT / 2 || next(&state) % 16 == 0)
        return LLVMFuzzerMutate(bytes, size, most);
    for (int i = PREFIX - 1; i >= 0; i--) length = length << 8 | bytes[i];
    if (length > size - PREFIX) return LLVMFuzzerMutate(bytes, size, most);
    size_t data = size - PREFIX - length, room = most - PREFIX - data;
    if (next(&state) % 4 == 0 && data) {
        size_t changed = LLVMFuzzerMutate(bytes + PREFIX + length, data, data + room - length);
        return PREFIX + length + (next(&state) % 2 && changed > data ? data : changed);
    }
    memcpy(header, bytes + PREFIX, length);
    size_t grown =
        fuzz_mutate_json(header, length, room < sizeof header ? room : sizeof header, next(&state));
    memmove(bytes + PREFIX + grown, bytes + PREFIX + length, data);
    memcpy(bytes + PREFIX, header, grown);
    for (int i = 0; i < PREFIX; i++) bytes[i] = (uint8_t)((uint64_t)grown >> 8 * i);
    size_t end = data_end(header, grown);
    if (next(&state) % 8 && end != data && PREFIX + grown + end <= most) {
        if (end > data) memset(bytes + PREFIX + grown + data, 0, end - data);
        data = end;
    }
    return PREFIX + grown + data;
}
