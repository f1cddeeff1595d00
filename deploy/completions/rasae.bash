# Completion of rasae and rasaed for bash. It reads the programs' own --help, so that it always fits them: commands,
# flags, and the values of a flag where the help lists them ("relu, topk or jumprelu"). Everything else completes to
# names of files.

# _rasae_flags HELP: the flags, one per line.
_rasae_flags() {
    sed -nE 's/^ +(-[a-z], )?(--[a-z][a-z0-9-]*).*/\2/p' <<<"$1" | awk '!seen[$0]++'
}

# _rasae_values HELP FLAG: the words that FLAG takes, one per line.
_rasae_values() {
    awk -v flag="$2" '
        $1 == flag || $2 == flag {
            text = $0
            sub(/^ *(-[a-z], )?--[^ ]+ [^ ]+ +/, "", text)
            gsub(/ \([^)]*\)/, "", text)
            sub(/^[a-z ]+: /, "", text) # "of the dictionary: f32, f16 or bf16"
            if (match(text, /^[a-z0-9_]+(, [a-z0-9_]+)* or [a-z0-9_]+/)) {
                text = substr(text, 1, RLENGTH)
                gsub(/, | or /, "\n", text)
                print text
            }
        }' <<<"$1"
}

_rasae() {
    local program=$1 current=$2 previous=$3 help words
    COMPREPLY=()
    if [[ ${program##*/} == rasae && $COMP_CWORD -eq 1 ]]; then
        help=$("$program" --help 2>/dev/null) || return
        words="$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$help") --help --version"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        return
    fi
    if [[ ${program##*/} == rasae ]]; then
        help=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null)
    else
        help=$("$program" --help 2>/dev/null)
    fi
    # bash splits --sae=KIND into three words: the flag, "=", and the beginning of the value.
    if [[ $current == = ]]; then
        current='' previous=${COMP_WORDS[COMP_CWORD - 1]}
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    words=$(_rasae_values "$help" "$previous")
    [[ $current == -* && -z $words ]] && words=$(_rasae_flags "$help")
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        compopt -o default 2>/dev/null # the names of files
    fi
}

complete -F _rasae rasae rasaed
