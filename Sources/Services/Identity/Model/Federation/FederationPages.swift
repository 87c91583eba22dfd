// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The pages that a browser sees on its way: none of them loads anything, and no other page may frame them.
enum FederationPages {
    /// A form that hands the token to the dashboard, as upstream's template does.
    static func handOver(_ token: String, to dashboard: String) -> Reply {
        let script = "document.forms['sso'].submit();"
        let hash = Base64.encode(Digest.bytes(.sha256, Array(script.utf8)))
        return page(
            """
            <form id="sso" name="sso" action="\(escaped(dashboard))" method="post">
            Please wait...
            <br/>
            <input type="hidden" name="token" id="token" value="\(escaped(token))"/>
            <noscript><input type="submit" name="submit_no_javascript" id="submit_no_javascript"
            value="If your JavaScript is disabled, please click to continue"/></noscript>
            </form>
            <script type="text/javascript">\(script)</script>
            """, policy: "default-src 'none'; script-src 'sha256-\(hash)'; frame-ancestors 'none'")
    }

    /// Which provider somebody wants to come from, where several speak the protocol.
    static func choice(_ links: [(name: String, address: String)]) -> Reply {
        let items = links.map { "<li><a href=\"\(escaped($0.address))\">\(escaped($0.name))</a></li>" }
        return page(
            "<p>Log in with</p><ul>\(items.joined())</ul>", policy: "default-src 'none'; frame-ancestors 'none'")
    }

    static func redirect(to address: String) -> Reply {
        Reply.empty.status(302).header("Location", address).header("Cache-Control", "no-store")
    }

    private static func page(_ body: String, policy: String) -> Reply {
        let text = """
            <!DOCTYPE html>
            <html xmlns="http://www.w3.org/1999/xhtml">
            <head><title>Keystone WebSSO redirect</title></head>
            <body>
            \(body)
            </body>
            </html>
            """
        return Reply.body(.bytes(Array(text.utf8)), type: "text/html; charset=utf-8")
            .header("Cache-Control", "no-store").header("Content-Security-Policy", policy)
            .header("Referrer-Policy", "no-referrer").header("X-Content-Type-Options", "nosniff")
    }

    static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}

/// A cookie that lasts as long as somebody is on the way. Scripts do not see it; over https it goes nowhere else.
struct Cookie {
    let name: String, value: String, life: Duration

    /// - Parameter crossesSites: whether another site's form may bring it, as SAML's does.
    func header(secure: Bool, crossesSites: Bool = false) -> String {
        let site = crossesSites && secure ? "None" : "Lax"
        return "\(name)=\(value); Path=/; Max-Age=\(life.components.seconds); HttpOnly; SameSite=\(site)"
            + (secure ? "; Secure" : "")
    }

    static func read(_ name: String, _ request: Request) -> String? {
        for line in request.http.headers.all("Cookie") {
            for pair in line.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1).map { String($0).trimmedOfSpace }
                if parts.count == 2, parts[0] == name { return parts[1] }
            }
        }
        return nil
    }
}
