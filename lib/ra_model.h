/* ra_model.h - what is served: a fused, immutable dictionary with its encoder and its provenance.
 *
 * A model is opened from a fused artifact (and served from the mapped file) or from a checkpoint, which is
 * fused in evaluation mode while it loads. It never changes afterwards. The daemon and the offline commands
 * call these functions.
 *
 *     ra_model *model = NULL;
 *     ra_workspace *workspace = NULL;
 *     RA_TRY(ra_model_open("words.safetensors", &(ra_model_options){.backend = backend}, &model, err));
 *     RA_TRY(ra_workspace_new(&workspace, err));
 *     RA_TRY(ra_model_reconstruct(model, workspace, &codes, x_hat, err));
 *     ra_workspace_free(workspace);
 *     ra_model_release(model);
 *
 * A model that was trained on standardized activations has their mean and scale [d], and two spaces: input
 * space, in the units of the data, and dictionary space, (x - mean) / scale. Encode, explain and steer take
 * rows in input space; reconstruct and steer return rows in input space. Atoms and points, and therefore
 * search and neighbors, are in dictionary space; ra_model_standardize_inputs() takes rows there, and
 * ra_model_direction() gives an atom in input space. Without a standardization the two are the same.
 *
 * Symbols: K concepts (atoms), d dimensions, N candidate points, B rows of a batch, T archetypes kept for
 * each atom. Thread safety: any number of threads may use a model at the same time, each with a workspace of
 * its own; retain and release are atomic. In steady state no computation allocates memory: a workspace grows
 * as needed and keeps its memory. A workspace may be used with any model; on a device it has a stream of its
 * own and retains the backend that it was last used with.
 */
#ifndef RA_MODEL_H
#define RA_MODEL_H

#include "ra_agreement.h"
#include "ra_contrast.h"
#include "ra_digest.h"
#include "ra_io.h"
#include "ra_latent_statistics.h"
#include "ra_sae.h"
#include "ra_trace.h"

#include <stdatomic.h>

typedef struct ra_model ra_model;
typedef struct ra_workspace ra_workspace;

ra_status ra_workspace_new(ra_workspace **workspace, ra_error *err);

/* For a thread that must not wait: computations in host memory run on the calling thread alone, without the
 * threads of the backend, which other computations may occupy. The results are the same bits. */
ra_status ra_workspace_new_serial(ra_workspace **workspace, ra_error *err);
void ra_workspace_free(ra_workspace *workspace);

/* From now on computations end with RA_ERR_CANCELED soon after *canceled becomes true, which any thread may do: they
 * look at it between chunks of rows, and between the steps of a pursuit. NULL, at first: they never do. */
void ra_workspace_watch(ra_workspace *workspace, const atomic_bool *canceled);

/* ---- open, save --------------------------------------------------------------------------------------- */

enum { RA_ARCHETYPES_DEFAULT = 16 };

typedef struct ra_model_options {
    ra_backend *backend;      /* retained; NULL: the CPU with one thread */
    ra_sae_settings settings; /* replace, or add to, those in the file's metadata; {0}: none */
    /* What the rows of its data are parts of, where the file does not say, or says only how many; rows 0: as in the file. Other
     * rows for each than the file has are RA_ERR_SHAPE. */
    ra_latent_items items;
    size_t archetypes; /* T, for a checkpoint; 0: RA_ARCHETYPES_DEFAULT */
    /* For a model that answers while others may write its file (ra_model_check()): an artifact of at most
     * private_below bytes is read into memory of its own, a larger one stays mapped and has its digest taken. */
    bool steady;
    size_t private_below;
    bool verify;       /* compare a large file, too, with the digest in it (ra_safetensors_verify()) */
    size_t workspaces; /* that will compute at the same time: a device must have memory for them; 0: 1 */
} ra_model_options;

/* options may be NULL. proto/artifact.md specifies both kinds of file. RA_ERR_SETTING if the file lacks a
 * setting that it needs, naming the setting and the flag that gives it: an archetypal checkpoint needs delta,
 * and a file with an encoder needs sae and the settings of that kind. RA_ERR_NOT_FINITE for a NaN or an
 * infinity in any parameter; RA_ERR_CHANGED if the file was written meanwhile. The file may be replaced while the
 * model lives; if it is rewritten in place, ra_model_check() says so. On
 * a device with its own memory the model has copies of what computations read; if they and the workspaces do
 * not fit into the free memory, opening fails with RA_ERR_MEMORY before it allocates any. */
ra_status ra_model_open(const char *path, const ra_model_options *options, ra_model **model, ra_error *err);

/* Whether the file of a model that reads it in its mapping still has the content that it was opened with: an answer is
 * good if it was computed before a check that succeeds. RA_ERR_CHANGED otherwise, now and for ever. Costs nothing
 * for a checkpoint and for private memory, else what ra_mapping_check() costs. Any thread may call it. */
ra_status ra_model_check(const ra_model *model, ra_error *err);

/* The file that a model was opened from, as it was then, in its mapping or in memory of the model's own. Valid as long as
 * the model; of a mapping, ra_model_check() says whether the bytes are still those. */
typedef struct ra_model_file {
    const char *path;   /* of the file itself where the model was opened by its folder */
    ra_bytes bytes;     /* all of it */
    const char *digest; /* of all its bytes (ra_digest.h): a changed byte changes it */
    bool safetensors;   /* rather than a file of another kind */
} ra_model_file;

/* False for a checkpoint, whose file is closed once it is read, and for a model that was not opened `steady`. */
bool ra_model_get_file(const ra_model *model, ra_model_file *file);

ra_model *ra_model_retain(ra_model *model);
void ra_model_release(ra_model *model); /* NULL is fine */

/* Writes the fused artifact: `dictionary` as dtype (F32, F16 or BF16), the rest as it is. The same model
 * gives the same bytes, and its F32 artifact the same answers. An atom with a number too large for dtype is
 * RA_ERR_ARGUMENT. */
ra_status ra_model_save(const ra_model *model, const char *path, ra_dtype dtype, ra_error *err);

/* What an artifact can hold that was measured after training. NULL: as the model has it. */
typedef struct ra_model_additions {
    const ra_latent_statistics *statistics; /* of its K latents */
    const float *layout;                    /* [K,2] positions of the atoms on a map, finite */
    const ra_trace *trace;                  /* of its K atoms */
    const ra_labels *row_labels;            /* one per row in the files, for the trace; NULL: none */
    const ra_agreement *agreement;          /* of its K atoms with other runs */
    const ra_contrast *contrast;       /* of its K latents; replaces that of the same name, others stay */
    const ra_atom_labels *atom_labels; /* of its K atoms, with their words; those that it does not name
                                          stay */
    const char *model, *hook;          /* as in ra_model_info */
    const char *shape;                 /* of the image that a row is, as ra_model_shape_parse() takes it */
} ra_model_additions;

/* ra_model_save() with additions or replacements. path may be that of the file the model was opened from: the
 * file is replaced as a whole, and the model keeps the old one. RA_ERR_SHAPE for statistics, a trace,
 * an agreement or labels of another number of latents. */
ra_status ra_model_save_with(const ra_model *model, const ra_model_additions *additions, const char *path,
                             ra_dtype dtype, ra_error *err);

/* The same file in memory, with the dictionary in the type that it has there: opening it gives a model with the same
 * answers, to the bit. Its numbers are the model's own, in memory or in the mapping of its file, so the model must live
 * as long, and ra_model_check() says whether they are still what they were. The digest is that of the content: it is the
 * same for models with the same answers, labels and statistics, whatever files they were opened from. Making it reads
 * all of the model but D. */
typedef struct ra_artifact ra_artifact;
ra_status ra_artifact_new(const ra_model *model, ra_artifact **artifact, ra_error *err);
void ra_artifact_free(ra_artifact *artifact); /* NULL is fine */
const ra_bytes *ra_artifact_parts(const ra_artifact *artifact,
                                  size_t *count); /* in order, none of them empty */
const char *ra_artifact_digest(const ra_artifact *artifact);

/* ---- description -------------------------------------------------------------------------------------- */

typedef struct ra_model_info {
    const char *path;
    size_t concepts;   /* K */
    size_t dimensions; /* d */
    size_t points;     /* N; 0: unknown */
    size_t archetypes; /* T; 0: no provenance (a plain dictionary) */
    ra_dtype dtype;    /* of the dictionary in memory */
    bool from_checkpoint;
    bool has_encoder;         /* encode and explain work */
    size_t hidden_layers;     /* of the encoder; with any, a latent has no vector in it */
    bool has_standardization; /* of its inputs */
    bool has_output_bias;     /* of its decoder: what is called dictionary space is then that much from it */
    size_t trace_rows;        /* R: rows per atom of the trace; 0: it has none */
    size_t point_rows;        /* nearest rows per point; 0: it has none */
    bool has_relaxation, has_atom_labels, has_point_labels, has_point_vectors;
    bool has_explanations; /* the file says something with labels of its atoms (ra_model_atom_words()) */
    bool has_statistics, has_layout;
    bool has_cofiring, has_quantiles, has_contrasts; /* parts of the statistics, and contrasts */
    size_t training_bins;                            /* of the course of the training; 0: unknown */
    ra_latent_items items;                           /* that the rows of its data are parts of */
    size_t item_count;                               /* items whose codes are kept for each latent */
    bool has_tokens;                                 /* of the rows and items of the statistics */
    float coverage, hull_share, trace_cosine;        /* of the median atom; NaN: unknown */
    size_t agreement_runs;                   /* that the atoms were compared with (ra_agreement.h); 0: none */
    double agreement_level;                  /* the cosine from which on a run has an atom */
    float agreement_share, agreement_cosine; /* of the median atom; NaN: unknown */
    size_t bytes;                            /* of memory and mapping that it keeps */
    bool mapped;                             /* it reads its file in a mapping */
    size_t device_bytes;                     /* of a device's own memory that it keeps */
    ra_sae_settings settings;
    const char *init, *seed;  /* how training started, from the file; NULL: unknown */
    const char *model, *hook; /* the network that the activations are from, and where in it; NULL: unknown */
    const char *shape_text;   /* `shape` of the file's metadata; NULL: it has none */
    size_t shape[3];          /* height, width and perhaps 3 colors of the image that a row is */
    size_t sides;             /* 2 or 3 of them; 0: a row is not an image, or that is unknown */
    const char *device;       /* name of its backend */
    char digest[RA_DIGEST_SIZE]; /* of the dictionary's numbers in memory (ra_digest.h) */
} ra_model_info;

/* "8x8" or "32x32x3": height, width and colors, of d numbers together. Returns how many sides there are; 0 if this is no
 * such text. */
size_t ra_model_shape_parse(const char *text, size_t d, size_t shape[3]);

const ra_model_info *ra_model_get_info(const ra_model *model); /* lives as long as the model */

/* *mean, *scale [d] <- those of the standardization, the model's; false and NULLs without one. */
bool ra_model_standardization(const ra_model *model, const float **mean, const float **scale);

/* x [rows,d], in place: from input space to dictionary space, as encode does it. Without a standardization x stays
 * as it is. RA_ERR_NOT_FINITE, naming the row, for a number that is not finite before or after. */
ra_status ra_model_standardize_inputs(const ra_model *model, float *x, size_t rows, ra_error *err);

/* x [rows,d], in place: back from dictionary space to input space. */
void ra_model_unstandardize(const ra_model *model, float *x, size_t rows);

/* The bytes that a model needs on a device with its own memory. */
typedef struct ra_model_memory {
    size_t dictionary, encoder, thresholds;
    size_t search;  /* inverse norms of the atoms, and constants beside them */
    size_t scratch; /* the most that a workspace needs; each computing thread has one */
    size_t stream;  /* RA_STREAM_BYTES: the device's libraries and codes in a workspace, about */
    size_t total;   /* with a workspace for each thread */
} ra_model_memory;

/* Does not depend on the device that the model is on. */
ra_model_memory ra_model_device_memory(const ra_model *model, size_t threads);

/* The dictionary [K,d] as it is in memory, for serving it without a copy. */
const ra_tensor *ra_model_dictionary(const ra_model *model);

/* ---- atoms and points --------------------------------------------------------------------------------- */

/* Labels come from the file. If it has none of points, or none of an atom, they are derived from other labels:
 *   of a point: the first three different labels of its nearest rows, "cat, dog, cow";
 *   of an atom: at most three different labels of the rows on which its latent is strongest, "cat, kitten";
 *   without statistics, of the rows of its trace, "cat + purr"; without a trace, of its archetypes. None that
 *   counts less than a tenth of the first. The label of an archetype is that of its point in the file, or else
 *   that of the point's nearest labeled row.
 * An empty label counts as none: NULL. */
typedef enum ra_label_source {
    RA_LABEL_NONE,
    RA_LABEL_FILE, /* the file holds it */
    RA_LABEL_ROWS,
    RA_LABEL_TRACE,
    RA_LABEL_ARCHETYPES,
} ra_label_source;

/* "file", "rows", "trace", "archetypes"; NULL for RA_LABEL_NONE. */
const char *ra_label_source_name(ra_label_source source);

/* A point's part in an atom. */
typedef struct ra_archetype {
    size_t point;       /* row of C */
    float weight;       /* convex weight, in (0, 1] */
    float contribution; /* its share of the atom, signed (ra_provenance); NaN: unknown */
    const char *label;  /* of the point, or NULL; lives as long as the model */
} ra_archetype;

/* A row of data in the trace of an atom (ra_trace.h). */
typedef struct ra_trace_row {
    size_t row; /* its number in the files */
    float weight, contribution;
    const char *label; /* of the row, or NULL; lives as long as the model */
} ra_trace_row;

/* vector [d] <- the atom, in f32. RA_ERR_NOT_FOUND if atom >= K. */
ra_status ra_model_atom(const ra_model *model, size_t atom, float *vector, ra_error *err);

/* direction [d] <- the atom in input space: a code of 1 adds this to a reconstruction, and steering with a scale of 1
 * to a row. With a standardization, dimension j of the atom is multiplied by its scale; without, it is the atom.
 * RA_ERR_NOT_FOUND if atom >= K; RA_ERR_NOT_FINITE if it is beyond float32. */
ra_status ra_model_direction(const ra_model *model, size_t atom, float *direction, ra_error *err);

/* vector [d] <- the encoder's weights for a latent, in input space: before a norm and a bias, its pre-code is
 * the product of this vector with a row. A tied encoder and matching pursuit encode with the atom. RA_ERR_STATE
 * without an encoder, RA_ERR_NOT_FOUND if latent >= K. */
ra_status ra_model_encoder_vector(const ra_model *model, size_t latent, float *vector, ra_error *err);

/* The following take atom < K. */
float ra_model_atom_norm(const ra_model *model, size_t atom);        /* ||D_k||, computed once at load */
float ra_model_atom_relaxation(const ra_model *model, size_t atom);  /* ||Relax_k||; NaN: unknown */
const char *ra_model_atom_label(const ra_model *model, size_t atom); /* NULL: none */
ra_label_source ra_model_atom_label_source(const ra_model *model, size_t atom);

/* What the file says with its label of the atom; false if nothing, with *words all unknown. Its texts live as long as the
 * model. */
bool ra_model_atom_words(const ra_model *model, size_t atom, ra_label_words *words);

/* How much of the atom its listed archetypes account for: the sum of their convex weights, where all points of
 * the atom sum to 1. How much of it is its mixture, and how much its relaxation (ra_provenance). NaN: unknown. */
float ra_model_atom_coverage(const ra_model *model, size_t atom);
float ra_model_atom_hull_share(const ra_model *model, size_t atom);
float ra_model_atom_relaxation_share(const ra_model *model, size_t atom);

/* *archetype <- the t-th of the atom, by falling contribution (by falling weight where those are unknown); false if
 * it has fewer. */
bool ra_model_atom_archetype(const ra_model *model, size_t atom, size_t t, ra_archetype *archetype);

/* The atom's trace: *row <- its t-th row, by falling contribution; false if it has fewer. The cosine with the atom: NaN if
 * the file has no trace. */
bool ra_model_atom_trace_row(const ra_model *model, size_t atom, size_t t, ra_trace_row *row);
float ra_model_atom_trace_cosine(const ra_model *model, size_t atom);

/* The share of the runs it was compared with that have the atom, and its mean cosine with them (ra_agreement.h). NaN:
 * unknown. */
float ra_model_atom_agreement(const ra_model *model, size_t atom);
float ra_model_atom_agreement_cosine(const ra_model *model, size_t atom);

/* Statistics of the latents, which live as long as the model; NULL: the file has none. */
const ra_latent_statistics *ra_model_latent_statistics(const ra_model *model);

/* position <- x and y of atom < K on the map of all atoms; false if the file has no layout. */
bool ra_model_atom_layout(const ra_model *model, size_t atom, float position[2]);

/* The course of the training, which `rasae train` writes into a checkpoint (proto/artifact.md, train.history). */
typedef enum ra_training_column {
    RA_TRAINING_STEP, /* the last one of the bin, from 1 */
    RA_TRAINING_ROWS, /* of its batches */
    RA_TRAINING_LOSS,
    RA_TRAINING_R2,               /* around one mean of all numbers */
    RA_TRAINING_L0,               /* active latents per row */
    RA_TRAINING_GRAD_NORM,        /* before clipping */
    RA_TRAINING_DEAD,             /* share of the latents */
    RA_TRAINING_LR,               /* learning rate */
    RA_TRAINING_R2_PER_DIMENSION, /* around the mean of each dimension */
    RA_TRAINING_COLUMNS
} ra_training_column;

enum { RA_TRAINING_BINS = 2048 }; /* at most */

extern const char *const ra_training_names[RA_TRAINING_COLUMNS]; /* "step", "rows", "loss", ... */

/* [*bins, RA_TRAINING_COLUMNS], one row for so many consecutive steps, in their order: loss, both R2, L0 and the gradient
 * norm are means over the rows of the bin, the others the values of its last step. An R2 is NaN where nothing varied. NULL
 * and 0 if the file has none; it lives as long as the model. */
const float *ra_model_training(const ra_model *model, size_t *bins);

/* The contrasts that the file holds (ra_contrast.h), by name; they live as long as the model. NULL past the last. */
size_t ra_model_contrast_count(const ra_model *model);
const ra_contrast *ra_model_contrast(const ra_model *model, size_t i);

/* An atom built from a point, the reverse of ra_archetype. */
typedef struct ra_point_use {
    size_t atom;
    float weight;
} ra_point_use;

/* A row of the training data that is near a point. */
typedef struct ra_point_row {
    size_t row; /* its number in the files */
    float distance;
    const char *label; /* or NULL */
} ra_point_row;

/* Of a point < N: its label; the atoms that have it among their T archetypes, by falling weight; its nearest
 * rows. The latter two fill at most `capacity` elements; point_atoms() returns how many there are. */
const char *ra_model_point_label(const ra_model *model, size_t point);
size_t ra_model_point_atoms(const ra_model *model, size_t point, ra_point_use *uses, size_t capacity);
size_t ra_model_point_rows(const ra_model *model, size_t point, ra_point_row *rows, size_t capacity);
/* vector [d] <- the point. RA_ERR_NOT_FOUND if point >= N; RA_ERR_STATE if the file does not hold the points,
 * which fused artifacts may leave out. */
ra_status ra_model_point(const ra_model *model, size_t point, float *vector, ra_error *err);

/* ---- computing ---------------------------------------------------------------------------------------- */

/* x_hat [B,d] <- codes [B,K] D, in input space. RA_ERR_SHAPE unless codes->latents is K; RA_ERR_ARGUMENT for
 * an index out of range; RA_ERR_NOT_FINITE for a value that is not finite. */
ra_status ra_model_reconstruct(const ra_model *model, ra_workspace *workspace, const ra_codes *codes,
                               float *x_hat, ra_error *err);

/* Whether the reconstructions of these codes have the same bits beside those of others, in one call for all. */
bool ra_model_may_join(const ra_model *model, const ra_codes *codes);

/* codes <- the codes of x [B,d] in evaluation mode. RA_ERR_STATE without an encoder; RA_ERR_NOT_FINITE for a
 * NaN or an infinity. */
ra_status ra_model_encode(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                          ra_codes *codes, ra_error *err);

/* The most rows of which ra_model_encode() and ra_model_explain() give each the bits that it has alone. More of them are one
 * matrix product, whose sums may have another order: its results agree to rounding. SIZE_MAX: of a device, which promises no
 * bits. */
size_t ra_model_rows_as_alone(const ra_model *model);

typedef enum ra_similarity { RA_SIMILARITY_COSINE, RA_SIMILARITY_DOT } ra_similarity;

/* ids, scores [Q,k] <- for each query [Q,d], in dictionary space, the k atoms with the largest cosine or dot
 * product, best first, ties by lower index. Exact: scores are computed in float64 and rounded once, so they
 * depend neither on the backend nor on the other queries of the call. The cosine with a zero atom or a zero
 * query is 0. 1 <= k <= K. */
ra_status ra_model_search(const ra_model *model, ra_workspace *workspace, const float *queries, size_t count,
                          size_t k, ra_similarity metric, size_t *ids, float *scores, ra_error *err);

/* The same among some atoms: those whose bit is set, bit k % 64 of among[k / 64]; 1 <= k <= their number. NULL: all. */
ra_status ra_model_search_among(const ra_model *model, ra_workspace *workspace, const float *queries,
                                size_t count, const uint64_t *among, size_t k, ra_similarity metric,
                                size_t *ids, float *scores, ra_error *err);

/* The same for an atom, which is not in its own list; 1 <= k <= K-1. */
ra_status ra_model_neighbors(const ra_model *model, ra_workspace *workspace, size_t atom, size_t k,
                             ra_similarity metric, size_t *ids, float *scores, ra_error *err);

/* What a reconstruction consists of; x and x_hat here are in dictionary space. Row b has the entries
 * start[b] .. start[b+1], by falling |contribution|. */
typedef struct ra_contribution {
    size_t atom;
    float code;         /* z_k */
    float contribution; /* z_k (D_k . x) / ||x||^2, which sum to (x_hat . x) / ||x||^2; 0 if x = 0 */
} ra_contribution;

typedef struct ra_explanation {
    size_t rows;
    size_t *start;            /* [rows + 1] */
    ra_contribution *entries; /* [start[rows]] */
    float *residual_norm;     /* [rows] ||x - x_hat|| */
    float *input_norm;        /* [rows] ||x|| */
    float *r2; /* [rows] 1 - ||x - x_hat||^2 / ||x - mean(x)||^2, with the mean over the row's d
                               * values; NaN if they are all equal */
} ra_explanation;

/* *explanation <- that of x [B,d], the caller's to release; {0} after a failure. Fails as ra_model_encode()
 * does. */
ra_status ra_model_explain(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                           ra_explanation *explanation, ra_error *err);
void ra_explanation_release(ra_explanation *explanation);

/* *part <- `rows` of them from `first` on, the caller's to release; {0} after a failure. */
ra_status ra_explanation_slice(const ra_explanation *all, size_t first, size_t rows, ra_explanation *part,
                               ra_error *err);

/* One push along an atom: scale * D_atom, in input space (with a standardization, dimension j is multiplied
 * by its scale). */
typedef struct ra_steer {
    size_t atom;
    float scale;
} ra_steer;

/* What the pushes are added to: x itself, or its reconstruction. */
typedef enum ra_steer_base { RA_STEER_INPUT, RA_STEER_RECONSTRUCTION } ra_steer_base;

/* What a push does to a row y. v is the atom in input space (ra_model_direction()), u = v / ||v||, s the scale:
 *
 *   add         y + s v
 *   orthogonal  y - <y,u> u + s <y,u> u: its part along the atom is multiplied by s, the part orthogonal to it stays; 0
 *               removes the atom's direction (Arditi et al. 2024, "Refusal in language models is mediated by a single
 *               direction"; ORTHOGONAL_DECOMP of Neuronpedia)
 *   cap         y - max(<y,u> - s, 0) u: its part along the atom is at most s (activation capping of Lu et al. 2026, "The
 *               assistant axis"; PROJECTION_CAP of Neuronpedia)
 *
 * orthogonal and cap are applied one push after another, in their order; what add adds does not depend on it. */
typedef enum ra_steer_method { RA_STEER_ADD, RA_STEER_ORTHOGONAL, RA_STEER_CAP } ra_steer_method;

/* out [B,d] <- base(x [B,d]), moved by the pushes in float64 and rounded once. An atom may occur several times; without
 * pushes the result is the base. out may be x. RA_ERR_ARGUMENT for an atom >= K, and for one of norm 0 unless the method
 * is add; RA_ERR_NOT_FINITE for a scale or a row that is not finite, or a result beyond float32; on
 * the reconstruction also the errors of ra_model_encode(). */
ra_status ra_model_steer(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                         ra_steer_base base, ra_steer_method method, const ra_steer *pushes, size_t count,
                         float *out, ra_error *err);

/* What an edit makes of the code z of its atom, which is 0 where the latent is not active. The result is decoded as it
 * is: it may be negative. */
typedef enum ra_edit_op {
    RA_EDIT_SET,    /* value */
    RA_EDIT_SCALE,  /* value z */
    RA_EDIT_ADD,    /* z + value */
    RA_EDIT_ABLATE, /* 0 */
    RA_EDIT_CLAMP   /* min(z, value) */
} ra_edit_op;

typedef struct ra_edit {
    size_t atom;
    ra_edit_op op;
    float value; /* not used by RA_EDIT_ABLATE */
} ra_edit;

/* out [B,d] <- x + (x_hat' - x_hat), the rows with the error of the SAE kept (keep_error), or x_hat'. x_hat decodes the
 * codes of x, x_hat' the same after the edits, which are applied in order. The decoder is affine, so x_hat' - x_hat is
 * the sum of (z' - z) v over the atoms, v as above: mean, bias and all other codes cancel, and a row whose codes do not
 * change stays as it is, to the bit. before, after [B,count] <- the code of each edit's atom as it found and left it.
 * out may be x. Source: Templeton et al. 2024, "Scaling monosemanticity", steering with the error term kept.
 *
 * RA_ERR_ARGUMENT for an atom >= K; RA_ERR_NOT_FINITE for a value, a row or a result; the errors of ra_model_encode(). */
ra_status ra_model_edit(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                        bool keep_error, const ra_edit *edits, size_t count, float *out, float *before,
                        float *after, ra_error *err);

#endif
