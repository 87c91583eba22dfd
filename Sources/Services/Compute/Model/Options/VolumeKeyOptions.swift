// SPDX-License-Identifier: Apache-2.0
package import Clients
package import Kernel

/// Who keeps the keys of encrypted volumes: `[key_manager]` and `[barbican]`, under upstream's names.
package struct VolumeKeyOptions: Options {
    package static let section = "key_manager"

    package var place = ServicesElsewhere.Place(service: "key-manager", types: ["key-manager"], base: "/v1")
    /// One key for everything, instead of a key manager.
    package var fixedKey: [UInt8]?

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("key_manager")
        let backend = read.string(
            "backend", default: "barbican",
            help:
                "Who keeps the keys of encrypted volumes: barbican, or for tests one key for everything: conf_key_mgr.")
        let isFixed = backend.hasSuffix("ConfKeyManager") || backend.hasSuffix("conf_key_mgr")
        if !isFixed, backend != "barbican", !backend.hasSuffix("BarbicanKeyManager") {
            read.refuse("backend is '\(backend)'; barbican and conf_key_mgr are known.")
        }
        let key = read.text("fixed_key", "hexadecimal digits", help: "The one key of conf_key_mgr.") { Hex.decode($0) }
        if isFixed {
            fixedKey = key
            if key == nil { read.refuse("backend = conf_key_mgr needs fixed_key.") }
        }
        read.section("barbican")
        place.address = read.text(
            "barbican_endpoint", "URL such as http://192.0.2.1:9311/",
            help: "Where Barbican answers, instead of where the catalog says."
        ) { $0.hasPrefix("http://") || $0.hasPrefix("https://") ? $0 : nil }
        place.interface = read.choice(
            "barbican_endpoint_type", of: ["public", "internal", "admin"], default: "public",
            help: "Which of Barbican's endpoints is taken from the catalog.")
        place.region = read.string(
            "barbican_region_name", help: "The region whose endpoint is taken; unset, the first one.")
        place.isInsecure = !read.bool(
            "verify_ssl", default: true, help: "Whether Barbican's certificate is looked at.")
        place.authorities = read.text(
            "verify_ssl_path", "path", help: "Certificates to trust instead of the system's."
        ) { $0 }
    }
}
