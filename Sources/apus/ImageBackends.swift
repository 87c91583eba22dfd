// SPDX-License-Identifier: Apache-2.0
import Image
import ImageCeph
import ImageFiles
import ImageHTTP
import ImageObjectStore
import ImageS3
import Kernel

/// The stores of images that the configuration asks for, each with its driver.
enum ImageBackends {
    static func stores(
        _ options: ImageStoreOptions, _ imports: ImportOptions, _ directory: String, _ clock: any WallClock
    ) throws(Fault) -> ImageStores {
        let staging = try FileImageStore(folder: options.stagingFolder ?? directory + "/staging")
        let entries = try options.backends.mapping { backend throws(Fault) in
            let own = options.isMulti ? "\(directory)/stores/\(backend.id)" : directory + "/images"
            return ImageStores.Entry(
                id: backend.id, kind: backend.settings.kind, description: backend.description, weight: backend.weight,
                store: try store(backend.settings, imports, own, clock))
        }
        guard let standard = entries.first(where: { $0.id == options.standard }) else {
            throw .internalError("there is no store '\(options.standard)'")
        }
        return ImageStores(entries, standard: standard, isMulti: options.isMulti, staging: staging)
    }

    private static func store(
        _ settings: ImageStoreSettings, _ imports: ImportOptions, _ own: String, _ clock: any WallClock
    ) throws(Fault) -> any ImageStore {
        switch settings {
        case .file(var files):
            if files.folders.isEmpty { files.folders = [FileStoreSettings.Folder(path: own)] }
            return try FileImageStore(files)
        case .http(let settings):
            return HTTPImageStore(settings, reachesPrivate: imports.allowsPrivateAddresses)
        case .s3(let settings): return S3ImageStore(settings, clock: clock)
        case .swift(let settings): return SwiftImageStore(settings)
        case .rbd(let settings): return CephImageStore(settings)
        }
    }
}
