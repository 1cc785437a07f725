/// Why a value of a policy is not acceptable.
package struct PolicyValueError: Error, Hashable, CustomStringConvertible {
    /// Where the value stands below the value that was decoded: keys and indexes, outermost first. Empty for the value itself.
    package var path: [String]
    /// The value as it was written.
    package var value: String
    /// What is demanded of it.
    package var rule: String
    /// What to write instead; may be empty.
    package var remedy: String

    package init(path: [String] = [], value: String, rule: String, remedy: String = "") {
        self.path = path
        self.value = value
        self.rule = rule
        self.remedy = remedy
    }

    /// The same error seen from the value around this one.
    package func below(_ elements: String...) -> PolicyValueError {
        var error = self
        error.path = elements + path
        return error
    }

    package var description: String {
        let place = path.isEmpty ? "" : path.joined(separator: ".") + ": "
        return "\(place)\"\(printable(value))\": \(rule)" + (remedy.isEmpty ? "" : "; \(remedy)")
    }
}

/// `text` in one readable line of at most 200 characters: control and other unprintable characters are escaped, so that no text from
/// outside moves a cursor or breaks a log line.
package func printable(_ text: String) -> String {
    var output = ""
    for scalar in text.unicodeScalars.prefix(200) {
        if scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
            || scalar.properties.generalCategory == .lineSeparator || scalar.properties.generalCategory == .paragraphSeparator
        {
            output += "\\u{" + String(scalar.value, radix: 16) + "}"
        } else {
            output.unicodeScalars.append(scalar)
        }
    }
    return text.unicodeScalars.count > 200 ? output + "…" : output
}
