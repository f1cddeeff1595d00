#compdef rasae rasaed
# Completion of rasae and rasaed for zsh: commands and flags, with their descriptions from --help.

local -a commands flags
local line help

if [[ $service == rasae && $CURRENT -eq 2 ]]; then
    help=$($words[1] --help 2>/dev/null)
    for line in ${(f)help}; do
        [[ $line =~ '^  ([a-z]+)  +(.*)$' ]] && commands+=("$match[1]:$match[2]")
    done
    _describe command commands
    return
fi

if [[ $service == rasae ]]; then
    help=$($words[1] $words[2] --help 2>/dev/null)
else
    help=$($words[1] --help 2>/dev/null)
fi
if [[ $PREFIX == -* ]]; then
    for line in ${(f)help}; do
        [[ $line =~ '^ +(-[a-z], )?(--[a-z][a-z0-9-]*) *(.*)$' ]] && flags+=("$match[2]:${match[3]//:/\\:}")
    done
    _describe flag flags
else
    _files
fi
