/* rasae inspect: what is in a file.
 *
 * Any .npy or .safetensors is listed. One that holds a model is opened as well, for its sizes and a taste of
 * its atoms; what then stands in the way (a setting that the metadata lacks) is said, and the list is printed
 * all the same, since that is what one needs to look at. A checkpoint whose fuse would take long is not fused
 * just for a look. */
#include "command.h"
#include "device_memory.h"
#include "files.h"
#include "app/format.h"
#include "app/json.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_OF_A_POINT = 3, ARCHETYPES_OF_AN_ATOM = 4, ATOMS_DEFAULT = 5, ATOMS_MOST = 1000 };
static const double SLOW_FUSE = 2e11; /* multiplications, K N d: some seconds */

typedef struct inspect_options {
    const char *path;
    size_t atoms;
    bool json, device_memory;
    model_choice model;
} inspect_options;

static const option rows[] = {
    {.name = "atoms",
     .type = OPTION_COUNT,
     .offset = offsetof(inspect_options, atoms),
     .max = ATOMS_MOST,
     .argument = "A",
     .help = "atoms to show, largest norm first (5)"},
    {.name = "json",
     .type = OPTION_SWITCH,
     .offset = offsetof(inspect_options, json),
     .help = "one JSON object"},
    {.name = "device-memory",
     .type = OPTION_SWITCH,
     .offset = offsetof(inspect_options, device_memory),
     .help = "says what a device needs to serve it, with --threads (1)"},
};

typedef struct inspection {
    const inspect_options *options;
    const char *kind;
    uint64_t bytes;
    ra_npy *npy; /* one of the two */
    ra_safetensors *file;
    ra_model *model;   /* NULL when there is none, or it is not opened */
    ra_error problem;  /* why it is not opened; code RA_OK when nothing is wrong */
    size_t *strongest; /* [shown] atoms */
    size_t shown;
} inspection;

/* ---- looking ----------------------------------------------------------------------------------------- */

static const struct kind_row {
    const char *tensor, *kind; /* the first tensor that is there decides */
    bool model;
} kinds[] = {
    {"dictionary", "fused artifact", true},
    {"dictionary.W", "checkpoint", true},
    {"dictionary._weights", "checkpoint of a plain dictionary", true},
    {"codes.start", "sparse codes", false},
};

static const struct kind_row *kind_of(const ra_safetensors *file) {
    static const struct kind_row other = {NULL, "tensors", false};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ra_safetensors_find(file, kinds[i].tensor)) return &kinds[i];
    return &other;
}

static bool is_slow(const ra_safetensors *file) {
    const ra_tensor *W = ra_safetensors_find(file, "dictionary.W"),
                    *C = ra_safetensors_find(file, "dictionary.C");
    if (ra_safetensors_find(file, "dictionary") || !W || !C || W->rank != 2 || C->rank != 2) return false;
    return (double)W->shape[0] * (double)W->shape[1] * (double)C->shape[1] > SLOW_FUSE;
}

/* Atoms by falling norm; of equals the lower index first. */
static int by_norm(const void *a, const void *b, void *context) {
    size_t first = *(const size_t *)a, second = *(const size_t *)b;
    float x = ra_model_atom_norm(context, first), y = ra_model_atom_norm(context, second);
    return x != y ? (x < y ? 1 : -1) : (first > second) - (first < second);
}

static ra_status rank_atoms(inspection *in, ra_error *err) {
    size_t K = ra_model_get_info(in->model)->concepts;
    in->strongest = ra_malloc(K, sizeof *in->strongest);
    if (!in->strongest) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: an order of %zu atoms", K);
    for (size_t k = 0; k < K; k++) in->strongest[k] = k;
    qsort_r(in->strongest, K, sizeof *in->strongest, by_norm, in->model);
    in->shown = in->options->atoms < K ? in->options->atoms : K;
    return RA_OK;
}

static ra_status open_model(inspection *in, ra_error *err) {
    if (is_slow(in->file)) {
        ra_error_set(&in->problem, RA_ERR_STATE,
                     "its fuse takes a while: look at what `rasae fuse` makes of it");
        return RA_OK;
    }
    if (model_choice_open(&in->options->model, in->options->path, 0, &in->model, &in->problem) != RA_OK)
        return RA_OK; /* said in the report; inspect() decides whether it is a failure */
    return rank_atoms(in, err);
}

static ra_status look(inspection *in, ra_error *err) {
    const char *path = in->options->path;
    ra_mapping mapping;
    bool npy;
    RA_TRY(ra_mapping_open(path, &mapping, err));
    in->bytes = mapping.size;
    ra_mapping_close(&mapping);
    RA_TRY(file_is_npy(path, &npy, err));
    if (npy) {
        in->kind = "npy array";
        return ra_npy_open(path, &in->npy, err);
    }
    RA_TRY(ra_safetensors_open(path, &in->file, err));
    const struct kind_row *kind = kind_of(in->file);
    in->kind = kind->kind;
    return kind->model ? open_model(in, err) : RA_OK;
}

static size_t tensor_count(const inspection *in) {
    return in->npy ? 1 : ra_safetensors_count(in->file);
}

static const ra_tensor *tensor_at(const inspection *in, size_t i, const char **name) {
    *name = in->npy ? "array" : ra_safetensors_name(in->file, i);
    return in->npy ? ra_npy_tensor(in->npy) : ra_safetensors_at(in->file, i);
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

static void json_tensors(const inspection *in, text *json) {
    json_array(json, "tensors");
    for (size_t i = 0; i < tensor_count(in); i++) {
        const char *name;
        const ra_tensor *tensor = tensor_at(in, i, &name);
        json_object(json, NULL);
        json_text(json, "name", name);
        json_text(json, "dtype", ra_dtype_name(tensor->dtype));
        json_array(json, "shape");
        for (int r = 0; r < tensor->rank; r++) json_count(json, NULL, tensor->shape[r]);
        json_array_end(json);
        json_count(json, "bytes", ra_tensor_bytes(tensor));
        json_object_end(json);
    }
    json_array_end(json);
}

static void json_metadata(const inspection *in, text *json) {
    const char *key;
    json_object(json, "metadata");
    for (size_t i = 0; in->file && (key = ra_safetensors_metadata_key(in->file, i)); i++)
        json_text(json, key, ra_safetensors_metadata(in->file, key));
    json_object_end(json);
}

static void json_archetype(const ra_model *model, const ra_archetype *archetype, text *json) {
    ra_point_row near[ROWS_OF_A_POINT];
    size_t count = ra_model_point_rows(model, archetype->point, near, ROWS_OF_A_POINT);
    json_object(json, NULL);
    json_count(json, "point", archetype->point);
    json_float(json, "weight", archetype->weight);
    json_text(json, "label", archetype->label);
    json_array(json, "rows");
    for (size_t r = 0; r < count && r < ROWS_OF_A_POINT; r++) {
        json_object(json, NULL);
        json_count(json, "row", near[r].row);
        json_float(json, "distance", near[r].distance);
        json_text(json, "label", near[r].label);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

static void json_atom(const ra_model *model, size_t atom, text *json) {
    ra_archetype archetypes[ARCHETYPES_OF_AN_ATOM];
    size_t count = ra_model_atom_archetypes(model, atom, archetypes, ARCHETYPES_OF_AN_ATOM);
    json_object(json, NULL);
    json_count(json, "atom", atom);
    json_float(json, "norm", ra_model_atom_norm(model, atom));
    json_float(json, "relaxation", ra_model_atom_relaxation(model, atom));
    json_text(json, "label", ra_model_atom_label(model, atom));
    json_array(json, "archetypes");
    for (size_t a = 0; a < count && a < ARCHETYPES_OF_AN_ATOM; a++)
        json_archetype(model, &archetypes[a], json);
    json_array_end(json);
    json_object_end(json);
}

static void json_model(const inspection *in, text *json) {
    const ra_model_info *info = ra_model_get_info(in->model);
    json_object(json, "model");
    json_count(json, "concepts", info->concepts);
    json_count(json, "dimensions", info->dimensions);
    json_count(json, "points", info->points);
    json_count(json, "archetypes", info->archetypes);
    json_text(json, "dtype", ra_dtype_name(info->dtype));
    json_bool(json, "from_checkpoint", info->from_checkpoint);
    json_bool(json, "has_encoder", info->has_encoder);
    json_bool(json, "standardized", info->has_standardization);
    json_bool(json, "has_point_labels", info->has_point_labels);
    json_bool(json, "has_atom_labels", info->has_atom_labels);
    json_count(json, "bytes", info->bytes);
    json_object_end(json);
    json_array(json, "atoms");
    for (size_t i = 0; i < in->shown; i++) json_atom(in->model, in->strongest[i], json);
    json_array_end(json);
}

static ra_status print_json(const inspection *in, ra_error *err) {
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "path", in->options->path);
    json_text(&json, "kind", in->kind);
    json_count(&json, "bytes", in->bytes);
    json_tensors(in, &json);
    json_metadata(in, &json);
    if (in->model) json_model(in, &json);
    if (in->model && in->options->device_memory)
        json_device_memory(&json, in->model, in->options->model.threads);
    if (in->problem.code != RA_OK) json_text(&json, "problem", in->problem.message);
    json_object_end(&json);
    return json_print(&json, stdout, err);
}

/* ---- text -------------------------------------------------------------------------------------------- */

static void print_tensors(const inspection *in) {
    size_t width = 0;
    for (size_t i = 0; i < tensor_count(in); i++) {
        const char *name;
        tensor_at(in, i, &name);
        if (strlen(name) > width) width = strlen(name);
    }
    printf("\nTensors\n");
    for (size_t i = 0; i < tensor_count(in); i++) {
        const char *name;
        char shape[256];
        const ra_tensor *tensor = tensor_at(in, i, &name);
        printf("  ");
        print_clean(stdout, name);
        printf("%*s  %-4s  %-16s %9s\n", (int)(width - strlen(name)), "", ra_dtype_name(tensor->dtype),
               ra_shape_text(tensor->rank, tensor->shape, shape, sizeof shape),
               format_bytes(ra_tensor_bytes(tensor)).text);
    }
}

static void print_metadata(const inspection *in) {
    const char *key;
    if (!in->file || !ra_safetensors_metadata_key(in->file, 0)) return;
    printf("\nMetadata\n");
    for (size_t i = 0; (key = ra_safetensors_metadata_key(in->file, i)); i++) {
        printf("  ");
        print_clean(stdout, key);
        printf("%*s  ", (int)(strlen(key) < 20 ? 20 - strlen(key) : 0), "");
        print_clean(stdout, ra_safetensors_metadata(in->file, key));
        putchar('\n');
    }
}

/* "cat, dog, pet": the point's label, else what lies nearest to it. */
static void print_point_words(const ra_model *model, const ra_archetype *archetype) {
    ra_point_row near[ROWS_OF_A_POINT];
    size_t count = ra_model_point_rows(model, archetype->point, near, ROWS_OF_A_POINT);
    if (archetype->label) {
        print_clean(stdout, archetype->label);
        return;
    }
    for (size_t r = 0; r < count && r < ROWS_OF_A_POINT; r++) {
        printf("%s", r ? ", " : "");
        if (near[r].label)
            print_clean(stdout, near[r].label);
        else
            printf("row %zu", near[r].row);
    }
}

static void print_atom(const ra_model *model, size_t atom) {
    const char *label = ra_model_atom_label(model, atom);
    ra_archetype archetypes[ARCHETYPES_OF_AN_ATOM];
    size_t count = ra_model_atom_archetypes(model, atom, archetypes, ARCHETYPES_OF_AN_ATOM);
    printf("  atom %zu: norm %.4g", atom, (double)ra_model_atom_norm(model, atom));
    if (ra_model_get_info(model)->has_relaxation)
        printf(", relaxation %.4g", (double)ra_model_atom_relaxation(model, atom));
    if (label) {
        printf(", ");
        print_clean(stdout, label);
    }
    putchar('\n');
    for (size_t a = 0; a < count && a < ARCHETYPES_OF_AN_ATOM; a++) {
        printf("    %.3f of point %zu  ", (double)archetypes[a].weight, archetypes[a].point);
        print_point_words(model, &archetypes[a]);
        putchar('\n');
    }
}

static void print_model(const inspection *in) {
    const ra_model_info *info = ra_model_get_info(in->model);
    printf("  %s concepts of %zu dimensions", format_grouped(info->concepts).text, info->dimensions);
    if (info->points) printf(" on %s points", format_grouped(info->points).text);
    printf(info->has_encoder ? "" : "; no encoder: it reconstructs, but does not encode");
    printf(info->has_standardization ? "; inputs are standardized" : "");
    putchar('\n');
}

static void print_text(const inspection *in) {
    print_clean(stdout, in->options->path);
    printf(": %s, %s\n", in->kind, format_bytes(in->bytes).text);
    if (in->model) print_model(in);
    if (in->problem.code != RA_OK) printf("  not opened as a model: %s\n", in->problem.message);
    if (in->model && in->options->device_memory) print_device_memory(in->model, in->options->model.threads);
    print_tensors(in);
    print_metadata(in);
    if (in->shown) printf("\nAtoms of the largest norm\n");
    for (size_t i = 0; i < in->shown; i++) print_atom(in->model, in->strongest[i]);
}

/* ---- the command ------------------------------------------------------------------------------------- */

static ra_status inspect(const inspect_options *options, ra_error *err) {
    inspection in = {.options = options};
    ra_status status = look(&in, err);
    if (status == RA_OK) {
        if (options->json)
            status = print_json(&in, err);
        else
            print_text(&in);
        bool broken =
            in.problem.code != RA_OK && in.problem.code != RA_ERR_SETTING && in.problem.code != RA_ERR_STATE;
        if (broken && status == RA_OK) status = ra_error_set(err, in.problem.code, "%s", in.problem.message);
    }
    ra_free(in.strongest);
    ra_model_release(in.model);
    ra_safetensors_free(in.file);
    ra_npy_free(in.npy);
    return status;
}

int command_inspect(int argc, char **argv) {
    inspect_options options = {.atoms = ATOMS_DEFAULT, .model.device = "cpu"}; /* a look takes no device */
    const option_group groups[] = {
        {"Flags", rows, sizeof rows / sizeof *rows, NULL, &options, NULL},
        {NULL, model_options, MODEL_OPTION_COUNT, NULL, &options.model, NULL},
        {MODEL_SETTINGS_TITLE, NULL, 0, ra_sae_settings_table(), &options.model.settings, NULL},
    };
    const command_line line = {
        .command = "inspect",
        .usage = "FILE [--json] [--device-memory]",
        .about = "Says what a .safetensors or .npy file is and holds. Of a model it shows the atoms of\n"
                 "the largest norm with the points they are made of, in the words of the training data\n"
                 "when there were --labels. With --device-memory also what it takes of a device that\n"
                 "serves it, beside what the device's own libraries take.\n",
        .example = "  rasae inspect words.safetensors\n"
                   "  rasae inspect words.safetensors --atoms 20 --json\n"
                   "  rasae inspect words.safetensors --device-memory --threads 4\n",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .min_arguments = 1,
        .max_arguments = 1,
        .arguments = "one FILE",
    };
    ra_error err = {0};
    command_line_result parsed = command_line_parse(&line, &argc, argv);
    if (parsed != LINE_GOOD) return parsed == LINE_HELP ? EXIT_GOOD : EXIT_USAGE;
    options.path = argv[0];
    return command_end(inspect(&options, &err), &err);
}
