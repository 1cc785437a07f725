/// Where a value was written.
package struct SourcePlace: Sendable, Hashable, CustomStringConvertible {
    /// The file's path as it was given, or `profile NAME` for what comes with Postern.
    package var file: String
    /// From 1.
    package var line: Int
    /// From 1, in Unicode scalars.
    package var column: Int

    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    package var description: String { "\(file):\(line):\(column)" }
}
