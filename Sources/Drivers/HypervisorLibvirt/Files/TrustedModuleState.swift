// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// What a guest's trusted module has learnt, which libvirt keeps apart from the guest's disks. Everything here blocks
/// and runs on the pool.
struct TrustedModuleState: Sendable {
    let path: String

    /// The files that last, by the names under which they change hosts. One that holds a guest's state for a moment,
    /// while it is saved, goes with no guest that is down.
    private static let files = ["tpm2-00.permall": "tpm2", "tpm-00.permall": "tpm1.2"]

    static func isName(_ name: String) -> Bool { files[name] != nil }

    /// Its files, to be sent. Where they cannot be looked for that is no sign that there are none.
    func found() throws(Fault) -> [(name: String, path: String, size: Int64)] {
        guard access(path, R_OK | X_OK) == 0 || errno == ENOENT else {
            throw SystemError.fault("Cannot read the state of a trusted module in \(path)")
        }
        var found: [(name: String, path: String, size: Int64)] = []
        for (name, folder) in Self.files.sorted(by: { $0.key < $1.key }) {
            let file = "\(path)/\(folder)/\(name)"
            if FileSystem.exists(file) { found.append((name, file, try FileSize.of(file))) }
        }
        return found
    }

    /// Where a file of another host goes, whose owner libvirt sets when the guest starts.
    func place(_ name: String) throws(Fault) -> String {
        guard let folder = Self.files[name] else { throw .internalError("'\(name)' is nothing of a trusted module.") }
        try FileSystem.makeDirectory(path, mode: 0o711)
        try FileSystem.makeDirectory("\(path)/\(folder)", mode: 0o700)
        return "\(path)/\(folder)/\(name)"
    }

    func copy(to other: String) throws(Fault) { try Self.copy(path, to: other) }

    func remove() { FileSystem.remove(path) }

    /// As it is, from a copy.
    func replace(from copy: String) throws(Fault) {
        remove()
        try Self.copy(copy, to: path)
    }

    private static func copy(_ path: String, to other: String) throws(Fault) {
        guard FileSystem.exists(path) else { return }
        try Subprocess.check(["cp", "-a", path, other], timeout: .seconds(60))
    }
}

extension GuestFeatures.TPM {
    /// What another host's state must have been made by to be of use.
    var mark: String { "\(model) \(version)" }
}

extension XMLElement {
    /// The trusted module of a domain, as another host is told of it; nil without one.
    var moduleMark: String? {
        guard let module = self["devices", "tpm"], let model = module.attributes["model"],
            let version = module["backend"]?.attributes["version"]
        else { return nil }
        return "\(model) \(version)"
    }

    /// The secret that a domain's module is encrypted with.
    var moduleKey: String? { self["devices", "tpm"]?["backend", "encryption"]?.attributes["secret"] }
}
