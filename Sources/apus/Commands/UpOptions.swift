// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What `apus up` is made of and where it answers.
struct UpOptions: Options {
    static let section = INI.defaultSection
    enum HypervisorKind: String { case libvirt, fake }
    enum NetworkKind: String { case ovn, fake }

    let hypervisor: HypervisorKind
    let network: NetworkKind
    let hosts: Int
    let offset: Int

    init(_ read: inout OptionReader) {
        // nova.conf says libvirt.LibvirtDriver and fake.FakeDriver.
        let hypervisor =
            read.text(
                "compute_driver", "driver (libvirt or fake)", default: HypervisorKind.libvirt.rawValue,
                help: "Real guests through libvirt, or made-up ones (fake)."
            ) { HypervisorKind(rawValue: String($0.prefix { $0 != "." })) } ?? .libvirt
        self.hypervisor = hypervisor
        read.section("ml2")
        network =
            read.text(
                "mechanism_drivers", "network driver (ovn or fake)",
                help: "Real networks through OVN, or made-up ones (fake); unset means what suits compute_driver."
            ) { NetworkKind(rawValue: $0) } ?? (hypervisor == .fake ? .fake : .ovn)
        if hypervisor == .libvirt, network == .fake {
            read.refuse("mechanism_drivers: real guests need the real network; set compute_driver = fake as well.")
        }
        read.section("up")
        hosts = read.int(
            "hosts", default: 1, in: 1...20_000, help: "How many hosts are made up by compute_driver = fake.")
        offset = read.int(
            "port_offset", default: 0, in: 0...50_000,
            help: "Shifts every port, so that several clouds live side by side on a machine.")
        if hypervisor == .libvirt, hosts > 1 {
            read.refuse("hosts is for made-up hosts; set compute_driver = fake as well.")
        }
    }
}
