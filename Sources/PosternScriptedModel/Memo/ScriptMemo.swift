import Synchronization

/// Keeps long scripts as they were read, since every request of a session brings its script along. It changes no answer. Bounded by the number
/// of scripts and of their bytes; the oldest goes first.
package final class ScriptMemo: Sendable {
    /// Shorter scripts are read faster than looked up.
    private static let smallestScript = 512

    private struct State {
        var scripts: [UInt64: (source: String, script: Script)] = [:]
        var order: [UInt64] = []
        var bytes = 0
    }

    private let state = Mutex(State())
    private let maximumScripts: Int
    private let maximumBytes: Int

    package init(maximumScripts: Int = 256, maximumBytes: Int = 8 * 1024 * 1024) {
        self.maximumScripts = maximumScripts
        self.maximumBytes = maximumBytes
    }

    package func script(_ source: String) throws(ScriptedFault) -> Script {
        guard source.utf8.count >= Self.smallestScript else { return try Script(parsing: source) }
        var hash = StableHash()
        hash.combine(source)
        let key = hash.value
        if let known = state.withLock({ $0.scripts[key] }), known.source == source { return known.script }
        let script = try Script(parsing: source)
        state.withLock { state in
            if let old = state.scripts.removeValue(forKey: key) {
                state.bytes -= old.source.utf8.count
                state.order.removeAll { $0 == key }
            }
            state.scripts[key] = (source, script)
            state.order.append(key)
            state.bytes += source.utf8.count
            while let oldest = state.order.first, state.order.count > maximumScripts || state.bytes > maximumBytes {
                state.order.removeFirst()
                state.bytes -= state.scripts.removeValue(forKey: oldest)?.source.utf8.count ?? 0
            }
        }
        return script
    }
}
