import ArgumentParser
import Logging
import NIOPosix
import PosternEgress
import PosternPolicy
import PosternSandbox
import PosternWorker
import UnixSignals

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `postern sandbox run`
struct RunSandboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run one command in the sandbox that a worker's tools run in.",
        discussion: """
            The folder is /workspace inside and the command starts there; without --workspace it is empty and gone afterwards. Without --policy there
            is no network. Standard input, output and error pass through, and so does the exit status; 125 means that the sandbox could not be made.

            With --policy its files, limits, variables, network and secrets hold; changes of a copy-on-write workspace are gone afterwards. What it says
            of tools and results is for a worker's calls. With --learn everything that it denies stays denied, and at the end the policy that would
            allow it is printed: read it before you use it. The command's standard output then goes to standard error.

            Example: postern sandbox run --workspace . --env LANG=C.UTF-8 -- bash -c 'id; ls /; ls'
            Example: postern sandbox run --learn -- curl https://api.example.com/v1 > learned.yaml
            """)

    @Option(name: .long, help: "Folder that the command works in.")
    var workspace: String?

    @Flag(name: .long, help: "The folder can be read only.")
    var readOnly = false

    @Option(name: .long, help: ArgumentHelp("Variable of the command. May be repeated.", valueName: "name=value"))
    var env: [String] = []

    @Option(name: .long, help: ArgumentHelp("Policy that holds: a file, or strict, build, offline.", valueName: "policy"))
    var policy: String?

    @Flag(name: .long, help: "Print the policy that would allow what was refused to the network, at the end.")
    var learn = false

    @Argument(parsing: .postTerminator, help: "The command and its arguments.")
    var command: [String]

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("what is to be run? Write it after --, such as: postern sandbox run -- ls /") }
    }

    func run() async throws {
        let loaded = try policy.map { try PolicyOptions.load($0, narrowedBy: nil) }
        let environment = try secrets(of: loaded?.policy)
        var variables: [(name: String, value: String)] = []
        for pair in env {
            guard let mark = pair.firstIndex(of: "="), mark > pair.startIndex else { throw ValidationError("--env must be written NAME=VALUE") }
            variables.append((String(pair[..<mark]), String(pair[pair.index(after: mark)...])))
        }
        // What is learned is learned against the policy that denies everything.
        let rules = loaded?.policy ?? (learn ? PolicyReader.profile(.strict).policy : nil)
        do {
            let scratch = try ScratchFolder("postern-sandbox")
            defer { scratch.remove() }
            var options = Spawner.Configuration()
            options.proxyProgram = TextFile.resolved("/proc/self/exe")
            let spawner = try await Spawner.launch(options)
            let learner = SharedLearner(base: rules)
            let code = await result {
                guard let rules else { return try await execute(spawner, try specification(scratch.path, variables, nil), nil) }
                let own = ([policy].compactMap(\.self) + rules.perimeterFiles).flatMap { [TextFile.absolute($0), TextFile.resolved($0)] }
                let network = try await egress(rules, spawner, scratch.path, environment, learner)
                let spec = try specification(scratch.path, variables, (rules, MandatoryDenials(own: own)))
                let code = await result { try await execute(spawner, spec, network, own: own, needsAllLayers: rules.requiresAllLayers) }
                await network.stop()
                return try code.get()
            }
            // What the sandbox's own user wrote is the spawner's to remove.
            for name in ["workspace", "outputs", "changes"] { try? await spawner.removeFolder(scratch.path + "/" + name) }
            await spawner.close()
            let status = try code.get()
            if learn { Terminal().put(learner.document) }
            throw ExitCode(status)
        } catch let error as SandboxError {
            throw CommandError(.sandboxFailed, error.message)
        }
    }

    /// The environment with the secrets that the policy names in it, which leave this process's own.
    private func secrets(of policy: Policy?) throws -> [String: String] {
        let names = (policy?.secrets ?? []).compactMap { if case .variable(let name) = $0.source { name } else { nil } }
        let inherited = ProcessEnvironment.current
        return names.isEmpty ? inherited : try SecretHandover.take(inherited, further: Set(names))
    }

    private func result<Value: Sendable>(_ body: () async throws -> Value) async -> Result<Value, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    private func specification(
        _ scratch: String, _ variables: [(name: String, value: String)], _ rules: (policy: Policy, denials: MandatoryDenials)?
    ) throws -> SandboxSpec {
        let source: WorkspaceSource =
            workspace.map { .folder(TextFile.resolved($0)) } ?? .managed(directory: scratch + "/workspace")
        var spec = SandboxSpec(sessionID: StandaloneEgress.session, workspace: source, toolOutputs: scratch + "/outputs", environment: variables)
        if let (policy, denials) = rules {
            spec.limits = policy.sandboxLimits
            spec.environment = policy.variables.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) } + variables
            spec.take(policy, denials, changes: scratch + "/changes")
        }
        if readOnly { spec.isWorkspaceReadOnly = true }
        return spec
    }

    private func egress(
        _ policy: Policy, _ spawner: Spawner, _ scratch: String, _ environment: [String: String], _ learner: SharedLearner
    ) async throws -> StandaloneEgress {
        let secrets = SecretResolver(variables: environment.mapValues { SecretValue($0) }, group: MultiThreadedEventLoopGroup.singleton)
        let logger = Logger(label: "postern.sandbox") { StreamLogHandler.standardError(label: $0) }
        let egress = try await StandaloneEgress(
            policy: policy, learns: learn, folder: scratch, launcher: SpawnedEgress(spawner: spawner),
            find: { source async throws(SecretSourceError) in try await secrets.find(source) },
            words: { path in try TextFile.read(path).split(whereSeparator: \.isNewline).map(String.init) },
            decided: { learner.take(.decision($0)) }, logger: logger)
        try await egress.start()
        return egress
    }

    /// As a worker does before it serves a session under such a policy.
    private func checkLayers(_ driver: BubblewrapDriver) async throws {
        let missing = try await BoundaryCheck(driver: driver).run().findings.filter { $0.verdict == .degraded }
        guard missing.isEmpty else {
            let list = missing.map { "\($0.boundary): \($0.detail)" }.joined(separator: "; ")
            throw SandboxError(.unavailable, "the policy has require_all_layers, and not every layer is in force: \(list)")
        }
    }

    private func execute(
        _ spawner: Spawner, _ spec: SandboxSpec, _ network: StandaloneEgress?, own: [String] = [], needsAllLayers: Bool = false
    ) async throws -> Int32 {
        var spec = spec
        let driver = try BubblewrapDriver(spawner: spawner, denied: own)
        if needsAllLayers { try await checkLayers(driver) }
        await network?.prepare(&spec)
        let sandbox = try await driver.start(spec)
        await network?.attach(sandbox)
        // The policy that was learned has standard output to itself.
        let output: Int32 = learn ? 2 : 1
        let code = await result {
            try await untilSignalled { try await sandbox.execute(command, stdin: 0, stdout: output, stderr: 2).shellCode }
        }
        await sandbox.stop()
        return try code.get()
    }

    /// Ctrl-C and SIGTERM kill what runs inside; the status is then that of the signal.
    private func untilSignalled(_ body: @escaping @Sendable () async throws -> Int32) async throws -> Int32 {
        try await withThrowingTaskGroup(of: Int32?.self) { group in
            let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
            group.addTask { try await body() }
            group.addTask {
                for await signal in signals { return 128 + signal.rawValue }
                return nil
            }
            defer { group.cancelAll() }
            while let status = try await group.next() { if let status { return status } }
            return CommandStatus.interrupted.rawValue
        }
    }
}
