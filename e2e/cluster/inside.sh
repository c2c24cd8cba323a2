#!/usr/bin/env bash
# inside.sh [COMMAND...]: a command, or else a shell, where the cluster's addresses and names can be reached, with
# KUBECONFIG set and kubectl, helm, kind and docker on PATH.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
. "$(dirname "$0")/lib/process.sh"
. "$(dirname "$0")/lib/engine.sh"
. "$(dirname "$0")/lib/mode.sh"
. "$(dirname "$0")/lib/inside.sh"

use_mode "$(cluster_mode)"
if [ $# -eq 0 ]; then inside "${SHELL:-bash}"; else inside "$@"; fi
