/* Pickles, operation by operation, and what they may not hold (lib/io/torch/{pickle,globals,values}.c). */
#include "harness.h"
#include "io/torch/pickle.h"
#include "ra_memory.h"

#include <stdlib.h>
#include <string.h>

static ra_status read_pickle(const void *bytes, size_t size, ra_pickle *pickle, const ra_pickle_value **root,
                             ra_error *err) {
    size_t used;
    *pickle = (ra_pickle){.path = "a.pt"};
    /* The exact size, so that a sanitizer sees what reads beyond it. */
    unsigned char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    ra_status status = ra_pickle_read(pickle, copy, size, &used, root, err);
    if (status != RA_OK) ra_pickle_release(pickle);
    free(copy); /* the callers look at no text */
    return status;
}

#define P(text) text, sizeof text - 1
#define GLOBAL(module, name) "c" module "\n" name "\n"

static const struct {
    const char *bytes;
    size_t size;
    ra_status status;
    const char *message;
} refused[] = {
    /* what would run code in Python */
    {P("\x80\x02" GLOBAL("posix", "system") "X\x02\0\0\0id\x85R."), RA_ERR_UNSUPPORTED,
     "refers to posix.system"},
    {P("\x80\x02" GLOBAL("os", "system") "X\x02\0\0\0id\x85R."), RA_ERR_UNSUPPORTED, "refers to os.system"},
    {P("\x80\x02" GLOBAL("builtins", "eval") "X\x01\0\0\0"
                                             "1\x85R."),
     RA_ERR_UNSUPPORTED, "refers to builtins.eval"},
    {P("\x80\x02" GLOBAL("__builtin__", "getattr") "."), RA_ERR_UNSUPPORTED, "__builtin__.getattr"},
    {P("\x80\x04\x8c\x02os\x8c\x06system\x93."), RA_ERR_UNSUPPORTED, "refers to os.system"},
    {P("\x80\x02" GLOBAL("__main__", "MySAE") ")\x81."), RA_ERR_UNSUPPORTED, "refers to __main__.MySAE"},
    {P("\x80\x02" GLOBAL("os\x01", "sys\x1btem") "."), RA_ERR_UNSUPPORTED, "refers to os?.sys?tem"},
    {P("\x80\x02" GLOBAL("torch.nn.modules.linear", "Linear") ")R."), RA_ERR_UNSUPPORTED,
     "calls torch.nn.modules.linear.Linear"},
    {P("\x80\x02" GLOBAL("torch", "FloatStorage") ")R."), RA_ERR_UNSUPPORTED, "calls torch.FloatStorage"},
    {P("\x80\x02" GLOBAL("torch._utils", "_rebuild_tensor_v2") ")R."), RA_ERR_UNSUPPORTED,
     "calls torch._utils._rebuild_tensor_v2"},
    {P("\x80\x02" GLOBAL("torch._utils", "_rebuild_parameter") ")R."), RA_ERR_UNSUPPORTED,
     "_rebuild_parameter"},
    {P("\x80\x02" GLOBAL("torch._tensor", "_rebuild_from_type_v2")
           GLOBAL("torch._tensor", "_rebuild_from_type_v2") "N)\x87R."),
     RA_ERR_UNSUPPORTED, "_rebuild_from_type_v2"},
    {P("\x80\x02" GLOBAL("collections", "OrderedDict") ")\x81."), RA_ERR_UNSUPPORTED,
     "collections.OrderedDict"},
    {P("\x80\x02" GLOBAL("argparse", "Namespace") ")\x81}b}b."), RA_ERR_UNSUPPORTED, "sets attributes"},
    {P("\x80\x02K\x01}b."), RA_ERR_UNSUPPORTED, "sets attributes"},
    {P("\x80\x02X\x01\0\0\0aQ."), RA_ERR_UNSUPPORTED, "refers to a storage"},
    /* operations that torch does not write */
    {P("\x80\x02I1\n."), RA_ERR_UNSUPPORTED, "the operation INT"},
    {P("\x80\x02S'a'\n."), RA_ERR_UNSUPPORTED, "the operation STRING"},
    {P("\x80\x02(ios\nsystem\n."), RA_ERR_UNSUPPORTED, "the operation INST"},
    {P("\x80\x02(o."), RA_ERR_UNSUPPORTED, "the operation OBJ"},
    {P("\x80\x02\x82\x01."), RA_ERR_UNSUPPORTED, "the operation EXT1"},
    {P("\x80\x05\x97."), RA_ERR_UNSUPPORTED, "the operation NEXT_BUFFER"},
    {P("\x80\x02Pid\n."), RA_ERR_UNSUPPORTED, "the operation PERSID"},
    {P("\x80\x02"
       "2."),
     RA_ERR_UNSUPPORTED, "the operation DUP"},
    {P("\x80\x02\xff."), RA_ERR_FORMAT, "0xff, which does not exist"},
    {P("\x80\x01."), RA_ERR_UNSUPPORTED, "the protocol 1"},
    {P("\x80\x06."), RA_ERR_UNSUPPORTED, "the protocol 6"},
    /* cut and crooked */
    {P(""), RA_ERR_FORMAT, "is cut"},
    {P("\x80"), RA_ERR_FORMAT, "is cut"},
    {P("\x80\x02"), RA_ERR_FORMAT, "is cut"},
    {P("\x80\x02N"), RA_ERR_FORMAT, "is cut"},
    {P("\x80\x02X\xff\xff\xff\xff"
       "ab."),
     RA_ERR_FORMAT, "is cut"},
    {P("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
       "ab."),
     RA_ERR_FORMAT, "is cut"},
    {P("\x80\x02\x8b\xff\xff\xff\x7f"
       "a."),
     RA_ERR_FORMAT, "is cut"},
    {P("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff."), RA_ERR_FORMAT, "is cut"},
    {P("\x80\x02G\0\0\0."), RA_ERR_FORMAT, "is cut"},
    {P("\x80\x02"
       "cos"),
     RA_ERR_FORMAT, "is cut"},
    {P("\x80\x02."), RA_ERR_FORMAT, "empty stack"},
    {P("\x80\x02"
       "0."),
     RA_ERR_FORMAT, "empty stack"},
    {P("\x80\x02\x85."), RA_ERR_FORMAT, "empty stack"},
    {P("\x80\x02N(\x85."), RA_ERR_FORMAT, "empty stack"},
    {P("\x80\x02N(R."), RA_ERR_FORMAT, "empty stack"},
    {P("\x80\x02t."), RA_ERR_FORMAT, "a mark that it has not set"},
    {P("\x80\x02u."), RA_ERR_FORMAT, "a mark that it has not set"},
    {P("\x80\x02}(Nu."), RA_ERR_FORMAT, "a key without a value"},
    {P("\x80\x02](N(u."), RA_ERR_FORMAT, "adds items to a value that has none"},
    {P("\x80\x02]NNs."), RA_ERR_FORMAT, "adds items to a value that has none"},
    {P("\x80\x02)Na."), RA_ERR_FORMAT, "adds items to a value that has none"},
    {P("\x80\x02h\x07."), RA_ERR_FORMAT, "refers to a value 7"},
    {P("\x80\x02Nr\xff\xff\xff\xff."), RA_ERR_FORMAT, "numbers a value 4294967295"},
    {P("\x80\x02NNR."), RA_ERR_FORMAT, "calls something that is not a name"},
    {P("\x80\x04K\x01K\x02\x93."), RA_ERR_FORMAT, "a name that is not text"},
};

START_TEST(test_refuses) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ra_pickle pickle;
        const ra_pickle_value *root;
        ra_fails(read_pickle(refused[i].bytes, refused[i].size, &pickle, &root, &err), refused[i].status,
                 refused[i].message);
    }
}
END_TEST

/* Every prefix of a good pickle is cut. */
START_TEST(test_every_cut) {
    static const char whole[] = "\x80\x04\x95\x10\0\0\0\0\0\0\0}(\x8c\x01"
                                "aK\x01M\x02\x01J\xff\xff\xff\xff\x87G?\xe0\0\0\0\0\0\0\x88u.";
    ra_pickle pickle;
    const ra_pickle_value *root;
    for (size_t size = 0; size + 1 < sizeof whole - 1; size++)
        ck_assert_int_eq(read_pickle(whole, size, &pickle, &root, NULL), RA_ERR_FORMAT);
    ra_ok(read_pickle(P("\x80\x02}(K\x01K\x02K\x03J\xff\xff\xff\xff"
                        "u."),
                      &pickle, &root, &err));
    ck_assert(ra_pickle_is(root, RA_PICKLE_DICT));
    ck_assert_uint_eq(root->count, 4);
    ck_assert_int_eq(root->is.list.items[3]->is.integer, -1);
    ra_pickle_release(&pickle);
}
END_TEST

START_TEST(test_numbers) {
    static const struct {
        const char *bytes;
        size_t size;
        int64_t integer;
    } cases[] = {
        {P("\x80\x02K\xff."), 255},
        {P("\x80\x02M\xff\xff."), 65535},
        {P("\x80\x02J\xff\xff\xff\x7f."), INT32_MAX},
        {P("\x80\x02J\0\0\0\x80."), INT32_MIN},
        {P("\x80\x02\x8a\x00."), 0},
        {P("\x80\x02\x8a\x01\xff."), -1},
        {P("\x80\x02\x8a\x02\xff\x00."), 255},
        {P("\x80\x02\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."), INT64_MAX},
        {P("\x80\x02\x8a\x08\0\0\0\0\0\0\0\x80."), INT64_MIN},
    };
    ra_pickle pickle;
    const ra_pickle_value *root;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ra_ok(read_pickle(cases[i].bytes, cases[i].size, &pickle, &root, &err));
        ck_assert(ra_pickle_is(root, RA_PICKLE_INTEGER));
        ck_assert_int_eq(root->is.integer, cases[i].integer);
        ra_pickle_release(&pickle);
    }
    ra_ok(read_pickle(P("\x80\x02\x8a\x09\0\0\0\0\0\0\0\x80\0."), &pickle, &root, &err));
    ck_assert(ra_pickle_is(root, RA_PICKLE_LONG));
    ra_pickle_release(&pickle);
    ra_ok(read_pickle(P("\x80\x02G\xc0\x04\0\0\0\0\0\0."), &pickle, &root, &err));
    ck_assert_double_eq(root->is.real, -2.5);
    ra_pickle_release(&pickle);
}
END_TEST

/* As much as the limit of values, in a pickle of 8 MB: refused, and nothing near the memory of the machine. */
START_TEST(test_many_values) {
    size_t size = 8 << 20;
    char *bytes = malloc(size);
    ra_pickle pickle;
    const ra_pickle_value *root;
    memset(bytes, ']', size);
    ra_fails(read_pickle(bytes, size, &pickle, &root, &err), RA_ERR_TOO_LARGE, "more than 4194304 values");
    free(bytes);
}
END_TEST

TEST_CASES(pickle, test_refuses, test_every_cut, test_numbers, test_many_values)
