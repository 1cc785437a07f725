/// How tokens are signed that a connector takes (RFC 7518, section 3.1; RFC 8037). Public keys only: with a shared secret whoever checks could sign too.
package enum TokenAlgorithm: String, Hashable, Sendable, CaseIterable {
    case es256 = "ES256"
    case es384 = "ES384"
    case rs256 = "RS256"
    case ps256 = "PS256"
    case eddsa = "EdDSA"
}
