import Logging
import Testing

@testable import PosternWorker

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The ready scripts of `deploy/launchers` against a control plane, or an operator, whose values want to be options, lines or fields.
@Suite(.serialized, .timeLimit(.minutes(2))) struct LauncherValueTests {
    private let fixture = Fixture()
    private var launchers: String { String(#filePath.dropLast("/Tests/PosternWorkerTests/LauncherValueTests.swift".count)) + "/deploy/launchers" }
    private static let node = ["/usr/bin/node", "/usr/local/bin/node", "/bin/node"].first { (path: String) in access(path, X_OK) == 0 }
    private static var scripts: [String] { ["docker.sh", "kubernetes.sh", "modal.py"] + (node == nil ? [] : ["vercel.mjs"]) }

    private static let good = [
        "ANTHROPIC_WORK_ID": "work_1", "ANTHROPIC_ENVIRONMENT_ID": "env_1", "ANTHROPIC_SESSION_ID": "sesn_Ab1",
        "ANTHROPIC_WORK_SECRET": "eyJhIjoiYiJ9+/_-.~==", "ANTHROPIC_BASE_URL": "http://[::1]:8080/base",
        "ANTHROPIC_WORK_POLICY": #"{"tools":["bash"],"x":"a b"}"#,
    ]

    /// Runs a script with stand-ins that note each call; its end, its lines and what was called.
    private func run(_ script: String, _ changes: [String: String] = [:]) async throws -> (
        end: LauncherMachine.ScriptEnd, lines: [String], calls: String
    ) {
        for folder in ["work", "work/bin"] { mkdir("\(fixture.folder)/\(folder)", 0o700) }
        for tool in ["docker", "kubectl", "curl"] where !fixture.exists("bin/\(tool)") {
            fixture.append("bin/\(tool)", "#!/bin/bash\necho \(tool) >> \"$OUT/calls\"\ncat > /dev/null\n")
            chmod("\(fixture.folder)/work/bin/\(tool)", 0o755)
        }
        if !fixture.exists("modal.py") {
            fixture.append(
                "modal.py", "import os\ndef __getattr__(name):\n    print('modal', file=open(os.environ['OUT'] + '/calls', 'a'))\n    raise OSError\n"
            )
            fixture.append("token", "launch-token\n")
        }
        unlink("\(fixture.folder)/work/calls")
        let log = LineLog()
        let logger = log.logger()
        let (ends, feed) = AsyncStream.makeStream(of: LauncherMachine.ScriptEnd.self)
        let mark = "POSTERN_LAUNCH=\(UInt64.random(in: .min ... .max))"
        var variables = Self.good
        variables["LAUNCH_IMAGE"] = "registry.example/postern@sha256:ab"
        variables["LAUNCH_CONTROL_CIDR"] = "203.0.113.7/32"
        variables["LAUNCH_WORKER_URL"] = "https://launch.example"
        variables["LAUNCH_TOKEN_FILE"] = "\(fixture.folder)/work/token"
        variables["LAUNCH_NETWORK"] = "control"
        variables["LAUNCH_DOMAINS"] = "cp.example"
        variables["LAUNCH_OPEN_NETWORK"] = "1"
        variables.merge(changes) { $1 }
        let all =
            variables.map { "\($0.key)=\($0.value)" } + [
                "PATH=\(fixture.folder)/work/bin:/usr/local/bin:/usr/bin:/bin", "HOME=\(fixture.folder)", "OUT=\(fixture.folder)/work", mark,
                // A language in which ranges of letters hold more than 26.
                "LC_ALL=C.UTF-8", "PYTHONPATH=\(fixture.folder)/work", "PYTHONDONTWRITEBYTECODE=1", "PYTHONSAFEPATH=1",
            ]
        let item =
            #"{"id":"work_1","environment_id":"env_1","data":{"type":"session","id":"sesn_Ab1"},"secret":"own"}"#
        let started = await ScriptProcess.start(
            "\(launchers)/\(script)", input: Array(item.utf8), variables: all, mark: mark, onLine: { logger.info("\($0)") },
            onEnd: {
                feed.yield($0)
                feed.finish()
            })
        let process = try started.get()
        var end = LauncherMachine.ScriptEnd.notStarted("")
        for await value in ends { end = value }
        await process.kill()
        return (end, log.lines, fixture.contents("calls"))
    }

    @Test(arguments: scripts) func goodValuesPass(script: String) async throws {
        for changes in [[:], ["ANTHROPIC_WORK_POLICY": ""], ["POSTERN_ENVIRONMENT_NAME": "production, EU"]] {
            let result = try await run(script, changes)
            #expect(!result.lines.contains { $0.contains("ANTHROPIC_") }, "\(result.lines)")
            #expect(script == "vercel.mjs" || !result.calls.isEmpty)
        }
    }

    @Test(arguments: scripts) func aHostileControlPlanesValuesAreRefused(script: String) async throws {
        let hostile = [
            ("ANTHROPIC_WORK_ID", "work_1\nANTHROPIC_BASE_URL=https://evil.example"), ("ANTHROPIC_WORK_ID", ""), ("ANTHROPIC_WORK_ID", "--evil"),
            ("ANTHROPIC_ENVIRONMENT_ID", "$(evil)"), ("ANTHROPIC_ENVIRONMENT_ID", "env_1\n"), ("ANTHROPIC_SESSION_ID", "sesn_Ab1\nevil: true"),
            ("ANTHROPIC_SESSION_ID", "sesn\"evil"), ("ANTHROPIC_SESSION_ID", "sesn_évil"), ("ANTHROPIC_SESSION_ID", "../evil"),
            ("ANTHROPIC_SESSION_ID", String(repeating: "e", count: 101)), ("ANTHROPIC_WORK_SECRET", "evil\nANTHROPIC_BASE_URL=https://evil.example"),
            ("ANTHROPIC_WORK_SECRET", "evil secret"), ("ANTHROPIC_WORK_SECRET", ""), ("ANTHROPIC_BASE_URL", "https://cp.example\nX=evil"),
            ("ANTHROPIC_BASE_URL", "file:///evil"), ("ANTHROPIC_BASE_URL", "https://evil@cp.example"),
            ("ANTHROPIC_WORK_POLICY", "{}\nANTHROPIC_BASE_URL=https://evil.example"), ("ANTHROPIC_WORK_POLICY", "{\r}"),
            ("POSTERN_ENVIRONMENT_NAME", "evil\nANTHROPIC_BASE_URL=https://evil.example"),
        ]
        for (name, value) in hostile {
            let result = try await run(script, [name: value])
            #expect(result.end == .exited(1), "\(name)=\(value)")
            #expect(result.calls.isEmpty, "\(name)=\(value): \(result.calls)")
            #expect(result.lines.contains { $0.contains(name) } && !result.lines.contains { $0.contains("evil") }, "\(result.lines)")
        }
    }

    @Test(arguments: [
        ("ANTHROPIC_BASE_URL", "https://cp.example\r\nAuthorization: evil"), ("ANTHROPIC_BASE_URL", ""), ("ANTHROPIC_WORK_POLICY", "{}\nX: evil"),
        ("POSTERN_ENVIRONMENT_NAME", "production\nX: evil"),
        ("LAUNCH_WORKER_URL", "https://launch.example\n"), ("LAUNCH_WORKER_URL", "https://launch.example/{a,b}"),
    ]) func cloudflaresHeadersHoldNoOtherHeader(name: String, value: String) async throws {
        #expect(try await run("cloudflare/launch.sh").calls == "curl\n")
        let result = try await run("cloudflare/launch.sh", [name: value])
        #expect(result.end == .exited(1) && result.calls.isEmpty && result.lines.contains { $0.contains(name) }, "\(result.lines)")
    }

    @Test func cloudflaresTokenIsOneLine() async throws {
        _ = try await run("cloudflare/launch.sh")
        fixture.append("two-lines", "launch-token\nX: evil\n")
        let result = try await run("cloudflare/launch.sh", ["LAUNCH_TOKEN_FILE": "\(fixture.folder)/work/two-lines"])
        #expect(result.end == .exited(1) && result.calls.isEmpty)
    }

    @Test(arguments: ["docker.sh", "kubernetes.sh"]) func anImageIsNoOption(script: String) async throws {
        for image in ["--privileged", "i\n  evil: true", "i\" #", "a b"] {
            let result = try await run(script, ["LAUNCH_IMAGE": image])
            #expect(result.end == .exited(1) && result.calls.isEmpty && result.lines.contains { $0.contains("LAUNCH_IMAGE") }, "\(image)")
        }
    }

    @Test(arguments: ["LAUNCH_CONTROL_CIDR", "LAUNCH_RUNTIME_CLASS", "LAUNCH_NAMESPACE"]) func kubernetesSettingsAreNames(name: String) async throws {
        for value in ["-n", "a\nb", "a\"b", "A&B"] {
            let result = try await run("kubernetes.sh", [name: value])
            #expect(result.end == .exited(1) && result.calls.isEmpty && result.lines.contains { $0.contains(name) }, "\(value)")
        }
    }

    @Test(.enabled(if: node != nil)) func cloudflaresWorkerChecksEveryFieldOfTheItem() async throws {
        for folder in [
            "work", "work/app", "work/app/node_modules", "work/app/node_modules/@cloudflare", "work/app/node_modules/@cloudflare/containers",
        ] {
            mkdir("\(fixture.folder)/\(folder)", 0o700)
        }
        fixture.append("app/node_modules/@cloudflare/containers/package.json", #"{"name":"x","type":"module","exports":"./index.js"}"#)
        fixture.append("app/node_modules/@cloudflare/containers/index.js", "export class Container {}")
        fixture.append(
            "app/test.mjs",
            #"""
            import { variables } from "./worker.mjs";
            const good = { id: "work_1", environment_id: "env_1", data: { type: "session", id: "sesn_1" }, secret: "own==" };
            const cp = "https://cp.example";
            const refused = (item, policy, name) => Boolean(variables(item, cp, cp, policy, name).error);
            const bad = [
              refused({ ...good, id: "work_1\nA=b" }), refused({ ...good, id: 7 }), refused({ ...good, id: undefined }),
              refused({ ...good, environment_id: "$(id)" }), refused({ ...good, environment_id: ["env_1"] }),
              refused({ ...good, data: { type: "session", id: "sesn_1\n" } }), refused({ ...good, secret: "a\nb" }), refused(null),
              refused(good, "{}\nA=b"), refused(good, "\u00e9"), refused(good, "", "a\nB=c"),
            ];
            console.log(JSON.stringify([bad.every(Boolean), refused(good), refused(good, null), refused(good, '{"tools":["bash"]}', "production")]));
            """#)
        fixture.append("check", "#!/bin/bash\ncp '\(launchers)/cloudflare/worker.mjs' \"$OUT/app/worker.mjs\"\nexec node \"$OUT/app/test.mjs\"\n")
        chmod("\(fixture.folder)/work/check", 0o755)
        let log = LineLog()
        let logger = log.logger()
        let (ends, feed) = AsyncStream.makeStream(of: LauncherMachine.ScriptEnd.self)
        let started = await ScriptProcess.start(
            "\(fixture.folder)/work/check", input: [], variables: ["PATH=/usr/local/bin:/usr/bin:/bin", "OUT=\(fixture.folder)/work"],
            mark: "POSTERN_LAUNCH=none", onLine: { logger.info("\($0)") },
            onEnd: {
                feed.yield($0)
                feed.finish()
            })
        _ = try started.get()
        for await end in ends { #expect(end == .exited(0)) }
        #expect(log.lines.contains { $0.contains("[true,false,false,false]") }, "\(log.lines)")
    }
}
