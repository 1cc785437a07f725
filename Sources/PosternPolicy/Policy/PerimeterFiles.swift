extension Policy {
    /// Files of the host that hold a secret of the perimeter or open the way to one, as the policy writes them; what redaction must not let
    /// pass is among it. None of them may be in a sandbox. Certificates are public and are not.
    package var perimeterFiles: [String] { secrets.flatMap(\.source.files) + redaction.dictionaries.map(\.file) }
}
