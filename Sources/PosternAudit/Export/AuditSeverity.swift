import PosternJSON

/// How loud a record is where others sort by that.
enum AuditSeverity: Sendable {
    case info, notice, warning, alert

    init(_ line: AuditLine) {
        self =
            switch line.kind {
            case "egress_refused", "tunnel_refused", "repeated", "unknown", "torn_tail", "layer_off", "session_suspended", "gap": .warning
            case "secret_change": line.body["state"]?.string == "replaced" ? .notice : .warning
            case "file_decision": line.body["allowed"]?.bool == true ? .info : .warning
            case "self_test": line.body["passed"]?.bool == true ? .notice : .alert
            case "freeze": line.body["survivors"]?.int == 0 && line.body["elsewhere"] == nil ? .notice : .alert
            case "space_exhausted": .alert
            case "genesis", "worker_start", "worker_stop", "policy_load", "approval", "thaw", "rotation": .notice
            default: .info
            }
    }

    /// RFC 5424, section 6.2.1.
    var syslog: Int {
        switch self {
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .alert: 1
        }
    }

    /// The OpenTelemetry log data model's SeverityNumber and SeverityText.
    var openTelemetry: (number: Int, text: String) {
        switch self {
        case .info: (9, "INFO")
        case .notice: (10, "INFO2")
        case .warning: (13, "WARN")
        case .alert: (21, "FATAL")
        }
    }
}
