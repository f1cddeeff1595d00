/* A heap whose root is the last entry in the order: the one that a better entry replaces
 * (ra_ranking_offer()), and the one that heapsort moves to the end first. The C library's qsort() may
 * allocate, which serving must not. */
#include "model/ranking.h"

bool ra_ranked_before(ra_ranked a, ra_ranked b) {
    return a.key > b.key || (a.key == b.key && a.id < b.id);
}

/* Moves entry i down until its children come before it. */
static void sift_down(ra_ranked *heap, size_t n, size_t i) {
    ra_ranked entry = heap[i];
    for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && ra_ranked_before(heap[child], heap[child + 1])) child++;
        if (!ra_ranked_before(entry, heap[child])) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = entry;
}

static void sift_up(ra_ranked *heap, size_t i) {
    ra_ranked entry = heap[i];
    for (; i > 0 && ra_ranked_before(heap[(i - 1) / 2], entry); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = entry;
}

void ra_ranking_sort(ra_ranked *ranked, size_t n) {
    for (size_t i = n / 2; i > 0; i--) sift_down(ranked, n, i - 1);
    for (size_t end = n; end > 1; end--) {
        ra_ranked last = ranked[0];
        ranked[0] = ranked[end - 1];
        ranked[end - 1] = last;
        sift_down(ranked, end - 1, 0);
    }
}

void ra_ranking_offer(ra_ranked *ranked, size_t *n, size_t k, ra_ranked entry) {
    if (*n < k) {
        ranked[*n] = entry;
        sift_up(ranked, (*n)++);
    } else if (ra_ranked_before(entry, ranked[0])) {
        ranked[0] = entry;
        sift_down(ranked, k, 0);
    }
}
