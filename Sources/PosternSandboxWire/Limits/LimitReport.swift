import PosternJSON

/// Who enforces each limit of a sandbox: what the start reply, `doctor` and the audit say of it.
package struct LimitReport: Sendable, Hashable {
    package enum Limit: String, Sendable, CaseIterable {
        case memory, processes, cpu, io, disk, freeze
    }

    package enum Enforcement: Sendable, Hashable {
        /// By the kernel; the text says with what, such as "cgroup v2".
        case kernel(String)
        /// By the kernel, but each process by itself or not every way round; the text says how.
        case partial(String)
        /// Measured now and then, and acted upon after the fact.
        case soft(String)
        /// Not at all; the text says why.
        case none(String)

        package var text: String {
            switch self {
            case .kernel(let text), .partial(let text), .soft(let text), .none(let text): text
            }
        }

        var name: String {
            switch self {
            case .kernel: "kernel"
            case .partial: "partial"
            case .soft: "soft"
            case .none: "none"
            }
        }
    }

    package var entries: [Limit: Enforcement] = [:]

    package init() {}

    package subscript(limit: Limit) -> Enforcement? {
        get { entries[limit] }
        set { entries[limit] = newValue }
    }

    package var json: JSON {
        .array(
            Limit.allCases.compactMap { limit in
                entries[limit].map { ["limit": .string(limit.rawValue), "enforcement": .string($0.name), "by": .string($0.text)] }
            })
    }

    package init(json: JSON?) {
        for entry in json?.array ?? [] {
            guard let limit = entry["limit"]?.string.flatMap(Limit.init(rawValue:)), let by = entry["by"]?.string else { continue }
            switch entry["enforcement"]?.string {
            case "kernel": entries[limit] = .kernel(by)
            case "partial": entries[limit] = .partial(by)
            case "soft": entries[limit] = .soft(by)
            default: entries[limit] = Enforcement.none(by)
            }
        }
    }
}
