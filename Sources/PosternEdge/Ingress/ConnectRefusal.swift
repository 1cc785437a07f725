import PosternTunnelWire

/// Why an edge does not grant a `CONNECT`, as its caller hears it.
struct ConnectRefusal: Error, Sendable {
    var status: Int
    var type: String
    var message: String
    /// For metrics.
    var reason: String
    var fields: [(name: String, value: String)] = []

    static let noCredential = ConnectRefusal(
        status: 407, type: "authentication_error",
        message:
            "CONNECT needs a runtime certificate of the tunnel as client certificate of TLS to the edge (curl --proxy-cert --proxy-key), or an API "
            + "key or sessions token as \"Proxy-Authorization: Bearer …\"", reason: "no_credential",
        fields: [("Proxy-Authenticate", "Bearer realm=\"postern\"")])

    /// The same whether or not there is such a tunnel.
    static let notOpen = ConnectRefusal(CallRefusal.notOpen)

    static let notReady = ConnectRefusal(
        status: 503, type: "api_error", message: "\(CallRefusal.notReady)", reason: CallRefusal.notReady.reason, fields: [("Retry-After", "1")])

    static let unavailable = ConnectRefusal(
        status: 503, type: "api_error", message: "the control plane does not answer, so the credential cannot be checked; try again",
        reason: "unavailable")

    /// A certificate that the workspace's authority did sign: its holder may know what is wrong with it.
    static func certificate(_ error: RuntimeCertificateError) -> ConnectRefusal {
        ConnectRefusal(
            status: 403, type: "permission_error", message: "the client certificate does not open the tunnel: \(error)", reason: "certificate")
    }

    /// Said of a certificate whose signature, tunnel and route were good.
    static let ended = ConnectRefusal(
        status: 403, type: "permission_error",
        message: "the API key that asked for the client certificate was revoked or has expired: have one issued by another key",
        reason: "ended")

    /// The same.
    static let sessionEnded = ConnectRefusal(
        status: 403, type: "permission_error", message: "the session that the client certificate names has ended", reason: "ended")

    static let reported = ConnectRefusal(
        status: 503, type: "api_error",
        message: "this caller has reported that the inner handshakes of all legs of the tunnel fail: they get none of its calls for a time",
        reason: "reported", fields: [("Retry-After", "30")])

    static func route(_ route: String) -> ConnectRefusal {
        ConnectRefusal(
            status: 403, type: "permission_error", message: "the client certificate does not open the route \(route): have one issued that names it",
            reason: "certificate")
    }
}

extension ConnectRefusal {
    init(_ refusal: ShareRefusal) {
        self.init(
            status: refusal.status, type: refusal.status == 429 ? "rate_limit_error" : "overloaded_error", message: "\(refusal)",
            reason: refusal.rawValue, fields: [("Retry-After", "1")])
    }

    init(_ refusal: CallRefusal) {
        self.init(status: 403, type: "permission_error", message: "\(refusal)", reason: refusal.reason)
    }
}
