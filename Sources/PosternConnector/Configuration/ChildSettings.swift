import PosternPolicy

/// A stdio MCP server as a route's part of the document describes it. Each session gets a child of its own.
package struct ChildSettings: Hashable, Sendable {
    /// The program and its arguments, as the sandbox sees them: a path, or a name in its `PATH`.
    package var command: [String]
    /// Files, limits, variables and the mode of the workspace, in the words of a policy; it has no network, whatever it says.
    package var sandbox: Policy
    /// Folder of the host that is `/workspace` inside; `nil`: an empty one, gone with the child.
    package var folder: String?
    /// Variables whose values are the first lines of files that only their owner may read.
    package var secrets: [Secret]
    package var sessions = Sessions()

    package struct Secret: Hashable, Sendable {
        package var name: String
        package var file: String
    }

    /// How many there may be, and for how long.
    package struct Sessions: Hashable, Sendable {
        /// Children of the route at one time.
        package var most = 32
        /// Of them, those of one caller.
        package var perCaller = 8
        /// A session without a call and without a listener ends after that, seconds.
        package var idleSeconds = 1800

        package static let bounds = 1...1024
        package static let idleBounds = 1...86_400
    }

    /// Most arguments, and most bytes of one.
    static let mostArguments = 256
    static let longestArgument = 4096
    /// Of a child whose document says nothing: many of them run beside one another.
    package static let memory = 1 << 30
    package static let processes = 128

    /// The last part of the program's path.
    package var program: String { command.first?.split(separator: "/").last.map(String.init) ?? "" }
}
