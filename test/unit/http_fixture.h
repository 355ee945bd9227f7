/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A client of HTTP servers that live on the test's own loop: it runs the loop
 * while it waits, so that a test may change servers between two requests.
 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/ip.h"

#define FIXTURE_PATIENCE_MS 5000

static uv_loop_t loop;

static inline void fixture_turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
}

static inline socklen_t fixture_address(const char *text, uint16_t port,
					struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		ck_assert_int_eq(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
		return sizeof(*in6);
	}
	in4->sin_family = AF_INET;
	in4->sin_port = htons(port);
	ck_assert_int_eq(inet_pton(AF_INET, text, &in4->sin_addr), 1);
	return sizeof(*in4);
}

/* A connected socket, or -errno. */
static inline int fixture_dial(const char *address, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len = fixture_address(address, port, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	ck_assert_int_ge(fd, 0);
	if (!connect(fd, (struct sockaddr *)&to, len))
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* A socket that listens at a port nobody had, which `ret_port` gets. */
static inline int fixture_listener(const char *address, uint16_t *ret_port)
{
	struct sockaddr_storage at;
	socklen_t len = fixture_address(address, 0, &at);
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	return fd;
}

static inline uint16_t fixture_free_port(void)
{
	uint16_t port;

	close(fixture_listener("::", &port));
	return port;
}

struct fixture_reply {
	int status;	 /* 0: hung up without an answer */
	char text[4096]; /* head and body */
	const char *body;
};

static inline void fixture_send(int fd, const char *text)
{
	size_t len = strlen(text);

	ck_assert_int_eq(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads what comes until the server hangs up or, with `whole`, that has come. */
static inline void fixture_read(int fd, const char *whole, struct fixture_reply *ret)
{
	uint64_t end = uv_hrtime() + FIXTURE_PATIENCE_MS * 1000000ULL;
	size_t len = 0;

	*ret = (struct fixture_reply) {};
	while (uv_hrtime() < end) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t n;

		fixture_turn();
		if (poll(&ready, 1, 1) != 1)
			continue;
		n = recv(fd, ret->text + len, sizeof(ret->text) - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (whole && strstr(ret->text, whole))
			break;
	}
	ck_assert_msg(uv_hrtime() < end, "no answer: \"%s\"", ret->text);
	sscanf(ret->text, "HTTP/1.1 %d", &ret->status);
	ret->body = strstr(ret->text, "\r\n\r\n");
	ret->body = ret->body ? ret->body + 4 : "";
}

/* One request on a connection of its own. */
static inline void fixture_ask(const char *address, uint16_t port, const char *method,
			       const char *path, struct fixture_reply *ret)
{
	char request[512];
	int fd = fixture_dial(address, port);

	ck_assert_msg(fd >= 0, "[%s]:%d: %s", address, port, strerror(-fd));
	snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 method, path);
	fixture_send(fd, request);
	fixture_read(fd, NULL, ret);
	close(fd);
}

static inline bool fixture_refuses(const char *address, uint16_t port)
{
	int fd = fixture_dial(address, port);

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

static inline void fixture_begin(void)
{
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

/* Everything on the loop was freed before. */
static inline void fixture_end(void)
{
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
