// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// Where a child process starts: which network namespace, and what it sees mounted over which path.
/// A child inherits the namespaces of the thread that makes it, so a short-lived thread goes there and spawns.
package struct Surroundings: Sendable, Hashable {
    /// A folder that the child, and nobody else, sees at another path.
    package struct Bind: Sendable, Hashable {
        package let folder: String
        package let over: String
        package init(_ folder: String, over: String) {
            self.folder = folder
            self.over = over
        }
    }

    package var network: NetworkNamespace?
    package var binds: [Bind]

    package init(network: NetworkNamespace? = nil, binds: [Bind] = []) {
        self.network = network
        self.binds = binds
    }

    package static let own = Surroundings()

    var isOwn: Bool { network == nil && binds.isEmpty }

    /// Moves the calling thread, which must be one that ends soon.
    func enter() throws(Fault) {
        try network?.enter()
        guard unshare(Int32(CLINUX_CLONE_NEWNS)) == 0 else {
            throw SystemError.fault("Cannot make a mount namespace")
        }
        // Slave, not private: what the machine mounts later stays visible, what is mounted here stays here.
        try Surroundings.mount("none", "/", nil, UInt(MS_REC) | UInt(MS_SLAVE))
        if network != nil {
            // sysfs shows the network devices of whoever mounted it.
            umount2("/sys", Int32(MNT_DETACH))
            try Surroundings.mount("sysfs", "/sys", "sysfs", 0)
        }
        for bind in binds { try Surroundings.mount(bind.folder, bind.over, nil, UInt(MS_BIND)) }
    }

    private static func mount(_ what: String, _ at: String, _ kind: String?, _ flags: UInt) throws(Fault) {
        guard Glibc.mount(what, at, kind, flags, nil) == 0 else {
            throw SystemError.fault("Cannot mount \(what) at \(at)")
        }
    }
}
