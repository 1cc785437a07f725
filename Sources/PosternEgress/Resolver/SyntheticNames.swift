import PosternPolicy

/// The addresses that stand for names inside one sandbox: 127.1.0.0/16, which its own loopback leads back to the proxy.
///
/// Bounded: the name that was asked for or dialled longest ago makes room. Addresses go round the whole block before one is given to
/// another name, so that a client with an old answer almost never reaches a name that it did not ask for; if it does, the server name of
/// its TLS or its Host header does not match and the connection is refused.
struct SyntheticNames: Sendable {
    /// 127.1.0.1 to 127.1.255.254.
    static let addresses: ClosedRange<UInt32> = 0x7F01_0001...0x7F01_FFFE

    private struct Entry {
        var name: CanonicalHost
        /// Position in the order of use; the smallest goes first.
        var used: UInt64
    }

    private let capacity: Int
    private var entries: [UInt32: Entry] = [:]
    private var byName: [CanonicalHost: UInt32] = [:]
    private var order = UseOrder()
    private var next = addresses.lowerBound
    private var clock: UInt64 = 0

    /// - Parameter capacity: names at one time, 1 to 32768.
    init(capacity: Int = 4_096) {
        self.capacity = min(max(capacity, 1), 32_768)
    }

    var count: Int { entries.count }

    /// The address that stands for `name` from now on.
    mutating func address(for name: CanonicalHost) -> UInt32 {
        if let address = byName[name] {
            touch(address)
            return address
        }
        if entries.count >= capacity, let oldest = order.removeOldest(where: { entries[$0]?.used == $1 }),
            let entry = entries.removeValue(forKey: oldest)
        {
            byName[entry.name] = nil
        }
        while entries[next] != nil { advance() }
        let address = next
        advance()
        entries[address] = Entry(name: name, used: 0)
        byName[name] = address
        touch(address)
        return address
    }

    /// The name that `address` stands for. Dialling an address keeps its name.
    mutating func name(of address: UInt32) -> CanonicalHost? {
        guard let entry = entries[address] else { return nil }
        touch(address)
        return entry.name
    }

    private mutating func advance() {
        next = next == Self.addresses.upperBound ? Self.addresses.lowerBound : next + 1
    }

    private mutating func touch(_ address: UInt32) {
        clock += 1
        entries[address]?.used = clock
        order.append(address, clock)
        if order.count > 4 * capacity { order.compact { entries[$0]?.used == $1 } }
    }
}

/// Addresses in the order of their use; older notes of the same address are skipped, and thrown away now and then.
private struct UseOrder {
    private var notes: [(address: UInt32, used: UInt64)] = []
    private var start = 0

    var count: Int { notes.count - start }

    mutating func append(_ address: UInt32, _ used: UInt64) { notes.append((address, used)) }

    mutating func removeOldest(where isCurrent: (UInt32, UInt64) -> Bool) -> UInt32? {
        while start < notes.count {
            let note = notes[start]
            start += 1
            if isCurrent(note.address, note.used) { return note.address }
        }
        return nil
    }

    mutating func compact(keeping isCurrent: (UInt32, UInt64) -> Bool) {
        notes = notes[start...].filter { isCurrent($0.address, $0.used) }
        start = 0
    }
}
