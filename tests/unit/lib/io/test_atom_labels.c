/* Labels of atoms from files of every kind (lib/io/atom_labels.c). */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <string.h>

enum { ATOMS = 4 };

static ra_status open_text(const char *name, const char *text, ra_atom_labels **labels, ra_error *error) {
    return ra_atom_labels_open(test_write(name, text, strlen(text)), ATOMS, labels, error);
}

static const struct {
    const char *name, *text;
    const char *labels[ATOMS]; /* NULL: not named */
} good[] = {
    {"a.txt", "cat\n\nZo\xc3\xab\nd", {"cat", "", "Zo\xc3\xab", "d"}},
    {"crlf.TXT",
     "\xef\xbb\xbf"
     "a\r\nb\r\nc\r\nd\r\n",
     {"a", "b", "c", "d"}},
    {"a.csv", "atom,label\n2,cat\n0,dog\n", {"dog", NULL, "cat", NULL}},
    {"wide.csv",
     "\xef\xbb\xbfscore,label,x,atom\r\n0.5,\"a, \"\"b\"\"\",,3\r\n\r\n,,\"1\n2\",1",
     {NULL, "", NULL, "a, \"b\""}},
    {"other.csv", "index,description\n3,\"\"\n", {NULL, NULL, NULL, ""}},
    {"tabs.txt", "a\tb\n\tc\t\t\n\r\r\nd", {"a b", "c", "", "d"}},
    {"lines.csv", "atom,label\n1,\"a\r\n\nb\n\"\n2,\"\n\"\n", {NULL, "a b", "", NULL}},
    {"lines.jsonl", "{\"atom\":1,\"label\":\"\\n\\ta\\n\\tb c\\n\"}", {NULL, "a b c", NULL, NULL}},
    {"head.csv", "atom,label", {NULL, NULL, NULL, NULL}},
    {"a.jsonl",
     "{\"atom\":1,\"label\":\"cat\",\"explanation\":\"e\",\"source\":\"s\",\"score\":0.5}\n "
     "\r\n{\"label\":null,\"atom\":0}",
     {"", "cat", NULL, NULL}},
    {"state.ndjson",
     "{\"atom\":3,\"label\":\"a "
     "\\u00eb\",\"explanation\":null,\"source\":null,\"score\":null,\"changed_at\":\"2026-11-30T08:00:00Z\"}"
     "\n"
     "{\"complete\":true,\"lines\":1}\n",
     {NULL, NULL, NULL, "a \xc3\xab"}},
    {"neuronpedia.jsonl",
     "{\"modelId\":\"gpt2-small\",\"layer\":\"6-res-jb\",\"index\":\"2\",\"description\":\"names of days\","
     "\"explanationModelName\":\"gpt-4o-mini\",\"typeName\":\"oai_token-act-pair\",\"scoreV1\":0.53,"
     "\"activations\":[[1,-2e-3]]}\n",
     {NULL, NULL, "names of days", NULL}},
};

START_TEST(test_reads_labels) {
    ra_atom_labels *labels = NULL;
    ra_ok(open_text(good[_i].name, good[_i].text, &labels, &err));
    ck_assert_uint_eq(ra_atom_labels_atoms(labels), ATOMS);
    for (size_t k = 0; k < ATOMS; k++) {
        const char *label = ra_atom_labels_at(labels, k);
        if (good[_i].labels[k])
            ck_assert_str_eq(label, good[_i].labels[k]);
        else
            ck_assert_ptr_null(label);
    }
    ck_assert_ptr_null(ra_atom_labels_at(labels, ATOMS));
    ra_atom_labels_free(labels);
    ra_atom_labels_free(NULL);
}
END_TEST
TEST_CASES_LOOP(atom_labels, 0, sizeof good / sizeof *good, test_reads_labels)

static const struct {
    const char *name, *text;
    ra_status status;
    const char *words;
} bad[] = {
    {"a.labels", "a\nb\nc\nd\n", RA_ERR_ARGUMENT, ".txt, .csv, .jsonl or .ndjson"},
    {"empty.jsonl", "", RA_ERR_FORMAT, "is empty"},
    {"three.txt", "a\nb\nc\n", RA_ERR_SHAPE, "three.txt has 3 lines; expected 4, one for each atom"},
    {"five.txt", "a\nb\nc\nd\n\n", RA_ERR_SHAPE, "has 5 lines; expected 4"},
    {"latin1.txt", "a\nb\nna\xefve\nd\n", RA_ERR_FORMAT, "line 3 is not valid UTF-8"},
    {"names.csv", "id,label\n1,a\n", RA_ERR_FORMAT, "line 1 does not name the columns atom and label"},
    {"nothing.csv", "\n\n", RA_ERR_FORMAT, "line 1 does not name"},
    {"short.csv", "atom,label\n1,a\n2\n", RA_ERR_FORMAT, "line 3 has 1 fields; expected 2"},
    {"comma.csv", "atom,label\n1,a, b\n", RA_ERR_FORMAT, "line 2 has 3 fields"},
    {"open.csv", "atom,label\n1,\"a\n2,b\n", RA_ERR_FORMAT, "line 2 opens a quote"},
    {"behind.csv", "atom,label\n1,\"a\"b\n", RA_ERR_FORMAT, "line 2 has text behind a closing quote"},
    {"word.csv", "atom,label\nx1,a\n", RA_ERR_FORMAT, "line 2 has \"x1\" where the number of an atom"},
    {"blank.csv", "atom,label\n,a\n", RA_ERR_FORMAT, "line 2 has \"\" where"},
    {"far.csv", "atom,label\n4,a\n", RA_ERR_ARGUMENT,
     "line 2 names atom 4; there are 4 atoms, numbered from 0"},
    {"huge.csv", "atom,label\n99999999999999999999999,a\n", RA_ERR_ARGUMENT, "line 2 names atom 999999"},
    {"twice.csv", "atom,label\n1,\"a\"\n\n1,\n", RA_ERR_FORMAT,
     "line 4 names atom 1 again, which line 2 has named"},
    {"no.jsonl", "{\"atom\":1,\"label\":\"a\"}\n[1]\n", RA_ERR_FORMAT, "line 2 is not a JSON object"},
    {"broken.jsonl", "{\"atom\":1,\"label\":\"a\"\n", RA_ERR_FORMAT, "line 1 is not a JSON object"},
    {"atom.jsonl", "{\"label\":\"a\"}\n", RA_ERR_FORMAT, "line 1 has no atom"},
    {"label.jsonl", "\n{\"atom\":1,\"labels\":\"a\"}\n", RA_ERR_FORMAT, "line 2 has no label"},
    {"number.jsonl", "{\"atom\":1,\"label\":7}\n", RA_ERR_FORMAT, "line 1 has no label"},
    {"half.jsonl", "{\"atom\":1.5,\"label\":\"a\"}\n", RA_ERR_FORMAT, "line 1 has \"1.5\" where"},
    {"below.jsonl", "{\"atom\":-1,\"label\":\"a\"}\n", RA_ERR_FORMAT, "line 1 has \"-1\" where"},
    {"far.jsonl", "{\"index\":\"4\",\"description\":\"a\"}\n", RA_ERR_ARGUMENT, "line 1 names atom 4"},
    {"twice.jsonl", "{\"atom\":1,\"label\":\"a\"}\n{\"index\":\"1\",\"label\":\"b\"}", RA_ERR_FORMAT,
     "line 2 names atom 1 again"},
    {"nul.jsonl", "{\"atom\":1,\"label\":\"a\\u0000b\"}", RA_ERR_FORMAT, "line 1 has a \\u0000"},
};

START_TEST(test_names_the_line) {
    ra_atom_labels *labels = NULL;
    ra_fails(open_text(bad[_i].name, bad[_i].text, &labels, &err), bad[_i].status, bad[_i].words);
    ck_assert_ptr_null(labels);
}
END_TEST
TEST_CASES_LOOP(atom_labels_bad, 0, sizeof bad / sizeof *bad, test_names_the_line)

START_TEST(test_refuses_what_is_no_text) {
    ra_atom_labels *labels = NULL;
    ra_fails(ra_atom_labels_open(test_path("missing.csv"), ATOMS, &labels, &err), RA_ERR_NOT_FOUND,
             "missing.csv");
    const char *path = test_write("nul.csv", "atom,label\n1,a\0b\n", 17);
    ra_fails(ra_atom_labels_open(path, ATOMS, &labels, &err), RA_ERR_FORMAT, "line 2 is not text");
}
END_TEST
START_TEST(test_short_memory_is_an_error) {
    static const char *const paths[] = {"m.txt", "m.csv", "m.jsonl"}, *const texts[] = {
                                                                          "a\nb\nc\nd\n",
                                                                          "atom,label\n1,\"a\"\n",
                                                                          "{\"atom\":1,\"label\":\"a\"}"};
    for (size_t i = 0; i < 3; i++) {
        const char *path = test_write(paths[i], texts[i], strlen(texts[i]));
        for (size_t n = 1;; n++) {
            ra_atom_labels *labels = NULL;
            ck_assert_uint_lt(n, 100);
            ra_memory_fail_at(n);
            ra_status status = ra_atom_labels_open(path, ATOMS, &labels, NULL);
            ra_memory_fail_at(0);
            ra_atom_labels_free(labels);
            if (status == RA_OK) break;
            ck_assert_int_eq(status, RA_ERR_MEMORY);
        }
    }
}
END_TEST
TEST_CASES(atom_labels_text, test_refuses_what_is_no_text, test_short_memory_is_an_error)
