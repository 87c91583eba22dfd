// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The ability to start guests from a kernel instead of what is on their disk. Which kernel it is say the image's
/// properties `kernel_id`, `ramdisk_id` and `os_command_line`.
package protocol KernelBoot: Sendable {
    /// Brings what a guest starts from to where it will be, before it is made.
    func bring(kernel: ImageSource, ramdisk: ImageSource?, for server: String) async throws(Fault)
}

extension FakeHypervisor: KernelBoot {
    package func bring(kernel: ImageSource, ramdisk: ImageSource?, for server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            kernels[server] = [kernel.id] + (ramdisk.map { [$0.id] } ?? [])
        }
    }
}
