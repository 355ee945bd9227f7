/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "controlplane/scrape/parts.h"

/* Of /proc/self/stat, from the third field on. */
struct stat_line {
	uint64_t user, system, start; /* clock ticks */
	uint64_t virtual_bytes;
	int64_t resident_pages;
};

static bool read_stat(struct stat_line *ret)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char line[1024] = "";
	const char *end;

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	/* The second field is a name in parentheses, which may have any in it. */
	end = strrchr(line, ')');
	return end && sscanf(end + 1,
			     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
			     " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
			     &ret->user, &ret->system, &ret->start, &ret->virtual_bytes,
			     &ret->resident_pages) == 5;
}

/* When the machine booted, in seconds since 1970; 0 if that is not told. */
static uint64_t boot_time(void)
{
	FILE *file = fopen("/proc/stat", "re");
	sl_auto_mem char *line = NULL;
	size_t room = 0;
	uint64_t seconds = 0;

	if (!file)
		return 0;
	while (!seconds && getline(&line, &room, file) > 0)
		sscanf(line, "btime %" SCNu64, &seconds);
	fclose(file);
	return seconds;
}

/* Without the descriptor that counting takes. */
static bool count_fds(uint64_t *ret)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!dir)
		return false;
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	*ret = n - 1;
	return true;
}

void parts_process(struct page *page)
{
	double tick = (double)sysconf(_SC_CLK_TCK);
	uint64_t booted = boot_time(), fds;
	struct stat_line stat;
	struct rlimit limit;

	if (read_stat(&stat)) {
		page_one_number(page, METRIC_CPU_SECONDS, (double)(stat.user + stat.system) / tick);
		page_one_count(page, METRIC_RESIDENT_BYTES,
			       (uint64_t)stat.resident_pages * (uint64_t)sysconf(_SC_PAGESIZE));
		page_one_count(page, METRIC_VIRTUAL_BYTES, stat.virtual_bytes);
		if (booted)
			page_one_number(page, METRIC_START_TIME,
					(double)booted + (double)stat.start / tick);
	}
	if (count_fds(&fds))
		page_one_count(page, METRIC_OPEN_FDS, fds);
	if (!getrlimit(RLIMIT_NOFILE, &limit))
		page_one_count(page, METRIC_MAX_FDS, limit.rlim_cur);
}
