/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the manifests of a folder say at one moment. Pure but for reading, so
 * that it can run beside the event loop.
 */

#include <jansson.h>
#include <stddef.h>

#include "common/mem.h"
#include "controlplane/store/object.h"

struct folder_file {
	char *name;		      /* without the folder */
	char version[80];	      /* changes whenever the file does */
	json_t *documents;	      /* an array; NULL if the file can't be read or parsed */
	char error[OBJECT_ERROR_MAX]; /* then why: "FOLDER/NAME:LINE: reason" */
};

struct folder {
	struct folder_file *files; /* ordered by name */
	size_t n;
};

/*
 * Reads *.yaml, *.yml and *.json; hidden files (and with them editors' and
 * ConfigMap volumes' own) and whatever is no file are left out, symbolic links
 * are followed, subfolders are not. Returns 0 and the result, which the caller
 * frees, or -errno if the folder itself can't be read.
 */
int folder_read(const char *path, struct folder **ret);

/* Takes NULL too. */
void folder_free(struct folder *folder);
SL_DEFINE_AUTO(folder)
