/* The daemon's engine without sockets: one request (server/dispatch.c, server/api), and sequences of loads, reloads,
 * unloads, requests and new files (server/serving/registry). */
#include "app/numbers.h"
#include "codec/json/scan.h"
#include "dispatch.h"
#include "fuzz/fuzz.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { K = 6, D = 4 };

/* ---- the service --------------------------------------------------------------------------------------- */

static rasaed server = {.max_body = 1 << 16, .max_rows = 16};
static http_service service;

/* A file of 6 atoms in 4 dimensions; atom k begins with 100 * variant + k. */
static ra_status write_model(unsigned variant, ra_bytes **parts, size_t *count, ra_error *err) {
    static float dictionary[K * D], weight[K * D], bias[K];
    const ra_tensor tensors[] = {
        {RA_F32, 2, {K, D}, dictionary}, {RA_F32, 2, {K, D}, weight}, {RA_F32, 1, {K}, bias}};
    static const char *const names[] = {"dictionary", "encoder.final_block.0.weight",
                                        "encoder.final_block.0.bias"};
    static const char *const texts[][2] = {
        {"format", "rasae.fused.v1"}, {"encoder", "linear"}, {"sae", "topk"}, {"top_k", "2"}};
    ra_safetensors_writer *writer = NULL;
    ra_status status;
    for (unsigned i = 0; i < K * D; i++) {
        dictionary[i] = (float)(i % D == 0 ? 100 * variant + i / D : i % 5);
        weight[i] = (float)(i % 7) - 3;
    }
    RA_TRY_OUT(status, ra_safetensors_writer_new(&writer, err));
    for (size_t i = 0; i < 4; i++)
        RA_TRY_OUT(status, ra_safetensors_writer_metadata(writer, texts[i][0], texts[i][1], err));
    for (size_t i = 0; i < 3; i++)
        RA_TRY_OUT(status, ra_safetensors_writer_tensor(writer, names[i], &tensors[i], err));
    RA_TRY_OUT(status, ra_safetensors_writer_image(writer, parts, count, err));
out:
    ra_safetensors_writer_free(writer);
    return status;
}

/* The file in one piece; returns its size, at most `most`. */
static size_t model_image(unsigned variant, uint8_t *to, size_t most) {
    ra_error err = {0};
    ra_bytes *parts = NULL;
    size_t count = 0, size = 0;
    fuzz_expect(write_model(variant, &parts, &count, &err) == RA_OK, "no image of a model");
    for (size_t i = 0; i < count; i++) {
        fuzz_expect(parts[i].size <= most - size, "the image of a model is large");
        memcpy(to + size, parts[i].data, parts[i].size);
        size += parts[i].size;
    }
    ra_free(parts);
    return size;
}

enum { LARGEST_IMAGE = 4096 };

static void start(unsigned variant) {
    static uint8_t image[LARGEST_IMAGE];
    ra_error err = {0};
    const char *path = fuzz_file("m.safetensors", image, model_image(variant, image, sizeof image));
    fuzz_expect(registry_new(&(registry_options){.private_below = 1 << 20}, &server.dictionaries, &err) ==
                        RA_OK &&
                    registry_add(server.dictionaries, "m", path, &err) == RA_OK,
                "the service does not start");
    service = dispatch_service(&server);
}

static void stop(void) {
    registry_free(server.dictionaries);
    server.dictionaries = NULL;
    fuzz_remove("m.safetensors");
}

/* What every reply has in common. */
static void expect_reply(const http_response *response) {
    http_piece pieces[HTTP_PIECES];
    size_t count = http_response_pieces(response, pieces);
    for (size_t i = 0; i < count; i++) fuzz_read(pieces[i].data, pieces[i].size);
    fuzz_expect(response->status >= 200 && response->status < 600, "a reply without a status");
    fuzz_expect(response->status != 500, "the service failed");
    const char *type = response->content_type, *name, *value;
    size_t position = 0;
    bool packed = false;
    while (http_response_next_header(response, &position, &name, &value))
        packed |= strcmp(name, "Content-Encoding") == 0;
    if (packed || response->partial || response->verbatim || count != 1 || !type || !strstr(type, "json") ||
        strstr(type, "ndjson"))
        return;
    ra_error err = {0};
    json_scan scan;
    json_scan_begin(&scan, pieces[0].data, pieces[0].size, &err);
    if (json_scan_skip(&scan, NULL)) json_scan_end(&scan);
    fuzz_expect(json_scan_close(&scan) == RA_OK, "a reply is not the JSON that it says it is");
}

static http_exchange *ask(const char *method, const char *target, const http_headers *headers,
                          const ra_error *broken, const void *body, size_t size) {
    http_exchange *exchange = http_exchange_take(target);
    fuzz_expect(exchange, "out of memory");
    http_exchange_begin(exchange, &service, method, headers, broken);
    if (exchange->step == HTTP_RECEIVING && size) http_exchange_receive(exchange, body, size);
    http_exchange_finish(exchange, &service);
    service.done(service.context, &exchange->request, &exchange->response, 0);
    if (exchange->response.status) expect_reply(&exchange->response);
    return exchange;
}

/* The dictionary `full` has everything that an artifact can hold (full.py). */
static void start_both(void) {
    ra_error err = {0};
    start(1);
    fuzz_expect(registry_add(server.dictionaries, "full", "tests/fuzz/full.safetensors", &err) == RA_OK,
                "tests/fuzz/full.safetensors does not open");
    atexit(stop);
}

/* One request: "METHOD TARGET", a line for each header, an empty line, the body. One service for all inputs: a request
 * changes nothing that the next one sees. */
static void request(const uint8_t *bytes, size_t size) {
    enum { MOST = 24 };
    char *lines[MOST], *first = fuzz_line(&bytes, &size), *target = strchr(first, ' ');
    size_t count = 0;
    ra_error err = {0};
    http_headers headers = {0};
    if (!server.dictionaries) start_both();
    if (target) *target++ = '\0';
    if (!target || *target != '/') target = (char *)"/";
    ra_status status = http_headers_first_line(first, target, &err);
    while (status == RA_OK && size && count < MOST) {
        char *line = lines[count++] = fuzz_line(&bytes, &size), *colon = strchr(line, ':');
        if (!*line) break;
        if (!colon) continue;
        *colon = '\0';
        const char *value = colon + 1 + (colon[1] == ' ');
        if (strcasecmp(line, "Content-Length") != 0 && strcasecmp(line, "Transfer-Encoding") != 0)
            status = http_headers_add(&headers, line, (size_t)(colon - line), value, strlen(value), &err);
    }
    headers.length = size;
    http_exchange_give(ask(first, target, &headers, status == RA_OK ? NULL : &err, bytes, size));
    while (count) ra_free(lines[--count]);
    ra_free(first);
}
FUZZ_TARGET(request, FUZZ_BYTES, request)

/* ---- sequences ----------------------------------------------------------------------------------------- */

enum { ANY = 1 }; /* a set of variants, 1 << variant; ANY: a file of unknown content */

/* The variants that an answer may come from, and that of the file; 0: it does not open, or there is none. */
static unsigned served_variants, file_variant;

static void expect_atom(void) {
    http_exchange *exchange =
        ask("GET", "/v1/dictionaries/m/atoms/3?format=raw", &(http_headers){.has_host = true}, NULL, NULL, 0);
    http_piece pieces[HTTP_PIECES];
    if (exchange->response.status == 200) {
        float first = 0;
        fuzz_expect(served_variants, "a dictionary that was unloaded answers");
        fuzz_expect(http_response_pieces(&exchange->response, pieces) > 0, "an atom without bytes");
        if (!(served_variants & ANY)) {
            fuzz_expect(pieces[0].size >= sizeof first, "an atom without numbers");
            memcpy(&first, pieces[0].data, sizeof first);
            unsigned variant = (unsigned)first / 100;
            fuzz_expect(variant < 8 && served_variants >> variant & 1 && first == (float)(100 * variant + 3),
                        "an atom of another file");
        }
    } else {
        fuzz_expect(!served_variants || served_variants & ANY, "a dictionary that is loaded does not answer");
    }
    http_exchange_give(exchange);
}

/* A file with some bytes changed, or cut. */
static void write_hostile(const uint8_t **bytes, size_t *size) {
    static uint8_t image[LARGEST_IMAGE];
    size_t all = model_image(4, image, sizeof image), count = *size ? (*bytes)[0] % 8u : 0, used = *size > 0;
    for (; count && *size - used >= 3; count--, used += 3)
        image[((*bytes)[used] | (*bytes)[used + 1] << 8) % all] = (*bytes)[used + 2];
    if (*size - used >= 2 && (*bytes)[used] % 4 == 0) all = ((*bytes)[used + 1] * 8u) % all;
    *bytes += used, *size -= used;
    fuzz_file("m.safetensors", image, all);
    file_variant = 0; /* it may open or not */
}

static void loaded(ra_status status, const ra_error *err) {
    fuzz_expect_error(status, err);
    if (status == RA_OK)
        served_variants = file_variant ? 1u << file_variant : ANY;
    else
        fuzz_expect(!file_variant || status == RA_ERR_STATE, "a good file is refused");
}

static void engine(const uint8_t *bytes, size_t size) {
    static uint8_t image[LARGEST_IMAGE];
    if (server.dictionaries) return; /* the target `request` runs in this process */
    served_variants = 1u << (file_variant = 1);
    start(1);
    for (int steps = 0; size && steps < 24; steps++) {
        unsigned step = *bytes % 9;
        ra_error err = {0};
        bytes++, size--;
        switch (step) {
        case 0:
            file_variant = 1 + (size ? *bytes % 3 : 0);
            fuzz_file("m.safetensors", image, model_image(file_variant, image, sizeof image));
            break;
        case 1:
            write_hostile(&bytes, &size);
            break;
        case 2:
            fuzz_remove("m.safetensors");
            file_variant = 0;
            break;
        case 3:
            loaded(registry_load(server.dictionaries, "m", &err), &err);
            break;
        case 4:
            loaded(registry_reload(server.dictionaries, "m", &err), &err);
            break;
        case 5:
            if (registry_unload(server.dictionaries, "m", &err) == RA_OK) served_variants = 0;
            break;
        case 6:
        case 7: /* which files they look at is their own affair */
            if (step == 6)
                (void)registry_poll(server.dictionaries);
            else
                (void)registry_reload_all(server.dictionaries);
            if (served_variants) served_variants |= file_variant ? 1u << file_variant : ANY;
            break;
        default: {
            char *target = fuzz_line(&bytes, &size), *body = fuzz_line(&bytes, &size);
            http_exchange_give(ask(*body ? "POST" : "GET", *target == '/' ? target : "/",
                                   &(http_headers){.has_host = true, .length = strlen(body)}, NULL, body,
                                   strlen(body)));
            ra_free(target), ra_free(body);
        }
        }
        expect_atom();
    }
    stop();
}
FUZZ_TARGET(engine, FUZZ_BYTES, engine)
