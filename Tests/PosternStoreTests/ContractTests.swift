import PosternCore
import PosternStore
import PosternTestKit
import Testing

@Suite struct ContractTests {
    @Test("in memory", arguments: StoreContract.cases) func memory(_ contract: StoreContract.Case) async throws {
        try await contract.run(MemoryStore())
    }

    @Test("SQLite", arguments: StoreContract.cases) func sqlite(_ contract: StoreContract.Case) async throws {
        try await withStore { store in
            try await contract.run(store)
            #expect(try await store.check() == [])
        }
    }

    @Test func aStoreThatIsMadeToFailFails() async throws {
        let store = MemoryStore()
        store.fail(with: .unavailable("disk full"))
        await #expect(throws: StoreError.unavailable("disk full")) { try await store.session("sesn_1") }
        store.fail(with: nil)
        #expect(try await store.session("sesn_1") == nil)
    }
}
