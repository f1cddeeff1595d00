/* Reading and writing whole files (lib/io/safetensors/{header,read,write}.c, lib/io/json.c). */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static unsigned char bytes[3 * 2 * 5 * 4 * 8] __attribute__((aligned(8)));

static ra_tensor make(ra_dtype dtype, int rank) {
    static const size_t shape[4] = {3, 2, 5, 4};
    ra_tensor tensor = {.dtype = dtype, .rank = rank, .data = bytes};
    for (int i = 0; i < rank; i++) tensor.shape[i] = shape[i];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 37 + 11);
    return tensor;
}

static void add(ra_safetensors_writer *writer, const char *name, ra_dtype dtype, int rank) {
    ra_tensor tensor = make(dtype, rank);
    ra_ok(ra_safetensors_writer_tensor(writer, name, &tensor, &err));
}

static ra_safetensors_writer *new_writer(void) {
    ra_safetensors_writer *writer = NULL;
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    return writer;
}

/* Writes, frees the writer and opens the result. */
static ra_safetensors *written(ra_safetensors_writer *writer, const char *path) {
    ra_safetensors *file = NULL;
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    ra_ok(ra_safetensors_open(path, &file, &err));
    return file;
}

/* ---- round trips --------------------------------------------------------------------------------------- */

START_TEST(test_round_trip_of_every_type_and_rank) {
    char names[RA_DTYPE_COUNT * 5][16];
    ra_safetensors_writer *writer = new_writer();
    for (int i = 0; i < RA_DTYPE_COUNT * 5; i++) {
        snprintf(names[i], sizeof names[i], "%s.%d", ra_dtype_name((ra_dtype)(i / 5)), i % 5);
        add(writer, names[i], (ra_dtype)(i / 5), i % 5);
    }
    ra_safetensors *file = written(writer, test_path("a.safetensors"));
    ck_assert_uint_eq(ra_safetensors_count(file), RA_DTYPE_COUNT * 5);
    for (int i = 0; i < RA_DTYPE_COUNT * 5; i++) {
        ra_tensor tensor, expected = make((ra_dtype)(i / 5), i % 5);
        ra_ok(ra_safetensors_get(file, names[i], &tensor, &err));
        ck_assert_int_eq(tensor.dtype, expected.dtype);
        ck_assert_int_eq(tensor.rank, expected.rank);
        for (int k = 0; k < tensor.rank; k++) ck_assert_uint_eq(tensor.shape[k], expected.shape[k]);
        ck_assert_uint_eq((uintptr_t)tensor.data % ra_dtype_size(tensor.dtype), 0);
        ck_assert_mem_eq(tensor.data, expected.data, ra_tensor_bytes(&expected));
        ck_assert_mem_eq(ra_safetensors_find(file, names[i]), &tensor, sizeof tensor);
    }
    ra_safetensors_free(file);
    ra_safetensors_free(NULL);
    ra_safetensors_writer_free(NULL);
}
END_TEST

START_TEST(test_larger_elements_come_first_then_the_order_added) {
    static const char *const expected[] = {"e", "h", "b", "f", "c", "g", "a", "d"};
    ra_safetensors_writer *writer = new_writer();
    add(writer, "a", RA_U8, 1);
    add(writer, "b", RA_F32, 1);
    add(writer, "c", RA_F16, 1); /* three elements each: in another order, the next would be misaligned */
    add(writer, "d", RA_U8, 1);
    add(writer, "e", RA_I64, 1);
    add(writer, "f", RA_I32, 1);
    add(writer, "g", RA_BF16, 1);
    add(writer, "h", RA_F64, 1);
    ra_safetensors *file = written(writer, test_path("a"));
    for (size_t i = 0; i < 8; i++) {
        const ra_tensor *tensor = ra_safetensors_at(file, i);
        ck_assert_str_eq(ra_safetensors_name(file, i), expected[i]);
        ck_assert_uint_eq((uintptr_t)tensor->data % (i ? ra_dtype_size(tensor->dtype) : 64), 0);
    }
    ck_assert_ptr_null(ra_safetensors_name(file, 8));
    ck_assert_ptr_null(ra_safetensors_at(file, 8));
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_names_and_metadata_keep_every_character) {
    static const char *const texts[] = {
        "",
        "plain",
        "\"quoted\" and \\ back",
        "tab\there\nand\x01\x1f\x7f",
        "caf\xc3\xa9 \xf0\x9f\xa6\x8a",
        "/\b\f\r{}[],:",
        "\\u0041",
    };
    enum { TEXTS = sizeof texts / sizeof *texts };
    ra_safetensors_writer *writer = new_writer();
    for (size_t i = 0; i < TEXTS; i++) {
        ra_ok(ra_safetensors_writer_metadata(writer, texts[i], texts[TEXTS - 1 - i], &err));
        add(writer, texts[i], RA_F32, (int)(i % 3));
    }
    ra_safetensors *file = written(writer, test_path("a"));
    ck_assert_uint_eq(ra_safetensors_count(file), TEXTS);
    for (size_t i = 0; i < TEXTS; i++) {
        ck_assert_str_eq(ra_safetensors_metadata_key(file, i), texts[i]);
        ck_assert_str_eq(ra_safetensors_metadata(file, texts[i]), texts[TEXTS - 1 - i]);
        ck_assert_str_eq(ra_safetensors_name(file, i), texts[i]);
        ck_assert_ptr_nonnull(ra_safetensors_find(file, texts[i]));
    }
    ck_assert_ptr_null(ra_safetensors_metadata_key(file, TEXTS));
    ck_assert_ptr_null(ra_safetensors_metadata(file, "Plain")); /* case counts */
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_nothing_and_tensors_of_nothing_are_legal) {
    ra_safetensors *file = written(new_writer(), test_path("empty"));
    ck_assert_uint_eq(ra_safetensors_count(file), 0);
    ck_assert_ptr_null(ra_safetensors_find(file, "a"));
    ra_fails(ra_safetensors_get(file, "a", &(ra_tensor){0}, &err), RA_ERR_NOT_FOUND, "it has no tensors");
    ra_safetensors_free(file);

    ra_safetensors_writer *writer = new_writer();
    ra_tensor none = ra_tensor_2d(RA_F64, NULL, 0, 7);
    add(writer, "byte", RA_U8, 0);
    ra_ok(ra_safetensors_writer_tensor(writer, "none", &none, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "nothing", &none, &err));
    file = written(writer, test_path("none"));
    ck_assert_uint_eq(ra_safetensors_count(file), 3);
    ck_assert_uint_eq(ra_safetensors_find(file, "nothing")->shape[1], 7);
    ck_assert_uint_eq((uintptr_t)ra_safetensors_find(file, "nothing")->data % 8, 0);
    ck_assert_uint_eq(*(const unsigned char *)ra_safetensors_find(file, "byte")->data, bytes[0]);
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_the_same_calls_give_the_same_bytes) {
    ra_mapping a, b;
    for (int i = 0; i < 2; i++) {
        ra_safetensors_writer *writer = new_writer();
        ra_ok(ra_safetensors_writer_metadata(writer, "delta", "1.0", &err));
        add(writer, "w", RA_F32, 2);
        add(writer, "v", RA_F16, 1);
        ra_safetensors_free(written(writer, test_path(i ? "b" : "a")));
    }
    ra_ok(ra_mapping_open(test_path("a"), &a, &err));
    ra_ok(ra_mapping_open(test_path("b"), &b, &err));
    ck_assert_uint_eq(a.size, b.size);
    ck_assert_mem_eq(a.data, b.data, a.size);
    static const char header[] = "{\"__metadata__\":{\"delta\":\"1.0\"},"
                                 "\"w\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                                 "\"v\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[24,30]}} ";
    ck_assert_mem_eq((const char *)a.data + 8, header, sizeof header - 1);
    ck_assert_uint_eq((a.size - 30) % 64, 0);
    ra_mapping_close(&a);
    ra_mapping_close(&b);
}
END_TEST

START_TEST(test_the_writer_refuses_what_cannot_be_read_back) {
    ra_safetensors_writer *w = new_writer();
    ra_tensor good = make(RA_F32, 2), deep = good, huge = good, lost = good, strange = good, absurd = good;
    deep.rank = RA_MAX_RANK + 1;
    huge.shape[0] = huge.shape[1] = (size_t)1 << 40;
    absurd.shape[0] = (size_t)1 << 53;
    lost.data = NULL;
    strange.dtype = RA_DTYPE_COUNT;
    ra_fails(ra_safetensors_writer_tensor(w, "__metadata__", &good, &err), RA_ERR_ARGUMENT, "__metadata__");
    ra_fails(ra_safetensors_writer_tensor(w, "\xff", &good, &err), RA_ERR_ARGUMENT, "UTF-8");
    ra_fails(ra_safetensors_writer_tensor(w, "a", &deep, &err), RA_ERR_SHAPE, "9 dimensions");
    ra_fails(ra_safetensors_writer_tensor(w, "a", &huge, &err), RA_ERR_TOO_LARGE, "larger than memory");
    ra_fails(ra_safetensors_writer_tensor(w, "a", &absurd, &err), RA_ERR_TOO_LARGE, "9007199254740992");
    ra_fails(ra_safetensors_writer_tensor(w, "a", &lost, &err), RA_ERR_ARGUMENT, "has no data");
    ra_fails(ra_safetensors_writer_tensor(w, "a", &strange, &err), RA_ERR_DTYPE, "unknown type");
    ra_ok(ra_safetensors_writer_tensor(w, "a", &good, &err));
    ra_fails(ra_safetensors_writer_tensor(w, "a", &good, &err), RA_ERR_ARGUMENT, "\"a\" is given twice");
    ra_ok(ra_safetensors_writer_metadata(w, "k", "1", &err));
    ra_fails(ra_safetensors_writer_metadata(w, "k", "2", &err), RA_ERR_ARGUMENT, "\"k\" is given twice");
    ra_fails(ra_safetensors_writer_metadata(w, "l", "\xc3", &err), RA_ERR_ARGUMENT, "UTF-8");
    ra_fails(ra_safetensors_writer_write(w, test_path("missing/a"), &err), RA_ERR_NOT_FOUND, "no directory");
    ra_safetensors *file = written(w, test_path("a"));
    ck_assert_uint_eq(ra_safetensors_count(file), 1);
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_many_tensors) {
    enum { MANY = 3000 };
    static char names[MANY][16];
    ra_safetensors_writer *writer = new_writer();
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i * 7919 % MANY);
        ra_tensor tensor = {.dtype = i % 2 ? RA_F32 : RA_U8, .data = bytes};
        ra_ok(ra_safetensors_writer_tensor(writer, names[i], &tensor, &err));
    }
    ra_safetensors *file = written(writer, test_path("many"));
    ck_assert_uint_eq(ra_safetensors_count(file), MANY);
    int found = 0;
    for (int i = 0; i < MANY; i++) found += ra_safetensors_find(file, names[i]) != NULL;
    ck_assert_int_eq(found, MANY);
    ra_fails(ra_safetensors_get(file, "x", &(ra_tensor){0}, &err), RA_ERR_NOT_FOUND, " more");
    ra_safetensors_free(file);
}
END_TEST

/* ---- failures ------------------------------------------------------------------------------------------ */

START_TEST(test_a_full_disk_keeps_the_old_file) {
    static float data[100000];
    const char *path = test_write("a", "old", 3);
    ra_tensor tensor = ra_tensor_1d(RA_F32, data, 100000);
    ra_safetensors_writer *writer = new_writer();
    ra_ok(ra_safetensors_writer_tensor(writer, "x", &tensor, &err));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){200000, RLIM_INFINITY}), 0);
    ra_fails(ra_safetensors_writer_write(writer, path, &err), RA_ERR_IO, path);
    ra_mapping mapping;
    ra_ok(ra_mapping_open(path, &mapping, &err));
    ck_assert_uint_eq(mapping.size, 3);
    ra_mapping_close(&mapping);
    ra_safetensors_writer_free(writer);
}
END_TEST

static ra_status write_some(const char *path) {
    ra_safetensors_writer *writer = NULL;
    ra_tensor matrix = make(RA_F32, 2), vector = make(RA_U8, 1);
    ra_status status = ra_safetensors_writer_new(&writer, NULL);
    if (status == RA_OK) status = ra_safetensors_writer_metadata(writer, "delta", "1.0", NULL);
    if (status == RA_OK) status = ra_safetensors_writer_tensor(writer, "dictionary.W", &matrix, NULL);
    if (status == RA_OK) status = ra_safetensors_writer_tensor(writer, "dictionary.C", &vector, NULL);
    if (status == RA_OK) status = ra_safetensors_writer_write(writer, path, NULL);
    ra_safetensors_writer_free(writer);
    return status;
}

START_TEST(test_short_memory_is_an_error_when_writing) {
    const char *path = test_write("a", "old", 3);
    for (size_t n = 1;; n++) {
        ra_mapping mapping;
        ck_assert_uint_lt(n, 200);
        ra_memory_fail_at(n);
        ra_status status = write_some(path);
        ra_memory_fail_at(0);
        if (status == RA_OK) break;
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ra_ok(ra_mapping_open(path, &mapping, &err));
        ck_assert_uint_eq(mapping.size, 3);
        ra_mapping_close(&mapping);
    }
}
END_TEST

START_TEST(test_short_memory_is_an_error_when_opening) {
    const char *path = test_golden("topk-mse.init.safetensors");
    for (size_t n = 1;; n++) {
        ra_safetensors *file = NULL;
        ra_error err = {0};
        ck_assert_uint_lt(n, 2000);
        ra_memory_fail_at(n);
        ra_status status = ra_safetensors_open(path, &file, &err);
        ra_memory_fail_at(0);
        ra_safetensors_free(file);
        if (status == RA_OK) {
            ck_assert_uint_gt(n,
                              100); /* cJSON allocates with ra_malloc, too; otherwise there would be fewer */
            break;
        }
        ck_assert_int_eq(status, RA_ERR_MEMORY);
        ck_assert_msg(strstr(err.message, "out of memory"), "%s", err.message);
    }
}
END_TEST

/* ---- files of the reference implementation ------------------------------------------------------------- */

START_TEST(test_opens_every_golden_file) {
    DIR *folder = opendir("tests/golden");
    ck_assert_ptr_nonnull(folder);
    int opened = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *end = strrchr(entry->d_name, '.');
        if (!end || strcmp(end, ".safetensors") != 0) continue;
        const char *path = test_golden(entry->d_name);
        ra_safetensors *file = NULL;
        ra_ok(ra_safetensors_open(path, &file, &err));
        ck_assert_str_eq(ra_safetensors_path(file), path);
        ck_assert_uint_gt(ra_safetensors_count(file), 0);
        const char *foreign = ra_safetensors_foreign(file, 0, NULL); /* one file has a misaligned counter */
        ck_assert_msg(!foreign || strstr(foreign, "num_batches_tracked"), "%s: %s", path, foreign);
        ck_assert_ptr_null(ra_safetensors_foreign(file, 1, NULL));
        for (size_t i = 0; i < ra_safetensors_count(file); i++) {
            const ra_tensor *tensor = ra_safetensors_at(file, i);
            ck_assert_ptr_eq(ra_safetensors_find(file, ra_safetensors_name(file, i)), tensor);
            ck_assert_int_eq(tensor->dtype,
                             strstr(ra_safetensors_name(file, i), "tracked") ? RA_I64 : RA_F32);
        }
        ra_safetensors_free(file);
        opened++;
    }
    closedir(folder);
    ck_assert_int_ge(opened, 20);
}
END_TEST

START_TEST(test_reads_a_golden_checkpoint) {
    ra_safetensors *file = NULL;
    ra_tensor W, C, Relax, multiplier;
    ra_ok(ra_safetensors_open(test_golden("dict-basic.checkpoint.safetensors"), &file, &err));
    ra_ok(ra_safetensors_get(file, "dictionary.W", &W, &err));
    ra_ok(ra_safetensors_get(file, "dictionary.C", &C, &err));
    ra_ok(ra_safetensors_get(file, "dictionary.Relax", &Relax, &err));
    ra_ok(ra_safetensors_get(file, "dictionary.multiplier", &multiplier, &err));
    ck_assert_int_eq(multiplier.rank, 0);
    ck_assert_uint_eq(W.shape[1], C.shape[0]);
    ck_assert_uint_eq(Relax.shape[0], W.shape[0]);
    ck_assert_uint_eq(Relax.shape[1], C.shape[1]);
    ck_assert_ptr_nonnull(ra_safetensors_metadata(file, "delta"));
    ra_fails(ra_safetensors_get(file, "dictionary.w", &W, &err), RA_ERR_NOT_FOUND, "dictionary.Relax");
    ra_safetensors_free(file);
}
END_TEST

TEST_CASES_SLOW(safetensors, 30, test_round_trip_of_every_type_and_rank,
                test_larger_elements_come_first_then_the_order_added,
                test_names_and_metadata_keep_every_character, test_nothing_and_tensors_of_nothing_are_legal,
                test_the_same_calls_give_the_same_bytes, test_the_writer_refuses_what_cannot_be_read_back,
                test_many_tensors, test_a_full_disk_keeps_the_old_file,
                test_short_memory_is_an_error_when_writing, test_short_memory_is_an_error_when_opening,
                test_opens_every_golden_file, test_reads_a_golden_checkpoint)
