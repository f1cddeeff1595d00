/* rasae inspect: what is in a file.
 *
 * The tensors of any .npy, .npz, .safetensors or .pt are listed. A file that holds a model is also opened, for its sizes and some
 * of its atoms. If that fails (the metadata lacks a setting), the reason is printed and the list as well, since it
 * shows what is missing. A checkpoint that would take long to fuse is not fused for this. */
#include "app/atom_json.h"
#include "app/format.h"
#include "app/model_json.h"
#include "commands.h"
#include "common/files.h"
#include "inspect/inspect.h"
#include "report/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float SMALL = 0.005f;
enum { ROWS_OF_A_POINT = 3, ARCHETYPES_OF_AN_ATOM = 4, ATOMS_MOST = 1000 };
static const double SLOW_FUSE = 2e11, /* multiplications, K N d: some seconds */
    LEAST = 0.0005;                   /* of an atom; less would be written as 0.000 */

static struct inspect_flags {
    uint64_t known;
    size_t atoms;
    bool json, device_memory, verify;
    model_choice model;
} flags;

#define AT(member) offsetof(struct inspect_flags, member)

static const ra_setting rows[] = {
    {"atoms", RA_SETTING_COUNT, AT(atoms), .max = ATOMS_MOST, .fallback = "5", .argument = "A",
     .help = "atoms to show, the strongest first"},
    {"json", RA_SETTING_BOOL, AT(json), .help = "print one JSON object"},
    {"verify", RA_SETTING_BOOL, AT(verify),
     .help = "compare a file of more than 128 MiB, too, with the digest in it"},
    {"device_memory", RA_SETTING_BOOL, AT(device_memory),
     .help = "print the device memory that serving needs, with --threads (1)"},
};

typedef struct inspection {
    const char *path, *kind;
    char *file_path; /* path, or the file in it, if that is a folder */
    uint64_t bytes;
    ra_npy *npy; /* one of the three */
    ra_npz *npz;
    ra_safetensors *file;
    ra_tensor *arrays; /* of the npz, without their data */
    ra_model *model;   /* NULL when there is none, or it is not opened */
    bool is_model;     /* by its tensors */
    ra_error problem;  /* why it is not opened; code RA_OK when nothing is wrong */
    size_t *strongest; /* [shown] atoms */
    size_t shown;
} inspection;

/* ---- looking ----------------------------------------------------------------------------------------- */

static const struct kind_row {
    const char *tensor, *kind; /* the first tensor that the file has decides */
    bool model;
} kinds[] = {
    {"dictionary", "fused artifact", true},
    {"dictionary.W", "checkpoint", true},
    {"dictionary.W.index", "checkpoint", true},
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

/* How much an atom contributes on the data it was measured on; without statistics, its norm. */
static float strength(const ra_model *model, size_t atom) {
    const ra_latent_statistics *latents = ra_model_latent_statistics(model);
    return latents ? latents->energy[atom] : ra_model_atom_norm(model, atom);
}

/* Atoms by falling strength; the lower index first if equal. */
static int by_strength(const void *a, const void *b, void *context) {
    size_t first = *(const size_t *)a, second = *(const size_t *)b;
    float x = strength(context, first), y = strength(context, second);
    return x != y ? (x < y ? 1 : -1) : (first > second) - (first < second);
}

static ra_status rank_atoms(inspection *in, ra_error *err) {
    size_t K = ra_model_get_info(in->model)->concepts;
    in->strongest = ra_malloc(K, sizeof *in->strongest);
    if (!in->strongest) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: an order of %zu atoms", K);
    for (size_t k = 0; k < K; k++) in->strongest[k] = k;
    qsort_r(in->strongest, K, sizeof *in->strongest, by_strength, in->model);
    in->shown = flags.atoms < K ? flags.atoms : K;
    return RA_OK;
}

static ra_status open_model(inspection *in, ra_error *err) {
    if (is_slow(in->file)) {
        ra_error_set(&in->problem, RA_ERR_STATE,
                     "its fuse takes a while; run `rasae fuse` and inspect the artifact");
        return RA_OK;
    }
    if (model_choice_open(&flags.model, in->path, 0, &in->model, &in->problem) != RA_OK)
        return RA_OK; /* the report shows it; inspect() decides whether it is a failure */
    return rank_atoms(in, err);
}

static ra_status look_at_archive(inspection *in, ra_error *err) {
    RA_TRY(ra_npz_open(in->path, &in->npz, err));
    size_t count = ra_npz_count(in->npz);
    in->kind = "npz archive of arrays";
    if (count == 0) { /* named as what it is, with what to do */
        ra_array *array = NULL;
        return ra_array_open(in->path, NULL, &array, err);
    }
    in->arrays = ra_malloc(count, sizeof *in->arrays);
    if (!in->arrays) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: a list of %zu arrays", count);
    for (size_t i = 0; i < count; i++) RA_TRY(ra_npz_describe(in->npz, i, &in->arrays[i], err));
    return RA_OK;
}

static ra_status look(inspection *in, ra_error *err) {
    const char *path;
    ra_mapping mapping;
    file_kind what;
    RA_TRY(ra_source_find(in->path, &in->file_path, err));
    path = in->file_path;
    RA_TRY(ra_mapping_open(path, &mapping, err));
    in->bytes = mapping.size;
    ra_mapping_close(&mapping);
    RA_TRY(file_kind_of(path, &what, err));
    if (what == FILE_NPY) {
        in->kind = "npy array";
        return ra_npy_open(path, &in->npy, err);
    }
    if (what == FILE_NPZ) return look_at_archive(in, err);
    RA_TRY(ra_safetensors_open(path, &in->file, err));
    if (flags.verify) RA_TRY(ra_safetensors_verify(in->file, err));
    const struct kind_row *kind = kind_of(in->file);
    in->kind = kind->kind;
    in->is_model = kind->model;
    return kind->model ? open_model(in, err) : RA_OK;
}

static size_t tensor_count(const inspection *in) {
    return in->npy ? 1 : in->npz ? ra_npz_count(in->npz) : ra_safetensors_count(in->file);
}

static const ra_tensor *tensor_at(const inspection *in, size_t i, const char **name) {
    *name = in->npy ? "array" : in->npz ? ra_npz_name(in->npz, i) : ra_safetensors_name(in->file, i);
    return in->npy ? ra_npy_tensor(in->npy) : in->npz ? &in->arrays[i] : ra_safetensors_at(in->file, i);
}

/* ---- what the model leaves out ----------------------------------------------------------------------- */

/* The i-th tensor of the file that the model does not compute with and that cannot be read; NULL past the end.
 * *description <- "BOOL [3, 4]" of one that cannot be read, or NULL. */
static const char *unused_at(const inspection *in, size_t i, const char **description) {
    const char *name;
    *description = NULL;
    for (size_t t = 0; in->file && (name = ra_safetensors_name(in->file, t)); t++) {
        ra_tensor_use use = in->is_model ? ra_sae_tensor_use(name) : RA_TENSOR_USED;
        if (ra_sae_tensor_ignored(flags.model.settings.ignored, name)) use = RA_TENSOR_UNUSED;
        if (use != RA_TENSOR_USED && i-- == 0) return name;
    }
    return in->file ? ra_safetensors_foreign(in->file, i, description) : NULL;
}

/* ---- how the training ended --------------------------------------------------------------------------- */

/* The last point of a checkpoint's history; false: the file has none. */
static bool training_end(const inspection *in, report_point *end) {
    const ra_tensor *history = in->file ? ra_safetensors_find(in->file, "train.history") : NULL;
    if (!history || history->dtype != RA_F64 || history->rank != 2 || history->shape[0] == 0 ||
        history->shape[1] != sizeof *end / sizeof(double))
        return false;
    memcpy(end, (const char *)history->data + (history->shape[0] - 1) * sizeof *end, sizeof *end);
    return true;
}

/* ---- whether its bytes are those that were written ----------------------------------------------------- */

static const char *integrity_of(const inspection *in) {
    return ra_safetensors_integrity(in->file) == RA_INTEGRITY_VERIFIED ? "verified" : "unverified";
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

static void json_unused(const inspection *in, text *json) {
    const char *name, *description;
    json_array(json, "not_used");
    for (size_t i = 0; (name = unused_at(in, i, &description)); i++) json_text(json, NULL, name);
    json_array_end(json);
}

static void json_metadata(const inspection *in, text *json) {
    const char *key;
    json_object(json, "metadata");
    for (size_t i = 0; in->file && (key = ra_safetensors_metadata_key(in->file, i)); i++)
        json_text(json, key, ra_safetensors_metadata(in->file, key));
    json_object_end(json);
}

static void json_model(const inspection *in, text *json) {
    json_object(json, "model");
    json_model_info(json, ra_model_get_info(in->model));
    json_object_end(json);
    inspect_training_json(json, in->model);
    inspect_contrasts_json(json, in->model);
    json_array(json, "atoms");
    for (size_t i = 0; i < in->shown; i++) {
        json_object(json, NULL);
        json_count(json, "atom", in->strongest[i]);
        json_atom_parts(json, in->model, in->strongest[i],
                        ATOM_NORM | ATOM_EXPLANATION | ATOM_PROVENANCE | ATOM_AGREEMENT | ATOM_POINT_ROWS,
                        NULL);
        inspect_latent_json(json, in->model, in->strongest[i]);
        json_object_end(json);
    }
    json_array_end(json);
}

/* What a device needs, the name of each part and its words for people. */
static const struct memory_row {
    const char *name, *words;
    size_t offset; /* in ra_model_memory */
} memory_rows[] = {
    {"dictionary", "dictionary", offsetof(ra_model_memory, dictionary)},
    {"encoder", "encoder", offsetof(ra_model_memory, encoder)},
    {"thresholds", "thresholds", offsetof(ra_model_memory, thresholds)},
    {"search", "norms for searching", offsetof(ra_model_memory, search)},
    {"scratch", "scratch per thread, at most", offsetof(ra_model_memory, scratch)},
    {"stream", "streams per thread, about", offsetof(ra_model_memory, stream)},
    {"total", "total", offsetof(ra_model_memory, total)},
};
enum { MEMORY_ROWS = sizeof memory_rows / sizeof *memory_rows };

static size_t memory_threads(void) {
    return flags.model.threads ? flags.model.threads : 1;
}

static size_t memory_of(const ra_model_memory *memory, size_t i) {
    return *(const size_t *)(const void *)((const char *)memory + memory_rows[i].offset);
}

static void json_device_memory(const ra_model *model, text *json) {
    ra_model_memory memory = ra_model_device_memory(model, memory_threads());
    json_object(json, "device_memory");
    json_count(json, "threads", memory_threads());
    for (size_t i = 0; i < MEMORY_ROWS; i++) json_count(json, memory_rows[i].name, memory_of(&memory, i));
    json_object_end(json);
}

static void json_training(const inspection *in, text *json) {
    report_point end;
    if (!training_end(in, &end)) return;
    json_object(json, "training");
    json_count(json, "step", (size_t)end.step);
    json_real(json, "loss", end.loss);
    json_real(json, "r2_per_dimension", end.r2_per_dimension);
    json_real(json, "r2", end.r2);
    json_real(json, "l0", end.l0);
    json_real(json, "dead", end.dead);
    json_object_end(json);
}

static ra_status print_json(const inspection *in, ra_error *err) {
    text json = {0};
    json_object(&json, NULL);
    json_text(&json, "path", in->path);
    json_text(&json, "kind", in->kind);
    json_count(&json, "bytes", in->bytes);
    if (in->file) json_text(&json, "integrity", integrity_of(in));
    if (in->file && ra_safetensors_prefix(in->file))
        json_text(&json, "prefix", ra_safetensors_prefix(in->file));
    json_tensors(in, &json);
    json_unused(in, &json);
    json_metadata(in, &json);
    json_training(in, &json);
    if (in->model) json_model(in, &json);
    if (in->model && flags.device_memory) json_device_memory(in->model, &json);
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
    printf("\nTensors");
    if (in->file && ra_safetensors_prefix(in->file))
        printf(", without the prefix %s", ra_safetensors_prefix(in->file));
    putchar('\n');
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

static void print_unused(const inspection *in) {
    const char *name, *description;
    for (size_t i = 0; (name = unused_at(in, i, &description)); i++) {
        printf(i ? ", " : "  not used: ");
        print_clean(stdout, name);
        if (description) printf(" (%s, which cannot be read)", description);
    }
    if (unused_at(in, 0, &description)) putchar('\n');
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

static void print_label_or(const char *label, const char *what, size_t number) {
    if (label)
        print_clean(stdout, label);
    else
        printf("%s %zu", what, number);
}

/* "cat, dog, pet": the label of the point, else its nearest rows. */
static void print_point_words(const ra_model *model, const ra_archetype *archetype) {
    ra_point_row near[ROWS_OF_A_POINT];
    size_t count = ra_model_point_rows(model, archetype->point, near, ROWS_OF_A_POINT);
    if (archetype->label) {
        print_clean(stdout, archetype->label);
        return;
    }
    for (size_t r = 0; r < count; r++) {
        printf("%s", r ? ", " : "");
        print_label_or(near[r].label, "row", near[r].row);
    }
}

/* The archetypes, the largest first, and what they leave out. */
static void print_archetypes(const ra_model *model, size_t atom) {
    ra_archetype archetype;
    double more = 0;
    size_t count = 0, shown = 0;
    for (; ra_model_atom_archetype(model, atom, count, &archetype); count++) {
        bool known = isfinite(archetype.contribution);
        double share = (double)(known ? archetype.contribution : archetype.weight);
        if (shown == ARCHETYPES_OF_AN_ATOM || (shown > 0 && fabs(share) < LEAST)) {
            more += share;
            continue;
        }
        shown++;
        printf("    %6.3f %s point %zu  ", share, known ? "along" : "of its mixture is", archetype.point);
        print_point_words(model, &archetype);
        putchar('\n');
    }
    if (fabs(more) >= LEAST) printf("    %6.3f along %zu more points\n", more, count - shown);
    double listed = (double)ra_model_atom_coverage(model, atom);
    if (count > 0 && 1 - listed >= LEAST)
        printf("    %6.3f of its mixture is in points not listed\n", 1 - listed);
}

static void print_relaxation(const ra_model *model, size_t atom) {
    double share = (double)ra_model_atom_relaxation_share(model, atom),
           norm = (double)ra_model_atom_relaxation(model, atom),
           hull = (double)ra_model_atom_hull_share(model, atom);
    if (isfinite(share))
        printf("    %6.3f along the relaxation, of norm %.4g\n", share, norm);
    else if (isfinite(norm))
        printf("    relaxation of norm %.4g\n", norm);
    if (isfinite(hull)) printf("    cosine with its mixture %.3f\n", hull);
}

static void print_trace(const ra_model *model, size_t atom) {
    ra_trace_row row;
    size_t t = 0;
    for (; ra_model_atom_trace_row(model, atom, t, &row); t++) {
        if (t > 0 && row.contribution < SMALL) continue; /* it would be written as 0.00 */
        if (t == 0) printf("    trace, cosine %.3f: ", (double)ra_model_atom_trace_cosine(model, atom));
        printf("%s%.2f ", t ? ", " : "", (double)row.contribution);
        print_label_or(row.label, "row", row.row);
    }
    if (t > 0) putchar('\n');
}

static void print_agreement(const ra_model *model, size_t atom) {
    size_t runs = ra_model_get_info(model)->agreement_runs;
    if (runs == 0) return;
    printf("    in %.0f %% of %zu runs, mean cosine %.3f\n",
           100 * (double)ra_model_atom_agreement(model, atom), runs,
           (double)ra_model_atom_agreement_cosine(model, atom));
}

/* What the file says with the label. */
static void print_explanation(const ra_model *model, size_t atom) {
    ra_label_words words;
    if (!ra_model_atom_words(model, atom, &words)) return;
    printf("    explained");
    if (words.source) {
        printf(" by ");
        print_clean(stdout, words.source);
    }
    if (isfinite(words.score)) printf(" (score %.3g)", (double)words.score);
    if (words.explanation) {
        printf(": ");
        print_clean(stdout, words.explanation);
    }
    putchar('\n');
}

static void print_atom(const ra_model *model, size_t atom) {
    const char *label = ra_model_atom_label(model, atom);
    printf("  atom %zu: ", atom);
    if (label) {
        print_clean(stdout, label);
        printf(" (label from %s), ", ra_label_source_name(ra_model_atom_label_source(model, atom)));
    }
    printf("norm %.4g\n", (double)ra_model_atom_norm(model, atom));
    print_explanation(model, atom);
    print_archetypes(model, atom);
    print_relaxation(model, atom);
    print_trace(model, atom);
    print_agreement(model, atom);
    inspect_latent_print(model, atom);
}

static void print_name(const char *before, const char *name) {
    if (!name) return;
    printf("%s", before);
    print_clean(stdout, name);
}

static void print_model(const inspection *in) {
    const ra_model_info *info = ra_model_get_info(in->model);
    printf("  %s concepts of %zu dimensions", format_grouped(info->concepts).text, info->dimensions);
    if (info->points) printf(" on %s points", format_grouped(info->points).text);
    printf(info->has_encoder ? "" : "; no encoder: it reconstructs, but does not encode");
    printf(info->has_standardization ? "; inputs are standardized" : "");
    printf(info->has_output_bias ? "; the decoder has a bias" : "");
    putchar('\n');
    if (info->model || info->hook) {
        printf("  of the activations");
        print_name(" of ", info->model);
        print_name(" at ", info->hook);
        putchar('\n');
    }
    for (size_t i = 0; i < info->sides; i++)
        printf("%s%zu%s", i ? " x " : "  rows are images of ", info->shape[i],
               i + 1 < info->sides ? "" : "\n");
    if (isfinite(info->coverage)) {
        printf("  of the median atom %.3g %% of its mixture is listed", 100 * (double)info->coverage);
        if (isfinite(info->hull_share)) printf(", cosine with the mixture %.3f", (double)info->hull_share);
        putchar('\n');
    }
    inspect_training_print(in->model);
    if (isfinite(info->trace_cosine))
        printf("  traced to at most %zu rows of data, cosine %.3f for the median atom\n", info->trace_rows,
               (double)info->trace_cosine);
    if (info->agreement_runs)
        printf("  the median atom is in %.0f %% of %zu runs (cosine %.2g and more), mean cosine %.3f\n",
               100 * (double)info->agreement_share, info->agreement_runs, info->agreement_level,
               (double)info->agreement_cosine);
    inspect_contrasts_print(in->model);
}

static void print_device_memory(const ra_model *model) {
    size_t threads = memory_threads();
    ra_model_memory memory = ra_model_device_memory(model, threads);
    printf("\nDevice memory, with %zu thread%s\n", threads, threads == 1 ? "" : "s");
    for (size_t i = 0; i < MEMORY_ROWS; i++)
        printf("  %-30s %9s\n", memory_rows[i].words, format_bytes(memory_of(&memory, i)).text);
}

static void print_training(const inspection *in) {
    report_point end;
    if (!training_end(in, &end)) return;
    printf("  training ended with R2 %.4f (one mean %.4f), L0 %.1f, dead %.1f%%, in step %.0f\n",
           end.r2_per_dimension, end.r2, end.l0, 100 * end.dead, end.step);
}

static void print_text(const inspection *in) {
    print_clean(stdout, in->path);
    printf(": %s, %s%s%s\n", in->kind, format_bytes(in->bytes).text, in->file ? ", " : "",
           in->file ? integrity_of(in) : "");
    if (in->model) print_model(in);
    print_training(in);
    if (in->problem.code != RA_OK) printf("  not opened as a model: %s\n", in->problem.message);
    if (in->model && flags.device_memory) print_device_memory(in->model);
    print_tensors(in);
    print_unused(in);
    print_metadata(in);
    if (in->shown)
        printf("\nAtoms with the largest %s\n", ra_model_latent_statistics(in->model) ? "energy" : "norm");
    for (size_t i = 0; i < in->shown; i++) print_atom(in->model, in->strongest[i]);
}

/* ---- the command ------------------------------------------------------------------------------------- */

static ra_status inspect(int argc, char **argv, ra_error *err) {
    (void)argc;
    inspection in = {.path = argv[0]};
    ra_status status = look(&in, err);
    if (status == RA_OK) status = ra_mapping_check_all(err);
    if (status == RA_OK && flags.json)
        status = print_json(&in, err);
    else if (status == RA_OK)
        print_text(&in);
    if (status == RA_OK && !flags.json && in.problem.code == RA_OK) {
        if (in.model)
            command_next("rasae eval %s DATA", in.path);
        else if (!in.is_model)
            command_next("rasae train %s -o model.safetensors, if these are activations", in.path);
    }
    ra_status problem = in.problem.code;
    if (status == RA_OK && problem != RA_OK && problem != RA_ERR_SETTING && problem != RA_ERR_STATE)
        status = ra_error_set(err, problem, "%s", in.problem.message);
    ra_free(in.strongest);
    ra_model_release(in.model);
    ra_safetensors_free(in.file);
    ra_npy_free(in.npy);
    ra_npz_free(in.npz);
    ra_free(in.arrays);
    ra_free(in.file_path);
    return status;
}

const command command_inspect = {
    .name = "inspect",
    .summary = "show what is in a file",
    .usage = "FILE [--json] [--device-memory]",
    .about =
        "Prints what a .safetensors, .pt, .npy or .npz file is and holds; for a model also what its "
        "strongest\n"
        "atoms are made of: the points of the mixture with the share of the atom along each, what is\n"
        "left out, and the rows that the atom is traced to, in the words of the data if it had --labels;\n"
        "after `rasae eval --save` also the latents that are active with it and rows from its range.\n"
        "Atoms are strongest by energy, or by norm where nothing was measured. --device-memory adds the\n"
        "device memory that serving it needs; the device's own libraries need some in addition.\n",
    .example = "  rasae inspect words.safetensors\n"
               "  rasae inspect words.safetensors --atoms 20 --json\n"
               "  rasae inspect words.safetensors --device-memory --threads 4\n",
    .min_arguments = 1,
    .max_arguments = 1,
    .arguments = "one FILE",
    .flags = {rows, sizeof rows / sizeof *rows},
    .values = &flags,
    .model = &flags.model,
    .device = "cpu", /* a look takes no device */
    .run = inspect,
};
