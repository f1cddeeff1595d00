/* proto/openapi.json against the routing table, in both directions: every row is described, every operation
 * that is described has its row, and the two agree on names, query parameters, bodies and keys. The values of
 * settings are those of the library. What the replies look like is compared over a socket, by tests/clients/test_openapi.py. */
#include "harness.h"
#include "ra_sae.h"
#include "routes.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static cJSON *document;

static void read_document(void) {
    static char buffer[1 << 20];
    FILE *file = fopen("proto/openapi.json", "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(buffer, 1, sizeof buffer, file);
    ck_assert(feof(file));
    fclose(file);
    document = cJSON_ParseWithLength(buffer, size);
    ck_assert_ptr_nonnull(document);
}

static void release_document(void) {
    cJSON_Delete(document);
}

static const cJSON *member(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

#define EACH_ROW(row) for (const route *row = routes_table(); row->pattern; row++)
#define EACH_DESCRIBED_ROW(row) EACH_ROW(row) if (!row->page)
#define EACH_OPERATION(path, method)                                                                         \
    for (const cJSON *path = member(document, "paths")->child; path; path = path->next)                      \
        for (const cJSON *method = path->child; method; method = method->next)

static const char *string(const cJSON *object, const char *name) {
    return cJSON_GetStringValue(member(object, name));
}

/* Follows a {"$ref": "#/components/parameters/k"}; returns any other item itself. */
static const cJSON *follow(const cJSON *item) {
    const char *reference = string(item, "$ref");
    if (!reference) return item;
    ck_assert(strncmp(reference, "#/", 2) == 0);
    const cJSON *at = document;
    char name[128];
    for (const char *part = reference + 2; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(part, "/"), part);
        at = member(at, name);
    }
    ck_assert_msg(at, "%s leads nowhere", reference);
    return at;
}

/* Both write the open parts of a path in braces; the names in the braces may differ. */
static bool same_path(const char *a, const char *b) {
    for (; *a && *a == *b; a++, b++) {
        if (*a != '{') continue;
        a = strchr(a, '}');
        b = strchr(b, '}');
    }
    return *a == *b;
}

static const route *row_of(const char *path, const char *method) {
    EACH_ROW(row) {
        if (same_path(row->pattern, path) && strcasecmp(http_method_name(row->method), method) == 0)
            return row;
    }
    return NULL;
}

static const cJSON *operation_of(const route *row) {
    EACH_OPERATION(path, method) {
        if (same_path(row->pattern, path->string) &&
            strcasecmp(method->string, http_method_name(row->method)) == 0)
            return method;
    }
    return NULL;
}

/* The names of the parameters of an operation that are in the query, or in the path, separated by spaces. */
static void parameter_names(const cJSON *operation, const char *in, char *names, size_t size) {
    size_t used = 0;
    names[0] = '\0';
    const cJSON *list = member(operation, "parameters");
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        const cJSON *parameter = follow(item);
        if (strcmp(string(parameter, "in"), in) != 0) continue;
        used +=
            (size_t)snprintf(names + used, size - used, "%s%s", used ? " " : "", string(parameter, "name"));
    }
}

START_TEST(test_every_row_is_described) {
    read_document();
    EACH_DESCRIBED_ROW(row) {
        const cJSON *operation = operation_of(row);
        ck_assert_msg(operation, "%s %s is not in proto/openapi.json", http_method_name(row->method),
                      row->pattern);
        ck_assert_str_eq(string(operation, "x-route"), row->label);
    }
    release_document();
}
END_TEST

START_TEST(test_everything_described_has_its_row) {
    read_document();
    EACH_OPERATION(path, method) {
        const route *row = row_of(path->string, method->string);
        ck_assert_msg(row && !row->page, "%s %s has no row in server/routes.c", method->string, path->string);
    }
    release_document();
}
END_TEST

START_TEST(test_query_parameters_are_those_of_the_row) {
    read_document();
    EACH_DESCRIBED_ROW(row) {
        char names[256];
        parameter_names(operation_of(row), "query", names, sizeof names);
        ck_assert_msg(strcmp(names, row->query) == 0, "%s: the row knows '%s', the document '%s'", row->label,
                      row->query, names);
    }
    release_document();
}
END_TEST

START_TEST(test_path_parameters_are_described_in_their_order) {
    read_document();
    EACH_OPERATION(path, method) {
        char names[256], expected[256] = "";
        size_t used = 0;
        parameter_names(method, "path", names, sizeof names);
        for (const char *at = strchr(path->string, '{'); at; at = strchr(at + 1, '{'))
            used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%.*s", used ? " " : "",
                                     (int)strcspn(at + 1, "}"), at + 1);
        ck_assert_msg(strcmp(names, expected) == 0, "%s: '%s', not '%s'", path->string, names, expected);
    }
    release_document();
}
END_TEST

START_TEST(test_bodies_are_those_of_the_row) {
    read_document();
    EACH_DESCRIBED_ROW(row) {
        ck_assert_msg((member(operation_of(row), "requestBody") != NULL) == (row->takes != 0),
                      "%s: row and document disagree about a body", row->label);
    }
    release_document();
}
END_TEST

/* [] is open to everyone, [{"admin": []}, {"key": []}] is the administrator's, and an operation without it needs a read key,
 * or the one that a setting says. */
static bool agrees(const cJSON *operation, auth_scope key) {
    const cJSON *security = member(operation, "security");
    if (!security) return key == AUTH_READ || key == AUTH_METRICS;
    if (!security->child) return key == AUTH_OPEN;
    const cJSON *second = security->child->next;
    return key == AUTH_ADMIN && member(security->child, "admin") && second && member(second, "key") &&
           !second->next;
}

START_TEST(test_keys_are_those_of_the_row) {
    read_document();
    EACH_DESCRIBED_ROW(row) {
        ck_assert_msg(agrees(operation_of(row), row->key), "%s: row and document disagree about the key",
                      row->label);
    }
    release_document();
}
END_TEST

static void check_references(const cJSON *item) {
    if (cJSON_IsObject(item)) follow(item);
    for (const cJSON *child = item->child; child; child = child->next) check_references(child);
}

START_TEST(test_every_reference_leads_somewhere) {
    read_document();
    check_references(document);
    release_document();
}
END_TEST

/* The values of the setting in every schema of its name. */
static size_t check_values(const cJSON *item, const char *key, const char *const *names) {
    size_t found = 0;
    const cJSON *choices = member(item, "oneOf"), *one = choices ? follow(choices->child) : item;
    const cJSON *values = item->string && strcmp(item->string, key) == 0 ? member(one, "enum") : NULL;
    if (values) {
        const cJSON *value = values->child;
        found = 1;
        for (size_t i = 0; names[i]; i++, value = value->next)
            ck_assert_msg(value && cJSON_IsString(value) && strcmp(value->valuestring, names[i]) == 0,
                          "%s lacks %s in its place", key, names[i]);
        ck_assert_msg(!value || cJSON_IsNull(value), "%s has values that the setting lacks", key);
    }
    for (const cJSON *child = item->child; child; child = child->next)
        found += check_values(child, key, names);
    return found;
}

START_TEST(test_values_are_those_of_the_settings) {
    static const enum ra_sae_setting shared[] = {RA_SET_SAE, RA_SET_ENCODER};
    read_document();
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        const ra_setting *row = &ra_sae_settings_table()->rows[shared[i]];
        ck_assert_uint_ge(check_values(document, row->key, row->names), 1);
    }
    release_document();
}
END_TEST

TEST_CASES(openapi, test_every_row_is_described, test_everything_described_has_its_row,
           test_query_parameters_are_those_of_the_row, test_path_parameters_are_described_in_their_order,
           test_bodies_are_those_of_the_row, test_keys_are_those_of_the_row,
           test_every_reference_leads_somewhere, test_values_are_those_of_the_settings)
