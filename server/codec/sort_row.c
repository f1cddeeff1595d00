#include "codec/sort_row.h"

/* Heap sort. */
static void sift_down(int32_t *index, float *value, size_t root, size_t n) {
    int32_t moving = index[root];
    float its_value = value[root];
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && index[child + 1] > index[child]) child++;
        if (index[child] <= moving) break;
        index[root] = index[child];
        value[root] = value[child];
    }
    index[root] = moving;
    value[root] = its_value;
}

void sort_row(int32_t *index, float *value, size_t n) {
    size_t ascending = 1;
    while (ascending < n && index[ascending - 1] <= index[ascending]) ascending++;
    if (ascending >= n) return; /* as most clients send them */
    for (size_t root = n / 2; root-- > 0;) sift_down(index, value, root, n);
    while (n-- > 1) {
        int32_t largest = index[0];
        float its_value = value[0];
        index[0] = index[n];
        value[0] = value[n];
        index[n] = largest;
        value[n] = its_value;
        sift_down(index, value, 0, n);
    }
}

int32_t compact_row(const int32_t *index, const float *value, size_t n, int32_t *to_index, float *to_value,
                    size_t *kept) {
    int32_t previous = -1;
    *kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (index[i] == previous) return previous;
        previous = index[i];
        if (value[i] == 0) continue;
        to_index[*kept] = index[i];
        to_value[(*kept)++] = value[i];
    }
    return -1;
}
