// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How long servers wait for Network to say that their ports carry traffic, and what becomes of those that wait in
/// vain.
package struct PlugOptions: Options {
    package static let section = INI.defaultSection

    /// Zero does not wait at all.
    package var timeout = Duration.seconds(300)
    package var isFatal = true
    /// Whether a live migration waits for the ports at its destination before the guest leaves.
    package var holdsMigrations = true
    /// The kinds of ports that a hard reboot waits for.
    package var rebootKinds: Set<String> = []

    private static let kinds = [
        "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
        "accelerator-direct", "accelerator-direct-physical", "remote-managed",
    ]

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(INI.defaultSection)
        timeout = read.duration(
            "vif_plugging_timeout", default: timeout,
            help: "How long a server waits for Network to say that its ports carry traffic; 0 does not wait.")
        isFatal = read.bool(
            "vif_plugging_is_fatal", default: isFatal,
            help: "Whether a server that waited for its ports in vain fails, instead of going on without them.")
        read.section("compute")
        holdsMigrations = read.bool(
            "live_migration_wait_for_vif_plug", default: holdsMigrations,
            help: "Whether a live migration waits for the ports at its destination before the guest leaves.")
        read.section("workarounds")
        let name = "wait_for_vif_plugged_event_during_hard_reboot"
        rebootKinds = Set(
            read.list(
                name, help: "The vnic types of the ports that a hard reboot waits for; none as a rule."))
        for kind in rebootKinds.subtracting(PlugOptions.kinds).sorted() {
            read.refuse("\(name) has '\(kind)', which is no vnic type.")
        }
    }
}
