#include "ra_group.h"

size_t ra_group_size(const ra_group *group) {
    return group ? group->size : 1;
}

size_t ra_group_slice(const ra_group *group, size_t n, size_t *first) {
    size_t size = ra_group_size(group), rank = group ? group->rank : 0;
    *first = n / size * rank + n % size * rank / size;
    size_t end = n / size * (rank + 1) + n % size * (rank + 1) / size;
    return end - *first;
}

ra_status ra_group_sum_f32(const ra_group *group, float *values, size_t n, ra_error *err) {
    return ra_group_size(group) == 1 ? RA_OK : group->sum_f32(group->context, values, n, err);
}

ra_status ra_group_sum_f64(const ra_group *group, double *values, size_t n, ra_error *err) {
    return ra_group_size(group) == 1 ? RA_OK : group->sum_f64(group->context, values, n, err);
}

ra_status ra_group_sum_u64(const ra_group *group, uint64_t *values, size_t n, ra_error *err) {
    return ra_group_size(group) == 1 ? RA_OK : group->sum_u64(group->context, values, n, err);
}

ra_status ra_group_unite(const ra_group *group, uint8_t *flags, size_t n, ra_error *err) {
    return ra_group_size(group) == 1 ? RA_OK : group->unite(group->context, flags, n, err);
}
