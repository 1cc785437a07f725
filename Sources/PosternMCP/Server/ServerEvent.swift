/// Messages on an event stream (WHATWG HTML, section 9.2), as a server of Streamable HTTP writes them.
package enum ServerEvent {
    /// A message. Line ends between the parts of its JSON become spaces, since an event's data would end there; inside of texts there are none.
    package static func message(_ json: [UInt8]) -> [UInt8] {
        Array("event: message\ndata: ".utf8) + json.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 } + [0x0A, 0x0A]
    }

    /// A comment, so that nothing on the way takes a silent stream for a dead one.
    package static let keepAlive = Array(": here\n\n".utf8)
}
