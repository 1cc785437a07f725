import PosternCore

/// Reads one page of a list that is sorted by unique keys: the scan starts at a key instead of counting rows, so that every page
/// costs the same.
struct Keyset {
    let order: SortOrder
    let from: PagePosition?
    let limit: Int

    init(order: SortOrder, from: PagePosition?, limit: Int) {
        self.order = order
        self.from = from
        self.limit = max(1, limit)
    }

    private var isBackward: Bool { from?.isBackward ?? false }
    /// Whether rows are read with growing keys. A page towards the start of the list is read from its end.
    var scansAscending: Bool { (order == .ascending) != isBackward }
    /// Compares a row's key with the position's.
    var comparison: String { scansAscending ? ">" : "<" }
    /// One more than wanted, which tells whether the list goes on.
    var scanLimit: Int { limit + 1 }

    /// Starts `query` at the position; `columns` are a time and an id.
    func start(_ query: inout SQLQuery, _ columns: (major: String, minor: String)) {
        guard let from else { return }
        query.where("(\(columns.major), \(columns.minor)) \(comparison) (?, ?)", .integer(from.major), .text(from.minor))
    }

    /// Makes the page of up to `scanLimit` elements in scan order. `isCut`: the scan ended before its time, so the list may go on.
    func page<Element>(_ scanned: [Element], isCut: Bool = false, position: (Element) -> PagePosition) -> Page<Element> {
        let goesOn = isCut || scanned.count > limit
        var elements = Array(scanned.prefix(limit))
        if isBackward { elements.reverse() }
        let hasNext = isBackward || goesOn
        let hasPrevious = isBackward ? goesOn : from != nil
        return Page(
            elements: elements,
            next: hasNext ? elements.last.map(position) : nil,
            previous: hasPrevious
                ? elements.first.map {
                    var place = position($0)
                    place.isBackward = true
                    return place
                } : nil
        )
    }
}
