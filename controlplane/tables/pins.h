/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Folders and names in a bpffs: ROOT/INSTANCE/v<LAYOUT>/{maps,programs,links}.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/mem.h"

#define PINS_TEXT 512

/* ROOT/INSTANCE and the layout's folders below it. */
struct pins_paths {
	char instance[PATH_MAX];
	char maps[PATH_MAX + 32], programs[PATH_MAX + 32], links[PATH_MAX + 32];
};

/* -EINVAL for an instance name other than [a-z0-9-]{1,32} or a path too long. */
int pins_paths(const char *root, const char *instance, struct pins_paths *ret);

/*
 * 0 when `path`, or the nearest folder above it that exists, lies in a bpffs;
 * else -ENODEV with the mount command in `error`.
 */
int pins_check_bpffs(const char *path, char error[PINS_TEXT]);

/* Which layouts have a folder. */
struct pins_layouts {
	uint32_t oldest, newest; /* 0: there is none */
	bool ours;		 /* SL_LAYOUT has one */
};

/* 0 or -errno */
int pins_layouts(const char *instance, struct pins_layouts *ret);

/* What a start has made so far, to be taken back when it fails. */
struct pins_made {
	char *paths[64];
	size_t n;
};

/* Removes what was made, the last first, and forgets it. */
void pins_unmake(struct pins_made *made);

/* Keeps what was made. */
void pins_keep(struct pins_made *made);

/* Makes a folder and those above it. 0 or -errno. */
int pins_make_folder(const char *path, struct pins_made *made);

/* Pins a map or program under a name that is free. 0 or -errno. */
int pins_make(int fd, const char *path, struct pins_made *made);

/* Removes a folder with what is in it. 0, also if there is none, or -errno. */
int pins_remove(const char *path);
