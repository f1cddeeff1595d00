/* disk.h - parts of files that are larger than memory, read with read() instead of through their mapping.
 *
 *     ra_disk disk = {0};
 *     bool done = ra_disk_read(&disk, file, 0, 3072, x_hat); // else they have to come from file->numbers
 *     ra_disk_close(&disk);
 *
 * A page fault in a mapping reads what lies around it, too, which is megabytes on some systems: of rows in random
 * order that is a hundred times what is asked for. These functions read the bytes that are asked for and nothing else.
 * Positions are bytes from the start of the file's numbers. Thread safety: each thread has its own ra_disk.
 */
#ifndef RA_DATA_DISK_H
#define RA_DATA_DISK_H

#include "data/data.h"

/* The file that was read last stays open. {0} is valid. */
typedef struct ra_disk {
    const ra_data_file *file;
    int descriptor;
} ra_disk;

/* False, and the mapping has to be read, if the numbers are no part of the file as they stand, if another file has
 * taken its name, or if it cannot be read. */
bool ra_disk_read(ra_disk *disk, const ra_data_file *file, size_t at, size_t bytes, void *out);

/* The system may use the memory in which it keeps these bytes for something else. */
void ra_disk_forget(ra_disk *disk, const ra_data_file *file, size_t at, size_t bytes);

void ra_disk_close(ra_disk *disk); /* leaves {0} */

#endif
