/* SPDX-License-Identifier: Apache-2.0 */

#include "test/semantics/cgroups.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/attach/cgroup.h"

static int move_to(const char *folder)
{
	char path[640];
	FILE *file;
	int r;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	r = fprintf(file, "%d\n", getpid()) < 0 ? -errno : 0;
	return fclose(file) ? -errno : r;
}

/* The cgroup v2 folder this process is in. */
static int find_home(const char *root, char *ret, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "r");
	char line[512];
	int r = -ENOENT;

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret, size, "%.250s%.250s", root, line + 3);
		r = 0;
	}
	fclose(file);
	return r;
}

int cgroups_enter(struct cgroups *ret, char error[512])
{
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	char root[PATH_MAX] = "";
	int r = mounts ? cgroup_find_root(mounts, root) : -errno;

	if (mounts)
		fclose(mounts);
	if (!r)
		r = find_home(root, ret->root, sizeof(ret->root));
	if (!r) {
		snprintf(ret->path, sizeof(ret->path), "%.400s/semantics-check-%d", root, getpid());
		r = mkdir(ret->path, 0755) ? -errno : move_to(ret->path);
	}
	if (r)
		snprintf(error, 512, "a cgroup: %s", strerror(-r));
	return r;
}

void cgroups_leave(struct cgroups *cgroups)
{
	if (!cgroups->path[0])
		return;
	move_to(cgroups->root);
	rmdir(cgroups->path);
	cgroups->path[0] = '\0';
}
