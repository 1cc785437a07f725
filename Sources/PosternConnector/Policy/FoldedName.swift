import PosternJSON

/// Names as the most lenient of servers would compare them.
///
/// A server that matches members of objects without regard to case (Go's `encoding/json` does, the long s and the Kelvin sign included) reads
/// `{"method": "ping", "Method": "tools/call"}` as another message than a strict one. Whatever could be read in two ways is refused.
enum FoldedName {
    /// One for all spellings that differ in case only.
    static func of(_ name: String) -> String { name.uppercased().lowercased() }

    /// Two keys of one object, here or further inside, that differ in case only; `nil` where there are none.
    static func collision(in json: JSON) -> String? {
        switch json {
        case .array(let elements):
            for element in elements {
                if let key = collision(in: element) { return key }
            }
        case .object(let object):
            var seen: Set<String> = []
            for (key, value) in object {
                guard seen.insert(of(key)).inserted else { return key }
                if let key = collision(in: value) { return key }
            }
        default: break
        }
        return nil
    }

    /// A key of `object` that is one of `names` but for its case; `nil` where there is none.
    static func lookAlike(in object: JSONObject, of names: some Sequence<String>) -> String? {
        var folded: [String: String] = [:]
        for name in names { folded[of(name)] = name }
        return object.keys.first { key in
            guard let name = folded[of(key)] else { return false }
            // By bytes: Swift's `==` takes the Kelvin sign for a K.
            return !name.utf8.elementsEqual(key.utf8)
        }
    }
}
