/* Editing codes: encode, change some codes, decode. The decoder is affine, so only the codes that change are decoded, and
 * their part is added to the row itself or to its reconstruction. Whatever else the decoder does (mean, bias, the other
 * codes) is the same before and after. */
#include "model/moving.h"

#include <math.h>

static ra_status check_edits(const ra_model *model, const ra_edit *edits, size_t count, ra_error *err) {
    for (size_t i = 0; i < count; i++) {
        if (edits[i].atom >= model->info.concepts)
            RA_FAIL(err, RA_ERR_ARGUMENT, "edit %zu is of atom %zu; expected 0 to %zu", i, edits[i].atom,
                    model->info.concepts - 1);
        if (edits[i].op != RA_EDIT_ABLATE && !isfinite(edits[i].value))
            RA_FAIL(err, RA_ERR_NOT_FINITE, "edit %zu, of atom %zu, has no finite value", i, edits[i].atom);
    }
    return RA_OK;
}

static float code_of(const ra_codes *codes, size_t row, size_t atom) {
    size_t low = codes->start[row], end = codes->start[row + 1], high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((size_t)codes->index[middle] < atom)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && (size_t)codes->index[low] == atom ? codes->value[low] : 0;
}

static float edited(const ra_edit *edit, float code) {
    switch (edit->op) {
    case RA_EDIT_SET:
        return edit->value;
    case RA_EDIT_SCALE:
        return edit->value * code;
    case RA_EDIT_ADD:
        return code + edit->value;
    case RA_EDIT_CLAMP:
        return code < edit->value ? code : edit->value;
    default:
        return 0;
    }
}

/* *earlier [count] <- for each edit the last one before it of the same atom, or SIZE_MAX. */
static ra_status find_earlier(const ra_edit *edits, size_t count, ra_workspace *workspace,
                              const size_t **earlier, ra_error *err) {
    void *memory = NULL;
    RA_TRY(ra_scratch_reserve(&workspace->share, "edits", count + 1, sizeof(size_t), &memory, err));
    size_t *found = memory;
    for (size_t i = 0; i < count; i++) {
        found[i] = SIZE_MAX;
        for (size_t j = i; j-- > 0 && found[i] == SIZE_MAX;)
            if (edits[j].atom == edits[i].atom) found[i] = j;
    }
    *earlier = found;
    return RA_OK;
}

/* before, after [rows,count] <- those of one chunk, whose codes are given. */
static ra_status edit_codes(const ra_codes *codes, const ra_edit *edits, const size_t *earlier, size_t count,
                            size_t first, float *before, float *after, ra_error *err) {
    for (size_t row = 0; row < codes->rows; row++, before += count, after += count)
        for (size_t i = 0; i < count; i++) {
            before[i] = earlier[i] < i ? after[earlier[i]] : code_of(codes, row, edits[i].atom);
            after[i] = edited(&edits[i], before[i]);
            if (!isfinite(after[i]))
                RA_FAIL(err, RA_ERR_NOT_FINITE,
                        "the code of atom %zu for input %zu is beyond float32 after edit %zu", edits[i].atom,
                        first + row, i);
        }
    return RA_OK;
}

static void move(ra_moving *moving, const ra_edit *edits, size_t count, size_t rows, const float *before,
                 const float *after) {
    for (size_t i = 0; i < count; i++) {
        ra_moving_direction(moving, edits[i].atom);
        for (size_t row = 0; row < rows; row++) {
            double change = (double)after[row * count + i] - (double)before[row * count + i];
            if (change != 0) ra_moving_add(moving, row, change);
        }
    }
}

ra_status ra_model_edit(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                        bool keep_error, const ra_edit *edits, size_t count, float *out, float *before,
                        float *after, ra_error *err) {
    size_t d = model->info.dimensions;
    const size_t *earlier;
    const ra_codes *codes = &workspace->codes;
    ra_moving moving;
    RA_TRY(check_edits(model, edits, count, err));
    RA_TRY(ra_model_check_rows("input", x, rows, d, err));
    RA_TRY(ra_moving_reserve(model, workspace, &moving, err));
    RA_TRY(find_earlier(edits, count, workspace, &earlier, err));
    for (size_t from = 0; from < rows; from += RA_MOVING_ROWS) {
        size_t part = rows - from < RA_MOVING_ROWS ? rows - from : RA_MOVING_ROWS;
        float *to = out + from * d, *old = before + from * count, *fresh = after + from * count;
        RA_TRY(ra_model_encode(model, workspace, x + from * d, part, &workspace->codes, err));
        RA_TRY(edit_codes(codes, edits, earlier, count, from, old, fresh, err));
        if (!keep_error) RA_TRY(ra_model_reconstruct(model, workspace, codes, to, err));
        ra_moving_load(&moving, keep_error ? x + from * d : to, part);
        move(&moving, edits, count, part, old, fresh);
        RA_TRY(ra_moving_store(&moving, from, part, to, err));
    }
    return RA_OK;
}
