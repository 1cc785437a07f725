import PosternJSON

/// A policy with what is known about where it came from.
package struct LoadedPolicy: Sendable {
    package var policy: Policy
    package var match: PolicyMatch
    /// The file; `profile NAME` for a profile itself.
    package var file: String
    /// The profile and the document together, checked, in canonical spelling.
    let document: JSON
    let places: [PolicyPath: SourcePlace]

    /// Where the value at `path` of the document was written, or the nearest one around it.
    package func place(of path: PolicyPath) -> SourcePlace? {
        var path: PolicyPath? = path
        while let current = path {
            if let place = places[current] { return place }
            path = current.parent
        }
        return nil
    }

    /// Where the element of the list at `path` that reads `text` was written. Lists of a policy may be in another order than those of the
    /// document.
    package func place(ofElement text: String, in path: PolicyPath) -> SourcePlace? {
        var value: JSON? = document
        for case .key(let key) in path.elements { value = value?[key] }
        guard let index = value?.array?.firstIndex(where: { $0.string == text || $0["id"]?.string == text }) else { return nil }
        return place(of: path.index(index))
    }
}
