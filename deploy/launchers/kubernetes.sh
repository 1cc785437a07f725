#!/usr/bin/env bash
# One Job per session on Kubernetes: postern worker poll --on-work /etc/postern/kubernetes.sh
#
# Not run here: no cluster was at hand. The script is checked by `bash -n` and shellcheck, its use of kubectl by a stand-in that records
# its arguments, and job.yaml by reading it with every value filled in.
#
# Before: a namespace with the labels of the `restricted` Pod Security Standard, a RuntimeClass `gvisor`, a network plugin that enforces
# NetworkPolicy, `kubectl` with rights on jobs, secrets and networkpolicies of that namespace only.
#
#   LAUNCH_NAMESPACE      default postern
#   LAUNCH_IMAGE          image with `postern` and the tools that agents need
#   LAUNCH_CONTROL_CIDR   address range of the control plane, e.g. 203.0.113.7/32: all that the pod may connect to, with DNS
#   LAUNCH_RUNTIME_CLASS  default gvisor
set -euo pipefail
# What a range of letters holds depends on the language otherwise.
LC_ALL=C

namespace="${LAUNCH_NAMESPACE:-postern}"
image="${LAUNCH_IMAGE:?set LAUNCH_IMAGE to the image of the worker}"
cidr="${LAUNCH_CONTROL_CIDR:?set LAUNCH_CONTROL_CIDR to the address range of the control plane}"
runtime="${LAUNCH_RUNTIME_CLASS:-gvisor}"

setting() { [[ "$2" =~ $3 ]] || { printf '%s: %q is not %s\n' "$1" "$2" "$4" >&2; exit 1; }; }
setting LAUNCH_IMAGE "$image" '^[A-Za-z0-9][A-Za-z0-9_./:@-]*$' "the name of an image"
setting LAUNCH_CONTROL_CIDR "$cidr" '^[0-9A-Fa-f.:]+/[0-9]{1,3}$' "an address range such as 203.0.113.7/32"
setting LAUNCH_RUNTIME_CLASS "$runtime" '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$' "the name of a RuntimeClass"
setting LAUNCH_NAMESPACE "$namespace" '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$' "the name of a namespace"

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

# Names of objects are lower-case letters, digits and hyphens. The sum keeps two sessions apart that differ only in what is folded.
sum="$(printf '%s' "$session" | sha256sum | cut -c1-10)"
name="postern-$(printf '%s' "$session" | tr 'A-Z_' 'a-z-' | cut -c1-40 | sed 's/-*$//')-$sum"

kubectl() { command kubectl --namespace "$namespace" "$@"; }

# In the foreground: the Job is gone when its pod is. Only then may the NetworkPolicy go, or the pod's last seconds would have an open network.
remove() {
    kubectl delete job "$name" --cascade=foreground --ignore-not-found --wait=true --timeout=25s >/dev/null || return
    kubectl delete secret,networkpolicy "$name" --ignore-not-found --wait=true --timeout=5s >/dev/null
}

# What a claim whose lease was lost has left must be gone before the session runs again: two workers would serve it.
remove || { echo "the Job of an earlier claim, $name, is still there; see what holds its pod" >&2; exit 1; }
trap 'remove; exit 143' TERM INT

# The secret goes through standard input: arguments can be read by every user of the machine.
{
    printf 'ANTHROPIC_WORK_SECRET=%s\n' "$ANTHROPIC_WORK_SECRET"
    printf 'ANTHROPIC_WORK_POLICY=%s\n' "${ANTHROPIC_WORK_POLICY:-}"
    printf 'POSTERN_ENVIRONMENT_NAME=%s\n' "${POSTERN_ENVIRONMENT_NAME:-}"
    printf 'ANTHROPIC_WORK_ID=%s\n' "$ANTHROPIC_WORK_ID"
    printf 'ANTHROPIC_ENVIRONMENT_ID=%s\n' "$ANTHROPIC_ENVIRONMENT_ID"
    printf 'ANTHROPIC_SESSION_ID=%s\n' "$session"
    printf 'ANTHROPIC_BASE_URL=%s\n' "$ANTHROPIC_BASE_URL"
} | kubectl create secret generic "$name" --from-env-file=/dev/stdin >/dev/null

# Quoted, or newer shells put what was found in the place of an `&`.
template="$(cat "$(dirname "$0")/job.yaml")"
template=${template//@NAME@/"$name"}
template=${template//@SESSION@/"$session"}
template=${template//@CONTROL_CIDR@/"$cidr"}
template=${template//@RUNTIME_CLASS@/"$runtime"}
# Last: the only value that may hold an `@`.
template=${template//@IMAGE@/"$image"}
printf '%s\n' "$template" | kubectl apply --filename - >/dev/null
echo "job $name is there"

# In the foreground until the Job has ended, so that the worker can end it. In the background, so that the trap runs at once.
kubectl wait --for=jsonpath='{.status.conditions[0].status}'=True "job/$name" --timeout=24h &
wait $! || true
succeeded="$(kubectl get job "$name" --output=jsonpath='{.status.succeeded}' 2>/dev/null || true)"
kubectl logs "job/$name" --tail=50 2>/dev/null || true
remove || echo "the Job $name has ended and could not be removed" >&2
[[ "$succeeded" == 1 ]]
