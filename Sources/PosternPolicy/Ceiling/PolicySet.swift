import PosternJSON

/// The ceilings of one perimeter. The first that matches a session holds, in the order of the files' names (by bytes) where they come from
/// a folder; where none matches, the profile `strict` holds.
package struct PolicySet: Sendable {
    package struct File: Sendable {
        package var name: String
        package var text: String

        package init(name: String, text: String) {
            self.name = name
            self.text = text
        }
    }

    package private(set) var policies: [LoadedPolicy]
    /// What holds where none matches.
    private var fallback = PolicyReader.profile(.strict)

    /// No file: every session gets `strict`.
    package init() { policies = [] }

    /// Takes away from each of them, `strict` included, what `fragment` does not ask for.
    package mutating func narrow(by fragment: PolicyFragment) {
        for index in policies.indices { policies[index].policy = policies[index].policy.narrowed(by: fragment) }
        fallback.policy = fallback.policy.narrowed(by: fragment)
    }

    /// Reads all files; what is wrong in any of them is thrown at once. A policy that no session can get, and a name used twice, are wrong.
    package init(_ files: [File], reader: PolicyReader) throws(PolicyProblems) {
        var policies: [LoadedPolicy] = []
        var problems: [PolicyProblem] = []
        for file in files {
            do throws(PolicyProblems) {
                let loaded = try reader.read(file.text, file: file.name)
                problems += Self.problems(of: loaded, after: policies)
                policies.append(loaded)
            } catch {
                problems += error.problems
            }
        }
        guard problems.isEmpty else { throw PolicyProblems(problems) }
        self.policies = policies
    }

    /// The ceiling of a session.
    package func ceiling(for subject: PolicySubject) -> LoadedPolicy {
        policies.first { $0.match.covers(subject) } ?? fallback
    }

    /// Every policy that a session can get.
    package var inForce: [LoadedPolicy] {
        policies.contains { $0.match.matchesEverything } ? policies : policies + [fallback]
    }

    /// Of all of them together, in their order and with what they match: `sha256:` over the canonical JSON (RFC 8785) of a list with `digest`,
    /// `environments` and `agents` of each policy in force.
    package var digest: String {
        Policy.digest(
            of: .array(
                inForce.map { loaded in
                    [
                        "digest": .string(loaded.policy.digest), "environments": .array(loaded.match.environments.map { .string($0.description) }),
                        "agents": .array(loaded.match.agents.map { .string($0.description) }),
                    ]
                }))
    }

    private static func problems(of loaded: LoadedPolicy, after earlier: [LoadedPolicy]) -> [PolicyProblem] {
        var problems: [PolicyProblem] = []
        func place(_ key: String) -> SourcePlace {
            let place = loaded.place(of: PolicyPath(keys: key))
            return place.flatMap { $0.file == loaded.file ? $0 : nil } ?? SourcePlace(file: loaded.file, line: 1, column: 1)
        }
        if let other = earlier.first(where: { $0.match.matchesEverything }) {
            problems.append(
                PolicyProblem(
                    at: place("match"), path: "match", rule: "is never asked: \(other.file) comes first and matches every session",
                    remedy: "give \(other.file) a match, or a name behind this one's"))
        }
        if let other = earlier.first(where: { $0.policy.name == loaded.policy.name }) {
            problems.append(
                PolicyProblem(
                    at: place("name"), path: "name", value: loaded.policy.name, rule: "is the name of \(other.file) too", remedy: "choose another"))
        }
        return problems
    }
}
