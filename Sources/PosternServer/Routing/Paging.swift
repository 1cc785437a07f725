import ManagedAgentsAPI
import PosternCore

// Cursors of lists: a position in the store, the list and the order, in one opaque text.
extension Query {
    /// - Parameter list: Names the list, and what it is a list of.
    func position(_ list: String, _ order: SortOrder) throws(APIError) -> PagePosition? {
        guard let text = string("page"), !text.isEmpty else { return nil }
        let cursor = try PageCursor.decode(text, list: list, isDescending: order == .descending)
        return PagePosition(major: cursor.major, minor: cursor.minor, isBackward: cursor.isBackward)
    }

    /// `key[gt]`, `key[gte]`, `key[lt]`, `key[lte]`.
    func range(_ key: String) throws(APIError) -> TimeRange {
        TimeRange(
            after: try time(key, "gt"), atOrAfter: try time(key, "gte"), before: try time(key, "lt"), atOrBefore: try time(key, "lte"))
    }
}

extension PagePosition {
    func cursor(_ list: String, _ order: SortOrder) -> String {
        PageCursor(major: major, minor: minor, isBackward: isBackward, isDescending: order == .descending).encoded(for: list)
    }
}

extension Page {
    /// The page as an answer.
    func answer(
        _ list: String, _ order: SortOrder = .descending, last: Answer.LastPage, showsPrevious: Bool = false, _ encode: (Element) -> [UInt8]
    ) -> Answer {
        .page(
            elements.map(encode), next: next?.cursor(list, order), last: last, previous: showsPrevious ? previous?.cursor(list, order) : nil)
    }
}
