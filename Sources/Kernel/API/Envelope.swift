// SPDX-License-Identifier: Apache-2.0
package import Base
internal import HTTP
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
    }

    /// A fault as a response. What went wrong inside goes to the log with the request's id, not to the client.
    func response(_ fault: Fault, requestID: String) -> HTTPResponse {
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
        headers.append(("Content-Type", "application/json"))
        let document = document(shown, Envelope.title(fault.status), requestID)
        return HTTPResponse(status: fault.status, headers: headers, body: .bytes(document.bytes()))
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
