/* Bodies in binary: raw tensors with their two headers, npy, and those of the Open Inference Protocol (server/codec/binary,
 * server/codec/oip); and packed bodies (server/codec/coding_table.c). The first byte chooses, lines of headers follow. */
#include "codec/binary/tensors.h"
#include "codec/coding.h"
#include "codec/oip/request.h"
#include "fuzz/fuzz.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { LATENTS = 6, DIMENSIONS = 4, ROWS = 8, MOST_UNPACKED = 1 << 16 };

/* What is refused leaves no memory behind. */
static void use(const tensor_list *list) {
    ra_error err = {0};
    ra_matrix inputs = {0};
    latents_request latents = {0};
    ra_status status = tensors_to_matrix(list, "inputs", DIMENSIONS, "dimensions", ROWS, &inputs, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK)
        for (size_t i = 0; i < inputs.rows * inputs.cols; i++)
            fuzz_expect(isfinite(inputs.data[i]), "a number that is not finite was read");
    if (status == RA_OK) ra_matrix_release(&inputs);
    status = tensors_to_latents(list, LATENTS, ROWS, &latents, &err);
    fuzz_expect_error(status, &err);
    if (status == RA_OK)
        for (size_t e = 0; e < ra_codes_entries(&latents.codes); e++)
            fuzz_expect(latents.codes.index[e] >= 0 && latents.codes.index[e] < LATENTS,
                        "an index out of range");
    if (status == RA_OK) latents_request_release(&latents);
}

static void oip(bool encode, const char *header, const char *body, size_t size) {
    ra_error err = {0};
    size_t json = 0;
    ra_status status = oip_json_size(*header ? header : NULL, size, &json, &err);
    fuzz_expect_error(status, &err);
    if (status != RA_OK) return;
    fuzz_expect(json <= size, "more JSON than there are bytes");
    if (encode) {
        oip_encode_request out;
        status = oip_encode_parse(body, size, json, DIMENSIONS, ROWS, &out, &err);
        if (status == RA_OK) oip_encode_request_release(&out);
    } else {
        oip_infer_request out;
        status = oip_infer_parse(body, size, json, LATENTS, ROWS, &out, &err);
        if (status == RA_OK) oip_infer_request_release(&out);
    }
    fuzz_expect_error(status, &err);
}

static void unpack(content_coding coding, const char *body, size_t size) {
    ra_error err = {0};
    text plain = {0}, packed = {0}, again = {0};
    ra_status status = content_unpack(coding, body, size, MOST_UNPACKED, &plain, &err);
    fuzz_expect_error(status, &err);
    fuzz_expect(plain.size <= MOST_UNPACKED, "a body unpacked beyond its limit");
    if (status == RA_OK && content_pack(coding, plain.data, plain.size, &packed, &err) == RA_OK) {
        fuzz_expect(content_unpack(coding, packed.data, packed.size, MOST_UNPACKED, &again, &err) == RA_OK &&
                        again.size == plain.size &&
                        (!plain.size || memcmp(again.data, plain.data, plain.size) == 0),
                    "a body that was packed unpacks to another");
    }
    text_release(&plain), text_release(&packed), text_release(&again);
}

static void run(const uint8_t *bytes, size_t size) {
    if (!size) return;
    unsigned what = *bytes % 8;
    bytes++, size--;
    char *first = fuzz_line(&bytes, &size), *second = fuzz_line(&bytes, &size);
    char *body = ra_malloc(size ? size : 1, 1);
    fuzz_expect(body, "out of memory");
    if (size) memcpy(body, bytes, size);
    ra_error err = {0};
    tensor_list list;
    ra_status status = RA_ERR_FORMAT;
    if (what <= 1)
        status = tensors_parse_raw(body, size, *first ? first : NULL, *second ? second : NULL,
                                   what ? DIMENSIONS : LATENTS, &list, &err);
    else if (what == 2)
        status = tensors_parse_npy(body, size, &list, &err);
    if (what <= 2) fuzz_expect_error(status, &err);
    if (what <= 2 && status == RA_OK) use(&list);
    if (what == 3 || what == 4) oip(what == 4, first, body, size);
    if (what >= 5) unpack((content_coding)(what - 4), body, size);
    ra_free(body), ra_free(first), ra_free(second);
}
FUZZ_TARGET(tensors, FUZZ_BYTES, run)
