import PosternConnector

/// The files of a connector's server certificate and its key, replaced so that a connector that reads them at any moment finds a pair.
struct ServerFiles {
    /// Absolute.
    let certificate: String
    let key: String

    /// Both texts, the certificate's first: see `ServerKeys`. `nil` where a file is not there.
    func read() throws(CommandError) -> (certificate: String?, key: String?) {
        let certificate = TextFile.exists(certificate) ? try TextFile.read(certificate) : nil
        guard TextFile.exists(key) else { return (certificate, nil) }
        try TextFile.checkPrivate(key)
        return (certificate, try TextFile.read(key))
    }

    /// The new key goes beside the one in use first; that one is taken away by the next run.
    func replace(by made: ConnectorCertificates.Made) throws(CommandError) {
        let old = try read()
        try TextFile.writeSecret(ServerKeys.adding(made.keyPEM, to: old.key, inUseBy: old.certificate), to: key, keepsOwner: true)
        try TextFile.writeSecret(made.certificatePEM, to: certificate, keepsOwner: true)
    }

    func hasOldKeys() throws(CommandError) -> Bool { try pruned() != nil }

    /// Takes away keys that no certificate needs any more. Not while somebody replaces the pair.
    func prune() throws(CommandError) {
        if let rest = try pruned() { try TextFile.writeSecret(rest, to: key, keepsOwner: true) }
    }

    private func pruned() throws(CommandError) -> String? {
        let now = try read()
        guard let certificate = now.certificate, let text = now.key else { return nil }
        return ServerKeys.pruned(text, to: certificate)
    }
}
