import PosternJSON

/// What is to be done with the changes of a copy-on-write workspace.
package enum ChangesAction: String, Sendable {
    /// Tell what they are.
    case diff
    /// Make them in the folder itself, and forget them if all could be made. Nothing is changed where the scan finds something or there is no
    /// room for them.
    case apply
    /// Forget them.
    case discard
}

/// What is to be done, and within which bounds.
package struct ChangesOrder: Sendable, Hashable {
    package var action: ChangesAction
    /// Of `apply`: go on although the scan found something or could not look at everything.
    package var acceptsFindings: Bool
    /// Of `apply`: what the changes may take on the disk; `nil` is no bound but the room that there is.
    package var mostBytes: Int?

    package init(_ action: ChangesAction, acceptsFindings: Bool = false, mostBytes: Int? = nil) {
        self.action = action
        self.acceptsFindings = acceptsFindings
        self.mostBytes = mostBytes
    }

    package var json: JSON {
        ["action": .string(action.rawValue), "accepts_findings": .bool(acceptsFindings), "most_bytes": mostBytes.map { JSON($0) } ?? .null]
    }

    package init?(json: JSON?) {
        guard let action = json?["action"]?.string.flatMap(ChangesAction.init(rawValue:)) else { return nil }
        self.init(action, acceptsFindings: json?["accepts_findings"]?.bool ?? false, mostBytes: json?["most_bytes"]?.int)
    }
}

/// The changes that a session has made to its copy-on-write workspace.
package struct ChangesReport: Sendable, Hashable {
    package enum Change: String, Sendable, CaseIterable {
        case added, modified, deleted
        /// Was there as something else (a file that is a folder now), or is a folder with nothing of the old one in it.
        case replaced
        /// Cannot be taken over: a device, a FIFO, a socket.
        case skipped
        /// Could not be taken over; `detail` says why.
        case failed
    }

    package struct Entry: Sendable, Hashable {
        package var change: Change
        /// Below the workspace, made printable.
        package var path: String
        /// Of a file that was added or modified.
        package var bytes: Int
        package var detail: String

        package init(_ change: Change, _ path: String, bytes: Int = 0, detail: String = "") {
            self.change = change
            self.path = path
            self.bytes = bytes
            self.detail = detail
        }
    }

    /// Why `apply` has changed nothing.
    package struct Refusal: Sendable, Hashable {
        package enum Kind: String, Sendable {
            /// The scan found something, or could not look at all; `scan` says what.
            case findings
            /// Not all of the changes could be read or copied; `entries` says which.
            case failed
            /// The file system of the workspace has no room for them.
            case room
            /// They take more than the order allows.
            case bound
        }

        package var kind: Kind
        /// What was found, in words.
        package var detail: String

        package init(_ kind: Kind, _ detail: String) {
            self.kind = kind
            self.detail = detail
        }
    }

    /// Of `apply`: set where the workspace is as it was.
    package var refusal: Refusal?
    /// Of `apply` that was refused for it.
    package var scan: WorkspaceScanReport?
    /// At most `mostEntries`; `counts` goes on.
    package private(set) var entries: [Entry] = []
    package private(set) var counts: [Change: Int] = [:]
    /// `false` when a bound or an error ended the work early.
    package var isComplete = true

    package static let mostEntries = 10_000

    package init() {}

    package mutating func add(_ entry: Entry) {
        counts[entry.change, default: 0] += 1
        if entry.change == .failed { isComplete = false }
        if entries.count < Self.mostEntries { entries.append(entry) }
    }

    /// The same report with nothing in it but what failed.
    package var failures: ChangesReport {
        var report = ChangesReport()
        report.entries = entries.filter { $0.change == .failed }
        report.counts[.failed] = counts[.failed]
        report.isComplete = isComplete
        return report
    }

    package var json: JSON {
        var object: JSONObject = [
            "complete": .bool(isComplete),
            "counts": .object(JSONObject(Change.allCases.compactMap { change in counts[change].map { (change.rawValue, JSON($0)) } })),
            "entries": .array(
                entries.map {
                    ["change": .string($0.change.rawValue), "path": .string($0.path), "bytes": JSON($0.bytes), "detail": .string($0.detail)]
                }),
        ]
        if let refusal { object["refusal"] = ["kind": .string(refusal.kind.rawValue), "detail": .string(refusal.detail)] }
        if let scan { object["scan"] = scan.json }
        return .object(object)
    }

    package init(json: JSON) {
        isComplete = json["complete"]?.bool ?? false
        if let kind = json["refusal"]?["kind"]?.string.flatMap(Refusal.Kind.init(rawValue:)) {
            refusal = Refusal(kind, json["refusal"]?["detail"]?.string ?? "")
        }
        scan = json["scan"].map(WorkspaceScanReport.init(json:))
        for change in Change.allCases { counts[change] = json["counts"]?[change.rawValue]?.int }
        entries = (json["entries"]?.array ?? []).compactMap { entry in
            guard let change = entry["change"]?.string.flatMap(Change.init(rawValue:)), let path = entry["path"]?.string else { return nil }
            return Entry(change, path, bytes: entry["bytes"]?.int ?? 0, detail: entry["detail"]?.string ?? "")
        }
    }
}
