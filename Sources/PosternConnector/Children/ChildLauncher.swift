import PosternGate

/// Starts the stdio servers of routes, each inside a boundary of its own without network. The composition root gives the one that is real.
package protocol ChildLauncher: Sendable {
    /// Starts a server and gives `body` its pipes; ends it, with all that it has started, when `body` returns, when it has ended by itself, or when the
    /// task is cancelled, and returns only then.
    /// - Returns: how it ended, for people.
    func run(_ order: ChildOrder, _ body: @escaping @Sendable (ChildPipes) async -> Void) async throws(ChildFailure) -> String
}

/// One server that is to be started.
package struct ChildOrder: Sendable {
    package var route: String
    /// Of the route's sessions, for people: a child that comes again has the same one, and so may one of the route of that name before a reload.
    package var number: Int
    package var settings: ChildSettings
    package var secrets: [ChildSecret]
}

/// The ends of a child's pipes that are the connector's. Whoever takes them closes them.
package struct ChildPipes: Sendable {
    /// What the child reads.
    package var input: Int32
    /// What it writes.
    package var output: Int32
    /// What it says of itself.
    package var errors: Int32

    package init(input: Int32, output: Int32, errors: Int32) {
        (self.input, self.output, self.errors) = (input, output, errors)
    }
}

/// Why a child does not start. Holds no secret.
package struct ChildFailure: Error, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

/// A variable of a child whose value nobody else may read. Prints no value.
package struct ChildSecret: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    package let name: String
    package let value: String

    /// Throws for a value that no variable can have; the message repeats nothing of it.
    package init(name: String, value: String) throws(ConnectorError) {
        guard !value.isEmpty, !value.utf8.contains(0) else { throw ConnectorError("the value for the variable \"\(name)\" is empty or holds a NUL") }
        (self.name, self.value) = (name, value)
    }

    /// What is kept out of texts; `nil` where the value is too short, or too long, to be looked for.
    var known: KnownSecret? {
        let bytes = Array(value.utf8)
        return (KnownSecret.leastBytes...KnownSecret.mostBytes).contains(bytes.count) ? KnownSecret(name: name, value: bytes) : nil
    }

    package var description: String { "ChildSecret(\(name))" }
    package var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

/// What happens to a child, for the connector's log.
package enum ChildEvent: Sendable {
    case started
    /// `seconds` that it lived.
    case ended(reason: String, seconds: Int)
    /// A line of its standard error: bounded, printable, without the secrets that it was given.
    case said(String)
    /// It wrote something that is no message, or that nobody waits for.
    case strayed(String)
}
