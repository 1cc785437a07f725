import PosternJSON

/// What becomes of a call that a lost worker may have run.
package enum Redelivery: String, Sendable {
    /// Answered with "outcome unknown"; only tools that change nothing are offered again.
    case atMostOnce = "at_most_once"
    /// Offered again, as the reference does.
    case atLeastOnce = "at_least_once"
}

extension EnvironmentRecord {
    /// What the environment's metadata asks of a worker's policy (key `postern.policy`), as one line of ASCII. A value that is no JSON becomes
    /// one that no worker takes, so that its sessions stop instead of running with more than was meant.
    package var policyFragment: String? {
        guard let text = body["metadata"]?["postern.policy"]?.string else { return nil }
        guard let json = try? JSON(parsing: Array(text.utf8)) else { return "invalid" }
        return json.text.unicodeScalars.reduce(into: "") { line, scalar in
            if scalar.isASCII { return line.unicodeScalars.append(scalar) }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
    }

    /// The environment's choice: its metadata key `postern.redelivery`.
    package var redelivery: Redelivery { body["metadata"]?["postern.redelivery"]?.string.flatMap(Redelivery.init(rawValue:)) ?? .atMostOnce }
}
