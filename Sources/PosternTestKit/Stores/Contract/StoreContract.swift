import PosternCore

/// What every store does: run over the in-memory twin and over each real one. A case gets an empty store.
package enum StoreContract {
    package struct Case: Sendable, CustomStringConvertible {
        package let name: String
        package let run: @Sendable (any Store) async throws -> Void

        init(_ name: String, _ run: @escaping @Sendable (any Store) async throws -> Void) {
            self.name = name
            self.run = run
        }

        package var description: String { name }
    }

    /// A store that answered something else than the contract says.
    package struct Violation: Error, CustomStringConvertible {
        package let description: String
    }

    package static let cases = sessionCases + listCases + eventCases + workCases + resourceCases + keyCases + tunnelCases + registrationCases

    static func expect(_ condition: Bool, _ what: String, line: UInt = #line, file: String = #fileID) throws {
        guard condition else { throw Violation(description: "\(file):\(line): \(what)") }
    }

    static func equal<Value: Equatable>(_ found: Value, _ expected: Value, line: UInt = #line, file: String = #fileID) throws {
        guard found == expected else { throw Violation(description: "\(file):\(line): found \(found), expected \(expected)") }
    }

    static func refused(
        _ error: StoreError, line: UInt = #line, file: String = #fileID, _ body: () async throws(StoreError) -> Void
    ) async throws {
        do throws(StoreError) {
            try await body()
        } catch let found {
            return try equal(found, error, line: line, file: file)
        }
        throw Violation(description: "\(file):\(line): \(error) was not thrown")
    }

    /// Walks a list page by page to its end and back to its start, and checks that both walks saw the same.
    static func walk<Element: Equatable & Sendable>(
        _ list: (PagePosition?) async throws -> Page<Element>, line: UInt = #line
    ) async throws -> [[Element]] {
        var pages: [Page<Element>] = [try await list(nil)]
        try expect(pages[0].previous == nil, "the first page has a previous one", line: line)
        while let next = pages[pages.count - 1].next { pages.append(try await list(next)) }
        var index = pages.count - 1
        var page = pages[index]
        while let previous = page.previous {
            index -= 1
            page = try await list(previous)
            try expect(index >= 0, "the way back is longer", line: line)
            try equal(page.elements, pages[index].elements, line: line)
            try expect(page.next != nil, "a page reached backwards has no next one", line: line)
        }
        try equal(index, 0, line: line)
        return pages.map(\.elements)
    }
}
