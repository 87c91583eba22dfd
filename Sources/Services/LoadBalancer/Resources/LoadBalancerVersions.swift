// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What the service says of itself before anybody logs in: upstream's minor versions, which clients only read.
package enum LoadBalancerVersions: Resource {
    package static let routes: [Route] = [
        .open("GET", "//", "List API versions") { _ in
            .bare { view in
                let last = updated.count - 1
                view.list("versions", updated.indices) { version, minor in
                    version.put("id", "v2.\(minor)")
                    version.put("status", minor == last ? "CURRENT" : "SUPPORTED")
                    version.put("updated", updated[minor])
                    let address = version.root + "/v2"
                    version.list("links", [address]) {
                        $0.put("href", $1)
                        $0.put("rel", "self")
                    }
                }
            }
        }
    ]

    /// Routes under both spellings of the version.
    static func both(_ path: String, _ routes: (String) -> [Route]) -> [Route] {
        ["/v2", "/v2.0"].flatMap { routes($0 + path) }
    }

    /// When upstream brought each minor version, from 2.0 on.
    private static let updated = [
        "2016-12-11T00:00:00Z", "2018-04-20T00:00:00Z", "2018-07-31T00:00:00Z", "2018-12-18T00:00:00Z",
        "2018-12-19T00:00:00Z", "2019-01-21T00:00:00Z", "2019-01-25T00:00:00Z", "2018-01-25T12:00:00Z",
        "2019-02-12T00:00:00Z", "2019-03-04T00:00:00Z", "2019-03-05T00:00:00Z", "2019-06-24T00:00:00Z",
        "2019-09-11T00:00:00Z", "2019-09-13T00:00:00Z", "2019-11-10T00:00:00Z", "2020-03-10T00:00:00Z",
        "2020-03-15T00:00:00Z", "2020-04-29T00:00:00Z", "2020-04-29T01:00:00Z", "2020-05-12T00:00:00Z",
        "2020-08-02T00:00:00Z", "2020-09-03T00:00:00Z", "2020-09-04T00:00:00Z", "2020-09-07T00:00:00Z",
        "2020-10-15T00:00:00Z", "2021-10-02T00:00:00Z", "2022-08-29T00:00:00Z", "2023-05-05T00:00:00Z",
        "2023-11-08T00:00:00Z", "2024-10-15T00:00:00Z", "2025-02-26T00:00:00Z",
    ]
}
