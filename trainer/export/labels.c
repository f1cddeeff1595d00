/* The labels of the file with their words, as rasaed exports those that clients set: labels.jsonl, one
 * object per line, and a last one that says that the file is complete. Labels that follow from others are not among them:
 * whatever reads the file back would take them for the user's own. */
#include "export/export.h"

static ra_status write(const export_job *job, ra_error *err) {
    const ra_model *model = job->model;
    text lines = {0};
    size_t count = 0;
    for (size_t k = 0; k < job->weights->concepts && !lines.failed; k++) {
        ra_label_words words;
        if (ra_model_atom_label_source(model, k) != RA_LABEL_FILE) continue;
        ra_model_atom_words(model, k, &words);
        json_object(&lines, NULL);
        json_count(&lines, "atom", k);
        json_text(&lines, "label", ra_model_atom_label(model, k));
        json_text(&lines, "explanation", words.explanation);
        json_text(&lines, "source", words.source);
        json_float(&lines, "score", words.score);
        json_object_end(&lines);
        text_string(&lines, "\n");
        count++;
    }
    json_object(&lines, NULL);
    json_bool(&lines, "complete", true);
    json_count(&lines, "lines", count);
    json_object_end(&lines);
    text_string(&lines, "\n");
    return export_text(job, "labels.jsonl", &lines, err);
}

const export_format export_labels = {.name = "labels", .files = "labels.jsonl", .write = write};
