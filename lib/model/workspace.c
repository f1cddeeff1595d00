#include "model/model.h"

ra_status ra_workspace_new(ra_workspace **workspace, ra_error *err) {
    ra_workspace *fresh = ra_calloc(1, sizeof *fresh);
    if (!fresh) RA_FAIL_MEMORY(err, "a workspace", sizeof *fresh);
    *workspace = fresh;
    return RA_OK;
}

ra_status ra_workspace_new_serial(ra_workspace **workspace, ra_error *err) {
    RA_TRY(ra_workspace_new(workspace, err));
    (*workspace)->executions.serial = true;
    return RA_OK;
}

void ra_workspace_watch(ra_workspace *workspace, const atomic_bool *canceled) {
    workspace->canceled = canceled;
    workspace->pursuit.canceled = canceled;
}

ra_status ra_workspace_check(const ra_workspace *workspace, ra_error *err) {
    if (workspace->canceled && atomic_load(workspace->canceled))
        RA_FAIL(err, RA_ERR_CANCELED, "the computation was canceled");
    return RA_OK;
}

void ra_workspace_free(ra_workspace *workspace) {
    if (!workspace) return;
    ra_scratch *const scratches[] = {
        &workspace->input,  &workspace->hidden, &workspace->query, &workspace->neighbor, &workspace->scores,
        &workspace->ranked, &workspace->chosen, &workspace->x_hat, &workspace->share,    &workspace->shift};
    for (size_t i = 0; i < sizeof scratches / sizeof *scratches; i++) ra_free(scratches[i]->data);
    ra_executions_release(&workspace->executions);
    ra_pursuit_release(&workspace->pursuit);
    ra_codes_release(&workspace->chunk);
    ra_codes_release(&workspace->codes);
    ra_free(workspace);
}

ra_status ra_scratch_reserve(ra_scratch *scratch, const char *what, size_t count, size_t size, void **values,
                             ra_error *err) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        RA_FAIL(err, RA_ERR_TOO_LARGE, "%s: %zu elements of %zu bytes are too many", what, count, size);
    if (!scratch->data || bytes > scratch->bytes) {
        void *fresh = ra_malloc(bytes, 1);
        if (!fresh) RA_FAIL_MEMORY(err, what, bytes);
        ra_free(scratch->data);
        *scratch = (ra_scratch){fresh, bytes};
    }
    *values = scratch->data;
    return RA_OK;
}
