// SPDX-License-Identifier: Apache-2.0
internal import CCeph
internal import Glibc
internal import Image
internal import Kernel

/// A connection to one pool of a cluster. librados and librbd may be called from any thread; these calls block.
final class CephPool: @unchecked Sendable {
    let calls: cceph
    let fsid: String
    let context: rados_ioctx_t
    private let cluster: rados_t

    init(_ settings: CephStoreSettings) throws(Fault) {
        var calls = cceph()
        if let reason = cceph_load(&calls) {
            throw .unavailable("Ceph's libraries (librados2, librbd1) are not there: \(String(cString: reason))")
        }
        self.calls = calls
        var cluster: rados_t?
        let user: String? = settings.user.isEmpty ? nil : settings.user
        try CephPool.check(calls.rados_create!(&cluster, user), "rados_create")
        guard let cluster else { throw .internalError("librados gave no handle.") }
        self.cluster = cluster
        var context: rados_ioctx_t?
        do throws(Fault) {
            let file: String? = settings.configuration.isEmpty ? nil : settings.configuration
            try CephPool.check(calls.rados_conf_read_file!(cluster, file), "reading Ceph's configuration")
            if settings.timeout >= 0 {
                for name in ["rados_osd_op_timeout", "rados_mon_op_timeout", "client_mount_timeout"] {
                    _ = calls.rados_conf_set!(cluster, name, "\(settings.timeout)")
                }
            }
            try CephPool.check(calls.rados_connect!(cluster), "connecting to the Ceph cluster")
            try CephPool.check(
                calls.rados_ioctx_create!(cluster, settings.pool, &context), "opening the pool '\(settings.pool)'")
        } catch {
            calls.rados_shutdown!(cluster)
            throw error
        }
        guard let context else { throw .internalError("librados gave no context.") }
        self.context = context
        var text = [CChar](repeating: 0, count: 64)
        let length = calls.rados_cluster_fsid!(cluster, &text, text.count)
        fsid = length > 0 ? String(decoding: text.prefix(Int(length)).map(UInt8.init), as: UTF8.self) : ""
    }

    deinit {
        calls.rados_ioctx_destroy!(context)
        calls.rados_shutdown!(cluster)
    }

    func free() -> Int? {
        var facts = rados_cluster_stat_t()
        // All zero without a manager to count.
        guard calls.rados_cluster_stat!(cluster, &facts) == 0, facts.kb > 0 else { return nil }
        return Int(facts.kb_avail) << 10
    }

    /// - Parameter snapshot: given, the image is only read, as it was then.
    func open(_ name: String, snapshot: String? = nil) throws(Fault) -> CephImage {
        var image: rbd_image_t?
        let result =
            snapshot == nil
            ? calls.rbd_open!(context, name, &image, nil) : calls.rbd_open_read_only!(context, name, &image, snapshot)
        try CephPool.check(result, "opening \(name)")
        guard let image else { throw .internalError("librbd gave no handle.") }
        return CephImage(image, name, self)
    }

    func create(_ name: String, size: Int, order: Int) throws(Fault) -> CephImage {
        var order = Int32(order)
        // Layering, which clones need, and the features that make it quick: exclusive lock, object map, fast diff.
        let features: UInt64 = 1 | 4 | 8 | 16
        try CephPool.check(calls.rbd_create2!(context, name, UInt64(size), features, &order), "creating \(name)")
        return try open(name)
    }

    /// Removes an image and the snapshot; what others cloned from stays.
    func remove(_ name: String, snapshot: String) throws(Fault) {
        do throws(Fault) {
            let image = try open(name)
            let unprotected = calls.rbd_snap_unprotect!(image.raw, snapshot)
            guard unprotected != -EBUSY else { throw .cephInUse }
            guard [0, -ENOENT, -EINVAL].contains(unprotected) else {
                throw CephPool.fault(unprotected, "unprotecting \(name)@\(snapshot)")
            }
            let removed = calls.rbd_snap_remove!(image.raw, snapshot)
            guard removed != -EBUSY else { throw .cephInUse }
            guard removed == 0 || removed == -ENOENT else {
                throw CephPool.fault(removed, "removing \(name)@\(snapshot)")
            }
        } catch {
            if error.status == 404 { return }
            throw error
        }
        switch calls.rbd_remove!(context, name) {
        case 0, -ENOENT: return
        case -EBUSY: throw .cephInUse
        // Somebody made snapshots of their own: out of the way, until they are gone.
        case -ENOTEMPTY: try CephPool.check(calls.rbd_trash_move!(context, name, 0), "moving \(name) to the trash")
        case let other: throw CephPool.fault(other, "removing \(name)")
        }
    }

    static func check(_ result: Int32, _ deed: String) throws(Fault) {
        guard result >= 0 else { throw fault(result, deed) }
    }

    static func fault(_ result: Int32, _ deed: String) -> Fault {
        switch -result {
        case ENOENT: .notFound("Ceph: \(deed): it does not exist.")
        case ENOSPC, EDQUOT: .imageStoreFull
        case EBUSY: .cephInUse
        default: .unavailable("Ceph: \(deed): \(SystemError.text(-result)).")
        }
    }
}

/// An open image. librbd may be called with one handle from any thread; the members here never change.
final class CephImage: @unchecked Sendable {
    let raw: rbd_image_t
    let name: String
    private let pool: CephPool

    init(_ raw: rbd_image_t, _ name: String, _ pool: CephPool) {
        self.raw = raw
        self.name = name
        self.pool = pool
    }

    deinit { _ = pool.calls.rbd_close!(raw) }

    func size() throws(Fault) -> Int {
        var size: UInt64 = 0
        try CephPool.check(pool.calls.rbd_get_size!(raw, &size), "measuring \(name)")
        return Int(size)
    }

    func read(_ offset: Int, _ count: Int) throws(Fault) -> [UInt8] {
        var result = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            result = pool.calls.rbd_read!(
                raw, UInt64(offset), count,
                UnsafeMutableRawPointer(buffer.baseAddress!).assumingMemoryBound(to: CChar.self))
            filled = max(0, result)
        }
        try CephPool.check(Int32(clamping: result), "reading \(name)")
        return bytes
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Fault) {
        guard let start = bytes.baseAddress else { return }
        let result = pool.calls.rbd_write!(
            raw, UInt64(offset), bytes.count, start.assumingMemoryBound(to: CChar.self))
        try CephPool.check(Int32(clamping: result), "writing \(name)")
    }

    func resize(_ size: Int) throws(Fault) {
        try CephPool.check(pool.calls.rbd_resize!(raw, UInt64(size)), "resizing \(name)")
    }

    /// Durable, and as others may clone it.
    func freeze(_ snapshot: String) throws(Fault) {
        try CephPool.check(pool.calls.rbd_flush!(raw), "flushing \(name)")
        try CephPool.check(pool.calls.rbd_snap_create!(raw, snapshot), "making \(name)@\(snapshot)")
        try CephPool.check(pool.calls.rbd_snap_protect!(raw, snapshot), "protecting \(name)@\(snapshot)")
    }

    /// Of an image that was opened at a snapshot: how many were cloned from it.
    func children() throws(Fault) -> Int {
        var count = 0
        let result = pool.calls.rbd_list_children3!(raw, nil, &count)
        guard result == -ERANGE || result >= 0 else { throw CephPool.fault(result, "listing clones of \(name)") }
        return count
    }
}

extension Fault {
    static var cephInUse: Fault {
        .conflict("The image cannot be deleted because it is in use through the backend store outside of Glance.")
    }
}
