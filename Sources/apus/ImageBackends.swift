// SPDX-License-Identifier: Apache-2.0
import Image
import ImageFiles
import Kernel

/// The stores of images that the configuration asks for, each with its driver.
enum ImageBackends {
    static func stores(_ options: ImageStoreOptions, _ directory: String) throws(Fault) -> ImageStores {
        let staging = try FileImageStore(folder: options.stagingFolder ?? directory + "/staging")
        let entries = try options.backends.mapping { backend throws(Fault) in
            let own = options.isMulti ? "\(directory)/stores/\(backend.id)" : directory + "/images"
            return ImageStores.Entry(
                id: backend.id, kind: backend.settings.kind, description: backend.description, weight: backend.weight,
                store: try store(backend.settings, own))
        }
        guard let standard = entries.first(where: { $0.id == options.standard }) else {
            throw .internalError("there is no store '\(options.standard)'")
        }
        return ImageStores(entries, standard: standard, isMulti: options.isMulti, staging: staging)
    }

    private static func store(_ settings: ImageStoreSettings, _ own: String) throws(Fault) -> any ImageStore {
        switch settings {
        case .file(var files):
            if files.folders.isEmpty { files.folders = [FileStoreSettings.Folder(path: own)] }
            return try FileImageStore(files)
        }
    }
}
