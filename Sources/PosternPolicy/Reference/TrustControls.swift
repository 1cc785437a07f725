/// Common criteria of SOC 2 (trust services criteria) that a sandbox's policy has a part in.
enum TrustControls {
    static func rows(_ values: ControlValues) -> [ControlMap.Row] {
        func row(
            _ control: String, _ settings: [ControlMap.Setting], _ layers: [ControlMap.Layer], _ holds: String, _ gap: String
        ) -> ControlMap.Row {
            ControlMap.Row(catalogue: .trustServices, control: control, settings: settings, layers: layers, holds: holds, gap: gap)
        }
        return [
            row(
                "CC6.1 Logical access to protected information", [values.read, values.write, values.hidden, values.secrets],
                [.mounts, .Landlock, .proxy],
                "Deny by default: what the policy does not name has no name inside. Secrets are used without being seen",
                "Who may create sessions is the control plane's to decide"),
            row(
                "CC6.3 Least privilege and segregation of duties", values.tools, [.policy, .worker],
                "What no entry allows is denied. Questions are answered inside the perimeter, not by whoever runs the session",
                values.policy.tools.list.ask.isEmpty
                    ? "This policy asks about nothing"
                    : "Questions look at arguments as text, and a shell can write one command in many ways"),
            row(
                "CC6.6 Threats from outside the boundary", [values.forwards], [.network, .worker],
                "The worker dials out and listens on nothing but a local socket (mode 0600). No connection leads into a sandbox",
                "Answers of allowed hosts are read by the agent and may try to steer it"),
            row(
                "CC6.7 Transmission and movement of information", [values.rules] + values.resultBudgets + values.egressBudgets + values.redaction,
                [.proxy, .gate, .audit],
                "Bytes of results and of egress are bounded and recorded before they leave; known secrets and what the detectors find are masked in results",
                "Redaction is for accidents. Requests are searched by detectors only where `redaction.doors` names egress"),
            row(
                "CC6.8 Unauthorized or malicious software", [values.protected, values.workspace], [.seccomp, .Landlock, .mounts],
                "Programs run without privilege; hooks and settings that would run outside are read-only where they exist; a workspace is scanned for them "
                    + "when a session ends",
                "No scan for malware. New files under such names are found by the scan, not prevented"),
            row(
                "CC7.1 Detection of changed configurations and new weaknesses", values.version, [.audit, .worker],
                "Each audit record of a session carries the digest of the policy in force; loads, missing layers and the self-test are recorded",
                "Weaknesses of the host's own software are not looked for"),
            row(
                "CC7.2 Monitoring for anomalies", [], [.audit],
                "Calls, network decisions, uses of secrets, redactions and budgets are recorded in a chained, signed log; it is exported as syslog, OTLP or JSON",
                "Nothing raises an alarm by itself: that is for whatever reads the export"),
            row(
                "CC7.3, CC7.4 Evaluation of and response to events", [values.limit("call_time")], [.worker, .audit],
                "`postern worker freeze` stops a session, an agent or everything within a second, without the control plane; the record is signed at once",
                "A frozen session keeps its memory and its lease until it is thawed or stopped"),
            row(
                "CC8.1 Change management", values.version, [.policy],
                "Policies are files with a version and a digest. `postern sandbox policy diff` ends with status 5 when a change allows more",
                "Review and approval of changes are yours to organise"),
        ]
    }
}
