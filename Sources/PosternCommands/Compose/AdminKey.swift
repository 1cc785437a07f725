import ManagedAgentsAPI
import PosternCore

/// The first start's admin key: made once, printed once, kept in `admin.key`.
struct AdminKey {
    let keys: KeyService
    let folder: String
    let terminal: Terminal

    func prepare(given: String?) async throws {
        do {
            if let given {
                _ = try await keys.bootstrapAdmin(secret: given)
                return
            }
            guard try await isFirstStart() else { return }
            let path = folder + "/admin.key"
            // The file comes before the database: a server killed between the two finds its key again.
            let isNew = !TextFile.exists(path)
            let secret = isNew ? keys.secrets.make(.apiKey) : try TextFile.readSecret(path)
            if isNew { try TextFile.writeSecret(secret, to: path) }
            _ = try await keys.bootstrapAdmin(secret: secret)
            guard isNew else { return }
            terminal.print("The admin API key, shown this once and kept in \(path):")
            terminal.print(secret)
        } catch let error as APIError {
            throw ConfigurationError("admin_key: \(error.message)")
        }
    }

    private func isFirstStart() async throws -> Bool {
        guard let workspace = try await keys.workspaces().first else { return true }
        return try await keys.keys(workspaceID: workspace.id, kind: .api, from: nil, limit: 1).elements.isEmpty
    }
}
