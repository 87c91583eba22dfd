// SPDX-License-Identifier: Apache-2.0

/// The resource classes that every cloud knows: os-resource-classes 1.1.0, in its order.
enum StandardClasses {
    static let names = [
        "VCPU", "MEMORY_MB", "DISK_GB", "PCI_DEVICE", "SRIOV_NET_VF", "NUMA_SOCKET", "NUMA_CORE", "NUMA_THREAD",
        "NUMA_MEMORY_MB", "IPV4_ADDRESS", "VGPU", "VGPU_DISPLAY_HEAD", "NET_BW_EGR_KILOBIT_PER_SEC",
        "NET_BW_IGR_KILOBIT_PER_SEC", "PCPU", "MEM_ENCRYPTION_CONTEXT", "FPGA", "PGPU",
        "NET_PACKET_RATE_KILOPACKET_PER_SEC", "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC",
        "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
    ]
    static let set = Set(names)

    /// Names as lists of classes have them: the standard ones in their order, then the custom ones.
    static func inOrder(_ names: [String]) -> [String] {
        let places = Dictionary(uniqueKeysWithValues: self.names.enumerated().map { ($1, $0) })
        return names.sorted { (places[$0] ?? .max, $0) < (places[$1] ?? .max, $1) }
    }
}
