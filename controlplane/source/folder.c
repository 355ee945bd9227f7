/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controlplane/source/yaml.h"

static int is_manifest(const struct dirent *entry)
{
	const char *ending = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && ending &&
	       (strcmp(ending, ".yaml") == 0 || strcmp(ending, ".yml") == 0 ||
		strcmp(ending, ".json") == 0);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Reads up to `size` bytes. Returns how many there were, or -errno. */
static ssize_t read_all(int fd, char *data, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, data + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* Returns 0, or -errno with the reason in file->error. */
static int parse(int fd, size_t size, const char *path, struct folder_file *file)
{
	if (size > YAML_TEXT_MAX) {
		snprintf(file->error, sizeof(file->error), "%s:1: longer than %u bytes", path,
			 YAML_TEXT_MAX);
		return -EFBIG;
	}
	/* One more, to notice a file that grows. */
	sl_auto_mem char *text = malloc(size + 1);
	ssize_t len = text ? read_all(fd, text, size + 1) : -ENOMEM;
	if (len >= 0 && (size_t)len != size)
		len = -EAGAIN;
	if (len < 0) {
		snprintf(file->error, sizeof(file->error), "%s: %s", path,
			 len == -EAGAIN ? "is just being written" : strerror((int)-len));
		return (int)len;
	}
	return yaml_parse(path, text, size, &file->documents, file->error);
}

/* Returns true if there is a file of this name, be it a bad one. */
static bool read_file(int folder, const char *folder_path, struct folder_file *file)
{
	char path[OBJECT_ERROR_MAX / 2];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder_path, file->name);
	/* O_NONBLOCK: opening a FIFO would wait for its writer. */
	sl_auto_fd int fd = openat(folder, file->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(file->error, sizeof(file->error), "%s: %s", path, strerror(errno));
		return true;
	}
	if (!S_ISREG(st.st_mode))
		return false;
	snprintf(file->version, sizeof(file->version), "%llu:%lld:%lld.%09ld",
		 (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
		 st.st_mtim.tv_nsec);
	parse(fd, (size_t)st.st_size, path, file);
	return true;
}

static void free_entries(struct dirent **entries, int n)
{
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
}

static int read_entries(int fd, const char *path, struct dirent **entries, int n,
			struct folder **ret)
{
	sl_auto(folder) folder = calloc(1, sizeof(*folder));

	if (!folder)
		return -ENOMEM;
	folder->files = calloc((size_t)n + 1, sizeof(*folder->files));
	if (!folder->files)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		struct folder_file *file = &folder->files[folder->n];

		file->name = strdup(entries[i]->d_name);
		if (!file->name)
			return -ENOMEM;
		if (read_file(fd, path, file))
			folder->n++;
		else
			free(sl_take(file->name));
	}
	*ret = sl_take(folder);
	return 0;
}

int folder_read(const char *path, struct folder **ret)
{
	struct dirent **entries;
	/* All by this descriptor: the path may name another folder in a moment. */
	sl_auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int n = scandirat(fd, ".", &entries, is_manifest, by_name);
	if (n < 0)
		return -errno;
	int err = read_entries(fd, path, entries, n, ret);
	free_entries(entries, n);
	return err;
}

void folder_free(struct folder *folder)
{
	if (!folder)
		return;
	for (size_t i = 0; folder->files && i < folder->n; i++) {
		free(folder->files[i].name);
		json_decref(folder->files[i].documents);
	}
	free(folder->files);
	free(folder);
}
