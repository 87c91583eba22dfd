// SPDX-License-Identifier: Apache-2.0
import Engines
import Kernel

/// `apus doctor`: what the machine lacks and how to mend it.
struct DoctorCommand {
    static let flags = ["data", "port-offset"]
    private let data: String
    private let offset: Int

    init(_ flags: Flags) throws(Fault) {
        data = FileSystem.absolute(flags["data"] ?? "/var/lib/apus")
        offset = try flags.integer("port-offset", in: 0...50_000, default: 0)
    }

    func run() async throws(Fault) {
        let ports = (Cloud.indexes.map(\.port) + [Cloud.gatewayPort, Cloud.consolePort]).map { UInt16($0 + offset) }
        let doctor = Doctor(dataDirectory: data, ports: ports)
        let checks = try await doctor.examine(on: BlockingPool(name: "doctor", threads: 8, queue: 64))
        for check in checks {
            Terminal.say("\(check.status.rawValue.padded(5)) \(check.name.padded(22)) \(check.detail)")
            if check.status != .ok, !check.remedy.isEmpty { Terminal.say("      mend it: \(check.remedy)") }
        }
        if checks.contains(where: { $0.status == .fail }) {
            Terminal.say("This machine cannot run real guests yet; --hypervisor fake needs nothing of the above.")
            Terminal.exit(1)
        }
    }
}
