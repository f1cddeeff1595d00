/* Labels of atoms from files of every kind (lib/io/atom_labels.c). */
#include "harness.h"
#include "ra_io.h"
#include "ra_memory.h"

#include <math.h>
#include <stdio.h>
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

/* What is said with the labels of atoms 0 to 2. */
static const struct {
    const char *name, *text;
    ra_label_words words[3];
} said[] = {
    {"a.txt", "cat\ndog\nfox\nhen\n", {{NULL, NULL, NAN}, {NULL, NULL, NAN}, {NULL, NULL, NAN}}},
    {"a.csv",
     "score,atom,source,label,explanation\n0.5,0,me,cat,\"a \"\"cat\"\"\r\n\tor "
     "two\"\n,1,\"\",dog,\n-1e-3,2,,fox,\\n\n",
     {{"a \"cat\"\n\tor two", "me", 0.5f}, {NULL, NULL, NAN}, {"\\n", NULL, -1e-3f}}},
    {"a.jsonl",
     "{\"atom\":0,\"label\":\"cat\",\"explanation\":\"a\\r\\nb\\rc\\u00eb\",\"source\":\"my\\nself\","
     "\"score\":1}\n"
     "{\"atom\":1,\"label\":\"dog\",\"explanation\":null,\"source\":null,\"score\":null}\n"
     "{\"atom\":2,\"label\":null,\"explanation\":\"of nothing\",\"source\":\"me\",\"score\":2}\n",
     {{"a\nb\nc\xc3\xab", "my self", 1}, {NULL, NULL, NAN}, {NULL, NULL, NAN}}},
    {"neuronpedia.jsonl",
     "{\"modelId\":\"m\",\"index\":\"0\",\"description\":\"days\",\"explanationModelName\":\"gpt-4o\","
     "\"embedding\":[1]}\n"
     "{\"modelId\":\"m\",\"index\":\"1\",\"description\":\"a\",\"explanationModelName\":\"x\",\"scoreV1\":0."
     "25}\n"
     "{\"modelId\":\"m\",\"index\":\"0\",\"description\":\"days again\",\"explanationModelName\":\"other\"}\n"
     "{\"modelId\":\"m\",\"index\":\"1\",\"description\":\"b\",\"explanationModelName\":\"y\",\"scoreV1\":0."
     "75}\n"
     "{\"modelId\":\"m\",\"index\":\"1\",\"description\":\"c\",\"explanationModelName\":\"z\",\"scoreV1\":0."
     "5}\n",
     {{NULL, "gpt-4o", NAN}, {NULL, "y", 0.75f}, {NULL, NULL, NAN}}},
    {"neuronpedia.csv",
     "modelId,index,description,explanationModelName,scoreV1\nm,0,a,x,\nm,0,b,y,0\nm,2,c,z,\n",
     {{NULL, "y", 0}, {NULL, NULL, NAN}, {NULL, "z", NAN}}},
};

static void check_text(const char *got, const char *expected) {
    ck_assert(!got == !expected);
    if (got) ck_assert_str_eq(got, expected);
}

START_TEST(test_keeps_what_is_said_with_a_label) {
    ra_atom_labels *labels = NULL;
    ra_ok(open_text(said[_i].name, said[_i].text, &labels, &err));
    for (size_t k = 0; k < 3; k++) {
        const ra_label_words *expected = &said[_i].words[k];
        ra_label_words words;
        bool any = expected->explanation || expected->source || !isnan(expected->score);
        ck_assert(ra_atom_labels_words(labels, k, &words) == any);
        check_text(words.explanation, expected->explanation);
        check_text(words.source, expected->source);
        ck_assert(words.score == expected->score || (isnan(words.score) && isnan(expected->score)));
    }
    ra_label_words none;
    ck_assert(!ra_atom_labels_words(labels, ATOMS, &none) && !none.explanation && isnan(none.score));
    ra_atom_labels_free(labels);
}
END_TEST
TEST_CASES_LOOP(atom_labels_words, 0, sizeof said / sizeof *said, test_keeps_what_is_said_with_a_label)

/* The longest texts are as long as what clients of rasaed may set. */
START_TEST(test_texts_have_a_length) {
    static const struct {
        const char *member, *what;
        int most;
    } texts[] = {{"label", "a label", RA_LABEL_BYTES},
                 {"explanation", "an explanation", RA_EXPLANATION_BYTES},
                 {"source", "a source", RA_LABEL_SOURCE_BYTES}};
    char *line = ra_malloc(1 << 16, 1), expected[128];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int more = 0; more < 2; more++) {
            ra_atom_labels *labels = NULL;
            snprintf(line, 1 << 16, "{\"atom\":1%s,\"%s\":\"%0*d\"}", i ? ",\"label\":\"x\"" : "",
                     texts[i].member, texts[i].most + more, 0);
            snprintf(expected, sizeof expected, "line 1 has %s of %d bytes; expected at most %d",
                     texts[i].what, texts[i].most + 1, texts[i].most);
            if (more)
                ra_fails(open_text("long.jsonl", line, &labels, &err), RA_ERR_FORMAT, expected);
            else
                ra_ok(open_text("long.jsonl", line, &labels, &err));
            ra_atom_labels_free(labels);
        }
    ra_free(line);
}
END_TEST
TEST_CASES(atom_labels_lengths, test_texts_have_a_length)

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
    {"score.csv", "atom,label,score\n1,a,0.5\n2,b,high\n", RA_ERR_FORMAT, "line 3 has a score that is not"},
    {"much.csv", "atom,label,score\n1,a,1e40\n", RA_ERR_FORMAT, "line 2 has a score that is not"},
    {"nan.csv", "atom,label,score\n1,a,nan\n", RA_ERR_FORMAT, "line 2 has a score that is not"},
    {"score.jsonl", "{\"atom\":1,\"label\":\"a\",\"score\":\"0.5\"}\n", RA_ERR_FORMAT,
     "line 1 has a score that is not"},
    {"much.jsonl", "{\"atom\":1,\"label\":\"a\",\"score\":1e39}\n", RA_ERR_FORMAT, "line 1 has a score"},
    {"list.jsonl", "{\"atom\":1,\"label\":\"a\",\"explanation\":[\"b\"]}\n", RA_ERR_FORMAT,
     "line 1 has an explanation that is not a text"},
    {"by.jsonl", "{\"atom\":1,\"label\":\"a\",\"source\":7}\n", RA_ERR_FORMAT,
     "line 1 has a source that is not a text"},
    {"bell.jsonl", "{\"atom\":1,\"label\":\"a\\u0007\"}\n", RA_ERR_FORMAT,
     "line 1 has a label with control characters"},
    {"bell.txt", "a\nb\n\x1b[1mc\nd\n", RA_ERR_FORMAT, "line 3 has a label with control characters"},
    {"bell.csv", "atom,label,explanation\n1,a,\x07\n", RA_ERR_FORMAT,
     "line 2 has an explanation with control characters"},
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
