import PosternEgress
import PosternPolicy

/// Finds the value of a secret inside the perimeter; throws where it has none now.
package typealias SecretFinder = @Sendable (SecretSource) async throws(SecretSourceError) -> SecretResolver.Found

/// Starts proxy processes; the worker's composition root knows how.
package protocol EgressLauncher: Sendable {
    /// Starts one. The answer is the worker's end of its control socket, which the caller owns; the process ends with it.
    func launch(session: String) async throws -> Int32
}
