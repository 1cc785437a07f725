import ArgumentParser
import PosternPolicy

/// The policy that a command is about, and what narrows it.
struct PolicyOptions: ParsableArguments {
    @Argument(help: "File of the policy, or a profile: strict, build, offline.")
    var policy: String

    @Option(name: .long, help: ArgumentHelp("File with what metadata says under postern.policy; it narrows the policy.", valueName: "file"))
    var narrow: String?

    /// Reads both; problems are printed and end the command.
    func load() throws -> LoadedPolicy { try Self.load(policy, narrowedBy: narrow) }

    static func load(_ policy: String, narrowedBy narrow: String?) throws -> LoadedPolicy {
        do {
            var loaded = try PolicyFiles.policy(policy)
            guard let narrow else { return loaded }
            let fragment = try PolicyFragment(try TextFile.read(narrow), source: narrow)
            let unknown = fragment.unknownNames(under: loaded.policy)
            if !unknown.isEmpty { Terminal().note("\(narrow): the policy does not have \(unknown.joined(separator: ", ")); of no effect") }
            loaded.policy = loaded.policy.narrowed(by: fragment)
            return loaded
        } catch let problems as PolicyProblems {
            throw problems.report(to: Terminal()).code
        }
    }
}

/// As `PolicyOptions`, for commands that are about `strict` where none is named.
struct OptionalPolicyOptions: ParsableArguments {
    @Argument(help: "File of the policy, or a profile: strict, build, offline.")
    var policy = Profile.strict.rawValue

    @Option(name: .long, help: ArgumentHelp("File with what metadata says under postern.policy; it narrows the policy.", valueName: "file"))
    var narrow: String?

    func load() throws -> LoadedPolicy { try PolicyOptions.load(policy, narrowedBy: narrow) }
}
