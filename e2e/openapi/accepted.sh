#!/usr/bin/env bash
# Whether a generator of clients accepts docs/openapi.json: it validates it, and writes a client that can call every
# operation. What it has accepted before is not given to it again.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
description=$REPO_DIR/docs/openapi.json
accepted=$CACHE/openapi-$(key -- "$description" "$here/pom.xml")
[ ! -e "$accepted" ] || exit 0

client=$(mktemp -d)
trap 'rm -rf "$client"' EXIT
mvn -q -B -f "$here/pom.xml" -Dmaven.repo.local="$CACHE/m2" -Dopenapi.output="$client" generate-sources
operations=$(jq -r '.paths[][].operationId' "$description")
[ -n "$operations" ] || die "$description has no operation"
for operation in $operations; do
    method=$(sed -E 's/_(.)/\U\1/g' <<<"$operation")
    grep -rqw "$method" "$client/src" || die "no client can be generated for $operation of $description"
done
rm -f "$CACHE"/openapi-*
touch "$accepted"
