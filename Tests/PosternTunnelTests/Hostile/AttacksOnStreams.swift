import NIOCore
import PosternTunnelLink

// The edge changes, repeats, mixes or cuts what it cannot read.
extension Attack {
    /// What a runtime says where a record is not what the connector wrote.
    private static let broken = [
        "Connection reset by peer", "BAD_DECRYPT", "BAD_RECORD_MAC", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "without close_notify",
        "the connection ended",
    ]
    private static let ended = ["handshake_failed", "caller_gone"]

    // MARK: Records

    static let records: [Attack] = [
        tampering("stream mixing: a record changed", .toConnector, records: 2) { _ in .flip },
        tampering("stream mixing: a record of the answer changed", .toCaller, records: 3) { _ in .flip },
        tampering("stream mixing: a record twice", .toConnector, records: 2) { _ in .duplicate },
        // The handshake is one record, a request of this size three.
        tampering("stream mixing: two records in the other order", .toConnector, records: 1, first: 1, size: 40_000) { _ in .reorder },
        mixing("stream mixing: records of two calls swapped", .toConnector, records: 2),
        mixing("stream mixing: records of two answers swapped", .toCaller, records: 3),
    ]

    /// - Parameter records: how many of the direction's records are taken in turn, from `first` on.
    private static func tampering(
        _ name: String, _ direction: Direction, records: Int, first: Int = 0, size: Int = 64,
        _ deed: @escaping @Sendable (Int) -> TamperingTap.Deed
    ) -> Attack {
        Attack(name, kinds: records, expected: { _ in expected(direction) }, weakness: { _ in .plain }) { stage, kind, _ in
            let isPlain = stage.weakness != nil
            stage.edge.set { edge, client in
                try await edge.relay(client, tap: TamperingTap(edge, direction, record: first + kind, isPlain: isPlain, deed(kind)))
            }
            return [await stage.call(Call(size: isPlain ? 64 : size))]
        }
    }

    /// Two calls at once, of which one record each changes places.
    private static func mixing(_ name: String, _ direction: Direction, records: Int) -> Attack {
        Attack(name, kinds: records, expected: { _ in expected(direction) }, weakness: { _ in .plain }) { stage, kind, _ in
            let isPlain = stage.weakness != nil
            let meeting = Meeting()
            stage.edge.set { edge, client in
                try await edge.relay(client, tap: TamperingTap(edge, direction, record: kind, isPlain: isPlain, .swap(meeting)))
            }
            async let one = stage.call()
            async let other = stage.call()
            return [await one, await other]
        }
    }

    /// The side that gets the record notices first; the runtime hears of it in any case.
    private static func expected(_ direction: Direction) -> Expected {
        Expected(runtime: broken, connector: direction == .toConnector ? ended : [])
    }

    // MARK: Replays

    static let replays: [Attack] = [
        Attack(
            "replay: a whole call, to the connector", kinds: 2,
            expected: { _ in .init(connector: ["handshake_failed"], reason: ["BAD_DECRYPT", "BAD_RECORD_MAC"]) }, weakness: { _ in .plain }
        ) { stage, kind, _ in
            let tap = RecordingTap()
            stage.edge.set { edge, client in try await edge.relay(client, tap: tap) }
            let outcome = await stage.call()
            // On the leg of the first call, and on another one.
            let leg = await stage.edge.leg("host/\(kind)")
            var kept = await tap.kept[.toConnector] ?? []
            guard !kept.isEmpty else { return [outcome] }
            stage.edge.strike()
            let before = stage.noted
            let stream = try await leg.open(host: Call.host, first: kept.removeFirst(), within: .seconds(10))
            for piece in kept { try? await stream.write(piece) }
            await stage.settle(after: before)
            stream.close()
            return [outcome]
        },
        Attack(
            "replay: a whole answer, to the runtime", expected: { _ in .init(runtime: ["BAD_DECRYPT", "BAD_RECORD_MAC"]) },
            weakness: { _ in .plain }
        ) { stage, _, _ in
            let isPlain = stage.weakness != nil
            let tap = RecordingTap()
            stage.edge.set { edge, client in try await edge.relay(client, tap: tap) }
            let first = await stage.call()
            let kept = await tap.kept[.toCaller] ?? []
            guard case .success = first.result else { return [first] }
            stage.edge.set { edge, client in
                guard let hello = try await client.read(within: .seconds(10)) else { return }
                edge.strike()
                var pieces = kept
                // The runtime takes a ServerHello only with the session id of its own hello in it (RFC 8446, section 4.1.3).
                if !isPlain, let head = hello.getSlice(at: hello.readerIndex + 44, length: 32) {
                    pieces[0].setBuffer(head, at: pieces[0].readerIndex + 44)
                }
                for piece in pieces { try await client.write(piece) }
                while let more = try await client.read(within: .seconds(10)) { edge.see(more) }
            }
            return [await stage.call()]
        },
    ]

    // MARK: Cuts

    static let cuts: [Attack] = [
        Attack(
            "truncation: of the answer", kinds: 2,
            expected: { _ in
                .init(runtime: [
                    "without close_notify", "the connection ended", "inner TLS: the handshake failed", "Connection reset", "connection reset",
                ])
            }, weakness: { _ in .plain }
        ) { stage, kind, number in await cut(stage, .toCaller, kind, number) },
        Attack(
            "truncation: of the request", kinds: 2,
            expected: { _ in .init(runtime: broken + ["inner TLS: the handshake failed"], connector: ended) }, weakness: { _ in .plain }
        ) { stage, kind, number in await cut(stage, .toConnector, kind, number) },
    ]

    /// At a byte that moves from try to try over the whole of a call, in steps that share no factor with its length, as an end and as a reset.
    private static func cut(_ stage: Stage, _ direction: Direction, _ kind: Int, _ number: Int) async -> [Outcome] {
        let tap = RecordingTap()
        // The length of a call, by one that is not cut; signatures differ in length by a few bytes.
        let whole: Int
        if let known = stage.lengths.withLock({ $0[direction] }) {
            whole = known
        } else {
            stage.edge.set { edge, client in try await edge.relay(client, tap: tap) }
            let honest = await stage.call()
            guard case .success = honest.result else { return [honest] }
            whole = await (tap.kept[direction] ?? []).reduce(0) { $0 + $1.readableBytes } - 16
            stage.lengths.withLock { $0[direction] = whole }
        }
        let end = Passing.End.allCases[stage.weakness != nil ? 0 : kind]
        // Of what is plain, in the body.
        var place = stage.weakness != nil ? whole : 1 + number * 977 % (whole - 1)
        while true {
            let at = place
            stage.edge.set { edge, client in try await edge.relay(client, tap: CuttingTap(edge, direction, after: at, end)) }
            let outcome = await stage.call()
            if stage.edge.strikes > 0 { return [outcome] }
            // This call was a few bytes shorter than the one that was measured, and passed whole.
            place = max(1, place - 40)
        }
    }

    // MARK: Ghosts

    /// A call that goes on where its leg was replaced: what belongs to a stream of the old leg is sent on one of the new leg.
    static let ghosts: [Attack] = [
        Attack("ghost: a call goes on, on another leg", connector: ["malformed_hello"], weakness: .plain) { stage, _ in
            stage.edge.set { edge, client in
                let isPlain = stage.weakness != nil
                // Without TLS the request is all that there is: it goes to the old leg, and what it says again to the new one.
                let before = stage.noted
                try await edge.relay(client, tap: GhostTap(edge, isPlain: isPlain) { await stage.settle(after: before) })
            }
            return [await stage.call()]
        }
    ]
}

/// Lets the handshake pass on the old leg, and opens a stream on the new one with what comes behind it.
private actor GhostTap: Tap {
    private let edge: HostileEdge
    private let isPlain: Bool
    private let settle: @Sendable () async -> Void
    private var splitter = RecordSplitter()
    private var encrypted = 0

    init(_ edge: HostileEdge, isPlain: Bool, settle: @escaping @Sendable () async -> Void) {
        (self.edge, self.isPlain, self.settle) = (edge, isPlain, settle)
    }

    func pass(_ bytes: ByteBuffer, _ direction: Direction) async throws -> Passing {
        guard direction == .toConnector else { return Passing(pieces: [bytes]) }
        if isPlain {
            await goOn(bytes)
            return Passing(pieces: [bytes])
        }
        var pieces: [ByteBuffer] = []
        for record in splitter.feed(bytes) {
            if record.readableBytesView.first == 23 { encrypted += 1 }
            // The rest of the handshake is one encrypted record; the request is the next.
            guard encrypted < 2 else {
                await goOn(record)
                return Passing(pieces: pieces, end: .reset)
            }
            pieces.append(record)
        }
        return Passing(pieces: pieces)
    }

    private func goOn(_ bytes: ByteBuffer) async {
        edge.strike()
        guard let stream = try? await edge.leg("host/1").open(host: Call.host, first: bytes, within: .seconds(10)) else { return }
        await settle()
        stream.close()
    }
}
