extension AuditRecord {
    package struct Genesis: Sendable, Equatable {
        /// The root public key (Ed25519, RFC 8032), lower-case hex. An operator pins it.
        package var rootKey: String
        /// A log that stood in this one's place and was not chained: its new name and the SHA-256 of its bytes.
        package var replaced: (file: String, sha256: String)?

        package static func == (left: Genesis, right: Genesis) -> Bool {
            left.rootKey == right.rootKey && left.replaced?.file == right.replaced?.file && left.replaced?.sha256 == right.replaced?.sha256
        }
    }

    package struct Rotation: Sendable, Equatable {
        /// The first `seq` of the file before; it is in that file's name.
        package var previousFirst: Int
        /// Public key that the next checkpoint is signed with, so that a file can be followed by itself.
        package var key: String
        /// How many checkpoints there were.
        package var checkpoints: Int
        package var open: [OpenIntent]
    }

    package struct TornTail: Sendable, Equatable {
        package var bytes: Int
        package var sha256: String
    }

    /// An intent that has no outcome yet.
    package struct OpenIntent: Sendable, Hashable {
        package enum Kind: String, Sendable { case tool = "intent", egress = "egress_intent", tunnel = "tunnel_intent" }
        package var kind: Kind
        package var session: String
        /// The call, or the request's id.
        package var id: String
        /// That of the intent's record.
        package var seq: Int
    }

    package struct Repetition: Sendable, Equatable {
        /// Of the records that were not written.
        package var kind: String
        /// What they have in common; empty where too many different ones were folded together.
        package var what: String
        package var count: Int
        package var firstTime: String
        package var lastTime: String
    }

    /// A signed statement of the chain's state. The signature covers the whole line without the member `body.signature`.
    package struct Checkpoint: Sendable, Equatable {
        /// From 1.
        package var number: Int
        /// The public key that signs this one, hex.
        package var key: String
        /// The public key that signs the next one, hex.
        package var next: String
        /// Why now: `start`, `interval`, `records`, `record` (one that is signed at once), `rotation`, `stop`.
        package var reason: String
        /// Ed25519, hex; empty while it is being made.
        package var signature: String
    }
}
