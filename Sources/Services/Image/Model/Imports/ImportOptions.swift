// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The ways in which bytes come into an image without being uploaded to it.
package enum ImportMethod: String, Codable, Sendable, CaseIterable {
    case glanceDirect = "glance-direct"
    case webDownload = "web-download"
    case copyImage = "copy-image"
    case glanceDownload = "glance-download"
}

/// What may be done with bytes between their arrival and the stores.
package enum ImportPlugin: String, Codable, Sendable, CaseIterable {
    case noOp = "no_op"
    case decompression = "image_decompression"
    case conversion = "image_conversion"
    case metadata = "inject_image_metadata"
}

/// What an operator may set about imports, under glance-api.conf's and glance-image-import.conf's names.
package struct ImportOptions: Options {
    package static let section = INI.defaultSection

    package var methods: [ImportMethod] = [.glanceDirect, .webDownload, .copyImage]
    package var filter = ImportFilter()
    /// Whether imports may reach addresses that are not of the public internet.
    package var allowsPrivateAddresses = false
    package var plugins: [ImportPlugin] = []
    package var outputFormat = "raw"
    /// Users with one of these roles have nothing injected.
    package var rolesIgnored = ["admin"]
    package var injected: [String: String] = [:]
    /// What the names of properties begin with that come along from another image service.
    package var copiedProperties = ["hw_", "trait:", "os_distro", "os_secure_boot", "os_type"]
    /// How long a task that is over is still shown.
    package var taskTimeToLive = Duration.seconds(48 * 3600)

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        methods = Self.words(
            "enabled_import_methods", methods,
            help: "The ways in which images may be imported: "
                + ImportMethod.allCases.map(\.rawValue).joined(separator: ", ") + ".", &read)
        read.section("import_filtering_opts")
        filter = ImportFilter(&read)
        allowsPrivateAddresses = read.bool(
            "allow_private_addresses", default: false,
            help:
                "Whether imports, and locations that are URLs of the web, may lead to loopback, link-local, private "
                + "and other addresses that are not of the public internet.")
        read.section("image_import_opts")
        plugins = Self.words(
            "image_import_plugins", plugins,
            help: "What is done with imported data, in this order: "
                + ImportPlugin.allCases.map(\.rawValue).joined(separator: ", ") + ".", &read)
        read.section("image_conversion")
        outputFormat = read.choice(
            "output_format", of: ["raw", "qcow2", "vmdk"], default: outputFormat,
            help: "The disk format that the plugin image_conversion makes of all images.")
        readInjection(&read)
        read.section("glance_download_properties")
        copiedProperties = read.list(
            "extra_properties", default: copiedProperties,
            help: "Beginnings of the names of properties that glance-download takes over."
        ).map(Self.bare)
        read.section("task")
        taskTimeToLive = .seconds(
            3600
                * read.int(
                    "task_time_to_live", default: 48, in: 0...1_000_000,
                    help: "How many hours a task is shown after it succeeded or failed."))
    }

    private mutating func readInjection(_ read: inout OptionReader) {
        read.section("inject_metadata_properties")
        rolesIgnored = read.list(
            "ignore_user_roles", default: rolesIgnored,
            help: "Imports of users with one of these roles have no properties injected."
        ).map(Self.bare)
        for pair in read.list("inject", help: "Properties that the plugin inject_image_metadata sets: name:value,...") {
            guard let colon = pair.firstIndex(of: ":"), colon > pair.startIndex else {
                read.refuse("inject: '\(pair)' is no name:value pair.")
                continue
            }
            injected[String(pair[..<colon]).trimmed] = String(pair[pair.index(after: colon)...]).trimmed
        }
    }

    /// oslo's lists may stand in brackets, their words in quotes.
    static func bare(_ word: String) -> String {
        String(word.trimmed.drop { "['\"".contains($0) }.reversed().drop { "]'\"".contains($0) }.reversed()).trimmed
    }

    private static func words<Word: RawRepresentable<String> & CaseIterable>(
        _ name: String, _ standard: [Word], help: String, _ read: inout OptionReader
    ) -> [Word] {
        let given = read.list(name, default: standard.map(\.rawValue), help: help)
        return given.map(bare).filter { !$0.isEmpty }.compactMap { text in
            if let word = Word(rawValue: text) { return word }
            read.refuse("\(name): '\(text)' is none of " + Word.allCases.map(\.rawValue).joined(separator: ", ") + ".")
            return nil
        }
    }
}
