#!/bin/sh
# atoms.sh [URL [NAME]] - atoms, the points that they are made of, and their neighbors.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words}

curl -fsS "$url/v1/dictionaries/$name/atoms/5?fields=norm,label,archetypes,relaxation,trace"
# {"atom": 5, "norm": 0.81, "label": "bound, bounded", "label_source": "rows",
#  "archetypes": [{"point": 5, "label": "bound", "weight": 0.61, "contribution": 0.55}, ...],
#  "coverage": 1, "hull_share": 0.93, "relaxation": {"norm": 4.9, "share": 0.21},
#  "trace": {"rows": [{"row": 812, "label": "bound", "weight": 0.58, "contribution": 0.52}, ...], "cosine": 0.91}}

curl -fsS "$url/v1/dictionaries/$name/atoms?offset=10&limit=2&fields=label"
# {"atoms": [{"atom": 10, "label": "..."}, {"atom": 11, "label": "..."}],
#  "offset": 10, "limit": 2, "total": 1000}

curl -fsS "$url/v1/dictionaries/$name/atoms?ids=9,1,5&fields=norm"
# {"atoms": [{"atom": 9, "norm": 0.9}, {"atom": 1, "norm": 1.1}, {"atom": 5, "norm": 0.81}]}

# The atoms of point 5, the longest first.
curl -fsS "$url/v1/dictionaries/$name/atoms?point=5&sort=norm&limit=3&fields=norm,label"
# {"atoms": [{"atom": 5, "norm": 1.3, "label": "bound"}, ...], "offset": 0, "limit": 3, "total": 4}

# What is known of every atom, for a spreadsheet.
curl -fsS "$url/v1/dictionaries/$name/table?columns=index,label,norm,coverage&format=csv"

curl -fsS "$url/v1/dictionaries/$name/atoms/5/neighbors?k=3&metric=cosine"
# {"atom": 5, "metric": "cosine", "neighbors": [{"atom": 377, "score": 0.31, "label": "norm"}, ...]}

# What is active together with atom 5 oftener than by chance, in a file that `rasae eval --save` has written.
curl -fsS "$url/v1/dictionaries/$name/atoms/5/cofiring?k=3&measure=pmi"
# {"atom": 5, "measure": "pmi", "rows": 7400, "count": 296, "least": 5,
#  "partners": [{"atom": 7, "count": 120, "lift": 10.1, "pmi": 2.31, "correlation": 0.42, "label": "cat", ...}, ...]}

# The items (images, texts) in which atom 5 is strongest, with its code on each of their rows, once
# `rasae eval --items 5 --save` has measured them; with --tokens, the tokens of texts are there, too.
curl -sS "$url/v1/dictionaries/$name/atoms/5/items?k=1"
# {"atom": 5, "shape": {"rows": 261, "skip": 5, "height": 16, "width": 16},
#  "items": [{"item": 203, "row": 53020, "position": 37, "value": 0.93, "label": "dog", "media": null, "codes": [0, 0.4, ...],
#             "tokens": null}]}

# The picture of its strongest row, where the daemon knows pictures (`--media` or `--media-url`) and the rows have labels.
picture=$(curl -sS "$url/v1/dictionaries/$name/atoms/5/items?k=1" | sed -n 's/.*"media":"\([^"]*\)".*/\1/p')
case $picture in /*) picture=$url$picture ;; esac # one of this daemon
[ -z "$picture" ] || curl -fsS "$picture" -o /dev/null -w '{"picture": "%{content_type}"}\n'

# What differs between two sets of data, in a file that `rasae contrast` has written: which contrasts it holds, and the atoms of the
# first one that are most on the side of A.
curl -fsS "$url/v1/dictionaries/$name/contrasts"
# {"contrasts": [{"name": "heat", "a": {"name": "warm", "rows": 640, "units": 640}, "b": {...}, "confidence": 0.95,
#  "intervals": 94}], "total": 1}
contrast=$(curl -fsS "$url/v1/dictionaries/$name/contrasts" | sed -n 's/.*"contrasts":\[{"name":"\([^"]*\)".*/\1/p')
if [ "$contrast" ]; then
    curl -fsS "$url/v1/dictionaries/$name/contrasts/$contrast?sort=energy&limit=2"
fi
# {"name": "heat", ..., "atoms": [{"atom": 9, "label": "...", "count_a": 120, "count_b": 11,
#  "energy": {"a": 0.12, "b": 0.01, "difference": 0.11, "low": 0.08, "high": 0.14}, "frequency": {...}, "relative": 0.84}, ...], ...}

# All points with their labels, by pages; fields=vector adds the vectors, and format=npy sends them alone.
curl -fsS "$url/v1/dictionaries/$name/points?limit=2"
# {"points": [{"point": 0, "label": "..."}, ...], "offset": 0, "limit": 2, "total": 5000}

# Row 812 of the data, where the server shows them (rasaed --data NAME=FILE): an input to explain.
curl -sS "$url/v1/dictionaries/$name/rows?offset=812&limit=1"
# {"rows": [{"row": 812, "vector": [...]}], "offset": 812, "limit": 1, "total": 7400}

# The point that contributes most to atom 5, and the other atoms that it is part of.
point=$(curl -fsS "$url/v1/dictionaries/$name/atoms/5?fields=archetypes" |
    sed 's/.*"archetypes":\[{"point":\([0-9]*\).*/\1/')
curl -fsS "$url/v1/dictionaries/$name/points/$point"
# {"point": 5, "label": "bound", "atoms": [{"atom": 5, "weight": 0.61}, ...],
#  "rows": [...], "vector": [0.02, ...]}
