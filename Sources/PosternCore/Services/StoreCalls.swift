import ManagedAgentsAPI

/// Runs a store's method and turns its failure into what a client is told.
func stored<Value>(_ operation: () async throws(StoreError) -> Value) async throws(APIError) -> Value {
    do {
        return try await operation()
    } catch {
        throw error.apiError
    }
}
