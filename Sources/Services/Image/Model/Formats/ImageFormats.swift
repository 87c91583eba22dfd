// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Which formats images may be said to have, and what becomes of bytes that are not what they are said to be.
package struct ImageFormats: Sendable {
    package var containers = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"]
    package var disks = ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"]
    /// Subformats of vmdk that are converted, in small letters.
    package var vmdkKinds: Set<String> = ["streamoptimized", "monolithicsparse"]
    /// Bytes of another format than the declared one are refused.
    package var mustMatch = true
    /// Checks of partition tables whose failure is let pass.
    package var nonfatal: Set<String> = []

    package init() {}

    init(_ read: inout OptionReader) {
        self.init()
        read.section("image_format")
        containers = read.list(
            "container_formats", default: containers, help: "What an image's container_format may be."
        ).map(ImportOptions.bare)
        disks = read.list("disk_formats", default: disks, help: "What an image's disk_format may be.")
            .map(ImportOptions.bare)
        let kinds = read.list(
            "vmdk_allowed_types", default: ["streamOptimized", "monolithicSparse"],
            help: "Which of the two kinds of vmdk in one file the plugin image_conversion takes; others are refused "
                + "always.")
        vmdkKinds = Set(kinds.map { ImportOptions.bare($0).lowercased() })
        mustMatch = read.bool(
            "require_image_format_match", default: true,
            help: "Whether bytes of another format than the image's disk_format are refused.")
        let checks = read.list(
            "gpt_safety_checks_nonfatal", help: "Checks of disks with partition tables that may fail: mbr, gptmbr.")
        nonfatal = Set(checks.map(ImportOptions.bare))
        for check in nonfatal where !["mbr", "gptmbr"].contains(check) {
            read.refuse("gpt_safety_checks_nonfatal: '\(check)' is no check; there are mbr and gptmbr.")
        }
    }
}
