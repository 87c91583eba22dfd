// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

extension ImageClient.Image {
    /// Refuses an image that cannot be booted from, or not in a size.
    func admits(_ flavor: FlavorSnapshot) throws(Fault) {
        guard status == "active" else { throw .badRequest("Image \(id) is not active.") }
        try ImageRules.check(properties)
        try fit(flavor)
    }

    /// Refuses a size that is too small for the image. A flavor without a disk takes the image's.
    func fit(_ flavor: FlavorSnapshot) throws(Fault) {
        guard minRAM <= flavor.memoryMiB else { throw .badRequest("Flavor's memory is too small for requested image.") }
        try GuestFeatures.check(GuestWishes(flavor, self))
        guard flavor.diskGiB > 0 else { return }
        let disk = flavor.diskGiB << 30
        if minDisk > flavor.diskGiB {
            throw .badRequest(
                "Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is \(disk) "
                    + "bytes, minimum size is \(minDisk << 30) bytes.")
        }
        let size = max(virtualSize, size)
        if size > disk {
            throw .badRequest(
                "Flavor's disk is too small for requested image. Flavor disk is \(disk) bytes, image is \(size) bytes.")
        }
    }
}
