import ManagedAgentsAPI
import PosternCore
import PosternTestKit
import Testing

@testable import PosternServer

/// A key's end reaches whatever rests on the key, also what an earlier process has granted.
@Suite struct KeyExpiryTests {
    /// Over a restart, with the one credential or the other and nothing else; `nothing` for a holder that is never heard of again.
    @Test(.timeLimit(.minutes(1)), arguments: ["token", "key", "nothing"]) func everythingEndsWithinASecond(used: String) async throws {
        let before = try await Fixture()
        let end = Timestamp.now().advanced(by: .seconds(3))
        let leased = try await before.leasedSession(keyExpiresAt: end)
        let successor = try await before.environmentKey(leased.environment).secret
        let poll = "/v1/environments/\(leased.environment)/work/poll"
        try await withLiveServer(try await before.restarted()) { port in
            try await withThrowingTaskGroup(of: Void.self) { group in
                if used != "nothing" {
                    group.addTask {
                        try await RawClient.connect(port) { reader, client in
                            try await client.get("/v1/sessions/\(leased.session)/events/stream", key: used == "key" ? leased.key : leased.token)
                            #expect(try await reader.read(until: ": open"))
                            try await reader.readToEnd()
                        }
                    }
                }
                if used == "key" {
                    group.addTask {
                        try await RawClient.connect(port) { reader, client in
                            try await client.get(poll, key: leased.key, headers: ["Postern-Poll-Seconds: 60"])
                            #expect(try await reader.read(until: "HTTP/1.1 401"))
                        }
                    }
                }
                // Another key gets the item, and that only when the lease is over.
                group.addTask {
                    try await RawClient.connect(port) { reader, client in
                        try await client.get(poll, key: successor, headers: ["Postern-Poll-Seconds: 60"])
                        #expect(try await reader.read(until: leased.session))
                    }
                }
                try await group.waitForAll()
            }
            let late = Timestamp.now() - end
            #expect(late >= .zero && late < .seconds(1), "\(late)")
        }
    }

    @Test(.timeLimit(.minutes(1))) func aLeaseDoesNotOutliveAKeyThatEndedWhileNobodyLooked() async throws {
        let before = try await Fixture()
        let end = Timestamp.now().advanced(by: .seconds(1))
        let leased = try await before.leasedSession(keyExpiresAt: end)
        let successor = try await before.environmentKey(leased.environment).secret
        try await Task.sleep(for: end - Timestamp.now() + .milliseconds(10))
        try await withLiveServer(try await before.restarted()) { port in
            try await RawClient.connect(port) { reader, client in
                try await client.get(
                    "/v1/environments/\(leased.environment)/work/poll", key: successor, headers: ["Postern-Poll-Seconds: 60"])
                #expect(try await reader.read(until: leased.session))
            }
        }
    }

    /// Whichever way a key came into memory, and whichever way it is asked for after that.
    @Test(.timeLimit(.minutes(1)), arguments: [["id"], ["id", "secret"], ["secret"], ["secret", "id"]]) func aKeyInUseIsWatched(
        ways: [String]
    ) async throws {
        let store = MemoryStore()
        let (ended, end) = AsyncStream.makeStream(of: String.self)
        let keys = KeyService(store: store, secrets: .sha256, revocations: Revocations()) { end.yield($0) }
        let workspace = try await keys.createWorkspace(name: "w").id
        let (key, secret) = try await keys.createAPIKey(
            name: "k", role: .viewer, workspaceID: workspace, expiresAt: .now().advanced(by: .milliseconds(700)))
        let clock = Task { try await keys.run() }
        defer { clock.cancel() }
        for way in ways {
            if way == "id" { #expect(try await keys.isValid(key.id)) } else { #expect(try await keys.look(up: secret) == .valid(key)) }
        }
        let first = await ended.first { _ in true }
        #expect(first == key.id)
        #expect(try await keys.isValid(key.id) == false)
        #expect(try await keys.look(up: secret) == .expired(key))
    }
}
