/// The attacks of the self-test that run as a program inside. Each says one line, `boundary`, tab, `holds` or what it saw; a boundary that
/// says nothing has not been tested. Needs bash and the usual small programs only.
enum SelfTestScript {
    /// Every boundary that the script speaks of, in its order.
    static let boundaries = [
        "workspace_control", "user", "capabilities", "new_privileges", "seccomp", "user_namespaces", "host_files", "host_folders", "system_writes",
        "kernel_settings", "kernel_secrets", "set_id", "devices", "host_processes", "init_memory", "network", "unix_sockets", "environment",
        "core_dumps", "descriptors", "mounts",
    ]

    /// `$1` is a file of the host that is certainly there, `$2` the workspace's mode, the rest are binds: `r:PATH` or `w:PATH`.
    static let text = #"""
        # Boundaries are tried one after another; && and || have the same rank, so that what belongs together stands in braces.
        say() { printf '%s\t%s\n' "$1" "${2:-holds}"; }
        declare -A allowed writable
        for bind in "${@:3}"; do allowed[${bind:2}]=1; [ "${bind:0:1}" = w ] && writable[${bind:2}]=1; done
        status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
        # The other way round: what must work. Without it nothing below would mean anything.
        if echo x >/workspace/.self-test 2>/dev/null && [ "$(cat /workspace/.self-test)" = x ] && rm /workspace/.self-test; then say workspace_control
        elif [ "$2" = ro ]; then say workspace_control; else say workspace_control "the workspace cannot be written"; fi
        [ "$(id -u)" != 0 ] && [ "$(id -g)" != 0 ] && say user || say user "the user inside is root"
        [ "$(status CapEff)$(status CapPrm)$(status CapBnd)$(status CapAmb)" = "$(printf '0%.0s' {1..64})" ] && say capabilities || say capabilities "there are capabilities"
        [ "$(status NoNewPrivs)" = 1 ] && say new_privileges || say new_privileges "new privileges can be gained"
        [ "$(status Seccomp)" = 2 ] && say seccomp || say seccomp "there is no seccomp filter"
        if ! command -v unshare >/dev/null; then say user_namespaces "cannot be tried: there is no unshare"
        elif unshare --user true 2>/dev/null; then say user_namespaces "another user namespace can be made"; else say user_namespaces; fi
        if [ -e "$1" ] || cat "$1" >/dev/null 2>&1 || cat "/proc/1/root$1" >/dev/null 2>&1 || { ln -s "$1" /tmp/aim && cat /tmp/aim >/dev/null; } 2>/dev/null
        then say host_files "a file of the host can be seen"; else say host_files; fi
        seen=; for name in /root /boot /var/lib /var/log /srv /media /sys/fs /lost+found /etc/shadow /etc/ssh /etc/machine-id; do
            [ -n "$(ls -A "$name" 2>/dev/null)" ] && case " ${!allowed[*]}" in *" $name/"* | *" $name"*) ;; *) seen="$seen $name" ;; esac; done
        [ -z "$seen" ] && say host_folders || say host_folders "of the host can be seen:$seen"
        seen=; for name in /usr/x /x /etc/x /bin/x /run/x /proc/x /dev/x; do (: >"$name") 2>/dev/null && seen="$seen $name"; done
        [ -z "$seen" ] && say system_writes || say system_writes "can be written:$seen"
        seen=; for name in vm/drop_caches kernel/core_pattern kernel/hostname net/ipv4/ip_forward; do
            # What is written is what stands there: should it work, nothing is changed.
            [ -e /proc/sys/$name ] && value="$(cat /proc/sys/$name 2>/dev/null)" && (echo "${value:-1}" >/proc/sys/$name) 2>/dev/null && seen="$seen $name"; done
        (echo h >/proc/sysrq-trigger) 2>/dev/null && seen="$seen sysrq-trigger"
        [ -z "$seen" ] && say kernel_settings || say kernel_settings "can be written:$seen"
        seen=; for name in keys key-users kallsyms kcore kmsg timer_list; do head -c 1 /proc/$name 2>/dev/null | grep -q . && seen="$seen $name"; done
        [ -z "$seen" ] && say kernel_secrets || say kernel_secrets "can be read:$seen"
        cp /bin/true /tmp/set-id 2>/dev/null; chmod 4755 /tmp/set-id 2>/dev/null
        [ -u /tmp/set-id ] && say set_id "a set-id program can be made" || say set_id
        mknod /tmp/device c 1 3 2>/dev/null; seen="$(ls /dev | grep -vxE 'console|core|fd|full|mqueue|null|ptmx|pts|random|shm|stderr|stdin|stdout|tty|urandom|zero' | tr '\n' ' ')"
        [ -c /tmp/device ] && seen="$seen/tmp/device"; [ -z "$seen" ] && say devices || say devices "devices: $seen"
        [ "$(ls -d /proc/[0-9]* | wc -l)" -lt 16 ] && say host_processes || say host_processes "processes of the host can be seen"
        if head -c 1 /proc/1/environ >/dev/null 2>&1 || (exec 3</proc/1/mem) 2>/dev/null || readlink /proc/1/exe >/dev/null 2>&1
        then say init_memory "process 1 can be looked into"; else say init_memory; fi
        seen="$(tail -n +3 /proc/net/dev | grep -vE '^ *lo:' | tr -s ' ' | cut -d: -f1 | tr '\n' ' ')"
        (exec 3<>/dev/tcp/192.0.2.1/80) 2>/dev/null && seen="$seen 192.0.2.1:80"; (exec 3<>/dev/udp/192.0.2.1/53 && echo x >&3) 2>/dev/null && seen="$seen 192.0.2.1:53/udp"
        [ -z "$seen" ] && say network || say network "can be reached: $seen"
        seen=; for name in /run/docker.sock /var/run/docker.sock /run/containerd/containerd.sock /run/dbus/system_bus_socket /run/systemd/private /tmp/.X11-unix; do
            [ -e "$name" ] && seen="$seen $name"; done
        [ -z "$seen" ] && say unix_sockets || say unix_sockets "of the host can be seen:$seen"
        seen="$(env | grep -oE '^(ANTHROPIC|POSTERN)_[^=]*' | tr '\n' ' ')"
        [ -z "$seen" ] && say environment || say environment "variables: $seen"
        case "$(awk '/^Max core file size/ { print $5, $6 }' /proc/self/limits)" in "0 0" | "1 1") say core_dumps ;; *) say core_dumps "core files are written" ;; esac
        seen="$(for name in /proc/self/fd/*; do number="${name##*/}"; [ "$number" -gt 2 ] && target="$(readlink "$name")" && case "$target" in /proc/*) ;; *) printf '%s=%s ' "$number" "$target" ;; esac; done)"
        [ -z "$seen" ] && say descriptors || say descriptors "inherited: $seen"
        seen="$(awk '$2 !~ "^/(dev|proc|tmp|home/agent|workspace|mnt/session/tool_outputs)(/|$)" && $4 ~ /^rw/ { print $2 }' /proc/self/mounts | while read -r name; do
            # What is mounted in a writable tree is the tree's own; the kernel writes spaces and the like as octal numbers.
            name="$(printf %b "$name")"; for bind in "${!writable[@]}"; do case "$name/" in "$bind"/*) continue 2 ;; esac; done; printf '%s ' "$name"; done)"
        [ -z "$seen" ] && say mounts || say mounts "writable: $seen"
        rm -f /tmp/set-id /tmp/device /tmp/aim
        """#
}
