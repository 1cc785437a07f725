import ArgumentParser
import FoundationEssentials
import PosternConnector
import PosternEgress
import PosternTunnelWire

/// `postern connector check`
struct ConnectorCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read a connector's configuration, keys and certificates without starting it.",
        discussion: """
            Everything that can be known without the network: the document, the modes of secrets, certificates against their keys, the server certificate
            against the tunnel's CA, every route. `postern connector doctor` walks the network too.

            Example: postern connector check --config tunnel/connector.yaml
            """)

    @Option(name: .long, help: "The connector's YAML document.")
    var config: String

    @Option(name: .customLong("ca-file"), help: "The tunnel's CA certificate; ca.pem beside the document where it is not given.")
    var authorityFile: String?

    func run() async throws {
        let files = try ConnectorFiles(config: config)
        let terminal = Terminal()
        let configuration = files.configuration
        let standing = try Self.serverCertificate(files, path: TextFile.absolute(config), authorityFile: authorityFile)
        // What a start would make of it all.
        do {
            _ = try Connector(
                configuration, files.material, version: PosternVersion.text, resolve: SystemResolver.resolve, observe: { _ in })
        } catch {
            throw CommandError(.configuration, "\(error)")
        }
        if let audit = files.auditPath(config: config) { try TextFile.checkWritable(audit, option: "audit.file") }
        let proxy = configuration.edges.proxy.map { " through \($0)" } ?? ""
        terminal.print("tunnel \(configuration.tunnel.id), \(configuration.legs) legs to \(configuration.edges.name)\(proxy)")
        terminal.print("connector key \(files.material.key.fingerprint)")
        terminal.print("server certificate valid until \(files.material.serverExpires)" + (standing.problem.map { ": \($0)" } ?? ""))
        let isWatched = try files.registrationPins(config: config) != nil
        terminal.print(isWatched ? "the tunnel's registrations are watched" : "the tunnel's registrations are not watched: write registrations")
        terminal.print(
            "routes are called by \(configuration.tunnel.routeKeyFile == nil ? "name" : "name, or by id where callers have the route key")")
        for (name, route) in configuration.routes.sorted(by: { $0.key < $1.key }) {
            let callers = route.callers.isNobody ? "nobody may call it" : "callers are named"
            let policy = route.policy.map { $0.mode == .enforce ? ", under a policy" : ", under a policy that only records" } ?? ""
            terminal.print("route \(name): \(route.upstream), \(callers)\(policy)")
            if let bearer = route.bearer { terminal.print("  \(Self.text(bearer))") }
            for problem in RouteFiles.problems(of: route.upstream, own: files.own) { terminal.print("  \(problem)") }
        }
        if standing.problem != nil { terminal.note("The server certificate is due: run `postern connector renew --config \(config)`, daily.") }
    }

    private static func text(_ bearer: BearerSettings) -> String {
        let keys =
            switch bearer.keys {
            case .file(let path): path
            case .url(let url): "\(url)"
            }
        let forwarded = bearer.forwards ? ", and are passed on to the upstream" : ""
        return
            "no client certificate: bearer tokens of \(bearer.issuer) for \(bearer.audiences.sorted().joined(separator: ", ")), keys of \(keys)\(forwarded)"
    }

    /// What callers would refuse is an error; what ends soon is told.
    private static func serverCertificate(_ files: ConnectorFiles, path: String, authorityFile: String?) throws -> ServerStanding {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        let authorityFile = authorityFile.map { TextFile.absolute($0) } ?? folder + "/ca.pem"
        let server = files.configuration.server
        let texts = try ServerFiles(
            certificate: ConnectorFiles.against(folder, server.certificateFile), key: ConnectorFiles.against(folder, server.keyFile)
        ).read()
        var authority: TunnelAuthority?
        if TextFile.exists(authorityFile) {
            do { authority = try AuthorityRules.check(pem: TextFile.read(authorityFile), now: Date()) } catch let error as CertificateRuleError {
                throw CommandError(.configuration, "\(authorityFile): \(error)")
            }
        }
        func standing(_ before: Double) -> ServerStanding {
            ServerStanding(
                certificate: texts.certificate, keys: texts.key,
                hosts: ServerStanding.hosts(routes: Array(files.configuration.routes.keys), domain: files.configuration.tunnel.domain),
                authority: authority, now: Date(), before: before)
        }
        if let problem = standing(0).problem {
            throw CommandError(.configuration, "the server certificate in \(server.certificateFile): \(problem); run `postern connector renew`")
        }
        return standing(ConnectorCertificates.renewBefore)
    }
}
