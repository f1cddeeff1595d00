/* The digest that a file has of itself (lib/io/safetensors/digest.c): no changed byte passes. */
#include "harness.h"
#include "model_files.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 14 };

static float numbers[6] = {1, 2, 3, 4, 5, 6};
static uint8_t letters[3] = {'a', 'b', 'c'};
static const ra_tensor tensors[] = {
    {RA_U8, 1, {3}, letters}, {RA_F32, 2, {3, 2}, numbers}, {RA_F32, 1, {0}, NULL}};
static const char *const names[] = {"letters", "numbers", "nothing"};

/* A file with some tensors and, if it is to have one, a text. */
static const char *write_small(const char *name, bool seal, const char *text) {
    const char *path = test_path(name);
    ra_safetensors_writer *writer = NULL;
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    if (text) ra_ok(ra_safetensors_writer_metadata(writer, "text", text, &err));
    for (size_t i = 0; i < 3; i++) ra_ok(ra_safetensors_writer_tensor(writer, names[i], &tensors[i], &err));
    if (seal) ra_safetensors_writer_seal(writer, NULL, NULL);
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    return path;
}

static size_t read_file(const char *path, uint8_t *to) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(to, 1, MOST, file);
    ck_assert_uint_lt(size, MOST);
    fclose(file);
    return size;
}

static ra_status open_bytes(const uint8_t *bytes, size_t size, ra_integrity *integrity, ra_error *err) {
    ra_safetensors *file = NULL;
    ra_status status = ra_safetensors_open(test_write("changed.safetensors", bytes, size), &file, err);
    if (status == RA_OK) *integrity = ra_safetensors_integrity(file);
    ra_safetensors_free(file);
    return status;
}

START_TEST(test_what_was_written_is_verified_and_has_no_other_texts) {
    static const char *const texts[] = {NULL, "a \"rasae.digest\":\" b"};
    for (size_t i = 0; i < 2; i++) {
        ra_safetensors *file = NULL;
        ra_ok(ra_safetensors_open(write_small("small.safetensors", true, texts[i]), &file, &err));
        ck_assert_int_eq(ra_safetensors_integrity(file), RA_INTEGRITY_VERIFIED);
        ra_ok(ra_safetensors_verify(file, &err));
        ck_assert_uint_eq(ra_safetensors_count(file), 3);
        ck_assert(!ra_safetensors_metadata_key(file, i));
        if (i) ck_assert_str_eq(ra_safetensors_metadata(file, "text"), texts[1]);
        ra_safetensors_free(file);
    }
}
END_TEST

START_TEST(test_a_file_without_a_digest_is_taken_as_it_is) {
    ra_safetensors *file = NULL;
    ra_ok(ra_safetensors_open(write_small("small.safetensors", false, "x"), &file, &err));
    ck_assert_int_eq(ra_safetensors_integrity(file), RA_INTEGRITY_UNKNOWN);
    ra_ok(ra_safetensors_verify(file, &err));
    ra_safetensors_free(file);
}
END_TEST

START_TEST(test_every_changed_bit_and_every_cut_is_refused) {
    static uint8_t bytes[MOST];
    ra_integrity integrity;
    ra_error none = {0};
    size_t size = read_file(write_small("small.safetensors", true, "some text"), bytes);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            ck_assert_msg(open_bytes(bytes, size, &integrity, &none) != RA_OK, "bit %d of byte %zu", bit, i);
            bytes[i] ^= (uint8_t)(1 << bit);
        }
        ck_assert_msg(open_bytes(bytes, i, &integrity, &none) != RA_OK, "cut at %zu", i);
    }
    bytes[size - 1] ^= 1;
    ra_fails(open_bytes(bytes, size, &integrity, &err), RA_ERR_FORMAT,
             "is damaged: its content does not have the digest that it was written with");
}
END_TEST

/* The same file with a piece of its header replaced by one of the same length. */
static ra_status open_replaced(const char *from, const char *to, ra_error *err) {
    static uint8_t bytes[MOST];
    ra_integrity integrity;
    size_t size = read_file(write_small("small.safetensors", true, NULL), bytes);
    uint8_t *place = memmem(bytes, size, from, strlen(from));
    ck_assert_ptr_nonnull(place);
    ck_assert_uint_eq(strlen(from), strlen(to));
    memcpy(place, to, strlen(to));
    return open_bytes(bytes, size, &integrity, err);
}

START_TEST(test_a_damaged_digest_is_refused) {
    ra_fails(open_replaced("rasae.digest\"", "rasae.digesT\"", &err), RA_ERR_FORMAT, "a part of a digest");
    ra_fails(open_replaced("digest_kind", "digest_king", &err), RA_ERR_FORMAT, "a part of a digest");
    ra_fails(open_replaced("xxh3-128", "xxh3-129", &err), RA_ERR_FORMAT, "of the kind \"xxh3-129\"");
}
END_TEST

/* Artifacts and checkpoints as the commands write them. */
START_TEST(test_models_are_written_with_a_digest) {
    static uint8_t bytes[MOST];
    ra_integrity integrity;
    model_file file = {0};
    ra_error none = {0};
    model_file_measured(&file);
    ra_model *model = model_open(model_file_write(&file, "m.safetensors"));
    const char *saved = test_path("saved.safetensors");
    ra_ok(ra_model_save(model, saved, RA_F32, &err));
    size_t size = read_file(saved, bytes);
    ra_ok(open_bytes(bytes, size, &integrity, &err));
    ck_assert_int_eq(integrity, RA_INTEGRITY_VERIFIED);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        ra_model *damaged = NULL;
        ck_assert_msg(ra_model_open(test_write("d.safetensors", bytes, size), NULL, &damaged, &none) != RA_OK,
                      "byte %zu", i);
        bytes[i] ^= 0x10;
    }
    ra_model_release(model);
    model_file_release(&file);
}
END_TEST

START_TEST(test_a_large_file_is_verified_when_asked) {
    enum { LARGE = (128 << 20) + 4096 };
    const char *path = test_path("large.safetensors");
    const ra_tensor large = {RA_U8, 1, {LARGE}, ra_calloc(LARGE, 1)};
    ra_safetensors_writer *writer = NULL;
    ra_ok(ra_safetensors_writer_new(&writer, &err));
    ra_ok(ra_safetensors_writer_tensor(writer, "large", &large, &err));
    ra_safetensors_writer_seal(writer, NULL, NULL);
    ra_ok(ra_safetensors_writer_write(writer, path, &err));
    ra_safetensors_writer_free(writer);
    ra_free((void *)(uintptr_t)large.data);
    for (int damaged = 0; damaged < 2; damaged++) {
        ra_safetensors *file = NULL;
        FILE *change = fopen(path, "r+b");
        ck_assert_ptr_nonnull(change);
        ck_assert_int_eq(fseek(change, -1, SEEK_END), 0);
        if (damaged) fputc(1, change);
        fclose(change);
        ra_ok(ra_safetensors_open(path, &file, &err));
        ck_assert_int_eq(ra_safetensors_integrity(file), RA_INTEGRITY_UNVERIFIED);
        if (damaged)
            ra_fails(ra_safetensors_verify(file, &err), RA_ERR_FORMAT, "is damaged");
        else
            ra_ok(ra_safetensors_verify(file, &err));
        ck_assert_int_eq(ra_safetensors_integrity(file),
                         damaged ? RA_INTEGRITY_UNVERIFIED : RA_INTEGRITY_VERIFIED);
        ra_safetensors_free(file);
    }
}
END_TEST

TEST_CASES(file_digest, test_what_was_written_is_verified_and_has_no_other_texts,
           test_a_file_without_a_digest_is_taken_as_it_is, test_every_changed_bit_and_every_cut_is_refused,
           test_a_damaged_digest_is_refused, test_models_are_written_with_a_digest,
           test_a_large_file_is_verified_when_asked)
