import NIOPosix

/// Calls that block, away from the cooperative pool.
enum Blocking {
    static func run(_ work: @escaping @Sendable () -> Void) {
        NIOThreadPool.singleton.submit { _ in work() }
    }
}
