/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/attach/watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 2000
#define RETRY_MS     1000
#define BUFFER_BYTES (1024 * 1024)

struct watch {
	struct nl_sock *sock;
	uv_poll_t poll;
	uv_timer_t pause;
	int open_handles;
	int (*sync)(void *context, bool doubtful);
	void *context;
	bool dirty, doubtful; /* since the last successful call */
};

static void on_pause(uv_timer_t *timer);

/* Calls `sync` and starts the pause after it. */
static void run(struct watch *watch)
{
	uint64_t before = uv_hrtime();
	bool doubtful = watch->doubtful;

	watch->dirty = false;
	watch->doubtful = false;

	int err = watch->sync(watch->context, doubtful);
	uint64_t pause_ms = (uv_hrtime() - before) / 1000000 * 10;

	if (pause_ms < PAUSE_MIN_MS)
		pause_ms = PAUSE_MIN_MS;
	if (pause_ms > PAUSE_MAX_MS)
		pause_ms = PAUSE_MAX_MS;
	if (err) {
		watch->dirty = true;
		watch->doubtful |= doubtful;
		pause_ms = RETRY_MS;
	}
	/* The loop's idea of now is as old as this callback. */
	uv_update_time(watch->pause.loop);
	uv_timer_start(&watch->pause, on_pause, pause_ms, 0);
}

static void on_pause(uv_timer_t *timer)
{
	struct watch *watch = timer->data;

	if (watch->dirty)
		run(watch);
}

static void note_message(struct watch *watch, struct nlmsghdr *head)
{
	const struct ifinfomsg *link;
	const struct rtmsg *route;

	switch (head->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		link = nlmsg_data(head);
		/* A bridge tells of its ports in its own family too. */
		if (link->ifi_family != AF_UNSPEC)
			return;
		watch->doubtful |= head->nlmsg_type == RTM_DELLINK;
		watch->dirty = true;
		return;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		route = nlmsg_data(head);
		if (route->rtm_table == RT_TABLE_MAIN && route->rtm_type == RTN_UNICAST &&
		    !(route->rtm_flags & RTM_F_CLONED))
			watch->dirty = true;
		return;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		watch->dirty = true;
		return;
	default:
		return;
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	/* Larger than any one message of these groups. */
	_Alignas(struct nlmsghdr) char buffer[32768];

	(void)status;
	(void)events;
	for (;;) {
		ssize_t n =
			recv(nl_socket_get_fd(watch->sock), buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS) {
			watch->dirty = true;
			watch->doubtful = true;
			continue;
		}
		if (n <= 0)
			break;
		int left = (int)n;
		for (struct nlmsghdr *head = (struct nlmsghdr *)buffer; nlmsg_ok(head, left);
		     head = nlmsg_next(head, &left))
			note_message(watch, head);
	}
	if (watch->dirty && !uv_is_active((uv_handle_t *)&watch->pause))
		run(watch);
}

static int open_socket(struct nl_sock *sock)
{
	nl_socket_disable_seq_check(sock);

	int err = nl_connect(sock, NETLINK_ROUTE);
	if (err == 0)
		err = nl_socket_add_memberships(sock, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
						RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
						RTNLGRP_IPV6_ROUTE, 0);
	if (err == 0)
		err = nl_socket_set_nonblocking(sock);
	if (err == 0)
		err = nl_socket_set_buffer_size(sock, BUFFER_BYTES, 0);
	return err;
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;

	if (--watch->open_handles == 0)
		free(watch);
}

int watch_new(uv_loop_t *loop, int (*sync)(void *context, bool doubtful), void *context,
	      struct watch **ret, char error[512])
{
	sl_auto_mem struct watch *watch = calloc(1, sizeof(*watch));
	struct nl_sock *sock = nl_socket_alloc();
	int err = watch && sock ? open_socket(sock) : -NLE_NOMEM;

	if (err) {
		snprintf(error, 512, "netlink: following changes: %s", nl_geterror(err));
		nl_socket_free(sock);
		return err == -NLE_NOMEM ? -ENOMEM : -EIO;
	}
	err = uv_poll_init(loop, &watch->poll, nl_socket_get_fd(sock));
	if (err) {
		snprintf(error, 512, "netlink: following changes: %s", uv_strerror(err));
		nl_socket_free(sock);
		return err;
	}
	uv_timer_init(loop, &watch->pause);
	watch->sock = sock;
	watch->sync = sync;
	watch->context = context;
	watch->poll.data = watch;
	watch->pause.data = watch;
	watch->open_handles = 2;
	uv_poll_start(&watch->poll, UV_READABLE, on_readable);
	*ret = sl_take(watch);
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	uv_close((uv_handle_t *)&watch->poll, on_closed);
	uv_close((uv_handle_t *)&watch->pause, on_closed);
	nl_socket_free(watch->sock);
}
