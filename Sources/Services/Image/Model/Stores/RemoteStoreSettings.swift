// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// One bucket of an S3 endpoint.
package struct S3StoreSettings: Sendable {
    package var host = ""
    package var region = ""
    package var accessKey = ""
    package var secretKey = ""
    package var bucket = ""
    package var makesBucket = false
    package var urlFormat = "auto"
    /// In MiB.
    package var largeObjectSize = 100
    package var partSize = 10
    package var threads = 10
    package var authorities: String?

    package init() {}

    init(_ read: inout OptionReader, isUsed: Bool) {
        host = read.string(
            "s3_store_host", default: "", help: "S3 store: the endpoint, with http:// or https:// before it.")
        region = read.string(
            "s3_store_region_name", default: "",
            help: "S3 store: the region; told from Amazon's endpoints when not set.")
        accessKey = read.string("s3_store_access_key", default: "", help: "S3 store: the access key.")
        secretKey = read.string("s3_store_secret_key", default: "", help: "S3 store: the secret key.")
        bucket = read.string("s3_store_bucket", default: "", help: "S3 store: the bucket that holds the images.")
        makesBucket = read.bool(
            "s3_store_create_bucket_on_put", default: false,
            help: "S3 store: whether the bucket is made when it is not there.")
        urlFormat = read.choice(
            "s3_store_bucket_url_format", of: ["auto", "virtual", "path"], default: "auto",
            help: "S3 store: whether the bucket stands before the host or in the path; auto knows Amazon.")
        largeObjectSize = read.int(
            "s3_store_large_object_size", default: 100, in: 5...Int.max >> 20,
            help: "S3 store: images of so many MiB go in parts; none is kept back longer than one part.")
        partSize = read.int(
            "s3_store_large_object_chunk_size", default: 10, in: 5...5120, help: "S3 store: the size of a part in MiB.")
        threads = read.int(
            "s3_store_thread_pools", default: 10, in: 1...256, help: "S3 store: how many calls run at once.")
        let file = read.string(
            "s3_store_cacert", default: "", help: "S3 store: trusted certificates instead of the system's.")
        authorities = file.isEmpty ? nil : file
        guard isUsed else { return }
        for (name, value) in [
            ("s3_store_host", host), ("s3_store_access_key", accessKey), ("s3_store_secret_key", secretKey),
            ("s3_store_bucket", bucket),
        ] where value.isEmpty {
            read.refuse("\(name) must be set for an S3 store.")
        }
    }

    /// `s3.eu-west-1.amazonaws.com` names its region.
    package var resolvedRegion: String {
        if !region.isEmpty { return region }
        let parts = host.split(separator: "/").last?.split(separator: ".").map(String.init) ?? []
        if let index = parts.firstIndex(of: "amazonaws"), index > 1 { return parts[index - 1] }
        return "us-east-1"
    }

    package func isVirtual(_ endpoint: String) -> Bool {
        urlFormat == "virtual" || urlFormat == "auto" && endpoint.hasSuffix(".amazonaws.com")
    }
}

/// One account of an OpenStack object store.
package struct SwiftStoreSettings: Sendable {
    package var authVersion = "3"
    package var authAddress = ""
    /// `project:user`.
    package var user = ""
    package var key = ""
    package var userDomain = "default"
    package var projectDomain = "default"
    package var reference = "ref1"
    package var region: String?
    package var endpoint: String?
    package var endpointType = "publicURL"
    package var serviceType = "object-store"
    package var container = "glance"
    /// In MiB.
    package var largeObjectSize = 5120
    package var chunkSize = 200
    package var makesContainer = false
    /// How many letters of an image's id tell the containers apart; none is one container.
    package var containerSeed = 0
    package var authorities: String?
    package var verifiesPeers = true

    package init() {}

    init(_ read: inout OptionReader, isUsed: Bool) {
        readAccount(&read)
        region = read.string("swift_store_region", help: "Object store: the region of the endpoint.")
        endpoint = read.string(
            "swift_store_endpoint", help: "Object store: the account's URL, instead of the one in the catalogue.")
        endpointType = read.choice(
            "swift_store_endpoint_type", of: ["publicURL", "internalURL", "adminURL"], default: "publicURL",
            help: "Object store: which of the catalogue's endpoints is taken.")
        serviceType = read.string(
            "swift_store_service_type", default: "object-store", help: "Object store: its type in the catalogue.")
        container = read.string(
            "swift_store_container", default: "glance", help: "Object store: the container that holds the images.")
        makesContainer = read.bool(
            "swift_store_create_container_on_put", default: false,
            help: "Object store: whether the container is made when it is not there.")
        containerSeed = read.int(
            "swift_store_multiple_containers_seed", default: 0, in: 0...32,
            help: "Object store: so many letters of an image's id are added to the container's name.")
        largeObjectSize = read.int(
            "swift_store_large_object_size", default: 5120, in: 1...Int.max >> 20,
            help: "Object store: images of more MiB, or of unknown size, are stored in segments.")
        chunkSize = read.int(
            "swift_store_large_object_chunk_size", default: 200, in: 1...5120,
            help: "Object store: the size of a segment in MiB.")
        verifiesPeers = !read.bool(
            "swift_store_auth_insecure", default: false,
            help: "Object store: whether servers' certificates are taken unverified.")
        authorities = read.string(
            "swift_store_cacert", help: "Object store: trusted certificates instead of the system's.")
        guard isUsed else { return }
        for (name, value) in [("auth_address", authAddress), ("user", user), ("key", key)] where value.isEmpty {
            read.refuse("swift_store_\(name) must be set for an object store.")
        }
    }

    private mutating func readAccount(_ read: inout OptionReader) {
        authVersion = read.choice(
            "swift_store_auth_version", of: ["3", "1"], default: "3",
            help: "Object store: 3 is Identity, 1 the object store's own tempauth.")
        authAddress = read.string(
            "swift_store_auth_address", default: "", help: "Object store: where the account's tokens come from.")
        user = read.string("swift_store_user", default: "", help: "Object store: the account, as project:user.")
        key = read.string("swift_store_key", default: "", help: "Object store: the account's password.")
        userDomain = read.string(
            "user_domain_id", default: "default", help: "Object store: the domain of the account's user.")
        projectDomain = read.string(
            "project_domain_id", default: "default", help: "Object store: the domain of the account's project.")
        reference = read.string(
            "default_swift_reference", default: "ref1", help: "Object store: the account's name in locations.")
    }
}

/// One pool of a Ceph cluster.
package struct CephStoreSettings: Sendable {
    package var pool = "images"
    package var user = ""
    package var configuration = ""
    /// In MiB, a power of two: how large the cluster's objects are.
    package var chunkSize = 8
    /// Long runs of zeros take no room.
    package var isThin = false
    /// Seconds; negative waits as long as Ceph itself does.
    package var timeout = -1

    package init() {}

    init(_ read: inout OptionReader) {
        pool = read.string("rbd_store_pool", default: "images", help: "Ceph store: the pool that holds the images.")
        user = read.string(
            "rbd_store_user", default: "", help: "Ceph store: the user; Ceph's own default when not set.")
        configuration = read.string(
            "rbd_store_ceph_conf", default: "", help: "Ceph store: the cluster's file; Ceph looks itself when not set.")
        chunkSize = read.int(
            "rbd_store_chunk_size", default: 8, in: 1...32,
            help: "Ceph store: the size of an object in MiB, a power of two.")
        isThin = read.bool(
            "rbd_thin_provisioning", default: false,
            help: "Ceph store: whether long runs of zeros take no room in the pool.")
        timeout = read.int(
            "rados_connect_timeout", default: -1, in: -1...86400,
            help: "Ceph store: seconds to wait for the cluster; -1 leaves it to Ceph.")
        if chunkSize & (chunkSize - 1) != 0 { read.refuse("rbd_store_chunk_size = \(chunkSize) is no power of two.") }
    }
}
