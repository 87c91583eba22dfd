// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The ability to snapshot volumes that are files while guests write to them. Both calls may be repeated.
package protocol GuestVolumeSnapshots: Sendable {
    /// The guest goes on writing to a new file in the volume's folder, which Block storage has made over what the
    /// volume is now.
    func snapshot(volume: String, of server: String, to file: String, freeze: GuestFreeze) async throws(Fault)
    /// Two neighbours in a volume's chain of files become one.
    func merge(_ merge: VolumeMerge, ofVolume volume: String, of server: String) async throws(Fault)
}

/// Which files of a volume become one; all are named as they stand in the volume's folder.
package struct VolumeMerge: Sendable, Hashable, Codable {
    /// What is merged. Without a target it is what stays underneath the file in use, nil for nothing at all.
    package var file: String?
    /// What it is merged into; nil is the file in use, which takes in everything above `file`.
    package var target: String?

    package init(file: String?, into target: String?) {
        self.file = file
        self.target = target
    }
}
