import PosternHTTP
import PosternPolicy

/// What the secrets of a session mean for one request: filled in where they belong, refused where they do not. A value without I/O.
struct RequestSecrets: Sendable {
    /// The request with secrets in its headers; the only copy that may go upstream.
    private(set) var head: RequestHead
    /// Names of the secrets that were filled into headers.
    private(set) var used: [String] = []
    /// Secrets whose placeholder may stand in the body of this request, at their pointer.
    private(set) var inBody: [BoundSecret] = []
    /// A header with a credential that is no placeholder; `nil` for none.
    private(set) var foreignCredential: String?

    /// A placeholder where it may not be.
    struct Misplaced: Error, Hashable, Sendable {
        /// The secret's name.
        var secret: String
        /// "the URL", "header X" …
        var place: String
    }

    /// Headers that carry credentials with many services.
    private static let credentialHeaders: Set<String> = [
        "authorization", "cookie", "x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token", "x-goog-api-key", "private-token", "job-token",
        "x-amz-security-token", "x-functions-key", "x-vault-token", "x-shopify-access-token", "ocp-apim-subscription-key",
    ]

    init(_ request: ForwardedRequest, secrets: [BoundSecret]) throws(Misplaced) {
        head = request.head
        let target = Bytes.unescaped(Bytes.unescaped(request.target))
        for secret in secrets {
            let placeholder = Array(secret.placeholder.utf8)
            if Bytes.contains(request.target, placeholder) || Bytes.contains(target, placeholder)
                || Bytes.contains(Array(head.method.utf8), placeholder)
            {
                throw Misplaced(secret: secret.binding.name, place: "the URL")
            }
            for (index, field) in head.fields.all.enumerated() {
                if Bytes.contains(Array(field.name.utf8), placeholder) { throw Misplaced(secret: secret.binding.name, place: "the name of a header") }
                switch HeaderCredential.fill(field, with: secret, destination: request.destination, encrypted: request.encrypted) {
                case .nothing: break
                case .filled(let value):
                    guard request.head.fields.named(secret.binding.header).count == 1 else {
                        throw Misplaced(secret: secret.binding.name, place: "header \(field.key), which is given more than once")
                    }
                    head.fields.all[index].value = value
                    used.append(secret.binding.name)
                case .misplaced:
                    let place = "header \(field.key)" + (secret.isWithdrawn ? ", and the session may not use that secret any more" : "")
                    throw Misplaced(secret: secret.binding.name, place: place)
                }
            }
            if let body = secret.binding.body, body.method == head.method, body.path.covers(request.path.path),
                secret.binding.covers(request.destination.host, port: request.destination.port), request.encrypted
            {
                inBody.append(secret)
            }
        }
        let own = Set(secrets.filter { used.contains($0.binding.name) }.map(\.binding.header))
        foreignCredential = head.fields.all.first { Self.credentialHeaders.contains($0.key) && !own.contains($0.key) }?.key
    }
}
