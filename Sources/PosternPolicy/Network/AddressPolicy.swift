import PosternJSON

/// Which addresses Postern dials: the public ones, and those that the operator names. One for the egress proxy, the connector and every
/// client of the control plane.
package struct AddressPolicy: Sendable, Hashable {
    /// Blocks that are dialled although they are not public. A metadata address is lifted by its own address only, never by a block.
    package var allowed: [AddressRange]

    package init(allowed: [AddressRange] = []) {
        self.allowed = allowed
    }

    /// Why `address` is not dialled; `nil` when it is. An address that carries an IPv4 address leads to that one, by a translator or a
    /// tunnel, so both have to be dialled.
    package func refusal(of address: IPAddress) -> AddressRefusal? {
        if let service = SpecialAddresses.metadataService(address) {
            if allowed.contains(AddressRange(address)) { return nil }
            return AddressRefusal(address: address, kind: service, remedy: "policies cannot name it")
        }
        guard let kind = SpecialAddresses.kind(of: address) else { return nil }
        guard allowed.contains(where: { $0.contains(address) }) else {
            return AddressRefusal(
                address: address, kind: kind, remedy: "if it is meant, name \(address) or its block below \"network.addresses\" in the policy")
        }
        for inner in SpecialAddresses.embedded(in: address) {
            guard let refusal = self.refusal(of: .v4(inner)) else { continue }
            return AddressRefusal(address: address, kind: "\(kind) for \(refusal.address), \(refusal.kind)", remedy: refusal.remedy)
        }
        return nil
    }

    /// Whether a policy can name `address` at all: no block lifts the metadata services of clouds.
    package static func canBeNamed(_ address: IPAddress) -> Bool { AddressPolicy(allowed: everything).refusal(of: address) == nil }

    private static let everything = ["0.0.0.0/0", "::/0"].compactMap { try? AddressRange($0) }

    /// What both policies dial.
    package func narrowed(by other: AddressPolicy) -> AddressPolicy {
        var both: [AddressRange] = []
        for mine in allowed {
            for theirs in other.allowed {
                // A block would lift a metadata address that one side has named and the other only covers.
                if let range = mine.intersection(theirs), !both.contains(range) { both.append(range) }
            }
        }
        let exact = { (range: AddressRange) in SpecialAddresses.metadataService(range.base) != nil && range == AddressRange(range.base) }
        return AddressPolicy(allowed: both.filter { !exact($0) || allowed.contains($0) && other.allowed.contains($0) })
    }

    package init(json: JSON) throws(PolicyValueError) {
        guard let elements = json.array else { throw PolicyValueError(value: json.text, rule: "must be a list, not \(json.kind)") }
        allowed = []
        for (index, element) in elements.enumerated() {
            do throws(PolicyValueError) {
                allowed.append(try AddressRange(try FieldReader.text(element)))
            } catch {
                throw error.below(String(index))
            }
        }
    }

    package var json: JSON { .array(allowed.map { .string($0.description) }) }
}

/// Why an address is not dialled.
package struct AddressRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    package var address: IPAddress
    /// What the address is: "a private address", "a loopback address" …
    package var kind: String
    package var remedy: String

    package var description: String { "\(address) is \(kind), which is not dialled unless it is named; \(remedy)" }
}
