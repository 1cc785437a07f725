/// The two programs that try a policy's file rules: one plants files in a sandbox without them, the other attacks those in the sandbox of
/// the policy. Both get the arguments of `FileRuleSamples`, relative to the workspace.
enum FileRuleScripts {
    static let boundary = "file_rules"

    /// `$1` is what is planted, the rest are rules. Says the number of each rule whose file is there: one may be in the way of another.
    static let plant = #"""
        cd /workspace || exit 1
        number=0
        for rule in "${@:2}"; do
            number=$((number + 1)); name="./${rule:2}"
            [ ! -e "$name" ] && mkdir -p -- "${name%/*}" 2>/dev/null && printf %s "$1" 2>/dev/null >"$name" && echo "$number"
        done
        exit 0
        """#

    /// `$1` is what was planted, the rest are rules whose files are there. Says `file_rules`, tab, `holds` or what went through.
    static let attack = #"""
        cd /workspace || exit 1
        secret="$1"; seen=; number=0
        has() { grep -qF -e "$secret" -- "$1" 2>/dev/null; }
        for rule in "${@:2}"; do
            path="${rule:2}"; name="./$path"; top="${path%%/*}"; number=$((number + 1))
            case "$rule" in
                c:*) has "$name" || seen="$seen what was planted is not there;"; continue ;;
                h:*) has "$name" && seen="$seen hidden $path can be read;" ;;
                p:*) (echo x >>"$name") 2>/dev/null && seen="$seen protected $path can be written;"
                    rm -f -- "$name" 2>/dev/null && seen="$seen protected $path can be removed;" ;;
            esac
            # Moved away, the place would be free for another.
            mv -T -- "./$top" "./self-test-moved-$number" 2>/dev/null && seen="$seen $top can be moved away;" && mv -T "./self-test-moved-$number" "./$top"
        done
        printf 'file_rules\t%s\n' "${seen:-holds}"
        """#
}
