/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/cgroup.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "controlplane/attach/link.h"

/* Not in the headers of every system that this is built on. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define PIN_BYTES (PATH_MAX + 64)

static const struct {
	const char *name;
	enum bpf_attach_type type;
} hooks[CGROUP_HOOK_MAX] = {
#define X(hook, name_, type_) { #hook, type_ },
	CGROUP_HOOKS(X)
#undef X
};

static const char *pin_path(char path[PIN_BYTES], const char *links, int hook)
{
	snprintf(path, PIN_BYTES, "%s/cgroup_%s", links, hooks[hook].name);
	return path;
}

/* mountinfo writes blanks and backslashes of paths as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++, to++) {
		unsigned int code;

		if (sscanf(from, "\\%3o", &code) == 1) {
			*to = (char)code;
			from += 3;
		} else {
			*to = *from;
		}
	}
	*to = '\0';
}

/*
 * How high in the hierarchy a mount leads, by its root as the cgroup namespace
 * has it: "/" is the namespace's own root, each ".." leads one higher.
 */
static int height(const char *root)
{
	int result = 0;

	for (const char *part = root; (part = strchr(part, '/')); part++) {
		size_t len = strcspn(part + 1, "/");

		if (len == 2 && strncmp(part + 1, "..", 2) == 0)
			result++;
		else if (len > 0)
			result--;
	}
	return result;
}

int cgroup_find_root(FILE *mountinfo, char ret[PATH_MAX])
{
	sl_auto_mem char *line = NULL;
	size_t size = 0;
	int best = INT_MIN;

	while (getline(&line, &size, mountinfo) >= 0) {
		/* id, parent, device, root, mount point, options, fields, "-", type */
		char *save = NULL, *field[5] = { NULL };
		char *type = strstr(line, " - ");

		if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
			continue;
		*type = '\0';
		for (int i = 0; i < 5; i++)
			field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[4] || strlen(field[4]) >= PATH_MAX || height(field[3]) <= best)
			continue;
		best = height(field[3]);
		unescape(field[4]);
		strcpy(ret, field[4]);
	}
	return best == INT_MIN ? -ENOENT : 0;
}

/*
 * Returns 0 if the pinned link is at this cgroup with our program, 1 if there
 * is none or it is of no use, or -errno if it could not be given our program.
 */
static int adopt(const char *path, int program, int hook, uint64_t cgroup)
{
	sl_auto_fd int fd = bpf_obj_get(path);
	struct bpf_link_info link = { 0 };
	struct bpf_prog_info ours = { 0 };
	uint32_t link_len = sizeof(link), ours_len = sizeof(ours);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &link, &link_len) ||
	    bpf_obj_get_info_by_fd(program, &ours, &ours_len))
		return 1;
	/* The cgroup is 0 when it is gone, or another program took the link off. */
	if (link.type != BPF_LINK_TYPE_CGROUP || link.cgroup.cgroup_id != cgroup ||
	    link.cgroup.attach_type != hooks[hook].type)
		return 1;
	return link.prog_id == ours.id ? 0 : bpf_link_update(fd, program, NULL);
}

static int attach_hook(const char *links, int root, uint64_t cgroup, int program, int hook)
{
	char path[PIN_BYTES];
	int err = adopt(pin_path(path, links, hook), program, hook, cgroup);

	if (err <= 0)
		return err;
	link_remove_pin(path);

	sl_auto_fd int fd = bpf_link_create(program, root, hooks[hook].type, NULL);
	if (fd < 0)
		return fd;
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

static int find_root(char root[PATH_MAX])
{
	FILE *mountinfo = fopen("/proc/self/mountinfo", "re");
	int err = mountinfo ? cgroup_find_root(mountinfo, root) : -errno;

	if (mountinfo)
		fclose(mountinfo);
	return err;
}

int cgroup_attach(const char *links, const char *root, const int fd[CGROUP_HOOK_MAX],
		  struct cgroup *ret)
{
	struct stat st;
	int result = 0;

	memset(ret, 0, sizeof(*ret));
	if (root)
		snprintf(ret->root, sizeof(ret->root), "%s", root);
	else if (find_root(ret->root))
		ret->root[0] = '\0';
	if (!ret->root[0]) {
		snprintf(ret->why, sizeof(ret->why), "no cgroup v2 hierarchy is mounted");
		return -ENOENT;
	}

	sl_auto_fd int folder = open(ret->root, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (folder < 0 || fstat(folder, &st)) {
		result = -errno;
		snprintf(ret->why, sizeof(ret->why), "%s", strerror(errno));
		return result;
	}
	for (int hook = 0; hook < CGROUP_HOOK_MAX; hook++) {
		/* A cgroup's id is the inode of its folder. */
		int err = attach_hook(links, folder, st.st_ino, fd[hook], hook);

		ret->hooks[hook].attached = err == 0;
		if (err == 0)
			continue;
		snprintf(ret->hooks[hook].why, CGROUP_WHY_MAX, "%s", strerror(-err));
		if (result == 0)
			snprintf(ret->why, sizeof(ret->why), "%s: %s", hooks[hook].name,
				 strerror(-err));
		result = result ?: err;
	}
	return result;
}

void cgroup_detach(const char *links)
{
	char path[PIN_BYTES];

	for (int hook = 0; hook < CGROUP_HOOK_MAX; hook++)
		link_remove_pin(pin_path(path, links, hook));
}

json_t *cgroup_describe(const struct cgroup *cgroup)
{
	json_t *list = json_array();

	for (int hook = 0; cgroup->root[0] && hook < CGROUP_HOOK_MAX; hook++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s}", "hook", hooks[hook].name, "state",
					cgroup->hooks[hook].attached ? "attached" : "failed", "why",
					cgroup->hooks[hook].why));
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:[], s:o}", "ifindex", 0, "name",
			 cgroup->root, "kind", "cgroup2", "role", "host", "why",
			 cgroup->why[0] ? cgroup->why : "the node's own processes", "mtu", 0,
			 "addresses", "hooks", list);
}

int cgroup_netns_cookie(uint64_t *ret)
{
	sl_auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		return -errno;
	*ret = cookie;
	return 0;
}
