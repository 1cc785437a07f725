import Glibc
import PosternJSON
import PosternSandbox
import PosternSandboxWire
import Testing

@Suite struct FileToolTests {
    private static let outside = "is outside the session's working directory and its other permitted directories"

    /// One sandbox, prepared by a command; then calls with the text and the error flag they must give.
    private func check(_ prepare: String, _ calls: [(tool: String, input: JSON, text: String, isError: Bool)]) async throws {
        try await Box.with { (box: Box) async throws in
            _ = try await box.sh(prepare)
            for call in calls {
                let outcome = try await box.call(call.tool, call.input)
                #expect(outcome.text == call.text, "\(call.tool) \(call.input.text)")
                #expect(outcome.isError == call.isError, "\(call.tool) \(call.input.text): \(outcome.text)")
            }
        }
    }

    @Test func reads() async throws {
        try await check(
            "printf 'one\\r\\ntwo\\nthree' > a; printf '' > empty; mkdir d; mkfifo fifo; printf 'x\\xff' > bin; printf 'a\\nb\\n' > nl; "
                + "ln -s a link; ln -s /etc/passwd out; ln -s nowhere dangling; ln -s loop2 loop; ln -s loop loop2; "
                + "head -c 262145 /dev/zero | tr '\\0' x > long; (for i in $(seq 60000); do echo line $i; done) > many; touch pic.PNG; "
                + "mkdir shut; chmod 0 shut; touch secret; chmod 0 secret",
            [
                ("read", ["file_path": "a"], "one\r\ntwo\nthree", false),
                ("read", ["file_path": "/workspace/./d/../a"], "one\r\ntwo\nthree", false),
                ("read", ["file_path": "link"], "one\r\ntwo\nthree", false),
                ("read", ["file_path": "empty"], "(no output)", false),
                ("read", ["file_path": "a", "view_range": [2, 2]], "two", false),
                ("read", ["file_path": "a", "view_range": [2, 0]], "two\nthree", false),
                ("read", ["file_path": "a", "view_range": [-5, 1]], "one\r", false),
                ("read", ["file_path": "a", "view_range": [9, 12]], "(no output)", false),
                ("read", ["file_path": "a", "view_range": [3, 2]], "(no output)", false),
                ("read", ["file_path": "nl", "view_range": [1, 9]], "a\nb\n", false),
                ("read", ["file_path": "a", "view_range": [1]], "read: view_range must be [start_line, end_line]", true),
                ("read", ["file_path": "a", "view_range": "1-2"], "read: view_range must be [start_line, end_line]", true),
                ("read", ["file_path": "d"], "read: d: not a regular file", true),
                ("read", ["file_path": "fifo"], "read: fifo: not a regular file", true),
                ("read", ["file_path": "none"], "read: none: no such file or directory", true),
                ("read", ["file_path": "a/b"], "read: a/b: not a directory", true),
                ("read", ["file_path": "dangling"], "read: dangling: no such file or directory", true),
                ("read", ["file_path": "loop"], "read: path 'loop': too many levels of symbolic links", true),
                ("read", ["file_path": "shut/x"], "read: path 'shut/x': permission denied", true),
                ("read", ["file_path": "secret"], "read: secret: permission denied", true),
                ("read", ["file_path": "out"], "read: path 'out' \(Self.outside)", true),
                ("read", ["file_path": "/etc/passwd"], "read: path '/etc/passwd' \(Self.outside)", true),
                ("read", ["file_path": "../etc/passwd"], "read: path '../etc/passwd' \(Self.outside)", true),
                ("read", ["file_path": "/workspace2"], "read: path '/workspace2' \(Self.outside)", true),
                ("read", ["file_path": "bin"], "read: bin: not valid UTF-8 text (binary files are only supported for image/PDF extensions)", true),
                (
                    "read", ["file_path": "long"],
                    "read: long is 262145 bytes, exceeds 262144-byte limit. Use the view_range parameter to read specific line ranges, e.g. view_range: [1, 500].",
                    true
                ),
                (
                    "read", ["file_path": "long", "view_range": [1, 1]],
                    "read: line 1 of long alone exceeds 262144-byte limit. The read tool cannot return part of a line, so view_range cannot narrow this further.",
                    true
                ),
                ("read", ["file_path": "many", "view_range": [50000, 50001]], "line 50000\nline 50001", false),
                (
                    "read", ["file_path": "many", "view_range": [1, 0]],
                    "read: view_range [1, 0] of many exceeds 262144-byte limit. Narrow the view_range to read a smaller portion.", true
                ),
                ("read", ["file_path": "pic.PNG", "view_range": [1, 2]], "read: view_range is not supported for image/PDF files", true),
                ("read", [:], "read: file_path is required", true),
                ("read", ["file_path": ""], "read: file_path must not be empty", true),
                ("read", ["file_path": 7], "read: file_path must be a string, it is a number", true),
                ("read", ["file_path": "a", "lines": 3], "read: unknown argument 'lines'; read takes file_path, view_range", true),
            ])
    }

    @Test func readsImagesAndDocuments() async throws {
        try await Box.with { (box: Box) async throws in
            _ = try await box.sh(
                "printf '\\211PNG\\r\\n\\032\\nx' > p.png; printf '\\377\\330\\377' > p.JPG; cp p.JPG wrong.png; echo hello > text.png; head -c 9 /dev/zero > zero.pdf; "
                    + "(printf '%%PDF-1.4\\n'; head -c 999991 /dev/zero) > big.pdf; truncate -s 3932161 huge.webp; truncate -s 20971521 huge.pdf"
            )
            let image = try await box.call("read", ["file_path": "p.png"])
            #expect(image.content == [["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "iVBORw0KGgp4"]]])
            #expect(try await box.call("read", ["file_path": "p.JPG"]).content.first?["source"]?["data"] == "/9j/")
            #expect(try await box.call("read", ["file_path": "wrong.png"]).content.first?["source"]?["media_type"] == "image/jpeg")
            let text = try await box.call("read", ["file_path": "text.png"])
            #expect(
                text.isError
                    && text.text
                        == "read: text.png is named like image/png and does not begin like an image or a PDF. It is text: read it with bash, or rename it."
            )
            #expect(try await box.call("read", ["file_path": "zero.pdf"]).isError)
            let pdf = try await box.call("read", ["file_path": "big.pdf"])
            #expect(pdf.content.first?["type"] == "document")
            #expect(pdf.content.first?["source"]?["media_type"] == "application/pdf")
            #expect(pdf.content.first?["source"]?["data"]?.string?.count == 1_333_336)
            #expect(pdf.outputBytes == 1_000_000)
            #expect(
                try await box.call("read", ["file_path": "huge.webp"]).text
                    == "read: huge.webp is 3932161 bytes, exceeds 3932160-byte limit for image/PDF files.")
            #expect(
                try await box.call("read", ["file_path": "huge.pdf"]).text
                    == "read: huge.pdf is 20971521 bytes, exceeds 20971520-byte limit for image/PDF files.")
        }
    }

    @Test func writesAndEdits() async throws {
        try await check(
            "mkdir d; mkfifo fifo; ln -s /tmp out; ln -s d in; printf 'aXbXc' > e; printf '' > empty; printf 'x\\xff' > bin; "
                + "head -c 262145 /dev/zero > long; mkdir shut; chmod 500 shut; echo saved > /mnt/session/tool_outputs/o.txt",
            [
                ("write", ["file_path": "n/m/f", "content": "héllo\nworld\n"], "wrote 12 bytes to n/m/f", false),
                ("bash", ["command": "cat n/m/f; stat -c %a n/m/f"], "héllo\nworld\n644", false),
                ("write", ["file_path": "n/m/f", "content": ""], "wrote 0 bytes to n/m/f", false),
                ("read", ["file_path": "n/m/f"], "(no output)", false),
                ("write", ["file_path": "in/f", "content": "x"], "wrote 1 bytes to in/f", false),
                ("write", ["file_path": "d", "content": "x"], "write: d: is a directory", true),
                ("write", ["file_path": "e/f", "content": "x"], "write: e/f: not a directory", true),
                ("write", ["file_path": "fifo", "content": "x"], "write: fifo: not a regular file", true),
                ("write", ["file_path": "shut/f", "content": "x"], "write: shut/f: permission denied", true),
                ("write", ["file_path": "out/f", "content": "x"], "write: path 'out/f' \(Self.outside)", true),
                ("write", ["file_path": "/tmp/f", "content": "x"], "write: path '/tmp/f' \(Self.outside)", true),
                (
                    "write", ["file_path": "/mnt/session/tool_outputs/o.txt", "content": "x"],
                    "write: /mnt/session/tool_outputs/o.txt is inside read-only directory /mnt/session/tool_outputs", true
                ),
                (
                    "edit", ["file_path": "/mnt/session/tool_outputs/o.txt", "old_string": "a", "new_string": "x"],
                    "edit: /mnt/session/tool_outputs/o.txt is inside read-only directory /mnt/session/tool_outputs", true
                ),
                ("read", ["file_path": "/mnt/session/tool_outputs/o.txt"], "saved\n", false),
                ("write", ["file_path": "f"], "write: content is required", true),
                ("edit", ["file_path": "e", "old_string": "X", "new_string": "Y"], "edit: old_string appears 2 times in e (must be unique)", true),
                ("edit", ["file_path": "e", "old_string": "Z", "new_string": "Y"], "edit: old_string not found in e", true),
                ("edit", ["file_path": "e", "old_string": "aX", "new_string": "longer "], "edited e (1 replacement(s))", false),
                ("read", ["file_path": "e"], "longer bXc", false),
                ("edit", ["file_path": "e", "old_string": "longer ", "new_string": "X"], "edited e (1 replacement(s))", false),
                ("edit", ["file_path": "e", "old_string": "X", "new_string": "", "replace_all": true], "edited e (2 replacement(s))", false),
                ("read", ["file_path": "e"], "bc", false),
                ("edit", ["file_path": "e", "old_string": "", "new_string": "-"], "edit: old_string appears 3 times in e (must be unique)", true),
                ("edit", ["file_path": "empty", "old_string": "", "new_string": "new"], "edited empty (1 replacement(s))", false),
                (
                    "edit", ["file_path": "bin", "old_string": "x", "new_string": "y"], "edit: bin: not valid UTF-8 text (cannot edit binary files)",
                    true
                ),
                (
                    "edit", ["file_path": "long", "old_string": "x", "new_string": "y"],
                    "edit: long is 262145 bytes, exceeds 262144-byte limit. The edit tool loads the whole file and cannot modify a file this large.",
                    true
                ),
                ("edit", ["file_path": "d", "old_string": "x", "new_string": "y"], "edit: d: not a regular file", true),
                ("edit", ["file_path": "none", "old_string": "x", "new_string": "y"], "edit: none: no such file or directory", true),
                ("edit", ["file_path": "e", "old_string": "x"], "edit: new_string is required", true),
                (
                    "edit", ["file_path": "e", "old_string": "x", "new_string": "y", "replace_all": 1],
                    "edit: replace_all must be true or false, it is a number", true
                ),
                ("teleport", [:], "teleport: no such tool; there are bash, read, write, edit, glob and grep", true),
            ])
    }

    @Test func globs() async throws {
        try await check(
            "mkdir -p a/b .h; touch -d @1 old.txt; touch -d @5 a/new.txt; touch -d @3 a/b/mid.txt; touch -d @2 .h/x.txt 'we[ird'; "
                + "ln -s /etc etc; ln -s a/new.txt good; touch -h -d @9 good; mkdir é; touch é/ü.md",
            [
                ("glob", ["pattern": "*.txt"], "/workspace/old.txt", false),
                ("glob", ["pattern": "**/*.txt"], "/workspace/a/new.txt\n/workspace/a/b/mid.txt\n/workspace/.h/x.txt\n/workspace/old.txt", false),
                ("glob", ["pattern": "*.txt", "path": "a"], "/workspace/a/new.txt", false),
                ("glob", ["pattern": "./a/*/m?d.t[a-z]t"], "/workspace/a/b/mid.txt", false),
                ("glob", ["pattern": "a/b/mid.txt"], "/workspace/a/b/mid.txt", false),
                ("glob", ["pattern": "[!a-z]*.txt"], "no matches", false),
                ("glob", ["pattern": "we[[]ird"], "/workspace/we[ird", false),
                ("glob", ["pattern": "é/?.md"], "/workspace/é/ü.md", false),
                ("glob", ["pattern": "etc/host*"], "no matches", false),
                ("glob", ["pattern": "goo?"], "/workspace/good", false),
                ("glob", ["pattern": "none*"], "no matches", false),
                ("glob", ["pattern": "*", "path": "missing"], "no matches", false),
                ("glob", ["pattern": "/etc/*"], "glob: absolute pattern not permitted; pass a relative pattern (and optionally path)", true),
                ("glob", ["pattern": "a/../*"], "glob: '..' is not permitted in the pattern", true),
                ("glob", ["pattern": "*", "path": "/etc"], "glob: path '/etc' \(Self.outside)", true),
                ("glob", ["pattern": ""], "glob: pattern must not be empty", true),
                ("glob", [:], "glob: pattern is required", true),
                ("bash", ["command": "touch -d @9 a/b; touch -d @8 a; touch -d @7 .h; touch -d @6 é; touch -d @10 ."], "(no output)", false),
                ("glob", ["pattern": "**"], "/workspace\n/workspace/a/b\n/workspace/a\n/workspace/.h\n/workspace/é", false),
            ])
    }

    @Test func greps() async throws {
        try await check(
            "printf 'alpha\\nbeta\\n' > a.txt; mkdir d; printf 'beta beta\\n' > d/b.txt; printf 'beta' > .hidden; mkfifo fifo; printf 'z\\xff beta\\n' > odd; ln -s /etc/passwd out",
            [
                ("grep", ["pattern": "be.a", "path": "a.txt"], "2:beta\n", false),
                ("grep", ["pattern": "^beta b", "path": "d"], "/workspace/d/b.txt:1:beta beta\n", false),
                ("grep", ["pattern": "zzz"], "no matches", false),
                ("grep", ["pattern": "-v"], "no matches", false),
                ("grep", ["pattern": "beta", "path": "odd"], "1:z\u{FFFD} beta\n", false),
                ("grep", ["pattern": "x", "path": "fifo"], "grep: fifo: not a regular file or directory", true),
                ("grep", ["pattern": "root", "path": "out"], "grep: path 'out' \(Self.outside)", true),
                ("grep", [:], "grep: pattern is required", true),
            ])
        try await Box.with { (box: Box) async throws in
            let invalid = try await box.call("grep", ["pattern": "("])
            #expect(invalid.isError && invalid.text.hasPrefix("grep: rg failed: regex parse error"))
            let missing = try await box.call("grep", ["pattern": "x", "path": "none"])
            #expect(missing.isError && missing.text.hasPrefix("grep: rg failed: ") && missing.text.contains("No such file or directory"))
        }
    }

    @Test func grepsWithoutRipgrep() async throws {
        // A PATH without rg, which the session's configuration may well have.
        try await Box.with(change: { spec, _ in spec.environment = [("PATH", "/nowhere")] }) { (box: Box) async throws in
            _ = try await box.sh(
                "p=/usr/bin; printf 'alpha\\nbeta\\n' > a.txt; $p/mkdir d .git; printf 'beta beta\\n' > d/b.txt; printf 'beta' > .git/c; printf 'beta\\0' > bin"
            )
            #expect(try await box.call("grep", ["pattern": "be.a"]).text == "/workspace/a.txt:2:beta\n/workspace/d/b.txt:1:beta beta\n")
            #expect(try await box.call("grep", ["pattern": "al", "path": "a.txt"]).text == "/workspace/a.txt:1:alpha\n")
            #expect(try await box.call("grep", ["pattern": "zzz"]).text == "no matches")
            #expect(try await box.call("grep", ["pattern": "("]).text.hasPrefix("grep: invalid regex: "))
            #expect(try await box.call("grep", ["pattern": "x", "path": "none"]).text == "grep: none: no such file or directory")
        }
    }
}
