/* What the parts of a dictionary of mixtures share: its arrays as the backend's operations take them, and the
 * memory of pricing. */
#include "dictionary/mixture/mixture.h"
#include "ra_memory.h"

ra_mixture ra_mixture_view(const ra_dictionary *dictionary) {
    const ra_parameter *p = dictionary->parameters;
    return (ra_mixture){.atoms = dictionary->concepts,
                        .most = dictionary->mixture->most,
                        .points = dictionary->points,
                        .dimensions = dictionary->dimensions,
                        .C = p[RA_MIXTURE_POINTS].value,
                        .index = (int32_t *)(void *)p[RA_MIXTURE_INDEX].value,
                        .weight = p[RA_MIXTURE_WEIGHT].value,
                        .gram = dictionary->mixture->gram,
                        .relax = p[RA_MIXTURE_RELAX].value};
}

size_t ra_dictionary_mixture(const ra_dictionary *dictionary) {
    return dictionary->mixture ? dictionary->mixture->most : 0;
}

ra_status ra_mixture_points_changed(ra_dictionary *dictionary, ra_error *err) {
    ra_mixture view = ra_mixture_view(dictionary);
    ra_dictionary_changed(dictionary);
    return ra_backend_mixture_gram(dictionary->backend, &view, err);
}

size_t ra_mixture_price_atoms(size_t concepts, size_t candidates) {
    size_t count = (RA_MIXTURE_PRODUCTS * concepts + candidates - 1) / candidates;
    return count < 1 ? 1 : count < concepts ? count : concepts;
}

void ra_mixture_price_release(ra_dictionary *dictionary) {
    ra_mixture_price *price = &dictionary->mixture->price;
    void *const device[] = {price->vectors, price->relax,   price->scores,
                            price->list,    price->offered, price->picked};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        ra_backend_deallocate(dictionary->backend, device[i]);
    ra_free(price->host_list);
    ra_free(price->host_offered);
    ra_free(price->host_picked);
    ra_free(price->number);
    ra_codes_release(&price->best);
    *price = (ra_mixture_price){0};
}
