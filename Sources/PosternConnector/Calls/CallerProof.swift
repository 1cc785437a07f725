import FoundationEssentials
import PosternTunnelWire
import X509

/// What an inner connection rests on, and ends with.
enum CallerProof: Sendable {
    case certificate(Certificate)
    /// - Parameter ends: when the token counts no more, the clocks' difference allowed for.
    case token(BearerToken, ends: Date)

    /// It counts before that.
    var ends: Date {
        switch self {
        case .certificate(let certificate): certificate.notValidAfter
        case .token(_, let ends): ends
        }
    }

    /// What is said when it has ended.
    var cut: CallError.Cut {
        switch self {
        case .certificate: .certificateEnded
        case .token: .tokenEnded
        }
    }

    var expired: CallError {
        switch self {
        case .certificate: .certificate(.expired)
        case .token: .bearer(.expired)
        }
    }
}
