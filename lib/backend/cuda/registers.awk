# registers.awk - what ptxas says of each kernel (-Xptxas -v), as a table: registers, shared memory and spills, the least
# and the most over all generations.
function note(value, key) {
    if (!(key in least) || value < least[key]) least[key] = value
    if (!(key in most) || value > most[key]) most[key] = value
}
function range(key) {
    return least[key] == most[key] ? most[key] : least[key] "-" most[key]
}
/Compiling entry function/ {
    split($0, part, "\047")
    kernel = part[2]
    if (!(kernel in seen)) name[++kernels] = kernel
    seen[kernel]++
}
/bytes spill stores/ && kernel { note($5 + $9, kernel " spills") }
/Used [0-9]+ registers/ {
    match($0, /Used [0-9]+/)
    note(substr($0, RSTART + 5, RLENGTH - 5) + 0, kernel " registers")
    note(match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) + 0 : 0, kernel " shared")
}
END {
    printf "%-28s %11s %10s %11s %13s\n", "kernel", "generations", "registers", "shared, B", "spills, B"
    for (i = 1; i <= kernels; i++)
        printf "%-28s %11d %10s %11s %13s\n", name[i], seen[name[i]], range(name[i] " registers"), range(name[i] " shared"),
            range(name[i] " spills")
}
