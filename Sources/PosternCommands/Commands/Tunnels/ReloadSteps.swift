/// The order in which another reading of a connector's document comes into force. Servers of routes that start meanwhile see neither the files of
/// the old reading nor those of the new one.
struct ReloadSteps {
    /// What it came to.
    enum Outcome: Equatable {
        case refused(String)
        /// In force, but for what the texts name.
        case inForce([String])
    }

    /// Which files no sandbox is shown.
    var keep: ([String]) throws -> Void
    /// Changes nothing where it throws.
    var connector: () async throws -> Void
    var watcher: () throws -> Void

    /// - Parameters:
    ///   - old: the connector's own files by the reading that is in force.
    ///   - new: those of the one that comes.
    func run(from old: [String], to new: [String]) async -> Outcome {
        do {
            try keep(old + new.filter { !old.contains($0) })
            try await connector()
        } catch {
            var reason = "\(error)"
            // What keeps more from servers than it has to is safe.
            do { try keep(old) } catch { reason += "; files that it names are kept from servers of routes all the same: \(error)" }
            return .refused(reason)
        }
        var left: [String] = []
        do { try keep(new) } catch { left.append("files of the reading before are still kept from servers of routes: \(error)") }
        do { try watcher() } catch { left.append("the registrations of the tunnel are still asked for as before: \(error)") }
        return .inForce(left)
    }
}
