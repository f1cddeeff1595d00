/* Named lists of atoms, which are kept in the state directory: selections that people share. They are read from the database
 * each time, on a compute thread: there are few of them, and nothing else depends on them. */
#include "api/api.h"
#include "api/limits.h"
#include "codec/json/changes.h"
#include "codec/json/requests.h"
#include "ra_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *name_of(const api_call *call) {
    return call->request->captures[1];
}

/* As dictionaries are named, so that a URL needs no encoding. */
static ra_status check_name(const api_call *call, ra_error *err) {
    RA_TRY(api_need_state(call, err));
    if (registry_name_is_good(name_of(call))) return RA_OK;
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_LIST, .where = "list_name"),
                  "'%.64s' is no name of a list: expected 1 to 64 letters, digits, '.', '-' and '_'",
                  name_of(call));
}

static void make_tag(int64_t change, char tag[HTTP_TAG_SIZE]) {
    snprintf(tag, HTTP_TAG_SIZE, "\"list-%" PRId64 "\"", change);
}

/* ---- telling ------------------------------------------------------------------------------------------- */

typedef struct list_writer {
    text *out;
    bool with_atoms;
    size_t count; /* of lists */
    int64_t change;
} list_writer;

static void write_list(void *context, const store_list *list) {
    list_writer *writer = context;
    text *out = writer->out;
    char date[32];
    struct tm utc;
    time_t then = (time_t)list->time;
    gmtime_r(&then, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_object(out, NULL);
    json_text(out, "name", list->name);
    json_text(out, "description", list->description);
    json_count(out, "atom_count", list->count);
    if (writer->with_atoms) {
        json_array(out, "atoms");
        for (size_t i = 0; i < list->count; i++) json_count(out, NULL, list->atoms[i]);
        json_array_end(out);
    }
    json_text(out, "changed_at", date);
    json_object_end(out);
    writer->count++;
    writer->change = list->change;
}

ra_status api_lists(api_call *call, ra_error *err) {
    RA_TRY(api_need_state(call, err));
    text *out = api_json(call);
    list_writer writer = {.out = out};
    call->response->cacheable = true;
    json_object(out, NULL);
    json_array(out, "lists");
    RA_TRY(store_read_lists(call->dictionary->changes, NULL, write_list, &writer, err));
    json_array_end(out);
    json_count(out, "total", writer.count);
    json_object_end(out);
    return RA_OK;
}

static ra_status fail_unknown(const api_call *call, ra_error *err) {
    RA_FAIL_FACTS(err, RA_ERR_NOT_FOUND, (.kind = PROBLEM_UNKNOWN_LIST, .where = "list_name"),
                  "dictionary %s has no list named '%.64s'", call->dictionary->name, name_of(call));
}

ra_status api_list(api_call *call, ra_error *err) {
    RA_TRY(check_name(call, err));
    list_writer writer = {.out = api_json(call), .with_atoms = true};
    RA_TRY(store_read_lists(call->dictionary->changes, name_of(call), write_list, &writer, err));
    if (!writer.count) return fail_unknown(call, err);
    char tag[HTTP_TAG_SIZE];
    make_tag(writer.change, tag);
    api_put_tag(call, tag);
    return RA_OK;
}

/* ---- changing ------------------------------------------------------------------------------------------ */

static bool holds(void *context, int64_t change) {
    char tag[HTTP_TAG_SIZE] = "";
    if (change) make_tag(change, tag);
    return api_change_holds(context, tag);
}

static ra_status put(api_call *call, const list_change *wanted, ra_error *err) {
    bool held;
    store_list list = {.name = name_of(call),
                       .description = wanted->description,
                       .atoms = wanted->atoms,
                       .count = wanted->count,
                       .time = time(NULL)};
    for (size_t i = 0; i < wanted->count; i++) {
        char where[40];
        snprintf(where, sizeof where, "/atoms/%zu", i);
        if (wanted->atoms[i] >= api_info(call)->concepts)
            return api_check_listed_atom(call, wanted->atoms[i], where, err);
    }
    RA_TRY(store_put_list(call->dictionary->changes, &list, LIMIT_LISTS, holds,
                          (void *)(uintptr_t)call->request, &held, &list.change, err));
    if (!held) {
        api_refuse_change(call, "the list");
        return RA_OK;
    }
    list_writer writer = {.out = api_json(call), .with_atoms = true};
    write_list(&writer, &list);
    char tag[HTTP_TAG_SIZE];
    make_tag(list.change, tag);
    api_put_tag(call, tag);
    return RA_OK;
}

ra_status api_put_list(api_call *call, ra_error *err) {
    list_change wanted;
    RA_TRY(check_name(call, err));
    RA_TRY(json_list_parse(call->request->body, call->request->body_size, LIMIT_IDS, &wanted, err));
    ra_status status = put(call, &wanted, err);
    list_change_release(&wanted);
    return status;
}

ra_status api_delete_list(api_call *call, ra_error *err) {
    bool held, found;
    RA_TRY(check_name(call, err));
    RA_TRY(json_nothing_parse(call->request->body, call->request->body_size, err));
    RA_TRY(store_delete_list(call->dictionary->changes, name_of(call), holds,
                             (void *)(uintptr_t)call->request, &held, &found, err));
    if (!found) return fail_unknown(call, err);
    if (!held)
        api_refuse_change(call, "the list");
    else
        call->response->status = 204;
    return RA_OK;
}
