// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What guests are told beyond what is known of them: `[api]`, `[neutron]` and `[DEFAULT]` of nova.conf.
package struct MetadataOptions: Options {
    package static let section = "api"

    package enum DriveFormat: String, Sendable, CaseIterable { case iso9660, vfat }

    /// Appended to the hostname that guests read.
    package var domain = "novalocal"
    package var vendorProviders = ["StaticJSON"]
    package var vendorFile: String?
    /// `name@url`: services that add to `vendor_data2.json`.
    package var vendorTargets: [(name: String, url: String)] = []
    package var vendorTimeout = Duration.seconds(5)
    package var vendorAuthorities: String?
    package var vendorFailureIsFatal = false
    /// EC2's versions that the config drive does without.
    package var skippedVersions = [
        "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    ]
    /// What a metadata proxy of somebody else's signs the server's id with; nil refuses such proxies.
    package var proxySecret: String?
    package var driveFormat = DriveFormat.iso9660
    package var forcesDrive = false

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("api")
        domain = read.string("dhcp_domain", default: domain, help: "The domain of the hostnames that guests are told.")
        skippedVersions =
            read.string(
                "config_drive_skip_versions", default: skippedVersions.joined(separator: " "),
                help: "EC2's versions, parted by blanks, that config drives do without."
            ).split(separator: " ").map(String.init)
        readVendor(&read)
        read.section("neutron")
        let isProxied = read.bool(
            "service_metadata_proxy", default: false,
            help: "Whether metadata is also answered to a proxy that names the server and signs its id.")
        let secret = read.string(
            "metadata_proxy_shared_secret", default: "", help: "What such a proxy signs the server's id with.")
        proxySecret = isProxied ? secret : nil
        read.section(INI.defaultSection)
        driveFormat = read.choice(
            "config_drive_format", default: driveFormat, help: "The file system of config drives.")
        forcesDrive = read.bool(
            "force_config_drive", default: forcesDrive, help: "Whether every server gets a config drive.")
    }

    private mutating func readVendor(_ read: inout OptionReader) {
        vendorProviders = read.list(
            "vendordata_providers", default: vendorProviders,
            help: "Where vendor data comes from: StaticJSON, DynamicJSON.")
        for name in vendorProviders where name != "StaticJSON" && name != "DynamicJSON" {
            read.refuse("vendordata_providers has '\(name)', which is neither StaticJSON nor DynamicJSON.")
        }
        vendorFile = read.string("vendordata_jsonfile_path", help: "A file of JSON that all guests are given.")
        for target in read.list(
            "vendordata_dynamic_targets", help: "Services that add to vendor data, each as name@url.")
        {
            let parts = target.split(separator: "@", maxSplits: 1).map(String.init)
            guard parts.count == 2, parts[1].hasPrefix("http") else {
                read.refuse("vendordata_dynamic_targets has '\(target)', which is not name@url.")
                continue
            }
            vendorTargets.append((parts[0], parts[1]))
        }
        let connect = read.duration(
            "vendordata_dynamic_connect_timeout", default: .seconds(5), atLeast: .milliseconds(1),
            help: "How long such a service may take to be connected to.")
        let answer = read.duration(
            "vendordata_dynamic_read_timeout", default: .seconds(5), atLeast: .milliseconds(1),
            help: "How long such a service may take to answer.")
        vendorTimeout = max(connect, answer)
        vendorAuthorities = read.string(
            "vendordata_dynamic_ssl_certfile", help: "Certificates that such services' own must be signed by.")
        vendorFailureIsFatal = read.bool(
            "vendordata_dynamic_failure_fatal", default: false,
            help: "Whether a server fails to boot when such a service fails.")
    }
}
