// SPDX-License-Identifier: Apache-2.0
package import Config

/// `[cors]`, as oslo.middleware has it.
package struct CORSOptions: Options {
    package static let section = "cors"

    package let origins: [String]

    package init(_ read: inout OptionReader) {
        origins = read.list(
            "allowed_origin",
            help: "The pages elsewhere whose scripts may call the APIs: https://dashboard.example, or *.")
        for origin in origins where origin != "*" && !CORSOptions.isOrigin(origin) {
            read.refuse("allowed_origin: '\(origin)' is no origin such as https://dashboard.example:8443 (no path).")
        }
    }

    package var cors: CORS { CORS(origins: origins) }

    private static func isOrigin(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { return false }
        let rest = text.dropFirst(scheme.count)
        return !rest.isEmpty && !rest.contains("/") && !rest.contains(" ")
    }
}
