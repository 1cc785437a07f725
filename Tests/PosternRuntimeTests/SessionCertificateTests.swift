import Foundation
import ManagedAgentsClient
import NIOSSL
import PosternCore
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

@testable import PosternMCP
@testable import PosternRuntime

/// What the certificates of sessions say, for how long, and when there is none.
@Suite struct SessionCertificateTests {
    private func leaf(_ credentials: PosternMCP.TunnelCredentials) throws -> Certificate {
        try Certificate(derEncoded: try credentials.certificate.toDERBytes())
    }

    private func authority(_ workspace: Workspace) async throws -> Certificate {
        try Certificate(pemEncoded: try await workspace.tunnels.runtimeAuthority(workspaceID: Workspace.id).certificatePEM)
    }

    @Test func itNamesEverythingThatAConnectorPins() async throws {
        let workspace = try await Workspace()
        let caller = workspace.caller()
        let pass = try await workspace.held(caller).current()
        let credentials = pass.credentials
        let leaf = try leaf(credentials)
        let authority = try await authority(workspace)
        let identity = try RuntimeCertificate.verify(
            leaf, authority: authority, now: Date(), tunnelID: workspace.tunnel.id, workspaceID: Workspace.id)
        #expect(
            identity
                == RuntimeIdentity(
                    tunnelID: workspace.tunnel.id, workspaceID: Workspace.id, agentID: "agent_1", agentVersion: 3,
                    configurationDigest: ConfigurationDigest.text(of: caller.agent), sessionID: "sesn_a", person: "apikey_1", routes: ["docs"]))
        #expect(abs(leaf.notValidAfter.timeIntervalSinceNow - 900) < 30)
        #expect(credentials.authorities.count == 1 && credentials.apiKey == nil && pass.routeKey == nil)
        // For no other tunnel and no other workspace.
        #expect(throws: RuntimeCertificateError.otherTunnel(workspace.tunnel.id)) {
            try RuntimeCertificate.verify(leaf, authority: authority, now: Date(), tunnelID: "tnl_other", workspaceID: Workspace.id)
        }
        #expect(throws: RuntimeCertificateError.otherWorkspace(Workspace.id)) {
            try RuntimeCertificate.verify(leaf, authority: authority, now: Date(), tunnelID: workspace.tunnel.id, workspaceID: "wrkspc_other")
        }
    }

    @Test func eachSessionHasAKeyOfItsOwnAndKeepsIt() async throws {
        let workspace = try await Workspace()
        let first = workspace.held(workspace.caller("sesn_a"))
        let (one, other) = (
            try await first.current().credentials, try await workspace.held(workspace.caller("sesn_b")).current().credentials
        )
        #expect(one.fingerprint != other.fingerprint)
        #expect(try leaf(one).publicKey != leaf(other).publicKey)
        #expect(try await first.current().credentials.fingerprint == one.fingerprint)
    }

    @Test func itIsRenewedBeforeItsEndWithAnotherKey() async throws {
        let workspace = try await Workspace()
        var settings = Workspace.settings
        // Longer than its life: each is one that ends.
        settings.certificateRest = settings.certificateLife + .seconds(60)
        let held = workspace.held(workspace.caller(), settings)
        let (first, second) = (try await held.current().credentials, try await held.current().credentials)
        #expect(first.fingerprint != second.fingerprint)
        #expect(try leaf(first).publicKey != leaf(second).publicKey)
    }

    @Test func whatIsRegisteredCountsAtTheNextLook() async throws {
        let workspace = try await Workspace()
        var settings = Workspace.settings
        settings.registrationsAge = .zero
        let held = workspace.held(workspace.caller(), settings)
        let first = try await held.current().credentials
        #expect(try await held.current().credentials.fingerprint == first.fingerprint)
        _ = try await workspace.tunnels.archiveCertificate(workspace.certificate.id, workspace.tunnel.id, workspaceID: Workspace.id)
        await #expect(throws: TransportError.self) { try await held.current() }
    }

    @Test func anArchivedTunnelAndAForeignOneGetNone() async throws {
        let workspace = try await Workspace()
        await #expect(throws: TransportError.self) { try await workspace.held(workspace.caller(workspace: "wrkspc_other")).current() }
        var settings = Workspace.settings
        settings.registrationsAge = .zero
        let held = workspace.held(workspace.caller(), settings)
        _ = try await held.current()
        _ = try await workspace.tunnels.archive(workspace.tunnel.id, workspaceID: Workspace.id)
        await #expect(throws: TransportError.self) { try await held.current() }
    }
}
