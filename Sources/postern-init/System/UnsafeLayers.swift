import PosternSandboxWire

/// A sandbox with some of its layers only, so that tests can see what each of them stops by itself. The option does not exist in a
/// program built for release; where it exists it is an argument of the spawner, which nothing inside a sandbox can reach, and every
/// sandbox started so says it in its first message.
enum UnsafeLayers {
    static let option = "--unsafe-layers"

    /// The layers of the option's value; `nil` when this build refuses it or a name is unknown.
    static func accept(_ value: String) -> Set<SandboxLayer>? {
        #if DEBUG
        SandboxLayer.list(value)
        #else
        nil
        #endif
    }
}
