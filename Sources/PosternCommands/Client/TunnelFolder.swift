import ManagedAgentsClient
import NIOPosix
import PosternJSON
import PosternMCP
import PosternTLS
import PosternTunnelWire
import Synchronization

/// What `postern tunnels client-certificate issue` writes, and callers through a tunnel read: key.pem, certificate.pem, authorities.pem, tunnel.json,
/// edge-ca.pem where the edge has a private authority, and route.key where it is to learn no route's name.
enum TunnelFolder {
    static let descriptionFile = "tunnel.json"
    static let edgeAuthorityFile = "edge-ca.pem"
    static let routeKeyFile = "route.key"

    /// What the edge is shown routes by; `nil` for their names.
    static func routeKey(_ folder: String) throws(CommandError) -> RouteKey? {
        let path = "\(folder)/\(routeKeyFile)"
        guard TextFile.exists(path) else { return nil }
        try TextFile.checkPrivate(path)
        // Going on without it would tell the edge the name.
        guard let key = RouteKey(String(try TextFile.read(path).prefix { !$0.isNewline })) else {
            throw CommandError(.configuration, "\(path) holds no route key: issue the certificate again with --hide-routes")
        }
        return key
    }

    /// tunnel.json: which tunnel it is and where its edge is. No secret is in it.
    struct Description {
        let id: String
        /// The tunnel's.
        let domain: String
        let edge: EdgeAddress
        /// In the edge's certificate.
        let edgeName: String

        /// - Parameter edge: without one the edge's name and port 443.
        init(id: String, domain: String, edge: EdgeAddress?, edgeName: String?) {
            self.id = id
            self.domain = domain
            // An edge's own name is the domain below which the tunnels' domains are.
            let name = edgeName ?? TunnelHost(domain)?.domain ?? domain
            self.edgeName = name
            self.edge = edge ?? EdgeAddress(host: name, port: 443)
        }

        init(folder: String) throws(CommandError) {
            let path = "\(folder)/\(descriptionFile)"
            guard TextFile.exists(path) else {
                throw CommandError(
                    .configuration, "\(path) is missing: issue the certificate again with `postern tunnels client-certificate issue … --output`")
            }
            guard let json = try? JSON(parsing: Array(try TextFile.read(path).utf8)), let id = json["id"]?.string,
                let domain = json["domain"]?.string.flatMap(HostName.canonical)
            else { throw CommandError(.configuration, "\(path) names no tunnel: it needs \"id\" and \"domain\"") }
            let edge = json["edge"]
            let address = edge?["address"]?.string
            guard address == nil || address.flatMap({ EdgeAddress($0) }) != nil else {
                throw CommandError(.configuration, "\(path): edge.address must be HOST:PORT")
            }
            self.init(id: id, domain: domain, edge: address.flatMap { EdgeAddress($0) }, edgeName: edge?["name"]?.string.flatMap(HostName.canonical))
        }

        var json: JSONObject {
            ["id": .string(id), "domain": .string(domain), "edge": ["address": .string("\(edge)"), "name": .string(edgeName)]]
        }
    }

    /// Who calls and whom it believes, from the folder's files. Blocks.
    static func credentials(_ folder: String, apiKey: Secret?) throws(CommandError) -> TunnelCredentials {
        try TextFile.checkPrivate("\(folder)/key.pem")
        do throws(TunnelCredentials.Invalid) {
            return try TunnelCredentials(
                certificate: read(folder, "certificate.pem"), key: read(folder, "key.pem"), authorities: read(folder, "authorities.pem"),
                apiKey: apiKey)
        } catch {
            throw CommandError(.configuration, "\(folder): \(error)")
        }
    }

    private static func read(_ folder: String, _ name: String) throws(TunnelCredentials.Invalid) -> String {
        do throws(CommandError) { return try TextFile.read("\(folder)/\(name)") } catch { throw TunnelCredentials.Invalid(error.message) }
    }
}

/// The credentials of a folder with its route key, read again when their certificate is about to end: a command that runs for long goes on with a renewed
/// one, which may name routes otherwise.
final class FolderCredentials: Sendable {
    struct Held: Sendable {
        let credentials: TunnelCredentials
        /// `nil` where the edge is shown names.
        let routeKey: RouteKey?
    }
    /// In seconds before a certificate's end.
    private static let readAgain = 60.0

    private let folder: String
    private let apiKey: Secret?
    private let held: Mutex<Held>

    init(_ folder: String, apiKey: Secret?) throws(CommandError) {
        self.folder = folder
        self.apiKey = apiKey
        held = Mutex(try Self.read(folder, apiKey))
    }

    private static func read(_ folder: String, _ apiKey: Secret?) throws(CommandError) -> Held {
        // The key first: it is written first, and a certificate of ids without it opens nothing.
        let routeKey = try TunnelFolder.routeKey(folder)
        return Held(credentials: try TunnelFolder.credentials(folder, apiKey: apiKey), routeKey: routeKey)
    }

    func current() async -> Held {
        let known = held.withLock { $0 }
        guard known.credentials.isEnding(within: Self.readAgain) else { return known }
        // What cannot be read now may be half-written: the known one says by itself when it has ended.
        let found = try? await NIOThreadPool.singleton.runIfActive { [folder, apiKey] in try Self.read(folder, apiKey) }
        guard let found, found.credentials.fingerprint != known.credentials.fingerprint else { return known }
        held.withLock { $0 = found }
        return found
    }
}
