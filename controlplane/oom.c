/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

void oom_set_score(int score)
{
	sl_auto_fd int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", score);

	/* A number below the one in force needs CAP_SYS_RESOURCE. */
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		log_warn("daemon: oomScoreAdj: %d can't be set: %s", score, strerror(errno));
}
