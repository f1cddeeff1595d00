/* The items in which the latent of an atom is strongest, with its code on every row of each: the patches of an image, to lay
 * over it as a heat map, or the tokens of a text. `rasae eval --save --items` keeps them; nothing is computed here. */
#include "api/forms.h"
#include "app/atom_json.h"

enum { DEFAULT_ITEMS = 5 };

static ra_status need_items(const api_call *call, const ra_latent_statistics **latents, ra_error *err) {
    *latents = ra_model_latent_statistics(api_model(call));
    if (*latents && (*latents)->item_codes.count) return RA_OK;
    RA_FAIL_FACTS(
        err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
        "the file of dictionary %s does not hold the codes of items; rasae eval MODEL DATA --items 5 "
        "--save MODEL adds them",
        call->dictionary->name);
}

/* How many of the k the atom has. */
static size_t count_items(const ra_latent_statistics *latents, size_t atom, size_t k) {
    ra_latent_item item;
    size_t count = 0;
    while (count < k && ra_latent_statistics_item(latents, atom, count, &item)) count++;
    return count;
}

/* null where they are not known: of all rows, or of some, as those of class and register tokens. */
static void write_tokens(const ra_latent_statistics *latents, const ra_latent_item *item, size_t parts,
                         text *out) {
    if (!item->words) {
        json_null(out, "tokens");
        return;
    }
    json_array(out, "tokens");
    for (size_t p = 0; p < parts; p++)
        json_text(out, NULL, ra_latent_tokens_word(&latents->tokens, item->words[p]));
    json_array_end(out);
}

ra_status api_items(api_call *call, ra_error *err) {
    const ra_latent_statistics *latents;
    size_t k, atom = call->index;
    ra_latent_item item;
    RA_TRY(api_check_atom(call, atom, err));
    RA_TRY(api_query_count(call, "k", DEFAULT_ITEMS, 1, SIZE_MAX, &k, err));
    RA_TRY(need_items(call, &latents, err));
    const ra_latent_item_codes *kept = &latents->item_codes;
    size_t count = count_items(latents, atom, k);
    call->response->cacheable = true;
    if (call->request->reply_form != FORM_JSON) {
        const float *codes = kept->codes + atom * kept->count * kept->parts;
        const ra_tensor tensor = ra_tensor_2d(RA_F32, codes, count, kept->parts);
        return forms_reply_in_place(call, &tensor, err);
    }
    row_places places = api_row_places(call);
    places.rows = 0; /* these are of the data that was measured */
    text *out = api_json(call);
    json_object(out, NULL);
    json_count(out, "atom", atom);
    json_item_shape(out, "shape", &latents->items);
    json_array(out, "items");
    for (size_t t = 0; t < count && ra_latent_statistics_item(latents, atom, t, &item); t++) {
        json_object(out, NULL);
        json_count(out, "item", item.item);
        json_count(out, "row", item.item * kept->parts + item.position);
        json_count(out, "position", item.position);
        json_float(out, "value", item.value);
        json_text(out, "label", item.label);
        json_row_media(out, &places, item.item * kept->parts + item.position, item.label);
        json_floats(out, "codes", item.codes, kept->parts);
        write_tokens(latents, &item, kept->parts, out);
        json_object_end(out);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}
