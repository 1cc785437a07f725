/// Settings that cannot be used; each problem names its place and the remedy.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    package var problems: [String]

    package init(_ problems: [String]) { self.problems = problems }
    package init(_ problem: String) { problems = [problem] }

    package var description: String { problems.joined(separator: "\n") }
}
