/* Dictionaries and their generations (server/serving/registry/{registry,entries,load,retired}.c, server/serving/reloader.c). */
#include "emulated.h"
#include "harness.h"
#include "serving/registry/registry.h"
#include "serving/reloader.h"
#include "ra_memory.h"
#include "http/exchange.h"
#include "model_files.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sched.h>
#include <fcntl.h>
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

/* Replaces the file under the served name by a complete one. */
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

START_TEST(test_the_same_content_is_the_same_generation) {
    char path[512], revision[RA_DIGEST_SIZE];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    registry *dictionaries = with_one(path);
    served *first = registry_acquire(dictionaries, "words");
    snprintf(revision, sizeof revision, "%s", ra_artifact_digest(first->artifact));
    replace_model(path, 1); /* another file */
    ra_ok(registry_reload(dictionaries, "words", &err));
    served *same = registry_acquire(dictionaries, "words");
    ck_assert(same != first && same->model != first->model);
    ck_assert_uint_eq(same->generation, 1);
    ck_assert_int_eq(same->loaded, first->loaded); /* the content is as old as it was */
    ck_assert_str_eq(ra_artifact_digest(same->artifact), revision);
    replace_model(path, 2);
    ra_ok(registry_reload(dictionaries, "words", &err));
    served *other = registry_acquire(dictionaries, "words");
    ck_assert_uint_eq(other->generation, 2);
    ck_assert_int_gt(other->loaded, first->loaded);
    ck_assert_str_ne(ra_artifact_digest(other->artifact), revision);
    served_release(first);
    served_release(same);
    served_release(other);
    registry_free(dictionaries);
}
END_TEST

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

/* ---- unload, load, the folder -------------------------------------------------------------------------- */

static registry_status status_of(registry *dictionaries, const char *name) {
    registry_status status = {0};
    ck_assert_msg(registry_status_of(dictionaries, name, &status), "%s is not known", name);
    return status;
}

START_TEST(test_an_unloaded_dictionary_is_known_and_comes_back_by_load_alone) {
    registry *dictionaries = with_one(write_model("a.safetensors", 1));
    served *held = registry_acquire(dictionaries, "words");
    ra_ok(registry_unload(dictionaries, "words", &err));
    ra_ok(registry_unload(dictionaries, "words", &err));
    ck_assert_ptr_null(registry_acquire(dictionaries, "words"));
    ck_assert_ptr_null(registry_acquire_at(dictionaries, 0));
    ck_assert_uint_eq(registry_count(dictionaries), 1);
    ck_assert_float_eq(first_number(held), 1);
    served_release(held);
    registry_status status = status_of(dictionaries, "words");
    ck_assert(!status.ready && status.unloaded && status.generation == 1);
    ck_assert_str_eq(status.reason, "unloaded");
    ra_fails(registry_reload(dictionaries, "words", &err), RA_ERR_STATE, "unloaded");
    ck_assert_uint_eq(registry_reload_all(dictionaries), 0);
    ck_assert_uint_eq(registry_poll(dictionaries), 0);
    ck_assert(!status_of(dictionaries, "words").ready);
    ra_ok(registry_load(dictionaries, "words", &err));
    status = status_of(dictionaries, "words");
    ck_assert(status.ready && !status.unloaded && status.loads == 2 && !status.reason[0]);
    ck_assert_uint_eq(status.generation, 1); /* the same content */
    ra_fails(registry_unload(dictionaries, "other", &err), RA_ERR_NOT_FOUND, "'other'");
    ra_fails(registry_load(dictionaries, "other", &err), RA_ERR_NOT_FOUND, "'other'");
    ck_assert(!registry_status_of(dictionaries, "other", &status));
    ck_assert(!registry_status_at(dictionaries, 1, &status));
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_why_a_load_failed_is_kept_without_the_folder) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    registry *dictionaries = with_one(path);
    ck_assert_int_eq(rename(test_write("junk", "junk", 4), path), 0);
    ra_fails(registry_load(dictionaries, "words", &err), RA_ERR_FORMAT, path);
    registry_status status = status_of(dictionaries, "words");
    ck_assert(status.ready);
    ck_assert_uint_eq(status.failures, 1);
    ck_assert_ptr_nonnull(strstr(status.reason, "a.safetensors"));
    ck_assert_ptr_null(strchr(status.reason, '/'));
    replace_model(path, 2);
    ra_ok(registry_load(dictionaries, "words", &err));
    status = status_of(dictionaries, "words");
    ck_assert(!status.reason[0] && status.failures == 1 && status.generation == 2);
    registry_free(dictionaries);
}
END_TEST

/* When any allocation of a load fails, the error is reported and the old generation keeps serving. */
START_TEST(test_any_allocation_of_a_load_may_fail) {
    registry *dictionaries = with_one(write_model("a.safetensors", 1));
    size_t failed = 0;
    for (size_t n = 1;; n++) {
        ra_memory_fail_at(n);
        ra_status status = registry_load(dictionaries, "words", NULL);
        size_t asked = ra_memory_fail_at(0);
        registry_status after = status_of(dictionaries, "words");
        ck_assert(after.ready);
        ck_assert_uint_eq(after.failures, failed += status != RA_OK);
        if (asked < n) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_uint_lt(n, 1000);
    }
    ck_assert_uint_gt(failed, 3);
    registry_free(dictionaries);
}
END_TEST

/* ---- a device ------------------------------------------------------------------------------------------ */

/* *own <- what the backend takes for itself. */
static registry *on_device(size_t *own) {
    registry *dictionaries = NULL;
    ra_backend *backend = NULL;
    size_t available = 0, total = 0;
    ra_ok(ra_backend_open("cuda-emulated", &(ra_backend_options){.threads = 1}, &backend, &err));
    ra_ok(ra_backend_memory(backend, &available, &total, &err));
    *own = total - available;
    ra_ok(registry_new(&(registry_options){.backend = backend}, &dictionaries, &err));
    ra_backend_release(backend);
    return dictionaries;
}

/* The device that serves a name, and how many loads of it have worked. */
static void assert_served(registry *dictionaries, const char *name, const char *device, size_t loads) {
    served *dictionary = registry_acquire(dictionaries, name);
    ck_assert_ptr_nonnull(dictionary);
    ck_assert_str_eq(ra_model_get_info(dictionary->model)->device, device);
    ck_assert_uint_eq(status_of(dictionaries, name).loads, loads);
    served_release(dictionary);
}

static size_t needed_on_a_device(const char *path) {
    ra_model *model = model_open(path);
    size_t needed = ra_model_device_memory(model, 1).total;
    ra_model_release(model);
    return needed;
}

START_TEST(test_what_does_not_fit_on_the_device_is_served_by_the_cpu) {
    emulated device = emulated_open();
    const char *path = write_model("a.safetensors", 1);
    size_t own, needed = needed_on_a_device(path);
    registry *dictionaries = on_device(&own);
    device.set_memory(own + needed - 1);
    ra_ok(registry_add(dictionaries, "words", path, &err));
    assert_served(dictionaries, "words", "cpu", 1);
    ck_assert_uint_eq(status_of(dictionaries, "words").fallbacks, 1);
    ra_ok(registry_reload(dictionaries, "words", &err)); /* once more */
    assert_served(dictionaries, "words", "cpu", 2);
    ck_assert_uint_eq(status_of(dictionaries, "words").fallbacks, 2);
    ck_assert_uint_eq(status_of(dictionaries, "words").failures, 0);
    device.set_memory(own + needed); /* now it fits */
    ra_ok(registry_reload(dictionaries, "words", &err));
    assert_served(dictionaries, "words", "cuda", 3);
    ck_assert_uint_eq(status_of(dictionaries, "words").fallbacks, 2);
    registry_free(dictionaries);
    emulated_close(&device);
}
END_TEST

START_TEST(test_a_reload_for_which_the_device_has_no_memory_changes_nothing) {
    emulated device = emulated_open();
    const char *path = write_model("a.safetensors", 1);
    size_t own, needed = needed_on_a_device(path);
    registry *dictionaries = on_device(&own);
    device.set_memory(own + needed);
    ra_ok(registry_add(dictionaries, "words", path, &err));
    assert_served(dictionaries, "words", "cuda", 1);
    replace_model(path, 7);
    ra_fails(registry_reload(dictionaries, "words", &err), RA_ERR_MEMORY, "on the device cuda, but only");
    assert_served(dictionaries, "words", "cuda", 1);
    registry_status status = status_of(dictionaries, "words");
    ck_assert_uint_eq(status.failures, 1);
    ck_assert_uint_eq(status.fallbacks, 0);
    ck_assert_ptr_nonnull(strstr(status.reason, "a.safetensors needs"));
    served *dictionary = registry_acquire(dictionaries, "words");
    ck_assert(first_number(dictionary) == 1);
    served_release(dictionary);
    device.set_memory(own + 2 * needed);
    ra_ok(registry_reload(dictionaries, "words", &err));
    assert_served(dictionaries, "words", "cuda", 2);
    registry_free(dictionaries);
    emulated_close(&device);
}
END_TEST

static registry *with_folder(void) {
    registry *dictionaries = NULL;
    ra_ok(registry_new(&(registry_options){.folder = test_folder()}, &dictionaries, &err));
    return dictionaries;
}

START_TEST(test_a_folder_serves_what_opens) {
    registry *dictionaries = with_folder();
    write_model("b.safetensors", 2);
    write_model("a.safetensors", 1);
    write_model(".hidden.safetensors", 1);
    write_model("a b.safetensors", 1);
    test_write("bad.safetensors", "junk", 4);
    test_write("notes.txt", "junk", 4);
    ra_ok(registry_add(dictionaries, "a", test_path("b.safetensors"),
                       &err)); /* a given name takes precedence over the folder */
    ra_ok(registry_add_folder(dictionaries, &err));
    ck_assert_uint_eq(registry_count(dictionaries), 3);
    served *a = registry_acquire(dictionaries, "a"), *b = registry_acquire(dictionaries, "b");
    ck_assert_float_eq(first_number(a), 2);
    ck_assert_float_eq(first_number(b), 2);
    served_release(a);
    served_release(b);
    registry_status bad = status_of(dictionaries, "bad");
    ck_assert(!bad.ready && !bad.unloaded && bad.generation == 0 && bad.failures == 1);
    replace_model(test_path("bad.safetensors"), 3);
    write_model("late.safetensors", 4);
    ck_assert_uint_eq(registry_reload_all(dictionaries), 0);
    ck_assert_uint_eq(registry_count(dictionaries), 4);
    ck_assert(status_of(dictionaries, "bad").ready && status_of(dictionaries, "late").ready);
    write_model("later.safetensors", 5);
    ra_ok(registry_load(dictionaries, "later", &err));
    ra_fails(registry_load(dictionaries, "../later", &err), RA_ERR_NOT_FOUND, "no dictionary");
    ra_fails(registry_load(dictionaries, "", &err), RA_ERR_NOT_FOUND, "no dictionary");
    ra_fails(registry_load(dictionaries, ".hidden", &err), RA_ERR_NOT_FOUND, "no dictionary");
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_a_folder_that_serves_nothing_is_refused) {
    registry *dictionaries = with_folder();
    ra_ok(registry_add_folder(dictionaries, &err)); /* an empty folder is fine */
    test_write("bad.safetensors", "junk", 4);
    ra_fails(registry_add_folder(dictionaries, &err), RA_ERR_FORMAT, "bad.safetensors");
    registry_free(dictionaries);
    registry_options gone = {.folder = test_path("none")};
    ra_ok(registry_new(&gone, &dictionaries, &err));
    ra_fails(registry_add_folder(dictionaries, &err), RA_ERR_NOT_FOUND, "none");
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_a_changed_file_is_taken_at_the_second_look) {
    registry *dictionaries = with_folder();
    write_model("a.safetensors", 1);
    ra_ok(registry_add_folder(dictionaries, &err));
    ck_assert_uint_eq(registry_poll(dictionaries) + registry_poll(dictionaries), 0);
    replace_model(test_path("a.safetensors"), 2);
    write_model("late.safetensors", 3);
    ck_assert_uint_eq(registry_poll(dictionaries), 0);
    ck_assert_uint_eq(registry_poll(dictionaries), 2);
    ck_assert_uint_eq(registry_poll(dictionaries), 0);
    ck_assert_uint_eq(status_of(dictionaries, "a").generation, 2);
    ck_assert_uint_eq(status_of(dictionaries, "late").generation, 1);
    ck_assert_int_eq(rename(test_write("junk", "junk", 4), test_path("a.safetensors")), 0);
    ck_assert_uint_eq(registry_poll(dictionaries), 0);
    ck_assert_uint_eq(registry_poll(dictionaries), 1);
    ck_assert_uint_eq(registry_poll(dictionaries) + registry_poll(dictionaries),
                      0); /* a bad file is opened once */
    ck_assert_uint_eq(status_of(dictionaries, "a").failures, 1);
    ck_assert_int_eq(unlink(test_path("a.safetensors")), 0);
    ck_assert_uint_eq(registry_poll(dictionaries) + registry_poll(dictionaries), 0);
    ck_assert(status_of(dictionaries, "a").ready);
    registry_free(dictionaries);
}
END_TEST

/* ---- under threads ------------------------------------------------------------------------------------- */

enum { READERS = 4, RELOADS = 50, READS = 10000 };

typedef struct race {
    registry *dictionaries;
    atomic_bool stop;
    atomic_size_t reads, faults;
} race;

/* The model of generation g contains the number g: all values read through one reference must agree. */
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
    for (int generation = 2; generation <= RELOADS + 1; generation++) {
        replace_model(path, (float)generation);
        ra_ok(registry_reload(shared.dictionaries, "words", &err));
        size_t before = atomic_load(&shared.reads);
        while (atomic_load(&shared.reads) < before + READS / RELOADS) sched_yield();
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
    ck_assert_uint_eq(atomic_load(&shared.faults), 0);
    ck_assert_uint_ge(atomic_load(&shared.reads), READS);
    registry_free(shared.dictionaries);
}
END_TEST

START_TEST(test_the_reloader_reloads_when_asked_and_stops) {
    registry *dictionaries = with_one(write_model("a.safetensors", 1));
    reloader *worker = NULL;
    ra_ok(reloader_start(dictionaries, &(reloader_options){0}, &worker, &err));
    for (size_t wanted = 2; wanted <= 4; wanted++) {
        reloader_ask(worker);
        while (status_of(dictionaries, "words").loads < wanted) usleep(1000);
    }
    ck_assert(reloader_stop(worker, 30));
    ck_assert(reloader_stop(NULL, 0));
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_a_watching_reloader_takes_what_changes) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    registry *dictionaries = with_one(path);
    reloader *worker = NULL;
    ra_ok(reloader_start(dictionaries, &(reloader_options){.watch_ms = 5}, &worker, &err));
    for (int generation = 2; generation <= 4; generation++) {
        replace_model(path, (float)generation);
        while (status_of(dictionaries, "words").generation < (size_t)generation) usleep(1000);
    }
    ck_assert(reloader_stop(worker, 30));
    ck_assert_uint_eq(status_of(dictionaries, "words").generation, 4);
    registry_free(dictionaries);
}
END_TEST

/* Makes the file another one of the same size, in place. */
static void overwrite(const char *path) {
    FILE *file = fopen(path, "r+b");
    ck_assert_int_eq(fseek(file, -4, SEEK_END), 0);
    ck_assert_uint_eq(fwrite("\0\0\0", 1, 4, file), 4);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(test_a_generation_that_is_lost_is_gone_until_a_load) {
    const char *path = write_model("a.safetensors", 1);
    registry *dictionaries = with_one(path);
    registry_status status = {0};
    ra_error why = {0};
    served *words = registry_acquire(dictionaries, "words");
    ck_assert(ra_model_get_info(words->model)->mapped);
    ra_ok(ra_model_check(words->model, &err));
    overwrite(path);
    ck_assert_int_eq(ra_model_check(words->model, &why), RA_ERR_CHANGED);
    registry_lose(dictionaries, words, why.message);
    registry_lose(dictionaries, words, "again");
    ck_assert_ptr_null(registry_acquire(dictionaries, "words"));
    ck_assert(registry_status_of(dictionaries, "words", &status));
    ck_assert(status.lost && !status.ready && !status.unloaded);
    ck_assert_uint_eq(status.losses, 1);
    ck_assert(strncmp(status.reason, "a.safetensors was written", 25) == 0);
    replace_model(path, 2);
    ra_ok(registry_reload(dictionaries, "words", &err));
    registry_lose(dictionaries, words, "of an old generation"); /* does not concern the new one */
    served_release(words);
    words = registry_acquire(dictionaries, "words");
    ck_assert_uint_eq(words->generation, 2);
    ck_assert(first_number(words) == 2);
    ck_assert(registry_status_of(dictionaries, "words", &status));
    ck_assert(!status.lost && status.ready);
    served_release(words);
    registry_free(dictionaries);
}
END_TEST

START_TEST(test_a_small_file_is_private) {
    const char *path = write_model("a.safetensors", 1);
    registry *dictionaries = NULL;
    ra_ok(registry_new(&(registry_options){.private_below = 1 << 20}, &dictionaries, &err));
    ra_ok(registry_add(dictionaries, "words", path, &err));
    served *words = registry_acquire(dictionaries, "words");
    ck_assert(!ra_model_get_info(words->model)->mapped);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert(first_number(words) == 1);
    ra_ok(ra_model_check(words->model, &err));
    served_release(words);
    registry_free(dictionaries);
}
END_TEST

/* ---- giving back --------------------------------------------------------------------------------------- */

static atomic_size_t told;

static void count_told(void *context) {
    (void)context;
    atomic_fetch_add(&told, 1);
}

START_TEST(test_the_last_holder_leaves_the_memory_to_another_thread) {
    registry *dictionaries = with_one(write_model("a.safetensors", 1));
    registry_on_retired(dictionaries, count_told, NULL);
    served *old = registry_acquire(dictionaries, "words");
    ra_ok(registry_reload(dictionaries, "words", &err));
    ck_assert_uint_eq(atomic_load(&told), 0);
    ck_assert_uint_eq(registry_free_retired(dictionaries), 0);
    served_release(old);
    ck_assert_uint_eq(atomic_load(&told), 1);
    ck_assert_uint_eq(registry_free_retired(dictionaries), 1);
    served *kept = registry_acquire(dictionaries, "words");
    ra_ok(registry_unload(dictionaries, "words", &err));
    registry_on_retired(dictionaries, NULL, NULL); /* as at a stop: nobody is told any more */
    served_release(kept);
    ck_assert_uint_eq(atomic_load(&told), 1);
    ck_assert_uint_eq(registry_free_retired(dictionaries), 0);
    registry_free(dictionaries);
}
END_TEST

/* ---- the queue of the reloader --------------------------------------------------------------------------- */

START_TEST(test_those_who_asked_before_a_load_began_share_it) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    registry *dictionaries = with_one(path);
    uint64_t asked = http_now();
    for (int i = 0; i < 5; i++) ra_ok(registry_reload_since(dictionaries, "words", asked, &err));
    ck_assert_uint_eq(status_of(dictionaries, "words").loads, 2);
    usleep(10);
    ra_ok(registry_load_since(dictionaries, "words", http_now(), &err));
    ck_assert_uint_eq(status_of(dictionaries, "words").loads, 3);
    ck_assert_int_eq(rename(test_write("junk", "junk", 4), path), 0);
    usleep(10);
    asked = http_now();
    for (int i = 0; i < 5; i++) /* a failure, too, and its reason */
        ra_fails(registry_reload_since(dictionaries, "words", asked, &err), RA_ERR_FORMAT, path);
    ck_assert_uint_eq(status_of(dictionaries, "words").failures, 1);
    replace_model(path, 2);
    ra_ok(registry_unload(dictionaries, "words", &err)); /* what was loaded before is gone */
    ra_ok(registry_load_since(dictionaries, "words", asked, &err));
    ck_assert_uint_eq(status_of(dictionaries, "words").loads, 4);
    registry_free(dictionaries);
}
END_TEST

static atomic_bool hold;
static size_t order[8];
static atomic_size_t began, done;

static void take_part(void *argument) {
    atomic_fetch_add(&began, 1);
    while (atomic_load(&hold)) sched_yield();
    order[atomic_fetch_add(&done, 1)] = (size_t)argument;
}

START_TEST(test_jobs_run_in_order_on_the_thread_of_the_reloader) {
    registry *dictionaries = with_one(write_model("a.safetensors", 1));
    reloader *worker = NULL;
    ra_ok(reloader_start(dictionaries, &(reloader_options){.queue = 3}, &worker, &err));
    atomic_store(&hold, true);
    ck_assert(reloader_submit(worker, take_part, (void *)0));
    while (atomic_load(&began) < 1) sched_yield(); /* it runs, and no longer waits in the queue */
    for (size_t i = 1; i <= 3; i++) ck_assert(reloader_submit(worker, take_part, (void *)i));
    ck_assert(!reloader_submit(worker, take_part, (void *)4)); /* full */
    ck_assert_uint_eq(reloader_waiting(worker), 4);
    ck_assert_uint_eq(atomic_load(&done), 0);
    atomic_store(&hold, false);
    ck_assert(reloader_stop(worker, 30)); /* runs what waits */
    ck_assert_uint_eq(atomic_load(&done), 4);
    for (size_t i = 0; i < 4; i++) ck_assert_uint_eq(order[i], i);
    registry_free(dictionaries);
}
END_TEST

/* Whether a mapping of this process is of that file. */
static bool is_mapped(const char *path) {
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    while (!found && fgets(line, sizeof line, maps)) found = strstr(line, path) != NULL;
    fclose(maps);
    return found;
}

START_TEST(test_the_reloader_frees_what_nobody_holds) {
    const char *path = write_model("a.safetensors", 1);
    registry *dictionaries = with_one(path);
    reloader *worker = NULL;
    ra_ok(reloader_start(dictionaries, &(reloader_options){.queue = 3}, &worker, &err));
    served *old = registry_acquire(dictionaries, "words");
    ra_ok(registry_unload(dictionaries, "words", &err));
    ck_assert(is_mapped(path));
    served_release(old);
    for (int tries = 0; is_mapped(path); tries++) { /* nobody else asks for it */
        ck_assert_int_lt(tries, 5000);
        usleep(10000);
    }
    ck_assert_uint_eq(registry_free_retired(dictionaries), 0);
    ck_assert(reloader_stop(worker, 30));
    registry_free(dictionaries);
}
END_TEST

/* No descriptor is left: the file is the same, and opens a second later. */
START_TEST(test_a_load_that_failed_for_a_passing_reason_is_tried_again) {
    char path[512];
    snprintf(path, sizeof path, "%s", write_model("a.safetensors", 1));
    registry *dictionaries = with_one(path);
    replace_model(path, 2);
    int taken[4096], count = 0;
    struct rlimit files;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = 1000; /* valgrind keeps the hard limit */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    while (count < 4096 && (taken[count] = open("/dev/null", O_RDONLY)) >= 0) count++;
    ck_assert_int_lt(count, 4096);
    ck_assert_uint_eq(registry_reload_all(dictionaries), 1);
    ck_assert_uint_eq(registry_poll(dictionaries), 0); /* not at once */
    for (int i = 0; i < count; i++) close(taken[i]);
    usleep(1100000);
    ck_assert_uint_eq(registry_poll(dictionaries), 1);
    ck_assert_uint_eq(status_of(dictionaries, "words").generation, 2);
    usleep(1100000);
    ck_assert_uint_eq(registry_poll(dictionaries), 0);
    registry_free(dictionaries);
}
END_TEST

TEST_CASES_SLOW(registry, 60, test_the_last_holder_leaves_the_memory_to_another_thread,
                test_those_who_asked_before_a_load_began_share_it,
                test_jobs_run_in_order_on_the_thread_of_the_reloader,
                test_the_reloader_frees_what_nobody_holds,
                test_a_load_that_failed_for_a_passing_reason_is_tried_again,
                test_names_are_found_and_others_are_not, test_refuses_bad_names_and_bad_files,
                test_a_reload_is_a_new_generation_and_the_old_one_lives_while_it_is_held,
                test_the_same_content_is_the_same_generation, test_a_bad_file_changes_nothing_and_says_why,
                test_settings_complete_a_file_and_never_change_one, test_names_fit_into_a_url,
                test_an_unloaded_dictionary_is_known_and_comes_back_by_load_alone,
                test_why_a_load_failed_is_kept_without_the_folder, test_any_allocation_of_a_load_may_fail,
                test_a_folder_serves_what_opens, test_a_folder_that_serves_nothing_is_refused,
                test_a_changed_file_is_taken_at_the_second_look,
                test_readers_see_whole_generations_while_it_reloads,
                test_a_watching_reloader_takes_what_changes, test_the_reloader_reloads_when_asked_and_stops,
                test_a_generation_that_is_lost_is_gone_until_a_load, test_a_small_file_is_private)
TEST_CASES(registry_device, test_what_does_not_fit_on_the_device_is_served_by_the_cpu,
           test_a_reload_for_which_the_device_has_no_memory_changes_nothing)
