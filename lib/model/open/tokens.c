/* The tokens of texts, which `rasae eval --save --tokens` adds to an artifact. The list of words is copied and checked; the
 * numbers are used in the mapping, where others may write them, so that each is compared with the list when it is read. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum token_tensor { ITEM, WORD, TOP, QUANTILE, TOKEN_TENSORS };

static const char *const names[TOKEN_TENSORS] = {[ITEM] = "latents.token_item",
                                                 [WORD] = "latents.token_word",
                                                 [TOP] = "latents.top_token",
                                                 [QUANTILE] = "latents.quantile_token"};

static const char words_name[] = "latents.token_words";

/* ---- opening ------------------------------------------------------------------------------------------ */

static ra_status read_words(ra_model *model, const ra_tensor *texts, ra_error *err) {
    char where[RA_ERROR_MESSAGE_SIZE];
    RA_TRY(ra_model_check_tensor(model->info.path, words_name, texts, RA_U8, 1, 0, 0, err));
    snprintf(where, sizeof where, "%s: %s", model->info.path, words_name);
    RA_TRY(ra_labels_parse_texts(texts->data, texts->shape[0], where, &model->token_words, err));
    model->info.bytes += texts->shape[0];
    return RA_OK;
}

/* A tensor of numbers of words, of rows * cols; unchanged *numbers if there is none and none is required. */
static ra_status read_numbers(const ra_model *model, const ra_safetensors *file, enum token_tensor which,
                              size_t rows, size_t cols, const int32_t **numbers, ra_error *err) {
    const char *path = model->info.path, *name = names[which];
    size_t words = ra_labels_count(model->token_words);
    ra_tensor tensor;
    RA_TRY(ra_safetensors_get(file, name, &tensor, err));
    RA_TRY(ra_model_check_tensor(path, name, &tensor, RA_I32, 2, rows, cols, err));
    const int32_t *found = tensor.data;
    for (size_t i = 0; i < rows * cols; i++)
        if (found[i] < -1 || (found[i] >= 0 && (size_t)found[i] >= words))
            RA_FAIL(err, RA_ERR_FORMAT,
                    "%s: %s holds %d at [%zu, %zu]; expected the number of one of %zu tokens, or -1", path,
                    name, found[i], i / cols, i % cols, words);
    *numbers = found;
    return RA_OK;
}

static ra_status read_items(const ra_model *model, const ra_safetensors *file, ra_latent_tokens *tokens,
                            ra_error *err) {
    const char *path = model->info.path;
    ra_tensor item;
    if (!ra_safetensors_find(file, names[ITEM]) && !ra_safetensors_find(file, names[WORD])) return RA_OK;
    if (model->statistics.items.rows == 0)
        RA_FAIL(err, RA_ERR_FORMAT, "%s holds %s, but its metadata have no latents.item_shape", path,
                names[ITEM]);
    RA_TRY(ra_safetensors_get(file, names[ITEM], &item, err));
    RA_TRY(ra_model_check_tensor(path, names[ITEM], &item, RA_I64, 1, 0, 0, err));
    tokens->item = item.data;
    tokens->items = item.shape[0];
    tokens->parts = model->statistics.items.rows;
    for (size_t i = 0; i < tokens->items; i++)
        if (tokens->item[i] < 0 || (i > 0 && tokens->item[i] <= tokens->item[i - 1]))
            RA_FAIL(err, RA_ERR_FORMAT, "%s: %s holds %lld at [%zu]; expected items from 0 on, ascending",
                    path, names[ITEM], (long long)tokens->item[i], i);
    return read_numbers(model, file, WORD, tokens->items, tokens->parts, &tokens->word, err);
}

ra_status ra_model_open_tokens(ra_model *model, const ra_safetensors *file, ra_error *err) {
    const ra_latent_statistics *statistics = &model->statistics;
    const ra_tensor *texts = ra_safetensors_find(file, words_name);
    size_t K = model->info.concepts, drawn = statistics->quantiles.count * statistics->quantiles.rows;
    ra_latent_tokens tokens = {0};
    for (size_t i = 0; !texts && i < TOKEN_TENSORS; i++)
        if (ra_safetensors_find(file, names[i]))
            RA_FAIL(err, RA_ERR_FORMAT, "%s holds %s without %s, whose numbers they are", model->info.path,
                    names[i], words_name);
    if (!texts) return RA_OK;
    RA_TRY(read_words(model, texts, err));
    RA_TRY(read_items(model, file, &tokens, err));
    RA_TRY(read_numbers(model, file, TOP, K, statistics->examples, &tokens.top, err));
    if (drawn) RA_TRY(read_numbers(model, file, QUANTILE, K, drawn, &tokens.quantile, err));
    tokens.words = model->token_words;
    model->statistics.tokens = tokens;
    return RA_OK;
}

/* ---- saving and reading --------------------------------------------------------------------------------- */

size_t ra_model_token_tensors(const ra_latent_statistics *statistics, const char **tensor_names,
                              ra_tensor *tensors) {
    const ra_latent_tokens *tokens = &statistics->tokens;
    size_t K = statistics->concepts, count = 0;
    const ra_tensor all[TOKEN_TENSORS] = {
        [ITEM] = ra_tensor_1d(RA_I64, tokens->item, tokens->items),
        [WORD] = ra_tensor_2d(RA_I32, tokens->word, tokens->items, tokens->parts),
        [TOP] = ra_tensor_2d(RA_I32, tokens->top, K, statistics->examples),
        [QUANTILE] = ra_tensor_2d(RA_I32, tokens->quantile, K,
                                  statistics->quantiles.count * statistics->quantiles.rows),
    };
    for (size_t i = 0; i < TOKEN_TENSORS; i++)
        if (all[i].data) {
            tensor_names[count] = names[i];
            tensors[count++] = all[i];
        }
    return count;
}

ra_status ra_model_add_token_words(const ra_latent_statistics *statistics, ra_text *text, ra_tensor *tensor,
                                   const char **name, ra_error *err) {
    const ra_labels *words = statistics->tokens.words;
    for (size_t i = 0; i < ra_labels_count(words); i++) {
        const char *word = ra_labels_at(words, i);
        ra_text_add_bytes(text, word, strlen(word) + 1);
    }
    if (text->failed) RA_FAIL_MEMORY(err, words_name, text->size);
    *name = words_name;
    *tensor = ra_tensor_1d(RA_U8, text->data, text->size);
    return RA_OK;
}

const char *ra_latent_tokens_word(const ra_latent_tokens *tokens, int32_t word) {
    return tokens->words && word >= 0 ? ra_labels_at(tokens->words, (size_t)word) : NULL;
}

static int compare_items(const void *wanted, const void *found) {
    int64_t x = *(const int64_t *)wanted, y = *(const int64_t *)found;
    return (x > y) - (x < y);
}

const int32_t *ra_latent_tokens_item(const ra_latent_tokens *tokens, size_t item) {
    int64_t wanted = (int64_t)item;
    const int64_t *found =
        tokens->items ? bsearch(&wanted, tokens->item, tokens->items, sizeof wanted, compare_items) : NULL;
    return found ? tokens->word + (size_t)(found - tokens->item) * tokens->parts : NULL;
}
