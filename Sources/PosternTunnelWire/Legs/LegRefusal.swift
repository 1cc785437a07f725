import PosternJSON

/// Why an edge does not take a leg. Connectors decide by it whether to try again.
package struct LegRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: String, Hashable, Sendable, CaseIterable {
        /// No tunnel has this token.
        case tokenUnknown = "token_unknown"
        /// The token was this tunnel's until it was rotated.
        case tokenRotated = "token_rotated"
        /// The tunnel is archived, or there is none with this id.
        case tunnelArchived = "tunnel_archived"
        /// The connector's key is none of the tunnel's.
        case notEnrolled = "not_enrolled"
        /// No client certificate, or one without a key on P-256.
        case noConnectorKey = "no_connector_key"
        /// The answer to the challenge does not prove the key to this edge.
        case proofRefused = "proof_refused"
        /// The edge takes no proof by challenge.
        case proofNotTaken = "proof_not_taken"
        /// The tunnel has as many legs as it may have.
        case tooManyLegs = "too_many_legs"
        /// Another request for the leg, of the same key and name, has come since this one.
        case replaced
        /// The control plane does not answer.
        case unavailable
        /// The request is not one for a leg.
        case malformed
    }

    package var reason: Reason
    package var message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    /// The HTTP status that says it.
    package var status: Int {
        switch reason {
        case .tokenUnknown, .tokenRotated, .tunnelArchived, .notEnrolled, .noConnectorKey, .proofRefused, .proofNotTaken: 403
        case .tooManyLegs, .replaced, .unavailable: 503
        case .malformed: 400
        }
    }

    /// Whether another try, without anybody's doing, can come to another end.
    package var isTemporary: Bool { status == 503 }

    package var description: String { message }

    package var json: JSON {
        let type = status == 403 ? "permission_error" : status == 400 ? "invalid_request_error" : "api_error"
        return ["type": "error", "error": ["type": .string(type), "message": .string(message)], "reason": .string(reason.rawValue)]
    }

    /// From an answer's body; `nil` where it says no reason that is known here.
    package init?(json: JSON) {
        guard let object = json.object, let name = object["reason"]?.string, let reason = Reason(rawValue: name) else { return nil }
        self.init(reason, String((object["error"]?.object?["message"]?.string ?? name).prefix(500)))
    }
}
