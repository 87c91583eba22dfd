// SPDX-License-Identifier: Apache-2.0
// What the Glibc module hides: epoll, eventfd, namespaces, sendfile, and macros that Swift cannot see.
#pragma once
// Types that Swift's own C library module knows must come from it: with two owners, which one a member belongs to
// would change with the order in which files are compiled.
#pragma clang module import SwiftGlibc
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int clinux_wifexited(int status) { return WIFEXITED(status); }
static inline int clinux_wexitstatus(int status) { return WEXITSTATUS(status); }
static inline int clinux_wtermsig(int status) { return WTERMSIG(status); }
// Declared here because <sched.h> and <sys/socket.h> show them only under _GNU_SOURCE, which would give
// the other types in them a second shape next to Swift's own Glibc module.
extern int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
extern int setns(int fd, int kind);
extern int unshare(int flags);
#define CLINUX_CLONE_NEWNET 0x40000000
#define CLINUX_CLONE_NEWNS 0x00020000
static inline int clinux_wifsignaled(int status) { return WIFSIGNALED(status); }
static inline char **clinux_environment(void) { extern char **environ; return environ; }
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
extern int pidfd_open(pid_t pid, unsigned int flags);
extern int pidfd_send_signal(int pidfd, int signal, siginfo_t *information, unsigned int flags);
extern int pipe2(int ends[2], int flags);
extern int pthread_setname_np(pthread_t thread, const char *name);
#define CLINUX_MSG_DONTWAIT 0x40
// Swift sees these now through this module and now through Glibc, or not at all.
static const int clinux_msg_dontwait = MSG_DONTWAIT;
static const int clinux_msg_peek = MSG_PEEK;
static const int clinux_msg_more = MSG_MORE;
static const int clinux_msg_nosignal = MSG_NOSIGNAL;
// Begins to write a stretch of a file to the disk, and does not wait for it; a hint, so nobody asks what became of it.
extern int sync_file_range(int fd, off_t offset, off_t count, unsigned int flags);
static inline void clinux_begin_writing(int fd, off_t offset, off_t count) { sync_file_range(fd, offset, count, 2); }
