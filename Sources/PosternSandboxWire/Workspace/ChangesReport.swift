import PosternJSON

/// What is to be done with the changes of a copy-on-write workspace.
package enum ChangesAction: String, Sendable {
    /// Tell what they are.
    case diff
    /// Make them in the folder itself, and forget them if all could be made.
    case apply
    /// Forget them.
    case discard
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

    package var json: JSON {
        [
            "complete": .bool(isComplete),
            "counts": .object(JSONObject(Change.allCases.compactMap { change in counts[change].map { (change.rawValue, JSON($0)) } })),
            "entries": .array(
                entries.map {
                    ["change": .string($0.change.rawValue), "path": .string($0.path), "bytes": JSON($0.bytes), "detail": .string($0.detail)]
                }),
        ]
    }

    package init(json: JSON) {
        isComplete = json["complete"]?.bool ?? false
        for change in Change.allCases { counts[change] = json["counts"]?[change.rawValue]?.int }
        entries = (json["entries"]?.array ?? []).compactMap { entry in
            guard let change = entry["change"]?.string.flatMap(Change.init(rawValue:)), let path = entry["path"]?.string else { return nil }
            return Entry(change, path, bytes: entry["bytes"]?.int ?? 0, detail: entry["detail"]?.string ?? "")
        }
    }
}
