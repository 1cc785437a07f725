/// Something that the connector was given cannot be used: a file, a key, a value, a list. It does not start with it, and does not take it up while it runs.
package struct ConnectorError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
