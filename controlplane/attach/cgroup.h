/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Our programs at the root of the cgroup v2 hierarchy, by which the node's own
 * processes reach Services. Links are pinned beside those of interfaces, one
 * file a hook, so programs stay when the daemon goes. Several instances attach
 * side by side; each one's programs look at sockets of its network namespace
 * only.
 */

#include <jansson.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

/* hook, program, enum bpf_attach_type */
#define CGROUP_HOOKS(X)                                                                            \
	X(connect4, CONNECT4, BPF_CGROUP_INET4_CONNECT)                                            \
	X(connect6, CONNECT6, BPF_CGROUP_INET6_CONNECT)                                            \
	X(sendmsg4, SENDMSG4, BPF_CGROUP_UDP4_SENDMSG)                                             \
	X(sendmsg6, SENDMSG6, BPF_CGROUP_UDP6_SENDMSG)                                             \
	X(recvmsg4, RECVMSG4, BPF_CGROUP_UDP4_RECVMSG)                                             \
	X(recvmsg6, RECVMSG6, BPF_CGROUP_UDP6_RECVMSG)                                             \
	X(getpeername4, GETPEERNAME4, BPF_CGROUP_INET4_GETPEERNAME)                                \
	X(getpeername6, GETPEERNAME6, BPF_CGROUP_INET6_GETPEERNAME)                                \
	X(release, RELEASE, BPF_CGROUP_INET_SOCK_RELEASE)

enum cgroup_hook {
#define X(hook, name, type) CGROUP_##name,
	CGROUP_HOOKS(X)
#undef X
		CGROUP_HOOK_MAX,
};

#define CGROUP_WHY_MAX 160

/* What became of it; for cgroup_describe(). */
struct cgroup {
	char root[PATH_MAX]; /* empty: there is none */
	char why[CGROUP_WHY_MAX];
	struct {
		int attached;
		char why[CGROUP_WHY_MAX];
	} hooks[CGROUP_HOOK_MAX];
};

/*
 * Finds where the root of the cgroup v2 hierarchy is mounted, by the text of
 * /proc/PID/mountinfo: on hybrid hosts it is a subfolder, and in a container
 * the mount that leads highest counts. Returns 0 or -ENOENT.
 */
int cgroup_find_root(FILE *mountinfo, char ret[PATH_MAX]);

/*
 * Attaches the programs to the cgroup `root`, NULL: the one that is found; one
 * of ours that is there is exchanged without a gap. `links` is the folder of
 * the pins. Fills *ret. Returns 0, or -errno of the first hook that failed with
 * the reason in ret->why; the others are tried all the same.
 */
int cgroup_attach(const char *links, const char *root, const int fd[CGROUP_HOOK_MAX],
		  struct cgroup *ret);

/* Detaches what is pinned in the folder; nothing happens if nothing is. */
void cgroup_detach(const char *links);

/*
 * For lbctl attach, a new reference: an item as attach_describe() has them,
 * of kind "cgroup2" and role "host", its name being the cgroup's folder.
 */
json_t *cgroup_describe(const struct cgroup *cgroup);

/* The cookie of the calling thread's network namespace, as programs see it.
 * Returns 0, or -errno: -ENOPROTOOPT before 5.14. */
int cgroup_netns_cookie(uint64_t *ret);
