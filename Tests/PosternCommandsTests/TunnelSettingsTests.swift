import Foundation
import PosternCore
import Testing

@testable import PosternCommands

/// What `serve` needs for tunnels: a domain and the seal key.
@Suite final class TunnelSettingsTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("postern-seal-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func prepare(hasSealed: Bool) async throws {
        _ = try await SealKeyFile(folder: folder).prepare { () async throws(StoreError) in hasSealed }
    }

    private var text: String { get throws { try String(contentsOfFile: folder + "/seal.key", encoding: .utf8) } }

    @Test func theSealKeyIsMadeOnceAndKept() async throws {
        try await prepare(hasSealed: false)
        let first = try text
        #expect(try FileManager.default.attributesOfItem(atPath: folder + "/seal.key")[.posixPermissions] as? Int == 0o600)
        try await prepare(hasSealed: false)
        try await prepare(hasSealed: true)
        #expect(try text == first && first.count == 44)
    }

    @Test func aMissingSealKeyIsNotMadeAnewWhereItIsNeeded() async throws {
        let error = await #expect(throws: CommandError.self) { try await self.prepare(hasSealed: true) }
        #expect(error?.status == .configuration && error?.message.contains("restore it") == true)
        #expect(!FileManager.default.fileExists(atPath: folder + "/seal.key"))
    }

    @Test(arguments: ["", "short", "!!!!", String(repeating: "A", count: 44)]) func aBrokenSealKeyStopsTheStart(_ text: String) async throws {
        try text.write(toFile: folder + "/seal.key", atomically: true, encoding: .utf8)
        let error = await #expect(throws: CommandError.self) { try await self.prepare(hasSealed: false) }
        #expect(error?.status == .configuration && (text.isEmpty || error?.message.contains(text) == false))
        #expect(try self.text == text)
    }

    @Test func domains() throws {
        for good in ["tunnel.example.com", "t.example", "a-b.c1.example.com"] { #expect(try ServeSettings.domain(good) == good) }
        #expect(try ServeSettings.domain("Tunnel.Example.COM") == "tunnel.example.com")
        for bad in [
            "", "localhost", "tunnel.example.com.", ".example.com", "a..b", "-a.example.com", "a-.example.com", "tunnel_x.example.com", "10.0.0.1",
            "*.example.com", "tünnel.example.com", "tunnel.example.com:443", "https://tunnel.example.com",
            String(repeating: "a", count: 64) + ".example.com", String(repeating: "a.", count: 100) + "example",
        ] {
            #expect(throws: ConfigurationError.self, "\(bad)") { try ServeSettings.domain(bad) }
        }
    }
}
