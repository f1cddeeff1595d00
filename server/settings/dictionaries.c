#include "settings/dictionaries.h"

static void items_of(const void *chosen, const char *name, ra_latent_items *items) {
    settings_items(chosen, name, items);
}

ra_status settings_open_dictionaries(const settings *chosen, registry_options options, registry **out,
                                     ra_error *err) {
    *out = NULL;
    options.settings = chosen->sae;
    options.private_below = chosen->private_below;
    options.verify = chosen->verify;
    options.items_of = items_of;
    options.items_context = chosen;
    options.folder = chosen->dictionary_dir;
    RA_TRY(registry_new(&options, out, err));
    for (size_t i = 0; i < chosen->dictionary.count; i++) {
        settings_dictionary_item item = settings_dictionary(chosen, i);
        RA_TRY(registry_add(*out, item.name, item.path, err));
    }
    return chosen->dictionary_dir ? registry_add_folder(*out, err) : RA_OK;
}
