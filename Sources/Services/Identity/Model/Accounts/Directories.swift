// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The directories that keep the users and groups of some domains, each opened when it is first needed and again when
/// its configuration has changed.
actor Directories {
    private let configurations: DomainConfigurations
    private let opener: (any DirectoryOpener)?
    private let log: Log
    nonisolated let options: IdentityOptions
    private var open: [String: (configuration: DomainConfiguration?, directory: any Directory)] = [:]

    init(
        _ configurations: DomainConfigurations, opener: (any DirectoryOpener)?, options: IdentityOptions, log: Log
    ) {
        self.configurations = configurations
        self.opener = opener
        self.options = options
        self.log = log
    }

    /// False in a cloud that keeps everybody itself: nothing needs to be asked then.
    nonisolated var mayExist: Bool { options.driver == .ldap || options.domains.isEnabled }

    /// The directory of a domain; nil when the cloud keeps the domain's users itself.
    func directory(of domainID: String) async throws(Fault) -> (any Directory)? {
        guard mayExist else { return nil }
        let own = try await configurations.configuration(of: domainID)
        if let own {
            guard own.driver != "sql" else { return forget(domainID) }
            guard own.driver == "ldap" else {
                log.error(
                    "a domain's users cannot be reached: [identity] driver must be sql or ldap",
                    ["domain_id": domainID, "driver": own.driver])
                throw .directoryIsDown
            }
        } else if !isDefault(domainID) {
            return forget(domainID)
        }
        if let known = open[domainID], known.configuration == own { return known.directory }
        guard let opener else {
            log.error("a domain's users are in a directory, and no driver for one is there", ["domain_id": domainID])
            throw .directoryIsDown
        }
        do throws(Fault) {
            let directory = try opener.open(own, of: domainID)
            open[domainID] = (own, directory)
            return directory
        } catch {
            log.error("a domain's directory cannot be opened", ["domain_id": domainID, "error": error.message])
            throw .directoryIsDown
        }
    }

    /// Whether the cloud's own `[ldap]` is about the domain.
    nonisolated func isDefault(_ domainID: String) -> Bool {
        options.driver == .ldap && domainID == options.defaultDomainID
    }

    /// Whether the directory's ids are shown as they are: upstream does so for the one directory of the whole cloud,
    /// as it did before it knew others.
    func keepsIDs(_ domainID: String) async throws(Fault) -> Bool {
        guard isDefault(domainID), options.keepsDirectoryIDs else { return false }
        return try await configurations.configuration(of: domainID) == nil
    }

    /// The domains that are kept in directories.
    func domainIDs() async throws(Fault) -> [String] {
        guard mayExist else { return [] }
        let own = try await configurations.all()
        var ids = own.filter { $0.value.driver != "sql" }.map(\.key)
        if options.driver == .ldap, own[options.defaultDomainID] == nil { ids.append(options.defaultDomainID) }
        return ids.sorted()
    }

    private func forget(_ domainID: String) -> (any Directory)? {
        open[domainID] = nil
        return nil
    }
}
