/* The latents that are active together with that of an atom, as `rasae eval --save` keeps them in the file: a list by each
 * measure, the strongest first. Nothing is computed here. */
#include "api/fields.h"
#include "app/latent_json.h"

enum { DEFAULT_PARTNERS = 10 };

static ra_status need_partners(const api_call *call, const ra_latent_statistics **latents, ra_error *err) {
    *latents = ra_model_latent_statistics(api_model(call));
    if (*latents && (*latents)->cofiring.partners) return RA_OK;
    RA_FAIL_FACTS(
        err, RA_ERR_STATE, (.kind = PROBLEM_NOT_HELD),
        "the file of dictionary %s does not say which latents are active together; rasae eval MODEL "
        "DATA --save MODEL adds that",
        call->dictionary->name);
}

ra_status api_cofiring(api_call *call, ra_error *err) {
    static const char *const measures[] = {[RA_COFIRING_COUNT] = "count",
                                           [RA_COFIRING_PMI] = "pmi",
                                           [RA_COFIRING_CORRELATION] = "correlation",
                                           NULL};
    const ra_latent_statistics *latents;
    ra_latent_partner partner;
    atom_fields fields;
    size_t k;
    int measure;
    RA_TRY(api_check_atom(call, call->index, err));
    RA_TRY(fields_query(call, ATOM_LABEL, &fields, err));
    RA_TRY(api_query_count(call, "k", DEFAULT_PARTNERS, 1, SIZE_MAX, &k, err));
    RA_TRY(api_choose_name(call, "measure", measures, -1, RA_COFIRING_PMI, &measure, err));
    RA_TRY(need_partners(call, &latents, err));
    text *out = api_json(call);
    call->response->cacheable = true;
    json_object(out, NULL);
    json_count(out, "atom", call->index);
    json_text(out, "measure", measures[measure]);
    json_count(out, "rows", latents->rows);
    json_count(out, "count", (size_t)latents->count[call->index]);
    json_count(out, "least", latents->cofiring.least);
    json_array(out, "partners");
    for (size_t t = 0; t < k && ra_latent_statistics_partner(latents, (ra_cofiring_measure)measure,
                                                             call->index, t, &partner);
         t++) {
        RA_TRY(fields_read(&fields, partner.latent, err));
        json_object(out, NULL);
        json_count(out, "atom", partner.latent);
        json_latent_partner(out, &partner);
        json_atom_parts(out, fields.model, partner.latent, fields.parts, &fields.numbers);
        json_object_end(out);
        RA_TRY(api_check_reply(call, err));
    }
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}
