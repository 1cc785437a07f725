import PosternJSON
import PosternPolicy

/// Puts secrets into a JSON body where their binding points, and finds placeholders anywhere else. A value without I/O.
enum BodySecrets {
    /// Bodies that are to be filled are held whole, so they are bounded.
    static let maximumBytes = 1 << 20

    /// The body with the secrets in it and the names of those that were used. Throws for a placeholder in any other place.
    static func fill(_ body: [UInt8], secrets: [BoundSecret]) throws(RequestSecrets.Misplaced) -> (body: [UInt8], used: [String]) {
        guard let first = secrets.first(where: { Bytes.contains(body, Array($0.placeholder.utf8)) }) else { return (body, []) }
        guard var json = try? JSON(parsing: body) else {
            throw RequestSecrets.Misplaced(secret: first.binding.name, place: "a body that is no JSON")
        }
        var used: [String] = []
        for secret in secrets {
            guard let pointer = secret.binding.body?.pointer, let value = secret.value.text,
                let filled = replacing(secret.placeholder, by: value, in: json, at: path(pointer)[...])
            else { continue }
            json = filled
            used.append(secret.binding.name)
        }
        let output = used.isEmpty ? body : json.encoded
        for secret in secrets where Bytes.contains(output, Array(secret.placeholder.utf8)) {
            throw RequestSecrets.Misplaced(secret: secret.binding.name, place: "the body, elsewhere than at \(secret.binding.body?.pointer ?? "")")
        }
        return (output, used)
    }

    /// The reference tokens of a pointer (RFC 6901, section 4).
    private static func path(_ pointer: String) -> [String] {
        pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            .map { String($0).replacing("~1", with: "/").replacing("~0", with: "~") }
    }

    private static func replacing(_ placeholder: String, by value: String, in json: JSON, at path: ArraySlice<String>) -> JSON? {
        guard let key = path.first else { return json == .string(placeholder) ? .string(value) : nil }
        switch json {
        case .object(var object):
            guard let member = object[key], let filled = replacing(placeholder, by: value, in: member, at: path.dropFirst()) else { return nil }
            object[key] = filled
            return .object(object)
        case .array(var elements):
            guard let index = Int(key), elements.indices.contains(index),
                let filled = replacing(placeholder, by: value, in: elements[index], at: path.dropFirst())
            else { return nil }
            elements[index] = filled
            return .array(elements)
        default: return nil
        }
    }
}
