/* Atoms: one, a page of them, some by number, and the nearest of one. */
#include "api/forms.h"
#include "ra_memory.h"

#include <string.h>

enum { DEFAULT_LIMIT = 10, MAX_LIMIT = 1000, DEFAULT_NEIGHBORS = 10 };

/* ---- which parts --------------------------------------------------------------------------------------- */

static unsigned field_bit(const char *name, size_t size) {
    static const char *const names[ATOM_FIELD_COUNT] = {
#define X(id, name) [ATOM_FIELD_INDEX_##id] = name,
        ATOM_FIELD_LIST(X)
#undef X
    };
    for (int i = 0; i < ATOM_FIELD_COUNT; i++)
        if (strlen(names[i]) == size && strncmp(names[i], name, size) == 0) return 1u << i;
    return 0;
}

/* `fields=norm,label`; all of them when it is not given. */
static ra_status query_fields(const api_call *call, unsigned *fields, ra_error *err) {
    const char *name = http_target_parameter(&call->request->target, "fields");
    *fields = name ? 0 : ATOM_ALL_FIELDS;
    for (const char *end; name; name = *end ? end + 1 : NULL) {
        end = strchrnul(name, ',');
        unsigned bit = field_bit(name, (size_t)(end - name));
        if (!bit)
            RA_FAIL(err, RA_ERR_ARGUMENT,
                    "fields has '%.*s', expected some of vector, norm, label, archetypes, relaxation, "
                    "statistics and layout",
                    (int)(end - name < 64 ? end - name : 64), name);
        *fields |= bit;
    }
    return RA_OK;
}

/* In binary there is nothing but the vectors. */
static ra_status check_binary_fields(const api_call *call, unsigned fields, ra_error *err) {
    if (call->request->reply_form == FORM_JSON || fields & ATOM_VECTOR) return RA_OK;
    RA_FAIL(err, RA_ERR_ARGUMENT,
            "fields leaves out the vector, and the form asked for has nothing else; ask for JSON");
}

/* ---- one atom ------------------------------------------------------------------------------------------ */

/* What atoms are read into, one after another. */
typedef struct atom_reader {
    const ra_model *model;
    const ra_model_info *info;
    unsigned fields;
    float *vector;
    ra_archetype *archetypes;
} atom_reader;

static ra_status reader_start(const api_call *call, atom_reader *reader, ra_error *err) {
    scratch *mine = NULL;
    void *vector = NULL, *archetypes = NULL;
    *reader = (atom_reader){.model = api_model(call), .info = api_info(call)};
    ra_status status = query_fields(call, &reader->fields, err);
    if (status == RA_OK) status = check_binary_fields(call, reader->fields, err);
    if (status == RA_OK) status = scratch_get(&mine, err);
    if (status == RA_OK)
        status =
            scratch_reserve(mine, SCRATCH_NUMBERS, reader->info->dimensions, sizeof(float), &vector, err);
    if (status == RA_OK)
        status = scratch_reserve(mine, SCRATCH_ARCHETYPES, reader->info->archetypes, sizeof(ra_archetype),
                                 &archetypes, err);
    reader->vector = vector;
    reader->archetypes = archetypes;
    return status;
}

/* atom < K */
static ra_status write_atom(const atom_reader *reader, size_t atom, text *out, ra_error *err) {
    const ra_model *model = reader->model;
    if (reader->fields & ATOM_VECTOR) {
        ra_status status = ra_model_atom(model, atom, reader->vector, err);
        if (status != RA_OK) return status;
    }
    float place[2];
    bool placed = ra_model_atom_layout(model, atom, place);
    json_atom(out, &(atom_reply){.atom = atom,
                                 .fields = reader->fields,
                                 .norm = ra_model_atom_norm(model, atom),
                                 .label = ra_model_atom_label(model, atom),
                                 .archetypes = reader->archetypes,
                                 .archetype_count = ra_model_atom_archetypes(model, atom, reader->archetypes,
                                                                             reader->info->archetypes),
                                 .relaxation = ra_model_atom_relaxation(model, atom),
                                 .latents = ra_model_latent_statistics(model),
                                 .layout = placed ? place : NULL,
                                 .vector = reader->vector,
                                 .dimensions = reader->info->dimensions});
    return RA_OK;
}

/* count vectors from atom `first` on: from where they lie, when that is in f32. rank 1 is a single one. */
static ra_status send_vectors(api_call *call, const atom_reader *reader, const size_t *ids, size_t first,
                              size_t count, int rank, ra_error *err) {
    const ra_tensor *D = ra_model_dictionary(reader->model);
    size_t d = reader->info->dimensions;
    ra_tensor vectors = ra_tensor_2d(RA_F32, NULL, count, d);
    if (rank == 1) vectors = ra_tensor_1d(RA_F32, NULL, d);
    if (D->dtype == RA_F32 && !ids) {
        vectors.data = (const float *)D->data + first * d;
        return forms_reply_in_place(call, &vectors, err);
    }
    float *copy = ra_malloc(count * d, sizeof *copy);
    if (!copy) RA_FAIL(err, RA_ERR_MEMORY, "out of memory: %zu vectors", count);
    ra_status status = RA_OK;
    for (size_t i = 0; i < count && status == RA_OK; i++)
        status = ra_model_atom(reader->model, ids ? ids[i] : first + i, copy + i * d, err);
    vectors.data = copy;
    tensor_list list = {1, {vectors}};
    if (status == RA_OK) status = forms_reply_tensors(call, &list, err);
    ra_free(copy);
    return status;
}

ra_status api_atom(api_call *call, ra_error *err) {
    atom_reader reader;
    ra_status status = api_check_atom(call, call->index, err);
    if (status == RA_OK) status = reader_start(call, &reader, err);
    call->response->cacheable = true;
    if (status == RA_OK && call->request->reply_form != FORM_JSON)
        return send_vectors(call, &reader, NULL, call->index, 1, 1, err);
    return status == RA_OK ? write_atom(&reader, call->index, api_json(call), err) : status;
}

/* ---- several ------------------------------------------------------------------------------------------- */

static text *open_list(api_call *call) {
    text *out = api_json(call);
    json_object(out, NULL);
    json_array(out, "atoms");
    return out;
}

/* `ids=1,5,9`, checked before anything is written. */
static ra_status query_ids(const api_call *call, const char *list, size_t **ids, size_t *count,
                           ra_error *err) {
    scratch *mine = NULL;
    void *block = NULL;
    ra_status status = scratch_get(&mine, err);
    if (status == RA_OK) status = scratch_reserve(mine, SCRATCH_IDS, MAX_LIMIT, sizeof(size_t), &block, err);
    *ids = block;
    *count = 0;
    for (const char *end; status == RA_OK && list; list = *end ? end + 1 : NULL) {
        end = strchrnul(list, ',');
        if (*count == MAX_LIMIT) RA_FAIL(err, RA_ERR_ARGUMENT, "ids has more than %d numbers", MAX_LIMIT);
        size_t *id = &(*ids)[*count];
        status = api_parse_index(list, end, "ids", id, err);
        if (status == RA_OK) status = api_check_atom(call, *id, err);
        *count += 1;
    }
    return status;
}

static ra_status atoms_by_ids(api_call *call, const atom_reader *reader, const char *list, ra_error *err) {
    size_t *ids, count;
    if (http_target_parameter(&call->request->target, "offset") ||
        http_target_parameter(&call->request->target, "limit"))
        RA_FAIL(err, RA_ERR_ARGUMENT, "ids stands beside offset or limit; give one or the other");
    ra_status status = query_ids(call, list, &ids, &count, err);
    if (status != RA_OK) return status;
    if (call->request->reply_form != FORM_JSON) return send_vectors(call, reader, ids, 0, count, 2, err);
    text *out = open_list(call);
    for (size_t i = 0; i < count && status == RA_OK; i++) {
        status = write_atom(reader, ids[i], out, err);
        if (status == RA_OK) status = api_check_reply(call, err);
    }
    json_array_end(out);
    json_object_end(out);
    return status;
}

/* ---- pages: Link names the ones around
 * this one ---------------------------------------------------------- */

typedef struct page {
    size_t offset, limit, total;
} page;

static void add_link(const api_call *call, text *links, const char *relation, size_t offset, size_t limit) {
    static const char *const kept[] = {"fields",
                                       "format"}; /* checked by now: nothing in them needs encoding */
    const http_target *target = &call->request->target;
    text_format(links, "%s<%s?offset=%zu&limit=%zu", links->size ? ", " : "", target->path, offset, limit);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *value = http_target_parameter(target, kept[i]);
        if (value) text_format(links, "&%s=%s", kept[i], value);
    }
    text_format(links, ">; rel=\"%s\"", relation);
}

/* Pages are counted from this one, so that whoever walks along them meets each atom once. */
static ra_status link_pages(api_call *call, const page *here, ra_error *err) {
    text links = {0};
    size_t left = here->total - here->offset, before = here->offset % here->limit;
    size_t last = here->offset + (left - 1) / here->limit * here->limit;
    add_link(call, &links, "first", 0, before && here->offset < here->limit ? before : here->limit);
    if (here->offset > 0)
        add_link(call, &links, "prev", here->offset > here->limit ? here->offset - here->limit : 0,
                 here->offset < here->limit ? here->offset : here->limit);
    if (left > here->limit) add_link(call, &links, "next", here->offset + here->limit, here->limit);
    add_link(call, &links, "last", last, here->limit);
    text_append(&links, "", 1);
    bool failed = links.failed;
    if (!failed) http_response_header(call->response, "Link", links.data);
    text_release(&links);
    return failed ? ra_error_set(err, RA_ERR_MEMORY, "out of memory: the links of a page") : RA_OK;
}

static ra_status atoms_by_page(api_call *call, const atom_reader *reader, ra_error *err) {
    size_t offset = 0, limit = 0, total = reader->info->concepts;
    ra_status status = api_query_count(call, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT, &limit, err);
    if (status == RA_OK) status = api_query_count(call, "offset", 0, 0, SIZE_MAX, &offset, err);
    if (status != RA_OK) return status;
    if (offset >= total)
        RA_FAIL(err, RA_ERR_NOT_FOUND, "offset is %zu, but dictionary %s has %zu atoms", offset,
                call->dictionary->name, total);
    size_t end = limit < total - offset ? offset + limit : total;
    status = link_pages(call, &(page){offset, limit, total}, err);
    if (status == RA_OK && call->request->reply_form != FORM_JSON)
        return send_vectors(call, reader, NULL, offset, end - offset, 2, err);
    text *out = open_list(call);
    for (size_t atom = offset; atom < end && status == RA_OK; atom++) {
        status = write_atom(reader, atom, out, err);
        if (status == RA_OK) status = api_check_reply(call, err);
    }
    json_array_end(out);
    json_count(out, "offset", offset);
    json_count(out, "limit", limit);
    json_count(out, "total", total);
    json_object_end(out);
    return status;
}

ra_status api_atoms(api_call *call, ra_error *err) {
    atom_reader reader;
    const char *ids = http_target_parameter(&call->request->target, "ids");
    ra_status status = reader_start(call, &reader, err);
    if (status != RA_OK) return status;
    call->response->cacheable = true;
    return ids ? atoms_by_ids(call, &reader, ids, err) : atoms_by_page(call, &reader, err);
}

/* ---- neighbors ---------------------------------------------------------------------------------------- */

static ra_status find_neighbors(const api_call *call, size_t k, ra_similarity metric, size_t **ids,
                                float **scores, ra_error *err) {
    scratch *mine = NULL;
    void *id_block = NULL, *score_block = NULL;
    ra_status status = scratch_get(&mine, err);
    if (status == RA_OK) status = scratch_reserve(mine, SCRATCH_IDS, k, sizeof(size_t), &id_block, err);
    if (status == RA_OK) status = scratch_reserve(mine, SCRATCH_NUMBERS, k, sizeof(float), &score_block, err);
    *ids = id_block;
    *scores = score_block;
    if (status != RA_OK || k == 0) return status;
    computation wanted = {.kind = COMPUTE_NEIGHBORS,
                          .atom = call->index,
                          .k = k,
                          .metric = metric,
                          .ids = *ids,
                          .scores = *scores};
    status = api_compute(call, &wanted, err);
    return status == RA_OK ? api_check_finite("neighbors", *scores, k, err) : status;
}

ra_status api_neighbors(api_call *call, ra_error *err) {
    ra_status status = api_check_atom(call, call->index, err);
    if (status != RA_OK) return status;
    size_t others = api_info(call)->concepts - 1, *ids, k;
    size_t standard = others < DEFAULT_NEIGHBORS ? others : DEFAULT_NEIGHBORS;
    ra_similarity metric;
    float *scores;
    status = api_query_count(call, "k", standard, 1, others, &k, err);
    if (status == RA_OK) status = api_query_metric(call, RA_SIMILARITY_COSINE, &metric, err);
    if (status == RA_OK) status = find_neighbors(call, k, metric, &ids, &scores, err);
    if (status != RA_OK) return status;
    text *out = api_json(call);
    call->response->cacheable = true;
    json_object(out, NULL);
    json_count(out, "atom", call->index);
    json_text(out, "metric", metric_name(metric));
    json_array(out, "neighbors");
    for (size_t i = 0; i < k; i++)
        json_match(out, ids[i], scores[i], ra_model_atom_label(api_model(call), ids[i]));
    json_array_end(out);
    json_object_end(out);
    return RA_OK;
}
