import PosternGate

/// The forms of a session's secrets and of their placeholders, as the proxy looks for them in what passes.
enum PlaceholderNeedles {
    /// Each form of each secret, with the same form of its placeholder, which is as long, in its place.
    static func secrets(of secrets: [BoundSecret]) -> [NeedleScanner.Needle] {
        needles(of: secrets) { secret, form in (form(secret.value.bytes), form(Array(secret.placeholder.utf8))) }
    }

    /// Those of the placeholders themselves, to find them where they may not be.
    static func placeholders(of secrets: [BoundSecret]) -> [NeedleScanner.Needle] {
        needles(of: secrets) { secret, form in
            let bytes = form(Array(secret.placeholder.utf8))
            return (bytes, bytes)
        }
    }

    private static func needles(
        of secrets: [BoundSecret], _ make: (BoundSecret, SecretForms.Form) -> (bytes: [UInt8], replacement: [UInt8])
    ) -> [NeedleScanner.Needle] {
        var (needles, seen): ([NeedleScanner.Needle], Set<[UInt8]>) = ([], [])
        for (owner, secret) in secrets.enumerated() {
            for form in SecretForms.all {
                let (bytes, replacement) = make(secret, form)
                guard bytes.count == replacement.count, seen.insert(bytes).inserted else { continue }
                needles.append(.init(bytes: bytes, replacement: replacement, owner: owner))
            }
        }
        return needles
    }
}
