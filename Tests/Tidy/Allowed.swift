// SPDX-License-Identifier: Apache-2.0

/// Exceptions, each with its reason. An entry that excuses nothing any more is itself a finding.
struct Allowed {
    /// Files longer than 400 lines, by path.
    static let longFiles: [String: String] = [:]

    /// Functions longer than 60 lines, by `path:name`.
    static let longFunctions: [String: String] = [:]

    /// Types whose names hold a banned word.
    static let names: [String: String] = [
        "BaseImage": "the image that a guest's disk is laid over: libvirt's and QEMU's own word",
        "UserData": "Nova's own noun: what a user hands to cloud-init",
        "VendorData": "Nova's own noun, next to UserData",
        "NetworkData": "Nova's own noun: network_data.json of the config drive",
        "DataDirectory": "the folder that --data names",
        "DataProcessing": "the official service type of Sahara",
    ]

    /// Files that may start tasks outside the structure.
    static let freeTasks: [String: String] = [
        "Sources/Kernel/HTTP/Exchange.swift": "a request begins here: the server's callback has no task to belong to",
        "Sources/Kernel/Simulation/Simulated.swift": "a simulated run begins here, on its own executor",
        "Sources/apus/Main.swift": "the program begins here",
    ]

    /// Files that may ask for chance, time or the environment themselves, beside Kernel/Base.
    static let outsideWorld: [String: String] = [:]
}
