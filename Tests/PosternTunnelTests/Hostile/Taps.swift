import NIOCore
import PosternTunnelLink

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

enum Direction: Sendable, Hashable, CaseIterable { case toConnector, toCaller }

/// What an edge does to the bytes that it relays.
protocol Tap: Sendable {
    func pass(_ bytes: ByteBuffer, _ direction: Direction) async throws -> Passing
}

/// What goes on of what came.
struct Passing: Sendable {
    enum End: Sendable, Hashable, CaseIterable {
        /// As if all had been said: the end of TCP, or `END_STREAM` on a leg.
        case finished
        /// RST, or `RST_STREAM` on a leg.
        case reset
    }
    var pieces: [ByteBuffer]
    /// Ends the direction behind the pieces.
    var end: End?
}

struct HonestTap: Tap {
    func pass(_ bytes: ByteBuffer, _ direction: Direction) -> Passing { Passing(pieces: [bytes]) }
}

/// The two halves of one call, with a tap on both.
struct TappedWay: Sendable {
    let edge: HostileEdge
    let client: ByteStream
    let leg: ByteStream
    let tap: any Tap

    func run(afterFirst end: Passing.End?) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await forward(client, to: leg, .toConnector, end) }
            group.addTask { await forward(leg, to: client, .toCaller, nil) }
        }
        client.close()
        leg.close()
    }

    private func forward(_ from: ByteStream, to: ByteStream, _ direction: Direction, _ end: Passing.End?) async {
        if let end { return await finish(to, end) }
        do {
            while let bytes = try await from.read(within: .seconds(30)) {
                edge.see(bytes)
                let passing = try await tap.pass(bytes, direction)
                for piece in passing.pieces { try await to.write(piece) }
                if let end = passing.end { return await finish(to, end) }
            }
            await to.closeOutput()
        } catch {
            // As a real edge does: below TLS, and no more than the end of TCP.
            to.abort()
        }
    }

    private func finish(_ to: ByteStream, _ end: Passing.End) async {
        switch end {
        case .finished: await to.closeOutput()
        case .reset:
            (to.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in to.abort() }
            if !(to.channel is any SocketOptionProvider) { to.abort() }
        }
    }
}

/// Keeps what passes, by direction.
actor RecordingTap: Tap {
    private(set) var kept: [Direction: [ByteBuffer]] = [:]

    func pass(_ bytes: ByteBuffer, _ direction: Direction) -> Passing {
        kept[direction, default: []].append(bytes)
        return Passing(pieces: [bytes])
    }
}

/// Ends one direction after so many bytes of it.
actor CuttingTap: Tap {
    private let direction: Direction
    private var left: Int
    private let end: Passing.End
    private let edge: HostileEdge

    init(_ edge: HostileEdge, _ direction: Direction, after count: Int, _ end: Passing.End) {
        (self.edge, self.direction, left, self.end) = (edge, direction, count, end)
    }

    func pass(_ bytes: ByteBuffer, _ direction: Direction) -> Passing {
        guard direction == self.direction else { return Passing(pieces: [bytes]) }
        var bytes = bytes
        guard bytes.readableBytes >= left else {
            left -= bytes.readableBytes
            return Passing(pieces: [bytes])
        }
        edge.strike()
        return Passing(pieces: bytes.readSlice(length: left).map { [$0] } ?? [], end: end)
    }
}

/// Does something to one TLS record of those that are encrypted, or to one piece of what is plain.
actor TamperingTap: Tap {
    enum Deed: Sendable {
        case flip, duplicate, reorder
        /// With the same record of another call.
        case swap(Meeting)
    }
    private let direction: Direction
    private let deed: Deed
    /// Which record, from 0.
    private let index: Int
    private let isPlain: Bool
    private let edge: HostileEdge
    private var splitter = RecordSplitter()
    private var count = 0
    private var held: ByteBuffer?

    init(_ edge: HostileEdge, _ direction: Direction, record index: Int, isPlain: Bool, _ deed: Deed) {
        (self.edge, self.direction, self.index, self.isPlain, self.deed) = (edge, direction, isPlain ? 0 : index, isPlain, deed)
    }

    func pass(_ bytes: ByteBuffer, _ direction: Direction) async -> Passing {
        guard direction == self.direction else { return Passing(pieces: [bytes]) }
        var pieces: [ByteBuffer] = []
        for record in records(bytes) {
            // 23 is what everything encrypted looks like in TLS 1.3 (RFC 8446, section 5.2).
            guard isPlain || record.readableBytesView.first == 23 else {
                pieces.append(record)
                continue
            }
            let number = count
            count += 1
            pieces += await tamper(record, number)
        }
        return Passing(pieces: pieces)
    }

    private func tamper(_ record: ByteBuffer, _ number: Int) async -> [ByteBuffer] {
        if let first = held, number == index + 1 {
            held = nil
            edge.strike()
            return [record, first]
        }
        guard number == index else { return [record] }
        switch deed {
        case .reorder where !isPlain:
            held = record
            return []
        case .reorder:
            edge.strike()
            // The last sixteen bytes of a body, its halves exchanged.
            var bytes = Array(record.readableBytesView)
            bytes = bytes.dropLast(16) + bytes.suffix(8) + bytes.dropLast(8).suffix(8)
            return [ByteBuffer(bytes: bytes)]
        case .duplicate:
            edge.strike()
            return [record, record]
        case .flip:
            edge.strike()
            var bytes = Array(record.readableBytesView)
            bytes[bytes.count - 1] ^= 1
            return [ByteBuffer(bytes: bytes)]
        case .swap(let meeting):
            edge.strike()
            return [await meeting.exchange(record)]
        }
    }

    private func records(_ bytes: ByteBuffer) -> [ByteBuffer] { isPlain ? [bytes] : splitter.feed(bytes) }
}

/// TLS records out of what passes (RFC 8446, section 5.1).
struct RecordSplitter {
    private var unread = ByteBuffer()

    mutating func feed(_ bytes: ByteBuffer) -> [ByteBuffer] {
        unread.writeImmutableBuffer(bytes)
        var records: [ByteBuffer] = []
        while let length = unread.getInteger(at: unread.readerIndex + 3, as: UInt16.self), let record = unread.readSlice(length: 5 + Int(length)) {
            records.append(record)
        }
        return records
    }
}

/// Where two calls exchange what they carry.
actor Meeting {
    private var first: (bytes: ByteBuffer, continuation: CheckedContinuation<ByteBuffer, Never>)?

    func exchange(_ bytes: ByteBuffer) async -> ByteBuffer {
        if let other = first {
            first = nil
            other.continuation.resume(returning: bytes)
            return other.bytes
        }
        return await withCheckedContinuation { first = (bytes, $0) }
    }
}
