import Crypto
import PosternJSON
import PosternTunnelWire
import SwiftASN1
import Testing
import X509

/// Something that an edge, or a control plane that has the log's key, makes of a tunnel's registrations, so that callers are given a stranger's authority,
/// or a connector does not hear what it should; and what the connector must say to it.
struct ForgedRegistration: Sendable, CustomTestStringConvertible {
    let name: String
    /// A try is one of so many kinds, in turn.
    var kinds = 1
    /// Why calls are refused from then on; `nil` where the forgery changes nothing.
    let refused: RegistrationRefusal.Reason?
    /// What has to be left out, all of it, for the forgery to be believed.
    let without: Set<NaiveWatch.Check>
    /// One try.
    let forge: @Sendable (_ scene: RegistrationScene, _ kind: Int, _ number: Int) throws -> Told

    init(
        _ name: String, kinds: Int = 1, _ refused: RegistrationRefusal.Reason?, without: Set<NaiveWatch.Check>,
        _ forge: @escaping @Sendable (_ scene: RegistrationScene, _ kind: Int, _ number: Int) throws -> Told
    ) {
        (self.name, self.kinds, self.refused, self.without, self.forge) = (name, kinds, refused, without, forge)
    }

    var testDescription: String { name }

    static let all = byEdges + byControlPlanes + statements
}

// MARK: Without the log's key

extension ForgedRegistration {
    /// What anybody on the way can do.
    private static let byEdges: [ForgedRegistration] = [
        .init("a log of its own", kinds: 2, .unproven, without: [.key, .memory]) { scene, kind, number in
            let own = RegistrationScene.connectorKey
            var log = [RegistrationScene.entry(.tunnel(.api, certificates: [scene.stranger.entry], connectorKeys: [own]), at: scene.now)]
            for _ in 0...(number % 4) {
                log.append(RegistrationScene.entry(.connectorKeyRevoked(fingerprint: own), at: scene.now))
                log.append(RegistrationScene.entry(.connectorKeyEnrolled(fingerprint: own), at: scene.now))
            }
            let told = try scene.told(log, by: P256.Signing.PrivateKey())
            // The second kind says that it is the true key's.
            return kind == 0 ? told : told.changed { $0.head.logKey = RegistrationHead.fingerprint(scene.logKey.publicKey) }
        },
        .init("a true head that was changed", kinds: 4, .unproven, without: [.key, .root, .memory, .rules, .trust]) { scene, kind, number in
            let forged = scene.log + [scene.added(at: scene.now)]
            return try scene.told(scene.log).changed { answer in
                answer.entries.append(forged[3])
                switch kind {
                case 0: (answer.head.size, answer.head.root) = (forged.count, MerkleTree.root(forged.map { MerkleTree.leaf($0) }))
                case 1: answer.head.root[number / 4 % 32] ^= UInt8(1 << (number % 8))
                // An old head that is to look new.
                case 2: (answer.head.time, answer.entries) = (answer.head.time + 1 + number, Array(answer.entries.dropLast()))
                default: answer.head.signature[number / 4 % answer.head.signature.count] ^= UInt8(1 << (number % 8))
                }
            }
        },
        .init("another tunnel's log", .unproven, without: [.tunnel, .memory, .rules, .trust]) { scene, _, number in
            let other = "tnl_other\(number)"
            let log = [
                RegistrationScene.entry(.tunnel(.signed, certificates: [], connectorKeys: []), at: scene.last, tunnel: other),
                RegistrationScene.entry(.certificateAdded(scene.stranger.entry, countsAt: scene.last, nil), at: scene.last, tunnel: other),
                RegistrationScene.entry(.connectorKeyEnrolled(fingerprint: "k"), at: scene.last, tunnel: other),
                RegistrationScene.entry(.connectorKeyEnrolled(fingerprint: "l"), at: scene.last, tunnel: other),
            ]
            return try scene.told(log, tunnel: other)
        },
        .init("false entries under a true head", kinds: 3, .unproven, without: [.root, .rules, .trust]) { scene, kind, number in
            let true_ = scene.log + [RegistrationScene.entry(.connectorKeyEnrolled(fingerprint: "k\(number)"), at: scene.now)]
            return try scene.told(true_).changed { answer in
                switch kind {
                case 0: answer.entries[answer.entries.count - 1] = scene.added(at: scene.now)
                case 1: answer.entries.append(scene.added(at: scene.now))
                default: answer.entries.removeLast()
                }
            }
        },
        .init("an old head again", kinds: 2, nil, without: [.memory]) { scene, kind, number in
            try scene.told(Array(scene.log.dropLast(kind)), at: scene.seen - 1 - number)
        },
    ]
}

// MARK: With it

extension ForgedRegistration {
    private static let byControlPlanes: [ForgedRegistration] = [
        .init("a fork of the same length", .fork, without: [.memory, .rules, .trust]) { scene, _, number in
            try scene.told(Array(scene.log.dropLast()) + [scene.added(at: scene.last + number)])
        },
        .init("a fork that has grown", kinds: 2, .fork, without: [.memory, .rules, .trust]) { scene, kind, number in
            var log = scene.log
            log[kind + 1] = scene.added(at: scene.last)
            for index in 0...(number % 5) { log.append(RegistrationScene.entry(.connectorKeyEnrolled(fingerprint: "k\(index)"), at: scene.now)) }
            return try scene.told(log)
        },
        .init("a log that was rolled back", kinds: 2, .fork, without: [.memory]) { scene, kind, _ in
            try scene.told(Array(scene.log.dropLast(kind + 1)))
        },
        .init("an authority that counts at once", kinds: 2, .rules, without: [.rules, .trust]) { scene, kind, number in
            // The second kind says that it is the first one of the tunnel.
            let emptied = RegistrationScene.entry(.certificateArchived(fingerprint: scene.own.fingerprint), at: scene.now)
            return try scene.told(scene.log + (kind == 0 ? [] : [emptied]) + [scene.added(at: scene.now, countsAt: scene.now + number)])
        },
        .init("an authority that is dated back", .rules, without: [.rules, .trust]) { scene, _, number in
            let then = scene.last + 1 + number
            return try scene.told(scene.log + [scene.added(at: then, countsAt: then + RegistrationLedger.wait)])
        },
        .init("an authority that nobody has signed for", kinds: 4, .unknownAuthority, without: [.trust]) { scene, kind, number in
            let (then, later) = (scene.now + number, scene.now + number + RegistrationLedger.wait)
            var log = scene.log
            switch kind {
            // It has waited.
            case 0: log.append(scene.added(at: then, countsAt: later))
            // And nobody is left who could sign.
            case 1:
                log.append(RegistrationScene.entry(.certificateArchived(fingerprint: scene.own.fingerprint), at: then))
                log.append(scene.added(at: then, countsAt: later))
            // By an owner key that has waited.
            case 2:
                let owner = P256.Signing.PrivateKey()
                log.append(RegistrationScene.entry(.ownerKeySet(key: Array(owner.publicKey.derRepresentation), countsAt: later, nil), at: then))
                let word = try RegistrationStatement.sign(
                    tunnelID: RegistrationScene.tunnel, purpose: .certificate, subject: scene.stranger.fingerprint, time: later, with: .init(owner))
                log.append(scene.added(word, at: later))
            // After the tunnel was opened, which has waited.
            default:
                log.append(RegistrationScene.entry(.modeChanged(.api, countsAt: later, nil), at: then))
                log.append(scene.added(at: later))
            }
            return try scene.told(log, at: later)
        },
        .init("a connector key that is not pinned", .unknownConnectorKey, without: [.keys]) { scene, _, number in
            try scene.told(scene.log + [RegistrationScene.entry(.connectorKeyEnrolled(fingerprint: "k\(number)"), at: scene.now)])
        },
    ]

    private static let statements: [ForgedRegistration] = [
        .init("a statement by a wrong key", kinds: 3, .rules, without: [.rules, .trust]) { scene, kind, _ in
            var log = scene.log
            var word = try scene.stranger.statement(scene.stranger.fingerprint, at: scene.now)
            switch kind {
            case 0: break
            // It says that it is the true authority's.
            case 1: word.key = try scene.own.keyFingerprint
            // Of an authority that has ended.
            default:
                let old = try RegistrationScene.Authority()
                let given = try scene.own.statement(old.fingerprint, at: scene.now)
                log.append(RegistrationScene.entry(.certificateAdded(old.entry, countsAt: scene.now, given), at: scene.now))
                log.append(RegistrationScene.entry(.certificateArchived(fingerprint: old.fingerprint), at: scene.now))
                word = try old.statement(scene.stranger.fingerprint, at: scene.now)
            }
            return try scene.told(log + [scene.added(word, at: scene.now)])
        },
        .init("a statement for something else", kinds: 5, .rules, without: [.rules, .trust]) { scene, kind, number in
            var log = scene.log
            let subject = scene.stranger.fingerprint
            var word: RegistrationStatement
            switch kind {
            case 0: word = try scene.own.statement(subject, at: scene.now, tunnel: "tnl_\(number)x")
            case 1: word = try scene.own.statement(subject, at: scene.now, .ownerKey)
            case 2: word = try scene.own.statement(scene.own.fingerprint, at: scene.now)
            // Of last month.
            case 3: word = try scene.own.statement(subject, at: scene.now - (RegistrationStatement.life * 86_400 + 1 + number))
            // One that was used, for the same authority before it was archived.
            default:
                word = try scene.own.statement(subject, at: scene.now)
                log.append(scene.added(word, at: scene.now))
                log.append(RegistrationScene.entry(.certificateArchived(fingerprint: subject), at: scene.now))
            }
            return try scene.told(log + [scene.added(word, at: scene.now)])
        },
    ]
}
