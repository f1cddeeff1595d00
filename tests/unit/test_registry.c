#include "harness.h"
#include "engine/registry.h"
#include "engine/reloader.h"
#include "test_model_files.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *write_model(const char *name, float first) {
    model_file file = {0};
    model_file_artifact(&file);
    model_file_set(&file, "dictionary", 0, first);
    const char *path = model_file_write(&file, name);
    model_file_release(&file);
    return path;
}

/* Under the served name there is always a complete file. */
static void replace_model(const char *path, float first) {
    char fresh[512];
    snprintf(fresh, sizeof fresh, "%s", write_model("fresh.safetensors", first));
    ck_assert_int_eq(rename(fresh, path), 0);
}

static registry *with_one(const char *path) {
    registry *dictionaries = NULL;
    ra_ok(registry_new(&(registry_options){0}, &dictionaries, &err));
    ra_ok(registry_add(dictionaries, "words", path, &err));
    return dictionaries;
}

static float first_number(const served *dictionary) {
    float vector[FILE_D] = {0};
    ra_ok(ra_model_atom(dictionary->model, 0, vector, &err));
    return vector[0];
}

START_TEST(test_names_are_found_and_others_are_not) {
    const char *path = write_model("a.safetensors", 1);
    registry *dictionaries = with_one(path);
    ra_ok(registry_add(dictionaries, "digits", path, &err));
    ck_assert_uint_eq(registry_count(dictionaries), 2);
    served *words = registry_acquire(dictionaries, "words"), *second = registry_acquire_at(dictionaries, 1);
    ck_assert_str_eq(words->name, "words");
    ck_assert_str_eq(second->name, "digits");
    ck_assert_uint_eq(words->generation, 1);
    ck_assert_ptr_null(registry_acquire(dictionaries, "word"));
    ck_assert_ptr_null(registry_acquire_at(dictionaries, 2));
    served_release(words);
    served_release(second);
    served_release(NULL);
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_refuses_bad_names_and_bad_files) {
    const char *path = write_model("a.safetensors", 1);
    registry *dictionaries = with_one(path);
    ra_fails(registry_add(dictionaries, "words", path, &err), RA_ERR_ARGUMENT, "twice");
    ra_fails(registry_add(dictionaries, "a/b", path, &err), RA_ERR_ARGUMENT, "'a/b'");
    ra_fails(registry_add(dictionaries, "", path, &err), RA_ERR_ARGUMENT, "''");
    ra_fails(registry_add(dictionaries, "none", test_path("none"), &err), RA_ERR_NOT_FOUND, "none");
    ra_fails(registry_add(dictionaries, "junk", test_write("junk", "junk", 4), &err), RA_ERR_FORMAT, "junk");
    ck_assert_uint_eq(registry_count(dictionaries), 1);
    registry_free(dictionaries);
    registry_free(NULL);
}
END_TEST

START_TEST(test_a_reload_is_a_new_generation_and_the_old_one_lives_while_it_is_held) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    registry *dictionaries = with_one(path);
    served *old = registry_acquire(dictionaries, "words");
    replace_model(path, 2);
    ra_ok(registry_reload(dictionaries, "words", &err));
    served *fresh = registry_acquire(dictionaries, "words");
    ck_assert_uint_eq(old->generation, 1);
    ck_assert_uint_eq(fresh->generation, 2);
    ck_assert_float_eq(first_number(old), 1);
    ck_assert_float_eq(first_number(fresh), 2);
    ck_assert_ptr_eq(old->requests, fresh->requests);
    served_release(fresh);
    registry_free(dictionaries);
    ck_assert_float_eq(first_number(old), 1);
    served_release(old);
}
END_TEST

START_TEST(test_a_bad_file_changes_nothing_and_says_why) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    registry *dictionaries = with_one(path);
    ck_assert_int_eq(rename(test_write("junk", "junk", 4), path), 0);
    ra_fails(registry_reload(dictionaries, "words", &err), RA_ERR_FORMAT, path);
    ck_assert_uint_eq(registry_reload_all(dictionaries), 1);
    ck_assert_int_eq(unlink(path), 0);
    ra_fails(registry_reload(dictionaries, "words", &err), RA_ERR_NOT_FOUND, path);
    ra_fails(registry_reload(dictionaries, "other", &err), RA_ERR_NOT_FOUND, "'other'");
    served *still = registry_acquire(dictionaries, "words");
    ck_assert_uint_eq(still->generation, 1);
    ck_assert_float_eq(first_number(still), 1);
    served_release(still);
    replace_model(path, 3);
    ck_assert_uint_eq(registry_reload_all(dictionaries), 0);
    served *fresh = registry_acquire(dictionaries, "words");
    ck_assert_uint_eq(fresh->generation, 2);
    served_release(fresh);
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_settings_complete_a_file_and_never_change_one) {
    model_file file = {0};
    model_file_checkpoint(&file);
    model_file_text(&file, "delta", "0.25");
    char complete[512], bare[512];
    snprintf(complete, sizeof complete, "%s", model_file_write(&file, "complete.safetensors"));
    model_file_text(&file, "delta", NULL);
    snprintf(bare, sizeof bare, "%s", model_file_write(&file, "bare.safetensors"));
    model_file_release(&file);
    registry *dictionaries = NULL;
    ra_ok(registry_new(&(registry_options){0}, &dictionaries, &err));
    ra_fails(registry_add(dictionaries, "bare", bare, &err), RA_ERR_SETTING, "delta");
    registry_free(dictionaries);
    registry_options options = {.settings = {.known = 1u << RA_SET_DELTA, .delta = 8}};
    ra_ok(registry_new(&options, &dictionaries, &err));
    ra_ok(registry_add(dictionaries, "bare", bare, &err));
    ra_ok(registry_add(dictionaries, "complete", complete, &err));
    for (size_t i = 0; i < 2; i++) {
        served *dictionary = registry_acquire_at(dictionaries, i);
        ck_assert_double_eq(ra_model_get_info(dictionary->model)->settings.delta, i == 0 ? 8 : 0.25);
        served_release(dictionary);
    }
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_names_fit_into_a_url) {
    static const char *const good[] = {"a", "A.b-c_9", "..", "-"};
    static const char *const bad[] = {"", "a/b", "a b", "\xc3\xa9", "a%", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) ck_assert(registry_name_is_good(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert(!registry_name_is_good(bad[i]));
    char name[66] = "";
    memset(name, 'a', 64);
    ck_assert(registry_name_is_good(name));
    name[64] = 'a';
    ck_assert(!registry_name_is_good(name));
}
END_TEST

/* ---- under threads ------------------------------------------------------------------------------------- */

enum { READERS = 4, RELOADS = 30 };

typedef struct race {
    registry *dictionaries;
    atomic_bool stop;
    atomic_size_t reads, faults;
} race;

/* Generation g has the number g in both places: what is read through one reference must agree. */
static void *read_on(void *argument) {
    race *shared = argument;
    size_t last = 0;
    while (!atomic_load(&shared->stop)) {
        served *dictionary = registry_acquire(shared->dictionaries, "words");
        float vector[FILE_D] = {0};
        bool good = dictionary && ra_model_atom(dictionary->model, 0, vector, NULL) == RA_OK &&
                    vector[0] == (float)dictionary->generation && dictionary->generation >= last;
        if (dictionary) last = dictionary->generation;
        if (!good) atomic_fetch_add(&shared->faults, 1);
        served_release(dictionary);
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

START_TEST(test_readers_see_whole_generations_while_it_reloads) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    race shared = {.dictionaries = with_one(path)};
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_on, &shared), 0);
    for (int generation = 2; generation <= RELOADS; generation++) {
        replace_model(path, (float)generation);
        ra_ok(registry_reload(shared.dictionaries, "words", &err));
        size_t before = atomic_load(&shared.reads);
        while (atomic_load(&shared.reads) < before + READERS) sched_yield();
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
    ck_assert_uint_eq(atomic_load(&shared.faults), 0);
    registry_free(shared.dictionaries);
}
END_TEST

START_TEST(test_the_reloader_reloads_when_asked_and_stops) {
    registry *dictionaries = with_one(write_model("a.safetensors", 1));
    reloader *worker = NULL;
    ra_ok(reloader_start(dictionaries, &worker, &err));
    for (size_t wanted = 2; wanted <= 4; wanted++) {
        reloader_ask(worker);
        for (size_t seen = 0; seen < wanted;) {
            served *dictionary = registry_acquire(dictionaries, "words");
            seen = dictionary->generation;
            served_release(dictionary);
            if (seen < wanted) usleep(1000);
        }
    }
    ck_assert(reloader_stop(worker, 30));
    ck_assert(reloader_stop(NULL, 0));
    registry_free(dictionaries);
}
END_TEST

TEST_CASES_SLOW(registry, 60, test_names_are_found_and_others_are_not, test_refuses_bad_names_and_bad_files,
                test_a_reload_is_a_new_generation_and_the_old_one_lives_while_it_is_held,
                test_a_bad_file_changes_nothing_and_says_why,
                test_settings_complete_a_file_and_never_change_one, test_names_fit_into_a_url,
                test_readers_see_whole_generations_while_it_reloads,
                test_the_reloader_reloads_when_asked_and_stops)
