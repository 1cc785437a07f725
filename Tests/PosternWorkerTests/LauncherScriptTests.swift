import Logging
import Testing

@testable import PosternWorker

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The ready scripts of `deploy/launchers`: they parse, and with stand-ins for the places that they use they do what their heads say. The
/// places themselves were not at hand.
@Suite(.serialized, .timeLimit(.minutes(2))) struct LauncherScriptTests {
    private static let secret = "work-secret-of-this-item"
    private let fixture = Fixture()

    private var repository: String { String(#filePath.dropLast("/Tests/PosternWorkerTests/LauncherScriptTests.swift".count)) }
    private func launcher(_ name: String) -> String { "\(repository)/deploy/launchers/\(name)" }

    private static func tool(_ name: String) -> String? {
        ["/usr/bin", "/bin", "/usr/local/bin"].map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// Runs a program as a launcher script is run, with stand-ins first in `PATH`.
    private func run(_ path: String, _ variables: [String] = [], input: String = Self.item) async throws -> (
        end: LauncherMachine.ScriptEnd, lines: [String]
    ) {
        let log = LineLog()
        let logger = log.logger()
        let (ends, feed) = AsyncStream.makeStream(of: LauncherMachine.ScriptEnd.self)
        // Its own for each run: whatever carries it is killed at the end.
        let mark = "POSTERN_LAUNCH=\(UInt64.random(in: .min ... .max))"
        let all =
            [
                "PATH=\(fixture.folder)/work/bin:/usr/local/bin:/usr/bin:/bin", "HOME=\(fixture.folder)", "OUT=\(fixture.folder)/work", mark,
                "ANTHROPIC_WORK_ID=work_1", "ANTHROPIC_ENVIRONMENT_ID=env_1", "ANTHROPIC_SESSION_ID=sesn_Ab1", "ANTHROPIC_WORK_SECRET=\(Self.secret)",
                "ANTHROPIC_BASE_URL=https://cp.example",
            ] + variables
        let started = await ScriptProcess.start(
            path, input: Array(input.utf8), variables: all, mark: mark, onLine: { logger.info("\($0)") },
            onEnd: {
                feed.yield($0)
                feed.finish()
            })
        let process = try started.get()
        var end = LauncherMachine.ScriptEnd.notStarted("")
        for await value in ends { end = value }
        await process.kill()
        return (end, log.lines)
    }

    private static let item =
        #"{"id":"work_1","environment_id":"env_1","data":{"type":"session","id":"sesn_Ab1"},"secret":"work-secret-of-this-item"}"#

    /// A program of that name that notes its arguments, one a line, and then does `body`.
    private func standIn(_ name: String, _ body: String = "") {
        mkdir("\(fixture.folder)/work", 0o700)
        mkdir("\(fixture.folder)/work/bin", 0o700)
        fixture.append("bin/\(name)", "#!/bin/bash\nprintf '%s\\n' \"$@\" '--end--' >> \"$OUT/\(name).arguments\"\n\(body)\n")
        chmod("\(fixture.folder)/work/bin/\(name)", 0o700)
    }

    @Test(arguments: ["docker.sh", "kubernetes.sh", "cloudflare/launch.sh"])
    func shellScriptsParse(_ name: String) async throws {
        let bash = try await run("/bin/bash", ["BASH_ENV="], input: "")
        #expect(bash.end == .exited(0))
        standIn("check", "exec bash -n '\(launcher(name))'")
        #expect(try await run("\(fixture.folder)/work/bin/check").end == .exited(0))
    }

    @Test(.enabled(if: tool("shellcheck") != nil), arguments: ["docker.sh", "kubernetes.sh", "cloudflare/launch.sh"])
    func shellScriptsPassShellcheck(_ name: String) async throws {
        standIn("check", "exec shellcheck '\(launcher(name))'")
        let result = try await run("\(fixture.folder)/work/bin/check")
        #expect(result.end == .exited(0), "\(result.lines.joined(separator: "\n"))")
    }

    @Test func theOthersParse() async throws {
        standIn("check", "python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' '\(launcher("modal.py"))'")
        #expect(try await run("\(fixture.folder)/work/bin/check").end == .exited(0))
        guard Self.tool("node") != nil else { return }
        for name in ["vercel.mjs", "cloudflare/worker.mjs"] {
            standIn("node-check", "exec node --check '\(launcher(name))'")
            #expect(try await run("\(fixture.folder)/work/bin/node-check").end == .exited(0), "\(name)")
        }
    }

    @Test func everyHeadSaysThatItWasNotRun() throws {
        for name in ["docker.sh", "kubernetes.sh", "job.yaml", "modal.py", "vercel.mjs", "cloudflare/launch.sh", "cloudflare/worker.mjs"] {
            let file = try #require(fopen(launcher(name), "r"))
            defer { fclose(file) }
            var head = [UInt8](repeating: 0, count: 1_500)
            let count = fread(&head, 1, head.count, file)
            #expect(String(decoding: head[..<count], as: UTF8.self).contains("Not run here"), "\(name)")
        }
    }

    // MARK: Docker

    @Test func dockerRunsAConfinedContainerWithoutTheSecretInItsArguments() async throws {
        standIn("docker", #"[[ "$1" != run ]] || { env > "$OUT/docker.environment"; exit 5; }"#)
        let result = try await run(launcher("docker.sh"), ["LAUNCH_RUNTIME=runsc", "LAUNCH_NETWORK=control"])
        // The container's status is the script's.
        #expect(result.end == .exited(5))
        let arguments = fixture.contents("docker.arguments")
        for wanted in [
            "--name\npostern-sesn_Ab1\n", "--env\nANTHROPIC_WORK_SECRET\n", "--cap-drop\nALL\n", "no-new-privileges", "--read-only",
            "--user\n65532:65532\n",
            "--runtime\nrunsc\n", "--network\ncontrol\n", "--pids-limit", "worker\nrun\n",
        ] { #expect(arguments.contains(wanted), "\(wanted)") }
        #expect(!arguments.contains(Self.secret))
        #expect(fixture.contents("docker.environment").contains("ANTHROPIC_WORK_SECRET=\(Self.secret)"))
        // The container of a former claim goes first.
        #expect(arguments.hasPrefix("rm\n--force\npostern-sesn_Ab1\n--end--\nrun\n"))
    }

    @Test func dockerStopsTheContainerOnSIGTERM() async throws {
        standIn("docker", #"case "$1" in run) echo up; read line < "$OUT/gate"; exit 0 ;; stop) echo go > "$OUT/gate" ;; esac"#)
        mkfifo("\(fixture.folder)/work/gate", 0o600)
        let log = LineLog()
        let logger = log.logger()
        let (ends, feed) = AsyncStream.makeStream(of: LauncherMachine.ScriptEnd.self)
        let started = await ScriptProcess.start(
            launcher("docker.sh"), input: [],
            variables: [
                "PATH=\(fixture.folder)/work/bin:/usr/bin:/bin", "OUT=\(fixture.folder)/work", "ANTHROPIC_SESSION_ID=sesn_Ab1",
                "ANTHROPIC_WORK_ID=work_1", "ANTHROPIC_ENVIRONMENT_ID=env_1", "ANTHROPIC_WORK_SECRET=\(Self.secret)",
                "ANTHROPIC_BASE_URL=https://cp.example", "LAUNCH_ENGINE=docker", "LAUNCH_NETWORK=control",
            ], mark: "POSTERN_LAUNCH=none", onLine: { logger.info("\($0)") },
            onEnd: {
                feed.yield($0)
                feed.finish()
            })
        let process = try started.get()
        await log.has("up")
        // To the script alone: the engine's client must not need it.
        kill(process.pid, SIGTERM)
        for await end in ends { #expect(end == .exited(0)) }
        #expect(fixture.contents("docker.arguments").contains("stop\n--time\n25\npostern-sesn_Ab1\n"))
    }

    @Test(arguments: ["docker.sh", "kubernetes.sh"])
    func aSessionIDThatIsNoneIsRefused(_ name: String) async throws {
        standIn("docker")
        standIn("kubectl")
        let result = try await run(
            launcher(name), ["ANTHROPIC_SESSION_ID=a b;rm -rf /", "LAUNCH_IMAGE=i", "LAUNCH_CONTROL_CIDR=10.0.0.1/32"].reversed())
        // The later of two variables of one name counts for bash.
        #expect(result.end == .exited(1) && fixture.contents("docker.arguments").isEmpty && fixture.contents("kubectl.arguments").isEmpty)
    }

    // MARK: Kubernetes

    @Test func kubernetesMakesAJobWithItsPolicyAndRemovesThem() async throws {
        standIn(
            "kubectl",
            #"""
            case " $* " in
                *" create secret "*) cat > "$OUT/secret" ;;
                *" apply "*) cat > "$OUT/applied.yaml" ;;
                *" get job "*) printf 1 ;;
            esac
            """#)
        let result = try await run(
            launcher("kubernetes.sh"), ["LAUNCH_IMAGE=registry.example/postern@sha256:ab", "LAUNCH_CONTROL_CIDR=203.0.113.7/32"])
        #expect(result.end == .exited(0), "\(result.lines)")
        let arguments = fixture.contents("kubectl.arguments")
        #expect(!arguments.contains(Self.secret) && fixture.contents("secret").contains("ANTHROPIC_WORK_SECRET=\(Self.secret)\n"))
        let applied = fixture.contents("applied.yaml")
        #expect(!applied.contains("@NAME@") && !applied.contains("@IMAGE@") && !applied.contains("@SESSION@") && !applied.contains("@CONTROL_CIDR@"))
        for wanted in [
            "runtimeClassName: \"gvisor\"", "cidr: \"203.0.113.7/32\"", "kind: NetworkPolicy", "automountServiceAccountToken: false",
            "backoffLimit: 0",
            "image: \"registry.example/postern@sha256:ab\"", "name: \"postern-sesn-ab1-",
        ] { #expect(applied.contains(wanted), "\(wanted)") }
        #expect(!applied.contains(Self.secret))
        // Before the start and after the end: the Job with its pod, and only then the policy that bounds the pod's network.
        let removals = arguments.split(separator: "--end--\n").filter { $0.contains("delete\n") }
        #expect(removals.count == 4)
        for (index, removal) in removals.enumerated() {
            #expect(removal.contains(index % 2 == 0 ? "delete\njob\n" : "delete\nsecret,networkpolicy\n"))
            if index % 2 == 0 { #expect(removal.contains("--cascade=foreground\n") && removal.contains("--wait=true\n")) }
        }
    }

    /// Two workers would serve one session, and without its policy the pod that lingers would have an open network.
    @Test func kubernetesStartsNothingBesideAJobThatLingers() async throws {
        standIn("kubectl", #"[[ " $* " != *" delete job "* ]]"#)
        let result = try await run(launcher("kubernetes.sh"), ["LAUNCH_IMAGE=i", "LAUNCH_CONTROL_CIDR=203.0.113.7/32"])
        let arguments = fixture.contents("kubectl.arguments")
        #expect(result.end == .exited(1) && !arguments.contains("networkpolicy") && !arguments.contains("create\n") && !arguments.contains("apply\n"))
    }

    @Test func kubernetesSaysWhenTheJobFailed() async throws {
        standIn("kubectl", #"case " $* " in *" create secret "*|*" apply "*) cat > /dev/null ;; esac"#)
        let result = try await run(launcher("kubernetes.sh"), ["LAUNCH_IMAGE=i", "LAUNCH_CONTROL_CIDR=203.0.113.7/32"])
        #expect(result.end == .exited(1))
    }

    @Test func kubernetesRefusesValuesThatWouldChangeTheYAML() async throws {
        standIn("kubectl")
        let result = try await run(launcher("kubernetes.sh"), ["LAUNCH_IMAGE=i\"\n  evil: true", "LAUNCH_CONTROL_CIDR=203.0.113.7/32"])
        #expect(result.end == .exited(1) && fixture.contents("kubectl.arguments").isEmpty)
    }

    // MARK: Modal, Vercel, Cloudflare

    /// Where the place is all that bounds the network, an open one must be asked for.
    @Test(arguments: ["docker.sh", "modal.py", "vercel.mjs", "cloudflare/launch.sh"])
    func noNetworkIsOpenUnasked(_ name: String) async throws {
        for program in ["docker", "curl"] { standIn(program) }
        fixture.append("modal.py", "")
        fixture.append("token", "launch-token")
        guard name != "vercel.mjs" || Self.tool("node") != nil else { return }
        let result = try await run(
            launcher(name),
            [
                "PYTHONPATH=\(fixture.folder)/work", "PYTHONDONTWRITEBYTECODE=1", "LAUNCH_IMAGE=img", "VERCEL_TOKEN=t", "VERCEL_TEAM_ID=m",
                "VERCEL_PROJECT_ID=p", "LAUNCH_POSTERN_URL=https://dl.example/postern", "LAUNCH_WORKER_URL=https://launch.example",
                "LAUNCH_TOKEN_FILE=\(fixture.folder)/work/token",
            ])
        #expect(
            result.end == .exited(1)
                && result.lines.contains { $0.contains("LAUNCH_NETWORK") || $0.contains("LAUNCH_DOMAINS") || $0.contains("LAUNCH_OPEN_NETWORK") })
        #expect(fixture.contents("docker.arguments").isEmpty && fixture.contents("curl.arguments").isEmpty)
    }

    @Test func modalMakesASandboxOfTheSessionsName() async throws {
        standIn("unused")
        fixture.append(
            "modal.py",
            """
            import json, os
            class _Any:
                def __init__(self, *a, **k): self.a, self.k = a, k
            class exception:
                class NotFoundError(Exception): pass
            class Secret:
                from_dict = staticmethod(lambda d: ("secret", d))
            class App:
                lookup = staticmethod(lambda name, create_if_missing: type("A", (), {"name": name})())
            class Image:
                from_registry = staticmethod(lambda name: name)
            class Volume:
                from_name = staticmethod(lambda name, create_if_missing: name)
            class Sandbox:
                object_id = "sb-1"
                @staticmethod
                def from_name(app, name): raise exception.NotFoundError()
                @staticmethod
                def create(*arguments, **options):
                    del options["app"]
                    json.dump({"arguments": arguments, **options}, open(os.environ["OUT"] + "/modal.json", "w"))
                    if os.environ.get("FAIL"): raise RuntimeError("holds " + os.environ["ANTHROPIC_WORK_SECRET"])
                    return Sandbox()
            """)
        let variables = [
            "PYTHONPATH=\(fixture.folder)/work", "PYTHONDONTWRITEBYTECODE=1", "PYTHONSAFEPATH=1", "LAUNCH_IMAGE=img", "LAUNCH_DOMAINS=cp.example",
        ]
        let result = try await run(launcher("modal.py"), variables)
        #expect(result.end == .exited(0), "\(result.lines)")
        let made = fixture.contents("modal.json")
        #expect(made.contains(#""name": "sesn_Ab1""#) && made.contains(#""ANTHROPIC_WORK_SECRET": "\#(Self.secret)""#) && made.contains("cp.example"))
        let failed = try await run(launcher("modal.py"), variables + ["FAIL=1"])
        #expect(
            failed.end == .exited(1) && failed.lines.contains { $0.contains("RuntimeError") } && !failed.lines.contains { $0.contains(Self.secret) })
    }

    @Test(.enabled(if: tool("node") != nil))
    func vercelFetchesStartsAndTellsNoSecret() async throws {
        standIn("unused")
        for folder in ["app", "app/node_modules", "app/node_modules/@vercel", "app/node_modules/@vercel/sandbox"] {
            mkdir("\(fixture.folder)/work/\(folder)", 0o700)
        }
        fixture.append("app/node_modules/@vercel/sandbox/package.json", #"{"name":"@vercel/sandbox","type":"module","exports":"./index.js"}"#)
        fixture.append(
            "app/node_modules/@vercel/sandbox/index.js",
            """
            import { writeFileSync } from "node:fs";
            const calls = [];
            class ApiError extends Error {}
            export class Sandbox {
              sandboxId = "sbx_1";
              static async create(options) { calls.push({ create: { ...options, token: "…" } }); return new Sandbox(); }
              async runCommand(...given) {
                calls.push({ run: given });
                writeFileSync(process.env.OUT + "/vercel.json", JSON.stringify(calls));
                if (process.env.FAIL && given[0].cmd) throw new ApiError("holds " + process.env.ANTHROPIC_WORK_SECRET);
                return { exitCode: 0 };
              }
              async stop() { calls.push({ stop: true }); writeFileSync(process.env.OUT + "/vercel.json", JSON.stringify(calls)); }
            }
            """)
        standIn("copy", "cp '\(launcher("vercel.mjs"))' \"$OUT/app/vercel.mjs\"; exec node \"$OUT/app/vercel.mjs\"")
        let sum = String(repeating: "ab", count: 32)
        let variables = [
            "VERCEL_TOKEN=t", "VERCEL_TEAM_ID=m", "VERCEL_PROJECT_ID=p", "LAUNCH_POSTERN_URL=https://dl.example/postern",
            "LAUNCH_POSTERN_SHA256=\(sum)", "LAUNCH_OPEN_NETWORK=1",
        ]
        let result = try await run("\(fixture.folder)/work/bin/copy", variables)
        #expect(result.end == .exited(0), "\(result.lines)")
        let calls = fixture.contents("vercel.json")
        #expect(calls.contains(#""https://dl.example/postern","\#(sum)""#) && calls.contains(#""detached":true"#) && calls.contains(Self.secret))
        let failed = try await run("\(fixture.folder)/work/bin/copy", variables + ["FAIL=1"])
        #expect(failed.end == .exited(1) && !failed.lines.contains { $0.contains(Self.secret) })
        #expect(fixture.contents("vercel.json").contains(#"{"stop":true}"#))
        let plain = try await run(
            "\(fixture.folder)/work/bin/copy", variables.map { $0.replacingPrefix("LAUNCH_POSTERN_URL=https", "LAUNCH_POSTERN_URL=http") })
        #expect(plain.end == .exited(1))
    }

    @Test func cloudflareHandsTheItemOverWithoutSecretsInArguments() async throws {
        standIn("curl", #"cat > "$OUT/body"; for value in "$@"; do [[ "$value" != @/dev/fd/* ]] || cat "${value#@}" > "$OUT/header"; done"#)
        fixture.append("token", "launch-token")
        let variables = [
            "LAUNCH_WORKER_URL=https://launch.example", "LAUNCH_TOKEN_FILE=\(fixture.folder)/work/token", "LAUNCH_OPEN_NETWORK=1",
        ]
        let result = try await run(launcher("cloudflare/launch.sh"), variables)
        #expect(result.end == .exited(0), "\(result.lines)")
        #expect(fixture.contents("body") == Self.item && fixture.contents("header") == "Authorization: Bearer launch-token\n")
        let arguments = fixture.contents("curl.arguments")
        #expect(!arguments.contains(Self.secret) && !arguments.contains("launch-token") && arguments.contains("https://launch.example/launch"))
        #expect(try await run(launcher("cloudflare/launch.sh"), ["LAUNCH_WORKER_URL=http://launch.example"] + variables[1...]).end == .exited(1))
    }

    @Test(.enabled(if: tool("node") != nil))
    func cloudflaresWorkerChecksTokenAndItem() async throws {
        standIn("unused")
        for folder in ["app", "app/node_modules", "app/node_modules/@cloudflare", "app/node_modules/@cloudflare/containers"] {
            mkdir("\(fixture.folder)/work/\(folder)", 0o700)
        }
        fixture.append(
            "app/node_modules/@cloudflare/containers/package.json", #"{"name":"@cloudflare/containers","type":"module","exports":"./index.js"}"#)
        fixture.append(
            "app/node_modules/@cloudflare/containers/index.js", "export class Container { async destroy() {} async start(o) { this.o = o; } }")
        fixture.append(
            "app/test.mjs",
            """
            import worker from "./worker.mjs";
            const started = [];
            const env = {
              LAUNCH_TOKEN: "right", CONTROL_PLANE: "https://cp.example",
              SESSION: { idFromName: (name) => name, get: (id) => ({ launch: async (variables) => started.push([id, variables.ANTHROPIC_WORK_SECRET]) }) },
            };
            const item = { id: "work_1", environment_id: "env_1", data: { type: "session", id: "sesn_1" }, secret: "own" };
            const send = async (token, body, base = "https://cp.example", path = "/launch", method = "POST") =>
              (await worker.fetch(new Request("https://w.example" + path, {
                method, headers: { Authorization: token, "Postern-Base-Url": base }, body: method === "POST" ? body : undefined }), env)).status;
            const text = JSON.stringify(item);
            const got = [
              await send("Bearer right", text), await send("Bearer wrong", text), await send("", text), await send("Bearer right", "{"),
              await send("Bearer right", JSON.stringify({ ...item, secret: undefined })),
              await send("Bearer right", JSON.stringify({ ...item, data: { type: "session", id: "../x" } })),
              await send("Bearer right", text, "https://evil.example"), await send("Bearer right", text, undefined, "/other"),
              await send("Bearer right", text, undefined, "/launch", "GET"),
            ];
            console.log(JSON.stringify({ got, started }));
            """)
        standIn("copy", "cp '\(launcher("cloudflare/worker.mjs"))' \"$OUT/app/worker.mjs\"; exec node \"$OUT/app/test.mjs\"")
        let result = try await run("\(fixture.folder)/work/bin/copy")
        #expect(
            result.lines.contains { $0.contains(#"{"got":[200,401,401,400,400,400,400,404,404],"started":[["sesn_1","own"]]}"#) }, "\(result.lines)")
    }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String, _ other: String) -> String { hasPrefix(prefix) ? other + dropFirst(prefix.count) : self }
}
