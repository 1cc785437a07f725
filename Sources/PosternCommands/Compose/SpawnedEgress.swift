import PosternSandbox
import PosternWorker

/// Proxies by the spawner, which gives each a user of its own.
struct SpawnedEgress: EgressLauncher {
    let spawner: Spawner

    func launch(session: String) async throws -> Int32 { try await spawner.startProxy() }
}
