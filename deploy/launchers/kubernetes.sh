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

namespace="${LAUNCH_NAMESPACE:-postern}"
image="${LAUNCH_IMAGE:?set LAUNCH_IMAGE to the image of the worker}"
cidr="${LAUNCH_CONTROL_CIDR:?set LAUNCH_CONTROL_CIDR to the address range of the control plane}"
runtime="${LAUNCH_RUNTIME_CLASS:-gvisor}"
session="${ANTHROPIC_SESSION_ID:?}"
[[ "$session" =~ ^[A-Za-z0-9_-]{1,100}$ ]] || { echo "not a session id" >&2; exit 1; }
for value in "$image" "$cidr" "$runtime" "$namespace"; do
    [[ "$value" =~ ^[A-Za-z0-9_./:@-]+$ ]] || { echo "LAUNCH_*: '$value' holds characters that no name has" >&2; exit 1; }
done

# Names of objects are lower-case letters, digits and hyphens. The sum keeps two sessions apart that differ only in what is folded.
sum="$(printf '%s' "$session" | sha256sum | cut -c1-10)"
name="postern-$(printf '%s' "$session" | tr 'A-Z_' 'a-z-' | cut -c1-40 | sed 's/-*$//')-$sum"

kubectl() { command kubectl --namespace "$namespace" "$@"; }

remove() { kubectl delete job,secret,networkpolicy "$name" --ignore-not-found --wait=true --timeout=25s >/dev/null 2>&1 || true; }

# What a claim whose lease was lost has left must be gone before the session runs again.
remove
trap 'remove; exit 143' TERM INT

# The secret goes through standard input: arguments can be read by every user of the machine.
{
    printf 'ANTHROPIC_WORK_SECRET=%s\n' "${ANTHROPIC_WORK_SECRET:?}"
    printf 'ANTHROPIC_WORK_ID=%s\n' "${ANTHROPIC_WORK_ID:?}"
    printf 'ANTHROPIC_ENVIRONMENT_ID=%s\n' "${ANTHROPIC_ENVIRONMENT_ID:?}"
    printf 'ANTHROPIC_SESSION_ID=%s\n' "$session"
    printf 'ANTHROPIC_BASE_URL=%s\n' "${ANTHROPIC_BASE_URL:?}"
} | kubectl create secret generic "$name" --from-env-file=/dev/stdin >/dev/null

template="$(cat "$(dirname "$0")/job.yaml")"
template="${template//@NAME@/$name}"
template="${template//@SESSION@/$session}"
template="${template//@IMAGE@/$image}"
template="${template//@CONTROL_CIDR@/$cidr}"
template="${template//@RUNTIME_CLASS@/$runtime}"
printf '%s\n' "$template" | kubectl apply --filename - >/dev/null
echo "job $name is there"

# In the foreground until the Job has ended, so that the worker can end it. In the background, so that the trap runs at once.
kubectl wait --for=jsonpath='{.status.conditions[0].status}'=True "job/$name" --timeout=24h &
wait $! || true
succeeded="$(kubectl get job "$name" --output=jsonpath='{.status.succeeded}' 2>/dev/null || true)"
kubectl logs "job/$name" --tail=50 2>/dev/null || true
remove
[[ "$succeeded" == 1 ]]
