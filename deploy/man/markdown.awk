# markdown.awk - turns proto/artifact.md into the sections of a manual page (with mdoc.awk): headings, paragraphs,
# lists, indented code, and tables, of which each row becomes an item: its first column, and the others as text.
# The title and all before the first heading go under DESCRIPTION.

function inline(words, before, inner) {
    gsub(/\\/, "\\e", words)
    gsub(/`/, "", words)
    gsub(/\*\*/, "", words)
    while (match(words, /\*[A-Z][^*]*\*/))
        words = substr(words, 1, RSTART - 1) "\\fI" substr(words, RSTART + 1, RLENGTH - 2) "\\fP" \
                substr(words, RSTART + RLENGTH)
    while (match(words, /\[[^]]*\]\([^)]*\)/)) {
        inner = substr(words, RSTART, RLENGTH)
        before = substr(words, 1, RSTART - 1)
        words = substr(words, RSTART + RLENGTH)
        match(inner, /\]\(/)
        words = before substr(inner, 2, RSTART - 2) " (" substr(inner, RSTART + 2) words
    }
    return words
}
function flush() {
    if (paragraph == "") return
    if (item) print ".It"
    else if (!first) print ".Pp"
    text(inline(paragraph))
    paragraph = ""
    first = item = 0
}
function leave(but) { # what is open, unless it is that
    flush()
    if (state == but) return
    if (state == "table" || state == "list") {
        print ".El"
        first = 0
    }
    if (state == "code") print ".Ed"
    state = ""
}
function heading(macro, title) {
    leave("")
    print macro " " argument(title)
    first = 1
}

NR == 1 { heading(".Sh", "DESCRIPTION"); next }
/^## / { heading(".Sh", toupper(inline(substr($0, 4)))); next }
/^### / { heading(".Ss", inline(substr($0, 5))); next }
/^\|[-|]*$/ { next }
/^\|/ {
    if (state != "table") { # the head of the table says what every row says
        leave("table")
        state = "table"
        split($0, head, / *\| */)
        print ".Bl -tag -width indent"
        next
    }
    row = $0
    n = split(row, column, / *\| */)
    print ".It " argument(inline(column[2]))
    words = ""
    for (i = 3; i < n; i++)
        if (column[i] != "") words = words (words == "" ? "" : "; ") (head[i] == "" ? "" : head[i] ": ") column[i]
    text(inline(words))
    next
}
/^    / && state != "list" {
    leave("code")
    if (state != "code") print ".Bd -literal -offset indent"
    state = "code"
    gsub(/\\/, "\\e")
    out(substr($0, 5))
    next
}
/^- / {
    leave("list")
    if (state != "list") print ".Bl -bullet"
    state = "list"
    item = 1
    paragraph = substr($0, 3)
    next
}
/^$/ {
    flush()
    if (state != "list") leave("")
    next
}
/^[^ ]/ && state == "list" && paragraph == "" { leave("") }
{
    sub(/^ +/, "")
    paragraph = paragraph (paragraph == "" ? "" : " ") $0
}
END { leave("") }
