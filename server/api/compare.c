/* How alike two served dictionaries are: the figures and the match of `rasae compare`, computed by this thread with its own
 * backend, since what is compared may be in the memory of a device. The match takes K^2 numbers and, at worst, K^3 steps: so
 * K is bounded, and one comparison runs at a time, so that the other threads stay free: another request is told to come
 * again meanwhile. It ends when its client has left. */
#include "api/api.h"
#include "api/limits.h"
#include "codec/json/compare.h"
#include "ra_memory.h"
#include "ra_metrics.h"

static atomic_flag busy = ATOMIC_FLAG_INIT;

static ra_status find_other(const api_call *call, const char *name, served **other, ra_error *err) {
    registry *dictionaries = call->server->dictionaries;
    registry_status known;
    *other = registry_acquire(dictionaries, name);
    if (*other) return RA_OK;
    if (registry_status_of(dictionaries, name, &known)) {
        if (known.lost) return api_fail_lost(known.name, err);
        RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_NOT_LOADED, .where = "/with"),
                      "dictionary %s is not loaded: %s", known.name, known.reason);
    }
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_DICTIONARY, .where = "/with"),
                  "there is no dictionary '%.64s' to compare with", name);
}

static ra_status check_sizes(const api_call *call, const served *other, ra_error *err) {
    const ra_model_info *a = api_info(call), *b = ra_model_get_info(other->model);
    if (a->concepts != b->concepts || a->dimensions != b->dimensions)
        RA_FAIL_FACTS(err, RA_ERR_SHAPE, (.where = "/with"),
                      "%s has %zu atoms of %zu dimensions, but %s has %zu of %zu; only dictionaries of the "
                      "same shape can be compared",
                      call->dictionary->name, a->concepts, a->dimensions, other->name, b->concepts,
                      b->dimensions);
    if (a->concepts > LIMIT_COMPARED)
        RA_FAIL_FACTS(
            err, RA_ERR_TOO_LARGE,
            (.kind = PROBLEM_TOO_MANY, .where = "/with", PROBLEM_COUNTS(LIMIT_COMPARED, a->concepts)),
            "%zu atoms are more than the %d that are compared here; rasae compare compares the files",
            a->concepts, LIMIT_COMPARED);
    return RA_OK;
}

static bool still_wanted(void *context, uint64_t done, uint64_t total) {
    const atomic_bool *canceled = context;
    (void)done, (void)total;
    return !canceled || !atomic_load(canceled);
}

static ra_status copy_atoms(const ra_model *model, ra_matrix *D, ra_error *err) {
    const ra_tensor *fused = ra_model_dictionary(model);
    RA_TRY(ra_matrix_init(D, fused->shape[0], fused->shape[1], err));
    ra_convert_to_f32(fused->dtype, fused->data, D->data, ra_tensor_elements(fused));
    return RA_OK;
}

static bool points_are_few(const ra_model_info *info) {
    return info->points <= LIMIT_COMPARED_POINTS / info->dimensions;
}

static ra_status compare(const api_call *call, const served *other, ra_comparison *made,
                         ra_shared_points *points, ra_error *err) {
    const ra_compare_options options = {still_wanted, (void *)(uintptr_t)call->request->canceled};
    ra_matrix A = {0}, B = {0};
    ra_backend *backend = NULL;
    ra_status status;
    if (points_are_few(api_info(call)) && points_are_few(ra_model_get_info(other->model)))
        RA_TRY(ra_count_shared_points(api_model(call), other->model, points, err));
    RA_TRY_OUT(status, copy_atoms(api_model(call), &A, err));
    RA_TRY_OUT(status, copy_atoms(other->model, &B, err));
    RA_TRY_OUT(status, ra_backend_open("cpu", &(ra_backend_options){.threads = 1}, &backend, err));
    RA_TRY_OUT(status, ra_compare(backend, A.data, B.data, A.rows, A.cols, &options, made, err));
out:
    ra_backend_release(backend);
    ra_matrix_release(&A);
    ra_matrix_release(&B);
    return status;
}

static void write_points(text *out, const ra_shared_points *points) {
    const char *const names[] = {"shared_points", "shared_points_in_any_order", "points"};
    const size_t counts[] = {points->equal, points->common, points->of};
    for (size_t i = 0; i < 3; i++)
        if (points->known)
            json_count(out, names[i], counts[i]);
        else
            json_null(out, names[i]);
}

static void write_reply(text *out, const api_call *call, const served *other, const ra_comparison *made,
                        const ra_shared_points *points) {
    json_object(out, NULL);
    json_text(out, "dictionary", call->dictionary->name);
    json_text(out, "with", other->name);
    json_text(out, "with_revision", ra_artifact_digest(other->artifact));
    json_count(out, "concepts", made->concepts);
    json_real(out, "stability_with_flips", made->stability_with_flips);
    json_real(out, "stability_without_flips", made->stability_without_flips);
    json_real(out, "stability_centered", made->stability_centered);
    json_real(out, "share_over_90", made->share_over_90);
    json_real(out, "share_over_70", made->share_over_70);
    json_real(out, "cosine_hungarian_loss", made->cosine_hungarian_loss);
    json_real(out, "hungarian_loss", made->hungarian_loss);
    write_points(out, points);
    json_array(out, "match");
    for (size_t i = 0; i < made->concepts; i++) json_count(out, NULL, (uint64_t)made->match[i]);
    json_array_end(out);
    json_floats(out, "match_cosine", made->match_cosine, made->concepts);
    json_object_end(out);
}

/* What was read of the other file is good if it is what it was, as the caller makes sure of this one. */
static ra_status check_other(const api_call *call, const served *other, ra_error *err) {
    ra_error why = {0};
    if (ra_model_check(other->model, &why) == RA_OK) return RA_OK;
    registry_lose(call->server->dictionaries, other, why.message);
    return api_fail_lost(other->name, err);
}

ra_status api_compare(api_call *call, ra_error *err) {
    text name = {0};
    served *other = NULL;
    ra_comparison made = {0};
    ra_shared_points points = {0};
    ra_status status;
    RA_TRY_OUT(status, json_compare_parse(call->request->body, call->request->body_size, &name, err));
    RA_TRY_OUT(status, find_other(call, name.data, &other, err));
    RA_TRY_OUT(status, check_sizes(call, other, err));
    if (atomic_flag_test_and_set(&busy)) {
        http_overloaded(call->request, call->response,
                        "the server compares two other dictionaries now, and does one at a time");
        goto out;
    }
    status = compare(call, other, &made, &points, err);
    atomic_flag_clear(&busy);
    ra_status checked = check_other(call, other, err);
    if (checked != RA_OK) status = checked;
    if (status == RA_OK) write_reply(api_json(call), call, other, &made, &points);
out:
    ra_comparison_release(&made);
    served_release(other);
    text_release(&name);
    return status;
}
