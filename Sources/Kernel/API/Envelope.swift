// SPDX-License-Identifier: Apache-2.0
package import Base
package import HTTP
package import JSON

/// A service's own manner of saying no, and of linking pages: clients of each service match on its shape.
package struct Envelope: Sendable {
    /// The body of a fault: `(fault, its status line's words, request id)` to a JSON document.
    package let document: @Sendable (_ fault: Fault, _ title: String, _ requestID: String) -> JSON
    /// What a caller is told whom a rule refuses.
    package let refusal: @Sendable (_ rule: String) -> Fault
    package let pageLinks: PageLinks
    /// Whether `fields=` trims answers.
    package let trimsFields: Bool
    /// Whether a path that does not exist is told to strangers (404) or hidden behind 401.
    package let revealsPaths: Bool
    /// Whether `/things/` is the same as `/things`, or the thing whose id is empty, which nobody has.
    package let ignoresFinalSlash: Bool
    /// The request headers that answers depend on, for caches in between; versions' own are added by themselves.
    package let vary: String?
    /// What a request for a version that does not exist is told.
    package let versionRefusal: @Sendable (_ asked: String, _ history: VersionHistory) -> Fault

    /// What a request for something that is no version at all is told.
    package let versionMisspelt: @Sendable (_ asked: String) -> Fault
    /// What is the service's own to look at before a body is read: `Accept`, `Content-Type`.
    package let admission: Admission?
    /// The body of a fault where it depends on the version (nil when none was agreed on); else it is `document`.
    package let dated: Dated?
    /// Who gets faults as a page.
    package let pages: Pages

    package typealias Admission = @Sendable (HTTPRequest, Route, Microversion) throws(Fault) -> Void
    package typealias Dated = @Sendable (_ fault: Fault, _ title: String, _ id: String, _ at: Microversion?) -> JSON
    /// Nobody; who accepts `text/html` and no JSON; or also who accepts anything, as WebOb answers (Glance's client
    /// reads the cause from pages alone).
    package enum Pages: Sendable { case never, asked, unlessJSON }
    package enum PageLinks: Sendable { case none, nova, neutron, glance, keystone }

    package init(
        pageLinks: PageLinks, trimsFields: Bool = false, revealsPaths: Bool = false, ignoresFinalSlash: Bool = true,
        vary: String? = nil,
        versionRefusal: @escaping @Sendable (_ asked: String, _ history: VersionHistory) -> Fault = { asked, history in
            Fault(
                406,
                "Version \(asked) is not supported by the API. Minimum is \(history.minimum) and maximum is "
                    + "\(history.maximum)."
            )
        },
        versionMisspelt: @escaping @Sendable (_ asked: String) -> Fault = { asked in
            .badRequest("API Version String \(asked) is of invalid format. Must be of format MajorNum.MinorNum.")
        },
        admission: Admission? = nil, dated: Dated? = nil, pages: Pages = .never,
        refusal: @escaping @Sendable (_ rule: String) -> Fault,
        document: @escaping @Sendable (_ fault: Fault, _ title: String, _ requestID: String) -> JSON
    ) {
        self.document = document
        self.refusal = refusal
        self.pageLinks = pageLinks
        self.trimsFields = trimsFields
        self.revealsPaths = revealsPaths
        self.ignoresFinalSlash = ignoresFinalSlash
        self.vary = vary
        self.versionRefusal = versionRefusal
        self.versionMisspelt = versionMisspelt
        self.admission = admission
        self.dated = dated
        self.pages = pages
    }

    /// A fault as a response. What went wrong inside goes to the log with the request's id, not to the client.
    func response(
        _ fault: Fault, requestID: String, at version: Microversion? = nil, accept: String? = nil
    ) -> HTTPResponse {
        var shown = fault
        if fault.status == 500 {
            shown.message =
                "Something went wrong inside the service; the operator finds the cause in the log under \(requestID)."
        }
        shown.message = Envelope.brief(shown.message)
        var headers = fault.headers.map { ($0.key, $0.value) }
        guard fault.status >= 400 else {
            return HTTPResponse(status: fault.status, headers: headers, body: .empty)
        }
        let title = Envelope.title(fault.status)
        if isPage(accept) {
            headers.append(("Content-Type", "text/html; charset=UTF-8"))
            return HTTPResponse(
                status: fault.status, headers: headers,
                body: .bytes(Array(Envelope.page("\(fault.status) \(title)", shown.message).utf8)))
        }
        headers.append(("Content-Type", "application/json"))
        let document = dated?(shown, title, requestID, version) ?? document(shown, title, requestID)
        return HTTPResponse(status: fault.status, headers: headers, body: .bytes(document.bytes()))
    }

    private func isPage(_ accept: String?) -> Bool {
        guard pages != .never, let accept, !accept.contains("json") else { return false }
        return accept.contains("text/html") || pages == .unlessJSON && accept.contains("*/*")
    }

    private static func page(_ title: String, _ message: String) -> String {
        let marks: [Character: String] = ["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#x27;"]
        let text = message.reduce(into: "") { $0 += marks[$1] ?? String($1) }
        return """
            <html>
             <head>
              <title>\(title)</title>
             </head>
             <body>
              <h1>\(title)</h1>
              \(text)<br /><br />
             </body>
            </html>
            """
    }

    /// Messages quote what the client sent, which may be a megabyte: the middle of a long one is left out.
    private static func brief(_ message: String) -> String {
        guard message.utf8.count > 4096 else { return message }
        return message.prefix(2048) + " [...] " + message.suffix(1024)
    }

    /// RFC 9110's reason phrases.
    package static func title(_ status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Request Entity Too Large"
        case 415: "Unsupported Media Type"
        case 416: "Requested Range Not Satisfiable"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: "Error"
        }
    }
}
