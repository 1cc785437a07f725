import PosternGate
import PosternSandboxWire
import Testing

@testable import PosternPolicy
@testable import PosternWorker

private typealias SandboxGlob = PosternSandboxWire.PathGlob
private typealias PolicyGlob = PosternPolicy.PathGlob

/// Policies are pure and know nothing of sandboxes and gates, which have the same rules once more. Where the two say something else, a policy
/// promises what does not happen.
@Suite struct PolicyAgreementTests {
    private static let patterns = [
        ".env", "**/.env", ".git/hooks", "**/.git/hooks", "a/*/c", "a/**/c", "a/**", "**/a/**/c", "*", "*.pem", "?.txt", "??", "**/*", "x*y*z", ".*",
        "**/.config/gcloud", "**/ssh-*/agent.*", "**/wayland-?", "größe", "gr?ße", "gr??ße", "gr*e", "e\u{301}", "\u{E9}", "a/b/", "a//b", "**/**/c",
        "/srv/*/keys", "/srv/t/.env", "/srv/**/secret", "/**/.netrc", "/srv/t/a/b", "/*/t/*.pem", "/srv/t/**", "/srv/other/x", "/srv/t*/c",
        String(repeating: "*a", count: 128), String(repeating: "ü", count: 120) + "*", Array(repeating: "*", count: 60).joined(separator: "/"),
        "**/" + Array(repeating: "b", count: 59).joined(separator: "/"),
    ]

    private static let paths = [
        ".env", "a/.env", "a/b/.env", ".env/x", ".ENV", ".git/hooks", ".git/hooks/pre-commit", "x/.git/hooks/y/z", ".git", "a", "a/c", "a/b/c",
        "a/b/c/d",
        "a/x/y/c", "key.pem", "a/key.pem", ".pem", "a.txt", "ab.txt", "ab", "xyz", "x1y2z", "xzy", ".config/gcloud", "h/.config/gcloud/cred",
        "ssh-1/agent.7", "t/ssh-/agent.", "wayland-0", "wayland-10", "größe", "e\u{301}", "\u{E9}", "keys", "t/keys", "secret", "a/secret/b",
        ".netrc",
        "a/b", "c", "b/c", String(repeating: "a", count: 255), String(repeating: "ü", count: 120) + "x",
        Array(repeating: "b", count: 59).joined(separator: "/"), Array(repeating: "b", count: 61).joined(separator: "/"),
    ]

    private static let roots = ["/srv/t", "/srv", "/srv/t/a", "/data", "/srv/other"]

    private func components(_ text: String) -> [String] { text.split(separator: "/").map(String.init) }

    /// Whether the sandbox masks the path: itself, or a folder that it is in.
    private func isMasked(_ path: [String], by patterns: [String]) throws -> Bool {
        let globs = try patterns.map { try #require(SandboxGlob($0), "the sandbox refuses '\($0)'") }
        return (1...path.count).contains { length in
            let names = path.prefix(length).map { Array($0.utf8) }
            return globs.contains { $0.matches(names) }
        }
    }

    @Test(arguments: patterns) func patternsMeanTheSameInTheWorkspace(text: String) throws {
        let policy = try PolicyGlob(text)
        let rules = FileRules(hidden: [policy])
        // Behind them stand those that are denied anywhere.
        let masks = Array(rules.masks(ofWorkspace: MandatoryDenials()).hidden.dropLast(MandatoryDenials.builtInGlobs.count))
        for path in Self.paths.map(components) {
            #expect(try isMasked(path, by: masks) == policy.covers(.workspace(path)), "\(path)")
        }
    }

    @Test(arguments: patterns) func patternsMeanTheSameInBoundTrees(text: String) throws {
        let policy = try PolicyGlob(text)
        for root in try Self.roots.map({ try HostPath($0) }) where !policy.covers(.host(root)) {
            let masks = policy.patterns(below: root)
            for path in Self.paths.map(components) {
                let whole = FileTarget.host(HostPath(components: root.components + path))
                #expect(try isMasked(path, by: masks) == policy.covers(whole), "\(path) in \(root), by \(masks)")
            }
        }
    }

    /// What is denied whatever the policy is masked in whatever holds it.
    @Test func denialsAreMaskedWhereTheyStand() throws {
        let denials = MandatoryDenials(own: ["/srv/t/worker/state", "/srv/t/key"])
        let trees = try ["/srv", "/srv/t", "/var", "/var/lib", "/run/user.d"].map { try HostPath($0) }
        var policy = Policy()
        policy.files = FileRules(write: trees)
        let binds = policy.binds(denials)
        #expect(binds.map(\.path) == ["/run/user.d", "/srv"])
        let paths = ["t/key", "t/worker/state/a/b", "t/worker/x", "t/x/docker.sock", "docker.sock/x", "a/libvirt-sock-ro", "t/keys", "plain"]
        for path in paths.map(components) {
            let bind = try #require(binds.last)
            let whole = HostPath(components: ["srv"] + path)
            #expect(try isMasked(path, by: bind.hidden) == (denials.refusal(of: whole) != nil), "\(path)")
        }
        let workspace = policy.workspaceMasks(denials)
        #expect(try isMasked(["x", "docker.sock"], by: workspace.hidden) && !isMasked(["key"], by: workspace.hidden))
    }

    // MARK: Places

    private static let places = [
        "/", "/usr", "/usr/local", "/usr/local/share/x", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/etc/ssl", "/etc/shadow",
        "/proc", "/proc/1", "/proc/sys/kernel", "/dev", "/dev/shm", "/dev/shm/x", "/dev/sda", "/sys", "/sys/fs", "/tmp", "/tmp/x", "/var", "/var/tmp",
        "/var/tmp/x", "/var/lib/app", "/run", "/run/app", "/run/postern", "/run/postern/init", "/mnt", "/mnt/models", "/mnt/session",
        "/mnt/session/tool_outputs", "/mnt/session/tool_outputs/x", "/mnt/session/x", "/workspace", "/workspace/vendor", "/home", "/home/agent",
        "/home/agent/x", "/home/alice", "/home/alice/project", "/root", "/root/x", "/boot", "/boot/x", "/opt/tools", "/srv/data", "/etcetera",
        "/workspaces", "/run/posterns", "/usr2",
    ]

    /// A policy that is accepted must not fail when a sandbox starts, and the sandbox refuses nothing less than the policy does.
    @Test(arguments: places) func placesAreRefusedByBoth(text: String) throws {
        let path = try HostPath(text)
        let isRefusedByPolicy = SandboxRoot.refusal(ofPlace: path) != nil || MandatoryDenials().refusal(of: path) != nil
        let isRefusedBySandbox = SandboxBind.refusal(ofPlace: text) != nil
        // Only operators' own tools show something of the host in the workspace; a policy cannot.
        if text.hasPrefix("/workspace/") {
            #expect(isRefusedByPolicy && !isRefusedBySandbox)
        } else {
            #expect(isRefusedByPolicy == isRefusedBySandbox)
        }
    }

    // MARK: Redaction

    @Test func detectorsAreTheGates() {
        #expect(TextFormat.detectors.sorted() == RedactionDetector.allCases.map(\.rawValue).sorted())
    }
}
