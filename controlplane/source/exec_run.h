/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Runs a program on the event loop and takes what it writes: nothing waits for
 * it, its time and its output are bounded. It reads /dev/null.
 */

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/mem.h"

struct exec_run;

struct exec_run_options {
	uv_loop_t *loop;
	const char *file; /* a path, or a name for PATH */
	char **args;	  /* begins with its name, NULL at the end */
	char **env;	  /* all of the environment, NULL at the end */
	uint64_t limit_ms;
	size_t output_max; /* bytes */
	/*
	 * It ended well, with what it wrote to stdout; or `why` says what went
	 * wrong. Both are valid during the call only. The run is over: it must
	 * not be used any more.
	 */
	void (*done)(void *context, const char *output, size_t len, const char *why);
	void *context;
};

/* Starts it; `done` is always called later, never from in here. What `options`
 * points to is needed during the call only. Returns 0 or -ENOMEM. */
int exec_run_new(const struct exec_run_options *options, struct exec_run **ret);

/* Kills it, with what it has started itself; `done` is not called. Takes NULL too. */
void exec_run_free(struct exec_run *run);
