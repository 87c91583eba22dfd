// SPDX-License-Identifier: Apache-2.0
// Ceph's libraries, opened when a store needs them: they are large, and few machines have a cluster.
#pragma once
#include <dlfcn.h>
#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stddef.h>

#define CCEPH_RADOS(call)                                                                                              \
    call(rados_create) call(rados_conf_read_file) call(rados_conf_set) call(rados_connect) call(rados_shutdown)        \
    call(rados_cluster_fsid) call(rados_ioctx_create) call(rados_ioctx_destroy) call(rados_cluster_stat)
#define CCEPH_RBD(call)                                                                                                \
    call(rbd_create2) call(rbd_open) call(rbd_open_read_only) call(rbd_close) call(rbd_get_size) call(rbd_read)        \
    call(rbd_write) call(rbd_resize) call(rbd_flush) call(rbd_snap_create) call(rbd_snap_protect)                      \
    call(rbd_snap_unprotect) call(rbd_snap_remove) call(rbd_remove) call(rbd_trash_move) call(rbd_list_children3)

#define CCEPH_MEMBER(name) __typeof__(&name) name;
struct cceph {
    CCEPH_RADOS(CCEPH_MEMBER)
    CCEPH_RBD(CCEPH_MEMBER)
};

// Null, or what the dynamic linker says is missing.
#define CCEPH_RADOS_LOAD(name) if (!(calls->name = (__typeof__(&name))dlsym(rados, #name))) return dlerror();
#define CCEPH_RBD_LOAD(name) if (!(calls->name = (__typeof__(&name))dlsym(rbd, #name))) return dlerror();
static inline const char *cceph_load(struct cceph *calls)
{
    void *rados = dlopen("librados.so.2", RTLD_NOW);
    if (!rados) return dlerror();
    void *rbd = dlopen("librbd.so.1", RTLD_NOW);
    if (!rbd) return dlerror();
    CCEPH_RADOS(CCEPH_RADOS_LOAD)
    CCEPH_RBD(CCEPH_RBD_LOAD)
    return NULL;
}
