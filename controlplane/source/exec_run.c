/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/source/exec_run.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/source/buffer.h"

/* What is told of a program's complaint. */
#define COMPLAINT_MAX 300

struct exec_run {
	uv_process_t process; /* the data of each handle is the run */
	uv_pipe_t out, err;
	uv_timer_t timer;
	int open_handles;
	bool spawned, exited, out_ended, freed;
	int64_t status;
	int signal;
	size_t output_max;
	struct buffer output, complaint;
	char why[COMPLAINT_MAX + 200];
	char chunk[4096];
	void (*done)(void *context, const char *output, size_t len, const char *why);
	void *context;
};

static void on_closed(uv_handle_t *handle)
{
	struct exec_run *run = handle->data;

	if (--run->open_handles > 0)
		return;
	buffer_clear(&run->output);
	buffer_clear(&run->complaint);
	free(run);
}

void exec_run_free(struct exec_run *run)
{
	if (!run || run->freed)
		return;
	run->freed = true;
	/* It leads a session of its own: what it started goes with it. Without its
	 * handle nobody would wait for it, and it stayed a zombie: on_exited() closes. */
	if (run->spawned && !run->exited)
		kill(-run->process.pid, SIGKILL);
	else
		uv_close((uv_handle_t *)&run->process, on_closed);
	uv_close((uv_handle_t *)&run->out, on_closed);
	uv_close((uv_handle_t *)&run->err, on_closed);
	uv_close((uv_handle_t *)&run->timer, on_closed);
}

/* Tells how it ended; `why` as printed before, or "". */
static void finish(struct exec_run *run)
{
	run->done(run->context, run->output.data ? run->output.data : "", run->output.len,
		  *run->why ? run->why : NULL);
	exec_run_free(run);
}

/* What it wrote to stderr, as a part of a line. */
static const char *complaint(struct exec_run *run)
{
	if (run->complaint.len == 0 || buffer_add(&run->complaint, "", 1))
		return "";
	for (char *at = run->complaint.data; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = ' ';
	return run->complaint.data;
}

/* All of its output is there and its end is known. */
static void finish_if_over(struct exec_run *run)
{
	if (!run->exited || !run->out_ended || run->freed)
		return;
	if (run->signal)
		snprintf(run->why, sizeof(run->why), "killed by signal %d: %s", run->signal,
			 complaint(run));
	else if (run->status)
		snprintf(run->why, sizeof(run->why), "exit status %lld: %s", (long long)run->status,
			 complaint(run));
	finish(run);
}

static void on_exited(uv_process_t *process, int64_t status, int signal)
{
	struct exec_run *run = process->data;

	run->exited = true;
	run->status = status;
	run->signal = signal;
	if (run->freed)
		uv_close((uv_handle_t *)process, on_closed);
	else
		finish_if_over(run);
}

/* Also where it could not be started: `why` is printed then. */
static void on_timer(uv_timer_t *timer)
{
	struct exec_run *run = timer->data;

	if (!*run->why)
		snprintf(run->why, sizeof(run->why), "not over in time, killed: %s",
			 complaint(run));
	finish(run);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct exec_run *run = handle->data;

	(void)size;
	*buf = uv_buf_init(run->chunk, sizeof(run->chunk));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct exec_run *run = stream->data;

	if (n < 0) {
		uv_read_stop(stream);
		run->out_ended = true;
		finish_if_over(run);
		return;
	}
	if (run->output.len + (size_t)n > run->output_max)
		snprintf(run->why, sizeof(run->why), "wrote more than %zu bytes", run->output_max);
	else if (buffer_add(&run->output, buf->base, (size_t)n))
		snprintf(run->why, sizeof(run->why), "out of memory");
	if (*run->why)
		finish(run);
}

static void on_complaint(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct exec_run *run = stream->data;
	size_t room = COMPLAINT_MAX - run->complaint.len;

	if (n < 0)
		uv_read_stop(stream);
	else
		buffer_add(&run->complaint, buf->base, (size_t)n < room ? (size_t)n : room);
}

static int spawn(struct exec_run *run, const struct exec_run_options *options)
{
	uv_stdio_container_t stdio[] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&run->out },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&run->err },
	};
	const uv_process_options_t process = {
		.exit_cb = on_exited,
		.file = options->file,
		.args = options->args,
		.env = options->env,
		.flags = UV_PROCESS_DETACHED,
		.stdio_count = (int)SL_COUNT(stdio),
		.stdio = stdio,
	};
	int err = uv_spawn(options->loop, &run->process, &process);

	run->spawned = err == 0;
	if (!err)
		err = uv_read_start((uv_stream_t *)&run->out, on_alloc, on_output);
	if (!err)
		err = uv_read_start((uv_stream_t *)&run->err, on_alloc, on_complaint);
	return err;
}

int exec_run_new(const struct exec_run_options *options, struct exec_run **ret)
{
	struct exec_run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->output_max = options->output_max;
	run->done = options->done;
	run->context = options->context;
	uv_pipe_init(options->loop, &run->out, 0);
	uv_pipe_init(options->loop, &run->err, 0);
	uv_timer_init(options->loop, &run->timer);
	run->process.data = run->out.data = run->err.data = run->timer.data = run;
	run->open_handles = 4;

	int err = spawn(run, options);
	if (err)
		snprintf(run->why, sizeof(run->why), "%s", uv_strerror(err));
	uv_timer_start(&run->timer, on_timer, err ? 0 : options->limit_ms, 0);
	*ret = run;
	return 0;
}
