/// What a match must satisfy beyond its shape.
enum MatchCheck: Sendable, Equatable {
    case card
    case iban

    func holds(_ match: some Collection<UInt8>) -> Bool {
        switch self {
        case .card: CardNumber.isValid(match)
        case .iban: IBAN.isValid(match)
        }
    }
}

/// Payment card numbers (ISO/IEC 7812).
enum CardNumber {
    /// Prefix and length are a known issuer's and the check digit is right. Spaces and hyphens are skipped.
    static func isValid(_ text: some Collection<UInt8>) -> Bool {
        let digits = text.filter { $0 != 0x20 && $0 != UInt8(ascii: "-") }.map { Int($0) - 0x30 }
        guard digits.allSatisfy({ 0...9 ~= $0 }), digits.count >= 13, isIssued(digits) else { return false }
        // One number written over and over is nobody's card.
        guard Set(digits).count > 1 else { return false }
        return luhn(digits)
    }

    /// Luhn's check (ISO/IEC 7812-1, annex B).
    static func luhn(_ digits: [Int]) -> Bool {
        var sum = 0
        for (index, digit) in digits.reversed().enumerated() {
            let doubled = index % 2 == 0 ? digit : digit * 2
            sum += doubled > 9 ? doubled - 9 : doubled
        }
        return sum % 10 == 0
    }

    private static func isIssued(_ digits: [Int]) -> Bool {
        let prefix = digits[..<6].reduce(0) { $0 * 10 + $1 }
        return switch (prefix, digits.count) {
        case (400_000...499_999, 13), (400_000...499_999, 16), (400_000...499_999, 19): true
        case (510_000...559_999, 16), (222_100...272_099, 16): true
        case (340_000...349_999, 15), (370_000...379_999, 15): true
        case (300_000...305_999, 14...19), (360_000...369_999, 14...19), (380_000...399_999, 16...19): true
        case (352_800...358_999, 16...19): true
        case (601_100...601_199, 16...19), (644_000...659_999, 16...19): true
        case (620_000...629_999, 16...19), (810_000...819_999, 16...19): true
        default: false
        }
    }
}

/// International bank account numbers (ISO 13616).
enum IBAN {
    /// The length is the country's and the check digits are right (mod 97). Spaces are skipped.
    static func isValid(_ text: some Collection<UInt8>) -> Bool {
        let characters = text.filter { $0 != 0x20 }
        guard characters.count > 4, lengths[String(decoding: characters[..<2], as: UTF8.self)] == characters.count else { return false }
        var remainder = 0
        for byte in characters[4...] + characters[..<4] {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): remainder = (remainder * 10 + Int(byte) - 0x30) % 97
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): remainder = (remainder * 100 + Int(byte) - 55) % 97
            default: return false
            }
        }
        return remainder == 1
    }

    /// Lengths from the IBAN registry.
    private static let lengths: [String: Int] = [
        "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22,
        "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22,
        "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30,
        "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27,
        "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33,
        "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29,
        "VA": 22, "VG": 24, "XK": 20,
    ]
}
