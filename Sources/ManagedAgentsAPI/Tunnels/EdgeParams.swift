import PosternJSON

/// Bodies that an edge sends (`/postern/v1/edge/…`).
package enum EdgeParams {
    /// `POST …/enrolments`.
    package struct Enrolment: Sendable, Equatable {
        package var token: String
        /// The connector's public key: DER of a SubjectPublicKeyInfo.
        package var key: [UInt8]

        package init(_ body: JSON) throws(APIError) {
            let object = try PlainObject(body, allowing: ["tunnel_token", "connector_key"])
            guard let token = try object.string("tunnel_token") else { throw .invalid("tunnel_token: Field required") }
            guard let text = try object.string("connector_key") else { throw .invalid("connector_key: Field required") }
            guard text.utf8.count <= 1024, let key = Base64URL.decode(text.replacing("+", with: "-").replacing("/", with: "_")) else {
                throw .invalid("connector_key: Input should be base64 of a public key in DER")
            }
            self.token = token
            self.key = key
        }
    }

    /// `POST …/authorizations`.
    package struct Authorization: Sendable {
        /// An API key or a sessions token. A secret.
        package var credential: String
        package var tunnelID: String

        package init(_ body: JSON) throws(APIError) {
            let object = try PlainObject(body, allowing: ["credential", "tunnel_id"])
            guard let credential = try object.string("credential") else { throw .invalid("credential: Field required") }
            guard let tunnelID = try object.string("tunnel_id") else { throw .invalid("tunnel_id: Field required") }
            self.credential = credential
            self.tunnelID = tunnelID
        }
    }

    /// `POST …/principals`: whose credentials have opened calls that run.
    package struct Principals: Sendable, Equatable {
        /// As authorizations have named them.
        package var ids: [String]

        /// In one question.
        package static let most = 1000

        package init(_ body: JSON) throws(APIError) {
            let object = try PlainObject(body, allowing: ["principals"])
            guard let list = object.members["principals"]?.array else { throw .invalid("principals: Field required") }
            guard list.count <= Self.most else { throw .invalid("principals: must have at most \(Self.most) elements") }
            ids = []
            for (index, item) in list.enumerated() {
                guard let id = item.string, (1...256).contains(id.utf8.count) else {
                    throw .invalid("principals.\(index): Input should be a string of 1 to 256 bytes")
                }
                ids.append(id)
            }
        }
    }

    /// One leg, as the edge that holds it describes it.
    package struct Leg: Sendable, Equatable {
        /// The fingerprint of its connector's key: lowercase hexadecimal.
        package var connectorKey: String
        /// The connector's version, in its own words.
        package var version: String
        package var since: Timestamp
        package var streams: Int
        package var bytesIn: Int
        package var bytesOut: Int
        /// When the connector's server certificate ends, in its own words; `nil` where it does not say.
        package var certificateExpires: Timestamp?

        package init(
            connectorKey: String, version: String, since: Timestamp, streams: Int, bytesIn: Int, bytesOut: Int, certificateExpires: Timestamp? = nil
        ) {
            self.connectorKey = connectorKey
            self.version = version
            self.since = since
            self.streams = streams
            self.bytesIn = bytesIn
            self.bytesOut = bytesOut
            self.certificateExpires = certificateExpires
        }

        init(_ body: JSON, _ place: String) throws(APIError) {
            func number(_ key: String) throws(APIError) -> Int {
                guard let value = body[key]?.int, value >= 0 else { throw .invalid("\(place).\(key): Input should be an integer of at least 0") }
                return value
            }
            guard let key = body["connector_key"]?.string, key.utf8.count == 64 else {
                throw .invalid("\(place).connector_key: Input should be a fingerprint of 64 characters")
            }
            guard let version = body["version"]?.string, version.utf8.count <= 64 else {
                throw .invalid("\(place).version: Input should be a string of at most 64 bytes")
            }
            guard let since = body["since"]?.string.flatMap({ Timestamp($0) }) else {
                throw .invalid("\(place).since: Input should be a valid datetime")
            }
            var expires: Timestamp?
            if let told = body["certificate_expires_at"], told != .null {
                guard let time = told.string.flatMap({ Timestamp($0) }) else {
                    throw .invalid("\(place).certificate_expires_at: Input should be a valid datetime")
                }
                expires = time
            }
            self.init(
                connectorKey: key, version: version, since: since, streams: try number("streams"), bytesIn: try number("bytes_in"),
                bytesOut: try number("bytes_out"), certificateExpires: expires)
        }
    }

    /// `PUT …/connectors`: every leg that an edge holds.
    package struct Report: Sendable, Equatable {
        /// The edge's name.
        package var edge: String
        /// Tunnel → its legs.
        package var legs: [String: [Leg]]

        private static let longestName = 128
        /// Legs of one tunnel, and legs in all: what one report may fill in memory.
        private static let mostLegsOfTunnel = 64
        private static let mostLegs = 50_000

        package init(_ body: JSON) throws(APIError) {
            let object = try PlainObject(body, allowing: ["edge", "tunnels"])
            guard let edge = try object.string("edge") else { throw .invalid("edge: Field required") }
            guard (1...Self.longestName).contains(edge.utf8.count) else { throw .invalid("edge: must have 1 to \(Self.longestName) bytes") }
            guard let tunnels = object.members["tunnels"]?.array else { throw .invalid("tunnels: Field required") }
            var legs: [String: [Leg]] = [:]
            var count = 0
            for (index, tunnel) in tunnels.enumerated() {
                let place = "tunnels.\(index)"
                guard let id = tunnel["tunnel_id"]?.string, ResourceID.isWellFormed(id, .tunnel) else {
                    throw .invalid("\(place).tunnel_id: Input should be a tunnel's id")
                }
                guard let array = tunnel["legs"]?.array, array.count <= Self.mostLegsOfTunnel else {
                    throw .invalid("\(place).legs: Input should be a list of at most \(Self.mostLegsOfTunnel) legs")
                }
                count += array.count
                guard count <= Self.mostLegs else { throw .invalid("tunnels: more than \(Self.mostLegs) legs in all") }
                var read: [Leg] = []
                for (number, leg) in array.enumerated() { read.append(try Leg(leg, "\(place).legs.\(number)")) }
                guard legs.updateValue(read, forKey: id) == nil else { throw .invalid("\(place).tunnel_id: \(id) is named twice") }
            }
            self.edge = edge
            self.legs = legs
        }
    }
}
