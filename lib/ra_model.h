/* ra_model.h - what is served: a fused, immutable dictionary with its encoder and its provenance.
 *
 * A model is opened from a fused artifact (served straight from the mapped file) or from a checkpoint, which
 * is fused in evaluation mode while it loads. It never changes afterwards. The daemon and the offline
 * commands call these functions.
 *
 *     ra_model *model = NULL;
 *     ra_workspace *workspace = NULL;
 *     RA_TRY(ra_model_open("words.safetensors", &(ra_model_options){.backend = backend}, &model, err));
 *     RA_TRY(ra_workspace_new(&workspace, err));
 *     RA_TRY(ra_model_reconstruct(model, workspace, &codes, x_hat, err));
 *     ra_workspace_free(workspace);
 *     ra_model_release(model);
 *
 * A model that was trained on standardized activations carries their mean and scale [d], and has two spaces:
 * that of the inputs, in the units of the data, and that of the dictionary, (x - mean) / scale. Encoding,
 * explaining and steering take inputs as they are, reconstructing and steering return them; atoms and points,
 * and with them search and neighbors, are in the space of the dictionary. Where nothing is standardized the
 * two are one.
 *
 * Symbols: K concepts (atoms), d dimensions, N candidate points, B rows of a batch, T archetypes kept an
 * atom. Thread safety: a model may be used from any number of threads at once, each with a workspace of its
 * own; retain and release are atomic. In steady state no call allocates for its arithmetic: workspaces grow
 * to what is needed and stay. A workspace may be used with any model; on a device it has a stream of its own,
 * and it keeps the backend of the device that it was last used with.
 */
#ifndef RA_MODEL_H
#define RA_MODEL_H

#include "ra_digest.h"
#include "ra_latent_statistics.h"
#include "ra_sae.h"

typedef struct ra_model ra_model;
typedef struct ra_workspace ra_workspace;

ra_status ra_workspace_new(ra_workspace **workspace, ra_error *err);
void ra_workspace_free(ra_workspace *workspace);

/* ---- open, save --------------------------------------------------------------------------------------- */

enum { RA_ARCHETYPES_DEFAULT = 16 };

typedef struct ra_model_options {
    ra_backend *backend;      /* NULL: the CPU with one thread. Retained. */
    ra_sae_settings settings; /* take the place of, or add to, what the file's metadata says; {0}: nothing */
    size_t archetypes;        /* T kept when a checkpoint is fused; 0: RA_ARCHETYPES_DEFAULT */
    size_t workspaces; /* that will compute with it at once: a device has to have memory for them; 0: 1 */
} ra_model_options;

/* options may be NULL. proto/artifact.md specifies both kinds of file. A file that lacks a setting it needs
 * fails with RA_ERR_SETTING, naming the setting and the flag that gives it; an archetypal checkpoint needs
 * delta, one with an encoder also sae and what that kind needs in evaluation. NaN or infinity in any
 * parameter is RA_ERR_NOT_FINITE. The file may be replaced (not rewritten in place) while the model lives.
 * On a device with memory of its own the model has copies of what is computed with there; when they and the
 * workspaces do not fit into what is left of it, opening fails with RA_ERR_MEMORY before any is taken. */
ra_status ra_model_open(const char *path, const ra_model_options *options, ra_model **model, ra_error *err);

ra_model *ra_model_retain(ra_model *model);
void ra_model_release(ra_model *model); /* NULL is fine */

/* Writes the fused artifact: `dictionary` in dtype (F32, F16, BF16), the rest as it is. The same model gives
 * the same bytes; opened again, in F32, the same answers. An atom with a number too large for dtype is
 * RA_ERR_ARGUMENT. */
ra_status ra_model_save(const ra_model *model, const char *path, ra_dtype dtype, ra_error *err);

/* What an artifact can hold that is not part of a model as it was trained. Parts that are NULL are taken from
 * the model, if it has them. */
typedef struct ra_model_additions {
    const ra_latent_statistics *latents; /* statistics of its K latents */
    const float *layout;                 /* [K,2] places of the atoms on a map, finite */
} ra_model_additions;

/* ra_model_save() with something added or replaced. path may be that of the file the model was opened from:
 * it is replaced as a whole, and the model goes on living in the old one. RA_ERR_SHAPE for statistics of
 * another number of latents. */
ra_status ra_model_save_with(const ra_model *model, const ra_model_additions *additions, const char *path,
                             ra_dtype dtype, ra_error *err);

/* ---- what it is --------------------------------------------------------------------------------------- */

typedef struct ra_model_info {
    const char *path;
    size_t concepts;   /* K */
    size_t dimensions; /* d */
    size_t points;     /* N; 0 when the file does not say */
    size_t archetypes; /* T; 0 when atoms have no provenance (a plain dictionary) */
    ra_dtype dtype;    /* of the dictionary as it is held */
    bool from_checkpoint;
    bool has_encoder;         /* encode and explain work */
    bool has_standardization; /* of its inputs */
    bool has_relaxation, has_atom_labels, has_point_labels, has_point_vectors;
    bool has_statistics, has_layout;
    size_t bytes;        /* of memory and mapping that it keeps */
    size_t device_bytes; /* of a device's own memory that it keeps; 0 where that is ordinary memory */
    ra_sae_settings settings;
    const char *init, *seed;     /* how its training began, as the file says; NULL: it does not */
    const char *device;          /* name of its backend */
    char digest[RA_DIGEST_SIZE]; /* of the numbers of the dictionary as they are held (ra_digest.h) */
} ra_model_info;

const ra_model_info *ra_model_get_info(const ra_model *model); /* lives as long as the model */

/* The bytes that a model takes on a device with memory of its own. Not in them: what the device's libraries
 * take for themselves, and codes on their way. */
typedef struct ra_model_memory {
    size_t dictionary, encoder, thresholds;
    size_t search;  /* inverse norms of the atoms, and what goes with them */
    size_t scratch; /* the most that a workspace takes, one for each thread that computes */
    size_t total;   /* with a workspace for each of the threads */
} ra_model_memory;

/* Whatever device the model is on. */
ra_model_memory ra_model_device_memory(const ra_model *model, size_t threads);

/* The dictionary [K,d] as it is held, for serving without a copy. */
const ra_tensor *ra_model_dictionary(const ra_model *model);

/* ---- atoms and points --------------------------------------------------------------------------------- */

/* Labels come from the file, or are made up from others when it has none:
 *   a point's from its nearest rows: their first three different labels, "cat, dog, cow";
 *   an atom's from its archetypes: the first three different names in the order of their weights, none
 *   lighter than a tenth of the heaviest, "cat + purr". The name of a point is its label in the file, else
 *   the label of its nearest labeled row.
 * An empty label is no label: NULL. */

/* A point's share in an atom. */
typedef struct ra_archetype {
    size_t point;      /* row of C */
    float weight;      /* convex weight, in (0, 1] */
    const char *label; /* of the point, NULL without labels; lives as long as the model */
} ra_archetype;

/* vector [d] <- atom, in f32. RA_ERR_NOT_FOUND when atom >= K. */
ra_status ra_model_atom(const ra_model *model, size_t atom, float *vector, ra_error *err);

/* The following take atom < K. */
float ra_model_atom_norm(const ra_model *model, size_t atom);        /* ||D_k||, computed once at load */
float ra_model_atom_relaxation(const ra_model *model, size_t atom);  /* ||Relax_k||; NaN when unknown */
const char *ra_model_atom_label(const ra_model *model, size_t atom); /* NULL when it has none */
/* Fills at most `capacity` archetypes by falling weight; returns how many. */
size_t ra_model_atom_archetypes(const ra_model *model, size_t atom, ra_archetype *archetypes,
                                size_t capacity);

/* Statistics of the latents, NULL when the file holds none; live as long as the model. */
const ra_latent_statistics *ra_model_latent_statistics(const ra_model *model);

/* place <- x and y of atom < K on the map of all atoms; false when the file holds no layout. */
bool ra_model_atom_layout(const ra_model *model, size_t atom, float place[2]);

/* An atom built from a point, the reverse of the above. */
typedef struct ra_point_use {
    size_t atom;
    float weight;
} ra_point_use;

/* Rows of the training data nearest to a point (points that are k-means centroids keep them). */
typedef struct ra_point_row {
    size_t row;
    float distance;
    const char *label; /* NULL without labels */
} ra_point_row;

/* A candidate point: label, atoms it is among the T archetypes of (by falling weight; returns how many there
 * are, fills at most `capacity`), and nearest rows. RA_ERR_NOT_FOUND for point >= N is up to the caller. */
const char *ra_model_point_label(const ra_model *model, size_t point);
size_t ra_model_point_atoms(const ra_model *model, size_t point, ra_point_use *uses, size_t capacity);
size_t ra_model_point_rows(const ra_model *model, size_t point, ra_point_row *rows, size_t capacity);
/* vector [d] of the point; RA_ERR_STATE when the file does not hold the points (fused artifacts may leave
 * them out). */
ra_status ra_model_point(const ra_model *model, size_t point, float *vector, ra_error *err);

/* ---- computing ---------------------------------------------------------------------------------------- */

/* x_hat [B,d] <- codes [B,K] D, times scale plus mean if there are. codes->latents must be K (RA_ERR_SHAPE);
 * an index out of range is RA_ERR_ARGUMENT, a value that is not finite RA_ERR_NOT_FINITE. */
ra_status ra_model_reconstruct(const ra_model *model, ra_workspace *workspace, const ra_codes *codes,
                               float *x_hat, ra_error *err);

/* codes <- evaluation-mode encode of x [B,d], which is standardized first if the model says so. RA_ERR_STATE
 * without an encoder; RA_ERR_NOT_FINITE for NaN or infinity. */
ra_status ra_model_encode(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                          ra_codes *codes, ra_error *err);

typedef enum ra_similarity { RA_SIMILARITY_COSINE, RA_SIMILARITY_DOT } ra_similarity;

/* ids, scores [Q,k] <- for each query [Q,d], in the space of the dictionary, the k atoms of largest cosine or
 * dot product, best first, ties by lower index. Exact: scores are computed in float64 and rounded once, so
 * that they depend neither on the backend nor on the other queries of the call. The cosine with a zero atom
 * or a zero query is 0. 1 <= k <= K. */
ra_status ra_model_search(const ra_model *model, ra_workspace *workspace, const float *queries, size_t count,
                          size_t k, ra_similarity metric, size_t *ids, float *scores, ra_error *err);

/* The same for an atom, which is left out of its own list; 1 <= k <= K-1. */
ra_status ra_model_neighbors(const ra_model *model, ra_workspace *workspace, size_t atom, size_t k,
                             ra_similarity metric, size_t *ids, float *scores, ra_error *err);

/* Why a reconstruction looks as it does; x and x_hat here are in the space of the dictionary. For row b the
 * entries start[b] .. start[b+1], by falling |contribution|. */
typedef struct ra_contribution {
    size_t atom;
    float code; /* z_k */
    float
        contribution; /* z_k (D_k . x) / ||x||^2; over all k they sum to (x_hat . x) / ||x||^2; 0 for x = 0 */
} ra_contribution;

typedef struct ra_explanation {
    size_t rows;
    size_t *start;            /* [rows + 1] */
    ra_contribution *entries; /* [start[rows]] */
    float *residual_norm;     /* [rows] ||x - x_hat|| */
    float *input_norm;        /* [rows] ||x|| */
    float *r2; /* [rows] 1 - ||x - x_hat||^2 / ||x - mean(x)||^2, the mean over the row's d values; NaN when
                * they are all equal */
} ra_explanation;

/* Encodes and explains x [B,d]. What *explanation held before is ignored; it is the caller's to release, and
 * {0} after a failure. Errors as of ra_model_encode(). */
ra_status ra_model_explain(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                           ra_explanation *explanation, ra_error *err);
void ra_explanation_release(ra_explanation *explanation);

/* One push along an atom: scale * D_atom, in the units of the inputs (with a standardization, dimension j is
 * multiplied by its scale). */
typedef struct ra_steer {
    size_t atom;
    float scale;
} ra_steer;

/* What the pushes are added to: x as it is, or what the dictionary makes of it, decode(encode(x)). */
typedef enum ra_steer_base { RA_STEER_INPUT, RA_STEER_RECONSTRUCTION } ra_steer_base;

/* out [B,d] <- base(x [B,d]) + sum over the pushes of scale * D_atom; the same sum, taken in float64, for all
 * rows. An atom may be there several times, and no pushes give the base itself. out may be x.
 * RA_ERR_ARGUMENT for an atom that there is not, RA_ERR_NOT_FINITE for a scale or a row that is not finite or
 * a result beyond float32; on the reconstruction also the errors of ra_model_encode(). */
ra_status ra_model_steer(const ra_model *model, ra_workspace *workspace, const float *x, size_t rows,
                         ra_steer_base base, const ra_steer *pushes, size_t count, float *out, ra_error *err);

#endif
