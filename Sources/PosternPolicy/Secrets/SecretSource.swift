import PosternJSON

/// Where the worker finds the value of a secret, inside the perimeter. A policy never holds a value, so neither a policy nor its digest
/// gives one away.
package enum SecretSource: Sendable, Hashable {
    /// An absolute path. The file belongs to the worker's user or root, is no link, and nobody else can read it (mode 0600 or stricter);
    /// its first line is the value. It is read again when it changes.
    case file(path: String)
    /// A variable of the worker's own environment. It is read once at start and is in no child's environment.
    case variable(name: String)
    /// HashiCorp Vault's key-value engine.
    case vault(VaultSource)
}

/// A field of a secret in HashiCorp Vault's key-value engine, version 1 or 2.
package struct VaultSource: Sendable, Hashable {
    /// How the worker proves itself to Vault.
    package enum Login: Sendable, Hashable {
        /// A file whose first line is a token.
        case tokenFile(String)
        /// AppRole: files whose first lines are the role id and the secret id.
        case appRole(roleIDFile: String, secretIDFile: String)
    }

    /// `https://vault.internal:8200`; plain HTTP is for loopback only.
    package var address: String
    /// Below `/v1/`, as Vault's API writes it; version 2 has `data` after the mount: `secret/data/team/database`.
    package var path: String
    /// The member of the secret that is the value.
    package var field: String
    package var login: Login
    /// `X-Vault-Namespace`; `nil` sends none.
    package var namespace: String?
    /// PEM file of the authority that signed Vault's certificate; `nil` uses the system's.
    package var caFile: String?

    package init(address: String, path: String, field: String, login: Login, namespace: String? = nil, caFile: String? = nil) {
        self.address = address
        self.path = path
        self.field = field
        self.login = login
        self.namespace = namespace
        self.caFile = caFile
    }
}

extension SecretSource {
    /// `{"file": …}`, `{"variable": …}` or `{"vault": {…}}`.
    package init(json: JSON) throws(PolicyValueError) {
        var reader = try FieldReader(json)
        let file = try reader.string("file")
        let variable = try reader.string("variable")
        let vault = reader.member("vault")
        try reader.finish()
        let given = [file != nil, variable != nil, vault != nil].filter { $0 }.count
        guard given == 1 else {
            throw PolicyValueError(
                value: json.text, rule: "names \(given) sources, and a secret has one", remedy: "write one of file, variable, vault")
        }
        if let file {
            self = .file(path: file)
        } else if let variable {
            self = .variable(name: variable)
        } else {
            do throws(PolicyValueError) {
                self = .vault(try VaultSource(json: vault ?? .null))
            } catch {
                throw error.below("vault")
            }
        }
    }

    package var json: JSON {
        switch self {
        case .file(let path): ["file": .string(path)]
        case .variable(let name): ["variable": .string(name)]
        case .vault(let source): ["vault": source.json]
        }
    }
}

extension VaultSource {
    package init(json: JSON) throws(PolicyValueError) {
        var reader = try FieldReader(json)
        address = try reader.required("address")
        path = try reader.required("path")
        field = try reader.required("field")
        namespace = try reader.string("namespace")
        caFile = try reader.string("ca_file")
        let token = try reader.string("token_file")
        let role = try reader.string("role_id_file")
        let secret = try reader.string("secret_id_file")
        try reader.finish()
        switch (token, role, secret) {
        case (let token?, nil, nil): login = .tokenFile(token)
        case (nil, let role?, let secret?): login = .appRole(roleIDFile: role, secretIDFile: secret)
        default:
            throw PolicyValueError(
                value: json.text, rule: "needs one way to prove itself to Vault", remedy: "write token_file, or role_id_file and secret_id_file")
        }
    }

    package var json: JSON {
        var object: JSONObject = ["address": .string(address), "path": .string(path), "field": .string(field)]
        object["namespace"] = namespace.map(JSON.string)
        object["ca_file"] = caFile.map(JSON.string)
        switch login {
        case .tokenFile(let file): object["token_file"] = .string(file)
        case .appRole(let role, let secret):
            object["role_id_file"] = .string(role)
            object["secret_id_file"] = .string(secret)
        }
        return .object(object)
    }
}

extension SecretSource {
    /// Files of the perimeter that hold the secret or open the way to it; none of them may be in a sandbox.
    package var files: [String] {
        switch self {
        case .file(let path): [path]
        case .variable: []
        case .vault(let source):
            switch source.login {
            case .tokenFile(let file): [file]
            case .appRole(let role, let secret): [role, secret]
            }
        }
    }
}
