/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Our programs on one interface. TCX and XDP links are pinned in a folder, one
 * file a hook and ifindex; without TCX (before 6.6) there are clsact filters,
 * found again by their handle and priority. All state is in the kernel.
 */

#include <stdbool.h>
#include <stdint.h>

enum link_hook { LINK_INGRESS, LINK_EGRESS, LINK_XDP, LINK_HOOK_MAX };

struct link_programs {
	const char *folder;
	int fd[LINK_HOOK_MAX];
	uint32_t id[LINK_HOOK_MAX];
	bool tcx;
};

#define LINK_WHY_MAX 128

/*
 * Reads the programs' ids and, if `tcx`, probes whether the kernel has it.
 * Returns 0, or -errno of the first program that can't be read.
 */
int link_init(struct link_programs *programs, const char *folder, const int fd[LINK_HOOK_MAX],
	      bool tcx);

/* "tcx/ingress", "tc/egress", "xdp" ... */
const char *link_hook_name(const struct link_programs *programs, enum link_hook hook);

/*
 * Makes our program be on the hook. One of ours that is there already is
 * exchanged in one step, without a gap; another's is left alone.
 *
 * Returns 0, or -errno with the reason in `why`: -EBUSY if another program has
 * the place, -EOPNOTSUPP if the driver has no native XDP, else what the kernel
 * said.
 */
int link_attach(const struct link_programs *programs, uint32_t ifindex, enum link_hook hook,
		char why[LINK_WHY_MAX]);

/* Nothing happens if it is not there. */
void link_detach(const struct link_programs *programs, uint32_t ifindex, enum link_hook hook);

/* Removes the pinned links of a folder that `keep` is false for. */
void link_prune(const char *folder,
		bool (*keep)(void *context, uint32_t ifindex, enum link_hook hook), void *context);

/* Removes our clsact filter. Returns 0, or -ENOENT if there was none. */
int link_detach_filter(uint32_t ifindex, enum link_hook hook);

/* Takes a pinned link off at once and unpins it; it may be missing. */
void link_remove_pin(const char *path);

/* attach_remove() */
int link_remove_all(const char *folder);
