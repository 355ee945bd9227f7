/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controlplane/attach/tcx.h"

#define PATH_BYTES 512

/* Ingress before all others; egress after those that got their priority from
 * the kernel, which counts down from 0xc000. The handle spells "slce". */
#define FILTER_HANDLE 0x736c6365
#define FILTER_FIRST  7
#define FILTER_LAST   0xf5ce

static const struct {
	const char *tcx, *tc, *pin;
	const char *program; /* its name tells our filter from another's */
	int type;	     /* enum bpf_attach_type */
	uint32_t flags;
	enum bpf_tc_attach_point point;
	uint32_t priority;
} hooks[LINK_HOOK_MAX] = {
	[LINK_INGRESS] = { "tcx/ingress", "tc/ingress", "tcx_ingress_", "sluice_ingress",
			   TCX_INGRESS, TCX_BEFORE, BPF_TC_INGRESS, FILTER_FIRST },
	[LINK_EGRESS] = { "tcx/egress", "tc/egress", "tcx_egress_", "sluice_egress", TCX_EGRESS, 0,
			  BPF_TC_EGRESS, FILTER_LAST },
	[LINK_XDP] = { "xdp", "xdp", "xdp_", "sluice_xdp", BPF_XDP, XDP_FLAGS_DRV_MODE, 0, 0 },
};

static bool has_tcx(int program)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	/* No interface has this index, so a kernel with TCX says -ENODEV. */
	int fd = bpf_link_create(program, INT32_MAX, (enum bpf_attach_type)TCX_INGRESS, &opts);

	return fd == -ENODEV;
}

int link_init(struct link_programs *programs, const char *folder, const int fd[LINK_HOOK_MAX],
	      bool tcx)
{
	struct link_programs result = { .folder = folder };

	for (int hook = 0; hook < LINK_HOOK_MAX; hook++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);
		int err = bpf_obj_get_info_by_fd(fd[hook], &info, &len);

		if (err)
			return err;
		result.fd[hook] = fd[hook];
		result.id[hook] = info.id;
	}
	result.tcx = tcx && has_tcx(fd[LINK_INGRESS]);
	*programs = result;
	return 0;
}

const char *link_hook_name(const struct link_programs *programs, enum link_hook hook)
{
	return programs->tcx ? hooks[hook].tcx : hooks[hook].tc;
}

static const char *pin_path(char path[PATH_BYTES], const char *folder, uint32_t ifindex,
			    enum link_hook hook)
{
	snprintf(path, PATH_BYTES, "%s/%s%u", folder, hooks[hook].pin, ifindex);
	return path;
}

/*
 * A link's own word about its interface holds in the namespace that it was
 * made in. Whether the program runs on ours, the interface must say.
 */
static bool runs_here(uint32_t ifindex, enum link_hook hook, uint32_t program)
{
	uint32_t ids[64], n = SL_COUNT(ids), id = 0;

	if (hook == LINK_XDP)
		return bpf_xdp_query_id((int)ifindex, (int)hooks[hook].flags, &id) == 0 &&
		       id == program;
	if (bpf_prog_query((int)ifindex, (enum bpf_attach_type)hooks[hook].type, 0, NULL, ids, &n))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (ids[i] == program)
			return true;
	return false;
}

/* The kernel takes a link off some time after its last pin went; then another
 * of the same program would be refused meanwhile, so this is done first. */
void link_remove_pin(const char *path)
{
	sl_auto_fd int fd = bpf_obj_get(path);

	if (fd >= 0)
		bpf_link_detach(fd);
	unlink(path);
}

/*
 * Returns 0 if the pinned link is in place with our program, 1 if there is none
 * or it is of no use here, or -errno if it could not be given our program.
 */
static int adopt(const struct link_programs *programs, const char *path, uint32_t ifindex,
		 enum link_hook hook)
{
	sl_auto_fd int fd = bpf_obj_get(path);
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	struct tcx_link_info at;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return 1;
	memcpy(&at, (const char *)&info + offsetof(struct bpf_link_info, xdp), sizeof(at));
	if (info.type != (hook == LINK_XDP ? BPF_LINK_TYPE_XDP : TCX_LINK_TYPE) ||
	    at.ifindex != ifindex ||
	    (hook != LINK_XDP && at.attach_type != (uint32_t)hooks[hook].type) ||
	    !runs_here(ifindex, hook, info.prog_id))
		return 1;
	if (info.prog_id == programs->id[hook])
		return 0;
	return bpf_link_update(fd, programs->fd[hook], NULL);
}

static void say_xdp_error(int err, uint32_t ifindex, char why[LINK_WHY_MAX])
{
	LIBBPF_OPTS(bpf_xdp_query_opts, found);

	if ((err == -EBUSY || err == -EEXIST) && bpf_xdp_query((int)ifindex, 0, &found) == 0 &&
	    found.attach_mode != XDP_ATTACHED_NONE)
		snprintf(why, LINK_WHY_MAX, "another XDP program is there (id %u)",
			 found.attach_mode == XDP_ATTACHED_SKB ? found.skb_prog_id
							       : found.drv_prog_id);
	else if (err == -EOPNOTSUPP)
		snprintf(why, LINK_WHY_MAX, "the driver has no native XDP");
	else
		snprintf(why, LINK_WHY_MAX, "%s", strerror(-err));
}

static int attach_link(const struct link_programs *programs, uint32_t ifindex, enum link_hook hook,
		       char why[LINK_WHY_MAX])
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = hooks[hook].flags);
	char path[PATH_BYTES];

	pin_path(path, programs->folder, ifindex, hook);

	int err = adopt(programs, path, ifindex, hook);
	if (err == 0)
		return 0;
	if (err < 0) {
		snprintf(why, LINK_WHY_MAX, "the program of an earlier run stays: %s",
			 strerror(-err));
		return err;
	}
	link_remove_pin(path);

	sl_auto_fd int fd = bpf_link_create(programs->fd[hook], (int)ifindex,
					    (enum bpf_attach_type)hooks[hook].type, &opts);
	if (fd < 0) {
		err = fd == -EEXIST ? -EBUSY : fd;
		if (hook == LINK_XDP)
			say_xdp_error(fd, ifindex, why);
		else
			snprintf(why, LINK_WHY_MAX, "%s", strerror(-fd));
		return err;
	}
	err = bpf_obj_pin(fd, path);
	if (err)
		snprintf(why, LINK_WHY_MAX, "pinning the link: %s", strerror(-err));
	return err;
}

/* The program of the filter at our place; 0 if there is none. */
static uint32_t filter_program(uint32_t ifindex, enum link_hook hook)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex, .attach_point = hooks[hook].point);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = hooks[hook].priority);

	return bpf_tc_query(&at, &filter) == 0 ? filter.prog_id : 0;
}

static bool is_ours(uint32_t program, enum link_hook hook)
{
	sl_auto_fd int fd = bpf_prog_get_fd_by_id(program);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
	       strcmp(info.name, hooks[hook].program) == 0;
}

static int attach_filter(const struct link_programs *programs, uint32_t ifindex,
			 enum link_hook hook, char why[LINK_WHY_MAX])
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = hooks[hook].priority,
		    .prog_fd = programs->fd[hook]);
	uint32_t there = filter_program(ifindex, hook);
	int err = 0;

	if (there == programs->id[hook])
		return 0;
	if (there && !is_ours(there, hook)) {
		snprintf(why, LINK_WHY_MAX, "another program has our priority (id %u)", there);
		return -EBUSY;
	}
	if (there)
		filter.flags = BPF_TC_F_REPLACE;
	else
		err = bpf_tc_hook_create(&at);
	if (err == 0 || err == -EEXIST) {
		at.attach_point = hooks[hook].point;
		err = bpf_tc_attach(&at, &filter);
	}
	if (err)
		snprintf(why, LINK_WHY_MAX, "%s", strerror(-err));
	return err;
}

int link_attach(const struct link_programs *programs, uint32_t ifindex, enum link_hook hook,
		char why[LINK_WHY_MAX])
{
	if (hook == LINK_XDP || programs->tcx)
		return attach_link(programs, ifindex, hook, why);
	return attach_filter(programs, ifindex, hook, why);
}

void link_detach(const struct link_programs *programs, uint32_t ifindex, enum link_hook hook)
{
	char path[PATH_BYTES];

	if (hook == LINK_XDP || programs->tcx)
		link_remove_pin(pin_path(path, programs->folder, ifindex, hook));
	else
		link_detach_filter(ifindex, hook);
}

int link_detach_filter(uint32_t ifindex, enum link_hook hook)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex, .attach_point = hooks[hook].point);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = hooks[hook].priority);
	uint32_t there = filter_program(ifindex, hook);

	if (!there || !is_ours(there, hook))
		return -ENOENT;
	return bpf_tc_detach(&at, &filter);
}

/* The hook and ifindex that a pin's name stands for; false for another file. */
static bool parse_pin(const char *name, uint32_t *ret_ifindex, enum link_hook *ret_hook)
{
	for (int hook = 0; hook < LINK_HOOK_MAX; hook++) {
		size_t len = strlen(hooks[hook].pin);
		char *end;

		if (strncmp(name, hooks[hook].pin, len) != 0)
			continue;
		unsigned long value = strtoul(name + len, &end, 10);
		if (*end || end == name + len || value == 0 || value > INT32_MAX)
			return false;
		*ret_ifindex = (uint32_t)value;
		*ret_hook = (enum link_hook)hook;
		return true;
	}
	return false;
}

void link_prune(const char *folder,
		bool (*keep)(void *context, uint32_t ifindex, enum link_hook hook), void *context)
{
	DIR *dir = opendir(folder);

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[PATH_BYTES];
		uint32_t ifindex;
		enum link_hook hook;

		if (parse_pin(entry->d_name, &ifindex, &hook) && !keep(context, ifindex, hook))
			link_remove_pin(pin_path(path, folder, ifindex, hook));
	}
	if (dir)
		closedir(dir);
}

static bool keep_none(void *context, uint32_t ifindex, enum link_hook hook)
{
	(void)context;
	(void)ifindex;
	(void)hook;
	return false;
}

int link_remove_all(const char *folder)
{
	struct if_nameindex *names = if_nameindex();
	int result = names ? 0 : -errno;

	link_prune(folder, keep_none, NULL);
	for (size_t i = 0; names && names[i].if_index; i++)
		for (int hook = LINK_INGRESS; hook <= LINK_EGRESS; hook++) {
			int err = link_detach_filter(names[i].if_index, (enum link_hook)hook);

			if (err && err != -ENOENT && result == 0)
				result = err;
		}
	if_freenameindex(names);
	return result;
}
