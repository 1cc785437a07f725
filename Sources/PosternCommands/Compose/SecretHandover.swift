import CPosternSandbox
import PosternJSON

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Takes secrets out of the process's environment for good. A variable that is unset stays readable in `/proc/PID/environ` for as long as
/// the process lives, so the program executes itself again without it and gets the values over an inherited pipe.
enum SecretHandover {
    /// Every variable that holds a secret of ours or of a service that we talk to.
    static let variables: Set<String> = Set(
        ConfigurationKey.all.filter(\.isSecret).flatMap { [$0.variable] + $0.aliases } + [
            "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY",
        ])

    /// The environment as the settings see it, secrets included. Returns only in a process whose own environment holds none.
    /// To be called first thing, before threads or children exist.
    /// - Parameter further: variables that hold secrets by the operator's word: a policy names them.
    static func take(
        _ environment: [String: String], further: Set<String> = [], arguments: [String] = CommandLine.arguments
    ) throws(CommandError) -> [String: String] {
        let mark = Configuration.ReservedVariable.secretDescriptor.rawValue
        if let text = environment[mark] {
            unsetenv(mark)
            var environment = environment
            environment[mark] = nil
            guard let descriptor = Int32(text), descriptor > 2 else { throw CommandError(.configuration, "\(mark) is for the program's own use") }
            return environment.merging(try received(descriptor)) { $1 }
        }
        let variables = variables.union(further)
        let secrets = environment.filter { variables.contains($0.key) && !$0.value.isEmpty }
        guard !secrets.isEmpty else { return environment }
        try executeAgain(environment.filter { !variables.contains($0.key) }, secrets, arguments, mark: mark)
    }

    /// After this, other processes of the same user can neither read this one's memory nor trace it.
    static func harden() {
        // It fails on no kernel that has namespaces; elsewhere the sandbox's own check says what is missing.
        _ = psb_make_undumpable()
    }

    private static func received(_ descriptor: Int32) throws(CommandError) -> [String: String] {
        defer { close(descriptor) }
        guard let object = (try? JSON(parsing: contents(descriptor)))?.object else {
            throw CommandError(.configuration, "the handed over secrets cannot be read")
        }
        return Dictionary(object.compactMap { pair in pair.value.string.map { (pair.key, $0) } }) { $1 }
    }

    /// What was handed over through `descriptor`.
    static func contents(_ descriptor: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    /// A pipe holds at least this much without a reader (PIPE_BUF is smaller, the capacity of a pipe is 65536).
    private static let maximumSize = 32 << 10

    private static func executeAgain(
        _ environment: [String: String], _ secrets: [String: String], _ arguments: [String], mark: String
    ) throws(CommandError) -> Never {
        let bytes = JSON.object(JSONObject(secrets.sorted { $0.key < $1.key }.map { ($0.key, JSON.string($0.value)) })).encoded
        var ends: [Int32] = [-1, -1]
        guard bytes.count <= maximumSize, pipe(&ends) == 0 else {
            throw CommandError(.failure, "the secrets cannot be handed over: no pipe for them")
        }
        let written = bytes.withUnsafeBytes { write(ends[1], $0.baseAddress, $0.count) }
        close(ends[1])
        guard written == bytes.count else { throw CommandError(.failure, "the secrets cannot be handed over: the pipe is too small") }
        var clean = environment
        clean[mark] = String(ends[0])
        throw execute(clean, arguments, what: "without its secrets")
    }

    /// Executes this program from its beginning with the given environment; returns only where that fails.
    static func execute(_ environment: [String: String], _ arguments: [String], what: String) -> CommandError {
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        execve("/proc/self/exe", &argv, &envp)
        return CommandError(.failure, "the program cannot execute itself \(what): \(String(cString: strerror(errno)))")
    }
}
