/* Each order is a radix sort of the values' bits, which a dictionary of a million atoms needs a few times
 * milliseconds for, once per load. */
#include "serving/atoms/orders.h"
#include "ra_memory.h"

#include <math.h>
#include <string.h>

enum { DIGIT = 11, DIGITS = 1 << DIGIT, PASSES = 6 /* of 64 bits */ };

struct atom_orders {
    size_t count;                      /* K */
    uint32_t *orders[ATOM_COLUMNS][2]; /* [K] rising, falling; NULL: by number */
};

/* ---- sorting ------------------------------------------------------------------------------------------- */

typedef struct item {
    uint64_t key;
    uint32_t atom;
} item;

/* Unsigned numbers in the order of the values. + 0.0 makes one zero of both. */
static uint64_t key_of(double value) {
    static const uint64_t sign = (uint64_t)1 << 63;
    uint64_t bits;
    value += 0.0;
    memcpy(&bits, &value, sizeof bits);
    return bits & sign ? ~bits : bits | sign;
}

/* One pass; false when all keys have the same digit there, and nothing has moved. */
static bool sort_by_digit(const item *from, item *to, size_t count, unsigned shift, size_t *starts) {
    memset(starts, 0, DIGITS * sizeof *starts);
    for (size_t i = 0; i < count; i++) starts[from[i].key >> shift & (DIGITS - 1)]++;
    if (count && starts[from[0].key >> shift & (DIGITS - 1)] == count) return false;
    size_t sum = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        size_t here = starts[i];
        starts[i] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++) to[starts[from[i].key >> shift & (DIGITS - 1)]++] = from[i];
    return true;
}

static const item *sort(item *items, item *spare, size_t count) {
    RA_UNINITIALIZED size_t starts[DIGITS];
    for (unsigned pass = 0; pass < PASSES; pass++) {
        if (!sort_by_digit(items, spare, count, pass * DIGIT, starts)) continue;
        item *moved = items;
        items = spare;
        spare = moved;
    }
    return items;
}

/* Falling values are those of the flipped keys, so that equal ones keep their order. */
static ra_status make_order(const ra_model *model, const atom_column *column, bool falling, size_t count,
                            item *items, uint32_t **out, ra_error *err) {
    size_t known = 0, unknown = 0;
    bool sorted = true;
    for (size_t i = 0; i < count; i++) {
        double value = column->value(model, i);
        if (isnan(value)) continue;
        items[known] = (item){falling ? ~key_of(value) : key_of(value), (uint32_t)i};
        sorted &= known == 0 || items[known - 1].key <= items[known].key;
        known++;
    }
    if (sorted && (known == 0 || known == count)) return RA_OK;
    uint32_t *order = *out = ra_malloc(count, sizeof *order);
    if (!order) RA_FAIL_MEMORY(err, "the order of the atoms", count * sizeof *order);
    const item *done = sort(items, items + count, known);
    for (size_t i = 0; i < known; i++) order[i] = done[i].atom;
    for (size_t i = 0; i < count; i++)
        if (isnan(column->value(model, i))) order[known + unknown++] = (uint32_t)i;
    return RA_OK;
}

ra_status atom_orders_new(const ra_model *model, atom_orders **out, ra_error *err) {
    size_t count = ra_model_get_info(model)->concepts;
    ra_status status = RA_OK;
    atom_orders *orders = ra_calloc(1, sizeof *orders);
    item *items = ra_malloc(2 * count, sizeof *items); /* as many to move them to */
    if (!orders || !items)
        status = ra_error_set(err, RA_ERR_MEMORY, "out of memory: the order of %zu atoms", count);
    if (orders) orders->count = count;
    for (size_t i = 0; i < 2 * ATOM_COLUMNS && status == RA_OK; i++)
        status =
            make_order(model, &atom_columns[i / 2], i % 2, count, items, &orders->orders[i / 2][i % 2], err);
    ra_free(items);
    if (status == RA_OK)
        *out = orders;
    else
        atom_orders_free(orders);
    return status;
}

void atom_orders_free(atom_orders *orders) {
    if (!orders) return;
    for (size_t i = 0; i < 2 * ATOM_COLUMNS; i++) ra_free(orders->orders[i / 2][i % 2]);
    ra_free(orders);
}

size_t atom_orders_bytes(const atom_orders *orders) {
    size_t bytes = sizeof *orders;
    for (size_t i = 0; i < 2 * ATOM_COLUMNS; i++)
        if (orders->orders[i / 2][i % 2]) bytes += orders->count * sizeof **orders->orders[0];
    return bytes;
}

const uint32_t *atom_orders_get(const atom_orders *orders, const atom_column *column, bool falling) {
    return orders->orders[column - atom_columns][falling];
}
