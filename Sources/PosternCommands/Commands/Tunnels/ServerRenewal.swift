import FoundationEssentials
import ManagedAgentsAPI
import PosternConnector
import PosternJSON
import PosternTunnelWire

/// The work of `postern connector renew`.
struct ServerRenewal {
    private let configuration: ConnectorConfiguration
    private let files: ServerFiles
    private let folder: String
    /// Absolute.
    private let authorityFile: String
    private let authorityKeyFile: String
    /// The option was given, so that the file has to be there.
    private let demandsKey: Bool
    private let before: Double

    /// - Parameter before: in seconds.
    init(config: String, authorityFile: String?, authorityKeyFile: String?, before: Double) throws(CommandError) {
        let path = TextFile.absolute(config)
        configuration = try ConnectorFiles.configuration(at: path)
        folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
        files = ServerFiles(
            certificate: ConnectorFiles.against(folder, configuration.server.certificateFile),
            key: ConnectorFiles.against(folder, configuration.server.keyFile))
        self.authorityFile = authorityFile.map { TextFile.absolute($0) } ?? folder + "/ca.pem"
        self.authorityKeyFile = authorityKeyFile.map { TextFile.absolute($0) } ?? folder + "/ca.key"
        demandsKey = authorityKeyFile != nil
        self.before = before
    }

    struct Outcome {
        var isRenewed = false
        var expires: Date?
        var daysLeft: Int?
        /// Why it is due; `nil` while it is good.
        var problem: String?
        var remedy: String?
        var certificate: String
        /// Whether its authority's key is elsewhere, perhaps with a PKI of the customer's own.
        var isElsewhere: Bool

        var isGood: Bool { isRenewed || problem == nil }

        var sentence: String {
            let left = daysLeft.map { "\($0) day\($0 == 1 ? "" : "s") left" } ?? "no days left"
            if isRenewed { return "Renewed \(certificate), because \(problem ?? "it was due"): \(left)." }
            if let problem { return "\(certificate) is due and was not renewed: \(problem). \(remedy ?? "")" }
            return "\(certificate) is good: \(left)." + (isElsewhere ? " Its authority's key is not here, so this command cannot renew it." : "")
        }

        var json: JSONObject {
            var object: JSONObject = ["certificate_file": .string(certificate), "renewed": .bool(isRenewed), "good": .bool(isGood)]
            object["expires_at"] = expires.map { .string(Timestamp(microseconds: Int64($0.timeIntervalSince1970) * 1_000_000).description) }
            object["days_left"] = daysLeft.map { JSON($0) }
            object["reason"] = problem.map(JSON.string)
            object["remedy"] = isGood ? nil : remedy.map(JSON.string)
            object["can_renew"] = .bool(!isElsewhere)
            return object
        }
    }

    func run(now: Date) throws -> Outcome {
        let authority = try authority(now)
        let hasKey = TextFile.exists(authorityKeyFile)
        guard hasKey || !demandsKey else { throw CommandError(.configuration, "--ca-key-file: \(authorityKeyFile) is not there") }
        let standing = try standing(authority, now)
        var outcome = Outcome(
            expires: standing.expires, daysLeft: standing.daysLeft(at: now), problem: standing.problem, certificate: files.certificate,
            isElsewhere: !hasKey)
        guard standing.problem != nil else {
            // What an earlier renewal has replaced is read by nobody any more.
            if try files.hasOldKeys() {
                let lock = try FolderLock(folder)
                defer { lock.release() }
                try files.prune()
            }
            return outcome
        }
        guard hasKey, let authority else {
            outcome.remedy =
                hasKey
                ? "Put the CA's certificate to \(authorityFile), or give --ca-file."
                : "Give --ca-key-file where the tunnel's CA was made by setup; with a PKI of your own run `postern connector setup --folder \(folder) --csr`."
            return outcome
        }
        // A certificate ends with its authority at the latest.
        if let expires = standing.expires, authority.expiresAt <= expires {
            outcome.problem = "its CA ends with it, at \(Timestamp(microseconds: Int64(authority.expiresAt.timeIntervalSince1970) * 1_000_000))"
            outcome.remedy = "Make a new CA: move ca.pem and ca.key away and run `postern connector setup` again."
            return outcome
        }
        return try renew(outcome, authority, now)
    }

    /// One at a time: what one run has half done another must not take for whole.
    private func renew(_ due: Outcome, _ authority: TunnelAuthority, _ now: Date) throws -> Outcome {
        let lock = try FolderLock(folder)
        defer { lock.release() }
        var outcome = due
        try TextFile.checkPrivate(authorityKeyFile)
        let issuer = ConnectorCertificates.Made(keyPEM: try TextFile.read(authorityKeyFile), certificatePEM: try TextFile.read(authorityFile))
        guard ServerKeys.hasKey(of: authority, in: issuer.keyPEM) else {
            throw CommandError(.configuration, "\(authorityKeyFile) is not the key of the CA in \(authorityFile)")
        }
        try files.replace(by: ConnectorCertificates.server(domain: configuration.tunnel.domain, authority: issuer, now: now))
        let made = try standing(authority, now)
        if let problem = made.problem { throw CommandError(.failure, "the certificate that was made does not do: \(problem)") }
        outcome.isRenewed = true
        outcome.expires = made.expires
        outcome.daysLeft = made.daysLeft(at: now)
        return outcome
    }

    private func standing(_ authority: TunnelAuthority?, _ now: Date) throws(CommandError) -> ServerStanding {
        let texts = try files.read()
        return ServerStanding(
            certificate: texts.certificate, keys: texts.key,
            hosts: ServerStanding.hosts(routes: Array(configuration.routes.keys), domain: configuration.tunnel.domain), authority: authority,
            now: now,
            before: before)
    }

    /// `nil` where no file says it: then nothing can be said of it.
    private func authority(_ now: Date) throws(CommandError) -> TunnelAuthority? {
        guard TextFile.exists(authorityFile) else { return nil }
        let text = try TextFile.read(authorityFile)
        do throws(CertificateRuleError) {
            return try AuthorityRules.check(pem: text, now: now)
        } catch {
            throw CommandError(.configuration, "\(authorityFile): \(error)")
        }
    }
}
