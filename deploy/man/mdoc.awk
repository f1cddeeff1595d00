# mdoc.awk - what help.awk and markdown.awk have in common: text as mdoc(7) wants it.

# No line may begin like a request.
function out(line) {
    if (line ~ /^[.']/) line = "\\&" line
    print line
}

# Text to be filled: a new sentence begins a new line, and lines are short.
function text(words, parts, n, i, line) {
    n = split(words, parts, " ")
    line = ""
    for (i = 1; i <= n; i++) {
        if (line != "" && length(line) + length(parts[i]) >= 78) {
            out(line)
            line = ""
        }
        line = line (line == "" ? "" : " ") parts[i]
        if (parts[i] ~ /[.?!:]\)?$/ && parts[i] !~ /\.\.\.$/ && parts[i + 1] ~ /^[A-Z(]/) {
            out(line)
            line = ""
        }
    }
    if (line != "") out(line)
}

# As an argument of a macro: no word is a macro or a delimiter itself.
function argument(words, parts, n, i, all) {
    n = split(words, parts, " ")
    for (i = 1; i <= n; i++) {
        if (parts[i] ~ /^[A-Z][a-z]$/ || parts[i] ~ /^[][|.,:;()?!]/) parts[i] = "\\&" parts[i]
        if (parts[i] ~ /[][|.,:;()?!]$/) parts[i] = parts[i] "\\&"
        all = all (i > 1 ? " " : "") parts[i]
    }
    return all
}
