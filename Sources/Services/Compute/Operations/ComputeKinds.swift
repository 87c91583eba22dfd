// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Every operation of Compute, for the worker that runs them.
package enum ComputeKinds {
    package static func all(_ room: ComputeService) -> [OperationKind] {
        let site: BootServer.SiteMaker = { context async throws(Fault) in ComputeSite(room: room, context: context) }
        return [
            .of(ScheduleServers.self, site: site),
            .of(SnapshotVolume.self, site: site),
            .of(MergeVolume.self, site: site),
            .of(BootServer.self, site: site),
            .of(DeleteServer.self, site: site),
            .of(PowerServer.self, site: site),
            .of(RefreshServer.self, site: site),
            .of(AttachInterface.self, site: site),
            .of(DetachInterface.self, site: site),
            .of(ChangeFixedAddress.self, site: site),
            .of(RebuildServer.self, site: site),
            .of(RescueServer.self, site: site),
            .of(UnrescueServer.self, site: site),
            .of(SnapshotServer.self, site: site),
            .of(ShelveServer.self, site: site),
            .of(OffloadServer.self, site: site),
            .of(UnshelveServer.self, site: site),
            .of(SoftDeleteServer.self, site: site),
            .of(RestoreServer.self, site: site),
            .of(CrashDump.self, site: site),
            .of(MoveServer.self, site: site),
            .of(ConfirmMove.self, site: site),
            .of(RevertMove.self, site: site),
            .of(LiveMigrateServer.self, site: site),
            .of(HastenMigration.self, site: site),
            .of(EvacuateServer.self, site: site),
            .of(AttachVolume.self, site: site),
            .of(DetachVolume.self, site: site),
            .of(SwapVolume.self, site: site),
            .of(CacheImages.self, site: site),
            .of(GrowVolume.self, site: site),
            .of(ReleaseOldVolumes.self, site: site),
            .of(SnapshotVolumes.self, site: site),
            .of(ReimageServer.self, site: site),
        ]
    }
}
