import PosternSandboxWire

/// A sandbox with some of its layers only, so that tests can see what each of them stops by itself. The option does not exist in a
/// program built for release; where it exists it is an argument of the spawner, which nothing inside a sandbox can reach, and every
/// sandbox started so says it in its first message.
struct UnsafeLayers {
    static let option = "--unsafe-layers"

    /// The option's value, for the init.
    let text: String
    let layers: Set<SandboxLayer>
    /// Use no newer ABI of Landlock, as on an older kernel; 0 for no bound.
    let newestLandlockABI: Int

    /// `mounts,seccomp`, or `landlock/4` for a bound on the ABI. `nil` when this build refuses it or it is malformed.
    init?(_ value: String) {
        #if DEBUG
        let parts = value.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let layers = SandboxLayer.list(parts.first.map(String.init) ?? "") else { return nil }
        guard let newest = parts.count == 2 ? Int(parts[1]) : 0 else { return nil }
        (text, self.layers, newestLandlockABI) = (value, layers, newest)
        #else
        return nil
        #endif
    }
}
