// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Glibc

/// The machine's control groups with the controller `cpu`, of the kernel's first or second kind: what guests' shares
/// and quotas of processors are kept in.
package struct ProcessorGroups: Sendable, Hashable {
    /// The group that guests of a cloud on this machine are in, as libvirt names it. Guests of two clouds may have the
    /// same name and number; those that move are told the name over there.
    package static func partition(_ paths: EnginePaths) -> String { "/" + paths.prefix }
    /// Where libvirt looks for groups. Its own /sys is fresh and has none.
    private static let place = "/sys/fs/cgroup"

    let root: String
    /// The controllers that are mounted together, of the first kind; nil of the second.
    let controllers: String?

    /// Nil where there are none that may be written.
    package static func find() -> ProcessorGroups? { find(FileSystem.text("/proc/self/mounts") ?? "") }

    static func find(_ mounts: String) -> ProcessorGroups? {
        for line in mounts.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 3, access(words[1], W_OK) == 0 else { continue }
            let options = words[3].split(separator: ",").map(String.init)
            if words[2] == "cgroup", options.contains("cpu") {
                let together = options.filter { ["cpu", "cpuacct", "cpuset"].contains($0) }.joined(separator: ",")
                return ProcessorGroups(root: words[1], controllers: together)
            }
            let known = FileSystem.text(words[1] + "/cgroup.controllers") ?? ""
            if words[2] == "cgroup2", known.split(whereSeparator: \.isWhitespace).contains("cpu") {
                return ProcessorGroups(root: words[1], controllers: nil)
            }
        }
        return nil
    }

    /// Makes the group for guests; libvirt makes none but its own.
    func make(_ paths: EnginePaths) throws(Fault) {
        if controllers == nil {
            let control = root + "/cgroup.subtree_control"
            let enabled = FileSystem.text(control)?.split(whereSeparator: \.isWhitespace) ?? []
            if !enabled.contains("cpu") { try FileSystem.write("+cpu", to: control) }
        }
        try FileSystem.makeDirectory(folder(paths))
    }

    /// Takes it away again, with what ended guests have left in it: a group that is in use cannot be removed.
    func remove(_ paths: EnginePaths) { remove(folder(paths)) }

    private func remove(_ group: String) {
        for name in FileSystem.list(group) where FileSystem.isDirectory("\(group)/\(name)") {
            remove("\(group)/\(name)")
        }
        rmdir(group)
    }

    func folder(_ paths: EnginePaths) -> String { root + Self.partition(paths) + ".partition" }

    /// Mounts the groups where libvirt looks for them; of the first kind this one alone, because libvirt does not cope
    /// with both kinds at once.
    var mounting: String {
        controllers.map { "mount -t cgroup -o \($0) cgroup \(Self.place)" } ?? "mount -t cgroup2 cgroup2 \(Self.place)"
    }
}
