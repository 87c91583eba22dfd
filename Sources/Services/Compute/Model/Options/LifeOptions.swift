// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// When servers are deleted, put away or let go by themselves, and which consoles they have.
package struct LifeOptions: Options {
    package static let section = INI.defaultSection

    /// Deleted servers stay this long and can be restored; zero deletes at once.
    package var reclaimInterval = Duration.zero
    /// Shelved servers leave their host after this long; nil never, zero at once.
    package var shelvedOffloadTime: Duration? = .zero
    /// Servers are rescued for so long at most; zero is for ever.
    package var rescueTimeout = Duration.zero
    package var showsPasswords = true
    package var hasSerialConsoles = false
    package var hasSPICE = false
    /// Where guests' SPICE screens listen for clients of that protocol; nil keeps them to sockets of their host.
    package var spiceListen: String?
    /// Where such clients find the proxy that asks what a token stands for.
    package var spiceDirectURL = "http://127.0.0.1:13002/nova"

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(INI.defaultSection)
        reclaimInterval = read.duration(
            "reclaim_instance_interval", default: reclaimInterval,
            help: "How long deleted servers are kept, and can be restored, before they are gone; 0 deletes at once.")
        let offload = read.int(
            "shelved_offload_time", default: 0, in: -1...Int(Int32.max),
            help: "After how many seconds shelved servers leave their host; 0 is at once, -1 never.")
        shelvedOffloadTime = offload < 0 ? nil : .seconds(offload)
        rescueTimeout = read.duration(
            "rescue_timeout", default: rescueTimeout,
            help: "After how long a rescued server is unrescued by itself; 0 is never.")
        read.section("api")
        showsPasswords = read.bool(
            "enable_instance_password", default: showsPasswords,
            help: "Whether answers tell the password that a server was given.")
        read.section("serial_console")
        hasSerialConsoles = read.bool(
            "enabled", default: hasSerialConsoles, help: "Whether clients may open guests' serial lines.")
        read.section("spice")
        hasSPICE = read.bool("enabled", default: hasSPICE, help: "Whether guests have SPICE screens beside VNC.")
        spiceListen = read.text(
            "server_listen", "address",
            help:
                "The address on which guests' SPICE screens listen for a proxy of that protocol (spice-direct); unset, "
                + "they are sockets that only the console proxy of their host reaches."
        ) { AddressText.canonical($0) }
        spiceDirectURL =
            read.text(
                "spice_direct_proxy_base_url", "URL", default: spiceDirectURL,
                help: "Where clients that speak SPICE themselves find their proxy."
            ) { $0 } ?? spiceDirectURL
    }
}
