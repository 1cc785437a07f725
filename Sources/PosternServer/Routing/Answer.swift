import HTTPTypes
import Hummingbird
import HummingbirdCore
import ManagedAgentsAPI
import NIOCore
import PosternJSON

/// What a handler has to say.
enum Answer: Sendable {
    case json([UInt8], headers: HTTPFields)
    case text(String, contentType: String)
    case stream(ResponseBody)
    /// 204.
    case empty

    static func json(_ json: JSON) -> Answer { .json(json.encoded, headers: [:]) }
    static func json(_ object: JSONObject) -> Answer { .json(.object(object)) }

    /// A page whose elements are encoded already.
    /// - Parameter last: What the last page says of `next_page`, which differs between lists (observed behaviours, "terminal page").
    static func page(_ elements: [[UInt8]], next: String?, last: LastPage, previous: String? = nil) -> Answer {
        var bytes = Array("{\"data\":[".utf8)
        bytes.reserveCapacity(elements.reduce(64) { $0 + $1.count + 1 })
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += element
        }
        bytes.append(UInt8(ascii: "]"))
        if next != nil || last == .null { bytes += Array(",\"next_page\":".utf8) + JSON(next).encoded }
        if let previous { bytes += Array(",\"prev_page\":".utf8) + JSON.string(previous).encoded }
        bytes.append(UInt8(ascii: "}"))
        return .json(bytes, headers: [:])
    }

    enum LastPage { case null, omitted }

    func response() -> Response {
        switch self {
        case .json(let bytes, var headers):
            headers[.contentType] = "application/json"
            return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        case .text(let text, let contentType):
            return Response(status: .ok, headers: [.contentType: contentType], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        case .empty: return Response(status: .noContent)
        case .stream(let body):
            return Response(
                status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache", .accelBuffering: "no"], body: body
            )
        }
    }
}

extension APIError {
    /// - Parameter requestID: Nil for an answer that names none (`APIError.namesRequest`).
    func response(requestID: String?) -> Response {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let shouldRetry { headers[.shouldRetry] = shouldRetry ? "true" : "false" }
        if let retryAfter { headers[.retryAfter] = String(retryAfter) }
        return Response(
            status: HTTPResponse.Status(code: status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body(requestID: requestID).encoded)))
    }
}
