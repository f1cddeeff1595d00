#include "serving/registry/retired.h"
#include "http/points.h"
#include "ra_memory.h"
#include "ra_waiting.h"

#include <pthread.h>

struct retired_list {
    atomic_size_t references;
    pthread_mutex_t lock; /* held for a few instructions */
    served *first;
    void (*tell)(void *context);
    void *context;
};

retired_list *retired_new(void) {
    retired_list *list = ra_calloc(1, sizeof *list);
    if (!list) return NULL;
    atomic_init(&list->references, 1);
    pthread_mutex_init(&list->lock, NULL);
    return list;
}

retired_list *retired_retain(retired_list *list) {
    atomic_fetch_add(&list->references, 1);
    return list;
}

void retired_release(retired_list *list) {
    if (!list || atomic_fetch_sub(&list->references, 1) != 1) return;
    pthread_mutex_destroy(&list->lock);
    ra_free(list);
}

void retired_tell(retired_list *list, void (*tell)(void *context), void *context) {
    pthread_mutex_lock(&list->lock);
    list->tell = tell;
    list->context = context;
    pthread_mutex_unlock(&list->lock);
}

static void free_generation(served *dictionary) {
    retired_list *list = dictionary->retired;
    ra_waiting_check("the memory of a dictionary to be given back");
    ra_artifact_free(dictionary->artifact);
    atom_index_free(dictionary->atoms);
    ra_model_release(dictionary->model);
    ra_free(dictionary);
    retired_release(list);
}

/* Told under the lock: then nobody is told who has said that he wants to hear no more. */
void retired_add(retired_list *list, served *dictionary) {
    pthread_mutex_lock(&list->lock);
    bool told = list->tell != NULL;
    point_reached(POINT_retired);
    if (told) {
        dictionary->next = list->first;
        list->first = dictionary;
        list->tell(list->context);
    }
    pthread_mutex_unlock(&list->lock);
    if (!told) free_generation(dictionary);
}

size_t retired_free_all(retired_list *list) {
    size_t count = 0;
    pthread_mutex_lock(&list->lock);
    served *next, *at = list->first;
    list->first = NULL;
    pthread_mutex_unlock(&list->lock);
    for (; at; at = next, count++) {
        next = at->next;
        free_generation(at);
    }
    return count;
}
