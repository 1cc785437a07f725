/// What every program on macOS needs before it does anything: the part of a profile that no policy changes. Named one by one; whatever is
/// missing here fails in a program, whatever is too much is open to all.
enum SeatbeltSystem {
    static let processes = [
        "(allow process-exec)", "(allow process-fork)", "(allow process-info* (target same-sandbox))", "(allow signal (target same-sandbox))",
        "(allow mach-priv-task-port (target same-sandbox))", "(allow pseudo-tty)", "(allow ipc-posix-sem)", "(allow ipc-posix-shm*)",
    ]

    /// Logging, notifications, names of users and groups, the folder for caches. Not here on purpose: the keychain, the pasteboard, launch
    /// services, preferences, Apple events, DNS (`com.apple.dnssd.service`) and certificate checks (`trustd` fetches what a certificate names).
    static let services = [
        "com.apple.bsd.dirhelper", "com.apple.logd", "com.apple.system.logger", "com.apple.system.notification_center",
        "com.apple.system.opendirectoryd.libinfo", "com.apple.system.opendirectoryd.membership",
    ]

    static let parameters = [
        "hw.activecpu", "hw.byteorder", "hw.cachelinesize", "hw.cpufamily", "hw.cpusubtype", "hw.cputype", "hw.logicalcpu", "hw.logicalcpu_max",
        "hw.machine", "hw.memsize", "hw.model", "hw.ncpu", "hw.nperflevels", "hw.packages", "hw.pagesize", "hw.pagesize_compat", "hw.physicalcpu",
        "hw.physicalcpu_max", "hw.tbfrequency", "kern.argmax", "kern.hostname", "kern.maxfilesperproc", "kern.maxproc", "kern.ngroups",
        "kern.osproductversion", "kern.osrelease", "kern.ostype", "kern.osvariant_status", "kern.osversion", "kern.secure_kernel", "kern.usrstack64",
        "kern.version", "security.mac.lockdown_mode_state", "sysctl.proc_cputype", "vm.loadavg",
    ]

    static let parameterPrefixes = ["hw.optional.", "hw.perflevel", "machdep.cpu."]

    /// Folders of the system, read only by their own permissions too.
    static let readable = [
        "/bin", "/sbin", "/usr/bin", "/usr/lib", "/usr/libexec", "/usr/sbin", "/usr/share", "/System/Library", "/System/Volumes/Preboot/Cryptexes",
        "/System/Cryptexes", "/Library/Apple", "/Library/Developer/CommandLineTools", "/private/var/db/dyld", "/private/var/db/timezone",
        "/private/var/select",
    ]

    static let readableFiles = [
        #"(literal "/")"#, #"(literal "/private/etc/group")"#, #"(literal "/private/etc/hosts")"#, #"(literal "/private/etc/localtime")"#,
        #"(literal "/private/etc/passwd")"#, #"(literal "/private/etc/protocols")"#, #"(literal "/private/etc/services")"#,
        #"(literal "/private/etc/shells")"#, #"(subpath "/private/etc/ssl")"#,
    ]

    static let devices = [
        #"(literal "/dev/null")"#, #"(literal "/dev/zero")"#, #"(literal "/dev/random")"#, #"(literal "/dev/urandom")"#, #"(literal "/dev/tty")"#,
        #"(literal "/dev/ptmx")"#, #"(regex "^/dev/ttys[0-9]+$")"#, #"(subpath "/dev/fd")"#,
    ]
}
