/// Ubuntu's restriction of user namespaces (23.10 and later): only programs with a profile that allows it may make one. What says whether
/// bubblewrap has one is the kernel's list of loaded profiles; a file in /etc/apparmor.d that nobody has loaded allows nothing.
package struct AppArmorRestriction: Sendable {
    /// The kernel's list, /sys/kernel/security/apparmor/profiles.
    package enum Loaded: Sendable, Equatable {
        /// A line a profile: `bwrap (unconfined)`.
        case list(String)
        /// Only root may read it, or securityfs is not mounted.
        case unseen(String)
    }

    /// /proc/sys/kernel/apparmor_restrict_unprivileged_userns; `nil` where there is no such restriction.
    package var setting: String?
    package var loaded: Loaded
    /// Profiles for bubblewrap in /etc/apparmor.d.
    package var files: [String]
    /// Where bubblewrap is.
    package var bubblewrap: String?

    package static let profileFiles = ["/etc/apparmor.d/bwrap", "/etc/apparmor.d/bwrap-userns-restrict"]

    package init(setting: String?, loaded: Loaded, files: [String], bubblewrap: String?) {
        self.setting = setting
        self.loaded = loaded
        self.files = files
        self.bubblewrap = bubblewrap
    }

    package var finding: SandboxProbe.Finding {
        guard setting == "1" else { return finding(.good, "none") }
        switch loaded {
        case .list(let text):
            if let line = Self.line(of: ["bwrap", bubblewrap ?? "/usr/bin/bwrap"], in: text) {
                return finding(.good, "on, and bubblewrap's profile is loaded: \(line)")
            }
            guard let file = files.first else {
                return finding(.missing, "kernel.apparmor_restrict_unprivileged_userns is 1 and no profile of bubblewrap is loaded", Self.remedy)
            }
            return finding(
                .missing, "kernel.apparmor_restrict_unprivileged_userns is 1 and \(file) is there, and not loaded",
                "load it: apparmor_parser -r \(file), or systemctl reload apparmor; a profile that is disabled has a link in /etc/apparmor.d/disable")
        case .unseen(let reason):
            guard let file = files.first else {
                return finding(
                    .missing, "kernel.apparmor_restrict_unprivileged_userns is 1 and bubblewrap has no profile in /etc/apparmor.d", Self.remedy)
            }
            return finding(
                .degraded, "on; \(file) is there, and whether it is loaded cannot be seen (\(reason))",
                "run postern doctor as root, or sudo aa-status; where it is not listed: apparmor_parser -r \(file)")
        }
    }

    private func finding(_ verdict: SandboxProbe.Finding.Verdict, _ detail: String, _ remedy: String = "") -> SandboxProbe.Finding {
        .init(name: "AppArmor restriction of user namespaces", verdict: verdict, detail: detail, remedy: remedy)
    }

    /// The first line of a profile with one of the names. A name may hold spaces and parentheses; the mode is the last word.
    private static func line(of names: [String], in text: String) -> Substring? {
        text.split(separator: "\n").first { line in
            guard line.hasSuffix(")"), let end = line.lastIndex(of: "("), end > line.startIndex else { return false }
            let name = line[..<line.index(before: end)]
            return names.contains { $0 == name }
        }
    }

    private static let remedy =
        "Ubuntu 23.10 and later let only named programs make user namespaces: install a profile for bubblewrap (/etc/apparmor.d/bwrap with "
        + "'abi <abi/4.0>, include <tunables/global> profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }', then apparmor_parser -r "
        + "/etc/apparmor.d/bwrap), or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
}
