/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A cgroup of our own, which this process is in. */

struct cgroups {
	char root[512], path[560]; /* path is empty: there is none */
};

/* Returns 0, or -errno with a line in `error`. */
int cgroups_enter(struct cgroups *ret, char error[512]);
/* Back to where it came from; removes the cgroup. */
void cgroups_leave(struct cgroups *cgroups);
