import Logging
import PosternConnector
import PosternTunnelWire

/// What a connector says of its tunnel's log in its own.
enum RegistrationEventLog {
    static func log(_ event: RegistrationEvent, _ logger: Logger) {
        switch event {
        case .began(let size, let authorities):
            logger.notice(
                "watches the tunnel's registrations", metadata: ["size": "\(size)", "authorities": "\(authorities.joined(separator: " "))"])
        case .registered(let news, let isForeignKey): registered(news, isForeignKey, logger)
        case .unanswered(let edge, let reason):
            logger.warning("no answer about the tunnel's registrations counts", metadata: ["edge": "\(edge)", "reason": "\(reason)"])
        case .repeated(let edge): logger.warning("an edge repeats an old head of the tunnel's registrations", metadata: ["edge": "\(edge)"])
        case .refusing(let refusal):
            logger.critical("calls are refused", metadata: ["refusal": "\(refusal.reason.rawValue)", "reason": "\(refusal)"])
        case .resumed: logger.notice("calls are taken again")
        case .notKept(let reason): logger.error("what was seen of the tunnel's registrations could not be kept", metadata: ["reason": "\(reason)"])
        }
    }

    private static func registered(_ news: RegistrationNews, _ isForeignKey: Bool, _ logger: Logger) {
        var metadata: Logger.Metadata = ["type": "\(news.type)", "subject": "\(news.subject)", "signed": "\(news.isSigned)"]
        if let time = news.countsAt { metadata["counts_in"] = "\(max(0, time - news.at)) s" }
        // What takes effect for callers and nobody has signed for, and keys of others, are for somebody to look at.
        let isLoud = isForeignKey || ["certificate_added", "owner_key_set", "registration_changed"].contains(news.type) && !news.isSigned
        logger.log(level: isLoud ? .warning : .notice, "the tunnel has a new registration", metadata: metadata)
    }
}
