import ManagedAgentsAPI
import PosternJSON

// How our values lie in columns: times as microseconds, JSON as its text.

extension SQLValue {
    init(_ time: Timestamp) { self = .integer(time.microseconds) }
    init(_ time: Timestamp?) { self = time.map { .integer($0.microseconds) } ?? .null }
    init(_ object: JSONObject) { self = .text(JSON.object(object).text) }
    init(_ strings: [String]) { self = .text(JSON.array(strings.map(JSON.string)).text) }
}

extension SQLRowReader {
    mutating func time() throws(SQLFailure) -> Timestamp { Timestamp(microseconds: Int64(try integer())) }
    mutating func optionalTime() throws(SQLFailure) -> Timestamp? { try optionalInteger().map(Timestamp.init(microseconds:)) }

    mutating func json() throws(SQLFailure) -> JSON {
        let text = try text()
        do {
            return try JSON(parsing: text)
        } catch {
            throw .invalid("stored JSON does not parse: \(error)")
        }
    }

    mutating func object() throws(SQLFailure) -> JSONObject {
        guard let object = try json().object else { throw .invalid("stored JSON is not an object") }
        return object
    }

    mutating func strings() throws(SQLFailure) -> [String] {
        guard let array = try json().array else { throw .invalid("stored JSON is not an array") }
        return array.compactMap(\.string)
    }

    /// A value of an enumeration, stored as its name.
    mutating func name<Value: RawRepresentable>(_ type: Value.Type) throws(SQLFailure) -> Value where Value.RawValue == String {
        let text = try text()
        guard let value = Value(rawValue: text) else { throw .invalid("'\(text)' is not a \(type)") }
        return value
    }
}
