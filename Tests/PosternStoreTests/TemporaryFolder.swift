import Foundation
@testable import PosternStore

/// Runs `body` with a fresh folder and removes it afterwards.
func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("postern-store-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

/// Runs `body` with a fresh store and closes it afterwards.
func withStore<Value>(_ body: (PosternStore) async throws -> Value) async throws -> Value {
    try await withFolder { folder in
        let store = try await PosternStore.open(path: folder + "/postern.db")
        defer { try? store.close() }
        return try await body(store)
    }
}

/// The permission bits of a file.
func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0
}
