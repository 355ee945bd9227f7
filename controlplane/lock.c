/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

/* The holder wrote its process id; 0 when it has not yet. */
static long holder(int fd)
{
	char text[32] = "";
	long pid = 0;

	if (pread(fd, text, sizeof(text) - 1, 0) > 0)
		sscanf(text, "%ld", &pid);
	return pid;
}

int lock_take(const char *run_dir, const char *instance, char *error, size_t error_len)
{
	char path[PATH_MAX];
	sl_auto_fd int fd = -1;

	if (mkdir(run_dir, 0755) && errno != EEXIST) {
		int r = -errno;

		snprintf(error, error_len, "runDir: %s: %s", run_dir, strerror(-r));
		return r;
	}
	snprintf(path, sizeof(path), "%s/%s.lock", run_dir, instance);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		int r = -errno;

		snprintf(error, error_len, "%s: %s", path, strerror(-r));
		return r;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		if (r == -EBUSY)
			snprintf(error, error_len,
				 "instance \"%s\" is already running as process %ld (%s is locked)",
				 instance, holder(fd), path);
		else
			snprintf(error, error_len, "%s: %s", path, strerror(-r));
		return r;
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		int r = -errno;

		snprintf(error, error_len, "%s: %s", path, strerror(-r));
		return r;
	}
	return sl_take_fd(fd);
}
