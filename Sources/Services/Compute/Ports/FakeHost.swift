// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension FakeHypervisor {
    package func resources() throws(Fault) -> HostResources {
        try reachable()
        var host = host
        for guest in guestsByID.values {
            host.diskUsedGiB += guest.spec.rootDiskGiB + guest.spec.ephemeralGiB
            guard guest.state == .running || guest.state == .paused else { continue }
            host.guestsRunning += 1
            host.vcpusUsed += guest.spec.vcpus
            host.memoryUsedMiB += guest.spec.memoryMiB
        }
        host.diskAvailableGiB = max(0, host.diskGiB - host.diskUsedGiB)
        return host
    }

    /// No guest is booted from now on; all else goes on.
    package func refuseBoots(_ fault: Fault?) { bootRefusal = fault }
}
