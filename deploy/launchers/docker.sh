#!/usr/bin/env bash
# One container per session, with Docker or Podman: postern worker poll --on-work /etc/postern/docker.sh
#
# Not run here: no container engine was at hand. The script is checked by `bash -n` and shellcheck, and its use of the engine's command
# line by a stand-in that records its arguments.
#
# The script stays until the container has ended, so the worker knows when the session is over and can end it: SIGTERM stops the container.
#
# Settings are variables of the worker:
#   LAUNCH_IMAGE     image with `postern` as entry point, the tools that agents need and a /workspace that user 65532 owns;
#                    default localhost/postern-worker
#   LAUNCH_ENGINE    docker or podman; default: the first that is there
#   LAUNCH_RUNTIME   runtime class of the engine, such as runsc (gVisor)
#   LAUNCH_NETWORK   network of the container; no default, since the network is all that bounds what the session reaches. It must reach the
#                    control plane and should reach nothing else; `bridge` is open
#   LAUNCH_KEEP      1 keeps the session's volume, postern-ws-SESSION, when the session has ended its turn: it comes back to its files. Default 1;
#                    with 0 it is removed with the container
#   LAUNCH_MEMORY, LAUNCH_CPUS, LAUNCH_PIDS   limits; default 2g, 2, 512
set -euo pipefail
# What a range of letters holds depends on the language otherwise.
LC_ALL=C

engine="${LAUNCH_ENGINE:-}"
if [[ -z "$engine" ]]; then
    for candidate in docker podman; do
        if command -v "$candidate" >/dev/null; then engine="$candidate"; break; fi
    done
fi
[[ -n "$engine" ]] || { echo "neither docker nor podman is there; set LAUNCH_ENGINE" >&2; exit 1; }

# Values of the control plane. Anything but these characters, a line's end before all, could become an option, a line or a field elsewhere.
id='^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$'
secret='^[A-Za-z0-9._~+/=-]+$'
address='^https?://[]A-Za-z0-9._~:/%[-]+$'
policy='^[ -~]*$'

# The value stays out of the message: one of them is a secret.
require() { [[ "${!1:-}" =~ $2 ]] || { echo "$1 $3" >&2; exit 1; }; }
for variable in ANTHROPIC_SESSION_ID ANTHROPIC_WORK_ID ANTHROPIC_ENVIRONMENT_ID; do
    require "$variable" "$id" "is not an id: letters, digits, _ and -, at most 100"
done
require ANTHROPIC_WORK_SECRET "$secret" "is not a secret: Base64 or a token, in one line"
require ANTHROPIC_BASE_URL "$address" "is not an http or https address"
require ANTHROPIC_WORK_POLICY "$policy" "is not one line of ASCII"
require POSTERN_ENVIRONMENT_NAME "$policy" "is not one line of ASCII"
session="$ANTHROPIC_SESSION_ID"
name="postern-$session"

network="${LAUNCH_NETWORK:?set LAUNCH_NETWORK to a network that reaches the control plane and nothing else (bridge is open)}"

# Settings of the worker's operator: none may be taken for an option.
image="${LAUNCH_IMAGE:-localhost/postern-worker}"
[[ "$image" =~ ^[A-Za-z0-9][A-Za-z0-9_./:@-]*$ ]] || { printf 'LAUNCH_IMAGE: %q is not the name of an image\n' "$image" >&2; exit 1; }
for variable in LAUNCH_RUNTIME LAUNCH_NETWORK LAUNCH_MEMORY LAUNCH_CPUS LAUNCH_PIDS; do
    [[ "${!variable:-0}" =~ ^[A-Za-z0-9][A-Za-z0-9_.:,=/-]*$ ]] || { printf '%s: %q holds characters that none has\n' "$variable" "${!variable}" >&2; exit 1; }
done

# The secret goes in by name, never as an argument that every user of the machine can read.
arguments=(
    run --rm --name "$name" --label "postern.session=$session" --pull=missing
    --env ANTHROPIC_WORK_ID --env ANTHROPIC_ENVIRONMENT_ID --env ANTHROPIC_SESSION_ID --env ANTHROPIC_WORK_SECRET
    --env ANTHROPIC_WORK_POLICY --env POSTERN_ENVIRONMENT_NAME --env ANTHROPIC_BASE_URL
    --read-only --tmpfs "/tmp:rw,nosuid,nodev,size=1g" --volume "postern-ws-$session:/workspace"
    --cap-drop ALL --security-opt no-new-privileges --user 65532:65532
    --memory "${LAUNCH_MEMORY:-2g}" --cpus "${LAUNCH_CPUS:-2}" --pids-limit "${LAUNCH_PIDS:-512}"
    --network "$network" --stop-timeout 25
)
[[ -z "${LAUNCH_RUNTIME:-}" ]] || arguments+=(--runtime "$LAUNCH_RUNTIME")

# The container of a claim whose lease was lost: it must be gone before the session runs again.
"$engine" rm --force "$name" >/dev/null 2>&1 || true

stopped=""
trap 'stopped=1; "$engine" stop --time 25 "$name" >/dev/null 2>&1 || true' TERM INT

# The container is the boundary here; inside it, nested namespaces are usually not allowed, so the worker is told to start no sandbox.
"$engine" "${arguments[@]}" "$image" worker run --sandbox none --workdir /workspace </dev/null &
child=$!
status=0
wait "$child" || status=$?
# A trapped signal ends that wait before the container has ended.
if [[ -n "$stopped" && "$status" -gt 128 ]]; then
    status=0
    wait "$child" || status=$?
fi
[[ "${LAUNCH_KEEP:-1}" == 1 ]] || "$engine" volume rm --force "postern-ws-$session" >/dev/null 2>&1 || true
exit "$status"
