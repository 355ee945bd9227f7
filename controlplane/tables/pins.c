/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/tables/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "common/abi.h"

int pins_paths(const char *root, const char *instance, struct pins_paths *ret)
{
	size_t len = strlen(instance);
	int n;

	if (len == 0 || len > 32 ||
	    strspn(instance, "abcdefghijklmnopqrstuvwxyz0123456789-") != len || !root[0])
		return -EINVAL;
	n = snprintf(ret->instance, sizeof(ret->instance), "%s/%s", root, instance);
	if (n >= (int)sizeof(ret->instance))
		return -EINVAL;
	snprintf(ret->maps, sizeof(ret->maps), "%s/v%d/maps", ret->instance, SL_LAYOUT);
	snprintf(ret->programs, sizeof(ret->programs), "%s/v%d/programs", ret->instance, SL_LAYOUT);
	snprintf(ret->links, sizeof(ret->links), "%s/v%d/links", ret->instance, SL_LAYOUT);
	return 0;
}

static bool in_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (uint32_t)fs.f_type == BPF_FS_MAGIC;
}

int pins_check_bpffs(const char *path, char error[PINS_TEXT])
{
	char above[PATH_MAX];
	struct stat st;
	char *slash;

	if (strlen(path) >= sizeof(above)) {
		snprintf(error, PINS_TEXT, "pins: the path is too long");
		return -ENAMETOOLONG;
	}
	strcpy(above, path);
	while (stat(above, &st) && (slash = strrchr(above, '/')) && slash != above)
		*slash = '\0';
	if (in_bpffs(above))
		return 0;
	snprintf(
		error, PINS_TEXT,
		"pins: %.200s is not in a BPF file system; mount one: mount -t bpf bpf /sys/fs/bpf",
		path);
	return -ENODEV;
}

int pins_layouts(const char *instance, struct pins_layouts *ret)
{
	DIR *dir = opendir(instance);
	struct pins_layouts found = { 0 };

	if (!dir && errno != ENOENT)
		return -errno;
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		unsigned int layout;
		char rest;

		if (sscanf(entry->d_name, "v%u%c", &layout, &rest) != 1)
			continue;
		found.newest = layout > found.newest ? layout : found.newest;
		found.oldest = found.oldest && found.oldest < layout ? found.oldest : layout;
		found.ours = found.ours || layout == SL_LAYOUT;
	}
	if (dir)
		closedir(dir);
	*ret = found;
	return 0;
}

void pins_keep(struct pins_made *made)
{
	for (size_t i = 0; i < made->n; i++)
		free(made->paths[i]);
	made->n = 0;
}

void pins_unmake(struct pins_made *made)
{
	for (size_t i = made->n; i-- > 0;)
		remove(made->paths[i]);
	pins_keep(made);
}

/* To be called before the thing is made, so that it can't fail after. */
static int note(struct pins_made *made, const char *path)
{
	if (made->n == SL_COUNT(made->paths))
		return -ENOBUFS;
	made->paths[made->n] = strdup(path);
	if (!made->paths[made->n])
		return -ENOMEM;
	made->n++;
	return 0;
}

static void forget_last(struct pins_made *made)
{
	free(made->paths[--made->n]);
}

int pins_make_folder(const char *path, struct pins_made *made)
{
	char part[PATH_MAX + 32];
	int err;

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = part + 1; slash;) {
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		err = note(made, part);
		if (err)
			return err;
		if (mkdir(part, 0700)) {
			err = -errno;
			forget_last(made);
			if (err != -EEXIST)
				return err;
		}
		if (slash)
			*slash++ = '/';
	}
	return 0;
}

int pins_make(int fd, const char *path, struct pins_made *made)
{
	int err = note(made, path);

	if (err)
		return err;
	if (bpf_obj_pin(fd, path)) {
		err = -errno;
		forget_last(made);
	}
	return err;
}

int pins_remove(const char *path)
{
	DIR *dir = opendir(path);
	int err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *entry; (entry = readdir(dir));) {
		char below[PATH_MAX + 300];

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			err = pins_remove(below) ?: err;
		else if (unlink(below) && errno != ENOENT)
			err = -errno;
	}
	closedir(dir);
	if (rmdir(path) && errno != ENOENT && !err)
		err = -errno;
	return err;
}
