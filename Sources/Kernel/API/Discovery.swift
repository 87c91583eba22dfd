// SPDX-License-Identifier: Apache-2.0
internal import JSON

/// One version in a discovery document, in the members that clients look for.
package struct VersionDocument: Sendable {
    package let id: String
    package let status: String
    package let updated: String
    package let minimum: Microversion?
    package let maximum: Microversion?
    package let mediaTypes: [(base: String, type: String)]
    /// The path under the service's root: `/v2.1/`.
    package let path: String

    package init(
        id: String, status: String = "CURRENT", updated: String = "2013-07-23T11:33:21Z", path: String,
        history: VersionHistory? = nil, mediaTypes: [(base: String, type: String)] = []
    ) {
        self.id = id
        self.status = status
        self.updated = updated
        self.path = path
        minimum = history?.minimum
        maximum = history?.maximum
        self.mediaTypes = mediaTypes
    }

    /// The members in the order upstream writes them.
    package func write(_ view: inout View) {
        view.put("id", id)
        view.put("status", status)
        if let maximum { view.put("version", maximum.description) }
        if let minimum { view.put("min_version", minimum.description) }
        if let maximum { view.put("max_version", maximum.description) }
        view.put("updated", updated)
        if !mediaTypes.isEmpty {
            view.list("media-types", mediaTypes) {
                $0.put("base", $1.base)
                $0.put("type", $1.type)
            }
        }
        let href = view.root + path
        view.list("links", ["self"]) {
            $0.put("rel", $1)
            $0.put("href", href)
        }
    }
}
