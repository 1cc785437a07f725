/// Names below which everybody can register: a pattern for all of their subdomains would name nobody.
enum PublicSuffix {
    /// Whether `name` is a top-level domain or one of the common registries below one. The list is short on purpose: it stops mistakes,
    /// it does not rank owners.
    static func contains(_ name: String) -> Bool { !name.contains(".") || known.contains(name) }

    private static let known: Set<String> = [
        "ac.jp", "ac.nz", "ac.uk", "co.at", "co.id", "co.il", "co.in", "co.jp", "co.ke", "co.kr", "co.nz", "co.th", "co.uk", "co.za", "com.ar",
        "com.au", "com.br", "com.cn", "com.co", "com.hk", "com.mx", "com.my", "com.ng", "com.pe", "com.ph", "com.pk", "com.pl", "com.sa", "com.sg",
        "com.tr", "com.tw", "com.ua", "com.vn", "edu.au", "edu.cn", "go.jp", "gov.au", "gov.br", "gov.cn", "gov.in", "gov.uk", "in-addr.arpa",
        "ip6.arpa", "ne.jp", "net.au", "net.br", "net.cn", "net.nz", "net.uk", "or.jp", "or.kr", "org.au", "org.br", "org.cn", "org.nz", "org.uk",
        // Hosters that give a subdomain to anybody.
        "amazonaws.com", "appspot.com", "azureedge.net", "azurewebsites.net", "blob.core.windows.net", "cloudapp.net", "cloudflare.net",
        "cloudfront.net", "cloudfunctions.net", "core.windows.net", "duckdns.org", "firebaseapp.com", "fly.dev", "github.io", "githubusercontent.com",
        "gitlab.io", "googleapis.com", "herokuapp.com", "lambda-url.us-east-1.on.aws", "netlify.app", "ngrok-free.app", "ngrok.app", "ngrok.io",
        "on.aws", "onrender.com", "pages.dev", "r2.dev", "railway.app", "repl.co", "run.app", "s3.amazonaws.com", "sslip.io", "surge.sh",
        "trycloudflare.com", "vercel.app", "web.app", "windows.net", "workers.dev",
    ]
}
