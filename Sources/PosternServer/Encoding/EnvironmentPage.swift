import PosternCore
import PosternJSON

/// The envelope of a list of environments: older dated beta headers get the one of their day (observed behaviours, "list envelope by
/// anthropic-beta").
enum EnvironmentPage {
    /// `data`, `next_page`.
    case current
    /// `environments-2026-03-01`: with `has_more`.
    case march2026
    /// `environments-2025-11-01`: `has_more`, `first_id`, `last_id`; paged by `after_id`.
    case november2025

    /// - Parameter beta: The `anthropic-beta` header: names joined with commas.
    init(beta: String?) {
        let names = (beta ?? "").split(separator: ",").map { $0.trimmingPrefix { $0 == " " } }
        if names.contains("environments-2025-11-01") {
            self = .november2025
        } else if names.contains("environments-2026-03-01") {
            self = .march2026
        } else {
            self = .current
        }
    }

    func answer(_ page: Page<EnvironmentRecord>, list: String) -> Answer {
        let next = page.next?.cursor(list, .descending)
        var envelope: JSONObject = ["data": .array(page.elements.map(\.json))]
        switch self {
        case .current: return page.answer(list, last: .null) { $0.json.encoded }
        case .march2026:
            envelope["has_more"] = .bool(next != nil)
            envelope["next_page"] = JSON(next)
        case .november2025:
            envelope["has_more"] = .bool(next != nil)
            envelope["first_id"] = JSON(page.elements.first?.id)
            envelope["last_id"] = JSON(page.elements.last?.id)
        }
        return .json(envelope)
    }
}
