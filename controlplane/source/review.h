/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Turns what a folder says into a list of objects for the store, and remembers
 * of each file what it said last: a file that can't be read any more keeps its
 * objects, and a complaint is logged once.
 */

#include <jansson.h>
#include <stdint.h>

#include "controlplane/source/folder.h"
#include "controlplane/store/store.h"

struct review {
	struct store *store;
	const char *node_name; /* other Nodes are ignored */
	json_t *known; /* file -> { version, objects [ [ kind, namespace, name ] ], complaints [] }
			*/
	uint64_t events[OBJECT_KIND_MAX]; /* changes of the store */
	char error[OBJECT_ERROR_MAX];	  /* the first complaint of the last run, or "" */
};

/* Returns 0 or -ENOMEM. The strings stay the caller's. */
int review_init(struct review *review, struct store *store, const char *node_name);
void review_done(struct review *review);

/*
 * Applies one read of the folder, whole: objects that no file has any more are
 * removed. Of two files with the same object the first one, by name, counts.
 * Returns 1 if the store changed, 0 if not, or -ENOMEM: then nothing is removed.
 */
int review_apply(struct review *review, struct folder *folder);
