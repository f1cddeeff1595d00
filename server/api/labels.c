/* Labels that are set while serving. Replies read them in memory (state/store.h); changes wait for the disk, on a compute
 * thread. A label's entity tag has the number of its last change, which never comes back, so that of two people who change
 * the same label with If-Match the later one is told. */
#include "api/forms.h"
#include "api/limits.h"
#include "api/page.h"
#include "codec/json/changes.h"
#include "ra_memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

enum { DEFAULT_LIMIT = 100 };

/* ---- telling ------------------------------------------------------------------------------------------- */

/* What the file says has no number: its tag is that of the file. */
static void make_tag(const api_call *call, int64_t change, char tag[HTTP_TAG_SIZE]) {
    if (change)
        snprintf(tag, HTTP_TAG_SIZE, "\"label-%" PRId64 "\"", change);
    else
        snprintf(tag, HTTP_TAG_SIZE, "\"file-%.16s\"", ra_artifact_digest(call->dictionary->artifact));
}

static void write_time(text *out, int64_t seconds) {
    char date[32];
    struct tm utc;
    time_t then = (time_t)seconds;
    gmtime_r(&then, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_text(out, "changed_at", date);
}

static void write_words(text *out, const char *explanation, const char *source, double score) {
    json_text(out, "explanation", explanation);
    json_text(out, "source", source);
    json_float(out, "score", (float)score);
}

static ra_status write_label(api_call *call, const set_labels *labels) {
    const ra_model *model = api_model(call);
    const set_label *set = set_labels_at(labels, call->index);
    char tag[HTTP_TAG_SIZE];
    text *out = api_json(call);
    json_object(out, NULL);
    json_count(out, "atom", call->index);
    json_text(out, "label", set ? set->label : ra_model_atom_label(model, call->index));
    json_text(out, "label_source",
              set ? "set" : ra_label_source_name(ra_model_atom_label_source(model, call->index)));
    if (set) {
        write_words(out, set->explanation, set->source, set->score);
        write_time(out, set->time);
    } else {
        const atom_words own = model_atom_words(model, call->index);
        write_words(out, own.explanation, own.source, own.score);
        json_null(out, "changed_at");
    }
    json_object_end(out);
    make_tag(call, set ? set->change : 0, tag);
    api_put_tag(call, tag);
    return RA_OK;
}

ra_status api_label(api_call *call, ra_error *err) {
    RA_TRY(api_check_atom(call, call->index, err));
    return write_label(call, call->labels);
}

/* All of them as NDJSON, unless a limit is given: that is an export. */
ra_status api_labels(api_call *call, ra_error *err) {
    size_t total = set_labels_count(call->labels);
    page here;
    RA_TRY(page_query(call, DEFAULT_LIMIT, total, &here, err));
    bool whole =
        call->request->reply_form == FORM_NDJSON && !http_target_parameter(&call->request->target, "limit");
    if (whole && here.offset < total) here.end = total;
    if (whole) here.limit = total ? total : 1;
    if (!whole) RA_TRY(page_link(call, &here, "format", err));
    call->response->cacheable = true;
    text *out = forms_list_begin(call, "labels");
    for (size_t i = here.offset; i < here.end; i++) {
        const set_label *set = set_labels_item(call->labels, i);
        json_object(out, NULL);
        json_count(out, "atom", set->atom);
        json_text(out, "label", set->label);
        write_words(out, set->explanation, set->source, set->score);
        write_time(out, set->time);
        json_object_end(out);
        RA_TRY(forms_list_next(call, err));
    }
    forms_list_end(call, here.end - here.offset);
    if (!whole) page_members(out, &here);
    json_object_end(out);
    return RA_OK;
}

/* ---- changing ------------------------------------------------------------------------------------------ */

static bool holds(void *context, int64_t change) {
    const api_call *call = context;
    char tag[HTTP_TAG_SIZE];
    make_tag(call, change, tag);
    /* "*" stands for a label that was set, so If-None-Match: * changes none */
    if (!change && !call->request->headers[HTTP_IF_MATCH]) return true;
    return api_change_holds(call->request, tag);
}

static ra_status change_label(api_call *call, const set_label *item, ra_error *err) {
    bool held;
    store_slot *slot = call->dictionary->changes;
    RA_TRY(store_set_labels(slot, item, 1, holds, call, &held, err));
    if (!held) {
        api_refuse_change(call, "the label");
        return RA_OK;
    }
    set_labels *now = store_labels(slot);
    ra_status status = write_label(call, now);
    set_labels_release(now);
    return status;
}

ra_status api_set_label(api_call *call, ra_error *err) {
    label_changes changes;
    RA_TRY(api_check_atom(call, call->index, err));
    RA_TRY(api_need_state(call, err));
    RA_TRY(json_label_parse(call->request->body, call->request->body_size, &changes, err));
    const label_change *one = changes.items;
    set_label item = {.atom = call->index,
                      .label = one->label,
                      .explanation = one->explanation,
                      .source = one->source,
                      .score = one->score};
    ra_status status = change_label(call, &item, err);
    label_changes_release(&changes);
    return status;
}

ra_status api_unset_label(api_call *call, ra_error *err) {
    RA_TRY(api_check_atom(call, call->index, err));
    RA_TRY(api_need_state(call, err));
    RA_TRY(json_nothing_parse(call->request->body, call->request->body_size, err));
    return change_label(call, &(set_label){.atom = call->index, .score = (double)NAN}, err);
}

/* ---- many at once -------------------------------------------------------------------------------------- */

static ra_status import(api_call *call, const label_changes *changes, set_label *items, ra_error *err) {
    size_t concepts = api_info(call)->concepts, removed = 0;
    char where[40];
    bool held;
    for (size_t i = 0; i < changes->count; i++) {
        const label_change *one = &changes->items[i];
        snprintf(where, sizeof where, "/labels/%zu/atom", i);
        if (one->atom >= concepts) return api_check_listed_atom(call, one->atom, where, err);
        items[i] = (set_label){.atom = one->atom,
                               .label = one->label,
                               .explanation = one->explanation,
                               .source = one->source,
                               .score = one->score};
        removed += !one->label;
    }
    if (changes->count)
        RA_TRY(store_set_labels(call->dictionary->changes, items, changes->count, NULL, NULL, &held, err));
    text *out = api_json(call);
    json_object(out, NULL);
    json_count(out, "set", changes->count - removed);
    json_count(out, "removed", removed);
    json_object_end(out);
    return RA_OK;
}

ra_status api_import_labels(api_call *call, ra_error *err) {
    label_changes changes;
    RA_TRY(api_need_state(call, err));
    RA_TRY(json_labels_parse(call->request->body, call->request->body_size,
                             call->request->body_form == FORM_NDJSON, LIMIT_IDS, &changes, err));
    set_label *items = ra_malloc(changes.count + 1, sizeof *items);
    ra_status status = items ? import(call, &changes, items, err)
                             : ra_error_set(err, RA_ERR_MEMORY, "out of memory: labels");
    ra_free(items);
    label_changes_release(&changes);
    return status;
}
