import PosternJSON

/// Bodies of the tunnel routes (contract section 2.12).
package enum TunnelParams {
    /// In Unicode code points.
    private static let longestName = 255
    private static let longestReason = 1024

    /// `POST /v1/tunnels`: the display name, if there is one, and Postern's own `registration` and `hide_routes`.
    package static func creation(_ body: JSON?) throws(APIError) -> (displayName: String?, registration: String?, hidesRoutes: Bool?) {
        guard let body else { return (nil, nil, nil) }
        let object = try PlainObject(body, allowing: ["display_name", "registration", "hide_routes"])
        return (try text("display_name", in: object, atMost: longestName), try registration(object), try object.bool("hide_routes"))
    }

    /// `POST …/rotate_token`: why, for whoever reads the record later.
    package static func reason(_ body: JSON?) throws(APIError) -> String? {
        guard let body else { return nil }
        return try text("reason", in: try PlainObject(body, allowing: ["reason"]), atMost: longestReason)
    }

    /// `POST …/certificates`: PEM, and Postern's own `statement`.
    package static func authority(_ body: JSON) throws(APIError) -> (pem: String, statement: JSON?) {
        let object = try PlainObject(body, allowing: ["ca_certificate_pem", "statement"])
        guard object.members.contains("ca_certificate_pem") else { throw .invalid("ca_certificate_pem: Field required") }
        guard let pem = try object.string("ca_certificate_pem") else { throw .invalid("ca_certificate_pem: Input should be a valid string") }
        return (pem, statement(object))
    }

    /// `POST …/settings`: Postern's own.
    package struct Settings: Sendable {
        package var splice: Bool?
        package var hidesRoutes: Bool?
        /// `signed` or `api`.
        package var registration: String?
        package var statement: JSON?

        package init(_ body: JSON) throws(APIError) {
            let object = try PlainObject(body, allowing: ["splice", "hide_routes", "registration", "statement"])
            (splice, hidesRoutes) = (try object.bool("splice"), try object.bool("hide_routes"))
            (registration, statement) = (try TunnelParams.registration(object), TunnelParams.statement(object))
            guard splice != nil || hidesRoutes != nil || registration != nil else {
                throw .invalid("splice: Field required, or hide_routes, or registration")
            }
        }
    }

    /// `POST …/owner_key`: DER of a SubjectPublicKeyInfo in base64, and a statement. Postern's own.
    package static func ownerKey(_ body: JSON) throws(APIError) -> (key: [UInt8], statement: JSON?) {
        let object = try PlainObject(body, allowing: ["public_key", "statement"])
        guard let text = try object.string("public_key") else { throw .invalid("public_key: Field required") }
        guard text.utf8.count <= 1024, let key = Base64URL.decode(text.replacing("+", with: "-").replacing("/", with: "_")) else {
            throw .invalid("public_key: Input should be base64 of a public key in DER")
        }
        return (key, statement(object))
    }

    /// `POST …/endorse`: Postern's own.
    package static func endorsement(_ body: JSON) throws(APIError) -> JSON {
        guard let statement = statement(try PlainObject(body, allowing: ["statement"])) else { throw .invalid("statement: Field required") }
        return statement
    }

    private static func statement(_ object: PlainObject) -> JSON? { object.members["statement"].flatMap { $0.isNull ? nil : $0 } }

    private static func registration(_ object: PlainObject) throws(APIError) -> String? {
        guard let mode = try object.string("registration") else { return nil }
        guard ["signed", "api"].contains(mode) else { throw .invalid("registration: Input should be 'signed' or 'api'") }
        return mode
    }

    private static func text(_ key: String, in object: PlainObject, atMost longest: Int) throws(APIError) -> String? {
        guard let text = try object.string(key) else { return nil }
        guard !text.isEmpty else { throw .invalid("\(key): String should have at least 1 character") }
        guard text.unicodeScalars.count <= longest else { throw .invalid("\(key): String should have at most \(longest) characters") }
        return text
    }
}

/// `POST …/client_certificates`: Postern's own.
package struct ClientCertificateParams: Sendable, Equatable {
    /// A certificate signing request, PEM; only its key counts.
    package var request: String
    package var client: String
    /// None stands for every route of the tunnel.
    package var routes: [String]
    package var seconds: Int

    package static let lifetime = 60...86_400
    private static let mostRoutes = 64
    /// In bytes, as the certificate holds them.
    private static let longestName = 255

    package init(_ body: JSON) throws(APIError) {
        let object = try PlainObject(body, allowing: ["csr_pem", "client", "routes", "ttl_seconds"])
        guard let request = try object.string("csr_pem") else { throw .invalid("csr_pem: Field required") }
        guard let client = try object.string("client") else { throw .invalid("client: Field required") }
        try Self.check(client, "client")
        self.request = request
        self.client = client
        var routes: [String] = []
        if let value = object.members["routes"], !value.isNull {
            guard let array = value.array else { throw .invalid("routes: Input should be a valid list") }
            guard array.count <= Self.mostRoutes else { throw .invalid("routes: List should have at most \(Self.mostRoutes) items") }
            for (index, element) in array.enumerated() {
                guard let route = element.string else { throw .invalid("routes.\(index): Input should be a valid string") }
                try Self.check(route, "routes.\(index)")
                guard !routes.contains(route) else { throw .invalid("routes.\(index): \"\(route)\" is named twice") }
                routes.append(route)
            }
        }
        self.routes = routes
        seconds = 3600
        if let value = object.members["ttl_seconds"], !value.isNull {
            guard let number = value.int, Self.lifetime.contains(number) else {
                throw .invalid("ttl_seconds: Input should be an integer from \(Self.lifetime.lowerBound) to \(Self.lifetime.upperBound)")
            }
            seconds = number
        }
    }

    private static func check(_ text: String, _ place: String) throws(APIError) {
        guard (1...longestName).contains(text.utf8.count) else { throw .invalid("\(place): must have 1 to \(longestName) bytes") }
    }
}
