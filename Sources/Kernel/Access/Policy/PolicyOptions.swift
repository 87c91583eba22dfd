// SPDX-License-Identifier: Apache-2.0
internal import Base
package import Config

/// `[oslo_policy]`.
package struct PolicyOptions: Options {
    package static let section = "oslo_policy"

    /// Nil: policy.yaml in the cloud's folder, if it is there.
    package let file: String?
    package let enforceScope: Bool

    package init(_ read: inout OptionReader) {
        file = read.string(
            "policy_file",
            help: "Rules that replace defaults, for all services in one file. Unset means policy.yaml in the cloud's "
                + "folder, if it is there. Read again at SIGHUP.")
        enforceScope = read.bool(
            "enforce_scope", default: true, help: "Whether a token of a scope that a rule is not meant for is refused.")
        if let file, FileSystem.text(file) == nil { read.refuse("policy_file: \(file) cannot be read.") }
    }

    /// What the operator wrote; empty when there is no file.
    package func overrides(standard path: String) -> String { FileSystem.text(file ?? path) ?? "" }
}
