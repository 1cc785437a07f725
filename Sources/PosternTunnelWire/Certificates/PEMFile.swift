import SwiftASN1

/// Reads a PEM file (RFC 7468) that must hold one certificate and nothing else.
enum PEMFile {
    /// The certificate's DER.
    static func onlyCertificate(of text: String) throws(CertificateRuleError) -> [UInt8] {
        var labels: [String] = []
        var inside = false
        for line in text.split(omittingEmptySubsequences: true, whereSeparator: \.isNewline) {
            let line = trimmed(line)
            if let label = label(line, "-----BEGIN ") {
                // The kind of what is there counts before anything else: a key that was sent must be known as one.
                if label.contains("KEY") || label.contains("PARAMETERS") { throw .keyMaterial(label) }
                guard label == "CERTIFICATE" else { throw .notACertificate(label) }
                labels.append(label)
                inside = true
            } else if label(line, "-----END ") != nil {
                inside = false
            } else if !inside, !line.isEmpty {
                // A key can be pasted without its frame, too.
                if !labels.isEmpty || text.contains("-----BEGIN ") { throw .textOutside }
            }
        }
        guard labels.count == 1 else { throw .count(labels.count) }
        guard let document = try? PEMDocument(pemString: text), document.discriminator == "CERTIFICATE" else { throw .unreadable }
        return document.derBytes
    }

    private static func label(_ line: Substring, _ prefix: String) -> String? {
        guard line.hasPrefix(prefix), line.hasSuffix("-----"), line.count > prefix.count + 5 else { return nil }
        return String(line.dropFirst(prefix.count).dropLast(5))
    }

    private static func trimmed(_ line: Substring) -> Substring {
        var line = line
        while let last = line.last, last == " " || last == "\t" { line.removeLast() }
        while let first = line.first, first == " " || first == "\t" { line.removeFirst() }
        return line
    }
}
