/* The tokens of the rows and of the items that statistics of latents name.
 *
 * Two sorted lists meet the texts in their order: the items whose tokens are kept all, and the rows of which one is. Each
 * text is read at most once, and only if one of the lists has it. Tokens repeat, so each different one is stored once and has a
 * number, by the order in which they are met: the same statistics and the same texts give the same bytes. */
#include "ra_memory.h"
#include "ra_metrics.h"
#include "ra_text.h"

#include <stdlib.h>
#include <string.h>

/* Where the number of a row's token goes. */
typedef struct place {
    int64_t row;
    int32_t *word;
} place;

struct ra_kept_tokens {
    ra_labels *words;
    int64_t *item;
    int32_t *word, *top, *quantile;
    size_t items, parts;
    /* at work */
    ra_text text;               /* the different tokens, each with its NUL */
    size_t *start, count, room; /* [room] where those begin in it; `count` so far */
    int32_t *slots;             /* [slot_count], a power of two: numbers by their hash; -1: free */
    size_t slot_count;
    place *places, *next, *places_end; /* of single rows, by row; the next that waits for its token */
};

void ra_kept_tokens_free(ra_kept_tokens *kept) {
    if (!kept) return;
    ra_labels_free(kept->words);
    ra_free(kept->item);
    ra_free(kept->word);
    ra_free(kept->top);
    ra_free(kept->quantile);
    ra_text_release(&kept->text);
    ra_free(kept->start);
    ra_free(kept->slots);
    ra_free(kept->places);
    ra_free(kept);
}

/* ---- the list of different tokens ------------------------------------------------------------------------ */

/* FNV-1a. */
static uint64_t hash_of(const char *token) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *token; token++) hash = (hash ^ (unsigned char)*token) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

/* The place of a token, or the free one where it belongs. */
static int32_t *slot_of(const ra_kept_tokens *kept, const char *token) {
    size_t at = hash_of(token) & (kept->slot_count - 1);
    while (kept->slots[at] >= 0 && strcmp(kept->text.data + kept->start[kept->slots[at]], token) != 0)
        at = (at + 1) & (kept->slot_count - 1);
    return &kept->slots[at];
}

/* Room for one more, with half of the slots free. */
static ra_status grow(ra_kept_tokens *kept, ra_error *err) {
    if (kept->count < kept->room) return RA_OK;
    size_t room = kept->room ? 2 * kept->room : 1024;
    size_t *start = ra_malloc(room, sizeof *start);
    int32_t *slots = ra_malloc(2 * room, sizeof *slots);
    if (!start || !slots) {
        ra_free(start);
        ra_free(slots);
        RA_FAIL_MEMORY(err, "the list of tokens", room * (sizeof *start + 2 * sizeof *slots));
    }
    if (kept->count) memcpy(start, kept->start, kept->count * sizeof *start);
    ra_free(kept->start);
    ra_free(kept->slots);
    kept->start = start;
    kept->slots = slots;
    kept->room = room;
    kept->slot_count = 2 * room;
    memset(slots, -1, 2 * room * sizeof *slots);
    for (size_t i = 0; i < kept->count; i++) *slot_of(kept, kept->text.data + start[i]) = (int32_t)i;
    return RA_OK;
}

static ra_status number_token(ra_kept_tokens *kept, const char *token, int32_t *number, ra_error *err) {
    RA_TRY(grow(kept, err));
    int32_t *slot = slot_of(kept, token);
    if (*slot < 0) {
        size_t size = strlen(token) + 1;
        if (kept->text.size + size > RA_KEPT_TOKENS_MOST || kept->count == INT32_MAX)
            RA_FAIL(err, RA_ERR_TOO_LARGE,
                    "the different tokens of the rows that are kept have more than %d bytes; keep fewer "
                    "items and "
                    "rows",
                    RA_KEPT_TOKENS_MOST);
        kept->start[kept->count] = kept->text.size;
        ra_text_add_bytes(&kept->text, token, size);
        if (kept->text.failed) RA_FAIL_MEMORY(err, "the different tokens", kept->text.size + size);
        *slot = (int32_t)kept->count++;
    }
    *number = *slot;
    return RA_OK;
}

/* ---- which texts, and which rows ------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_row(const void *a, const void *b) {
    const place *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* kept->item [M] <- the different items that have codes. */
static ra_status list_items(ra_kept_tokens *kept, const ra_latent_statistics *statistics, ra_error *err) {
    const ra_latent_item_codes *codes = &statistics->item_codes;
    size_t all = codes->count * statistics->concepts, found = 0;
    if (all == 0) return RA_OK;
    kept->item = ra_malloc(all, sizeof *kept->item);
    if (!kept->item) RA_FAIL_MEMORY(err, "the items with tokens", all * sizeof *kept->item);
    for (size_t i = 0; i < all; i++)
        if (codes->item[i] >= 0) kept->item[found++] = codes->item[i];
    qsort(kept->item, found, sizeof *kept->item, by_number);
    for (size_t i = 0; i < found; i++)
        if (i == 0 || kept->item[i] != kept->item[i - 1]) kept->item[kept->items++] = kept->item[i];
    return RA_OK;
}

/* *words [count] <- all unknown. */
static ra_status make_words(size_t count, int32_t **words, ra_error *err) {
    *words = ra_malloc(count, sizeof **words);
    if (!*words) RA_FAIL_MEMORY(err, "the numbers of tokens", count * sizeof **words);
    memset(*words, -1, count * sizeof **words);
    return RA_OK;
}

static void add_places(ra_kept_tokens *kept, const int64_t *row, int32_t *word, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (row[i] >= 0) *kept->places_end++ = (place){row[i], word + i};
}

static ra_status list_rows(ra_kept_tokens *kept, const ra_latent_statistics *statistics, ra_error *err) {
    const ra_latent_quantiles *quantiles = &statistics->quantiles;
    size_t top = statistics->concepts * statistics->examples;
    size_t drawn = statistics->concepts * quantiles->count * quantiles->rows;
    RA_TRY(make_words(top, &kept->top, err));
    if (drawn) RA_TRY(make_words(drawn, &kept->quantile, err));
    kept->places = ra_malloc(top + drawn, sizeof *kept->places);
    if (!kept->places) RA_FAIL_MEMORY(err, "the rows with tokens", (top + drawn) * sizeof *kept->places);
    kept->next = kept->places_end = kept->places;
    add_places(kept, statistics->top_row, kept->top, top);
    if (drawn) add_places(kept, quantiles->row, kept->quantile, drawn);
    qsort(kept->places, (size_t)(kept->places_end - kept->places), sizeof *kept->places, by_row);
    return RA_OK;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

typedef struct reading {
    ra_kept_tokens *kept;
    int64_t first;  /* row of the text */
    int32_t *whole; /* [P] where the numbers of all its tokens go; NULL: only those of rows are kept */
} reading;

static bool awaits(const ra_kept_tokens *kept, int64_t before) {
    return kept->next < kept->places_end && kept->next->row < before;
}

static ra_status take_token(void *context, size_t row, const char *token, ra_error *err) {
    const reading *now = context;
    ra_kept_tokens *kept = now->kept;
    int64_t here = now->first + (int64_t)row;
    int32_t number = -1;
    while (awaits(kept, here)) kept->next++; /* of rows whose tokens the line leaves out */
    if (!now->whole && !awaits(kept, here + 1)) return RA_OK;
    RA_TRY(number_token(kept, token, &number, err));
    if (now->whole) now->whole[row] = number;
    while (awaits(kept, here + 1)) *kept->next++->word = number;
    return RA_OK;
}

static ra_status read_texts(ra_kept_tokens *kept, ra_token_lines *lines, ra_error *err) {
    int64_t P = (int64_t)kept->parts;
    size_t item = 0;
    while (item < kept->items || kept->next < kept->places_end) {
        int64_t of_item = item < kept->items ? kept->item[item] : INT64_MAX;
        int64_t of_row = kept->next < kept->places_end ? kept->next->row / P : INT64_MAX;
        int64_t text = of_item < of_row ? of_item : of_row;
        reading now = {.kept = kept, .first = text * P};
        if ((size_t)text >= ra_token_lines_texts(lines))
            RA_FAIL(err, RA_ERR_SHAPE, "there are tokens of %zu texts, but the statistics name text %lld",
                    ra_token_lines_texts(lines), (long long)text);
        if (of_item == text) now.whole = kept->word + item++ * kept->parts;
        RA_TRY(ra_token_lines_read(lines, (size_t)text, take_token, &now, err));
        while (awaits(kept, now.first + P)) kept->next++;
    }
    return RA_OK;
}

static ra_status keep(ra_kept_tokens *kept, const ra_latent_statistics *statistics, ra_token_lines *lines,
                      ra_error *err) {
    kept->parts = statistics->items.rows;
    if (kept->parts == 0 || kept->parts != ra_token_lines_rows(lines))
        RA_FAIL(err, RA_ERR_SHAPE, "there are tokens of texts of %zu rows, but items have %zu rows",
                ra_token_lines_rows(lines), kept->parts);
    RA_TRY(list_items(kept, statistics, err));
    if (kept->items) RA_TRY(make_words(kept->items * kept->parts, &kept->word, err));
    RA_TRY(list_rows(kept, statistics, err));
    RA_TRY(read_texts(kept, lines, err));
    return ra_labels_parse_texts(kept->text.data, kept->text.size, "the tokens", &kept->words, err);
}

ra_status ra_kept_tokens_new(ra_latent_statistics *statistics, ra_token_lines *lines, ra_kept_tokens **out,
                             ra_error *err) {
    ra_kept_tokens *kept = ra_calloc(1, sizeof *kept);
    if (!kept) RA_FAIL_MEMORY(err, "the tokens", sizeof *kept);
    ra_status status = keep(kept, statistics, lines, err);
    if (status != RA_OK) {
        ra_kept_tokens_free(kept);
        return status;
    }
    if (kept->count) /* else no latent is active */
        statistics->tokens = (ra_latent_tokens){.words = kept->words,
                                                .items = kept->items,
                                                .parts = kept->parts,
                                                .item = kept->items ? kept->item : NULL,
                                                .word = kept->word,
                                                .top = kept->top,
                                                .quantile = kept->quantile};
    *out = kept;
    return RA_OK;
}
