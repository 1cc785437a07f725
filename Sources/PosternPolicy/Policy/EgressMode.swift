import PosternJSON

/// Which process carries a session's connections.
package enum EgressMode: String, Sendable, Hashable, CaseIterable {
    /// A proxy process of the session's own.
    case perSession = "per_session"
    /// One process for several sessions: less memory, and one wall fewer between their secrets.
    case shared

    /// The stricter of both.
    package func narrowed(by other: EgressMode) -> EgressMode { self == .perSession ? self : other }
}

/// The corporate proxy between the egress proxy and the Internet, and the authority that it or the upstream servers chain to.
package struct UpstreamSettings: Sendable, Hashable {
    /// `http://host:port`, asked with `CONNECT`; `nil` dials directly.
    package var proxy: Authority?
    /// Name of the secret that is `user:password` for the proxy's Basic authentication; `nil` sends none.
    package var proxySecret: String?
    /// Absolute path of a file with PEM certificates that upstream servers may chain to besides the system's roots.
    package var caFile: String?

    package init(proxy: Authority? = nil, proxySecret: String? = nil, caFile: String? = nil) {
        self.proxy = proxy
        self.proxySecret = proxySecret
        self.caFile = caFile
    }

    package init(json: JSON) throws(PolicyValueError) {
        var fields = try FieldReader(json)
        if let text = try fields.string("proxy") {
            guard text.hasPrefix("http://") else {
                throw PolicyValueError(path: ["proxy"], value: text, rule: "must be a proxy's URL", remedy: "write http://host:port")
            }
            do throws(PolicyValueError) {
                proxy = try Authority(text.dropFirst("http://".count).last == "/" ? String(text.dropFirst(7).dropLast()) : String(text.dropFirst(7)))
            } catch {
                throw error.below("proxy")
            }
        }
        proxySecret = try fields.string("proxy_secret")
        caFile = try fields.string("ca_file")
        try fields.finish()
        if proxySecret != nil, proxy == nil {
            throw PolicyValueError(path: ["proxy_secret"], value: proxySecret ?? "", rule: "is for a proxy, and none is named", remedy: "add proxy")
        }
    }

    package var json: JSON {
        var object = JSONObject()
        object["proxy"] = proxy.map { .string("http://\($0)") }
        object["proxy_secret"] = proxySecret.map(JSON.string)
        object["ca_file"] = caFile.map(JSON.string)
        return .object(object)
    }
}
