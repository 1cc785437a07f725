import PosternJSON

/// Bodies of the tunnel routes (contract section 2.12).
package enum TunnelParams {
    /// In Unicode code points.
    private static let longestName = 255
    private static let longestReason = 1024

    /// `POST /v1/tunnels`: the display name, if there is one.
    package static func displayName(_ body: JSON?) throws(APIError) -> String? {
        try text("display_name", in: body, atMost: longestName)
    }

    /// `POST …/rotate_token`: why, for whoever reads the record later.
    package static func reason(_ body: JSON?) throws(APIError) -> String? { try text("reason", in: body, atMost: longestReason) }

    /// `POST …/certificates`: PEM.
    package static func authority(_ body: JSON) throws(APIError) -> String {
        let object = try PlainObject(body, allowing: ["ca_certificate_pem"])
        guard object.members.contains("ca_certificate_pem") else { throw .invalid("ca_certificate_pem: Field required") }
        guard let pem = try object.string("ca_certificate_pem") else { throw .invalid("ca_certificate_pem: Input should be a valid string") }
        return pem
    }

    /// `POST …/settings`: Postern's own.
    package static func splice(_ body: JSON) throws(APIError) -> Bool {
        guard let splice = try PlainObject(body, allowing: ["splice"]).bool("splice") else { throw .invalid("splice: Field required") }
        return splice
    }

    private static func text(_ key: String, in body: JSON?, atMost longest: Int) throws(APIError) -> String? {
        guard let body, let text = try PlainObject(body, allowing: [key]).string(key) else { return nil }
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
