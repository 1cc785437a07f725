import PosternJSON

/// The first message to `postern-init`: all that it needs to know about its session. It arrives over the control socket, so that
/// nothing of it is in an argument list or an environment.
package struct InitConfiguration: Sendable {
    /// Variables of every process, beside those `postern-init` sets itself.
    package var environment: [(name: String, value: String)]
    /// Characters (Unicode scalars) from which on an output is offloaded.
    package var offloadThreshold: Int
    package var limits: SandboxLimits
    /// `/workspace` is mounted read-only.
    package var isWorkspaceReadOnly = false
    /// Places beside the standard ones that the mounts show; Landlock allows reading and running there, and changes if writable.
    package var paths: [(path: String, isWritable: Bool)] = []

    /// Sockets to be made inside and handed out, beside the proxy's; at most `SandboxListener.most`.
    package var listeners: [SandboxListener] = []

    /// PEM certificate of the session's own authority, to be trusted inside beside the system's; `nil` for none.
    package var certificate: String?

    package init(environment: [(name: String, value: String)], offloadThreshold: Int, limits: SandboxLimits) {
        self.environment = environment
        self.offloadThreshold = offloadThreshold
        self.limits = limits
    }

    package var json: JSON {
        [
            "type": "configure",
            "environment": .array(environment.map { .array([.string($0.name), .string($0.value)]) }),
            "offload_threshold": JSON(offloadThreshold),
            "limits": limits.json,
            "workspace_read_only": .bool(isWorkspaceReadOnly),
            "listeners": .array(listeners.map { .string($0.text) }),
            "certificate": JSON(certificate),
            "paths": .array(paths.map { .array([.string($0.path), .bool($0.isWritable)]) }),
        ]
    }

    package init(json: JSON) {
        environment = (json["environment"]?.array ?? []).compactMap { pair in
            guard let pair = pair.array, pair.count == 2, let name = pair[0].string, let value = pair[1].string else { return nil }
            return (name, value)
        }
        offloadThreshold = max(1, json["offload_threshold"]?.int ?? 100_000)
        limits = SandboxLimits(json: json["limits"])
        listeners = (json["listeners"]?.array ?? []).prefix(SandboxListener.most).compactMap { $0.string.flatMap(SandboxListener.init(text:)) }
        certificate = json["certificate"]?.string
        isWorkspaceReadOnly = json["workspace_read_only"]?.bool ?? false
        paths = (json["paths"]?.array ?? []).compactMap { pair in
            guard let pair = pair.array, pair.count == 2, let path = pair[0].string, let isWritable = pair[1].bool else { return nil }
            return (path, isWritable)
        }
    }
}

/// Which variables may enter a sandbox.
package enum EnvironmentRule {
    /// What makes the loader, the C library or the session's own shell run other code than was asked for.
    private static let loading: Set<String> = [
        "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", "PS4", "IFS",
    ]

    /// Why `name` is refused, `nil` when it is fine. No variable of Postern's or of the API client's is ever visible inside.
    package static func refusal(of name: String) -> String? {
        let bytes = Array(name.utf8)
        let isStart = { (byte: UInt8) in byte == UInt8(ascii: "_") || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") }
        guard let first = bytes.first, isStart(first), bytes.allSatisfy({ isStart($0) || $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else {
            return "a variable's name is letters, digits and underscores and does not begin with a digit"
        }
        let upper = name.uppercased()
        if upper.hasPrefix("ANTHROPIC_") || upper.hasPrefix("POSTERN_") {
            return "variables that begin with ANTHROPIC_ or POSTERN_ may hold Postern's own credentials and never enter a sandbox"
        }
        if name.hasPrefix("LD_") || loading.contains(name) {
            return "it makes programs or the session's shell load other code; set it inside, in the command that needs it"
        }
        return nil
    }
}
