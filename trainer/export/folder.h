/* folder.h - a folder of files that appears under its name with all of them, or not at all.
 *
 * The files go to `.NAME.XXXXXX` beside it, which is renamed at the end. */
#ifndef RASAE_EXPORT_FOLDER_H
#define RASAE_EXPORT_FOLDER_H

#include "ra.h"

typedef struct export_folder {
    char *path, *temporary; /* owned */
} export_folder;

/* RA_ERR_ARGUMENT if something other than an empty folder has the name. */
ra_status export_folder_begin(export_folder *folder, const char *path, ra_error *err);
/* Either one ends it. */
ra_status export_folder_commit(export_folder *folder, ra_error *err);
void export_folder_abort(export_folder *folder); /* {0} is fine */

#endif
