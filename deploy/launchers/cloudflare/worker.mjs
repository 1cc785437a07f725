// A Cloudflare Worker that runs one container per session. launch.sh beside this file hands work items to it.
//
// Not run here: no account was at hand. The file is checked by `node --check`, and its request handling is run against a stand-in for the
// platform.
//
// wrangler.jsonc: { "main": "worker.mjs", "containers": [{ "class_name": "Session", "image": "./Dockerfile", "max_instances": 50 }],
//   "durable_objects": { "bindings": [{ "name": "SESSION", "class_name": "Session" }] },
//   "migrations": [{ "tag": "v1", "new_sqlite_classes": ["Session"] }] }
// The image's entry point is: postern worker run --sandbox none --workdir /workspace
// Secrets: wrangler secret put LAUNCH_TOKEN; CONTROL_PLANE, the only address that containers are sent to, is a variable.

import { Container } from "@cloudflare/containers";

export class Session extends Container {
  // The worker inside ends by itself a minute after the session's turn; this is for one that hangs.
  sleepAfter = "30m";
  enableInternet = true;

  async launch(envVars) {
    // A container of a claim whose lease was lost must be gone before the session runs again.
    await this.destroy();
    await this.start({ envVars, enableInternet: true });
  }
}

/** Compares two texts without telling by its time where they differ. */
export const isSame = async (left, right) => {
  const sums = await Promise.all([left, right].map((text) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
  const [one, other] = sums.map((sum) => new Uint8Array(sum));
  let difference = 0;
  for (let index = 0; index < one.length; index += 1) difference |= one[index] ^ other[index];
  return difference === 0;
};

const isID = (value) => typeof value === "string" && /^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$/.test(value);

/** What the container gets, or why it gets nothing. */
export const variables = (item, baseURL, controlPlane, policy, environmentName) => {
  const id = item?.data?.id;
  if (item?.data?.type !== "session" || !isID(id)) return { error: "not a session's item" };
  if (!isID(item.id) || !isID(item.environment_id)) return { error: "the item's or its environment's id is not one" };
  if (typeof item.secret !== "string" || !/^[A-Za-z0-9._~+/=-]+$/.test(item.secret)) return { error: "the item has no secret of its own" };
  if (!/^[ -~]*$/.test(policy ?? "")) return { error: "Postern-Policy is not one line of ASCII" };
  if (!/^[ -~]*$/.test(environmentName ?? "")) return { error: "Postern-Environment-Name is not one line of ASCII" };
  if (baseURL !== controlPlane) return { error: "another control plane than CONTROL_PLANE" };
  return {
    session: id,
    envVars: {
      ANTHROPIC_WORK_ID: item.id,
      ANTHROPIC_ENVIRONMENT_ID: item.environment_id,
      ANTHROPIC_SESSION_ID: id,
      ANTHROPIC_WORK_SECRET: item.secret,
      ANTHROPIC_BASE_URL: controlPlane,
      ANTHROPIC_WORK_POLICY: policy ?? "",
      POSTERN_ENVIRONMENT_NAME: environmentName ?? "",
    },
  };
};

export default {
  async fetch(request, env) {
    if (request.method !== "POST" || new URL(request.url).pathname !== "/launch") return new Response("not found\n", { status: 404 });
    const given = request.headers.get("Authorization") ?? "";
    if (!env.LAUNCH_TOKEN || !(await isSame(given, `Bearer ${env.LAUNCH_TOKEN}`))) return new Response("unauthorized\n", { status: 401 });
    let item;
    try {
      item = await request.json();
    } catch {
      return new Response("the body must be a work item\n", { status: 400 });
    }
    const header = (name) => request.headers.get(name);
    const wanted = variables(item, header("Postern-Base-Url"), env.CONTROL_PLANE, header("Postern-Policy"), header("Postern-Environment-Name"));
    if (wanted.error) return new Response(`${wanted.error}\n`, { status: 400 });
    await env.SESSION.get(env.SESSION.idFromName(wanted.session)).launch(wanted.envVars);
    return new Response(`container for ${wanted.session}\n`);
  },
};
