/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The source that reads a folder: whole, whenever something in it changes,
 * beside the event loop. Files are never tracked one by one, so editors that
 * rename and ConfigMap volumes that swap a link are nothing special.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "common/log.h"
#include "controlplane/source/apply.h"
#include "controlplane/source/folder.h"
#include "controlplane/source/review.h"
#include "controlplane/source/source_impl.h"

/* Editors take some turns to replace a file: wait until they rest. */
#define SETTLE_MS     20
#define SETTLE_MAX_MS 500
/* The folder's path is looked at this often: it may go, or become another. */
#define LOOK_MS 1000

/* Not IN_MODIFY: a file that is just being written is not worth reading. */
#define WATCHED                                                                                    \
	(IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB |        \
	 IN_ONLYDIR)

struct manifests {
	struct source base;
	uv_loop_t *loop;
	struct store *store;
	void (*changed)(void *context);
	void *context;
	char *folder, *node_name;
	struct review review;

	int inotify, watch; /* watch: -1 for none */
	dev_t dev;	    /* of the folder that is watched */
	ino_t ino;
	uv_poll_t poll;
	uv_timer_t settle, look;
	int open_handles;
	bool closing;

	uv_work_t work;
	bool reading;
	bool again;	     /* something changed while it was read */
	uint64_t since_ns;   /* of the first change that is not read yet; 0: none */
	uint64_t reading_ns; /* of the first change that is in this read */
	struct folder *read; /* the worker's result */
	int read_err;

	bool connected;
	time_t connected_at; /* when that last changed */
	char error[OBJECT_ERROR_MAX];
	uint64_t lists;
};

static void start_read(struct manifests *m);

static void free_when_quiet(struct manifests *m)
{
	if (!m->closing || m->open_handles > 0 || m->reading)
		return;
	if (m->inotify >= 0)
		close(m->inotify);
	review_done(&m->review);
	free(m->folder);
	free(m->node_name);
	free(m);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct manifests *m = handle->data;

	m->open_handles--;
	free_when_quiet(m);
}

static void manifests_free(struct source *source)
{
	struct manifests *m = (struct manifests *)source;

	m->closing = true;
	if (m->open_handles == 0) {
		free_when_quiet(m);
		return;
	}
	uv_close((uv_handle_t *)&m->poll, on_handle_closed);
	uv_close((uv_handle_t *)&m->settle, on_handle_closed);
	uv_close((uv_handle_t *)&m->look, on_handle_closed);
}

static void set_connected(struct manifests *m, bool connected)
{
	if (m->connected != connected || m->connected_at == 0)
		m->connected_at = time(NULL);
	m->connected = connected;
}

static void lose(struct manifests *m, int err)
{
	snprintf(m->error, sizeof(m->error), "%s: %s", m->folder, strerror(-err));
	if (m->connected || m->connected_at == 0)
		log_warn("manifests: %s; what was read stays, looking again every %d ms", m->error,
			 LOOK_MS);
	set_connected(m, false);
}

/*
 * Watches whatever the path names now. A folder that is watched already is
 * left alone. Returns 0 or -errno.
 */
static int watch(struct manifests *m)
{
	struct stat st;

	/* In this order: a path that changes in between is noticed by on_look(). */
	if (stat(m->folder, &st) < 0)
		return -errno;
	int wd = inotify_add_watch(m->inotify, m->folder, WATCHED);
	if (wd < 0)
		return -errno;
	if (m->watch >= 0 && m->watch != wd)
		inotify_rm_watch(m->inotify, m->watch);
	m->watch = wd;
	m->dev = st.st_dev;
	m->ino = st.st_ino;
	return 0;
}

/* On a thread of its own, which touches `read` and `read_err` only. */
static void on_work(uv_work_t *work)
{
	struct manifests *m = work->data;

	m->read_err = folder_read(m->folder, &m->read);
}

static void take_in(struct manifests *m, struct folder *folder)
{
	store_received(m->store, m->reading_ns);
	int changed = review_apply(&m->review, folder);
	if (changed < 0) {
		lose(m, changed);
		return;
	}
	if (!m->connected)
		log_info("manifests: reading folder=%s files=%zu services=%zu slices=%zu",
			 m->folder, folder->n, store_count(m->store, OBJECT_SERVICE),
			 store_count(m->store, OBJECT_SLICE));
	set_connected(m, true);
	memcpy(m->error, m->review.error, sizeof(m->error));
	m->lists++;
	/* The first list is news even if it is empty: it is complete (S-240). */
	if (m->changed && (changed || m->lists == 1))
		m->changed(m->context);
}

static void after_work(uv_work_t *work, int status)
{
	struct manifests *m = work->data;
	sl_auto(folder) folder = sl_take(m->read);

	m->reading = false;
	if (m->closing) {
		free_when_quiet(m);
		return;
	}
	if (status == 0 && m->read_err == 0)
		take_in(m, folder);
	else
		lose(m, status ? status : m->read_err);
	/* `changed` may have freed the source: that takes effect on the next turn. */
	if (!m->closing && m->again)
		start_read(m);
}

static void start_read(struct manifests *m)
{
	if (m->reading) {
		m->again = true;
		return;
	}
	m->again = false;
	uv_timer_stop(&m->settle);
	m->reading_ns = m->since_ns ? m->since_ns : uv_hrtime();
	m->since_ns = 0;

	/* Watch before reading, so that no change falls in between. */
	int err = watch(m);
	if (!err) {
		m->work.data = m;
		m->read = NULL;
		err = uv_queue_work(m->loop, &m->work, on_work, after_work);
	}
	if (err)
		lose(m, err);
	else
		m->reading = true;
}

static void on_settled(uv_timer_t *timer)
{
	start_read(timer->data);
}

/* Something changed: read when nothing more changes, but don't wait for ever. */
static void note_change(struct manifests *m)
{
	uint64_t now = uv_hrtime();

	if (m->since_ns == 0)
		m->since_ns = now;
	if (uv_is_active((uv_handle_t *)&m->settle) &&
	    now - m->since_ns > (uint64_t)(SETTLE_MAX_MS - SETTLE_MS) * 1000000)
		return;
	uv_timer_start(&m->settle, on_settled, SETTLE_MS, 0);
}

/* A file that was just created is written next; IN_CLOSE_WRITE comes then. */
static bool is_unfinished(const struct manifests *m, const struct inotify_event *event)
{
	char path[4096];
	struct stat st;

	if (!(event->mask & IN_CREATE) || event->len == 0)
		return false;
	snprintf(path, sizeof(path), "%s/%s", m->folder, event->name);
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static void on_inotify(uv_poll_t *poll, int status, int events)
{
	_Alignas(struct inotify_event) char buffer[8192];
	struct manifests *m = poll->data;
	ssize_t n;

	(void)status;
	(void)events;
	while ((n = read(m->inotify, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(buffer + at);

			if (!is_unfinished(m, event))
				note_change(m);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
}

static void on_look(uv_timer_t *timer)
{
	struct manifests *m = timer->data;
	struct stat st;

	if (m->reading)
		return;
	if (stat(m->folder, &st) < 0)
		lose(m, -errno);
	else if (!m->connected || st.st_dev != m->dev || st.st_ino != m->ino)
		start_read(m);
}

static json_t *manifests_status(const struct source *source)
{
	const struct manifests *m = (const struct manifests *)source;
	char since[32];
	struct tm utc;

	gmtime_r(&m->connected_at, &utc);
	strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &utc);

	json_t *kinds = json_array();
	for (int kind = 0; kind < OBJECT_KIND_MAX; kind++)
		json_array_append_new(kinds,
				      json_pack("{s:s, s:b, s:s, s:I, s:I}", "kind",
						apply_kind_name((enum object_kind)kind), "listed",
						m->lists > 0, "resourceVersion", "", "events",
						(json_int_t)m->review.events[kind], "lists",
						(json_int_t)m->lists));
	return json_pack("{s:s, s:b, s:s, s:o*, s:o}", "source", "manifests", "connected",
			 m->connected, "since", since, "error", source_error(m->error), "kinds",
			 kinds);
}

static const struct source_ops manifests_ops = {
	.free = manifests_free,
	.status = manifests_status,
};

static int start_handles(struct manifests *m)
{
	int err = uv_poll_init(m->loop, &m->poll, m->inotify);

	if (err)
		return err;
	uv_timer_init(m->loop, &m->settle);
	uv_timer_init(m->loop, &m->look);
	m->poll.data = m->settle.data = m->look.data = m;
	m->open_handles = 3;
	err = uv_poll_start(&m->poll, UV_READABLE, on_inotify);
	return err ? err : uv_timer_start(&m->look, on_look, LOOK_MS, LOOK_MS);
}

static int start(struct manifests *m, const struct source_options *options, char *error)
{
	int fd = open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		int err = -errno;

		snprintf(error, OBJECT_ERROR_MAX, "manifests: %s: %s", options->folder,
			 strerror(-err));
		return err;
	}
	close(fd);

	m->folder = strdup(options->folder);
	m->node_name = strdup(options->node_name ? options->node_name : "");
	if (!m->folder || !m->node_name || review_init(&m->review, m->store, m->node_name)) {
		snprintf(error, OBJECT_ERROR_MAX, "manifests: out of memory");
		return -ENOMEM;
	}
	m->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int err = m->inotify < 0 ? -errno : watch(m);
	/* Whose limit it is that strerror() speaks of. */
	const char *limit = m->inotify < 0 && err == -EMFILE
				    ? " (inotify instances of this user: sysctl "
				      "fs.inotify.max_user_instances; or files: ulimit -n)"
			    : err == -ENOSPC ? " (sysctl fs.inotify.max_user_watches)"
					     : "";
	if (!err)
		err = start_handles(m);
	if (err)
		snprintf(error, OBJECT_ERROR_MAX, "manifests: %s: can't be watched: %s%s",
			 options->folder, strerror(-err), limit);
	return err;
}

int source_manifests_new(const struct source_options *options, struct source **ret,
			 char error[OBJECT_ERROR_MAX])
{
	error[0] = '\0';
	struct manifests *m = calloc(1, sizeof(*m));
	if (!m) {
		snprintf(error, OBJECT_ERROR_MAX, "manifests: out of memory");
		return -ENOMEM;
	}
	m->base.ops = &manifests_ops;
	m->loop = options->loop;
	m->store = options->store;
	m->changed = options->changed;
	m->context = options->context;
	m->inotify = m->watch = -1;

	int err = start(m, options, error);
	if (err) {
		source_free(&m->base);
		return err;
	}
	start_read(m);
	*ret = &m->base;
	return 0;
}
