// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What one store was told; each kind has the options that glance_store gives it.
package enum ImageStoreSettings: Sendable {
    case file(FileStoreSettings)
    case http(HTTPStoreSettings)
    case s3(S3StoreSettings)
    case swift(SwiftStoreSettings)
    case rbd(CephStoreSettings)

    package var kind: ImageStoreKind {
        switch self {
        case .file: .file
        case .http: .http
        case .s3: .s3
        case .swift: .swift
        case .rbd: .rbd
        }
    }

    /// Reads in the section where the reader stands; what a store cannot do without is asked of those in use.
    init(_ kind: ImageStoreKind, _ read: inout OptionReader, isUsed: Bool) {
        switch kind {
        case .file: self = .file(FileStoreSettings(&read))
        case .http: self = .http(HTTPStoreSettings(&read))
        case .s3: self = .s3(S3StoreSettings(&read, isUsed: isUsed))
        case .swift: self = .swift(SwiftStoreSettings(&read, isUsed: isUsed))
        case .rbd: self = .rbd(CephStoreSettings(&read))
        }
    }
}

/// Files in one folder or several.
package struct FileStoreSettings: Sendable {
    package struct Folder: Sendable, Equatable {
        package let path: String
        /// Folders of high priority are filled first.
        package let priority: Int

        package init(path: String, priority: Int = 0) {
            self.path = path
            self.priority = priority
        }
    }

    /// Empty is a folder of the cloud's own.
    package var folders: [Folder] = []
    /// Blocks of zeros become holes.
    package var isThin = false
    /// Permissions of the files; nil is for the cloud's user only.
    package var permissions: Int?

    package init(folders: [Folder] = [], isThin: Bool = false) {
        self.folders = folders
        self.isThin = isThin
    }

    init(_ read: inout OptionReader) {
        let folder = read.string(
            "filesystem_store_datadir",
            help: "File store: where the files are; a folder of the cloud's own when not set.")
        let several = read.list(
            "filesystem_store_datadirs",
            help: "File store: several folders instead, as path:priority; the highest priority with room is taken.")
        isThin = read.bool(
            "filesystem_thin_provisioning", default: false,
            help: "File store: whether long runs of zeros take no room on the disk.")
        let mode = read.int(
            "filesystem_store_file_perm", default: 0, in: 0...7777,
            help: "File store: permissions of the files as octal digits (640); 0 is for the owner only.")
        permissions = mode == 0 ? nil : Int(String(mode), radix: 8)
        if mode != 0, permissions == nil { read.refuse("filesystem_store_file_perm = \(mode) is not octal.") }
        if folder != nil, !several.isEmpty {
            read.refuse("filesystem_store_datadir and filesystem_store_datadirs exclude one another.")
        }
        if let folder { folders = [Folder(path: folder)] }
        for text in several {
            let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
            guard let path = parts.first, path.hasPrefix("/"), let priority = Int(parts.count > 1 ? parts[1] : "0")
            else {
                read.refuse("filesystem_store_datadirs: '\(text)' is no path:priority.")
                continue
            }
            folders.append(Folder(path: path, priority: priority))
        }
    }
}

/// Images that stay on somebody's web server.
package struct HTTPStoreSettings: Sendable {
    package var authorities: String?
    package var verifiesPeers = false

    package init() {}

    init(_ read: inout OptionReader) {
        authorities = read.string(
            "https_ca_certificates_file", help: "HTTP store: trusted certificates; given, servers are verified by it.")
        let isInsecure = read.bool(
            "https_insecure", default: true,
            help: "HTTP store: whether servers' certificates are taken unverified when no file is given.")
        verifiesPeers = authorities != nil || !isInsecure
    }
}
