/// Why an edge that was dialled has given no answer, or none that is whole.
package struct DialError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
