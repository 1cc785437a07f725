import PosternJSON

/// One page of a list.
package struct ListPage: Sendable {
    package var data: [JSON]
    /// Where the next page starts; `nil` at the end. An empty `data` does not mean the end (contract, section 1.6).
    package var nextPage: String?
    /// The whole answer, for output.
    package var json: JSON

    init(_ json: JSON) throws(ClientError) {
        guard let data = json["data"]?.array else { throw .malformed("a list has no data") }
        self.data = data
        let next = json["next_page"]?.string ?? ""
        nextPage = next.isEmpty ? nil : next
        self.json = json
    }
}

extension ManagedAgentsClient {
    /// One page. Pass `nextPage` as the query's `page` for the one after.
    package func page(_ path: RequestPath, query: RequestQuery = [:], options call: CallOptions = CallOptions()) async throws(ClientError) -> ListPage
    {
        try ListPage(try await request(.get, path, query: query, options: call).json())
    }

    /// All elements, page after page, in order; stops after `limit` elements.
    package func list(_ path: RequestPath, query: RequestQuery = [:], limit: Int = .max) async throws(ClientError) -> [JSON] {
        var query = query
        var elements: [JSON] = []
        var seen: Set<String> = []
        while true {
            let page = try await page(path, query: query)
            elements += page.data.prefix(limit - elements.count)
            guard elements.count < limit, let next = page.nextPage else { return elements }
            // A service that repeats a cursor would keep us here for ever.
            guard seen.insert(next).inserted else { throw .malformed("a list repeats its cursor") }
            query.set("page", next)
        }
    }

    /// The elements of a list that pages by `after_id` (models).
    package func listByID(_ path: RequestPath, query: RequestQuery = [:]) async throws(ClientError) -> [JSON] {
        var query = query
        var elements: [JSON] = []
        while true {
            let json = try await request(.get, path, query: query).json()
            guard let data = json["data"]?.array else { throw .malformed("a list has no data") }
            elements += data
            guard json["has_more"]?.bool == true, let last = json["last_id"]?.string, !data.isEmpty else { return elements }
            query.set("after_id", last)
        }
    }
}
