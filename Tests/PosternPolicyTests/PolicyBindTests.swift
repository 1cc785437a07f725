import Testing

@testable import PosternPolicy

/// What a sandbox is made from agrees with what the policy says.
@Suite struct PolicyBindTests {
    private let denials = MandatoryDenials(own: ["/srv/worker/state"])

    @Test(arguments: [
        ("**/.env", "/srv", ["**/.env"]), ("/srv/*/keys", "/srv", ["*/keys"]), ("/srv/*/keys", "/srv/a", ["keys"]), ("/srv/*/keys", "/other", []),
        ("/srv/**/keys", "/srv/a/b", ["**/keys"]), ("/srv/keys", "/srv/keys/x", []), ("local", "/srv", []), ("**/a/b", "/srv/a", ["**/a/b", "b"]),
        ("/srv/a/b", "/srv", ["a/b"]),
    ])
    func patternsAreMadeRelativeToATree(pattern: String, root: String, expected: [String]) throws {
        #expect(try PathGlob(pattern).patterns(below: HostPath(root)) == expected)
    }

    /// Policies by chance: a path in a bound tree is masked exactly where the policy says that it is hidden.
    @Test(arguments: 0..<60) func masksAgreeWithDecisions(seed: Int) throws {
        var generator = PolicyGenerator(seed: UInt64(7000 + seed))
        let files = generator.policy().narrowed(by: generator.policy()).files
        let names = ["a", "b", "c", "x", "d", "e"]
        for bind in files.binds(denials) {
            let hidden = try bind.masks.hidden.map { try PathGlob("/" + $0) }
            let protected = try bind.masks.protected.map { try PathGlob("/" + $0) }
            for _ in 0..<40 {
                let below = (0..<Int.random(in: 1...3, using: &generator)).map { _ in generator.one(of: names) }
                let path = HostPath(components: bind.path.components + below)
                // A deeper tree of its own says more about the path than this one.
                guard !files.binds(denials).contains(where: { $0.path != bind.path && path.isInside($0.path) && $0.path.isInside(bind.path) }) else {
                    continue
                }
                let access = files.decide(.host(path), workspace: .rw, denials: denials).access
                let isHidden = hidden.contains { $0.covers(below) }
                let isWritable = bind.isWritable && !protected.contains { $0.covers(below) }
                #expect(access == (isHidden ? .none : isWritable ? .write : .read), "seed \(seed) \(path) in \(bind)")
            }
        }
    }

    @Test func aTreeThatIsHiddenOrDeniedAsAWholeIsNotBound() throws {
        let ceiling = FileRules(read: [try HostPath("/srv")], write: [try HostPath("/out")], hidden: [try PathGlob("/srv/secret")])
        let asked = FileRules(read: ["/srv/secret", "/srv/worker/state", "/srv/worker", "/out/x"].compactMap { try? HostPath($0) })
        let binds = ceiling.narrowed(by: asked).binds(denials)
        #expect(binds.map(\.path.description) == ["/out/x", "/srv/worker"])
        #expect(binds.last?.masks.hidden.contains("state") == true)
        #expect(binds.allSatisfy { !$0.isWritable })
    }

    @Test func aTreeThatIsProtectedAsAWholeIsBoundReadOnly() throws {
        let rules = FileRules(write: [try HostPath("/out")], protected: [try PathGlob("/out")])
        #expect(rules.binds(denials).map(\.isWritable) == [false])
    }

    @Test(arguments: ["/usr", "/etc/ssl", "/tmp", "/home", "/workspace/x", "/run/postern/x", "/var", "/mnt/session/tool_outputs"])
    func placesOfTheSandboxsOwnAreNotBound(path: String) { #expect(policyProblems("version: 1\nfiles: {read: [\(path)]}\n").count == 1) }

    @Test(arguments: [
        ("/usr/bin/env", FileAccess.read), ("/tmp/x", .write), ("/home/agent/x", .write), ("/etc/passwd", .none), ("/usr/../x", .none),
    ])
    func whatEverySandboxHasIsKnown(path: String, access: FileAccess) throws {
        guard let path = try? HostPath(path) else { return }
        #expect(FileRules().decide(.host(path), workspace: .rw, denials: denials).access == access)
    }

    @Test(arguments: [
        ("{variable: ANTHROPIC_ENVIRONMENT_KEY}", "it is for the worker itself"), ("{variable: postern_key}", "it is for the worker itself"),
        ("{file: /srv/worker/state/key}", "belongs to the worker itself"), ("{file: /usr/share/key}", "is a file that the sandbox can read"),
        ("{vault: {address: \"https://v.internal\", path: \"secret/../sys\", field: y, token_file: /t}}", "must be a path of plain characters"),
    ])
    func theWorkersOwnCredentialsAreNoSecretsOfASession(source: String, message: String) {
        let problems = policyProblems("version: 1\nsecrets: {a: {from: \(source), hosts: a.example}}\n", reader: PolicyReader(denials: denials))
        #expect(problems.count == 1 && problems[0].contains(message), "\(problems)")
    }

    @Test func aSecretInTheHostsTemporaryFolderIsNotInTheSandbox() {
        #expect(policyProblems("version: 1\nsecrets: {a: {from: {file: /tmp/key}, hosts: a.example}}\n") == [])
    }
}
