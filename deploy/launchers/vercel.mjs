#!/usr/bin/env node
// One Vercel Sandbox per session: postern worker poll --on-work /etc/postern/vercel.mjs
//
// Not run here: no account was at hand. The file is checked by `node --check`, and its logic is run against a stand-in for the package.
//
// It returns as soon as the worker inside has been started; the worker outside then waits for its first heartbeat, and gives the session
// back to the queue if none comes. Needs `npm install @vercel/sandbox` beside this file, and VERCEL_TOKEN, VERCEL_TEAM_ID, VERCEL_PROJECT_ID.
//
// Settings: LAUNCH_POSTERN_URL (https address of a `postern` binary for Amazon Linux x86-64), LAUNCH_POSTERN_SHA256 (its sum),
// LAUNCH_TIMEOUT (milliseconds of a sandbox, default 2700000), LAUNCH_OPEN_NETWORK (must be 1: this script sets no rule for the sandbox's
// network, so that a session reaches the whole internet whatever its policy says).

import process from "node:process";

const read = async (stream) => {
  let text = "";
  for await (const part of stream) text += part;
  return text;
};

const required = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

// What the control plane's values may hold. `$` is the very end here, not the end of a line.
const identifier = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$/;
const patterns = {
  ANTHROPIC_WORK_ID: identifier,
  ANTHROPIC_ENVIRONMENT_ID: identifier,
  ANTHROPIC_SESSION_ID: identifier,
  ANTHROPIC_WORK_SECRET: /^[A-Za-z0-9._~+/=-]+$/,
  ANTHROPIC_BASE_URL: /^https?:\/\/[A-Za-z0-9._~:/%[\]-]+$/,
  // What the environment asks for; a worker without it would allow more.
  ANTHROPIC_WORK_POLICY: /^[ -~]*$/,
  // The operator's own name for the environment, by which policies are chosen.
  POSTERN_ENVIRONMENT_NAME: /^[ -~]*$/,
};

const main = async () => {
  const item = JSON.parse(await read(process.stdin));
  const env = {};
  for (const [name, pattern] of Object.entries(patterns)) {
    env[name] = process.env[name] ?? "";
    if (!pattern.test(env[name])) throw new Error(`${name} is missing, or holds characters that none has`);
  }
  const session = env.ANTHROPIC_SESSION_ID;
  if (item?.data?.id !== session) throw new Error("the item is another session's");
  if (process.env.LAUNCH_OPEN_NETWORK !== "1") throw new Error("the sandbox's network is open; LAUNCH_OPEN_NETWORK=1 accepts that");
  const url = new URL(required("LAUNCH_POSTERN_URL"));
  const sum = required("LAUNCH_POSTERN_SHA256");
  if (url.protocol !== "https:" || !/^[0-9a-f]{64}$/.test(sum)) throw new Error("LAUNCH_POSTERN_URL or LAUNCH_POSTERN_SHA256 is not one");

  const { Sandbox } = await import("@vercel/sandbox");
  const sandbox = await Sandbox.create({
    token: required("VERCEL_TOKEN"),
    teamId: required("VERCEL_TEAM_ID"),
    projectId: required("VERCEL_PROJECT_ID"),
    timeout: Number(process.env.LAUNCH_TIMEOUT ?? 2_700_000),
    runtime: "node22",
  });
  try {
    // The address and the sum are arguments of their own: nothing is put together into a command line.
    const fetched = await sandbox.runCommand("bash", [
      "-c",
      'set -eu; curl -fsSL --proto "=https" -o /tmp/postern "$1"; echo "$2  /tmp/postern" | sha256sum -c --quiet; chmod 755 /tmp/postern',
      "fetch",
      url.href,
      sum,
    ]);
    if (fetched.exitCode !== 0) throw new Error("postern could not be fetched, or its sum is another");
    await sandbox.runCommand({
      cmd: "/tmp/postern",
      args: ["worker", "run", "--sandbox", "none", "--workdir", "/vercel/sandbox"],
      env,
      detached: true,
    });
  } catch (error) {
    await sandbox.stop();
    throw error;
  }
  console.log(`sandbox ${sandbox.sandboxId} serves ${session}`);
};

main().catch((error) => {
  // An error of the package can hold what was sent, secrets included: only its kind is shown, and our own words.
  const own = error instanceof Error && error.constructor === Error;
  console.error(`the sandbox could not be made: ${own ? error.message : (error?.constructor?.name ?? "error")}`);
  process.exitCode = 1;
});
