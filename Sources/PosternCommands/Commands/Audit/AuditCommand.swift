import ArgumentParser

/// `postern audit`
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Check, read and export the audit log of a worker or a connector.",
        discussion: """
            All of these work while the worker runs, and none of them changes anything. docs/audit.md has the format and what it proves.

            Example: postern audit verify --state-dir /var/lib/postern-worker --root-key-file audit-root.pub
            """,
        subcommands: [
            VerifyAuditCommand.self, TailAuditCommand.self, ExportAuditCommand.self, AuditStatsCommand.self, ReconcileAuditCommand.self,
            DigestAuditCommand.self,
        ])
}
