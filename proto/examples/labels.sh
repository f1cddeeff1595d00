#!/bin/sh
# labels.sh URL NAME KEY - labels and lists that a server with a state directory (--state DIR) keeps. Setting them takes an admin
# key from the file of --keys.
set -eu
url=${1:-http://127.0.0.1:8080} name=${2:-words} key=${3:?the admin key}
to="$url/v1/dictionaries/$name" admin="Authorization: Bearer $key"

# What it is called now, and the tag of that; then a name of our own, unless somebody else has changed it meanwhile.
tag=$(curl -fsS -D - -o /dev/null "$to/atoms/5/label" -H "$admin" | tr -d '\r' | sed -n 's/^ETag: //p')
curl -fsS -X PUT "$to/atoms/5/label" -H "$admin" -H "If-Match: $tag" -H 'Content-Type: application/json' \
    -d '{"label": "dog", "explanation": "any dog, not wolves", "source": "me", "score": 0.9}'
# {"atom": 5, "label": "dog", "label_source": "set", "explanation": "any dog, not wolves", ..., "changed_at": "2025-..."}

# Many at once, and all that were set as NDJSON, which can be sent back like this.
printf '{"atom": 7, "label": "cat"}\n{"atom": 9, "label": "emu"}\n' |
    curl -fsS "$to/labels" -H "$admin" -H 'Content-Type: application/x-ndjson' --data-binary @-
# {"set": 2, "removed": 0}
curl -fsS "$to/labels?format=ndjson" -H "$admin"
# {"complete": true, "lines": 3}

# Back to what the file says.
curl -fsS -X DELETE "$to/atoms/5/label" -H "$admin"

# A list of atoms under a name, only if there is none yet.
curl -fsS -X PUT "$to/lists/zoo" -H "$admin" -H 'If-None-Match: *' -H 'Content-Type: application/json' \
    -d '{"atoms": [5, 7, 9], "description": "animals"}'
curl -fsS "$to/lists" -H "$admin"
# {"lists": [{"name": "zoo", "description": "animals", "atom_count": 3, ...}], "total": 1}
