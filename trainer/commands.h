/* commands.h - the commands, one file each; main.c has the table. How to add one: README.md. */
#ifndef RASAE_COMMANDS_H
#define RASAE_COMMANDS_H

#include "common/command.h"

extern const command command_train, command_fuse, command_encode, command_reconstruct, command_inspect,
    command_trace, command_eval, command_compare, command_layout, command_consensus, command_contrast,
    command_label, command_import, command_export, command_serve, command_explore;

#endif
