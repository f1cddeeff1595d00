# help.awk - turns what `PROGRAM --help` prints into mdoc(7), with mdoc.awk: flags become lists, examples stay as they are.
#
# A flag is a line like "  -o, --output OUT    the artifact" or "      --listen HOST:PORT  where"; a line that is indented
# further than any flag continues the text before it. With -v skip=1 the lines before the first flags (usage, one line
# about the program, their title) are left out. -v title=train opens a section of that name.

function close_list() {
    if (in_list) {
        print ".El"
        blank = 1
    }
    in_list = 0
}
function close_example() { if (in_example) print ".Ed"; in_example = 0 }
function finish_flag() {
    if (flag != "") {
        print ".It " flag
        if (words != "") text(words)
    }
    flag = words = ""
}
function finish_paragraph() {
    if (paragraph == "") return
    if (blank) print ".Pp"
    text(paragraph)
    paragraph = ""
    blank = 0
}
function finish() { finish_paragraph(); finish_flag(); close_list(); close_example() }

# "-o, --output OUT" into macros; what does not look like a flag's argument is text.
function read_flag(line, left, parts, n, i, split_at, short) {
    sub(/^ +/, "", line)
    split_at = match(line, /  +/)
    left = split_at ? substr(line, 1, RSTART - 1) : line
    words = split_at ? substr(line, RSTART + RLENGTH) : ""
    n = split(left, parts, " ")
    short = ""
    i = 1
    if (parts[1] ~ /^-[a-z],$/) {
        short = "Fl " substr(parts[1], 2, 1) " , "
        i = 2
    }
    flag = short "Fl " substr(parts[i], 2)
    if (n == i + 1) flag = flag " Ar " argument(parts[n])
    else for (i++; i <= n; i++) words = words (words == "" ? "" : " ") parts[i]
}

BEGIN { if (title != "") print ".Ss " title }
skip {
    if (/^[A-Z].*:$/) skip = 0
    next
}
/^Usage: / {
    print ".Bd -literal"
    out(substr($0, 8))
    print ".Ed"
    next
}
/^ +(-[a-z], )?--[a-z]/ && !in_example {
    finish_paragraph()
    finish_flag()
    if (!in_list) print ".Bl -tag -width indent"
    in_list = 1
    read_flag($0)
    next
}
/^            / && in_list {
    sub(/^ +/, "")
    words = words (words == "" ? "" : " ") $0
    next
}
/^Example:$/ {
    finish()
    print ".Pp"
    print "Example:"
    print ".Bd -literal"
    in_example = 1
    next
}
/^$/ {
    finish()
    blank = 1
    next
}
in_example {
    sub(/^ +/, "")
    out($0)
    next
}
{
    if (in_list) finish()
    paragraph = paragraph (paragraph == "" ? "" : " ") $0
}
END { finish() }
