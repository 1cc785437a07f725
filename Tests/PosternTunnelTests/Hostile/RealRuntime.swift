import Crypto
import Foundation
import ManagedAgentsClient
import NIOCore
import PosternConnector
import PosternMCP
import PosternTunnelWire
import SwiftASN1
import X509

/// The runtime's end of a tunnel as the product has it, by splicing, each call on a connection of its own.
struct RealRuntime: Sendable {
    private let credentials: TunnelCredentials

    init(_ world: TunnelWorld) throws {
        let key = P256.Signing.PrivateKey()
        let identity = RuntimeIdentity(tunnelID: TunnelWorld.tunnelID, workspaceID: TunnelWorld.workspaceID, client: "test")
        let certificate = try RuntimeCertificate.issue(
            identity, publicKey: key.publicKey, authority: world.runtimeAuthority.certificate, authorityKey: world.runtimeAuthority.key,
            notBefore: Date() - 60, notAfter: Date() + 12 * 3600)
        credentials = try TunnelCredentials(
            certificate: certificate.serializeAsPEM().pemString, key: key.pemRepresentation, authorities: world.tunnelAuthority.certificatePEM)
    }

    /// - Parameters:
    ///   - port: of an edge on this machine.
    ///   - skew: seconds that its clock is off.
    func call(_ call: Call, port: Int, skew: TimeInterval = 0) async throws -> String {
        var settings = TunnelConnections.Settings()
        settings.now = { Date() + skew }
        let connections = TunnelConnections(settings)
        let route = TunnelRoute(
            host: TunnelHost(route: "docs", domain: TunnelWorld.domain),
            edge: .init(addresses: [EdgeAddress(host: "127.0.0.1", port: port)], name: TunnelWorld.edgeName), way: .splice)
        let transport = TunnelTransport(route, connections: connections) { [credentials] () throws(TransportError) in credentials }
        let request = ClientRequest(
            method: .post, target: Call.path, headers: ClientHeaders(call.fields), body: Array(call.body.utf8), timeout: .seconds(30))
        let result: Result<[UInt8], any Error>
        do {
            var body: [UInt8] = []
            for try await piece in try await transport.send(request).body { body += piece }
            result = .success(body)
        } catch {
            result = .failure(error)
        }
        await connections.shutdown()
        return String(decoding: try result.get(), as: UTF8.self)
    }

    /// The same, with what became of it.
    func outcome(_ call: Call, port: Int) async -> Outcome {
        do {
            return Outcome(call: call, result: .success(try await self.call(call, port: port)))
        } catch {
            return Outcome(call: call, result: .failure(.init(text: "\(error)")))
        }
    }
}
