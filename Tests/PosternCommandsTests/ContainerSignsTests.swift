import PosternSandboxWire
import Testing

@testable import PosternCommands

@Suite struct ContainerSignsTests {
    private static let plain = MountTable("22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n23 22 0:5 / /proc rw - proc proc rw")

    private func signs(_ change: (inout ContainerSigns.Sources) -> Void) -> ContainerSigns {
        var sources = ContainerSigns.Sources(
            groups: "0::/system.slice/postern-worker.service\n", mounts: Self.plain, userMap: "         0          0 4294967295\n")
        change(&sources)
        return ContainerSigns(sources)
    }

    @Test func aMachineHasNone() {
        let none = signs { _ in }
        #expect(none.signs.isEmpty && none.hints.isEmpty && none.detail == "no sign of one")
        // Engines that run on the machine, and what merely sounds like them.
        for group in [
            "0::/system.slice/docker.service", "1:cpu:/system.slice/containerd.service", "0::/user.slice/dockerfans", "0::/", "nonsense", "",
        ] {
            #expect(signs { $0.groups = group }.signs.isEmpty, "\(group)")
        }
    }

    @Test(arguments: [
        "12:memory:/docker/4f1a", "0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-4f1a.scope", "0::/machine.slice/libpod-4f1a.scope",
        "0::/../docker-4f1a.scope", "1:name=systemd:/lxc.payload.web/init.scope", "3:cpu:/kubepods/burstable/pod1/4f1a",
    ]) func groupsOfEnginesAreSigns(line: String) {
        #expect(signs { $0.groups = "0::/\n" + line }.signs.count == 1)
    }

    @Test func eachSignIsNamed() {
        #expect(signs { $0.present = ["/run/.containerenv"] }.detail.contains("Podman"))
        #expect(signs { $0.managerNote = "systemd-nspawn\n" }.detail.contains("systemd-nspawn"))
        #expect(signs { $0.environment = ["container": "oci\u{1B}[31m"] }.detail.contains("oci"))
        #expect(!signs { $0.environment = ["container": "oci\u{1B}[31m"] }.detail.contains("\u{1B}"))
        #expect(signs { $0.environment = ["KUBERNETES_SERVICE_HOST": "10.0.0.1"] }.detail.contains("Kubernetes"))
        let mounts = MountTable(
            "22 1 0:50 / / rw - overlay overlay rw\n24 22 8:1 /var/lib/docker/containers/4f/hosts /etc/hosts rw - ext4 /dev/sda1 rw")
        #expect(signs { $0.mounts = mounts }.detail == "signs of one: /etc/hosts is a mount of its own; / is an overlay")
    }

    /// A machine made from an image keeps its files, and overlays and user namespaces have other uses.
    @Test func hintsAloneAreNoContainer() {
        for found in [
            signs { $0.present = ["/.dockerenv"] }, signs { $0.mounts = MountTable("22 1 0:50 / / rw - overlay overlay rw") },
            signs { $0.userMap = "         0     100000      65536\n" },
        ] {
            #expect(found.signs.isEmpty && found.hints.count == 1 && found.detail.hasPrefix("none for certain"), "\(found)")
        }
    }
}
